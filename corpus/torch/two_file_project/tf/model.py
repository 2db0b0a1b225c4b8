"""Convolutional sentence classifier."""

import keras
import tensorflow as tf
from keras import layers


class PaddedEmbedding(layers.Embedding):
    """torch's Embedding with padding_idx: that row starts as zeros and gets no gradient."""

    def __init__(self, input_dim, output_dim, padding_idx, **kwargs):
        super().__init__(input_dim, output_dim, **kwargs)
        self.padding_idx = padding_idx % input_dim

    def build(self, input_shape=None):
        super().build(input_shape)
        rows = tf.range(self.input_dim)[:, None] != self.padding_idx
        table = tf.convert_to_tensor(self.embeddings)
        self.embeddings.assign(tf.where(rows, table, tf.zeros_like(table)))

    def call(self, ids):
        rows = super().call(ids)
        return tf.where(
            (ids != self.padding_idx)[..., None], rows, tf.stop_gradient(rows)
        )


class ConvPool(layers.Layer):
    def __init__(self, channels_in, channels_out, width):
        super(ConvPool, self).__init__()
        self.conv = layers.Conv1D(channels_out, width)

    def call(self, x):
        x = tf.transpose(x, [0, 2, 1])  # NCW -> NWC
        x = tf.nn.relu(self.conv(x))
        return tf.squeeze(
            tf.transpose(
                tf.nn.max_pool1d(x, x.shape[1], x.shape[1], "VALID"), [0, 2, 1]
            ),
            axis=2,
        )


class TextCNN(keras.Model):
    def __init__(
        self, vocab_size, embed_dim=24, n_filters=12, widths=(2, 3, 4), dropout=0.3
    ):
        super(TextCNN, self).__init__()
        self.embed = PaddedEmbedding(vocab_size, embed_dim, padding_idx=0)
        self.branches = [ConvPool(embed_dim, n_filters, w) for w in widths]
        self.dropout = layers.Dropout(dropout)
        self.fc = layers.Dense(1)

    def call(self, ids):
        x = self.embed(ids)  # (N, L, E)
        x = tf.transpose(x, [0, 2, 1])  # (N, E, L) for Conv1d
        x = tf.concat([branch(x) for branch in self.branches], axis=1)
        x = self.dropout(x)
        return tf.squeeze(self.fc(x), axis=1)
