"""Attributes of optimizers: learning rates that are read and set, the count of steps."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Tensor
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_tape.groups import group_of, is_groups
from transpiler.planners.keras_tape.updates import optimizers_at
from transpiler.rule import Unfit
from transpiler.syntax import find
from transpiler.template import fill, fill_statements

RATES = ("learning_rate", "lr")
READING = ("numpy", "value", "read_value", "eval")
GETTERS = ("keras.backend.get_value", "keras.backend.eval", "tf.get_static_value")
SETTER = "keras.backend.set_value"


def plan_counts(context: Context) -> None:
    """Optimizers of which the program reads how many steps they made."""
    counted: set[Any] = context.notes.setdefault("counted optimizers", set())
    for node in find(context.module, cst.Attribute):
        if node.attr.value == "iterations":
            for optimizer in optimizers_at(context, node.value):
                counted.add(optimizer.origin)
                _plan_read(context, node, node)


def plan_rates(context: Context) -> None:
    """`optimizer.learning_rate` is the rate of the one group of parameters."""
    for node in find(context.module, cst.Attribute):
        if node.attr.value not in RATES:
            continue
        group = group_of(node.value, context)
        if group is not None:
            context.claim(node.value.value.value)  # type: ignore[attr-defined]
        if group is not None or optimizers_at(context, node.value):
            context.claim(node)
            _plan_rate(context, node, group)
    for call in find(context.module, cst.Call):
        func = call.func
        if isinstance(func, cst.Attribute) and func.attr.value in ("_decayed_lr", "build"):
            if optimizers_at(context, func.value):
                _plan_method(context, call, func)


def _plan_method(context: Context, call: cst.Call, func: cst.Attribute) -> None:
    context.claim(call)
    if func.attr.value == "build":
        context.edits.replace(context.edits.statement(call), [])
    else:
        context.edits.replace(call, rate_of(func.value))


def rate_of(optimizer: cst.BaseExpression) -> cst.BaseExpression:
    return fill('optimizer.param_groups[0]["lr"]', optimizer=optimizer)


def _plan_rate(context: Context, node: cst.Attribute, group: cst.BaseExpression | None) -> None:
    """group: where the rate of one group of several is meant, that group."""
    rate = rate_of(node.value) if group is None else fill('group["lr"]', group=group)
    parent = context.edits.parent[node]
    if isinstance(parent, cst.AssignTarget):
        assign = context.edits.parent[parent]
        if isinstance(assign, cst.Assign):
            _set(context, node, rate, assign.value, None)
        return
    if isinstance(parent, cst.Attribute) and parent.attr.value == "assign":
        call = context.edits.parent[parent]
        if isinstance(call, cst.Call) and call.args:
            context.claim(call)
            _set(context, node, rate, call.args[0].value, call)
            return
    if isinstance(parent, cst.Arg):
        call = context.edits.parent[parent]
        if isinstance(call, cst.Call) and qualified_name(context, call.func) == SETTER:
            if len(call.args) > 1 and call.args[0] is parent:
                context.claim(call)
                _set(context, node, rate, call.args[1].value, call)
                return
    _plan_read(context, node, rate)


def _set(
    context: Context,
    node: cst.Attribute,
    rate: cst.BaseExpression,
    value: cst.BaseExpression,
    call: cst.Call | None,
) -> None:
    """The new rate, as a plain number."""
    if is_groups(context.fact(node.value)):
        error = Unfit("the rates of several groups keep their ratio here", "set each group's")
        context.unfit(call or node, "keras.optimizers", error)
        return
    fact = context.fact(value)
    number = fill("float(x)", x=value) if isinstance(fact, Tensor) else value
    statement = context.edits.statement(call or node)
    lines = fill_statements("rate = new", rate=rate.deep_clone(), new=number)
    context.edits.replace(statement, lines)


def _plan_read(context: Context, node: cst.Attribute, new: cst.BaseExpression) -> None:
    """A reading, with what makes a number of a variable dropped."""
    place: Any = node
    parent: Any = context.edits.parent[place]
    if isinstance(parent, cst.Attribute) and parent.attr.value in READING:
        call = context.edits.parent[parent]
        if isinstance(call, cst.Call) and not call.args:
            place = call
    elif isinstance(parent, cst.Arg):
        call = context.edits.parent[parent]
        if isinstance(call, cst.Call) and qualified_name(context, call.func) in GETTERS:
            place = call
    context.claim(node)
    context.claim(place)
    if place is not node or new is not node:
        context.edits.replace(place, new)


__all__ = ["plan_counts", "plan_rates"]
