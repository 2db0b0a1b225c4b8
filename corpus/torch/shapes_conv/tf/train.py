# Toy segmentation: find the bright discs in noisy 24x24 images and ignore the squares.
# Encoder with strided / grouped (depthwise separable) / dilated convolutions, decoder with
# transposed convolutions and one skip connection.

import numpy as np
import functools
import keras
import tensorflow as tf
from keras import layers


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def binary_cross_entropy_with_logits(
    input, target, weight=None, reduction="mean", pos_weight=None
):
    """torch's function: weight per element, pos_weight for the positive targets."""
    target = tf.cast(target, input.dtype)
    if pos_weight is None:
        loss = tf.nn.sigmoid_cross_entropy_with_logits(target, input)
    else:
        loss = tf.nn.weighted_cross_entropy_with_logits(target, input, pos_weight)
    return reduce_loss(loss if weight is None else weight * loss, reduction)


SEED = 3
N_IMAGES = 256
SIZE = 24
BATCH = 16
EPOCHS = 4
LR = 2e-3

tf.random.set_seed(SEED)


def draw(rng):
    img = rng.normal(0.0, 0.15, (SIZE, SIZE))
    mask = np.zeros((SIZE, SIZE))
    yy, xx = np.mgrid[:SIZE, :SIZE]
    for _ in range(rng.integers(1, 3)):
        cy, cx, r = (
            rng.integers(5, SIZE - 5),
            rng.integers(5, SIZE - 5),
            rng.integers(3, 6),
        )
        disc = (yy - cy) ** 2 + (xx - cx) ** 2 <= r * r
        img[disc] += 1.0
        mask[disc] = 1.0
    y0, x0 = rng.integers(0, SIZE - 6, 2)
    img[y0 : y0 + 5, x0 : x0 + 5] += 0.7
    return img, mask


def make_data(n, seed):
    rng = np.random.default_rng(seed)
    pairs = [draw(rng) for _ in range(n)]
    imgs = np.stack([p[0] for p in pairs])[:, None].astype("float32")
    masks = np.stack([p[1] for p in pairs])[:, None].astype("float32")
    return tf.convert_to_tensor(imgs), tf.convert_to_tensor(masks)


def conv_bn_act(c_in, c_out, k=3, s=1, d=1, g=1):
    pad = d * (k - 1) // 2
    return keras.Sequential(
        [
            layers.ZeroPadding2D(pad),
            layers.Conv2D(
                c_out, k, strides=s, dilation_rate=d, groups=g, use_bias=False
            ),
            layers.BatchNormalization(momentum=0.95),
            layers.LeakyReLU(negative_slope=0.1),
        ]
    )


class Separable(layers.Layer):
    """depthwise + pointwise"""

    def __init__(self, c_in, c_out, s=1):
        super().__init__()
        self.dw = conv_bn_act(c_in, c_in, 3, s=s, g=c_in)
        self.pw = conv_bn_act(c_in, c_out, 1)

    def call(self, x):
        return self.pw(self.dw(x))


class SegNet(keras.Model):
    def __init__(self, width=12):
        super().__init__()
        w = width
        self.stem = conv_bn_act(1, w, k=5)
        self.down1 = conv_bn_act(w, 2 * w, s=2)  # 24 -> 12
        self.down2 = Separable(2 * w, 4 * w, s=2)  # 12 -> 6
        self.mid = [conv_bn_act(4 * w, 4 * w, d=d, g=2) for d in (1, 2, 3)]
        self.up1 = layers.Conv2DTranspose(2 * w, 4, strides=2, padding="same")
        self.up2 = keras.Sequential(
            [
                layers.Conv2DTranspose(
                    w, 3, strides=2, output_padding=1, use_bias=False
                ),
                layers.Cropping2D(1),
            ]
        )
        self.out = layers.Conv2D(1, 1)

    def call(self, x):
        x = tf.transpose(x, [0, 2, 3, 1])  # NCHW -> NHWC
        x = self.stem(x)
        d1 = self.down1(x)
        h = self.down2(d1)
        for layer in self.mid:
            h = h + layer(h)
        h = tf.nn.relu(self.up1(h))
        h = tf.concat([h, d1], axis=-1)
        h = tf.nn.elu(self.up2(h))
        return tf.transpose(self.out(h), [0, 3, 1, 2])


def dice(logits, target):
    p = tf.cast(tf.sigmoid(logits) > 0.5, tf.float32)
    inter = tf.reduce_sum(p * target, axis=[1, 2, 3])
    return tf.reduce_mean(
        (2 * inter + 1)
        / (tf.reduce_sum(p, axis=[1, 2, 3]) + tf.reduce_sum(target, axis=[1, 2, 3]) + 1)
    )


X, Y = make_data(N_IMAGES, SEED)
Xv, Yv = make_data(64, SEED + 1)

net = SegNet()
opt = keras.optimizers.Adam(learning_rate=LR, beta_1=0.9, beta_2=0.99, epsilon=1e-08)
bce = functools.partial(binary_cross_entropy_with_logits, pos_weight=tf.constant([2.0]))
step = 0


@tf.function
def train_step(idx):
    with tf.GradientTape() as tape:
        pred = net(tf.gather(X, idx), training=True)
        loss = bce(pred, tf.gather(Y, idx))
    gradients = tape.gradient(loss, net.trainable_variables)
    opt.apply_gradients(zip(gradients, net.trainable_variables))
    return loss


for ep in range(EPOCHS):
    perm = tf.random.shuffle(tf.range(len(X), dtype=tf.int64))
    running = 0.0
    for i in range(0, len(X), BATCH):
        idx = perm[i : i + BATCH]
        loss = train_step(idx)
        running += float(loss)
        step += 1
        if step % 8 == 0:
            print(f"  step {step:4d}  loss {float(loss):.5f}")
    v = net(Xv, training=False)
    print(
        f"epoch {ep}: train {running / (len(X) / BATCH):.4f}  val {float(bce(v, Yv)):.4f}  dice {dice(v, Yv):.3f}"
    )
