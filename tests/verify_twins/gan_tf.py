"""GAN with two optimizers; the generator's step uses the updated discriminator."""

import keras
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(3)
real_data = tf.random.normal((256, 2)) * 0.5 + tf.constant([2.0, -1.0])

G = keras.Sequential(
    [
        layers.Dense(16),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.LeakyReLU(negative_slope=0.1),
        layers.Dense(2),
    ]
)
D = keras.Sequential(
    [layers.Dense(16), layers.LeakyReLU(negative_slope=0.2), layers.Dropout(0.2), layers.Dense(1)]
)
opt_g = keras.optimizers.SGD(learning_rate=0.05)
opt_d = keras.optimizers.SGD(learning_rate=0.02)
bce = keras.losses.BinaryCrossentropy(from_logits=True)


@tf.function
def train_step(real, noise):
    with tf.GradientTape() as g_tape:
        fake = G(noise, training=True)
        with tf.GradientTape() as d_tape:
            loss_real = bce(tf.ones((32, 1)), D(real, training=True))
            loss_fake = bce(tf.zeros((32, 1)), D(tf.stop_gradient(fake), training=True))
            loss_d = loss_real + loss_fake
        gradients = d_tape.gradient(loss_d, D.trainable_variables)
        opt_d.apply_gradients(zip(gradients, D.trainable_variables))
        loss_g = bce(tf.ones((32, 1)), D(fake, training=True))
    gradients = g_tape.gradient(loss_g, G.trainable_variables)
    opt_g.apply_gradients(zip(gradients, G.trainable_variables))
    return loss_d, loss_g


for step in range(25):
    index = tf.random.uniform((32,), 0, 256, dtype=tf.int32)
    real = tf.gather(real_data, index)
    noise = tf.random.normal((32, 4))
    loss_d, loss_g = train_step(real, noise)
    if step % 5 == 0:
        print(f"step {step}: D {float(loss_d):.5f} G {float(loss_g):.5f}")
