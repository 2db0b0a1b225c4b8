"""Tensor functions of torch that TensorFlow lacks or defines otherwise."""

import math

import keras
import tensorflow as tf


def positions_along(index, dim):
    """The position each element of index addresses along dim, for gather_nd and scatter_nd."""
    grid = tf.meshgrid(*[tf.range(n) for n in tf.unstack(tf.shape(index))], indexing="ij")
    grid[dim] = tf.cast(index, tf.int32)
    return tf.stack(grid, axis=-1)


def gather_along(x, dim, index):
    """torch.gather: one element of x for each of index, along dim."""
    return tf.gather_nd(x, positions_along(index, dim))


def scatter_along(x, dim, index, source):
    """torch.scatter: x with the elements of source (or a number) written at index along dim."""
    source = tf.convert_to_tensor(source, x.dtype)
    if source.shape.rank:
        source = tf.slice(source, [0] * source.shape.rank, tf.shape(index))
    source = tf.broadcast_to(source, tf.shape(index))
    return tf.tensor_scatter_nd_update(x, positions_along(index, dim), source)


def scatter_add_along(x, dim, index, source):
    """torch.scatter_add: x with the elements of source added at index along dim."""
    source = tf.slice(source, [0] * source.shape.rank, tf.shape(index))
    return tf.tensor_scatter_nd_add(x, positions_along(index, dim), source)


def index_add(x, dim, index, source):
    """torch.index_add: the slices of source are added to those of x that index names."""
    moved = tf.tensor_scatter_nd_add(
        keras.ops.moveaxis(x, dim, 0), index[:, None], keras.ops.moveaxis(source, dim, 0)
    )
    return keras.ops.moveaxis(moved, 0, dim)


def index_copy(x, dim, index, source):
    """torch.index_copy: the slices of source replace those of x that index names."""
    moved = tf.tensor_scatter_nd_update(
        keras.ops.moveaxis(x, dim, 0), index[:, None], keras.ops.moveaxis(source, dim, 0)
    )
    return keras.ops.moveaxis(moved, 0, dim)


def masked_scatter(x, mask, source):
    """torch.masked_scatter: the elements of source, in order, where mask is True."""
    where = tf.where(tf.broadcast_to(mask, tf.shape(x)))
    return tf.tensor_scatter_nd_update(x, where, tf.reshape(source, [-1])[: tf.shape(where)[0]])


def sort_along(x, dim=-1, descending=False):
    """torch.sort: the sorted values and their indices."""
    direction = "DESCENDING" if descending else "ASCENDING"
    index = tf.argsort(x, dim, direction, stable=True)
    return gather_along(x, dim, index), tf.cast(index, tf.int64)


def topk_along(x, k, dim=-1, largest=True):
    """torch.topk along any axis: values and indices, the best first."""
    moved = keras.ops.moveaxis(x, dim, -1)
    values, index = tf.math.top_k(moved if largest else -moved, k)
    values = keras.ops.moveaxis(values if largest else -values, -1, dim)
    return values, tf.cast(keras.ops.moveaxis(index, -1, dim), tf.int64)


def max_along(x, dim, keepdim=False):
    """torch.max along dim: values and first indices; the gradient goes to that element."""
    index = tf.expand_dims(tf.argmax(x, dim), dim)
    values = gather_along(x, dim, index)
    return (values, index) if keepdim else (tf.squeeze(values, dim), tf.squeeze(index, dim))


def min_along(x, dim, keepdim=False):
    """torch.min along dim: values and first indices; the gradient goes to that element."""
    index = tf.expand_dims(tf.argmin(x, dim), dim)
    values = gather_along(x, dim, index)
    return (values, index) if keepdim else (tf.squeeze(values, dim), tf.squeeze(index, dim))


def kthvalue(x, k, dim=-1, keepdim=False):
    """torch.kthvalue: the k-th smallest values along dim and their indices."""
    index = tf.gather(tf.argsort(x, dim, stable=True), [k - 1], axis=dim)
    values, index = gather_along(x, dim, index), tf.cast(index, tf.int64)
    return (values, index) if keepdim else (tf.squeeze(values, dim), tf.squeeze(index, dim))


