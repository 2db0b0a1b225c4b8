"""Steps that several optimizers come to: a traced function makes variables on its first call only.

So where an optimizer is not the only one that steps in a function, it and its model are built where
the optimizer is made; where that can not be written, the step stays eager.
"""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.events import Event, instances
from transpiler.planners.step.homes import runs_again
from transpiler.planners.step.variables import parameters_of, write_variables
from transpiler.rule import Unfit
from transpiler.rules.checkpoints import building, is_first_build
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import fill_statements

PARAMETERS = "torch.nn.Module.parameters"
_REASON = "several optimizers step here, and one can not be built before"


def build_beforehand(context: Context, steps: list[Event]) -> str | None:
    """Build what several optimizers need when they are made; the reason where one can not be."""
    planned: list[tuple[cst.CSTNode, list[cst.BaseStatement], list[cst.BaseStatement]]] = []
    for step in steps:
        made = {id(i.origin): i for i in instances(step.value)}
        again = any(_made_again(context, o.origin) for o in made.values())
        if len(made) < 2 and not again:
            continue
        for optimizer in made.values():
            lines = _lines(context, step, optimizer)
            if lines is None:
                return _REASON
            planned.append(lines)
    done = context.notes.setdefault("optimizers built", set())
    for statement, before, after in planned:
        if statement not in done:
            done.add(statement)
            context.edits.insert_before(statement, before)
            context.edits.insert_after(statement, after)
    return None


def _made_again(context: Context, made: cst.CSTNode) -> bool:
    """Whether a call stands in a loop, or in a function that runs again, and makes more of them."""
    if context.edits.enclosing(made, cst.For, cst.While) is not None:
        return True
    function = context.edits.enclosing(made, cst.FunctionDef)
    return function is not None and runs_again(context, function)


def _lines(
    context: Context, step: Event, optimizer: Instance
) -> tuple[cst.CSTNode, list[cst.BaseStatement], list[cst.BaseStatement]] | None:
    """The statement that makes an optimizer, and what to put before and after it."""
    origin = optimizer.origin
    parent = context.edits.parent.get(origin)
    if not isinstance(parent, cst.Assign) or len(parent.targets) != 1:
        return None
    single = Event(step.kind, step.name, step.statement, step.node, None, optimizer)
    scope = context.edits.enclosing(origin, cst.FunctionDef) or context.module
    try:
        parameters = parameters_of(context, single)
        variables = write_variables(context, parameters, scope)
    except Unfit:
        return None
    before: list[cst.BaseStatement] = []
    for call in find(parameters, cst.Call):
        if qualified_name(context, call.func) != PARAMETERS:
            continue
        if call not in context.interpreter.early:
            continue
        assert isinstance(call.func, cst.Attribute)
        site = Site(context, call, PARAMETERS)
        lines = building(site, call.func.value)
        if lines is None:
            return None
        if is_first_build(site, call.func.value):
            before += lines
    after = fill_statements(
        "optimizer.build(variables)", optimizer=parent.targets[0].target, variables=variables
    )
    return context.edits.statement(origin), before, after
