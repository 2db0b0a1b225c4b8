"""The element planner: `x[index] = value`, which TensorFlow's tensors do not have.

A tensor's name is bound to a new tensor; a variable is assigned to.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.aliases import warn_of_aliases
from transpiler.context import Context
from transpiler.infer.values import Const, Number, Tensor
from transpiler.planners.indexing import gather_several
from transpiler.planners.indices import Part, parts_of, rank_of_mask, subscript, written_index
from transpiler.rule import Unfit
from transpiler.rules.promotion import number_like
from transpiler.syntax import code, names_read, walk
from transpiler.template import fill

_OPERATORS: dict[type[Any], str] = {
    cst.AddAssign: "a + b", cst.SubtractAssign: "a - b", cst.MultiplyAssign: "a * b",
    cst.DivideAssign: "a / b", cst.PowerAssign: "a ** b", cst.BitOrAssign: "a | b",
    cst.BitAndAssign: "a & b",
}  # fmt: skip


def plan(context: Context) -> None:
    """Rewrite assignments to elements of tensors."""
    for node in walk(context.module):
        if not isinstance(node, (cst.Assign, cst.AugAssign)):
            continue
        target = node.target if isinstance(node, cst.AugAssign) else node.targets[0].target
        if isinstance(target, cst.Subscript) and not context.edits.edited(
            context.edits.statement(node)
        ):
            _plan_update(context, node, target)


def _plan_update(context: Context, node: Any, target: cst.Subscript) -> None:
    base, parts = _flatten(context, target)
    fact = context.fact(base)
    if not isinstance(fact, Tensor) or fact.library != "torch":
        return
    try:
        before, value = _split(context, node, base)
        operator = _OPERATORS.get(type(getattr(node, "operator", None)))
        if isinstance(node, cst.AugAssign) and operator is None:
            raise Unfit("this augmented assignment to elements of a tensor has no equal here")
        new = write_elements(context, base, fact, parts, target, value, operator)
    except Unfit as error:
        context.unfit(node, "element-assignment", error)
        return
    first = len(context.reports)
    if not fact.variable:
        warn_of_aliases(context, node, base)
    context.edits.replace(context.edits.statement(node), [*before, new])
    context.anchor(node, first)


def _split(
    context: Context, node: Any, base: cst.BaseExpression
) -> tuple[list[cst.BaseStatement], cst.BaseExpression]:
    """`x[i] = last = value` as `last = value` and what then goes into the element: `last`."""
    if isinstance(node, cst.AugAssign) or len(node.targets) == 1:
        return [], node.value
    others = [t for t in node.targets[1:] if isinstance(t.target, cst.Name)]
    if len(others) < len(node.targets) - 1 or {t.target.value for t in others} & names_read(base):
        raise Unfit("an element and something else are assigned at once")
    name = cst.Name(others[-1].target.value)
    context.facts[name] = context.fact(node.value)
    return [cst.SimpleStatementLine([cst.Assign(others, node.value)])], name


def _flatten(context: Context, target: cst.Subscript) -> tuple[cst.BaseExpression, list[Part]]:
    """The tensor and the parts of `x[i][j]`, which is `x[i, j]` for plain integers."""
    parts = parts_of(context, target)
    base: cst.BaseExpression = target.value
    while isinstance(base, cst.Subscript) and isinstance(context.fact(base.value), Tensor):
        outer = parts_of(context, base)
        if any(p.kind != "integer" for p in outer):
            break
        parts, base = outer + parts, base.value
    if isinstance(base, cst.Attribute) and base.attr.value == "data":
        base = base.value
    return base, parts


def write_elements(
    context: Context,
    base: cst.BaseExpression,
    fact: Tensor,
    parts: list[Part],
    target: cst.BaseExpression,
    value: cst.BaseExpression,
    operator: str | None,
) -> cst.BaseStatement:
    """The statement that writes a value (or, with an operator, changes the old one)."""
    if not isinstance(base, (cst.Name, cst.Attribute)):
        raise Unfit("elements of a tensor that has no name of its own are assigned to")
    if any(p.kind == "unknown" for p in parts):
        raise Unfit("what this tensor is indexed by is not known")
    value = _fitting(context, value, fact)
    if fact.variable and not any(p.advanced for p in parts):
        changed = fill(operator, a=target, b=value) if operator else value
        place = subscript(base, parts)
        return _line(fill("place.assign(v)", place=place, v=changed))
    new = _new_tensor(context, base, fact, parts, target, value, operator)
    if fact.variable:
        return _line(fill("x.assign(v)", x=base, v=new))
    return cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(base)], new)])


def _line(expression: cst.BaseExpression) -> cst.BaseStatement:
    return cst.SimpleStatementLine([cst.Expr(expression)])


def _fitting(context: Context, value: cst.BaseExpression, fact: Tensor) -> cst.BaseExpression:
    """The value in the tensor's dtype, where it is known to have another."""
    have = context.fact(value)
    if isinstance(have, Tensor) and have.dtype and fact.dtype and have.dtype != fact.dtype:
        return fill(f"tf.cast(v, tf.{fact.dtype})", v=value)
    return value


