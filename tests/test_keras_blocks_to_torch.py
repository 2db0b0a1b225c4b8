"""Functions that build parts of Keras models, and layers whose sizes have names."""

from __future__ import annotations

import textwrap

from keras_training import assert_twins, left_over, translate_keras

FIT = """
# train
h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
history = h.history["loss"]
p = model.predict(x, verbose=0)
"""
IMAGES = "x, y = rng.normal(size=(16, 8, 8, 3)), rng.integers(0, 3, 16)\n"
COMPILE = 'model.compile("sgd", "sparse_categorical_crossentropy")\n'


def fitted(source: str, data: str = IMAGES, compiled: str = COMPILE) -> str:
    return data + textwrap.dedent(source) + compiled + FIT


def test_unet_of_blocks_in_blocks() -> None:
    conversion = assert_twins(fitted("""
    def conv_block(inputs, filters):
        x = layers.Conv2D(filters, 3, padding="same")(inputs)
        x = layers.BatchNormalization()(x)
        return layers.Activation("relu")(x)

    def encoder_block(inputs, filters):
        x = conv_block(inputs, filters)
        return x, layers.MaxPool2D((2, 2))(x)

    def decoder_block(inputs, skip, filters):
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(inputs)
        x = layers.Concatenate()([x, skip])
        return conv_block(x, filters)

    def build_unet(shape, classes):
        inputs = keras.Input(shape)
        s1, p1 = encoder_block(inputs, 4)
        s2, p2 = encoder_block(p1, 6)
        x = conv_block(p2, 8)
        x = decoder_block(x, s2, 6)
        x = decoder_block(x, s1, 4)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))

    model = build_unet((8, 8, 3), 3)
    """), "history", "p")  # fmt: skip
    code = conversion.code
    assert "ConvBlock(filters + skip_channels, filters)" in code
    assert code.count(".permute(") == 1, "channels stay first between blocks"
    for name in ("ConvBlock", "EncoderBlock", "DecoderBlock", "Unet"):
        assert code.count(f"class {name}(") == 1


def test_residual_blocks_that_differ_by_a_condition() -> None:
    conversion = assert_twins(fitted("""
    def residual_block(x, filters, stride=1, project=False):
        \"\"\"Two convolutions and a shortcut.\"\"\"
        shortcut = x
        if project:
            shortcut = layers.Conv2D(filters, 1, strides=stride)(x)
            shortcut = layers.BatchNormalization()(shortcut)
        x = layers.Conv2D(filters, 3, strides=stride, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.Add()([shortcut, x])
        return layers.Activation("relu")(x)

    def stack(x, filters, blocks, stride=2):
        x = residual_block(x, filters, stride=stride, project=True)
        for i in range(1, blocks):
            x = residual_block(x, filters)
        return x

    def resnet(shape, widths, classes):
        inputs = keras.Input(shape=shape)
        x = layers.Conv2D(widths[0], 3, padding="same", use_bias=False)(inputs)
        x = stack(x, widths[0], 2, stride=1)
        x = stack(x, widths[1], 2)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))

    model = resnet((8, 8, 3), [4, 6], 3)
    """), "history", "p")  # fmt: skip
    assert "Stack(widths[0], widths[0])" in conversion.code
    assert '"""Two convolutions and a shortcut."""' in conversion.code


def test_closures_and_sizes_read_off_arrays() -> None:
    conversion = assert_twins(fitted("""
    def conv_bn(filters, kernel, name):
        def apply(x):
            x = layers.Conv2D(filters, kernel, padding="same", name=name + "_conv")(x)
            return layers.ReLU(6.0, name=name + "_relu")(x)
        return apply

    def narrow_block(x, filters, alpha, block_id):
        filters = int(filters * alpha)
        x = layers.DepthwiseConv2D(3, padding="same", name="dw_%d" % block_id)(x)
        x = layers.Conv2D(filters, 1, name="pw_%d" % block_id)(x)
        return x

    def se_block(x, ratio=2):
        c = x.shape[-1]
        w = layers.GlobalAveragePooling2D()(x)
        w = layers.Dense(c // ratio, activation="relu")(w)
        w = layers.Dense(c, activation="sigmoid")(w)
        w = layers.Reshape((1, 1, c))(w)
        return layers.Multiply()([x, w])

    def build(classes, alpha=0.5):
        inputs = keras.Input((8, 8, 3))
        x = conv_bn(6, 3, "stem")(inputs)
        x = narrow_block(x, 8, alpha, 1)
        x = se_block(x)
        x = narrow_block(x, 12, alpha, 2)
        x = se_block(x, ratio=3)
        x = conv_bn(5, 3, "head")(x)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))

    model = build(3)
    """), "history", "p")  # fmt: skip
    code = conversion.code
    for line in ("class ConvBn(", "class NarrowBlock(", "class SeBlock("):
        assert code.count(line) == 1
    assert "nn.Linear(in_channels, in_channels // ratio)" in code
    assert "filters = int(filters * alpha)" in code


