"""Dtypes, casts, devices and gradients of tensors, and what leaves for Python and NumPy."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import is_float
from transpiler.infer.values import Const, Number, Symbol, Tensor, Union, options
from transpiler.modules import in_module_method
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.operands import BUILTIN_TYPES, CASTS, DTYPES, both, dtype_of, methods
from transpiler.rules.tensor_arguments import (
    Arguments,
    bare,
    cast,
    drop,
    dtype_argument,
    fill,
    text,
)
from transpiler.site import Site, constant_value
from transpiler.syntax import find

DTYPE_NAMES = [
    Rule(f"dtype-{name}", torch=f"torch.{name}", keras=f"tf.{name}", to="tf")
    for name in sorted(DTYPES)
]


# ---- casts ------------------------------------------------------------------------------------


@rewrites(
    *methods(*CASTS), to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3), "int(2, 3) < 4", "bool(2, 3)"],
                cases=["x.long()", "y.float() * x", "z.int()", "(x > 0).float()", "x.float()",
                       "y.bool()", "z.byte()"]),
)  # fmt: skip
def cast_method(site: Site) -> Any:
    return cast_to(site, Arguments(site).x, CASTS[site.name.rpartition(".")[2]])


def cast_to(site: Site, x: Any, dtype: str) -> Any:
    """A cast, left out where the tensor is known to have the dtype."""
    if site.dtype(x) == dtype:
        return vanish(site, x)
    return cast(bare(site, x) if not is_float(dtype) else x, dtype)


@rewrites(
    *methods("to", "type", "type_as"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3), "int(2, 3) < 4"],
                cases=["y.to(torch.float32) * x", "x.to('cpu')", "y.type(torch.FloatTensor) * x",
                       "y.type_as(x)", "x.to(dtype=torch.int64)", "y.to(x)", "y.to('cpu', torch.float)",
                       "x.to(y.dtype)"]),
)  # fmt: skip
def move(site: Site) -> Any:
    """`x.to(device)` goes, `x.to(dtype)` is a cast."""
    given = Arguments(site)
    asked = given.get("dtype") or (given.rest[0] if given.rest else None)
    if site.name.endswith(".to") and len(given.rest) > 1 and dtype_of(site.fact(given.rest[1])):
        drop(site, given.rest[0])
        asked = given.rest[1]
    if asked is None:
        if site.name.endswith("type"):
            raise Unfit("Tensor.type() gives the name of a type of torch's", "use its dtype")
        return vanish(site, given.x)
    fact = site.fact(asked)
    if isinstance(fact, Tensor):
        if fact.dtype is not None and fact.dtype == site.dtype(given.x):
            return vanish(site, given.x)
        return fill("tf.cast(x, y.dtype)", x=given.x, y=asked)
    known = dtype_of(fact)
    if known is not None:
        if site.dtype(given.x) == known:
            drop(site, asked)
            return vanish(site, given.x)
        return fill("tf.cast(x, d)", x=given.x, d=dtype_argument(site, asked))
    if site.name.endswith(".to") and _is_device(site, asked):
        drop(site, asked)
        return vanish(site, given.x)
    if text(asked).endswith("dtype"):
        return fill("tf.cast(x, d)", x=given.x, d=asked)
    raise Unfit(f"whether {site.short} gets a device or a dtype is not known")


def _is_device(site: Site, node: Any) -> bool:
    """Strings and integers are devices; of unknown things their name tells."""
    known = [o for o in options(site.fact(node)) if isinstance(o, (Const, Number, Symbol))]
    if known:
        return True
    words = text(node).lower()
    return any(w in words for w in ("device", "cuda", "gpu", "rank"))


# ---- devices, memory --------------------------------------------------------------------------


@rewrites(
    *methods("cuda", "cpu", "contiguous", "pin_memory", "share_memory_", "coalesce", "to_dense",
             "retain_grad", "resolve_conj"),
    to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3)], cases=["x.cpu()", "x.contiguous() * 2"]),
)  # fmt: skip
def stay(site: Site) -> Any:
    """Where a tensor lives, and in which order, is TensorFlow's affair."""
    drop(site, *site.positional, *site.keywords.values())
    assert site.receiver is not None
    return vanish(site, site.receiver)


@rewrites(*methods("is_cuda"), to="tf")
def is_cuda(site: Site) -> Any:
    return fill('"GPU" in x.device', x=site.receiver)


@rewrites(*methods("dtype", "device", "itemsize"), to="tf")
def kept(site: Site) -> Any:
    """Tensors of both have these, by the same names."""
    return site.keep()


@rewrites(*methods("is_contiguous"), to="tf")
def always(site: Site) -> Any:
    return cst.Name("True")


