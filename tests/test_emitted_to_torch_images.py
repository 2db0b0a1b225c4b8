"""Emitted image functions and augmentations against tf.image and keras.layers."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from emitted_results import agree, draw

from transpiler.rules.emitted.to_torch import images

IMAGES = draw(3, 8, 10, 3).astype(np.float32)

FUNCTIONS: list[tuple[Callable, Callable, float]] = [
    (tf.image.per_image_standardization, images.per_image_standardization, 1e-5),
    (tf.image.rgb_to_grayscale, images.rgb_to_grayscale, 1e-6),
    *[
        (
            lambda x, size=size: tf.image.resize(x, size, "bicubic"),
            lambda x, size=size: images.resize_bicubic(x, size),
            2e-3,  # TensorFlow looks the kernel up in a table
        )
        for size in [(16, 15), (5, 20), (3, 4)]
    ],
]


@pytest.mark.parametrize(("theirs", "ours", "tolerance"), FUNCTIONS)
def test_image_function(theirs: Callable, ours: Callable, tolerance: float) -> None:
    result = ours(torch.tensor(IMAGES).movedim(-1, 1)).movedim(1, -1)
    agree([theirs(IMAGES).numpy()], [result.numpy()], tolerance)


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("RandomRotation", ((0.1, 0.1),), {"rotation": (0.1, 0.1)}),
        ("RandomZoom", ((0.3, 0.3),), {"zoom_height": (0.3, 0.3)}),
        (
            "RandomZoom",
            ((-0.2, -0.2), (0.3, 0.3), "nearest"),
            {"zoom_height": (-0.2, -0.2), "zoom_width": (0.3, 0.3), "fill_mode": "nearest"},
        ),
        (
            "RandomTranslation",
            ((0.1, 0.1), (-0.2, -0.2)),
            {"shift_height": (0.1, 0.1), "shift_width": (-0.2, -0.2)},
        ),
    ],
)
def test_random_affine_of_one_value(name: str, arguments: tuple, options: dict) -> None:
    layer = getattr(keras.layers, name)(*arguments)
    module = images.RandomAffine(**options)
    result = module(torch.tensor(IMAGES).movedim(-1, 1)).movedim(1, -1)
    agree([layer(IMAGES, training=True).numpy()], [result.numpy()], 1e-5)
    assert module.eval()(torch.tensor(IMAGES)) is not None


def test_random_flip() -> None:
    torch.manual_seed(0)
    module = images.RandomFlip("horizontal")
    x = torch.tensor(IMAGES).movedim(-1, 1).repeat(20, 1, 1, 1)
    y = module(x)
    flipped = (y == x.flip(-1)).flatten(1).all(1)
    kept = (y == x).flatten(1).all(1)
    assert (flipped ^ kept).all()
    assert 15 < flipped.sum() < 45
    assert torch.equal(module.eval()(x), x)


def test_random_contrast() -> None:
    module = images.RandomContrast((0.5, -0.5), (-9, 9))
    x = torch.tensor(IMAGES).movedim(-1, 1)
    mean = x.mean((-2, -1), keepdim=True)
    torch.testing.assert_close(module(x), (x - mean) / 2 + mean)
