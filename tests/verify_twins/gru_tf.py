"""Two-layer bidirectional GRU with dropout, clipping, two parameter groups and StepLR."""

import argparse

import keras
import numpy as np
import tensorflow as tf
from keras import layers

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=2)
args = parser.parse_args()

rng = np.random.default_rng(0)
tokens = rng.integers(0, 12, size=(96, 5))
labels = (tokens.sum(axis=1) % 3).astype(np.int64)


class Tagger(keras.Model):
    def __init__(self, hidden=6):
        super().__init__()
        self.embed = layers.Embedding(12, 5)
        self.rnn1 = layers.Bidirectional(layers.GRU(hidden, return_sequences=True))
        self.between = layers.Dropout(0.25)
        self.rnn2 = layers.Bidirectional(layers.GRU(hidden, return_sequences=True))
        self.scale = self.add_weight(shape=(2 * hidden,), initializer="random_normal")
        self.fc = layers.Dense(3)

    def call(self, ids, training=None):
        out = self.between(self.rnn1(self.embed(ids)), training=training)
        out = self.rnn2(out)
        return self.fc(out[:, -1] * self.scale)


model = Tagger()
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
opt_embed = keras.optimizers.SGD(learning_rate=0.2)
optimizer = keras.optimizers.SGD(learning_rate=0.1)


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = criterion(y, model(x, training=True))
    variables = model.trainable_variables
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]
    scale = tf.minimum(0.2 / (tf.linalg.global_norm(gradients) + 1e-6), 1.0)
    pairs = [(g * scale, v) for g, v in zip(gradients, variables)]
    embed = [id(v) for v in model.embed.trainable_variables]
    opt_embed.apply_gradients([(g, v) for g, v in pairs if id(v) in embed])
    optimizer.apply_gradients([(g, v) for g, v in pairs if id(v) not in embed])
    return loss


for epoch in range(args.epochs):
    order = tf.random.shuffle(tf.range(len(tokens))).numpy()
    for start in range(0, len(tokens), 16):
        index = order[start : start + 16]
        train_step(tf.constant(tokens[index]), tf.constant(labels[index]))
    opt_embed.learning_rate = opt_embed.learning_rate * 0.5
    optimizer.learning_rate = optimizer.learning_rate * 0.5
    total = criterion(labels, model(tokens, training=False))
    print("epoch", epoch, "validation", round(float(total), 5))
