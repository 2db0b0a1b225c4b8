"""Functions that make layers are given the size of what these are called on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Function, Instance, options
from transpiler.modules import owner_class
from transpiler.syntax import find
from transpiler.template import arguments

Size = int | str | None
Solve = Callable[[cst.Call, list[Instance], list[Size]], cst.BaseExpression | None]


def function_input_size(
    context: Context,
    node: cst.CSTNode,
    made: Sequence[Instance],
    sizes: Sequence[Size],
    rank: int | None,
    solve: Solve,
) -> cst.BaseExpression | None:
    """The name of a new first parameter for the size, where every call of the function can say it.

    None where the layers are made in a class's method, at the top of the file or by a function that
    is handed around, and where a call makes layers of several sizes.
    """
    function = context.edits.enclosing(node, cst.FunctionDef)
    if function is None or owner_class(context, function) is not None:
        return None
    wanted = _by_call(made, sizes)
    asked: dict[Any, tuple[str, Any] | None] = context.notes.setdefault("function input sizes", {})
    if function not in asked:
        asked[function] = None  # a function that calls itself has no size that can be said
        asked[function] = _ask(context, function, wanted, made, rank, solve)
    found = asked[function]
    if found is None or found[1] != wanted:
        return None
    return cst.Name(found[0])


def _by_call(made: Sequence[Instance], sizes: Sequence[Size]) -> dict[Any, set[Size]]:
    """The sizes that are needed, by the call of the function that made the layers."""
    found: dict[Any, set[Size]] = {}
    for layer, size in zip(made, sizes, strict=True):
        found.setdefault(layer.state.get("made by"), set()).add(size)
    return found


def _ask(
    context: Context,
    function: cst.FunctionDef,
    wanted: dict[Any, set[Size]],
    made: Sequence[Instance],
    rank: int | None,
    solve: Solve,
) -> tuple[str, dict[Any, set[Size]]] | None:
    calls = _calls(context, function)
    in_graph: set[Any] = context.notes.get("graph origins", set())
    if calls is None or set(calls) != set(wanted) or in_graph & set(calls):
        return None
    new: dict[cst.Call, cst.BaseExpression] = {}
    for call_ in calls:
        by_caller = [
            Instance(m.cls, {}, {}, call_, {"made among": m.state.get("made for", {})})
            for m in made
            if m.state.get("made by") is call_
        ]
        each = list(wanted[call_])
        if len(each) != 1:
            return None
        size = solve(call_, by_caller, each * len(by_caller))
        if size is None:
            return None
        new[call_] = size
    name = "in_channels" if (rank or 0) > 3 else "in_features"
    if name in {p.name.value for p in find(function.params, cst.Param)}:
        return None
    for call_, size in new.items():
        context.edits.wrap(call_, with_first(size))
    context.edits.wrap(function.params, _with_parameter(name))
    return name, wanted


def _calls(context: Context, function: cst.FunctionDef) -> list[cst.Call] | None:
    """All calls of a function; None where it is used otherwise too."""
    called = [c for c in find(context.module, cst.Call) if _is(context, c.func, function)]
    callees = {c.func for c in called}
    for name in find(context.module, cst.Name):
        if name.value == function.name.value and name is not function.name:
            if name not in callees and _is(context, name, function):
                return None
    single = all(len(list(options(context.fact(c.func)))) == 1 for c in called)
    return called if single else None


def _is(context: Context, node: cst.CSTNode, function: cst.FunctionDef) -> bool:
    return any(isinstance(o, Function) and o.node is function for o in options(context.fact(node)))


def with_first(size: cst.BaseExpression) -> Callable[[Any], Any]:
    """A change of a call: one more argument, in front."""

    def change(node: Any) -> Any:
        if not isinstance(node, cst.Call):
            return node
        return node.with_changes(args=[*arguments([size]), *node.args])

    return change


def _with_parameter(name: str) -> Callable[[Any], Any]:
    def change(node: Any) -> Any:
        if not isinstance(node, cst.Parameters):
            return node
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        more = node.params or node.kwonly_params or node.star_kwarg
        own = cst.Param(cst.Name(name), comma=comma if more else cst.MaybeSentinel.DEFAULT)
        return node.with_changes(params=[own, *node.params])

    return change
