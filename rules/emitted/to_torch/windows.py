"""Convolutions and pooling of ``tf.nn`` on channels-last tensors, with its order of filters."""

import torch
import torch.nn.functional as F

from transpiler.rules.emitted.to_torch.padding import same_padding


def channels_first(x):
    """Channels first."""
    return x.movedim(-1, 1)


def channels_last(x):
    """Channels last."""
    return x.movedim(1, -1)


def conv2d(x, filters, stride=1, padding="valid", dilation=1):
    """tf.nn.conv2d: x is NHWC, filters are HWIO."""
    x, weight = channels_first(x), filters.permute(3, 2, 0, 1)
    if padding == "same":
        x = F.pad(x, same_padding(x.shape[2:], tuple(filters.shape[:2]), stride, dilation))
    return channels_last(F.conv2d(x, weight, stride=stride, dilation=dilation))


def conv1d(x, filters, stride=1, padding="valid", dilation=1):
    """tf.nn.conv1d: x is NWC, filters are WIO."""
    x, weight = channels_first(x), filters.permute(2, 1, 0)
    if padding == "same":
        x = F.pad(x, same_padding(x.shape[2:], filters.shape[0], stride, dilation))
    return channels_last(F.conv1d(x, weight, stride=stride, dilation=dilation))


def conv3d(x, filters, stride=1, padding="valid", dilation=1):
    """tf.nn.conv3d: x is NDHWC, filters are DHWIO."""
    x, weight = channels_first(x), filters.permute(4, 3, 0, 1, 2)
    if padding == "same":
        x = F.pad(x, same_padding(x.shape[2:], tuple(filters.shape[:3]), stride, dilation))
    return channels_last(F.conv3d(x, weight, stride=stride, dilation=dilation))


def depthwise_conv2d(x, filters, stride=1, padding="valid", dilation=1):
    """tf.nn.depthwise_conv2d: x is NHWC, filters are HWC and a multiplier."""
    height, width, channels, multiplier = filters.shape
    weight = filters.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)
    x = channels_first(x)
    if padding == "same":
        x = F.pad(x, same_padding(x.shape[2:], (height, width), stride, dilation))
    return channels_last(F.conv2d(x, weight, stride=stride, dilation=dilation, groups=channels))


def max_pool2d(x, kernel_size, stride=None, padding="valid"):
    """tf.nn.max_pool2d: x is NHWC."""
    x, stride = channels_first(x), stride or kernel_size
    if padding == "same":
        x = F.pad(x, same_padding(x.shape[2:], kernel_size, stride), value=float("-inf"))
    return channels_last(F.max_pool2d(x, kernel_size, stride))


def max_pool1d(x, kernel_size, stride=None, padding="valid"):
    """tf.nn.max_pool1d: x is NWC."""
    x, stride = channels_first(x), stride or kernel_size
    if padding == "same":
        x = F.pad(x, same_padding(x.shape[2:], kernel_size, stride), value=float("-inf"))
    return channels_last(F.max_pool1d(x, kernel_size, stride))


def avg_pool2d(x, kernel_size, stride=None, padding="valid"):
    """tf.nn.avg_pool2d: x is NHWC; padded elements are not counted."""
    x, stride = channels_first(x), stride or kernel_size
    if padding == "same":
        pads = same_padding(x.shape[2:], kernel_size, stride)
        counted = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), pads), kernel_size, stride)
        return channels_last(F.avg_pool2d(F.pad(x, pads), kernel_size, stride) / counted)
    return channels_last(F.avg_pool2d(x, kernel_size, stride))


def avg_pool1d(x, kernel_size, stride=None, padding="valid"):
    """tf.nn.avg_pool1d: x is NWC; padded elements are not counted."""
    x, stride = channels_first(x), stride or kernel_size
    if padding == "same":
        pads = same_padding(x.shape[2:], kernel_size, stride)
        counted = F.avg_pool1d(F.pad(torch.ones_like(x[:1, :1]), pads), kernel_size, stride)
        return channels_last(F.avg_pool1d(F.pad(x, pads), kernel_size, stride) / counted)
    return channels_last(F.avg_pool1d(x, kernel_size, stride))


def depth_to_space(x, block_size):
    """tf.nn.depth_to_space: x is NHWC; blocks come before channels."""
    n, height, width, depth = x.shape
    x = x.reshape(n, height, width, block_size, block_size, depth // block_size**2)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(n, height * block_size, width * block_size, -1)


def space_to_depth(x, block_size):
    """tf.nn.space_to_depth: x is NHWC; blocks come before channels."""
    n, height, width, depth = x.shape
    x = x.reshape(n, height // block_size, block_size, width // block_size, block_size, depth)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(n, height // block_size, width // block_size, -1)


def conv2d_transpose(x, filters, output_shape, stride, padding="same"):
    """tf.nn.conv2d_transpose: x is NHWC, filters are HWOI; the gradient of conv2d."""
    sizes = [int(n) for n in output_shape][1:3]
    window = tuple(filters.shape[:2])
    whole = F.conv_transpose2d(channels_first(x), filters.permute(3, 2, 0, 1), stride=stride)
    if padding == "same":
        left, right, top, bottom = same_padding(sizes, window, stride)
        whole = whole[:, :, top:, left:]
    missing = [max(n - have, 0) for n, have in zip(sizes, whole.shape[2:])]
    whole = F.pad(whole, (0, missing[1], 0, missing[0]))
    return channels_last(whole[:, :, : sizes[0], : sizes[1]])
