"""TensorFlow's and Keras's random functions in a twin run: results pass through the tape."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from functools import wraps
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from transpiler.verify.layouts import is_ambiguous
from transpiler.verify.side import Run
from transpiler.verify.tf_host import exchange


def watch_draws(run: Run) -> None:
    """Patch the functions and layers that draw."""
    draws = _Draws(run)
    for name in ("normal", "truncated_normal"):
        setattr(tf.random, name, draws.normal(getattr(tf.random, name), name))
    tf.random.uniform = draws.uniform(tf.random.uniform)
    tf.random.shuffle = draws.shuffle(tf.random.shuffle)
    tf.random.categorical = draws.categorical(tf.random.categorical)
    for name in ("gamma", "poisson"):
        setattr(tf.random, name, draws.raw(name, getattr(tf.random, name)))
    tf.nn.dropout = draws.tf_dropout(tf.nn.dropout)
    watch_backend(draws)
    watch_recurrent(draws)
    watch_initializers(run)
    watch_modes(run)


class _Draws:
    """Wrappers around one run's tape."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def through(self, kind: str, tensor: Any, like: Any = None) -> Any:
        """A tensor's values by way of the tape, at each execution."""
        if self.run.draws.pauses:
            return tensor
        serve = self.run.draws.through
        if like is None:
            return exchange(lambda v: np.asarray(serve(kind, v)), [tensor], tensor.shape)
        return exchange(lambda v, x: np.asarray(serve(kind, v, x)), [tensor, like], tensor.shape)

    def raw(self, kind: str, function: Any) -> Any:
        """A function whose whole result is random."""

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.through(kind, function(*args, **kwargs))

        return call

    def normal(self, function: Any, name: str) -> Any:
        """Means and deviations around standard normal numbers."""

        kind = "normal" if name == "normal" else "truncated"

        @wraps(function)
        def call(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, *args: Any, **kwargs: Any) -> Any:
            noise = self.through(kind, function(shape, *_standard(args), **kwargs))
            if type(mean) is type(stddev) is float and (mean, stddev) == (0.0, 1.0):
                return noise
            return noise * tf.cast(stddev, noise.dtype) + tf.cast(mean, noise.dtype)

        return call

    def uniform(self, function: Any) -> Any:
        """Floats between bounds as scaled ones; integers as they are."""

        @wraps(function)
        def call(
            shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = None, **kwargs: Any
        ) -> Any:
            given = {} if dtype is None else {"dtype": dtype}
            if dtype is not None and tf.as_dtype(dtype).is_integer:
                result = function(shape, minval, maxval, dtype, **kwargs)
                low = tf.cast(minval, result.dtype)
                return self.through(f"integer below {maxval - minval}", result - low) + low
            noise = self.through("uniform", function(shape, **given, **kwargs))
            low = tf.cast(minval, noise.dtype)
            high = tf.cast(1.0 if maxval is None else maxval, noise.dtype)
            return noise * (high - low) + low

        return call

    def order(self, count: Any) -> Any:
        """A permutation of `count` numbers."""
        return self.through("permutation", SHUFFLE(tf.range(tf.cast(count, tf.int64))))

    def shuffle(self, function: Any) -> Any:
        """Rows in a permuted order."""

        @wraps(function)
        def call(value: Any, *args: Any, **kwargs: Any) -> Any:
            value = tf.convert_to_tensor(value)
            return tf.gather(value, self.order(tf.shape(value)[0]))

        return call

    def categorical(self, function: Any) -> Any:
        """Categories as places on the cumulative scale of their probabilities."""

        @wraps(function)
        def call(logits: Any, num_samples: Any, dtype: Any = None, **kwargs: Any) -> Any:
            result = function(logits, num_samples, dtype=tf.int64, **kwargs)
            scale = tf.cumsum(tf.nn.softmax(logits, -1), axis=-1)
            low = tf.pad(scale, [[0, 0], [1, 0]])
            middle = (
                tf.gather(low, result, axis=1, batch_dims=1)
                + tf.gather(scale, result, axis=1, batch_dims=1)
            ) / 2
            served = self.through("category", middle)
            found = tf.searchsorted(scale, served, side="right", out_type=tf.int64)
            last = tf.cast(tf.shape(logits)[1] - 1, tf.int64)
            return tf.cast(tf.minimum(found, last), dtype or tf.int64)

        return call

    def kept(self, ones: Any, inputs: Any, noise_shape: Any) -> Any:
        """Which elements a dropout keeps, from what the real one makes of ones."""
        kept = ones != 0
        if noise_shape is None:
            sizes = [-1 if d is None else d for d in inputs.shape]
            return self.through("kept", kept, inputs if is_ambiguous(tuple(sizes)) else None)
        for axis, size in enumerate(noise_shape):
            if isinstance(size, int) and size == 1:
                kept = tf.gather(kept, [0], axis=axis)
        return self.through("kept", kept)

    def tf_dropout(self, function: Any) -> Any:
        """tf.nn.dropout."""

        @wraps(function)
        def call(x: Any, rate: Any, noise_shape: Any = None, *args: Any, **kwargs: Any) -> Any:
            x = tf.convert_to_tensor(x)
            if not (isinstance(rate, int | float) and rate == 0):  # 0 is how inference is written
                self.run.recorder.saw_mode(True)
            if isinstance(rate, int | float) and rate in (0, 1):
                return function(x, rate, noise_shape, *args, **kwargs)
            ones = function(tf.ones_like(x), rate, noise_shape, *args, **kwargs)
            return apply_mask(x, self.kept(ones, x, noise_shape), rate)

        return call


