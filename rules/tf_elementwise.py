"""TensorFlow's and Keras' elementwise functions in PyTorch; numbers are left to Python."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import Tensor
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.tf_arguments import (
    OMIT,
    TfArguments,
    host_numbers,
    tensor,
)
from transpiler.rules.tf_operands import everywhere, is_number
from transpiler.site import Site, constant_value
from transpiler.template import fill

UNARY = {
    "abs": "abs", "absolute": "abs", "sign": "sign", "floor": "floor", "ceil": "ceil",
    "round": "round", "rint": "round", "square": "square", "exp": "exp", "log": "log",
    "log1p": "log1p", "expm1": "expm1", "sqrt": "sqrt", "rsqrt": "rsqrt", "sin": "sin",
    "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos", "atan": "atan", "arcsin": "asin",
    "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "sigmoid": "sigmoid", "erf": "erf",
    "erfc": "erfc", "erfinv": "erfinv", "lgamma": "lgamma", "digamma": "digamma",
    "is_nan": "isnan", "is_inf": "isinf", "is_finite": "isfinite", "isnan": "isnan",
    "isinf": "isinf", "isfinite": "isfinite", "logical_not": "logical_not", "log2": "log2",
    "log10": "log10", "exp2": "exp2", "trunc": "trunc", "conj": "conj", "real": "real",
    "imag": "imag", "angle": "angle", "reciprocal": "reciprocal", "deg2rad": "deg2rad",
    "rad2deg": "rad2deg", "exponential": "exp",
}  # fmt: skip
ON_NUMBERS = {
    "abs": "abs(x)", "absolute": "abs(x)", "floor": "math.floor(x)", "ceil": "math.ceil(x)",
    "round": "round(x)", "square": "x**2", "exp": "math.exp(x)", "log": "math.log(x)",
    "log1p": "math.log1p(x)", "expm1": "math.expm1(x)", "sqrt": "math.sqrt(x)",
    "rsqrt": "1 / math.sqrt(x)", "sin": "math.sin(x)", "cos": "math.cos(x)",
    "tan": "math.tan(x)", "tanh": "math.tanh(x)", "atan": "math.atan(x)", "negative": "-x",
    "is_nan": "math.isnan(x)", "isnan": "math.isnan(x)", "is_finite": "math.isfinite(x)",
    "is_inf": "math.isinf(x)", "reciprocal": "1 / x", "logical_not": "not x",
    "sigmoid": "1 / (1 + math.exp(-x))",
}  # fmt: skip


@rewrites(
    *everywhere(*UNARY), to="torch",
    proof=Proof(
        inputs=["unit(2, 3)", "bool(2, 3)"],
        keras_cases=["tf.sqrt(x)", "tf.math.log(x)", "tf.exp(x=x)", "tf.abs(x - 0.5)",
                     "keras.ops.square(x)", "tf.math.rsqrt(x)", "keras.ops.absolute(x - 0.5)",
                     "tf.math.erf(x)", "tf.sigmoid(x)", "tf.keras.backend.exp(x)",
                     "tf.round(x * 9)",
                     "tf.math.is_nan(x)", "tf.logical_not(y)", "x * tf.cast(tf.sqrt(4.0), x.dtype)",
                     "x / tf.math.sqrt(tf.cast(tf.shape(x)[-1], tf.float32))",
                     "tf.sqrt([4.0, 9.0])"],
        tolerance=1e-7, reason="constants and sizes are of single precision in TensorFlow",
    ),
)  # fmt: skip
def unary(site: Site) -> Any:
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    if name in ON_NUMBERS and host_numbers(site, given.first):
        return fill(ON_NUMBERS[name], x=given.first)
    return fill(f"torch.{UNARY[name]}(x)", x=given.x)


@rewrites(*everywhere("negative", "positive"), to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.negative(x)"]))  # fmt: skip
def negative(site: Site) -> Any:
    x = TfArguments(site).x
    return fill("-x", x=x) if site.name.endswith("negative") else x


# ---- two operands -----------------------------------------------------------------------------

OPERATORS = {
    "add": "a + b", "subtract": "a - b", "multiply": "a * b", "divide": "a / b",
    "truediv": "a / b", "true_divide": "a / b", "realdiv": "a / b", "floordiv": "a // b",
    "floor_divide": "a // b", "mod": "a % b", "floormod": "a % b", "pow": "a ** b",
    "power": "a ** b", "equal": "a == b", "not_equal": "a != b", "less": "a < b",
    "less_equal": "a <= b", "greater": "a > b", "greater_equal": "a >= b",
    "squared_difference": "(a - b) ** 2", "scalar_mul": "a * b",
}  # fmt: skip
FUNCTIONS = {
    "logical_and": "torch.logical_and(a, b)", "logical_or": "torch.logical_or(a, b)",
    "logical_xor": "torch.logical_xor(a, b)", "atan2": "torch.atan2(a, b)",
    "arctan2": "torch.atan2(a, b)", "xlogy": "torch.xlogy(a, b)",
    "xlog1py": "torch.special.xlog1py(a, b)", "logaddexp": "torch.logaddexp(a, b)",
    "hypot": "torch.hypot(a, b)", "bitwise_and": "a & b", "bitwise_or": "a | b",
    "bitwise_xor": "a ^ b", "truncatemod": "torch.fmod(a, b)", "fmod": "torch.fmod(a, b)",
    "truncatediv": 'torch.div(a, b, rounding_mode="trunc")',
}  # fmt: skip
ON_TRUTHS = {"logical_and": "a and b", "logical_or": "a or b"}


def sides(site: Site, given: TfArguments) -> tuple[Any, Any]:
    """Both operands as they are written."""
    found = list(site.positional)
    if len(found) < 2:
        found = [v for k, v in given.values.items() if k != "name"]
    if len(found) < 2:
        raise Unfit(f"{site.short} is called without its second operand")
    return found[0], found[1]


def operand(site: Site, node: Any) -> Any:
    """An operand: numbers stay numbers, anything else is a tensor."""
    return node if is_number(site.fact(node)) else tensor(site, node)


@rewrites(
    *everywhere(*OPERATORS), to="torch",
    proof=Proof(
        inputs=[(2, 3), "positive(2, 3)", "int(2, 3) < 5"],
        keras_cases=["tf.add(x, y)", "tf.multiply(x, 2.0)", "tf.subtract(x=x, y=y)",
                     "tf.divide(x, y)", "tf.pow(y, 3)", "tf.equal(z, 2)", "tf.less(x, y)",
                     "tf.greater_equal(x, 0.0)", "keras.ops.add(x, y)", "tf.math.mod(z, 3)",
                     "tf.keras.backend.pow(y, 2)", "tf.math.squared_difference(x, y)",
                     "tf.math.floordiv(z, 2)", "keras.ops.power(y, 2)", "tf.not_equal(z, 1)",
                     "tf.cast(tf.add(1.0, 2.0), x.dtype) * x"],
    ),
)  # fmt: skip
def operation(site: Site) -> Any:
    given = TfArguments(site)
    a, b = sides(site, given)
    return fill(OPERATORS[site.name.rpartition(".")[2]], a=operand(site, a), b=operand(site, b))


@rewrites(
    *everywhere(*FUNCTIONS), to="torch",
    proof=Proof(
        inputs=["bool(2, 3)", "bool(2, 3)", "positive(2, 3)", "positive(2, 3)"],
        keras_cases=["tf.logical_and(x, y)", "tf.math.logical_xor(x, y)", "tf.atan2(z, w)",
                     "keras.ops.logical_or(x, y)", "tf.math.xlogy(z, w)"],
    ),
)  # fmt: skip
def function_of_two(site: Site) -> Any:
    given = TfArguments(site)
    a, b = sides(site, given)
    name = site.name.rpartition(".")[2]
    if name in ON_TRUTHS and host_numbers(site, a, b):
        return fill(ON_TRUTHS[name], a=a, b=b)
    return fill(FUNCTIONS[name], a=tensor(site, a), b=tensor(site, b))


@rewrites(
    *everywhere("maximum", "minimum"), to="torch",
    proof=Proof(
        inputs=[(2, 3), (2, 3)],
        keras_cases=["tf.maximum(x, y)", "tf.maximum(x, 0.1)", "tf.minimum(0.3, x)",
                     "tf.maximum(0.0, x)", "keras.ops.minimum(x, y)",
                     "tf.math.minimum(x, 1)", "tf.cast(tf.maximum(0.5, 1.5), x.dtype) * x"],
    ),
)  # fmt: skip
def extreme(site: Site) -> Any:
    """A number beside a tensor is a bound; a rectifier where it is zero and comes first."""
    given = TfArguments(site)
    a, b = sides(site, given)
    least = site.name.endswith("maximum")
    numbers = [is_number(site.fact(n)) for n in (a, b)]
    if all(numbers):
        return fill("max(a, b)" if least else "min(a, b)", a=a, b=b)
    if any(numbers):
        x, bound = (b, a) if numbers[0] else (a, b)
        if least and numbers[0] and constant_value(site.fact(a)) == 0:
            return fill("torch.relu(x)", x=tensor(site, x))
        return fill(f"torch.clamp(x, {'min' if least else 'max'}=b)", x=tensor(site, x), b=bound)
    name = "torch.maximum" if least else "torch.minimum"
    return fill(f"{name}(a, b)", a=tensor(site, a), b=tensor(site, b))


@rewrites(
    *everywhere("divide_no_nan", "multiply_no_nan", "reciprocal_no_nan", "xdivy"), to="torch",
    proof=Proof(inputs=[(2, 3), "int(2, 3) < 3"],
                keras_cases=["tf.math.divide_no_nan(x, tf.cast(y, tf.float32))",
                             "tf.math.multiply_no_nan(x, x)"]),
)  # fmt: skip
def without_nan(site: Site) -> Any:
    given = TfArguments(site)
    unit = site.emit(site.name.rpartition(".")[2])
    if site.name.endswith("reciprocal_no_nan"):
        return fill("unit(x)", unit=unit, x=given.x)
    a, b = sides(site, given)
    return fill("unit(a, b)", unit=unit, a=tensor(site, a), b=tensor(site, b))


@rewrites(*everywhere("add_n", "accumulate_n"), to="torch",
          proof=Proof(inputs=[(2, 3), (2, 3)], keras_cases=["tf.add_n([x, y, x])",
                                                            "tf.math.add_n(inputs=[x, y])"]),
)  # fmt: skip
def add_n(site: Site) -> Any:
    return fill("sum(xs)", xs=TfArguments(site).first)


@rewrites(
    *everywhere("clip_by_value", "clip"), to="torch",
    proof=Proof(
        inputs=[(2, 3), (2, 3)],
        keras_cases=["tf.clip_by_value(x, -0.5, 0.5)", "keras.ops.clip(x, -1.0, 0.2)",
                     "tf.clip_by_value(x, clip_value_min=-0.1, clip_value_max=1e9)",
                     "tf.keras.backend.clip(x, 0.0, 1.0)", "tf.clip_by_value(x, -tf.abs(y), 1.0)"],
    ),
)  # fmt: skip
def clip(site: Site) -> Any:
    given = TfArguments(site)
    low = given.get("clip_value_min", "x_min", "min_value")
    high = given.get("clip_value_max", "x_max", "max_value")
    if host_numbers(site, given.first):
        return fill("min(max(x, a), b)", x=given.first, a=low, b=high)
    kinds = [isinstance(site.fact(n), Tensor) for n in (low, high) if n is not None]
    if any(kinds) and not all(kinds):
        return fill("torch.clamp(torch.clamp(x, min=a), max=b)", x=given.x, a=low, b=high)
    if low is None or high is None:
        return fill("torch.clamp(x, min=a, max=b)", x=given.x,
                    a=OMIT if low is None else low, b=OMIT if high is None else high)  # fmt: skip
    return fill("torch.clamp(x, a, b)", x=given.x, a=low, b=high)


@rewrites("keras.ops.nan_to_num", to="torch")
def nan_to_num(site: Site) -> Any:
    given = TfArguments(site)
    return fill("torch.nan_to_num(x, nan=n, posinf=p, neginf=m)", x=given.x, n=given.given("nan"),
                p=given.given("posinf"), m=given.given("neginf"))  # fmt: skip


@rewrites("keras.ops.isclose", "tf.experimental.numpy.isclose", to="torch")
def isclose(site: Site) -> Any:
    given = TfArguments(site)
    a, b = sides(site, given)
    return fill("torch.isclose(a, b)", a=tensor(site, a), b=tensor(site, b))


@rewrites(
    *everywhere("cumsum", "cumprod"), to="torch",
    proof=Proof(
        inputs=[(2, 3)],
        keras_cases=["tf.cumsum(x)", "tf.cumsum(x, axis=1)", "tf.math.cumprod(x, 1)",
                     "tf.cumsum(x, axis=-1, reverse=True)", "tf.cumsum(x, exclusive=True)",
                     "tf.math.cumprod(x, axis=1, exclusive=True, reverse=True)",
                     "keras.ops.cumsum(x)", "keras.ops.cumprod(x, axis=0)"],
    ),
)  # fmt: skip
def cumulate(site: Site) -> Any:
    """From the end, and without the element itself, by flipping and shifting."""
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    dim, x = given.axis(), given.x
    if dim is OMIT and site.name.startswith("keras.ops"):
        return fill(f"torch.{name}(torch.flatten(x), dim=0)", x=x)
    dim = 0 if dim is OMIT else dim
    backward = given.const("reverse", default=False)
    if given.const("exclusive", default=False):
        unit = site.emit(f"exclusive_{name}")
        return fill("unit(x, dim, reverse=r)", unit=unit, x=x, dim=dim,
                    r=True if backward else OMIT)  # fmt: skip
    if backward:
        new = fill(f"torch.{name}(torch.flip(x, [d]), dim=d)", x=x, d=dim)
        return fill("torch.flip(x, [d])", x=new, d=dim)
    return fill(f"torch.{name}(x, dim=d)", x=x, d=dim)
