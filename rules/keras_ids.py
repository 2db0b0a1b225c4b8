"""Which inputs of a functional model are only looked up in embeddings: they stay whole numbers."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import Instance, Symbol, Tensor, Value
from transpiler.modules import descendants
from transpiler.rules.facts_keras_models import steps
from transpiler.rules.keras_graph import GraphNode, graph_tensors

EMBEDDING = "keras.layers.Embedding"


def are_ids(model: Instance, node: GraphNode | None) -> bool:
    """Whether everything that reads an input of a model's graph looks it up."""
    outputs = model.state.get("outputs")
    if node is None or not isinstance(outputs, Value):
        return False
    readers = [n for n in steps(outputs) if any(t.node is node for t in n.sources())]
    return bool(readers) and all(_looks_up(n, node) for n in readers)


def _looks_up(reader: GraphNode, source: GraphNode) -> bool:
    layer = reader.layer
    if layer is None:
        return False
    if EMBEDDING in layer.class_names:
        return True
    if isinstance(layer.state.get("outputs"), Value):
        place = [t.node for t in reader.sources()].index(source)
        inputs = graph_tensors(layer.state.get("inputs_of"))
        return place < len(inputs) and are_ids(layer, inputs[place].node)
    held: Any = layer.state.get("layers")
    if isinstance(held, list):
        return bool(held) and isinstance(held[0], Instance) and EMBEDDING in held[0].class_names
    if isinstance(layer.cls, Symbol):
        return False
    rank = next(t.rank for t in reader.sources() if t.node is source)
    inside = [p for p in descendants(layer) if isinstance(p, Instance) and p is not layer]
    taken = [p.state.get("input") for p in inside if EMBEDDING in p.class_names]
    return any(isinstance(x, Tensor) and x.rank == rank for x in taken)
