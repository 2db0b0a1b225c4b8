"""Facts of TensorFlow's and Keras' arithmetic: elementwise functions, reductions, products."""

from __future__ import annotations

import math
from collections.abc import Callable

from transpiler.infer.arrays import arithmetic, broadcast, is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Number,
    Sequence,
    Shape,
    Tensor,
    Value,
    element_of,
    is_none,
    items_of,
    scalar_type,
)
from transpiler.rule import infers
from transpiler.rules.operands import integers, normal_axis, without_axes
from transpiler.rules.tf_operands import Given, as_tensor, everywhere, is_number

KEEPING = (
    "abs", "absolute", "negative", "sign", "floor", "ceil", "round", "rint", "square", "relu",
    "relu6", "clip_by_value", "clip", "clip_by_norm", "clip_by_average_norm", "cumsum",
    "cumprod", "reverse", "flip", "roll", "sort", "positive", "trunc", "invert", "conj",
    "nan_to_num", "batch_normalization", "band_part", "triu", "tril", "inv", "pinv", "cholesky",
    "matrix_inverse", "zero_fraction", "sqr", "normalize_moments", "cumulative_logsumexp",
    "local_response_normalization", "lrn", "depth_to_space_", "global_policy", "bias_add",
)  # fmt: skip
FLOATING = (
    "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "sin", "cos", "tan", "asin", "acos", "atan",
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "sigmoid",
    "erf", "erfc", "erfinv", "erfcinv", "ndtri", "lgamma", "digamma", "reciprocal", "softmax",
    "log_softmax", "softplus", "softsign", "elu", "selu", "gelu", "silu", "swish", "leaky_relu",
    "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "hard_shrink", "soft_shrink",
    "tanh_shrink", "sparse_plus", "squareplus", "celu", "glu_", "mish", "log_sigmoid", "exp2",
    "exponential", "linear", "log2", "log10", "dropout", "l2_normalize", "sparsemax",
    "reciprocal_no_nan", "crelu_", "unit_normalize", "deg2rad", "rad2deg", "crelu",
    "experimental_dropout", "spatial_dropout",
)  # fmt: skip
TESTS = ("is_nan", "is_inf", "is_finite", "isnan", "isinf", "isfinite", "logical_not")
ARITHMETIC = {
    "add": "Add", "subtract": "Subtract", "multiply": "Multiply", "divide": "Divide",
    "truediv": "Divide", "true_divide": "Divide", "realdiv": "Divide", "divide_no_nan": "Divide",
    "multiply_no_nan": "Multiply", "floordiv": "FloorDivide", "floor_divide": "FloorDivide",
    "truncatediv": "FloorDivide", "mod": "Modulo", "floormod": "Modulo", "truncatemod": "Modulo",
    "pow": "Power", "power": "Power", "maximum": "Add", "minimum": "Add", "atan2": "Divide",
    "arctan2": "Divide", "squared_difference": "Subtract", "xlogy": "Multiply",
    "xlog1py": "Multiply", "xdivy": "Divide", "logaddexp": "Divide", "hypot": "Add",
    "scalar_mul": "Multiply", "fmod": "Modulo",
    "equal": "Equal", "not_equal": "NotEqual", "less": "LessThan", "greater": "GreaterThan",
    "less_equal": "LessThanEqual", "greater_equal": "GreaterThanEqual", "logical_and": "Equal",
    "logical_or": "Equal", "logical_xor": "Equal", "isclose": "Equal",
    "bitwise_and": "BitAnd", "bitwise_or": "BitOr", "bitwise_xor": "BitXor",
}  # fmt: skip
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "exp": math.exp, "log": math.log, "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos,
    "tanh": math.tanh, "rsqrt": lambda x: 1 / math.sqrt(x),
}  # fmt: skip


@infers(*everywhere(*KEEPING))
def keeping(call: Invocation) -> Value:
    """Same shape and dtype; numbers stay numbers."""
    given = Given(call)
    if given.on_number and given.first is not None:
        kind = scalar_type(given.first)
        return Number(str(kind) if kind in ("int", "float") else "float")
    return given.x


