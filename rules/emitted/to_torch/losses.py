"""Losses of ``keras.losses``, per example as its functions give them: take .mean() of them."""

import math

import torch
import torch.nn.functional as F


def like(y_true, y_pred):
    """Targets with the dtype and rank of the predictions, as Keras' losses take them."""
    y_true = torch.as_tensor(y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.dim() == y_pred.dim() + 1:
        return y_true.squeeze(-1)
    return y_true.unsqueeze(-1) if y_true.dim() == y_pred.dim() - 1 else y_true


def mean_squared_error(y_true, y_pred):
    """keras.losses.mean_squared_error: the mean over the last axis."""
    return (y_pred - like(y_true, y_pred)).square().mean(-1)


def mean_absolute_error(y_true, y_pred):
    """keras.losses.mean_absolute_error: the mean over the last axis."""
    return (y_pred - like(y_true, y_pred)).abs().mean(-1)


def mean_absolute_percentage_error(y_true, y_pred):
    """keras.losses.mean_absolute_percentage_error: divides by at least 1e-7."""
    y_true = like(y_true, y_pred)
    return 100 * ((y_true - y_pred) / y_true.abs().clamp(min=1e-7)).abs().mean(-1)


def mean_squared_logarithmic_error(y_true, y_pred):
    """keras.losses.mean_squared_logarithmic_error of values that are at least 1e-7."""
    logs = [(y.clamp(min=1e-7) + 1).log() for y in (like(y_true, y_pred), y_pred)]
    return (logs[0] - logs[1]).square().mean(-1)


def huber(y_true, y_pred, delta=1.0):
    """keras.losses.huber: the mean over the last axis."""
    return F.huber_loss(y_pred, like(y_true, y_pred), delta=delta, reduction="none").mean(-1)


def log_cosh(y_true, y_pred):
    """keras.losses.log_cosh: log(cosh(error)) without overflow."""
    error = y_pred - like(y_true, y_pred)
    return (error + F.softplus(-2 * error, threshold=1e9) - math.log(2)).mean(-1)


def poisson(y_true, y_pred):
    """keras.losses.poisson: 1e-7 is added inside the logarithm."""
    return (y_pred - like(y_true, y_pred) * (y_pred + 1e-7).log()).mean(-1)


def kl_divergence(y_true, y_pred):
    """keras.losses.kl_divergence of probabilities, which are at least 1e-7."""
    y_true, y_pred = like(y_true, y_pred).clamp(1e-7, 1), y_pred.clamp(1e-7, 1)
    return (y_true * (y_true / y_pred).log()).sum(-1)


def cosine_similarity(y_true, y_pred):
    """keras.losses.cosine_similarity: -1 is best."""
    unit = lambda y: y / y.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
    return -(unit(like(y_true, y_pred)) * unit(y_pred)).sum(-1)


def signs(y_true, y_pred):
    """Targets -1 and 1; targets 0 and 1 are converted."""
    y_true = like(y_true, y_pred)
    return 2 * y_true - 1 if ((y_true == 0) | (y_true == 1)).all() else y_true


def hinge(y_true, y_pred):
    """keras.losses.hinge for targets -1 and 1, or 0 and 1."""
    return (1 - signs(y_true, y_pred) * y_pred).clamp(min=0).mean(-1)


def squared_hinge(y_true, y_pred):
    """keras.losses.squared_hinge for targets -1 and 1, or 0 and 1."""
    return (1 - signs(y_true, y_pred) * y_pred).clamp(min=0).square().mean(-1)


def categorical_hinge(y_true, y_pred):
    """keras.losses.categorical_hinge for one-hot targets."""
    y_true = like(y_true, y_pred)
    other = (y_pred * (1 - y_true)).amax(-1)
    return (1 + other - (y_pred * y_true).sum(-1)).clamp(min=0)


def smooth_labels(y_true, label_smoothing):
    """One-hot targets mixed with equal probabilities."""
    return y_true * (1 - label_smoothing) + label_smoothing / y_true.shape[-1]


def categorical_crossentropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.categorical_crossentropy of probabilities, which are clipped to 1e-7."""
    y_true = smooth_labels(like(y_true, y_pred), label_smoothing)
    p = y_pred / y_pred.sum(-1, keepdim=True)
    return -(y_true * p.clamp(1e-7, 1 - 1e-7).log()).sum(-1)


def sparse_categorical_crossentropy(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of probabilities, clipped to 1e-7."""
    logits = y_pred.clamp(1e-7, 1 - 1e-7).log()
    y_true = torch.as_tensor(y_true, device=y_pred.device).long()
    y_true = y_true.squeeze(-1) if y_true.dim() == logits.dim() else y_true
    options = {} if ignore_class is None else {"ignore_index": ignore_class}
    return F.cross_entropy(logits.movedim(-1, 1), y_true, reduction="none", **options)


def binary_crossentropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of probabilities, which are clipped to 1e-7."""
    y_true = like(y_true, y_pred) * (1 - label_smoothing) + 0.5 * label_smoothing
    p = y_pred.clamp(1e-7, 1 - 1e-7)
    return F.binary_cross_entropy(p, y_true, reduction="none").mean(-1)


def binary_focal_crossentropy(y_true, y_pred, apply_class_balancing=False, alpha=0.25, gamma=2.0):
    """keras.losses.binary_focal_crossentropy of probabilities, clipped to 1e-7."""
    y_true, p = like(y_true, y_pred), y_pred.clamp(1e-7, 1 - 1e-7)
    right = y_true * p + (1 - y_true) * (1 - p)
    loss = (1 - right) ** gamma * F.binary_cross_entropy(p, y_true, reduction="none")
    if apply_class_balancing:
        loss = loss * (y_true * alpha + (1 - y_true) * (1 - alpha))
    return loss.mean(-1)


def categorical_focal_crossentropy(y_true, y_pred, alpha=0.25, gamma=2.0):
    """keras.losses.categorical_focal_crossentropy of probabilities, clipped to 1e-7."""
    p = (y_pred / y_pred.sum(-1, keepdim=True)).clamp(1e-7, 1 - 1e-7)
    return -(alpha * (1 - p) ** gamma * like(y_true, y_pred) * p.log()).sum(-1)


def weighted_mean(losses, sample_weight=None):
    """Keras' loss with sample weights: their weighted sum divided by the number of losses."""
    if sample_weight is None:
        return losses.mean()
    weights = sample_weight.reshape(
        sample_weight.shape + (1,) * (losses.dim() - sample_weight.dim())
    )
    return (losses * weights).sum() / losses.numel()
