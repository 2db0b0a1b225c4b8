"""Joining, splitting and picking parts of tensors."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import promote
from transpiler.infer.values import Const, Tensor, Value, element_of, items_of
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both, integers, methods, normal_axis
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    axis,
    cast,
    counted,
    fill,
    is_number,
)
from transpiler.rules.tensors_math import as_mask
from transpiler.rules.tensors_view import static_shape
from transpiler.site import Site, constant_value


def _parts(site: Site, node: Any) -> Any:
    """The tensors to join, cast to their common dtype where they differ."""
    if not isinstance(node, (cst.List, cst.Tuple)):
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
                cases=["torch.stack([x, y])", "torch.stack((x, y), dim=1)", "torch.stack([x, y], -1)"]),
)  # fmt: skip
def stack(site: Site) -> Any:
    given = Arguments(site)
    dim = given.given("dim", "axis", at=0)
    return fill("tf.stack(parts, axis=dim)", parts=_parts(site, given.x), dim=dim)


@rewrites("torch.hstack", "torch.vstack", to="tf",
          proof=Proof(inputs=[(2, 3), (2, 3)], cases=["torch.hstack([x, y])", "torch.vstack((x, y))"]))  # fmt: skip
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
    if sizes is not None:
        count: Any = len(sizes) if len(set(sizes)) == 1 else sizes
        return fill("tf.split(x, n, axis=dim)", x=given.x, n=count, dim=place)
    unit = site.emit("split_by_size" if site.name.endswith("split") else "chunk")
    if site.name.endswith("chunk"):
        shape = static_shape(site, given.x)
        if shape is None and site.unpacked is not None:
            # Unpacked into that many names: with fewer parts torch would fail as well.
            pass
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


@rewrites(
    *both("gather", "take_along_dim"), to="tf",
    proof=Proof(
        inputs=[(3, 4), "int(3, 2) < 4", "int(2, 4) < 3", (2, 3, 4)],
        cases=["x.gather(1, y)", "torch.gather(x, dim=1, index=y)", "x.gather(0, z)",
               "x.gather(-1, y)", "w.gather(2, torch.zeros(2, 3, 1, dtype=torch.long))",
               "torch.take_along_dim(x, y, dim=1)"],
    ),
)  # fmt: skip
def gather(site: Site) -> Any:
    given = Arguments(site)
    along = site.name.endswith("take_along_dim")
    dim = given.get("dim", at=1 if along else 0)
    index = given.get("index", "indices", at=0 if along else 1)
    number, rank = constant_value(site.fact(dim)), site.rank(given.x)
    if rank is None:
        rank = site.rank(index)
    last = rank is not None and number in (-1, rank - 1)
    if last and rank is not None and _same_rows(site, given.x, index):
        return fill("tf.gather(x, index, axis=dim, batch_dims=n)", x=given.x, index=index,
                    dim=rank - 1, n=rank - 1)  # fmt: skip
    dim = number if isinstance(number, int) and rank is None else dim
    if isinstance(number, int) and number < 0:
        if rank is None:
            raise Unfit(f"the rank of the tensor of {site.short} is not known")
        dim = number + rank
    return fill("unit(x, dim, index)", unit=site.emit("gather_along"), x=given.x, dim=dim,
                index=index)  # fmt: skip


def _same_rows(site: Site, x: Any, index: Any) -> bool:
    """Whether nothing speaks against the index having as many rows as the tensor."""
    a, b = static_shape(site, x), static_shape(site, index)
    if a is None or b is None:
        return True
    return len(a) == len(b) and all(
        not isinstance(p, int) or not isinstance(q, int) or p == q
        for p, q in zip(a[:-1], b[:-1], strict=True)
    )


@rewrites(
    *both("index_select"), to="tf", layout="axis",
    proof=Proof(inputs=[(3, 4), "int(5) < 3"],
                cases=["x.index_select(0, y)", "torch.index_select(x, 1, y)"]),
)  # fmt: skip
def index_select(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.gather(x, index, axis=dim)", x=given.x, index=given.get("index", at=1),
                dim=axis(site, given.x, given.get("dim", at=0)))  # fmt: skip


@rewrites(*both("take"), to="tf",
          proof=Proof(inputs=[(3, 4), "int(5) < 12"], cases=["torch.take(x, y)"]))  # fmt: skip
def take(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.gather(tf.reshape(x, [-1]), index)", x=given.x, index=given.get("index", at=0))


@rewrites(*both("masked_select"), to="tf",
          proof=Proof(inputs=[(3, 4), "bool(3, 4)"], cases=["x.masked_select(y)"]))  # fmt: skip
def masked_select(site: Site) -> Any:
    given = Arguments(site)
    mask = as_mask(site, given.get("mask", at=0))
    ranks = site.rank(given.x), site.rank(given.get("mask", at=0))
    if None in ranks or ranks[0] != ranks[1]:
        mask = fill("tf.broadcast_to(mask, tf.shape(x))", mask=mask, x=given.x)
    return fill("tf.boolean_mask(x, mask)", x=given.x, mask=mask)


@rewrites(
    *both("nonzero"), "torch.argwhere", to="tf",
    proof=Proof(inputs=["int(3, 4) < 3", "bool(5)"], gradients=False,
                cases=["x.nonzero()", "torch.nonzero(y)", "torch.nonzero(x > 1, as_tuple=True)",
                       "y.nonzero(as_tuple=True)[0]"]),
)  # fmt: skip
def nonzero(site: Site) -> Any:
    given = Arguments(site)
    if given.const("as_tuple", default=False):
        return fill("tf.unstack(tf.where(x), axis=1)", x=given.x)
    return fill("tf.where(x)", x=given.x)


@rewrites("torch.where", to="tf",
          proof=Proof(inputs=[(3, 4)], cases=["torch.where(x > 0)[1]"], gradients=False))  # fmt: skip
def where_true(site: Site) -> Any:
    given = Arguments(site)
    if given.rest or "input" in given.keywords:
        raise Unfit("torch.where with these arguments has no equal here")
    return fill("tf.unstack(tf.where(x), axis=1)", x=given.x)


@rewrites(*both("narrow", "select"), to="tf",
          proof=Proof(inputs=[(3, 4)], cases=["x.narrow(1, 1, 2)", "x.select(0, 2)", "x.select(1, 0)"]))  # fmt: skip
def narrow(site: Site) -> Any:
    given = Arguments(site)
    dim = given.const("dim", at=0)
    if dim < 0:
        rank = site.rank(given.x)
        if rank is None:
            raise Unfit(f"the rank of the tensor of {site.short} is not known")
        dim += rank
    before = ":, " * dim
    if site.name.endswith("select"):
        return fill(f"x[{before}i]", x=given.x, i=given.get("index", at=1))
    start, length = given.get("start", at=1), given.get("length", at=2)
    first, count = constant_value(site.fact(start)), constant_value(site.fact(length))
    if isinstance(first, int) and isinstance(count, int):
        return fill(f"x[{before}a:b]", x=given.x, a=start, b=first + count)
    return fill(f"x[{before}a : a + n]", x=given.x, a=start, n=length)


@rewrites(
    *both("flip", "fliplr", "flipud"), to="tf", layout="axis",
    proof=Proof(inputs=[(3, 4)],
                cases=["x.flip(0)", "torch.flip(x, [0, 1])", "x.flip((1,))", "torch.fliplr(x)"]),
)  # fmt: skip
def flip(site: Site) -> Any:
    given = Arguments(site)
    if site.name.endswith(("lr", "ud")):
        return fill("tf.reverse(x, [i])", x=given.x, i=1 if site.name.endswith("lr") else 0)
    named = given.get("dims")
    nodes = [named] if named is not None else given.rest
    axes = [a for node in nodes for a in integers(site.fact(node)) or ("?",)]
    if "?" in axes:
        raise Unfit(f"the axes of {site.short} are not known before the program runs")
    return fill("tf.reverse(x, axes)", x=given.x, axes=[axis(site, given.x, a) for a in axes])


@rewrites(*both("roll"), to="tf",
          proof=Proof(inputs=[(3, 4)], cases=["x.roll(1, 0)", "torch.roll(x, (1, 2), (0, 1))",
                                              "torch.roll(x, shifts=-1, dims=1)"]))  # fmt: skip
def roll(site: Site) -> Any:
    given = Arguments(site)
    dims = given.get("dims", at=1)
    if dims is None:
        raise Unfit("torch.roll over all elements has no equal here")
    return fill("tf.roll(x, shifts, axis=dims)", x=given.x, shifts=given.get("shifts", at=0),
                dims=dims)  # fmt: skip


@rewrites(
    *both("scatter", "scatter_add", "index_add", "index_copy", "masked_scatter"), to="tf",
    proof=Proof(
        inputs=[(3, 4), "int(3, 1) < 4", (3, 1), "int(3) < 3"],
        cases=["x.scatter(1, y, 1.0)", "torch.scatter(x, 1, y, z)", "x.scatter_add(1, y, z)",
               "x.index_add(0, w, x * 2)", "x.scatter(dim=-1, index=y, src=z)",
               "x.masked_scatter(x > 0, x * 2)"],
    ),
)  # fmt: skip
def scatter(site: Site) -> Any:
    given = Arguments(site)
    name = site.name.rpartition(".")[2].rstrip("_")
    if given.get("reduce") is not None or given.get("alpha") is not None:
        raise Unfit(f"{site.short} with `reduce` or `alpha` has no equal here")
    if name == "masked_scatter":
        mask, source = given.get("mask", at=0), given.get("source", at=1)
        return fill("unit(x, mask, source)", unit=site.emit(name), x=given.x, mask=mask,
                    source=source)  # fmt: skip
    dim, index = given.const("dim", at=0), given.get("index", at=1)
    source = given.get("src", "value", "source", at=2)
    if dim < 0:
        rank = site.rank(given.x) or site.rank(index)
        if rank is None:
            raise Unfit(f"the rank of the tensor of {site.short} is not known")
        dim += rank
    unit = site.emit({"scatter": "scatter_along", "scatter_add": "scatter_add_along"}.get(name, name))
    have, want = site.dtype(source), site.dtype(given.x)
    if have and want and have != want:
        source = cast(source, want)
    return fill("unit(x, dim, index, source)", unit=unit, x=given.x, dim=dim, index=index,
                source=source)  # fmt: skip


# ---- triangles and diagonals ------------------------------------------------------------------


@rewrites(
    *both("tril", "triu"), to="tf",
    proof=Proof(inputs=[(4, 5)], cases=["x.tril()", "torch.triu(x, 1)", "torch.tril(x, diagonal=-1)",
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


__all__ = ["Const", "counted", "element_of", "is_number"]
