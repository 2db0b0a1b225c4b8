"""torch.distributions in TensorFlow: what policies and variational models use of them."""

import math

import tensorflow as tf


class Normal:
    """A normal distribution, as torch.distributions.Normal."""

    def __init__(self, loc, scale):
        loc = tf.convert_to_tensor(loc)
        scale = tf.convert_to_tensor(scale, loc.dtype)
        shape = tf.broadcast_dynamic_shape(tf.shape(loc), tf.shape(scale))
        self.loc, self.scale = tf.broadcast_to(loc, shape), tf.broadcast_to(scale, shape)
        self.mean, self.stddev = self.loc, self.scale
        self.variance = self.scale**2

    def rsample(self, sample_shape=()):
        """A draw with a gradient."""
        shape = tf.concat([tf.cast(sample_shape, tf.int32), tf.shape(self.loc)], axis=0)
        return self.loc + self.scale * tf.random.normal(shape, dtype=self.loc.dtype)

    def sample(self, sample_shape=()):
        """A draw without a gradient."""
        return tf.stop_gradient(self.rsample(sample_shape))

    def log_prob(self, value):
        distance = (value - self.loc) ** 2 / (2 * self.scale**2)
        return -distance - tf.math.log(self.scale) - 0.5 * math.log(2 * math.pi)

    def entropy(self):
        return 0.5 + 0.5 * math.log(2 * math.pi) + tf.math.log(self.scale)

    def cdf(self, value):
        return 0.5 * (1 + tf.math.erf((value - self.loc) / self.scale / math.sqrt(2)))


class Categorical:
    """A choice among the last axis, as torch.distributions.Categorical."""

    def __init__(self, probs=None, logits=None):
        if probs is not None:
            probs = probs / tf.reduce_sum(probs, axis=-1, keepdims=True)
            epsilon = 1.1920928955078125e-07 if probs.dtype == tf.float32 else 2**-52
            self.probs = probs
            self.logits = tf.math.log(tf.clip_by_value(probs, epsilon, 1 - epsilon))
        else:
            self.logits = logits - tf.reduce_logsumexp(logits, axis=-1, keepdims=True)
            self.probs = tf.nn.softmax(logits)

    def sample(self, sample_shape=()):
        """Indices, drawn with the given chances."""
        sample_shape = list(sample_shape)
        shape = tf.shape(self.logits)
        draws = tf.random.categorical(
            tf.reshape(self.logits, [-1, shape[-1]]), math.prod(sample_shape), dtype=tf.int64
        )
        return tf.reshape(tf.transpose(draws), tf.concat([sample_shape, shape[:-1]], axis=0))

    def log_prob(self, value):
        chosen = tf.one_hot(
            tf.cast(value, tf.int64), tf.shape(self.logits)[-1], dtype=self.logits.dtype
        )
        return tf.reduce_sum(chosen * self.logits, axis=-1)

    def entropy(self):
        logits = tf.maximum(self.logits, self.logits.dtype.min)
        return -tf.reduce_sum(logits * self.probs, axis=-1)


class Bernoulli:
    """A coin, as torch.distributions.Bernoulli."""

    def __init__(self, probs=None, logits=None):
        if probs is not None:
            epsilon = 1.1920928955078125e-07 if probs.dtype == tf.float32 else 2**-52
            clipped = tf.clip_by_value(probs, epsilon, 1 - epsilon)
            self.probs = probs
            self.logits = tf.math.log(clipped) - tf.math.log1p(-clipped)
        else:
            self.logits = logits
            self.probs = tf.sigmoid(logits)
        self.mean = self.probs

    def sample(self, sample_shape=()):
        """Ones and zeros."""
        shape = tf.concat([tf.cast(sample_shape, tf.int32), tf.shape(self.probs)], axis=0)
        return tf.cast(
            tf.random.uniform(shape, dtype=self.probs.dtype) < self.probs, self.probs.dtype
        )

    def log_prob(self, value):
        return -tf.nn.sigmoid_cross_entropy_with_logits(labels=value, logits=self.logits)

    def entropy(self):
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=self.probs, logits=self.logits)


class Uniform:
    """torch.distributions.Uniform."""

    def __init__(self, low, high):
        self.low = tf.convert_to_tensor(low)
        self.high = tf.convert_to_tensor(high, self.low.dtype)
        self.mean = (self.low + self.high) / 2

    def rsample(self, sample_shape=()):
        """A draw with a gradient."""
        shape = tf.concat([tf.cast(sample_shape, tf.int32), tf.shape(self.low)], axis=0)
        noise = tf.random.uniform(shape, dtype=self.low.dtype)
        return self.low + (self.high - self.low) * noise

    def sample(self, sample_shape=()):
        """A draw without a gradient."""
        return tf.stop_gradient(self.rsample(sample_shape))

    def log_prob(self, value):
        inside = (value >= self.low) & (value < self.high)
        return tf.math.log(tf.cast(inside, self.low.dtype)) - tf.math.log(self.high - self.low)

    def entropy(self):
        return tf.math.log(self.high - self.low)


