"""Axes of size 1, repetition, and what the sizes of a tensor are."""

from __future__ import annotations

from typing import Any

import libcst as cst

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
    to="tf",
    proof=Proof(inputs=[(2, 3)], cases=["x.unsqueeze(0)", "torch.unsqueeze(x, -1)",
                                        "x.unsqueeze(dim=1)"]),
)  # fmt: skip


# ---- repetition -------------------------------------------------------------------------------


@rewrites(
    *methods("expand"), "torch.broadcast_to", "torch.Tensor.broadcast_to", to="tf", layout="axis",
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
    for index, dim in enumerate(moved(site, given.x, dims)):
        if not isinstance(dim, cst.StarredElement) and constant_value(site.fact(dim)) == -1:
            if rank is None:
                place = index - len(dims) if in_module_method(site.context, site.node) else index
                found.append(fill("tf.shape(x)[i]", x=given.x, i=place))
            else:
                found.append(size_at(site, given.x, index - len(dims) + rank))
        else:
            found.append(dim)
    return fill("tf.broadcast_to(x, dims)", x=given.x, dims=as_list(found))


def moved(site: Site, x: Any, numbers: list[Any]) -> list[Any]:
    """One number per axis, in the order that the translated tensor has its axes in."""
    if site.layout(x) != "nhwc":
        return numbers
    if len(numbers) != site.rank(x) or any(isinstance(n, cst.StarredElement) for n in numbers):
        raise Unfit(f"{site.short} adds axes to a tensor whose channels have moved last")
    return [numbers[0], *numbers[2:], numbers[1]]


@rewrites(
    *methods("expand_as"), to="tf",
    proof=Proof(inputs=[(2, 1), (2, 3)], cases=["x.expand_as(y)"]),
)  # fmt: skip
def expand_as(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.broadcast_to(x, tf.shape(y))", x=given.x, y=given.get("other", at=0))


@rewrites(
    *methods("repeat"), *both("tile"), to="tf", layout="axis",
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
        counts = moved(site, x, counts)
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
        return renumbered(site, given.x) or fill("x.shape", x=given.x)
    return fill("x.shape[i]", x=given.x, i=axis(site, given.x, dim))


@rewrites("torch.Tensor.shape", to="tf", layout="axis")
def shape(site: Site) -> Any:
    """The same name; the axes are renumbered where the channels have moved last."""
    assert site.receiver is not None
    renumbered(site, site.receiver)
    return site.keep()


def renumbered(site: Site, x: Any) -> Any:
    """`x.shape[k]`, `x.shape[2:]` and `n, c, h, w = x.shape` of a channels-last tensor."""
    if site.layout(x) != "nhwc":
        return None
    parent, rank = site.parent, site.rank(x)
    sizes = fill("x.shape", x=x)
    if isinstance(parent, cst.Assign) and rank is not None:
        target = parent.targets[0].target
        assert isinstance(target, cst.Tuple)
        names = [e.value for e in target.elements]
        names = [names[0], *names[2:], names[1]]
        new = cst.Tuple([cst.Element(n) for n in names], lpar=[], rpar=[])
        line = parent.with_changes(targets=[cst.AssignTarget(new)], value=sizes)
        site.context.edits.replace(parent, line)
        return site.keep()
    if isinstance(parent, cst.Subscript) and len(parent.slice) == 1:
        index = parent.slice[0].slice
        if isinstance(index, cst.Index):
            new = fill("s[i]", s=sizes, i=axis(site, x, index.value))
        else:
            new = fill(f"s[{_inner(site, index, rank)}]", s=sizes)
        site.context.edits.replace(parent, new)
        return site.keep()
    return None


def _inner(site: Site, part: Any, rank: int | None) -> str:
    """`1:-1` for `2:`, the spatial axes."""
    start = constant_value(site.fact(part.lower)) if part.lower is not None else 0
    if part.upper is None and part.step is None and (start == 2 or start == 2 - (rank or 0)):
        return "1:-1"
    raise Unfit("a slice of the sizes of a tensor whose channels have moved last")


@rewrites("torch.Tensor.dim", "torch.Tensor.ndimension", "torch.Tensor.ndim", to="tf")
def rank(site: Site) -> Any:
    return fill("len(x.shape)", x=site.receiver)


@rewrites(
    *both("numel"), "torch.Tensor.nelement", to="tf",
)  # fmt: skip
def numel(site: Site) -> Any:
    """A Python number also where a graph is traced, which knows the sizes of its tensors."""
    return fill("math.prod(x.shape)", x=Arguments(site).x)


@rewrites("torch.Size", to="tf")
def torch_size(site: Site) -> Any:
    items = site.positional[0] if site.positional else cst.Tuple([])
    return items if isinstance(items, (cst.Tuple, cst.List)) else fill("tuple(x)", x=items)
