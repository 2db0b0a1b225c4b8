"""Joining, splitting and picking parts of tensors."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import promote
from transpiler.infer.values import Tensor, Value, items_of
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both, integers, methods, normal_axis
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    axis,
    cast,
    fill,
)
from transpiler.site import Site


def _parts(site: Site, node: Any) -> Any:
    """The tensors to join, cast to their common dtype where they differ."""
    if not isinstance(node, (cst.List, cst.Tuple)) or site.context.edits.wrapped(node):
        return node
    nodes = [e.value for e in node.elements]
    if any(isinstance(e, cst.StarredElement) for e in node.elements):
        return cst.List(node.elements)
    dtypes = [site.dtype(n) for n in nodes]
    common: str | None = dtypes[0] if dtypes else None
    for dtype in dtypes[1:]:
        common = promote(common, dtype)
    if common is not None:
        nodes = [cast(n, common) if d != common else n for n, d in zip(nodes, dtypes, strict=True)]
    elif isinstance(node, cst.List):
        return node
    return nodes


@rewrites(
    "torch.cat", to="tf", layout="axis",
    proof=Proof(
        inputs=[(2, 3), (2, 3), "int(2, 3) < 4"],
        cases=["torch.cat([x, y])", "torch.cat((x, y), 1)", "torch.cat([x, y], dim=-1)",
               "torch.cat([x, z], 0)", "torch.cat([x] * 3, axis=1)",
               "torch.cat([a for a in (x, y)])"],
    ),
)  # fmt: skip
def concatenate(site: Site) -> Any:
    given = Arguments(site)
    dim = given.get("dim", "axis", at=0)
    place: Any = 0 if dim is None else axis(site, _sample(site, given.x), dim)
    return fill("tf.concat(parts, axis=dim)", parts=_parts(site, given.x), dim=place)


def _sample(site: Site, node: Any) -> Any:
    """A tensor of the list whose order of axes is that of all."""
    if isinstance(node, (cst.List, cst.Tuple)) and node.elements:
        first = node.elements[0].value
        if site.layout(first) == "nhwc" or site.layout(node) != "nhwc":
            return first
    return node


@rewrites(
    "torch.stack", to="tf",
    proof=Proof(inputs=[(2, 3), (2, 3)],
                cases=["torch.stack([x, y])", "torch.stack((x, y), dim=1)",
                       "torch.stack([x, y], -1)"]),
)  # fmt: skip
def stack(site: Site) -> Any:
    given = Arguments(site)
    dim = given.given("dim", "axis", at=0)
    return fill("tf.stack(parts, axis=dim)", parts=_parts(site, given.x), dim=dim)


@rewrites("torch.hstack", "torch.vstack", to="tf",
          proof=Proof(inputs=[(2, 3), (2, 3)], cases=["torch.hstack([x, y])",
                                                      "torch.vstack((x, y))"]))  # fmt: skip
def stack_along(site: Site) -> Any:
    name = site.name.rpartition(".")[2]
    return fill(f"keras.ops.{name}(parts)", parts=_parts(site, Arguments(site).x))


@rewrites(
    *both("split", "chunk"), to="tf", layout="axis",
    proof=Proof(
        inputs=[(7, 6)],
        cases=["x.split(2, dim=1)", "torch.split(x, 3)", "x.chunk(2, dim=-1)", "x.chunk(3)",
               "a, b = x.split([2, 5])\na * 2, b", "torch.chunk(x, 2, dim=1)",
               "x.split(4, 0)[1]"],
    ),
)  # fmt: skip
def split(site: Site) -> Any:
    given = Arguments(site)
    asked = given.get("split_size", "split_size_or_sections", "chunks", at=0)
    dim = given.get("dim", at=1)
    place: Any = 0 if dim is None else axis(site, given.x, dim)
    parts = site.context.fact(site.node)
    known = items_of(parts) if not isinstance(parts, Tensor) else None
    is_list = items_of(site.fact(asked)) is not None
    if is_list:
        return fill("tf.split(x, n, axis=dim)", x=given.x, n=asked, dim=place)
    number = integers(site.fact(dim)) if dim is not None else (0,)
    sizes = _sizes(known, number)
    # Into how many parts a size divides holds for this size: it stays where it has a name.
    if sizes is not None and (isinstance(asked, cst.Integer) or site.unpacked is not None):
        count: Any = len(sizes) if len(set(sizes)) == 1 else sizes
        return fill("tf.split(x, n, axis=dim)", x=given.x, n=count, dim=place)
    unit = site.emit("split_by_size" if site.name.endswith("split") else "chunk")
    return fill("unit(x, n, axis=dim)", unit=unit, x=given.x, n=asked,
                dim=OMIT if place == 0 else place)  # fmt: skip


def _sizes(known: tuple[Value, ...] | None, number: tuple[int, ...] | None) -> list[int] | None:
    if known is None or number is None:
        return None
    found = []
    for part in known:
        if not isinstance(part, Tensor) or part.shape is None:
            return None
        size = part.shape[normal_axis(number[0], len(part.shape))]
        if not isinstance(size, int):
            return None
        found.append(size)
    return found


@rewrites(*both("unbind"), to="tf",
          proof=Proof(inputs=[(2, 3)], cases=["x.unbind()", "torch.unbind(x, dim=1)"]))  # fmt: skip
def unbind(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.unstack(x, axis=dim)", x=given.x, dim=given.given("dim", at=0))


# ---- triangles and diagonals ------------------------------------------------------------------


@rewrites(
    *both("tril", "triu"), to="tf",
    proof=Proof(inputs=[(4, 5)], cases=["x.tril()", "torch.triu(x, 1)",
                                        "torch.tril(x, diagonal=-1)",
                                        "x.triu()", "torch.triu(x, -1)", "torch.tril(x, 2)"]),
)  # fmt: skip
def triangle(site: Site) -> Any:
    given = Arguments(site)
    shift = given.const("diagonal", at=0, default=0)
    x, boolean = given.x, site.dtype(given.x) == "bool"
    if boolean:
        x = cast(x, "uint8")
    if site.name.endswith("tril"):
        found = (
            fill("tf.linalg.band_part(x, -1, k)", x=x, k=shift)
            if shift >= 0
            else fill("x - tf.linalg.band_part(x, k, -1)", x=x, k=-shift - 1)
        )
    elif shift <= 0:
        found = fill("tf.linalg.band_part(x, k, -1)", x=x, k=-shift)
    else:
        found = fill("x - tf.linalg.band_part(x, -1, k)", x=x, k=shift - 1)
    return cast(found, "bool") if boolean else found


@rewrites(*both("diag", "diagonal"), "torch.diag_embed", to="tf",
          proof=Proof(inputs=[(4, 4), (3,)],
                      cases=["torch.diag(x)", "torch.diag(y)", "x.diagonal()"]))  # fmt: skip
def diagonal(site: Site) -> Any:
    given = Arguments(site)
    if given.rest or given.keywords:
        raise Unfit(f"{site.short} off the main diagonal")
    rank = site.rank(given.x)
    if site.name.endswith("diag") and rank is None:
        raise Unfit("whether torch.diag reads or makes a diagonal is not known")
    makes = site.name.endswith("embed") or (site.name.endswith("diag") and rank == 1)
    return fill("tf.linalg.diag(x)" if makes else "tf.linalg.diag_part(x)", x=given.x)


@rewrites("torch.meshgrid", to="tf",
          proof=Proof(inputs=[(3,), (4,)], gradients=False,
                      cases=["torch.meshgrid(x, y, indexing='ij')", "torch.meshgrid(x, y)",
                             "torch.meshgrid([x, y], indexing='xy')"]))  # fmt: skip
def meshgrid(site: Site) -> Any:
    given = Arguments(site, first=False)
    order = given.const("indexing", default="ij")
    parts = given.rest
    if len(parts) == 1 and isinstance(parts[0], (cst.List, cst.Tuple)):
        parts = [e.value for e in parts[0].elements]
    return fill("tf.meshgrid(*parts, indexing=order)", parts=[cst.Arg(p) for p in parts],
                order=OMIT if order == "xy" else order)  # fmt: skip


@rewrites(*methods("unfold"), to="tf",
          proof=Proof(inputs=[(2, 9)], cases=["x.unfold(1, 3, 2)"]))  # fmt: skip
def windows(site: Site) -> Any:
    given = Arguments(site)
    rank, dim = site.rank(given.x), given.const("dimension", at=0)
    if rank is None or dim % rank != rank - 1:
        raise Unfit("Tensor.unfold of another axis than the last one has no equal here")
    return fill("tf.signal.frame(x, size, step)", x=given.x, size=given.get("size", at=1),
                step=given.get("step", at=2))  # fmt: skip
