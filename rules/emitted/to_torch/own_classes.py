"""What losses and metrics of a program's own are derived from."""

import torch

from transpiler.rules.emitted.to_torch.losses import weighted_mean


class KerasLoss:
    """keras.losses.Loss: the mean of what `call` gives for each example."""

    def __init__(self, name=None, reduction="sum_over_batch_size", **options):
        self.name = name
        self.reduction = reduction

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = torch.as_tensor(self.call(y_true, y_pred))
        if self.reduction in ("none", None):
            return losses
        if self.reduction == "sum":
            return losses.sum()
        return weighted_mean(losses, sample_weight)


class KerasMetric:
    """keras.metrics.Metric: `update_state` batch by batch, `result`, and zeros at a reset."""

    def __init__(self, name=None, **options):
        self.name = name or type(self).__name__

    def reset_state(self):
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, torch.zeros_like(value))
            elif hasattr(value, "reset_state"):
                value.reset_state()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()
