"""Picking and replacing elements by their positions."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both, integers
from transpiler.rules.tensor_arguments import (
    Arguments,
    axis,
    cast,
    fill,
    is_size,
)
from transpiler.rules.tensors_choice import as_mask
from transpiler.rules.tensors_view import static_shape
from transpiler.site import Site, constant_value


@rewrites(
    *both("gather", "take_along_dim"), to="tf",
    proof=Proof(
        inputs=[(3, 4), "int(3, 2) < 4", "int(2, 4) < 3", (2, 3, 4)],
        cases=["x.gather(1, y)", "torch.gather(x, dim=1, index=y)", "x.gather(0, z)",
               "x.gather(-1, y)", "w.gather(2, torch.zeros(2, 3, 1, dtype=torch.long))",
               "torch.take_along_dim(x, y, dim=1)",
        # What the indexing planner writes.
               "x[y[:, 0]]", "x[[2, 0]]", "x[:, [3, 1]]", "x[torch.arange(3), y[:, 0]]", "x[x > 0]",
           "x[:, [-1]]", "w[y[:, 0] % 2, y[:, 1] % 3]", "x[..., y[:, 0]]", "x[x[:, 0] > -9]",
           "w[:, y[:, 0] % 3, 1:3]", "w[0, y[:, 0] % 3]", "w[:, x[:, 0] > 0]", "x[None, y % 3]",
           "x[x[:, 0] > 0, 1]"],
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
          proof=Proof(inputs=[(3, 4)], cases=["torch.where(x > 0)[1]"],
                      gradients=False))  # fmt: skip
def where_true(site: Site) -> Any:
    given = Arguments(site)
    if given.rest or "input" in given.keywords:
        raise Unfit("torch.where with these arguments has no equal here")
    return fill("tf.unstack(tf.where(x), axis=1)", x=given.x)


@rewrites(*both("narrow", "select"), to="tf",
          proof=Proof(inputs=[(3, 4)], cases=["x.narrow(1, 1, 2)", "x.select(0, 2)",
                                              "x.select(1, 0)"]))  # fmt: skip
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
        if site.layout(given.x) == "nhwc" or not nodes:
            raise Unfit(f"the axes of {site.short} are not known before the program runs")
        return fill("tf.reverse(x, axes)", x=given.x, axes=_as_axes(site, nodes))
    return fill("tf.reverse(x, axes)", x=given.x, axes=[axis(site, given.x, a) for a in axes])


def _as_axes(site: Site, nodes: list[Any]) -> Any:
    """Axes that only the program knows, as a list."""
    if len(nodes) > 1 or isinstance(nodes[0], (cst.Tuple, cst.List)):
        items = nodes if len(nodes) > 1 else [e.value for e in nodes[0].elements]
        return cst.List([cst.Element(n) for n in items])
    if not is_size(site.fact(nodes[0])):
        raise Unfit(f"whether {site.short} gets one axis or several is not known")
    return cst.List([cst.Element(nodes[0])])


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
    if not isinstance(dim, int):
        raise Unfit(f"`dim` of {site.short} is not given")
    if dim < 0:
        rank = site.rank(given.x) or site.rank(index)
        if rank is None:
            raise Unfit(f"the rank of the tensor of {site.short} is not known")
        dim += rank
    unit = site.emit(
        {"scatter": "scatter_along", "scatter_add": "scatter_add_along"}.get(name, name)
    )
    have, want = site.dtype(source), site.dtype(given.x)
    if have and want and have != want:
        source = cast(source, want)
    return fill("unit(x, dim, index, source)", unit=unit, x=given.x, dim=dim, index=index,
                source=source)  # fmt: skip
