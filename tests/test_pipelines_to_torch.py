"""tf.data pipelines and their translations: the same elements, one by one."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest

from transpiler.convert import convert
from transpiler.findings import Grade

HEAD = """import numpy as np
import tensorflow as tf
x = np.arange(40, dtype=np.float32).reshape(20, 2)
y = np.arange(20)
series = np.arange(12, dtype=np.float32)
table = {"a": np.arange(6.0), "b": np.arange(6) * 2}

"""

IN_ORDER = {
    "pairs": "ds = SLICES((x, y)).batch(8)",
    "arrays": "ds = SLICES(x).batch(8, drop_remainder=True)",
    "statements": """
ds = SLICES((x, y))
ds = ds.map(lambda a, b: (a * 2, b + 1), num_parallel_calls=tf.data.AUTOTUNE)
ds = ds.batch(6)
ds = ds.prefetch(tf.data.AUTOTUNE)
""",
    "a named function": """
def halve(a, b):
    return a / 2, b
ds = SLICES((x, y)).map(halve).cache().batch(8).prefetch(1)
""",
    "a setting in a variable": """
AUTOTUNE = tf.data.experimental.AUTOTUNE
ds = SLICES(x).map(lambda a: a + 1, AUTOTUNE).batch(7).prefetch(AUTOTUNE)
""",
    "map after batch": """
ds = SLICES((x, y)).batch(8).map(lambda a, b: (a + 1, b))
""",
    "map after batch, in statements": """
ds = SLICES((x, y))
ds = ds.batch(8)
ds = ds.map(lambda a, b: (a + 1, b))
""",
    "take and skip": """
ds = SLICES((x, y))
first, rest = ds.take(5), ds.skip(5)
ds = first.batch(2).concatenate(rest.batch(4))
""",
    "take of batches": "ds = SLICES((x, y)).batch(3).take(2)",
    "skip of batches": "ds = SLICES(y).batch(3).skip(2)",
    "more than there are": "ds = SLICES(y).take(100).batch(9)",
    "repeated batches": "ds = SLICES(y).batch(8).repeat(3)",
    "batches of repeats": "ds = SLICES(y).repeat(3).batch(8)",
    "repeats read singly": "ds = SLICES(y).repeat(2)",
    "a step called by its class": """
a, b = SLICES(x), SLICES(x * 2)
ds = tf.data.Dataset.concatenate(a, b).batch(8)
""",
    "windows of a series": """
ds = tf.keras.utils.timeseries_dataset_from_array(x, y[3:], sequence_length=4, batch_size=5)
""",
    "windows that skip rows": """
ds = tf.keras.preprocessing.timeseries_dataset_from_array(
    x, None, 3, sequence_stride=2, sampling_rate=2, start_index=1, end_index=18)
""",
    "endless": "ds = SLICES(y).repeat().batch(7).take(9)",
    "endless batches": "ds = SLICES((x, y)).batch(7).repeat().take(9)",
    "filtered": "ds = SLICES((x, y)).filter(lambda a, b: b > 11).batch(4)",
    "filtered batches": "ds = SLICES(y).batch(4).filter(lambda b: b[0] > 7)",
    "windows": """
ds = SLICES(series)
ds = ds.window(5, shift=1, drop_remainder=True)
ds = ds.flat_map(lambda window: window.batch(5))
ds = ds.map(lambda window: (window[:-1], window[-1]))
ds = ds.batch(3).prefetch(1)
""",
    "windows that end short": """
n = 4
ds = SLICES(series).window(n, shift=3).flat_map(lambda w: w.batch(n))
""",
    "batches of batches": """
ds = SLICES(y).batch(3, drop_remainder=True)
ds = ds.map(lambda row: (row[:-1], row[1:])).batch(2)
""",
    "unbatched": "ds = SLICES((x, y)).batch(6).unbatch().batch(5)",
    "zipped": """
ds = DATASET.zip((SLICES(x), SLICES(y)))
ds = ds.batch(8)
""",
    "zipped batches": """
a = SLICES(x).batch(4)
b = SLICES(y).batch(4)
ds = DATASET.zip((a, b))
""",
    "zip without a tuple": """
ds = DATASET.zip(SLICES(x), DATASET.range(20)).batch(3)
""",
    "concatenated": """
