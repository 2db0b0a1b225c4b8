"""Facts of PyTorch's arithmetic: elementwise functions, reductions, sorting, matrix products."""

from __future__ import annotations

from transpiler.infer.arrays import arithmetic, broadcast, is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Number,
    Sequence,
    Shape,
    Tensor,
    Value,
    items_of,
)
from transpiler.rule import infers
from transpiler.rules.operands import (
    Operands,
    both,
    dtype_of,
    in_module,
    integers,
    methods,
    normal_axis,
    without_axes,
)

KEEPING = (
    "abs", "neg", "sign", "clamp", "clamp_min", "clamp_max", "relu", "square", "floor", "ceil",
    "round", "trunc", "cumsum", "cumprod", "positive", "nan_to_num", "frac", "cummax",
    "fix", "conj", "sgn", "hardshrink", "threshold", "flip", "bitwise_not",
)  # fmt: skip
FLOATING = (
    "exp", "log", "log2", "log10", "log1p", "expm1", "sqrt", "rsqrt", "sin", "cos", "tan", "asin",
    "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sigmoid", "erf", "erfc",
    "erfinv", "reciprocal", "softmax", "log_softmax", "lgamma", "digamma", "exp2", "logit",
    "deg2rad", "rad2deg", "logcumsumexp", "celu", "selu", "prelu", "rrelu", "dropout",
)  # fmt: skip
TESTS = (
    "isnan", "isinf", "isfinite", "logical_not", "isposinf", "isneginf", "signbit",
)  # fmt: skip
ARITHMETIC = {
    "add": "Add", "sub": "Subtract", "mul": "Multiply", "div": "Divide", "true_divide": "Divide",
    "pow": "Power", "remainder": "Modulo", "fmod": "Modulo", "floor_divide": "FloorDivide",
    "maximum": "Add", "minimum": "Add", "fmax": "Add", "fmin": "Add", "rsub": "Subtract",
    "bitwise_and": "BitAnd", "bitwise_or": "BitOr", "bitwise_xor": "BitXor",
    "subtract": "Subtract", "multiply": "Multiply", "divide": "Divide", "float_power": "Divide",
    "atan2": "Divide", "arctan2": "Divide", "hypot": "Divide", "xlogy": "Divide",
    "logaddexp": "Divide", "copysign": "Divide",
    "eq": "Equal", "ne": "NotEqual", "lt": "LessThan", "gt": "GreaterThan", "le": "LessThanEqual",
    "ge": "GreaterThanEqual", "not_equal": "NotEqual", "greater": "GreaterThan",
    "less": "LessThan", "greater_equal": "GreaterThanEqual", "less_equal": "LessThanEqual",
    "logical_and": "Equal", "logical_or": "Equal", "logical_xor": "Equal", "isclose": "Equal",
}  # fmt: skip
_IN_PLACE = (
    "add_", "sub_", "mul_", "div_", "pow_", "clamp_", "clip_", "abs_", "neg_", "exp_", "log_",
    "sqrt_", "rsqrt_", "sigmoid_", "tanh_", "relu_", "floor_", "ceil_", "round_", "addcmul_",
    "addcdiv_", "lerp_", "clamp_min_", "clamp_max_", "reciprocal_", "square_", "remainder_",
    "uniform_", "normal_", "random_", "bernoulli_", "exponential_", "log_normal_", "cauchy_",
    "logical_not_", "eq_", "cumsum_", "addmm_", "trunc_", "sin_", "cos_", "baddbmm_",
)  # fmt: skip


@infers(*both(*KEEPING), *methods(*_IN_PLACE))
def keeping(call: Invocation) -> Value:
    """Same shape and dtype."""
    return Operands(call).plain


