"""Matrix factorisation with biases, then a factorisation machine, on generated ratings.

SGD with per-group learning rates, a schedule per step, evaluation by RMSE.
"""

import math
import numpy as np
import itertools
import keras
import tensorflow as tf
from keras import layers


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


class ParameterGroups:
    """Optimizers with their own variables, stepped together like torch's parameter groups."""

    def __init__(self, *groups):
        self.groups = (
            groups  # pairs: an optimizer and a function that lists its variables
        )
        rates = [float(optimizer.learning_rate) for optimizer, _ in groups]
        self.ratios = [rate / rates[0] for rate in rates]

    @property
    def parameters(self):
        return [v for _, variables in self.groups for v in variables()]

    @property
    def variables(self):
        return [v for optimizer, _ in self.groups for v in optimizer.variables]

    @property
    def learning_rate(self):
        return self.groups[0][0].learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        for (optimizer, _), ratio in zip(self.groups, self.ratios):
            optimizer.learning_rate = value * ratio

    def build(self, variables):
        for optimizer, own in self.groups:
            optimizer.build(own())

    def apply_gradients(self, pairs):
        gradients = [gradient for gradient, _ in pairs]
        for optimizer, variables in self.groups:
            own = variables()
            optimizer.apply_gradients(zip(gradients[: len(own)], own))
            gradients = gradients[len(own) :]


def parameter_groups(make, groups):
    """One optimizer per group: make(**settings) with the settings that stand beside "params"."""

    def pair(group):
        settings = {name: value for name, value in group.items() if name != "params"}
        return make(**settings), lambda: list(group["params"])

    return ParameterGroups(*[pair(group) for group in groups])


def set_initializer(layer, role, initializer):
    """Let a layer's parameters start with an initializer, whether it is built or not.

    role is "weight" or "bias" as torch names them, "matrix" or "vector" by their axes.
    """
    if isinstance(layer, keras.Sequential):  # a convolution and its padding
        for inner in layer.layers:
            set_initializer(inner, role, initializer)
        return
    if role == "weight":
        layer = getattr(
            layer, "embedding", layer
        )  # a dense layer that shares its table
    for inner in getattr(layer, "rnns", []):
        set_initializer(inner, role, initializer)
    layer = getattr(layer, "cell", layer)
    names = {
        "weight": ["kernel", "recurrent", "depthwise", "embeddings", "gamma", "alpha"],
        "bias": ["bias", "beta"],
        "matrix": ["kernel", "recurrent", "depthwise", "embeddings"],
        "vector": ["bias", "beta", "gamma", "alpha"],
    }[role]
    if role in ("bias", "vector") and hasattr(layer, "unit_forget_bias"):
        layer.unit_forget_bias = False
    for name in names:
        if hasattr(layer, f"{name}_initializer"):
            setattr(layer, f"{name}_initializer", initializer)
            variable = getattr(layer, name, None) if layer.built else None
            if isinstance(variable, keras.Variable):
                variable.assign(initializer(variable.shape, variable.dtype))


def learning_rate_of(optimizer):
    """The learning rate as the number once assigned, without its float32 rounding."""
    return float(str(optimizer.learning_rate.numpy()))


def parts_of(optimizer):
    """The optimizers of an optimizer's groups, each with a learning rate of its own."""
    return [part for part, _ in getattr(optimizer, "groups", [(optimizer, None)])]


