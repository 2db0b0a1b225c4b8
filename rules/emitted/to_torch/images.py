"""Image functions and augmentation layers of Keras and tf.image, for channels-first images."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def per_image_standardization(x):
    """tf.image.per_image_standardization: the deviation is at least 1 / sqrt(elements)."""
    axes = (-3, -2, -1)
    floor = math.prod(x.shape[-3:]) ** -0.5
    deviation = x.std(axes, unbiased=False, keepdim=True).clamp(min=floor)
    return (x - x.mean(axes, keepdim=True)) / deviation


def rgb_to_grayscale(x):
    """tf.image.rgb_to_grayscale: one channel, 0.2989 R + 0.587 G + 0.114 B."""
    weights = x.new_tensor([0.2989, 0.587, 0.114]).reshape(3, 1, 1)
    return (x * weights).sum(-3, keepdim=True)


def resize_bicubic(x, size):
    """tf.image.resize(method="bicubic"): Keys' kernel, weights renormalised at the border."""
    for axis, new in zip((-2, -1), size):
        n = x.shape[axis]
        place = (torch.arange(new, dtype=torch.float64)[:, None] + 0.5) * (n / new) - 0.5
        d = (place - torch.arange(n)).abs()
        near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
        weights = torch.where(d <= 1, near, far) * (d < 2)
        weights = (weights / weights.sum(1, keepdim=True)).to(x)
        x = (x.movedim(axis, -1) @ weights.T).movedim(-1, axis)
    return x


class RandomFlip(nn.Module):
    """keras.layers.RandomFlip: each image of a training batch on its own."""

    def __init__(self, mode="horizontal_and_vertical"):
        super().__init__()
        self.axes = [axis for axis, name in ((-1, "horizontal"), (-2, "vertical")) if name in mode]

    def forward(self, x):
        for axis in self.axes if self.training else []:
            flip = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
            x = torch.where(flip, x.flip(axis), x)
        return x


class RandomAffine(nn.Module):
    """keras' RandomRotation, RandomZoom and RandomTranslation: each image on its own.

    Ranges are pairs: turns of rotation, zoom (positive is out) and shift (parts of the size).
    """

    def __init__(
        self,
        rotation=(0, 0),
        zoom_height=(0, 0),
        zoom_width=None,
        shift_height=(0, 0),
        shift_width=(0, 0),
        fill_mode="reflect",
    ):
        super().__init__()
        self.rotation = rotation
        self.zooms = zoom_height, zoom_width
        self.shifts = shift_height, shift_width
        self.padding_mode = {"reflect": "reflection", "nearest": "border", "constant": "zeros"}[
            fill_mode
        ]

    def forward(self, x):
        if not self.training:
            return x
        height, width = x.shape[-2:]
        zeros = torch.zeros(len(x), device=x.device)
        draw = lambda limits: zeros.clone().uniform_(*limits) if any(limits) else zeros
        angle = 2 * math.pi * draw(self.rotation)
        zoom_y = 1 + draw(self.zooms[0])
        zoom_x = zoom_y if self.zooms[1] is None else 1 + draw(self.zooms[1])
        shift_y, shift_x = [-2 * draw(limits) for limits in self.shifts]
        cos, sin = angle.cos(), angle.sin()
        rows = [zoom_x * cos, -sin * height / width, shift_x]
        rows += [sin * width / height, zoom_y * cos, shift_y]
        theta = torch.stack(rows, 1).reshape(-1, 2, 3).to(x.dtype)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, padding_mode=self.padding_mode, align_corners=False)


class RandomContrast(nn.Module):
    """keras.layers.RandomContrast: each image on its own, about its channels' means."""

    def __init__(self, factor, value_range=(0, 255)):
        super().__init__()
        self.factor = factor if isinstance(factor, tuple) else (0, factor)
        self.value_range = value_range

    def forward(self, x):
        if not self.training:
            return x
        factor = torch.empty(len(x), 1, 1, 1, device=x.device)
        factor.uniform_(1 - self.factor[0], 1 + self.factor[1])
        mean = x.mean((-2, -1), keepdim=True)
        return ((x - mean) * factor + mean).clamp(*self.value_range)
