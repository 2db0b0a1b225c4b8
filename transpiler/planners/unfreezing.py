"""The planner of parameters that are trained again once training has begun.

Such steps are not traced: a trace keeps to the variables that were trainable in its time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.freezing import owners_of
from transpiler.infer.values import Const, Function, Method, options
from transpiler.rules.module_methods import LATE
from transpiler.syntax import code, find


def plan(context: Context) -> None:
    """Find what is unfrozen while the program trains."""
    late = [node for node in _unfreezes(context) if is_late(context, node)]
    if late:
        context.notes[LATE] = late


def _unfreezes(context: Context) -> list[cst.CSTNode]:
    """Statements that make parameters trainable."""
    found: list[cst.CSTNode] = []
    nodes: Iterator[Any] = find(context.module, cst.Assign, cst.Call)
    for node in nodes:
        if isinstance(node, cst.Assign):
            target: Any = node.targets[0].target
            flag, wanted = context.fact(node.value), "requires_grad"
        else:
            target, wanted = node.func, "requires_grad_"
            flag = context.fact(node.args[0].value) if node.args else Const(True)
        if not isinstance(target, cst.Attribute) or target.attr.value != wanted:
            continue
        if flag == Const(True) and any(o is not None for o in owners_of(context, target.value)):
            found.append(node)
    return found


def is_late(context: Context, node: cst.CSTNode, depth: int = 3) -> bool:
    """Whether a statement runs in a loop that does something else than to go over parameters."""
    loop = context.edits.enclosing(node, cst.For, cst.While)
    while loop is not None:
        if isinstance(loop, cst.While) or not _runs_over_parts(loop):
            return True
        loop = context.edits.enclosing(loop, cst.For, cst.While)
    function = context.edits.enclosing(node, cst.FunctionDef)
    if function is None or not depth:
        return False
    calls = [c for c in find(context.module, cst.Call) if _calls(context, c, function)]
    return any(is_late(context, call, depth - 1) for call in calls)


def _runs_over_parts(loop: cst.For | cst.While) -> bool:
    parts = ("parameters", "children", "modules", "layers", "blocks", "named_parameters")
    text = code(loop.iter) if isinstance(loop, cst.For) else ""
    return any(part in text for part in parts)


def _calls(context: Context, call: cst.Call, function: cst.CSTNode) -> bool:
    for value in options(context.fact(call.func)):
        found = value.function if isinstance(value, Method) else value
        if isinstance(found, Function) and found.node is function:
            return True
    return False


__all__ = ["LATE", "is_late", "plan"]
