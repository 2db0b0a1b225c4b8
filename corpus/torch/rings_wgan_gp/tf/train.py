"""WGAN with gradient penalty on a 2-D toy distribution (two rings)."""

import argparse
import math

import keras
import tensorflow as tf
from keras import layers


def variance(x, axis=None, correction=1, keepdims=False):
    """torch.var: divides by n - 1."""
    result = tf.math.reduce_variance(x, axis, keepdims)
    count = tf.cast(tf.size(x), x.dtype) / tf.cast(tf.size(result), x.dtype)
    return result * count / (count - correction)


def standard_deviation(x, axis=None, correction=1, keepdims=False):
    """torch.std: divides by n - 1; no gradient, rather than NaN, where it is 0."""
    square = variance(x, axis, correction, keepdims)
    safe = tf.where(square > 0, square, tf.ones_like(square))
    return tf.where(square > 0, tf.sqrt(safe), tf.zeros_like(square))


parser = argparse.ArgumentParser()
parser.add_argument("--iters", type=int, default=60, help="generator updates")
parser.add_argument("--n-critic", type=int, default=3)
parser.add_argument("--lambda-gp", type=float, default=5.0)
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--dim", type=int, default=48)
parser.add_argument("--latent", type=int, default=4)
parser.add_argument("--seed", type=int, default=0)


def mlp(n_in, dim, n_out, act):
    return keras.Sequential(
        [layers.Dense(dim), act(), layers.Dense(dim), act(), layers.Dense(n_out)]
    )


def sample_rings(n):
    radius = tf.where(tf.random.uniform([n]) < 0.5, tf.constant(0.6), tf.constant(1.4))
    angle = 2 * math.pi * tf.random.uniform([n])
    xy = tf.stack([radius * tf.cos(angle), radius * tf.sin(angle)], axis=1)
    return xy + 0.05 * tf.random.normal([n, 2])


def gradient_penalty(critic, real, fake):
    alpha = tf.random.uniform([real.shape[0], 1])
    interpolates = alpha * real + (1 - alpha) * fake
    with tf.GradientTape() as inner_tape:
        inner_tape.watch(interpolates)
        d_interpolates = critic(interpolates)
    gradients = inner_tape.gradient(d_interpolates, interpolates)
    gradients = tf.reshape(gradients, [-1, 2])
    return tf.reduce_mean((tf.norm(gradients, axis=1) - 1) ** 2)


@tf.function
def train_step(critic, optimizer, real, fake, lambda_gp):
    with tf.GradientTape() as tape:
        distance = tf.reduce_mean(critic(real)) - tf.reduce_mean(critic(fake))
        penalty = gradient_penalty(critic, real, fake)
        loss = -distance + lambda_gp * penalty
    gradients = tape.gradient(loss, critic.trainable_variables)
    optimizer.apply_gradients(zip(gradients, critic.trainable_variables))
    return distance, penalty


def update_critic(critic, generator, optimizer, args, device):
    real = sample_rings(args.batch_size)
    z = tf.random.normal([args.batch_size, args.latent])
    fake = generator(z)
    distance, penalty = train_step(critic, optimizer, real, fake, args.lambda_gp)
    return float(distance), float(penalty)


@tf.function
def train_step_2(critic, generator, optimizer, z):
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(critic(generator(z)))
    gradients = tape.gradient(loss, generator.trainable_variables)
    optimizer.apply_gradients(zip(gradients, generator.trainable_variables))
    return loss


def update_generator(critic, generator, optimizer, args, device):
    critic.trainable = False
    z = tf.random.normal([args.batch_size, args.latent])
    loss = train_step_2(critic, generator, optimizer, z)
    critic.trainable = True
    return float(loss)


def main(args):
    keras.utils.set_random_seed(args.seed)
    device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"
    generator = mlp(args.latent, args.dim, 2, layers.ReLU)
    critic = mlp(2, args.dim, 1, lambda: layers.LeakyReLU(negative_slope=0.2))
    opt_g = keras.optimizers.Adam(
        learning_rate=1e-3, beta_1=0.5, beta_2=0.9, epsilon=1e-08
    )
    opt_c = keras.optimizers.Adam(
        learning_rate=2e-3, beta_1=0.5, beta_2=0.9, epsilon=1e-08
    )

    iteration = 0
    while iteration < args.iters:
        for _ in range(args.n_critic):
            distance, penalty = update_critic(critic, generator, opt_c, args, device)
        g_loss = update_generator(critic, generator, opt_g, args, device)
        iteration += 1
        if iteration % 10 == 0:
            pts = generator(tf.random.normal([512, args.latent]))
            radius = tf.sqrt(tf.reduce_sum(tf.square(pts), axis=1))
            print(
                "iter %3d | W %.4f | gp %.4f | G %.4f | radius %.3f +- %.3f"
                % (
                    iteration,
                    distance,
                    penalty,
                    g_loss,
                    tf.reduce_mean(radius),
                    standard_deviation(radius),
                )
            )


if __name__ == "__main__":
    main(parser.parse_args())
