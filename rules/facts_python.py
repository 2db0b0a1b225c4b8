"""Facts of Python's own libraries that programs compute sizes, rates and times with."""

from __future__ import annotations

import math
import string

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Const, ListObject, Number, Symbol, Value, element_of
from transpiler.rule import Inference, infers, infers_property
from transpiler.rules.operands import in_module

FLOATS = (
    "sqrt", "exp", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan",
    "atan2", "sinh", "cosh", "tanh", "pow", "fabs", "fmod", "hypot", "radians", "degrees", "expm1",
    "erf", "gamma", "lgamma", "fsum", "dist",
)  # fmt: skip
INTEGERS = ("ceil", "floor", "trunc", "gcd", "lcm", "isqrt", "comb", "factorial", "perm", "prod")
TESTS = ("isnan", "isinf", "isfinite", "isclose")


@infers(*in_module("math", *FLOATS, *INTEGERS, *TESTS))
def mathematics(call: Invocation) -> Value:
    """Computed where the arguments are known."""
    name = call.name.rpartition(".")[2]
    numbers = [p.value for p in call.positional if isinstance(p, Const)]
    plain = all(isinstance(n, (int, float)) and abs(n) < 1e6 for n in numbers)
    if len(numbers) == len(call.positional) and plain and name not in ("factorial", "comb"):
        try:
            return Const(getattr(math, name)(*numbers))
        except (TypeError, ValueError, OverflowError):
            return UNKNOWN
    return Number("float" if name in FLOATS else "bool" if name in TESTS else "int")


@infers(*in_module("random", "random", "uniform", "gauss", "normalvariate", "betavariate",
                   "expovariate", "triangular"),
        *in_module("time", "time", "perf_counter", "monotonic", "process_time"),
        "timeit.default_timer")  # fmt: skip
def floats(call: Invocation) -> Value:
    return Number("float")


@infers(*in_module("random", "randint", "randrange", "getrandbits"), "os.cpu_count", "time.time_ns")
def integers(call: Invocation) -> Value:
    return Number("int")


@infers("dataclasses.field")
def field(call: Invocation) -> Value:
    """What the field is where the constructor is not told."""
    factory = call.keywords.get("default_factory")
    return call.call(factory) if factory is not None else call.keywords.get("default", UNKNOWN)


@infers("types.SimpleNamespace", "argparse.Namespace")
def namespace(call: Invocation) -> Value:
    """Settings by name."""
    settings = call.interpreter.allocate(Symbol(call.name), call.node, {})
    settings.attributes.update(call.keywords)
    return settings


@infers("random.choice")
def choice(call: Invocation) -> Value:
    return element_of(call.positional[0]) if call.positional else UNKNOWN


@infers("random.sample", "random.choices")
def sample(call: Invocation) -> Value:
    each = element_of(call.positional[0]) if call.positional else UNKNOWN
    return ListObject(None, each)


@infers(*in_module("os.path", "join", "basename", "dirname", "abspath", "splitext", "expanduser"),
        "time.strftime", "os.getcwd", "os.getenv")  # fmt: skip
def texts(call: Invocation) -> Value:
    return Number("str")


@infers("os.path.exists", "os.path.isfile", "os.path.isdir")
def tests(call: Invocation) -> Value:
    return Number("bool")


def _constant(name: str) -> Inference:
    return infers_property(f"math.{name}")(lambda owner: Const(getattr(math, name)))


CONSTANTS = [_constant(name) for name in ("pi", "e", "inf", "nan", "tau")]


def _text(name: str) -> Inference:
    return infers_property(f"string.{name}")(lambda owner: Const(getattr(string, name)))


TEXTS = [
    _text(name)
    for name in ("ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "punctuation",
                 "printable", "whitespace", "hexdigits")
]  # fmt: skip
