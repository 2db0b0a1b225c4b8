"""Residual network on the 8x8 digits. Usage: python train.py [--epochs 4] [--depth 1] [--resume]"""

import os
import time
import argparse

import numpy as np

import math
import pickle
import keras
import tensorflow as tf
from sklearn.datasets import load_digits


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


def load_pickle(path):
    """The value that save_pickle wrote; load files of your own only."""
    if hasattr(path, "read"):
        return pickle.load(path)
    with open(path, "rb") as file:
        return pickle.load(file)


def load_optimizer(optimizer, variables, state):
    """Set an optimizer's step count, learning rate and slots, making them first if need be."""
    optimizer.build(variables)
    for variable, value in zip(optimizer.variables, state):
        variable.assign(value)


def save_pickle(value, path):
    """Write any value to a file, whole or not at all; or into a file that is open."""
    if hasattr(path, "write"):
        pickle.dump(value, path)
        return
    with open(f"{path}.tmp", "wb") as file:
        pickle.dump(value, file)
    os.replace(f"{path}.tmp", path)


__all__ = ["ResNet", "resnet"]


def conv3x3(cin, cout, stride=1):
    "3x3 convolution with padding"
    return keras.Sequential(
        [
            keras.layers.ZeroPadding2D(1),
            keras.layers.Conv2D(cout, 3, strides=stride, use_bias=False),
        ]
    )


class ResidualUnit(keras.layers.Layer):
    def __init__(self, cin, cout, stride=1, downsample=None):
        super(ResidualUnit, self).__init__()
        self.conv1 = conv3x3(cin, cout, stride)
        self.bn1 = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.relu = keras.layers.ReLU()
        self.conv2 = conv3x3(cout, cout)
        self.bn2 = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
        self.downsample = downsample

    def call(self, x):
        residual = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            residual = self.downsample(x)
        out += residual
        return self.relu(out)


class ResNet(keras.Model):
    widths = (12, 24, 48)

    def __init__(self, units, num_classes=10):
        super(ResNet, self).__init__()
        self.stem = keras.Sequential(
            [
                conv3x3(1, 12),
                keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
                keras.layers.ReLU(),
            ]
        )
        cin = 12
        for i, width in enumerate(self.widths):
            stage, cin = self._stage(cin, width, units, stride=1 if i == 0 else 2)
            setattr(self, "stage%d" % (i + 1), stage)
        self.avgpool = keras.layers.GlobalAveragePooling2D(keepdims=True)
        self.fc = keras.layers.Dense(num_classes)

        for m in self._flatten_layers():
            if isinstance(m, keras.layers.Conv2D):
                m.kernel_initializer = keras.initializers.VarianceScaling(
                    2.0, "fan_out", "untruncated_normal"
                )
            elif isinstance(m, keras.layers.BatchNormalization):
                m.gamma_initializer = keras.initializers.Ones()
                m.beta_initializer = keras.initializers.Zeros()

    def _stage(self, cin, cout, units, stride):
        downsample = None
        if stride != 1 or cin != cout:
            downsample = keras.Sequential(
                [
                    keras.layers.Conv2D(cout, 1, strides=stride, use_bias=False),
                    keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
                ]
            )
        layers = [ResidualUnit(cin, cout, stride, downsample)]
        for _ in range(1, units):
            layers.append(ResidualUnit(cout, cout))
        return keras.Sequential(layers), cout

    def call(self, x):
        x = tf.transpose(x, [0, 2, 3, 1])  # NCHW -> NHWC
        x = self.stem(x)
        x = self.stage1(x)
        x = self.stage2(x)
        x = self.stage3(x)
        x = self.avgpool(x)
        x = tf.reshape(x, [tf.shape(x)[0], -1])
        return self.fc(x)


class AverageMeter(object):
    """Keeps the running average of a number"""

    def __init__(self):
        self.sum, self.count = 0.0, 0

    def update(self, val, n=1):
        self.sum += val * n
        self.count += n

    @property
    def avg(self):
        return self.sum / max(self.count, 1)


