"""Parts of a model that run in a mode of their own: `self.base(x, training=False)`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.modules import method
from transpiler.planners.keras_tape.flags import called_modules, flag_argument
from transpiler.planners.keras_tape.sensitive import is_sensitive
from transpiler.syntax import code, find
from transpiler.template import fill_statements

Modes = dict[cst.ClassDef, dict[str, bool]]


def keep_mode(context: Context, call: cst.Call, flag: cst.Arg) -> bool:
    """Whether the part that is called is kept in its mode by a `train` of its class."""
    modules = called_modules(context, call)
    if modules and not any(is_sensitive(context, m) for m in modules):
        return True  # the same in either mode
    owner: Any = context.edits.enclosing(call, cst.ClassDef)
    mode = _literal(flag)
    if owner is None or mode is None or not _is_own(call.func) or method(owner, "train"):
        return False
    text = code(call.func)
    for other in find(owner, cst.Call):
        if code(other.func) == text:
            told = flag_argument(context, other, called_modules(context, other))
            if told is None or _literal(told) is not mode:
                return False
    modes: Modes = context.notes.setdefault("steady parts", {})
    modes.setdefault(owner, {})[text] = mode
    return True


def write_modes(context: Context) -> None:
    """`train` for the classes that keep parts in modes of their own."""
    modes: Modes = context.notes.get("steady parts", {})
    for owner, parts in modes.items():
        lines = "".join(f"    {t}.{'train' if m else 'eval'}()\n" for t, m in parts.items())
        written = fill_statements(
            f"def train(self, mode=True):\n    super().train(mode)\n{lines}    return self\n"
        )
        entry = method(owner, "call")
        assert entry is not None
        context.edits.insert_before(entry, written)


def _literal(flag: cst.Arg) -> bool | None:
    text = code(flag.value)
    return text == "True" if text in ("True", "False") else None


def _is_own(func: cst.BaseExpression) -> bool:
    return isinstance(func, cst.Attribute) and code(func.value) == "self"


__all__ = ["keep_mode", "write_modes"]
