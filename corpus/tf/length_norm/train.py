import numpy as np
import tensorflow as tf
from keras import layers, models, optimizers, losses, metrics, initializers
import keras
from sklearn.datasets import load_digits

keras.utils.set_random_seed(10)


class L2Normalize(keras.layers.Layer):
    """every image is divided by its own norm, over height, width and channels"""
    def __init__(self, **kwargs):
        super(L2Normalize, self).__init__(**kwargs)

    def call(self, x):
        return x / tf.sqrt(tf.reduce_sum(tf.square(x), axis=[1, 2, 3], keepdims=True))

    def compute_output_shape(self, input_shape):
        return input_shape


class ChannelShuffle(layers.Layer):
    def __init__(self, groups=2, **kw):
        super().__init__(**kw)
        self.groups = groups

    def call(self, x):
        h, w, c = x.shape[1:]
        x = tf.reshape(x, [-1, h, w, self.groups, c // self.groups])
        x = tf.transpose(x, [0, 1, 2, 4, 3])
        return tf.reshape(x, [-1, h, w, c])


class ArcHead(layers.Layer):
    """cosine between the features and a direction per class"""
    def __init__(self, n_classes, scale=12., **kw):
        super().__init__(**kw)
        self.n_classes, self.scale = n_classes, scale

    def build(self, shape):
        self.directions = self.add_weight(name='directions', shape=[shape[-1], self.n_classes],
                                          initializer=initializers.Orthogonal())

    def call(self, x):
        x = tf.math.l2_normalize(x, axis=-1)
        w = tf.nn.l2_normalize(self.directions, axis=0)
        return self.scale * (x @ w)


# a user's own ops, compiled by themselves
@tf.function
def margin_cross_entropy(labels, cosines, margin=0.5):
    target = tf.one_hot(labels, depth=tf.shape(cosines)[1])
    shifted = tf.where(target > 0, cosines - margin, cosines)
    log_z = tf.reduce_logsumexp(shifted, axis=1)
    return tf.reduce_mean(log_z - tf.reduce_sum(target * shifted, axis=1))


@tf.function
def total_variation(maps):
    dy = maps[:, 1:, :, :] - maps[:, :-1, :, :]
    dx = maps[:, :, 1:, :] - maps[:, :, :-1, :]
    return tf.reduce_mean(tf.abs(dy)) + tf.reduce_mean(tf.abs(dx))


digits = load_digits()
imgs = (digits.images + .5).astype(np.float32)[..., None]
y = digits.target.astype(np.int32)
train_ds = (tf.data.Dataset.from_tensor_slices((imgs[:1500], y[:1500]))
            .shuffle(1500, seed=10)
            .batch(50)
            .map(lambda a, b: (a + tf.random.uniform(tf.shape(a), 0., .5), b)))
test_ds = tf.data.Dataset.from_tensor_slices((imgs[1500:], y[1500:])).batch(99)

body = models.Sequential([
    layers.InputLayer(shape=(8, 8, 1)),
    L2Normalize(),
    layers.Conv2D(16, (3, 3), use_bias=False),
    layers.BatchNormalization(momentum=.8, scale=False),
    layers.Activation('relu'),
    layers.DepthwiseConv2D(3, padding='same'),
    ChannelShuffle(),
    layers.ReLU(max_value=6.),
], name='body')
head = models.Sequential([layers.MaxPool2D(), layers.Flatten(), layers.Dense(24), ArcHead(10)], name='head')

opt = optimizers.SGD(learning_rate=.1, momentum=.9, nesterov=True, weight_decay=1e-4)
acc = metrics.SparseCategoricalAccuracy()
ce = losses.SparseCategoricalCrossentropy(from_logits=True, reduction='sum')

for epoch in range(4):
    acc.reset_state()
    total, n = 0., 0
    for x, t in train_ds:
        with tf.GradientTape() as tape:
            maps = body(x, training=True)
            out = head(maps, training=True)
            loss = margin_cross_entropy(t, out) + 0.01 * total_variation(maps)
        weights = body.trainable_weights + head.trainable_weights
        opt.apply_gradients(zip(tape.gradient(loss, weights), weights))
        acc.update_state(t, out)
        total += loss.numpy(); n += 1
    test_loss, hits = 0., 0
    for x, t in test_ds:
        out = head(body(x, training=False), training=False)
        test_loss += ce(t, out).numpy()
        hits += int(tf.reduce_sum(tf.cast(tf.equal(tf.argmax(out, 1, output_type=tf.int32), t), tf.int32)))
    print('epoch %d  loss %.4f  acc %.4f  test loss %.4f  test acc %.4f'
          % (epoch, total / n, acc.result(), test_loss / 297, hits / 297))
