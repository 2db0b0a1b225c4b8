"""Emitted data sets, texts and augmentation against Keras, on small files in their own folder."""

from __future__ import annotations

import gzip
import importlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

from transpiler.rules.emitted.to_torch import augmentation, data, datasets, texts

preprocessing = importlib.import_module("keras.src.legacy.preprocessing.text")
images = importlib.import_module("keras.src.legacy.preprocessing.image")

TEXTS = ["The cat sat, on the mat.", "A dog ate the cat!", "birds", "the the the end", ""]
rng = np.random.RandomState(0)


def same(found: Any, expected: Any) -> None:
    """Nested tuples of arrays with equal dtypes and elements."""
    if isinstance(expected, (tuple, list)) and not isinstance(found, np.ndarray):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b)
        return
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    assert np.asarray(found).tolist() == np.asarray(expected).tolist()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras' folder of data sets, with small files under the names of the large ones."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    folder = tmp_path / "datasets"
    (folder / "fashion-mnist").mkdir(parents=True)

    def get_file(fname: str | None = None, **options: Any) -> str:
        return str(folder / options.get("cache_subdir", "").removeprefix("datasets/") / str(fname))

    for name in ("mnist", "fashion_mnist", "imdb", "reuters", "boston_housing"):
        module = importlib.import_module(f"keras.src.datasets.{name}")
        monkeypatch.setattr(module, "get_file", lambda *a, **o: get_file(*a, **o))
    return folder


def test_digits_and_houses(cache: Path) -> None:
    parts = {f"{a}_{b}": rng.randint(0, 255, (4, 3)).astype("uint8")
             for a in "xy" for b in ("train", "test")}  # fmt: skip
    np.savez(cache / "mnist.npz", **parts)
    np.savez(cache / "boston_housing.npz", x=rng.rand(20, 13), y=rng.rand(20))
    same(datasets.load_mnist(), keras.datasets.mnist.load_data())
    same(datasets.load_boston_housing(), keras.datasets.boston_housing.load_data())
    same(datasets.load_boston_housing(test_split=0.5, seed=3),
         keras.datasets.boston_housing.load_data(test_split=0.5, seed=3))  # fmt: skip


def test_clothing(cache: Path) -> None:
    for part, count in (("train", 60000), ("t10k", 10000)):
        labels, pixels = rng.randint(0, 10, count), rng.randint(0, 255, (count, 28, 28))
        for name, head, content in (
            (f"{part}-labels-idx1-ubyte.gz", 8, labels),
            (f"{part}-images-idx3-ubyte.gz", 16, pixels),
        ):
            with gzip.open(cache / "fashion-mnist" / name, "wb", compresslevel=1) as file:
                file.write(bytes(head) + content.astype("uint8").tobytes())
    found = datasets.load_fashion_mnist()
    assert [a.shape for pair in found for a in pair] == [
        (60000, 28, 28), (60000,), (10000, 28, 28), (10000,),
    ]  # fmt: skip
    assert int(found[1][1][-1]) == int(labels[-1])
    assert np.array_equal(found[1][0], pixels)


@pytest.mark.parametrize(
    "options",
    [{}, {"num_words": 20}, {"num_words": 20, "skip_top": 2, "maxlen": 8}, {"start_char": None},
     {"oov_char": None, "num_words": 15}, {"index_from": 0, "seed": 7}],
)  # fmt: skip
def test_reviews_and_newswires(cache: Path, options: dict[str, Any]) -> None:
    rows = np.empty(12, dtype=object)
    rows[:] = [rng.randint(1, 30, rng.randint(2, 9)).tolist() for _ in range(12)]
    labels = rng.randint(0, 2, 12)
    np.savez(cache / "imdb.npz", x_train=rows, y_train=labels, x_test=rows[::-1], y_test=labels)
    np.savez(cache / "reuters.npz", x=rows, y=labels)
    for name in ("imdb", "reuters"):
        load = getattr(datasets, f"load_{name}")
        expected = getattr(keras.datasets, name).load_data(**options)
        for pair, wanted in zip(load(**options), expected, strict=True):
            assert [list(row) for row in pair[0]] == [list(row) for row in wanted[0]]
            assert list(pair[1]) == list(wanted[1])


