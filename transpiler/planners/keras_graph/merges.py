"""Layers of several inputs and no weights: sums, products, concatenations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst

from transpiler.infer.values import Instance, ListObject, Sequence, Tensor, Value, items_of
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import argument
from transpiler.rules.keras_graph import GraphNode, GraphTensor
from transpiler.rules.keras_layer import FIRST, LAST
from transpiler.site import constant_value, missing
from transpiler.template import call, fill

if TYPE_CHECKING:
    from transpiler.planners.keras_graph.trace import Trace

SYMBOLS = {"Add": " + ", "Subtract": " - ", "Multiply": " * "}
KINDS = (*SYMBOLS, "Concatenate", "Average", "Maximum", "Minimum", "Dot")
Expression = cst.BaseExpression


def merge(trace: Trace, node: GraphNode, layer: Instance, kind: str) -> None:
    """Write the step as an expression of its inputs."""
    value = node.inputs[0] if node.inputs else None
    items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
    if items is None or not items:
        raise Unfit(f"what {kind} puts together is not known")
    for item in items:
        trace.use(item, None)
    first = all(isinstance(i, GraphTensor) and i.node and trace.orders[i.node] == FIRST
                for i in items)  # fmt: skip
    order = FIRST if first and kind != "Dot" else LAST
    parts = [trace.use(i, order) for i in items]
    rank = items[0].rank if isinstance(items[0], Tensor) else None
    trace.assign(node, _merged(layer, kind, parts, order, rank), order)


def _merged(
    layer: Instance, kind: str, parts: list[Expression], order: str, rank: int | None
) -> Expression:
    holes = {f"p{i}": p for i, p in enumerate(parts)}
    if kind in SYMBOLS:
        return fill(SYMBOLS[kind].join(holes), **holes)
    if kind == "Average":
        return fill(f"({' + '.join(holes)}) / {len(parts)}", **holes)
    if kind in ("Maximum", "Minimum"):
        new = parts[0]
        for other in parts[1:]:
            new = call(f"torch.{kind.lower()}", new, other)
        return new
    if kind == "Dot":
        return _dot(layer, parts, rank)
    many = [cst.Element(p) for p in parts]
    return call("torch.cat", cst.List(many), dim=_axis(layer, order, rank))


def _dot(layer: Instance, parts: list[Expression], rank: int | None) -> Expression:
    """Products along an axis of batches of vectors or matrices."""
    axes: Any = layer.arguments.get("axes")
    found = constant_value(axes) if isinstance(axes, Value) else missing
    found = tuple(found) if isinstance(found, (list, tuple)) else (found, found)
    a, b = parts
    if argument(layer, "normalize", False) is True:
        norm = "torch.nn.functional.normalize(x, dim=d, eps=1e-6)"
        a, b = (fill(norm, x=p, d=d) for p, d in zip(parts, found, strict=True))
    if rank == 2 and set(found) <= {1, -1}:
        return fill("(a * b).sum(-1, keepdim=True)", a=a, b=b)
    if rank == 3 and missing not in found:
        one, two = (d % 3 for d in found)
        a = a if one == 2 else fill("a.transpose(1, 2)", a=a)
        b = b if two == 1 else fill("b.transpose(1, 2)", b=b)
        return fill("a @ b", a=a, b=b)
    raise Unfit("the axes of Dot are not translated")


def _axis(layer: Instance, order: str, rank: int | None) -> int:
    axis = argument(layer, "axis", -1)
    if not isinstance(axis, int) or rank is None:
        raise Unfit("the axis of a concatenation is not known")
    axis %= rank
    if order == LAST or axis == 0:
        return axis if axis != rank - 1 else -1
    return 1 if axis == rank - 1 else axis + 1
