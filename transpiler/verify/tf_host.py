"""From TensorFlow's graphs back to Python, in program order and at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def notify(function: Callable[..., None], tensors: Sequence[Any]) -> None:
    """Call `function` with the tensors' values: now when eager, at each execution in a graph.

    In a graph this is one stateful operation without outputs.  tf.function's automatic control
    dependencies run it at its place among the other stateful operations, and nothing reads it: the
    program around it is the same.
    """
    if tf.executing_eagerly():
        function(*(t.numpy() for t in tensors))
        return

    def host(*values: Any) -> None:
        function(*values)

    tf.numpy_function(host, list(tensors), [])


def exchange(function: Callable[..., Any], tensors: Sequence[Any], shape: Any) -> Any:
    """Replace the first tensor by `function(*values)`, of the same dtype; fresh at each step."""
    dtype = tensors[0].dtype
    if tf.executing_eagerly():
        return tf.constant(function(*(t.numpy() for t in tensors)), dtype)
    result = tf.numpy_function(
        lambda *values: function(*values).astype(dtype.as_numpy_dtype), list(tensors), dtype
    )
    result.set_shape(shape)
    return result
