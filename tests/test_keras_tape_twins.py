"""Training loops with tapes and their translations train the same, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from transpiler.config import Config
from transpiler.convert import convert
from transpiler.findings import Grade
from transpiler.verify import Workshop

pytestmark = pytest.mark.slow

HEAD = """
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

keras.utils.set_random_seed(1)
data = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
labels = (data.sum(1) > 0).astype("int64")
"""

GAN = """
G = keras.Sequential([keras.Input((3,)), layers.Dense(8), layers.BatchNormalization(),
                      layers.ReLU(), layers.Dense(4)])
D = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.LeakyReLU(negative_slope=0.2),
                      layers.Dropout(0.3), layers.Dense(1)])
g_opt = keras.optimizers.Adam(1e-2, beta_1=0.5)
d_opt = keras.optimizers.RMSprop(5e-3)
bce = keras.losses.BinaryCrossentropy(from_logits=True)

def penalty(real, fake):
    t = tf.random.uniform([len(real), 1])
    between = t * real + (1.0 - t) * fake
    with tf.GradientTape() as inner:
        inner.watch(between)
        score = D(between, training=True)
    slope = tf.norm(inner.gradient(score, between) + 1e-12, axis=1)
    return tf.reduce_mean(tf.square(slope - 1.0))

@tf.function
def together(real):
    noise = tf.random.normal([16, 3])
    with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
        fake = G(noise, training=True)
        real_out, fake_out = D(real, training=True), D(fake, training=True)
        g_loss = bce(tf.ones_like(fake_out), fake_out)
        d_loss = bce(tf.ones_like(real_out), real_out) + bce(tf.zeros_like(fake_out), fake_out)
    g_grads = g_tape.gradient(g_loss, G.trainable_variables)
    d_grads = d_tape.gradient(d_loss, D.trainable_variables)
    g_opt.apply_gradients(zip(g_grads, G.trainable_variables))
    d_opt.apply_gradients(zip(d_grads, D.trainable_variables))
    return g_loss, d_loss

def one_by_one(real):
    fake = G(tf.random.normal([16, 3]), training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(D(fake, training=True)) - tf.reduce_mean(D(real, training=True))
        loss += 10.0 * penalty(real, fake)
    grads = tape.gradient(loss, D.trainable_variables)
    d_opt.apply_gradients(zip(grads, D.trainable_variables))
    with tf.GradientTape() as tape:
        fake = G(tf.random.normal([16, 3]), training=True)
        g_loss = -tf.reduce_mean(D(fake, training=True))
    grads = tape.gradient(g_loss, G.trainable_variables)
    g_opt.apply_gradients(zip(grads, G.trainable_variables))
    return loss

for epoch in range(2):
    for start in range(0, 48, 16):
        real = tf.constant(data[start:start + 16])
        print("%.10f %.10f" % together(real))
        print("%.10f" % float(one_by_one(real)))
    print("%.10f" % float(tf.reduce_mean(G(tf.ones([4, 3])))))
"""

TRAINER = """
class Trainer:
    def __init__(self, rate):
        schedule = keras.optimizers.schedules.PolynomialDecay(rate, 10, 1e-3)
        self.optimizer = keras.optimizers.Adam(schedule)
        self.model = keras.Sequential([
            keras.Input((4,)), layers.Dense(8, "tanh"), layers.BatchNormalization(momentum=0.8),
            layers.Dropout(0.2), layers.Dense(2, activation="softmax")])
        self.loss = keras.losses.SparseCategoricalCrossentropy()
        self.mean = keras.metrics.Mean()
        self.accuracy = keras.metrics.SparseCategoricalAccuracy()

    @tf.function
    def train_on(self, x, y):
        with tf.GradientTape() as tape:
            p = self.model(x, training=True)
            loss = self.loss(y, p)
        variables = self.model.trainable_variables
        grads = tape.gradient(loss, variables)
        grads, norm = tf.clip_by_global_norm(grads, 0.5)
        grads = [tf.clip_by_norm(g, 0.3) for g in grads]
        self.optimizer.apply_gradients(zip(grads, variables))
        self.mean.update_state(loss)
        self.accuracy.update_state(y, p)
        return norm

    def evaluate(self, batches):
        self.mean.reset_state()
        for x, y in batches:
            self.mean(self.loss(y, self.model(x)))
        return self.mean.result().numpy()

batches = tf.data.Dataset.from_tensor_slices((data, labels)).shuffle(48).batch(16)
trainer = Trainer(0.05)
for epoch in range(3):
    for x, y in batches:
        print("%.10f" % float(trainer.train_on(x, y)))
    print("%.10f %.10f" % (trainer.mean.result(), trainer.accuracy.result()))
    print("%.10f" % trainer.evaluate(batches))
    trainer.accuracy.reset_state()
"""

ACCUMULATION = """
model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1)])
target = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1)])
target.set_weights(model.get_weights())
optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
y = data @ np.array([[1.0], [-2.0], [0.5], [3.0]], "float32")
sums = [tf.zeros_like(v) for v in model.trainable_variables]
for step in range(12):
    start = 4 * step
    x = tf.constant(data[start:start + 4])
    bootstrap = 0.5 * model(x)
    with tf.GradientTape() as tape:
        error = model(x) + bootstrap - 0.1 * target(x) - y[start:start + 4]
        loss = tf.reduce_mean(tf.square(error))
    grads = tape.gradient(loss, model.trainable_variables)
    sums = [s + g for s, g in zip(sums, grads)]
    if step % 3 == 2:
        optimizer.apply_gradients(zip(sums, model.trainable_variables))
        sums = [tf.zeros_like(v) for v in model.trainable_variables]
        optimizer.learning_rate = optimizer.learning_rate * 0.9
    for t, v in zip(target.trainable_variables, model.trainable_variables):
        t.assign(0.9 * t + 0.1 * v)
    print("%.10f" % float(loss))
