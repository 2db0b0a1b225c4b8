"""In-place methods: a tensor's name is bound to the new tensor, a variable is assigned to."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import ListObject, Tensor
from transpiler.planners.step.passing import may_pass
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import methods
from transpiler.rules.promotion import number_like
from transpiler.rules.rebinding import (
    BINARY,
    FUNCTIONS,
    fresh_shape,
    is_inner_link,
    is_link,
    stripped,
    write_back,
)
from transpiler.rules.tensor_arguments import OMIT, Arguments, cast, fill, is_simple, tf_dtype
from transpiler.rules.tensors_choice import as_mask
from transpiler.rules.tensors_gradient import may_have_gradient
from transpiler.site import Site, constant_value

VARIABLE = {"add_": "assign_add", "sub_": "assign_sub"}
_CHANGES = Proof(
    inputs=[(2, 3), (2, 3), "bool(2, 3)", "int(2, 1) < 3"],
    cases=["torch.zeros(2, 3).add_(x)", "x = x * 1\nx.mul_(2)\nx",
           "x = x * 1\nx.add_(y, alpha=3)\nx",
           "x = x * 1\nx.clamp_(-0.5, 0.5)\nx", "x = x * 1\nx.zero_()\nx + y",
           "x = x * 1\nx.masked_fill_(z, 0)\nx", "torch.zeros(2, 3).scatter_(1, w, 1) + x",
           "x = x * 1\nx.copy_(y)\nx", "x = x * 1\nx[0].fill_(2)\nx",
           "x = x * 1\nx[:, 1].mul_(3)\nx",
           "x = x * 1\nx.mul_(2).add_(1)\nx", "x = x * 1\nx.unsqueeze_(0)\nx",
           "x * torch.ones(3).fill_(4)",
           "x = x * 1\nx[z] = 0\nx", "x = x * 1\nx[:, 0] = 1\nx", "x = x * 1\nx[0, 1] += 2\nx",
           "x = x * 1\nx[1] = y[0]\nx", "x = x * 1\nx[x > 0] *= 2\nx"],
)  # fmt: skip


def new_value(site: Site, x: Any, given: Arguments) -> Any:
    """What the method leaves in its tensor."""
    name = site.name.rpartition(".")[2]
    if name in BINARY:
        return _binary(site, name, x, given)
    if name in FUNCTIONS:
        return fill(f"{FUNCTIONS[name]}(x)", x=x)
    if name in ("clamp_", "clamp_min_", "clamp_max_", "clip_"):
        return _clamped(name, x, given)
    if name in ("zero_", "fill_"):
        return _filled(site, name, x, given)
    if name == "copy_":
        return _copied(site, x, given.get("other", "src", at=0))
    if name == "masked_fill_":
        mask, value = given.get("mask", at=0), given.get("value", at=1)
        value = number_like(value, site.fact(value), site.fact(x))
        return fill("tf.where(m, v, x)", m=as_mask(site, mask), v=value, x=x)
    if name == "neg_":
        return fill("-x", x=x)
    if name == "lerp_":
        end, weight = given.get("end", at=0), given.get("weight", at=1)
        return fill("x + w * (y - x)", x=x, y=end, w=weight)
    if name in ("addcmul_", "addcdiv_"):
        return _combined(name, x, given)
    raise Unfit(f"no rule for {site.name}")


def _binary(site: Site, name: str, x: Any, given: Arguments) -> Any:
    other, alpha = given.get("other", "exponent", at=0), given.get("alpha")
    if alpha is None and len(given.rest) == 2 and name in ("add_", "sub_"):
        alpha, other = given.rest  # torch's old order: x.add_(number, tensor)
    have, want = site.dtype(other), site.dtype(x)
    if have and want and have != want:
        other = cast(other, want)
    if alpha is not None:
        return fill(BINARY[name].replace("y", "k * y"), x=x, y=other, k=alpha)
    return fill(BINARY[name], x=x, y=other)


def _clamped(name: str, x: Any, given: Arguments) -> Any:
    low = given.get("min", at=0) if name != "clamp_max_" else None
    high = given.get("max", at=0 if name == "clamp_max_" else 1) if name != "clamp_min_" else None
    if low is not None and high is not None:
        return fill("tf.clip_by_value(x, low, high)", x=x, low=low, high=high)
    if low is not None:
        return fill("tf.maximum(x, low)", x=x, low=low)
    return fill("tf.minimum(x, high)", x=x, high=high)


def _filled(site: Site, name: str, x: Any, given: Arguments) -> Any:
    value = given.get("value", at=0) if name == "fill_" else None
    number = constant_value(site.fact(value)) if value is not None else 0
    fact = site.context.fact(x)
    made = None if is_simple(x) else fresh_shape(site, x)
    if number == 0 and _is_zeros(site, x):
        return x
    if made is not None and isinstance(made, cst.List) and isinstance(fact, Tensor):
        dtype = fact.dtype
        d = OMIT if dtype in (None, "float32") else tf_dtype(dtype)
        if number in (0, 1) and not isinstance(number, bool):
            return fill(f"tf.{'ones' if number else 'zeros'}(s, dtype=d)", s=made, d=d)
        value = (
            value if isinstance(number, float) and d is OMIT else cast(value, dtype or "float32")
        )
        return fill("tf.fill(s, v)", s=made, v=value)
    if number in (0, 1) and not isinstance(number, bool):
        return fill(f"tf.{'ones' if number else 'zeros'}_like(x)", x=x)
    return fill("tf.fill(tf.shape(x), tf.cast(v, x.dtype))", x=x, v=value)


def _is_zeros(site: Site, x: Any) -> bool:
    """Whether the expression is `y.new(2, 3)`, whose elements torch leaves as they come."""
    if not isinstance(x, cst.Call) or not isinstance(x.func, cst.Attribute):
        return False
    given = [site.context.fact(arg.value) for arg in x.args]
    return x.func.attr.value in ("new", "new_empty") and not any(
        isinstance(value, (Tensor, ListObject)) for value in given
    )


def _copied(site: Site, x: Any, source: Any) -> Any:
    have, want = site.context.fact(source), site.context.fact(x)
    if isinstance(have, Tensor) and isinstance(want, Tensor):
        if have.dtype and want.dtype and have.dtype != want.dtype:
            source = cast(source, want.dtype)
        if have.shape is not None and want.shape is not None and len(have.shape) != len(want.shape):
            return fill("tf.broadcast_to(y, tf.shape(x))", x=x, y=source)
    return source


def _combined(name: str, x: Any, given: Arguments) -> Any:
    a, b, value = given.get("tensor1", at=0), given.get("tensor2", at=1), given.get("value")
    if len(given.rest) == 3:
        value, a, b = given.rest
    sign = "*" if name == "addcmul_" else "/"
    if value is None:
        return fill(f"x + a {sign} b", x=x, a=a, b=b)
    return fill(f"x + k * a {sign} b", x=x, a=a, b=b, k=value)


def _variable_method(site: Site, x: Any, given: Arguments) -> Any:
    """`v.assign_add(y)`, where there is such a method."""
    name = site.name.rpartition(".")[2]
    place = stripped(x)
    if name not in VARIABLE:
        return None
    other, alpha = given.get("other", at=0), given.get("alpha")
    if alpha is None and len(given.rest) == 2:
        alpha, other = given.rest
    if alpha is not None:
        other = fill("k * y", y=other, k=alpha)
    return fill(f"v.{VARIABLE[name]}(y)", v=place, y=other)


@rewrites(
    *methods(*BINARY, *FUNCTIONS, "clamp_", "clamp_min_", "clamp_max_", "clip_", "zero_", "fill_",
             "copy_", "masked_fill_", "neg_", "lerp_", "addcmul_", "addcdiv_"),
    to="tf", proof=_CHANGES,
)  # fmt: skip
def change(site: Site) -> Any:
    given = Arguments(site)
    x = given.x
    cut = site.alone or is_inner_link(site) or not may_have_gradient(site)
    new = new_value(site, stripped(x) if cut else x, given)
    if is_inner_link(site):
        return new
    method = None if is_link(stripped(x)) else _variable_method(site, x, given)
    if site.alone and _passes_by(site, x):
        new = fill("x + tf.stop_gradient(new - x)", x=stripped(x), new=new)
    return write_back(site, x, new, method)


def _passes_by(site: Site, x: Any) -> bool:
    """Whether `x.data.clamp_(0, 1)` changes a value behind the back of its gradient."""
    place = stripped(x)
    fact = site.context.fact(place)
    if place is x or not isinstance(fact, Tensor) or fact.variable:
        return False
    return may_have_gradient(site) and may_pass(site.context, place)


RESHAPING = {"unsqueeze_": "tf.expand_dims(x, axis)", "squeeze_": "tf.squeeze(x, axis=axis)",
             "t_": "tf.transpose(x)"}  # fmt: skip


@rewrites("torch.Tensor.fill_diagonal_", to="tf",
          proof=Proof(inputs=[(3, 3)], cases=["x = x * 1\nx.fill_diagonal_(2)\nx"]))  # fmt: skip
def fill_diagonal(site: Site) -> Any:
    given = Arguments(site)
    x, value = stripped(given.x), given.get("fill_value", at=0)
    diagonal = fill("tf.fill(tf.shape(x)[:-1], tf.cast(v, x.dtype))", x=x, v=value)
    return write_back(site, given.x, fill("tf.linalg.set_diag(x, d)", x=x, d=diagonal))


@rewrites(*methods(*RESHAPING), to="tf")
def reshape_in_place(site: Site) -> Any:
    given = Arguments(site)
    template = RESHAPING[site.name.rpartition(".")[2]]
    new = fill(template, x=given.x, axis=given.given("dim", at=0))
    return new if is_inner_link(site) else write_back(site, given.x, new)


SCATTERS = {"scatter_": "scatter_along", "scatter_add_": "scatter_add_along",
            "index_add_": "index_add", "index_copy_": "index_copy"}  # fmt: skip


@rewrites(*methods(*SCATTERS, "masked_scatter_", "index_fill_"), to="tf")
def scatter_in_place(site: Site) -> Any:
    given = Arguments(site)
    name = site.name.rpartition(".")[2]
    if name not in SCATTERS:
        raise Unfit(f"{site.short} has no equal here", "write it with tf.where")
    if given.get("reduce") is not None or given.get("alpha") is not None:
        raise Unfit(f"{site.short} with `reduce` or `alpha` has no equal here")
    dim, index = given.const("dim", at=0), given.get("index", at=1)
    source = given.get("src", "value", "source", at=2)
    if dim < 0:
        rank = site.rank(given.x) or site.rank(index)
        if rank is None:
            raise Unfit(f"the rank of the tensor of {site.short} is not known")
        dim += rank
    have, want = site.dtype(source), site.dtype(given.x)
    if have and want and have != want:
        source = cast(source, want)
    new = fill("unit(x, dim, index, source)", unit=site.emit(SCATTERS[name]),
               x=stripped(given.x), dim=dim, index=index, source=source)  # fmt: skip
    return write_back(site, given.x, new)