@infers(*everywhere(*FLOATING))
def floating(call: Invocation) -> Value:
    given = Given(call)
    name = call.name.rpartition(".")[2]
    if given.on_number:
        if isinstance(given.first, Const) and name in FUNCTIONS:
            try:
                return Const(FUNCTIONS[name](given.first.value))
            except (ValueError, OverflowError):
                return Number("float")
        return Number("float")
    x = given.x
    if call.name.startswith("keras.") and x.dtype is not None and not is_float(x.dtype):
        return x.but(dtype="float32")
    return x


@infers(*everywhere(*TESTS))
def tests(call: Invocation) -> Value:
    given = Given(call)
    return Number("bool") if given.on_number else given.x.but(dtype="bool")


def operands(call: Invocation) -> tuple[Value, Value]:
    """Both sides of an operation."""
    found = [*call.positional]
    if len(found) < 2:
        found = [v for k, v in call.bound.items() if isinstance(v, Value) and k != "name"]
    found += [UNKNOWN] * (2 - len(found))
    return found[0], found[1]


@infers(*everywhere(*ARITHMETIC))
def binary(call: Invocation) -> Value:
    """Elementwise operations of two operands, as the operators do them."""
    left, right = operands(call)
    operation = ARITHMETIC[call.name.rpartition(".")[2]]
    if is_number(left) and is_number(right):
        return call.interpreter.binary_values(operation, left, right)
    return combine(operation, left, right)


def combine(operation: str, left: Value, right: Value) -> Value:
    """What an operation of tensors, arrays, lists and numbers gives."""
    left = left if is_number(left) else as_tensor(left)
    right = right if is_number(right) else as_tensor(right)
    result = arithmetic(operation, left, right)
    return Tensor(result.shape, result.dtype, "tf") if isinstance(result, Tensor) else result


@infers(*everywhere("add_n", "accumulate_n"))
def added(call: Invocation) -> Value:
    given = Given(call)
    items = items_of(given.first) if given.first is not None else None
    first = items[0] if items else element_of(given.first or UNKNOWN)
    return Number("float") if is_number(first) else as_tensor(first)


# ---- reductions -------------------------------------------------------------------------------


def axes_of(value: Value | None) -> tuple[int, ...] | None:
    """The axes that an argument names: all of them where it is not given."""
    return () if value is None else integers(value)


def reduced(given: Given, *names: str) -> Tensor:
    """The tensor without the axes that go."""
    axis = given.arg(*(names or ("axis",)))
    keep = given.flag("keepdims", "keep_dims")
    axes = () if axis is None or is_none(axis) else axes_of(axis)
    if axes == () and not keep:
        return given.x.but(shape=())
    return given.x.but(shape=without_axes(given.x.shape, axes, keep))


@infers(*everywhere("reduce_sum", "reduce_mean", "reduce_prod", "reduce_max", "reduce_min",
                    "reduce_logsumexp", "reduce_std", "reduce_variance",
                    "reduce_euclidean_norm", "sum", "mean", "prod", "max", "min", "amax", "amin",
                    "std", "var", "logsumexp", "median", "average", "quantile"))  # fmt: skip
def totals(call: Invocation) -> Value:
    given = Given(call)
    if given.on_number and given.first is not None:
        return given.first
    if isinstance(given.first, Sequence) and given.arg("axis") is None and are_sizes(given.first):
        return Number("int")
    return reduced(given)


def are_sizes(value: Sequence) -> bool:
    """Whether a tuple holds sizes of tensors, as `tf.shape` gives them."""
    items = value.items if value.items else (value.element,)
    return all(isinstance(i, (Const, Number)) for i in items) and any(is_number(i) for i in items)


@infers(*everywhere("reduce_any", "reduce_all", "any", "all"))
def truths(call: Invocation) -> Value:
    return reduced(Given(call)).but(dtype="bool")


@infers(*everywhere("argmax", "argmin"))
def positions(call: Invocation) -> Value:
    given = Given(call)
    axis = given.arg("axis", "dimension")
    axes = axes_of(axis)
    if axis is None:
        axes = (0,) if call.name.startswith("tf.") else (-1,) if "backend" in call.name else ()
    shape = without_axes(given.x.shape, axes, given.flag("keepdims"))
    usual = "int64" if call.name.startswith("tf.") else "int32"
    return Tensor(shape, given.dtype(usual), "tf")


