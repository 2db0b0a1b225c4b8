"""Products that Keras has no layer for."""

import keras
import tensorflow as tf
from keras import layers


class Bilinear(layers.Layer):
    """torch's Bilinear: each output is x @ W @ y plus a bias."""

    def __init__(self, units, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias

    def build(self, x_shape, y_shape):
        bound = x_shape[-1] ** -0.5
        self.weight = self.add_weight(
            name="weight",
            shape=(self.units, x_shape[-1], y_shape[-1]),
            initializer=keras.initializers.RandomUniform(-bound, bound),
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=keras.initializers.RandomUniform(-bound, bound),
            )

    def call(self, x, y):
        z = tf.einsum("...i,oij,...j->...o", x, self.weight, y)
        return z + self.bias if self.use_bias else z


class TiedDense(layers.Layer):
    """A dense layer on the weight of an embedding, so that both train the same numbers."""

    def __init__(self, embedding, use_bias=True, bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.embedding = embedding
        self.use_bias = use_bias
        self.bias_initializer = bias_initializer

    def build(self, input_shape):
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.embedding.input_dim,),
                initializer=self.bias_initializer,
            )

    def call(self, x):
        x = tf.matmul(x, self.embedding.embeddings, transpose_b=True)
        return x + self.bias if self.use_bias else x


class VectorDense(layers.Dense):
    """A dense layer that takes a single vector as well as a batch of them."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.input_spec = None

    def build(self, input_shape):
        super().build((None, input_shape[-1]))
        self.input_spec = None

    def compute_output_spec(self, *args, **kwargs):
        raise NotImplementedError("the rank differs from call to call")
