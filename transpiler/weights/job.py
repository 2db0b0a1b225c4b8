"""The second half of a twin run that moves a checkpoint: unload it here, load it there.

Both scripts run until their models and optimizers exist.  The original's side puts the checkpoint
into its own live objects and notes what they hold; the other side puts that into its own and has
their framework write the file.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from transpiler.verify.side import Run
from transpiler.weights.cargo import Cargo, CheckpointError, Left, Moved

MOST_STEPS = 60
"""How far a script is run at most where one of its optimizers makes no step."""


class Side(Protocol):
    """What moves checkpoints in one framework."""

    def is_ready(self) -> bool:
        """Whether all optimizers have made their variables."""

    def unload(self, path: Path) -> Cargo:
        """What the checkpoint holds, by the names of the live models' variables."""

    def load(self, cargo: Cargo, orders: dict[str, str]) -> Moved:
        """Put it into the live models and write the file that is asked for."""


class Job:
    """The job of one side."""

    def __init__(self, run: Run, side: Side, orders: dict[str, str]) -> None:
        self.run = run
        self.side = side
        self.orders = orders
        self.exchange = Path(run.setup.exchange)
        self.goal = int(orders.get("steps") or 0)
        self.wanted: set[int] = set()
        """On the side that loads: the recorded models whose counterparts have to be there."""
        if not run.record:
            self.wanted = set(json.loads((self.exchange / "cargo.models").read_text()))
        run.recorder.is_enough = self.is_enough

    def is_enough(self, updates: int) -> bool:
        """Whether the script has come far enough."""
        if self.goal:
            return updates >= self.goal
        met = {index for index, _ in self.run.partners.values()}
        return (self.wanted <= met and self.side.is_ready()) or updates >= MOST_STEPS

    def finish(self) -> str | None:
        """Do the job; what went wrong, if anything."""
        try:
            if self.run.record:
                cargo = self.side.unload(Path(self.orders["checkpoint"]))
                cargo = choose(cargo, self.orders.get("key", ""))
                (self.exchange / "cargo.pickle").write_bytes(pickle.dumps(cargo))
                models = [item.index for item in cargo.models]
                (self.exchange / "cargo.models").write_text(json.dumps(models))
            else:
                cargo = pickle.loads((self.exchange / "cargo.pickle").read_bytes())
                moved = self.side.load(cargo, self.orders)
                moved.left[:0] = cargo.left
                (self.exchange / "moved.json").write_text(json.dumps(asdict(moved)))
        except CheckpointError as error:
            return str(error)
        return None


def start(run: Run) -> Job:
    """Begin to watch for what the job needs."""
    assert run.setup.job is not None
    side: Side
    if run.setup.framework == "torch":
        from transpiler.weights.torch_checkpoints import TorchSide

        side = TorchSide(run)
    else:
        from transpiler.weights.keras_checkpoints import KerasSide

        side = KerasSide(run)
    return Job(run, side, run.setup.job)


def choose(cargo: Cargo, key: str) -> Cargo:
    """The part of a bundle that stands under a key, as a file of its own."""
    if not key:
        return cargo
    wanted = tuple(key.split("."))
    if all(item.key[: len(wanted)] != wanted for item in cargo.items):
        known = ", ".join(".".join(item.key) for item in cargo.items)
        raise CheckpointError(f"there is no {key} in the checkpoint; it has {known}")
    kept = Cargo(left=cargo.left)
    for item in cargo.items:
        if item.key[: len(wanted)] == wanted:
            item.key = item.key[len(wanted) :]
            kept.items.append(item)
        else:
            kept.left.append(Left(".".join(item.key), f"only {key} is asked for"))
    return kept


def name_objects(run: Run) -> dict[int, list[str]]:
    """The names that the script has for its objects: variables, and attributes of objects."""
    import sys

    found: dict[int, list[str]] = {}
    scopes: list[dict[str, Any]] = [vars(sys.modules["__main__"])]
    trace = run.stopped_in
    while trace is not None:
        scopes.append(trace.tb_frame.f_locals)
        trace = trace.tb_next
    for scope in scopes:
        for name, value in list(scope.items()):
            found.setdefault(id(value), []).append(name)
            for key, part in _attributes(value):
                found.setdefault(id(part), []).append(key)
    return found


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object of a class that the script itself has."""
    if type(value).__module__ == "__main__" and not isinstance(value, type):
        yield from list(getattr(value, "__dict__", {}).items())


def prefer(key: tuple[str, ...], names: list[str]) -> int:
    """How well an object's names go with a key of a bundle: 0 best, 2 not at all."""
    if not key:
        return 1
    plain = simplify(key[-1])
    ranks = [0 if simplify(n) == plain else 1 if plain and plain in n.lower() else 2 for n in names]
    return min(ranks, default=2)


def simplify(name: str) -> str:
    """`gen_state_dict`, `state_dict_gen`, `netG` as one spells the object itself."""
    name = name.lower()
    for part in ("state_dict", "state", "weights", "params"):
        name = name.replace(part, "")
    return name.strip("_")
