"""Elementwise functions and operators of tensors."""

from __future__ import annotations

from typing import Any

from transpiler.infer.arrays import is_float
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.operands import both
from transpiler.rules.promotion import casts
from transpiler.rules.tensor_arguments import Arguments, cast, fill, is_number, is_simple
from transpiler.rules.tf_arguments import on_tensor
from transpiler.site import Site, constant_value

UNARY = {
    "abs": "tf.abs", "sign": "tf.sign", "floor": "tf.floor", "ceil": "tf.math.ceil",
    "round": "tf.round", "square": "tf.square",
}  # fmt: skip
"""Functions that take integers as well."""

FLOAT_UNARY = {
    "exp": "tf.exp", "log": "tf.math.log", "log1p": "tf.math.log1p", "expm1": "tf.math.expm1",
    "sqrt": "tf.sqrt", "rsqrt": "tf.math.rsqrt", "sin": "tf.sin", "cos": "tf.cos",
    "tan": "tf.tan", "asin": "tf.asin", "acos": "tf.acos", "atan": "tf.atan", "sinh": "tf.sinh",
    "cosh": "tf.cosh", "tanh": "tf.tanh", "sigmoid": "tf.sigmoid", "erf": "tf.math.erf",
    "erfc": "tf.math.erfc", "erfinv": "tf.math.erfinv", "lgamma": "tf.math.lgamma",
    "digamma": "tf.math.digamma", "asinh": "tf.asinh", "acosh": "tf.acosh", "atanh": "tf.atanh",
}  # fmt: skip
_DOMAINS = {"log": "positive", "log1p": "positive", "sqrt": "positive", "rsqrt": "positive",
            "asin": "unit", "acos": "unit", "erfinv": "unit", "lgamma": "positive",
            "digamma": "positive", "atanh": "unit"}  # fmt: skip


def _takes_as_is(site: Site) -> bool:
    if site.context.to == "torch":
        return on_tensor(site)
    dtype = site.dtype(site.receiver if site.receiver is not None else site.arg("input"))
    return dtype is None or is_float(dtype)


def _rule(name: str, target: str, floats: bool) -> Rule:
    domain = _DOMAINS.get(name)
    case = f"torch.{name}(x + 1)" if name == "acosh" else f"torch.{name}(x)"
    domain = "positive" if name == "acosh" else domain
    proof = Proof(inputs=[f"{domain}(2, 3)" if domain else (2, 3)], cases=[case])
    return Rule(
        name.replace("_", "-"),
        torch=(f"torch.{name}(x)", f"torch.Tensor.{name}(x)"),
        keras=f"{target}(x)",
        layout="elementwise",
        when=_takes_as_is if floats else on_tensor,
        proof=proof,
    )


FUNCTIONS = [_rule(n, t, False) for n, t in UNARY.items()]
FLOAT_FUNCTIONS = [_rule(n, t, True) for n, t in FLOAT_UNARY.items()]
TESTS = [
    Rule(
        name,
        torch=(f"torch.{name}(x)", f"torch.Tensor.{name}(x)"),
        keras=f"tf.math.is_{name[2:]}(x)",
        layout="elementwise",
        when=on_tensor,
        proof=Proof(inputs=[(2, 3)], cases=[f"torch.{name}(x)"], gradients=False),
    )
    for name in ("isnan", "isinf", "isfinite")
]


@rewrites(
    *both(*FLOAT_UNARY), to="tf", layout="elementwise",
    proof=Proof(inputs=["int(2, 3) < 5"], cases=["torch.exp(x)", "x.sqrt()"], gradients=False),
)  # fmt: skip
def float_function(site: Site) -> Any:
    """Of integers: torch computes in its default dtype."""
    given = Arguments(site)
    target = FLOAT_UNARY[site.name.rpartition(".")[2]]
    return fill(f"{target}(x)", x=cast(given.x, "float32"))


# ---- operators --------------------------------------------------------------------------------

OPERATORS = {
    "mul": ("Multiply", "a * b"), "pow": ("Power", "a ** b"), "true_divide": ("Divide", "a / b"),
    "remainder": ("Modulo", "a % b"), "floor_divide": ("FloorDivide", "a // b"),
    "eq": ("Equal", "a == b"), "ne": ("NotEqual", "a != b"), "not_equal": ("NotEqual", "a != b"),
    "lt": ("LessThan", "a < b"), "less": ("LessThan", "a < b"),
    "gt": ("GreaterThan", "a > b"), "greater": ("GreaterThan", "a > b"),
    "le": ("LessThanEqual", "a <= b"), "less_equal": ("LessThanEqual", "a <= b"),
    "ge": ("GreaterThanEqual", "a >= b"), "greater_equal": ("GreaterThanEqual", "a >= b"),
    "logical_and": ("BitAnd", "tf.logical_and(a, b)"),
    "logical_or": ("BitOr", "tf.logical_or(a, b)"),
    "logical_xor": ("BitXor", "tf.math.logical_xor(a, b)"),
    "bitwise_and": ("BitAnd", "a & b"), "bitwise_or": ("BitOr", "a | b"),
    "bitwise_xor": ("BitXor", "a ^ b"), "atan2": ("Divide", "tf.atan2(a, b)"),
    "fmod": ("Modulo", "tf.math.mod(a, b)"),
}  # fmt: skip


def operate(site: Site, kind: str, template: str, a: Any, b: Any) -> Any:
    """An operator on two operands, cast as torch would."""
    first, second = casts(kind, site.fact(a), site.fact(b))
    a = cast(a, first) if first else a
    b = cast(b, second) if second else b
    return fill(template, a=a, b=b)


