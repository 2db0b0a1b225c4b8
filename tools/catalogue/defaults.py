"""Python source for the signatures and default values of live objects."""

from __future__ import annotations

import enum
import inspect
import math
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

UNKNOWN = "..."

Named = Mapping[int, str]


def write_signature(function: Callable[..., Any], names: Named, *, bound: bool) -> str | None:
    """The parameters as source text, without the first where it is bound; None where unknown."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    parameters = list(signature.parameters.values())
    if bound and parameters and parameters[0].kind in (0, 1):
        parameters = parameters[1:]
    return write_parameters(parameters, names)


def write_parameters(parameters: list[inspect.Parameter], names: Named) -> str:
    """The list between the parentheses of a definition."""
    words: list[str] = []
    previous: Any = None
    for parameter in parameters:
        kind = parameter.kind
        if previous == parameter.POSITIONAL_ONLY != kind:
            words.append("/")
        if kind == parameter.KEYWORD_ONLY and previous not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            words.append("*")
        words.append(_write_parameter(parameter, names))
        previous = kind
    if previous == inspect.Parameter.POSITIONAL_ONLY:
        words.append("/")
    return ", ".join(words)


def _write_parameter(parameter: inspect.Parameter, names: Named) -> str:
    stars = "*" if parameter.kind == parameter.VAR_POSITIONAL else ""
    stars = "**" if parameter.kind == parameter.VAR_KEYWORD else stars
    if parameter.default is parameter.empty:
        return stars + parameter.name
    return f"{parameter.name}={write_value(parameter.default, names)}"


def write_value(value: Any, names: Named) -> str:
    """Source text of a default; ``...`` for what has none (sentinels, private objects)."""
    if isinstance(value, bool | int | str | bytes | complex | None) and not isinstance(
        value, enum.Enum
    ):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if id(value) in names:
        return names[id(value)]
    if isinstance(value, tuple | list | dict | set):
        return _write_collection(value, names)
    if isinstance(value, enum.Enum) and id(type(value)) in names:
        return f"{names[id(type(value))]}.{value.name}"
    if isinstance(value, ModuleType) and "." not in value.__name__:
        return value.__name__
    if isinstance(value, type) and value.__module__ == "builtins":
        return value.__name__
    return UNKNOWN


def _write_collection(value: Any, names: Named) -> str:
    if isinstance(value, dict):
        pairs = [f"{write_value(k, names)}: {write_value(v, names)}" for k, v in value.items()]
        return "{" + ", ".join(pairs) + "}"
    items = [write_value(item, names) for item in value]
    if isinstance(value, tuple):
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if isinstance(value, set):
        return "{" + ", ".join(sorted(items)) + "}" if items else "set()"
    return f"[{', '.join(items)}]"
