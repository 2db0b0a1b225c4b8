"""tf.image and tf.io towards PyTorch, where a proof by gradients does not reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras_training import left_over, translate_keras

from transpiler.convert import convert
from transpiler.findings import Grade
from transpiler.rules.emitted.to_torch import pictures

HEAD = """import numpy as np
import tensorflow as tf
rng = np.random.RandomState(0)
bytes_ = tf.constant(rng.randint(0, 255, (5, 6, 3)), tf.uint8)
floats = tf.constant(rng.rand(5, 6, 3), tf.float32)
batch = tf.constant(rng.rand(4, 5, 6, 3), tf.float32)
"""

EQUAL = [
    "tf.image.adjust_brightness(floats, 0.2)",
    "tf.image.adjust_brightness(bytes_, 0.3)",
    "tf.image.adjust_contrast(floats, 2.0)",
    "tf.image.adjust_contrast(batch, contrast_factor=0.5)",
    "tf.image.adjust_hue(floats, 0.2)",
    "tf.image.adjust_saturation(floats, 0.5)",
    "tf.image.convert_image_dtype(bytes_, tf.float32)",
    "tf.image.convert_image_dtype(floats, tf.uint8)",
    "tf.image.resize(bytes_, (3, 4), method='nearest')",
    "tf.image.resize(bytes_, [10, 9])",
    "tf.image.resize_with_pad(floats, 8, 8)",
    "tf.image.decode_png(tf.io.encode_png(bytes_), channels=3)",
    "tf.image.decode_image(tf.io.encode_png(bytes_[..., :1]))",
    "tf.image.random_crop(batch, size=[4, 5, 6, 3])",
    "tf.image.random_contrast(floats, 1.0, 1.0000001)",
]

RANDOM = [
    "tf.image.random_flip_left_right(batch)",
    "tf.image.random_flip_up_down(floats)",
    "tf.image.random_brightness(floats, max_delta=0.1)",
    "tf.image.random_saturation(floats, 0.5, 1.5)",
    "tf.image.random_hue(floats, 0.2)",
    "tf.image.random_crop(floats, size=(3, 3, 3))",
]


def result(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(source, "pictures", "exec"), names)
    return np.asarray(names["result"])


def translated(expression: str) -> str:
    conversion = convert(f"{HEAD}result = {expression}\n", "torch")
    manual = [f.message for f in conversion.findings if f.grade is Grade.MANUAL]
    assert manual == [], conversion.code
    return conversion.code


@pytest.mark.parametrize("expression", EQUAL)
def test_images_come_out_the_same(expression: str) -> None:
    code = translated(expression)
    expected, found = result(f"{HEAD}result = {expression}\n"), result(code)
    assert found.dtype == expected.dtype, code
    limit = 1 if expected.dtype == np.uint8 else 2e-6 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=limit)


@pytest.mark.parametrize("expression", RANDOM)
def test_random_changes_keep_the_shape(expression: str) -> None:
    expected = result(f"{HEAD}result = {expression}\n")
    found = result(translated(expression))
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)


def test_files_of_images_in_a_pipeline(tmp_path: Path) -> None:
    """The usual reader: list the files, decode, resize, batch."""
    for number in range(4):
        image = np.full((6, 6, 3), 10 * number, np.uint8)
        tf.io.write_file(str(tmp_path / f"{number}.png"), tf.io.encode_png(image))
    source = f"""import tensorflow as tf

def load(path):
    image = tf.io.read_file(path)
    image = tf.image.decode_png(image, channels=3)
    image = tf.image.resize(image, [4, 4])
    return image / 255.0

files = tf.data.Dataset.list_files({str(tmp_path / "*.png")!r}, shuffle=False)
ds = files.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(3)
result = list(ds)[1]
"""
    conversion = convert(source, "torch")
    assert not [f for f in conversion.findings if f.grade is Grade.MANUAL], conversion.code
    np.testing.assert_allclose(result(conversion.code), result(source), atol=1e-6)


def test_folders_of_images(tmp_path: Path) -> None:
    for number in range(10):
        path = tmp_path / ("cats" if number % 2 else "dogs") / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        tf.io.write_file(str(path), tf.io.encode_png(np.full((6, 5, 3), 10 * number, np.uint8)))
    source = f"""import numpy as np
import tensorflow as tf
import torch

parts = [
    tf.keras.utils.image_dataset_from_directory(
        {str(tmp_path)!r}, image_size=(4, 4), batch_size=20, validation_split=0.3, subset=subset,
        seed=5, label_mode="categorical",
    )
    for subset in ("training", "validation")
]
ds = tf.keras.utils.image_dataset_from_directory(
    {str(tmp_path)!r}, image_size=(4, 4), shuffle=False
)
names = ds.class_names
images, labels = next(iter(ds))
result = [names == ["cats", "dogs"], images, labels]
held = [np.sort(np.ravel(x)) for x, _ in parts[1]]
"""
    conversion = convert(source, "torch")
    assert not [f for f in conversion.findings if f.grade is Grade.MANUAL], conversion.code
    found: list[dict[str, Any]] = []
    for code in (source, conversion.code):
        names: dict[str, Any] = {}
        exec(compile(code, "folders", "exec"), names)
        found.append(names)
    for a, b in zip(found[0]["result"], found[1]["result"], strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-4)
    np.testing.assert_allclose(found[0]["held"][0], found[1]["held"][0], atol=1e-4)


def test_other_ways_to_turn_images_are_left() -> None:
    for options in ('interpolation="nearest"', 'fill_mode="constant", fill_value=9.0'):
        conversion = translate_keras(f"""
model = keras.Sequential([keras.Input((8, 8, 3)), layers.RandomRotation(0.1, {options})])
model(np.zeros((2, 8, 8, 3)), training=True)
""")
        assert left_over(conversion)


def test_arrays_become_the_same_pictures() -> None:
    for shape in ((5, 6, 3), (5, 6, 1)):
        x = np.random.default_rng(0).uniform(-3, 7, size=shape)
        for scale in (True, False):
            x = x if scale else np.abs(x)
            theirs = keras.utils.array_to_img(x, scale=scale)
            ours = pictures.array_to_img(torch.tensor(x), scale)
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_saving_an_array_makes_a_picture_first() -> None:
    conversion = translate_keras("""
x = np.zeros((4, 4, 3))
keras.utils.array_to_img(x * 255, scale=False).save("a.png")
keras.utils.save_img("b.png", x)
""")
    assert 'array_to_img(x * 255, scale=False).save("a.png")' in conversion.code
    assert 'array_to_img(x).save("b.png")' in conversion.code
