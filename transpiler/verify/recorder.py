"""What happens in one run, in order: losses, optimizer steps, model calls, printed lines."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

Mode = Literal["train", "eval", "mixed", "any"]
Event = dict[str, Any]


class StopTwin(BaseException):
    """Raised to end a run after the wanted number of updates; never caught by a script."""


class Recorder:
    """The events of one run.

    An update is what lies between two losses that have an optimizer step between them, so that
    one optimizer with two parameter groups and two optimizers with one group each count alike.
    """

    def __init__(self, folder: Path, side: str, steps: int | None) -> None:
        self.path = folder / f"{side}.events"
        self.progress = folder / f"{side}.progress"
        self.events: list[Event] = []
        self.steps = steps
        self.updates = 0
        self.begun = False
        self.stepped = False
        self.stopped = False
        self.modes: list[list[bool]] = []
        self.said = 0.0
        self.on_stop: Callable[[], None] = lambda: None
        self.goal: tuple[int, int] | None = None
        """Losses and optimizer steps of the other run, where it came to its end first."""
        self.counts = {"loss": 0, "step": 0}
        self.is_enough: Callable[[int], bool] = self.has_made
        self.lock = threading.RLock()

    def add(self, kind: str, **facts: Any) -> None:
        """Append one event, unless the run is over."""
        with self.lock:
            if not self.stopped:
                self.counts[kind] = self.counts.get(kind, 0) + 1
                self.events.append({"kind": kind, "update": self.updates, **facts})

    def has_made(self, updates: int) -> bool:
        """Whether the wanted updates are made.

        Where one program takes all gradients before the steps, and the other one gradient and one
        step after the other, their numbers of updates differ: then losses and steps tell.
        """
        if self.steps is None:
            return False
        if self.goal is None:
            return updates >= self.steps
        losses, steps = (
            self.counts[kind] >= wanted
            for kind, wanted in zip(("loss", "step"), self.goal, strict=True)
        )
        made = updates >= self.steps
        return (steps and (losses or made)) or (losses and made)

    def loss(self, value: float) -> None:
        """A scalar that is differentiated; the first one after a step begins the next update."""
        with self.lock:
            if self.stopped:
                return
            if self.stepped:
                self.stepped = False
                self.updates += 1
                self._tell()
                if self.is_enough(self.updates):
                    self.stopped = True
                    self.on_stop()
        self.begun = True
        self.add("loss", value=float(value))

    def step(self, rates: list[float], norms: dict[str, float]) -> None:
        """One optimizer step: the learning rates and the norm of each gradient it takes."""
        self.add("step", rates=rates, norms=norms)
        self.stepped = not self.stopped

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was differentiated yet, so that no weights can have been trained."""
        return not self.begun

    @property
    def is_done(self) -> bool:
        """Whether the wanted updates are made, and the next loss will end the run."""
        return self.stepped and not self.stopped and self.is_enough(self.updates + 1)

    def check_stop(self) -> None:
        """Leave the script where the wanted number of updates is reached."""
        if self.stopped:
            raise StopTwin

    def begin_call(self) -> None:
        """An outermost model call begins: collect the modes of what it runs."""
        self.modes.append([])

    def saw_mode(self, training: bool) -> None:
        """Something that differs between training and inference ran, in this mode."""
        if self.modes:
            self.modes[-1].append(bool(training))

    def end_call(self) -> Mode:
        """The mode that the call ran in: `any` where nothing in it depends on the mode."""
        seen = set(self.modes.pop())
        if not seen:
            return "any"
        return "mixed" if len(seen) == 2 else "train" if seen.pop() else "eval"

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self.said > 0.2:
            self.said = now
            self.progress.write_text(str(self.updates))

    def close(self, error: str | None, **facts: Any) -> None:
        """Write the events and how the run ended."""
        done = self.updates + (1 if self.stepped and not self.stopped else 0)
        report = {"events": self.events, "updates": done, "error": error, **facts}
        part = self.path.with_suffix(".part")
        part.write_bytes(pickle.dumps(report))
        part.rename(self.path)
