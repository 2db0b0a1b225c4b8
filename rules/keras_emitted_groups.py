"""Optimizers that carry their variables, as the parameter groups that they were written for.

The planner of optimizers writes the calls (`planners/keras_tape/groups.py`); here is what else a
program does with them.
"""

from __future__ import annotations

from typing import Any

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Function,
    ListObject,
    Method,
    Number,
    Symbol,
    Value,
)
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.site import Site
from transpiler.template import fill

GROUPS = "to_tf.ParameterGroups"


@infers(GROUPS)
def groups(call: Invocation) -> Value:
    """One optimizer, known by its name."""
    return call.interpreter.allocate(Symbol(GROUPS), call.node, {})


@infers("to_tf.parameter_groups")
def made_groups(call: Invocation) -> Value:
    """The maker is run once, so that the optimizer in it is known."""
    maker = call.arg("make", at=0)
    if isinstance(maker, (Function, Method)):
        call.call(maker)
    return call.interpreter.allocate(Symbol(GROUPS), call.node, {})


@infers_property(f"{GROUPS}.parameters")
def parameters(value: Value) -> Value:
    return ListObject(None, UNKNOWN)


@infers_property(f"{GROUPS}.learning_rate")
def learning_rate(value: Value) -> Value:
    return Number("float")


@infers(f"{GROUPS}.apply_gradients", f"{GROUPS}.build")
def applied(call: Invocation) -> Value:
    return Const(None)


@rewrites(GROUPS, "to_tf.parameter_groups", to="torch")
def made(site: Site) -> Any:
    """The planner has written what it could."""
    raise Unfit("these parameter groups are not plain to see", "make one optimizer of torch.optim")


@rewrites(f"{GROUPS}.parameters", to="torch")
def all_parameters(site: Site) -> Any:
    text = '[p for group in optimizer.param_groups for p in group["params"]]'
    return fill(text, optimizer=site.receiver)


@rewrites(f"{GROUPS}.variables", f"{GROUPS}.groups", to="torch")
def parts(site: Site) -> Any:
    raise Unfit("the optimizers of parameter groups are one in PyTorch", "use its param_groups")
