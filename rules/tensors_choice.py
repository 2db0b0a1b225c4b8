"""Bounds, masks and choices between tensors, element by element."""

from __future__ import annotations

from typing import Any

from transpiler.infer.arrays import is_float
from transpiler.infer.values import Tensor, scalar_type
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both
from transpiler.rules.promotion import casts, number_like
from transpiler.rules.tensor_arguments import Arguments, cast, fill, is_simple
from transpiler.rules.tensors_math import operate
from transpiler.site import Site, constant_value

# ---- bounds and choices -----------------------------------------------------------------------


def _any_float(site: Site, *nodes: Any) -> bool:
    return any(n is not None and isinstance(constant_value(site.fact(n)), float) for n in nodes)


@rewrites(
    *both("clamp", "clamp_min", "clamp_max"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(3, 4), (3, 4)],
                cases=["x.clamp(-0.5, 0.5)", "torch.clamp(x, min=0)", "x.clamp(max=0.2)",
                       "x.clamp_min(0.1)", "torch.clamp(x, 0, 1)"]),
)  # fmt: skip
def clamp(site: Site) -> Any:
    given = Arguments(site)
    name = site.name.rpartition(".")[2]
    low = given.get("min", at=0) if name != "clamp_max" else None
    high = given.get("max", at={"clamp": 1}.get(name, 0)) if name != "clamp_min" else None
    x = given.x
    dtype = site.dtype(x)
    if dtype is not None and not is_float(dtype) and _any_float(site, low, high):
        x = cast(x, "float32")
    if low is not None and high is not None:
        return fill("tf.clip_by_value(x, low, high)", x=x, low=low, high=high)
    if high is None:
        if low is None:
            raise Unfit(f"{site.short} is called without a bound")
        return fill("tf.maximum(x, low)", x=x, low=low)
    return fill("tf.minimum(x, high)", x=x, high=high)


@rewrites(
    "torch.maximum", "torch.minimum", "torch.Tensor.maximum", "torch.Tensor.minimum",
    "torch.fmax", "torch.fmin", to="tf", layout="elementwise",
    proof=Proof(inputs=[(3, 4), (3, 4)], cases=["torch.maximum(x, y)", "x.minimum(y)"]),
)  # fmt: skip
def extreme_of_two(site: Site) -> Any:
    given = Arguments(site)
    name = "tf.maximum" if "max" in site.name.rpartition(".")[2] else "tf.minimum"
    return operate(site, "Add", f"{name}(a, b)", given.x, given.get("other", at=0))


@rewrites(
    *both("masked_fill"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(3, 4), "bool(3, 4)"],
                cases=["x.masked_fill(y, -1e9)", "torch.masked_fill(x, y == 0, float('-inf'))"],
                gradients=False),
)  # fmt: skip
def masked_fill(site: Site) -> Any:
    given = Arguments(site)
    mask, value = given.get("mask", at=0), given.get("value", at=1)
    value = number_like(value, site.fact(value), site.fact(given.x))
    return fill("tf.where(mask, value, x)", mask=as_mask(site, mask), value=value, x=given.x)


def as_mask(site: Site, mask: Any) -> Any:
    """A condition: old programs use bytes for it."""
    dtype = site.dtype(mask)
    return cast(mask, "bool") if dtype not in (None, "bool") else mask


@rewrites(
    *both("where"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(3, 4), (3, 4), "int(3, 4) < 5"],
                cases=["torch.where(x > 0, x, y)", "torch.where(x > 0, x, torch.zeros_like(x))",
                       "torch.where(x > y, 1.0, 0.0)", "torch.where(x > y, 1, 0)",
               "torch.where(x > y, 1, 0.5)", "torch.where(z > 2, z, -1)", "x.where(y > 0, y)",
                       "torch.where(x > 0, x, 0)", "torch.where(z > 2, z, x)"]),
)  # fmt: skip
def where(site: Site) -> Any:
    given = Arguments(site)
    if site.name.startswith("torch.Tensor"):
        condition, yes, no = given.get("condition", at=0), given.x, given.get("other", at=1)
    else:
        condition, yes, no = given.x, given.get("input", at=0), given.get("other", at=1)
        if "input" in site.keywords and "condition" in site.keywords:
            condition, yes = site.keywords["condition"], site.keywords["input"]
    if yes is None or no is None:
        raise Unfit("torch.where of a condition alone")
    a, b = site.fact(yes), site.fact(no)
    kinds = {scalar_type(a), scalar_type(b)}
    first, second = casts("Add", a, b)
    if first or second:
        yes, no = cast(yes, first) if first else yes, cast(no, second) if second else no
    elif kinds == {"int", "float"}:
        single = Tensor((), "float32")
        yes, no = number_like(yes, a, single), number_like(no, b, single)
    else:
        yes, no = number_like(yes, a, b), number_like(no, b, a)
    found = fill("tf.where(c, a, b)", c=as_mask(site, condition), a=yes, b=no)
    return cast(found, "int64") if kinds == {"int"} else found


@rewrites(
    *both("lerp", "addcmul", "addcdiv"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(3, 4), (3, 4), "positive(3, 4)"],
                cases=["torch.lerp(x, y, 0.3)", "x.addcmul(y, z, value=0.5)",
                       "torch.addcdiv(x, y, z)"]),
)  # fmt: skip
def combine(site: Site) -> Any:
    given = Arguments(site)
    name = site.name.rpartition(".")[2]
    if name == "lerp":
        end, weight = given.get("end", at=0), given.get("weight", at=1)
        form = "x + w * (y - x)" if is_simple(given.x) else "(1 - w) * x + w * y"
        return fill(form, x=given.x, y=end, w=weight)
    a, b, value = given.get("tensor1", at=0), given.get("tensor2", at=1), given.get("value")
    sign = "*" if name == "addcmul" else "/"
    if value is None:
        return fill(f"x + a {sign} b", x=given.x, a=a, b=b)
    return fill(f"x + k * a {sign} b", x=given.x, a=a, b=b, k=value)
