"""Optimizers that functions, lambdas and handed classes make train the same in PyTorch."""

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
import os
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

kind = os.environ.get("NONE", "sgd")
data = np.random.default_rng(0).normal(size=(48, 4)).astype("float32")
labels = (data.sum(1) > 0).astype("int64")
batches = tf.data.Dataset.from_tensor_slices((data, labels)).batch(16)
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

def build(n=8):
    return keras.Sequential([keras.Input((4,)), layers.Dense(n, "relu"), layers.Dense(2)])

def fit(model, optimizer):
    for epoch in range(2):
        for x, y in batches:
            with tf.GradientTape() as tape:
                loss = loss_fn(y, model(x, training=True))
            variables = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            print("%.10f" % float(loss))
"""

BY_NAME = """
def get_optimizer(name, lr):
    if name == "adam":
        return keras.optimizers.Adam(lr)
    return keras.optimizers.SGD(lr, momentum=0.9)

optimizer = get_optimizer("adam", 1e-2)
model = build()
fit(model, optimizer)
"""

PAIRS = """
class Trainer:
    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer
    def step(self, x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, self.model(x, training=True))
        variables = self.model.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return float(loss)

def get_optimizer(name, lr):
    made = {"adam": lambda: keras.optimizers.Adam(lr), "sgd": lambda: keras.optimizers.SGD(lr)}
    return made[name]()

def main():
    small, large = build(4), build(12)
    trainers = Trainer(small, get_optimizer("sgd", 0.1)), Trainer(large, get_optimizer("adam", 0.1))
    for x, y in batches:
        print(["%.10f" % t.step(x, y) for t in trainers])
    first, second = get_optimizer("adam", 0.01), get_optimizer("sgd", 0.01)
    fit(small, first)
    fit(large, second)

main()
"""

CLASSES = """
CLASSES = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
Chosen = keras.optimizers.RMSprop

def train(model, lr, optimizer_class=keras.optimizers.Adagrad):
    fit(model, optimizer_class(lr))

model = build()
fit(model, CLASSES[kind](learning_rate=0.05))
train(model, 0.1)
train(model, 0.01, Chosen)
"""

SCHEDULES = """
def make(lr, decay=0.5):
    schedule = keras.optimizers.schedules.ExponentialDecay(lr, 2, decay)
    return keras.optimizers.Adam(schedule)

def choose(model):
    if kind == "adam":
        optimizer = keras.optimizers.Adam(0.1)
    else:
        optimizer = keras.optimizers.SGD(0.1)
    fit(model, optimizer)

model = build()
fit(model, make(0.05))
choose(model)
"""

TEMPLATE = """
class Base(keras.Model):
    def __init__(self, lr=1e-3):
        super().__init__()
        self.build_layers()
        self.opt = keras.optimizers.Adam(lr)
    def build_layers(self):
        raise NotImplementedError
    def error(self, y, pred):
        return tf.reduce_mean(tf.square(y - pred))
    def learn(self, x, y):
        with tf.GradientTape() as tape:
            loss = self.error(y, self(x, training=True))
        variables = self.trainable_variables
        self.opt.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return float(loss)

class Net(Base):
    def __init__(self, hidden=(8, 4), **kwargs):
        self.hidden = hidden
        super().__init__(**kwargs)
    def build_layers(self):
        self.dense = [layers.Dense(h, "tanh") for h in self.hidden]
        self.out = layers.Dense(1)
    def call(self, x):
        for layer in self.dense:
            x = layer(x)
        return self.out(x)

targets = labels.astype("float32")[:, None]
model = Net(lr=0.05)
for i in range(0, 48, 8):
    print("%.10f" % model.learn(data[i:i + 8], targets[i:i + 8]))
print(float(model.error(targets, model(data))))
"""

EPISODES = """
model = build()
optimizer = keras.optimizers.Adam(0.05)
rng = np.random.default_rng(1)
for episode in range(6):
    kept, t = [], 0
    with tf.GradientTape() as tape:
        while t < 4:
            logits = model(tf.expand_dims(tf.constant(data[t]), 0))
            probs = tf.nn.softmax(logits)
            kept.append(tf.math.log(probs[0, int(rng.integers(2))]))
            t += 1
        loss = -tf.reduce_sum(tf.stack(kept))
    grads = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(grads, model.trainable_variables))
    print("%.10f" % float(loss))
"""

UNTRAINED = """
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.out = layers.Dense(2)
        self.scale = tf.Variable(0.5)
    def call(self, x, training=False):
        y = self.out(x)
        return y * tf.cast(self.scale, y.dtype)

model = Net()
fit(model, keras.optimizers.Adam(0.05))
"""

SCRIPTS = {
    "by_name": BY_NAME,
    "pairs": PAIRS,
    "classes": CLASSES,
    "schedules": SCHEDULES,
    "template": TEMPLATE,
    "episodes": EPISODES,
    "untrained": UNTRAINED,
}
LINES = {
    "template": ["KerasAdam(self.parameters(), lr=lr)", "super().__init__(**kwargs)",
                 "self.dense = nn.ModuleList("],
    "by_name": ["optimizer = get_optimizer(model.parameters(), "],
    "pairs": ["return made[name](parameters)", "get_optimizer(small.parameters(), ",
              "large.parameters(), 'sgd', 0.01"],
    "classes": ["CLASSES = {'adam': KerasAdam, 'sgd': torch.optim.SGD}",
                "train(model, 0.01, KerasRMSprop)",
                "fit(model, optimizer_class(model.parameters(), lr=lr))"],
    "schedules": ["return scheduled(schedule, KerasAdam, parameters)",
                  "optimizer = KerasAdam(model.parameters(), lr=0.1)"],
}  # fmt: skip


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as found:
        yield found


@pytest.mark.parametrize("name", SCRIPTS)
def test_trains_the_same(name: str, shop: Workshop, tmp_path: Path) -> None:
    original, translated = tmp_path / "train.py", tmp_path / "train_torch.py"
    original.write_text(HEAD + SCRIPTS[name], encoding="utf-8")
    conversion = convert(HEAD + SCRIPTS[name], "torch", config=Config(fidelity="exact"))
    translated.write_text(conversion.code, encoding="utf-8")
    print(conversion.code)  # shown where a test fails
    left = [f.message for f in conversion.findings if f.grade is Grade.MANUAL]
    assert not left, left
    for line in LINES.get(name, ()):
        assert line.replace("'", '"') in conversion.code
    with shop.record(original, "torch") as recording:
        verdict = recording.check(translated)
    assert verdict.error == ""
    assert verdict.first is None, verdict.first
    assert verdict.equal
    assert min(verdict.steps) >= 6
