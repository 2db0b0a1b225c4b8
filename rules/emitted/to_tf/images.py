"""Resampling, pooling and patches of channels-last images, with torch's arithmetic."""

import math

import keras
import numpy as np
import tensorflow as tf


def along_axis(x, matrix, axis):
    """Multiplies one axis of x by a matrix (new size, old size)."""
    moved = tf.tensordot(x, tf.constant(matrix, x.dtype), [[axis], [1]])
    return keras.ops.moveaxis(moved, -1, axis)


def resize_matrix(size, new_size, mode, align_corners=False, scale=None):
    """The weights by which torch's interpolate makes new_size elements of size elements."""
    if align_corners:
        place = np.arange(new_size) * ((size - 1) / max(new_size - 1, 1))
    else:
        place = (np.arange(new_size) + 0.5) * (1 / scale if scale else size / new_size) - 0.5
    if mode == "bicubic":
        low = np.floor(place).astype(int)
        t, a = place - low, -0.75
        outer = lambda d: a * (d**3 - 5 * d**2 + 8 * d - 4)
        inner = lambda d: (a + 2) * d**3 - (a + 3) * d**2 + 1
        parts = [(-1, outer(t + 1)), (0, inner(t)), (1, inner(1 - t)), (2, outer(2 - t))]
    else:
        place = np.maximum(place, 0)
        low = np.minimum(np.floor(place).astype(int), size - 1)
        parts = [(0, 1 - (place - low)), (1, place - low)]
    matrix = np.zeros([new_size, size])
    for offset, weights in parts:
        np.add.at(matrix, (np.arange(new_size), np.clip(low + offset, 0, size - 1)), weights)
    return matrix


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=False):
    """torch's interpolate for channels-last x of any rank; sizes must be known."""
    axes = range(1, len(x.shape) - 1)
    old = [x.shape[axis] for axis in axes]
    single = (int, float, type(None))
    many = lambda value: [value] * len(old) if isinstance(value, single) else list(value)
    scales = many(scale_factor)
    if size is None:
        size = [math.floor(n * scale) for n, scale in zip(old, scales)]
    for axis, n, new, scale in zip(axes, old, many(size), scales):
        if mode == "nearest":  # torch computes these positions in single precision
            step = np.float32(1 / scale if scale else n / new)
            index = np.floor(np.arange(new, dtype=np.float32) * step).astype(int)
            x = tf.gather(x, np.minimum(index, n - 1), axis=axis)
        elif mode == "area":
            x = along_axis(x, pooling_matrix(n, new), axis)
        else:
            x = along_axis(x, resize_matrix(n, new, mode, align_corners, scale), axis)
    return x


def pooling_matrix(size, new_size):
    """The weights of torch's adaptive average pooling along one axis."""
    matrix = np.zeros([new_size, size])
    for i in range(new_size):
        begin, end = i * size // new_size, -(-(i + 1) * size // new_size)
        matrix[i, begin:end] = 1 / (end - begin)
    return matrix


def adaptive_avg_pool(x, size):
    """torch's adaptive average pooling of channels-last x; None keeps an axis."""
    for axis, new in enumerate(size, start=1):
        if new is not None:
            x = along_axis(x, pooling_matrix(x.shape[axis], new), axis)
    return x


