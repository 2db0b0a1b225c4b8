"""Expressions of the source that compute with arrays of a graph, and Lambda layers."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

import libcst as cst

from transpiler.infer.values import Instance, Value
from transpiler.planners.keras_scope import free_names, renamed
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import GraphNode, GraphTensor
from transpiler.rules.keras_layer import LAST
from transpiler.site import constant_value, missing
from transpiler.syntax import find
from transpiler.template import fill

if TYPE_CHECKING:
    from transpiler.planners.keras_graph.trace import Trace


def write(trace: Trace, node: GraphNode) -> None:
    """An expression of the source, under the names that its parts have here."""
    if not node.operands:
        raise Unfit("an input of this graph is not among the model's inputs")
    if _is_operand(trace, node):
        trace.deferred.add(node)
        return
    names: dict[str, Any] = {}
    operands = _operands(trace, node)
    for part, value in operands:
        if isinstance(part, cst.Name):
            names[part.value] = trace.argument(value)
        else:
            names[_hole(trace, part)] = trace.argument(value)
    inner = {n for part, _ in operands for n in find(part, cst.Name)}
    names |= other_names(trace, node.call, _known_names(trace, node), set(names), inner, "self.")
    trace.expressions.add(node.call)
    trace.assign(node, renamed(node.call, names), LAST)


def _is_operand(trace: Trace, node: GraphNode) -> bool:
    """Whether an expression is written inside of the only other one that reads it."""
    reader = trace.readers.get(node)
    if trace.left[node] != 1 or reader is None or not reader.operands:
        return False
    if trace.graph.below(reader) is not trace.graph.below(node):
        return False
    return any(
        isinstance(v, GraphTensor) and v.node is node and p is node.call
        for p, v in reader.operands.items()
    )


def _operands(trace: Trace, node: GraphNode) -> list[tuple[Any, Value]]:
    """The parts of an expression that are steps of their own."""
    found: list[tuple[Any, Value]] = []
    for part, value in node.operands.items():
        step = value.node if isinstance(value, GraphTensor) else None
        if step is not None and step in trace.deferred:
            trace.expressions.add(step.call)
            found += _operands(trace, step)
        else:
            found.append((part, value))
    return found


def _known_names(trace: Trace, node: GraphNode) -> dict[str, Value]:
    """What the names of an expression stood for, those of its parts included."""
    found = dict(node.names)
    for value in node.operands.values():
        step = value.node if isinstance(value, GraphTensor) else None
        if step is not None and step in trace.deferred:
            found = _known_names(trace, step) | found
    return found


def _hole(trace: Trace, part: Any) -> str:
    """The name that stands for a call inside of an expression."""
    holes = trace.context.notes.setdefault("graph holes", {})
    if part not in holes:
        holes[part] = f"_step_{len(holes)}"
    trace.holes[part] = holes[part]
    return str(holes[part])


def other_names(
    trace: Trace,
    node: Any,
    known: dict[str, Value],
    have: set[str],
    inner: Container[Any] = (),
    owner: str = "",
) -> dict[str, Any]:
    """The other variables that an expression reads: constants, arguments, or attributes."""
    found: dict[str, Any] = {}
    for name in free_names(trace.context, node):
        if name in inner or name.value in have or name.value in found:
            continue
        if trace.scope.is_global(name):
            continue
        value = known.get(name.value, trace.context.fact(name))
        constant = constant_value(value)
        symbol = trace.scope.symbol(name)
        if symbol is None and constant is not missing:
            found[name.value] = constant
            continue
        if symbol is None and trace.scope.is_own(name):
            symbol = trace.scope.parameter(name)
        if symbol is None:
            raise Unfit(f"`{name.value}` in this graph is not known before the program runs")
        found[name.value] = fill(f"{owner}x", x=symbol) if owner else symbol
        if owner:
            trace.setup.setdefault(name.value, cst.Name(name.value))
    return found


def function_layer(trace: Trace, node: GraphNode, layer: Instance) -> None:
    """A Lambda layer calls its function."""
    site = trace.site(layer)
    given = site.arg("function")
    if site.has("arguments") or site.has("mask"):
        raise Unfit("`arguments` of Lambda in a graph are not translated")
    inputs = [trace.argument(v) for v in node.inputs]
    if isinstance(given, cst.Lambda) and len(given.params.params) == 1:
        name = given.params.params[0].name.value
        value = inputs[0]
        if isinstance(value, cst.Name):
            names = {name: value}
            names |= other_names(trace, given.body, {}, {name}, owner="self.")
            trace.assign(node, renamed(given.body, names), LAST)
            return
    names = other_names(trace, given, {}, set(), owner="self.")
    trace.assign(node, cst.Call(renamed(given, names), [cst.Arg(i) for i in inputs]), LAST)