def _new_tensor(
    context: Context,
    base: cst.BaseExpression,
    fact: Tensor,
    parts: list[Part],
    target: cst.BaseExpression,
    value: cst.BaseExpression,
    operator: str | None,
) -> cst.BaseExpression:
    advanced = [p for p in parts if p.advanced]
    if not advanced:
        changed = fill(operator, a=target, b=value) if operator else value
        return _at_places(context, base, fact, parts, changed)
    if len(parts) == 1 and parts[0].kind == "mask":
        return _by_mask(context, base, fact, parts[0], value, operator)
    if all(p.kind in ("indices", "integer") for p in parts):
        indices = [p.node for p in parts]
        changed = value
        if operator:
            changed = fill(operator, a=_elements(context, base, parts), b=value)
        unit = cst.Name(context.emit("assign_elements"))
        return fill("unit(x, i, v)", unit=unit, x=base, i=indices, v=changed)
    raise Unfit("this mixture of slices and index tensors has no equal in TensorFlow")


def _elements(context: Context, base: cst.BaseExpression, parts: list[Part]) -> cst.BaseExpression:
    """The elements that are read to be changed."""
    if len(parts) == 1:
        return fill("tf.gather(x, i)", x=base, i=parts[0].node)
    return gather_several(context, base, parts)


def _at_places(
    context: Context,
    base: cst.BaseExpression,
    fact: Tensor,
    parts: list[Part],
    value: cst.BaseExpression,
) -> cst.BaseExpression:
    integers = [p.node for p in parts if p.kind == "integer"]
    if len(integers) == len(parts) == fact.rank and not any(
        _is_negative(context, i) for i in integers
    ):
        return fill("tf.tensor_scatter_nd_update(x, [i], [v])", x=base, i=integers, v=value)
    if all(p.kind in ("full", "ellipsis") for p in parts):
        if not isinstance(context.fact(value), Tensor):
            value = fill("tf.cast(v, x.dtype)", x=base, v=value)
        return fill("tf.broadcast_to(v, tf.shape(x))", x=base, v=value)
    unit = cst.Name(context.emit("assign_at"))
    return fill("unit(x, i, v)", unit=unit, x=base, i=written_index(parts), v=value)


def _is_negative(context: Context, node: Any) -> bool:
    fact = context.fact(node)
    return not isinstance(fact, Const) or fact.value < 0


def _by_mask(
    context: Context,
    base: cst.BaseExpression,
    fact: Tensor,
    part: Part,
    value: cst.BaseExpression,
    operator: str | None,
) -> cst.BaseExpression:
    mask = part.node
    if isinstance(part.fact, Tensor) and part.fact.dtype == "uint8":
        mask = fill("tf.cast(m, tf.bool)", m=mask)
    covered = rank_of_mask(part)
    if covered is None or fact.rank is None:
        if not isinstance(mask, cst.Comparison):
            raise Unfit("the ranks of this tensor and of its mask are not known")
    elif covered < fact.rank:
        for _ in range(fact.rank - covered):
            mask = fill("m[..., None]", m=mask)
    same = value.value if _is_masked_alike(value, part.node) else None  # type: ignore[attr-defined]
    if same is None and not _is_single(context, value):
        if operator is not None:
            raise Unfit("elements under a mask are changed by a tensor of them")
        return fill("tf.tensor_scatter_nd_update(x, tf.where(m), v)", x=base, m=part.node, v=value)
    new = same if same is not None else value
    if operator is not None:
        new = fill(operator, a=base, b=new)
    elif same is None:
        new = number_like(value, context.fact(value), fact)
    return fill("tf.where(m, v, x)", m=mask, v=new, x=base)


def _is_masked_alike(value: Any, mask: Any) -> bool:
    """`y[mask]` on the right of `x[mask] =`."""
    if not isinstance(value, cst.Subscript) or len(value.slice) != 1:
        return False
    index = value.slice[0].slice
    return isinstance(index, cst.Index) and code(index.value) == code(mask)


def _is_single(context: Context, value: Any) -> bool:
    fact = context.fact(value)
    if isinstance(fact, (Const, Number)):
        return True
    return isinstance(fact, Tensor) and fact.shape == ()


__all__ = ["plan", "write_elements"]
