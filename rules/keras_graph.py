"""Arrays that stand in a functional Keras graph: they know the call that made them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import libcst as cst

from transpiler.infer.values import (
    UNKNOWN,
    Bound,
    Class,
    Function,
    Instance,
    ListObject,
    Mapping,
    Method,
    Sequence,
    Symbol,
    Tensor,
    Union,
    Value,
    items_of,
)

_ORDER = count()


@dataclass(eq=False, slots=True)
class GraphNode:
    """One step of a functional graph: a layer's call, an expression, or an input."""

    layer: Instance | None
    inputs: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    call: Any = None
    """The call or expression in the source."""
    operands: dict[Any, Value] = field(default_factory=dict)
    """Of an expression: what its parts in the graph were."""
    names: dict[str, Value] = field(default_factory=dict)
    """Of an expression: what its other names stood for."""
    whole: GraphNode | None = None
    """The step of which this is one of several results."""
    part: int | str | None = None
    """Which of several results it is."""
    frames: tuple[Any, ...] = ()
    """The activations of the program's functions in which it was made, outermost first."""
    place: int = field(default_factory=lambda: next(_ORDER))

    @property
    def is_input(self) -> bool:
        return self.layer is None and not self.operands and self.whole is None

    def sources(self) -> list[GraphTensor]:
        """The arrays of the graph that the step reads."""
        if self.whole is not None:
            return self.whole.sources()
        held = [*self.inputs, *self.keywords.values(), *self.operands.values()]
        return [t for value in held for t in graph_tensors(value)]


@dataclass(frozen=True, slots=True)
class GraphTensor(Tensor):
    """An array of a functional graph."""

    node: GraphNode | None = None

    @property
    def placed(self) -> bool:
        return True

    def but(self, **changes: Any) -> Tensor:
        """Another array than this one: it has no place yet."""
        return replace(Tensor(self.shape, self.dtype, "tf", self.variable), **changes)


def placed(result: Value, node: GraphNode) -> Value:
    """A call's result with the step that made it."""
    match result:
        case Tensor():
            return GraphTensor(result.shape, result.dtype, "tf", False, node)
        case Sequence() | ListObject() if (items := items_of(result)) is not None:
            return Sequence("tuple", tuple(placed(x, part(node, i)) for i, x in enumerate(items)))
        case Mapping():
            return Mapping({k: placed(x, part(node, k)) for k, x in result.items.items()})
    return result


def snake(name: str) -> str:
    """`MaxPooling2D` as Keras names such a layer: `max_pooling2d`."""
    text = re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


def part(node: GraphNode, which: int | str) -> GraphNode:
    """The step's result by number or key."""
    return GraphNode(node.layer, call=node.call, whole=node, part=which, frames=node.frames)


def graph_tensors(value: Value | None) -> list[GraphTensor]:
    """The arrays of a graph that a value is or holds, in order."""
    match value:
        case GraphTensor():
            return [value]
        case ListObject() | Sequence():
            return [t for item in items_of(value) or () for t in graph_tensors(item)]
        case Mapping():
            return [t for item in value.items.values() for t in graph_tensors(item)]
    return []


def without_graph(value: Value) -> Value:
    """Arrays without their place in a graph."""
    match value:
        case GraphTensor():
            return Tensor(value.shape, value.dtype, "tf")
        case ListObject() | Sequence() if graph_tensors(value):
            items = tuple(without_graph(i) for i in items_of(value) or ())
            return Sequence("tuple", items) if isinstance(value, Sequence) else ListObject([*items])
        case Mapping() if graph_tensors(value):
            return Mapping({k: without_graph(x) for k, x in value.items.items()})
    return value


_TRACED = (cst.BinaryOperation, cst.UnaryOperation, cst.Comparison, cst.Subscript, cst.Call)


def trace(interpreter: Any, node: cst.CSTNode, value: Value, frame: Any) -> Value:
    """An expression's value; where it is computed from arrays of a graph it gets a place there."""
    latest, seen = interpreter.latest
    if isinstance(value, Tensor) and not value.placed and not isinstance(node, _TRACED):
        latest.pop(node, None)
        return value
    if isinstance(node, _TRACED) and latest and _is_plain(value) and not _is_placed(node, value):
        operands = _operands(node, latest)
        if operands and not _is_passed_on(node, interpreter, operands):
            names = {n: v for n in _free(node) if (v := frame.lookup(n)) is not None}
            made = GraphNode(
                None, call=node, operands=operands, names=names, frames=tuple(interpreter.frames)
            )
            plain = Tensor(library="tf") if value is UNKNOWN else without_graph(value)
            value = placed(plain, made)
    if graph_tensors(value):
        latest[node] = value
        seen.add(node)
        interpreter.placements += 1
    else:
        latest.pop(node, None)
    return value


def _is_placed(node: cst.CSTNode, value: Value) -> bool:
    """Whether this very expression made the arrays."""
    return any(t.node is not None and t.node.call is node for t in graph_tensors(value))


def _is_plain(value: Value) -> bool:
    """Whether a value may be an array (or several) that nothing places yet."""
    match value:
        case Tensor():
            return value.library != "numpy"
        case Sequence() if value.items:
            return all(isinstance(i, Tensor) for i in value.items)
    return value is UNKNOWN


def _is_passed_on(node: cst.CSTNode, interpreter: Any, operands: dict[Any, Value]) -> bool:
    """Whether the node hands arrays of the graph on, instead of computing with them."""
    if isinstance(node, cst.Subscript):
        return not isinstance(operands.get(node.value), Tensor)
    if isinstance(node, cst.BinaryOperation):
        return not any(isinstance(v, Tensor) for v in operands.values())
    if not isinstance(node, cst.Call):
        return False
    function = interpreter.facts.get(node.func)
    if isinstance(function, (Function, Class, Instance, Method, Union)) or function is UNKNOWN:
        return True
    if isinstance(function, Bound):
        return not function.name.startswith("tf.")
    return not (isinstance(function, Symbol) and function.name.startswith(("tf.", "keras.")))


def _operands(node: cst.CSTNode, latest: dict[Any, Value]) -> dict[Any, Value]:
    """The outermost parts of an expression that stand in the graph."""
    found: dict[Any, Value] = {}
    stack = list(reversed(node.children))
    while stack:
        child = stack.pop()
        if isinstance(child, cst.BaseExpression) and child in latest:
            found[child] = latest[child]
        elif not isinstance(child, cst.Lambda):
            stack.extend(reversed(child.children))
    return found


def _free(node: cst.CSTNode) -> set[str]:
    from transpiler.syntax import find

    return {n.value for n in find(node, cst.Name)}


def enter(
    interpreter: Any,
    instance: Instance,
    method: Function,
    positional: list[Value],
    keywords: dict[str, Value],
    node: Any,
) -> Value:
    """Call a layer of the program: what it does inside is no part of the graph around it."""
    inside = [without_graph(v) for v in positional]
    named = {k: without_graph(v) for k, v in keywords.items()}
    outer, interpreter.latest = interpreter.latest, None
    try:
        interpreter.prepare(instance, inside)
        result = interpreter.call_function(method, [instance, *inside], named)
    finally:
        interpreter.latest = outer
    if any(graph_tensors(v) for v in [*positional, *keywords.values()]):
        step = GraphNode(
            instance, list(positional), dict(keywords), node, frames=tuple(interpreter.frames)
        )
        plain = Tensor(library="tf") if result is UNKNOWN else without_graph(result)
        return placed(plain, step)
    return result


TRACER = trace
BOUNDARY = enter
