"""compile, fit and their like towards PyTorch: equal losses, metrics and predictions."""

from __future__ import annotations

import pytest
from keras_training import assert_twins, left_over, translate_keras

DENSE = """
model = keras.Sequential([
    layers.Input((4,)), layers.Dense(6, activation="relu"), layers.Dense(1, activation="sigmoid"),
])
x, y = rng.normal(size=(22, 4)), rng.integers(0, 2, 22)
"""
FIT = """
# train
h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0{more})
history = h.history
p = model.predict(x, verbose=0)
"""


def compiled(options: str = '"sgd", "binary_crossentropy", metrics=["accuracy"]') -> str:
    return DENSE + f"model.compile({options})\n"


@pytest.mark.parametrize(
    "more",
    [
        ", class_weight={0: 0.5, 1: 3.0}",
        ", sample_weight=np.linspace(0.2, 2.0, 22)",
        ", validation_split=0.25",
        ", validation_data=(x[:7], y[:7])",
        ", validation_data=(x[:7], y[:7]), validation_freq=1, initial_epoch=1",
    ],
)
def test_arguments_of_fit(more: str) -> None:
    assert_twins(compiled() + FIT.format(more=more), "history", "p")


@pytest.mark.parametrize(
    "options",
    [
        "keras.optimizers.SGD(0.125, momentum=0.5), loss=keras.losses.BinaryCrossentropy()",
        'loss="mse", optimizer="rmsprop", metrics=["mae", keras.metrics.AUC(name="auc")]',
    ],
)
def test_what_compile_is_given(options: str) -> None:
    assert_twins(compiled(options) + FIT.format(more=""), "history", "p")


def test_a_loss_function_of_the_programs_own() -> None:
    own = "def own(t, p):\n    return keras.ops.mean(keras.ops.square(p - 0.5 * t), axis=-1)\n\n"
    source = own + compiled('"sgd", loss=own') + FIT.format(more="")
    assert_twins(
        source.replace("rng.integers(0, 2, 22)", "rng.normal(size=(22, 1))"), "history", "p"
    )


def test_one_batch_at_a_time() -> None:
    assert_twins(
        compiled('"sgd", "binary_crossentropy"')
        + """
# train
losses = [model.train_on_batch(x[i : i + 8], y[i : i + 8]) for i in range(0, 8, 8)]
p = model.predict_on_batch(x[:5])
""",
        "losses",
        "p",
    )


def test_evaluate_gives_the_loss_and_the_metrics() -> None:
    assert_twins(
        compiled()
        + """
# train
loss, accuracy = model.evaluate(x, y, verbose=0)
scores = model.evaluate(x, y, verbose=0, return_dict=True)
""",
        "loss",
        "accuracy",
        "scores",
    )


def test_own_losses_and_metrics_are_classes_still() -> None:
    conversion = assert_twins(
        """
class Steep(keras.losses.Loss):
    def __init__(self, power=4.0, name="steep"):
        super().__init__(name=name)
        self.power = power

    def call(self, y_true, y_pred):
        return tf.reduce_mean(tf.abs(y_true - y_pred) ** self.power, axis=-1)


class Bias(keras.metrics.Metric):
    def __init__(self, name="bias", **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(y_pred - y_true))
        self.count.assign_add(tf.cast(tf.size(y_true), self.count.dtype))

    def result(self):
        return self.total / self.count


model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
model.compile("sgd", Steep(), metrics=[Bias()])
"""
        + FIT.format(more=""),
        "history",
        "p",
    )
    assert "class Steep(KerasLoss):" in conversion.code
    assert "class Bias(KerasMetric):" in conversion.code


def test_penalties_and_constraints() -> None:
    assert_twins(
        """
model = keras.Sequential([
    layers.Input((4,)),
    layers.Dense(6, kernel_regularizer=keras.regularizers.L2(0.01), activation="tanh",
                 activity_regularizer=keras.regularizers.L1(0.001)),
    layers.Dense(3, bias_regularizer="l2", kernel_constraint=keras.constraints.MaxNorm(0.5)),
    layers.Dense(1, kernel_constraint="non_neg"),
])
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
model.compile("sgd", "mse")
""".replace('"non_neg"', "keras.constraints.NonNeg()")
        + FIT.format(more=""),
        "history",
        "p",
    )


