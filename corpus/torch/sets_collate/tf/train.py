"""Regression on point clouds of different sizes: a Deep Sets network with a mask.

Shows a Dataset with a transform and a collate_fn that pads.
"""

import math
import random
from typing import Callable, List, Optional, Sequence, Tuple

import itertools
import keras
import numpy as np
import tensorflow as tf
from keras import layers


def assign_at(x, index, value):
    """x with value written at x[index]; index holds integers and slices."""
    places = tf.reshape(tf.range(tf.size(x)), tf.shape(x))[index]
    value = tf.cast(value, x.dtype)
    value = tf.reshape(value, tf.shape(value)[max(value.ndim - places.ndim, 0) :])
    value = tf.broadcast_to(value, tf.shape(places))
    flat = tf.tensor_scatter_nd_update(
        tf.reshape(x, [-1]), tf.reshape(places, [-1, 1]), tf.reshape(value, [-1])
    )
    return tf.reshape(flat, tf.shape(x))


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


class RandomRotation:
    def __init__(self, max_angle: float = math.pi) -> None:
        self.max_angle = max_angle

    def __call__(self, pts: tf.Tensor) -> tf.Tensor:
        a = random.uniform(-self.max_angle, self.max_angle)
        rot = tf.constant(
            [[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]], dtype=tf.float32
        )
        return pts @ tf.transpose(rot)


class Center:
    def __call__(self, pts: tf.Tensor) -> tf.Tensor:
        return pts - tf.reduce_mean(pts, axis=0, keepdims=True)


class Compose:
    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, pts: tf.Tensor) -> tf.Tensor:
        for t in self.transforms:
            pts = t(pts)
        return pts


class Ellipses:
    """Points on an ellipse with half axes a >= b; the target is (a, b)."""

    def __init__(
        self, size: int, seed: int, transform: Optional[Callable] = None
    ) -> None:
        super().__init__()
        g = None
        self.items: List[Tuple[tf.Tensor, tf.Tensor]] = []
        for _ in range(size):
            n = int(tf.random.uniform([1], 6, 17, dtype=tf.int64).numpy().item())
            b, a = tf.sort(tf.random.uniform([2]) * 1.5 + 0.5)
            t = tf.random.uniform([n]) * 2 * math.pi
            pts = tf.stack([a * tf.cos(t), b * tf.sin(t)], axis=1)
            pts += 0.02 * tf.random.normal([n, 2])
            self.items.append((pts, tf.stack([a, b])))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Tuple[tf.Tensor, tf.Tensor]:
        pts, target = self.items[i]
        if self.transform is not None:
            pts = self.transform(pts)
        return pts, target


def pad_collate(
    batch: List[Tuple[tf.Tensor, tf.Tensor]],
) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    clouds, targets = zip(*batch)
    lengths = [c.shape[0] for c in clouds]
    padded = tf.zeros([len(batch), max(lengths), 2])
    mask = tf.zeros([len(batch), max(lengths)])
    for row, (cloud, n) in enumerate(zip(clouds, lengths)):
        padded = assign_at(padded, np.s_[row, :n], cloud)
        mask = assign_at(mask, np.s_[row, :n], 1.0)
    return padded, mask, tf.stack(targets)


class DeepSet(keras.Model):
    def __init__(self, dim: int = 32) -> None:
        super().__init__()
        self.phi = keras.Sequential(
            [
                layers.Dense(dim),
                layers.Activation("tanh"),
                layers.Dense(dim),
                layers.Activation("tanh"),
            ]
        )
        self.rho = keras.Sequential(
            [layers.Dense(dim), layers.ELU(alpha=0.5), layers.Dense(2)]
        )

    def call(self, pts: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        radius = tf.norm(pts, axis=-1, keepdims=True)
        h = self.phi(tf.concat([pts, radius], axis=-1))
        m = tf.expand_dims(mask, -1)
        mean = tf.reduce_sum(h * m, axis=1) / tf.maximum(tf.reduce_sum(m, axis=1), 1.0)
        peak = tf.reduce_max(tf.where(m == 0, -1e9, h), axis=1)
        return self.rho(tf.concat([mean, peak], axis=-1))


def evaluate(model: layers.Layer, loader: tf.data.Dataset) -> float:
    total, count = 0.0, 0
    for pts, mask, target in loader:
        total += float(tf.reduce_sum(tf.abs(model(pts, mask) - target)))
        count += math.prod(target.shape)
    return total / count


@tf.function
def train_step(loss_fn, model, optimizer, pts, mask, target):
    with tf.GradientTape() as tape:
        loss = loss_fn(target, model(pts, mask))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


def main() -> None:
    random.seed(0)
    keras.utils.set_random_seed(0)
    train_set = Ellipses(384, seed=1, transform=Compose([RandomRotation(), Center()]))
    test_set = Ellipses(96, seed=2, transform=Center())
    train_loader = DataLoader(
        train_set, batch_size=24, shuffle=True, collate_fn=pad_collate
    )
    test_loader = DataLoader(test_set, batch_size=48, collate_fn=pad_collate)

    model = DeepSet()
    loss_fn = keras.losses.MeanAbsoluteError()
    optimizer = TorchAdam(learning_rate=5e-3, amsgrad=True)

    for epoch in range(6):
        for step, (pts, mask, target) in enumerate(train_loader, start=1):
            loss = train_step(loss_fn, model, optimizer, pts, mask, target)
            if step % 8 == 0:
                print(f"[{epoch + 1}, {step:3d}] mae {float(loss):.4f}")
        print(f"epoch {epoch + 1}: test mae {evaluate(model, test_loader):.4f}")


if __name__ == "__main__":
    main()
