"""Dtypes, casts, devices and gradients of tensors, and what leaves for Python and NumPy."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import is_float
from transpiler.infer.values import Const, Number, Symbol, Tensor, Union, options
from transpiler.planners.first_parameter import DEVICES
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.operands import CASTS, DTYPES, both, dtype_of, methods
from transpiler.rules.tensor_arguments import (
    Arguments,
    bare,
    cast,
    drop,
    drop_around,
    dtype_argument,
    fill,
    text,
)
from transpiler.site import Site

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
    if (data := _data_of(site, x)) is not None:
        return cast(data, dtype)
    return cast(bare(site, x) if not is_float(dtype) else x, dtype)


def _data_of(site: Site, x: Any) -> Any:
    """The array of `torch.from_numpy(array)`: a cast makes a tensor of it by itself."""
    if not isinstance(x, cst.Call) or len(x.args) != 1 or site.context.edits.wrapped(x):
        return None
    if site.context.fact(x.func) != Symbol("torch.from_numpy"):
        return None
    drop_around(site, x, x.args[0].value)
    return x.args[0].value


@rewrites(
    *methods("to", "type", "type_as"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3), "int(2, 3) < 4"],
                cases=["y.to(torch.float32) * x", "x.to('cpu')", "y.type(torch.FloatTensor) * x",
                       "y.type_as(x)", "x.to(dtype=torch.int64)", "y.to(x)",
                       "y.to('cpu', torch.float)",
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
        data = _data_of(site, given.x)
        new = given.x if data is None else data
        return fill("tf.cast(x, d)", x=new, d=dtype_argument(site, asked))
    if site.name.endswith(".to") and _is_device(site, asked):
        drop(site, asked)
        return vanish(site, given.x)
    if text(asked).endswith(("dtype", "dtype()")):
        return fill("tf.cast(x, d)", x=given.x, d=asked)
    raise Unfit(f"whether {site.short} gets a device or a dtype is not known")


def _is_device(site: Site, node: Any) -> bool:
    """Strings and integers are devices; of unknown things their name tells."""
    known = [o for o in options(site.fact(node)) if isinstance(o, (Const, Number, Symbol))]
    if known:
        return True
    words = text(node).lower()
    if any(words == name.lower() for _, name in site.context.notes.get(DEVICES, ())):
        return True
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
    if site.receiver is None:
        raise Unfit(f"{site.short} is handed over as a function")
    drop(site, *site.positional, *site.keywords.values())
    return vanish(site, site.receiver)


@rewrites(*methods("is_cuda"), to="tf")
def is_cuda(site: Site) -> Any:
    """Variables are on the GPU if there is one; Keras's do not say where they are."""
    found = options(site.context.fact(site.receiver)) if site.receiver is not None else ()
    if any(isinstance(o, Tensor) and o.variable for o in found):
        return fill("bool(tf.config.list_physical_devices('GPU'))")
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
        if isinstance(func, cst.Attribute) and func.attr.value in (
            "cuda",
            "cpu",
            "contiguous",
            "to",
            "clone",
        ):
            inner = func.value
            kept = site.context.fact(inner)
            if func.attr.value == "clone" and isinstance(kept, Tensor) and kept.variable:
                return node
            if func.attr.value == "to" and not all(
                (_is_device(site, a.value) and dtype_of(site.fact(a.value)) is None)
                or (a.keyword is not None and a.keyword.value in ("device", "non_blocking"))
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
        known = isinstance(before, Tensor) and isinstance(fact, (Tensor, Union))
        if not known and node is not site.node:
            return node
        if site.context.edits.wrapped(node):
            return node
        node = inner
    return node


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
    if dtype is None or site.rank(x) != 0:  # float() takes arrays without axes only
        return fill("x.numpy().item()", x=plain)
    kind = "float" if is_float(dtype) else "bool" if dtype == "bool" else "int"
    return fill(f"{kind}(x)", x=plain)


@rewrites(
    *both("is_floating_point"),
    to="tf",
    proof=Proof(
        inputs=[(2,), "int(2)"],
        cases=["x * 1 if x.is_floating_point() else x * 2",
               "x * (1 if torch.is_floating_point(y) else 2)"],
        directions=["tf"],
    ),
)  # fmt: skip
def is_floating(site: Site) -> Any:
    """A variable of Keras's has the name of its type."""
    x = Arguments(site).x
    fact = site.context.fact(x)
    if isinstance(fact, Tensor) and fact.dtype is not None and not fact.variable:
        return fill("x.dtype.is_floating", x=x)
    return fill("tf.as_dtype(x.dtype).is_floating", x=x)
