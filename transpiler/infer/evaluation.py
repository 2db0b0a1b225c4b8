"""What the interpreter's parts use of each other: declared here, defined in the whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

import libcst as cst

from transpiler.infer.frames import Frame
from transpiler.infer.knowledge import Knowledge
from transpiler.infer.values import Class, Function, Instance, SourceModule, Value


class Evaluation(ABC):
    """The state that all parts share, and the methods that one part calls and another has."""

    knowledge: Knowledge
    facts: dict[cst.CSTNode, Value]
    weak_facts: dict[cst.CSTNode, Value]
    dead: int
    choices: list[int]
    unsure: list[int]
    loops: list[Any]
    placements: int
    rounds: dict[tuple[int, int], object] | None
    latest: tuple[dict[Any, Value], set[Any]] | None
    modes: dict[Instance, frozenset[bool]]
    sites: list[Any]
    caller: Frame | None
    functions: list[tuple[Function, Class | None]]

    @abstractmethod
    def in_round(self, node: Any, index: int) -> AbstractContextManager[None]:
        """One round of a loop whose rounds are known."""

    @abstractmethod
    def attribute(self, receiver: Value, name: str) -> Value:
        """`receiver.name`."""

    @abstractmethod
    def set_attribute(self, receiver: Value, name: str, value: Value) -> None:
        """`receiver.name = value`."""

    @abstractmethod
    def iterate(self, iterable: Value, node: Any) -> Value:
        """One element of what a loop goes over."""

    @abstractmethod
    def assign(self, target: Any, value: Value, frame: Frame) -> None:
        """Bind a name, an attribute, an element or several at once."""

    @abstractmethod
    def call(
        self, function: Value, positional: list[Value], keywords: dict[str, Value], node: Any
    ) -> Value:
        """What a call of anything gives back."""

    @abstractmethod
    def call_function(
        self,
        function: Function,
        positional: list[Value],
        keywords: dict[str, Value],
        default: Value | None = None,
    ) -> Value:
        """What a call of one of the program's functions gives back."""

    @abstractmethod
    def narrow(self, test: Any, holds: bool, frame: Frame) -> None:
        """What a test says of the variables that it names, where it holds or does not."""

    @abstractmethod
    def decorator_names(self, function: Function) -> set[str]:
        """The last words of a function's decorators."""

    @abstractmethod
    def import_module(self, name: str) -> SourceModule | None:
        """Another file of the program."""
