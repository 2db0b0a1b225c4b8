"""
GAN on the 8x8 digits: convolutional, non-saturating loss on logits, generator with
transposed convolutions, two optimizers.
"""

import numpy as np
import itertools
import math
import os
import pickle
import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits


def set_initializer(layer, role, initializer):
    """Let a layer's parameters start with an initializer, whether it is built or not.

    role is "weight" or "bias" as torch names them, "matrix" or "vector" by their axes.
    """
    if isinstance(layer, keras.Sequential):  # a convolution and its padding
        for inner in layer.layers:
            set_initializer(inner, role, initializer)
        return
    if role == "weight":
        layer = getattr(
            layer, "embedding", layer
        )  # a dense layer that shares its table
    for inner in getattr(layer, "rnns", []):
        set_initializer(inner, role, initializer)
    layer = getattr(layer, "cell", layer)
    names = {
        "weight": ["kernel", "recurrent", "depthwise", "embeddings", "gamma", "alpha"],
        "bias": ["bias", "beta"],
        "matrix": ["kernel", "recurrent", "depthwise", "embeddings"],
        "vector": ["bias", "beta", "gamma", "alpha"],
    }[role]
    if role in ("bias", "vector") and hasattr(layer, "unit_forget_bias"):
        layer.unit_forget_bias = False
    for name in names:
        if hasattr(layer, f"{name}_initializer"):
            setattr(layer, f"{name}_initializer", initializer)
            variable = getattr(layer, name, None) if layer.built else None
            if isinstance(variable, keras.Variable):
                variable.assign(initializer(variable.shape, variable.dtype))


def collate(samples):
    """Stacks examples field by field: ints become int64, Python floats float64."""
    first = samples[0]
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(collate(list(field)) for field in zip(*samples))
    return tf.convert_to_tensor(np.stack([np.asarray(sample) for sample in samples]))


class DataLoader:
    """Batches of an indexable dataset, drawn and collated anew for every epoch."""

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=False,
        sampler=None,
        drop_last=False,
        collate_fn=collate,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.drop_last = drop_last
        self.collate_fn = collate_fn

    def __len__(self):
        count = len(self.dataset if self.sampler is None else self.sampler)
        return (math.floor if self.drop_last else math.ceil)(count / self.batch_size)

    def __iter__(self):
        order = self.sampler
        if order is None:
            count = len(self.dataset)
            order = np.random.permutation(count) if self.shuffle else range(count)
        order = iter(order)
        for _ in range(len(self)):
            indices = [int(i) for i in itertools.islice(order, self.batch_size)]
            if self.collate_fn is collate and hasattr(self.dataset, "take_rows"):
                yield self.dataset.take_rows(indices)
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])


def save_pickle(value, path):
    """Write any value to a file, whole or not at all; or into a file that is open."""
    if hasattr(path, "write"):
        pickle.dump(value, path)
        return
    with open(f"{path}.tmp", "wb") as file:
        pickle.dump(value, file)
    os.replace(f"{path}.tmp", path)


keras.utils.set_random_seed(999)
cuda = bool(tf.config.list_physical_devices("GPU"))
Z_DIM, BS, EPOCHS = 16, 48, 4


class G(keras.Model):
    def __init__(self, z_dim, feats=24):
        super(G, self).__init__()
        self.project = layers.Dense(feats * 2 * 2)
        self.bn0 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.up1 = layers.Conv2DTranspose(
            feats, 4, strides=2, padding="same", use_bias=False
        )
        self.bn1 = layers.BatchNormalization(momentum=0.8, epsilon=1e-5)
        self.up2 = layers.Conv2DTranspose(1, 4, strides=2, padding="same")
        self.act = layers.ReLU()
        self.feats = feats

    def call(self, z):
        h = tf.reshape(self.project(z), [-1, self.feats, 2, 2])
        h = self.act(self.bn0(tf.transpose(h, [0, 2, 3, 1])))
        h = self.act(self.bn1(self.up1(h)))
        return tf.transpose(tf.tanh(self.up2(h)), [0, 3, 1, 2])


