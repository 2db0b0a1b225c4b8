"""Double precision on the TensorFlow side, where Keras and TensorFlow fall back to float32.

Keras's backend turns python floats into tensors through float32 even under floatx float64, and many
TensorFlow functions make float32 by default.  The script itself has been widened before.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.ops import math_ops

from transpiler.verify.tf_images import widen_images

MAKERS = ("zeros", "ones", "eye", "one_hot", "linspace", "fill", "range", "random.normal",
          "random.uniform", "random.truncated_normal", "random.stateless_normal",
          "random.stateless_uniform")  # fmt: skip
READERS = (
    "math.log", "math.log1p", "math.exp", "exp", "math.sqrt", "sqrt", "math.rsqrt", "math.square",
    "square", "math.pow", "pow", "math.abs", "abs", "math.sin", "sin", "math.cos", "cos",
    "math.tanh", "tanh", "math.sigmoid", "sigmoid", "identity", "stop_gradient", "expand_dims",
    "squeeze", "stack", "reshape", "tile", "repeat",
    *(f"{m}reduce_{n}" for m in ("", "math.") for n in ("mean", "sum", "max", "min", "prod")),
    "math.reduce_std", "math.reduce_variance",
)  # fmt: skip
"""Functions whose result is of float32 where the first argument is made of Python floats."""


def widen_defaults() -> None:
    """Make float64 the default of whatever would default to float32."""
    keras.config.set_floatx("float64")
    cast, leaky = tf.cast, tf.nn.leaky_relu

    @wraps(cast)
    def patched_cast(x: Any, dtype: Any, name: Any = None) -> Any:
        return cast(widen(x) if isinstance(x, float | list | tuple) else x, dtype, name=name)

    @wraps(leaky)
    def patched_leaky(features: Any, alpha: float = 0.2, name: Any = None) -> Any:
        # The operation keeps its slope as a float32 attribute.
        features = tf.convert_to_tensor(features)
        slope = patched_cast(float(alpha), features.dtype)
        return tf.where(features > 0, features, slope * features)

    where = tf.where

    @wraps(where)
    def patched_where(condition: Any, x: Any = None, y: Any = None, name: Any = None) -> Any:
        x, y = _like_other(x, y), _like_other(y, x)
        return where(condition, x, y, name=name)

    tf.where = patched_where
    tf.cast = math_ops.cast = patched_cast
    tf.nn.leaky_relu = patched_leaky
    tf.convert_to_tensor = _converter(tf.convert_to_tensor)
    tf.constant = _converter(tf.constant)
    widen_variables()
    widen_makers()
    widen_readers()
    widen_data()
    tf.math.in_top_k = tf.nn.in_top_k = _narrowed(tf.math.in_top_k)
    for name in ("resize", "resize_with_pad"):
        setattr(tf.image, name, _keeping(getattr(tf.image, name)))
    widen_images()


def _like_other(value: Any, other: Any) -> Any:
    """A Python float in the precision of the tensor beside it; a graph would make it float32."""
    if type(value) is not float:
        return value
    dtype = tf.as_dtype(_plain(other.dtype)) if hasattr(other, "dtype") else tf.float64
    return np.float64(value) if dtype == tf.float64 else value


def widen(value: Any) -> Any:
    """Python floats and float32 arrays, alone or nested in lists, as float64."""
    if isinstance(value, np.ndarray | np.generic):
        return value.astype(np.float64) if value.dtype == np.float32 else value
    if type(value) is float:
        return np.float64(value)
    if isinstance(value, list | tuple) and value and _has_float(value):
        try:
            return np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            return value
    return value


def _has_float(value: Any) -> bool:
    """Whether a nested list holds numbers alone, a float or float32 array among them."""
    if isinstance(value, list | tuple):
        return any(_has_float(item) for item in value)
    return type(value) is float or (
        isinstance(value, np.ndarray | np.generic) and value.dtype == np.float32
    )


def _converter(function: Any) -> Any:
    @wraps(function)
    def call(value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        if dtype is None and kwargs.get("dtype_hint") is None:
            value = widen(value)
        elif type(value) is float:
            value = np.float64(value)
            if dtype is not None and not tf.as_dtype(_plain(dtype)).is_floating:
                value = float(value)
        return function(value, dtype, *args, **kwargs)

    return call


def _plain(dtype: Any) -> Any:
    return dtype if not hasattr(dtype, "name") else dtype.name


def widen_variables() -> None:
    """tf.Variable of python floats and float32 arrays."""
    from tensorflow.python.ops import resource_variable_ops

    kind = resource_variable_ops.ResourceVariable
    start = kind.__init__

    @wraps(start)
    def patched(self: Any, initial_value: Any = None, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("dtype") is None and not callable(initial_value):
            initial_value = widen(initial_value)
        start(self, initial_value, *args, **kwargs)

    kind.__init__ = patched


def widen_makers() -> None:
    """Functions whose dtype defaults to float32, or follows python floats."""
    for path in MAKERS:
        place = tf.random if path.startswith("random.") else tf
        name = path.rpartition(".")[2]
        setattr(place, name, _maker(getattr(place, name)))


def widen_readers() -> None:
    """Functions of a number that make a tensor of it first."""
    for path in READERS:
        place = tf.math if path.startswith("math.") else tf
        name = path.rpartition(".")[2]
        setattr(place, name, _reader(getattr(place, name)))


def _reader(function: Any) -> Any:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and not isinstance(args[0], tf.Tensor | tf.Variable):
            args = (widen(args[0]), *args[1:])
        return function(*args, **kwargs)

    return call


def _maker(function: Any) -> Any:
    signature = inspect.signature(function)
    names = list(signature.parameters)
    default = signature.parameters.get("dtype")
    is_float = default is not None and default.default == tf.float32

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if is_float and "dtype" not in kwargs and len(args) <= names.index("dtype"):
            kwargs["dtype"] = tf.float64
        elif default is None or (default.default is None and kwargs.get("dtype") is None):
            if function.__name__ != "one_hot":
                args = tuple(widen(a) for a in args)
                kwargs = {k: widen(v) for k, v in kwargs.items()}
            elif "dtype" not in kwargs:
                kwargs["dtype"] = tf.float64
        return function(*args, **kwargs)

    return call


def widen_data() -> None:
    """Datasets made of float32 arrays or python floats."""
    for name in ("from_tensor_slices", "from_tensors"):
        function = getattr(tf.data.Dataset, name)

        def call(tensors: Any, *args: Any, _function: Any = function, **kwargs: Any) -> Any:
            return _function(_nested(tensors), *args, **kwargs)

        setattr(tf.data.Dataset, name, staticmethod(call))


def _nested(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nested(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_nested(item) for item in value)
    return widen(value)


def _narrowed(function: Any) -> Any:
    """An operation that knows float32 alone."""

    @wraps(function)
    def call(targets: Any, predictions: Any, *args: Any, **kwargs: Any) -> Any:
        return function(targets, tf.cast(predictions, tf.float32), *args, **kwargs)

    return call


def _keeping(function: Any) -> Any:
    """A function that answers in float32 whatever it is given."""

    @wraps(function)
    def call(images: Any, *args: Any, **kwargs: Any) -> Any:
        result = function(images, *args, **kwargs)
        return tf.cast(result, tf.float64) if result.dtype == tf.float32 else result

    return call
