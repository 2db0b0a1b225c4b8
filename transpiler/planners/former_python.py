"""Python 2's spellings that live on in training scripts."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Bound
from transpiler.syntax import find
from transpiler.template import fill


def plan(context: Context) -> None:
    """`iterator.next()` becomes `next(iterator)`."""
    for call in find(context.module, cst.Call):
        match call.func:
            case cst.Attribute(value=receiver, attr=cst.Name(value="next")) if not call.args:
                if context.fact(call.func) == Bound("builtins.next", context.fact(receiver)):
                    context.edits.replace(call, fill("next(x)", x=receiver))


__all__ = ["plan"]
