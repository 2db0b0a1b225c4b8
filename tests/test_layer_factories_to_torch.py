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


SAMPLED = """
x, y = rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 8, 8, 3))
def downsample(filters, size, norm=True):
    start = tf.random_normal_initializer(0.0, 0.02)
    result = keras.Sequential()
    result.add(layers.Conv2D(filters, size, strides=2, padding="same", kernel_initializer=start))
    if norm:
        result.add(layers.BatchNormalization())
    result.add(layers.LeakyReLU(0.25))
    return result
def upsample(filters, size, drop=False):
    result = keras.Sequential()
    result.add(layers.Conv2DTranspose(filters, size, strides=2, padding="same", use_bias=False))
    if drop:
        result.add(layers.Dropout(0.0))
    return result
def Unet():
    first = keras.Input((8, 8, 3))
    second = keras.Input((8, 8, 3))
    start = tf.random_normal_initializer(0.0, 0.02)
    x = layers.concatenate([first, second])
    skips = []
    for down in [downsample(4, 4, norm=False), downsample(6, 4)]:
        x = down(x)
        skips.append(x)
    x = upsample(5, 4, drop=True)(x)
    x = layers.Concatenate()([x, skips[0]])
    last = layers.Conv2DTranspose(3, 4, strides=2, padding="same", kernel_initializer=start)
    return keras.Model([first, second], last(x))
model = Unet()
model.compile("sgd", "mse")
# train
h = model.fit([x, y], y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
pair = [x, y]
p, q = np.asarray(model([x, y], training=False)), np.asarray(model(pair, training=False))
"""


def test_functions_that_add_layers_under_conditions_stay_and_a_graph_calls_them() -> None:
    conversion = assert_twins(SAMPLED, "h", "p", "q")
    assert "class Unet(nn.Module):" in conversion.code
    assert "self.downsample2 = downsample(4, 6, 4)" in conversion.code
    assert "for item in pair]" in conversion.code
    assert "initializer" not in conversion.code.replace("tf.random_normal_initializer", "")


def test_a_branch_that_changes_the_order_of_axes_is_not_appended_to() -> None:
    conversion = translate_keras("""
x, y = rng.normal(size=(8, 8, 8, 3)), rng.normal(size=(8, 4))
def head(flat):
    result = keras.Sequential()
    result.add(layers.Conv2D(4, 3))
    if flat:
        result.add(layers.Flatten())
    result.add(layers.Dense(4))
    return result
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = head(True), head(False)
    def call(self, x):
        return self.a(x) + tf.reduce_mean(self.b(x))
net = Net()
net(x)
""")
    assert left_over(conversion)