class D(keras.Model):
    def __init__(self, feats=16):
        super(D, self).__init__()
        self.net = keras.Sequential(
            [
                layers.ZeroPadding2D(1),
                layers.Conv2D(feats, 4, strides=2),
                layers.LeakyReLU(negative_slope=0.2),
                layers.ZeroPadding2D(1),
                layers.Conv2D(2 * feats, 4, strides=2),
                layers.LeakyReLU(negative_slope=0.2),
                layers.Dropout(0.2),
            ]
        )
        self.score = layers.Dense(1)

    def call(self, img):
        img = tf.transpose(img, [0, 2, 3, 1])  # NCHW -> NHWC
        h = self.net(img)
        return self.score(tf.reshape(tf.transpose(h, [0, 3, 1, 2]), [-1, 128]))


def init_normal(m):
    classname = m.__class__.__name__
    if classname.find("Conv") != -1:
        set_initializer(m, "weight", keras.initializers.RandomNormal(0.0, 0.05))
    elif classname.find("BatchNorm") != -1:
        set_initializer(m, "weight", keras.initializers.RandomNormal(1.0, 0.02))
        set_initializer(m, "bias", keras.initializers.Zeros())


# scaled to [-1, 1], the range of tanh
imgs = load_digits().images.astype(np.float32) / 8.0 - 1.0
loader = DataLoader(
    tf.convert_to_tensor(imgs[:, np.newaxis]),
    batch_size=BS,
    shuffle=True,
    drop_last=True,
)

gen, dis = G(Z_DIM), D()
for layer in gen._flatten_layers():
    init_normal(layer)
for layer_2 in dis._flatten_layers():
    init_normal(layer_2)
bce = keras.losses.BinaryCrossentropy(from_logits=True)

g_opt = keras.optimizers.Adam(
    learning_rate=1e-3, beta_1=0.5, beta_2=0.999, epsilon=1e-08
)
d_opt = keras.optimizers.Adam(
    learning_rate=5e-4, beta_1=0.5, beta_2=0.999, epsilon=1e-08
)


def sample_z(n):
    z = tf.random.normal([n, Z_DIM])
    return z


@tf.function
def train_step(real, ones, n, zeros):
    with tf.GradientTape() as tape:
        loss_real = bce(0.9 * ones, dis(real, training=True))  # smoothed on one side
        fake = tf.stop_gradient(
            gen(sample_z(n), training=True)
        )  # nothing may flow into the generator here
        loss_fake = bce(zeros, dis(fake, training=True))
    gradients = tape.gradient(
        [loss_real, loss_fake], dis.trainable_variables
    )  # gradients of the two halves add up
    d_opt.apply_gradients(zip(gradients, dis.trainable_variables))
    return loss_real, loss_fake


def d_step(real):
    n = real.shape[0]
    ones, zeros = tf.ones([n, 1]), tf.zeros([n, 1])
    loss_real, loss_fake = train_step(real, ones, n, zeros)
    return float(loss_real + loss_fake)


@tf.function
def train_step_2(n):
    with tf.GradientTape() as tape:
        logits = dis(gen(sample_z(n), training=True), training=True)
        loss = bce(tf.ones_like(logits), logits)
    gradients = tape.gradient(loss, gen.trainable_variables)
    g_opt.apply_gradients(zip(gradients, gen.trainable_variables))
    return logits, loss


def g_step(n):
    logits, loss = train_step_2(n)
    return float(loss), float(tf.reduce_mean(tf.sigmoid(logits)))


fixed = sample_z(100)
d_hist, g_hist = [], []
for epoch in range(EPOCHS):
    for it, real in enumerate(loader):
        d_loss = d_step(real)
        g_loss, fooled = g_step(BS)
        d_hist.append(d_loss)
        g_hist.append(g_loss)
        if it % 12 == 0:
            print(
                "epoch %d it %3d   D %.4f   G %.4f   D(G(z)) %.3f"
                % (epoch, it, d_loss, g_loss, fooled)
            )
    pics = gen(fixed, training=False).numpy()
    # how far is the mean picture from the mean digit?
    gap = np.abs(pics.mean(axis=(0, 1)) - imgs.mean(axis=0)).mean()
    print(
        "epoch %d  mean D %.4f  mean G %.4f  gap of the mean image %.4f"
        % (epoch, np.mean(d_hist[-len(loader) :]), np.mean(g_hist[-len(loader) :]), gap)
    )

save_pickle(
    {
        "gen": gen.get_weights(),
        "dis": dis.get_weights(),
        "g_opt": [v.numpy() for v in g_opt.variables],
        "d_opt": [v.numpy() for v in d_opt.variables],
    },
    "gan.pt",
)
