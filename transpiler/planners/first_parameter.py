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

DEVICES = "devices of first parameters"
"""The assignments that keep such a device, and the names that they bind; see `unread_devices`."""


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
                _write_device(context, node)
    for node in find(context.module, cst.Call):
        if _is_first_device(node) and node not in context.claimed:
            _write_device(context, node)


def _write_device(context: Context, node: cst.BaseExpression) -> None:
    for inner in walk(node):
        context.claim(inner)
    context.edits.replace(node, fill("tf.constant(0.0).device"))
    match context.edits.parent.get(node):
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]) as assign:
            context.notes.setdefault(DEVICES, []).append((assign, name))


def _is_first_parameter(node: Any) -> bool:
    match node:
        case cst.Attribute(value=inner, attr=cst.Name(value="data")):
            return _is_first_parameter(inner)
        case cst.Call(func=cst.Name(value="next" | "iter"), args=[cst.Arg(value=inner)]):
            return _is_first_parameter(inner)
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="parameters")), args=[]):
            return True
    return False


def _is_first_device(node: cst.Call) -> bool:
    """`next((p.device for p in model.parameters()), "cpu")`."""
    match node:
        case cst.Call(
            func=cst.Name(value="next"),
            args=[
                cst.Arg(
                    value=cst.GeneratorExp(
                        elt=cst.Attribute(value=cst.Name(value=one), attr=cst.Name(value="device")),
                        for_in=cst.CompFor(
                            target=cst.Name(value=each),
                            ifs=[],
                            inner_for_in=None,
                            iter=cst.Call(
                                func=cst.Attribute(attr=cst.Name(value="parameters")), args=[]
                            ),
                        ),
                    )
                ),
                *_,
            ],
        ):
            return one == each
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
