"""Embeddings as in torch."""

import tensorflow as tf
from keras import layers


class PaddedEmbedding(layers.Embedding):
    """torch's Embedding with padding_idx: that row starts at zero and gets no gradient."""

    def __init__(self, input_dim, output_dim, padding_idx, **kwargs):
        super().__init__(input_dim, output_dim, **kwargs)
        self.padding_idx = padding_idx % input_dim

    def build(self, input_shape=None):
        super().build(input_shape)
        if self.trainable:
            kept = tf.range(self.input_dim) != self.padding_idx
            table = tf.convert_to_tensor(self.embeddings)
            self.embeddings.assign(table * tf.cast(kept, table.dtype)[:, None])

    def call(self, inputs):
        outputs = super().call(inputs)
        padded = (inputs == self.padding_idx)[..., None]
        return tf.where(padded, tf.stop_gradient(outputs), outputs)


class EmbeddingBag(layers.Embedding):
    """torch's EmbeddingBag: the mean, sum or maximum of the embeddings of each bag."""

    def __init__(self, input_dim, output_dim, mode="mean", **kwargs):
        super().__init__(input_dim, output_dim, **kwargs)
        self.mode = mode

    def call(self, inputs, offsets=None, per_sample_weights=None):
        rows = super().call(inputs)
        if per_sample_weights is not None:
            rows *= per_sample_weights[..., None]
        if offsets is None:
            reduce = {"mean": tf.reduce_mean, "sum": tf.reduce_sum, "max": tf.reduce_max}
            return reduce[self.mode](rows, axis=1)
        reduce = {
            "mean": tf.math.unsorted_segment_mean,
            "sum": tf.math.unsorted_segment_sum,
            "max": tf.math.unsorted_segment_max,
        }
        bags = tf.searchsorted(offsets, tf.range(tf.size(inputs), dtype=offsets.dtype), "right") - 1
        return reduce[self.mode](rows, bags, tf.size(offsets))
