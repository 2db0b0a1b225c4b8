"""Reductions, sorting and searching."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both, in_module
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    axis,
    bare,
    cast,
    counted,
    dtype_argument,
    fill,
)
from transpiler.rules.tensors_gradient import may_have_gradient
from transpiler.site import Site, constant_value

TIES = "equal maxima share the gradient here; in torch the first one gets all of it"


def keeps(site: Site, given: Arguments, at: int) -> Any:
    """The `keepdims` argument: True, an expression, or OMIT."""
    found = given.get("keepdim", "keepdims", at=at)
    if found is None or constant_value(site.fact(found)) is False:
        return OMIT
    return found


def reduce(site: Site, given: Arguments, name: str, x: Any, at: int = 0) -> Any:
    """`tf.reduce_sum(x, axis=1, keepdims=True)`."""
    dim = axis(site, given.x, given.get("dim", "axis", at=at))
    return fill(
        f"{name}(x, axis=dim, keepdims=keep)", x=x, dim=dim, keep=keeps(site, given, at + 1)
    )


REDUCTIONS = {
    "sum": "tf.reduce_sum", "mean": "tf.reduce_mean", "prod": "tf.reduce_prod",
    "amax": "tf.reduce_max", "amin": "tf.reduce_min", "logsumexp": "tf.reduce_logsumexp",
}  # fmt: skip


@rewrites(
    *both(*REDUCTIONS), to="tf", layout="axis",
    proof=Proof(
        inputs=[(2, 3, 4), "bool(2, 3)", "int(2, 3) < 5"],
        cases=["x.sum()", "x.sum(1)", "torch.sum(x, dim=-1, keepdim=True)", "x.mean((0, 2))",
               "torch.mean(x)", "x.mean(axis=1)", "x.prod(1)", "x.amax(dim=1)", "y.sum()",
               "(x > 0).sum(dim=1)", "z.sum(dtype=torch.float32)", "x.mean([1, 2], keepdim=True)",
               "torch.logsumexp(x, 1)", "y.sum() / 3", "x.sum((1, 2), True)"],
    ),
)  # fmt: skip
def reduction(site: Site) -> Any:
    given = Arguments(site)
    name = site.name.rpartition(".")[2]
    asked, x = given.get("dtype"), given.x
    if asked is not None:
        x = fill("tf.cast(x, dtype)", x=x, dtype=dtype_argument(site, asked))
    elif name in ("sum", "prod"):
        x = counted(site, x)
    return reduce(site, given, REDUCTIONS[name], x)


@rewrites(
    *both("any", "all"), to="tf", layout="axis",
    proof=Proof(inputs=["bool(2, 3)"], cases=["x.any()", "torch.all(x, dim=1)", "x.all(0)"],
                gradients=False),
)  # fmt: skip
def truth(site: Site) -> Any:
    given = Arguments(site)
    dtype = site.dtype(given.x)
    x = cast(given.x, "bool") if dtype not in (None, "bool") else given.x
    name = "tf.reduce_any" if site.name.endswith("any") else "tf.reduce_all"
    return reduce(site, given, name, x)


@rewrites(
    *both("std", "var"), to="tf", layout="axis",
    proof=Proof(
        inputs=[(5, 4)],
        cases=["x.std()", "x.var(0)", "torch.std(x, dim=1, keepdim=True)",
               "x.var(1, unbiased=False)", "x.std(0, correction=0)", "x.std(unbiased=False)",
               "torch.var(x, 0, False)"],
    ),
)  # fmt: skip
def spread(site: Site) -> Any:
    given = Arguments(site)
    first = given.get("dim", "axis", at=0)
    if first is not None and isinstance(constant_value(site.fact(first)), bool):
        correction, dim = int(constant_value(site.fact(first))), None
    else:
        dim = first
        correction = int(given.const("unbiased", at=1, default=True))
    if given.get("correction") is not None:
        correction = given.const("correction")
    place, keep = axis(site, given.x, dim), keeps(site, given, 2)
    stem = "std" if "std" in site.name.rpartition(".")[2] else "variance"
    if correction == 0:
        return fill(f"tf.math.reduce_{stem}(x, axis=dim, keepdims=keep)",
                    x=given.x, dim=place, keep=keep)  # fmt: skip
    unit = site.emit("standard_deviation" if stem == "std" else "variance")
    count = OMIT if correction == 1 else correction
    return fill("unit(x, axis=dim, correction=count, keepdims=keep)",
                unit=unit, x=given.x, dim=place, count=count, keep=keep)  # fmt: skip


@rewrites(
    *both("norm"), *in_module("torch.linalg", "norm", "vector_norm"), to="tf", layout="axis",
    proof=Proof(
        inputs=[(3, 4)],
        cases=["x.norm()", "torch.norm(x, dim=1)", "x.norm(2, dim=1, keepdim=True)",
               "x.norm(p=1, dim=0)", "torch.linalg.vector_norm(x, dim=-1)", "x.norm(2, 1)",
               "torch.linalg.norm(x)", "x.norm(float('inf'))"],
    ),
)  # fmt: skip
def norm(site: Site) -> Any:
    given = Arguments(site)
    order = given.get("p", "ord", at=0)
    value = constant_value(site.fact(order)) if order is not None else 2
    if value == "fro":
        value = 2
    if value in ("nuc", -1, -2):
        raise Unfit(f"{site.short} with the order {value!r} has no equal here")
    if site.name == "torch.linalg.norm" and value != 2 and site.rank(given.x) != 1:
        raise Unfit("torch.linalg.norm with an order is a matrix norm of tensors of two axes")
    ord_ = OMIT if value == 2 else value if isinstance(value, int) else order
    dim = axis(site, given.x, given.get("dim", "axis", at=1))
    keep = keeps(site, given, 2)
    if site.exact:
        return fill("unit(x, p=p, axis=dim, keepdims=keep)", unit=site.emit("vector_norm"),
                    x=given.x, p=ord_, dim=dim, keep=keep)  # fmt: skip
    if value not in (1, float("inf")) and may_have_gradient(site):
        site.caution("the gradient is NaN where the norm is 0; torch's is 0 there")
    return fill("tf.norm(x, ord=p, axis=dim, keepdims=keep)",
                x=given.x, p=ord_, dim=dim, keep=keep)  # fmt: skip


@rewrites(
    *both("argmax", "argmin"), to="tf", layout="axis",
    proof=Proof(inputs=[(3, 4)], gradients=False,
                cases=["x.argmax(1)", "torch.argmax(x, dim=-1)", "x.argmax()", "x.argmin(dim=0)",
                       "x.argmax(dim=1, keepdim=True)", "torch.argmin(x)"]),
)  # fmt: skip
def position(site: Site) -> Any:
    given = Arguments(site)
    return find_position(site, given, site.name.rpartition(".")[2], keeps(site, given, 1))


def find_position(site: Site, given: Arguments, name: str, keep: Any, at: int = 0) -> Any:
    x, dim = bare(site, given.x), given.get("dim", "axis", at=at)
    if dim is None:
        return fill(f"tf.{name}(tf.reshape(x, [-1]))", x=x)
    place = axis(site, given.x, dim)
    found = fill(f"tf.{name}(x, axis=dim)", x=x, dim=place)
    if keep is OMIT:
        return found
    if constant_value(site.fact(keep)) is not True:
        raise Unfit("`keepdim` is not known before the program runs")
    return fill("tf.expand_dims(found, dim)", found=found, dim=place)


@rewrites(
    *both("cumsum", "cumprod"), to="tf", layout="axis",
    proof=Proof(inputs=[(3, 4)], cases=["x.cumsum(1)", "torch.cumprod(x, dim=0)"]),
)  # fmt: skip
def cumulate(site: Site) -> Any:
    given = Arguments(site)
    name = "tf.cumsum" if site.name.endswith("sum") else "tf.math.cumprod"
    x = counted(site, given.x)
    return fill(f"{name}(x, axis=dim)", x=x, dim=axis(site, given.x, given.get("dim", at=0)))


@rewrites(*both("count_nonzero"), to="tf", layout="axis",
          proof=Proof(inputs=["int(3, 4) < 3"], cases=["torch.count_nonzero(x)"]))  # fmt: skip
def count_nonzero(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.math.count_nonzero(x, axis=dim)", x=given.x,
                dim=axis(site, given.x, given.get("dim", at=0)))  # fmt: skip