def test_a_block_that_shares_a_layer_or_reads_more_is_written_out() -> None:
    conversion = assert_twins(
        fitted("""
    shared = layers.Dense(5, activation="tanh")

    def tower(x, units):
        x = layers.Dense(6)(x)
        x = shared(x)
        return layers.Dense(units)(x)

    inputs = keras.Input((4,))

    def gated(x):
        gate = layers.Dense(7, activation="sigmoid")(inputs)
        return layers.Dense(7)(layers.Dense(8)(x)) * gate

    z = gated(tower(inputs, 4) + tower(inputs, 4))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(z))
    """, "x, y = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)\n"),
        "history", "p",
    )  # fmt: skip
    assert "class Tower" not in conversion.code


def test_ids_reach_embeddings_as_whole_numbers() -> None:
    assert_twins(
        fitted("""
    class Embedded(layers.Layer):
        def __init__(self, length, words, width):
            super().__init__()
            self.words = layers.Embedding(words, width)
            self.places = layers.Embedding(length, width)

        def call(self, x):
            places = self.places(tf.range(0, tf.shape(x)[-1], 1))
            return self.words(x) + places

    inputs = keras.Input((6,))
    a = Embedded(6, 20, 5)(inputs)
    b = layers.Flatten()(layers.Embedding(20, 2)(inputs))
    a = layers.GlobalAveragePooling1D()(a)
    both = layers.Concatenate()([a, b])
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(both))
    """, "x, y = rng.integers(0, 20, (16, 6)), rng.integers(0, 3, 16)\n"),
        "history", "p",
    )  # fmt: skip


def test_loops_that_fill_a_sequential_stay_loops() -> None:
    conversion = assert_twins(fitted("""
    def cnn(shape, filters, classes, norm=False):
        model = keras.Sequential()
        model.add(layers.Input(shape=shape))
        for f in filters:
            model.add(layers.Conv2D(f, 3, padding="same"))
            if norm:
                model.add(layers.BatchNormalization())
            model.add(layers.Activation("relu"))
        model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dense(classes, activation="softmax"))
        return model

    model = cnn((8, 8, 3), [4, 5], 3, norm=True)
    other = cnn((8, 8, 3), [4, 6, 8], 3)
    other.compile("sgd", "sparse_categorical_crossentropy")
    other.fit(x, y, epochs=1, verbose=0)
    """), "history", "p")  # fmt: skip
    assert "for f in filters:" in conversion.code
    assert "in_channels = input_shape[-1]" in conversion.code.replace("= shape", "= input_shape")


def test_layers_in_lists_take_what_the_one_before_gives() -> None:
    conversion = assert_twins(
        fitted("""
    class MLP(keras.Model):
        def __init__(self, units, classes):
            super().__init__()
            self.hidden = [layers.Dense(u, activation="relu") for u in units]
            self.norms = [layers.LayerNormalization() for _ in units]
            self.out = layers.Dense(classes, activation="softmax")

        def call(self, x):
            for dense, norm in zip(self.hidden, self.norms):
                x = norm(dense(x))
            return self.out(x)

    model = MLP([5, 7], 3)
    model(tf.zeros((1, 4)))
    """, "x, y = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)\n"),
        "history", "p",
    )  # fmt: skip
    assert "for in_features, u in zip([4, *units], units)" in conversion.code


def test_frozen_layers_stay_and_their_batch_norms_use_what_they_learned() -> None:
    conversion = assert_twins(fitted("""
    base = keras.Sequential([
        layers.Input((8, 8, 3)),
        layers.Conv2D(4, 3, name="first"),
        layers.BatchNormalization(name="norm"),
        layers.Conv2D(4, 3, name="second"),
        layers.GlobalAveragePooling2D(),
    ])
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(base(inputs)))
    for layer in base.layers:
        if layer.name in ("first", "norm"):
            layer.trainable = False
    """), "history", "p")  # fmt: skip
    assert '("norm", base[2])' in conversion.code
    assert "set_trainable(layer, False)" in conversion.code