def test_a_model_with_a_training_step_of_its_own() -> None:
    assert_twins(
        """
class Halving(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)
        self.total = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.total]

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = 0.5 * tf.reduce_mean(tf.square(self(x, training=True) - y))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.total.update_state(loss)
        return {"loss": self.total.result()}


model = Halving()
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
model.compile(optimizer=keras.optimizers.SGD(0.05))
"""
        + FIT.format(more=""),
        "history",
        "p",
    )


def test_layers_added_in_a_loop_and_kept_elsewhere() -> None:
    assert_twins(
        """
model = keras.Sequential()
model.add(layers.Input((4,)))
for units in (5, 3):
    model.add(layers.Dense(units, activation="tanh"))
model.add(layers.Dense(1))
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
model.compile("sgd", "mse")
"""
        + FIT.format(more=""),
        "history",
        "p",
    )


def test_subclassed_model_with_weights_of_its_own() -> None:
    conversion = assert_twins(
        """
class Affine(layers.Layer):
    def __init__(self, units, **kwargs):
        super(Affine, self).__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_normal")
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)
        super().build(input_shape)

    def call(self, inputs):
        return tf.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {"units": self.units}


class Net(keras.Model):
    def __init__(self, width=6):
        super().__init__()
        self.hidden = [Affine(width, name="one"), Affine(width - 2)]
        self.drop = layers.Dropout(0.0)
        self.last = layers.Dense(1, activation="softplus")

    def call(self, x, training=False):
        for layer in self.hidden:
            x = tf.nn.relu(layer(x))
        return self.last(self.drop(x, training=training))


model = Net()
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
model.compile("sgd", "mse")
"""
        + FIT.format(more=""),
        "history",
        "p",
    )
    assert "get_config" not in conversion.code
    assert "def build" not in conversion.code


def test_former_names_are_understood() -> None:
    conversion = translate_keras("""
    model = keras.Sequential()
    model.add(layers.Dense(output_dim=3, init="uniform", activation="relu", input_dim=4))
    model.add(layers.Dense(1))
    model.compile(optimizer="adam", loss="mse")
    model.fit(rng.normal(size=(12, 4)), rng.normal(size=(12, 1)), nb_epoch=2, batch_size=4)
    """)
    assert left_over(conversion) == []
    assert "nn.Linear(4, 3)" in conversion.code
    assert "range(2)" in conversion.code


def test_a_compile_of_the_programs_own() -> None:
    assert_twins(
        """
class Pair(keras.Model):
    def __init__(self, teacher, student):
        super().__init__()
        self.teacher, self.student = teacher, student

    def compile(self, optimizer, loss_fn, alpha=0.5):
        super().compile(optimizer=optimizer)
        self.loss_fn = loss_fn
        self.alpha = alpha

    def call(self, x):
        return self.student(x)

    def train_step(self, data):
        x, y = data
        goal = self.teacher(x, training=False)
        with tf.GradientTape() as tape:
            p = self.student(x, training=True)
            loss = self.alpha * self.loss_fn(y, p) + (1 - self.alpha) * self.loss_fn(goal, p)
        grads = tape.gradient(loss, self.student.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.student.trainable_variables))
        return {"loss": loss}

    def test_step(self, data):
        x, y = data
        return {"loss": self.loss_fn(y, self.student(x, training=False))}

teacher = keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(1)])
student = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
pair = Pair(teacher, student)
pair.compile(keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError(), alpha=0.25)
# train
pair.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
p = student.predict(x, verbose=0)
""",
        "p",
    )


def test_a_cloned_model_trains_by_itself() -> None:
    assert_twins(
        DENSE
        + """
twin = keras.models.clone_model(model)
twin.set_weights(model.get_weights())
model.compile("sgd", "binary_crossentropy")
# train
twin.set_weights(model.get_weights())
model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
p, q = model.predict(x, verbose=0), twin.predict(x, verbose=0)
""",
        "p",
        "q",
    )


