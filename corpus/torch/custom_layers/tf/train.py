"""Layers from scratch: every module below is built from nn.Parameter and tensor operations."""

import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_breast_cancer


def variance(x, axis=None, correction=1, keepdims=False):
    """torch.var: divides by n - 1."""
    result = tf.math.reduce_variance(x, axis, keepdims)
    count = tf.cast(tf.size(x), x.dtype) / tf.cast(tf.size(result), x.dtype)
    return result * count / (count - correction)


def standard_deviation(x, axis=None, correction=1, keepdims=False):
    """torch.std: divides by n - 1; no gradient, rather than NaN, where it is 0."""
    square = variance(x, axis, correction, keepdims)
    safe = tf.where(square > 0, square, tf.ones_like(square))
    return tf.where(square > 0, tf.sqrt(safe), tf.zeros_like(square))


class TorchOptimizer(keras.optimizers.Optimizer):
    """Steps counted per variable, dense gradients and weight decay as in torch.optim."""

    def __init__(
        self, learning_rate, slots, weight_decay=0.0, decoupled=False, **kwargs
    ):
        super().__init__(learning_rate, **kwargs)
        self.slots = slots  # state tensors of each variable: name -> initial value
        self.decay = weight_decay
        self.decoupled = decoupled

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.steps = [
            self.add_variable((), dtype="float64", name="step") for _ in variables
        ]
        self.states = [
            [
                self.add_variable_from_reference(
                    v, name, keras.initializers.Constant(np.float64(value))
                )
                for name, value in self.slots.items()
            ]
            for v in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        gradient = tf.convert_to_tensor(gradient)  # adds up repeated embedding rows
        lr = tf.cast(learning_rate, tf.float64)
        if self.decay and self.decoupled:
            variable.assign(variable * tf.cast(1 - lr * self.decay, variable.dtype))
        elif self.decay:
            gradient = gradient + self.decay * variable
        t = self.steps[index].value.assign_add(1)
        self.update(variable, gradient, lr, t, *[s.value for s in self.states[index]])


class TorchSGD(TorchOptimizer):
    """torch.optim.SGD: the learning rate stays outside the momentum buffer."""

    def __init__(
        self,
        learning_rate=1e-3,
        momentum=0.0,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
        **kwargs,
    ):
        slots = {"momentum_buffer": 0.0} if momentum else {}
        super().__init__(learning_rate, slots, weight_decay, **kwargs)
        self.momentum = tf.Variable(momentum, trainable=False, dtype=tf.float64)
        self.dampening = dampening
        self.nesterov = nesterov

    def update(self, p, g, lr, t, buffer=None):
        if buffer is not None:
            momentum = tf.cast(self.momentum, g.dtype)
            new = (
                g
                if not self.dampening
                else tf.where(t > 1, (1 - self.dampening) * g, g)
            )
            buffer.assign(momentum * buffer + new)
            g = g + momentum * buffer if self.nesterov else buffer
        p.assign_sub(tf.cast(lr, g.dtype) * g)


def is_stock_layer(part):
    """Whether a layer is one of Keras's own or derives from one: its variables are not torch's."""
    if not isinstance(part, layers.Layer):
        return False
    stock = next(c for c in type(part).__mro__ if c.__module__.startswith("keras."))
    return stock not in (layers.Layer, keras.Model)


def parameters(model):
    """The weights that are trained, or were before they were frozen: no running statistics."""
    parts = model._flatten_layers()
    kept = {id(v) for part in parts for v in part._non_trainable_variables}
    return [v for v in model.weights if id(v) not in kept]


def named_variables(part, prefix=""):
    """The parameters with the names that torch gives them: "hidden.weight"."""
    if isinstance(part, keras.Variable):
        yield prefix, part
        return
    own = {
        "kernel": "weight",
        "gamma": "weight",
        "embeddings": "weight",
        "beta": "bias",
    }
    if isinstance(part, (list, tuple)):
        inner = [(str(i), value) for i, value in enumerate(part)]
    elif isinstance(part, dict):
        inner = list(part.items())
    elif isinstance(part, keras.Sequential):
        inner = [(str(i), value) for i, value in enumerate(part.layers)]
    elif is_stock_layer(part):
        inner = [(own.get(v.name, v.name), v) for v in parameters(part)]
    elif isinstance(part, layers.Layer):
        kept = [id(v) for v in part._non_trainable_variables]
        inner = [
            (n, v) for n, v in vars(part).items() if n[0] != "_" and id(v) not in kept
        ]
    else:
        return
    for name, value in inner:
        yield from named_variables(value, f"{prefix}.{name}" if prefix else name)


class Gated(layers.Layer):
    """tanh(x) * sigmoid(x)"""

    def call(self, x):
        return tf.tanh(x) * tf.sigmoid(x)


class Mish(layers.Layer):
    def __init__(self, beta=1.0, learn=False):
        super().__init__()
        if learn:
            self.beta = keras.Variable(tf.constant(float(beta)))
        else:
            self.beta = keras.Variable(tf.constant(float(beta)), trainable=False)

    def call(self, x):
        return x * tf.tanh(tf.nn.softplus(self.beta * x))


class MyLinear(layers.Layer):
    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = keras.Variable(tf.zeros([out_features, in_features]))
        if bias:
            self.bias = keras.Variable(tf.zeros([out_features]))
        else:
            self.bias = None
        self.reset_parameters()

    def reset_parameters(self):
        self.weight.assign(
            tf.transpose(
                keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")(
                    self.weight.shape[::-1], self.weight.dtype
                )
            )
        )
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            self.bias.assign(
                keras.initializers.RandomUniform(-bound, bound)(
                    self.bias.shape, self.bias.dtype
                )
            )

    def call(self, x):
        y = tf.matmul(x, self.weight, transpose_b=True)
        if self.bias is not None:
            y = y + self.bias
        return y

    def extra_repr(self):
        return (
            f"{self.in_features} -> {self.out_features}, bias={self.bias is not None}"
        )


