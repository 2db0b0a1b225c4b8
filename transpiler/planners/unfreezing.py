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

CHANGES = "what is trained changes"
"""The note of programs whose traced steps would not see it."""


def plan(context: Context) -> None:
    """Find what is frozen or unfrozen while the program trains."""
    on, off = ([s for s in _switches(context, f) if is_late(context, s[0])] for f in (True, False))
    # Where both happen (a critic, while the generator steps), each update sees its own state.
    late = [[node for node, owners in one if not _meet(owners, other)]
            for one, other in ((on, off), (off, on))]  # fmt: skip
    if late[0]:
        context.notes[LATE] = late[0]
    if late[0] or late[1]:
        context.notes[CHANGES] = True


def _meet(owners: set[int], switches: list[tuple[cst.CSTNode, set[int]]]) -> bool:
    return any(owners & others for _, others in switches)


def _switches(context: Context, wanted: bool) -> list[tuple[cst.CSTNode, set[int]]]:
    """Statements that make parameters trainable, or freeze them, and the modules meant."""
    found: list[tuple[cst.CSTNode, set[int]]] = []
    nodes: Iterator[Any] = find(context.module, cst.Assign, cst.Call)
    for node in nodes:
        if isinstance(node, cst.Assign):
            target: Any = node.targets[0].target
            flag, name = context.fact(node.value), "requires_grad"
        else:
            target, name = node.func, "requires_grad_"
            flag = context.fact(node.args[0].value) if node.args else Const(True)
        if not isinstance(target, cst.Attribute) or target.attr.value != name:
            continue
        owners = {id(o) for o in owners_of(context, target.value) if o is not None}
        if flag == Const(wanted) and owners:
            found.append((node, owners))
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


__all__ = ["CHANGES", "is_late", "plan"]
