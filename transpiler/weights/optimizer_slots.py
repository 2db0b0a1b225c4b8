"""What optimizers keep for each variable, in one spelling: torch's.

An optimizer of either framework, stock or emitted, keeps the same few averages under names of its
own.  Where Keras has the learning rate inside a momentum, that is a factor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transpiler.weights.tree import Array

Scale = Literal["", "rate", "-rate"]


@dataclass(frozen=True)
class SlotName:
    """A slot in torch's words: its value is the target's divided by `scale`."""

    name: str
    scale: Scale = ""

    def factor(self, rate: float) -> float:
        """What torch's value is multiplied by to give this one."""
        return {"": 1.0, "rate": rate, "-rate": -rate}[self.scale]


def _plain(**names: str) -> dict[str, SlotName]:
    return {own: SlotName(torch) for own, torch in names.items()}


_ADAM = _plain(momentum="exp_avg", velocity="exp_avg_sq", velocity_hat="max_exp_avg_sq")
KERAS: dict[str, dict[str, SlotName]] = {
    "SGD": {"momentum": SlotName("momentum_buffer", "-rate")},
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "Nadam": _ADAM,
    "RMSprop": {
        "velocity": SlotName("square_avg"),
        "average_gradient": SlotName("grad_avg"),
        "momentum": SlotName("momentum_buffer", "rate"),
    },
    "Adagrad": _plain(accumulator="sum"),
    "Adadelta": _plain(
        accumulated_grad="square_avg",
        accumulated_delta_var="acc_delta",
        accumulated_delta="acc_delta",
    ),
    "Adamax": _plain(momentum="exp_avg", norm="exp_inf"),
    "Lion": _plain(momentum="exp_avg"),
    "Ftrl": _plain(accumulator="sum", linear="linear"),
}
"""The slots of keras.optimizers by class; emitted twins (KerasAdam ...) have the same."""


def slot_names(kinds: Iterable[str], is_torch: bool) -> dict[str, SlotName] | None:
    """The slots of an optimizer by its classes' names; None where it has torch's own."""
    for kind in kinds:
        if kind.startswith("Torch") or (is_torch and not kind.startswith("Keras")):
            continue
        found = KERAS.get(kind.removeprefix("Keras"))
        if found is not None:
            return found
        if not is_torch and kind == "Optimizer":
            break
    return None


def to_torch_words(
    slots: dict[str, Array], names: dict[str, SlotName] | None, rate: float
) -> dict[str, Array]:
    """Slots as an optimizer names them, in torch's words and scale."""
    if names is None:
        return dict(slots)
    return {
        names[own].name: np.asarray(value, np.float64) / names[own].factor(rate)
        for own, value in slots.items()
        if own in names and names[own].factor(rate)
    }


def lost_slots(slots: dict[str, Array], kept: Iterable[str]) -> set[str]:
    """Slots in torch's words that are not kept, though there is something in them."""
    return {name for name in set(slots) - set(kept) if np.any(slots[name])}


def from_torch_words(
    slots: dict[str, Array], names: dict[str, SlotName] | None, rate: float
) -> dict[str, Array]:
    """The inverse of `to_torch_words`; where two spellings share a name, both are given."""
    if names is None:
        return dict(slots)
    return {
        own: np.asarray(slots[slot.name], np.float64) * slot.factor(rate)
        for own, slot in names.items()
        if slot.name in slots
    }
