"""Writing a tape that several functions enter."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.planners.step.kept import KeptTape
from transpiler.planners.step.lifting import mark_called
from transpiler.planners.step.regions import Region
from transpiler.template import fill_statements

_NOTE = "what the loss is made of is computed in other functions: they share this tape"


def record(context: Context, region: Region, kept: KeptTape) -> None:
    """Make the tape before everything that enters it, and enter it around every run."""
    written: dict[cst.CSTNode, str] = context.notes.setdefault("kept tapes", {})
    known = written.get(region.scope)
    kept.name = known or context.fresh(kept.name)
    if known is not None:
        return
    written[region.scope] = kept.name
    taped = context.notes.setdefault("taped", {})
    for run in kept.runs:
        [outer] = fill_statements("with tape:\n    body", tape=cst.Name(kept.name), body=run)
        for statement in run:
            taped.setdefault(statement, kept.name)
        mark_called(context, run)
        context.edits.surround(run, outer)
    first = min((_top(context, s) for s in _users(region, kept)), key=context.edits.order)
    lines = fill_statements("tape = tf.GradientTape()", tape=cst.Name(kept.name))
    context.edits.insert_before(first, lines)
    context.remark(region.events[0].statement, "training-step", _NOTE)


def _users(region: Region, kept: KeptTape) -> list[cst.CSTNode]:
    return [region.events[0].statement, *(run[0] for run in kept.runs)]


def _top(context: Context, node: cst.CSTNode) -> cst.CSTNode:
    """The statement of the module that a node stands in."""
    while not isinstance(context.edits.parent[node], cst.Module):
        node = context.edits.parent[node]
    return node