def test_trainable_false_in_a_constructor() -> None:
    conversion = assert_twins(
        fitted("""
    model = keras.Sequential([
        layers.Input((4,)),
        layers.Dense(5, trainable=False, kernel_regularizer="l2"),
        layers.Dense(3, activation="softmax"),
    ])
    """, "x, y = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)\n"),
        "history", "p",
    )  # fmt: skip
    assert "requires_grad_(False)" in conversion.code


def test_frozen_by_a_name_that_keras_gave_is_left_to_a_person() -> None:
    conversion = translate_keras("""
    model = keras.Sequential([layers.Input((4,)), layers.Dense(5), layers.Dense(2)])
    for layer in model.layers:
        if layer.name == "dense_1":
            layer.trainable = False
    """)
    assert left_over(conversion) != []


def test_settings_and_sizes_have_their_names_in_the_class() -> None:
    conversion = assert_twins(
        fitted("""
    import collections

    Config = collections.namedtuple("Config", "width depth")

    def vector(x, width, name):
        x = layers.Dense(width, activation="tanh", name=name)(x)
        return layers.Dense(width)(x)

    def build(config):
        inputs = keras.Input((4,))
        a, b = vector(inputs, config.width, "left"), vector(inputs, config.width, "right")
        x = layers.Concatenate()([a, b, layers.Multiply()([a, b])])
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))

    model = build(Config(5, 2))
    """, "x, y = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)\n"),
        "history", "p",
    )  # fmt: skip
    assert "self.left = Vector(4, config.width)" in conversion.code
    assert "nn.Linear(3 * config.width, 3)" in conversion.code


def test_models_over_one_graph_share_its_blocks() -> None:
    conversion = assert_twins(fitted("""
    def block(x, filters):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        return layers.ReLU()(x)

    inputs = keras.Input((8, 8, 3))
    maps = block(block(inputs, 4), 5)
    pooled = layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(inputs, layers.Dense(3, activation="softmax")(pooled))
    extractor = keras.Model(inputs, pooled)
    """) + "q = extractor.predict(x, verbose=0)\n", "history", "p", "q")  # fmt: skip
    assert "self.block = model.block" in conversion.code


def test_a_function_that_fills_a_sequential_is_told_its_channels() -> None:
    conversion = assert_twins(fitted("""
    class Scaled(layers.Layer):
        def build(self, input_shape):
            self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones")

        def call(self, x):
            return self.scale * x

    def down(filters, size, normed=True):
        start = keras.initializers.RandomNormal(stddev=0.1)
        block = keras.Sequential()
        block.add(layers.Conv2D(filters, size, strides=2, padding="same", kernel_initializer=start))
        if normed:
            block.add(Scaled())
        block.add(layers.LeakyReLU())
        return block

    def build():
        inputs = keras.Input((8, 8, 3))
        stack = [down(4, 3, normed=False), down(6, 3), down(8, 2)]
        x = inputs
        for block in stack:
            x = block(x)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))

    model = build()
    """), "history", "p")  # fmt: skip
    code = conversion.code
    assert "def down(in_channels, filters, size, normed=True):" in code
    assert "nn.Conv2d(in_channels, filters, size, stride=2)" in code
    assert "self.down2 = down(4, 6, 3)" in code


def test_a_method_that_makes_stages_is_told_its_channels() -> None:
    conversion = assert_twins(fitted("""
    class Block(layers.Layer):
        def __init__(self, filters, stride=1):
            super().__init__()
            self.conv = layers.Conv2D(filters, 3, strides=stride, padding="same")
            if stride != 1:
                self.short = keras.Sequential()
                self.short.add(layers.Conv2D(filters, 1, strides=stride))
            else:
                self.short = lambda x: x

        def call(self, x):
            return tf.nn.relu(self.conv(x) + self.short(x))

    class Net(keras.Model):
        def __init__(self, blocks):
            super().__init__()
            self.stage1 = self.make_stage(4, blocks[0], 2)
            self.stage2 = self.make_stage(6, blocks[1], 2)
            self.pool = layers.GlobalAveragePooling2D()
            self.fc = layers.Dense(3, activation="softmax")

        def make_stage(self, filters, blocks, stride=1):
            stage = keras.Sequential()
            stage.add(Block(filters, stride))
            for _ in range(1, blocks):
                stage.add(Block(filters))
            return stage

        def call(self, x):
            return self.fc(self.pool(self.stage2(self.stage1(x))))

    model = Net([2, 2])
    model(x[:1])
    """), "history", "p")  # fmt: skip
    code = conversion.code
    assert "stage.append(Block(in_channels, filters, stride))" in code
    assert "stage.append(Block(filters, filters))" in code
    assert "self.stage2 = self.make_stage(4, 6, blocks[1], 2)" in code


