"""Facts of NumPy's calls that reshape, join and reduce arrays."""

from __future__ import annotations

from transpiler.infer.arrays import arithmetic, is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    ListObject,
    Number,
    Shape,
    Tensor,
    Value,
    element_of,
    is_none,
    items_of,
    join,
    join_shapes,
)
from transpiler.rule import infers
from transpiler.rules.facts_numpy import METHOD, Given, array, both, dtype_of
from transpiler.rules.facts_torch_shapes import fill_in
from transpiler.rules.operands import (
    dims_of,
    in_module,
    integers,
    normal_axis,
    product,
    without_axes,
)

# ---- shapes -----------------------------------------------------------------------------------


@infers(*both("reshape"))
def reshaped(call: Invocation) -> Value:
    given = Given(call)
    dims = dims_of(given.sizes("newshape", "shape"))
    return given.tensor.but(shape=fill_in(given.tensor.shape, dims))


@infers(METHOD + "flatten", *both("ravel"))
def flat(call: Invocation) -> Value:
    x = Given(call).tensor
    return x.but(shape=(product(x.shape),))


@infers(METHOD + "astype")
def astype(call: Invocation) -> Value:
    return Given(call).tensor.but(dtype=dtype_of(call.arg("dtype", at=0)))


@infers(*both("transpose", "swapaxes"))
def transposed(call: Invocation) -> Value:
    given = Given(call)
    x = given.tensor
    if x.shape is None:
        return x
    axes = given.rest if len(given.rest) != 1 else list(items_of(given.rest[0]) or ())
    order = [a.value for a in axes if isinstance(a, Const)]
    if call.name.endswith("swapaxes") and len(order) == 2:
        shape = list(x.shape)
        shape[order[0]], shape[order[1]] = shape[order[1]], shape[order[0]]
        return x.but(shape=tuple(shape))
    if not given.rest and not given.keywords:
        return x.but(shape=x.shape[::-1])
    if len(order) != len(x.shape):
        return x.but(shape=(None,) * len(x.shape))
    return x.but(shape=tuple(x.shape[i] for i in order))


@infers(*both("squeeze"), "numpy.expand_dims")
def one_sized(call: Invocation) -> Value:
    given = Given(call)
    x, axis = given.tensor, integers(given.arg("axis", at=0))
    if x.shape is None or (axis is None and not all(isinstance(d, int) for d in x.shape)):
        return x.but(shape=None)
    if call.name.endswith("expand_dims"):
        if axis is None:
            return x.but(shape=None)
        place = axis[0] + len(x.shape) + 1 if axis[0] < 0 else axis[0]
        return x.but(shape=(*x.shape[:place], 1, *x.shape[place:]))
    gone = {normal_axis(a, len(x.shape)) for a in axis or ()}
    kept = [d for i, d in enumerate(x.shape) if (i not in gone if axis else d != 1)]
    return x.but(shape=tuple(kept))


@infers(*in_module("numpy", "concatenate", "vstack", "hstack", "stack", "column_stack", "append"))
def joined(call: Invocation) -> Value:
    first = call.positional[0] if call.positional else UNKNOWN
    parts = [p for p in items_of(first) or () if isinstance(p, Tensor)]
    dtypes = {p.dtype for p in parts}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    kind = call.name.rpartition(".")[2]
    axis = integers(call.arg("axis", at=1) or Const(0))
    shapes = [p.shape for p in parts]
    one = element_of(first) if items_of(first) is None else UNKNOWN
    if kind == "stack" and axis is not None and isinstance(one, Tensor) and one.shape is not None:
        place = axis[0] + len(one.shape) + 1 if axis[0] < 0 else axis[0]
        return array((*one.shape[:place], None, *one.shape[place:]), one.dtype)
    if not parts or None in shapes or axis is None or len(parts) != len(items_of(first) or ()):
        return array(None, dtype)
    merged: Shape = shapes[0]
    for other in shapes[1:]:
        merged = join_shapes(merged, other)
    if merged is None or kind in ("append", "column_stack"):
        return array((None, None) if kind == "column_stack" else None, dtype)
    if kind == "stack":
        place = axis[0] + len(merged) + 1 if axis[0] < 0 else axis[0]
        return array((*merged[:place], len(parts), *merged[place:]), dtype)
    place = {"vstack": 0, "hstack": 1}.get(kind, axis[0])
    if not merged or place >= len(merged):
        return array(None, dtype)
    place = normal_axis(place, len(merged))
    sizes = [s[place] for s in shapes if s is not None]
    total = sum(d for d in sizes if isinstance(d, int))
    known: Dim = total if all(isinstance(d, int) for d in sizes) else None
    return array((*merged[:place], known, *merged[place + 1 :]), dtype)


@infers(*both("copy", "clip", "round", "abs", "sort", "cumsum", "repeat", "conj", "flip", "roll"),
        *in_module("numpy", "absolute", "sign", "square", "around", "floor", "ceil", "rint",
                   "nan_to_num", "negative", "fliplr", "flipud", "rot90", "cumprod"))  # fmt: skip
