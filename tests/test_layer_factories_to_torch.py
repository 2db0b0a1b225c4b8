"""Functions that make layers and are called with different arguments, towards PyTorch."""

from __future__ import annotations

from keras_training import assert_twins, left_over, translate_keras

IMAGES = "x, y = rng.normal(size=(16, 20, 20, 4)), rng.normal(size=(16, 1))\n"
FIT = """
model = Net()
model.compile("sgd", "mse")
model(x[:1])
# train
h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
history = h.history
p = model.predict(x, verbose=0)
"""


def test_windows_that_differ_from_call_to_call_are_written_by_name() -> None:
    conversion = assert_twins(
        IMAGES
        + """
def block(c, k=3, d=1, g=1, s=1):
    return keras.Sequential([
        layers.ZeroPadding2D(d * (k - 1) // 2),
        layers.Conv2D(c, k, strides=s, dilation_rate=d, groups=g),
        layers.BatchNormalization(),
        layers.MaxPooling2D(k, strides=1),
    ])
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = block(8), block(8, 5, g=2), block(12, d=2)
        self.d = block(6, s=2)
        self.pool, self.out = layers.GlobalAveragePooling2D(), layers.Dense(1)
    def call(self, x):
        return self.out(self.pool(self.d(self.c(self.b(self.a(x))))))
"""
        + FIT,
        "history",
        "p",
    )
    assert "nn.Conv2d(in_channels, c, k, stride=s, dilation=d, groups=g)" in conversion.code
    assert "block(8, 8, 5, g=2)" in conversion.code


def test_layers_of_a_class_that_is_made_with_other_windows() -> None:
    assert_twins(
        IMAGES
        + """
class Block(layers.Layer):
    def __init__(self, filters, size, stride, rate):
        super().__init__()
        self.conv = layers.Conv2D(filters, size, stride, padding="same")
        self.wide = layers.Conv2D(filters, size, padding="same", dilation_rate=rate)
        self.pool = layers.AveragePooling2D(size, 1)
    def call(self, x):
        return self.pool(self.wide(self.conv(x)))
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = Block(5, 3, 1, 2), Block(6, 2, 2, 1)
        self.pool, self.out = layers.GlobalAveragePooling2D(), layers.Dense(1)
    def call(self, x):
        return self.out(self.pool(self.b(self.a(x))))
"""
        + FIT,
        "history",
        "p",
    )


def test_activations_that_are_handed_in_stay_where_they_are() -> None:
    assert_twins(
        """
x, y = rng.normal(size=(16, 6)), rng.normal(size=(16, 1))
def mlp(dim, act):
    return keras.Sequential([layers.Dense(dim), act(), layers.Dense(1)])
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = mlp(5, layers.ReLU), mlp(4, lambda: layers.Activation("tanh"))
    def call(self, x):
        return self.a(x) + self.b(x)
"""
        + FIT,
        "history",
        "p",
    )


def test_an_argument_that_decides_on_the_modules_may_not_differ() -> None:
    conversion = translate_keras(
        IMAGES
        + """
def block(c, padding):
    return keras.Sequential([layers.Conv2D(c, 3, padding=padding)])
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = block(8, "same"), block(8, "valid")
        self.pool, self.out = layers.GlobalAveragePooling2D(), layers.Dense(1)
    def call(self, x):
        return self.out(self.pool(self.b(self.a(x))))
"""
        + FIT
    )
    assert any("`padding` of layers.Conv2D" in m for m in left_over(conversion))
