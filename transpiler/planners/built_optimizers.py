"""The planner of optimizers whose variables are not all trainable when they first step.

A Keras optimizer knows the variables of its first step, torch's all that it was given: it is built
for these where parameters are trained again later.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.freezing import may_be_frozen
from transpiler.infer.values import options
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit
from transpiler.rules.module_methods import LATE, M, build_if_early, with_frozen
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import fill_statements


def plan(context: Context) -> None:
    """Build the optimizers that are made before parameters are trained again."""
    late: list[cst.CSTNode] = context.notes.get(LATE, [])
    for call in find(context.module, cst.Call) if late else ():
        made = [*options(context.fact(call)), *options(context.fact(call.func))]
        if all(context.knowledge.derives(o, "torch.optim.Optimizer") for o in made):
            _plan_optimizer(context, call, late)


def _plan_optimizer(context: Context, call: cst.Call, late: list[cst.CSTNode]) -> None:
    target = Site(context, call, "").assigned_to
    given = call.args[0].value if call.args else None
    if target is None or not isinstance(given, cst.Call):
        return
    if qualified_name(context, given.func) == f"{M}parameters":
        site = Site(context, given, f"{M}parameters")
        if may_be_frozen(context, site.receiver_fact):
            _build(context, target, call, site)
    elif "requires_grad" in code(given) and not any(_stands_by(context, call, n) for n in late):
        context.manual(
            call,
            "torch.optim",
            "parameters are trained again later that this optimizer was not given: torch's leaves "
            "them alone",
            "make another optimizer where they are unfrozen",
        )


def _build(context: Context, target: Any, call: cst.Call, site: Site) -> None:
    try:
        build_if_early(site)
    except Unfit as error:
        context.unfit(call, "torch.optim", error)
        return
    lines = fill_statements("optimizer.build(vs)", optimizer=target, vs=with_frozen(site))
    context.edits.insert_after(context.edits.statement(call), lines)


def _stands_by(context: Context, call: cst.Call, node: cst.CSTNode) -> bool:
    """Whether an optimizer is made in the loop in which parameters are unfrozen."""
    loop = context.edits.enclosing(call, cst.For, cst.While)
    return loop is not None and any(n is node for n in find(loop, type(node)))


__all__ = ["plan"]
