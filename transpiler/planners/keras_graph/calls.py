"""Calls of functional models with several inputs: one list in Keras, one by one in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Mapping, Symbol, Tensor, Value, options
from transpiler.rules.keras_graph import graph_tensors
from transpiler.syntax import find
from transpiler.template import call


def plan(context: Context) -> None:
    """Spread the inputs of every call of a model that has several."""
    latest = context.interpreter.latest
    seen = latest[1] if latest is not None else set()
    for node in find(context.module, cst.Call):
        if node not in seen and node.args and _takes_several(context.fact(node.func)):
            first = node.args[0]
            held = options(context.fact(first.value))
            if first.keyword is None and not first.star and not _are_single(held, first.value):
                _spread(context, node, any(isinstance(h, Mapping) for h in held))


def _takes_several(value: Value) -> bool:
    """Whether a value is a functional model with a list of inputs, or one of several."""
    held = options(value)
    return bool(held) and all(
        isinstance(m, Instance)
        and isinstance(m.cls, Symbol)
        and "outputs" in m.state
        and not isinstance(m.state.get("inputs_of"), Tensor)
        and bool(graph_tensors(m.state.get("inputs_of")))
        for m in held
    )


def _are_single(held: tuple[Value, ...], node: Any) -> bool:
    """Whether what is handed over is one array, which the model's only input takes."""
    listed = isinstance(node, (cst.List, cst.Tuple, cst.Dict))
    return not listed and all(isinstance(h, Tensor) for h in held)


def _spread(context: Context, node: cst.Call, named: bool) -> None:
    if named:
        context.emit("call_with_all")

    def change(result: Any) -> Any:
        if not isinstance(result, cst.Call) or not result.args:
            return result
        first, *rest = result.args
        if named:
            return call("call_with_all", result.func, first.value).with_changes(
                args=[cst.Arg(result.func), *result.args]
            )
        if isinstance(first.value, (cst.List, cst.Tuple)):
            parts = [cst.Arg(e.value, star="*" if isinstance(e, cst.StarredElement) else "")
                     for e in first.value.elements]  # fmt: skip
            return result.with_changes(args=[*parts, *rest])
        return result.with_changes(args=[first.with_changes(star="*"), *rest])

    context.edits.wrap(node, change)
