"""A multilayer perceptron on vectors of 64 numbers, as TensorFlow users write it."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

EPOCHS = 12
BATCH_SIZE = 64

rng = np.random.default_rng(0)
inputs = rng.normal(size=(12800, 64)).astype("float32")
labels = (inputs @ rng.normal(size=(64, 10))).argmax(axis=1)

model = keras.Sequential(
    [
        keras.Input((64,)),
        layers.Dense(256, activation="relu"),
        layers.Dense(256, activation="relu"),
        layers.Dense(10),
    ]
)

dataset = (
    tf.data.Dataset.from_tensor_slices((inputs, labels))
    .shuffle(len(inputs))
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
