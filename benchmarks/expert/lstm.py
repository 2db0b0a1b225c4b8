"""An LSTM that classifies sequences of 48 tokens, as TensorFlow users write it."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

EPOCHS = 12
BATCH_SIZE = 64
VOCABULARY = 500

rng = np.random.default_rng(0)
tokens = rng.integers(0, VOCABULARY, size=(1920, 48))
labels = (tokens < VOCABULARY // 2).sum(axis=1) // 12 % 4

model = keras.Sequential(
    [
        keras.Input((48,), dtype="int64"),
        layers.Embedding(VOCABULARY, 64),
        layers.LSTM(128),
        layers.Dense(4),
    ]
)

dataset = (
    tf.data.Dataset.from_tensor_slices((tokens, labels))
    .shuffle(len(tokens))
    .batch(BATCH_SIZE)
    .prefetch(tf.data.AUTOTUNE)
)
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)


@tf.function
def train_step(batch, targets):
    with tf.GradientTape() as tape:
        loss = criterion(targets, model(batch, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


for epoch in range(EPOCHS):
    total, steps = 0.0, 0
    for batch, targets in dataset:
        total += train_step(batch, targets)
        steps += 1
    print(f"epoch {epoch}: loss {total / steps:.4f} over {steps} steps")
