"""What both sides share during a run: the recorder, the tape, and how a run is set up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from transpiler.verify.finals import Finals
from transpiler.verify.recorder import Recorder
from transpiler.verify.tape import Capture, Captures, Draws
from transpiler.weights.pairing import Pair, PairingError, names_of, pair_trees
from transpiler.weights.tree import Node

Framework = Literal["torch", "tf"]


@dataclass(frozen=True)
class Setup:
    """One side's orders, passed to its process as JSON."""

    framework: Framework
    record: bool
    side: str
    script: str
    root: str
    folder: str
    exchange: str
    arguments: tuple[str, ...] = ()
    steps: int | None = None
    float64: bool = True
    job: dict[str, str] | None = None
    """What to do with the models once the run has come far enough: move a checkpoint."""

    def write(self, path: Path) -> None:
        """Store the orders."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Setup:
        """The orders stored by `write`."""
        values = json.loads(path.read_text())
        return cls(**{**values, "arguments": tuple(values["arguments"])})


@dataclass
class Run:
    """The state of one running side."""

    setup: Setup
    recorder: Recorder
    draws: Draws
    captures: Captures
    used: set[tuple[int, str]] = field(default_factory=set)
    names: list[Any] = field(default_factory=list)
    partners: dict[int, tuple[int, list[Pair]]] = field(default_factory=dict)
    """The recorded model behind each of this side's, by number, and how their variables pair."""
    notes: list[str] = field(default_factory=list)
    models: Any = None
    seeds: Any = None
    failure: str = ""
    stopped_in: Any = None
    """The traceback of the stop: the frames that hold the script's variables."""
    cut_link: Any = None
    by_hand: bool = True
    """Whether variables may be updated without an optimizer: none was made yet."""
    sums: Mapping[int, float] = field(default_factory=dict)
    finals: Finals | None = None
    """The variables when the run was over, or stopped."""

    @property
    def record(self) -> bool:
        """Whether this is the original."""
        return self.setup.record

    def is_users(self, filename: str) -> bool:
        """Whether a source file is one of the script's own."""
        return filename.startswith(self.setup.root)

    def note_sums(self, sums: Mapping[int, float]) -> None:
        """The sums of variables at a loss: others than before it mean an update by hand."""
        known = self.sums
        if any(known.get(key, value) != value for key, value in sums.items()):
            self.recorder.step([], {})
        self.sums = {**known, **sums}

    def going_on(self) -> None:
        """A model or a graph is about to run: after the last wanted update, keep the variables.

        Not at the stop itself, which in a graph comes while the next update is under way.
        """
        if self.finals is None and self.recorder.is_done and self.setup.job is None:
            self.finals = self.models.finals()

    def note(self, text: str) -> None:
        """Say something once in the report."""
        if text not in self.notes:
            self.notes.append(text)

    def partner(self, tree: Node, number: int) -> list[Pair]:
        """Pair this side's model with a recorded one, in order of first use.

        PairingError, about the first model not yet taken, where none fits.
        """
        mine_is_torch = self.setup.framework == "torch"
        failure: PairingError | None = None
        for index, node in candidates(self.captures.models, self.used):
            torch_tree, keras_tree = (tree, node) if mine_is_torch else (node, tree)
            try:
                pairs = pair_trees(torch_tree, keras_tree)
            except PairingError as error:
                failure = failure or error
                continue
            self.used.add((index, node.path))
            self.partners[number] = index, pairs
            first, second = (number, index) if mine_is_torch else (index, number)
            for torch_names, keras_names in names_of(pairs):
                mine = tuple(f"{first}:{name}" for name in torch_names)
                other = tuple(f"{second}:{name}" for name in keras_names)
                self.names.append((mine, other))
            return pairs
        raise failure or PairingError(
            f"{tree.kinds[0]} has no counterpart: the original uses no further model"
        )


def candidates(models: Sequence[Capture], used: set[tuple[int, str]]) -> list[tuple[int, Node]]:
    """Recorded models not yet taken, whole ones first, then the parts of containers."""
    touched = {index for index, _ in used}
    whole = {index for index, path in used if not path}
    found = [(i, m.tree) for i, m in enumerate(models) if not m.loose and i not in touched]
    parts = [
        (i, part)
        for i, m in enumerate(models)
        if not m.loose and i not in whole
        for part in m.tree.children
        if (i, part.path) not in used and part.has_arrays()
    ]
    loose = [(i, m.tree) for i, m in enumerate(models) if m.loose and i not in touched]
    return found + parts + loose
