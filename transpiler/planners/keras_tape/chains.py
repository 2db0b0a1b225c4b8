"""From an update back to its tape: gradients that only one optimizer reads need no names."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_tape.tapes import Gradient
from transpiler.planners.keras_tape.updates import (
    Change,
    Update,
    assignments,
    reads_of,
    scope_of,
)
from transpiler.site import Site
from transpiler.syntax import walk


class _Order:
    """Where nodes stand in the source."""

    def __init__(self, context: Context) -> None:
        self.index = {node: i for i, node in enumerate(walk(context.module))}

    def end(self, node: cst.CSTNode) -> int:
        """The place of the last node in a statement."""
        return max(self.index.get(n, 0) for n in walk(node))


def order_of(context: Context) -> _Order:
    found: _Order | None = context.notes.get("tape order")
    if found is None:
        found = context.notes["tape order"] = _Order(context)
    return found


def trace(context: Context, update: Update, gradients: list[Gradient]) -> None:
    """Find the tape's call behind an update, and what is done to the gradients on the way."""
    by_node = {g.node: g for g in gradients}
    changes: list[Change] = []
    steps: list[Any] = []
    node: Any = update.gradients
    if node is None and len(update.pairs) == 1:
        node = update.pairs[0][0]
    for _ in range(8):
        if node in by_node:
            found = by_node[node]
            if scope_of(context, found.node) is scope_of(context, update.node):
                update.gradient = found
                update.changes = [*reversed(changes), *update.changes]
                update.extra += [s for s in steps if s not in update.extra]
            return
        if not isinstance(node, cst.Name):
            return
        made = _made_by(context, node)
        if made is None:
            return
        assign, place = made
        statement = context.edits.statement(assign)
        if not _same_rounds(context, statement, update.node):
            return
        if assign.value in by_node:
            if place is not None:
                return
            steps.append(statement)
            node = assign.value
            continue
        change = _read_change(context, assign, place)
        if change is None:
            return
        changes.append(change[0])
        steps.append(statement)
        node = change[1]


def _made_by(context: Context, name: cst.Name) -> tuple[cst.Assign, int | None] | None:
    """The assignment that a read sees, if nothing else reads what it makes."""
    scope, order = scope_of(context, name), order_of(context)
    made = [(order.end(a), a, i) for a, i in assignments(context, scope, name.value)]
    made.sort(key=lambda m: m[0])
    here = order.index[name]
    before = [m for m in made if m[0] < here]
    if not before:
        return None
    start, assign, place = before[-1]
    end = next((m[0] for m in made if m[0] > start), None)
    readers = [
        r
        for r in reads_of(context, scope, name.value)
        if order.index[r] > start and (end is None or order.index[r] <= end)
        and not _is_deleted(context, r)
    ]  # fmt: skip
    return (assign, place) if readers == [name] else None


def _is_deleted(context: Context, node: cst.Name) -> bool:
    return isinstance(context.edits.parent.get(node), cst.Del)


def _same_rounds(context: Context, a: cst.CSTNode, b: cst.CSTNode) -> bool:
    kinds = (cst.For, cst.While, cst.If, cst.FunctionDef)
    return context.edits.enclosing(a, *kinds) is context.edits.enclosing(b, *kinds)


def _read_change(
    context: Context, assign: cst.Assign, place: int | None
) -> tuple[Change, cst.BaseExpression] | None:
    """What an assignment does to a list of gradients, and the list."""
    value, statement = assign.value, context.edits.statement(assign)
    match value:
        case cst.Subscript(value=cst.Call() as call, slice=[cst.SubscriptElement(
            slice=cst.Index(value=cst.Integer(value="0")))]) if place is None:  # fmt: skip
            return _global_norm(context, call, statement, None)
        case cst.Call() if place == 0:
            return _global_norm(context, value, statement, assign.targets[0].target)
        case cst.ListComp() | cst.GeneratorExp() if place is None:
            return _each(context, value, statement)
        case cst.Call() if place is None:
            return _as_torch(context, value, statement, "clip_grad_value")
    return None


def _global_norm(
    context: Context, call: cst.Call, statement: Any, targets: Any
) -> tuple[Change, cst.BaseExpression] | None:
    if qualified_name(context, call.func) != "tf.clip_by_global_norm":
        return _as_torch(context, call, statement, "clip_grad_norm", targets)
    given = Site(context, call, "tf.clip_by_global_norm").args
    if "use_norm" in given or len(given) != 2:
        return None
    norm = _norm_read(context, call, targets)
    return Change("global_norm", statement, given["clip_norm"], norm=norm), given["t_list"]


def _norm_read(context: Context, call: cst.Call, targets: Any) -> cst.BaseExpression | None:
    """The target that takes the norm, if anything reads it."""
    if targets is None:
        return None
    norm: cst.BaseExpression = targets.elements[1].value
    scope = scope_of(context, call)
    read = not isinstance(norm, cst.Name) or reads_of(context, scope, norm.value)
    return norm if read else None


def _as_torch(
    context: Context, call: cst.Call, statement: Any, unit: str, targets: Any = None
) -> tuple[Change, cst.BaseExpression] | None:
    """Gradients clipped by the unit that was written for a function of torch.nn.utils."""
    if qualified_name(context, call.func) != f"to_tf.{unit}":
        return None
    given = dict(Site(context, call, f"to_tf.{unit}").args)
    gradients = given.pop("gradients")
    change = Change(unit, statement, call, norm=_norm_read(context, call, targets), options=given)
    return change, gradients


def _each(
    context: Context, node: cst.ListComp | cst.GeneratorExp, statement: Any
) -> tuple[Change, cst.BaseExpression] | None:
    loop = node.for_in
    if loop.inner_for_in is not None or any(
        "None" not in {n.value for n in walk(t.test) if isinstance(n, cst.Name)} for t in loop.ifs
    ):
        return None
    match loop.target, loop.iter:
        case cst.Name(value=name), cst.Name() | cst.Call():
            if loop.ifs and not isinstance(node.elt, cst.IfExp):
                return None  # leaves out gradients, so that the others move up
            return Change("each", statement, node.elt, (name,)), loop.iter
    return None


__all__ = ["order_of", "trace"]