SOFTMAX = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = layers.Dense(6, "relu"), layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.out(self.hidden(x))

def build():
    {model}
    model.compile("sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model

x, y = rng.normal(size=(22, 4)), rng.integers(0, 3, 22)
model = build()
model(x)
"""


@pytest.mark.parametrize(
    "model",
    [
        'model = keras.Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])',
        "model = Net()",
    ],
)
def test_logits_behind_a_softmax_whatever_the_loss_is_told(model: str) -> None:
    """Keras looks for what the softmax was made from; the model is compiled in another function."""
    assert_twins(
        SOFTMAX.replace("{model}", model)
        + """
# train
history = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0).history
""",
        "history",
    )


def test_one_variable_for_the_optimizers_of_two_models() -> None:
    """A network that is trained by itself and, frozen, as the end of another."""
    assert_twins(
        """
end = keras.Sequential([layers.Input((3,)), layers.Dense(1, activation="sigmoid")])
optimizer = keras.optimizers.SGD(0.5)
end.compile(optimizer, "binary_crossentropy")
start = keras.Sequential([layers.Input((4,)), layers.Dense(3, activation="tanh")])
start.compile(optimizer=optimizer, loss="mse")
end.trainable = False
z = keras.Input((4,))
both = keras.Model(z, end(start(z)))
optimizer = keras.optimizers.SGD(0.125)
both.compile(optimizer, "binary_crossentropy")
x, noise = rng.normal(size=(8, 3)), rng.normal(size=(8, 4))
# train
losses = []
for _ in range(3):
    end.trainable = True
    losses.append(end.train_on_batch(x, np.ones(8)))
    end.trainable = False
    losses.append(both.train_on_batch(noise, np.zeros(8)))
p, q = start.predict(noise, verbose=0), end.predict(x, verbose=0)
""",
        "losses",
        "p",
        "q",
    )


GENERATOR = """
def batches():
    while True:
        rows = rng.normal(size=(8, 4)).astype("float32")
        yield rows, rows.sum(axis=1)

model = keras.Sequential([layers.Dense(3, "tanh"), layers.Dense(1)])
model.compile("sgd", "mse")
model.build((None, 4))
# train
history = model.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0).history
"""


def test_a_generator_of_arrays_gives_tensors_and_no_batch_of_it_is_lost() -> None:
    assert_twins(GENERATOR, "history")


def test_a_generator_of_which_nothing_is_known_is_left() -> None:
    source = GENERATOR.replace("yield rows, rows.sum(axis=1)", "yield load_rows()")
    found = left_over(translate_keras(source))
    assert any("generator" in message for message in found), found


SINGLE = 2e-6
"""Keras keeps rates of Adam and of schedules in single precision."""
REGRESSION = """
def make():
    return keras.Sequential([layers.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(1)])


first, second = make(), make()
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
"""


def test_optimizers_that_are_made_before_their_model_is_known() -> None:
    conversion = assert_twins(
        REGRESSION
        + """
rate = keras.optimizers.schedules.ExponentialDecay(0.125, 4, 0.5, staircase=True)
pairs = [(first, keras.optimizers.SGD(rate)), (second, keras.optimizers.SGD(0.0625, momentum=0.5))]
# train
losses = []
for model, optimizer in pairs:
    model.compile(optimizer=optimizer, loss="mse")
    history = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    losses.append(history.history["loss"])
""",
        "losses",
    )
    assert "functools.partial(KerasSGD, lr=0.0625, momentum=0.5)" in conversion.code
    assert "optimizer = optimizer(model.parameters())" in conversion.code


def test_an_optimizer_comes_from_another_function() -> None:
    conversion = assert_twins(
        REGRESSION
        + """
def optimizer_of(rate):
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [rate, rate / 2])
    return keras.optimizers.SGD(schedule, momentum=0.5)


def train(model, optimizer):
    model.compile(optimizer=optimizer, loss="mse")


