"""Optimizers with variables of their own that step together: one optimizer, parameter groups."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Value, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_tape.gradients import parameters
from transpiler.rule import Unfit
from transpiler.rules.keras_emitted_groups import GROUPS
from transpiler.rules.keras_optimizers import Recipe
from transpiler.syntax import code, find
from transpiler.template import as_node, fill

UNCLEAR = Unfit("these parameter groups are not plain to see", "make one optimizer of torch.optim")
Settings = dict[str, cst.BaseExpression]


def is_groups(value: Value) -> bool:
    found = list(options(value))
    return bool(found) and all(isinstance(v, Instance) and GROUPS in v.class_names for v in found)


def plan_groups(context: Context) -> None:
    """Write each call that makes such optimizers."""
    for node in find(context.module, cst.Call):
        name = qualified_name(context, node.func)
        if name not in (GROUPS, "to_tf.parameter_groups"):
            continue
        context.claim(node)
        try:
            new = _listed(context, node) if name == GROUPS else _made(context, node)
            context.edits.replace(node, new)
        except Unfit as error:
            context.unfit(node, GROUPS, error)


def _listed(context: Context, node: cst.Call) -> cst.Call:
    """`ParameterGroups((optimizer, lambda: variables), ...)`."""
    made: list[tuple[cst.BaseExpression, Settings]] = []
    kinds: dict[str, cst.BaseExpression] = {}
    for arg in node.args:
        match arg:
            case cst.Arg(star="", value=cst.Tuple(elements=[
                cst.Element(value=cst.Call() as optimizer),
                cst.Element(value=cst.Lambda(body=variables)),
            ])):  # fmt: skip
                func, settings = _optimizer(context, optimizer)
                kinds[code(func)] = func
                made.append((parameters(context, variables), settings))
            case _:
                raise UNCLEAR
    if len(kinds) != 1:
        raise Unfit("these parameter groups have optimizers of several kinds")
    func = next(iter(kinds.values()))
    if len(made) == 1:
        return _call(func, made[0][0], made[0][1])
    shared = {k: v for k, v in made[0][1].items()
              if all(k in own and code(own[k]) == code(v) for _, own in made)}  # fmt: skip
    groups = [_group(params, own, shared) for params, own in made]
    return _call(func, cst.List([cst.Element(g) for g in groups]), shared)


def _group(params: cst.BaseExpression, own: Settings, shared: Settings) -> cst.Dict:
    items = {"params": params, **{k: v for k, v in own.items() if k not in shared}}
    return cst.Dict(
        [cst.DictElement(cst.SimpleString(f'"{name}"'), value) for name, value in items.items()]
    )


def _made(context: Context, node: cst.Call) -> cst.Call:
    """`parameter_groups(lambda lr=0.1: optimizer, groups)`: its defaults are the optimizer's."""
    match node.args:
        case [cst.Arg(value=cst.Lambda(params=params, body=cst.Call() as body)), cst.Arg() as rest]:
            defaults = {p.name.value: p.default for p in params.params}
        case _:
            raise UNCLEAR
    func, settings = _optimizer(context, body)
    for name, value in settings.items():
        read = {n.value for n in find(value, cst.Name)} & set(defaults)
        default = defaults.pop(name, None)
        if read and (read != {name} or not isinstance(value, cst.Name) or default is None):
            raise UNCLEAR
        settings[name] = default if read and default is not None else value
    return _call(func, rest.value, {**settings, **{k: v for k, v in defaults.items() if v}})


def _optimizer(context: Context, node: cst.Call) -> tuple[cst.BaseExpression, Settings]:
    """The class and the settings of a group's optimizer."""
    recipe = Recipe(context, context.fact(node), node)
    new = recipe.write(cst.Name("params"))
    if recipe.schedule is not None or recipe.origin is not node or not isinstance(new, cst.Call):
        raise Unfit("the optimizer of these parameters has a schedule of its own")
    context.claim(node)
    return new.func, {a.keyword.value: a.value for a in new.args if a.keyword is not None}


def _call(func: cst.BaseExpression, params: cst.BaseExpression, settings: Settings) -> cst.Call:
    options = [cst.Arg(as_node(value), cst.Name(name)) for name, value in settings.items()]
    return cst.Call(func, [cst.Arg(params), *options])


def group_of(node: cst.BaseExpression, context: Context) -> cst.BaseExpression | None:
    """`optimizer.groups[0][0]`, an optimizer among others, as its group of parameters."""
    match node:
        case cst.Subscript(
            value=cst.Subscript(
                value=cst.Attribute(value=optimizer, attr=cst.Name(value="groups")),
                slice=[cst.SubscriptElement(slice=cst.Index(value=index))],
            ),
            slice=[cst.SubscriptElement(slice=cst.Index(value=cst.Integer(value="0")))],
        ) if is_groups(context.fact(optimizer)):
            return fill("optimizer.param_groups[i]", optimizer=optimizer, i=index)
    return None
