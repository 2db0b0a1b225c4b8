"""Variational autoencoder as a keras.Model with its own train_step and test_step.

The penalty on the latent code goes through add_loss, the reconstruction through train_step.
"""
import argparse

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from tensorflow import keras
from tensorflow.keras import layers


class GaussianCode(layers.Layer):
    """Maps features to a sample of q(z|x); adds beta * KL(q || N(0, I)) to the losses."""

    def __init__(self, dim, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.beta = beta
        self.mean = layers.Dense(dim)
        self.log_var = layers.Dense(dim, kernel_initializer="zeros")
        self.noise = keras.random.SeedGenerator(7)

    def call(self, h, training=False):
        mu, log_var = self.mean(h), self.log_var(h)
        kl = 0.5 * tf.reduce_sum(tf.exp(log_var) + tf.square(mu) - 1.0 - log_var, axis=-1)
        self.add_loss(self.beta * tf.reduce_mean(kl))
        if not training:
            return mu
        return mu + tf.exp(log_var / 2) * keras.random.normal(tf.shape(mu), seed=self.noise)


class DigitVAE(keras.Model):
    def __init__(self, latent, beta, **kwargs):
        super().__init__(**kwargs)
        self.features = keras.Sequential([
            layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
        ], name="features")
        self.code = GaussianCode(latent, beta, name="code")
        self.picture = keras.Sequential([
            layers.Dense(2 * 2 * 32, activation="relu"),
            layers.Reshape((2, 2, 32)),
            layers.Conv2DTranspose(16, 4, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 4, strides=2, padding="same"),
        ], name="picture")
        self.total = keras.metrics.Mean(name="loss")
        self.nll = keras.metrics.Mean(name="nll")

    @property
    def metrics(self):
        return [self.total, self.nll]

    def call(self, x, training=False):
        return self.picture(self.code(self.features(x), training=training))

    def negative_log_likelihood(self, x, logits):
        bce = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
        return tf.reduce_mean(tf.reduce_sum(bce, axis=[1, 2, 3]))

    def train_step(self, x):
        with tf.GradientTape() as tape:
            nll = self.negative_log_likelihood(x, self(x, training=True))
            loss = nll + tf.add_n(self.losses)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        self.total.update_state(loss)
        self.nll.update_state(nll)
        return {m.name: m.result() for m in self.metrics}

    def test_step(self, x):
        nll = self.negative_log_likelihood(x, self(x, training=False))
        self.total.update_state(nll + sum(self.losses))
        self.nll.update_state(nll)
        return {m.name: m.result() for m in self.metrics}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--latent", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--beta", type=float, default=0.2)
    args = parser.parse_args()

    keras.utils.set_random_seed(99)
    images = load_digits().images.astype("float32")[..., np.newaxis] / 16.0
    train, test = images[:1500], images[1500:]

    vae = DigitVAE(args.latent, args.beta)
    vae.compile(optimizer=keras.optimizers.Adam(learning_rate=3e-3))
    history = vae.fit(train, epochs=args.epochs, batch_size=64, verbose=0)
    for i in range(args.epochs):
        print("epoch", i + 1, "  ".join(f"{k} {v[i]:.4f}" for k, v in history.history.items()))
    print("test", {k: round(float(v), 4) for k, v in vae.evaluate(test, verbose=0, return_dict=True).items()})

    # a walk from the first test digit to the second one
    mu = vae.code.mean(vae.features(test[:2])).numpy()
    for t in np.linspace(0.0, 1.0, 4):
        z = (1 - t) * mu[:1] + t * mu[1:]
        p = tf.sigmoid(vae.picture(z)).numpy()[0, :, :, 0]
        print("t %.2f  ink %.3f  like the first %.3f, like the second %.3f" % (
            t, p.mean(), np.corrcoef(p.ravel(), test[0].ravel())[0, 1], np.corrcoef(p.ravel(), test[1].ravel())[0, 1]))


if __name__ == "__main__":
    main()
