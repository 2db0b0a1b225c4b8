"""Former spellings that live on in training scripts: Python 2's, and those of early PyTorch."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Bound, Tensor, Value, options
from transpiler.syntax import find
from transpiler.template import fill


def plan(context: Context) -> None:
    """`iterator.next()` becomes `next(iterator)`, `loss.data[0]` of a number `float(loss)`."""
    for call in find(context.module, cst.Call):
        match call.func:
            case cst.Attribute(value=receiver, attr=cst.Name(value="next")) if not call.args:
                if context.fact(call.func) == Bound("builtins.next", context.fact(receiver)):
                    context.edits.replace(call, fill("next(x)", x=receiver))
    for item in find(context.module, cst.Subscript):
        match item.value, item.slice:
            case (
                cst.Attribute(value=receiver, attr=cst.Name(value="data")),
                [cst.SubscriptElement(slice=cst.Index(value=cst.Integer(value="0")))],
            ) if any(_is_number(o) for o in options(context.fact(receiver))):
                context.edits.replace(item, fill("float(x)", x=receiver))


def _is_number(value: Value) -> bool:
    return isinstance(value, Tensor) and value.library == "torch" and value.shape == ()


__all__ = ["plan"]
