"""The planner of `next(model.parameters())`, taken for its device or dtype alone.

New tensors need neither in the translation, and an unbuilt Keras model has no first variable.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.syntax import find, walk
from transpiler.template import fill

PLACES = frozenset({"new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "new", "device",
                    "dtype", "is_cuda"})  # fmt: skip
"""What is read of such a parameter that the translation can do without."""


def plan(context: Context) -> None:
    """Drop `weight = next(self.parameters())` where only such things are read of it."""
    for assign in find(context.module, cst.Assign):
        target = assign.targets[0].target
        if len(assign.targets) > 1 or not isinstance(target, cst.Name):
            continue
        if _is_first_parameter(assign.value) and _only_places(context, assign, target.value):
            for node in walk(assign):
                context.claim(node)
            context.edits.replace(context.edits.statement(assign), [])
    for node in find(context.module, cst.Attribute):
        if node.attr.value == "device" and _is_first_parameter(node.value):
            if isinstance(node.value, cst.Call) and node not in context.claimed:
                for inner in walk(node):
                    context.claim(inner)
                context.edits.replace(node, fill("tf.constant(0.0).device"))


def _is_first_parameter(node: Any) -> bool:
    match node:
        case cst.Attribute(value=inner, attr=cst.Name(value="data")):
            return _is_first_parameter(inner)
        case cst.Call(func=cst.Name(value="next" | "iter"), args=[cst.Arg(value=inner)]):
            return _is_first_parameter(inner)
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="parameters")), args=[]):
            return True
    return False


def _only_places(context: Context, assign: cst.Assign, name: str) -> bool:
    scope = context.edits.enclosing(assign, cst.FunctionDef) or context.module
    reads = 0
    for node in find(scope, cst.Name):
        parent = context.edits.parent.get(node)
        if node.value != name or (
            isinstance(parent, (cst.AssignTarget, cst.Arg))
            and (getattr(parent, "keyword", None) is node or isinstance(parent, cst.AssignTarget))
        ):
            continue
        if isinstance(parent, cst.Attribute) and parent.attr is node:
            continue
        above: Any = parent
        while isinstance(above, cst.Attribute) and above.attr.value == "data":
            above = context.edits.parent.get(above)
        if not isinstance(above, cst.Attribute) or above.attr.value not in PLACES:
            return False
        reads += 1
    return reads > 0
