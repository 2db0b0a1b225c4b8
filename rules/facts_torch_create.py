"""Facts of new tensors: constants, random numbers, casts and what leaves for Python or NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import libcst as cst

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
    Unknown,
    Value,
    as_dim,
    is_none,
    items_of,
    options,
    scalar_type,
)
from transpiler.rule import Inference, infers, infers_property
from transpiler.rules.operands import (
    CASTS,
    LEGACY_TYPES,
    Operands,
    dims_of,
    dtype_of,
    dtype_of_data,
    flatten_sizes,
    in_module,
    methods,
    names_one_size,
    shape_of_data,
)

LEGACY_NAMES = tuple(f"{m}.{n}" for m in ("torch", "torch.cuda") for n in LEGACY_TYPES)


def made(call: Invocation, shape: Shape, dtype: str | None) -> Tensor:
    """A new tensor; one that asks for a gradient is a variable."""
    asked = call.keywords.get("dtype")
    if asked is not None and not is_none(asked):
        dtype = dtype_of(asked)
    wanted = call.keywords.get("requires_grad")
    variable = isinstance(wanted, Const) and wanted.value is True
    return Tensor(shape, dtype, "torch", variable)


def _sizes(call: Invocation) -> Shape:
    named = call.keywords.get("size")
    if named is None and len(call.positional) == 1 and call.positional[0] is UNKNOWN:
        given = call.node.args[0] if isinstance(call.node, cst.Call) and call.node.args else None
        if given is not None and not given.star and names_one_size(given.value):
            return (None,)
    return dims_of(flatten_sizes(call.positional if named is None else [named]))


@infers(*in_module("torch", "zeros", "ones", "empty", "rand", "randn"))
def filled(call: Invocation) -> Value:
    return made(call, _sizes(call), "float32")


@infers("torch.full")
def full(call: Invocation) -> Value:
    size = call.arg("size", at=0)
    value = call.arg("fill_value", at=1)
    shape = dims_of(flatten_sizes([size])) if size is not None else None
    return made(call, shape, dtype_of_data(value))


@infers(*in_module("torch", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like",
                   "randn_like", "randint_like", "bernoulli"),
        *methods("bernoulli", "new_empty_like"))  # fmt: skip
def like(call: Invocation) -> Value:
    x = Operands(call).tensor
    return made(call, x.shape, x.dtype)


@infers(*methods("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "new"))
def new_of_type(call: Invocation) -> Value:
    x = Operands(call).tensor
    kind = call.name.rpartition(".")[2]
    if kind == "new_tensor" or (kind == "new" and call.positional):
        first = call.positional[0] if call.positional else UNKNOWN
        if kind == "new_tensor" or isinstance(first, (ListObject, Tensor)):
            own = dtype_of_data(first) if kind == "new_tensor" else x.dtype
            return made(call, shape_of_data(first), own)
    if kind == "new_full":
        size = call.arg("size", at=0)
        return made(call, dims_of(flatten_sizes([size])) if size else None, x.dtype)
    return made(call, _sizes(call), x.dtype)


@infers("torch.eye")
def eye(call: Invocation) -> Value:
    rows = call.arg("n", at=0)
    columns = call.arg("m", at=1) or rows
    return made(call, dims_of([rows or UNKNOWN, columns or UNKNOWN]), "float32")


@infers("torch.arange", "torch.range")
def arange(call: Invocation) -> Value:
    bounds = [call.keywords.get(n) for n in ("start", "end", "step")]
    known = [v for v in (*call.positional, *bounds) if v is not None]
    kinds = {scalar_type(v) for v in known}
    dtype = "int64" if kinds <= {"int"} else "float32" if kinds <= {"int", "float"} else None
    return made(call, (_count(known),), "float32" if call.name == "torch.range" else dtype)


def _count(bounds: list[Value]) -> Dim:
    numbers = [b.value for b in bounds if isinstance(b, Const) and isinstance(b.value, int)]
    if len(numbers) == len(bounds) and 0 < len(numbers) <= 3 and numbers[2:] != [0]:
        return len(range(*numbers))
    return as_dim(bounds[0]) if len(bounds) == 1 else None


@infers("torch.linspace", "torch.logspace")
def linspace(call: Invocation) -> Value:
    steps = call.arg("steps", at=2)
    return made(call, (as_dim(steps) if steps is not None else None,), "float32")


@infers("torch.randint")
def randint(call: Invocation) -> Value:
    size = call.keywords.get("size") or (call.positional[-1] if call.positional else UNKNOWN)
    return made(call, dims_of(flatten_sizes([size])), "int64")


@infers("torch.randperm")
def randperm(call: Invocation) -> Value:
    count = call.arg("n", at=0)
    return made(call, (as_dim(count) if count is not None else None,), "int64")


@infers("torch.normal")
def normal(call: Invocation) -> Value:
    size = call.arg("size", at=2)
    if size is not None:
        return made(call, dims_of(flatten_sizes([size])), "float32")
    for name, at in (("mean", 0), ("std", 1)):
        value = call.arg(name, at=at)
        if isinstance(value, Tensor):
            return value.but(variable=False)
    return Tensor(library="torch")


@infers("torch.multinomial", "torch.Tensor.multinomial")
def multinomial(call: Invocation) -> Value:
    given = Operands(call)
    count = given.arg("num_samples", at=0)
    shape = given.tensor.shape
    dim = as_dim(count) if count is not None else None
    return Tensor(None if shape is None else (*shape[:-1], dim), "int64", "torch")


@infers("torch.tensor", "torch.as_tensor", "torch.from_numpy", "torch.asarray")
def from_data(call: Invocation) -> Value:
    data = call.arg("data", "obj", at=0)
    dtype = dtype_of_data(data)
    if len(call.positional) > 1 and dtype_of(call.positional[1]):
        dtype = dtype_of(call.positional[1])
    return made(call, shape_of_data(data), dtype)


@infers(*LEGACY_NAMES)
def legacy(call: Invocation) -> Value:
    """`torch.FloatTensor(2, 3)` and `torch.FloatTensor([1, 2])`."""
    dtype = LEGACY_TYPES.get(call.name.rpartition(".")[2])
    if dtype is None:
        return Tensor(library="torch")  # another class that derives from torch.Tensor
    first = call.positional[0] if call.positional else Sequence("tuple", ())
    if call.positional and all(_is_count(o) for v in call.positional for o in options(v)):
        return Tensor(dims_of(call.positional), dtype, "torch")
    node = call.node.args[0].value if call.node is not None and call.node.args else None
    facts = call.interpreter.facts
    if are_sizes(node, first, lambda n: facts.get(n, UNKNOWN)) and not _is_data(first):
        return Tensor(dims_of(flatten_sizes([first])), dtype, "torch")
    return Tensor(shape_of_data(first), dtype, "torch")


def _is_count(value: Value) -> bool:
    """Whether a value is a whole number, NumPy's included."""
    if isinstance(value, Tensor):
        whole = (value.dtype or "").startswith(("int", "uint"))
        return value.library == "numpy" and value.rank == 0 and whole
    return scalar_type(value) == "int"