# train
train(first, optimizer_of(0.125))
h = first.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
losses = h.history["loss"]
""",
        "losses",
    )
    assert "return functools.partial(scheduled, schedule, KerasSGD, momentum=0.5)" in (
        conversion.code
    )


def test_an_optimizer_that_is_also_used_by_hand_is_told() -> None:
    source = (
        REGRESSION
        + """
optimizers = [keras.optimizers.SGD(0.1), keras.optimizers.Adam()]
for optimizer in optimizers:
    first.compile(optimizer=optimizer, loss="mse")
    first.fit(x, y)
    print(optimizer.learning_rate)
"""
    )
    assert any("also uses by itself" in text for text in left_over(translate_keras(source)))


def test_an_own_loss_reads_the_logits_of_a_sigmoid() -> None:
    """Keras' crossentropy takes the logits behind a sigmoid: nothing is clipped."""
    source = """
def own(truth, guess):
    return 0.5 * keras.losses.binary_crossentropy(truth, guess)


"""
    source += compiled("keras.optimizers.SGD(1.0), loss=own")
    source = source.replace("rng.integers(0, 2, 22)", "rng.integers(0, 2, (22, 1)) * 1.0")
    conversion = assert_twins(source + FIT.format(more=""), "history", "p")
    assert "return 0.5 * binary_log_loss(truth, guess)" in conversion.code


def test_weights_of_a_layer_of_the_programs_own_stay_in_bounds() -> None:
    conversion = assert_twins(
        """
class Scale(layers.Layer):
    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1], 3), name="scale",
                                     regularizer=keras.regularizers.L2(0.01),
                                     constraint=keras.constraints.MaxNorm(0.4))

    def call(self, x):
        return tf.matmul(x, self.scale)


model = keras.Sequential([layers.Input((4,)), Scale(), layers.Dense(1)])
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
model.compile("sgd", "mse")
"""
        + FIT.format(more=""),
        "history",
        "p",
    )
    assert 'regularize(self, l2=0.01, name="scale")' in conversion.code


def test_weights_of_a_layer_by_name() -> None:
    assert_twins(
        REGRESSION
        + """
first.compile("sgd", "mse")
# train
first.fit(x, y, batch_size=8, shuffle=False, verbose=0)
kernel = first.layers[-1].kernel.numpy()
bias = first.layers[-1].bias.numpy()
""",
        "kernel",
        "bias",
    )


def test_models_and_batches_go_to_the_gpu_and_back() -> None:
    """Whatever mixes devices fails: `train_twins` runs the translation on one that is not there."""
    conversion = assert_twins(
        """
a, b = keras.Input((4,), name="a"), keras.Input((2,), name="b")
h = layers.Dense(3, "relu")(layers.concatenate([a, b]))
model = keras.Model([a, b], layers.Dense(1)(h))
part = keras.Sequential([layers.Input((4,)), layers.Dense(2), layers.Dense(1)])
x, z, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 2)), rng.normal(size=(22, 1))
model.compile("sgd", "mse", metrics=["mae", keras.metrics.AUC(name="auc")])
part.compile("adam", "mse")
# train
stop = keras.callbacks.EarlyStopping(restore_best_weights=True)
h = model.fit([x, z], y, validation_split=0.25, shuffle=False, verbose=0, callbacks=[stop])
losses = h.history["loss"]
part.fit(x, y, sample_weight=np.linspace(0.1, 1, 22), shuffle=False, verbose=0)
p = model.predict([x, z], verbose=0)
q = tf.reduce_mean(tf.square(part(tf.constant(x)) - y)).numpy()
score = part.evaluate(x, y, verbose=0)
one = part.train_on_batch(x, y)
""",
        "losses", "p", "q", "score", "one",
        tolerance=SINGLE,
    )  # fmt: skip
    assert "inputs, targets = inputs.to(device), targets.to(device)" not in conversion.code
    assert ".to(device)).cpu()" in conversion.code