def kl_of_normals(p, q):
    """torch.distributions.kl_divergence of two normal distributions."""
    ratio = (p.scale / q.scale) ** 2
    distance = ((p.loc - q.loc) / q.scale) ** 2
    return 0.5 * (ratio + distance - 1 - tf.math.log(ratio))


def kl_of_categoricals(p, q):
    """torch.distributions.kl_divergence of two categorical distributions."""
    return tf.reduce_sum(p.probs * (p.logits - q.logits), axis=-1)


class MultivariateNormal:
    """A normal distribution of vectors, as torch.distributions.MultivariateNormal."""

    def __init__(self, loc, covariance_matrix=None, precision_matrix=None, scale_tril=None):
        if precision_matrix is not None:
            covariance_matrix = tf.linalg.inv(precision_matrix)
        if scale_tril is None:
            scale_tril = tf.linalg.cholesky(covariance_matrix)
        loc = tf.convert_to_tensor(loc)
        batch = tf.broadcast_dynamic_shape(tf.shape(scale_tril)[:-2], tf.shape(loc)[:-1])
        self.loc = tf.broadcast_to(loc, tf.concat([batch, tf.shape(loc)[-1:]], axis=0))
        tail = tf.shape(scale_tril)[-2:]
        self.scale_tril = tf.broadcast_to(scale_tril, tf.concat([batch, tail], axis=0))
        self.mean = self.loc
        self.covariance_matrix = tf.matmul(self.scale_tril, self.scale_tril, transpose_b=True)
        self.variance = tf.linalg.diag_part(self.covariance_matrix)
        diagonal = tf.linalg.diag_part(self.scale_tril)
        self.log_determinant = tf.reduce_sum(tf.math.log(diagonal), axis=-1)

    def rsample(self, sample_shape=()):
        """A draw with a gradient."""
        shape = tf.concat([tf.cast(sample_shape, tf.int32), tf.shape(self.loc)], axis=0)
        noise = tf.random.normal(shape, dtype=self.loc.dtype)
        return self.loc + tf.linalg.matvec(self.scale_tril, noise)

    def sample(self, sample_shape=()):
        """A draw without a gradient."""
        return tf.stop_gradient(self.rsample(sample_shape))

    def log_prob(self, value):
        distance = (value - self.loc)[..., None]
        whitened = tf.linalg.triangular_solve(self.scale_tril, distance)[..., 0]
        squares = tf.reduce_sum(whitened**2, axis=-1)
        size = tf.cast(tf.shape(self.loc)[-1], self.loc.dtype)
        return -0.5 * (size * math.log(2 * math.pi) + squares) - self.log_determinant

    def entropy(self):
        size = tf.cast(tf.shape(self.loc)[-1], self.loc.dtype)
        return 0.5 * size * (1 + math.log(2 * math.pi)) + self.log_determinant


class Independent:
    """A distribution whose last axes are one event, as torch.distributions.Independent."""

    def __init__(self, base_distribution, reinterpreted_batch_ndims):
        self.base_dist = base_distribution
        self.axes = list(range(-reinterpreted_batch_ndims, 0))
        self.mean = base_distribution.mean
        self.variance = getattr(base_distribution, "variance", None)

    def rsample(self, sample_shape=()):
        return self.base_dist.rsample(sample_shape)

    def sample(self, sample_shape=()):
        return self.base_dist.sample(sample_shape)

    def log_prob(self, value):
        return tf.reduce_sum(self.base_dist.log_prob(value), axis=self.axes)

    def entropy(self):
        return tf.reduce_sum(self.base_dist.entropy(), axis=self.axes)


class Beta:
    """torch.distributions.Beta."""

    def __init__(self, concentration1, concentration0):
        self.concentration1 = tf.convert_to_tensor(concentration1)
        self.concentration0 = tf.convert_to_tensor(concentration0, self.concentration1.dtype)
        self.mean = self.concentration1 / (self.concentration1 + self.concentration0)

    def rsample(self, sample_shape=()):
        """A draw with a gradient."""
        first = tf.random.gamma(sample_shape, self.concentration1, dtype=self.mean.dtype)
        second = tf.random.gamma(sample_shape, self.concentration0, dtype=self.mean.dtype)
        return first / (first + second)

    def sample(self, sample_shape=()):
        """A draw without a gradient."""
        return tf.stop_gradient(self.rsample(sample_shape))

    def log_prob(self, value):
        a, b = self.concentration1, self.concentration0
        return (a - 1) * tf.math.log(value) + (b - 1) * tf.math.log1p(-value) - self.log_beta()

    def entropy(self):
        a, b = self.concentration1, self.concentration0
        spread = (a + b - 2) * tf.math.digamma(a + b)
        return (
            self.log_beta() - (a - 1) * tf.math.digamma(a) - (b - 1) * tf.math.digamma(b) + spread
        )

    def log_beta(self):
        return tf.math.lbeta(tf.stack([self.concentration1, self.concentration0], axis=-1))
