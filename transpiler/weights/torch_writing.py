"""Fill a torch script's live models and optimizers from a `Cargo` and write what they hold."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from transpiler.verify.torch_models import UNTRAINED, fill
from transpiler.weights import torch_files
from transpiler.weights.accounts import (
    account_lost,
    account_optimizer,
    account_value,
    carry_optimizer,
    routes_of,
)
from transpiler.weights.cargo import (
    Cargo,
    CheckpointError,
    Key,
    Left,
    ModelItem,
    Moved,
    OptimizerItem,
    spell,
)
from transpiler.weights.carriage import check_shapes
from transpiler.weights.job import name_objects
from transpiler.weights.optimizer_slots import from_torch_words, lost_slots, slot_names

if TYPE_CHECKING:
    from transpiler.weights.torch_checkpoints import TorchSide


def write_cargo(side: TorchSide, cargo: Cargo, orders: dict[str, str]) -> Moved:
    """Everything into the live objects first, then one file."""
    out, moved = Path(orders["out"]), Moved()
    plans = [plan_model(side, item) for item in cargo.models]
    content: dict[Key, Any] = {}
    for item, (root, values, part) in zip(cargo.models, plans, strict=True):
        fill(root, values)
        module = root.get_submodule(part) if part else root
        content[item.key] = {k: v.detach().clone() for k, v in module.state_dict().items()}
        account_state(moved, item, content[item.key], values, part)
    bundle = cargo.is_bundle or bool(orders.get("bundle"))
    for optimizer in cargo.optimizers:
        if not bundle:
            reason = "the file holds the model alone; --bundle keeps both"
            moved.left.append(Left(f"{optimizer.kind}'s state", reason))
            continue
        state, live = fill_optimizer(side, optimizer, moved)
        if live is not None:
            content[optimizer.key or ("optimizer",)] = state
            content |= schedules_of(side, live, optimizer, moved)
    for value in cargo.values:
        content[value.key] = as_tensors(value.value)
        account_value(moved, value)
    torch_files.write(out, nest(content) if bundle else content[()])
    moved.written.append(str(out))
    return moved


def plan_model(side: TorchSide, item: ModelItem) -> tuple[Any, dict[str, Any], str]:
    """The live module, the values of its variables, and the part of it that is meant."""
    routes = routes_of(side.run, item)
    values, used = routes.carry(item.arrays)
    met = next(m for m in side.run.models.met if m.number == routes.number)
    own = {**dict(met.root.named_parameters()), **dict(met.root.named_buffers())}
    check_shapes(values, {name: own[name].shape for name in values})
    left = set(item.arrays) - used
    if left:
        raise CheckpointError(f"{spell(item.key)}: {', '.join(sorted(left))} has no counterpart")
    return met.root, values, common_part(met.root, set(values)) if item.part else ""


def common_part(root: Any, names: set[str]) -> str:
    """The module whose variables are just these."""
    for path, module in root.named_modules():
        own = {f"{path}.{n}" if path else n for n, _ in module.named_parameters()}
        if (
            own
            and own <= names
            and names <= own | {f"{path}.{n}" if path else n for n, _ in module.named_buffers()}
        ):
            return str(path)
    raise CheckpointError("a part of a model that is no module of its own on the other side")


def account_state(
    moved: Moved, item: ModelItem, state: dict[str, Any], values: dict[str, Any], part: str
) -> None:
    """Note every tensor of a state: from where it came, or why it stays as it was made."""
    prefix = f"{part}." if part else ""
    for name, tensor in state.items():
        shown = ".".join([*item.key, name])
        if prefix + name in values:
            moved.tensors.append((spell(item.key), shown, tuple(tensor.shape)))
        elif name.rpartition(".")[2] in UNTRAINED:
            moved.left.append(Left(shown, "written as 0: Keras counts no batches"))
        elif not is_tied(state, name, values, prefix):
            moved.left.append(Left(shown, "written as the script makes it: Keras has none"))
    moved.items.append(f"{spell(item.key)}: {len(values)} tensors")


def is_tied(state: dict[str, Any], name: str, values: dict[str, Any], prefix: str) -> bool:
    """Whether a tensor is another name of one that was filled in."""
    return any(
        torch.equal(state[name], state[other])
        for other in state
        if prefix + other in values and state[other].shape == state[name].shape
    )


def schedules_of(
    side: TorchSide, optimizer: Any, item: OptimizerItem, moved: Moved
) -> dict[Key, Any]:
    """The schedules of an optimizer whose rate follows from its steps, set to that step."""
    found: dict[Key, Any] = {}
    names = name_objects(side.run)
    steps = int(max(item.steps.values(), default=0))
    for scheduler in side.schedulers:
        if scheduler.optimizer is optimizer and item.is_scheduled:
            scheduler.last_epoch, scheduler._step_count = steps, steps + 1
            scheduler._last_lr = [max(item.rates.values(), default=0.0)] * len(
                optimizer.param_groups
            )
            name = next(iter(names.get(id(scheduler), [])), "scheduler")
            found[name,] = scheduler.state_dict()
            moved.items.append(f"{name}: {type(scheduler).__name__} at step {steps}")
    return found


def fill_optimizer(side: TorchSide, item: OptimizerItem, moved: Moved) -> tuple[Any, Any]:
    """The state of the live optimizer that updates the same variables, filled; and itself."""
    values = carry_optimizer(side.run, item)
    optimizer = find_optimizer(side, set(values))
    if optimizer is None:
        moved.left.append(Left(item.kind, "no optimizer of the script updates these variables"))
        return None, None
    names = slot_names([k.__name__ for k in type(optimizer).__mro__], is_torch=True)
    state = deepcopy(optimizer.state_dict())
    index, lost = 0, set[str]()
    for live, group in zip(optimizer.param_groups, state["param_groups"], strict=True):
        for parameter in live["params"]:
            name = side.run.models.names.get(id(parameter), "")
            if name in values:
                slots, steps, rate = values[name]
                own = state["state"].get(index)
                if own is None and slots:
                    raise CheckpointError(f"{name} has made no step: --steps N goes further")
                given = from_torch_words(slots, names, rate)
                put_slots(own or {}, given, steps, parameter)
                kept = {n if names is None else names[n].name for n in given if n in (own or {})}
                lost |= lost_slots(slots, kept)
                put_shared(group, rate, steps, item.shared)
            index += 1
    account_optimizer(moved, item, type(optimizer).__name__, len(values))
    account_lost(moved, item, type(optimizer).__name__, lost)
    return state, optimizer


def find_optimizer(side: TorchSide, names: set[str]) -> Any:
    """The live optimizer that updates these variables."""
    for optimizer in side.optimizers:
        own = {
            side.run.models.names.get(id(p), "")
            for group in optimizer.param_groups
            for p in group["params"]
        }
        if names and names <= own and id(optimizer) not in side.used:
            side.used.add(id(optimizer))
            return optimizer
    return None


def put_shared(group: dict[str, Any], rate: float, steps: float, shared: dict[str, float]) -> None:
    """What is kept once for a group: its rate, and its count where it has one of its own."""
    group["lr"] = rate
    if "iterations" in group:
        group["iterations"] = int(steps)
    if "mu_product" in group and "mu_product" in shared:
        group["mu_product"], group["counted"] = shared["mu_product"], int(steps)


def put_slots(state: dict[str, Any], slots: dict[str, Any], steps: float, parameter: Any) -> None:
    """Put values into what the optimizer keeps for one parameter, as it keeps them."""
    for name, value in slots.items():
        if name in state:
            old = state[name]
            kind = parameter.dtype if old is None else old.dtype
            state[name] = torch.tensor(value, dtype=kind)
    if isinstance(state.get("step"), torch.Tensor):
        state["step"] = torch.full_like(state["step"], steps)
    elif "step" in state:
        state["step"] = int(steps)


def nest(content: dict[Key, Any]) -> dict[str, Any]:
    """Values by keys as dicts in dicts; a state without a key is called `model`."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        *outer, last = key or ("model",)
        place = found
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return found


def as_tensors(value: Any) -> Any:
    """A plain value as torch reads it back: arrays as tensors, numpy's numbers as Python's."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {k: as_tensors(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(as_tensors(v) for v in value)
    return value
