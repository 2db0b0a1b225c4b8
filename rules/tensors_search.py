"""Extreme values with their positions, sorting and searching."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Sequence, Tensor
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    axis,
    bare,
    cast,
    fill,
    is_tensor,
)
from transpiler.rules.tensors_gradient import may_have_gradient
from transpiler.rules.tensors_math import operate
from transpiler.rules.tensors_reduce import TIES, find_position, keeps, reduce
from transpiler.site import Site, constant_value

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
        for target, other in ((names[0], "indices"), (names[1], "values")):
            if isinstance(target, cst.Name) and _is_unread(site, target):
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
    target: Any = names[1] if part == "indices" else names[0]
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
        return place_part(site, part, find_position(site, given, f"arg{kind}", keep))
    if site.exact or (part == "both" and site.unpacked is None):
        pair = fill("unit(x, dim, keepdim=keep)", unit=site.emit(f"{kind}_along"),
                    x=given.x, dim=place, keep=keep)  # fmt: skip
        return pair if part == "both" else place_part(site, part, fill("pair[0]", pair=pair))
    values = reduce(site, given, f"tf.reduce_{kind}", given.x)
    if not _is_cut(site):
        site.caution(TIES)
    if part == "values":
        return place_part(site, part, values)
    positions = find_position(site, given, f"arg{kind}", keep)
    return fill("values, positions", values=values, positions=positions)


def _is_cut(site: Site) -> bool:
    """Whether no gradient can pass here."""
    if not may_have_gradient(site):
        return True
    outer = site.context.edits.parent.get(site.parent)
    return isinstance(outer, cst.Attribute) and outer.attr.value in ("detach", "item", "data")


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
          proof=Proof(inputs=[(3, 5)], cases=["x.quantile(0.3)",
                                              "torch.quantile(x, 0.5, dim=1)"]))  # fmt: skip
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
                r=_or_omit(given.get("rtol", at=1)), a=_or_omit(given.get("atol",
                                                                          at=2)))  # fmt: skip
