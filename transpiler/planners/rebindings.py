"""The planner of buffers and parameters that get another tensor: their variables are assigned to.

self.mean = 0.9 * self.mean + 0.1 * x.mean(0)     self.mean.assign(0.9 * self.mean + ...)
self.codes.weight = nn.Parameter(means)           self.codes.embeddings.assign(means)

A name that is bound anew in a traced step would keep a tensor of the trace.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, options
from transpiler.modules import is_module
from transpiler.planners.expressions import qualified_name
from transpiler.rules.parameters import STATISTICS, variable_of
from transpiler.syntax import code, find
from transpiler.template import fill


def plan(context: Context) -> None:
    """Assign to the variables that modules have."""
    for node in find(context.module, cst.Assign):
        if rebinds(context, node.targets[0].target):
            _plan_assignment(context, node)
    for attribute in find(context.module, cst.Attribute):
        _plan_statistic(context, attribute)
    for instance in list(context.interpreter.instances.values()):
        if isinstance(instance.cls, Symbol) and is_replaced(context, instance, "weight"):
            if instance.origin in context.edits.parent:
                context.edits.wrap(instance.origin, _freeze)


def _plan_statistic(context: Context, node: cst.Attribute) -> None:
    """`module.running_mean` of one of many modules: only normalizations have such a thing."""
    if node.attr.value not in STATISTICS or node in context.claimed:
        return
    owners = options(context.fact(node.value))
    if _is_own(context, node.attr.value) or (
        isinstance(node.value, cst.Name) and (node.value.value == "self")
    ):
        return
    if all(isinstance(o, Instance) and isinstance(o.cls, Symbol) for o in owners):
        return  # the rule knows
    context.claim(node)
    place = fill(f"layer.{STATISTICS[node.attr.value]}", layer=node.value)
    parent = context.edits.parent[node]
    assign = context.edits.parent[parent] if isinstance(parent, cst.AssignTarget) else None
    if isinstance(assign, cst.Assign) and len(assign.targets) == 1:
        line = cst.SimpleStatementLine([cst.Expr(fill("v.assign(x)", v=place, x=assign.value))])
        context.edits.replace(context.edits.statement(assign), [line])
    elif assign is None:
        context.edits.replace(node, place)


def _is_own(context: Context, name: str) -> bool:
    """Whether the program registers buffers under a name of torch's statistics."""
    texts = (f'"{name}"', f"'{name}'")
    return any(s.value in texts for s in find(context.module, cst.SimpleString)) or any(
        node.attr.value == name and code(node.value) == "self"
        for node in find(context.module, cst.Attribute)
    )


def _freeze(layer: Any) -> Any:
    """A layer that no optimizer trains: the parameter that it was given is replaced."""
    more = cst.Arg(cst.Name("False"), keyword=cst.Name("trainable"))
    return layer.with_changes(args=[*layer.args, more]) if isinstance(layer, cst.Call) else layer


def rebinds(context: Context, target: cst.CSTNode) -> bool:
    """Whether an assignment to a module's attribute always finds a variable there."""
    if not isinstance(target, cst.Attribute) or not context.interpreter.rebindings.get(target):
        return False
    return all(is_module(context, o) for o in options(context.fact(target.value)))


def _plan_assignment(context: Context, node: cst.Assign) -> None:
    target: Any = node.targets[0].target
    value = node.value
    if isinstance(value, cst.Call) and value.args and _wraps(context, value):
        context.claim(value)
        context.claim(value.func)
        value = value.args[0].value
    context.claim(target)
    place, order = variable_of(context, target) or (target, None)
    if order is not None:
        value = fill("tf.transpose(v, order)", v=value, order=order)
    new = fill("v.assign(x)", v=place, x=value)
    context.edits.replace(context.edits.statement(node), [cst.SimpleStatementLine([cst.Expr(new)])])


def _wraps(context: Context, call: cst.Call) -> bool:
    return qualified_name(context, call.func) in ("torch.nn.Parameter", "torch.autograd.Variable")


def is_replaced(context: Context, owner: Any, name: str) -> bool:
    """Whether a run of the program puts other tensors in the place of a module's parameter."""
    for target, again in context.interpreter.rebindings.items():
        if again and isinstance(target, cst.Attribute) and target.attr.value == name:
            if target in context.edits.parent and owner in options(context.fact(target.value)):
                return True
    return False


__all__ = ["is_replaced", "plan", "rebinds"]
