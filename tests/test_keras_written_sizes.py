"""Sizes, ranks and dtypes that Keras settles when it runs, towards PyTorch: equal numbers."""

from __future__ import annotations

import pytest
from keras_training import assert_twins, left_over, translate_keras

FIT = """
model.compile("sgd", "mse")
# train
h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
history = h.history
p = model.predict(x, verbose=0)
"""
SIZES = """
chars = sorted(set("hello world"))
n = len(chars)
x, y = rng.normal(size=(20, 9, n)), rng.normal(size=(20, 1))
"""
MODELS = {
    "recurrent after an input": """
model = keras.Sequential()
model.add(keras.Input((9, len(chars))))
model.add(layers.LSTM(4))
model.add(layers.Dense(1))
""",
    "a length of text": """
letters = "abcdefgh"
model = keras.Sequential([keras.Input((9, len(letters))), layers.GRU(3), layers.Dense(1)])
""",
    "windows over an unknown number of steps": """
x = x[:, : len(set("hallo")) + 4]
steps = len(x[0])
model = keras.Sequential([
    layers.Input(shape=(steps, 8)), layers.Conv1D(4, 3, activation="relu"),
    layers.MaxPooling1D(2), layers.Flatten(), layers.Dense(1),
])
""",
    "a graph": """
inputs = keras.Input(shape=(None, n))
z = layers.Dropout(0.0)(inputs)
z = layers.SimpleRNN(2 * n)(z)
z = layers.BatchNormalization()(z)
model = keras.Model(inputs, layers.Dense(1)(z))
""",
    "a graph that a function makes": """
def build(words):
    inputs = keras.Input(shape=(None, len(words)))
    return keras.Model(inputs, layers.Dense(1)(layers.LSTM(4)(inputs)))
model = build(chars)
""",
}


@pytest.mark.parametrize("name", list(MODELS))
def test_sizes_as_the_program_writes_them(name: str) -> None:
    source = SIZES + MODELS[name] + FIT
    assert "Lazy" not in translate_keras(source).code
    assert_twins(source, "history", "p")


def test_a_size_that_has_no_name_where_it_is_needed_is_told() -> None:
    conversion = translate_keras("""
class Block(layers.Layer):
    def __init__(self, width):
        super().__init__()
        self.inner = layers.Dense(width)
    def call(self, x):
        return self.inner(x)
class Net(keras.Model):
    def __init__(self, width):
        super().__init__()
        self.block = Block(2 * width)
        self.out = layers.LSTM(3)
    def call(self, x):
        return self.out(self.block(x))
n = len(set("hello"))
net = Net(n)
net(np.zeros((2, 5, 4)))
""")
    assert any("LSTM" in m for m in left_over(conversion)), conversion.code


def test_a_shape_read_off_the_graph_is_written_as_numbers() -> None:
    assert_twins(
        """
from keras import backend as K
size = np.zeros((5, 8, 8)).shape[1]
x = y = rng.normal(size=(20, 8, 8, 1))
inputs = keras.Input((size, size, 1))
z = layers.Conv2D(3, 3, strides=2, padding="same")(inputs)
shape = z.shape
encoder = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(z)))
codes = keras.Input((2,))
z = layers.Dense(shape[1] * shape[2] * shape[3])(codes)
z = layers.Reshape((shape[1], shape[2], shape[3]))(z)
decoder = keras.Model(codes, layers.Conv2DTranspose(1, 3, strides=2, padding="same")(z))
model = keras.Model(inputs, decoder(encoder(inputs)))
"""
        + FIT,
        "history",
        "p",
    )


IMAGES = """
inputs = keras.Input((6, 6, 1))
z = layers.Flatten()(layers.Conv2D(2, 3)(inputs))
model = keras.Model(inputs, layers.Dense(1)(z))
"""
UNKNOWN = """
def load(): return eval("({}, {})")
x, y = load()
"""
RANKS = {
    "numbers into an input of one": """
x, y = np.arange(20.0), np.arange(20.0) * 2
model = keras.Sequential([layers.Dense(1, input_shape=[1])])
""",
    "images without channels": IMAGES
    + "x, y = rng.normal(size=(20, 6, 6)), rng.normal(size=(20, 1))\n",
    "images of which nothing is known": IMAGES
    + UNKNOWN.format("np.ones((20, 6, 6))", "np.arange(20.0)"),
    "columns of a table": """
import pandas as pd
table = pd.DataFrame({"a": rng.normal(size=20), "b": rng.normal(size=20)})
table = table.sample(frac=1, random_state=0)
x, y = table["a"], table["b"]
model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
""",
    "parts of a table": """
import pandas as pd
table = pd.DataFrame({"a": rng.normal(size=20), "b": rng.normal(size=20), "c": np.arange(20.0)})
table = table[table["c"] > 3].sample(frac=1, random_state=0)
y = table.pop("b")
x = table
model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
""",
}


@pytest.mark.parametrize("name", list(RANKS))
def test_ranks_of_what_fit_is_given(name: str) -> None:
    assert_twins(RANKS[name] + FIT, "history", "p")


def test_logits_of_one_unit_and_labels_of_which_nothing_is_known() -> None:
    labels = UNKNOWN.format("np.ones((20, 3))", "np.arange(20) % 2")
    model = 'model = keras.Sequential([keras.Input((3,)), layers.Dense(1, activation="sigmoid")])\n'
    source = (labels + model + FIT).replace('"mse"', '"binary_crossentropy"')
    assert_twins(source, "history", "p")


LOOKUPS = {
    "an input without a dtype": """
inputs = keras.Input((5,))
z = layers.GlobalAveragePooling1D()(layers.Embedding(30, 4)(inputs))
model = keras.Model(inputs, layers.Dense(1)(z))
""",
    "through a layer of the program": """
class Tokens(layers.Layer):
    def __init__(self, count):
        super().__init__()
        self.words = layers.Embedding(count, 4)
        self.places = layers.Embedding(5, 4)
    def call(self, x):
        return self.words(x) + self.places(tf.range(tf.shape(x)[-1]))
inputs = keras.Input((5,))
z = layers.GlobalAveragePooling1D()(Tokens(30)(inputs))
model = keras.Model(inputs, layers.Dense(1)(z))
""",
}


@pytest.mark.parametrize("name", list(LOOKUPS))
def test_words_that_a_graph_looks_up(name: str) -> None:
    data = "x, y = rng.integers(0, 30, (20, 5)), rng.normal(size=(20, 1))\n"
    assert_twins(data + LOOKUPS[name] + FIT, "history", "p")
