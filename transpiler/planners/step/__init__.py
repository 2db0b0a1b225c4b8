"""The step planner: zero_grad / forward / backward / clip / step as GradientTape steps.

A *region* is the run of statements of one block that computes losses, goes backward and steps.
Each loss gets a tape around the statements that it depends on; where the body can be traced the
region is lifted into a `@tf.function`, else it stays in place and a note says why.
"""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.planners.step.branches import split_branches
from transpiler.planners.step.events import Event, event_of, only_zeros, scopes
from transpiler.planners.step.regions import find_regions
from transpiler.planners.step.rewrite import rewrite_region
from transpiler.rule import Unfit
from transpiler.syntax import find


def plan(context: Context) -> None:
    """Rewrite every region; report what belongs to none."""
    handled: set[cst.CSTNode] = set()
    for body, owner in scopes(context):
        for whole in find_regions(context, body, owner):
            for region in split_branches(context, whole):
                try:
                    rewrite_region(context, region)
                except Unfit as error:
                    context.unfit(region.events[0].statement, "training-step", error)
                    for event in region.events:
                        context.claim(event.node)
                handled.update(e.statement for e in region.events)
    _report_strays(context, handled)
    _drop_helpers(context, handled)


def _drop_helpers(context: Context, handled: set[cst.CSTNode]) -> None:
    """Functions that only empty gradients, where all their calls are gone."""
    for function in context.module.body:
        if not isinstance(function, cst.FunctionDef) or not only_zeros(context, function):
            continue
        name = function.name.value
        uses = [n for n in find(context.module, cst.Name) if n.value == name]
        lines = [context.edits.statement(n) for n in uses if n is not function.name]
        if lines and all(line in handled or context.edits.edited(line) for line in lines):
            context.edits.replace(function, [])


def _report_strays(context: Context, handled: set[cst.CSTNode]) -> None:
    for body, _ in scopes(context):
        for event in _events(context, body):
            if event.statement in handled or context.edits.edited(event.statement):
                continue
            if event.kind in ("zero", "update"):
                context.edits.replace(event.statement, [])
                continue
            context.claim(event.node)
            context.manual(
                event.statement,
                "training-step",
                "the loss and the optimizer step of this update stand in different functions",
                "bring forward pass, backward() and step() together in one block",
            )


def _events(context: Context, body: list[cst.BaseStatement]) -> list[Event]:
    found = []
    stack: list[cst.CSTNode] = list(body)
    while stack:
        node = stack.pop(0)
        event = event_of(context, node)
        if event is not None:
            found.append(event)
        elif isinstance(node, (cst.BaseCompoundStatement, cst.IndentedBlock, cst.Else, cst.Finally,
                               cst.ExceptHandler)):  # fmt: skip
            if not isinstance(node, (cst.FunctionDef, cst.ClassDef)):
                stack[:0] = [c for c in node.children if isinstance(c, cst.CSTNode)]
    return found
