"""Tensors with some elements replaced: TensorFlow's tensors are never changed in place."""

import tensorflow as tf


def assign_at(x, index, value):
    """x with value written at x[index]; index holds integers and slices."""
    places = tf.reshape(tf.range(tf.size(x)), tf.shape(x))[index]
    value = tf.cast(value, x.dtype)
    value = tf.reshape(value, tf.shape(value)[max(value.ndim - places.ndim, 0) :])
    value = tf.broadcast_to(value, tf.shape(places))
    flat = tf.tensor_scatter_nd_update(
        tf.reshape(x, [-1]), tf.reshape(places, [-1, 1]), tf.reshape(value, [-1])
    )
    return tf.reshape(flat, tf.shape(x))


def assign_elements(x, indices, value):
    """x with value written at x[i], or x[i, j] ..., for integer tensors i, j ..."""
    indices = [tf.cast(i, tf.int64) for i in indices]
    shape = indices[0].shape
    for index in indices[1:]:
        shape = tf.broadcast_static_shape(shape, index.shape)
    places = tf.stack([tf.broadcast_to(i, shape) for i in indices], axis=-1)
    shape = tf.concat([tf.shape(places)[:-1], tf.shape(x)[len(indices) :]], axis=0)
    value = tf.broadcast_to(tf.cast(value, x.dtype), shape)
    return tf.tensor_scatter_nd_update(x, places, value)


def gather_elements(x, indices):
    """x[i, j] ... for integer tensors i, j ... of different shapes."""
    shape = indices[0].shape
    for index in indices[1:]:
        shape = tf.broadcast_static_shape(shape, index.shape)
    return tf.gather_nd(x, tf.stack([tf.broadcast_to(i, shape) for i in indices], axis=-1))


def bernoulli(chances):
    """torch.bernoulli: ones with the given chances, zeros otherwise."""
    return tf.cast(
        tf.random.uniform(tf.shape(chances), dtype=chances.dtype) < chances, chances.dtype
    )


def layer_norm(x, weight=None, bias=None, axes=(-1,), eps=1e-5):
    """torch's layer_norm over the last axes, with an optional weight and bias."""
    axes = list(axes)
    mean, var = tf.nn.moments(x, axes, keepdims=True)
    x = (x - mean) * tf.math.rsqrt(var + eps)
    if weight is not None:
        x = x * weight
    return x if bias is None else x + bias
