"""Gradients of tensors: detaching, copying, asking for a gradient."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import is_float
from transpiler.infer.values import Tensor
from transpiler.modules import in_module_method
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both, methods
from transpiler.rules.tensor_arguments import (
    Arguments,
    bare,
    fill,
    text,
)
from transpiler.rules.tensors_cast import vanish
from transpiler.site import Site, constant_value
from transpiler.syntax import find
from transpiler.template import fill_statements

UNSUPPORTED = {
    "torch.Tensor.grad": "TensorFlow keeps no gradients with its variables: a tape gives a list"
}

# ---- gradients --------------------------------------------------------------------------------


def may_have_gradient(site: Site) -> bool:
    """Whether a tape may run over this place; False only where that is sure."""
    context = site.context
    node: Any = site.node
    taped, functions = context.notes.get("taped", {}), context.notes.get("taped functions", set())
    while node is not None:
        if node in taped or node in functions:
            return True
        if isinstance(node, cst.With) and "no_grad" in text(node.items[0].item):
            return False
        if isinstance(node, cst.Expr) and _changes_variable(site, node.value):
            return False
        if isinstance(node, cst.FunctionDef):
            return bool(context.notes.get("kept tapes")) or not _runs_apart(site, node)
        node = context.edits.parent.get(node)
    return False


def _changes_variable(site: Site, node: Any) -> bool:
    """Whether a statement is `variable.copy_(...)` or the like: no tape follows assignments."""
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute):
        return False
    fact = site.context.fact(node.func.value)
    return node.func.attr.value.endswith("_") and isinstance(fact, Tensor) and fact.variable


def _runs_apart(site: Site, function: cst.FunctionDef) -> bool:
    """Whether a function has tapes of its own, or is only called where there are none."""
    context = site.context
    taped = context.notes.get("taped", {})
    if any(part in taped for part in find(function.body, cst.BaseStatement)):  # type: ignore[type-abstract]
        return True
    if not taped or in_module_method(context, function):
        return False
    name = function.name.value
    own = set(find(function.body, cst.Call))
    return any(
        isinstance(c.func, cst.Name) and c.func.value == name and c not in own
        for c in find(context.module, cst.Call)
    )


@rewrites(
    *methods("detach", "data", "detach_"), "torch.detach", to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3)], cases=["x.detach() * x", "x.data * x", "(x > 0).detach()"]),
)  # fmt: skip
def detach(site: Site) -> Any:
    x = site.receiver if site.receiver is not None else Arguments(site).x
    if isinstance(site.parent, cst.AssignTarget):
        return _assign_data(site)
    if isinstance(site.parent, cst.AugAssign) and site.parent.target is site.node:
        return site.keep() if site.context.fact(x) is None else x
    dtype = site.dtype(x)
    if (dtype is not None and not is_float(dtype)) or not may_have_gradient(site):
        return vanish(site, x) if site.is_call else x
    if site.alone and site.name.endswith("detach_"):
        return _rebind(site, x, fill("tf.stop_gradient(x)", x=x))
    return fill("tf.stop_gradient(x)", x=x)


def _rebind(site: Site, x: Any, new: Any) -> Any:
    if not isinstance(x, (cst.Name, cst.Attribute)):
        raise Unfit(f"{site.short} of a tensor that has no name")
    return [cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(x)], new)])]


def _assign_data(site: Site) -> Any:
    """`p.data = value`."""
    small = site.context.edits.enclosing(site.node, cst.Assign)
    fact = site.receiver_fact
    if not isinstance(fact, Tensor) or not isinstance(small, cst.Assign) or len(small.targets) > 1:
        raise Unfit("`data` of something unknown is assigned to")
    if fact.variable:
        new = fill("p.assign(v)", p=site.receiver, v=small.value)
        return [cst.SimpleStatementLine([cst.Expr(new)])]
    return _rebind(site, site.receiver, small.value)


@rewrites(*both("clone"), to="tf", layout="elementwise",
          proof=Proof(inputs=[(2, 3)], cases=["x.clone() * 2", "x.detach().clone()"]))  # fmt: skip
def clone(site: Site) -> Any:
    """Tensors never change; only a variable's value has to be kept aside."""
    x = Arguments(site).x
    fact = site.context.fact(bare(site, x) if not may_have_gradient(site) else x)
    if isinstance(fact, Tensor) and fact.variable:
        return fill("tf.identity(x)", x=x)
    return vanish(site, x)


def is_parameter(site: Site, node: Any) -> bool:
    """Whether a variable is one of a module's, of which a loop runs over all."""
    loop = site.context.edits.enclosing(site.node, cst.For)
    while loop is not None:
        if isinstance(node, cst.Name) and any(
            n.value == node.value for n in find(loop.target, cst.Name)
        ):
            return any(
                isinstance(c.func, cst.Attribute) and c.func.attr.value.endswith("parameters")
                for c in find(loop.iter, cst.Call)
            )
        loop = site.context.edits.enclosing(loop, cst.For)
    return False


@rewrites(*methods("requires_grad_"), to="tf")
def require_gradient(site: Site) -> Any:
    """A tape watches what it is asked for; new tensors that ask for a gradient are variables."""
    given = Arguments(site)
    wanted = given.const("requires_grad", at=0, default=True)
    fact = site.receiver_fact
    if isinstance(fact, Tensor) and fact.variable:
        if is_parameter(site, given.x) and site.alone:
            return fill_statements("v.trainable = flag", v=given.x, flag=wanted)
        if wanted:
            return vanish(site, given.x)
        raise Unfit(
            "a variable is frozen here", "set `trainable = False` on its layer before training"
        )
    if wanted and site.assigned_to is not None and isinstance(given.x, cst.Call):
        if site.context.edits.enclosing(site.node, cst.FunctionDef) is None:
            return fill("tf.Variable(x)", x=given.x)
    loop = site.context.edits.enclosing(site.node, cst.For)
    if wanted and site.alone and loop is not None and text(loop.target) == text(given.x):
        raise Unfit("tensors are made variables in a loop", "make each with requires_grad=True")
    return vanish(site, given.x)


@rewrites(*methods("requires_grad"), to="tf")
def requires_gradient(site: Site) -> Any:
    fact = site.receiver_fact
    variable = isinstance(fact, Tensor) and fact.variable
    small = site.context.edits.enclosing(site.node, cst.Assign)
    if isinstance(site.parent, cst.AssignTarget) and isinstance(small, cst.Assign):
        if variable and is_parameter(site, site.receiver):
            return fill_statements("v.trainable = flag", v=site.receiver, flag=small.value)
        wanted = constant_value(site.fact(small.value))
        if wanted is True:
            return []
        raise Unfit(
            "a parameter is frozen here",
            "set `trainable = False` on its layer, before the first training step",
        )
    if variable:
        return fill("v.trainable", v=site.receiver)
    raise Unfit("tensors of TensorFlow do not know whether they need a gradient")
