import argparse

import itertools
import math
import os
import pickle
import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits


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


def save_pickle(value, path):
    """Write any value to a file, whole or not at all; or into a file that is open."""
    if hasattr(path, "write"):
        pickle.dump(value, path)
        return
    with open(f"{path}.tmp", "wb") as file:
        pickle.dump(value, file)
    os.replace(f"{path}.tmp", path)


class DigitNet(keras.Model):
    def __init__(self, width=16, kernel_size=3, dropout=0.25):
        super().__init__()
        self.conv1 = layers.Conv2D(width, kernel_size)
        self.bn1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.conv2 = layers.Conv2D(2 * width, kernel_size, padding="same")
        self.conv2_drop = layers.SpatialDropout2D(dropout)
        self.fc1 = layers.Dense(64)
        self.fc2 = layers.Dense(10)

    def call(self, x, training=False):
        x = tf.transpose(x, [0, 2, 3, 1])  # NCHW -> NHWC
        x = tf.nn.relu(self.bn1(self.conv1(x)))  # 8x8 -> 6x6
        x = tf.nn.relu(
            tf.nn.max_pool2d(self.conv2_drop(self.conv2(x)), 2, 2, "VALID")
        )  # 6x6 -> 3x3
        x = tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, 288])
        x = tf.nn.relu(self.fc1(x))
        x = tf.nn.dropout(x, rate=0.5 if training else 0.0)
        return tf.nn.log_softmax(self.fc2(x), axis=1)


def load_data(batch_size, test_batch_size, holdout=297):
    digits = load_digits()
    images = tf.expand_dims(tf.cast(digits.images, tf.float32), 1)
    # same statistics for both halves, taken from the training images only
    mean, std = tf.reduce_mean(images[:-holdout]), standard_deviation(images[:-holdout])
    images = (images - mean) / std
    labels = tf.convert_to_tensor(digits.target)

    train_set = TensorDataset(images[:-holdout], labels[:-holdout])
    test_set = TensorDataset(images[-holdout:], labels[-holdout:])
    return (
        DataLoader(train_set, batch_size=batch_size, shuffle=True),
        DataLoader(test_set, batch_size=test_batch_size, shuffle=False),
    )


@tf.function
def train_step(model, optimizer, data, target):
    with tf.GradientTape() as tape:
        output = model(data, training=True)
        loss = -tf.reduce_mean(tf.gather(output, target, batch_dims=1))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


def train(args, model, device, loader, optimizer, epoch):
    seen = 0
    for i, (data, target) in enumerate(loader):
        loss = train_step(model, optimizer, data, target)
        seen += data.shape[0]
        if i % args.log_interval == 0:
            print(
                "epoch {:2d}  {:5d}/{} images  ({:3.0f}%)  loss {:.6f}".format(
                    epoch,
                    seen,
                    len(loader.dataset),
                    100.0 * i / len(loader),
                    float(loss),
                )
            )


def test(model, device, loader):
    total, correct = 0.0, 0
    for data, target in loader:
        output = model(data, training=False)
        total += float(-tf.reduce_sum(tf.gather(output, target, batch_dims=1)))
        guess = tf.expand_dims(tf.argmax(output, axis=1), 1)
        correct += int(
            tf.reduce_sum(
                tf.cast(guess == tf.reshape(target, tf.shape(guess)), tf.int64)
            )
        )
    n = len(loader.dataset)
    print(
        "          test: mean loss {:.4f}, {}/{} right ({:.1f}%)".format(
            total / n, correct, n, 100.0 * correct / n
        )
    )
    return total / n


def parse_args():
    p = argparse.ArgumentParser(
        description="Small CNN on the 8x8 digits of scikit-learn"
    )
    p.add_argument("--batch-size", type=int, default=50)
    p.add_argument("--test-batch-size", type=int, default=128)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--momentum", type=float, default=0.5)
    p.add_argument("--gamma", type=float, default=0.8, help="lr decay per epoch")
    p.add_argument(
        "--no-cuda", action="store_true", help="stay on the cpu even if there is a gpu"
    )
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--log-interval", type=int, default=10)
    p.add_argument(
        "--save", type=str, default="", metavar="PATH", help="where to put the weights"
    )
    return p.parse_args()


def main():
    args = parse_args()
    keras.utils.set_random_seed(args.seed)
    use_cuda = tf.config.list_physical_devices("GPU") and not args.no_cuda
    device = "cuda" if use_cuda else "cpu"

    train_loader, test_loader = load_data(args.batch_size, args.test_batch_size)
    model = DigitNet()
    optimizer = TorchSGD(learning_rate=args.lr, momentum=args.momentum)
    scheduler = EpochSchedule(optimizer, lambda epoch: args.gamma**epoch)

    for epoch in range(1, args.epochs + 1):
        train(args, model, device, train_loader, optimizer, epoch)
        test(model, device, test_loader)
        scheduler.step()

    if args.save:
        save_pickle(model.get_weights(), args.save)


if __name__ == "__main__":
    main()
