"""The indexing planner: reading tensors by lists, masks and tensors of indices."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import UNKNOWN, Const, ListObject, Sequence, Tensor, items_of
from transpiler.planners.indices import Part, parts_of, rank_of_mask, subscript
from transpiler.rule import Unfit
from transpiler.syntax import code, find, literal
from transpiler.template import fill

_FULL = cst.Slice(None, None)


def plan(context: Context) -> None:
    """Replace subscripts that TensorFlow would refuse or misread."""
    for node in find(context.module, cst.Subscript):
        fact = context.fact(node.value)
        if not isinstance(fact, Tensor) or fact.library != "torch" or _is_target(context, node):
            continue
        parts = parts_of(context, node)
        if context.edits.edited(node):
            continue
        if not any(p.advanced for p in parts):
            _tell_unknown(context, node, parts)
            continue
        try:
            context.edits.replace(node, _read(context, node, _as_arrays(context, parts)))
        except Unfit as error:
            context.unfit(node, "indexing", error)
    for attribute in find(context.module, cst.Attribute):
        _plan_named_field(context, attribute)


def _as_arrays(context: Context, parts: list[Part]) -> list[Part]:
    """What is unknown beside an array of indices is one as well (else a number, which fails)."""
    return [
        Part("indices", p.node) if p.kind == "unknown" and context.fact(p.node) is UNKNOWN else p
        for p in parts
    ]


def _tell_unknown(context: Context, node: cst.Subscript, parts: list[Part]) -> None:
    """An index of which nothing is known stays."""
    unknown = next((p.node for p in parts if context.fact(p.node) is UNKNOWN), None)
    if unknown is not None and not isinstance(unknown, cst.Slice):
        context.caution(
            node,
            "indexing",
            f"what `{code(unknown)}` is is not known, so this index stays: right for integers, "
            "arrays and lists of indices would need tf.gather",
        )


def _is_target(context: Context, node: cst.Subscript) -> bool:
    parent = context.edits.parent[node]
    if isinstance(parent, cst.AugAssign):
        return parent.target is node
    return isinstance(parent, (cst.AssignTarget, cst.Del))


def _read(context: Context, node: cst.Subscript, parts: list[Part]) -> cst.BaseExpression:
    places = [i for i, p in enumerate(parts) if p.advanced]
    if len(places) == 1:
        return _read_one(context, node, parts, places[0])
    if places != list(range(len(places))) or any(p.kind == "mask" for p in parts):
        raise Unfit("this mixture of slices and index tensors has no equal in TensorFlow")
    rest = parts[len(places) :]
    if any(p.kind not in ("full", "slice") for p in rest):
        raise Unfit("this mixture of integers and index tensors has no equal in TensorFlow")
    base = gather_several(context, node.value, [parts[i] for i in places])
    if all(p.kind == "full" for p in rest):
        return base
    kept = [Part("full", _FULL)] * _joint_rank([parts[i] for i in places])
    return subscript(base, kept + rest)


def _joint_rank(parts: list[Part]) -> int:
    ranks = [p.fact.rank if isinstance(p.fact, Tensor) else 1 for p in parts]
    if None in ranks:
        raise Unfit("the rank of an index tensor is not known")
    return max(r for r in ranks if r is not None)


def _read_one(
    context: Context, node: cst.Subscript, parts: list[Part], place: int
) -> cst.BaseExpression:
    part = parts[place]
    if (single := _single_element(context, parts, place)) is not None:
        return subscript(node.value, single)
    _refuse_negative(context, node, part, place)
    others = [p for i, p in enumerate(parts) if i != place]
    if any(p.kind == "unknown" for p in others):
        raise Unfit("what this tensor is indexed by is not known")
    _check_adjacent(parts, place)
    covered = rank_of_mask(part) if part.kind == "mask" else 1
    if covered is None:
        raise Unfit("the rank of this mask is not known")
    base: cst.BaseExpression = node.value
    if any(p.kind not in ("full", "ellipsis") for p in others):
        full = [Part("full", _FULL)] * covered
        base = subscript(node.value, [*parts[:place], *full, *_trimmed(parts[place + 1 :])])
    axis = _axis(context, node, parts, place, covered)
    index = _as_index(context, part)
    if part.kind == "mask":
        return _omit_zero("tf.boolean_mask(x, i, axis=a)", base, index, axis)
    return _omit_zero("tf.gather(x, i, axis=a)", base, index, axis)


def _numbers(context: Context, part: Part) -> list[int] | None:
    """The integers of a list index, where they are known."""
    items = items_of(part.fact) if isinstance(part.fact, ListObject) else None
    if items is None or not all(isinstance(i, Const) and isinstance(i.value, int) for i in items):
        return None
    return [i.value for i in items if isinstance(i, Const)]


def _single_element(context: Context, parts: list[Part], place: int) -> list[Part] | None:
    """`x[:, [-1]]` as the slice that it is."""
    numbers = _numbers(context, parts[place])
    if numbers is None or len(numbers) != 1 or any(p.kind == "integer" for p in parts):
        return None
    first = numbers[0]
    upper = literal(first + 1) if first != -1 else None
    part = Part("slice", cst.Slice(literal(first), upper))
    return [*parts[:place], part, *_trimmed(parts[place + 1 :])]


def _refuse_negative(context: Context, node: cst.Subscript, part: Part, place: int) -> None:
    numbers = _numbers(context, part)
    if numbers is not None and any(n < 0 for n in numbers):
        raise Unfit(
            "tf.gather takes no indices that count from the end", "count them from the front"
        )


def _omit_zero(template: str, x: Any, index: Any, axis: int) -> cst.BaseExpression:
    if axis == 0:
        template = template.replace(", axis=a", "")
    return fill(template, x=x, i=index, a=axis)


def _trimmed(parts: list[Part]) -> list[Part]:
    """Full slices at the end say nothing."""
    found = list(parts)
    while found and found[-1].kind == "full":
        found.pop()
    return found


def _check_adjacent(parts: list[Part], place: int) -> None:
    """Integers count as index tensors; apart from the others they would move axes to the front."""
    fixed = [i for i, p in enumerate(parts) if p.kind == "integer" or i == place]
    if fixed != list(range(fixed[0], fixed[-1] + 1)):
        raise Unfit("integers and index tensors with slices between them")


def _axis(
    context: Context, node: cst.Subscript, parts: list[Part], place: int, covered: int
) -> int:
    """The axis of what is left after the plain parts that the index works along."""
    before = parts[:place]
    if not any(p.kind == "ellipsis" for p in before):
        return sum(p.kind in ("full", "slice", "new") for p in before)
    after = sum(p.kind in ("full", "slice", "new") for p in parts[place + 1 :])
    return -1 - after - (covered - 1)


def _as_index(context: Context, part: Part) -> Any:
    fact = part.fact
    if part.kind == "mask":
        if isinstance(fact, Tensor) and fact.dtype == "uint8":
            return fill("tf.cast(m, tf.bool)", m=part.node)
        return part.node
    if isinstance(fact, Sequence) and fact.kind == "range":
        return fill("list(r)", r=part.node)
    return part.node


def gather_several(context: Context, x: Any, parts: list[Part]) -> cst.BaseExpression:
    """`x[rows, columns]`; rows that count up are a batch axis."""
    first, *rest = parts
    if len(rest) == 1 and _counts_up(context, first.node) and _rank(rest[0]) == 1:
        return fill("tf.gather(x, i, axis=1, batch_dims=1)", x=x, i=rest[0].node)
    dtypes = {p.fact.dtype for p in parts if isinstance(p.fact, Tensor)}
    nodes = [_as_index(context, p) for p in parts]
    if len(dtypes) > 1 or not all(isinstance(p.fact, Tensor) for p in parts):
        nodes = [fill("tf.cast(i, tf.int64)", i=n) for n in nodes]
    if len({_rank(p) for p in parts}) > 1:
        unit = cst.Name(context.emit("gather_elements"))
        return fill("unit(x, indices)", unit=unit, x=x, indices=nodes)
    return fill("tf.gather_nd(x, tf.stack(indices, axis=-1))", x=x, indices=nodes)


def _rank(part: Part) -> int | None:
    if isinstance(part.fact, Tensor):
        return part.fact.rank
    return 0 if part.kind == "integer" else 1


def _counts_up(context: Context, node: Any) -> bool:
    """Whether an index is `torch.arange(n)` or `range(n)`."""
    if not isinstance(node, cst.Call) or not node.args:
        return False
    if sum(a.keyword is None for a in node.args) != 1:
        return False
    func = node.func
    name = func.attr.value if isinstance(func, cst.Attribute) else getattr(func, "value", "")
    return name in ("arange", "range")


def _plan_named_field(context: Context, node: cst.Attribute) -> None:
    """`.indices` of a pair that was kept in a variable: here pairs are plain tuples."""
    fact = context.fact(node.value)
    if not isinstance(fact, Sequence) or not isinstance(node.value, cst.Name):
        return
    fields = fact.kind.partition(":")[2].split(",")
    if node.attr.value in fields:
        index = fields.index(node.attr.value)
        context.edits.replace(node, fill("pair[i]", pair=node.value, i=index))


__all__ = ["ListObject", "plan"]
