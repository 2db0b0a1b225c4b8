"""Frames: the variables of a module, function activation or class body while it is interpreted."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import UNKNOWN, Value, join


class Frame:
    """Variables by name, with the frame around for names that are not found here."""

    def __init__(self, parent: Frame | None = None, *, kind: str = "function") -> None:
        self.parent = parent
        self.kind = kind
        self.values: dict[str, Value] = {}
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.returned: list[Value] = []
        self.never: list[Value] = []
        self.never_yielded: list[Value] = []
        """What branches return and yield that are not taken."""
        self.dead = 0
        """How many branches that are not taken the call stands in."""
        self.yielded: list[Value] = []
        self.stopped = False
        self.function: Any = None
        """The function whose activation this is, and the call that made it."""
        self.site: Any = None
        self.caller: Frame | None = None
        """Where that call stands, and what the variables were there."""
        self.among: dict[str, Value] = {}
        self.given: dict[str, Value] = {}
        """What the parameters were at first."""
        self.result: Value = UNKNOWN
        self.module_name: str = parent.module_name if parent else ""
        self.package: str = parent.package if parent else ""

    @property
    def module(self) -> Frame:
        frame = self
        while frame.parent is not None:
            frame = frame.parent
        return frame

    def lookup(self, name: str) -> Value | None:
        """The value of a name, searched outwards (class bodies are skipped from inside)."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.values and (frame is self or frame.kind != "class"):
                return frame.values[name]
            frame = frame.parent
        return None

    def assign(self, name: str, value: Value) -> None:
        """Bind a name where Python would."""
        if name in self.globals:
            module = self.module.values
            module[name] = join(module[name], value) if name in module else value
        elif name in self.nonlocals and self.parent is not None:
            frame = self.parent
            while name not in frame.values and frame.parent is not None:
                frame = frame.parent
            frame.values[name] = join(frame.values.get(name, UNKNOWN), value)
        else:
            self.values[name] = value
