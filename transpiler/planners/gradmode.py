"""Gradient mode: `no_grad` blocks and decorators, which TensorFlow needs inside tapes only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Function, Instance, ListObject, Number, Sequence, options
from transpiler.planners.expressions import qualified_name
from transpiler.syntax import find
from transpiler.template import fill

OFF = frozenset({"torch.no_grad", "torch.inference_mode"})
DROPPED = OFF | {
    "torch.enable_grad", "torch.set_grad_enabled", "torch.autograd.set_detect_anomaly",
    "torch.amp.autocast", "torch.autocast", "torch.cuda.amp.autocast",
    "torch.autograd.profiler.profile", "torch.autograd.profiler.record_function",
    "torch.profiler.record_function",
}  # fmt: skip


def plan(context: Context) -> None:
    """Unwrap gradient-mode blocks; inside a tape they stop recording instead."""
    recorded = context.notes["inner gradients"].values()
    for node in find(context.module, cst.With):
        if node not in recorded:
            _plan_with(context, node)
    for function in find(context.module, cst.FunctionDef):
        _plan_decorators(context, function)


def _plan_with(context: Context, node: cst.With) -> None:
    names = [_context_name(context, item.item) for item in node.items]
    kept = [item for item, name in zip(node.items, names, strict=False) if name not in DROPPED]
    if len(kept) == len(node.items):
        return
    for item, name in zip(node.items, names, strict=False):
        if name in DROPPED:
            context.claim(item.item)
            if isinstance(item.item, cst.Call):
                context.claim(item.item.func)
            if name is not None and "autocast" in name:
                context.caution(
                    item.item,
                    "autocast",
                    "mixed precision is left out: everything runs in float32",
                    "set keras.mixed_precision.set_global_policy to use 16 bits",
                )
    tape = _tape_around(context, node)
    if tape is not None and any(n in OFF for n in names):
        item = node.items[0].with_changes(item=fill(f"{tape}.stop_recording()"))
        context.edits.replace(node, node.with_changes(items=[item, *kept]))
        return
    if any(n in OFF for n in names) and _runs_in_tape(context, node):
        _cut_gradients(context, node)
    if kept:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        context.edits.replace(node, node.with_changes(items=kept))
    else:
        context.edits.unwrap(node)


def _context_name(context: Context, node: cst.BaseExpression) -> str | None:
    return qualified_name(context, node.func if isinstance(node, cst.Call) else node)


def _tape_around(context: Context, node: cst.CSTNode) -> str | None:
    taped: dict[Any, str] = context.notes.get("taped", {})
    current: cst.CSTNode | None = node
    while current is not None:
        if current in taped:
            return taped[current]
        current = context.edits.parent.get(current)
    return None


def _runs_in_tape(context: Context, node: cst.CSTNode) -> bool:
    functions: set[cst.CSTNode] = context.notes.get("taped functions", set())
    function = context.edits.enclosing(node, cst.FunctionDef)
    return function in functions


def _cut_gradients(context: Context, node: cst.With) -> None:
    """In a function that a tape runs, what the block computes is cut off from gradients."""
    statements: Iterator[Any] = find(node.body, cst.Assign, cst.Return)
    for statement in statements:
        if statement.value is not None:
            _cut(context, statement.value)


def _cut(context: Context, value: cst.BaseExpression) -> None:
    """Cut off a tensor, or each one of several; numbers and models have nothing to cut."""
    if isinstance(value, (cst.Tuple, cst.List)):
        for element in value.elements:
            _cut(context, element.value)
        return
    kinds = options(context.fact(value))
    if any(isinstance(kind, (Sequence, ListObject)) for kind in kinds):
        context.edits.wrap(value, lambda x: fill("tf.nest.map_structure(tf.stop_gradient, x)", x=x))
    elif not all(isinstance(kind, (Const, Number, Instance, Function)) for kind in kinds):
        context.edits.wrap(value, _stop_gradient)


def _stop_gradient(value: cst.BaseExpression) -> cst.BaseExpression:
    return fill("tf.stop_gradient(value)", value=value)


def _plan_decorators(context: Context, function: cst.FunctionDef) -> None:
    for decorator in function.decorators:
        if _context_name(context, decorator.decorator) in DROPPED:
            context.edits.replace(decorator, [])
            context.claim(decorator.decorator)
            if isinstance(decorator.decorator, cst.Call):
                context.claim(decorator.decorator.func)
            if function in context.notes.get("taped functions", set()):
                for statement in find(function.body, cst.Return):
                    if statement.value is not None:
                        _cut(context, statement.value)
