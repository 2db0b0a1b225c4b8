"""Looks at gradients between backward() and the next round: `p.grad` in loops over parameters.

TensorFlow keeps gradients in a list beside the variables: the loop runs over both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.regions import Region
from transpiler.syntax import code, find
from transpiler.template import fill, fill_statements

_M = "torch.nn.Module."


@dataclass(frozen=True)
class Held:
    """A list of gradients: its name, the variables it is beside, and where it is computed."""

    name: str
    variables: cst.BaseExpression
    index: int


@dataclass(frozen=True, eq=False)
class Look:
    """A statement that reads gradients; a movable one may also run after the step."""

    statement: cst.BaseStatement
    name: str
    movable: bool


def plan_looks(context: Context, region: Region, held: list[Held]) -> list[Look]:
    """Rewrite the loops that read gradients which the region holds."""
    found: list[Look] = []
    events = {e.statement for e in region.events}
    for index, statement in enumerate(region.body):
        if statement in events:
            continue
        for loop in find(statement, cst.For, cst.CompFor):
            for one in held:
                if index > one.index and (look := _look(context, statement, loop, one)):
                    clipped = any(e.kind == "clip" and e.index > index for e in region.events)
                    found.append(Look(statement, one.name, look == "apart" and not clipped))
    return found


def _look(context: Context, statement: Any, loop: Any, held: Held) -> str:
    """Rewrite one loop; "apart" where it reads nothing else of the parameters."""
    call = loop.iter
    name = qualified_name(context, call.func) if isinstance(call, cst.Call) else None
    if name not in (f"{_M}parameters", f"{_M}named_parameters"):
        return ""
    if code(call.func.value) + ".trainable_variables" != code(held.variables):
        return ""
    named = name.endswith("named_parameters")
    target = loop.target.elements[1].value if named and _is_pair(loop.target) else loop.target
    if not isinstance(target, cst.Name):
        return ""
    inside = list(_inside(context, loop))
    reads = [a for part in inside for a in find(part, cst.Attribute)
             if code(a) == f"{target.value}.grad"]  # fmt: skip
    if not reads or any(_changes(context, read) for read in reads):
        return ""
    others = [n for part in inside for n in find(part, cst.Name) if n.value == target.value]
    apart = len(others) == len(reads)
    if named:
        _by_variable(context, statement, target, reads, held)
    else:
        _side_by_side(context, loop, reads, held, apart)
    for read in reads:
        context.claim(read)
    return "apart" if apart else "along"


def _is_pair(target: cst.CSTNode) -> bool:
    return isinstance(target, cst.Tuple) and len(target.elements) == 2


def _inside(context: Context, loop: Any) -> Iterator[cst.CSTNode]:
    """What runs in each round of a loop or a comprehension."""
    if isinstance(loop, cst.For):
        yield loop.body
        return
    yield from loop.ifs
    if loop.inner_for_in is not None:
        yield loop.inner_for_in
    above: Any = context.edits.parent[loop]
    while isinstance(above, cst.CompFor):
        above = context.edits.parent[above]
    if isinstance(above, cst.DictComp):
        yield above.key
        yield above.value
    else:
        yield above.elt


def _changes(context: Context, read: cst.Attribute) -> bool:
    """Whether `p.grad` is assigned to, or changed in place."""
    node: Any = read
    above: Any = context.edits.parent[node]
    while isinstance(above, cst.Attribute):
        node, above = above, context.edits.parent[above]
    if isinstance(above, cst.Call) and above.func is node:
        return isinstance(node, cst.Attribute) and node.attr.value.endswith("_")
    return isinstance(above, cst.AssignTarget) or (
        isinstance(above, cst.AugAssign) and above.target is node
    )


def _side_by_side(context: Context, loop: Any, reads: list[Any], held: Held, apart: bool) -> None:
    """`for p, grad in zip(model.trainable_variables, gradients)`, or the gradients alone."""
    edits = context.edits
    grad = cst.Name(context.fresh("gradient"))
    gradients: Any = cst.Name(held.name)
    target: Any = grad
    if not apart:
        gradients = fill("zip(vs, gs)", vs=held.variables.deep_clone(), gs=gradients)
        target = cst.Tuple([cst.Element(loop.target), cst.Element(grad)], lpar=[], rpar=[])
    context.claim(loop.iter)
    edits.replace(loop.iter, gradients)
    edits.replace(loop.target, target)
    for read in reads:
        edits.replace(read, grad)


def _by_variable(
    context: Context, statement: Any, target: cst.Name, reads: list[Any], held: Held
) -> None:
    """Named parameters come in an order of their own: their gradients are looked up."""
    table = cst.Name(context.fresh("gradient_of"))
    lines = fill_statements(
        "table = {id(v): g for v, g in zip(vs, gs)}",
        table=table, vs=held.variables.deep_clone(), gs=cst.Name(held.name),
    )  # fmt: skip
    context.edits.insert_before(statement, lines)
    for read in reads:
        context.edits.replace(read, fill("table[id(p)]", table=table, p=target))