@pytest.mark.parametrize(
    "options",
    [{}, {"num_words": 5}, {"oov_token": "<OOV>", "num_words": 6}, {"char_level": True},
     {"lower": False, "filters": "."}],
)  # fmt: skip
def test_a_tokenizer(options: dict[str, Any]) -> None:
    own, expected = texts.Tokenizer(**options), preprocessing.Tokenizer(**options)
    for tokenizer in (own, expected):
        tokenizer.fit_on_texts(TEXTS)
    assert own.word_index == expected.word_index
    fresh = [*TEXTS, "the unknown dog"]
    sequences = expected.texts_to_sequences(fresh)
    assert own.texts_to_sequences(fresh) == sequences
    assert own.sequences_to_texts(sequences) == expected.sequences_to_texts(sequences)
    for mode in ("binary", "count", "tfidf"):
        same(own.texts_to_matrix(TEXTS, mode), expected.texts_to_matrix(TEXTS, mode))
    again = texts.tokenizer_from_json(own.to_json())
    assert again.texts_to_sequences(fresh) == sequences


@pytest.mark.parametrize(
    "options",
    [{}, {"maxlen": 3}, {"maxlen": 6, "padding": "post", "truncating": "post", "value": 9},
     {"dtype": "float32"}],
)  # fmt: skip
def test_rows_of_one_length(options: dict[str, Any]) -> None:
    rows = [[1, 2, 3, 4], [5], [], [6, 7]]
    same(texts.pad_sequences(rows, **options), keras.utils.pad_sequences(rows, **options))


def test_labels_as_rows() -> None:
    for labels in (np.array([0, 2, 1]), np.array([[1], [0]]), [3, 1]):
        same(texts.one_hot_rows(labels), keras.utils.to_categorical(labels))
        same(texts.one_hot_rows(labels, 5), keras.utils.to_categorical(labels, 5))


CHANGES: list[dict[str, Any]] = [
    {"rotation_range": 30, "fill_mode": "reflect"},
    {"width_shift_range": 0.2, "height_shift_range": 2, "fill_mode": "constant", "cval": 3.0},
    {"shear_range": 20, "zoom_range": 0.3, "horizontal_flip": True, "vertical_flip": True},
    {"rescale": 1 / 255, "zoom_range": [0.5, 0.9], "channel_shift_range": 10.0},
    {"featurewise_center": True, "featurewise_std_normalization": True},
    {"samplewise_center": True, "samplewise_std_normalization": True},
]


@pytest.mark.parametrize("options", CHANGES)
def test_augmented_images(options: dict[str, Any]) -> None:
    x, y = (rng.rand(10, 7, 9, 3) * 255).astype("float32"), np.arange(10)
    found = []
    for kind in (augmentation.ImageDataGenerator, images.ImageDataGenerator):
        generator = kind(**options)
        generator.fit(x)
        np.random.seed(4)
        flow = generator.flow(x, y, batch_size=4, seed=1)
        found.append([flow[i] for i in range(len(flow))])
    for (a, b), (c, d) in zip(*found, strict=True):
        np.testing.assert_allclose(a, c, rtol=2e-5, atol=2e-4)
        assert list(b) == list(d)


def test_streams_can_be_read_again() -> None:
    stream = data.Stream(range, 3)
    assert list(stream) == list(stream) == [0, 1, 2]
    batches = torch.utils.data.DataLoader(stream, batch_size=2)
    assert [b.tolist() for b in batches] == [[0, 1], [2]]
    sampler = data.RepeatSampler(range(4), 2)
    assert len(sampler) == 8
    assert sorted(sampler) == [0, 0, 1, 1, 2, 2, 3, 3]