"""

BY_HAND = """
w = tf.Variable(np.linspace(-1, 1, 4, dtype="float32")[:, None])
b = tf.Variable(0.5)
x = tf.constant([[0.3], [-0.4]])

@tf.function
def step(inputs, targets, rate):
    with tf.GradientTape() as tape:
        error = tf.squeeze(inputs @ w, -1) + b - targets
        loss = tf.reduce_mean(error ** 2)
    dw, db = tape.gradient(loss, [w, b])
    w.assign_sub(rate * dw)
    b.assign(b - rate * db)
    return loss

for i in range(0, 48, 8):
    print("%.10f" % float(step(data[i:i + 8], data[i:i + 8].sum(1), 0.1)))

for i in range(4):
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            height = tf.reduce_sum(x ** 4 + tf.sin(x))
        slope = inner.gradient(height, x)
    curvature = outer.gradient(slope, x)
    x -= slope / (curvature + 1.0)
    print("%.10f %.10f" % (float(tf.reduce_sum(slope)), float(tf.reduce_sum(curvature))))
"""

FLAG = """
class Block(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.dense = layers.Dense(units)
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.4)

    def call(self, x, train):
        return self.drop(self.norm(self.dense(x), training=train), training=train)

class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block(6)
        self.out = layers.Dense(2)

    def call(self, x, is_training=False):
        x = self.out(self.block(x, train=is_training))
        return x if is_training else tf.nn.softmax(x)

net = Net()
optimizer = tf.optimizers.SGD(0.2)

def run(x, y):
    with tf.GradientTape() as g:
        scores = net(x, is_training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(logits=scores, labels=y))
    trainable_variables = net.trainable_variables
    optimizer.apply_gradients(zip(g.gradient(loss, trainable_variables), trainable_variables))

train = tf.data.Dataset.from_tensor_slices((data, labels))
train = train.repeat().shuffle(48).batch(8).prefetch(1)
for step, (batch_x, batch_y) in enumerate(train.take(9), 1):
    run(batch_x, batch_y)
    print("%.10f" % float(tf.reduce_sum(net(data[:6])[:, 0])))
"""

DICTS = """
images = np.random.default_rng(1).normal(size=(24, 8, 8)).astype("float32")
digits = np.random.default_rng(2).integers(0, 3, 24).astype("int32")
init = tf.initializers.RandomNormal(stddev=0.3)
weights = {"wc": tf.Variable(init([3, 3, 1, 4])), "out": tf.Variable(init([16, 3]))}
biases = {"bc": tf.Variable(tf.zeros([4])), "out": tf.Variable(tf.zeros([3]))}

def conv2d(x, W, b, strides=1):
    x = tf.nn.conv2d(x, W, strides=[1, strides, strides, 1], padding="SAME")
    return tf.nn.relu(tf.nn.bias_add(x, b))

def maxpool2d(x, k=2):
    return tf.nn.max_pool(x, ksize=[1, k, k, 1], strides=[1, k, k, 1], padding="SAME")

def net(x):
    x = maxpool2d(conv2d(tf.reshape(x, [-1, 8, 8, 1]), weights["wc"], biases["bc"], 2))
    x = tf.reshape(x, [-1, weights["out"].get_shape().as_list()[0]])
    return tf.nn.softmax(tf.add(tf.matmul(x, weights["out"]), biases["out"]))

optimizer = tf.optimizers.Adam(0.01)

