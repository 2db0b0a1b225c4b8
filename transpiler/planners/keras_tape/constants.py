"""What a tape does not record is constant: gradients stop at its borders."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import always_writes, exposed_reads, reads, writes
from transpiler.infer.values import ListObject, Sequence, Tensor
from transpiler.planners.keras_tape.reach import Reach, is_trained
from transpiler.planners.keras_tape.tapes import Tape, stands_in
from transpiler.planners.keras_tape.updates import scope_of
from transpiler.syntax import code, find
from transpiler.template import fill_statements


def plan_watches(context: Context, tapes: list[Tape]) -> None:
    """`tape.watch(x)`: x asks for its gradient."""
    for tape in tapes:
        for call in tape.watches:
            context.claim(call)
            statement = context.edits.statement(call)
            lines: list[cst.BaseStatement] = []
            for node in _watched(call):
                if not _is_watched_around(context, tapes, tape, node):
                    lines += _watch(context, tape, node)
            context.edits.replace(statement, lines)


def _watched(call: cst.Call) -> list[cst.BaseExpression]:
    given = call.args[0].value if call.args else None
    if isinstance(given, (cst.List, cst.Tuple)):
        return [e.value for e in given.elements]
    return [] if given is None else [given]


def _is_watched_around(
    context: Context, tapes: list[Tape], tape: Tape, node: cst.BaseExpression
) -> bool:
    """Whether a tape around this one watches the same tensor."""
    text = code(node)
    for other in tapes:
        if other is tape or not stands_in(context, tape.block, other.block):
            continue
        given = [n for w in other.watches for n in _watched(w)]
        made = set().union(*(writes(s) for s in other.block.body.body))
        if text not in made and any(code(n) == text for n in given):
            return True
    return False


def _watch(context: Context, tape: Tape, node: cst.BaseExpression) -> list[cst.BaseStatement]:
    if is_trained(context.fact(node)):
        return []
    if isinstance(context.fact(node), (ListObject, Sequence)):
        return fill_statements("for x in xs:\n    x.requires_grad_()\n", xs=node)
    if isinstance(node, cst.Name) and not tape.nested and _is_from_before(context, tape, node):
        return fill_statements("x = x.detach().requires_grad_()", x=node)
    return fill_statements("x.requires_grad_()", x=node)


def _is_from_before(context: Context, tape: Tape, node: cst.Name) -> bool:
    """Whether a name was bound before its tape began, in the same function."""
    if node.value in set().union(*(writes(s) for s in tape.block.body.body)):
        return False
    scope = scope_of(context, node)
    if not isinstance(scope, cst.FunctionDef):
        return True
    params = {p.name.value for p in [*scope.params.params, *scope.params.kwonly_params]}
    return node.value in params | set().union(*(writes(s) for s in scope.body.body), set())


def plan_borders(context: Context, tapes: list[Tape], reach: Reach) -> None:
    """Cut off what was computed before a tape, where gradients could flow back into it."""
    done: set[Any] = set()
    for tape in tapes:
        if tape.nested or tape.block in done:
            continue
        done.add(tape.block)
        needed = exposed_reads(tape.block.body.body)
        _detach_carried(context, tapes, tape, needed)
        _wrap_before(context, tapes, tape, needed, reach)


def _written_in(tapes: list[Tape], function: Any) -> set[str]:
    """Names that a tape of the function records the making of."""
    found: set[str] = set()
    for tape in tapes:
        if tape.function is function:
            for statement in tape.block.body.body:
                found |= writes(statement)
    return found


def _detach_carried(context: Context, tapes: list[Tape], tape: Tape, needed: set[str]) -> None:
    """Results of an earlier tape, or of an earlier round, are numbers to this one."""
    carried = needed & _written_in(tapes, tape.function)
    carried = {n for n in carried if not _made_anew(context, tapes, tape, n)}
    lines: list[cst.BaseStatement] = []
    for name in sorted(carried):
        facts = [
            context.fact(n)
            for n in find(tape.block.body, cst.Name)
            if n.value == name and not isinstance(context.edits.parent[n], cst.AssignTarget)
        ]
        if any(isinstance(f, Tensor) and not f.variable and not _is_whole(f) for f in facts):
            lines += fill_statements("x = x.detach()", x=cst.Name(name))
    if lines:
        context.edits.insert_before(tape.block, lines)


def _is_whole(value: Tensor) -> bool:
    """Whether an array holds whole numbers, which have no gradients."""
    return (value.dtype or "").startswith(("int", "uint", "bool"))


def _made_anew(context: Context, tapes: list[Tape], tape: Tape, name: str) -> bool:
    """Whether a statement right before the tape makes what it reads under a name."""
    body = list(getattr(context.edits.parent[tape.block], "body", ()))
    blocks = {t.block for t in tapes}
    for statement in reversed(body[: body.index(tape.block)] if tape.block in body else []):
        if any(w in blocks for w in find(statement, cst.With)):
            return False
        if name in always_writes(statement):
            return True
    return False


def _wrap_before(
    context: Context, tapes: list[Tape], tape: Tape, needed: set[str], reach: Reach
) -> None:
    """Statements before the tape that compute with variables go under `no_grad`."""
    block = context.edits.parent[tape.block]
    body = list(getattr(block, "body", ()))
    if tape.block not in body:
        return
    place = body.index(tape.block)
    marked: list[Any] = []
    for statement in reversed(body[:place]):
        if not isinstance(statement, (cst.SimpleStatementLine, cst.For, cst.If)):
            continue
        made = writes(statement)
        if not made & needed:
            continue
        needed = needed | reads(statement)
        if _is_plain(context, tapes, statement) and reach.uses_variables(statement):
            if _runs_tape(tapes, reach, statement):
                _detach_after(context, statement, made & needed)
            else:
                marked.append(statement)
    for run in _runs(body, marked):
        wrap_no_grad(context, run)


def _runs_tape(tapes: list[Tape], reach: Reach, statement: Any) -> bool:
    """Whether a function that a statement calls has a tape of its own, which has to record."""
    blocks = {t.block for t in tapes}
    return any(w in blocks for f in reach.within([statement]) for w in find(f.body, cst.With))


def _detach_after(context: Context, statement: Any, names: set[str]) -> None:
    """Results as numbers, where what computes them can not do without gradients."""
    for name in sorted(names):
        facts = [context.fact(n) for n in find(statement, cst.Name) if n.value == name]
        if any(isinstance(f, Tensor) and not f.variable and not _is_whole(f) for f in facts):
            lines = fill_statements("x = x.detach()", x=cst.Name(name))
            context.edits.insert_after(statement, lines)


def _is_plain(context: Context, tapes: list[Tape], statement: Any) -> bool:
    """Whether a statement only computes: no tape, no update, no new model in it."""
    if any(t.block is n for t in tapes for n in find(statement, cst.With)):
        return False
    if context.edits.edited(statement):
        return False
    if isinstance(statement, cst.SimpleStatementLine):
        for small in statement.body:
            value = getattr(small, "value", None)
            if isinstance(value, (cst.Name, cst.Attribute, cst.List)):
                return False  # another name for a list of variables
            fact = context.fact(value)
            if not isinstance(fact, (Tensor, Sequence, ListObject)) or is_trained(fact):
                return False
    return True


def _runs(body: list[Any], marked: list[Any]) -> list[list[Any]]:
    """Marked statements that stand next to each other, together."""
    runs: list[list[Any]] = []
    for index, statement in enumerate(body):
        if statement not in marked:
            continue
        if runs and runs[-1][-1] is body[index - 1]:
            runs[-1].append(statement)
        else:
            runs.append([statement])
    return runs


def wrap_no_grad(context: Context, run: list[Any]) -> None:
    """Put statements under `with torch.no_grad()`."""
    held: set[Any] = context.notes.setdefault("under no_grad", set())
    if any(s in held for s in run):
        return
    held.update(run)
    (block,) = fill_statements("with torch.no_grad():\n    inner\n", inner=run)
    context.edits.surround(run, block)
