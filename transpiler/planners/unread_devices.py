"""The planner of a model's device that was only kept to move batches there, which nobody needs."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.planners.first_parameter import DEVICES
from transpiler.syntax import find


def plan(context: Context) -> None:
    """Drop `device = next(model.parameters()).device` where no read of it is left."""
    kept = context.notes.get(DEVICES, [])
    live = context.edits.live() if kept else set()
    for assign, name in kept:
        scope = context.edits.enclosing(assign, cst.FunctionDef) or context.module
        reads = [
            node
            for node in find(scope, cst.Name)
            if node.value == name
            and not isinstance(context.edits.parent.get(node), (cst.AssignTarget, cst.Attribute))
        ]
        if reads and not any(node in live for node in reads):
            context.edits.replace(context.edits.statement(assign), [])