def are_sizes(node: Any, value: Value, fact: Callable[[Any], Value]) -> bool:
    """Whether a tuple is a tensor's `size()` or `shape`: of those of others torch makes tensors."""
    if not isinstance(value, Sequence) or value.kind != "tuple":
        return False
    if isinstance(node, (cst.Tuple, cst.List)):
        return False
    kinds = {scalar_type(i) for i in items_of(value) or (value.element or UNKNOWN,)}
    if kinds & {"float", "bool", "str"}:
        return False
    if isinstance(node, cst.Name):
        return node.value.lower().strip("_") in ("size", "sizes", "shape", "dims", "sz")
    if isinstance(node, cst.Attribute):
        owner = fact(node.value)
        return isinstance(owner, Unknown) or (
            isinstance(owner, Tensor) and owner.library != "numpy"
        )
    return True


def _is_data(value: Value) -> bool:
    """Whether a tuple holds something else than sizes (a `size()` is sizes, a tuple is data)."""
    return any(isinstance(i, Tensor) for i in items_of(value) or ())


@infers("torch.autograd.Variable", "torch.nn.Parameter")
def variable(call: Invocation) -> Value:
    data = call.arg("data", at=0)
    wanted = call.arg("requires_grad", at=1)
    parameter = call.name.endswith("Parameter")
    trained = parameter if wanted is None else wanted == Const(True)
    if isinstance(data, Tensor):
        return data.but(variable=trained or parameter, library="torch")
    return Tensor(library="torch", variable=trained or parameter)