ds = SLICES(y).concatenate(SLICES(y + 50)).batch(9)
""",
    "numbers": "ds = DATASET.range(2, 20, 3).batch(4)",
    "one element": "ds = DATASET.from_tensors((x, y)).repeat(2)",
    "enumerated": "ds = SLICES(y).batch(8).enumerate()",
    "dicts": "ds = SLICES(({'a': table['a'], 'b': table['b']}, y[:6])).batch(4)",
    "a dict in a variable": "ds = SLICES((dict(table), y[:6])).batch(4)",
    "texts": """
names = ["one", "two", "three"]
ds = SLICES((names, [1, 2, 3])).batch(2)
""",
    "floats in a list": "ds = SLICES([1.0, 2.0, 3.5]).batch(2)",
    "a generator": """
def rows():
    for i in range(7):
        yield [i, i + 1], i * 0.5
ds = DATASET.from_generator(rows, output_types=(tf.int32, tf.float32), output_shapes=([2], []))
ds = ds.batch(3)
""",
    "a generator with a signature": """
def count(stop):
    for i in range(stop):
        yield i
ds = DATASET.from_generator(
    count, args=[5], output_signature=tf.TensorSpec(shape=(), dtype=tf.int64)
).batch(2)
""",
    "padded": """
def ragged():
    for i in range(1, 6):
        yield list(range(i)), i
ds = DATASET.from_generator(
    ragged, output_types=(tf.int64, tf.int64), output_shapes=([None], [])
)
ds = ds.padded_batch(2, padded_shapes=([-1], []))
""",
    "a function of pipelines": """
def prepare(data, size=4, drop=False):
    data = data.map(lambda a, b: (a - 1, b))
    return data.batch(size, drop_remainder=drop)
ds = prepare(SLICES((x, y)), drop=True)
""",
    "applied": """
def double(data):
    return data.map(lambda v: v * 2)
ds = SLICES(y).apply(double).batch(5)
""",
    "shards": "ds = SLICES(y).shard(3, 1).batch(5)",
    "flattened": """
ds = DATASET.range(3).flat_map(lambda i: SLICES([i, i + 10]))
""",
    "numpy": "ds = SLICES((x, y)).batch(8).as_numpy_iterator()",
    "reduced": "ds = [SLICES(y).reduce(np.int64(0), lambda s, v: s + v)]",
    "a loop": """
ds = []
for step, (a, b) in enumerate(SLICES((x, y)).batch(8).take(2)):
    ds.append((step, a, b))
""",
    "first element": "ds = [next(iter(SLICES((x, y)).batch(3)))]",
    "options": """
options = tf.data.Options()
options.deterministic = True
ds = SLICES(y).with_options(options).batch(8)
""",
    "length": "ds = [len(SLICES(y).batch(8))]",
    "length of a part": "some = SLICES(y).batch(8).take(2)\nds = [len(some), len(some.repeat(2))]",
    "cardinality": "ds = [tf.data.experimental.cardinality(DATASET.range(5))]",
}

SHUFFLED = {
    "pairs": "ds = SLICES((x, y)).shuffle(100).batch(8)",
    "dropping": "ds = SLICES(y).shuffle(100).batch(8, drop_remainder=True)",
    "a map between": """
ds = SLICES((x, y)).shuffle(100).map(lambda a, b: (a, b * 2)).batch(8)
""",
    "statements": """
ds = SLICES((x, y))
ds = ds.shuffle(buffer_size=len(x))
ds = ds.batch(8)
""",
    "batches in another order": "ds = SLICES((x, y)).batch(5).shuffle(10)",
    "read singly": "ds = SLICES((x, y)).shuffle(20)",
    "repeated": "ds = SLICES(y).shuffle(20).repeat(2).batch(8)",
    "repeated before": "ds = SLICES(y).repeat(2).shuffle(50).batch(8)",
    "batches repeated": "ds = SLICES(y).shuffle(20).batch(8).repeat(2)",
    "a part": """
ds = SLICES(y).shuffle(20, seed=1, reshuffle_each_iteration=False)
ds = ds.take(20).batch(6)
""",
    "only for training": """
def prepare(data, training):
    if training:
        data = data.shuffle(20)
    return data.batch(8)
ds = prepare(SLICES(y), True)
other = prepare(SLICES(y), False)
""",
    "zipped": """
ds = DATASET.zip((SLICES(x).shuffle(20), DATASET.range(20)))
""",
    "characters": """
