"""The dtype that a program's models compute in."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const
from transpiler.planners.expressions import qualified_name
from transpiler.syntax import find

SETTERS = ("keras.config.set_floatx", "keras.backend.set_floatx")
CASTS = {"float16": "half", "float32": "float", "float64": "double"}


def floatx(context: Context) -> str:
    """What `set_floatx` says; float32 without it."""
    known: list[str] = context.notes.setdefault("floatx", [])
    if not known:
        known.append(_find(context))
    return known[0]


def _find(context: Context) -> str:
    for node in find(context.module, cst.Call):
        if qualified_name(context, node.func) in SETTERS and node.args:
            value = context.fact(node.args[0].value)
            if isinstance(value, Const) and value.value in CASTS:
                return str(value.value)
    return "float32"
