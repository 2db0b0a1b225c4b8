"""
Transfer learning, in two acts, all on the digits 0-9:

  1. pre-train a backbone on the digits 0..5
  2. throw its head away, freeze the backbone and learn the digits 6..9 from few examples,
     then unfreeze the last block and fine-tune with a smaller learning rate
"""

from collections import OrderedDict

import numpy as np
import itertools
import math
import keras
import tensorflow as tf
from keras import layers
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


DEVICE = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"


class Backbone(keras.Model):
    def __init__(self):
        super().__init__()
        self.block1 = keras.Sequential(
            [
                layers.Conv2D(16, 3, padding="same"),
                layers.GroupNormalization(4, epsilon=1e-5),
                layers.ReLU(),
                layers.AveragePooling2D(2),
            ]
        )
        self.block2 = keras.Sequential(
            [
                layers.Conv2D(32, 3, padding="same"),
                layers.GroupNormalization(8, epsilon=1e-5),
                layers.ReLU(),
                layers.AveragePooling2D(2),
            ]
        )
        self.num_features = 32 * 2 * 2

    def call(self, x):
        x = tf.transpose(x, [0, 2, 3, 1])  # NCHW -> NHWC
        x = self.block2(self.block1(x))
        return tf.reshape(tf.transpose(x, [0, 3, 1, 2]), [-1, 128])


class Classifier(keras.Model):
    def __init__(self, backbone, n_classes):
        super().__init__()
        self.backbone = backbone
        self.fc = layers.Dense(n_classes)

    def call(self, x):
        return self.fc(self.backbone(x))


def set_parameter_requires_grad(module, flag):
    module.trainable = flag


def train_model(model, loaders, criterion, optimizer, num_epochs):
    for epoch in range(num_epochs):
        running_loss, running_corrects = 0.0, 0
        for inputs, labels in loaders["train"]:
            with tf.GradientTape() as tape:
                outputs = model(inputs)
                preds = tf.argmax(outputs, axis=1)
                loss = criterion(labels, outputs)
            gradients = tape.gradient(loss, optimizer.parameters)
            optimizer.apply_gradients(zip(gradients, optimizer.parameters))
            running_loss += float(loss) * inputs.shape[0]
            running_corrects += tf.reduce_sum(tf.cast(preds == labels, tf.int64))
        n = len(loaders["train"].dataset)
        print(
            "  epoch {} loss: {:.4f} acc: {:.4f}".format(
                epoch, running_loss / n, tf.cast(running_corrects, tf.float64) / n
            )
        )
    hits = 0
    for inputs, labels in loaders["val"]:
        hits += int(
            tf.reduce_sum(tf.cast(tf.argmax(model(inputs), axis=1) == labels, tf.int64))
        )
    print("  validation acc: {:.4f}".format(hits / len(loaders["val"].dataset)))
    return model


def subset_loaders(dataset, targets, classes, n_train, batch_size):
    idx = np.flatnonzero(np.isin(targets, classes))
    train, val = Subset(dataset, idx[:n_train]), Subset(dataset, idx[n_train:])
    return {
        "train": DataLoader(train, batch_size=batch_size, shuffle=True),
        "val": DataLoader(val, batch_size=128),
    }


def main():
    keras.utils.set_random_seed(5)
    digits = load_digits()
    x = tf.cast(digits.images, tf.float32)[:, None] / 16.0
    y = tf.convert_to_tensor(digits.target)
    full = TensorDataset(x, tf.where(y < 6, y, y - 6))

    criterion = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    print("pre-training on 0..5")
    loaders = subset_loaders(full, digits.target, range(6), 800, 40)
    source = Classifier(Backbone(), 6)
    train_model(
        source,
        loaders,
        criterion,
        ParameterGroups(
            (
                keras.optimizers.Adam(learning_rate=2e-3, epsilon=1e-08),
                lambda: source.trainable_variables,
            )
        ),
        2,
    )
    source.backbone.save_weights("backbone.weights.h5")

    print("new head on a frozen backbone, 6..9")
    loaders = subset_loaders(full, digits.target, [6, 7, 8, 9], 200, 20)
    backbone = Backbone()
    backbone(tf.zeros((1, 1, 8, 8)))
    backbone.load_weights("backbone.weights.h5")
    set_parameter_requires_grad(backbone, False)
    model = Classifier(backbone, 4)
    model(tf.zeros((1, 1, 8, 8)))
    params_to_update = [p for p in model.weights if p.trainable]
    print("  params to learn:", [n for n, p in named_variables(model) if p.trainable])
    optimizer = ParameterGroups(
        (
            keras.optimizers.SGD(learning_rate=0.05, momentum=0.9),
            lambda: model.trainable_variables,
        )
    )
    train_model(model, loaders, criterion, optimizer, 3)

    print("fine-tuning the last block")
    set_parameter_requires_grad(model.backbone.block2, True)
    optimizer = ParameterGroups(
        (
            TorchSGD(learning_rate=1e-3, momentum=0.9, weight_decay=1e-4),
            lambda: model.backbone.block2.trainable_variables,
        ),
        (
            TorchSGD(learning_rate=1e-2, momentum=0.9, weight_decay=1e-4),
            lambda: model.fc.trainable_variables,
        ),
    )
    train_model(model, loaders, criterion, optimizer, 3)


if __name__ == "__main__":
    main()
