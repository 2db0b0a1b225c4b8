"""Keras' augmentation of images in double precision: TensorFlow's operation works in float32."""

from __future__ import annotations

from functools import wraps
from typing import Any

import tensorflow as tf
from keras.src.backend.tensorflow import image as backend
from keras.src.layers.preprocessing.image_preprocessing.random_translation import RandomTranslation
from keras.src.layers.preprocessing.image_preprocessing.random_zoom import RandomZoom

AFFINE = backend.affine_transform


def widen_images() -> None:
    """Sample pixels, and say where they come from, in double precision."""
    backend.affine_transform = affine_transform
    for kind, name in (
        (RandomTranslation, "get_random_transformation"),
        (RandomZoom, "_zoom_inputs"),
    ):
        setattr(kind, name, _in_double(getattr(kind, name)))


def affine_transform(
    images: Any,
    transform: Any,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
    data_format: str | None = None,
) -> Any:
    """keras.ops.image.affine_transform of images (n, h, w, c) or (h, w, c), or channels first.

    In float32 as ever where pixels are not interpolated, or wrap around: nothing is translated so.
    """
    if interpolation != "bilinear" or fill_mode == "wrap":
        return AFFINE(images, transform, interpolation, fill_mode, fill_value, data_format)
    images, transform = tf.convert_to_tensor(images), tf.cast(transform, tf.float64)
    if len(images.shape) == 3:
        one = affine_transform(images[None], transform, interpolation, fill_mode, fill_value,
                               data_format)  # fmt: skip
        return one[0]
    first = backend.backend.standardize_data_format(data_format) == "channels_first"
    x = tf.transpose(images, [0, 2, 3, 1]) if first else images
    y = _sampled(x, tf.reshape(transform, [-1, 8]), fill_mode, fill_value)
    y = tf.ensure_shape(tf.cast(y, images.dtype), x.shape)
    return tf.transpose(y, [0, 3, 1, 2]) if first else y


def _sampled(x: Any, transform: Any, mode: str, fill: float) -> Any:
    height, width = (tf.cast(tf.shape(x)[axis], tf.float64) for axis in (1, 2))
    column, row = tf.meshgrid(tf.range(width), tf.range(height))
    a = [transform[:, i, None, None] for i in range(8)]
    scale = a[6] * column + a[7] * row + 1
    across = _mapped((a[0] * column + a[1] * row + a[2]) / scale, width, mode)
    down = _mapped((a[3] * column + a[4] * row + a[5]) / scale, height, mode)
    top, left = tf.floor(down), tf.floor(across)
    below, right = (down - top)[..., None], (across - left)[..., None]
    upper = (1 - right) * _read(x, top, left, fill) + right * _read(x, top, left + 1, fill)
    lower = (1 - right) * _read(x, top + 1, left, fill) + right * _read(x, top + 1, left + 1, fill)
    return (1 - below) * upper + below * lower


def _mapped(place: Any, size: Any, mode: str) -> Any:
    """Coordinates outside of the image by fill mode."""
    if mode == "reflect":
        turned = tf.math.floormod(place + 0.5, 2 * size)
        place = tf.minimum(turned, 2 * size - turned) - 0.5
    return place if mode == "constant" else tf.clip_by_value(place, 0, size - 1)


def _read(x: Any, row: Any, column: Any, fill: float) -> Any:
    """Pixels (n, h, w, c) at whole coordinates (n, h, w); the fill value outside."""
    height, width = tf.shape(x)[1], tf.shape(x)[2]
    row, column = tf.cast(row, tf.int32), tf.cast(column, tf.int32)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = tf.clip_by_value(row, 0, height - 1) * width + tf.clip_by_value(column, 0, width - 1)
    flat = tf.reshape(tf.cast(x, tf.float64), [tf.shape(x)[0], height * width, -1])
    n = tf.shape(x)[0]
    place = tf.broadcast_to(place, [n, height, width])
    found = tf.gather(flat, tf.reshape(place, [n, -1]), axis=1, batch_dims=1)
    found = tf.reshape(found, tf.shape(x))
    return tf.where(inside[..., None], found, tf.constant(fill, tf.float64))


class Double:
    """A layer's backend in which float32 by name is float64."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def cast(self, x: Any, dtype: Any) -> Any:
        """The backend's cast."""
        return self.inner.cast(x, "float64" if dtype == "float32" else dtype)


def _in_double(method: Any) -> Any:
    """A method of a layer that computes where pixels come from."""

    @wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        inner = self.backend
        object.__setattr__(self, "backend", Double(inner))
        try:
            return method(self, *args, **kwargs)
        finally:
            object.__setattr__(self, "backend", inner)

    return call
