"""Casts that PyTorch makes by itself between operands, and TensorFlow does not."""

from __future__ import annotations

from typing import Any

from transpiler.infer.arrays import is_float, is_integer, promote
from transpiler.infer.values import Const, Tensor, Value, options, scalar_type
from transpiler.syntax import literal
from transpiler.template import fill


def number_like(node: Any, value: Value, array: Value) -> Any:
    """A Python number beside a tensor in `tf.where`, which would take it for float32 or int32."""
    kind = scalar_type(value)
    if not isinstance(array, Tensor) or array.dtype is None or kind not in ("int", "float"):
        return node
    if array.dtype == "float32":
        if kind == "float":
            return node
        if isinstance(value, Const):
            return literal(float(value.value))
    if (array.dtype, kind) == ("int32", "int"):
        return node
    return fill("tf.cast(v, d)", v=node, d=fill(f"tf.{array.dtype}"))


COMPARISONS = frozenset(
    {"Equal", "NotEqual", "LessThan", "GreaterThan", "LessThanEqual", "GreaterThanEqual"}
)
BITWISE = frozenset({"BitAnd", "BitOr", "BitXor"})
Casts = tuple[str | None, str | None]
NOTHING: Casts = (None, None)


def casts(operation: str, left: Value, right: Value) -> Casts:
    """The dtypes to which each operand has to be cast first, None where it stays."""
    pairs = {
        _casts(operation, a, b)
        for a in options(left)
        for b in options(right)
        if scalar_type(a) != "None" and scalar_type(b) != "None"
    }
    return pairs.pop() if len(pairs) == 1 else NOTHING


def _casts(operation: str, left: Value, right: Value) -> Casts:
    if operation == "MatrixMultiply" and not (
        isinstance(left, Tensor) and isinstance(right, Tensor)
    ):
        return NOTHING
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _of_tensors(operation, left, right)
    if isinstance(left, Tensor):
        return _with_number(operation, left, scalar_type(right)), None
    if isinstance(right, Tensor):
        return None, _with_number(operation, right, scalar_type(left))
    return NOTHING


def _of_tensors(operation: str, left: Tensor, right: Tensor) -> Casts:
    if left.library == right.library == "numpy" or left.dtype is None or right.dtype is None:
        return NOTHING
    target = _common(left, right)
    if operation == "Divide" and target is not None and not is_float(target):
        target = "float32"
    if target is None or (operation in BITWISE and left.dtype == right.dtype):
        return NOTHING
    return (
        target if left.dtype != target else None,
        target if right.dtype != target else None,
    )


def _common(left: Tensor, right: Tensor) -> str | None:
    """The result's dtype: a tensor without axes only counts where its kind is a higher one."""
    a, b = left.dtype, right.dtype
    if left.shape is not None and right.shape is not None and bool(left.shape) != bool(right.shape):
        whole, single = (a, b) if left.shape else (b, a)
        if _kind(single) <= _kind(whole):
            return whole
    return promote(a, b)


def _kind(dtype: str | None) -> int:
    return 2 if is_float(dtype) else 1 if is_integer(dtype) else 0


def _with_number(operation: str, array: Tensor, number: str | None) -> str | None:
    """The dtype for a tensor that meets a Python number."""
    dtype = array.dtype
    if dtype is None or array.library == "numpy" or number not in ("int", "float", "bool"):
        return None
    if is_float(dtype):
        return None
    if number == "float" or operation == "Divide":
        return "float32"
    if dtype == "bool" and number == "int":
        return "int64"
    return None
