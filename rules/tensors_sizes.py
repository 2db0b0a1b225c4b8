"""Axes of size 1, repetition, and what the sizes of a tensor are."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Tensor
from transpiler.modules import in_module_method
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.operands import both, integers, methods
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    as_list,
    axis,
    fill,
    sizes,
)
from transpiler.rules.tensors_view import size_at, static_shape
from transpiler.site import Site, constant_value

# ---- axes of size 1 ---------------------------------------------------------------------------


@rewrites(
    *both("squeeze"), to="tf",
    proof=Proof(inputs=[(2, 1, 3, 1)],
                cases=["x.squeeze()", "x.squeeze(1)", "torch.squeeze(x, -1)", "x.squeeze(0)",
                       "x.squeeze(dim=3)", "x.squeeze((1, 3))"]),
)  # fmt: skip
def squeeze(site: Site) -> Any:
    given = Arguments(site)
    dim = given.get("dim", at=0)
    if dim is None:
        return fill("tf.squeeze(x)", x=given.x)
    shape, axes = static_shape(site, given.x), integers(site.fact(dim))
    if shape is not None and axes is not None:
        kept = [a for a in axes if isinstance(shape[a], int) and shape[a] != 1]
        if len(kept) == len(axes):
            return given.x
        if kept:
            rest = [a for a in axes if a not in kept]
            return fill("tf.squeeze(x, axis=axes)", x=given.x, axes=rest)
    if shape is None or axes is None or any(shape[a] is None for a in axes):
        site.caution(
            "TensorFlow raises where the squeezed axis is longer than 1; torch would keep it"
        )
    return fill("tf.squeeze(x, axis=dim)", x=given.x, dim=axis(site, given.x, dim))


UNSQUEEZE = Rule(
    "unsqueeze",
    torch=("torch.Tensor.unsqueeze(x, dim)", "torch.unsqueeze(x, dim)"),
    keras="tf.expand_dims(x, dim)",
    proof=Proof(inputs=[(2, 3)], cases=["x.unsqueeze(0)", "torch.unsqueeze(x, -1)",
                                        "x.unsqueeze(dim=1)"]),
)  # fmt: skip


# ---- repetition -------------------------------------------------------------------------------


@rewrites(
    *methods("expand"), "torch.broadcast_to", "torch.Tensor.broadcast_to", to="tf",
    proof=Proof(inputs=[(2, 1, 3)],
                cases=["x.expand(2, 4, 3)", "x.expand(-1, 4, -1)", "x.expand(5, 2, 1, 3)",
                       "x.expand((2, 4, 3))", "torch.broadcast_to(x, (2, 2, 3))",
                       "x.expand(x.size(0), 4, 3)"]),
)  # fmt: skip
def expand(site: Site) -> Any:
    given = Arguments(site)
    dims = sizes(site, given, "size", "shape")
    if not isinstance(dims, list):
        return fill("tf.broadcast_to(x, dims)", x=given.x, dims=dims)
    rank = site.rank(given.x)
    found: list[Any] = []
    for index, dim in enumerate(dims):
        if not isinstance(dim, cst.StarredElement) and constant_value(site.fact(dim)) == -1:
            if rank is None:
                place = index - len(dims) if in_module_method(site.context, site.node) else index
                found.append(fill("tf.shape(x)[i]", x=given.x, i=place))
            else:
                found.append(size_at(site, given.x, index - len(dims) + rank))
        else:
            found.append(dim)
    return fill("tf.broadcast_to(x, dims)", x=given.x, dims=as_list(found))


@rewrites(
    *methods("expand_as"), to="tf",
    proof=Proof(inputs=[(2, 1), (2, 3)], cases=["x.expand_as(y)"]),
)  # fmt: skip
def expand_as(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.broadcast_to(x, tf.shape(y))", x=given.x, y=given.get("other", at=0))


@rewrites(
    *methods("repeat"), *both("tile"), to="tf",
    proof=Proof(inputs=[(2, 3)],
                cases=["x.repeat(2, 1)", "x.repeat(4, 1, 2)", "x.repeat((1, 3))",
                       "torch.tile(x, (2, 2))"]),
)  # fmt: skip
def repeat(site: Site) -> Any:
    given = Arguments(site)
    counts = sizes(site, given, "repeats", "dims")
    x = given.x
    if isinstance(counts, list):
        rank = site.rank(x)
        extra = len(counts) - rank if rank is not None else 0
        if extra > 0:
            dims = [1] * extra + [size_at(site, x, i) for i in range(rank or 0)]
            x = fill("tf.reshape(x, dims)", x=x, dims=dims) if extra > 1 else fill("x[None]", x=x)
        elif extra < 0:
            counts = [1] * -extra + counts
    return fill("tf.tile(x, counts)", x=x, counts=as_list(counts))


@rewrites(
    *both("repeat_interleave"), to="tf",
    proof=Proof(inputs=[(2, 3)],
                cases=["x.repeat_interleave(2, dim=0)", "x.repeat_interleave(3)",
                       "torch.repeat_interleave(x, 2, 1)",
                       "torch.repeat_interleave(x, torch.tensor([1, 2]), dim=0)"]),
)  # fmt: skip
def repeat_interleave(site: Site) -> Any:
    given = Arguments(site)
    count = given.get("repeats", at=0)
    if count is None:
        raise Unfit("torch.repeat_interleave of counts alone has no equal here")
    dim = given.get("dim", at=1)
    place = OMIT if dim is None else axis(site, given.x, dim)
    return fill("tf.repeat(x, count, axis=axis)", x=given.x, count=count, axis=place)


# ---- sizes ------------------------------------------------------------------------------------


@rewrites("torch.Tensor.size", to="tf", layout="axis")
def size(site: Site) -> Any:
    given = Arguments(site)
    dim = given.get("dim", at=0)
    if dim is None:
        return fill("x.shape", x=given.x)
    return fill("x.shape[i]", x=given.x, i=axis(site, given.x, dim))


@rewrites("torch.Tensor.shape", to="tf", layout="axis")
def shape(site: Site) -> Any:
    """`x.shape[k]`, with k renumbered where the channels have moved last."""
    owner, parent = site.receiver, site.parent
    if isinstance(parent, cst.Subscript) and site.layout(owner) == "nhwc" and owner is not None:
        index = parent.slice[0].slice
        if len(parent.slice) == 1 and isinstance(index, cst.Index):
            new = fill("x.shape[i]", x=owner, i=axis(site, owner, index.value))
            site.context.edits.replace(parent, new)
        elif isinstance(index, cst.Slice):
            raise Unfit("a slice of the sizes of a tensor whose channels have moved last")
    return site.keep()


@rewrites("torch.Tensor.dim", "torch.Tensor.ndimension", "torch.Tensor.ndim", to="tf")
def rank(site: Site) -> Any:
    return fill("len(x.shape)", x=site.receiver)


@rewrites(
    *both("numel"), "torch.Tensor.nelement", to="tf",
)  # fmt: skip
def numel(site: Site) -> Any:
    x = Arguments(site).x
    fact = site.context.fact(x)
    if isinstance(fact, Tensor) and fact.variable:
        return fill("math.prod(x.shape)", x=x)
    return fill("int(tf.size(x))", x=x)


@rewrites("torch.Size", to="tf")
def torch_size(site: Site) -> Any:
    items = site.positional[0] if site.positional else cst.Tuple([])
    return items if isinstance(items, (cst.Tuple, cst.List)) else fill("tuple(x)", x=items)
