"""Facts of PyTorch's arithmetic: elementwise functions, reductions, sorting, matrix products."""

from __future__ import annotations

from transpiler.infer.arrays import arithmetic, broadcast, is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Number,
    Sequence,
    Tensor,
    Value,
)
from transpiler.rule import infers
from transpiler.rules.operands import (
    Operands,
    both,
    dtype_of,
    in_module,
    methods,
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