def same(call: Invocation) -> Value:
    x = Given(call).tensor
    return x.but(shape=None) if call.name.endswith(("repeat", "rot90")) else x


@infers(*in_module("numpy", "maximum", "minimum", "power", "float_power", "mod", "fmod",
                   "remainder", "hypot", "arctan2", "fmax", "fmin", "floor_divide"))  # fmt: skip
def pairwise(call: Invocation) -> Value:
    if len(call.positional) < 2 or not any(isinstance(v, Tensor) for v in call.positional[:2]):
        return Number("float")
    found = arithmetic("Add", *call.positional[:2])
    return found if isinstance(found, Tensor) else array(None, None)


@infers(*in_module("numpy", "isnan", "isinf", "isfinite", "logical_and", "logical_or",
                   "logical_not", "equal", "not_equal", "greater", "less"))  # fmt: skip
def compared(call: Invocation) -> Value:
    return Given(call).tensor.but(dtype="bool")


@infers("numpy.diag")
def diagonal(call: Invocation) -> Value:
    """A matrix with a vector in its diagonal, or the diagonal of a matrix."""
    x = Given(call).tensor
    known = x.shape is not None and len(call.positional) + len(call.keywords) == 1
    if not known or x.shape is None or x.rank not in (1, 2):
        return x.but(shape=None)
    return x.but(shape=(x.shape[0],) * 2 if x.rank == 1 else (None,))


@infers(*in_module("numpy", "insert", "delete", "tile", "pad", "diff", "outer", "take",
                   "take_along_axis", "moveaxis", "rollaxis", "einsum", "triu", "tril", "resize",
                   "broadcast_to", "cov", "corrcoef", "kron", "interp", "convolve", "frombuffer",
                   "fromiter", "genfromtxt", "loadtxt", "dstack", "apply_along_axis", "atleast_2d",
                   "atleast_3d", "digitize", "searchsorted", "bincount", "argwhere", "flatnonzero"),
        *in_module("numpy.random", "multivariate_normal", "exponential", "multinomial",
                   "dirichlet", "logistic"), "numpy.linalg.inv")  # fmt: skip
def some_array(_: Invocation) -> Value:
    return array(None, None)


@infers(*in_module("numpy", "exp", "log", "sqrt", "sin", "cos", "tan", "tanh", "log1p", "expm1",
                   "log2", "log10", "arctan", "sinc", "arcsin", "arccos", "deg2rad"))  # fmt: skip
def floating(call: Invocation) -> Value:
    x = Given(call).tensor
    if not isinstance(call.positional[0] if call.positional else None, Tensor) and x.shape == ():
        return Number("float")
    return x if is_float(x.dtype) or x.dtype is None else x.but(dtype="float64")


@infers(*both("sum", "mean", "std", "var", "max", "min", "prod", "argmax", "argmin", "any", "all"),
        *in_module("numpy", "median", "amax", "amin", "average", "percentile",
                   "count_nonzero"))  # fmt: skip
def reduced(call: Invocation) -> Value:
    given = Given(call)
    x, kind = given.tensor, call.name.rpartition(".")[2]
    axis = given.arg("axis", at=1 if kind == "percentile" else 0)
    keep = given.flag("keepdims")
    axes = () if axis is None or is_none(axis) else integers(axis)
    dtype = x.dtype
    if kind in ("argmax", "argmin", "count_nonzero"):
        dtype = "int64"
    elif kind in ("any", "all"):
        dtype = "bool"
    elif kind in ("mean", "std", "var", "average", "median") and not is_float(dtype) and dtype:
        dtype = "float64"
    elif kind == "sum" and dtype == "bool":
        dtype = "int64"
    return x.but(shape=without_axes(x.shape, axes, keep), dtype=dtype)


@infers(*both("dot"), "numpy.matmul")
def products(call: Invocation) -> Value:
    given = Given(call)
    other = given.rest[0] if given.rest else UNKNOWN
    if isinstance(other, Tensor):
        return arithmetic("MatrixMultiply", given.tensor, other)
    return array(None, given.tensor.dtype)


@infers(METHOD + "tolist", METHOD + "item")
def to_python(call: Invocation) -> Value:
    x = Given(call).tensor
    kind = "float" if is_float(x.dtype) else "int" if x.dtype and "int" in x.dtype else None
    each: Value = Number(kind) if kind else UNKNOWN
    if call.name.endswith("item"):
        return each
    if x.rank is None:  # numbers, or lists of them, but no arrays
        return ListObject(None, join(Number(kind or "float"), ListObject(None, UNKNOWN)))
    return ListObject(None, each if x.rank == 1 else UNKNOWN)


@infers("numpy.where", "numpy.unique", "numpy.nonzero")
def searched(call: Invocation) -> Value:
    if call.name.endswith("where") and len(call.positional) == 3:
        return arithmetic("Add", array(None, None), call.positional[1])
    x = Given(call).tensor
    return (
        array((None,), x.dtype)
        if call.name.endswith("unique") and len(call.keywords) == 0
        else UNKNOWN
    )


@infers("numpy.argsort", METHOD + "argsort")
def order(call: Invocation) -> Value:
    return Given(call).tensor.but(dtype="int64")