def topk_accuracy(output, target, topk=(1,)):
    maxk = max(topk)
    pred = tf.cast(tf.math.top_k(output, maxk).indices, tf.int64)
    pred = tf.transpose(pred)
    correct = pred == tf.broadcast_to(tf.reshape(target, [1, -1]), tf.shape(pred))
    res = []
    for k in topk:
        correct_k = tf.reduce_sum(
            tf.cast(tf.reshape(correct[:k], [-1]), tf.float32), axis=0
        )
        res.append(float(correct_k * (100.0 / target.shape[0])))
    return res


parser = argparse.ArgumentParser(description="residual net, digits")
parser.add_argument("--lr", default=0.05, type=float, help="learning rate")
parser.add_argument("--epochs", default=4, type=int)
parser.add_argument("--depth", default=1, type=int, help="residual units per stage")
parser.add_argument("--seed", default=0, type=int)
parser.add_argument(
    "--resume", "-r", action="store_true", help="go on from the last checkpoint"
)
args = parser.parse_args()

keras.utils.set_random_seed(args.seed)
use_gpu = bool(tf.config.list_physical_devices("GPU"))
best_prec1 = 0.0

# ---- data
digits = load_digits()
imgs = tf.constant(digits.images[:, np.newaxis], dtype=tf.float32) / 16
labels = tf.constant(digits.target, dtype=tf.int64)
trainset, testset = tf.data.Dataset.from_tensor_slices(
    (imgs[:1440], labels[:1440])
), tf.data.Dataset.from_tensor_slices((imgs[1440:], labels[1440:]))
trainloader = trainset.shuffle(len(trainset)).batch(48).prefetch(tf.data.AUTOTUNE)
testloader = testset.batch(100).prefetch(tf.data.AUTOTUNE)

# ---- model
model = ResNet(args.depth)
criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
optimizer = TorchSGD(
    learning_rate=args.lr, momentum=0.9, weight_decay=5e-4, nesterov=True
)
scheduler = EpochSchedule(
    optimizer, lambda epoch: (1 + math.cos(math.pi * epoch / args.epochs)) / 2
)

start_epoch = 0
if args.resume:
    assert os.path.isfile("checkpoint/last.pth"), "nothing to resume from"
    state = load_pickle("checkpoint/last.pth")
    model(tf.zeros((1, 1, 8, 8)))
    model.set_weights(state["net"])
    load_optimizer(optimizer, model.trainable_variables, state["optimizer"])
    best_prec1, start_epoch = state["best"], state["epoch"] + 1
    print("resumed at epoch %d" % start_epoch)


@tf.function
def train_step(inputs, targets):
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        loss = criterion(targets, outputs)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return outputs, loss


def train(epoch):
    losses, top1 = AverageMeter(), AverageMeter()
    end = time.time()
    for inputs, targets in trainloader:
        outputs, loss = train_step(inputs, targets)
        (prec1,) = topk_accuracy(outputs, targets)
        losses.update(float(loss), inputs.shape[0])
        top1.update(prec1, inputs.shape[0])
    print(
        "[%d] train loss %.4f  prec@1 %.2f  (%.1fs)"
        % (epoch, losses.avg, top1.avg, time.time() - end)
    )


def test(epoch):
    global best_prec1
    losses, top1, top3 = AverageMeter(), AverageMeter(), AverageMeter()
    for inputs, targets in testloader:
        outputs = model(inputs, training=False)
        losses.update(float(criterion(targets, outputs)), inputs.shape[0])
        prec1, prec3 = topk_accuracy(outputs, targets, topk=(1, 3))
        top1.update(prec1, inputs.shape[0])
        top3.update(prec3, inputs.shape[0])
    print(
        "[%d] test  loss %.4f  prec@1 %.2f  prec@3 %.2f"
        % (epoch, losses.avg, top1.avg, top3.avg)
    )
    is_best = top1.avg > best_prec1
    best_prec1 = max(top1.avg, best_prec1)
    if not os.path.isdir("checkpoint"):
        os.mkdir("checkpoint")
    state = {
        "net": model.get_weights(),
        "best": best_prec1,
        "epoch": epoch,
        "optimizer": [v.numpy() for v in optimizer.variables],
    }
    save_pickle(state, "checkpoint/last.pth")
    if is_best:
        save_pickle(state, "checkpoint/best.pth")


for epoch in range(start_epoch, args.epochs):
    train(epoch)
    test(epoch)
    scheduler.step()
print("best prec@1: %.2f" % best_prec1)