class EpochSchedule:
    """Sets learning_rate = minimum + (initial - minimum) * factor(epoch) at each step."""

    def __init__(self, optimizer, factor, minimum=0.0, last_epoch=-1):
        self.optimizer = optimizer
        self.factor = factor
        self.minimum = minimum
        if not hasattr(
            optimizer, "initial_lr"
        ):  # later schedules start from it as well
            optimizer.initial_lr = learning_rate_of(optimizer)
        self.initial = optimizer.initial_lr
        self.last_epoch = last_epoch
        self.step()

    def rate(self, epoch):
        return self.minimum + (self.initial - self.minimum) * self.factor(epoch)

    def step(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self.last_lr = self.rate(self.last_epoch)
        self.optimizer.learning_rate = self.last_lr
        if self.minimum and hasattr(self.optimizer, "ratios"):
            for (part, _), ratio in zip(self.optimizer.groups, self.optimizer.ratios):
                span = self.initial * ratio - self.minimum
                part.learning_rate = self.minimum + span * self.factor(self.last_epoch)

    def get_last_lr(self):
        parts = parts_of(self.optimizer)
        return (
            [self.last_lr]
            if len(parts) == 1
            else [learning_rate_of(part) for part in parts]
        )

    def state_dict(self):
        return {"last_epoch": self.last_epoch, "initial": self.initial}

    def load_state_dict(self, state):
        self.initial = state["initial"]
        self.step(state["last_epoch"])


def collate(samples):
    """Stacks examples field by field: ints become int64, Python floats float64."""
    first = samples[0]
    if isinstance(first, dict):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(collate(list(field)) for field in zip(*samples))
    return tf.convert_to_tensor(np.stack([np.asarray(sample) for sample in samples]))


class DataLoader:
    """Batches of an indexable dataset, drawn and collated anew for every epoch."""

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=False,
        sampler=None,
        drop_last=False,
        collate_fn=collate,
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.drop_last = drop_last
        self.collate_fn = collate_fn

    def __len__(self):
        count = len(self.dataset if self.sampler is None else self.sampler)
        return (math.floor if self.drop_last else math.ceil)(count / self.batch_size)

    def __iter__(self):
        order = self.sampler
        if order is None:
            count = len(self.dataset)
            order = np.random.permutation(count) if self.shuffle else range(count)
        order = iter(order)
        for _ in range(len(self)):
            indices = [int(i) for i in itertools.islice(order, self.batch_size)]
            if self.collate_fn is collate and hasattr(self.dataset, "take_rows"):
                yield self.dataset.take_rows(indices)
            else:
                yield self.collate_fn([self.dataset[i] for i in indices])


N_USERS, N_ITEMS, RANK = 120, 80, 4


def simulate(n, rng):
    p = rng.normal(0, 0.6, (N_USERS, RANK))
    q = rng.normal(0, 0.6, (N_ITEMS, RANK))
    bu = rng.normal(0, 0.4, N_USERS)
    bi = rng.normal(0, 0.5, N_ITEMS)
    u = rng.integers(0, N_USERS, n)
    i = rng.integers(0, N_ITEMS, n)
    r = 3.5 + bu[u] + bi[i] + (p[u] * q[i]).sum(1) + rng.normal(0, 0.2, n)
    return u, i, np.clip(r, 1, 5).astype("float32")


class Ratings:
    def __init__(self, u, i, r):
        self.u, self.i, self.r = (
            tf.convert_to_tensor(u),
            tf.convert_to_tensor(i),
            tf.convert_to_tensor(r),
        )

    def __getitem__(self, k):
        return self.u[k], self.i[k], self.r[k]

    def __len__(self):
        return self.r.shape[0]


class MF(keras.Model):
    def __init__(self, mean):
        super().__init__()
        self.user, self.item = layers.Embedding(N_USERS, RANK), layers.Embedding(
            N_ITEMS, RANK
        )
        self.user_bias, self.item_bias = layers.Embedding(N_USERS, 1), layers.Embedding(
            N_ITEMS, 1
        )
        self.mean = tf.constant(mean, dtype=tf.float32)
        for e in (self.user, self.item):
            set_initializer(e, "weight", keras.initializers.RandomNormal(0.0, 0.1))
        for e in (self.user_bias, self.item_bias):
            set_initializer(e, "weight", keras.initializers.Zeros())

    def call(self, u, i):
        dot = tf.reduce_sum(self.user(u) * self.item(i), axis=-1)
        return (
            self.mean
            + dot
            + tf.squeeze(self.user_bias(u), axis=-1)
            + tf.squeeze(self.item_bias(i), axis=-1)
        )


class FM(keras.Model):
    """user and item share one table; offsets tell them apart"""

    def __init__(self, field_dims, dim, mean):
        super().__init__()
        self.offsets = np.array((0, *np.cumsum(field_dims)[:-1]))
        self.embedding = layers.Embedding(sum(field_dims), dim)
        self.linear = layers.Embedding(sum(field_dims), 1)
        self.bias = keras.Variable(tf.zeros([1]) + mean)
        self.embedding.embeddings_initializer = keras.initializers.GlorotUniform()
        self.linear.embeddings_initializer = keras.initializers.Zeros()

    def call(self, u, i):
        x = tf.stack([u, i], axis=1)
        x = x + tf.expand_dims(tf.constant(self.offsets, dtype=x.dtype), 0)
        e = self.embedding(x)
        pair = 0.5 * tf.reduce_sum(
            tf.reduce_sum(e, axis=1) ** 2 - tf.reduce_sum(e**2, axis=1), axis=1
        )
        return (
            self.bias + tf.squeeze(tf.reduce_sum(self.linear(x), axis=1), axis=1) + pair
        )


def rmse(model, loader):
    se, n = 0.0, 0
    for u, i, r in loader:
        se += float(tf.reduce_sum(tf.square(model(u, i) - r)))
        n += r.shape[0]
    return math.sqrt(se / n)


def run(name, model, groups, train, test, epochs=5):
    opt = parameter_groups(
        lambda lr=2.0, weight_decay=0: TorchSGD(
            learning_rate=lr, momentum=0.5, weight_decay=weight_decay
        ),
        groups,
    )
    sched = EpochSchedule(
        opt,
        lambda epoch: 1.0
        + (0.2 - 1.0) * min(epoch, epochs * len(train)) / (epochs * len(train)),
    )
    crit = keras.losses.MeanSquaredError()

    @tf.function
    def train_step(u, i, r):
        with tf.GradientTape() as tape:
            loss = crit(r, model(u, i))
        gradients = tape.gradient(loss, opt.parameters)
        opt.apply_gradients(zip(gradients, opt.parameters))
        return loss

    for ep in range(1, epochs + 1):
        tot = 0.0
        for u, i, r in train:
            loss = train_step(u, i, r)
            sched.step()
            tot += float(loss)
        lr = float(opt.groups[0][0].learning_rate)
        print(
            "%-3s %d  loss %.4f  rmse %.4f  lr %.3f"
            % (name, ep, tot / len(train), rmse(model, test), lr)
        )


if __name__ == "__main__":
    tf.random.set_seed(0)
    u, i, r = simulate(6000, np.random.default_rng(0))
    train = DataLoader(
        Ratings(u[:5000], i[:5000], r[:5000]), batch_size=100, shuffle=True
    )
    test = DataLoader(Ratings(u[5000:], i[5000:], r[5000:]), batch_size=500)

    mean = float(r[:5000].mean())
    mf = MF(mean)
    mf(tf.zeros((1,), tf.int64), tf.zeros((1,), tf.int64))
    run(
        "mf",
        mf,
        [
            {
                "params": [mf.user.embeddings, mf.item.embeddings],
                "lr": 4.0,
                "weight_decay": 1e-5,
            },
            {"params": [mf.user_bias.embeddings, mf.item_bias.embeddings]},
        ],
        train,
        test,
    )
    fm = FM((N_USERS, N_ITEMS), RANK, mean)
    fm.embedding.build((None, 2))
    fm.linear.build((None, 2))
    run(
        "fm",
        fm,
        [
            {"params": fm.bias, "lr": 0.01},
            {"params": fm.embedding.trainable_variables},
            {"params": fm.linear.trainable_variables, "lr": 1.0},
        ],
        train,
        test,
    )