@infers(*methods(*CASTS))
def cast(call: Invocation) -> Value:
    return Operands(call).plain.but(dtype=CASTS[call.name.rpartition(".")[2]])


@infers("torch.Tensor.to", "torch.Tensor.type", "torch.Tensor.type_as")
def moved(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    asked = call.keywords.get("dtype") or (given.rest[0] if given.rest else None)
    if call.name.endswith(".to") and len(given.rest) > 1 and dtype_of(given.rest[1]):
        asked = given.rest[1]
    if asked is None:
        return Number("str") if call.name.endswith(".type") else x
    if isinstance(asked, Tensor):
        return x.but(dtype=asked.dtype)
    if (found := dtype_of(asked)) is not None:
        return x.but(dtype=found)
    is_device = isinstance(asked, (Instance, Const, Number, Symbol))
    return x if is_device and call.name.endswith(".to") else x.but(dtype=None)


@infers("torch.Tensor.item", "torch.Tensor.__int__", "torch.Tensor.__float__")
def item(call: Invocation) -> Value:
    dtype = Operands(call).tensor.dtype
    if dtype is None:
        return Number("float")
    return Number("bool" if dtype == "bool" else "int" if "int" in dtype else "float")


@infers("torch.Tensor.tolist")
def tolist(call: Invocation) -> Value:
    x = Operands(call).tensor
    each = item.function(call)
    if x.shape is None:
        return ListObject(None, UNKNOWN)
    if not x.shape:
        return each
    for _ in x.shape[1:]:
        each = ListObject(None, each)
    size = x.shape[0]
    if isinstance(size, int) and size <= 16:
        return ListObject([each] * size)
    return ListObject(None, each)


@infers("torch.Tensor.numpy", "torch.Tensor.__array__")
def numpy(call: Invocation) -> Value:
    return Operands(call).plain.but(library="numpy")


@infers_property("torch.Tensor.data", "torch.Tensor.real")
def data(value: Value) -> Value:
    return value if isinstance(value, Tensor) else Tensor(library="torch")


@infers_property("torch.Tensor.grad")
def gradient(value: Value) -> Value:
    return value.but(variable=False) if isinstance(value, Tensor) else Tensor(library="torch")


@infers_property("torch.Tensor.dtype")
def dtype_property(value: Value) -> Value:
    dtype = value.dtype if isinstance(value, Tensor) else None
    return UNKNOWN if dtype is None else Symbol(f"torch.{dtype}")


@infers_property("torch.Tensor.requires_grad", "torch.Tensor.is_cuda", "torch.Tensor.is_leaf")
def flags(value: Value) -> Value:
    return Number("bool")


@infers("torch.nn.utils.rnn.pad_sequence")
def pad_sequence(call: Invocation) -> Value:
    parts = call.arg("sequences", at=0)
    known = items_of(parts) if parts is not None else None
    sample = (
        known[0] if known else parts.element if isinstance(parts, (ListObject, Sequence)) else None
    )
    if not isinstance(sample, Tensor) or sample.shape is None:
        return Tensor(library="torch")
    count: Dim = len(known) if known else None
    first = call.arg("batch_first", at=1) == Const(True)
    shape = (count, None, *sample.shape[1:]) if first else (None, count, *sample.shape[1:])
    return Tensor(shape, sample.dtype, "torch")


@infers("torch.initial_seed", "torch.get_num_threads")
def numbers(call: Invocation) -> Value:
    return Number("int")


def _is(name: str, value: Value) -> Inference:
    return infers_property(name)(lambda owner: value)


CONSTANTS = [_is(f"torch.{n}", Const(getattr(math, n))) for n in ("pi", "inf", "nan", "e")]
DEVICE_TYPES = [_is(f"torch.cuda.{n}", Symbol(f"torch.{n}")) for n in LEGACY_TYPES]
"""The types of tensors on a device are those of tensors anywhere."""
