"""Metrics that are updated batch by batch, as those of ``keras.metrics``."""

import torch
import torch.nn.functional as F


def sparse_categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the target's index."""
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    return (y_pred.argmax(-1) == y_true).to(torch.get_default_dtype())


def categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the largest target."""
    return (y_pred.argmax(-1) == y_true.argmax(-1)).to(torch.get_default_dtype())


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """For each example, the part of the predictions that is on the target's side."""
    hits = (y_pred > threshold) == (y_true.reshape(y_pred.shape) > 0.5)
    return hits.to(torch.get_default_dtype()).mean(-1)


def top_k_accuracy(y_true, y_pred, k=5):
    """1 for each example whose target's index is among the k largest predictions."""
    best = y_pred.topk(k, -1).indices
    return (best == y_true.reshape(-1, 1)).any(-1).to(torch.get_default_dtype())


class Mean:
    """keras.metrics.Mean: the weighted mean of all values since the last reset."""

    def __init__(self):
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0.0

    def update_state(self, values, sample_weight=None):
        values = torch.as_tensor(values, dtype=torch.get_default_dtype()).detach()
        weights = torch.ones_like(values)
        if sample_weight is not None:
            weights = weights * sample_weight.reshape(-1, *[1] * (values.dim() - 1))
        self.total = self.total + (values * weights).sum()
        self.count = self.count + weights.sum()

    __call__ = update_state

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


class Confusion:
    """True and false positives and negatives above a threshold, since the last reset."""

    def __init__(self, threshold=0.5):
        self.threshold = threshold
        self.reset_state()

    def reset_state(self):
        self.tp = self.fp = self.tn = self.fn = 0.0

    def update_state(self, y_true, y_pred):
        positive, truth = y_pred > self.threshold, y_true.reshape(y_pred.shape) > 0.5
        self.tp = self.tp + (positive & truth).sum()
        self.fp = self.fp + (positive & ~truth).sum()
        self.tn = self.tn + (~positive & ~truth).sum()
        self.fn = self.fn + (~positive & truth).sum()

    def ratio(self, part, whole):
        return torch.as_tensor(part / whole if whole else 0.0)


class Precision(Confusion):
    """keras.metrics.Precision: the part of the positive predictions that is right."""

    def result(self):
        return self.ratio(self.tp, self.tp + self.fp)


class Recall(Confusion):
    """keras.metrics.Recall: the part of the positive targets that is found."""

    def result(self):
        return self.ratio(self.tp, self.tp + self.fn)


class AUC:
    """keras.metrics.AUC: the area under the ROC curve at 200 thresholds."""

    def __init__(self, num_thresholds=200):
        inner = torch.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        self.thresholds = torch.cat([torch.tensor([-1e-7]), inner, torch.tensor([1 + 1e-7])])
        self.reset_state()

    def reset_state(self):
        self.tp = self.fp = self.positives = self.negatives = 0.0

    def update_state(self, y_true, y_pred):
        truth = y_true.flatten() > 0.5
        above = y_pred.detach().flatten() > self.thresholds.to(y_pred)[:, None]
        self.tp = self.tp + (above & truth).sum(1)
        self.fp = self.fp + (above & ~truth).sum(1)
        self.positives = self.positives + truth.sum()
        self.negatives = self.negatives + (~truth).sum()

    def result(self):
        recall, fallout = self.tp / self.positives, self.fp / self.negatives
        return ((fallout[:-1] - fallout[1:]) * (recall[:-1] + recall[1:]) / 2).sum()


def confusion_matrix(y_true, y_pred, num_classes=None):
    """tf.math.confusion_matrix: rows are targets, columns predictions."""
    n = num_classes or int(max(y_true.max(), y_pred.max())) + 1
    pairs = y_true.flatten().long() * n + y_pred.flatten().long()
    return torch.bincount(pairs, minlength=n * n).reshape(n, n)


def to_categorical(labels, num_classes=None):
    """keras.utils.to_categorical: one-hot rows of the default dtype."""
    labels = torch.as_tensor(labels).long()
    rows = F.one_hot(labels, num_classes or int(labels.max()) + 1)
    return rows.to(torch.get_default_dtype())
