"""The variables that an optimizer updates, written where it steps."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import UNKNOWN, Class, Instance, Tensor, Value, options
from transpiler.modules import owner_class, self_name
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.events import Event, instances
from transpiler.rule import Unfit
from transpiler.syntax import find
from transpiler.template import fill

_LIST_MAKERS = ("list", "tuple", "chain", "set")


def variables_of(context: Context, event: Event, scope: cst.CSTNode) -> cst.BaseExpression:
    """The list of variables that a step updates, as an expression that is valid in the scope."""
    from transpiler.planners.step.groups import CARRIED, carry

    carried = context.notes.get(CARRIED, {})
    if any(i.origin in carried for i in instances(event.value)):
        return carry(context, event)
    try:
        if len({id(i.origin) for i in instances(event.value)}) > 1:
            return _same_name(context, event, scope)
        return write_variables(context, parameters_of(context, event), scope)
    except Unfit as error:
        try:
            return carry(context, event)
        except Unfit:
            raise error from None


def _same_name(context: Context, event: Event, scope: cst.CSTNode) -> cst.BaseExpression:
    """Several optimizers come here, each with its model under one and the same name."""
    if not isinstance(event.target, cst.Name):
        raise Unfit("several optimizers step here")
    names: set[str] | None = None
    for frame in context.interpreter.activations.get(scope, []):
        for optimizer in instances(frame.values.get(event.target.value, UNKNOWN)):
            single = Event(event.kind, event.name, event.statement, event.node, None, optimizer)
            wanted = _whole_model(context, parameters_of(context, single))
            here = {n for n, v in frame.values.items() if _is(v, wanted)}
            names = here if names is None else names & here
    if names is None or len(names) != 1:
        raise Unfit("several optimizers step here, for models under different names")
    return fill("model.trainable_variables", model=cst.Name(names.pop()))


def _whole_model(context: Context, node: cst.BaseExpression) -> set[int]:
    """The model whose `parameters()` an optimizer was given, filtered or not."""
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        if qualified_name(context, node.func) == "torch.nn.Module.parameters":
            return {id(i) for i in instances(context.fact(node.func.value))}
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.args:
        if node.func.value in ("filter", *_LIST_MAKERS):
            return _whole_model(context, node.args[-1].value)
    raise Unfit("an optimizer of some of a model's parameters")


def parameters_of(context: Context, event: Event) -> cst.BaseExpression:
    """What the optimizer was given, as written where it was made. Raises Unfit."""
    found = {id(i.origin): i for i in instances(event.value)}
    if len(found) != 1:
        raise Unfit(
            "which variables this optimizer updates is not known here",
            "make the optimizer in this file, or pass it in from a function that does",
        )
    origin = next(iter(found.values())).origin
    if not isinstance(origin, cst.Call):
        raise Unfit("the optimizer is not made by a plain call")
    for arg in origin.args:
        if arg.star:
            continue
        if arg.keyword is not None and arg.keyword.value == "params":
            return arg.value
    if not origin.args or origin.args[0].star or origin.args[0].keyword is not None:
        raise Unfit("which variables this optimizer updates is not known here")
    return origin.args[0].value


def write_variables(
    context: Context, node: cst.BaseExpression, scope: cst.CSTNode
) -> cst.BaseExpression:
    """`model.parameters()` and lists of such as lists of variables. Raises Unfit."""
    match node:
        case cst.Call():
            return _from_call(context, node, scope)
        case cst.BinaryOperation(operator=cst.Add()):
            left = write_variables(context, node.left, scope)
            right = write_variables(context, node.right, scope)
            return fill("a + b", a=left, b=right)
        case cst.List() | cst.Tuple():
            return _from_list(context, node, scope)
        case cst.Name():
            return _from_name(context, node, scope)
        case cst.Attribute():
            return in_scope(context, node, scope)
        case cst.ListComp() if _plain_source(node) is not None:
            return write_variables(context, node.for_in.iter, scope)
        case cst.ListComp():
            return in_scope(context, node, scope)
    raise Unfit("the parameters given to this optimizer are not plain enough to translate")


def _plain_source(node: cst.ListComp) -> cst.BaseExpression | None:
    """What `[p for p in source]` lists, where it leaves out no trainable variable."""
    name = getattr(node.for_in.target, "value", None)
    if not isinstance(node.elt, cst.Name) or node.elt.value != name:
        return None
    plain = all(_asks_if_trainable(test.test, name) for test in node.for_in.ifs)
    return node.for_in.iter if plain else None


def _asks_if_trainable(test: cst.BaseExpression, name: str) -> bool:
    """`p.requires_grad`, which all trainable variables pass."""
    return (
        isinstance(test, cst.Attribute)
        and test.attr.value == "requires_grad"
        and isinstance(test.value, cst.Name)
        and test.value.value == name
    )


def _filters_trainable(node: cst.Call) -> bool:
    function = node.args[0].value
    if not isinstance(function, cst.Lambda) or not function.params.params:
        return False
    return _asks_if_trainable(function.body, function.params.params[0].name.value)


def _from_call(context: Context, node: cst.Call, scope: cst.CSTNode) -> cst.BaseExpression:
    name = qualified_name(context, node.func)
    if name == "torch.nn.Module.parameters":
        assert isinstance(node.func, cst.Attribute)
        model = in_scope(context, node.func.value, scope)
        return fill("model.trainable_variables", model=model)
    func: Any = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
    if isinstance(node.func, cst.Attribute) and func.value == "parameters" and not node.args:
        # Only modules have such a method, whatever they are.
        model = in_scope(context, node.func.value, scope)
        return fill("model.trainable_variables", model=model)
    if isinstance(func, cst.Name):
        if func.value == "filter" and len(node.args) == 2 and _filters_trainable(node):
            return write_variables(context, node.args[1].value, scope)
        if func.value in _LIST_MAKERS and node.args:
            parts = [write_variables(context, a.value, scope) for a in node.args]
            result = parts[0]
            for part in parts[1:]:
                result = fill("a + b", a=result, b=part)
            return result
    raise Unfit("the parameters given to this optimizer are not plain enough to translate")


def _from_list(
    context: Context, node: cst.List | cst.Tuple, scope: cst.CSTNode
) -> cst.BaseExpression:
    parts: list[cst.BaseExpression] = []
    singles: list[cst.BaseExpression] = []
    for element in node.elements:
        if isinstance(element, cst.StarredElement):
            parts.append(write_variables(context, element.value, scope))
        elif isinstance(element.value, cst.Dict):
            parts.append(_from_group(context, element.value, scope))
        elif isinstance(element.value, cst.Call):
            raise Unfit("a variable that is made in the optimizer's call has no name")
        else:
            singles.append(in_scope(context, element.value, scope))
    if singles:
        parts.insert(0, cst.List([cst.Element(s) for s in singles]))
    if not parts:
        raise Unfit("this optimizer is given no parameters")
    result = parts[0]
    for part in parts[1:]:
        result = fill("a + b", a=result, b=part)
    return result


def _from_group(context: Context, node: cst.Dict, scope: cst.CSTNode) -> cst.BaseExpression:
    """A parameter group that sets nothing of its own."""
    found: cst.BaseExpression | None = None
    for element in node.elements:
        if isinstance(element, cst.DictElement) and isinstance(element.key, cst.SimpleString):
            if element.key.evaluated_value == "params":
                found = element.value
            else:
                raise Unfit(
                    "parameter groups with settings of their own need one Keras optimizer each",
                    "make one optimizer per group and step them together",
                )
    if found is None:
        raise Unfit("a parameter group without `params`")
    if isinstance(found, (cst.Name, cst.Attribute)):
        try:
            return write_variables(context, found, scope)
        except Unfit:
            return cst.List([cst.Element(in_scope(context, found, scope))])
    return write_variables(context, found, scope)


def _from_name(context: Context, node: cst.Name, scope: cst.CSTNode) -> cst.BaseExpression:
    """A variable that was bound to the parameters once: what it was bound to."""
    owner = context.edits.enclosing(node, cst.FunctionDef) or context.module
    values = [
        assign.value
        for assign in find(owner, cst.Assign)
        for target in assign.targets
        if isinstance(target.target, cst.Name) and target.target.value == node.value
    ]
    if len(values) == 1:
        if isinstance(values[0], cst.ListComp) and _plain_source(values[0]) is None:
            return in_scope(context, node, scope)
        if _lists_variables(context, values[0]) and _same_scope(context, node, scope):
            return node
        return write_variables(context, values[0], scope)
    raise Unfit("the parameters given to this optimizer are not plain enough to translate")


def _lists_variables(context: Context, node: cst.BaseExpression) -> bool:
    """Whether a list holds variables themselves, which are there when it is made."""
    return isinstance(node, (cst.List, cst.Tuple)) and all(
        isinstance(e, cst.Element)
        and any(isinstance(o, Tensor) and o.variable for o in options(context.fact(e.value)))
        for e in node.elements
    )


def _same_scope(context: Context, node: cst.BaseExpression, scope: cst.CSTNode) -> bool:
    home = context.edits.enclosing(node, cst.FunctionDef)
    if home is None:
        return _names_are_global(context, node, scope)
    return home is scope


# ---- names in another scope ------------------------------------------------------------------


def in_scope(context: Context, node: cst.BaseExpression, scope: cst.CSTNode) -> cst.BaseExpression:
    """An expression for the same object that is valid in the scope. Raises Unfit."""
    home = context.edits.enclosing(node, cst.FunctionDef)
    if home is scope or (home is None and not isinstance(scope, cst.FunctionDef)):
        return node
    if home is None and _names_are_global(context, node, scope):
        return node
    wanted = {id(i) for i in instances(context.fact(node))}
    found = _find_objects(context, wanted, scope) if wanted else []
    same = [f for f in found if f.deep_equals(node)]
    if same or len(found) == 1:
        return (same or found)[0]
    if found:
        raise Unfit("several names may hold the model whose variables are updated here")
    if isinstance(node, cst.Attribute):
        return cst.Attribute(in_scope(context, node.value, scope), cst.Name(node.attr.value))
    raise Unfit("the model whose variables are updated here is not in reach of this function")


def _names_are_global(context: Context, node: cst.CSTNode, scope: cst.CSTNode) -> bool:
    """Whether names of module level mean the same inside the function."""
    bound: set[str] = set()
    for frame_owner in _functions_around(context, scope):
        params = frame_owner.params
        bound |= {p.name.value for p in [*params.params, *params.kwonly_params]}
        for target in find(frame_owner.body, cst.AssignTarget):
            if isinstance(target.target, cst.Name):
                bound.add(target.target.value)
    names = {n.value for n in find(node, cst.Name)}
    roots = {r for r in names if r in bound}
    return not roots


def _functions_around(context: Context, scope: cst.CSTNode) -> list[cst.FunctionDef]:
    found = []
    current: Any = scope
    while current is not None:
        if isinstance(current, cst.FunctionDef):
            found.append(current)
        current = context.edits.parent.get(current)
    return found


def _find_objects(
    context: Context, wanted: set[int], scope: cst.CSTNode
) -> list[cst.BaseExpression]:
    """The names, and else the attributes of `self`, that hold the object in a function."""
    found: dict[str, cst.BaseExpression] = {}
    if isinstance(scope, cst.FunctionDef):
        for frame in context.interpreter.activations.get(scope, []):
            for name, value in frame.values.items():
                if _is(value, wanted):
                    found[name] = cst.Name(name)
        owner = owner_class(context, scope)
        if not found and owner is not None:
            first = cst.Name(self_name(scope))
            for instance in context.interpreter.instances.values():
                if isinstance(instance.cls, Class) and instance.cls.node is owner:
                    for name, value in instance.attributes.items():
                        if _is(value, wanted):
                            found[name] = cst.Attribute(first, cst.Name(name))
    if not found:
        for frame in context.interpreter.activations.get(context.module, []):
            for name, value in frame.values.items():
                if _is(value, wanted):
                    found[name] = cst.Name(name)
    return list(found.values())


def _is(value: Value, wanted: set[int]) -> bool:
    have = {id(o) for o in options(value) if isinstance(o, Instance)}
    return bool(have) and have <= wanted
