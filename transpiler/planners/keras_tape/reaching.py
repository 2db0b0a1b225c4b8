"""The variables of an update, written where the optimizer is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Instance, Value, options
from transpiler.modules import owner_class, self_name
from transpiler.planners.keras_tape.chains import order_of
from transpiler.planners.keras_tape.gradients import is_variable_list
from transpiler.planners.keras_tape.updates import assignments, scope_of
from transpiler.rule import Unfit
from transpiler.syntax import code, find
from transpiler.template import fill

UNREACHED = "the variables that this optimizer updates have no name where it is made"
ADVICE = "make the optimizer where its model is made, from model.parameters()"


@dataclass
class Reached:
    """An expression, and the statements that have to run before it."""

    expression: cst.BaseExpression
    after: list[Any] = field(default_factory=list)


def reach_variables(context: Context, node: cst.BaseExpression, place: cst.CSTNode) -> Reached:
    """`model.trainable_variables` of an update as parameters at another place. Raises Unfit."""
    match node:
        case cst.Attribute() if is_variable_list(node):
            model = reach_object(context, node.value, place)
            return Reached(fill("model.parameters()", model=model.expression), model.after)
        case cst.BinaryOperation(operator=cst.Add()):
            return _sum(context, [node.left, node.right], place)
        case cst.List() | cst.Tuple():
            parts = [_variable(context, e.value, place) for e in node.elements]
            elements = [cst.Element(p.expression) for p in parts]
            return Reached(cst.List(elements), [s for p in parts for s in p.after])
        case cst.Name():
            return _name(context, node, place)
        case cst.Call(func=cst.Name(value="list" | "tuple"), args=[cst.Arg(value=inner)]):
            return reach_variables(context, inner, place)
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value="values")), args=[]):
            held = _variable(context, owner, place)
            return Reached(fill("held.values()", held=held.expression), held.after)
        case cst.Attribute():
            return _list_object(context, node, place)
    raise Unfit(UNREACHED, ADVICE)


def _sum(context: Context, nodes: list[cst.BaseExpression], place: cst.CSTNode) -> Reached:
    elements: list[Any] = []
    after: list[Any] = []
    for node in nodes:
        part = reach_variables(context, node, place)
        after += part.after
        if isinstance(part.expression, cst.List):
            elements += part.expression.elements
        else:
            elements.append(cst.StarredElement(part.expression))
    return Reached(cst.List(elements), after)


def _name(context: Context, node: cst.Name, place: cst.CSTNode) -> Reached:
    """A list of variables under a name: what it was made from, else the name itself."""
    scope = scope_of(context, node)
    made = assignments(context, scope, node.value)
    if not made and scope is not context.module and not _is_parameter(scope, node.value):
        made = assignments(context, context.module, node.value)
        scope = context.module
    if len(made) == 1 and made[0][1] is None:
        value = made[0][0].value
        if not isinstance(value, (cst.ListComp, cst.Call)) and not _is_empty(value):
            return reach_variables(context, value, place)
        if isinstance(value, cst.Call) and scope not in (context.module, scope_of(context, place)):
            return reach_variables(context, value, place)
        if scope in (context.module, scope_of(context, place)):
            return Reached(cst.Name(node.value), [context.edits.statement(made[0][0])])
    if isinstance(scope, cst.FunctionDef) and _is_parameter(scope, node.value):
        return _argument(context, scope, node.value, place)
    raise Unfit(UNREACHED, ADVICE)


def _is_empty(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.List) and not node.elements


def _is_parameter(scope: Any, name: str) -> bool:
    if not isinstance(scope, cst.FunctionDef):
        return False
    params = scope.params
    every = [*params.posonly_params, *params.params, *params.kwonly_params]
    return any(p.name.value == name for p in every)


def arguments_of_callers(
    context: Context, function: cst.FunctionDef
) -> Iterator[dict[str, cst.BaseExpression]]:
    """What each call of a function hands over, by the parameters' names."""
    params = [p.name.value for p in function.params.params]
    for node in find(context.module, cst.Call):
        callee = context.fact(node.func)
        inner = getattr(callee, "function", callee)
        if getattr(inner, "node", None) is not function:
            continue
        own = params[1:] if callee is not inner else params
        plain = [a.value for a in node.args if a.keyword is None and not a.star]
        given = dict(zip(own, plain, strict=False))
        yield given | {a.keyword.value: a.value for a in node.args if a.keyword is not None}


