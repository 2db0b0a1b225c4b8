"""Facts of NumPy: programs make their data with it in either framework."""

from __future__ import annotations

import math

from transpiler.infer.arrays import is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Instance,
    ListObject,
    Number,
    Sequence,
    Shape,
    Symbol,
    Tensor,
    Value,
    as_dim,
    from_dim,
    is_none,
    items_of,
    scalar_type,
)
from transpiler.rule import Inference, infers, infers_property
from transpiler.rules.operands import (
    Operands,
    dims_of,
    flatten_sizes,
    in_module,
    shape_of_data,
)

ARRAYS = {"numpy": "numpy.ndarray"}
_SHORT = {"f4": "float32", "f8": "float64", "i4": "int32", "i8": "int64", "u1": "uint8",
          "float": "float64", "int": "int64", "float_": "float64", "int_": "int64",
          "bool_": "bool", "double": "float64", "single": "float32", "long": "int64"}  # fmt: skip
_NAMES = frozenset(
    ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
)
METHOD = "numpy.ndarray."
GENERATORS = ("numpy.random.Generator", "numpy.random.RandomState")


def dtype_of(value: Value | None) -> str | None:
    """The dtype that an argument names; Python's types are the wide ones."""
    if isinstance(value, Symbol):
        name = value.name.rpartition(".")[2]
    elif isinstance(value, Const) and isinstance(value.value, str):
        name = value.value.lstrip("<>=|")
    else:
        return None
    return name if name in _NAMES else _SHORT.get(name)


def data_dtype(value: Value | None) -> str | None:
    """The dtype of numbers and nested lists of them."""
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, (Sequence, ListObject)):
        known = [data_dtype(i) for i in items_of(value) or ()]
        if not known:
            return data_dtype(value.element)
        if None in known:
            return None
        return next((d for d in known if is_float(d)), known[0])
    return {"int": "int64", "float": "float64", "bool": "bool"}.get(
        scalar_type(value or UNKNOWN) or ""
    )


def array(shape: Shape, dtype: str | None) -> Tensor:
    return Tensor(shape, dtype, "numpy")


def both(*names: str) -> tuple[str, ...]:
    return tuple(p + n for n in names for p in ("numpy.", METHOD))


class Given(Operands):  # type: ignore[misc]
    """Arguments of NumPy's calls."""

    @property
    def tensor(self) -> Tensor:
        if isinstance(self.first, Tensor):
            return self.first.but(library="numpy", variable=False)
        return array(shape_of_data(self.first), data_dtype(self.first))


@infers(*in_module("numpy", "array", "asarray", "ascontiguousarray", "asfarray", "float32",
                   "float64", "int64", "int32", "float_", "copy", "atleast_1d"))  # fmt: skip
def from_data(call: Invocation) -> Value:
    value = call.positional[0] if call.positional else call.arg("object", "a")
    asked = dtype_of(call.arg("dtype", at=1)) or dtype_of(Symbol(call.name))
    return array(shape_of_data(value), asked or data_dtype(value))


def _size(call: Invocation, *names: str, at: int = 0) -> Shape:
    value = call.arg(*names, at=at)
    if value is None or is_none(value):
        return ()
    return dims_of(flatten_sizes([value]))


@infers(*in_module("numpy", "zeros", "ones", "empty"))
def filled(call: Invocation) -> Value:
    return array(_size(call, "shape"), dtype_of(call.arg("dtype", at=1)) or "float64")


@infers("numpy.full")
def full(call: Invocation) -> Value:
    asked = dtype_of(call.arg("dtype", at=2))
    return array(_size(call, "shape"), asked or data_dtype(call.arg("fill_value", at=1)))


@infers(*in_module("numpy", "zeros_like", "ones_like", "empty_like", "full_like"))
def like(call: Invocation) -> Value:
    x = Given(call).tensor
    return x.but(dtype=dtype_of(call.keywords.get("dtype")) or x.dtype)


@infers("numpy.eye", "numpy.identity")
def eye(call: Invocation) -> Value:
    rows = call.arg("N", "n", at=0) or UNKNOWN
    columns = call.arg("M", at=1) or rows
    return array(dims_of([rows, columns]), dtype_of(call.keywords.get("dtype")) or "float64")


