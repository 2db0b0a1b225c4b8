"""Normalization with Keras' statistics."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class KerasBatchNorm(nn.modules.batchnorm._BatchNorm):
    """BatchNorm of any rank whose running variance takes the biased batch variance, as Keras'."""

    def __init__(self, num_features, eps=1e-3, momentum=0.01, center=True, scale=True):
        super().__init__(num_features, eps, momentum)
        if not center:
            self.bias = None
        if not scale:
            self.weight = None

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            axes = [axis for axis in range(x.dim()) if axis != 1]
            self.running_mean.lerp_(x.mean(axes), self.momentum)
            self.running_var.lerp_(x.var(axes, unbiased=False), self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


class LazyKerasBatchNorm(nn.modules.lazy.LazyModuleMixin, KerasBatchNorm):
    """A KerasBatchNorm that finds its size at its first call."""

    cls_to_become = KerasBatchNorm

    def __init__(self, eps=1e-3, momentum=0.01):
        super().__init__(0, eps, momentum)
        self.weight, self.bias = nn.UninitializedParameter(), nn.UninitializedParameter()
        self.running_mean, self.running_var = nn.UninitializedBuffer(), nn.UninitializedBuffer()

    def initialize_parameters(self, x):
        if self.has_uninitialized_params():
            self.num_features = x.shape[1]
            for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
                tensor.materialize((self.num_features,))
            self.reset_parameters()


class Normalization(nn.Module):
    """keras.layers.Normalization: adapt() sets mean and variance of the last axis, or of all."""

    def __init__(self, mean=0.0, variance=1.0, axis=-1):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean))
        self.register_buffer("variance", torch.as_tensor(variance))
        self.axis = axis

    def adapt(self, data):
        if not isinstance(data, (list, tuple)) and not hasattr(data, "__array__"):
            data = torch.cat(list(data))  # batches
        data = data if isinstance(data, torch.Tensor) else np.asarray(data)
        data = torch.as_tensor(data, dtype=torch.get_default_dtype())
        data = data.flatten() if self.axis is None else data.flatten(0, -2)
        data = data.to(self.mean.device)
        self.mean, self.variance = data.mean(0), data.var(0, unbiased=False)

    def forward(self, x):
        return (x - self.mean) / self.variance.sqrt().clamp(min=1e-7)