def median(x):
    """torch.median of all elements: the lower of two middle ones."""
    x = tf.sort(tf.reshape(x, [-1]))
    return x[(tf.size(x) - 1) // 2]


def quantile(x, q, dim=None, keepdim=False):
    """torch.quantile with linear interpolation, for one q."""
    if dim is None:
        x, dim = tf.reshape(x, [-1]), 0
    x = tf.sort(x, axis=dim)
    position = q * tf.cast(tf.shape(x)[dim] - 1, x.dtype)
    low = tf.gather(x, [tf.cast(tf.floor(position), tf.int32)], axis=dim)
    high = tf.gather(x, [tf.cast(tf.math.ceil(position), tf.int32)], axis=dim)
    value = low + (high - low) * (position - tf.floor(position))
    return value if keepdim else tf.squeeze(value, dim)


def unique(x):
    """torch.unique: the sorted values, the inverse indices and the counts."""
    values, inverse, counts = tf.unique_with_counts(tf.reshape(x, [-1]), tf.int64)
    order = tf.argsort(values)
    inverse = tf.gather(tf.argsort(order), inverse)
    return tf.gather(values, order), tf.reshape(inverse, tf.shape(x)), tf.gather(counts, order)


def variance(x, axis=None, correction=1, keepdims=False):
    """torch.var: divides by n - 1."""
    result = tf.math.reduce_variance(x, axis, keepdims)
    count = tf.cast(tf.size(x), x.dtype) / tf.cast(tf.size(result), x.dtype)
    return result * count / (count - correction)


def standard_deviation(x, axis=None, correction=1, keepdims=False):
    """torch.std: divides by n - 1; no gradient, rather than NaN, where it is 0."""
    square = variance(x, axis, correction, keepdims)
    safe = tf.where(square > 0, square, tf.ones_like(square))
    return tf.where(square > 0, tf.sqrt(safe), tf.zeros_like(square))


def vector_norm(x, p=2, axis=None, keepdims=False):
    """torch.norm: no gradient, rather than NaN, where it is 0."""
    if p == math.inf:
        return tf.reduce_max(tf.abs(x), axis, keepdims)
    if p == 1:
        return tf.reduce_sum(tf.abs(x), axis, keepdims)
    power = tf.reduce_sum(x * x if p == 2 else tf.abs(x) ** p, axis, keepdims)
    safe = tf.where(power > 0, power, tf.ones_like(power))
    root = tf.sqrt(safe) if p == 2 else safe ** (1 / p)
    return tf.where(power > 0, root, tf.zeros_like(power))


def normalize(x, p=2, axis=1, eps=1e-12):
    """torch's normalize: divides by the norm, or by eps where that is larger."""
    return x / tf.maximum(vector_norm(x, p, axis, keepdims=True), eps)


def cosine_similarity(x, y, axis=1, eps=1e-8):
    """torch's cosine_similarity: each norm is at least eps."""
    x_norm = tf.maximum(vector_norm(x, 2, axis), eps)
    y_norm = tf.maximum(vector_norm(y, 2, axis), eps)
    return tf.reduce_sum(x * y, axis) / (x_norm * y_norm)


def pairwise_distance(x, y, p=2, eps=1e-6, keepdim=False):
    """torch's pairwise_distance: the norm of x - y + eps over the last axis."""
    return vector_norm(x - y + eps, p, -1, keepdim)


def cdist(x, y, p=2):
    """torch.cdist: distances between all rows of x and all rows of y."""
    return vector_norm(x[..., :, None, :] - y[..., None, :, :], p, -1)


def split_by_size(x, size, axis=0):
    """torch.split: parts of the given size, the last one smaller if need be."""
    whole, rest = divmod(x.shape[axis], size)
    return tf.split(x, [size] * whole + [rest] * (rest > 0), axis)


def chunk(x, chunks, axis=0):
    """torch.chunk: at most that many parts of equal size, the last one smaller if need be."""
    return split_by_size(x, -(-x.shape[axis] // chunks), axis)


def pad_edges(x, paddings, mode):
    """tf.pad with torch's modes "replicate" and "circular"."""
    for axis, (before, after) in enumerate(paddings):
        size = tf.shape(x)[axis]
        index = tf.range(-before, size + after)
        index = index % size if mode == "circular" else tf.clip_by_value(index, 0, size - 1)
        x = tf.gather(x, index, axis=axis) if before or after else x
    return x


def pad_sequence(sequences, batch_first=False, padding_value=0):
    """torch's pad_sequence: sequences of different length in one tensor, padded at the end."""
    longest = max(len(s) for s in sequences)
    padded = [
        tf.pad(
            s,
            [[0, longest - len(s)]] + [[0, 0]] * (len(s.shape) - 1),
            constant_values=tf.constant(padding_value, s.dtype),
        )
        for s in map(tf.convert_to_tensor, sequences)
    ]
    return tf.stack(padded, axis=0 if batch_first else 1)


def multinomial(weights, num_samples, replacement=False):
    """torch.multinomial: indices drawn with the given weights, by default each one once."""
    logits = tf.math.log(weights[None] if weights.shape.rank == 1 else weights)
    if replacement:
        index = tf.random.categorical(logits, num_samples)
    else:  # the largest of logits + Gumbel noise are a sample without replacement
        noise = -tf.math.log(-tf.math.log(tf.random.uniform(tf.shape(logits), dtype=logits.dtype)))
        index = tf.cast(tf.math.top_k(logits + noise, num_samples).indices, tf.int64)
    return index[0] if weights.shape.rank == 1 else index


def gumbel_softmax(logits, tau=1.0, hard=False, axis=-1):
    """torch's gumbel_softmax; hard samples are one-hot with the gradient of the soft ones."""
    noise = -tf.math.log(-tf.math.log(tf.random.uniform(tf.shape(logits), dtype=logits.dtype)))
    soft = tf.nn.softmax((logits + noise) / tau, axis)
    if not hard:
        return soft
    best = tf.one_hot(tf.argmax(soft, axis), logits.shape[axis], axis=axis, dtype=soft.dtype)
    return tf.stop_gradient(best - soft) + soft
