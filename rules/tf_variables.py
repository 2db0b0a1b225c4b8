"""`tf.Variable` as a parameter of a module, or as a tensor that asks for its gradient."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const, Function, Tensor
from transpiler.modules import in_module_method
from transpiler.rule import Unfit, rewrites
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import OMIT, call, fill

MODULE = "tf.Module"


@rewrites("tf.Variable", "keras.Variable", to="torch")
def variable(site: Site) -> Any:
    """What it starts from, trained or not."""
    if not site.is_call:
        raise Unfit("tf.Variable is used without being called")
    for name in ("constraint", "caching_device", "variable_def", "import_scope"):
        if site.has(name):
            raise Unfit(f"`{name}` of tf.Variable has no equal here")
    start = site.args.get("initial_value", site.args.get("initializer"))
    if start is None:
        raise Unfit("a variable without an initial value is not translated")
    if isinstance(start, cst.Lambda):
        start = start.body
    elif isinstance(site.context.fact(start), Function):
        start = fill("make()", make=start)
    made = site.context.fact(site.node)
    trained = isinstance(made, Tensor) and made.variable
    if is_attribute_of_module(site):
        value = as_tensor(site, start, OMIT)
        if trained and is_left_out(site):
            site.caution(
                "Keras 3 leaves a tf.Variable of a model out of its trainable_variables, so nothing"
                " trains it; Keras 2 did", "requires_grad=True, or add_weight in the source",
            )  # fmt: skip
            trained = False
        return call("torch.nn.Parameter", value, requires_grad=OMIT if trained else False)
    return as_tensor(site, start, True) if trained else as_tensor(site, start, OMIT)


def is_attribute_of_module(site: Site) -> bool:
    """`self.w = tf.Variable(...)` in a module's method."""
    target = site.assigned_to
    if not isinstance(target, cst.Attribute) or not isinstance(target.value, cst.Name):
        return False
    return in_module_method(site.context, site.node) or in_plain_module(site)


def is_left_out(site: Site) -> bool:
    """Whether a variable belongs to a Keras model and no list of variables names it."""
    if site.name != "tf.Variable" or in_plain_module(site):
        return False
    assert isinstance(site.assigned_to, cst.Attribute)
    name = site.assigned_to.attr.value
    for node in find(site.context.module, cst.Attribute):
        if node.attr.value != name:
            continue
        parent = site.context.edits.parent[node]
        around = site.context.edits.parent.get(parent)
        func = around.func if isinstance(around, cst.Call) else None
        asked = isinstance(func, cst.Attribute) and func.attr.value in ASKED
        if isinstance(parent, cst.Element) or (isinstance(parent, cst.Arg) and asked):
            return False
    return True


ASKED = ("gradient", "jacobian", "watch", "minimize", "append")


def in_plain_module(site: Site) -> bool:
    owner = site.context.edits.enclosing(site.node, cst.ClassDef)
    fact = site.context.fact(owner) if owner is not None else None
    return fact is not None and site.context.knowledge.derives(fact, MODULE)


def as_tensor(site: Site, start: cst.BaseExpression, wanted: Any) -> cst.BaseExpression:
    """A tensor of its own with the variable's dtype."""
    dtype = site.args.get("dtype", OMIT)
    if isinstance(dtype, cst.Name) and dtype.value == "None":
        dtype = OMIT
    if isinstance(dtype, cst.CSTNode):
        known = site.context.fact(dtype)
        if isinstance(known, Const) and isinstance(known.value, str):
            dtype = fill(f"torch.{known.value}")
    fact = site.context.fact(start)
    if isinstance(fact, Tensor) and fact.library == "numpy":
        made = site.context.fact(site.node)
        if dtype is OMIT and isinstance(made, Tensor) and made.dtype is None:
            return call("torch.tensor", start, requires_grad=wanted)
        return call("torch.tensor", start, dtype=dtype, requires_grad=wanted)
    if isinstance(fact, Tensor):
        return _from_tensor(site, start, fact, dtype, wanted)
    if isinstance(start, cst.Call) and not isinstance(fact, Const):
        new: cst.BaseExpression = call("torch.as_tensor", start, dtype=dtype)
        return fill("x.requires_grad_()", x=new) if wanted is True else new
    return call("torch.tensor", start, dtype=dtype, requires_grad=wanted)


def _from_tensor(
    site: Site, start: cst.BaseExpression, fact: Tensor, dtype: Any, wanted: Any
) -> cst.BaseExpression:
    new = start
    if not isinstance(start, (cst.Call, cst.BinaryOperation, cst.UnaryOperation)):
        new = fill("x.detach().clone()", x=start)
    made = site.context.fact(site.node)
    if dtype is not OMIT and not (isinstance(made, Tensor) and made.dtype == fact.dtype):
        new = fill("x.to(d)", x=new, d=dtype)
    return fill("x.requires_grad_()", x=new) if wanted is True else new


@rewrites("tf.Tensor.read_value", "tf.Tensor.value", "tf.Tensor.initialized_value", to="torch")
def value(site: Site) -> Any:
    """A variable is its value."""
    return site.receiver
