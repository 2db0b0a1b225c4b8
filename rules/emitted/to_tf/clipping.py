"""Gradient clipping as ``torch.nn.utils`` does it, on lists of gradients."""

import math

import tensorflow as tf


def gradient_norm(gradients, norm_type=2.0):
    """The norm of all gradients taken together; missing ones are left out."""
    gradients = [tf.convert_to_tensor(g) for g in gradients if g is not None]
    if norm_type == 2:
        return tf.linalg.global_norm(gradients)
    if norm_type == math.inf:
        return tf.reduce_max([tf.reduce_max(tf.abs(g)) for g in gradients])
    return tf.add_n([tf.reduce_sum(tf.abs(g) ** norm_type) for g in gradients]) ** (1 / norm_type)


def clip_grad_norm(gradients, max_norm, norm_type=2.0):
    """torch's clip_grad_norm_ (norm + 1e-6): the clipped gradients and the norm before."""
    norm = gradient_norm(gradients, norm_type)
    scale = tf.minimum(max_norm / (norm + 1e-6), 1.0)
    clipped = [None if g is None else tf.convert_to_tensor(g) * scale for g in gradients]
    return clipped, norm


def clip_grad_value(gradients, clip_value):
    """torch's clip_grad_value_: every element between -clip_value and clip_value."""
    return [
        None if g is None else tf.clip_by_value(tf.convert_to_tensor(g), -clip_value, clip_value)
        for g in gradients
    ]
