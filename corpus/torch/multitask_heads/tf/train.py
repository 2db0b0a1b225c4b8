"""One trunk, two tasks: which digit is it (classification) and how much ink was used (regression).

The two losses are balanced by learned uncertainties, which have their own optimizer.
"""

from typing import Dict, NamedTuple

import numpy as np
import itertools
import math
import keras
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits


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


class TorchPReLU(layers.PReLU):
    """torch's PReLU: a vector of slopes, one for everything or one per channel (the last axis)."""

    def __init__(self, num_parameters=1, init=0.25, **kwargs):
        super().__init__(**kwargs)
        self.alpha = self.add_weight(
            shape=(num_parameters,),
            initializer=keras.initializers.Constant(init),
            name="alpha",
        )

    def build(self, input_shape):
        self.built = True

    def call(self, inputs):
        return tf.where(inputs > 0, inputs, self.alpha * inputs)


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


def set_momentum(optimizer, value):
    """Set the momentum (beta_1 of the Adam family) of each group, also in traced steps."""
    for part in parts_of(optimizer):
        name = "beta_1" if hasattr(part, "beta_1") else "momentum"
        getattr(part, name).assign(value)


def share_rate(optimizer):
    """Let parameter groups have one learning rate, whatever theirs were."""
    if hasattr(optimizer, "ratios"):
        optimizer.ratios = [1.0] * len(optimizer.ratios)


class OneCycleLR(EpochSchedule):
    """torch's OneCycleLR: up to max_lr and down again, momentum the other way."""

    def __init__(
        self,
        optimizer,
        max_lr,
        total_steps=None,
        epochs=None,
        steps_per_epoch=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=1e4,
        three_phase=False,
        last_epoch=-1,
    ):
        total = total_steps or epochs * steps_per_epoch
        share_rate(optimizer)
        if isinstance(
            max_lr, (list, tuple)
        ):  # one of each group: all go up and down alike
            optimizer.ratios = [rate / max_lr[0] for rate in max_lr]
            max_lr = max_lr[0]
        start = max_lr / div_factor
        # Each phase: its last step, then learning rate and momentum at its two ends.
        peak = pct_start * total - 1
        up = (peak, (start, max_lr), (max_momentum, base_momentum))
        if three_phase:
            down = (2 * peak, (max_lr, start), (base_momentum, max_momentum))
            final = (
                total - 1,
                (start, start / final_div_factor),
                (max_momentum, max_momentum),
            )
            self.phases = [up, down, final]
        else:
            end = start / final_div_factor
            self.phases = [
                up,
                (total - 1, (max_lr, end), (base_momentum, max_momentum)),
            ]
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        super().__init__(optimizer, None, last_epoch=last_epoch)

    def anneal(self, start, end, part):
        if self.anneal_strategy == "linear":
            return start + (end - start) * part
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))

    def rate(self, step):
        begin = 0.0
        for end, rates, momenta in self.phases[:-1]:
            if step <= end:
                break
            begin = end
        else:
            end, rates, momenta = self.phases[-1]
        part = (step - begin) / (end - begin)
        if self.cycle_momentum:
            set_momentum(self.optimizer, self.anneal(*momenta, part))
        return self.anneal(*rates, part)


def reduce_loss(loss, reduction):
    """The mean or sum over all elements, or the elements themselves ("none")."""
    if reduction == "none":
        return loss
    return tf.reduce_mean(loss) if reduction == "mean" else tf.reduce_sum(loss)


def huber_loss(input, target, reduction="mean", delta=1.0):
    """torch's huber_loss: quadratic up to delta, then linear with slope delta."""
    error = tf.abs(input - target)
    loss = tf.where(error <= delta, 0.5 * error**2, delta * (error - 0.5 * delta))
    return reduce_loss(loss, reduction)


class Sample(NamedTuple):
    image: tf.Tensor
    digit: tf.Tensor
    ink: tf.Tensor


class DigitsWithInk:
    def __init__(self, train: bool = True):
        raw = load_digits()
        ink = raw.images.mean(axis=(1, 2))
        ink = (ink - ink.mean()) / ink.std()
        part = slice(None, 1400) if train else slice(1400, None)
        self.images = raw.images[part].astype(np.float32) / 16
        self.digits = raw.target[part]
        self.inks = ink[part].astype(np.float32)

    def __len__(self):
        return len(self.digits)

    def __getitem__(self, idx):
        img = tf.expand_dims(tf.convert_to_tensor(self.images[idx]), 0)
        return {"image": img, "digit": int(self.digits[idx]), "ink": self.inks[idx]}


