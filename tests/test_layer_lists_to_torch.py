"""Sequential models of lists that the program puts together, towards PyTorch."""

from __future__ import annotations

import pytest
from keras_training import assert_twins, left_over, translate_keras

ROWS = "x, y = rng.normal(size=(16, 6)), rng.normal(size=(16, 1))\n"
IMAGES = "x, y = rng.normal(size=(16, 8, 8, 3)), rng.normal(size=(16, 1))\n"
FIT = """
model.compile("sgd", "mse")
model(x[:1])
# train
h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
history = h.history
p = model.predict(x, verbose=0)
"""
MLP = """
class Net(keras.Model):
    def __init__(self, hidden, norm):
        super().__init__()
        blocks = [keras.Input(shape=(6,))]
        for units in hidden:
            blocks.append(layers.Dense(units))
            if norm:
                blocks.append(layers.BatchNormalization())
            blocks += [layers.ReLU()]
        self.body, self.head = keras.Sequential(blocks), layers.Dense(1)
    def call(self, x, training=False):
        return self.head(self.body(x, training=training))
"""


def test_a_list_of_layers_stays_a_list() -> None:
    code = assert_twins(ROWS + MLP + "model = Net([8, 4], True)" + FIT, "history", "p").code
    assert "blocks.append(KerasBatchNorm(units))" in code
    assert "nn.Sequential(*blocks)" in code


@pytest.mark.parametrize("norm", ["True", "False"])
def test_a_layer_that_a_condition_adds_stays_under_it(norm: str) -> None:
    source = (
        f"import os\nnorm = os.environ.get('NONE', '{norm}') == 'True'\n"
        + ROWS
        + """
def make(norm):
    blocks = [layers.Dense(8)]
    if norm:
        blocks.append(layers.BatchNormalization())
    blocks += [layers.ReLU(), layers.Dense(1)]
    return keras.Sequential(blocks)
model = make(norm)
"""
    )
    assert (
        "if norm:\n        blocks.append(KerasBatchNorm(8))"
        in assert_twins(source + FIT, "history", "p").code
    )


def test_sizes_that_the_rounds_of_a_loop_hand_on() -> None:
    code = assert_twins(
        IMAGES
        + """
class Net(keras.Model):
    def __init__(self, widths):
        super().__init__()
        self.features, self.head = self.make(widths), layers.Dense(1)
    def make(self, widths):
        stack = []
        for w in widths:
            if w == "M":
                stack.append(layers.MaxPooling2D())
            else:
                stack += [layers.Conv2D(w, 3, padding="same"), layers.BatchNormalization()]
        return keras.Sequential(stack + [layers.Flatten()])
    def call(self, x, training=False):
        return self.head(self.features(x, training=training))
model = Net([4, "M", 6, 5, "M"])
"""
        + FIT,
        "history",
        "p",
    ).code
    assert "in_channels = w\n" in code
    assert "Permute(0, 3, 1, 2),\n            *stack,\n" in code


def test_stages_of_an_unknown_number_of_blocks() -> None:
    code = assert_twins(
        "import os\nn = int(os.environ.get('NONE', '2'))\n"
        + IMAGES
        + """
class Block(layers.Layer):
    def __init__(self, filters, strides=1, shortcut=None):
        super().__init__()
        self.conv = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)
        self.norm, self.shortcut = layers.BatchNormalization(), shortcut
    def call(self, x, training=False):
        y = self.norm(self.conv(x), training=training)
        return y + (x if self.shortcut is None else self.shortcut(x, training=training))
class Net(keras.Model):
    def __init__(self, n):
        super().__init__()
        channels = 3
        for i, filters in enumerate([3, 6]):
            stage, channels = self.stage(channels, filters, n, 1 if i == 0 else 2)
            setattr(self, f"stage{i + 1}", stage)
        self.pool, self.out = layers.GlobalAveragePooling2D(), layers.Dense(1)
    def stage(self, channels, filters, n, strides):
        shortcut = None
        if strides != 1 or channels != filters:
            shortcut = keras.Sequential([layers.Conv2D(filters, 1, strides=strides),
                                         layers.BatchNormalization()])
        blocks = [Block(filters, strides, shortcut)]
        for _ in range(1, n):
            blocks.append(Block(filters))
        return keras.Sequential(blocks), filters
    def call(self, x, training=False):
        x = self.stage2(self.stage1(x, training=training), training=training)
        return self.out(self.pool(x))
model = Net(n)
"""
        + FIT,
        "history",
        "p",
    ).code
    assert "nn.Conv2d(channels, filters, 1, stride=strides)" in code
    assert "blocks.append(Block(filters, filters))" in code


def test_what_layers_were_made_with() -> None:
    code = assert_twins(
        ROWS
        + """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(8)
        self.second = layers.Dense(self.first.units // 2, use_bias=False)
        self.out = layers.Dense(1)
    def call(self, x):
        return self.out(self.second(self.first(x)))
model = Net()
biased = [float(layer.use_bias) for layer in (model.first, model.second)]
"""
        + FIT,
        "history",
        "p",
        "biased",
    ).code
    assert "nn.Linear(8, self.first.out_features // 2, bias=False)" in code
    active = ROWS + "layer = layers.Dense(8, activation='relu')\nlayer(x)\nn = layer.units\n"
    assert "several modules" in left_over(translate_keras(active))[0]
