"""One update for several optimizers: which of the models goes with which of them."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, options
from transpiler.planners.keras_tape.gradients import is_variable_list
from transpiler.planners.keras_tape.reaching import arguments_of_callers
from transpiler.planners.keras_tape.steps import resolve_list
from transpiler.planners.keras_tape.updates import Update, scope_of
from transpiler.rule import Unfit

REASON = "several optimizers step here, and which variables are whose is not known"
ADVICE = "write one step for each of them"


def paired_variables(
    context: Context, update: Update, node: cst.BaseExpression, origin: cst.Call
) -> cst.BaseExpression:
    """The variables of an update in those rounds or calls in which one optimizer steps."""
    optimizer = update.optimizer
    node = resolve_list(context, node)
    if not isinstance(optimizer, cst.Name):
        raise Unfit(REASON, ADVICE)
    if is_variable_list(node):
        assert isinstance(node, cst.Attribute)
        root: Any = node.value
    else:
        root = node
    if not isinstance(root, cst.Name):
        raise Unfit(REASON, ADVICE)
    found = _in_loop(context, update, optimizer, root, origin) or _in_calls(
        context, update, optimizer, root, origin
    )
    if found is None:
        raise Unfit(REASON, ADVICE)
    return node.with_changes(value=found) if root is not node else found


def is_one(context: Context, node: cst.BaseExpression) -> bool:
    """Whether an update is always of the same model, whichever optimizer makes it."""
    node = resolve_list(context, node)
    if not isinstance(node, cst.Attribute) or not is_variable_list(node):
        return False
    return sum(isinstance(o, Instance) for o in options(context.fact(node.value))) == 1


def _makes(context: Context, node: cst.BaseExpression, origin: cst.Call) -> bool:
    """Whether an expression is the optimizer that a call made, and no other."""
    found = {o.origin for o in options(context.fact(node)) if isinstance(o, Instance)}
    return found == {origin}


def _in_loop(
    context: Context, update: Update, optimizer: cst.Name, root: cst.Name, origin: cst.Call
) -> cst.BaseExpression | None:
    """`for model, optimizer in ((a, b), (c, d))`."""
    loop = context.edits.enclosing(update.node, cst.For)
    while loop is not None:
        match loop.target, loop.iter:
            case cst.Tuple(), cst.Tuple() | cst.List():
                names = [getattr(e.value, "value", None) for e in loop.target.elements]
                if optimizer.value in names and root.value in names:
                    for element in loop.iter.elements:
                        row = element.value
                        if not isinstance(row, (cst.Tuple, cst.List)):
                            return None
                        parts = [e.value for e in row.elements]
                        if _makes(context, parts[names.index(optimizer.value)], origin):
                            return parts[names.index(root.value)]
        loop = context.edits.enclosing(loop, cst.For)
    return None


def _in_calls(
    context: Context, update: Update, optimizer: cst.Name, root: cst.Name, origin: cst.Call
) -> cst.BaseExpression | None:
    """`train_step(model, optimizer)`, called with one pair after the other."""
    function = scope_of(context, update.node)
    if not isinstance(function, cst.FunctionDef):
        return None
    params = [p.name.value for p in function.params.params]
    if optimizer.value not in params or root.value not in params:
        return None
    for given in arguments_of_callers(context, function):
        if optimizer.value in given and _makes(context, given[optimizer.value], origin):
            return given.get(root.value)
    return None