def test_targets_that_do_not_sum_to_one_have_the_gradients_that_tensorflow_gives_them() -> None:
    """Advantages in the place of the actions taken, nothing where none was."""
    conversion = assert_twins(
        """
model = keras.Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")])
model.compile("sgd", "categorical_crossentropy")
x, y = rng.normal(size=(24, 4)), np.zeros((24, 3))
y[np.arange(20), rng.integers(0, 3, 20)] = rng.normal(size=20)
# train
h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
losses = h.history["loss"]
p = model.predict(x, verbose=0)
""",
        "losses", "p",
    )  # fmt: skip
    assert "CrossEntropyLoss" not in conversion.code


def test_inputs_of_a_model_in_a_list_that_holds_another() -> None:
    """A decoder is given its token and whatever states there are."""
    assert_twins(
        """
token, states = layers.Input((1,), dtype="int32"), [layers.Input((6,)), layers.Input((6,))]
table = layers.Embedding(5, 4)
y, h, c = layers.LSTM(6, return_state=True)(table(token), initial_state=states)
model = keras.Model([token, *states], [layers.Dense(5)(y), h, c])
step = np.zeros((3, 1), dtype="int32")
# train
kept = [rng.normal(size=(3, 6)), rng.normal(size=(3, 6))]
scores, *kept = model.predict_on_batch([step, *kept])
second, *kept = model.predict([step, *kept], verbose=0)
third, *kept = model.predict_on_batch([step] + kept)
""",
        "scores", "second", "third", "kept",
    )  # fmt: skip


def test_a_function_that_compiles_is_called_several_times() -> None:
    conversion = assert_twins(
        """
def make():
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["acc"])
    return model


first, second = make(), make()
x, y = rng.normal(size=(22, 4)), rng.integers(0, 2, 22)
# train
slower = keras.callbacks.LearningRateScheduler(lambda epoch: 0.125 * 0.5**epoch)
h = first.fit(x, y, epochs=3, callbacks=[slower], shuffle=False, verbose=0)
losses = h.history["loss"]
second.fit(x, y, shuffle=False, verbose=0)
scores = dict(zip(["loss", "acc"], second.evaluate(x, y, verbose=0)))
""",
        "losses",
        "scores",
        tolerance=SINGLE,
    )
    assert "for group in first.optimizer.param_groups:" in conversion.code


def test_a_history_knows_losses_and_metrics_only() -> None:
    source = (
        REGRESSION
        + """
first.compile("sgd", "mse")
h = first.fit(x, y)
print(h.params)
"""
    )
    assert left_over(translate_keras(source)) == [
        "the history of a training loop keeps the losses and metrics only"
    ]


def test_a_model_that_is_called_before_it_is_compiled_is_not_on_the_gpu_yet() -> None:
    source = (
        REGRESSION
        + """
first(tf.zeros((1, 4)))
first.compile("sgd", "mse")
# train
first.fit(x, y, shuffle=False, verbose=0)
p = first(tf.constant(x))
"""
    )
    conversion = assert_twins(source, "p")
    assert "first(torch.zeros(1, 4))\n" in conversion.code
    assert ".to(device)).cpu()" in conversion.code


BLIND = """
x, y = rng.normal(size=(16, 6)), rng.normal(size=(16, 1))
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.a = keras.Sequential([layers.Dense(5), layers.BatchNormalization()])
        self.drop, self.out = layers.Dropout(0.5), layers.Dense(1)
    def call(self, x):
        return self.out(self.drop(self.a(x)))
model = Net()
model.compile("sgd", "mse")
model(x[:1])
# train
"""


def test_a_model_whose_call_takes_no_flag_is_fitted_in_inference() -> None:
    source = BLIND + "h = model.fit(x, y, epochs=3, batch_size=8, shuffle=False).history\n"
    conversion = assert_twins(source, "h")
    assert "model.train()" not in conversion.code
    assert any("takes no `training`" in f.message for f in conversion.findings)


def test_a_single_step_of_a_model_whose_call_takes_no_flag_is_left() -> None:
    conversion = translate_keras(BLIND + "loss = model.train_on_batch(x, y)\n")
    assert any("takes no `training`" in message for message in left_over(conversion))


