"""Arguments of tensor operations as facts: `x.sum(1)` and `torch.sum(x, dim=1)` read the same."""

from __future__ import annotations

import math

import libcst as cst

from transpiler.infer.arrays import is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    Const,
    Dim,
    ListObject,
    Number,
    Sequence,
    Shape,
    Symbol,
    Tensor,
    Union,
    Value,
    as_dim,
    element_of,
    is_none,
    items_of,
)

FIRST = ("input", "self", "tensor", "tensors", "x")
"""Keywords under which functions take their tensor."""


def names_one_size(node: object) -> bool:
    """Whether a variable has the name of one size, not of a shape."""
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            plural = name in ("size", "sizes", "dims") or name.endswith(("_sizes", "_dims"))
            return "shape" not in name and not plural
    return False


def both(*names: str) -> tuple[str, ...]:
    """The function and the method of each name."""
    return tuple(f"{owner}.{name}" for name in names for owner in ("torch", "torch.Tensor"))


def methods(*names: str) -> tuple[str, ...]:
    """Method names."""
    return tuple(f"torch.Tensor.{name}" for name in names)


def in_module(module: str, *names: str) -> tuple[str, ...]:
    """Names of functions of a module."""
    return tuple(f"{module}.{name}" for name in names)


class Operands:
    """The tensor of a call and the other arguments, for function and method alike."""

    def __init__(self, call: Invocation) -> None:
        self.rest = list(call.positional)
        self.keywords = call.keywords
        self.first: Value | None = call.receiver
        if self.first is None and self.rest:
            self.first = self.rest.pop(0)
        elif self.first is None:
            self.first = next((call.keywords[n] for n in FIRST if n in call.keywords), None)

    @property
    def tensor(self) -> Tensor:
        """The tensor operated on; one of which nothing is known where it is something else."""
        return self.first if isinstance(self.first, Tensor) else Tensor(library="torch")

    @property
    def plain(self) -> Tensor:
        """The tensor as a result: it is no variable any more."""
        return self.tensor.but(variable=False, library="torch")

    def arg(self, *names: str, at: int | None = None) -> Value | None:
        """An argument by its names, or by its position after the tensor."""
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        if at is not None and at < len(self.rest):
            return self.rest[at]
        return None

    def integer(self, *names: str, at: int | None = None, default: int | None = None) -> int | None:
        """An integer argument where it is known."""
        value = self.arg(*names, at=at)
        if value is None:
            return default
        if isinstance(value, Const) and isinstance(value.value, int):
            return int(value.value)
        return None

    def flag(self, *names: str, at: int | None = None) -> bool:
        """A boolean argument, False where it is not given."""
        value = self.arg(*names, at=at)
        return isinstance(value, Const) and bool(value.value)

    def sizes(self, *names: str) -> list[Value] | None:
        """The integers of `f(2, 3)`, `f((2, 3))` or `f(size=(2, 3))`; None where unknown."""
        named = next((self.keywords[n] for n in names if n in self.keywords), None)
        return flatten_sizes(self.rest if named is None else [named])


def flatten_sizes(values: list[Value]) -> list[Value] | None:
    """Sizes given one by one or as one container."""
    if len(values) == 1 and isinstance(values[0], (Sequence, ListObject, Tensor)):
        items = items_of(values[0]) if not isinstance(values[0], Tensor) else None
        return None if items is None else list(items)
    if any(not isinstance(v, (Const, Number)) for v in values):
        return None
    return values


def dims_of(values: list[Value] | None) -> Shape:
    """Sizes as a shape."""
    return None if values is None else tuple(as_dim(v) for v in values)


def integers(value: Value | None) -> tuple[int, ...] | None:
    """An integer or a container of integers, where all are known."""
    if isinstance(value, Const) and isinstance(value.value, int):
        return (int(value.value),)
    items = items_of(value) if value is not None else None
    if items is None or not all(isinstance(i, Const) and isinstance(i.value, int) for i in items):
        return None
    return tuple(int(i.value) for i in items if isinstance(i, Const))


def product(shape: Shape) -> int | None:
    """The number of elements, where it is known."""
    if shape is None or not all(isinstance(d, int) for d in shape):
        return None
    return math.prod(d for d in shape if isinstance(d, int))


def normal_axis(axis: int, rank: int) -> int:
    """The axis counted from the front."""
    return axis + rank if axis < 0 else axis


def without_axes(shape: Shape, axes: tuple[int, ...] | None, keep: bool) -> Shape:
    """The shape of a reduction; all axes go where axes is empty."""
    if shape is None:
        return None
    if axes is None:
        return shape if keep and len(shape) == 1 else None
    gone = {normal_axis(a, len(shape)) for a in axes} if axes else set(range(len(shape)))
    if keep:
        return tuple(1 if i in gone else d for i, d in enumerate(shape))
    return tuple(d for i, d in enumerate(shape) if i not in gone)


def dtype_of(value: Value | None) -> str | None:
    """The dtype that an argument names: `torch.float32`, `torch.LongTensor`, "float" ..."""
    if isinstance(value, Union):  # one type per device
        kinds = {dtype_of(o) for o in value.options}
        return kinds.pop() if len(kinds) == 1 else None
    if isinstance(value, Symbol):
        name = value.name.rpartition(".")[2]
        return LEGACY_TYPES.get(name, name if name in DTYPES else BUILTIN_TYPES.get(name))
    if isinstance(value, Const) and isinstance(value.value, str):
        return LEGACY_TYPES.get(value.value.rpartition(".")[2])
    return None


def names_dtype(value: Value | None) -> bool:
    return dtype_of(value) is not None


def shape_of_data(value: Value | None) -> Shape:
    """The shape of nested lists of numbers."""
    if isinstance(value, (Const, Number)):
        known = items_of(value)
        return () if known is None else (len(known),)
    if isinstance(value, Tensor):
        return value.shape
    if isinstance(value, (Sequence, ListObject)):
        items = items_of(value)
        inner = shape_of_data(items[0] if items else element_of(value))
        size: Dim = len(items) if items is not None else None
        return None if inner is None else (size, *inner)
    return None


def dtype_of_data(value: Value | None) -> str | None:
    """The dtype torch.tensor gives to a number or nested lists of numbers."""
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, (Sequence, ListObject)):
        known = [dtype_of_data(i) for i in items_of(value) or (element_of(value),)]
        if None in known:
            return None
        return next((d for d in known if is_float(d)), known[0])
    if isinstance(value, Const) and isinstance(value.value, (list, tuple)):
        return dtype_of_data(element_of(value))
    kind = value.type if isinstance(value, Number) else None
    if isinstance(value, Const) and not is_none(value):
        kind = type(value.value).__name__
    return {"int": "int64", "float": "float32", "bool": "bool"}.get(kind or "")


DTYPES = frozenset(
    """float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128
    uint16 uint32 uint64""".split()
)
LEGACY_TYPES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16",
    "LongTensor": "int64", "IntTensor": "int32", "ShortTensor": "int16", "ByteTensor": "uint8",
    "CharTensor": "int8", "BoolTensor": "bool", "BFloat16Tensor": "bfloat16", "Tensor": "float32",
}  # fmt: skip
BUILTIN_TYPES = {"float": "float32", "int": "int64", "bool": "bool", "long": "int64"}
CASTS = {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16",
    "long": "int64", "int": "int32", "short": "int16", "byte": "uint8", "char": "int8",
    "bool": "bool",
}  # fmt: skip
"""Methods that change the dtype, with the dtype they give."""
