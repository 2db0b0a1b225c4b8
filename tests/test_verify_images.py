"""Images are sampled in double precision as TensorFlow's own operation samples them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from transpiler.verify.tf_images import affine_transform

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("mode", ["constant", "nearest", "reflect"])
@pytest.mark.parametrize(
    "transform",
    [[1, 0, 9.3, 0, 1, -7.8, 0, 0], [0.9, -0.4, 3.1, 0.4, 1.2, -2.7, 0, 0]],
)
def test_pixels_come_from_where_tensorflow_takes_them(transform: list[float], mode: str) -> None:
    x = tf.constant(RNG.uniform(size=(2, 6, 7, 3)), tf.float64)
    given = tf.constant([transform, [1, 0, -0.4, 0, 1, 0.3, 0, 0]], tf.float64)
    ours = affine_transform(x, given, "bilinear", mode, 0.25)
    theirs = keras.ops.image.affine_transform(tf.cast(x, tf.float32), given, "bilinear", mode, 0.25)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
