"""Linear-ish regression on the diabetes data.

Two models are compared, an affine one and a small net, both with weight decay and a
stepped learning rate.
"""

import numpy as np
import pandas as pd
import itertools
import math
import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score


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


class Subset:
    """The examples of a dataset at the given indices."""

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[int(self.indices[index])]

    def take_rows(self, indices):
        """The examples at several places, stacked; at once where the dataset holds tensors."""
        places = [int(self.indices[i]) for i in indices]
        if hasattr(self.dataset, "take_rows"):
            return self.dataset.take_rows(places)
        return collate([self.dataset[i] for i in places])


def random_split(dataset, lengths):
    """Random parts of a dataset: of the given lengths, or fractions that sum to 1."""
    count = len(dataset)
    if sum(lengths) <= 1:
        whole = [math.floor(count * fraction) for fraction in lengths]
        left = count - sum(whole)
        lengths = [n + (i % len(whole) < left) for i, n in enumerate(whole)]
    order = np.random.permutation(count)
    return [Subset(dataset, part) for part in np.split(order, np.cumsum(lengths)[:-1])]


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


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """torch's smooth_l1_loss: quadratic below beta, then linear with slope 1."""
    error = tf.abs(input - target)
    if beta > 0:
        error = tf.where(error < beta, 0.5 * error**2 / beta, error - 0.5 * beta)
    return reduce_loss(error, reduction)


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


BATCH_SIZE = 32
N_EPOCHS = 8


def prepare():
    df = load_diabetes(as_frame=True).frame
    df["bmi_bp"] = df["bmi"] * df["bp"]  # one interaction term
    features = df.drop(columns="target")
    features = (features - features.mean()) / features.std()
    target = df["target"].values.astype("float32")
    target = (target - target.mean()) / target.std()

    x = tf.constant(features.values, dtype=tf.float32)
    y = tf.expand_dims(tf.convert_to_tensor(target), -1)
    dataset = TensorDataset(x, y)
    n_val = int(len(dataset) * 0.2)
    generator = None
    train_ds, val_ds = random_split(dataset, [len(dataset) - n_val, n_val])
    return (
        DataLoader(train_ds, batch_size=BATCH_SIZE, shuffle=True),
        DataLoader(val_ds, batch_size=BATCH_SIZE * 2),
        features.shape[1],
    )


class LinearRegression(keras.Model):
    def __init__(self, n_features):
        super().__init__()
        self.linear = layers.Dense(1)

    def call(self, xb):
        return self.linear(xb)

    def training_step(self, batch):
        inputs, targets = batch
        out = self(inputs)
        return smooth_l1_loss(out, targets, beta=0.5)

    def validation_step(self, batch):
        inputs, targets = batch
        out = self(inputs)
        loss = tf.reduce_mean(tf.square(out - targets))
        return {"val_loss": tf.stop_gradient(loss), "pred": out}

    def validation_epoch_end(self, outputs):
        batch_losses = [x["val_loss"] for x in outputs]
        epoch_loss = tf.reduce_mean(tf.stack(batch_losses))
        return {"val_loss": float(epoch_loss)}

    def epoch_end(self, epoch, result, lr):
        print(
            "Epoch [{}], lr: {:.4f}, train_loss: {:.4f}, val_loss: {:.4f}".format(
                epoch, lr, result["train_loss"], result["val_loss"]
            )
        )


class SmallNet(LinearRegression):
    """The same steps with another body."""

    def __init__(self, n_features, width=24):
        super().__init__(n_features)
        self.linear = keras.Sequential(
            [
                layers.Dense(width),
                layers.Activation("silu"),
                layers.Dense(width // 2),
                layers.Activation("softplus"),
                layers.Dense(1),
            ]
        )


def evaluate(model, loader):
    outputs = [model.validation_step(batch) for batch in loader]
    return model.validation_epoch_end(outputs)


def fit(
    epochs,
    lr,
    model,
    train_loader,
    val_loader,
    opt_func=lambda params, lr=0.001, momentum=0, weight_decay=0: TorchSGD(
        learning_rate=lr, momentum=momentum, weight_decay=weight_decay
    ),
    **opt_kwargs,
):
    history = []
    optimizer = opt_func(model.trainable_variables, lr, **opt_kwargs)
    scheduler = EpochSchedule(
        optimizer, lambda epoch: 0.3 ** sum(epoch >= m for m in [4, 6])
    )

    @tf.function
    def train_step(batch):
        with tf.GradientTape() as tape:
            loss = model.training_step(batch)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    for epoch in range(epochs):
        train_losses = []
        for batch in train_loader:
            loss = train_step(batch)
            train_losses.append(loss)
        result = evaluate(model, val_loader)
        result["train_loss"] = float(tf.reduce_mean(tf.stack(train_losses)))
        model.epoch_end(epoch, result, scheduler.get_last_lr()[0])
        history.append(result)
        scheduler.step()
    return history


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    train_loader, val_loader, n_features = prepare()

    linear = LinearRegression(n_features)
    print("before:", evaluate(linear, val_loader))
    h1 = fit(
        N_EPOCHS,
        1e-2,
        linear,
        train_loader,
        val_loader,
        momentum=0.9,
        weight_decay=1e-3,
    )

    net = SmallNet(n_features)
    h2 = fit(
        N_EPOCHS,
        5e-3,
        net,
        train_loader,
        val_loader,
        lambda params, lr=0.001, weight_decay=0: TorchAdam(
            learning_rate=lr, weight_decay=weight_decay
        ),
        weight_decay=1e-4,
    )

    table = pd.DataFrame(
        {"linear": [h["val_loss"] for h in h1], "net": [h["val_loss"] for h in h2]}
    )
    print(table.round(4).to_string())
    preds, trues = [], []
    for xb, yb in val_loader:
        preds.append(net(xb).numpy())
        trues.append(yb.numpy())
    print(
        "R^2 of the net: %.3f" % r2_score(np.concatenate(trues), np.concatenate(preds))
    )
    for name, param in named_variables(linear):
        print(name, tuple(param.shape), float(tf.reduce_max(tf.abs(param))))
