"""Keras' padding="same", which may add one element more at the end than at the beginning."""

import torch
import torch.nn.functional as F
from torch import nn


def same_padding(sizes, kernel_size, stride=1, dilation=1):
    """The arguments of F.pad for padding="same", last axis first."""
    many = lambda value: value if isinstance(value, tuple) else (value,) * len(sizes)
    pads = []
    for n, k, s, d in zip(sizes, many(kernel_size), many(stride), many(dilation)):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


class SamePad(nn.Module):
    """Pads for a convolution or pooling without padding to have Keras' padding="same"."""

    def __init__(self, kernel_size, stride=1, dilation=1, value=0.0):
        super().__init__()
        self.window = kernel_size, stride, dilation
        self.value = value  # -inf before maximum pooling

    def forward(self, x):
        return F.pad(x, same_padding(x.shape[2:], *self.window), value=self.value)


class SameAvgPool(nn.Module):
    """Keras' average pooling with padding="same": padded elements are not counted."""

    def __init__(self, kernel_size, stride=None):
        super().__init__()
        self.window = kernel_size, stride or kernel_size

    def forward(self, x):
        pool = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][x.dim() - 3]
        pads = same_padding(x.shape[2:], *self.window)
        counted = F.pad(torch.ones_like(x[:1, :1]), pads)
        return pool(F.pad(x, pads), *self.window) / pool(counted, *self.window)
