"""Masks of a graph: Keras hands them on by itself, the class's `forward` does it in plain sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from transpiler.infer.values import Const, Instance
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import GraphNode, GraphTensor, graph_tensors
from transpiler.rules.keras_masks import input_mask, kind_of, mask_of, takes_mask
from transpiler.site import constant_value
from transpiler.template import fill, fill_statements

if TYPE_CHECKING:
    from transpiler.planners.keras_graph.trace import Trace

Expression = cst.BaseExpression


def handed_on(trace: Trace, node: GraphNode, given: dict[str, Expression]) -> dict[str, Expression]:
    """The mask that Keras hands to a call by itself."""
    source, layer = input_mask(node), node.layer
    if source is None or layer is None or not takes_mask(layer):
        return {}
    kind = kind_of(layer)
    if "mask" in given or "attention_mask" in given:
        return {}
    if kind in ("Attention", "AdditiveAttention"):
        raise Unfit(f"masks of {kind} are not translated", "pass the mask by hand")
    mask = trace.masks[source]
    if kind == "MultiHeadAttention":
        queries, keys = [mask_of(t.node) for t in _attended(node)]
        parts = []
        if queries is not None:
            parts.append(fill("mask[:, :, None]", mask=trace.masks[queries]))
        if keys is not None:
            parts.append(fill("mask[:, None, :]", mask=trace.masks[keys]))
        both = parts[0] if len(parts) == 1 else fill("a & b", a=parts[0], b=parts[1])
        return {"attention_mask": both}
    return {"mask": mask}


def _attended(node: GraphNode) -> list[GraphTensor]:
    """Query and value of an attention."""
    held = [*node.inputs, *(node.keywords.get(n) for n in ("query", "value"))]
    found = [t for v in held if v is not None for t in graph_tensors(v)]
    return [found[0], found[1] if len(found) > 1 else found[0]]


def make(trace: Trace, node: GraphNode, layer: Instance) -> None:
    """The mask that an embedding or Masking layer makes."""
    source = trace.argument(node.inputs[0])
    if kind_of(layer) == "Masking":
        value = constant_value(layer.arguments.get("mask_value", Const(0.0)))
        new = fill("(x != value).any(-1)", x=source, value=value)
    else:
        new = fill("x != 0", x=source)
    name = cst.Name(trace.fresh("mask"))
    trace.masks[node] = name
    trace.lines += fill_statements("name = new", name=name, new=new)
