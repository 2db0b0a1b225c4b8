"""Losses as ``torch.nn.functional`` defines them, called as there: (input, target)."""

import math

import keras
import tensorflow as tf

from .tensors import pairwise_distance


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean", axis=-1):
    """torch's nll_loss: the mean divides by the weights of the targets that count."""
    log_p = keras.ops.moveaxis(input, axis, -1)
    counts = target != ignore_index
    index = tf.where(counts, target, tf.zeros_like(target))
    weights = tf.ones_like(log_p[..., 0]) if weight is None else tf.gather(weight, index)
    weights = tf.where(counts, weights, tf.zeros_like(weights))
    loss = -weights * tf.gather(log_p, index, axis=-1, batch_dims=len(index.shape))
    if reduction == "mean":
        return tf.reduce_sum(loss) / tf.reduce_sum(weights)
    return reduce_loss(loss, reduction)


def cross_entropy(
    input,
    target,
    weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
    axis=-1,
):
    """torch's cross_entropy of logits and class indices; classes lie along axis."""
    log_p = tf.nn.log_softmax(keras.ops.moveaxis(input, axis, -1))
    if not label_smoothing:
        return nll_loss(log_p, target, weight, ignore_index, reduction)
    counts = target != ignore_index
    index = tf.where(counts, target, tf.zeros_like(target))
    smooth = log_p if weight is None else weight * log_p
    smooth = -tf.reduce_mean(smooth, -1)
    smooth = tf.where(counts, smooth, tf.zeros_like(smooth))
    loss = nll_loss(log_p, target, weight, ignore_index, "none")
    loss = (1 - label_smoothing) * loss + label_smoothing * smooth
    if reduction == "mean":
        weights = tf.ones_like(loss) if weight is None else tf.gather(weight, index)
        return tf.reduce_sum(loss) / tf.reduce_sum(tf.where(counts, weights, tf.zeros_like(loss)))
    return reduce_loss(loss, reduction)


def soft_cross_entropy(input, target, weight=None, reduction="mean", label_smoothing=0.0, axis=-1):
    """torch's cross_entropy of logits and class probabilities; classes lie along axis."""
    log_p = tf.nn.log_softmax(keras.ops.moveaxis(input, axis, -1))
    target = keras.ops.moveaxis(target, axis, -1)
    target = (1 - label_smoothing) * target + label_smoothing / target.shape[-1]
    loss = target * log_p if weight is None else weight * target * log_p
    return reduce_loss(-tf.reduce_sum(loss, -1), reduction)


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """torch's binary_cross_entropy: logarithms end at -100, the gradient stays finite."""
    target = tf.cast(target, input.dtype)

    @tf.custom_gradient
    def cross_entropy_of(p):
        log_p, log_q = [tf.maximum(log, -100.0) for log in (tf.math.log(p), tf.math.log1p(-p))]

        def gradient(upstream):
            return upstream * (p - target) / tf.maximum(p * (1 - p), 1e-12)

        return -(target * log_p + (1 - target) * log_q), gradient

    loss = cross_entropy_of(input)
    return reduce_loss(loss if weight is None else weight * loss, reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """torch's function: weight per element, pos_weight for the positive targets."""
    target = tf.cast(target, input.dtype)
    if pos_weight is None:
        loss = tf.nn.sigmoid_cross_entropy_with_logits(target, input)
    else:
        loss = tf.nn.weighted_cross_entropy_with_logits(target, input, pos_weight)
    return reduce_loss(loss if weight is None else weight * loss, reduction)


def mse_loss(input, target, reduction="mean"):
    """torch's mse_loss: every element counts, none are averaged first."""
    return reduce_loss(tf.square(input - target), reduction)


def l1_loss(input, target, reduction="mean"):
    """torch's l1_loss: every element counts, none are averaged first."""
    return reduce_loss(tf.abs(input - target), reduction)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """torch's smooth_l1_loss: quadratic below beta, then linear with slope 1."""
    error = tf.abs(input - target)
    if beta > 0:
        error = tf.where(error < beta, 0.5 * error**2 / beta, error - 0.5 * beta)
    return reduce_loss(error, reduction)


def huber_loss(input, target, reduction="mean", delta=1.0):
    """torch's huber_loss: quadratic up to delta, then linear with slope delta."""
    error = tf.abs(input - target)
    loss = tf.where(error <= delta, 0.5 * error**2, delta * (error - 0.5 * delta))
    return reduce_loss(loss, reduction)


def kl_div(input, target, reduction="mean", log_target=False):
    """torch's kl_div of log-probabilities; "batchmean" divides by the batch size only."""
    if log_target:
        loss = tf.exp(target) * (target - input)
    else:
        loss = tf.math.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return tf.reduce_sum(loss) / tf.cast(tf.shape(input)[0], loss.dtype)
    return reduce_loss(loss, reduction)


def cosine_embedding_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """torch's cosine_embedding_loss: 1e-12 is added to each squared norm."""
    square = lambda x: tf.reduce_sum(x * x, -1) + 1e-12
    cosine = tf.reduce_sum(input1 * input2, -1) / tf.sqrt(square(input1) * square(input2))
    loss = tf.where(target > 0, 1 - cosine, tf.maximum(cosine - margin, 0.0))
    return reduce_loss(loss, reduction)


def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, reduction="mean"
):
    """torch's triplet_margin_loss: eps is added to the differences, not to the norms."""
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = tf.minimum(far, pairwise_distance(positive, negative, p, eps))
    loss = tf.maximum(pairwise_distance(anchor, positive, p, eps) - far + margin, 0.0)
    return reduce_loss(loss, reduction)


