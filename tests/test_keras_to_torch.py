"""Keras scripts as PyTorch: whole small programs, and what published answers get wrong."""

from __future__ import annotations

import ast
import textwrap

import pytest

from transpiler.config import Config
from transpiler.convert import Conversion, convert
from transpiler.findings import Grade

IMPORTS = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
"""


def translated(source: str, fidelity: str = "fluent") -> Conversion:
    """The translation, which parses whatever it says."""
    text = IMPORTS + textwrap.dedent(source)
    conversion = convert(text, "torch", config=Config(fidelity=fidelity))  # type: ignore[arg-type]
    ast.parse(conversion.code)
    return conversion


def manual(conversion: Conversion) -> list[str]:
    return [f.message for f in conversion.findings if f.grade is Grade.MANUAL]


def run(source: str, fidelity: str = "fluent") -> dict[str, object]:
    """The names that the translated program leaves behind."""
    conversion = translated(source, fidelity)
    assert manual(conversion) == []
    assert (
        "keras"
        not in ast.unparse(ast.parse(conversion.code)).replace("Keras", "").split("class")[0]
    )
    names: dict[str, object] = {"__name__": "translated"}
    exec(compile(conversion.code, "translated", "exec"), names)
    return names


CNN = """
model = keras.Sequential([
    layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
    layers.MaxPooling2D((2, 2)),
    layers.Flatten(),
    layers.Dense(10, activation="softmax"),
])
"""


def test_a_convolution_is_not_padded_and_keeps_the_order_of_features() -> None:
    code = translated(CNN).code
    assert "nn.Conv2d(1, 32, 3)" in code
    assert "nn.Linear(5408, 10)" in code
    permuted = code[code.index("nn.Sequential(") :]
    assert permuted.index("Permute(0, 2, 3, 1)") < permuted.index("nn.Flatten()")


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_one_softmax_not_two(loss: str) -> None:
    data = 'x = np.zeros((8, 28, 28, 1), "float32")\ny = np.zeros((8,), "int64")\n'
    if loss.startswith("cat"):
        data += "y = np.eye(10)[y]\n"
    rest = f"""
    model.compile(optimizer="adam", loss="{loss}", metrics=["accuracy"])
    model.fit(x, y, verbose=0)
    p = model.predict(x)
    """
    source = data + CNN + textwrap.dedent(rest)
    code = translated(source).code
    assert "nn.CrossEntropyLoss()" in code
    assert "nn.Softmax" not in code
    probabilities = run(source)["p"]
    assert abs(probabilities.sum(-1) - 1).max() < 1e-5  # type: ignore[attr-defined]


def test_an_lstm_is_batch_first_and_gives_its_last_step() -> None:
    names = run("""
    x = np.random.rand(6, 5, 3).astype("float32")
    y = np.random.rand(6, 1).astype("float32")
    model = keras.Sequential()
    model.add(layers.LSTM(64, input_shape=(5, 3)))
    model.add(layers.Dense(1))
    model.compile(loss="mean_squared_error", optimizer="adam")
    model.fit(x, y, epochs=1, verbose=0)
    p = model.predict(x)
    """)
    assert names["p"].shape == (6, 1)  # type: ignore[attr-defined]


def test_the_defaults_of_fit() -> None:
    code = translated("""
    xs = np.random.rand(64, 1)
    ys = 2 * xs
    model = keras.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile(optimizer="sgd", loss="mse")
    model.fit(xs, ys)
    """).code
    assert "torch.optim.SGD(model.parameters(), lr=0.01)" in code
    assert "batch_size=32" in code
    assert "shuffle=True" in code
    assert "for epoch in range(1):" in code
    assert "nn.MSELoss()" in code


def test_a_width_that_nobody_knows_is_told() -> None:
    conversion = translated('model = keras.Sequential([layers.Dense(128, activation="relu")])')
    assert manual(conversion) == []
    assert any("lazy module" in f.message for f in conversion.findings)
    assert "nn.Sequential(nn.LazyLinear(128), nn.ReLU())" in conversion.code


def test_a_subclassed_model() -> None:
    names = run("""
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")
            self.norm = layers.BatchNormalization()
            self.flat = layers.Flatten()
            self.out = layers.Dense(3)

        def call(self, x, training=None):
            return self.out(self.flat(self.norm(self.conv(x), training=training)))

    x = np.random.rand(40, 9, 9, 1).astype("float32")
    y = np.random.randint(0, 3, 40)
    model = Net()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    history = model.fit(x, y, epochs=2, validation_split=0.2, verbose=0)
    seen = history.history["val_accuracy"]
    """, "exact")  # fmt: skip
    assert len(names["seen"]) == 2  # type: ignore[arg-type]


def test_callbacks() -> None:
    names = run("""
    x = np.random.rand(64, 4).astype("float32")
    y = (x.sum(1) > 2).astype("float32")
    model = keras.Sequential([
        keras.Input((4,)),
        layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.l2(1e-3)),
        layers.Dense(1, activation="sigmoid"),
    ])
    model.compile(keras.optimizers.Adam(1e-2), "binary_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True)
    slow = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1)
    h = model.fit(x, y, validation_data=(x, y), epochs=4, verbose=0, callbacks=[stop, slow])
    losses = h.history["loss"]
    """)
    assert names["losses"]


def test_nothing_is_silent_about_what_is_not_translated() -> None:
    conversion = translated("""
    model = keras.Sequential([layers.Dense(1, input_shape=(2,))])
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 2)), np.zeros((4, 1)), callbacks=[keras.callbacks.RemoteMonitor()])
    model.get_compile_config()
    """)
    assert any("RemoteMonitor" in m for m in manual(conversion))
    assert any("get_compile_config" in m for m in manual(conversion))
    assert "TODO(transpile)" in conversion.code


def test_a_functional_graph_is_one_module() -> None:
    source = """
    inp = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inp)
    x = layers.BatchNormalization()(x)
    skip = x
    x = layers.Conv2D(8, 3, padding="same")(x)
    x = layers.Add()([x, skip])
    x = layers.GlobalAveragePooling2D()(x)
    out = layers.Dense(10, activation="softmax")(x)
    model = keras.Model(inp, out)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    a = np.random.rand(32, 16, 16, 3)
    b = np.random.randint(0, 10, 32)
    model.fit(a, b, verbose=0)
    p = model.predict(a)
    """
    assert "class Net(nn.Module):" in translated(source).code
    assert run(source)["p"].shape == (32, 10)  # type: ignore[attr-defined]


def test_a_layer_that_divides_by_the_length_stays_as_it_is() -> None:
    conversion = translated("""
    class L2Normalize(layers.Layer):
        def call(self, x):
            return x / tf.sqrt(tf.reduce_sum(tf.square(x), axis=[1, 2, 3], keepdims=True))

    layer = L2Normalize()
    """)
    assert manual(conversion) == []
    assert "class L2Normalize(nn.Module):" in conversion.code
    assert "torch.sum(torch.square(x), dim=" in conversion.code
    assert "eps" not in conversion.code


def test_an_op_of_the_users_own_and_a_layer_standing_alone() -> None:
    names = run("""
    @tf.function
    def swish(x, beta=1.5):
        return x * tf.sigmoid(beta * x)

    class Scale(layers.Layer):
        def build(self, input_shape):
            self.gain = self.add_weight(shape=(input_shape[-1],), initializer="ones")

        def call(self, x):
            return swish(x) * self.gain

    layer = Scale()
    out = layer(tf.ones((2, 3)))
    """)
    assert names["out"].shape == (2, 3)  # type: ignore[attr-defined]


def test_merging_functions_on_arrays() -> None:
    names = run("""
    a, b = tf.ones((2, 3)), tf.ones((2, 3))
    total = layers.add([a, b, a])
    both = layers.concatenate([a, b])
    """)
    assert float(names["total"].sum()) == 18  # type: ignore[attr-defined]
    assert names["both"].shape == (2, 6)  # type: ignore[attr-defined]


def test_padding_in_any_case() -> None:
    conversion = translated("""
        model = keras.Sequential([
            keras.Input((9, 9, 2)),
            layers.Conv2D(4, 3, strides=2, padding="SAME"),
            layers.MaxPool2D(2, padding="Same"),
            layers.Conv2DTranspose(3, 5, strides=2, padding="SAME"),
            layers.Flatten(),
            layers.Dense(5),
        ])
    """)
    code = conversion.code
    assert manual(conversion) == []
    assert "SamePad(3, 2)" in code
    assert "nn.ZeroPad2d((-1, -2, -1, -2))" in code
    assert "nn.Linear(108, 5)" in code


def test_what_a_block_is_given_is_not_guessed() -> None:
    """Functions that nobody calls run on unknowns: a default would be a guess."""
    left = manual(
        translated("""
        def down(filters, pad, step):
            return keras.Sequential([
                keras.Input((9, 9, 2)),
                layers.Conv2D(filters, 3, padding=pad),
                layers.MaxPool2D(2, strides=step),
            ])
    """)
    )
    assert any("`padding` of layers.Conv2D is not known" in m for m in left), left


def test_assertions_about_shapes_go_and_shapes_are_written() -> None:
    conversion = translated("""
    model = keras.Sequential()
    model.add(layers.Dense(8, input_shape=(4,)))
    assert model.output_shape == (None, 8)
    model.add(layers.Reshape((2, 4)))
    print(model.output_shape)
    """)
    assert manual(conversion) == []
    assert "assert" not in conversion.code and "print((None, 2, 4))" in conversion.code
    assert "nn.Sequential(nn.Linear(4, 8), Reshape(2, 4))" in conversion.code


def test_an_embedding_that_is_also_handed_floats() -> None:
    assert run("""
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(5, 3)

        def call(self, x):
            return self.embedding(x)

    net = Net()
    shapes = [tuple(net(tf.random.uniform((2, 1))).shape), tuple(net(tf.constant([[1, 4]])).shape)]
    """)["shapes"] == [(2, 1, 3), (1, 2, 3)]


def test_bounds_of_ranges_by_keyword() -> None:
    assert run("""
    size = np.arange(start=2, stop=8, step=2).shape[0]
    layer = layers.Dense(4)
    shape = tuple(layer(tf.zeros((2, np.arange(start=2, stop=8, step=2).shape[0]))).shape)
    """)["shape"] == (2, 4)
