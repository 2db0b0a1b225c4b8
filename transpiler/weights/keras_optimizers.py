"""The live Keras optimizers of a script, and which of their variables belongs to which weight."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import keras
import numpy as np

from transpiler.verify.side import Run
from transpiler.weights.cargo import Key, OptimizerItem
from transpiler.weights.job import prefer
from transpiler.weights.optimizer_slots import (
    from_torch_words,
    lost_slots,
    slot_names,
    to_torch_words,
)
from transpiler.weights.tree import Array

PRODUCT = "mu_product"


class Optimizers:
    """Watches optimizers make their variables."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.live: list[Any] = []
        self.inside = 0
        self.slots: dict[int, list[tuple[str, Any, Any]]] = defaultdict(list)
        """By optimizer: a slot's name, the weight it is kept for, its variable."""
        self.scalars: dict[int, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        self.used: set[int] = set()
        self.lost: set[str] = set()
        """Slots of a checkpoint that no optimizer here keeps."""
        self.watch()

    def watch(self) -> None:
        """Patch the making of optimizers and of their variables."""
        kind = keras.optimizers.Optimizer
        start, single, referring = (
            kind.__init__, kind.add_variable, kind.add_variable_from_reference
        )  # fmt: skip

        def patched_init(optimizer: Any, *args: Any, **kwargs: Any) -> None:
            start(optimizer, *args, **kwargs)
            self.live.append(optimizer)

        def patched_single(optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            variable = single(optimizer, *args, **kwargs)
            name = kwargs.get("name") or (args[3] if len(args) > 3 else None)
            if not self.inside and name:
                self.scalars[id(optimizer)][name].append(variable)
            return variable

        def patched_referring(
            optimizer: Any, reference_variable: Any, name: Any = None, *args: Any, **kwargs: Any
        ) -> Any:
            self.inside += 1
            try:
                variable = referring(optimizer, reference_variable, name, *args, **kwargs)
            finally:
                self.inside -= 1
            self.slots[id(optimizer)].append((name, reference_variable, variable))
            return variable

        kind.__init__ = patched_init
        kind.add_variable = patched_single
        kind.add_variable_from_reference = patched_referring

    def of_weight(self, optimizer: Any, weight: Any) -> dict[str, Any]:
        """The variables that an optimizer keeps for one weight, by slot."""
        found = {
            name: variable
            for name, reference, variable in self.slots[id(optimizer)]
            if reference is weight
        }
        weights = optimizer._trainable_variables
        place = next(i for i, v in enumerate(weights) if v is weight)
        for name, variables in self.scalars[id(optimizer)].items():
            if len(variables) == len(weights):
                found[name] = variables[place]
        return found

    def with_shapes(
        self, shapes: list[tuple[int, ...]], key: Key, names: dict[int, list[str]]
    ) -> Any:
        """The live optimizer whose variables have these shapes."""
        fitting = [o for o in self.live if shapes == [tuple(v.shape) for v in o.variables]]
        ranked = sorted(
            fitting, key=lambda o: (prefer(key, names.get(id(o), [])), id(o) in self.used)
        )
        self.used |= {id(o) for o in ranked[:1]}
        return ranked[0] if ranked else None

    def item(self, optimizer: Any, key: Key) -> OptimizerItem:
        """What an optimizer holds now, in torch's words."""
        kinds = [k.__name__ for k in type(optimizer).__mro__]
        names = slot_names(kinds, is_torch=False)
        item = OptimizerItem(key, kinds[0])
        rate = rate_of(optimizer)
        item.is_scheduled = not isinstance(optimizer._learning_rate, keras.Variable)
        for weight in optimizer._trainable_variables:
            name = self.run.models.name_of(weight)
            own = {k: np.asarray(v.numpy()) for k, v in self.of_weight(optimizer, weight).items()}
            steps = own.pop("step", None)
            item.steps[name] = float(optimizer.iterations.numpy() if steps is None else steps)
            item.rates[name] = rate
            item.slots[name] = to_torch_words(own, names, rate)
            item.unknown |= set(own) - set(own if names is None else names)
        if hasattr(optimizer, "_u_product"):
            item.shared[PRODUCT] = float(optimizer._u_product.numpy())
        return item

    def fill(self, values: dict[str, tuple[Any, float, float]], shared: dict[str, float],
             claimed: set[int]) -> list[Any]:  # fmt: skip
        """Put slots, steps and rates into the optimizers that update these weights."""
        filled: list[Any] = []
        for optimizer in self.live:
            weights = optimizer._trainable_variables if optimizer.built else []
            own = {self.run.models.name_of(w): w for w in weights}
            if not own or not set(own) <= set(values) or id(optimizer) in claimed:
                continue
            if any(set(own) & set(self._names(other)) for other in filled):
                continue  # a later optimizer of the same weights
            self.lost |= self.fill_one(optimizer, {name: values[name] for name in own}, own)
            if PRODUCT in shared and hasattr(optimizer, "_u_product"):
                optimizer._u_product.assign(shared[PRODUCT])
            filled.append(optimizer)
            claimed.add(id(optimizer))
        return filled

    def _names(self, optimizer: Any) -> list[str]:
        return [self.run.models.name_of(w) for w in optimizer._trainable_variables]

    def fill_one(
        self, optimizer: Any, values: dict[str, tuple[Any, float, float]], weights: dict[str, Any]
    ) -> set[str]:
        """Put values into one optimizer; the slots that it does not keep."""
        kinds = [k.__name__ for k in type(optimizer).__mro__]
        names = slot_names(kinds, is_torch=False)
        lost: set[str] = set()
        for name, (slots, steps, rate) in values.items():
            held = self.of_weight(optimizer, weights[name])
            kept = held if names is None else [names[own].name for own in held if own in names]
            lost |= lost_slots(slots, kept)
            given: dict[str, Array] = from_torch_words(slots, names, rate)
            for slot, variable in held.items():
                if slot == "step":
                    variable.assign(steps)
                elif slot in given:
                    variable.assign(given[slot])
        optimizer.iterations.assign(int(max(steps for _, steps, _ in values.values())))
        rate = next(iter(values.values()))[2]
        if isinstance(optimizer._learning_rate, keras.Variable):
            optimizer.learning_rate = rate
        return lost


def rate_of(optimizer: Any) -> float:
    """The learning rate as it stands."""
    return float(keras.ops.convert_to_numpy(optimizer.learning_rate))