class MyLayerNorm(layers.Layer):
    def __init__(self, features, eps=1e-6):
        super().__init__()
        self.a_2 = keras.Variable(tf.ones([features]))
        self.b_2 = keras.Variable(tf.zeros([features]))
        self.eps = eps

    def call(self, x):
        mean = tf.reduce_mean(x, axis=-1, keepdims=True)
        std = standard_deviation(
            x, axis=-1, keepdims=True
        )  # unbiased, as in the paper's code
        return self.a_2 * (x - mean) / (std + self.eps) + self.b_2


class EMACenter(layers.Layer):
    """Subtracts a running mean, which is a buffer and not a parameter."""

    def __init__(self, features, rate=0.05):
        super().__init__()
        self.rate = rate
        self.running = keras.Variable(tf.zeros([features]), trainable=False)
        self.updates = keras.Variable(tf.constant(0, dtype=tf.int64), trainable=False)

    def call(self, x, training=False):
        if training:
            self.running.assign(
                self.running * (1 - self.rate) + self.rate * tf.reduce_mean(x, axis=0)
            )
            self.updates.assign_add(1)
        return x - self.running


class Bilinear2(layers.Layer):
    """Low-rank second order interactions."""

    def __init__(self, features, rank):
        super().__init__()
        self.v = keras.Variable(tf.random.normal([features, rank]) * 0.1)

    def call(self, x):
        square_of_sum = tf.square(tf.matmul(x, self.v))
        sum_of_square = tf.matmul(tf.square(x), tf.square(self.v))
        return 0.5 * (square_of_sum - sum_of_square)


class Net(keras.Model):
    def __init__(self, n_in, hidden=24):
        super().__init__()
        self.center = EMACenter(n_in)
        self.cross = Bilinear2(n_in, 6)
        self.l1 = MyLinear(n_in + 6, hidden)
        self.act1 = Gated()
        self.norm = MyLayerNorm(hidden)
        self.l2 = MyLinear(hidden, hidden, bias=False)
        self.act2 = Mish(learn=True)
        self.l3 = MyLinear(hidden, 2)
        self.scale = keras.Variable(tf.zeros([1]))

    def call(self, x):
        x = self.center(x)
        x = tf.concat([x, self.cross(x)], axis=-1)
        x = self.norm(self.act1(self.l1(x)))
        x = x + self.act2(self.l2(x))
        return self.l3(x) * tf.exp(self.scale)


keras.utils.set_random_seed(8)
raw = load_breast_cancer()
data = tf.constant(raw.data, dtype=tf.float32)
target = tf.convert_to_tensor(raw.target)
data = (data - tf.reduce_mean(data[:400], axis=0)) / standard_deviation(
    data[:400], axis=0
)

net = Net(data.shape[1])
print(net)
opt = TorchSGD(learning_rate=0.03, momentum=0.9, dampening=0.1)
log_softmax = layers.Activation("log_softmax")

for epoch in range(6):
    shuffled = tf.random.shuffle(tf.range(400, dtype=tf.int64))
    losses = []
    for start in range(0, 400, 40):
        rows = shuffled[start : start + 40]
        with tf.GradientTape() as tape:
            logp = log_softmax(net(tf.gather(data, rows), training=True))
            # cross entropy by hand
            loss = -tf.reduce_mean(
                tf.squeeze(
                    tf.gather(
                        logp,
                        tf.expand_dims(tf.gather(target, rows), 1),
                        axis=1,
                        batch_dims=1,
                    ),
                    axis=1,
                )
            )
            l1 = sum(
                tf.reduce_sum(tf.abs(p))
                for n, p in named_variables(net)
                if "weight" in n
            )
            loss = loss + 1e-4 * l1
        gradients = tape.gradient(loss, net.trainable_variables)
        opt.apply_gradients(zip(gradients, net.trainable_variables))
        losses.append(float(loss))
    accuracy = float(
        tf.reduce_mean(
            tf.cast(
                tf.argmax(net(data[400:], training=False), axis=1) == target[400:],
                tf.float64,
            )
        )
    )
    print(
        "epoch %d  loss %.4f -> %.4f  test accuracy %.3f"
        % (epoch, losses[0], losses[-1], accuracy)
    )

print("updates of the running mean:", int(net.center.updates))
print(
    "learned beta: %.3f, scale: %.3f" % (float(net.act2.beta), net.scale.numpy().item())
)