@infers(*everywhere("count_nonzero"))
def count_nonzero(call: Invocation) -> Value:
    return reduced(Given(call)).but(dtype="int64")


@infers("tf.norm", "keras.ops.norm", "keras.ops.linalg.norm", "tf.linalg.global_norm")
def norms(call: Invocation) -> Value:
    given = Given(call)
    if call.name.endswith("global_norm"):
        return Tensor((), "float32", "tf")
    return reduced(given)


@infers(*everywhere("moments", "normalize_moments"))
def moments(call: Invocation) -> Value:
    result = reduced(Given(call), "axes")
    return Sequence("tuple", (result, result))


@infers("tf.math.l2_loss", "tf.nn.l2_loss")
def l2_loss(call: Invocation) -> Value:
    return Given(call).x.but(shape=())


@infers(*everywhere("top_k"))
def top(call: Invocation) -> Value:
    given = Given(call)
    count = given.integer("k", default=1)
    shape = given.x.shape
    known: Shape = (*shape[:-1], count) if shape else None
    values = given.x.but(shape=known)
    return Sequence("tuple:values,indices", (values, values.but(dtype="int32")))


@infers("tf.linalg.normalize")
def normalized(call: Invocation) -> Value:
    given = Given(call)
    axis = given.arg("axis")
    norm = given.x.but(shape=without_axes(given.x.shape, axes_of(axis), True))
    return Sequence("tuple", (given.x, norm))


@infers(*everywhere("trace", "det"))
def scalars(call: Invocation) -> Value:
    x = Given(call).x
    return x.but(shape=None if x.shape is None else x.shape[:-2])


@infers("tf.clip_by_global_norm")
def clipped(call: Invocation) -> Value:
    given = Given(call)
    return Sequence("tuple", (given.first or UNKNOWN, Tensor((), "float32", "tf")))


# ---- products ---------------------------------------------------------------------------------


@infers("tf.matmul", "keras.ops.matmul", "tf.linalg.matvec", "tf.sparse.sparse_dense_matmul")
def matmul(call: Invocation) -> Value:
    given = Given(call)
    left, right = (as_tensor(v) for v in operands(call))
    if given.flag("transpose_a", "adjoint_a"):
        left = turned(left)
    if given.flag("transpose_b", "adjoint_b"):
        right = turned(right)
    if call.name.endswith("matvec") and right.shape is not None:
        result = arithmetic("MatrixMultiply", left, right.but(shape=(*right.shape, 1)))
        shape = result.shape[:-1] if isinstance(result, Tensor) and result.shape else None
        return Tensor(shape, left.dtype, "tf")
    return arithmetic("MatrixMultiply", left, right)


def turned(x: Tensor) -> Tensor:
    """With the last two axes swapped."""
    if x.shape is None or len(x.shape) < 2:
        return x
    return x.but(shape=(*x.shape[:-2], x.shape[-1], x.shape[-2]))


@infers("keras.ops.dot", "keras.backend.dot")
def dot(call: Invocation) -> Value:
    left, right = (as_tensor(v) for v in operands(call))
    if left.shape is None or right.shape is None or not left.shape or not right.shape:
        return Tensor(None, left.dtype, "tf")
    rest = (*right.shape[:-2], right.shape[-1]) if len(right.shape) > 1 else ()
    return Tensor((*left.shape[:-1], *rest), left.dtype, "tf")


@infers("keras.backend.batch_dot")
def batch_dot(call: Invocation) -> Value:
    return Tensor(None, as_tensor(operands(call)[0]).dtype, "tf")


@infers("tf.tensordot", "keras.ops.tensordot")
def tensordot(call: Invocation) -> Value:
    given = Given(call)
    left, right = (as_tensor(v) for v in operands(call))
    axes = given.arg("axes")
    unknown = Tensor(None, left.dtype, "tf")
    if left.shape is None or right.shape is None:
        return unknown
    pairs = items_of(axes) if axes is not None else None
    if isinstance(axes, Const) and isinstance(axes.value, int):
        count = axes.value
        return unknown.but(shape=(*left.shape[: len(left.shape) - count], *right.shape[count:]))
    if pairs is None or len(pairs) != 2:
        return unknown
    found = [integers(p) for p in pairs]
    if found[0] is None or found[1] is None:
        return unknown
    parts = []
    for x, gone in ((left.shape, found[0]), (right.shape, found[1])):
        out = {normal_axis(a, len(x)) for a in gone}
        parts.append(tuple(d for i, d in enumerate(x) if i not in out))
    return unknown.but(shape=(*parts[0], *parts[1]))


