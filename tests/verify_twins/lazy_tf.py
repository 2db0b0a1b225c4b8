"""A subclassed model built by its first call inside the training function; an LSTM; noise."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

rng = np.random.default_rng(2)
series = np.cumsum(rng.normal(size=(50, 9, 2)), axis=1)
target = (series[:, -1, 0] > 0).astype("float32")[:, None]


class Model(keras.Model):
    def __init__(self):
        super().__init__()
        self.noise = layers.GaussianNoise(0.1)
        self.conv = layers.Conv1D(4, 3, padding="causal", activation="relu")
        self.pool = layers.GlobalAveragePooling1D()
        self.norm = layers.BatchNormalization()
        self.out = layers.Dense(1)

    def call(self, x, training=False):
        x = self.conv(self.noise(x, training=training))
        return self.out(self.norm(self.pool(x), training=training))


model = Model()
optimizer = keras.optimizers.SGD(0.1)
loss_function = keras.losses.BinaryCrossentropy(from_logits=True)
data = tf.data.Dataset.from_tensor_slices((series, target)).shuffle(50).batch(10)


@tf.function
def train_step(x, y):
    with tf.GradientTape() as tape:
        loss = loss_function(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_weights)
    optimizer.apply_gradients(zip(gradients, model.trainable_weights))
    return loss


for epoch in range(3):
    total = 0.0
    for x, y in data:
        total += float(train_step(x, y))
    accuracy = np.mean((model(series).numpy() > 0) == target)
    print(f"epoch {epoch}: loss {total / 5:.5f}, accuracy {accuracy:.2f}")
