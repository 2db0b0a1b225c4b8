"""Functions that make an optimizer, train and are run again: their step is defined inside of them.

A traced function makes variables on its first call only, so each run has to have one of its own.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import writes
from transpiler.infer.values import Function, Method, options
from transpiler.planners.step.events import instances
from transpiler.planners.step.regions import Region
from transpiler.syntax import find


def own_home(context: Context, region: Region) -> cst.CSTNode | None:
    """The statement to define the step before, if the function runs again with new optimizers."""
    scope = region.scope
    if not isinstance(scope, cst.FunctionDef) or not runs_again(context, scope):
        return None
    made = [i.origin for step in region.steps for i in instances(step.value)]
    lines = list(scope.body.body)
    places = [_position(context, lines, node) for node in made]
    home = _position(context, lines, region.events[0].statement)
    if not places or home is None or any(p is None or p >= home for p in places):
        return None
    return lines[home]


def _position(context: Context, lines: list[Any], node: cst.CSTNode | None) -> int | None:
    """Which of the statements a node stands in."""
    while node is not None and node not in lines:
        node = context.edits.parent.get(node)
    return None if node is None else lines.index(node)


def rebound_beside(context: Context, home: cst.CSTNode) -> set[str]:
    """Names that the statement, or one after it in its block, binds: a closure would lose track."""
    block: Any = context.edits.parent[home]
    lines = list(block.body)
    return set().union(*(writes(line) for line in lines[lines.index(home) :]))


def runs_again(context: Context, function: cst.FunctionDef) -> bool:
    """Whether a function may run again: called in a loop, from two places, or handed on."""
    return _runs_again(context, function, frozenset())


def _runs_again(
    context: Context, function: cst.FunctionDef, above: frozenset[cst.FunctionDef]
) -> bool:
    if function in above:
        return True
    calls = _uses(context).get(function, [])
    if len(calls) > 1:
        return True
    for call in calls:
        if context.edits.enclosing(call, cst.For, cst.While, cst.BaseComp, cst.Lambda) is not None:
            return True
        caller = context.edits.enclosing(call, cst.FunctionDef)
        if caller is not None and _runs_again(context, caller, above | {function}):
            return True
    return False


def _uses(context: Context) -> dict[cst.CSTNode, list[cst.CSTNode]]:
    """The places where each of the program's functions is called, or its name is read."""
    found = context.notes.get("uses of functions")
    if found is None:
        found = {}
        for node in find(context.module, cst.Name, cst.Attribute):
            parent = context.edits.parent.get(node)
            if isinstance(parent, (cst.Attribute, cst.FunctionDef)):
                continue
            for value in options(context.fact(node)):
                function = value.function if isinstance(value, Method) else value
                if isinstance(function, Function):
                    found.setdefault(function.node, []).append(node)
        context.notes["uses of functions"] = found
    return found