def test_parts_that_ask_for_no_mode_train_as_usual() -> None:
    source = BLIND.replace("BatchNormalization()", "Dense(3)").replace("Dropout(0.5)", "ReLU()")
    conversion = assert_twins(source + "h = model.fit(x, y, shuffle=False).history\n", "h")
    assert "model.train()" in conversion.code


TIMED = """
base = keras.Sequential([layers.Input((4,)), layers.Dense(3)])
base.compile("sgd", "mse")
model = keras.Sequential([base, layers.Dense(1)])
base.trainable = False
model.compile("sgd", "mse")
model.fit(x, y)
base.trainable = True
again
model.fit(x, y)
"""


@pytest.mark.parametrize(
    ("again", "told"),
    [
        ("", ["Keras goes on as `model` was first trained"]),
        ('model.compile("sgd", "mse")', []),
        ('model.compile("sgd", "mse")\nbase.trainable = True', []),
    ],
)
def test_a_change_of_trainable_without_another_compile_is_told(again: str, told: list[str]) -> None:
    source = "x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 1))\n" + TIMED
    found = translate_keras(source.replace("again", again)).findings
    messages = [f.message for f in found if f.rule == "trainable"]
    assert [m[: len(t)] for m, t in zip(messages, told, strict=True)] == told


def test_a_model_that_is_frozen_before_it_is_first_trained_is_told() -> None:
    conversion = translate_keras("""
    critic = keras.Sequential([layers.Input((3,)), layers.Dense(1)])
    critic.compile("sgd", "mse")
    maker = keras.Sequential([layers.Input((2,)), layers.Dense(3)])
    critic.trainable = False
    both = keras.Sequential([maker, critic])
    both.compile("sgd", "mse")
    for _ in range(3):
        critic.train_on_batch(rng.normal(size=(8, 3)), np.ones((8, 1)))
        both.train_on_batch(rng.normal(size=(8, 2)), np.ones((8, 1)))
    """)
    [message] = [f.message for f in conversion.findings if f.rule == "trainable"]
    assert message.startswith("`critic` is frozen when it is first trained")


@pytest.mark.parametrize(
    ("end", "y", "loss"),
    [
        ('3, activation="sigmoid"', "rng.integers(0, 2, (16, 3))", '"binary_crossentropy"'),
        ("3", "rng.integers(0, 2, (16, 3))", "lambda a, b: (a - b) ** 2"),
        ("3", "rng.integers(0, 3, 16)", "lambda a, b: (a[:, None] - b) ** 2"),
        ("width", "rng.integers(0, 2, (16, 3))", "lambda a, b: (a - b) ** 2"),
        ('1, activation="sigmoid"', "rng.integers(0, 2, 16)", '"mse"'),
    ],
)  # fmt: skip
def test_accuracy_goes_by_the_shapes(end: str, y: str, loss: str) -> None:
    assert_twins(
        f"""
width = int(np.prod([1, 3]))
x, y = rng.normal(size=(16, 4)), {y}.astype("float64")
model = keras.Sequential([layers.Input((4,)), layers.Dense({end})])
model.compile("sgd", {loss}, metrics=["accuracy"])
# train
history = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0).history
""",
        "history",
    )


def test_the_history_of_a_fit_inside_of_an_expression() -> None:
    conversion = assert_twins(
        """
x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 1))
model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
model.compile("sgd", "mse")

def train(rounds):
    return rounds, model.fit(x, y, epochs=rounds, shuffle=False, verbose=0)

# train
rounds, first = train(1)
found = []
for _ in range(2):
    found.append(model.fit(x, y, shuffle=False, verbose=0))
last = float(np.min(model.fit(x, y, shuffle=False, verbose=0).history["loss"]))
losses = [h.history["loss"][0] for h in [first, *found]]
""",
        "losses",
        "last",
    )
    assert "return rounds, history" in conversion.code


