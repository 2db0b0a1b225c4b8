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


def test_blocks_in_two_loops_hand_a_multiple_on() -> None:
    code = assert_twins(
        IMAGES
        + """
class Bottleneck(layers.Layer):
    def __init__(self, filters, strides=1):
        super().__init__()
        self.filters, self.strides = filters, strides
        self.conv = layers.Conv2D(filters * 4, 3, strides=strides, padding="same")
        self.norm = layers.BatchNormalization()
    def build(self, input_shape):
        if self.strides != 1 or input_shape[-1] != self.filters * 4:
            self.shortcut = layers.Conv2D(self.filters * 4, 1, strides=self.strides)
        else:
            self.shortcut = lambda x, training=False: x
        super().build(input_shape)
    def call(self, x, training=False):
        y = self.norm(self.conv(x), training=training)
        return tf.nn.relu(y + self.shortcut(x, training=training))
class Net(keras.Model):
    def __init__(self, blocks):
        super().__init__()
        self.stem, self.stages = layers.Conv2D(4, 3, padding="same"), []
        for i, n in enumerate(blocks):
            filters = 2 * 2 ** i
            for j in range(n):
                self.stages.append(Bottleneck(filters, 2 if i > 0 and j == 0 else 1))
        self.pool, self.out = layers.GlobalAveragePooling2D(), layers.Dense(1)
    def call(self, x, training=False):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x, training=training)
        return self.out(self.pool(x))
model = Net([2, 2])
"""
        + FIT,
        "history",
        "p",
    ).code
    assert "in_channels = 4\n        for i, n in enumerate(blocks):" in code
    assert "in_channels = filters * 4\n" in code


def test_what_layers_of_the_program_are_told_by_name() -> None:
    code = assert_twins(
        ROWS
        + """
from tensorflow.keras import activations, initializers, regularizers
class Own(layers.Layer):
    def __init__(self, units, activation=None, kernel_initializer="glorot_uniform",
                 kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.activation = units, activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.last = activations.get("tanh")
    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w",
                                 initializer=self.kernel_initializer,
                                 regularizer=self.kernel_regularizer)
    def call(self, x):
        return self.last(self.activation(tf.matmul(x, self.w)))
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = Own(8, "relu"), Own(6, tf.nn.sigmoid)
        self.c, self.out = Own(5, None), layers.Dense(1)
        self.more: list[layers.Layer] = [layers.Dense(5) for _ in range(2)]
    def call(self, x):
        x = self.c(self.b(self.a(x)))
        for layer in self.more:
            x = layer(x)
        return self.out(x)
model = Net()
"""
        + FIT,
        "history",
        "p",
    ).code
    assert "= units, get_activation(activation)\n" in code
    assert "self.last = nn.Tanh()" in code


def test_a_method_of_a_name_of_keras_that_no_fit_runs() -> None:
    assert_twins(
        ROWS
        + """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(1)
        self.opt = keras.optimizers.SGD(0.1)
    def call(self, x):
        return self.out(x)
    def compute_loss(self, x, y):
        return tf.reduce_mean(tf.square(self(x) - y))
    def learn(self, x, y):
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y)
        variables = self.trainable_variables
        self.opt.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return float(loss)
model = Net()
model(x[:1])
# train
losses = [model.learn(x.astype("float32"), y.astype("float32")) for _ in range(3)]
""",
        "losses",
    )


def test_lists_of_layers_that_are_appended_to_a_list() -> None:
    code = assert_twins(
        ROWS
        + """
class Net(keras.Model):
    def __init__(self, counts):
        super().__init__()
        self.stages = []
        for n in counts:
            stage = []
            for _ in range(n):
                stage.append(layers.Dense(6))
            self.stages.append(stage)
            self.stages.append([layers.Dense(6), layers.ReLU()])
        self.out = layers.Dense(1)
    def call(self, x):
        for stage in self.stages:
            for layer in stage:
                x = layer(x)
        return self.out(x)
model = Net([1, 2])
"""
        + FIT,
        "history",
        "p",
    ).code
    assert "self.stages.append(nn.ModuleList(stage))" in code


def test_a_variable_of_a_model_that_keras_does_not_train_is_told() -> None:
    source = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(2.0)
    def call(self, x):
        return x * self.scale
model = Net()
"""
    conversion = translate_keras(source)
    assert "nn.Parameter(torch.tensor(2.0), requires_grad=False)" in conversion.code
    assert "Keras 3 leaves a tf.Variable of a model out" in str(conversion.findings)
    named = translate_keras(source + "kept = [model.scale]\n")
    assert "nn.Parameter(torch.tensor(2.0))" in named.code
