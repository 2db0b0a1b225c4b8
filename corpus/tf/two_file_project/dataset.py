"""Spectrogram-like patches of made up bird songs."""
import numpy as np
import tensorflow as tf

BIRDS = ("warbler", "thrush", "finch")
FRAMES, BINS = 24, 16


def sing(bird, rng):
    """Every bird draws its line through time and frequency."""
    song = rng.gamma(1.0, 0.15, size=(FRAMES, BINS))
    t = np.arange(FRAMES)
    offset = rng.integers(0, 4)
    if bird == 0:
        line = 4 + offset + 3 * np.sin(t / 2.0 + rng.uniform(0, 6))
    elif bird == 1:
        line = 2 + offset + t * 0.4
    else:
        line = np.where((t // 3) % 2 == 0, 3 + offset, 10 + offset)
    for frame, pos in zip(t, np.clip(np.round(line).astype(int), 0, BINS - 1)):
        song[frame, pos] += rng.uniform(0.5, 1.5)
    return song


def make_arrays(n, seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, len(BIRDS), size=n)
    x = np.stack([sing(k, rng) for k in y]).astype("float32")
    return x[..., None], y.astype("int32")


def random_shift(x, y):
    """Moves the song a little in time."""
    shift = tf.random.uniform([], -3, 4, dtype=tf.int32)
    return tf.roll(x, shift=shift, axis=0), y


def normalize(x, y):
    x = tf.math.log(x + 0.1)
    return (x - tf.reduce_mean(x)) / tf.math.reduce_std(x), y


def get_dataset(n, seed, batch_size, augment=False):
    ds = tf.data.Dataset.from_tensor_slices(make_arrays(n, seed))
    if augment:
        ds = ds.shuffle(buffer_size=n).map(random_shift)
    ds = ds.map(normalize, num_parallel_calls=tf.data.AUTOTUNE)
    ds = ds.batch(batch_size)
    return ds.prefetch(tf.data.AUTOTUNE)
