"""One module that holds two models, each called on its own and at a later time than the other."""

import keras
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(3)


class Pair(keras.Model):
    def __init__(self):
        super().__init__()
        self.generator = keras.Sequential([layers.Dense(8), layers.ReLU(), layers.Dense(6)])
        self.critic = keras.Sequential([layers.Dense(8), layers.ReLU(), layers.Dense(1)])


pair = Pair()
optimizer = keras.optimizers.SGD(learning_rate=0.1)
optimizer_c = keras.optimizers.SGD(learning_rate=0.1)
for _ in range(6):
    real, z = tf.random.normal((16, 6)), tf.random.normal((16, 4))
    with tf.GradientTape() as tape:
        fake = pair.generator(z)
        loss = tf.reduce_mean((pair.critic(fake) - tf.ones((16, 1))) ** 2)
    gradients = tape.gradient(loss, pair.generator.trainable_variables)
    optimizer.apply_gradients(zip(gradients, pair.generator.trainable_variables))
    with tf.GradientTape() as tape:
        loss_c = tf.reduce_mean((pair.critic(real) - 1) ** 2)
        loss_c += tf.reduce_mean(pair.critic(tf.stop_gradient(fake)) ** 2)
    gradients = tape.gradient(loss_c, pair.critic.trainable_variables)
    optimizer_c.apply_gradients(zip(gradients, pair.critic.trainable_variables))
print("final", round(float(loss), 6), round(float(loss_c), 6))