def vanish(site: Site, x: Any) -> Any:
    """The tensor itself; a statement that would only say `x = x` goes."""
    if site.alone:
        return []
    statement = site.statement
    if isinstance(statement, cst.SimpleStatementLine) and len(statement.body) == 1:
        small = statement.body[0]
        if isinstance(small, cst.Assign) and _says_nothing(site, small):
            return []
    return x


def _says_nothing(site: Site, node: cst.Assign) -> bool:
    """Whether every target would be assigned to itself once devices and the like are gone."""
    if len(node.targets) != 1:
        return False
    targets, values = _elements(node.targets[0].target), _elements(node.value)
    return len(targets) == len(values) and all(
        isinstance(t, (cst.Name, cst.Attribute)) and text(_core(site, v)) == text(t)
        for t, v in zip(targets, values, strict=True)
    )


def _elements(node: Any) -> list[Any]:
    return [e.value for e in node.elements] if isinstance(node, cst.Tuple) else [node]


def _core(site: Site, node: Any) -> Any:
    """What is left of `x.to(device).float()` where all of that goes."""
    while isinstance(node, cst.Call):
        func = node.func
        fact = site.context.fact(node)
        if isinstance(func, cst.Attribute) and func.attr.value in ("cuda", "cpu", "contiguous", "to"):
            inner = func.value
            if func.attr.value == "to" and not all(
                _is_device(site, a.value) and dtype_of(site.fact(a.value)) is None
                or (a.keyword is not None and a.keyword.value == "non_blocking")
                for a in node.args
            ):  # fmt: skip
                return node
        elif isinstance(func, cst.Attribute) and func.attr.value in CASTS:
            inner = func.value
            if site.dtype(inner) != CASTS[func.attr.value]:
                return node
        elif site.context.fact(func) == Symbol("torch.autograd.Variable") and len(node.args) == 1:
            inner = node.args[0].value
        else:
            return node
        before = site.context.fact(inner)
        if not isinstance(before, Tensor) or not isinstance(fact, (Tensor, Union)):
            return node
        if site.context.edits.wrapped(node):
            return node
        node = inner
    return node


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
            return not _runs_apart(site, node)
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
    return any(
        isinstance(c.func, cst.Name) and c.func.value == name
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


@rewrites(*methods("requires_grad_"), to="tf")
def require_gradient(site: Site) -> Any:
    """A tape watches what it is asked for; new tensors that ask for a gradient are variables."""
    given = Arguments(site)
    wanted = given.const("requires_grad", at=0, default=True)
    fact = site.receiver_fact
    if isinstance(fact, Tensor) and fact.variable:
        if wanted:
            return vanish(site, given.x)
        raise Unfit(
            "a variable is frozen here", "set `trainable = False` on its layer before training"
        )
    if wanted and site.assigned_to is not None and isinstance(given.x, cst.Call):
        if site.context.edits.enclosing(site.node, cst.FunctionDef) is None:
            return fill("tf.Variable(x)", x=given.x)
    return vanish(site, given.x)


@rewrites(*methods("requires_grad"), to="tf")
def requires_gradient(site: Site) -> Any:
    fact = site.receiver_fact
    variable = isinstance(fact, Tensor) and fact.variable
    small = site.context.edits.enclosing(site.node, cst.Assign)
    if isinstance(site.parent, cst.AssignTarget) and isinstance(small, cst.Assign):
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


# ---- leaving ----------------------------------------------------------------------------------


@rewrites(*methods("numpy"), to="tf",
          proof=Proof(inputs=[(2, 3)], gradients=False, directions=("tf",),
                      cases=["x.detach().cpu().numpy()", "x.data.numpy()"]))  # fmt: skip
def numpy(site: Site) -> Any:
    return fill("x.numpy()", x=bare(site, Arguments(site).x))


@rewrites(*methods("tolist"), to="tf",
          proof=Proof(inputs=["int(2, 3) < 4"], gradients=False, directions=("tf",),
                      cases=["x.tolist()", "x.cpu().tolist()"]))  # fmt: skip
def tolist(site: Site) -> Any:
    return fill("x.numpy().tolist()", x=bare(site, Arguments(site).x))


@rewrites(*methods("item"), to="tf",
          proof=Proof(inputs=[(2, 3), "int(2, 3) < 4"], gradients=False, directions=("tf",),
                      cases=["x.mean().item()", "y.sum().item()", "(x > 9).any().item()",
                             "(y == 2).sum().item() / 3"]))  # fmt: skip
def item(site: Site) -> Any:
    x = Arguments(site).x
    dtype, plain = site.dtype(x), bare(site, x)
    if dtype is None:
        return fill("x.numpy().item()", x=plain)
    kind = "float" if is_float(dtype) else "bool" if dtype == "bool" else "int"
    return fill(f"{kind}(x)", x=plain)


__all__ = ["BUILTIN_TYPES", "cast_to", "may_have_gradient", "vanish"]