def test_a_model_of_several_inputs_takes_them_one_by_one() -> None:
    conversion = assert_twins("""
    x, z = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    a, b = keras.Input((3,)), keras.Input((2,))
    model = keras.Model([a, b], layers.Dense(1)(layers.Concatenate()([a, b])))
    model([x, z])
    optimizer = keras.optimizers.SGD(0.1)

    # train
    pair = [tf.constant(x), tf.constant(z)]
    history = []
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(pair) - model([pair[0] * 2, pair[1]])))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        history.append(float(loss))
    """, "history")  # fmt: skip
    assert "model(*pair) - model((pair[0] * 2)" in conversion.code


def test_recurrent_cells_step_by_step() -> None:
    conversion = assert_twins("""
    class Net(keras.Model):
        def __init__(self, units):
            super().__init__()
            self.first = layers.LSTMCell(units)
            self.second = layers.GRUCell(4)
            self.third = layers.SimpleRNNCell(3, activation="relu")

        def call(self, x):
            state = self.first.get_initial_state(batch_size=tf.shape(x)[0])
            hidden, last = [tf.zeros((6, 4))], tf.zeros((6, 3))
            for step in tf.unstack(x, axis=1):
                y, state = self.first(step, state)
                y, hidden = self.second(y, hidden)
                y, last = self.third(y, last)
            return y, hidden[0]

    x = tf.constant(rng.normal(size=(6, 3, 2)))
    model = Net(5)
    model(x)
    optimizer = keras.optimizers.SGD(0.5)

    # train
    losses = []
    for _ in range(4):
        with tf.GradientTape() as tape:
            y, h = model(x)
            loss = tf.reduce_mean(tf.square(y - 1.0)) + tf.reduce_mean(h)
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables))
        losses.append(float(loss))
    """, "losses")  # fmt: skip
    assert "self.first(step, state)" in conversion.code


def test_many_calls_by_keyword_are_followed_and_documented_once() -> None:
    conversion = assert_twins(fitted("""
    def layer(inputs, units=4, last=True):
        '''A layer and maybe what follows it.'''
        x = layers.Dense(units)(inputs)
        return layers.Activation("tanh")(x) if last else layers.Dense(units)(x)

    inputs = keras.Input((6,))
    x = inputs
    for i in range(15):
        x = layer(inputs=x)
        x = layer(inputs=x, last=False)
    model = keras.Model(inputs, layers.Dense(2)(x))
    x, y = rng.normal(size=(12, 6)), rng.normal(size=(12, 2))
    model.compile("sgd", "mse")
    """, "", ""), "history", "p")  # fmt: skip
    assert conversion.code.count("A layer and maybe what follows it.") == 1


def test_a_method_that_builds_a_graph_keeps_its_object_and_its_names() -> None:
    conversion = assert_twins("""
    class Agent:
        def __init__(self, actions):
            self.actions = int(actions)
            self.model = self.create()

        def create(self):
            inputs = keras.Input((4,))
            x = layers.Dense(5, activation="relu")(inputs)
            both = layers.Add()([layers.Dense(1)(x), layers.Dense(self.actions)(x)])
            model = keras.Model(inputs, both)
            model.compile("sgd", "mse")
            return model

        def predict(self, x):
            return self.model.predict(x, verbose=0)

    x = rng.normal(size=(8, 4))
    agents = [Agent(np.int64(3)), Agent(np.int64(3))]
    model = agents[0].model

    # train
    result = agents[0].predict(x)
    """, "result")  # fmt: skip
    assert "def predict(self, x):" in conversion.code
    assert "Net(self.actions)" in conversion.code