def test_a_training_step_that_asks_compile_for_its_loss_and_metrics() -> None:
    conversion = assert_twins("""
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(6, activation="relu", kernel_regularizer="l2")
            self.last = layers.Dense(3)

        def call(self, x, training=None):
            return self.last(self.inner(x))

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            grads = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    x, y = rng.normal(size=(16, 4)), rng.integers(0, 3, 16)
    model = Net()
    model(x)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])

    # train
    h = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    losses, accuracy = h.history["loss"], h.history["accuracy"]
    """, "losses", "accuracy")  # fmt: skip
    assert "loss = self.criterion(y_pred, y) + regularization(self)" in conversion.code
    assert "for metric in self.metrics:" in conversion.code


def test_callbacks_that_no_fit_is_given_go() -> None:
    conversion = translate_keras("""
    x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 1))
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.summary()
    keras.utils.plot_model(model, to_file="model.png")
    stop = keras.callbacks.EarlyStopping(patience=2)
    save = keras.callbacks.ModelCheckpoint("best.keras")
    callbacks = [stop, save]
    model.compile("sgd", "mse")
    model.fit(x, y)
    """)
    assert left_over(conversion) == []
    assert "stop" not in conversion.code and "callbacks" not in conversion.code
    assert conversion.code.count("print(model)") == 1


def test_a_class_that_adds_a_training_step_to_functional_models() -> None:
    conversion = assert_twins("""
    class Stepped(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            grads = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
            return {"squares": loss}

    x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 1))
    inputs = keras.Input((4,))
    model = Stepped(inputs, layers.Dense(1)(layers.Dense(5, activation="tanh")(inputs)))
    model.compile("sgd", "mse")

    # train
    h = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    losses = h.history["squares"]
    """, "losses")  # fmt: skip
    assert "class Net(Stepped):" in conversion.code


def test_losses_and_metrics_of_several_outputs_in_lists() -> None:
    assert_twins(
        """
class Maker:
    def __init__(self):
        self.units = 3
        losses = ["mse", "sparse_categorical_crossentropy"]
        weights = [1, 0.5]
        self.model = self.build()
        self.model.compile("sgd", loss=losses, loss_weights=weights, metrics=["mae", "accuracy"])

    def build(self):
        def block(x, units):
            x = layers.Dense(units)(x)
            return layers.Activation("tanh")(x)

        inputs = keras.Input((4,))
        x = block(block(inputs, self.units), self.units * 2)
        kind = layers.Dense(self.units, activation="softmax", name="kind")(x)
        return keras.Model(inputs, [layers.Dense(1, name="size")(x), kind])

made = Maker()
model = made.model
x, y, z = rng.normal(size=(16, 4)), rng.normal(size=(16, 1)), rng.integers(0, 3, 16)
# train
losses = [made.model.train_on_batch(x, [y, z]) for _ in range(3)]
""",
        "losses",
    )


def test_a_model_that_only_computes_its_loss_itself() -> None:
    conversion = assert_twins("""
    class Student(keras.Model):
        def __init__(self):
            super().__init__()
            self.last = layers.Dense(3)

        def compile(self, optimizer, metrics, first, weight):
            super().compile(optimizer=optimizer, metrics=metrics)
            self.first = first
            self.weight = weight

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return self.first(y, y_pred) + self.weight * tf.reduce_mean(tf.square(y_pred))

        def call(self, x):
            return self.last(x)

    x, y = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    model = Student()
    model(x)
    model.compile(
        "sgd",
        [keras.metrics.SparseCategoricalAccuracy()],
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        0.5,
    )

    # train
    h = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    losses, accuracy = h.history["loss"], h.history["sparse_categorical_accuracy"]
    end = model.evaluate(x, y, verbose=0)
    """, "losses", "accuracy", "end")  # fmt: skip
    assert "loss = self.compute_loss(x=x, y=y, y_pred=y_pred)" in conversion.code


def test_training_on_after_loading_needs_the_optimizer_of_the_file() -> None:
    """The optimizer at hand moves the parameters of the model that was saved."""
    source = (
        compiled()
        + """
model.fit(x, y, verbose=0)
model.save("model.keras")
again = keras.models.load_model("model.keras")
again.evaluate(x, y, verbose=0)
"""
    )
    on = "again.fit(x, y, verbose=0)\n"
    assert left_over(translate_keras(source)) == []
    [reason] = left_over(translate_keras(source + on))
    assert "does not hold its optimizer" in reason
    assert left_over(translate_keras(source + 'again.compile("sgd", "mse")\n' + on)) == []