SHUFFLE = tf.random.shuffle


def _standard(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (0.0, 1.0, *args) if args else ()


def apply_mask(x: Any, kept: Any, rate: Any) -> Any:
    """What dropout does with a mask."""
    return tf.where(kept, x * tf.cast(1 / (1 - rate), x.dtype), tf.zeros((), x.dtype))


def watch_backend(draws: _Draws) -> None:
    """What keras.random and the layers draw with."""
    from keras.src.backend.tensorflow import random as backend

    dropout, normal, uniform = backend.dropout, backend.normal, backend.uniform

    @wraps(dropout)
    def patched_dropout(inputs: Any, rate: Any, noise_shape: Any = None, seed: Any = None) -> Any:
        if rate in (0.0, 1.0):
            return dropout(inputs, rate, noise_shape, seed)
        ones = dropout(tf.ones_like(inputs), rate, noise_shape, seed)
        return apply_mask(inputs, draws.kept(ones, inputs, noise_shape), rate)

    @wraps(normal)
    def patched_normal(
        shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None
    ) -> Any:
        noise = draws.through("normal", normal(shape, dtype=dtype, seed=seed))
        return noise * tf.cast(stddev, noise.dtype) + tf.cast(mean, noise.dtype)

    @wraps(uniform)
    def patched_uniform(
        shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None
    ) -> Any:
        noise = draws.through("uniform", uniform(shape, dtype=dtype, seed=seed))
        low, high = tf.cast(minval, noise.dtype), tf.cast(maxval, noise.dtype)
        return noise * (high - low) + low

    @wraps(backend.shuffle)
    def patched_shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
        return tf.gather(x, draws.order(tf.shape(x)[axis]), axis=axis)

    backend.dropout, backend.normal, backend.uniform = (
        patched_dropout,
        patched_normal,
        patched_uniform,
    )
    backend.shuffle = patched_shuffle
    for name, kind in (
        ("randint", "integer"),
        ("truncated_normal", "truncated"),
        ("gamma", "gamma"),
    ):
        setattr(backend, name, draws.raw(kind, getattr(backend, name)))


def watch_recurrent(draws: _Draws) -> None:
    """Keras draws what its recurrent layers drop in inference as well, where nothing reads it."""
    function = keras.layers.RNN.call

    @wraps(function)
    def call(self: Any, sequences: Any, initial_state: Any = None, mask: Any = None,
             training: Any = False) -> Any:  # fmt: skip
        with nullcontext() if training else draws.run.draws.paused():
            return function(self, sequences, initial_state, mask, training)

    keras.layers.RNN.call = call


def watch_initializers(run: Run) -> None:
    """Initial weights are carried over as such: what initializers draw stays off the tape."""
    from keras.src.initializers import random_initializers

    for kind in vars(random_initializers).values():
        if not (inspect.isclass(kind) and issubclass(kind, keras.initializers.Initializer)):
            continue
        if "__call__" in vars(kind):
            setattr(kind, "__call__", _paused(vars(kind)["__call__"], run))  # noqa: B010
    layer = keras.layers.Layer
    layer.add_weight = _paused(layer.add_weight, run)


def _paused(function: Any, run: Run) -> Any:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with run.draws.paused():
            return function(*args, **kwargs)

    return call


def watch_modes(run: Run) -> None:
    """Note training or inference wherever a stock layer does something different in each."""
    layers = keras.layers
    kinds = [layers.Dropout, layers.SpatialDropout1D.__mro__[1], layers.GaussianDropout,
             layers.GaussianNoise, layers.AlphaDropout, layers.BatchNormalization]  # fmt: skip
    for kind in kinds:
        kind.call = _noting(kind.call, run)


def _noting(function: Any, run: Run) -> Any:
    @wraps(function)
    def call(self: Any, inputs: Any, training: Any = None, *args: Any, **kwargs: Any) -> Any:
        rate = getattr(self, "rate", getattr(self, "stddev", 1.0))
        if (isinstance(training, bool | int) or training is None) and rate > 0:
            run.recorder.saw_mode(bool(training) and self.trainable)
        return function(self, inputs, training, *args, **kwargs)

    return call
