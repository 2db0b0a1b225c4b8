"""Optimizers that update as those of ``torch.optim`` do, as Keras optimizers."""

import keras
import numpy as np
import tensorflow as tf


class TorchOptimizer(keras.optimizers.Optimizer):
    """Steps counted per variable, dense gradients and weight decay as in torch.optim."""

    def __init__(self, learning_rate, slots, weight_decay=0.0, decoupled=False, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.slots = slots  # state tensors of each variable: name -> initial value
        self.decay = weight_decay
        self.decoupled = decoupled

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.steps = [self.add_variable((), dtype="float64", name="step") for _ in variables]
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
            new = g if not self.dampening else tf.where(t > 1, (1 - self.dampening) * g, g)
            buffer.assign(momentum * buffer + new)
            g = g + momentum * buffer if self.nesterov else buffer
        p.assign_sub(tf.cast(lr, g.dtype) * g)


class TorchAdam(TorchOptimizer):
    """torch.optim.Adam: eps after the bias correction, weight decay in the gradient."""

    def __init__(
        self,
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=False,
        decoupled=False,
        **kwargs,
    ):
        slots = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        if amsgrad:
            slots["max_exp_avg_sq"] = 0.0
        super().__init__(learning_rate, slots, weight_decay, decoupled, **kwargs)
        self.beta_1 = tf.Variable(betas[0], trainable=False, dtype=tf.float64)
        self.beta_2 = betas[1]
        self.eps = eps

    def update(self, p, g, lr, t, m, v, v_max=None):
        m.assign_add((g - m) * tf.cast(1 - self.beta_1, g.dtype))
        v.assign(self.beta_2 * v + (1 - self.beta_2) * g * g)
        if v_max is not None:
            v_max.assign(tf.maximum(v_max, v))
            v = v_max
        scale = tf.cast(tf.sqrt(1 - self.beta_2**t), g.dtype)
        step_size = tf.cast(lr / (1 - self.beta_1**t), g.dtype)
        p.assign_sub(step_size * m / (tf.sqrt(v) / scale + self.eps))


class TorchAdamW(TorchAdam):
    """torch.optim.AdamW: Adam with weight decay beside the gradient."""

    def __init__(
        self,
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        **kwargs,
    ):
        super().__init__(learning_rate, betas, eps, weight_decay, amsgrad, decoupled=True, **kwargs)


class TorchRMSprop(TorchOptimizer):
    """torch.optim.RMSprop: eps outside the root, learning rate outside the momentum."""

    def __init__(
        self,
        learning_rate=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0.0,
        momentum=0.0,
        centered=False,
        **kwargs,
    ):
        slots = {"square_avg": 0.0, "grad_avg": 0.0, "momentum_buffer": 0.0}
        super().__init__(learning_rate, slots, weight_decay, **kwargs)
        self.alpha = alpha
        self.eps = eps
        self.momentum = momentum
        self.centered = centered

    def update(self, p, g, lr, t, v, mean, buffer):
        v.assign(self.alpha * v + (1 - self.alpha) * g * g)
        square = v
        if self.centered:
            mean.assign_add((g - mean) * (1 - self.alpha))
            square = v - mean * mean
        g = g / (tf.sqrt(square) + self.eps)
        if self.momentum:
            g = buffer.assign(self.momentum * buffer + g)
        p.assign_sub(tf.cast(lr, g.dtype) * g)


class TorchAdagrad(TorchOptimizer):
    """torch.optim.Adagrad: accumulator from 0, eps outside the root, lr_decay."""

    def __init__(
        self,
        learning_rate=1e-2,
        lr_decay=0.0,
        weight_decay=0.0,
        initial_accumulator_value=0.0,
        eps=1e-10,
        **kwargs,
    ):
        slots = {"sum": initial_accumulator_value}
        super().__init__(learning_rate, slots, weight_decay, **kwargs)
        self.lr_decay = lr_decay
        self.eps = eps

    def update(self, p, g, lr, t, total):
        total.assign_add(g * g)
        step_size = tf.cast(lr / (1 + (t - 1) * self.lr_decay), g.dtype)
        p.assign_sub(step_size * g / (tf.sqrt(total) + self.eps))


class TorchAdadelta(TorchOptimizer):
    """torch.optim.Adadelta, weight decay in the gradient."""

    def __init__(self, learning_rate=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, **kwargs):
        slots = {"square_avg": 0.0, "acc_delta": 0.0}
        super().__init__(learning_rate, slots, weight_decay, **kwargs)
        self.rho = rho
        self.eps = eps

    def update(self, p, g, lr, t, v, d):
        v.assign(self.rho * v + (1 - self.rho) * g * g)
        delta = tf.sqrt(d + self.eps) / tf.sqrt(v + self.eps) * g
        d.assign(self.rho * d + (1 - self.rho) * delta * delta)
        p.assign_sub(tf.cast(lr, g.dtype) * delta)


class TorchAdamax(TorchOptimizer):
    """torch.optim.Adamax: eps inside the maximum."""

    def __init__(
        self,
        learning_rate=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        **kwargs,
    ):
        super().__init__(learning_rate, {"exp_avg": 0.0, "exp_inf": 0.0}, weight_decay, **kwargs)
        self.betas = betas
        self.eps = eps

    def update(self, p, g, lr, t, m, u):
        beta_1, beta_2 = self.betas
        m.assign_add((g - m) * (1 - beta_1))
        u.assign(tf.maximum(beta_2 * u, tf.abs(g) + self.eps))
        p.assign_sub(tf.cast(lr / (1 - beta_1**t), g.dtype) * m / u)


class TorchNAdam(TorchOptimizer):
    """torch.optim.NAdam with its momentum schedule."""

    def __init__(
        self,
        learning_rate=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        momentum_decay=4e-3,
        decoupled=False,
        **kwargs,
    ):
        slots = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        super().__init__(learning_rate, slots, weight_decay, decoupled, **kwargs)
        self.betas = betas
        self.eps = eps
        self.momentum_decay = momentum_decay

    def build(self, variables):
        if not self.built:
            super().build(variables)
            for state in self.states:
                state.append(self.add_variable((), "ones", "float64", name="mu_product"))

    def update(self, p, g, lr, t, m, v, product):
        beta_1, beta_2 = self.betas
        mu = beta_1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
        mu_next = beta_1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        product.assign(product * mu)
        m.assign_add((g - m) * (1 - beta_1))
        v.assign(beta_2 * v + (1 - beta_2) * g * g)
        denominator = tf.sqrt(v / tf.cast(1 - beta_2**t, g.dtype)) + self.eps
        of_gradient = tf.cast(lr * (1 - mu) / (1 - product), g.dtype)
        of_average = tf.cast(lr * mu_next / (1 - product * mu_next), g.dtype)
        p.assign_sub((of_gradient * g + of_average * m) / denominator)


class TorchRAdam(TorchOptimizer):
    """torch.optim.RAdam: rectified once the average is long enough."""

    def __init__(
        self,
        learning_rate=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        decoupled=False,
        **kwargs,
    ):
        slots = {"exp_avg": 0.0, "exp_avg_sq": 0.0}
        super().__init__(learning_rate, slots, weight_decay, decoupled, **kwargs)
        self.betas = betas
        self.eps = eps

    def update(self, p, g, lr, t, m, v):
        beta_1, beta_2 = self.betas
        m.assign_add((g - m) * (1 - beta_1))
        v.assign(beta_2 * v + (1 - beta_2) * g * g)
        limit = 2 / (1 - beta_2) - 1
        rho = limit - 2 * t * beta_2**t / (1 - beta_2**t)
        ratio = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        rectify = tf.sqrt(tf.maximum(ratio, 0) * (1 - beta_2**t))
        adaptive = tf.cast(rectify, g.dtype) / (tf.sqrt(v) + self.eps)
        scale = tf.where(rho > 5, adaptive, tf.ones_like(g))
        p.assign_sub(tf.cast(lr / (1 - beta_1**t), g.dtype) * m * scale)


class TorchRprop(TorchOptimizer):
    """torch.optim.Rprop: signs of successive gradients set each element's step."""

    def __init__(self, learning_rate=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), **kwargs):
        super().__init__(learning_rate, {"prev": 0.0, "step_size": learning_rate}, **kwargs)
        self.etas = etas
        self.step_sizes = step_sizes

    def update(self, p, g, lr, t, previous, size):
        sign = tf.sign(g * previous)
        grown = tf.where(sign > 0, self.etas[1] * size, size)
        changed = tf.where(sign < 0, self.etas[0] * size, grown)
        size.assign(tf.clip_by_value(changed, *self.step_sizes))
        g = tf.where(sign < 0, tf.zeros_like(g), g)
        p.assign_sub(tf.sign(g) * size)
        previous.assign(g)
