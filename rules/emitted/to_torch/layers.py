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


def get_activation(name):
    """keras.activations.get: a module for a name or None; modules and functions stay."""
    if callable(name):
        return name if isinstance(name, nn.Module) else Lambda(name)
    modules = {
        "relu": nn.ReLU(),
        "sigmoid": nn.Sigmoid(),
        "tanh": nn.Tanh(),
        "softmax": nn.Softmax(-1),
        "elu": nn.ELU(),
        "selu": nn.SELU(),
        "gelu": nn.GELU(),
        "silu": nn.SiLU(),
        "swish": nn.SiLU(),
        "leaky_relu": nn.LeakyReLU(0.2),
        "softplus": nn.Softplus(),
        "softsign": nn.Softsign(),
        "mish": nn.Mish(),
        "exponential": Lambda(torch.exp),
    }
    return nn.Identity() if name in (None, "linear") else modules[name]


class Rescaling(nn.Module):
    """keras.layers.Rescaling: scale * x + offset."""

    def __init__(self, scale, offset=0.0):
        super().__init__()
        self.scale = scale
        self.offset = offset

    def forward(self, x):
        return x * self.scale + self.offset


class RepeatVector(nn.Module):
    """keras.layers.RepeatVector: each example n times, along a new axis of steps."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, x):
        return x.unsqueeze(1).repeat(1, self.n, 1)


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


def regularize(layer, l1=0.0, l2=0.0, name="weight"):
    """Remembers the penalty on a layer's weight, which `regularization` adds up."""
    layer.penalties = [*getattr(layer, "penalties", ()), (name, l1, l2)]
    return layer


def regularization(model):
    """The penalties on the weights of a model's layers, as Keras adds them to the loss."""
    total = 0.0
    for layer in model.modules():
        for name, l1, l2 in getattr(layer, "penalties", ()):
            weight = getattr(layer, name)
            if not weight.requires_grad:
                continue  # Keras leaves frozen weights out
            if l1:
                total = total + l1 * weight.abs().sum()
            if l2:
                total = total + l2 * weight.square().sum()
    return total


def set_trainable(module, trainable):
    """keras' `layer.trainable = ...`: frozen batch norms use their moving statistics."""
    module.requires_grad_(trainable)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            mode = type(part).train
            part.train = lambda on=True, part=part, mode=mode: mode(part, on and trainable)
            part.train(part.training)
    return module


class ActivityPenalty(nn.Module):
    """keras' activity_regularizer: the penalty on what comes through, by example."""

    def __init__(self, l1=0.0, l2=0.0):
        super().__init__()
        self.factors = l1, l2
        self.added_loss = 0.0

    def forward(self, x):
        l1, l2 = self.factors
        self.added_loss = (l1 * x.abs().sum() + l2 * x.square().sum()) / len(x)
        return x


class GaussianDropout(nn.Module):
    """keras.layers.GaussianDropout: factors around one, only while training."""

    def __init__(self, stddev):
        super().__init__()
        self.stddev = stddev

    def forward(self, x):
        return x * (1 + self.stddev * torch.randn_like(x)) if self.training else x


def constrain(layer, function, name="weight"):
    """Remembers what keeps a layer's weight in bounds, which `apply_constraints` does."""
    layer.constraints = {**getattr(layer, "constraints", {}), name: function}
    return layer


def limit_norm(weight, max_value=None, dim=1):
    """keras.constraints.MaxNorm along an axis, UnitNorm without a limit."""
    norms = weight.square().sum(dim, keepdim=True).sqrt()
    return weight * ((1.0 if max_value is None else norms.clamp(0, max_value)) / (1e-7 + norms))


def apply_constraints(model):
    """Puts the weights of a model's layers back into their bounds, after a step."""
    with torch.no_grad():
        for layer in model.modules():
            for name, function in getattr(layer, "constraints", {}).items():
                weight = getattr(layer, name)
                weight.copy_(function(weight))
