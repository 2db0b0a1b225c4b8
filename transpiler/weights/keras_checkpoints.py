"""Keras's side of moving a checkpoint: from its files into a `Cargo`, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from transpiler.verify.side import Run
from transpiler.verify.tf_models import variable_key
from transpiler.verify.tf_tree import build_tree
from transpiler.weights import keras_files
from transpiler.weights.cargo import (
    Cargo,
    CheckpointError,
    Item,
    Key,
    Left,
    ModelItem,
    Moved,
    OptimizerItem,
    ValueItem,
    spell,
)
from transpiler.weights.job import name_objects, prefer
from transpiler.weights.keras_optimizers import Optimizers
from transpiler.weights.keras_places import (
    Place,
    common_path,
    explain,
    fits,
    is_arrays,
    is_numbers,
    load_weights,
    restores,
)
from transpiler.weights.tree import Array


class KerasSide:
    """The live layers, optimizers and checkpoint objects of a Keras script."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.optimizers = Optimizers(run)
        self.checkpoints: list[Any] = []
        self.used: set[int] = set()
        self.names: dict[int, list[str]] = {}
        start = tf.train.Checkpoint.__init__

        def keep(checkpoint: Any, *args: Any, **kwargs: Any) -> None:
            start(checkpoint, *args, **kwargs)
            self.checkpoints.append(checkpoint)

        tf.train.Checkpoint.__init__ = keep

    def is_ready(self) -> bool:
        """Whether all optimizers have made their variables."""
        return all(optimizer.built for optimizer in self.optimizers.live)

    def unload(self, path: Path) -> Cargo:
        """The checkpoint by the names of the live models' variables."""
        self.names = name_objects(self.run)
        cargo = Cargo()
        kind = keras_files.find_kind(path)
        if kind == "checkpoint":
            cargo.items += self.objects(keras_files.checkpoint_prefix(path), cargo.left)
        elif kind == "pickle":
            content = keras_files.read_pickle(path)
            cargo.items += self.bundle(content, (), cargo.left)
        else:
            cargo.items += self.weights_file(path, cargo.left)
        if not cargo.models:
            raise CheckpointError(f"{path.name} holds no state of a model that the script makes")
        return cargo

    def load(self, cargo: Cargo, orders: dict[str, str]) -> Moved:
        """Put a checkpoint into the live models and write a file of Keras's."""
        from transpiler.weights.keras_writing import write_cargo

        return write_cargo(self, cargo, orders)

    # ---- models ----------------------------------------------------------------------------------

    def places(self) -> list[Place]:
        """All layers that a state may belong to, whole models first."""
        met = self.run.models.met
        numbers = [m.index if self.run.record else m.number for m in met]
        whole = [Place(n, True, m.root) for n, m in zip(numbers, met, strict=True) if n is not None]
        parts = [
            Place(place.index, False, layer)
            for place in whole
            for layer in place.layer._flatten_layers(include_self=False)
            if layer.variables and isinstance(layer, keras.Model)
        ]
        return whole + parts

    def order(self, key: Key, place: Place) -> tuple[int, bool, bool]:
        """How well a place goes with a key: the least is best."""
        rank = prefer(key, self.names.get(id(place.layer), []))
        return rank, id(place.layer) in self.used, not place.is_whole

    def item(self, place: Place, key: Key) -> ModelItem:
        """What a live layer holds now, by the full names of its variables."""
        self.used.add(id(place.layer))
        root = next(
            m.root
            for m in self.run.models.met
            if (m.index if self.run.record else m.number) == place.index
        )
        own = {variable_key(v) for v in place.layer.variables}
        arrays = {
            name: np.asarray(variable.numpy())
            for name, variable in build_tree(root, {}).variables.items()
            if variable_key(variable) in own
        }
        part = "" if place.is_whole else common_path(list(arrays))
        return ModelItem(key, place.index, part, arrays)

    def weights_file(self, path: Path, left: list[Left]) -> Iterator[Item]:
        """A .weights.h5, .keras or older .h5 file: one model, and its optimizer if compiled."""
        stored = keras_files.read_h5(path)
        state = {n: a for n, a in stored.items() if not n.startswith("optimizer")}
        failures: list[str] = []
        fitting = [p for p in self.places() if fits(p, state)]
        for place in sorted(fitting, key=lambda p: self.order((), p)):
            try:
                load_weights(place.layer, path, stored)
            except Exception as error:  # whatever Keras says of a file that does not fit
                failures.append(str(error).split("\n")[0])
                continue
            optimizer = getattr(place.layer, "optimizer", None)
            held = [np.asarray(v.numpy()) for v in place.layer.variables]
            for name in keras_files.unaccounted(state, held):
                if "seed_generator" not in name and "metric" not in name:
                    left.append(Left(name, "the script's model has no such variable"))
            yield self.item(place, ())
            if len(stored) > len(state) and optimizer is not None and optimizer.built:
                yield self.optimizers.item(optimizer, ())
            elif len(stored) > len(state):
                left.append(Left("optimizer", "the script does not compile this model"))
            return
        raise CheckpointError(explain(path, state, self.places(), failures))

    # ---- bundles ---------------------------------------------------------------------------------

    def bundle(self, content: Any, key: Key, left: list[Left]) -> Iterator[Item]:
        """A pickled bundle: lists of arrays are what get_weights() gave."""
        if isinstance(content, Mapping) and not is_numbers(content):
            for name, value in content.items():
                yield from self.bundle(value, (*key, str(name)), left)
            return
        if not is_arrays(content):
            yield ValueItem(key, content)
            return
        shapes = [tuple(a.shape) for a in content]
        places = [p for p in self.places() if shapes == [w.shape for w in p.layer.weights]]
        if places:
            place = min(places, key=lambda p: self.order(key, p))
            place.layer.set_weights(content)
            yield self.item(place, key)
            return
        optimizer = self.optimizers.with_shapes(shapes, key, self.names)
        if optimizer is None:
            raise CheckpointError(f"{spell(key)}: no model or optimizer has variables as these")
        for variable, value in zip(optimizer.variables, content, strict=True):
            variable.assign(value)
        yield self.optimizers.item(optimizer, key)

    # ---- tf.train.Checkpoint ---------------------------------------------------------------------

    def objects(self, prefix: str, left: list[Left]) -> Iterator[Item]:
        """A checkpoint's objects, one for each name at its root."""
        stored = keras_files.read_checkpoint(prefix)
        items: list[Item] = []
        # Optimizers first: weights may be reached through them alone.
        first = {place.split("/")[0] for place in stored if place.endswith("iterations")}
        names = sorted({place.split("/")[0] for place in stored})
        for name in sorted(names, key=lambda name: name not in first):
            own = {n: a for n, a in stored.items() if n.split("/")[0] == name}
            if list(own) == [name]:
                items.append(ValueItem((name,), own[name]))
            else:
                items.append(self.restored(prefix, name, own, stored, left))
        # Weights that an optimizer refers to may be stored below its name.
        held = [a for item in items if isinstance(item, ModelItem) for a in item.arrays.values()]
        lost = set(keras_files.unaccounted({e.name: stored[e.name] for e in left}, held))
        left[:] = [entry for entry in left if entry.name in lost]
        yield from sorted(items, key=lambda item: isinstance(item, OptimizerItem))

    def restored(
        self,
        prefix: str,
        name: str,
        stored: dict[str, Array],
        whole: dict[str, Array],
        left: list[Left],
    ) -> Item:
        """Restore one name into the live object that it fits."""
        given = [getattr(c, name) for c in self.checkpoints if hasattr(c, name)]
        places = sorted(self.places(), key=lambda p: self.order((name,), p))
        live = sorted(
            self.optimizers.live,
            key=lambda o: (prefer((name,), self.names.get(id(o), [])), id(o) in self.used),
        )
        ranked: list[tuple[bool, Any]] = [
            (all(known is not g for g in given), found)
            for known, found in [(p.layer, p) for p in places] + [(o, o) for o in live]
        ]
        for _, found in sorted(ranked, key=lambda entry: entry[0]):
            owner = found.layer if isinstance(found, Place) else found
            if not restores(prefix, name, owner, whole):
                continue
            held = [np.asarray(v.numpy()) for v in owner.variables]
            rest = keras_files.unaccounted(stored, held)
            if len(rest) > len(stored) // 2:
                continue
            reason = "the script's model has no such variable"
            if not isinstance(found, Place):
                reason = "not kept per variable: the script's own setting holds"
            left += [Left(n, reason) for n in rest if "seed_generator" not in n]
            self.used.add(id(owner))
            if isinstance(found, Place):
                return self.item(found, (name,))
            return self.optimizers.item(owner, (name,))
        raise CheckpointError(f"{name}: no model or optimizer of the script fits")
