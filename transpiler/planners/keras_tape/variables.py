"""Variables that the program sets by itself: in place, and out of every graph."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import UNKNOWN, Const, Number, Tensor, options
from transpiler.planners.keras_tape.constants import wrap_no_grad
from transpiler.syntax import find
from transpiler.template import fill

IN_PLACE = {"assign": "copy_", "assign_add": "add_", "assign_sub": "sub_"}


def plan_assignments(context: Context) -> None:
    """`v.assign_sub(x)` as `v.sub_(x)` under `no_grad`."""
    alone: list[Any] = []
    for call in find(context.module, cst.Call):
        func = call.func
        if not isinstance(func, cst.Attribute) or func.attr.value not in IN_PLACE:
            continue
        if not _is_variable(context, func, call):
            continue
        context.claim(call)
        if isinstance(context.edits.parent[call], cst.Expr):
            context.edits.replace(call, write(context, func, call, func.value))
            if not _counts(context, func.value):
                alone.append(context.edits.statement(call))
        else:
            owner = fill("v.data", v=func.value)
            context.edits.replace(call, write(context, func, call, owner))
    for run in _runs(context, alone):
        wrap_no_grad(context, run)


def _is_variable(context: Context, func: cst.Attribute, call: cst.Call) -> bool:
    """Whether the receiver is a tensor, or nothing is known of it and it is used as one."""
    if not call.args or call.args[0].star:
        return False
    if call.args[0].keyword is not None and call.args[0].keyword.value not in ("value", "delta"):
        return False
    value = context.fact(func.value)
    if value is UNKNOWN:
        return True
    return all(isinstance(o, Tensor) and o.library != "numpy" for o in options(value))


def _counts(context: Context, node: cst.BaseExpression) -> bool:
    """Whether a variable is a whole number, which no graph knows of."""
    value = context.fact(node)
    return isinstance(value, Tensor) and (value.dtype or "").startswith(("int", "uint", "bool"))


def write(
    context: Context, func: cst.Attribute, call: cst.Call, owner: cst.BaseExpression
) -> cst.BaseExpression:
    given = call.args[0].value
    name = func.attr.value
    value = context.fact(given)
    if name == "assign" and isinstance(value, (Const, Number)):
        return fill("v.fill_(x)", v=owner, x=given)
    if name == "assign" and not (isinstance(value, Tensor) and value.library == "tf"):
        given = fill("torch.as_tensor(x)", x=given)
    return fill(f"v.{IN_PLACE[name]}(x)", v=owner, x=given)


def _runs(context: Context, statements: list[Any]) -> list[list[Any]]:
    """Statements that follow each other in a block, together."""
    runs: list[list[Any]] = []
    for statement in statements:
        body = list(getattr(context.edits.parent[statement], "body", ()))
        last = runs[-1][-1] if runs else None
        if last in body and statement in body and body.index(statement) - body.index(last) == 1:
            runs[-1].append(statement)
        else:
            runs.append([statement])
    return runs


__all__ = ["plan_assignments"]
