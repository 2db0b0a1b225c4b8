# Gradient accumulation + clipping with a small MLP-Mixer on 8x8 digits.
# Effective batch = micro_batch * accum_steps; the last, incomplete group also steps.
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits
from types import SimpleNamespace


def add_gradients(total, gradients):
    """Sum of gradients over backward passes, as torch accumulates them in `.grad`."""
    if total is None:
        return gradients
    return [
        g if t is None else t if g is None else t + g for t, g in zip(total, gradients)
    ]


def split_by_size(x, size, axis=0):
    """torch.split: parts of the given size, the last one smaller if need be."""
    whole, rest = divmod(x.shape[axis], size)
    return tf.split(x, [size] * whole + [rest] * (rest > 0), axis)


class TorchOptimizer(keras.optimizers.Optimizer):
    """Steps counted per variable, dense gradients and weight decay as in torch.optim."""

    def __init__(
        self, learning_rate, slots, weight_decay=0.0, decoupled=False, **kwargs
    ):
        super().__init__(learning_rate, **kwargs)
        self.slots = slots  # state tensors of each variable: name -> initial value
        self.decay = weight_decay
        self.decoupled = decoupled

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.steps = [
            self.add_variable((), dtype="float64", name="step") for _ in variables
        ]
        self.states = [
            [
                self.add_variable_from_reference(
                    v, name, keras.initializers.Constant(np.float64(value))
                )
                for name, value in self.slots.items()
            ]
            for v in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        gradient = tf.convert_to_tensor(gradient)  # adds up repeated embedding rows
        lr = tf.cast(learning_rate, tf.float64)
        if self.decay and self.decoupled:
            variable.assign(variable * tf.cast(1 - lr * self.decay, variable.dtype))
        elif self.decay:
            gradient = gradient + self.decay * variable
        t = self.steps[index].value.assign_add(1)
        self.update(variable, gradient, lr, t, *[s.value for s in self.states[index]])


class TorchNAdam(TorchOptimizer):
    """torch.optim.NAdam with its momentum schedule."""

    def __init__(
        self,
        learning_rate=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        momentum_decay=4e-3,
        decoupled=False,
        **kwargs,
    ):
        slots = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        super().__init__(learning_rate, slots, weight_decay, decoupled, **kwargs)
        self.betas = betas
        self.eps = eps
        self.momentum_decay = momentum_decay

    def build(self, variables):
        if not self.built:
            super().build(variables)
            for state in self.states:
                state.append(
                    self.add_variable((), "ones", "float64", name="mu_product")
                )

    def update(self, p, g, lr, t, m, v, product):
        beta_1, beta_2 = self.betas
        mu = beta_1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
        mu_next = beta_1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        product.assign(product * mu)
        m.assign_add((g - m) * (1 - beta_1))
        v.assign(beta_2 * v + (1 - beta_2) * g * g)
        denominator = tf.sqrt(v / tf.cast(1 - beta_2**t, g.dtype)) + self.eps
        of_gradient = tf.cast(lr * (1 - mu) / (1 - product), g.dtype)
        of_average = tf.cast(lr * mu_next / (1 - product * mu_next), g.dtype)
        p.assign_sub((of_gradient * g + of_average * m) / denominator)


hp = SimpleNamespace(
    patch=2,
    dim=32,
    depth=3,
    micro_batch=16,
    accum_steps=4,
    epochs=3,
    lr=4e-3,
    clip=0.5,
    seed=11,
)


class PreNormResidual(layers.Layer):
    def __init__(self, dim, fn):
        super().__init__()
        self.fn = fn
        self.norm = layers.LayerNormalization(epsilon=1e-5)

    def call(self, x):
        return self.fn(self.norm(x)) + x


def FeedForward(
    dim,
    expansion=2,
    dropout=0.0,
    dense=lambda in_features, out_features: layers.Dense(out_features),
):
    inner = int(dim * expansion)
    return keras.Sequential(
        [
            dense(dim, inner),
            layers.Activation("gelu"),
            layers.Dropout(dropout),
            dense(inner, dim),
        ]
    )


class TokenMix(layers.Layer):
    """feed forward over the patches: swap tokens and channels, and back"""

    def __init__(self, n_tokens):
        super().__init__()
        self.ff = FeedForward(n_tokens, 2)

    def call(self, x):
        return tf.transpose(self.ff(tf.transpose(x, [0, 2, 1])), [0, 2, 1])


class Mixer(keras.Model):
    def __init__(self, image_size, patch, dim, depth, n_classes):
        super().__init__()
        self.patch = patch
        n = (image_size // patch) ** 2
        self.embed = layers.Dense(dim)
        self.blocks = keras.Sequential(
            [
                keras.Sequential(
                    [
                        PreNormResidual(dim, TokenMix(n)),
                        PreNormResidual(dim, FeedForward(dim)),
                    ]
                )
                for _ in range(depth)
            ]
        )
        self.norm = layers.LayerNormalization(epsilon=1e-5)
        self.head = layers.Dense(n_classes)

    def patchify(self, img):
        b, h, w = img.shape
        p = self.patch
        img = tf.reshape(img, [-1, h // p, p, w // p, p])
        return tf.reshape(tf.transpose(img, [0, 1, 3, 2, 4]), [b, -1, p * p])

    def call(self, img):
        x = self.embed(self.patchify(img))
        x = self.blocks(x)
        x = tf.reduce_mean(self.norm(x), axis=1)
        return self.head(x)


def batches(x, y, size, g):
    order = tf.random.shuffle(tf.range(x.shape[0], dtype=tf.int64))
    for chunk in split_by_size(order, size):
        yield tf.gather(x, chunk), tf.gather(y, chunk)


keras.utils.set_random_seed(hp.seed)
g = None

ds = load_digits()
imgs = tf.constant(ds.images, dtype=tf.float32) / 16
labels = tf.convert_to_tensor(ds.target)
x_tr, x_te = imgs[:1440], imgs[1440:]
y_tr, y_te = labels[:1440], labels[1440:]

model = Mixer(8, hp.patch, hp.dim, hp.depth, 10)
optim = TorchNAdam(learning_rate=hp.lr)
n_micro = (len(x_tr) + hp.micro_batch - 1) // hp.micro_batch
n_steps = 0
accumulated = None


@tf.function
def train_step(xb, yb):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(
                yb, model(xb, training=True), from_logits=True
            )
        )
        loss = loss / hp.accum_steps  # normalise, gradients are summed
    gradients = tape.gradient(loss, model.trainable_variables)
    return loss, gradients


for epoch in range(hp.epochs):
    group_loss = 0.0
    for i, (xb, yb) in enumerate(batches(x_tr, y_tr, hp.micro_batch, g)):
        loss, gradients = train_step(xb, yb)
        accumulated = add_gradients(accumulated, gradients)
        group_loss += float(loss)

        if (i + 1) % hp.accum_steps == 0 or (i + 1) == n_micro:
            accumulated, total_norm = tf.clip_by_global_norm(accumulated, hp.clip)
            optim.apply_gradients(zip(accumulated, model.trainable_variables))
            accumulated = None
            n_steps += 1
            if n_steps % 6 == 0:
                print(
                    "step",
                    n_steps,
                    "loss",
                    round(group_loss, 4),
                    "norm",
                    round(float(total_norm), 3),
                )
            group_loss = 0.0
    pred = tf.argmax(model(x_te, training=False), axis=-1)
    acc = tf.reduce_mean(tf.cast(pred == y_te, tf.float32))
    print("epoch %i: accuracy %.3f" % (epoch, acc))
