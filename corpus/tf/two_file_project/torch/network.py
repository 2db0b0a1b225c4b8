import math
import torch.nn.functional as F
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


class SqueezeExcite(nn.Module):
    def __init__(self, in_channels, ratio=4):
        super().__init__()
        self.ratio = ratio
        channels = in_channels
        self.pool = nn.Sequential(
            Permute(0, 3, 1, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.down = nn.Sequential(
            nn.Linear(channels, max(1, channels // self.ratio)), nn.ReLU()
        )
        self.up = nn.Sequential(
            nn.Linear(max(1, channels // self.ratio), channels), nn.Sigmoid()
        )
        self.shape_up = Reshape(1, 1, channels)
        self.scale = Lambda(lambda xs: math.prod(xs))

    def forward(self, x):
        w = self.shape_up(self.up(self.down(self.pool(x))))
        return self.scale([x, w])


class InvertedResidual(nn.Module):
    def __init__(self, in_channels, filters, stride=1, expand=2):
        super().__init__()
        self.filters, self.stride, self.expand = filters, stride, expand
        c = in_channels
        self.conv1 = nn.Sequential(
            Permute(0, 3, 1, 2),
            nn.Conv2d(c, c * self.expand, 1, bias=False),
            Permute(0, 2, 3, 1),
        )
        self.bn1 = nn.Sequential(
            Permute(0, 3, 1, 2),
            nn.BatchNorm2d(c * self.expand, eps=0.001, momentum=0.1),
            Permute(0, 2, 3, 1),
        )
        self.dw = nn.Sequential(
            Permute(0, 3, 1, 2),
            SamePad(3, self.stride),
            nn.Conv2d(
                c * self.expand,
                c * self.expand,
                3,
                stride=self.stride,
                bias=False,
                groups=c * self.expand,
            ),
            Permute(0, 2, 3, 1),
        )
        self.bn2 = nn.Sequential(
            Permute(0, 3, 1, 2),
            nn.BatchNorm2d(c * self.expand, eps=0.001, momentum=0.1),
            Permute(0, 2, 3, 1),
        )
        self.se = SqueezeExcite(c * self.expand)
        self.conv2 = nn.Sequential(
            Permute(0, 3, 1, 2),
            nn.Conv2d(c * self.expand, self.filters, 1, bias=False),
            Permute(0, 2, 3, 1),
        )
        self.bn3 = nn.Sequential(
            Permute(0, 3, 1, 2),
            nn.BatchNorm2d(self.filters, eps=0.001, momentum=0.1),
            Permute(0, 2, 3, 1),
        )
        self.skip = self.stride == 1 and c == self.filters

    def forward(self, x):
        y = F.relu6(self.bn1(self.conv1(x)))
        y = F.relu6(self.bn2(self.dw(y)))
        y = self.se(y)
        y = self.bn3(self.conv2(y))
        return x + y if self.skip else y


class BirdNet(nn.Module):
    def __init__(self, num_classes, widths=(8, 16, 16)):
        super().__init__()
        self.stem = nn.Sequential(
            Permute(0, 3, 1, 2),
            nn.Conv2d(1, widths[0], 3, padding="same"),
            nn.ReLU(),
            Permute(0, 2, 3, 1),
        )
        self.body = nn.ModuleList(
            [
                InvertedResidual(in_channels, w, stride=2 if i < 2 else 1)
                for i, (in_channels, w) in enumerate(zip([8, *widths], widths))
            ]
        )
        self.pool = nn.Sequential(
            Permute(0, 3, 1, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.out = nn.Linear(16, num_classes)

    def forward(self, x):
        x = self.stem(x)
        for block in self.body:
            x = block(x)
        return self.out(self.pool(x))
