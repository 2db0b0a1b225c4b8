"""WGAN-GP as a keras.Model: own compile, own train_step, one fit."""
import math

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

BATCH, LATENT, CRITIC_STEPS, GP_WEIGHT = 64, 4, 3, 10.0


def two_rings(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    r = np.where(rng.random(n) < 0.5, 0.5, 1.2)
    phi = rng.random(n) * 2 * math.pi
    xy = np.stack([r * np.cos(phi), r * np.sin(phi)], axis=-1)
    return (xy + rng.normal(0, 0.05, (n, 2))).astype(np.float32)


def mlp(sizes, n_in, name, alpha=0.2):
    model = keras.Sequential(name=name)
    model.add(keras.Input((n_in,)))
    for size in sizes[:-1]:
        model.add(layers.Dense(size))
        model.add(layers.LeakyReLU(negative_slope=alpha))
    model.add(layers.Dense(sizes[-1]))
    return model


class WGAN(keras.Model):
    def __init__(self, critic, generator, latent_dim, critic_steps=3, penalty=10.0):
        super().__init__()
        self.critic = critic
        self.generator = generator
        self.latent_dim = latent_dim
        self.critic_steps = critic_steps
        self.penalty = penalty

    def compile(self, critic_optimizer, generator_optimizer, critic_objective, generator_objective):
        super().compile()
        self.critic_optimizer = critic_optimizer
        self.generator_optimizer = generator_optimizer
        self.critic_objective = critic_objective
        self.generator_objective = generator_objective

    def call(self, z):
        return self.generator(z)

    def gradient_penalty(self, real, fake):
        t = tf.random.uniform([tf.shape(real)[0], 1])
        between = t * real + (1.0 - t) * fake
        with tf.GradientTape() as inner:
            inner.watch(between)
            score = self.critic(between, training=True)
        slope = tf.norm(inner.gradient(score, between) + 1e-12, axis=1)
        return tf.reduce_mean(tf.math.squared_difference(slope, 1.0))

    def train_step(self, real):
        batch_size = tf.shape(real)[0]
        for _ in range(self.critic_steps):
            z = tf.random.normal(shape=(batch_size, self.latent_dim))
            with tf.GradientTape() as tape:
                fake = self.generator(z, training=True)
                score_fake = self.critic(fake, training=True)
                score_real = self.critic(real, training=True)
                distance = self.critic_objective(score_real, score_fake)
                gp = self.gradient_penalty(real, fake)
                d_loss = distance + gp * self.penalty
            grads = tape.gradient(d_loss, self.critic.trainable_variables)
            self.critic_optimizer.apply_gradients(zip(grads, self.critic.trainable_variables))

        z = tf.random.normal(shape=(batch_size, self.latent_dim))
        with tf.GradientTape() as tape:
            generated = self.generator(z, training=True)
            g_loss = self.generator_objective(self.critic(generated, training=True))
        grads = tape.gradient(g_loss, self.generator.trainable_variables)
        self.generator_optimizer.apply_gradients(zip(grads, self.generator.trainable_variables))
        return {"d_loss": d_loss, "g_loss": g_loss, "gp": gp}


class Monitor(keras.callbacks.Callback):
    def __init__(self, n=300, latent_dim=4):
        super().__init__()
        self.z = tf.random.stateless_normal((n, latent_dim), seed=(1, 2))

    def on_epoch_end(self, epoch, logs=None):
        points = self.model.generator(self.z).numpy()
        radius = np.linalg.norm(points, axis=1)
        text = "  ".join(f"{k} {float(v):7.4f}" for k, v in logs.items())
        print(f"epoch {epoch + 1}: {text}  radius {radius.mean():.3f} +- {radius.std():.3f}")


def main():
    keras.utils.set_random_seed(14)
    data = tf.data.Dataset.from_tensor_slices(two_rings(1024)).shuffle(1024).batch(BATCH, drop_remainder=True)
    wgan = WGAN(
        critic=mlp([32, 32, 1], 2, "critic"),
        generator=mlp([32, 32, 2], LATENT, "generator"),
        latent_dim=LATENT,
        critic_steps=CRITIC_STEPS,
        penalty=GP_WEIGHT,
    )
    wgan.compile(
        critic_optimizer=keras.optimizers.Adam(learning_rate=2e-3, beta_1=0.5, beta_2=0.9),
        generator_optimizer=keras.optimizers.Adam(learning_rate=1e-3, beta_1=0.5, beta_2=0.9),
        critic_objective=lambda real, fake: tf.reduce_mean(fake) - tf.reduce_mean(real),
        generator_objective=lambda fake: -tf.reduce_mean(fake),
    )
    wgan.fit(data, epochs=6, verbose=0, callbacks=[Monitor(latent_dim=LATENT)])


if __name__ == "__main__":
    main()