ds = SLICES(y).batch(4, drop_remainder=True)
ds = ds.map(lambda row: (row[:-1], row[1:]))
ds = ds.shuffle(100).batch(2, drop_remainder=True)
""",
}


def plain(value: Any) -> Any:
    """Elements of either side as lists of numbers."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)) and not (value and isinstance(value[0], str)):
        return [plain(part) for part in value]
    if hasattr(value, "numpy"):
        value = value.numpy()
    found = np.asarray(value)
    if found.dtype.kind in "SOU":
        return [v.decode() if isinstance(v, bytes) else str(v) for v in found.reshape(-1)]
    return (found.shape, found.astype(float).tolist())


def elements(code: str) -> list[Any]:
    names: dict[str, Any] = {"__name__": "pipeline"}
    exec(compile(code, "pipeline", "exec"), names)
    return [plain(element) for element in names["ds"]]


def both(source: str) -> tuple[str, list[Any], list[Any]]:
    """The translation, and what the original and the translation give."""
    source = source.replace("SLICES", "DATASET.from_tensor_slices")
    text = HEAD + source.replace("DATASET", "tf.data.Dataset")
    conversion = convert(text, "torch")
    ast.parse(conversion.code)
    manual = [f.message for f in conversion.findings if f.grade is Grade.MANUAL]
    assert manual == [], conversion.code
    return conversion.code, elements(text), elements(conversion.code)


@pytest.mark.parametrize("name", IN_ORDER)
def test_the_elements_are_the_same(name: str) -> None:
    code, original, translated = both(IN_ORDER[name])
    assert original == translated, code


@pytest.mark.parametrize("name", SHUFFLED)
def test_shuffled_elements_are_the_same_in_some_order(name: str) -> None:
    code, original, translated = both(SHUFFLED[name])

    def sizes(found: list[Any]) -> list[Any]:
        return [[np.shape(part[1]) for part in leaves(element)] for element in found]

    assert sizes(original) == sizes(translated), code
    if "drop" not in SHUFFLED[name]:
        assert rows(original) == rows(translated), code


def leaves(element: Any) -> list[Any]:
    if isinstance(element, tuple):
        return [element]
    return [leaf for part in element for leaf in leaves(part)]


def rows(found: list[Any]) -> list[float]:
    """All numbers, sorted."""
    numbers = [np.ravel(leaf[1]) for element in found for leaf in leaves(element)]
    return sorted(np.concatenate(numbers).tolist())


def test_a_shuffle_of_batches_keeps_them_together() -> None:
    _, original, translated = both(SHUFFLED["batches in another order"])
    together = sorted(tuple(element[1][1]) for element in original)
    assert together == sorted(tuple(element[1][1]) for element in translated)


def test_the_usual_pipeline_reads_as_a_data_loader() -> None:
    code, _, _ = both(SHUFFLED["pairs"])
    assert (
        "ds = DataLoader(\n    TensorDataset(torch.as_tensor(x), torch.as_tensor(y)), "
        "batch_size=8, shuffle=True\n)" in code
    )


def test_a_shuffle_that_depends_on_an_argument_is_the_loaders() -> None:
    code, _, _ = both(SHUFFLED["only for training"])
    assert "return DataLoader(data, batch_size=8, shuffle=training)" in code
    source = """
def prepare(data, training):
    if training:
        data = data.shuffle(20).repeat(2)
    return data.map(lambda a: a + 1).batch(8)
other = prepare(SLICES(y), False)
ds = prepare(SLICES(y), True)
"""
    _, original, translated = both(source)
    assert rows(original) == rows(translated)


def test_a_length_that_pytorch_does_not_know_is_told() -> None:
    source = """
ds = tf.data.Dataset.from_tensor_slices(y).filter(lambda a: a > 3).batch(2)
ds = ds.unbatch().batch(4)
steps = ds.cardinality().numpy()
"""
    found = [f.message for f in convert(HEAD + source, "torch").findings if f.grade is Grade.MANUAL]
    assert found == ["the length of this pipeline is not known to PyTorch"]


def test_what_is_not_done_is_said_once() -> None:
    source = """
ds = tf.data.TFRecordDataset("a.tfrecord")
ds = ds.map(lambda row: tf.io.decode_raw(row, tf.uint8))
ds = ds.shuffle(10).batch(5)
"""
    found = [f for f in convert(HEAD + source, "torch").findings if f.grade is Grade.MANUAL]
    assert len([f for f in found if "Dataset" in f.rule]) == 1