def margin_ranking_loss(input1, input2, target, margin=0.0, reduction="mean"):
    """torch's margin_ranking_loss: target 1 ranks input1 higher, -1 input2."""
    target = tf.cast(target, input1.dtype)
    return reduce_loss(tf.maximum(-target * (input1 - input2) + margin, 0.0), reduction)


def hinge_embedding_loss(input, target, margin=1.0, reduction="mean"):
    """torch's hinge_embedding_loss for targets 1 and -1."""
    loss = tf.where(target > 0, input, tf.maximum(margin - input, 0.0))
    return reduce_loss(loss, reduction)


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """torch's multi_margin_loss: summed over the other classes, divided by their number + 1."""
    loss = tf.nn.relu(margin - tf.gather(input, target[:, None], batch_dims=1) + input) ** p
    others = 1 - tf.one_hot(target, input.shape[1], dtype=input.dtype)
    loss = tf.reduce_sum(loss * others, 1) / input.shape[1]
    return reduce_loss(loss if weight is None else tf.gather(weight, target) * loss, reduction)


def multilabel_soft_margin_loss(input, target, weight=None, reduction="mean"):
    """torch's multilabel_soft_margin_loss: the classes' mean for each example."""
    loss = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(target, input.dtype), input)
    loss = tf.reduce_mean(loss if weight is None else weight * loss, -1)
    return reduce_loss(loss, reduction)


def soft_margin_loss(input, target, reduction="mean"):
    """torch's soft_margin_loss for targets 1 and -1."""
    return reduce_loss(tf.math.log1p(tf.exp(-tf.cast(target, input.dtype) * input)), reduction)


def poisson_nll_loss(input, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    """torch's poisson_nll_loss; full adds Stirling's term for targets above 1."""
    if log_input:
        loss = tf.exp(input) - target * input
    else:
        loss = input - target * tf.math.log(input + eps)
    if full:
        large = tf.maximum(target, 1.0)
        stirling = large * tf.math.log(large) - large + 0.5 * tf.math.log(2 * math.pi * large)
        loss += tf.where(target > 1, stirling, tf.zeros_like(stirling))
    return reduce_loss(loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """torch's gaussian_nll_loss: var is at least eps, which does not stop its gradient."""
    var = var + tf.stop_gradient(tf.maximum(var, eps) - var)
    loss = 0.5 * (tf.math.log(var) + tf.square(input - target) / var)
    return reduce_loss(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def ctc_loss(
    log_probs,
    targets,
    input_lengths,
    target_lengths,
    blank=0,
    reduction="mean",
    zero_infinity=False,
):
    """torch's ctc_loss of (time, batch, classes), in single precision; the mean is per label."""
    lengths = tf.cast(target_lengths, tf.int32)
    loss = tf.nn.ctc_loss(
        tf.cast(targets, tf.int32),
        tf.cast(log_probs, tf.float32),
        lengths,
        tf.cast(input_lengths, tf.int32),
        blank_index=blank,
    )
    if zero_infinity:
        loss = tf.where(loss < 1e20, loss, tf.zeros_like(loss))
    if reduction == "mean":
        loss /= tf.cast(tf.maximum(lengths, 1), tf.float32)
    return reduce_loss(tf.cast(loss, log_probs.dtype), reduction)
