"""A convolutional network with batch normalization on images, as TensorFlow users write it."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

EPOCHS = 8
BATCH_SIZE = 64

rng = np.random.default_rng(0)
images = rng.normal(size=(1280, 32, 32, 3)).astype("float32")
labels = (images.mean(axis=(1, 2)) @ rng.normal(size=(3, 10))).argmax(axis=1)

model = keras.Sequential(
    [
        keras.Input((32, 32, 3)),
        layers.Conv2D(32, 3, padding="same"),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same"),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.ReLU(),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(128, activation="relu"),
        layers.Dense(10),
    ]
)

dataset = (
    tf.data.Dataset.from_tensor_slices((images, labels))
    .shuffle(len(images))
    .batch(BATCH_SIZE)
    .prefetch(tf.data.AUTOTUNE)
)
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = keras.optimizers.SGD(0.01, momentum=0.9)


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
