"""Initial values as Keras draws them, put into modules of PyTorch's."""

import torch
from torch import nn


def initialize(layer, weight=nn.init.xavier_uniform_, bias=nn.init.zeros_):
    """Gives a layer Keras' initial values: Glorot uniform weights and zero biases, if not told."""
    weight(layer.weight)
    if getattr(layer, "bias", None) is not None:
        bias(layer.bias)
    return layer


def initialize_recurrent(layer):
    """Keras' initial values of a recurrent layer; the biases of an LSTM's forget gate are 1."""
    for name, value in layer.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(value)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(value)
        else:
            nn.init.zeros_(value)
            if layer.mode == "LSTM" and name.startswith("bias_ih"):
                with torch.no_grad():
                    value[layer.hidden_size : 2 * layer.hidden_size] = 1
    return layer


def initialize_cell(cell):
    """Keras' initial values of a recurrent cell; the biases of an LSTM's forget gate are 1."""
    nn.init.xavier_uniform_(cell.weight_ih)
    nn.init.orthogonal_(cell.weight_hh)
    if cell.bias:
        nn.init.zeros_(cell.bias_ih)
        nn.init.zeros_(cell.bias_hh)
        if isinstance(cell, nn.LSTMCell):
            nn.init.ones_(cell.bias_ih[cell.hidden_size : 2 * cell.hidden_size])
    return cell


def variance_scaling(weight, scale=1.0, mode="fan_in", distribution="truncated_normal"):
    """keras.initializers.VarianceScaling of a weight whose outputs come first."""
    size = weight[0, 0].numel()
    fan_in, fan_out = weight.shape[1] * size, weight.shape[0] * size
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    if distribution == "uniform":
        limit = (3 * scale / fan) ** 0.5
        return nn.init.uniform_(weight, -limit, limit)
    std = (scale / fan) ** 0.5
    if distribution == "untruncated_normal":
        return nn.init.normal_(weight, std=std)
    std = std / 0.87962566103423978  # what truncation takes away
    return nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def glorot_normal(weight):
    """keras.initializers.GlorotNormal: a truncated normal."""
    return variance_scaling(weight, mode="fan_avg")


def he_normal(weight):
    """keras.initializers.HeNormal: a truncated normal."""
    return variance_scaling(weight, scale=2.0)


def lecun_normal(weight):
    """keras.initializers.LecunNormal: a truncated normal."""
    return variance_scaling(weight)
