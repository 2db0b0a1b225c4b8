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
    steps: int = 0

    @property
    def stepped(self) -> bool:
        return self.steps > 0

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
    update.steps += 1
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


@dataclass
class Aligned:
    """Two runs' updates, those of one joined that the other makes at once.

    One program may take all gradients before the first step where the other steps in between.
    """

    ours: list[Update] = field(default_factory=list)
    theirs: list[Update] = field(default_factory=list)
    cut_short: bool = False
    """Whether one run ended between updates that the other makes at once."""


def align(ours: list[Update], theirs: list[Update]) -> Aligned:
    """Bring the updates of two runs together."""
    found = Aligned()
    rest = [list(ours), list(theirs)]
    while rest[0] and rest[1]:
        for own, other in (rest, rest[::-1]):
            count = len(other[0].losses)
            if count == other[0].steps > 1 and _are_single(own[:count]):
                if len(own) < count or not all(u.losses for u in own[:count]):
                    found.cut_short = True
                    return found
                own[:count] = [_join(own[:count])]
        found.ours.append(rest[0].pop(0))
        found.theirs.append(rest[1].pop(0))
    found.ours += rest[0]
    found.theirs += rest[1]
    return found


def _are_single(updates: list[Update]) -> bool:
    """Whether each update is of one loss and one step; the end of a run has neither."""
    return bool(updates[0].losses) and all(len(u.losses) == u.steps <= 1 for u in updates)


def _join(updates: list[Update]) -> Update:
    whole = Update()
    for update in updates:
        whole.losses += update.losses
        whole.rates += update.rates
        whole.raw += update.raw
        whole.modes += [m for m in update.modes if whole.modes[-1:] != [m]]
        whole.evaluations += update.evaluations
        whole.steps += update.steps
        for name, value in update.norms.items():
            whole.norms[name] = math.hypot(whole.norms.get(name, 0.0), value)
    return whole
