"""The container planner: elements, slices, lengths and loops of Sequentials."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Instance, Symbol, Value, options
from transpiler.layouts import SEQUENTIAL
from transpiler.syntax import find
from transpiler.template import fill

_ITERATING = ("enumerate", "list", "zip", "reversed", "iter", "tuple")


def plan(context: Context) -> None:
    """Record `.layers` wherever a Sequential is taken for a list."""
    for definition in find(context.module, cst.ClassDef):
        _plan_base(context, definition)
    for node in find(context.module, cst.Subscript, cst.For, cst.CompFor, cst.Call):
        match node:
            case cst.Subscript() if _is_sequential(context, node.value):
                _plan_subscript(context, node)
            case cst.For() | cst.CompFor() if _is_sequential(context, node.iter):
                _read_layers(context, node.iter)
            case cst.Call(func=cst.Name(value="len"), args=[arg]) if _is_sequential(
                context, arg.value
            ):
                _read_layers(context, arg.value)
            case cst.Call(func=cst.Name(value=name)) if name in _ITERATING:
                for arg in node.args:
                    if _is_sequential(context, arg.value):
                        _read_layers(context, arg.value)


def _plan_base(context: Context, node: cst.ClassDef) -> None:
    """`class Block(nn.Sequential)`."""
    for arg in node.bases:
        fact = context.fact(arg.value)
        if isinstance(fact, Symbol) and fact.name == SEQUENTIAL:
            context.claim(arg.value)
            context.edits.replace(arg.value, fill("keras.Sequential"))


def _is_sequential(context: Context, node: cst.CSTNode) -> bool:
    values = options(context.fact(node))
    return bool(values) and all(_is_plain_sequential(v) for v in values)


def _is_plain_sequential(value: Value) -> bool:
    return (
        isinstance(value, Instance)
        and not isinstance(value.cls, Class)
        and SEQUENTIAL in value.class_names
    )


def _read_layers(context: Context, node: cst.BaseExpression) -> None:
    context.edits.wrap(node, lambda x: fill("s.layers", s=x))


def _plan_subscript(context: Context, node: cst.Subscript) -> None:
    """`net[0]` is another layer than Keras's first where some became several."""
    from transpiler.rules.containers import keras_index

    part = node.slice[0].slice
    if not isinstance(part, cst.Index):
        _plan_slice(context, node)
        return
    index = context.fact(part.value)
    _read_layers(context, node.value)
    places: set[int | None] = set()
    for module in options(context.fact(node.value)):
        if isinstance(index, Const) and isinstance(index.value, int):
            assert isinstance(module, Instance)
            places.add(keras_index(context, module, index.value))
        else:
            places.add(-1)
    place = places.pop() if len(places) == 1 else None
    if place is None:
        context.manual(
            node,
            "Sequential",
            "this element is more than one layer in Keras",
            "give the layers names of their own",
        )
    elif isinstance(index, Const) and place not in (index.value, -1):
        context.edits.replace(part.value, cst.Integer(str(place)))


def _plan_slice(context: Context, node: cst.Subscript) -> None:
    """A slice is a Sequential of its own."""
    place: Any = node

    def wrap(x: cst.BaseExpression) -> cst.BaseExpression:
        return fill("keras.Sequential(x)", x=x)

    _read_layers(context, node.value)
    context.edits.wrap(place, wrap)
