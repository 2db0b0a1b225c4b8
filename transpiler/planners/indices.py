"""What the parts of a subscript are: slices, integers, masks, or tensors of indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.arrays import is_integer
from transpiler.infer.values import (
    Const,
    ListObject,
    Number,
    Sequence,
    Tensor,
    Union,
    Value,
    items_of,
    scalar_type,
)


@dataclass(frozen=True)
class Part:
    """One part of a subscript.

    kind: slice, full (`:`), integer, new (None), ellipsis, mask, indices or unknown.
    """

    kind: str
    node: Any
    fact: Value | None = None

    @property
    def advanced(self) -> bool:
        return self.kind in ("mask", "indices")


def parts_of(context: Context, node: cst.Subscript) -> list[Part]:
    """The parts of `x[...]`, a written tuple taken apart."""
    found: list[Part] = []
    for element in node.slice:
        part: Any = element.slice
        if isinstance(part, cst.Slice):
            plain = part.lower is None and part.upper is None and part.step is None
            found.append(Part("full" if plain else "slice", part))
        elif isinstance(part.value, cst.Tuple):
            found += [_classify(context, e.value) for e in part.value.elements]
        else:
            found.append(_classify(context, part.value))
    return found


def _classify(context: Context, node: Any) -> Part:
    fact = context.fact(node)
    match fact:
        case Const(value=None):
            return Part("new", node)
        case Const(value=value) if value is Ellipsis:
            return Part("ellipsis", node)
        case Const() | Number() if scalar_type(fact) in ("int", "bool"):
            return Part("integer", node)
        case Tensor():
            return Part(_kind_of_tensor(fact), node, fact)
        case ListObject():
            items = items_of(fact)
            booleans = bool(items) and all(scalar_type(i) == "bool" for i in items or ())
            return Part("mask" if booleans else "indices", node, fact)
        case Sequence(kind="range"):
            return Part("indices", node, fact)
        case Union():
            return Part("unknown", node)
    if isinstance(node, cst.Ellipsis):
        return Part("ellipsis", node)
    if isinstance(node, (cst.List, cst.ListComp)):
        return Part("indices", node)
    return Part("unknown", node)


def _kind_of_tensor(fact: Tensor) -> str:
    if fact.dtype == "bool" or (fact.dtype == "uint8" and fact.library == "torch"):
        return "mask"
    if is_integer(fact.dtype):
        return "integer" if fact.shape == () else "indices"
    # Arrays that index are nearly always of integers; a gather refuses any others.
    return "indices" if fact.dtype is None and fact.shape != () else "unknown"


def rank_of_mask(part: Part) -> int | None:
    """The number of axes that a mask covers."""
    return part.fact.rank if isinstance(part.fact, Tensor) else 1


def written_index(parts: list[Part]) -> cst.BaseExpression:
    """`np.s_[:, 0]`, or the index itself where it is one integer."""
    if len(parts) == 1 and parts[0].kind == "integer":
        node = parts[0].node
        assert isinstance(node, cst.BaseExpression)
        return node
    return subscript(cst.Attribute(cst.Name("np"), cst.Name("s_")), parts)


def subscript(value: cst.BaseExpression, parts: list[Part]) -> cst.Subscript:
    """`value[...]` with the parts given."""
    elements = [
        cst.SubscriptElement(p.node if isinstance(p.node, cst.Slice) else cst.Index(p.node))
        for p in parts
    ]
    last = len(elements) - 1
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    spaced = [e if i == last else e.with_changes(comma=comma) for i, e in enumerate(elements)]
    return cst.Subscript(value, spaced)
