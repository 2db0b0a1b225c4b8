"""Reductions, sorting and searching."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const, Sequence, Tensor
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    axis,
    bare,
    cast,
    counted,
    drop_around,
    dtype_argument,
    fill,
    is_tensor,
)
from transpiler.rules.operands import both, dtype_of, in_module
from transpiler.rules.tensors_math import operate
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
    return fill(f"{name}(x, axis=dim, keepdims=keep)", x=x, dim=dim, keep=keeps(site, given, at + 1))


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
    if value not in (1, float("inf")):
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
    return _position(site, given, site.name.rpartition(".")[2], keeps(site, given, 1))


def _position(site: Site, given: Arguments, name: str, keep: Any, at: int = 0) -> Any:
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


# ---- values with their positions --------------------------------------------------------------


def wanted(site: Site) -> str:
    """Which of the pair `values, indices` the program reads: "values", "indices" or "both"."""
    parent = site.parent
    match parent:
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=index))]):
            value = constant_value(site.fact(index))
            return {0: "values", 1: "indices", -1: "indices", -2: "values"}.get(value, "both")
        case cst.Attribute(attr=cst.Name(value=name)) if name in ("values", "indices"):
            return name
    names = site.unpacked
    if names is not None and len(names) == 2:
        for name, other in ((names[0], "indices"), (names[1], "values")):
            if isinstance(name, cst.Name) and _is_unread(site, name):
                return other
    return "both"


def _is_unread(site: Site, name: cst.Name) -> bool:
    if set(name.value) == {"_"}:
        return True
    scope = site.context.edits.enclosing(site.node, cst.FunctionDef) or site.context.module
    from transpiler.syntax import find

    uses = [n for n in find(scope, cst.Name) if n.value == name.value]
    return len(uses) == 1


def place_part(site: Site, part: str, new: Any) -> Any:
    """Write one of the pair: in place of `pair[1]`, `pair.indices`, or of `_, i = pair`."""
    parent = site.parent
    if isinstance(parent, (cst.Subscript, cst.Attribute)):
        site.context.edits.replace(parent, new)
        site.context.claim(parent)
        return site.keep()
    assert isinstance(parent, cst.Assign)
    names = site.unpacked
    assert names is not None
    target = names[1] if part == "indices" else names[0]
    line = parent.with_changes(targets=[cst.AssignTarget(target)], value=new)
    site.context.edits.replace(parent, line)
    return site.keep()


@rewrites(
    *both("max", "min"), to="tf", layout="axis",
    proof=Proof(
        inputs=[(3, 4), (3, 4)],
        cases=["x.max()", "torch.min(x)", "x.max(1)[1]", "torch.max(x, 1)[0]",
               "x.max(1, keepdim=True)[1]", "x.max(dim=1).indices", "x.min(0).values",
               "_, p = torch.max(x.data, 1)\np", "v, i = x.max(1)\n(v, i)", "torch.max(x, y)",
               "x.min(y)", "v, i = torch.max(x, dim=1, keepdim=True)\n(v, i)", "tuple(x.max(1))"],
    ),
)  # fmt: skip
def extreme(site: Site) -> Any:
    given = Arguments(site)
    kind = site.name.rpartition(".")[2]
    dim = given.get("dim", "axis", at=0)
    other = given.get("other", at=0)
    if other is not None and is_tensor(site, other):
        return operate(site, "Add", f"tf.{kind}imum(a, b)", given.x, other)
    if dim is None:
        return fill(f"tf.reduce_{kind}(x)", x=given.x)
    if not isinstance(site.context.fact(site.node), Sequence):
        raise Unfit(f"whether {site.short} compares two tensors or reduces one is not known")
    keep, part = keeps(site, given, 1), wanted(site)
    place = axis(site, given.x, dim)
    if part == "indices":
        return place_part(site, part, _position(site, given, f"arg{kind}", keep))
    if site.exact or part == "both" and site.unpacked is None:
        pair = fill("unit(x, dim, keepdim=keep)", unit=site.emit(f"{kind}_along"),
                    x=given.x, dim=place, keep=keep)  # fmt: skip
        return pair if part == "both" else place_part(site, part, fill("pair[0]", pair=pair))
    values = reduce(site, given, f"tf.reduce_{kind}", given.x)
    site.caution(TIES)
    if part == "values":
        return place_part(site, part, values)
    positions = _position(site, given, f"arg{kind}", keep)
    return fill("values, positions", values=values, positions=positions)


@rewrites(
    *both("topk"), to="tf", layout="axis",
    proof=Proof(inputs=[(3, 6)],
                cases=["v, i = x.topk(2)\n(v, i)", "x.topk(3, dim=1)[1]", "torch.topk(x, 2)[0]",
                       "x.topk(2, 1, True, True)[0]", "x.topk(2, largest=False).values",
                       "v, i = torch.topk(x, k=2, dim=0)\n(v, i)", "_, p = x.topk(2, 1)\np"]),
)  # fmt: skip
def topk(site: Site) -> Any:
    given = Arguments(site)
    count, dim = given.get("k", at=0), given.get("dim", at=1)
    largest = given.const("largest", at=2, default=True)
    number = constant_value(site.fact(dim)) if dim is not None else -1
    rank = site.rank(given.x)
    last = number == -1 or (rank is not None and number == rank - 1)
    part = wanted(site)
    if last and largest and part != "both" and site.layout(given.x) != "nhwc":
        x = bare(site, given.x) if part == "indices" else given.x
        found = fill(f"tf.math.top_k(x, k).{part}", x=x, k=count)
        return place_part(site, part, cast(found, "int64") if part == "indices" else found)
    place = OMIT if number == -1 else axis(site, given.x, dim)
    pair = fill("unit(x, k, dim=dim, largest=largest)", unit=site.emit("topk_along"), x=given.x,
                k=count, dim=place, largest=OMIT if largest else False)  # fmt: skip
    return _take(site, part, pair)


def _take(site: Site, part: str, pair: Any) -> Any:
    if part == "both":
        return pair
    return place_part(site, part, fill("pair[i]", pair=pair, i=0 if part == "values" else 1))


@rewrites(
    *both("sort"), to="tf", layout="axis",
    proof=Proof(inputs=[(3, 6)],
                cases=["x.sort()[0]", "x.sort(1, descending=True)[1]", "torch.sort(x, dim=0)[0]",
                       "v, i = torch.sort(x, descending=True)\n(v, i)", "x.sort(0, True).values"]),
)  # fmt: skip
def sort(site: Site) -> Any:
    given = Arguments(site)
    dim, down = given.get("dim", at=0), given.const("descending", at=1, default=False)
    place = OMIT if dim is None else axis(site, given.x, dim)
    part = wanted(site)
    direction = "DESCENDING" if down else OMIT
    if part == "values":
        new = fill("tf.sort(x, axis=dim, direction=d)", x=given.x, dim=place, d=direction)
        return place_part(site, part, new)
    if part == "indices":
        return place_part(site, part, _argsort(site, given, place, down))
    return fill("unit(x, dim=dim, descending=down)", unit=site.emit("sort_along"), x=given.x,
                dim=place, down=True if down else OMIT)  # fmt: skip


def _argsort(site: Site, given: Arguments, place: Any, down: bool) -> Any:
    found = fill("tf.argsort(x, axis=dim, direction=d, stable=True)", x=bare(site, given.x),
                 dim=place, d="DESCENDING" if down else OMIT)  # fmt: skip
    return cast(found, "int64")


@rewrites(
    *both("argsort"), to="tf", layout="axis",
    proof=Proof(inputs=[(3, 6)], gradients=False,
                cases=["x.argsort()", "torch.argsort(x, dim=0, descending=True)"]),
)  # fmt: skip
def argsort(site: Site) -> Any:
    given = Arguments(site)
    dim, down = given.get("dim", at=0), given.const("descending", at=1, default=False)
    return _argsort(site, given, OMIT if dim is None else axis(site, given.x, dim), down)


@rewrites(
    *both("median", "kthvalue"), to="tf",
    proof=Proof(inputs=[(3, 5)],
                cases=["x.median()", "x.kthvalue(2, dim=1)[0]", "torch.median(x, dim=1)[0]"]),
)  # fmt: skip
def middle(site: Site) -> Any:
    given = Arguments(site)
    if site.name.endswith("kthvalue"):
        pair = fill("unit(x, k, dim=dim, keepdim=keep)", unit=site.emit("kthvalue"), x=given.x,
                    k=given.get("k", at=0), dim=_or_omit(given.get("dim", at=1)),
                    keep=keeps(site, given, 2))  # fmt: skip
        return _take(site, wanted(site), pair)
    dim = given.get("dim", at=0)
    if dim is None:
        return fill("unit(x)", unit=site.emit("median"), x=given.x)
    number, shape = constant_value(site.fact(dim)), site.context.fact(given.x)
    size = shape.shape[number] if isinstance(shape, Tensor) and shape.shape else None
    if not isinstance(size, int):
        raise Unfit(f"{site.short} along an axis whose size is not known")
    pair = fill("unit(x, k, dim=dim, keepdim=keep)", unit=site.emit("kthvalue"), x=given.x,
                k=(size + 1) // 2, dim=dim, keep=keeps(site, given, 1))  # fmt: skip
    return _take(site, wanted(site), pair)


def _or_omit(node: Any) -> Any:
    return OMIT if node is None else node


@rewrites(*both("quantile"), to="tf",
          proof=Proof(inputs=[(3, 5)], cases=["x.quantile(0.3)", "torch.quantile(x, 0.5, dim=1)"]))  # fmt: skip
def quantile(site: Site) -> Any:
    given = Arguments(site)
    if is_tensor(site, given.get("q", at=0)):
        raise Unfit("torch.quantile for several quantiles at once has no equal here")
    return fill("unit(x, q, dim=dim, keepdim=keep)", unit=site.emit("quantile"), x=given.x,
                q=given.get("q", at=0), dim=_or_omit(given.get("dim", at=1)),
                keep=keeps(site, given, 2))  # fmt: skip


@rewrites(
    *both("unique"), to="tf",
    proof=Proof(inputs=["int(3, 5) < 4"], gradients=False,
                cases=["x.unique()", "torch.unique(x, return_counts=True)",
                       "v, i = torch.unique(x, return_inverse=True)\n(v, i)"]),
)  # fmt: skip
def unique(site: Site) -> Any:
    given = Arguments(site)
    if given.get("dim", at=3) is not None:
        raise Unfit("torch.unique of slices along an axis has no equal here")
    inverse = given.const("return_inverse", at=1, default=False)
    counts = given.const("return_counts", at=2, default=False)
    if not inverse and not counts:
        x = given.x if site.rank(given.x) == 1 else fill("tf.reshape(x, [-1])", x=given.x)
        return fill("tf.sort(tf.unique(x).y)", x=x)
    found = fill("unit(x)", unit=site.emit("unique"), x=given.x)
    if inverse and counts:
        return found
    return fill("found[:2]" if inverse else "found[::2]", found=found)


@rewrites(*both("bincount"), to="tf",
          proof=Proof(inputs=["int(9) < 5"], gradients=False,
                      cases=["torch.bincount(x)", "x.bincount(minlength=7)"]))  # fmt: skip
def bincount(site: Site) -> Any:
    given = Arguments(site)
    if given.get("weights", at=0) is not None:
        raise Unfit("torch.bincount with weights")
    least = _or_omit(given.get("minlength", at=1))
    return fill("tf.math.bincount(tf.cast(x, tf.int32), minlength=n, dtype=tf.int64)",
                x=given.x, n=least)  # fmt: skip


@rewrites(*both("equal", "allclose"), to="tf",
          proof=Proof(inputs=[(2, 3), (2, 3)], gradients=False, directions=("tf",),
                      cases=["torch.equal(x, y)", "torch.allclose(x, x)"]))  # fmt: skip
def same(site: Site) -> Any:
    given = Arguments(site)
    other = given.get("other", at=0)
    if site.name.endswith("equal"):
        return fill("bool(tf.reduce_all(x == y))", x=given.x, y=other)
    return fill("np.allclose(x, y, rtol=r, atol=a)", x=given.x, y=other,
                r=_or_omit(given.get("rtol", at=1)), a=_or_omit(given.get("atol", at=2)))  # fmt: skip


__all__ = ["Const", "drop_around", "dtype_of", "keeps", "place_part", "reduce", "wanted"]