def _argument(
    context: Context, function: cst.FunctionDef, name: str, place: cst.CSTNode
) -> Reached:
    """What the one caller hands over."""
    found = [
        reach_variables(context, given[name], place)
        for given in arguments_of_callers(context, function)
        if name in given
    ]
    if found and len({code(f.expression) for f in found}) == 1:
        return found[0]
    raise Unfit(UNREACHED, ADVICE)


def _variable(context: Context, node: cst.BaseExpression, place: cst.CSTNode) -> Reached:
    """One variable, by the name it has everywhere."""
    root: Any = node
    while isinstance(root, (cst.Attribute, cst.Subscript)):
        root = root.value
    if not isinstance(root, cst.Name):
        raise Unfit(UNREACHED, ADVICE)
    here, there = scope_of(context, node), scope_of(context, place)
    if isinstance(node, cst.Attribute) and context.fact(root) is not None:
        made = _attribute_made(context, node, there)
        if made is not None:
            return Reached(node.deep_clone(), made)
    for scope in dict.fromkeys((there, context.module)):
        made_here = assignments(context, scope, root.value)
        if made_here and (here is scope or not assignments(context, here, root.value)):
            last = context.edits.statement(made_here[0][0])
            return Reached(node.deep_clone(), [last] if scope is there else [])
    raise Unfit(UNREACHED, ADVICE)


def _attribute_made(context: Context, node: cst.Attribute, scope: Any) -> list[Any] | None:
    """Where a constructor sets `self.w`, if that is where the optimizer is made."""
    text = code(node).strip()
    owner, other = owner_class(context, node), owner_class(context, scope)
    if owner is None or owner is not other:
        return None
    found = [
        context.edits.statement(t)
        for t in find(scope, cst.AssignTarget)
        if code(t.target).strip() == text
    ]
    return found[-1:]


def _list_object(context: Context, node: cst.Attribute, place: cst.CSTNode) -> Reached:
    """`self.variables_to_train`: the same attribute, where the class is the same."""
    owner = owner_class(context, node)
    if owner is not None and owner is owner_class(context, place):
        made = _attribute_made(context, node, scope_of(context, place))
        return Reached(node.deep_clone(), made or [])
    raise Unfit(UNREACHED, ADVICE)


# ---- objects ---------------------------------------------------------------------------------


def _ids(value: Value) -> set[int]:
    return {id(o) for o in options(value) if isinstance(o, Instance)}


def reach_object(context: Context, node: cst.BaseExpression, place: cst.CSTNode) -> Reached:
    """The same model, by a name that it has at another place. Raises Unfit."""
    wanted = _ids(context.fact(node))
    scope = scope_of(context, place)
    if not wanted:
        return _same_text(context, node, place)
    own = _same_self(context, node, scope)
    if own is not None:
        return own
    found = _assigned_in(context, scope, wanted) or _held(context, scope, wanted)
    if not found:
        raise Unfit(UNREACHED, ADVICE)
    order = order_of(context)
    same = [f for f in found if code(f.expression).strip() == code(node).strip()]
    candidates = same or found
    here = order.index[place]
    before = [f for f in candidates if all(order.end(s) < here for s in f.after)]
    return (before or candidates)[-1] if before else candidates[0]


def _same_self(context: Context, node: cst.BaseExpression, scope: Any) -> Reached | None:
    """The object itself, where a method of the same class makes what another one steps with."""
    home = scope_of(context, node)
    if not isinstance(node, cst.Name) or not isinstance(scope, cst.FunctionDef):
        return None
    owner = owner_class(context, home)
    if owner is None or owner is not owner_class(context, scope) or node.value != self_name(home):
        return None
    after = [scope.body.body[-1]] if scope.name.value == "__init__" else []
    return Reached(cst.Name(self_name(scope)), after)