def run(x, y):
    with tf.GradientTape() as g:
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, net(x)))
    variables = list(weights.values()) + list(biases.values())
    optimizer.apply_gradients(zip(g.gradient(loss, variables), variables))

for i in range(0, 24, 4):
    run(images[i:i + 4], digits[i:i + 4])
    print("%.10f" % float(tf.reduce_sum(net(images[:5]) ** 2)))

z = tf.Variable(1.5)
with tf.GradientTape(persistent=True) as tape:
    height = z ** 4
    slope = tape.gradient(height, z)
print("%.10f" % float(tape.gradient(slope, z)))
"""

MODES = """
def base():
    inputs = keras.Input((4,))
    x = layers.BatchNormalization()(layers.Dense(6, activation="relu")(inputs))
    return keras.Model(inputs, x)

class Net(keras.Model):
    def __init__(self, base):
        super().__init__()
        self.base = base
        self.drop = layers.Dropout(0.3)
        self.out = layers.Dense(2)

    def call(self, x, training=False):
        x = self.base(x, training=False)
        return self.out(self.drop(x, training=training))

loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
shared = base()
net = Net(shared)
inputs = keras.Input((4,))
graph = keras.Model(inputs, layers.Dense(2)(shared(inputs, training=False)))
for model in (net, graph):
    model.compile(keras.optimizers.SGD(0.1), loss)
    model.fit(data, labels, batch_size=12, epochs=1, shuffle=False)
    print("%.10f" % model.evaluate(data, labels, verbose=0))
for i in range(0, 24, 4):
    print("%.10f" % float(tf.reduce_sum(graph(data[i:i + 4]) ** 2)))
"""

FLOW = """
images = np.random.default_rng(1).random((40, 8, 8, 3)).astype("float32")
made = keras.preprocessing.image.ImageDataGenerator(
    width_shift_range=0.2, rotation_range=20, horizontal_flip=True)
model = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
for epoch in range(6):
    model.fit(made.flow(images, labels[:40], batch_size=16), epochs=1)
    print("%.10f" % model.evaluate(images, labels[:40], verbose=0))
"""

IN_TURN = """
class Agent:
    def __init__(self):
        self.encoder = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh")])
        self.actor = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        self.critic = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
        self.of_critic = keras.optimizers.SGD(0.1)
        self.of_actor = keras.optimizers.SGD(0.05)
        self.of_encoder = keras.optimizers.Adam(0.01)

    def update(self, x):
        with tf.GradientTape(persistent=True) as tape:
            z = self.encoder(x)
            critic_loss = tf.reduce_mean(tf.square(self.critic(z) - 1.0))
            actor_loss = tf.reduce_mean(tf.reduce_logsumexp(self.actor(z), axis=1))
            encoder_loss = critic_loss + actor_loss
        grads = tape.gradient(critic_loss, self.critic.trainable_variables)
        self.of_critic.apply_gradients(zip(grads, self.critic.trainable_variables))
        grads = tape.gradient(actor_loss, self.actor.trainable_variables)
        grads, _ = tf.clip_by_global_norm(grads, 0.5)
        self.of_actor.apply_gradients(zip(grads, self.actor.trainable_variables))
        variables = self.encoder.trainable_variables
        self.of_encoder.apply_gradients(
            zip(tape.gradient(encoder_loss, variables), variables))
        del tape
        return critic_loss, actor_loss

agent = Agent()
for i in range(0, 48, 4):
    for value in agent.update(data[i:i + 4]):
        print("%.10f" % float(value))
"""

SCRIPTS = {"in_turn": IN_TURN, "modes": MODES, "flow": FLOW, "gan": GAN, "trainer": TRAINER,
           "accumulation": ACCUMULATION, "by_hand": BY_HAND, "flag": FLAG,
           "dicts": DICTS}  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as found:
        yield found


@pytest.mark.parametrize("name", SCRIPTS)
def test_trains_the_same(name: str, shop: Workshop, tmp_path: Path) -> None:
    source = HEAD + SCRIPTS[name]
    original, translated = tmp_path / "train.py", tmp_path / "train_torch.py"
    original.write_text(source, encoding="utf-8")
    conversion = convert(source, "torch", path="train.py", config=Config(fidelity="exact"))
    translated.write_text(conversion.code, encoding="utf-8")
    print(conversion.code)  # shown where a test fails
    left = [f.message for f in conversion.findings if f.grade is Grade.MANUAL]
    assert not left, left
    with shop.record(original, "torch") as recording:
        verdict = recording.check(translated)
    assert verdict.error == ""
    printed = next(row for row in verdict.rows if row.quantity == "printed")
    assert printed.compared > 5
    assert printed.worst <= 1e-9
    assert verdict.first is None, verdict.first
    assert verdict.equal
