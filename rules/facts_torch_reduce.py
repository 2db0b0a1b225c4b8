"""Facts of PyTorch's reductions, sorting and searching."""

from __future__ import annotations

from transpiler.infer.arrays import arithmetic, is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    Const,
    Number,
    Sequence,
    Tensor,
    Value,
    items_of,
)
from transpiler.rule import infers
from transpiler.rules.operands import (
    Operands,
    both,
    dtype_of,
    integers,
    normal_axis,
    without_axes,
)

# ---- reductions -------------------------------------------------------------------------------


def reduced(given: Operands, at: int = 0) -> Tensor:
    """The tensor with the axes of `dim` gone."""
    x = given.plain
    dim = given.arg("dim", "axis", at=at)
    keep = given.flag("keepdim", "keepdims", at=at + 1)
    if dim is None or (isinstance(dim, Const) and dim.value is None):
        return x.but(shape=())
    return x.but(shape=without_axes(x.shape, integers(dim), keep))


@infers(*both("sum", "mean", "prod", "nansum", "nanmean", "logsumexp", "amax", "amin",
              "count_nonzero"))  # fmt: skip
def totals(call: Invocation) -> Value:
    given = Operands(call)
    result = reduced(given)
    asked = dtype_of(given.keywords.get("dtype"))
    kind = call.name.rpartition(".")[2]
    if kind == "count_nonzero":
        asked = "int64"
    elif asked is None and kind in ("sum", "prod", "nansum") and result.dtype is not None:
        asked = result.dtype if is_float(result.dtype) else "int64"
    return result.but(dtype=asked or result.dtype)


@infers(*both("std", "var"))
def spreads(call: Invocation) -> Value:
    given = Operands(call)
    first = given.rest[0] if given.rest else None
    if isinstance(first, Const) and isinstance(first.value, bool):
        return given.plain.but(shape=())
    dim = given.arg("dim", "axis", at=0)
    keep = given.flag("keepdim", "keepdims", at=2)
    axes = integers(dim) if dim is not None and dim != Const(None) else ()
    return given.plain.but(shape=without_axes(given.plain.shape, axes, keep))


@infers("torch.std_mean", "torch.var_mean")
def spread_and_mean(call: Invocation) -> Value:
    result = spreads.function(call)
    return Sequence("tuple", (result, result))


@infers(*both("norm"), "torch.linalg.norm", "torch.linalg.vector_norm")
def norms(call: Invocation) -> Value:
    return reduced(Operands(call), at=1)


@infers("torch.dist", *both("trace", "det", "logdet", "slogdet"), "torch.linalg.det")
def scalars(call: Invocation) -> Value:
    x = Operands(call).plain
    if call.name.endswith("det") and x.shape is not None:
        return x.but(shape=x.shape[:-2])
    return x.but(shape=())


@infers(*both("argmax", "argmin"))
def positions(call: Invocation) -> Value:
    return reduced(Operands(call)).but(dtype="int64")


@infers(*both("any", "all"))
def truths(call: Invocation) -> Value:
    return reduced(Operands(call)).but(dtype="bool")


@infers(*both("max", "min", "median", "nanmedian", "mode", "kthvalue", "cummax", "cummin"))
def extremes(call: Invocation) -> Value:
    given = Operands(call)
    kind = call.name.rpartition(".")[2]
    at = 1 if kind == "kthvalue" else 0
    dim = given.arg("dim", "axis", "other", at=at)
    if isinstance(dim, Tensor):
        result = arithmetic("Add", given.tensor, dim)
        return result.but(library="torch") if isinstance(result, Tensor) else result
    if dim is None and kind not in ("mode", "kthvalue"):
        return given.plain.but(shape=())
    if kind in ("cummax", "cummin"):
        return pair(given.plain, given.plain.but(dtype="int64"))
    if dim is None:
        given.keywords = {**given.keywords, "dim": Const(-1)}
    values = reduced(given, at=at)
    return pair(values, values.but(dtype="int64"))


def pair(values: Tensor, indices: Tensor) -> Sequence:
    """What torch.max(x, 1) gives: a named tuple."""
    return Sequence("tuple:values,indices", (values, indices))


@infers(*both("topk", "sort"))
def ordered(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    if call.name.endswith("topk") and x.shape is not None:
        count, axis = given.integer("k", at=0), given.integer("dim", at=1, default=-1)
        if axis is None:
            x = x.but(shape=(None,) * len(x.shape))
        else:
            axis = normal_axis(axis, len(x.shape))
            x = x.but(shape=(*x.shape[:axis], count, *x.shape[axis + 1 :]))
    return pair(x, x.but(dtype="int64"))


@infers(*both("argsort", "bucketize", "searchsorted"))
def order(call: Invocation) -> Value:
    x = Operands(call).plain
    if call.name.endswith("searchsorted"):
        other = Operands(call).arg("input", at=0)
        x = other if isinstance(other, Tensor) else x.but(shape=None)
    return x.but(dtype="int64")


@infers(*both("unique", "unique_consecutive"))
def unique(call: Invocation) -> Value:
    given = Operands(call)
    values = given.plain.but(shape=(None,))
    extra = []
    if given.flag("return_inverse", at=1):
        extra.append(given.plain.but(dtype="int64"))
    if given.flag("return_counts", at=2):
        extra.append(values.but(dtype="int64"))
    return Sequence("tuple", (values, *extra)) if extra else values


@infers(*both("nonzero", "argwhere", "bincount", "histc"))
def nonzero(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    if call.name.endswith(("bincount", "histc")):
        return x.but(shape=(None,), dtype="int64" if call.name.endswith("bincount") else x.dtype)
    index = Tensor((None,), "int64", "torch")
    if given.flag("as_tuple"):
        return Sequence("tuple", (index,) * x.rank if x.rank is not None else None, index)
    return Tensor((None, x.rank), "int64", "torch")


@infers(*both("equal", "allclose", "is_floating_point", "is_complex", "is_contiguous"),
        "torch.is_tensor")  # fmt: skip
def python_truths(call: Invocation) -> Value:
    return Number("bool")


@infers("torch.autograd.grad")
def gradients(call: Invocation) -> Value:
    """One gradient for each input."""
    if call.arg("create_graph") == Const(True):
        call.interpreter.differentiates_twice = True
    inputs = call.arg("inputs", at=1)
    if isinstance(inputs, Tensor):
        return Sequence("tuple", (inputs.but(variable=False),))
    items = items_of(inputs) if inputs is not None else None
    if items is None:
        return Sequence("tuple", None, Tensor(library="torch"))
    plain = [i.but(variable=False) if isinstance(i, Tensor) else i for i in items]
    return Sequence("tuple", tuple(plain))
