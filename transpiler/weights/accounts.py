"""What both sides need to load a `Cargo`: routes into their own models, and the account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from transpiler.verify.side import Run
from transpiler.weights.cargo import (
    CheckpointError,
    Left,
    ModelItem,
    Moved,
    OptimizerItem,
    ValueItem,
)
from transpiler.weights.carriage import Route, Routes
from transpiler.weights.tree import Array


def all_routes(run: Run) -> Iterator[Routes]:
    """The routes from every recorded model to this side's."""
    to_torch = run.setup.framework == "torch"
    for number, (index, pairs) in sorted(run.partners.items()):
        yield Routes.of(index, number, pairs, to_torch)


def routes_of(run: Run, item: ModelItem) -> Routes:
    """The routes for one model's state."""
    for routes in all_routes(run):
        known = {name for route in routes.routes for name in route.source}
        if routes.index == item.index and known & set(item.arrays):
            return routes
    raise CheckpointError(
        "the translation had not used its counterpart of the model by then; --steps N lets both "
        "scripts go further"
    )


def carry_optimizer(run: Run, item: OptimizerItem) -> dict[str, tuple[Any, float, float]]:
    """For each variable of this side: its slots in torch's words, its steps, its rate."""
    found: dict[str, tuple[Any, float, float]] = {}
    for routes in all_routes(run):
        for route in routes.routes:
            sources = [f"{routes.index}:{name}" for name in route.source]
            if all(name in item.slots for name in sources):
                first = sources[0]
                slots = _carry_slots(route, [item.slots[name] for name in sources])
                for name in route.target:
                    own = {slot: values[name] for slot, values in slots.items() if name in values}
                    found[f"{routes.number}:{name}"] = (
                        own, item.steps.get(first, 0.0), item.rates.get(first, 0.0)
                    )  # fmt: skip
    return found


def _carry_slots(route: Route, slots: list[dict[str, Array]]) -> dict[str, dict[str, Array]]:
    """Slot by slot: the target's values by name."""
    shared = set(slots[0]).intersection(*slots)
    found: dict[str, dict[str, Array]] = {}
    for slot in sorted(shared):
        arrays = dict(zip(route.source, [own[slot] for own in slots], strict=True))
        if arrays[route.source[0]].ndim == 0 and len(arrays) == 1:
            found[slot] = dict.fromkeys(route.target, arrays[route.source[0]])
        else:
            found[slot] = route.carry_averages(arrays)
    return found


def account_optimizer(moved: Moved, item: OptimizerItem, kind: str, count: int) -> None:
    """One line about an optimizer."""
    slots = sorted({slot for own in item.slots.values() for slot in own})
    steps = f"step {max(item.steps.values()):g}, " if item.steps else ""
    rates = ", ".join(f"{rate:g}" for rate in sorted(set(item.rates.values())))
    kept = ", ".join(slots) or "nothing but its steps"
    name = ".".join(item.key) or "the optimizer"
    moved.items.append(
        f"{name}: {item.kind} -> {kind}, {kept} of {count} variables, {steps}learning rate {rates}"
    )


def account_lost(moved: Moved, item: OptimizerItem, kind: str, lost: set[str]) -> None:
    """What the optimizer of the other side has no place for, or nobody knows."""
    for slot in sorted(item.unknown):
        moved.left.append(
            Left(".".join([*item.key, slot]), "torch's optimizers know no such average")
        )
    for slot in sorted(lost):
        moved.left.append(Left(".".join([*item.key, slot]), f"{kind} keeps no such average"))


def account_value(moved: Moved, item: ValueItem) -> None:
    """One line about a plain value."""
    value = item.value
    text = repr(value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value)
    moved.items.append(f"{'.'.join(item.key)}: {text if len(text) <= 40 else text[:37] + '...'}")
