"""The framework's classes and functions that are passed around: `act=nn.ReLU`, `norm_layer(n)`.

The variable that holds one keeps its callers as they are, so the reference becomes a callable with
the source's own parameters: those that the program's calls through variables give.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.context import Context
from transpiler.infer.values import Symbol, options
from transpiler.rule import Unfit
from transpiler.site import Keep, Site
from transpiler.syntax import find
from transpiler.template import arguments


def callable_for(context: Context, node: cst.BaseExpression, name: str) -> cst.BaseExpression:
    """A callable that takes the source's arguments and gives the target's object. Raises Unfit."""
    if _is_base(context, node):
        raise Unfit(f"a class derived from {name} is not translated")
    entry = signatures.lookup(name)
    if entry is None or entry.kind not in ("class", "function", "method") or not entry.signatures:
        raise Unfit(f"{name} is used without being called")
    given = _parameters_given(context, name)
    parameters = [
        p
        for p in entry.signatures[0].parameters
        if p.kind in ("positional-or-keyword", "positional-only", "keyword-only")
        and (p.default is None or p.name in given)
    ]
    values = {p.name: cst.Name(p.name) for p in parameters}
    call = cst.Call(func=node, args=arguments([], values))
    context.facts[call] = context.fact(node)
    site = Site(context, call, name)
    try:
        result = context.rulebook.translate(site)
    except Keep:
        raise Unfit(f"{name} is used without being called") from None
    if not isinstance(result, cst.BaseExpression):
        raise Unfit(f"{name} is used without being called")
    if isinstance(result, cst.Call) and not parameters and not result.args:
        return result.func
    if isinstance(result, cst.Call) and _passes_on(result, [p.name for p in parameters]):
        return result.func
    params = [
        cst.Param(
            cst.Name(p.name),
            default=None if p.default is None else cst.parse_expression(p.default),
        )
        for p in sorted(parameters, key=lambda p: p.default is not None)
    ]
    return cst.Lambda(cst.Parameters(params), result)


def _is_base(context: Context, node: cst.CSTNode) -> bool:
    """Whether a class of the program is derived from what the reference names."""
    parent = context.edits.parent.get(node)
    owner = context.edits.parent.get(parent) if isinstance(parent, cst.Arg) else None
    return isinstance(owner, cst.ClassDef)


def _passes_on(call: cst.Call, names: list[str]) -> bool:
    """Whether a call only hands the parameters on, in their order."""
    values = [a.value.value if isinstance(a.value, cst.Name) and a.keyword is None else None
              for a in call.args]  # fmt: skip
    return bool(names) and values == names


def _parameters_given(context: Context, name: str) -> set[str]:
    """The parameters that calls through variables give for a name."""
    table: dict[str, set[str]] | None = context.notes.get("indirect arguments")
    if table is None:
        table = {}
        for call in find(context.module, cst.Call):
            for value in options(context.fact(call.func)):
                if isinstance(value, Symbol) and not any(a.star for a in call.args):
                    _note(table, value.name, call)
        for instance in context.interpreter.instances.values():
            if isinstance(instance.cls, Symbol):  # calls with ** show in what they made
                table.setdefault(instance.cls.name, set()).update(instance.arguments)
        context.notes["indirect arguments"] = table
    return table.get(name, set())


def _note(table: dict[str, set[str]], name: str, call: cst.Call) -> None:
    positional: list[Any] = [a.value for a in call.args if a.keyword is None]
    keywords = {a.keyword.value: a.value for a in call.args if a.keyword is not None}
    try:
        bound = signatures.bind(name, positional, keywords)
    except signatures.BindError:
        return
    table.setdefault(name, set()).update(bound)