@infers("tf.einsum", "keras.ops.einsum")
def einsum(call: Invocation) -> Value:
    text = call.positional[0] if call.positional else None
    parts = [as_tensor(v) for v in call.positional[1:]]
    dtype = parts[0].dtype if parts else None
    if not isinstance(text, Const) or "->" not in str(text.value) or "." in str(text.value):
        return Tensor(None, dtype, "tf")
    left, right = str(text.value).replace(" ", "").split("->")
    sizes: dict[str, object] = {}
    for letters, part in zip(left.split(","), parts, strict=False):
        if part.shape is not None:
            sizes.update(zip(letters, part.shape, strict=False))
    return Tensor(tuple(sizes.get(c) for c in right), dtype, "tf")  # type: ignore[misc]


# ---- losses -----------------------------------------------------------------------------------


@infers(
    "tf.nn.sigmoid_cross_entropy_with_logits", "tf.nn.weighted_cross_entropy_with_logits",
    "keras.backend.binary_crossentropy", "keras.ops.binary_crossentropy",
)  # fmt: skip
def elementwise_loss(call: Invocation) -> Value:
    given = Given(call)
    logits = as_tensor(given.arg("logits", "output"))
    labels = as_tensor(given.arg("labels", "target"))
    return logits.but(shape=broadcast(logits.shape, labels.shape))


@infers(
    "tf.nn.softmax_cross_entropy_with_logits", "tf.nn.sparse_softmax_cross_entropy_with_logits",
    "keras.backend.categorical_crossentropy", "keras.backend.sparse_categorical_crossentropy",
    "keras.ops.categorical_crossentropy", "keras.ops.sparse_categorical_crossentropy",
)  # fmt: skip
def per_example(call: Invocation) -> Value:
    given = Given(call)
    scores = as_tensor(given.arg("logits", "output"))
    return scores.but(shape=scores.shape[:-1] if scores.shape else None)


@infers(*(f"keras.losses.{name}" for name in """mean_squared_error mean_absolute_error
    mean_absolute_percentage_error mean_squared_logarithmic_error binary_crossentropy
    categorical_crossentropy sparse_categorical_crossentropy kl_divergence log_cosh huber poisson
    cosine_similarity hinge squared_hinge categorical_hinge binary_focal_crossentropy
    categorical_focal_crossentropy dice tversky""".split()),
    *(f"keras.metrics.{name}_accuracy" for name in ("binary", "categorical", "sparse_categorical",
      "top_k_categorical", "sparse_top_k_categorical")))  # fmt: skip
def keras_loss(call: Invocation) -> Value:
    """Losses per example: without the last axis."""
    given = Given(call)
    scores = as_tensor(given.arg("y_pred"))
    dtype = scores.dtype if is_float(scores.dtype) else "float32"
    return Tensor(scores.shape[:-1] if scores.shape else None, dtype, "tf")


@infers("keras.utils.to_categorical", "keras.utils.normalize")
def numpy_tools(call: Invocation) -> Value:
    """NumPy in, NumPy out; tensors stay tensors."""
    given = Given(call)
    x = given.first
    library = "tf" if isinstance(x, Tensor) and x.library == "tf" else "numpy"
    tensor = as_tensor(x)
    if call.name.endswith("normalize"):
        return Tensor(tensor.shape, tensor.dtype, library)
    count = given.integer("num_classes")
    shape = tensor.shape
    if shape and len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    whole = None if shape is None else (*shape, count)
    return Tensor(whole, "float32" if library == "tf" else "float64", library)


@infers("tf.sequence_mask")
def sequence_mask(call: Invocation) -> Value:
    given = Given(call)
    longest = given.integer("maxlen")
    shape = given.x.shape
    whole = None if shape is None else (*shape, longest)
    return Tensor(whole, given.dtype("bool"), "tf")
