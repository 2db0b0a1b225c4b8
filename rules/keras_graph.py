"""Arrays that stand in a functional Keras graph: they know the call that made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from transpiler.infer.values import Instance, ListObject, Mapping, Sequence, Tensor, Value, items_of


@dataclass(eq=False, slots=True)
class GraphNode:
    """One call in a functional graph; an input has no layer."""

    layer: Instance | None
    inputs: list[Value] = field(default_factory=list)
    keywords: dict[str, Value] = field(default_factory=dict)
    call: Any = None
    """The call in the source."""
    function: str = ""
    """The library function that was called, where it is no layer."""
    part: int | None = None
    """Which of several results it is."""


@dataclass(frozen=True, slots=True)
class GraphTensor(Tensor):
    """An array of a functional graph."""

    node: GraphNode | None = None


def placed(result: Value, node: GraphNode) -> Value:
    """A call's result with the call that made it."""
    if isinstance(result, Tensor):
        return GraphTensor(result.shape, result.dtype, "tf", False, node)
    items = items_of(result) if isinstance(result, Sequence) else None
    if items is not None:
        parts = []
        for index, item in enumerate(items):
            part = GraphNode(
                node.layer, node.inputs, node.keywords, node.call, node.function, index
            )
            parts.append(placed(item, part))
        return Sequence("tuple", tuple(parts))
    return result


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
