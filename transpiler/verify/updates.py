"""One run's events cut into updates: the losses, steps and calls that belong to each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]


@dataclass
class Update:
    """What happened from the first loss after a step to the step that ends it."""

    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    norms: dict[str, float] = field(default_factory=dict)
    raw: list[float] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    """Modes of the model calls before this update's last loss, repeats left out."""
    evaluations: list[Event] = field(default_factory=list)
    """Calls without gradients since the update before."""
    stepped: bool = False

    @property
    def loss(self) -> float:
        """All losses of the update together."""
        return math.fsum(self.losses)

    @property
    def norm(self) -> float:
        """The global norm of the gradients that the optimizers took."""
        return math.sqrt(math.fsum(value * value for value in self.norms.values()))


def cut(events: Sequence[Event]) -> list[Update]:
    """The updates of a run; what follows the last one is a last update without losses."""
    updates = [Update()]
    for event in events:
        kind = event["kind"]
        if kind == "loss":
            if updates[-1].stepped:
                updates.append(Update())
            updates[-1].losses.append(event["value"])
        elif kind == "step":
            _step(updates[-1], event)
        elif kind == "raw":
            updates[-1].raw.append(event["value"])
        elif kind == "call":
            _call(updates, event)
    return updates


def _step(update: Update, event: Event) -> None:
    update.stepped = True
    update.rates += event["rates"]
    for name, value in event["norms"].items():
        update.norms[name] = math.hypot(update.norms.get(name, 0.0), value)


def _call(updates: list[Update], event: Event) -> None:
    """Calls after a step belong to what follows."""
    if updates[-1].stepped:
        updates.append(Update())
    if event["gradient"]:
        if updates[-1].modes[-1:] != [event["mode"]]:
            updates[-1].modes.append(event["mode"])
    else:
        updates[-1].evaluations.append(event)
