from __future__ import print_function, division

import copy

import numpy as np
import functools
import itertools
import math
import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_wine


class TensorDataset:
    """Examples that are the rows of several tensors or arrays."""

    def __init__(self, *tensors):
        self.tensors = tuple(tf.convert_to_tensor(tensor) for tensor in tensors)

    def __len__(self):
        return len(self.tensors[0])

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def take_rows(self, indices):
        """The examples at several places, stacked."""
        return tuple(tf.gather(tensor, indices) for tensor in self.tensors)


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


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean", axis=-1):
    """torch's nll_loss: the mean divides by the weights of the targets that count."""
    log_p = keras.ops.moveaxis(input, axis, -1)
    counts = target != ignore_index
    index = tf.where(counts, target, tf.zeros_like(target))
    weights = (
        tf.ones_like(log_p[..., 0]) if weight is None else tf.gather(weight, index)
    )
    weights = tf.where(counts, weights, tf.zeros_like(weights))
    loss = -weights * tf.gather(log_p, index, axis=-1, batch_dims=len(index.shape))
    if reduction == "mean":
        return tf.reduce_sum(loss) / tf.reduce_sum(weights)
    return reduce_loss(loss, reduction)


def cross_entropy(
    input,
    target,
    weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
    axis=-1,
):
    """torch's cross_entropy of logits and class indices; classes lie along axis."""
    log_p = tf.nn.log_softmax(keras.ops.moveaxis(input, axis, -1))
    if not label_smoothing:
        return nll_loss(log_p, target, weight, ignore_index, reduction)
    counts = target != ignore_index
    index = tf.where(counts, target, tf.zeros_like(target))
    smooth = log_p if weight is None else weight * log_p
    smooth = -tf.reduce_mean(smooth, -1)
    smooth = tf.where(counts, smooth, tf.zeros_like(smooth))
    loss = nll_loss(log_p, target, weight, ignore_index, "none")
    loss = (1 - label_smoothing) * loss + label_smoothing * smooth
    if reduction == "mean":
        weights = tf.ones_like(loss) if weight is None else tf.gather(weight, index)
        return tf.reduce_sum(loss) / tf.reduce_sum(
            tf.where(counts, weights, tf.zeros_like(loss))
        )
    return reduce_loss(loss, reduction)


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


keras.utils.set_random_seed(17)
use_gpu = bool(tf.config.list_physical_devices("GPU"))

## Data: every third bottle is for validation

wine = load_wine()
feats = (wine.data - wine.data.mean(0)) / wine.data.std(0)
held_out = np.arange(len(feats)) % 3 == 0


def to_set(rows):
    return TensorDataset(
        tf.constant(feats[rows], dtype=tf.float32),
        tf.convert_to_tensor(wine.target[rows]),
    )


sets = {"train": to_set(~held_out), "val": to_set(held_out)}
loaders = {
    phase: DataLoader(sets[phase], batch_size=8, shuffle=phase == "train")
    for phase in ("train", "val")
}

## Model

net = keras.Sequential(
    [
        layers.Dense(20),
        layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        layers.Activation("tanh"),
        layers.Dropout(0.3),
        layers.Dense(3),
    ]
)
for layer in net.layers:
    if type(layer) == layers.Dense:
        set_initializer(layer, "weight", keras.initializers.Orthogonal(5 / 3))
        set_initializer(layer, "bias", keras.initializers.Constant(0.01))

class_weight = tf.constant([1.0, 0.9, 1.3], dtype=tf.float32)
loss_func = functools.partial(cross_entropy, weight=class_weight)
optimizer = TorchSGD(learning_rate=0.02, momentum=0.9)
scheduler = EpochSchedule(optimizer, lambda epoch: 0.5 ** (epoch // 2))

## Training, one loop for both phases


@tf.function
def train_step(net, loss_func, optimizer, x, y, training, is_training):
    with tf.GradientTape() as tape:
        scores = net(x, training=is_training)
        loss = loss_func(scores, y)
    if training:
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables))
    return scores, loss


def fit(net, loss_func, optimizer, scheduler, n_epochs):
    best = {"acc": 0.0, "epoch": -1, "weights": None}
    log = {"train": [], "val": []}
    for epoch in range(n_epochs):
        line = "epoch %d/%d" % (epoch + 1, n_epochs)
        for phase in ["train", "val"]:
            training = phase == "train"
            if training:
                is_training = True
            else:
                is_training = False

            loss_sum, hits = 0.0, 0
            for x, y in loaders[phase]:
                # gradients only when training
                scores, loss = train_step(
                    net, loss_func, optimizer, x, y, training, is_training
                )
                guesses = tf.argmax(scores, axis=1)
                loss_sum += float(loss) * x.shape[0]
                hits += tf.reduce_sum(tf.cast(guesses == y, tf.int64))

            mean_loss = loss_sum / len(sets[phase])
            acc = float(tf.cast(hits, tf.float64)) / len(sets[phase])
            log[phase].append(mean_loss)
            line += "   %s loss %.4f acc %.4f" % (phase, mean_loss, acc)

            if training:
                scheduler.step()
            elif acc > best["acc"]:
                best = {"acc": acc, "epoch": epoch, "weights": net.get_weights()}
        print(line)

    print(
        "best validation accuracy %.4f in epoch %d" % (best["acc"], best["epoch"] + 1)
    )
    net.set_weights(best["weights"])
    return net, log


net, log = fit(net, loss_func, optimizer, scheduler, n_epochs=6)
## A look at some bottles
x, y = next(iter(loaders["val"]))
probs = layers.Softmax()(net(x, training=False))
for p, label in zip(probs.numpy(), y.numpy()):
    print(
        wine.target_names[label],
        np.round(p, 2),
        "" if p.argmax() == label else "<- wrong",
    )