def adaptive_max_pool(x, size):
    """torch's adaptive maximum pooling of channels-last x; None keeps an axis."""
    for axis, new in enumerate(size, start=1):
        n = x.shape[axis]
        if new is not None:
            parts = [
                tf.reduce_max(
                    tf.gather(x, range(i * n // new, -(-(i + 1) * n // new)), axis=axis),
                    axis,
                    keepdims=True,
                )
                for i in range(new)
            ]
            x = tf.concat(parts, axis)
    return x


def window_positions(size, kernel_size, dilation, padding, stride):
    """Row and column of every element of every window, (windows, kernel elements) each."""
    starts = [
        range(0, n + 2 * p - d * (k - 1), s)
        for n, k, d, p, s in zip(size, kernel_size, dilation, padding, stride)
    ]
    windows = np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, 1, 2)
    inside = np.stack(np.meshgrid(*map(np.arange, kernel_size), indexing="ij"), -1)
    return windows + inside.reshape(1, -1, 2) * np.array(dilation)


def unfold(x, kernel_size, dilation=(1, 1), padding=(0, 0), stride=(1, 1)):
    """torch's unfold of a channels-last image: (batch, channels * kernel, windows)."""
    place = window_positions(x.shape[1:3], kernel_size, dilation, padding, stride)
    x = tf.pad(x, [[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]])
    width, channels = x.shape[2], x.shape[3]
    flat = tf.reshape(x, [-1, x.shape[1] * width, channels])
    patches = tf.gather(flat, place[..., 0] * width + place[..., 1], axis=1)
    patches = tf.transpose(patches, [0, 3, 2, 1])
    return tf.reshape(patches, [-1, channels * place.shape[1], place.shape[0]])


def fold(x, output_size, kernel_size, dilation=(1, 1), padding=(0, 0), stride=(1, 1)):
    """torch's fold into a channels-last image: overlapping windows are added up."""
    place = window_positions(output_size, kernel_size, dilation, padding, stride)
    height, width = [n + 2 * p for n, p in zip(output_size, padding)]
    channels = x.shape[1] // place.shape[1]
    patches = tf.reshape(x, [-1, channels, place.shape[1], place.shape[0]])
    patches = tf.reshape(tf.transpose(patches, [3, 2, 0, 1]), [place[..., 0].size, -1, channels])
    index = (place[..., 0] * width + place[..., 1]).ravel()
    image = tf.math.unsorted_segment_sum(patches, index, height * width)
    image = tf.reshape(tf.transpose(image, [1, 0, 2]), [-1, height, width, channels])
    top, left = padding
    return image[:, top : height - top, left : width - left]


def max_pool_with_indices(x, kernel_size, stride=None, padding=(0, 0)):
    """torch's max_pool2d(return_indices=True), channels last: maxima and row * width + column."""
    stride = stride or kernel_size
    (height, width), channels = x.shape[1:3], x.shape[3]
    place = window_positions((height, width), kernel_size, (1, 1), padding, stride)
    edges = [[0, 0], [padding[0]] * 2, [padding[1]] * 2, [0, 0]]
    x = tf.pad(x, edges, constant_values=tf.constant(-math.inf, x.dtype))
    flat = tf.reshape(x, [-1, x.shape[1] * x.shape[2], channels])
    windows = tf.gather(flat, place[..., 0] * x.shape[2] + place[..., 1], axis=1)
    windows = tf.transpose(windows, [0, 1, 3, 2])  # batch, windows, channels, kernel elements
    best = tf.argmax(windows, 3)
    values = tf.gather(windows, best, axis=3, batch_dims=3)
    top, left = [place[:, :1, axis] - padding[axis] for axis in (0, 1)]
    index = (top + best // kernel_size[1]) * width + left + best % kernel_size[1]
    shape = [-1, (x.shape[1] - kernel_size[0]) // stride[0] + 1, 1, channels]
    shape[2] = len(place) // shape[1]
    return tf.reshape(values, shape), tf.reshape(index, shape)


def max_unpool(x, indices, output_size):
    """torch's max_unpool2d, channels last: each value at its index, zeros elsewhere."""
    height, width = output_size
    shape = tf.shape(x)
    flat = [shape[0], shape[1] * shape[2], shape[3]]
    grid = tf.meshgrid(tf.range(flat[0]), tf.range(flat[1]), tf.range(flat[2]), indexing="ij")
    index = tf.cast(tf.reshape(indices, flat), tf.int32)
    where = tf.stack([grid[0], index // width, index % width, grid[2]], -1)
    image = tf.zeros([flat[0], height, width, flat[2]], x.dtype)
    return tf.tensor_scatter_nd_update(image, where, tf.reshape(x, flat))


def pixel_shuffle(x, factor):
    """torch's pixel_shuffle, channels last: channels are ordered (channel, row, column)."""
    channels = x.shape[-1] // factor**2
    order = np.arange(x.shape[-1]).reshape(channels, -1).T.ravel()
    return tf.nn.depth_to_space(tf.gather(x, order, axis=-1), factor)


def pixel_unshuffle(x, factor):
    """torch's pixel_unshuffle, channels last: channels are ordered (channel, row, column)."""
    order = np.arange(x.shape[-1] * factor**2).reshape(-1, x.shape[-1]).T.ravel()
    return tf.gather(tf.nn.space_to_depth(x, factor), order, axis=-1)


def affine_grid(theta, size, align_corners=False):
    """torch's affine_grid: sampling positions for images of (height, width) = size."""

    def line(n):
        if align_corners:
            return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        return (np.arange(n) * 2 + 1) / n - 1

    y, x = np.meshgrid(line(size[0]), line(size[1]), indexing="ij")
    places = tf.constant(np.stack([x, y, np.ones_like(x)], -1), theta.dtype)
    return tf.einsum("hwk,njk->nhwj", places, theta)


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    """torch's grid_sample of a channels-last image, padded with "zeros" or its "border"."""
    height, width = x.shape[1:3]

    def place(position, n):
        if align_corners:
            position = (position + 1) / 2 * (n - 1)
        else:
            position = ((position + 1) * n - 1) / 2
        return tf.clip_by_value(position, 0, n - 1) if padding_mode == "border" else position

    def pick(rows, columns):
        rows, columns = tf.cast(rows, tf.int32), tf.cast(columns, tf.int32)
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        rows = tf.clip_by_value(rows, 0, height - 1)
        columns = tf.clip_by_value(columns, 0, width - 1)
        values = tf.gather_nd(x, tf.stack([rows, columns], -1), batch_dims=1)
        return tf.where(inside[..., None], values, tf.zeros_like(values))

    columns, rows = place(grid[..., 0], width), place(grid[..., 1], height)
    if mode == "nearest":
        return pick(tf.round(rows), tf.round(columns))
    top, left = tf.floor(rows), tf.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = pick(top, left) * (1 - right) + pick(top, left + 1) * right
    lower = pick(top + 1, left) * (1 - right) + pick(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down