def test_a_model_from_an_unknown_file_is_used_as_any_model() -> None:
    conversion = translate_keras("""
x, y = rng.normal(size=(22, 4)), rng.normal(size=(22, 1))
model = keras.models.load_model("model.h5")
model.summary()
model.compile("sgd", "mse")
model.fit(x, y, epochs=2)
print(model.evaluate(x, y), model.predict(x))
""")
    assert left_over(conversion) == []
    assert any("pickled whole" in f.message for f in conversion.findings)
    for method in ("compile", "fit", "evaluate", "predict", "summary"):
        assert f"model.{method}(" not in conversion.code
    lines = conversion.code.splitlines()
    device, load = (next(i for i, line in enumerate(lines) if t in line) for t in (
        "device = torch.device", "= torch.load(",
    ))  # fmt: skip
    assert device < load


def test_the_only_loss_of_several_outputs_takes_the_targets_whole() -> None:
    conversion = assert_twins("""
    inputs = keras.Input((4,))
    h = layers.Dense(5, activation="relu")(inputs)
    model = keras.Model(inputs, [layers.Dense(2)(h), h])
    x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 2))
    model.compile("sgd", loss=[keras.losses.MeanSquaredError(), None])

    # train
    h = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0)
    losses = h.history["loss"]
    """, "losses")  # fmt: skip
    assert "(outputs[0], targets)" in conversion.code


def test_data_of_which_nothing_is_known_is_told() -> None:
    conversion = translate_keras("""
    from elsewhere import batches
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(batches(), epochs=2)
    """)
    assert left_over(conversion) == ["what fit is given is not known before the program runs"]


def test_a_model_that_makes_its_first_states_and_may_give_them() -> None:
    conversion = assert_twins("""
    class Letters(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = layers.Embedding(7, 4)
            self.gru = layers.GRU(5, return_sequences=True, return_state=True)
            self.last = layers.Dense(7)

        def call(self, x, states=None, return_state=False, training=False):
            x = self.embedding(x)
            if states is None:
                states = self.gru.get_initial_state(tf.shape(x)[0])
            x, states = self.gru(x, initial_state=states, training=training)
            x = self.last(x)
            if return_state:
                return x, states
            return x

    x, y = rng.integers(0, 7, (16, 6)), rng.integers(0, 7, (16, 6))
    model = Letters()
    one, states = model(x[:2], return_state=True)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    # train
    h = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    losses = h.history["loss"]
    """, "losses")  # fmt: skip
    assert "self.gru.get_initial_state(x.shape[0])" in conversion.code


def test_sizes_of_a_batch_that_the_input_takes_the_name_of() -> None:
    conversion = assert_twins("""
    x, y = rng.normal(size=eval("(16, 4, 3)")), rng.normal(size=(16, 1))
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    for batch in data.take(1):
        inputs, targets = batch
    inputs = keras.Input(shape=(inputs.shape[1], inputs.shape[2]))
    model = keras.Model(inputs, layers.Dense(1)(layers.LSTM(5)(inputs)))
    model.compile("sgd", "mse")

    # train
    h = model.fit(data, epochs=2, verbose=0)
    losses = h.history["loss"]
    """, "losses")  # fmt: skip
    assert "nn.LSTM(inputs.shape[2], 5" in conversion.code


def test_a_model_is_asked_for_the_history_of_its_last_fit() -> None:
    conversion = assert_twins("""
    x, y = rng.normal(size=(16, 4)), rng.normal(size=(16, 1))
    model = keras.Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])

    # train
    model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    first = model.history.history["mae"]
    h = model.fit(x, y, epochs=1, batch_size=8, shuffle=False, verbose=0)
    last = model.history.history["loss"]
    """, "first", "last")  # fmt: skip
    assert "model.history = {}" in conversion.code
    assert "model.history = h" in conversion.code
