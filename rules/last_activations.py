"""Softmax and sigmoid at the end of a model, behind which Keras's losses look."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Bound, Instance, Symbol, options
from transpiler.syntax import find

SOFTMAXES = frozenset({"torch.nn.Softmax", "torch.nn.Softmax2d", "torch.softmax",
                       "torch.nn.functional.softmax", "torch.Tensor.softmax",
                       "torch.special.softmax"})  # fmt: skip
SIGMOIDS = frozenset({"torch.nn.Sigmoid", "torch.sigmoid", "torch.nn.functional.sigmoid",
                      "torch.Tensor.sigmoid", "torch.special.expit"})  # fmt: skip


def ends_in(context: Context, names: frozenset[str]) -> bool:
    """Whether a loss of the program may be given what one of these functions returns."""
    key = f"ends in {min(names)}"
    if key not in context.notes:
        calls = set(find(context.module, cst.Call))
        context.notes[key] = any(_may_end(context, call, names) for call in calls) or any(
            _is_one(value, names)
            for node in context.facts
            if isinstance(node, cst.Call) and node not in calls
            for value in options(context.facts.get(node.func))
        )
    return bool(context.notes[key])


def _is_one(value: Any, names: frozenset[str]) -> bool:
    match value:
        case Symbol() | Bound():
            return value.name in names
        case Instance():
            return any(name in names for name in value.class_names)
    return False


def _may_end(context: Context, call: cst.Call, names: frozenset[str]) -> bool:
    values = options(context.fact(call.func))
    if not any(_is_one(v, names) for v in values):
        return False
    parent = context.edits.parent.get(call)
    while isinstance(parent, (cst.Element, cst.Tuple)):
        parent = context.edits.parent.get(parent)
    match parent:
        case cst.Return():
            return True
        case cst.Assign():
            return _goes_on(context, parent)
        case cst.Arg():
            whole = context.edits.parent[parent]
            if isinstance(whole, cst.Call) and _is_sequential(context, whole):
                return whole.args[-1] is parent
            return isinstance(whole, cst.Call) and _is_loss(context, whole)
        case cst.List() | cst.Call() | cst.AugAssign():
            return True  # of layers, perhaps; called at once
    return False


def _goes_on(context: Context, assign: cst.Assign) -> bool:
    """Whether the name is returned, or given to a loss, as it is; attributes are looked up."""
    target = assign.targets[0].target
    if isinstance(target, cst.Attribute):
        return _attribute_ends(context, target.attr.value)
    if not isinstance(target, cst.Name):
        return True
    scope = context.edits.enclosing(assign, cst.FunctionDef) or context.module
    for item in find(scope, cst.Return):
        found = item.value.elements if isinstance(item.value, cst.Tuple) else [item]
        if any(isinstance(e.value, cst.Name) and e.value.value == target.value for e in found):
            return True
    return any(
        isinstance(arg.value, cst.Name) and arg.value.value == target.value
        for call in find(scope, cst.Call)
        if _is_loss(context, call)
        for arg in call.args
    )


def _attribute_ends(context: Context, name: str) -> bool:
    """Whether the result of a layer kept as an attribute may be the model's."""
    for call in find(context.module, cst.Call):
        if isinstance(call.func, cst.Attribute) and call.func.attr.value == name:
            parent = context.edits.parent[call]
            while isinstance(parent, (cst.Element, cst.Tuple)):
                parent = context.edits.parent[parent]
            if isinstance(parent, cst.Return):
                return True
            if isinstance(parent, cst.Assign) and _goes_on(context, parent):
                return True
    return False


def _is_sequential(context: Context, call: cst.Call) -> bool:
    return any(
        isinstance(v, Symbol) and v.name == "torch.nn.Sequential"
        for v in options(context.fact(call.func))
    )


def _is_loss(context: Context, call: cst.Call) -> bool:
    for value in options(context.fact(call.func)):
        if isinstance(value, Instance) and context.knowledge.derives(
            value, "torch.nn.modules.loss._Loss"
        ):
            return True
        if isinstance(value, Symbol) and "cross_entropy" in value.name:
            return True
    return False