@infers(*both(*FLOATING), *in_module("torch.special", "expit", "erf", "logit", "softmax"))
def floating(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    asked = dtype_of(given.keywords.get("dtype"))
    if asked is None and x.dtype is not None and not is_float(x.dtype):
        asked = "float32"
    return x.but(dtype=asked or x.dtype)


@infers(*both(*TESTS))
def tests(call: Invocation) -> Value:
    return Operands(call).plain.but(dtype="bool")


@infers(*both(*ARITHMETIC))
def binary(call: Invocation) -> Value:
    given = Operands(call)
    other = given.arg("other", "exponent", at=0)
    operation = ARITHMETIC[call.name.rpartition(".")[2]]
    first = given.first if given.first is not None else UNKNOWN
    if not isinstance(first, Tensor) and not isinstance(other, Tensor):
        return Tensor(library="torch")
    result = arithmetic(operation, first, other if other is not None else UNKNOWN)
    mode = given.arg("rounding_mode")
    if mode is not None and isinstance(first, Tensor) and isinstance(result, Tensor):
        return result.but(dtype=first.dtype, library="torch")
    return result.but(library="torch") if isinstance(result, Tensor) else result


@infers(*both("addcmul", "addcdiv", "lerp"), "torch.clip")
def combined(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    shape = x.shape
    for other in given.rest[:2]:
        if isinstance(other, Tensor):
            shape = broadcast(shape, other.shape)
    return x.but(shape=shape)


@infers("torch.where", "torch.Tensor.where")
def where(call: Invocation) -> Value:
    condition, yes, no = _where_parts(call)
    if yes is None or no is None:
        rank = condition.rank if isinstance(condition, Tensor) else None
        index = Tensor((None,), "int64", "torch")
        return Sequence("tuple", None if rank is None else (index,) * rank, index)
    if not isinstance(yes, Tensor) and not isinstance(no, Tensor):
        merged: Value = arithmetic("Add", Tensor((), _scalar_dtype(yes), "torch"), no)
    else:
        merged = arithmetic("Add", yes, no)
    result = merged if isinstance(merged, Tensor) else Tensor(library="torch")
    shape = broadcast(result.shape, condition.shape if isinstance(condition, Tensor) else None)
    return Tensor(shape, result.dtype, "torch")


def _where_parts(call: Invocation) -> tuple[Value | None, Value | None, Value | None]:
    given = Operands(call)
    if call.receiver is not None:
        return given.arg("condition", at=0), given.first, given.arg("other", at=1)
    condition = given.first or call.keywords.get("condition")
    yes = given.arg("input", at=0) if call.positional else call.keywords.get("input")
    return condition, yes, given.arg("other", at=1)


def _scalar_dtype(value: Value) -> str | None:
    kind = value.type if isinstance(value, Number) else None
    if isinstance(value, Const):
        kind = type(value.value).__name__
    return {"float": "float32", "int": "int64", "bool": "bool"}.get(kind or "")


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


# ---- products ---------------------------------------------------------------------------------


@infers(*both("matmul", "mm", "bmm", "mv", "dot", "inner", "vdot"), "torch.linalg.multi_dot")
def products(call: Invocation) -> Value:
    given = Operands(call)
    other = given.arg("other", "mat2", "vec", "tensor", at=0)
    if isinstance(given.first, Tensor) and isinstance(other, Tensor):
        result = arithmetic("MatrixMultiply", given.first, other)
        return result.but(library="torch") if isinstance(result, Tensor) else result
    rank = {"mm": 2, "bmm": 3, "mv": 1, "dot": 0}.get(call.name.rpartition(".")[2])
    return Tensor(None if rank is None else (None,) * rank, given.tensor.dtype, "torch")


@infers(*both("addmm", "addbmm", "baddbmm", "addmv"))
def added_products(call: Invocation) -> Value:
    given = Operands(call)
    a, b = given.arg("mat1", "batch1", "mat", at=0), given.arg("mat2", "batch2", "vec", at=1)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return arithmetic("MatrixMultiply", a, b)
    return given.plain


@infers(*both("outer", "ger"), "torch.cdist", "torch.kron")
def outer(call: Invocation) -> Value:
    given = Operands(call)
    other = given.arg("vec2", "x2", at=0)
    a, b = given.tensor.shape, other.shape if isinstance(other, Tensor) else None
    if a is None or b is None or call.name.endswith("kron"):
        return given.plain.but(shape=None)
    if call.name.endswith("cdist"):
        return given.plain.but(shape=(*a[:-1], b[-2]))
    return given.plain.but(shape=(*a, *b))


@infers("torch.einsum")
def einsum(call: Invocation) -> Value:
    equation, *operands = call.positional or [UNKNOWN]
    if len(operands) == 1 and not isinstance(operands[0], Tensor):
        operands = list(items_of(operands[0]) or ())
    dtype = next((o.dtype for o in operands if isinstance(o, Tensor)), None)
    if not isinstance(equation, Const) or "->" not in str(equation.value):
        return Tensor(None, dtype, "torch")
    left, _, right = str(equation.value).replace(" ", "").partition("->")
    return Tensor(_einsum_shape(left.split(","), right, operands), dtype, "torch")


def _einsum_shape(terms: list[str], result: str, operands: list[Value]) -> Shape:
    if "." in result:
        return None
    sizes: dict[str, Dim] = {}
    for term, operand in zip(terms, operands):
        if isinstance(operand, Tensor) and operand.shape is not None and "." not in term:
            for letter, dim in zip(term, operand.shape):
                if sizes.get(letter) is None:
                    sizes[letter] = dim
    return tuple(sizes.get(letter) for letter in result)


@infers(*both("inverse", "pinverse", "matrix_exp", "cholesky", "cross", "cov", "corrcoef"),
        *in_module("torch.linalg", "inv", "pinv", "cholesky", "matrix_power", "matrix_exp"))  # fmt: skip
def matrices(call: Invocation) -> Value:
    return Operands(call).plain
