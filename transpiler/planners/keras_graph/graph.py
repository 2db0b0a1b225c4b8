"""What one class is written for: the part of a functional graph from some arrays to others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.infer.values import Instance, Value
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_models import steps
from transpiler.rules.keras_graph import GraphNode, graph_tensors
from transpiler.rules.keras_ids import are_ids


@dataclass
class Graph:
    """Inputs, outputs, and the activations of functions whose own code builds what is between."""

    inputs: list[GraphNode]
    outputs: Value
    frames: tuple[Any, ...] = ()
    logits: bool = False
    """Whether the loss takes the last softmax or sigmoid over."""
    keeps_mask: bool = False
    is_model: bool = True
    ids: frozenset[GraphNode] = frozenset()
    """Inputs that are only looked up in embeddings: they come as whole numbers."""
    names: dict[GraphNode, str] = field(default_factory=dict)
    """The parameters of `forward` for the inputs, where they are known."""

    def path(self) -> list[GraphNode]:
        """The steps from the inputs to the outputs, in the order in which they were made."""
        seen: set[GraphNode] = set()
        inputs = set(self.inputs)
        stack = [t.node for t in graph_tensors(self.outputs)]
        while stack:
            node = stack.pop()
            if node is None or node in seen:
                continue
            if node in inputs or (node.whole is not None and node.whole in inputs):
                seen.add(node)
                continue
            if node.is_input:
                raise Unfit("an input of this graph is not among the model's inputs")
            seen.add(node)
            stack.extend([node.whole] if node.whole else [t.node for t in node.sources()])
        return [n for n in steps(self.outputs) if n in seen]

    def below(self, node: GraphNode) -> Any:
        """The activation of a function that this code calls, in which a step was made, if any."""
        made = [f for f in node.frames if isinstance(f.function, cst.FunctionDef)]
        own = [f for f in self.frames if isinstance(f.function, cst.FunctionDef)]
        common = 0
        while common < min(len(made), len(own)) and made[common] is own[common]:
            common += 1
        return made[common] if common < len(made) else None


def of_model(model: Instance) -> Graph:
    """The graph of `keras.Model(inputs, outputs)`. Raises Unfit."""
    tensors = graph_tensors(model.state["inputs_of"])
    if not tensors or any(t.node is None for t in tensors):
        raise Unfit("the inputs of this model are not known before the program runs")
    inputs = [t.node for t in tensors if t.node is not None]
    graph = Graph(
        inputs,
        model.state["outputs"],
        model.state.get("frames", ()),
        bool(model.state.get("logits")),
        bool(model.state.get("masked loss")),
        ids=frozenset(n for n in inputs if are_ids(model, n)),
    )
    return settled(graph)


def settled(graph: Graph) -> Graph:
    """A graph that one function builds as a whole belongs to that function."""
    nodes = [n for n in graph.path() if n not in graph.inputs]
    while nodes:
        below = {graph.below(n) for n in nodes}
        frame = below.pop()
        if below or frame is None:
            break
        common = [f for f in nodes[0].frames if f in (*graph.frames, frame)]
        graph.frames = tuple(common)
    return graph
