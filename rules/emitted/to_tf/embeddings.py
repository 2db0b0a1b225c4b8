"""Embeddings with torch's padding row and bags."""

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
        return tf.where((ids != self.padding_idx)[..., None], rows, tf.stop_gradient(rows))


class EmbeddingBag(layers.Embedding):
    """torch's EmbeddingBag: the mean, sum or max of each bag's rows; bags start at offsets."""

    def __init__(self, input_dim, output_dim, mode="mean", **kwargs):
        super().__init__(input_dim, output_dim, **kwargs)
        self.mode = mode

    def call(self, ids, offsets=None):
        rows = super().call(ids)
        if offsets is None:
            return getattr(tf, f"reduce_{self.mode}")(rows, 1)
        count = tf.size(offsets)
        bags = tf.searchsorted(offsets, tf.range(tf.size(ids), dtype=offsets.dtype), "right") - 1
        result = getattr(tf.math, f"unsorted_segment_{self.mode}")(rows, bags, count)
        empty = tf.math.bincount(bags, minlength=count) == 0
        return tf.where(empty[:, None], tf.zeros_like(result), result)