@rewrites(
    *both(*(n for n in OPERATORS if n != "fmod")), to="tf", layout="elementwise",
    proof=Proof(
        inputs=[(2, 3), (2, 3), "int(2, 3) < 4", "bool(2, 3)"],
        cases=["torch.mul(x, y)", "x.mul(2)", "x.pow(2)", "torch.pow(x, 3)", "x.eq(y)", "x.gt(0)",
               "x.le(y)", "torch.ne(z, 1)", "x.mul(z)", "x.mul(w)", "z.eq(2)", "z.gt(1.5)",
               "z.true_divide(2)", "torch.logical_and(w, w)", "z.remainder(3)",
               "torch.floor_divide(z, 2)",
        # What the operator planner writes.
               "x * z", "w * x", "z * 1.5", "z / 2", "1 - z", "x**z", "x + (z > 1.5)", "x @ y[0]",
           "x[0] @ y[1]", "x[0] @ y.T", "z + w", "z == 1", "x / z.sum()", "(w == 1) * y"],
    ),
)  # fmt: skip
def operator(site: Site) -> Any:
    given = Arguments(site)
    kind, template = OPERATORS[site.name.rpartition(".")[2]]
    other = given.get("other", "exponent", at=0)
    if other is None:
        raise Unfit(f"{site.short} is called without its second operand")
    if kind == "Power" and constant_value(site.fact(other)) == 2 and not is_number(site, given.x):
        return fill("tf.square(x)", x=given.x)
    return operate(site, kind, template, given.x, other)


@rewrites(
    *both("add", "sub", "subtract", "rsub"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3), (2, 3)],
                cases=["torch.add(x, y)", "x.add(1)", "x.sub(y)", "x.add(y, alpha=2)",
                       "torch.sub(x, y, alpha=0.5)", "torch.rsub(x, 1)"]),
)  # fmt: skip
def add(site: Site) -> Any:
    given = Arguments(site)
    other = given.get("other", at=0)
    alpha = given.get("alpha", at=1)
    name = site.name.rpartition(".")[2]
    if alpha is not None:
        return fill("a + k * b" if name == "add" else "a - k * b", a=given.x, b=other, k=alpha)
    if name == "rsub":
        return operate(site, "Subtract", "a - b", other, given.x)
    if name == "add":
        return operate(site, "Add", "a + b", given.x, other)
    return operate(site, "Subtract", "a - b", given.x, other)


@rewrites(
    *both("div", "divide"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3), (2, 3), "int(2, 3) < 9"],
                cases=["torch.div(x, y)", "x.div(2)", "z.div(2)",
                       "torch.div(z, 2, rounding_mode='floor')",
                       "torch.div(z, 2, rounding_mode='trunc')"]),
)  # fmt: skip
def divide(site: Site) -> Any:
    given = Arguments(site)
    other = given.get("other", at=0)
    mode = given.const("rounding_mode")
    if mode is None:
        return operate(site, "Divide", "a / b", given.x, other)
    if mode == "floor":
        return operate(site, "FloorDivide", "a // b", given.x, other)
    if is_float(site.dtype(given.x)):
        return operate(site, "FloorDivide", "keras.ops.trunc(a / b)", given.x, other)
    return operate(site, "FloorDivide", "tf.truncatediv(a, b)", given.x, other)


@rewrites(*both("fmod"), to="tf", layout="elementwise",
          proof=Proof(inputs=[(2, 3)], cases=["torch.fmod(x, 0.3)"], gradients=False))  # fmt: skip
def fmod(site: Site) -> Any:
    given = Arguments(site)
    if not is_simple(given.x):
        raise Unfit("torch.fmod of an expression", "give it a name first")
    return fill("a - b * keras.ops.trunc(a / b)", a=given.x, b=given.get("other", at=0))


@rewrites(*both("neg"), "torch.negative", to="tf", layout="elementwise",
          proof=Proof(inputs=[(2, 3)], cases=["torch.neg(x)", "x.neg()"]))  # fmt: skip
def negate(site: Site) -> Any:
    return fill("-x", x=Arguments(site).x)


@rewrites(*both("reciprocal"), to="tf", layout="elementwise",
          proof=Proof(inputs=["positive(2, 3)"], cases=["x.reciprocal()"]))  # fmt: skip
def reciprocal(site: Site) -> Any:
    return fill("1 / x", x=Arguments(site).x)


@rewrites(*both("log2", "log10", "exp2"), to="tf", layout="elementwise",
          proof=Proof(inputs=["positive(2, 3)"],
                      cases=["torch.log2(x)", "x.log10()", "torch.exp2(x)"]))  # fmt: skip
def other_bases(site: Site) -> Any:
    x, name = Arguments(site).x, site.name.rpartition(".")[2]
    if name == "exp2":
        return fill("2**x", x=x)
    return fill(f"tf.math.log(x) / math.log({name[3:]})", x=x)


@rewrites(*both("logical_not", "bitwise_not"), to="tf", layout="elementwise",
          proof=Proof(inputs=["bool(2, 3)"], cases=["torch.logical_not(x)"],
                      gradients=False))  # fmt: skip
def negation(site: Site) -> Any:
    x = Arguments(site).x
    if site.name.endswith("logical_not") and site.dtype(x) not in (None, "bool"):
        return fill("x == 0", x=x)
    return fill("~x", x=x)


@rewrites(*both("trunc", "fix"), to="tf", layout="elementwise",
          proof=Proof(inputs=[(2, 3)], cases=["torch.trunc(x)"], gradients=False))  # fmt: skip
def truncate(site: Site) -> Any:
    return fill("keras.ops.trunc(x)", x=Arguments(site).x)
