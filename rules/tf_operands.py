"""Arguments of TensorFlow's and Keras' tensor functions as facts, by their own names."""

from __future__ import annotations

from typing import Any

from transpiler.infer.arrays import is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    Const,
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
    scalar_type,
)
from transpiler.rules.operands import DTYPES, shape_of_data

HOMES = ("tf", "tf.math", "tf.nn", "tf.linalg", "tf.signal", "keras.ops", "keras.backend",
         "keras.activations")  # fmt: skip
"""Modules that share their functions' names: `tf.exp`, `keras.ops.exp`, `keras.backend.exp`."""
METHODS = ("tf.Tensor", "tf.Variable")


def everywhere(*names: str) -> tuple[str, ...]:
    """A function's name in every module that may have it (those that have none never come up)."""
    return tuple(f"{home}.{name}" for name in names for home in HOMES)


def members(*names: str) -> tuple[str, ...]:
    """An attribute of tensors and of variables."""
    return tuple(f"{owner}.{name}" for name in names for owner in METHODS)


def data_dtype(value: Value | None) -> str | None:
    """The dtype that TensorFlow gives to numbers and nested lists of them."""
    if isinstance(value, Tensor):
        return value.dtype
    if isinstance(value, (Sequence, ListObject)):
        known = [data_dtype(i) for i in items_of(value) or (element_of(value),)]
        if None in known or not known:
            return None
        return next((d for d in known if is_float(d)), known[0])
    if isinstance(value, Const) and isinstance(value.value, (list, tuple)):
        return data_dtype(element_of(value))
    return {"int": "int32", "float": "float32", "bool": "bool"}.get(
        scalar_type(value) or "" if value is not None else ""
    )


def dtype_named(value: Value | None) -> str | None:
    """The dtype that an argument names: `tf.float32`, `np.float32`, "float32", `bool`."""
    name = ""
    if isinstance(value, Union):
        kinds = {dtype_named(o) for o in value.options}
        return kinds.pop() if len(kinds) == 1 else None
    if isinstance(value, Symbol):
        name = value.name.rpartition(".")[2]
        if value.name in ("float", "builtins.float"):
            return "float32"
    elif isinstance(value, Const) and isinstance(value.value, str):
        name = value.value
    name = {"half": "float16", "double": "float64", "float": "float32", "int": "int32",
            "bool_": "bool", "uint": "uint32", "long": "int64"}.get(name, name)  # fmt: skip
    return name if name in DTYPES or name == "string" else None


def is_number(value: Value | None) -> bool:
    """Whether a value is a Python number, which stays one in the translation."""
    if isinstance(value, Union):
        return all(is_number(o) for o in value.options)
    return value is not None and scalar_type(value) in ("int", "float", "bool")


def as_tensor(value: Value | None) -> Tensor:
    """The tensor that TensorFlow makes of an argument."""
    match value:
        case Tensor():
            return Tensor(value.shape, value.dtype, "tf")
        case Sequence() | ListObject():
            items = items_of(value)
            inner = as_tensor(items[0] if items else element_of(value))
            dtype = data_dtype(value) if not isinstance(inner, Tensor) else inner.dtype
            if inner.shape is None:
                return Tensor(None, dtype or data_dtype(value), "tf")
            size = len(items) if items is not None else None
            return Tensor((size, *inner.shape), data_dtype(value) or dtype, "tf")
        case Const() | Number() if not is_none(value):
            return Tensor(shape_of_data(value), data_dtype(value), "tf")
        case Union():
            found = [as_tensor(o) for o in value.options if not is_none(o)]
            if found and all(f == found[0] for f in found):
                return found[0]
            dtypes = {f.dtype for f in found}
            return Tensor(None, dtypes.pop() if len(dtypes) == 1 else None, "tf")
    return Tensor(library="tf")


class Given:
    """The arguments of a call by their names in its own signature."""

    def __init__(self, call: Invocation) -> None:
        self.call = call
        self.values: dict[str, Any] = dict(call.bound)
        self.first: Value | None = call.receiver
        if self.first is None:
            self.first = call.positional[0] if call.positional else None
            named = [v for k, v in self.values.items() if isinstance(v, Value) and k != "name"]
            if self.first is None and named:
                self.first = named[0]

    @property
    def x(self) -> Tensor:
        """The tensor operated on."""
        return as_tensor(self.first)

    @property
    def on_number(self) -> bool:
        return is_number(self.first)

    def arg(self, *names: str) -> Value | None:
        """An argument by any of its names; None where it is not given or None."""
        for name in names:
            found = self.values.get(name)
            if isinstance(found, Value) and not is_none(found):
                return found
        return None

    def integer(self, *names: str, default: int | None = None) -> int | None:
        """An integer where it is known, None where it is not."""
        value = self.arg(*names)
        if value is None:
            return default
        if isinstance(value, Const) and isinstance(value.value, int):
            return int(value.value)
        return None

    def flag(self, *names: str) -> bool:
        value = self.arg(*names)
        return isinstance(value, Const) and bool(value.value)

    def dtype(self, default: str | None = None) -> str | None:
        """The dtype that the call asks for."""
        value = self.arg("dtype", "output_type", "out_type", "Tout")
        return default if value is None else dtype_named(value)


def dims_from(value: Value | None) -> Shape:
    """A shape argument: a list, a tuple, a number, or what `tf.shape(x)` gave."""
    if value is None:
        return None
    if is_number(value):
        return (as_dim(value),)
    if isinstance(value, Tensor):
        size = value.shape[0] if value.shape else None
        return (None,) * size if isinstance(size, int) else None
    items = items_of(value)
    return None if items is None else tuple(None if is_none(i) else as_dim(i) for i in items)
