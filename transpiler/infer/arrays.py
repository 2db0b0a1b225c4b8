"""Shapes and dtypes of array arithmetic and indexing, the same in every array library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import libcst as cst

from transpiler.infer.values import (
    Const,
    Dim,
    ListObject,
    Number,
    Sequence,
    Shape,
    Tensor,
    Value,
    scalar_type,
)

_COMPARISONS = frozenset(
    {"Equal", "NotEqual", "LessThan", "GreaterThan", "LessThanEqual", "GreaterThanEqual"}
)
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


def broadcast(a: Shape, b: Shape) -> Shape:
    """The shape of an elementwise operation."""
    if a is None or b is None:
        return None
    if len(a) < len(b):
        a, b = b, a
    padded = (1,) * (len(a) - len(b)) + b
    return tuple(_broadcast_dim(x, y) for x, y in zip(a, padded, strict=False))


def _broadcast_dim(x: Dim, y: Dim) -> Dim:
    if x == 1:
        return y
    if y == 1 or x == y:
        return x
    if isinstance(x, int):
        return x
    return y if isinstance(y, int) else None


def is_float(dtype: str | None) -> bool:
    return dtype in _FLOATS


def is_integer(dtype: str | None) -> bool:
    return dtype in _INTEGERS


def promote(a: str | None, b: str | None) -> str | None:
    """The common dtype of two arrays."""
    if a is None or b is None:
        return None
    if a == b:
        return a
    if "bool" in (a, b):
        return b if a == "bool" else a
    order = (*_INTEGERS, *_FLOATS)
    if a not in order or b not in order:
        return None
    if (a in _FLOATS) != (b in _FLOATS):
        return a if a in _FLOATS else b
    return max(a, b, key=order.index)


def arithmetic(operation: str, left: Value, right: Value) -> Value:
    """`left operation right` where at least one side is an array."""
    array = left if isinstance(left, Tensor) else right
    assert isinstance(array, Tensor)
    other = right if array is left else left
    if isinstance(other, Tensor):
        shape = broadcast(array.shape, other.shape)
        if operation == "MatrixMultiply":
            shape = _matmul(left, right)
        dtype = promote(array.dtype, other.dtype)
        library = array.library if array.library != "numpy" else other.library
    else:
        shape, library = array.shape, array.library
        dtype = _with_scalar(array.dtype, scalar_type(other))
        if library == "numpy" and is_float(dtype) and not is_float(array.dtype):
            dtype = "float64"
        if not isinstance(other, (Const, Number)):
            shape = None if not isinstance(other, (ListObject, Sequence)) else shape
            dtype = None
    if operation in _COMPARISONS:
        dtype = "bool"
    elif operation == "Divide" and (is_integer(dtype) or dtype == "bool"):
        dtype = "float64" if library == "numpy" else "float32"
    return Tensor(shape, dtype, library)


def _with_scalar(dtype: str | None, scalar: str | None) -> str | None:
    if dtype is None or scalar not in ("int", "float", "bool"):
        return None
    if scalar == "float" and not is_float(dtype):
        return "float32"
    return "int64" if scalar == "int" and dtype == "bool" else dtype


def _matmul(left: Value, right: Value) -> Shape:
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        return None
    a, b = left.shape, right.shape
    if a is None or b is None or not a or not b:
        return None
    if len(a) == 1:
        return (*b[:-2], b[-1]) if len(b) > 1 else ()
    if len(b) == 1:
        return a[:-1]
    batch = broadcast(a[:-2], b[:-2])
    return None if batch is None else (*batch, a[-2], b[-1])


def index_shape(array: Tensor, node: cst.Subscript, facts: Mapping[cst.CSTNode, Value]) -> Shape:
    """The shape of `array[...]`."""
    if array.shape is None:
        return None
    rest: list[Dim] = list(array.shape)
    parts: list[Any] = []
    for element in node.slice:
        part = element.slice
        if isinstance(part, cst.Index) and isinstance(fact := facts.get(part.value), Sequence):
            if fact.kind == "slice":
                parts.append(fact)
                continue
            if fact.items is None:
                return None
            parts.extend(fact.items)
        else:
            parts.append(facts.get(part.value) if isinstance(part, cst.Index) else part)
    consumed = sum(_consumes(p) for p in parts)
    if consumed > len(rest):
        return None
    result: list[Dim] = []
    for part in parts:
        if isinstance(part, Const) and part.value is None:
            result.append(1)
        elif isinstance(part, Const) and part.value is Ellipsis:
            keep = len(rest) - (consumed - len(array.shape) + len(rest))
            result.extend(rest[:keep])
            del rest[:keep]
        elif isinstance(part, Sequence):  # a slice object
            rest.pop(0)
            result.append(None)
        elif isinstance(part, cst.Slice):
            result.append(_slice_dim(rest.pop(0), part, facts))
        elif isinstance(part, (Const, Number)):
            rest.pop(0)
        elif isinstance(part, Tensor):
            if part.shape is None or sum(isinstance(p, Tensor) for p in parts) > 1:
                return None
            if part.dtype == "bool":
                del rest[: len(part.shape)]
                result.append(None)
            else:
                rest.pop(0)
                result.extend(part.shape)
        elif isinstance(part, ListObject):
            rest.pop(0)
            result.append(len(part.items) if part.items is not None else None)
        else:
            return None
    return (*result, *rest)


def _consumes(part: Any) -> int:
    if isinstance(part, Const) and (part.value is None or part.value is Ellipsis):
        return 0
    if isinstance(part, Tensor) and part.dtype == "bool" and part.shape is not None:
        return len(part.shape)
    return 1


def _slice_dim(dim: Dim, part: cst.Slice, facts: Mapping[cst.CSTNode, Value]) -> Dim:
    bounds: list[int | None] = []
    for node in (part.lower, part.upper, part.step):
        fact = facts.get(node) if node is not None else Const(None)
        if not isinstance(fact, Const) or not isinstance(fact.value, (int, type(None))):
            return None
        bounds.append(fact.value)
    if bounds == [None, None, None]:
        return dim
    if isinstance(dim, int):
        return len(range(*slice(*bounds).indices(dim)))
    lower, upper, step = bounds
    if lower in (0, None) and upper is not None and upper > 0 and step in (None, 1):
        return upper if dim is None else None
    return None
