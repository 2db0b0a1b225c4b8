"""What one line of the catalogue says: an entry with its signatures and their parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Literal, NamedTuple

EntryKind = Literal["class", "function", "method", "property", "module", "constant"]
ParameterKind = Literal[
    "positional-only", "positional-or-keyword", "var-positional", "keyword-only", "var-keyword"
]


class Parameter(NamedTuple):
    """One parameter. ``default`` is Python source, ``...`` where the library does not tell it.

    ``annotation`` is there where overloads differ by type: alternatives joined by ``|``, of
    Tensor, int, ints, float, bool, Number, dtype, device, str.
    """

    name: str
    kind: ParameterKind
    default: str | None = None
    annotation: str | None = None

    @property
    def required(self) -> bool:
        """Whether a call has to pass it."""
        return self.default is None and not self.kind.startswith("var")


class Signature:
    """One form of a call; ``self`` is never among its parameters."""

    __slots__ = ("parameters",)

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        self.parameters = parameters

    def __getitem__(self, name: str) -> Parameter:
        """The parameter of that name; KeyError where there is none."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def __contains__(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)

    def __repr__(self) -> str:
        return f"Signature({', '.join(p.name for p in self.parameters)})"


class Entry:
    """A public name: its signatures (overloads in order), and all base classes of a class.

    ``source`` has the signatures as text; they are parsed when ``signatures`` is first read.
    """

    def __init__(
        self,
        name: str,
        kind: EntryKind,
        source: Sequence[str] = (),
        bases: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.source = tuple(source)
        self.bases = tuple(bases)

    @cached_property
    def signatures(self) -> tuple[Signature, ...]:
        """The forms of the call, in the order in which to try them."""
        return tuple(_parse(text) for text in self.source)

    def __repr__(self) -> str:
        return f"Entry({self.name!r}, {self.kind!r}, {self.source}, {self.bases})"


# One parameter: anything but a comma, strings and bracketed groups as wholes.
_PARAMETER = re.compile(
    r"""(?:[^,'"(\[{]|'(?:[^'\\]|\\.)*'|"[^"]*"|\((?:[^()]|\([^()]*\))*\)|\[[^\]]*\]|\{[^}]*\})+"""
)


@cache
def _parse(text: str) -> Signature:
    parts = [part.strip() for part in _PARAMETER.findall(text)]
    slash = parts.index("/") if "/" in parts else 0
    found = []
    kind: ParameterKind = "positional-or-keyword"
    for i, part in enumerate(parts):
        if part.startswith("**"):
            found.append(_parse_parameter(part[2:], "var-keyword"))
        elif part.startswith("*"):
            kind = "keyword-only"
            if part != "*":
                found.append(_parse_parameter(part[1:], "var-positional"))
        elif part != "/":
            found.append(_parse_parameter(part, "positional-only" if i < slash else kind))
    return Signature(tuple(found))


def _parse_parameter(part: str, kind: ParameterKind) -> Parameter:
    declared, equals, default = part.partition("=")
    name, _, annotation = declared.partition(":")
    return Parameter(
        name.strip(), kind, default.strip() if equals else None, annotation.strip() or None
    )
