"""Five networks and their optimizers, trained side by side, saved and resumed."""

import argparse
import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from transpiler.rules.emitted.to_tf.attention import TorchMultiheadAttention
from transpiler.rules.emitted.to_tf.normalization import TorchBatchNorm
from transpiler.rules.emitted.to_tf.optimizers import (
    TorchAdam,
    TorchAdamW,
    TorchNAdam,
    TorchRMSprop,
)
from transpiler.rules.emitted.to_tf.recurrent import TorchLSTM

keras.config.set_floatx("float64")
parser = argparse.ArgumentParser()
parser.add_argument("--resume", default="")
parser.add_argument("--save", default="")
parser.add_argument("--steps", type=int, default=8)
args = parser.parse_args()

rng = np.random.RandomState(0)
images = rng.randn(64, 1, 8, 8)
words = rng.randint(0, 12, (64, 7))
waves = rng.randn(64, 7, 3)
labels = rng.randint(0, 4, 64)
keras.utils.set_random_seed(0)


def gelu(x):
    return tf.nn.gelu(x)


class CNN(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = layers.Conv2D(6, 3, padding="same")
        self.norm = TorchBatchNorm(momentum=0.875, epsilon=2**-17)
        self.deep = layers.Conv2D(6, 3, groups=2)
        self.fc = layers.Dense(4)

    def call(self, x, training=None):
        x = tf.transpose(x, [0, 2, 3, 1])
        x = tf.nn.relu(self.norm(self.conv(x), training=training))
        x = tf.nn.max_pool2d(tf.nn.relu(self.deep(x)), 2, 2, "VALID")
        return self.fc(tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, 54]))


class LSTM(keras.Model):
    def __init__(self):
        super().__init__()
        self.embed = layers.Embedding(12, 5)
        self.lstm = TorchLSTM(6, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = layers.Dense(4)

    def call(self, x, training=None):
        out, _ = self.lstm(self.embed(x), training=training)
        return self.fc(tf.reduce_mean(out, 1))


class GRU(keras.Model):
    def __init__(self):
        super().__init__()
        self.gru = layers.GRU(6)
        self.fc = layers.Dense(4)

    def call(self, x, training=None):
        return self.fc(self.gru(x))


class Block(keras.Model):
    def __init__(self):
        super().__init__()
        self.tokens = layers.Embedding(12, 8)
        self.places = self.add_weight(shape=(7, 8), initializer="random_normal")
        self.norm1 = layers.LayerNormalization(epsilon=2**-17)
        self.attention = TorchMultiheadAttention(8, 2, batch_first=True)
        self.norm2 = layers.LayerNormalization(epsilon=2**-17)
        self.mlp = keras.Sequential([layers.Dense(16), layers.Lambda(gelu), layers.Dense(8)])
        self.head = layers.Dense(4)

    def call(self, x, training=None):
        x = self.tokens(x) * math.sqrt(8) + self.places
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False, training=training)[0]
        x = x + self.mlp(self.norm2(x))
        return self.head(tf.reduce_mean(x, 1))


class Tied(keras.Model):
    def __init__(self):
        super().__init__()
        self.embed = layers.Embedding(12, 8)
        self.hidden = layers.Dense(8)
        self.bias = self.add_weight(shape=(12,), initializer="zeros")

    def call(self, x, training=None):
        x = tf.tanh(self.hidden(tf.reduce_mean(self.embed(x), 1)))
        return tf.matmul(x, self.embed.embeddings, transpose_b=True) + self.bias


runs = {
    "cnn": (CNN(), keras.optimizers.SGD(0.05, momentum=0.875, nesterov=True), images),
    "lstm": (LSTM(), TorchAdam(0.02), words),
    "gru": (GRU(), TorchRMSprop(0.01, momentum=0.5), waves),
    "block": (Block(), TorchAdamW(0.01, amsgrad=True), words),
    "tied": (Tied(), TorchNAdam(0.01), words),
}
objects = {"step": tf.Variable(0)}
for name, (model, optimizer, inputs) in runs.items():
    model(inputs[:1])
    optimizer.build(model.trainable_variables)
    objects[name + "_model"] = model
    objects[name + "_optimizer"] = optimizer
checkpoint = tf.train.Checkpoint(**objects)
start = 0
if args.resume:
    checkpoint.restore(args.resume)
    start = int(checkpoint.step)


def make_step(model, optimizer):
    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = criterion(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    return train_step


criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
steps = {name: make_step(model, optimizer) for name, (model, optimizer, _) in runs.items()}
for step in range(start, start + args.steps):
    for name, (_, _, inputs) in runs.items():
        rows = slice(16 * (step % 4), 16 * (step % 4) + 16)
        print(name, step, repr(float(steps[name](tf.constant(inputs[rows]), labels[rows]))))

print("eval", start + args.steps, repr(float(criterion(labels, runs["cnn"][0](images)))))
if args.save:
    checkpoint.step.assign(start + args.steps)
    checkpoint.write(args.save)
