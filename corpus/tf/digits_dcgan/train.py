import time

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow.keras import Sequential, layers, losses, optimizers

tf.keras.utils.set_random_seed(1234)

BATCH, EPOCHS, NOISE = 64, 3, 20
MATCHING = 0.0     # set above zero for feature matching

# 8x8 -> 16x16, scaled to [-1, 1]
train_images = load_digits().images.reshape(-1, 8, 8, 1).astype('float32')
train_images = tf.image.resize(train_images, [16, 16], method='nearest')
train_images = (train_images - 8) / 8
dataset = tf.data.Dataset.from_tensor_slices(train_images).shuffle(len(train_images)).batch(BATCH, drop_remainder=True)


def build_generator():
    g = Sequential(name='G')
    g.add(layers.Input(shape=(NOISE,)))
    g.add(layers.Dense(4 * 4 * 32, use_bias=False))
    g.add(layers.BatchNormalization())
    g.add(layers.ReLU())
    g.add(layers.Reshape((4, 4, 32)))
    g.add(layers.Conv2DTranspose(16, (5, 5), strides=(2, 2), padding='same', use_bias=False))
    g.add(layers.BatchNormalization())
    g.add(layers.ReLU())
    g.add(layers.Conv2DTranspose(1, (4, 4), strides=(2, 2), padding='same', activation='tanh'))
    return g


def build_critic():
    init = tf.keras.initializers.RandomNormal(mean=0., stddev=0.05)
    return Sequential([
        layers.Input((16, 16, 1)),
        layers.Conv2D(16, (4, 4), strides=(2, 2), padding='same', kernel_initializer=init),
        layers.LeakyReLU(0.2),
        layers.Dropout(0.3),
        layers.Conv2D(32, 4, 2, 'same', kernel_initializer=init),
        layers.LeakyReLU(0.2),
        layers.Dropout(0.3),
        layers.Flatten(),
        layers.Dense(1),
    ], name='D')


G, D = build_generator(), build_critic()
bce = losses.BinaryCrossentropy(from_logits=True)
g_optim = optimizers.Adam(1e-3, beta_1=0.5)
d_optim = optimizers.Adam(5e-4, beta_1=0.5)


def d_loss_fn(real_logits, fake_logits):
    real = bce(tf.ones_like(real_logits) * 0.9, real_logits)
    fake = bce(tf.zeros_like(fake_logits), fake_logits)
    return real + fake


def g_loss_fn(fake_logits):
    return bce(tf.ones_like(fake_logits), fake_logits)


# compiled: the shape of a batch never changes
@tf.function
def train_step(images):
    noise = tf.random.normal([BATCH, NOISE])
    with tf.GradientTape() as g_tape, tf.GradientTape() as d_tape:
        fakes = G(noise, training=True)
        real_logits = D(images, training=True)
        fake_logits = D(fakes, training=True)
        g_loss = g_loss_fn(fake_logits)
        if MATCHING > 0:
            g_loss += MATCHING * tf.reduce_mean(tf.abs(tf.reduce_mean(fakes, 0) - tf.reduce_mean(images, 0)))
        d_loss = d_loss_fn(real_logits, fake_logits)

    g_grads = g_tape.gradient(g_loss, G.trainable_variables)
    d_grads = d_tape.gradient(d_loss, D.trainable_variables)
    g_optim.apply_gradients(zip(g_grads, G.trainable_variables))
    d_optim.apply_gradients(zip(d_grads, D.trainable_variables))
    return d_loss, g_loss


seed = tf.random.normal([16, NOISE])


def train(dataset, epochs):
    for epoch in range(epochs):
        start = time.time()
        d_sum = g_sum = n = 0
        for batch in dataset:
            d_loss, g_loss = train_step(batch)
            d_sum += float(d_loss); g_sum += float(g_loss); n += 1
            if n % 9 == 0:
                print('   batch %2d  D %.4f  G %.4f' % (n, d_loss, g_loss))
        pictures = G(seed, training=False)
        spread = tf.math.reduce_std(pictures, axis=0)
        print('Epoch {}: D {:.4f}, G {:.4f}, spread of the samples {:.4f} ({} batches)'.format(
            epoch + 1, d_sum / n, g_sum / n, tf.reduce_mean(spread).numpy(), n))
        # print('Time: %.1f' % (time.time() - start))


train(dataset, EPOCHS)
np.save('samples.npy', G(seed, training=False).numpy())
G.save('generator.keras')
