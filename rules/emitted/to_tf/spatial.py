"""Channels-last layers with torch's padding, pooling windows and divisors."""

import math

import tensorflow as tf
from keras import layers

from transpiler.rules.emitted.to_tf.tensors import pad_edges


def per_axis(value, count):
    """An int, or one number for each of `count` axes, as a list."""
    return list(value) if isinstance(value, (list, tuple)) else [value] * count


class SpatialPadding(layers.Layer):
    """torch's padding layers: a number for every side, or (before, after) pairs, last axis first.

    mode is "constant" (with a value), "reflect", "replicate" or "circular".
    """

    def __init__(self, padding, mode="constant", value=0.0, **kwargs):
        super().__init__(**kwargs)
        self.padding = padding
        self.mode = mode
        self.value = value

    def call(self, x):
        flat = per_axis(self.padding, 2 * (len(x.shape) - 2))
        pairs = [flat[i : i + 2] for i in range(0, len(flat), 2)]
        paddings = [[0, 0], *reversed(pairs), [0, 0]]
        if self.mode == "constant":
            return tf.pad(x, paddings, constant_values=tf.cast(self.value, x.dtype))
        if self.mode == "reflect":
            return tf.pad(x, paddings, "REFLECT")
        return pad_edges(x, paddings, self.mode)


class TorchPooling(layers.Layer):
    """Windows as torch places them: explicit padding, a last partial window with ceil_mode."""

    def __init__(self, pool_size, strides=None, padding=0, dilation=1, ceil_mode=False, **kwargs):
        super().__init__(**kwargs)
        self.pool_size = pool_size
        self.strides = pool_size if strides is None else strides
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode

    def windows(self, x):
        """The options of tf.nn.pool for each axis, and how far to pad each end."""
        count = len(x.shape) - 2
        options = self.pool_size, self.strides, self.padding, self.dilation
        sizes, strides, paddings, dilations = [per_axis(o, count) for o in options]
        ends = []
        for n, k, s, p, d in zip(x.shape[1:-1], sizes, strides, paddings, dilations):
            rest = 0
            if self.ceil_mode:
                left = (n + 2 * p - d * (k - 1) - 1) % s
                last = n + 2 * p - d * (k - 1) - 1 - left + s  # where one more window starts
                rest = s - left if left and last < n + p else 0
            ends.append(p + rest)
        return sizes, strides, dilations, paddings, ends

    def pad(self, x, before, after, value):
        paddings = [[0, 0], *zip(before, after), [0, 0]]
        return tf.pad(x, paddings, constant_values=tf.cast(value, x.dtype))


def pool(x, kind, sizes, strides, dilations):
    """tf.nn.pool; three axes one after the other, for which there is double precision as well."""
    if len(sizes) == 3:
        depth, height, width, channels = x.shape[1:]
        x = tf.reshape(x, [-1, height, width, channels])
        x = pool(x, kind, sizes[1:], strides[1:], dilations[1:])
        height, width = x.shape[1:3]
        x = tf.reshape(x, [-1, depth, height * width, channels])
        x = pool(x, kind, [sizes[0], 1], [strides[0], 1], [dilations[0], 1])
        return tf.reshape(x, [-1, x.shape[1], height, width, channels])
    if max(dilations) == 1 and all(s <= k for s, k in zip(strides, sizes)):
        return tf.nn.pool(x, sizes, kind, strides, "VALID")
    x = tf.nn.pool(x, sizes, kind, [1] * len(sizes), "VALID", dilations=dilations)
    return x[:, :: strides[0], :: strides[1]] if len(sizes) == 2 else x[:, :: strides[0]]


class TorchMaxPooling(TorchPooling):
    """torch's MaxPool1d, 2d and 3d: what is padded never is the maximum."""

    def call(self, x):
        sizes, strides, dilations, before, after = self.windows(x)
        x = self.pad(x, before, after, -math.inf)
        return pool(x, "MAX", sizes, strides, dilations)


class TorchAveragePooling(TorchPooling):
    """torch's AvgPool1d, 2d and 3d with each of its divisors."""

    def __init__(
        self,
        pool_size,
        strides=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
        **kwargs,
    ):
        super().__init__(pool_size, strides, padding, ceil_mode=ceil_mode, **kwargs)
        self.count_include_pad = count_include_pad
        self.divisor = divisor_override

    def call(self, x):
        sizes, strides, dilations, before, after = self.windows(x)
        total = pool(self.pad(x, before, after, 0), "AVG", sizes, strides, dilations)
        if self.divisor is not None:
            return total * (math.prod(sizes) / self.divisor)
        ones, rest = tf.ones_like(x), after
        if self.count_include_pad:
            ones = self.pad(ones, before, before, 1)
            rest = [a - b for a, b in zip(after, before)]
            before = [0] * len(before)
        return total / pool(self.pad(ones, before, rest, 0), "AVG", sizes, strides, dilations)


def lp_pool(x, norm_type, kernel_size, stride=None):
    """torch's LPPool of channels-last x: the sum of x ** norm_type in a window, and its root."""
    count = len(x.shape) - 2
    sizes = per_axis(kernel_size, count)
    strides = per_axis(kernel_size if stride is None else stride, count)
    mean = pool(x**norm_type, "AVG", sizes, strides, [1] * count)
    return (tf.nn.relu(mean) * math.prod(sizes)) ** (1 / norm_type)