def _same_text(context: Context, node: cst.BaseExpression, place: cst.CSTNode) -> Reached:
    """Where nothing is known of the object: its name, if that means the same."""
    if isinstance(node, cst.Attribute):
        made = _attribute_made(context, node, scope_of(context, place))
        if made:
            return Reached(node.deep_clone(), made)
    if not isinstance(node, cst.Name):
        raise Unfit(UNREACHED, ADVICE)
    scope, home = scope_of(context, place), scope_of(context, node)
    made = assignments(context, scope, node.value)
    if scope is home or scope is context.module:
        if made:
            return Reached(cst.Name(node.value), [context.edits.statement(made[0][0])])
        if _is_parameter(scope, node.value):
            return Reached(cst.Name(node.value))
    raise Unfit(UNREACHED, ADVICE)


def _assigned_in(context: Context, scope: Any, wanted: set[int]) -> list[Reached]:
    """Names and attributes that the function itself binds to the object."""
    found: list[Reached] = []
    for target in find(scope, cst.AssignTarget):
        if scope_of(context, target) is not scope:
            continue
        for part in _parts(target.target):
            have = _ids(context.fact(part))
            if have and have <= wanted:
                statement = context.edits.statement(target)
                found.append(Reached(part.deep_clone(), [statement]))
    return found


def _parts(target: cst.BaseExpression) -> list[cst.BaseExpression]:
    if isinstance(target, (cst.Tuple, cst.List)):
        return [p for e in target.elements for p in _parts(e.value)]
    return [target]


def _held(context: Context, scope: Any, wanted: set[int]) -> list[Reached]:
    """Parameters, attributes of `self`, globals, and attributes of what these hold."""
    found: list[Reached] = []
    if isinstance(scope, cst.FunctionDef):
        owner = owner_class(context, scope)
        first = self_name(scope)
        for param in scope.params.params:
            have = _ids(context.fact(param.name))
            if have and have <= wanted:
                own = owner is not None and param.name.value == first
                after = [scope.body.body[-1]] if own and scope.name.value == "__init__" else []
                found.append(Reached(cst.Name(param.name.value), after))
        if not found and owner is not None:
            found += _attributes(context, owner, first, wanted)
    if not found:
        for frame in context.interpreter.activations.get(context.module, []):
            for name, value in frame.values.items():
                if _ids(value) and _ids(value) <= wanted:
                    found.append(Reached(cst.Name(name), _made_at(context, scope, name)))
    return found or _one_deeper(context, scope, wanted)


def _made_at(context: Context, scope: Any, name: str) -> list[Any]:
    if scope is not context.module:
        return []
    made = assignments(context, scope, name)
    return [context.edits.statement(made[0][0])] if made else []


def _attributes(context: Context, owner: Any, first: str, wanted: set[int]) -> list[Reached]:
    names: dict[str, None] = {}
    for instance in context.interpreter.instances.values():
        if isinstance(instance.cls, Class) and instance.cls.node is owner:
            for name, value in instance.attributes.items():
                if _ids(value) and _ids(value) <= wanted:
                    names[name] = None
    return [Reached(cst.Attribute(cst.Name(first), cst.Name(n))) for n in names]


def _one_deeper(context: Context, scope: Any, wanted: set[int]) -> list[Reached]:
    """`runner.model` where the function has a runner."""
    found = []
    for frame in context.interpreter.activations.get(scope, []):
        for name, value in frame.values.items():
            for option in options(value):
                if not isinstance(option, Instance):
                    continue
                for attribute, held in option.attributes.items():
                    if _ids(held) and _ids(held) <= wanted:
                        made = assignments(context, scope, name)
                        after = [context.edits.statement(made[0][0])] if made else []
                        new = cst.Attribute(cst.Name(name), cst.Name(attribute))
                        found.append(Reached(new, after))
    return found
