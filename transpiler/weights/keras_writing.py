"""Fill a Keras script's live models and optimizers from a `Cargo` and write what they hold."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from transpiler.verify.tf_models import fill, variable_key
from transpiler.verify.tf_tree import Built, build_tree
from transpiler.weights import keras_files
from transpiler.weights.accounts import (
    account_lost,
    account_optimizer,
    account_value,
    carry_optimizer,
    routes_of,
)
from transpiler.weights.atomic import folder_beside, move_into, writing
from transpiler.weights.cargo import (
    Cargo,
    CheckpointError,
    Key,
    Left,
    ModelItem,
    Moved,
    spell,
)
from transpiler.weights.carriage import check_shapes
from transpiler.weights.tree import Array

if TYPE_CHECKING:
    from transpiler.weights.keras_checkpoints import KerasSide


@dataclass
class Plan:
    """One model's state: the live layer that is to hold it, and the values of its variables."""

    item: ModelItem
    built: Built
    layer: Any
    values: dict[str, Array]
    used: set[str]
    """The source's names that the values came from."""


def write_cargo(side: KerasSide, cargo: Cargo, orders: dict[str, str]) -> Moved:
    """Everything into the live objects first, then one file."""
    out, moved = Path(orders["out"]), Moved()
    kind = "checkpoint" if out.is_dir() else keras_files.kind_of(out)
    plans = [plan_model(side, item) for item in cargo.models]
    if kind in ("h5", "keras") and len(plans) != 1:
        names = ", ".join(spell(plan.item.key) for plan in plans)
        raise CheckpointError(f"one weights file holds one model, not {names}: choose with --key")
    content: dict[Key, Any] = {}
    for plan in plans:
        fill(plan.built, plan.values)
        content[plan.item.key] = plan.layer
        account_model(moved, plan)
    content |= fill_optimizers(side, cargo, moved)
    if kind in ("h5", "keras"):
        write_weights(out, kind, cargo, content, moved)
    else:
        content |= {item.key: item.value for item in cargo.values}
        for item in cargo.values:
            account_value(moved, item)
        if kind == "pickle":
            write_pickle(out, content)
        else:
            return write_checkpoint(side, out, content, moved)
    moved.written.append(str(out))
    return moved


def plan_model(side: KerasSide, item: ModelItem) -> Plan:
    """Which layer a state goes to and what its variables become; shapes are checked here."""
    routes = routes_of(side.run, item)
    values, used = routes.carry(item.arrays)
    met = next(m for m in side.run.models.met if m.number == routes.number)
    built = build_tree(met.root, {})
    check_shapes(values, {name: built.variables[name].shape for name in values})
    for name in set(item.arrays) - used:
        if name not in spare(side, item.index):
            raise CheckpointError(f"{name}: no variable of the translation stands for it")
    return Plan(item, built, layer_of(met.root, built, values, item.part), values, used)


def spare(side: KerasSide, index: int) -> set[str]:
    """The recorded model's variables that may go without a counterpart: buffers, tied names."""
    tree = side.run.captures.models[index].tree
    return tree.flat_optional()


def layer_of(root: Any, built: Built, values: dict[str, Array], part: str) -> Any:
    """The layer whose variables are just these: the whole, unless the state is a part's."""
    if not part:
        return root
    wanted = {variable_key(built.variables[name]) for name in values}
    for layer in root._flatten_layers():
        own = {variable_key(v) for v in layer.variables if "seed_generator" not in v.path}
        if own == wanted:
            return layer
    raise CheckpointError("a part of a model that is no layer of its own on the other side")


def account_model(moved: Moved, plan: Plan) -> None:
    """Note every variable that was filled and every array that has no counterpart."""
    key = spell(plan.item.key)
    for name, value in plan.values.items():
        moved.tensors.append((key, ".".join([*plan.item.key, name]), tuple(value.shape)))
    moved.items.append(f"{key}: {len(plan.values)} tensors")
    for name in plan.item.arrays:
        shown = ".".join([*plan.item.key, name])
        if name not in plan.used:
            moved.left.append(Left(shown, "a buffer or a second name; the translation makes it"))


def fill_optimizers(side: KerasSide, cargo: Cargo, moved: Moved) -> dict[Key, Any]:
    """Fill the live optimizers; the objects by the keys of the states they hold."""
    content: dict[Key, Any] = {}
    claimed: set[int] = set()
    for item in cargo.optimizers:
        values = carry_optimizer(side.run, item)
        filled = side.optimizers.fill(values, item.shared, claimed)
        if not filled:
            moved.left.append(
                Left(item.kind, "no optimizer of the translation updates these variables by then")
            )
            continue
        kinds = " and ".join(dict.fromkeys(type(o).__name__ for o in filled))
        account_optimizer(moved, item, kinds, len(values))
        account_lost(moved, item, kinds, side.optimizers.lost)
        side.optimizers.lost = set()
        content[item.key or ("optimizer",)] = filled if len(filled) > 1 else filled[0]
    return content