@infers("numpy.arange")
def arange(call: Invocation) -> Value:
    named = [call.keywords[n] for n in ("start", "stop", "step") if n in call.keywords]
    bounds = [*call.positional, *named]
    kinds = {scalar_type(v) for v in bounds}
    dtype = "int64" if kinds <= {"int"} else "float64" if kinds <= {"int", "float"} else None
    numbers = [b.value for b in bounds if isinstance(b, Const)]
    size: Dim = as_dim(bounds[0]) if len(bounds) == 1 else None
    if bounds and len(numbers) == len(bounds) and all(isinstance(n, int | float) for n in numbers):
        start, stop, step = {1: (0, *numbers, 1), 2: (*numbers, 1)}.get(
            len(numbers), (*numbers, 1)[:3]
        )
        size = max(0, math.ceil((stop - start) / step)) if step else None
    return array((size,), dtype_of(call.keywords.get("dtype")) or dtype)


@infers("numpy.linspace", "numpy.logspace")
def linspace(call: Invocation) -> Value:
    count = call.arg("num", at=2)
    size = 50 if count is None else as_dim(count)
    return array((size,), dtype_of(call.keywords.get("dtype")) or "float64")


# ---- random -----------------------------------------------------------------------------------


def _random(*names: str) -> tuple[str, ...]:
    return tuple(f"{m}.{n}" for m in ("numpy.random", *GENERATORS) for n in names)


@infers(*_random("rand", "randn"))
def random_sizes(call: Invocation) -> Value:
    return array(dims_of(flatten_sizes(call.positional)) if call.positional else (), "float64")


@infers(*_random("random", "random_sample", "standard_normal"))
def random_shaped(call: Invocation) -> Value:
    return array(_size(call, "size"), dtype_of(call.keywords.get("dtype")) or "float64")


@infers(*_random("normal", "uniform", "gamma", "beta", "laplace"))
def random_around(call: Invocation) -> Value:
    return array(_size(call, "size", at=2), "float64")


@infers(*_random("randint", "integers", "binomial", "poisson"))
def random_integers(call: Invocation) -> Value:
    shape = _size(call, "size", at=2)
    return (
        Number("int")
        if shape == ()
        else array(shape, dtype_of(call.keywords.get("dtype")) or "int64")
    )


@infers(*_random("permutation"))
def permutation(call: Invocation) -> Value:
    first = call.positional[0] if call.positional else UNKNOWN
    if isinstance(first, (Const, Number)):
        return array((as_dim(first),), "int64")
    return Given(call).tensor


@infers(*_random("choice"))
def choice(call: Invocation) -> Value:
    first, shape = call.positional[0] if call.positional else UNKNOWN, _size(call, "size", at=1)
    dtype = "int64" if isinstance(first, (Const, Number)) else data_dtype(first)
    return array(shape, dtype)


@infers("numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.Generator")
def generator(call: Invocation) -> Value:
    name = GENERATORS[0] if call.name.endswith("rng") else call.name
    return call.interpreter.allocate(Symbol(name), call.node, {})


@infers_property(METHOD + "shape")
def shape(value: Value) -> Value:
    if isinstance(value, Tensor) and value.shape is not None:
        return Sequence("tuple", tuple(from_dim(d) for d in value.shape))
    return Sequence("tuple", None, Number("int"))


@infers_property(METHOD + "T")
def turned(value: Value) -> Value:
    x = value if isinstance(value, Tensor) else array(None, None)
    return x.but(shape=None if x.shape is None else x.shape[::-1])


@infers_property(METHOD + "size", METHOD + "ndim")
def counts(value: Value) -> Value:
    return Number("int")


@infers_property(METHOD + "dtype")
def dtype_property(value: Value) -> Value:
    known = value.dtype if isinstance(value, Tensor) else None
    return UNKNOWN if known is None else Symbol(f"numpy.{known}")


def _constant(name: str, value: Value) -> Inference:
    return infers_property(name)(lambda owner: value)


CONSTANTS = [
    _constant("numpy.pi", Const(math.pi)), _constant("numpy.e", Const(math.e)),
    _constant("numpy.newaxis", Const(None)), _constant("numpy.inf", Const(math.inf)),
    _constant("numpy.nan", Const(math.nan)),
]  # fmt: skip


@infers("numpy.finfo", "numpy.iinfo")
def limits(call: Invocation) -> Value:
    return Instance(Symbol("numpy.finfo"))


def _limit(name: str) -> Inference:
    return infers_property(f"numpy.finfo.{name}")(lambda owner: Tensor((), None, "numpy"))


LIMITS = [_limit(name) for name in ("eps", "max", "min", "tiny", "smallest_normal", "resolution")]
