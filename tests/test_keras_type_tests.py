"""Tests of layers' classes in Keras programs, and settings of layers that are made already."""

from __future__ import annotations

from test_keras_to_torch import manual, run, translated

BODY = """
inputs = keras.Input((8, 8, 3))
x = layers.Conv2D(4, 3, activation="relu", padding="same", strides=2)(inputs)
x = layers.BatchNormalization()(x)
x = layers.Flatten()(x)
model = keras.Model(inputs, layers.Dense(5, activation="relu")(x))
"""


def test_loop_reaches_layers_inside_of_blocks() -> None:
    names = run(
        BODY
        + """
seen = []
for layer in model.layers:
    if isinstance(layer, (layers.Conv2D, layers.Dense)):
        seen.append(type(layer).__name__)
    elif isinstance(layer, layers.BatchNormalization):
        layer.trainable = False
        seen.append("norm")
named = [layer for layer in model.layers if layer.__class__.__name__ == "Dense"]
"""
    )
    assert names["seen"] == ["Conv2d", "norm", "Linear"]
    assert len(names["named"]) == 1  # type: ignore[arg-type]
    trained = [p.shape for p in names["model"].parameters() if p.requires_grad]  # type: ignore[attr-defined]
    assert len(trained) == 4


def test_loop_over_the_other_layers_is_left() -> None:
    """A block is no Linear, but has one that is not to be frozen."""
    left = manual(
        translated(
            BODY
            + """
for layer in model.layers:
    if not isinstance(layer, layers.Dense):
        layer.trainable = False
"""
        )
    )
    assert any("inside of another" in message for message in left), left


def test_settings_of_layers_that_are_made() -> None:
    """An initializer fills the weights; a penalty that comes late is not dropped."""
    conversion = translated(
        """
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.a = layers.Dense(3)
                self.a.kernel_initializer = keras.initializers.RandomNormal(0.0, 0.02)
                for layer in (self.a, self.a):
                    layer.bias_initializer = keras.initializers.Ones()

            def call(self, x):
                return self.a(x)

        model = Net()
        model(tf.zeros([2, 5]))
        for layer in model.layers:
            layer.kernel_regularizer = keras.regularizers.L2(0.1)
        """
    )
    assert "nn.init.normal_(self.a.weight, 0.0, 0.02)" in conversion.code
    assert "nn.init.ones_(layer.bias)" in conversion.code
    assert manual(conversion) == ["`kernel_regularizer` of a layer is set after it was made"]
