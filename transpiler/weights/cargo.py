"""What a checkpoint holds, as plain data: models, optimizers, plain values, and what is left.

The side that made the checkpoint unloads it into a `Cargo`; the other side loads that into its own
models and writes a file of its own.  Names of variables are those of the recorded model's tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transpiler.weights.tree import Array

Key = tuple[str, ...]
"""Where something stands in a bundle; empty for a file that holds one state alone."""


class CheckpointError(Exception):
    """The checkpoint can not be converted; the text says why."""


@dataclass
class ModelItem:
    """The state of one model, or of a part of it."""

    key: Key
    index: int
    """Which recorded model."""
    part: str
    """The path of the part inside it; empty for the whole."""
    arrays: dict[str, Array]


@dataclass
class OptimizerItem:
    """An optimizer's state, by the full names ("0:fc.weight") of the variables it updates."""

    key: Key
    kind: str
    slots: dict[str, dict[str, Array]] = field(default_factory=dict)
    """Variable -> slot -> value, in torch's words and torch's scale."""
    steps: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    shared: dict[str, float] = field(default_factory=dict)
    """What is kept once for all variables, beside steps and rates."""
    is_scheduled: bool = False
    """Whether the rate follows from the count of steps."""
    unknown: set[str] = field(default_factory=set)
    """Slots that have no name in torch's words."""


@dataclass
class ValueItem:
    """Anything else: numbers, texts, arrays, lists and dicts of them."""

    key: Key
    value: Any


@dataclass(frozen=True)
class Left:
    """Something that does not go over, and why."""

    name: str
    reason: str


Item = ModelItem | OptimizerItem | ValueItem


@dataclass
class Cargo:
    """A whole checkpoint."""

    items: list[Item] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)

    @property
    def models(self) -> list[ModelItem]:
        """The states of models."""
        return [item for item in self.items if isinstance(item, ModelItem)]

    @property
    def optimizers(self) -> list[OptimizerItem]:
        """The states of optimizers."""
        return [item for item in self.items if isinstance(item, OptimizerItem)]

    @property
    def values(self) -> list[ValueItem]:
        """Everything else."""
        return [item for item in self.items if isinstance(item, ValueItem)]

    @property
    def is_bundle(self) -> bool:
        """Whether things stand under keys."""
        return any(item.key for item in self.items)


def spell(key: Key) -> str:
    """A key as it is shown."""
    return ".".join(key) or "the file"


@dataclass
class Moved:
    """The account of a conversion: every tensor that went over, and what did not."""

    written: list[str] = field(default_factory=list)
    tensors: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)
    """Source name, target name, target shape."""
    items: list[str] = field(default_factory=list)
    """One line for each model, optimizer and value."""
    left: list[Left] = field(default_factory=list)
