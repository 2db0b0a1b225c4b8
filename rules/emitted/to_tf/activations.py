"""Activations of torch that Keras lacks."""

import tensorflow as tf
from keras import layers


class RandomizedReLU(layers.Layer):
    """torch's RReLU: negative slopes drawn from [lower, upper) in training, else their mean."""

    def __init__(self, lower=1 / 8, upper=1 / 3, **kwargs):
        super().__init__(**kwargs)
        self.lower = lower
        self.upper = upper

    def call(self, x, training=None):
        slope = tf.cast((self.lower + self.upper) / 2, x.dtype)
        if training:
            slope = tf.random.uniform(tf.shape(x), self.lower, self.upper, x.dtype)
        return tf.where(x >= 0, x, slope * x)
