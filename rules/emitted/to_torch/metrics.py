"""Metrics that are updated batch by batch, as those of ``keras.metrics``."""

import torch
import torch.nn.functional as F

from transpiler.rules.emitted.to_torch.functions import confusion_matrix


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


def accuracy_by_shape(y_true, y_pred):
    """What Keras takes "accuracy" for: it goes by the shapes of targets and predictions."""
    if y_pred.shape[-1] == 1:
        return binary_accuracy(y_true, y_pred)
    if y_true.dim() < y_pred.dim() or y_true.shape[-1] == 1:
        return sparse_categorical_accuracy(y_true, y_pred)
    return categorical_accuracy(y_true, y_pred)


def top_k_accuracy(y_true, y_pred, k=5):
    """1 for each example whose target's index is among the k largest predictions."""
    best = y_pred.topk(k, -1).indices
    return (best == y_true.reshape(-1, 1)).any(-1).to(torch.get_default_dtype())


def categorical_top_k_accuracy(y_true, y_pred, k=5):
    """1 for each example whose largest target is among the k largest predictions."""
    return top_k_accuracy(y_true.argmax(-1), y_pred, k)


def accuracy(y_true, y_pred):
    """1 for each prediction that is its target."""
    return (y_true.reshape(y_pred.shape) == y_pred).to(torch.get_default_dtype())


def similarity(y_true, y_pred):
    """keras.metrics.CosineSimilarity: 1 is best."""
    return F.cosine_similarity(y_true.to(y_pred.dtype), y_pred, dim=-1, eps=1e-12)


class Sum:
    """keras.metrics.Sum: the weighted sum of all values since the last reset."""

    def __init__(self, name=None):
        self.name = name
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0.0

    def update_state(self, values, sample_weight=None):
        values = torch.as_tensor(values, dtype=torch.get_default_dtype()).detach()
        weights = torch.ones_like(values)
        if sample_weight is not None:
            sample_weight = torch.as_tensor(sample_weight)
            weights = weights * sample_weight.reshape(-1, *[1] * (values.dim() - 1))
        self.total = self.total + (values * weights).sum()
        self.count = self.count + weights.sum()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def result(self):
        return torch.as_tensor(self.total)


class Mean(Sum):
    """keras.metrics.Mean: the weighted mean of all values since the last reset."""

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


class RootMeanSquaredError(Mean):
    """keras.metrics.RootMeanSquaredError: the root of the mean over all elements."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = torch.as_tensor(y_pred)
        errors = torch.as_tensor(y_true).reshape(y_pred.shape) - y_pred
        super().update_state(errors.square(), sample_weight)

    def result(self):
        return super().result().sqrt()


class Confusion:
    """True and false positives and negatives above a threshold, since the last reset."""

    def __init__(self, threshold=0.5, name=None):
        self.threshold = 0.5 if threshold is None else threshold
        self.name = name
        self.reset_state()

    def reset_state(self):
        self.tp = self.fp = self.tn = self.fn = 0.0

    def update_state(self, y_true, y_pred):
        y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
        positive, truth = y_pred > self.threshold, y_true.reshape(y_pred.shape) > 0.5
        self.tp = self.tp + (positive & truth).sum()
        self.fp = self.fp + (positive & ~truth).sum()
        self.tn = self.tn + (~positive & ~truth).sum()
        self.fn = self.fn + (~positive & truth).sum()

    def __call__(self, y_true, y_pred):
        self.update_state(y_true, y_pred)
        return self.result()

    def ratio(self, part, whole):
        return torch.as_tensor(part / whole if whole else 0.0)


class TruePositives(Confusion):
    """keras.metrics.TruePositives."""

    def result(self):
        return torch.as_tensor(self.tp)


class FalsePositives(Confusion):
    """keras.metrics.FalsePositives."""

    def result(self):
        return torch.as_tensor(self.fp)


class TrueNegatives(Confusion):
    """keras.metrics.TrueNegatives."""

    def result(self):
        return torch.as_tensor(self.tn)


class FalseNegatives(Confusion):
    """keras.metrics.FalseNegatives."""

    def result(self):
        return torch.as_tensor(self.fn)


class MeanIoU:
    """keras.metrics.MeanIoU of class indices: the mean over the classes that occur."""

    def __init__(self, num_classes, name=None):
        self.num_classes = num_classes
        self.name = name
        self.reset_state()

    def reset_state(self):
        self.matrix = torch.zeros(self.num_classes, self.num_classes)

    def update_state(self, y_true, y_pred):
        y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
        labels, found = y_true.flatten(), y_pred.flatten()
        matrix = confusion_matrix(labels, found, self.num_classes)
        self.matrix = self.matrix.to(matrix.device) + matrix

    def __call__(self, y_true, y_pred):
        self.update_state(y_true, y_pred)
        return self.result()

    def result(self):
        both = self.matrix.diagonal()
        either = self.matrix.sum(0) + self.matrix.sum(1) - both
        return (both[either > 0] / either[either > 0]).mean()


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

    def __init__(self, num_thresholds=200, name=None):
        self.name = name
        inner = torch.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        self.thresholds = torch.cat([torch.tensor([-1e-7]), inner, torch.tensor([1 + 1e-7])])
        self.reset_state()

    def reset_state(self):
        self.tp = self.fp = self.positives = self.negatives = 0.0

    def update_state(self, y_true, y_pred):
        y_pred = torch.as_tensor(y_pred)
        truth = torch.as_tensor(y_true).flatten() > 0.5
        above = y_pred.detach().flatten() > self.thresholds.to(y_pred)[:, None]
        self.tp = self.tp + (above & truth).sum(1)
        self.fp = self.fp + (above & ~truth).sum(1)
        self.positives = self.positives + truth.sum()
        self.negatives = self.negatives + (~truth).sum()

    def __call__(self, y_true, y_pred):
        self.update_state(y_true, y_pred)
        return self.result()

    def result(self):
        recall, fallout = self.tp / self.positives, self.fp / self.negatives
        return ((fallout[:-1] - fallout[1:]) * (recall[:-1] + recall[1:]) / 2).sum()


def to_categorical(labels, num_classes=None):
    """keras.utils.to_categorical: one-hot rows of the default dtype."""
    labels = torch.as_tensor(labels).long()
    rows = F.one_hot(labels, num_classes or int(labels.max()) + 1)
    return rows.to(torch.get_default_dtype())
