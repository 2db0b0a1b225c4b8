"""Small layers that Keras has and torch.nn lacks."""

import torch
from torch import nn


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


class Reshape(nn.Module):
    """keras.layers.Reshape: another shape for each example."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(len(x), *self.shape)


class Lambda(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class GlobalMaxPool(nn.Module):
    """keras' global maximum pooling of channels-first data: equal maxima share the gradient."""

    def __init__(self, keepdim=False):
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x):
        return x.amax(tuple(range(2, x.dim())), keepdim=self.keepdim)


class GlobalAvgPool(nn.Module):
    """keras' global average pooling of channels-first data."""

    def __init__(self, keepdim=False):
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x):
        return x.mean(tuple(range(2, x.dim())), keepdim=self.keepdim)


class GaussianNoise(nn.Module):
    """keras.layers.GaussianNoise: only while training."""

    def __init__(self, stddev):
        super().__init__()
        self.stddev = stddev

    def forward(self, x):
        return x + self.stddev * torch.randn_like(x) if self.training else x


def regularize(layer, l1=0.0, l2=0.0):
    """Remembers the penalty on a layer's weight, which `regularization` adds up."""
    layer.penalty = l1, l2
    return layer


def regularization(model):
    """The penalties on the weights of a model's layers, as Keras adds them to the loss."""
    total = 0.0
    for layer in model.modules():
        l1, l2 = getattr(layer, "penalty", (0.0, 0.0))
        if l1:
            total = total + l1 * layer.weight.abs().sum()
        if l2:
            total = total + l2 * layer.weight.square().sum()
    return total
