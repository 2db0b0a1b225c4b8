"""Activations of torch that Keras lacks."""

import keras
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


class TorchPReLU(layers.PReLU):
    """torch's PReLU: a vector of slopes, one for everything or one per channel (the last axis)."""

    def __init__(self, num_parameters=1, init=0.25, **kwargs):
        super().__init__(**kwargs)
        self.alpha = self.add_weight(
            shape=(num_parameters,), initializer=keras.initializers.Constant(init), name="alpha"
        )

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        return tf.where(inputs > 0, inputs, self.alpha * inputs)
