"""Optimizers that carry their variables: parameter groups, and steps that do not see the model."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Mapping, Tensor, Value, element_of, options
from transpiler.planners.step.events import Event, instances
from transpiler.planners.step.variables import parameters_of, write_variables
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import arguments, call, fill

CARRIED = "carried optimizers"
WRITING = "writing parameter groups"


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
    node = _resolve(context, parameters_of(context, event))
    if _element_is(context, node, Mapping):
        return _dynamic(context, instance, origin, node)
    groups = _groups(node)
    shared = {a.keyword.value: a.value for a in origin.args if a.keyword is not None}
    shared.pop("params", None)
    positional = [a.value for a in origin.args if a.keyword is None][1:]
    pairs = []
    for parameters, own in groups:
        optimizer = _optimizer(context, instance, origin, parameters, positional, {**shared, **own})
        variables = _variables(context, parameters, scope)
        pairs.append(
            fill("(optimizer, lambda: variables)", optimizer=optimizer, variables=variables)
        )
    return call("ParameterGroups", *pairs)


def _resolve(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """A list of groups that was given a name first: the list."""
    if not isinstance(node, cst.Name):
        return node
    owner = context.edits.enclosing(node, cst.FunctionDef) or context.module
    values = [
        assign.value
        for assign in find(owner, cst.Assign)
        if isinstance(assign.targets[0].target, cst.Name)
        and assign.targets[0].target.value == node.value
    ]
    is_list = len(values) == 1 and isinstance(values[0], cst.List)
    return values[0] if is_list else node


def _element_is(context: Context, node: cst.BaseExpression, kind: type[Value]) -> bool:
    """Whether a list that is made while the program runs holds such elements."""
    if isinstance(node, (cst.List, cst.Tuple)):
        return False
    found = [element_of(o) for o in options(context.fact(node))]
    return bool(found) and all(isinstance(v, kind) for f in found for v in options(f))


def _dynamic(
    context: Context, instance: Instance, origin: cst.Call, node: cst.BaseExpression
) -> cst.BaseExpression:
    """Groups that are put together while the program runs: a maker is called on each."""
    shared = {a.keyword.value: a.value for a in origin.args if a.keyword is not None}
    shared.pop("params", None)
    keys = {k for o in options(context.fact(node)) for m in options(element_of(o))
            if isinstance(m, Mapping) for k in m.items if k != "params"}  # fmt: skip
    site = Site(context, origin, instance.class_names[0])
    defaults = {k: shared.get(k) or site.default(k) for k in sorted(keys)}
    given = {**shared, **{k: cst.Name(k) for k in keys}}
    optimizer = _optimizer(context, instance, origin, node, [], given)
    params = [cst.Param(cst.Name(k), default=v) for k, v in defaults.items()]
    maker = cst.Lambda(cst.Parameters(params), optimizer)
    context.emit("parameter_groups")
    return call("parameter_groups", maker, node)


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
    mark = len(context.reports)
    context.notes[WRITING] = True
    try:
        result = context.rulebook.translate(Site(context, node, instance.class_names[0]))
    finally:
        del context.edits.parent[node]
        context.notes[WRITING] = False
    for report in context.reports[mark:]:
        report.node = origin if report.node is node else report.node
    assert isinstance(result, cst.BaseExpression)
    return result


def _variables(
    context: Context, parameters: cst.BaseExpression, scope: cst.CSTNode
) -> cst.BaseExpression:
    if isinstance(parameters, (cst.Name, cst.Attribute)):
        try:
            return write_variables(context, parameters, scope)
        except Unfit:
            if isinstance(context.fact(parameters), Tensor):
                return cst.List([cst.Element(parameters)])
            raise
    return write_variables(context, parameters, scope)
