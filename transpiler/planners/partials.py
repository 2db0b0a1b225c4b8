"""The planner of `functools.partial` around the framework's classes and functions.

`partial(nn.LayerNorm, eps=1e-6)` becomes a lambda with the parameters that its calls give, or a
partial again where these are all that the target's function takes beside what is bound.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, join, options
from transpiler.rule import Unfit
from transpiler.rules.facts_functools import PARTIAL
from transpiler.rules.naming import SOURCE_ROOTS
from transpiler.site import Keep, Site
from transpiler.syntax import find, walk
from transpiler.template import arguments

Bound = dict[str, Any]


def plan(context: Context) -> None:
    """Write every partial of a name of the source framework as a callable."""
    found: dict[cst.Call, str] = {}
    for node in find(context.module, cst.Call):
        if context.fact(node.func) != Symbol(PARTIAL) or not node.args or node in context.claimed:
            continue
        function = context.fact(node.args[0].value)
        if not isinstance(function, Symbol):
            continue
        if function.name.partition(".")[0] in SOURCE_ROOTS[context.to]:
            found[node] = function.name
    makers = {n for n, name in found.items() if _makes_optimizers(context, name)}
    for node, name in found.items():
        for part in walk(node.args[0]):
            context.claim(part)
        first = len(context.reports)
        try:
            calls = _calls(context, node)
            alone = node in makers and all(_only_makes(context, c, makers) for c in calls)
            context.edits.replace(node, _callable(context, node, name, calls, alone))
            context.anchor(node, first)
        except Unfit as error:
            context.unfit(node, PARTIAL, error)


def _makes_optimizers(context: Context, name: str) -> bool:
    """Whether what a partial gives is an optimizer, which in Keras is told no variables."""
    derived = context.knowledge.derives(Symbol(name), "torch.optim.Optimizer")
    return context.to == "tf" and (derived or name == "to_torch.scheduled")


def _only_makes(context: Context, call: cst.Call, makers: set[cst.Call]) -> bool:
    """Whether a call runs such partials alone, and stays as it is written."""
    made = [getattr(o, "origin", None) for o in options(context.fact(call.func))]
    plain = bool(call.args) and call.args[0].keyword is None and not call.args[0].star
    return plain and not context.edits.edited(call) and all(o in makers for o in made)


def _callable(
    context: Context, node: cst.Call, name: str, own: list[cst.Call], alone: bool
) -> cst.BaseExpression:
    """The function that the target's program calls.

    own: the calls that run it. alone: whether these leave out the parameters of a model.
    """
    bound = _bind(name, node.args[1:], 0)
    count = sum(a.keyword is None for a in node.args[1:])
    calls = [_bind(name, c.args, count) for c in own]
    given = {p: None for c in calls for p in c}
    names = [
        p.name
        for p in _parameters(name)
        if p.name in given or (p.default is None and p.name not in bound)
    ]
    values: Bound = {**bound, **{p: cst.Name(p) for p in names}}
    for p in names:
        facts = [context.fact(c.get(p, bound.get(p))) for c in calls]
        if facts:
            context.facts[values[p]] = join(*facts)
    call = cst.Call(node.args[0].value, arguments([], values))
    context.facts[call] = context.fact(node)
    try:
        result = context.rulebook.translate(Site(context, call, name))
    except Keep:
        raise Unfit(f"what {name} becomes with some of its arguments is not known") from None
    if not isinstance(result, cst.BaseExpression):
        raise Unfit(f"what {name} becomes with some of its arguments is not known")
    if alone and names[:1] in (["params"], ["parameters"]):
        names = names[1:]
        for used in own:
            for part in walk(used.args[0]):
                context.claim(part)
            context.edits.replace(used.args[0], [])
    return _shortest(node, result, names, bound)


def _calls(context: Context, node: cst.Call) -> list[cst.Call]:
    """The calls that a partial's function is run by."""
    return [
        call
        for call in find(context.module, cst.Call)
        if any(
            isinstance(o, Instance) and o.cls == Symbol(PARTIAL) and o.origin is node
            for o in options(context.fact(call.func))
        )
    ]


def _bind(name: str, given: Any, before: int) -> Bound:
    """Arguments by the names of parameters, after some that are there already. Raises Unfit."""
    if any(a.star for a in given):
        raise Unfit(f"arguments of a partial of {name} are unpacked with * or **")
    positional: list[Any] = [None] * before
    positional += [a.value for a in given if a.keyword is None]
    keywords = {a.keyword.value: a.value for a in given if a.keyword is not None}
    for missing in _parameters(name)[len(positional) :]:
        if missing.default is None:
            keywords.setdefault(missing.name, None)
    try:
        found = signatures.bind(name, positional, keywords)
    except signatures.BindError as error:
        raise Unfit(f"arguments of {name} do not match: {error}") from None
    if any(isinstance(v, list) for v in found.values()):
        raise Unfit(f"a partial of {name}, which takes any number of arguments")
    return {p: v for p, v in found.items() if v is not None}


def _parameters(name: str) -> list[Any]:
    entry = signatures.lookup(name)
    kinds = ("positional-or-keyword", "positional-only", "keyword-only")
    return [p for p in entry.signatures[0].parameters if p.kind in kinds] if entry else []


def _shortest(
    node: cst.Call, result: cst.BaseExpression, names: list[str], bound: Bound
) -> cst.BaseExpression:
    """The target's function itself, a partial of it, or a lambda."""
    free = [p for p in names if p not in bound]
    if isinstance(result, cst.Call) and free == names:
        first = [a.value for a in result.args[: len(names)]]
        rest = result.args[len(names) :]
        passed = [n.value if isinstance(n, cst.Name) else None for n in first]
        used = {n.value for a in rest for n in find(a.value, cst.Name)}
        plain = all(a.keyword is None for a in result.args[: len(names)])
        if passed == names and plain and not used & set(names):
            if not rest:
                return result.func
            if all(a.keyword is not None for a in rest):
                return node.with_changes(args=[cst.Arg(result.func), *rest])
    params = [cst.Param(cst.Name(p)) for p in free]
    params += [cst.Param(cst.Name(p), default=bound[p]) for p in names if p in bound]
    return cst.Lambda(cst.Parameters(params), result)
