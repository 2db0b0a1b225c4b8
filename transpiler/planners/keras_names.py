"""Names for what a translation adds."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import writes
from transpiler.syntax import find

_TRAINS = frozenset({"compile", "fit", "fit_generator", "evaluate", "evaluate_generator",
                     "predict", "train_on_batch", "test_on_batch", "GradientTape"})  # fmt: skip
"""Calls whose place gets lines of its own."""


def free_name(context: Context, name: str) -> str:
    """A variable's name that is free wherever models are made and trained.

    Keywords and attributes do not count, nor do variables of functions that do neither.
    """
    used = context.notes.get("variables")
    if used is None:
        used = context.notes["variables"] = _used(context)
    candidate, number = name, 1
    while candidate in used:
        number += 1
        candidate = f"{name}_{number}"
    used.add(candidate)
    context.names.add(candidate)
    return candidate


def _used(context: Context) -> set[str]:
    local: dict[cst.CSTNode, set[str]] = {}
    found = set()
    for node in find(context.module, cst.Name):
        parent = context.edits.parent.get(node)
        keyword = isinstance(parent, cst.Arg) and parent.keyword is node
        attribute = isinstance(parent, cst.Attribute) and parent.attr is node
        if keyword or attribute:
            continue
        function = context.edits.enclosing(node, cst.FunctionDef)
        if function is not None and function not in local:
            local[function] = _locals(function)
        if function is None or node.value not in local[function]:
            found.add(node.value)
    return found


def _locals(function: cst.FunctionDef) -> set[str]:
    """A function's own variables; none where lines may be added to it."""
    for node in find(function, cst.Call):
        if isinstance(node.func, cst.Attribute) and node.func.attr.value in _TRAINS:
            return set()
    if any(True for _ in find(function, cst.Global, cst.Nonlocal, cst.FunctionDef)
           if _ is not function):  # fmt: skip
        return set()
    params = function.params
    every = [*params.posonly_params, *params.params, *params.kwonly_params]
    return {p.name.value for p in every} | writes(function.body)
