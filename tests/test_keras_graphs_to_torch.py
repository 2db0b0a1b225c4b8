"""Functional models towards PyTorch: they compute and train the same, and read like classes."""

from __future__ import annotations

import textwrap

from keras_training import assert_twins, left_over, translate_keras

FIT = """
# train
h = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
history = h.history["loss"]
p = model.predict(x, verbose=0)
"""


def fitted(source: str) -> str:
    return textwrap.dedent(source) + FIT


def test_a_helper_function_becomes_a_module_that_a_loop_makes_twice() -> None:
    conversion = assert_twins(fitted("""
    def block(x, units):
        y = layers.Dense(units, activation="relu")(x)
        y = layers.Dense(units)(y)
        return layers.add([x, y])

    def build(width):
        inputs = keras.Input((6,))
        x = layers.Dense(width)(inputs)
        for _ in range(2):
            x = block(x, width)
        return keras.Model(inputs, layers.Dense(2)(x))

    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    model = build(5)
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip
    assert "def block" not in conversion.code
    assert conversion.code.count("class Block(") == 1
    assert "self.dense2 = initialize(nn.Linear(units, units))" in conversion.code
    assert conversion.code.count("Block(width, width)") == 2


def test_two_inputs_several_outputs_shared_layer() -> None:
    assert_twins(
        """
    a, b = keras.Input((7,), name="first"), keras.Input((7,), name="second")
    shared = layers.Dense(4, activation="tanh")
    both = layers.concatenate([shared(a), shared(b)])
    number = layers.Dense(1, name="number")(both)
    kind = layers.Dense(3, activation="softmax", name="kind")(both)
    model = keras.Model([a, b], {"number": number, "kind": kind})
    model.compile(
        "sgd",
        loss={"number": "mse", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"number": 0.5, "kind": 1.0},
        metrics={"kind": ["accuracy"]},
    )
    xs = {"first": rng.normal(size=(20, 7)), "second": rng.normal(size=(20, 7))}
    ys = {"number": rng.normal(size=(20, 1)), "kind": rng.integers(0, 3, 20)}
    # train
    h = model.fit(xs, ys, epochs=2, batch_size=6, shuffle=False, verbose=0)
    history = h.history["loss"], h.history["kind_accuracy"]
    scores = model.evaluate(xs, ys, verbose=0, return_dict=True)
    loss = scores["loss"]
    p = model.predict(xs, verbose=0)
    """,
        "history",
        "loss",
        "p",
    )


def test_layers_and_inputs_may_be_named_as_words_of_python() -> None:
    conversion = assert_twins(fitted("""
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(4, name="class")(inputs)
    model = keras.Model(inputs, layers.Dense(2, name="lambda")(x))
    x, y = rng.normal(size=(12, 6)), rng.normal(size=(12, 2))
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip
    assert "self.class_(in_)" in conversion.code


def test_several_models_over_one_graph() -> None:
    conversion = assert_twins(
        """
    inputs = keras.Input((8,))
    code = layers.Dense(3, activation="relu")(inputs)
    outputs = layers.Dense(8)(code)
    model = keras.Model(inputs, outputs)
    encoder = keras.Model(inputs, code)
    start = keras.Input((3,))
    decoder = keras.Model(start, model.layers[-1](start))
    model.compile("rmsprop", "mse")
    x = rng.normal(size=(16, 8))
    # train
    model.fit(x, x, epochs=2, shuffle=False, verbose=0)
    codes = encoder.predict(x, verbose=0)
    p = decoder.predict(codes, verbose=0)
    """,
        "codes",
        "p",
    )
    assert "Encoder(model)" in conversion.code


def test_convolutions_are_permuted_once_and_back_where_positions_are_read() -> None:
    conversion = assert_twins(fitted("""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    skip = x
    x = layers.Conv2D(4, 3, padding="same", strides=1)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Add()([x, skip])
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    model = keras.Model(inputs, layers.Dense(2)(x))
    x, y = rng.normal(size=(16, 8, 8, 3)), rng.normal(size=(16, 2))
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip
    assert conversion.code.count(".permute(") == 2


def test_expressions_of_a_graph_stand_in_its_forward() -> None:
    conversion = assert_twins(fitted("""
    scale = 0.5
    inputs = keras.Input((6,))
    x = layers.Dense(4)(inputs)
    x = keras.ops.relu(x) * scale + keras.ops.mean(x, axis=-1, keepdims=True)
    x = layers.Lambda(lambda t: t - 1.0)(x)
    model = keras.Model(inputs, layers.Dense(1)(x[:, :3]))
    x, y = rng.normal(size=(12, 6)), rng.normal(size=(12, 1))
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip
    assert "* scale +" in conversion.code


def test_masks_go_from_the_embedding_to_the_layers_that_read_them() -> None:
    conversion = assert_twins(fitted("""
    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(11, 5, mask_zero=True)(inputs)
    x = layers.LSTM(4, return_sequences=True)(x)
    x = layers.Bidirectional(layers.GRU(3))(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    x = rng.integers(1, 11, (12, 7))
    x[:, 5:] = 0
    x[3, 2:] = 0
    y = rng.normal(size=(12, 1))
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip
    assert conversion.code.count("mask=mask") == 2


def test_masks_of_a_sequential_that_is_not_told_its_input() -> None:
    assert_twins(fitted("""
    model = keras.Sequential()
    model.add(layers.Embedding(11, 5, mask_zero=True))
    model.add(layers.SpatialDropout1D(0.0))
    model.add(layers.LSTM(3))
    model.add(layers.Dense(1))
    x = np.array([rng.permutation(10)[:7] for _ in range(12)])
    y = rng.normal(size=(12, 1))
    model.compile("sgd", "mse")
    model.build((None, 7))
    """), "history", "p")  # fmt: skip


def test_states_of_recurrent_layers() -> None:
    assert_twins(fitted("""
    inputs = keras.Input((5, 3))
    _, h, c = layers.LSTM(4, return_state=True)(inputs)
    y = layers.LSTM(4, return_sequences=True)(inputs, initial_state=[h, c])
    y = layers.TimeDistributed(layers.Dense(2))(y)
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(y))
    x, y = rng.normal(size=(10, 5, 3)), rng.normal(size=(10, 2))
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip


def test_own_layers_and_nested_models_in_a_graph() -> None:
    assert_twins(fitted("""
    class Scaled(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.dense = layers.Dense(units)

        def call(self, x, training=None):
            return 2.0 * self.dense(x)

    body = keras.Sequential([layers.Input((6,)), layers.Dense(4, activation="tanh")])
    inputs = keras.Input((6,))
    x = body(inputs)
    x = Scaled(3, name="scaled")(x)
    model = keras.Model(inputs, x)
    x, y = rng.normal(size=(12, 6)), rng.normal(size=(12, 3))
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip


def test_a_graph_that_is_not_understood_stays_whole_with_one_reason() -> None:
    conversion = translate_keras("""
    inputs = keras.Input((6,))
    x = layers.Dense(4)(inputs)
    x = layers.LocallyUnknown(3)(x)
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    model.fit(rng.normal(size=(12, 6)), rng.normal(size=(12, 1)))
    """)
    assert len(left_over(conversion)) == 1
    assert 'model.compile("sgd", "mse")' in conversion.code
    assert "layers.Dense(4)(inputs)" in conversion.code


def test_models_that_methods_build_and_share_through_self() -> None:
    conversion = assert_twins(
        """
    class Pair:
        def __init__(self):
            self.size = 4
            self.critic = self.build_critic()
            self.critic.compile("sgd", "mse", metrics=["mae"])
            self.maker = self.build_maker()
            z = keras.Input((self.size,))
            self.critic.trainable = False
            score = self.critic(self.maker(z))
            self.both = keras.Model(z, score)
            self.both.compile(keras.optimizers.SGD(0.1), "mse")

        def build_critic(self):
            model = keras.Sequential()
            model.add(layers.Dense(3, activation="tanh", input_shape=(5,)))
            model.add(layers.Dense(1))
            x = keras.Input((5,))
            return keras.Model(x, model(x))

        def build_maker(self):
            z = keras.Input((self.size,))
            return keras.Model(z, layers.Dense(5)(z))

    pair = Pair()
    both = pair.both
    noise, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 1))
    # train
    losses = [pair.both.train_on_batch(noise, y) for _ in range(3)]
    p = pair.maker.predict(noise, verbose=0)
    """,
        "losses",
        "p",
    )
    assert "self.both = Both(self.maker, self.critic)" in conversion.code
    assert "self.both.optimizer = torch.optim.SGD(self.both.parameters(), lr=0.1)" in (
        conversion.code
    )


def test_functions_that_are_handed_inputs_do_without_them() -> None:
    conversion = assert_twins(fitted("""
    def build_body(inputs, width):
        steps = [width, 3]
        x = inputs
        for units in steps:
            if units == steps[-1]:
                kind = "tanh"
            else:
                kind = "relu"
            x = layers.Dense(units, activation=kind)(x)
        return keras.Model(inputs, x, name="body")

    inputs = keras.Input((6,))
    body = build_body(inputs, 5)
    model = keras.Model(inputs, layers.Dense(2)(body(inputs)))
    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip
    assert "def build_body(width):" in conversion.code
    assert "body = build_body(5)" in conversion.code
    assert "for units in" not in conversion.code


def test_one_of_several_results_and_all_of_them_by_batches() -> None:
    conversion = assert_twins("""
    inputs = keras.Input((6,))
    mean = layers.Dense(2)(inputs)
    scale = layers.Dense(2)(inputs)
    encoder = keras.Model(inputs, [mean, scale, mean + scale])
    codes = keras.Input((2,))
    decoder = keras.Model(codes, layers.Dense(6)(codes))
    model = keras.Model(inputs, decoder(encoder(inputs)[2]))
    x = rng.normal(size=(20, 6))
    model.compile("sgd", "mse")
    # train
    model.fit(x, x, epochs=2, shuffle=False, verbose=0)
    first, _, last = encoder.predict(x, batch_size=8, verbose=0)
    """, "first", "last")  # fmt: skip
    assert "self.decoder(self.encoder(inputs)[2])" in conversion.code


def test_a_model_over_a_part_of_a_model_that_an_object_holds() -> None:
    assert_twins(
        """
x = rng.normal(size=(8, 5))
def encoder():
    inputs = keras.Input((5,))
    h = layers.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(3)(h))
class Holder:
    def __init__(self, encoder):
        self.encoder = encoder
holder = Holder(encoder())
half = keras.Model(holder.encoder.input, holder.encoder.layers[1].output)
half.trainable = False
inputs = keras.Input((5,))
model = keras.Model(inputs, layers.Dense(1)(half(inputs)))
model.compile("sgd", "mse")
# train
h = model.fit(x, x[:, :1], epochs=2, shuffle=False, verbose=0).history
p = half.predict(x, verbose=0)
""",
        "h",
        "p",
    )


def test_a_graph_that_reads_its_builder_is_told() -> None:
    conversion = translate_keras("""
class Actor:
    def __init__(self, bound):
        self.bound = bound
        self.model = self.build()
    def build(self):
        inputs = keras.Input((4,))
        h = layers.Dense(3)(inputs)
        clip = layers.Lambda(lambda x: tf.clip_by_value(x * self.bound, 0, self.bound))
        return keras.Model(inputs, clip(h))
actor = Actor(2.0)
print(actor.model.predict(np.zeros((2, 4))))
""")
    compile(conversion.code, "translated.py", "exec")


def test_an_optimizer_s_class_that_is_handed_on_is_told() -> None:
    conversion = translate_keras("""
def choices():
    return {"optimizer": [keras.optimizers.Adam, keras.optimizers.SGD], "lr": [0.1, 0.01]}
print(choices())
""")
    assert left_over(conversion)


def test_options_in_a_dict_and_options_that_a_function_passes_on() -> None:
    conversion = assert_twins(fitted("""
    def block(x, units, **kwargs):
        return layers.Dense(units, **kwargs)(x)

    def build():
        options = {"activation": "relu", "kernel_initializer": keras.initializers.HeNormal()}
        inputs = keras.Input((6,))
        x = layers.Dense(5, **options)(inputs)
        x = block(x, 4, use_bias=False)
        x = block(x, 4)
        x = layers.Dense(3, **options)(x)
        return keras.Model(inputs, layers.Dense(2)(x))

    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    model = build()
    model.compile("sgd", "mse")
    """), "history", "p")  # fmt: skip
    assert "options" not in conversion.code
    assert conversion.code.count("nn.ReLU()") == 2
    assert "bias=False" in conversion.code


def test_options_that_are_another_value_later_stay_where_they_are() -> None:
    conversion = translate_keras(textwrap.dedent("""
    rate = 1
    options = dict(units=rate)
    rate = 2
    model = keras.Sequential([keras.Input((3,)), layers.Dense(**options)])
    """))  # fmt: skip
    assert left_over(conversion)
    assert "**options" in conversion.code


def test_outputs_of_layers_that_are_chosen_by_name() -> None:
    conversion = assert_twins(fitted("""
    inputs = keras.Input((6,), name="rows")
    h = layers.Dense(5, activation="relu", name="dense_a")(inputs)
    h = layers.Dropout(0.0, name="drop")(h)
    h = layers.Dense(4, name="dense_b")(h)
    model = keras.Model(inputs, layers.Dense(2, name="last")(h))

    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    model.compile("sgd", "mse")
    chosen = [layer.output for layer in model.layers if "dense_" in layer.name]
    features = keras.Model(model.inputs, chosen)
    every = keras.Model(model.inputs, [layer.output for layer in model.layers])
    """) + """
a, b = features.predict(x, verbose=0)
first = every.predict(x, verbose=0)[0]
""", "history", "p", "a", "b", "first")  # fmt: skip
    assert "self.dense_b = model.dense_b" in conversion.code


def test_the_gradient_of_an_activation_in_the_middle() -> None:
    assert_twins(fitted("""
    inputs = keras.Input((6, 6, 2))
    h = layers.Conv2D(3, 3, activation="relu", name="last")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(h)))

    x, y = rng.normal(size=(20, 6, 6, 2)), rng.normal(size=(20, 2))
    model.compile("sgd", "mse")

    def heat(model, images, chosen=None):
        both = keras.Model(model.inputs, [model.get_layer("last").output, model.output])
        with tf.GradientTape() as tape:
            maps, scores = both(images)
            if chosen is None:
                chosen = tf.argmax(scores[0])
            score = scores[:, chosen]
        grads = tape.gradient(score, maps)
        return tf.reduce_sum(maps * grads, axis=-1).numpy()
    """) + """
m = heat(model, x[:2])
""", "history", "p", "m")  # fmt: skip


def test_an_encoder_that_two_functions_are_handed() -> None:
    conversion = assert_twins(fitted("""
    shift = keras.Sequential([keras.Input((6,)), layers.Dense(6)])

    def encoder_of(width):
        inputs = keras.Input((6,))
        return keras.Model(inputs, layers.Dense(width, activation="relu")(shift(inputs)))

    def classifier_of(encoder):
        inputs = keras.Input((6,))
        return keras.Model(inputs, layers.Dense(2)(encoder(inputs)))

    def projector_of(encoder, head):
        inputs = keras.Input((6,))
        return keras.Model(inputs, head(encoder(inputs)))

    x, y = rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    encoder = encoder_of(5)
    model = classifier_of(encoder)
    one = projector_of(encoder, keras.Sequential([keras.Input((5,)), layers.Dense(3)]))
    other = projector_of(encoder, keras.Sequential([keras.Input((5,)), layers.Dense(4)]))
    model.compile("sgd", "mse")
    """) + """
a, b = one.predict(x, verbose=0), other.predict(x, verbose=0)
""", "history", "p", "a", "b")  # fmt: skip
    assert "self.encoder = encoder" in conversion.code
    assert "self.head = head" in conversion.code
