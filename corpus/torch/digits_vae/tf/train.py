import argparse

import itertools
import math
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn import datasets


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


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """torch's binary_cross_entropy: logarithms end at -100, the gradient stays finite."""
    target = tf.cast(target, input.dtype)

    @tf.custom_gradient
    def cross_entropy_of(p):
        log_p, log_q = [
            tf.maximum(log, -100.0) for log in (tf.math.log(p), tf.math.log1p(-p))
        ]

        def gradient(upstream):
            return upstream * (p - target) / tf.maximum(p * (1 - p), 1e-12)

        return -(target * log_p + (1 - target) * log_q), gradient

    loss = cross_entropy_of(input)
    return reduce_loss(loss if weight is None else weight * loss, reduction)


parser = argparse.ArgumentParser(description="VAE on the UCI digits")
parser.add_argument("-b", "--batch", type=int, default=100)
parser.add_argument("-e", "--epochs", type=int, default=6)
parser.add_argument("--latent", type=int, default=4)
parser.add_argument("--beta", type=float, default=1.0, help="weight of the KL term")
parser.add_argument(
    "--warmup", type=int, default=2, help="epochs over which beta grows to its value"
)
parser.add_argument("--seed", type=int, default=10)
opt = parser.parse_args()

keras.utils.set_random_seed(opt.seed)
device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"

x = tf.constant(datasets.load_digits().data, dtype=tf.float32) / 16.0
train_x, test_x = x[:1500], x[1500:]
train_loader = DataLoader(train_x, batch_size=opt.batch, shuffle=True)
test_loader = DataLoader(test_x, batch_size=opt.batch)


class VAE(keras.Model):
    def __init__(self, n_in=64, n_hidden=40, n_latent=4):
        super().__init__()
        self.n_in = n_in
        self.fc1 = layers.Dense(n_hidden)
        self.fc_mu = layers.Dense(n_latent)
        self.fc_logvar = layers.Dense(n_latent)
        self.fc3 = layers.Dense(n_hidden)
        self.fc4 = layers.Dense(n_in)

    def encode(self, x):
        h = tf.tanh(self.fc1(x))
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu, logvar, training=False):
        if not training:
            return mu
        std = tf.exp(0.5 * logvar)
        eps = tf.random.normal(tf.shape(std))
        return mu + eps * std

    def decode(self, z):
        h = tf.tanh(self.fc3(z))
        return tf.sigmoid(self.fc4(h))

    def call(self, x, training=False):
        mu, logvar = self.encode(tf.reshape(x, [-1, self.n_in]))
        z = self.reparameterize(mu, logvar, training=training)
        return self.decode(z), mu, logvar


def elbo_terms(recon, x, mu, logvar):
    """Reconstruction and KL(q(z|x) || N(0, I)), both summed over the batch."""
    bce = binary_cross_entropy(recon, x, reduction="sum")
    kld = -0.5 * tf.reduce_sum(1 + logvar - tf.square(mu) - tf.exp(logvar))
    return bce, kld


model = VAE(n_latent=opt.latent)
optimizer = keras.optimizers.Adam(learning_rate=3e-3, epsilon=1e-08)


@tf.function
def train_step(batch, beta):
    with tf.GradientTape() as tape:
        recon, mu, logvar = model(batch, training=True)
        bce, kld = elbo_terms(recon, batch, mu, logvar)
        loss = (bce + beta * kld) / batch.shape[0]
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return bce, kld, loss


def train(epoch):
    beta = opt.beta * min(1.0, epoch / opt.warmup)
    sums = [0.0, 0.0]
    for i, batch in enumerate(train_loader):
        bce, kld, loss = train_step(batch, beta)
        sums[0] += float(bce)
        sums[1] += float(kld)
        if i % 5 == 0:
            print(f"  [{epoch}:{i:02d}] loss {float(loss):.4f}")
    n = train_loader.dataset.shape[0]
    print(
        f"epoch {epoch}  beta {beta:.2f}  reconstruction {sums[0] / n:.4f}  kl {sums[1] / n:.4f}"
    )


def test():
    total = 0.0
    for batch in test_loader:
        recon, mu, logvar = model(batch, training=False)
        total += float(sum(elbo_terms(recon, batch, mu, logvar)))
    print(f"          test -elbo {total / test_loader.dataset.shape[0]:.4f}")


for epoch in range(1, opt.epochs + 1):
    train(epoch)
    test()

z = tf.random.normal([2, opt.latent])
imgs = tf.reshape(model.decode(z), [2, 8, 8])
for img in imgs:
    print(
        "\n".join(
            "".join(" .:*#"[min(4, int(v * 5))] for v in row)
            for row in img.numpy().tolist()
        )
    )
    print("-" * 8)
