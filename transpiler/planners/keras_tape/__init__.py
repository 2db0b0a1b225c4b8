"""Training loops with `tf.GradientTape`: `backward` and `step`, or `torch.autograd.grad`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance
from transpiler.planners.keras_tape.arrays import plan_arrays
from transpiler.planners.keras_tape.bases import plan_bases
from transpiler.planners.keras_tape.chains import trace
from transpiler.planners.keras_tape.compiled import plan_compiled
from transpiler.planners.keras_tape.constants import plan_borders, plan_watches
from transpiler.planners.keras_tape.functions import plan_functions
from transpiler.planners.keras_tape.gradients import place_gradient
from transpiler.planners.keras_tape.groups import plan_groups
from transpiler.planners.keras_tape.handed import plan_handed_tapes
from transpiler.planners.keras_tape.modes import plan_modes
from transpiler.planners.keras_tape.modules import plan_modules
from transpiler.planners.keras_tape.naming import plan_names
from transpiler.planners.keras_tape.optimizers import plan_optimizers
from transpiler.planners.keras_tape.rates import plan_counts, plan_rates
from transpiler.planners.keras_tape.reach import Reach
from transpiler.planners.keras_tape.rebinding import plan_rebinding
from transpiler.planners.keras_tape.returns import plan_evaluation, plan_returns
from transpiler.planners.keras_tape.steps import Step, between, find_late
from transpiler.planners.keras_tape.tapes import Tape, read_tapes
from transpiler.planners.keras_tape.updates import Update, read_updates
from transpiler.planners.keras_tape.variables import plan_assignments
from transpiler.rule import Unfit
from transpiler.syntax import code, find


def plan(context: Context) -> None:
    """Write every tape, gradient, update and optimizer of the module."""
    plan_functions(context)
    plan_modules(context)
    plan_bases(context)
    reach = Reach(context)
    modes = context.notes["modes"] = plan_modes(context, reach)
    tapes = read_tapes(context, reach)
    updates = read_updates(context)
    plan_compiled(context, updates)
    gradients = [g for t in tapes for g in t.gradients]
    for update in updates:
        trace(context, update, gradients)
    _open_to_callers(tapes, updates, reach)
    plan_watches(context, tapes)
    plan_rebinding(context, tapes)
    plan_counts(context)
    plan_groups(context)
    varying = plan_optimizers(context, updates)
    _write_updates(context, updates, varying)
    applied = {u.gradient for u in updates if u.gradient is not None}
    for gradient in gradients:
        if gradient not in applied:
            place_gradient(context, gradient)
    plan_arrays(context, modes, tapes)
    plan_borders(context, tapes, reach)
    plan_rates(context)
    plan_names(context)
    plan_assignments(context)
    plan_returns(context, tapes, updates)
    plan_evaluation(context, tapes, reach, modes)
    for tape in tapes:
        _unwrap(context, tapes, tape)
    plan_handed_tapes(context)
    if updates and any(isinstance(o, Instance) for u in updates for o in u.optimizers):
        context.remark(
            updates[0].node, "tf.GradientTape",
            "all of this runs on the CPU, where TensorFlow takes a GPU by itself: move models and"
            " batches with .to(device)",
        )  # fmt: skip


def _write_updates(context: Context, updates: list[Update], varying: set[Any]) -> None:
    late = find_late(context, updates)
    for update in updates:
        kept = update.gradient is not None and update.gradient.retained
        narrow = (
            kept
            or update in late
            or any(o.origin in varying for o in update.optimizers)
            or between(context, update, updates)
        )  # fmt: skip
        try:
            _check_repeats(update)
            joined = [Step(context, u, True) for u, first in late.items() if first is update]
            Step(context, update, narrow, late.get(update), joined).write()
        except Unfit as error:
            update.gradient = None
            context.claim(update.node)
            context.unfit(update.node, "Optimizer.apply_gradients", error)


def _open_to_callers(tapes: list[Tape], updates: list[Update], reach: Reach) -> None:
    """Gradients in functions that other files call may be differentiated there."""
    applied = {u.gradient for u in updates}
    run = reach.run_here()
    for tape in tapes:
        if tape.function is None or tape.function in run:
            continue
        for gradient in tape.gradients:
            if gradient not in applied:
                gradient.differentiated = tape.nested = True


def _check_repeats(update: Update) -> None:
    """Raises Unfit where weights change between two gradients of one recorded graph."""
    gradient = update.gradient
    if gradient is not None and gradient.repeated:
        if len({o.origin for o in update.optimizers}) < 2:
            raise Unfit(
                "the weights change between two gradients of one recorded graph, which PyTorch"
                " refuses",
                "compute the gradients of all losses first, then make the steps",
            )


def _unwrap(context: Context, tapes: list[Tape], tape: Tape) -> None:
    """The block without its tape, and without the name that it had."""
    block = tape.block
    context.claim(tape.item.item)
    if tape.item is block.items[0]:
        own = {t.item for t in tapes if t.block is block}
        kept = [i for i in block.items if i not in own]
        if kept:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            context.edits.replace(block, block.with_changes(items=kept))
        elif not context.edits.edited(block):
            context.edits.unwrap(block)
    for node in find(context.module, cst.Del):
        if code(node.target).strip() == tape.name:
            context.edits.replace(context.edits.statement(node), [])


__all__ = ["plan"]
