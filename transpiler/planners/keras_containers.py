"""Lists, tuples and dicts of layers on a Keras model: PyTorch has to be told of what they hold."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, ListObject, Mapping, Sequence, Value, options
from transpiler.modules import is_module, self_name
from transpiler.rule import Unfit
from transpiler.syntax import code, find
from transpiler.template import fill

ADVICE = "use nn.ModuleList and nn.ModuleDict"


def plan_containers(context: Context, init: cst.FunctionDef) -> None:
    """ModuleList and ModuleDict around what the constructor keeps."""
    owner = self_name(init)
    for target, given in _bound(init):
        if not isinstance(target, cst.Attribute) or code(target.value).strip() != owner:
            continue
        if context.edits.edited(given):
            continue
        value = context.fact(given)
        if not _holds_modules(context, value):
            continue
        added = list(_added(context, init, target)) if _inner(context, value) else []
        try:
            if not added:
                _check(context, given, value)
            for part in added:
                _check(context, part, context.fact(part))
        except Unfit as error:
            context.unfit(context.edits.statement(given), "keras.Layer", error)
            continue
        for part in added:
            _register(context, part, context.fact(part))
        _register(context, given, value if not added else ListObject([]))


def _added(
    context: Context, function: cst.FunctionDef, target: cst.Attribute
) -> Iterator[cst.BaseExpression]:
    """The lists that are appended to an empty list: each is one of its own."""
    for call in find(function, cst.Call):
        func = call.func
        if isinstance(func, cst.Attribute) and func.attr.value == "append" and call.args:
            same = code(func.value).strip() == code(target).strip()
            if same and _holds_modules(context, context.fact(call.args[0].value)):
                yield call.args[0].value


def _bound(function: cst.FunctionDef) -> Iterator[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """What is assigned to what, tuples one by one."""
    for assign in find(function, cst.Assign, cst.AnnAssign):
        if isinstance(assign, cst.AnnAssign):
            if assign.value is not None:
                yield assign.target, assign.value
            continue
        assert isinstance(assign, cst.Assign)
        target, given = assign.targets[0].target, assign.value
        if isinstance(target, cst.Tuple) and isinstance(given, cst.Tuple):
            parts = [[e.value for e in side.elements] for side in (target, given)]
            yield from zip(*parts, strict=False)
        else:
            yield target, given


def _held(value: Value) -> list[Value]:
    match value:
        case ListObject():
            held = [*(value.items or ()), *([] if value.element is None else [value.element])]
        case Sequence(kind="tuple"):
            held = [*value.items] if value.items is not None else [value.element]
        case Mapping():
            held = [*value.items.values(), *([] if value.element is None else [value.element])]
        case _:
            return []
    return [o for v in held for o in options(v)]


def _holds_modules(context: Context, value: Value, depth: int = 3) -> bool:
    """Whether these are layers, or containers of layers (a list may hold itself: to a depth)."""
    found = _held(value)
    objects = [v for v in found if isinstance(v, Instance)]
    if objects:
        return all(is_module(context, v) for v in objects)
    return depth > 0 and any(_holds_modules(context, v, depth - 1) for v in found)


def _inner(context: Context, value: Value) -> list[Value]:
    return [v for v in _held(value) if _holds_modules(context, v)]


def _written(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    """The elements of a container as they are written down; none where that is elsewhere."""
    match node:
        case cst.List() | cst.Tuple():
            return [e.value for e in node.elements if isinstance(e, cst.Element)]
        case cst.Dict():
            return [e.value for e in node.elements if isinstance(e, cst.DictElement)]
        case cst.ListComp():
            return [node.elt]
        case cst.DictComp():
            return [node.value]
    return []


def _check(context: Context, node: cst.BaseExpression, value: Value) -> None:
    """Raises Unfit where PyTorch's containers can not hold it."""
    if isinstance(value, Mapping):
        if any(not isinstance(k, str) or not k or "." in k for k in value.items):
            raise Unfit("a dict of layers whose keys nn.ModuleDict does not take", ADVICE)
    inner = _inner(context, value)
    if not inner:
        return
    parts = _written(node)
    if not parts or (isinstance(node, (cst.List, cst.Tuple)) and len(parts) != len(node.elements)):
        raise Unfit("lists of layers inside of a list that is filled elsewhere", ADVICE)
    for part in parts:
        _check(context, part, context.fact(part))


def _register(context: Context, node: cst.BaseExpression, value: Value) -> None:
    for part in _written(node) if _inner(context, value) else []:
        if _holds_modules(context, context.fact(part)):
            _register(context, part, context.fact(part))
    kind = "torch.nn.ModuleDict(x)" if isinstance(value, Mapping) else "torch.nn.ModuleList(x)"
    context.edits.wrap(node, lambda x: fill(kind, x=x))
