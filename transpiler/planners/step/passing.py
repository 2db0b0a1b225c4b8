"""Whether gradients may pass into a value: followed back through assignments and calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Tensor
from transpiler.planners.step.regions import (
    call_touches,
    differentiable_calls,
    differentiable_reads,
)
from transpiler.syntax import code, find, target_names

_MOST_CALLS = 4


def may_pass(context: Context, node: cst.CSTNode, calls: int = _MOST_CALLS) -> bool:
    """Whether what trained variables computed may be among what an expression is computed from."""
    pending, seen = [(node, calls)], {node}
    while pending:
        current, left = pending.pop()
        if any(call_touches(context, c) for c in differentiable_calls(context, current)):
            return True
        for name in differentiable_reads(context, current):
            for source, rest in _sources(context, current, name, left):
                if source not in seen:
                    seen.add(source)
                    pending.append((source, rest))
        if _is_variable(context, current):
            return True
    return False


def _is_variable(context: Context, node: cst.CSTNode) -> bool:
    fact = context.fact(node) if isinstance(node, cst.BaseExpression) else None
    return isinstance(fact, Tensor) and fact.variable


def _sources(
    context: Context, node: cst.CSTNode, name: str, calls: int
) -> Iterator[tuple[cst.CSTNode, int]]:
    """What a function assigns to a name, and what it is called with for a parameter."""
    function = context.edits.enclosing(node, cst.FunctionDef)
    scope: Any = function or context.module
    for assign in find(scope, cst.Assign):
        if any(name in target_names(t.target) for t in assign.targets):
            yield assign.value, calls
    for changed in find(scope, cst.AugAssign):
        if name in target_names(changed.target):
            yield changed.value, calls
    if function is not None and calls:
        for given in _given(context, function, name):
            yield given, calls - 1


def _given(context: Context, function: cst.FunctionDef, name: str) -> Iterator[cst.BaseExpression]:
    params = [p.name.value for p in function.params.params]
    if name not in params:
        return
    method = isinstance(context.edits.enclosing(function, cst.ClassDef), cst.ClassDef)
    for call in find(context.module, cst.Call):
        if code(call.func).rpartition(".")[2] != function.name.value:
            continue
        place = params.index(name) - (method and isinstance(call.func, cst.Attribute))
        for index, arg in enumerate(call.args):
            if (arg.keyword.value == name) if arg.keyword is not None else index == place:
                yield arg.value