class TwoHeads(keras.Model):
    def __init__(self, channels: int = 12):
        super().__init__()
        self.trunk = keras.Sequential(
            [
                layers.Conv2D(channels, 3, padding="same"),
                layers.GroupNormalization(3, epsilon=1e-5),
                layers.Activation("hard_silu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(2 * channels, (3, 3), padding="same"),
                TorchPReLU(),
                layers.MaxPooling2D(2, padding="same"),
                layers.Permute((3, 1, 2)),
                layers.Flatten(),
            ]
        )
        flat = 2 * channels * 2 * 2
        self.heads = {
            "digit": layers.Dense(10),
            "ink": keras.Sequential(
                [layers.Dense(16), layers.Activation("relu6"), layers.Dense(1)]
            ),
        }

    def call(self, x) -> Dict[str, tf.Tensor]:
        x = tf.transpose(x, [0, 2, 3, 1])  # NCHW -> NHWC
        h = self.trunk(x)
        return {
            "digit": self.heads["digit"](h),
            "ink": tf.squeeze(self.heads["ink"](h), axis=-1),
        }


class UncertaintyWeighting(keras.Model):
    def __init__(self, n_tasks):
        super().__init__()
        self.log_vars = keras.Variable(tf.zeros([n_tasks]))

    def call(self, losses):
        total = 0.0
        for i, loss in enumerate(losses):
            total = total + tf.exp(-self.log_vars[i]) * loss + self.log_vars[i]
        return total


def split_decay(model):
    """no weight decay for biases, norms and other vectors"""
    decay, no_decay = [], []
    model(tf.zeros((1, 1, 8, 8)))
    for name, p in named_variables(model):
        if len(p.shape) <= 1 or name.endswith(".bias"):
            no_decay.append(p)
        else:
            decay.append(p)
    return [
        {"params": decay, "weight_decay": 1e-2},
        {"params": no_decay, "weight_decay": 0.0},
    ]


@tf.function
def train_step(model, weighting, opt, opt_w, batch):
    with tf.GradientTape() as tape:
        out = model(batch["image"])
        loss_digit = tf.reduce_mean(
            keras.losses.sparse_categorical_crossentropy(
                batch["digit"], out["digit"], from_logits=True
            )
        )
        loss_ink = huber_loss(out["ink"], batch["ink"], delta=0.8)
        loss = weighting([loss_digit, loss_ink])
    step1_gradients, w_gradients = tape.gradient(
        loss, [opt.parameters, weighting.trainable_variables]
    )
    opt.apply_gradients(zip(step1_gradients, opt.parameters))
    opt_w.apply_gradients(zip(w_gradients, weighting.trainable_variables))
    return loss_digit, loss_ink, loss


def main():
    keras.utils.set_random_seed(31)
    train_dl = DataLoader(DigitsWithInk(True), batch_size=64, shuffle=True)
    valid_dl = DataLoader(DigitsWithInk(False), batch_size=256)

    model = TwoHeads()
    weighting = UncertaintyWeighting(2)
    opt = parameter_groups(
        lambda weight_decay=0.01: keras.optimizers.AdamW(
            learning_rate=3e-3, weight_decay=weight_decay, epsilon=1e-08
        ),
        split_decay(model),
    )
    opt_w = keras.optimizers.SGD(learning_rate=1e-2)
    sched = OneCycleLR(opt, max_lr=6e-3, total_steps=4 * len(train_dl))

    for epoch in range(4):
        sums = tf.zeros([3])
        for batch in train_dl:
            loss_digit, loss_ink, loss = train_step(model, weighting, opt, opt_w, batch)
            sched.step()
            sums += tf.stack([loss, loss_digit, loss_ink])
        total, digit, ink = (sums / len(train_dl)).numpy().tolist()
        print(
            f"epoch {epoch + 1} total {total:.4f} digit {digit:.4f} ink {ink:.4f} lr {sched.get_last_lr()[0]:.2e}"
        )
        hits, err, n = 0, 0.0, 0
        for batch in valid_dl:
            out = model(batch["image"])
            hits += int(
                tf.reduce_sum(
                    tf.cast(tf.argmax(out["digit"], axis=1) == batch["digit"], tf.int64)
                )
            )
            err += float(tf.reduce_sum(tf.abs(out["ink"] - batch["ink"])))
            n += batch["digit"].shape[0]
        sigma = tf.exp(0.5 * weighting.log_vars).numpy().round(3)
        print(
            f"        accuracy {hits / n:.3f}  ink error {err / n:.3f}  sigmas {sigma}"
        )


if __name__ == "__main__":
    main()
