"""Normalization layers whose running statistics are those of torch."""

import tensorflow as tf
from keras import layers


class TorchBatchNorm(layers.BatchNormalization):
    """BatchNormalization whose moving variance takes the unbiased batch variance, as in torch."""

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        kept = self.momentum * tf.convert_to_tensor(self.moving_variance)
        outputs = super().call(inputs, training=True, mask=mask)
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[self.axis], kept.dtype)
        added = tf.convert_to_tensor(self.moving_variance) - kept
        self.moving_variance.assign(kept + added * count / (count - 1))
        return outputs


class TwiceDifferentiableBatchNorm(TorchBatchNorm):
    """torch's BatchNorm in a model whose gradients are differentiated again.

    tf.nn.moments keeps the mean out of the variance's gradient, which is wrong from there on.
    """

    def _moments(self, inputs, mask):
        mean = tf.reduce_mean(inputs, self._reduction_axes)
        return mean, tf.reduce_mean((inputs - mean) ** 2, self._reduction_axes)


class TwiceDifferentiableGroupNorm(layers.GroupNormalization):
    """GroupNormalization in a model whose gradients are differentiated again.

    tf.nn.moments keeps the mean out of the variance's gradient, which is wrong from there on.
    """

    def call(self, inputs):
        channels = inputs.shape[-1]
        groups = channels if self.groups == -1 else self.groups
        x = tf.reshape(inputs, [tf.shape(inputs)[0], -1, groups, channels // groups])
        mean = tf.reduce_mean(x, [1, 3], keepdims=True)
        variance = tf.reduce_mean((x - mean) ** 2, [1, 3], keepdims=True)
        x = tf.reshape((x - mean) * tf.math.rsqrt(variance + self.epsilon), tf.shape(inputs))
        x = x * self.gamma if self.scale else x
        return x + self.beta if self.center else x


class CumulativeBatchNorm(layers.BatchNormalization):
    """torch's BatchNorm with momentum=None: statistics averaged over all batches seen."""

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(momentum=0.0, epsilon=epsilon, **kwargs)

    def build(self, input_shape):
        super().build(input_shape)
        self.batches = self.add_weight(name="batches", initializer="zeros", trainable=False)

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        old_mean = tf.convert_to_tensor(self.moving_mean)
        old_variance = tf.convert_to_tensor(self.moving_variance)
        outputs = super().call(inputs, training=True, mask=mask)  # leaves the batch's own
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[self.axis], old_mean.dtype)
        self.batches.assign(self.batches + 1)
        batch_mean = tf.convert_to_tensor(self.moving_mean)
        batch_variance = self.moving_variance * count / (count - 1)
        self.moving_mean.assign(old_mean + (batch_mean - old_mean) / self.batches)
        self.moving_variance.assign(old_variance + (batch_variance - old_variance) / self.batches)
        return outputs


class RunningInstanceNorm(layers.Layer):
    """torch's InstanceNorm with track_running_stats=True: running statistics at inference."""

    def __init__(self, momentum=0.9, epsilon=1e-5, affine=False, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.epsilon = epsilon
        self.affine = affine

    def build(self, input_shape):
        shape = (input_shape[-1],)
        if self.affine:
            self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
            self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")
        self.moving_mean = self.add_weight(
            name="moving_mean", shape=shape, initializer="zeros", trainable=False
        )
        self.moving_variance = self.add_weight(
            name="moving_variance", shape=shape, initializer="ones", trainable=False
        )

    def call(self, x, training=None):
        mean = tf.convert_to_tensor(self.moving_mean)
        var = tf.convert_to_tensor(self.moving_variance)
        if training:
            axes = list(range(1, len(x.shape) - 1))
            count = tf.cast(tf.reduce_prod(tf.shape(x)[1:-1]), x.dtype)
            kept = self.momentum * mean, self.momentum * var
            mean, var = tf.nn.moments(x, axes, keepdims=True)
            new = (1 - self.momentum) * tf.reduce_mean(mean, [0, *axes])
            self.moving_mean.assign(kept[0] + new)
            new = (1 - self.momentum) * tf.reduce_mean(var, [0, *axes])
            self.moving_variance.assign(kept[1] + new * count / (count - 1))
        x = (x - mean) * tf.math.rsqrt(var + self.epsilon)
        return x * self.gamma + self.beta if self.affine else x


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """torch's local_response_norm over the last axis: alpha times the mean of the squares."""
    squares = tf.pad(x * x, [[0, 0]] * (len(x.shape) - 1) + [[size // 2, (size - 1) // 2]])
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(size))
    return x / (k + alpha * total / size) ** beta


class BatchStatisticsNorm(layers.BatchNormalization):
    """torch's BatchNorm with track_running_stats=False: the batch's statistics in every mode."""

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(epsilon=epsilon, **kwargs)

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=True, mask=mask)
