"""Optimizers that carry their variables: parameter groups, and steps that do not see the model."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance
from transpiler.planners.step.events import Event, instances
from transpiler.planners.step.variables import parameters_of, write_variables
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.template import arguments, call, fill

CARRIED = "carried optimizers"


def carry(context: Context, event: Event) -> cst.BaseExpression:
    """`optimizer.parameters`, with every optimizer that comes here made to carry its variables."""
    found = instances(event.value)
    if not found or event.target is None:
        raise Unfit(
            "which variables this optimizer updates is not known here",
            "make the optimizer in this file, or pass it in from a function that does",
        )
    written = {id(i): _write(context, i) for i in found}
    for instance in found:
        carried: dict[Any, cst.BaseExpression] = context.notes.setdefault(CARRIED, {})
        carried[instance.origin] = written[id(instance)]
    return fill("optimizer.parameters", optimizer=event.target)


def plan(context: Context) -> None:
    """Put the carrying form in the place of each such optimizer."""
    for origin, new in context.notes.get(CARRIED, {}).items():
        context.claim(origin)
        context.emit("ParameterGroups")
        context.edits.replace(origin, new)


def _write(context: Context, instance: Instance) -> cst.BaseExpression:
    origin = instance.origin
    if not isinstance(origin, cst.Call) or origin not in context.edits.parent:
        raise Unfit("the optimizer is made in another file", "make it where it is used")
    scope = context.edits.enclosing(origin, cst.FunctionDef) or context.module
    event = Event("step", "", None, origin, None, instance)  # type: ignore[arg-type]
    node = parameters_of(context, event)
    groups = _groups(node)
    shared = {a.keyword.value: a.value for a in origin.args if a.keyword is not None}
    shared.pop("params", None)
    positional = [a.value for a in origin.args if a.keyword is None][1:]
    pairs = []
    for parameters, own in groups:
        optimizer = _optimizer(context, instance, origin, parameters, positional, {**shared, **own})
        variables = _variables(context, parameters, scope)
        pairs.append(fill("(optimizer, lambda: variables)", optimizer=optimizer, variables=variables))
    return call("ParameterGroups", *pairs)


def _groups(
    node: cst.BaseExpression,
) -> list[tuple[cst.BaseExpression, dict[str, cst.BaseExpression]]]:
    """The parameters of each group and its own settings."""
    if not isinstance(node, (cst.List, cst.Tuple)) or not all(
        isinstance(e.value, cst.Dict) for e in node.elements
    ):
        return [(node, {})]
    found = []
    for element in node.elements:
        settings: dict[str, cst.BaseExpression] = {}
        assert isinstance(element.value, cst.Dict)
        for item in element.value.elements:
            if not isinstance(item, cst.DictElement) or not isinstance(item.key, cst.SimpleString):
                raise Unfit("a parameter group whose settings are not plain to see")
            settings[str(item.key.evaluated_value)] = item.value
        if "params" not in settings:
            raise Unfit("a parameter group without `params`")
        found.append((settings.pop("params"), settings))
    return found


def _optimizer(
    context: Context,
    instance: Instance,
    origin: cst.Call,
    parameters: cst.BaseExpression,
    positional: list[cst.BaseExpression],
    keywords: dict[str, cst.BaseExpression],
) -> cst.BaseExpression:
    """The Keras optimizer for one group's settings."""
    if positional:
        keywords = {"lr": positional[0], **keywords}
        if len(positional) > 1:
            raise Unfit("settings of an optimizer given by position")
    node = cst.Call(func=origin.func, args=arguments([parameters], keywords))
    context.facts[node] = instance
    context.edits.parent[node] = context.edits.parent[origin]
    try:
        result = context.rulebook.translate(Site(context, node, instance.class_names[0]))
    finally:
        del context.edits.parent[node]
    assert isinstance(result, cst.BaseExpression)
    return result


def _variables(
    context: Context, parameters: cst.BaseExpression, scope: cst.CSTNode
) -> cst.BaseExpression:
    if isinstance(parameters, (cst.Name, cst.Attribute)):
        try:
            return write_variables(context, parameters, scope)
        except Unfit:
            return cst.List([cst.Element(parameters)])
    return write_variables(context, parameters, scope)
