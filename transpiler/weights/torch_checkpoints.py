"""torch's side of moving a checkpoint: from its files into a `Cargo`, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transpiler.verify.side import Run
from transpiler.verify.torch_models import UNTRAINED, to_array
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
from transpiler.weights.optimizer_slots import slot_names, to_torch_words
from transpiler.weights.torch_files import is_optimizer, is_state, read
from transpiler.weights.torch_places import (
    Place,
    all_names,
    explain,
    shapes_agree,
    slots_agree,
    unwrapped,
)


class TorchSide:
    """The live modules and optimizers of a torch script."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.optimizers: list[Any] = []
        start = torch.optim.Optimizer.__init__

        def keep(optimizer: Any, *args: Any, **kwargs: Any) -> None:
            start(optimizer, *args, **kwargs)
            self.optimizers.append(optimizer)

        torch.optim.Optimizer.__init__ = keep
        self.schedulers: list[Any] = []
        kind = torch.optim.lr_scheduler.LRScheduler
        begin = kind.__init__

        def keep_scheduler(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            begin(scheduler, *args, **kwargs)
            self.schedulers.append(scheduler)

        kind.__init__ = keep_scheduler
        self.used: set[int] = set()
        self.names: dict[int, list[str]] = {}

    def is_ready(self) -> bool:
        """Whether all optimizers have made a step."""
        return all(optimizer.state or is_plain(optimizer) for optimizer in self.optimizers)

    def unload(self, path: Path) -> Cargo:
        """The checkpoint by the names of the live modules' variables."""
        self.names = name_objects(self.run)
        content = read(path)
        cargo = Cargo()
        if is_state(content):
            cargo.items.append(self.model(content, (), cargo.left))
        elif isinstance(content, Mapping):
            cargo.items += self.bundle(content, (), cargo.left)
        else:
            raise CheckpointError(f"{path.name} holds no state_dict and no dict of some")
        if not cargo.models:
            raise CheckpointError(f"{path.name} holds no state of a model that the script makes")
        return cargo

    def bundle(self, content: Mapping[Any, Any], key: Key, left: list[Left]) -> Iterator[Item]:
        """What stands in a dict, item by item."""
        for name, value in content.items():
            place = (*key, str(name))
            if is_optimizer(value):
                yield self.optimizer(value, place, left)
            elif is_state(value):
                try:
                    yield self.model(value, place, left)
                except CheckpointError:
                    if value.keys() & all_names(self.places()):
                        raise
                    yield ValueItem(place, plain(value))
            elif isinstance(value, Mapping) and any(
                is_state(v) or is_optimizer(v) for v in value.values()
            ):
                yield from self.bundle(value, place, left)
            else:
                yield ValueItem(place, plain(value))

    # ---- models ----------------------------------------------------------------------------------

    def places(self) -> list[Place]:
        """All modules that a state may belong to, whole models first."""
        met = [(self.number(m), m.root) for m in self.run.models.met]
        whole = [Place(number, "", root) for number, root in met if number is not None]
        parts = [
            Place(place.index, name, module)
            for place in whole
            for name, module in place.module.named_modules()
            if name and any(True for _ in module.parameters())
        ]
        return whole + parts

    def number(self, met: Any) -> int | None:
        """How a met model is called in full names."""
        number: int | None = met.index if self.run.record else met.number
        return number

    def model(self, state: Mapping[str, Any], key: Key, left: list[Left]) -> ModelItem:
        """A state_dict as the state of one of the live modules."""
        places = self.places()
        state = unwrapped(state, all_names(places))
        fitting = [p for p in places if set(p.state) <= set(state) and shapes_agree(p, state)]
        if not fitting:
            raise CheckpointError(explain(state, places, key))
        most = max(len(p.state) for p in fitting)
        fitting = [p for p in fitting if len(p.state) == most]
        place = min(
            fitting,
            key=lambda p: (
                prefer(key, self.names.get(id(p.module), [])),
                id(p.module) in self.used,
                bool(p.part),
            ),
        )
        self.used.add(id(place.module))
        prefix = f"{place.part}." if place.part else ""
        own = place.state
        item = ModelItem(key, place.index, place.part, {})
        for name, tensor in state.items():
            shown = ".".join([*key, name])
            if name not in own:
                left.append(Left(shown, "the script's model has nothing of this name"))
            elif name.rpartition(".")[2] in UNTRAINED:
                left.append(Left(shown, "a count of batches; Keras keeps none"))
            else:
                item.arrays[prefix + name] = to_array(tensor)
        return item

    # ---- optimizers ------------------------------------------------------------------------------

    def optimizer(self, state: Mapping[str, Any], key: Key, left: list[Left]) -> OptimizerItem:
        """An optimizer's state_dict, by the names of the variables it updates."""
        optimizer = self.find_optimizer(state, key)
        kinds = [k.__name__ for k in type(optimizer).__mro__]
        item = OptimizerItem(key, kinds[0])
        names = slot_names(kinds, is_torch=True)
        live = [p for group in optimizer.param_groups for p in group["params"]]
        saved = {index: group for group in state["param_groups"] for index in group["params"]}
        for parameter, (index, group) in zip(live, saved.items(), strict=True):
            name = self.run.models.names.get(id(parameter))
            if name is None:
                left.append(Left(f"{spell(key)}.{index}", "its parameter is in no model"))
                continue
            rate = float(group["lr"])
            item.rates[name] = rate
            kept = dict(state["state"].get(index, {}))
            steps = kept.pop("step", group.get("iterations"))
            if steps is not None:
                item.steps[name] = float(steps)
            arrays = {k: as_array(v) for k, v in kept.items() if v is not None}
            item.slots[name] = to_torch_words(arrays, names, rate)
        return item

    def find_optimizer(self, state: Mapping[str, Any], key: Key) -> Any:
        """The live optimizer that a state belongs to."""
        sizes = [len(group["params"]) for group in state["param_groups"]]
        fitting = [
            o
            for o in self.optimizers
            if [len(group["params"]) for group in o.param_groups] == sizes and slots_agree(o, state)
        ]
        if not fitting:
            raise CheckpointError(
                f"{spell(key)}: the script has made no optimizer with groups of {sizes} parameters "
                "of these shapes"
            )
        found = min(
            fitting,
            key=lambda o: (prefer(key, self.names.get(id(o), [])), id(o) in self.used),
        )
        self.used.add(id(found))
        return found

    def load(self, cargo: Cargo, orders: dict[str, str]) -> Moved:
        """Put a checkpoint into the live modules and write a file of torch's."""
        from transpiler.weights.torch_writing import write_cargo

        return write_cargo(self, cargo, orders)


def is_plain(optimizer: Any) -> bool:
    """Whether an optimizer keeps nothing, as SGD without momentum does."""
    return not any(group.get("momentum", 1) for group in optimizer.param_groups)


def as_array(value: Any) -> Any:
    """A tensor or number of an optimizer's state as an array."""
    return to_array(value) if isinstance(value, torch.Tensor) else np.asarray(value)


def plain(value: Any) -> Any:
    """A value without tensors."""
    if isinstance(value, torch.Tensor):
        return to_array(value)
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(v) for v in value)
    return value
