"""The planner of schedules that a hook moves on after each step: the optimizer has them itself.

optimizer = Adam(net.parameters(), lr=1.0)
scheduler = LambdaLR(optimizer, exponential_decay(0.1, 9, 0.5))
optimizer.register_step_post_hook(lambda *_: scheduler.step())

becomes `optimizer = keras.optimizers.Adam(learning_rate=schedules.ExponentialDecay(0.1, 9, 0.5))`.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, options
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit
from transpiler.rules.schedules import HOOK, HOOKED, KERAS_SCHEDULES
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import parse_expression


def plan(context: Context) -> None:
    """Give the optimizers their schedules; tell of hooks that do something else."""
    for call in find(context.module, cst.Call):
        if qualified_name(context, call.func) != HOOK:
            continue
        context.claim(call)
        context.claim(call.func)
        try:
            _plan_hook(context, call)
        except Unfit as error:
            context.unfit(call, HOOK, error)


def _plan_hook(context: Context, hook: cst.Call) -> None:
    assert isinstance(hook.func, cst.Attribute)
    scheduler = _stepped(hook)
    if scheduler is None or not isinstance(context.edits.parent[hook], cst.Expr):
        raise Unfit("a hook runs after the steps of an optimizer", "call it after step()")
    made = [o for o in options(context.fact(scheduler)) if isinstance(o, Instance)]
    origin: Any = made[0].origin if len(made) == 1 else None
    name = qualified_name(context, origin.func) if isinstance(origin, cst.Call) else None
    if name != "torch.optim.lr_scheduler.LambdaLR":
        raise Unfit("a hook moves a schedule on that no optimizer of Keras' has",
                    "step the scheduler after the optimizer")  # fmt: skip
    inner = Site(context, origin, name)
    schedule: Any = inner.arg("lr_lambda")
    unit = qualified_name(context, schedule.func) if isinstance(schedule, cst.Call) else None
    optimizers = [o for o in options(context.fact(hook.func.value)) if isinstance(o, Instance)]
    source: Any = optimizers[0].origin if len(optimizers) == 1 else None
    if unit not in KERAS_SCHEDULES or not _starts_at_one(context, source):
        raise Unfit("a hook moves a schedule on that no optimizer of Keras' has",
                    "step the scheduler after the optimizer")  # fmt: skip
    assign = context.edits.parent[origin]
    if not isinstance(assign, cst.Assign) or _is_read(context, scheduler, hook, assign):
        raise Unfit("a schedule that a hook moves on is read as well")
    context.notes.setdefault(HOOKED, []).append(made[0])
    for node in (origin, origin.func, schedule, schedule.func):
        context.claim(node)
    rate = schedule.with_changes(func=parse_expression(KERAS_SCHEDULES[unit]).deep_clone())
    context.edits.wrap(source, lambda x: _with_rate(x, rate))
    for line in (hook, assign):
        context.edits.replace(context.edits.statement(line), [])


def _stepped(hook: cst.Call) -> cst.BaseExpression | None:
    """scheduler of `lambda *_: scheduler.step()`."""
    match hook.args:
        case [cst.Arg(value=cst.Lambda(body=cst.Call(func=func, args=[])))]:
            if isinstance(func, cst.Attribute) and func.attr.value == "step":
                return func.value
    return None


def _starts_at_one(context: Context, source: Any) -> bool:
    """Whether the schedule's values are the rates themselves."""
    if not isinstance(source, cst.Call) or source not in context.edits.parent:
        return False
    site = Site(context, source, qualified_name(context, source.func) or "")
    return "lr" in site.args and context.fact(site.args["lr"]) == Const(1.0)


def _is_read(context: Context, scheduler: Any, hook: cst.Call, assign: cst.Assign) -> bool:
    """Whether something else than the hook and checkpoints reads the scheduler."""
    text, inside = code(scheduler), set(find(hook, type(scheduler)))
    for node in find(context.module, type(scheduler)):
        if code(node) != text or node in inside:
            continue
        parent = context.edits.parent[node]
        kept = isinstance(parent, cst.Arg) and parent.keyword is not None
        named = isinstance(parent, cst.Arg) and parent.keyword is node
        if not kept and not named and context.edits.parent[parent] is not assign:
            return True
    return False


def _with_rate(made: Any, rate: cst.BaseExpression) -> Any:
    args = [
        a.with_changes(value=rate) if a.keyword and a.keyword.value == "learning_rate" else a
        for a in made.args
    ]
    return made.with_changes(args=args)


__all__ = ["plan"]