# ---- files ---------------------------------------------------------------------------------------


def write_weights(
    out: Path, kind: str, cargo: Cargo, content: dict[Key, Any], moved: Moved
) -> None:
    """`.weights.h5` or `.keras`: one model, with its optimizer where it is compiled."""
    layer = content[cargo.models[0].key]
    if not isinstance(layer, keras.Model):
        raise CheckpointError(f"{type(layer).__name__} is no model: Keras saves models alone")
    if kind == "h5" and not out.name.endswith(".weights.h5"):
        raise CheckpointError("Keras wants the name of a weights file to end in .weights.h5")
    with writing(out) as part:
        layer.save(str(part)) if kind == "keras" else layer.save_weights(str(part))
        before = layer.get_weights()
        layer.load_weights(str(part))  # what was written must load
        if any(not np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True)):
            raise CheckpointError(f"{out.name} does not give back what was written to it")
    optimizer = getattr(layer, "optimizer", None)
    for key, value in content.items():
        if isinstance(value, keras.optimizers.Optimizer) and value is not optimizer:
            reason = "a weights file holds an optimizer only of a compiled model"
            moved.left.append(Left(spell(key), f"{reason}: write a checkpoint or a pickle"))
    for item in cargo.values:
        moved.left.append(Left(spell(item.key), "a weights file holds weights alone"))


def write_pickle(out: Path, content: dict[Key, Any]) -> None:
    """The bundle as translated scripts pickle it: lists of arrays under the same keys."""
    plain: Any = {}
    for key, value in content.items():
        if not key:
            plain = arrays_of(value)
            continue
        place = plain
        for name in key[:-1]:
            place = place.setdefault(name, {})
        place[key[-1]] = arrays_of(value)
    with writing(out) as part:
        part.write_bytes(pickle.dumps(plain))
        keras_files.read_pickle(part)  # what was written must load


def arrays_of(value: Any) -> Any:
    """A model, an optimizer or a plain value as it stands in a bundle."""
    if isinstance(value, keras.layers.Layer):
        return [w.numpy() for w in value.weights]
    if isinstance(value, keras.optimizers.Optimizer):
        return [v.numpy() for v in value.variables]
    if isinstance(value, list) and value and isinstance(value[0], keras.optimizers.Optimizer):
        return [v.numpy() for optimizer in value for v in optimizer.variables]
    return respell_schedule(value)


def respell_schedule(value: Any) -> Any:
    """A torch schedule's state with the names that written schedules read as well."""
    if not isinstance(value, dict) or "last_epoch" not in value:
        return value
    value = dict(value)
    if value.get("base_lrs"):
        value.setdefault("initial", value["base_lrs"][0])
    if "_schedulers" in value:
        value.setdefault("schedulers", [respell_schedule(v) for v in value["_schedulers"]])
    return value


def write_checkpoint(side: KerasSide, out: Path, content: dict[Key, Any], moved: Moved) -> Moved:
    """A tf.train.Checkpoint, under the names that the script's own Checkpoint has."""
    known = own_names(side, content)
    objects: dict[str, Any] = {}
    for key, value in content.items():
        name = known.get(id(value)) or "_".join(key) or "model"
        found = trackable(value)
        if found is None:
            moved.left.append(Left(spell(key), "a checkpoint holds no such value"))
        else:
            objects[name] = found
    checkpoint = tf.train.Checkpoint(**objects)
    with folder_beside(out / "x" if out.is_dir() else out) as folder:
        if out.is_dir():
            tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1).save()
            files = move_into(folder, out, "checkpoint")
        else:
            checkpoint.save_counter.assign_add(1)
            checkpoint.write(str(folder / out.name))
            files = move_into(folder, out.parent, f"{out.name}.index")
    moved.written += [str(file) for file in files]
    return moved


def own_names(side: KerasSide, content: dict[Key, Any]) -> dict[int, str]:
    """The names that a Checkpoint of the script itself gives to these objects."""
    best: dict[int, str] = {}
    for checkpoint in side.checkpoints:
        children = checkpoint._trackable_children()
        names = {id(child): str(name) for name, child in children.items()}
        found = {id(v): names[id(v)] for v in content.values() if id(v) in names}
        best = found if len(found) > len(best) else best
    return best


def trackable(value: Any) -> Any:
    """What a checkpoint can hold: objects as they are, numbers and texts as variables."""
    if isinstance(value, keras.layers.Layer | keras.optimizers.Optimizer):
        return value
    if isinstance(value, bool | int):
        return tf.Variable(int(value), dtype=tf.int64 if abs(value) > 2**31 else tf.int32)
    if isinstance(value, float | str):
        return tf.Variable(value, trainable=False)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return tf.Variable(value, trainable=False)
    return None
