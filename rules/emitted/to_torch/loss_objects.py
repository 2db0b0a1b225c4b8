"""Losses as objects, and of logits: what ``keras.losses`` does when it is called on a batch."""

import torch
import torch.nn.functional as F

from transpiler.rules.emitted.to_torch.losses import like, smooth_labels


class MeanLoss:
    """A loss called as those of keras.losses: targets first, the mean over all examples."""

    def __init__(self, function, reduction="mean", **options):
        self.function = function
        self.reduction = reduction
        self.options = options

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = self.function(y_true, y_pred, **self.options)
        if sample_weight is not None:
            weights = torch.as_tensor(sample_weight, dtype=losses.dtype, device=losses.device)
            if weights.dim() == losses.dim() + 1:
                weights = weights.squeeze(-1)
            losses = losses * weights.reshape(weights.shape + (1,) * (losses.dim() - weights.dim()))
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        ignored = self.options.get("ignore_class")
        if ignored is None:
            return losses.mean()
        kept = (torch.as_tensor(y_true) != ignored).sum()  # the mean is over these only
        return losses.sum() / kept.clamp_min(1)


def sparse_cross_entropy(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of logits."""
    y_true = torch.as_tensor(y_true, device=y_pred.device).long()
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    ignored = -100 if ignore_class is None else ignore_class
    scores = y_pred.movedim(-1, 1) if y_pred.dim() > 1 else y_pred
    return F.cross_entropy(scores, y_true, ignore_index=ignored, reduction="none")


def soft_cross_entropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.categorical_crossentropy of logits.

    TensorFlow's gradient is softmax - y_true, also where the targets do not sum to 1.
    """
    y_true = smooth_labels(like(y_true, y_pred), label_smoothing)
    total = y_pred.logsumexp(-1)
    rest = (1 - y_true.sum(-1)) * (total - total.detach())  # 0, but for its gradient
    return rest - (y_true * y_pred.log_softmax(-1)).sum(-1)


def binary_cross_entropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of logits."""
    y_true = like(y_true, y_pred) * (1 - label_smoothing) + 0.5 * label_smoothing
    return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none").mean(-1)


def sparse_log_loss(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of a softmax, without clipping."""
    logits = y_pred.clamp_min(torch.finfo(y_pred.dtype).tiny).log()
    return sparse_cross_entropy(y_true, logits, ignore_class)


def soft_log_loss(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.categorical_crossentropy of a softmax, without clipping."""
    y_true = smooth_labels(like(y_true, y_pred), label_smoothing)
    return -(y_true * y_pred.clamp_min(torch.finfo(y_pred.dtype).tiny).log()).sum(-1)


def binary_log_loss(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of a sigmoid, from its logits."""
    logits = y_pred.logit(torch.finfo(y_pred.dtype).eps)
    return binary_cross_entropy(y_true, logits, label_smoothing)
