# -*- coding: utf-8 -*-
# Batches by a keras.utils.Sequence: the data do not fit into memory (let us say).
# Multi-label: which of five tones sound in a noisy recording?

import math
import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset


class MeanMetric:
    """The mean over all examples of a function of targets and predictions, as Keras keeps it."""

    def __init__(self, function, name=None, **options):
        self.function = function
        self.name = name
        self.options = options
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0.0

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
        values = torch.as_tensor(self.function(y_true, y_pred, **self.options)).detach()
        weights = torch.ones_like(values)
        if sample_weight is not None:
            extra = (1,) * (values.dim() - sample_weight.dim())
            weights = weights * sample_weight.reshape(sample_weight.shape + extra)
        self.total = self.total + (values * weights).sum()
        self.count = self.count + weights.sum()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """For each example, the part of the predictions that is on the target's side."""
    hits = (y_pred > threshold) == (y_true.reshape(y_pred.shape) > 0.5)
    return hits.to(torch.get_default_dtype()).mean(-1)


def same_padding(sizes, kernel_size, stride=1, dilation=1):
    """The arguments of F.pad for padding="same", last axis first."""
    many = lambda value: value if isinstance(value, tuple) else (value,) * len(sizes)
    pads = []
    for n, k, s, d in zip(sizes, many(kernel_size), many(stride), many(dilation)):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


class SameAvgPool(nn.Module):
    """Keras' average pooling with padding="same": padded elements are not counted."""

    def __init__(self, kernel_size, stride=None):
        super().__init__()
        self.window = kernel_size, stride or kernel_size

    def forward(self, x):
        pool = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d][x.dim() - 3]
        pads = same_padding(x.shape[2:], *self.window)
        counted = F.pad(torch.ones_like(x[:1, :1]), pads)
        return pool(F.pad(x, pads), *self.window) / pool(counted, *self.window)


class GlobalMaxPool(nn.Module):
    """keras' global maximum pooling of channels-first data: equal maxima share the gradient."""

    def __init__(self, keepdim=False):
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x):
        return x.amax(tuple(range(2, x.dim())), keepdim=self.keepdim)


def limit_norm(weight, max_value=None, dim=1):
    """keras.constraints.MaxNorm along an axis, UnitNorm without a limit."""
    norms = weight.square().sum(dim, keepdim=True).sqrt()
    return weight * (
        (1.0 if max_value is None else norms.clamp(0, max_value)) / (1e-7 + norms)
    )


def constrain(layer, function, name="weight"):
    """Remembers what keeps a layer's weight in bounds, which `apply_constraints` does."""
    layer.constraints = {**getattr(layer, "constraints", {}), name: function}
    return layer


class Converted:
    """The batches of a loader, their parts turned by a function into what a model takes."""

    def __init__(self, loader, function):
        self.loader = loader
        self.function = function

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            is_tuple = isinstance(batch, (tuple, list))
            yield self.function(*batch) if is_tuple else self.function(batch)


def first_tensor(data):
    """The first tensor of tensors in lists and dicts."""
    while not isinstance(data, torch.Tensor):
        data = next(iter(data.values() if isinstance(data, dict) else data))
    return data


def to_device(data, device):
    """Tensors, also those in lists and dicts, on a device."""
    if isinstance(data, dict):
        return {key: to_device(value, device) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [to_device(value, device) for value in data]
    return data.to(device) if isinstance(data, torch.Tensor) else data


def evaluate(
    model,
    loader,
    criterion,
    metrics,
    activation=None,
    penalty=None,
    call=None,
    weighted=False,
):
    """The mean loss and the metrics over all batches, in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    with torch.no_grad():
        for batch in loader:
            inputs, targets, *weights = to_device(batch, device)
            outputs = model(inputs) if call is None else call(model, inputs)
            size = len(first_tensor(targets))
            loss = criterion(outputs, targets, *weights)
            if penalty is not None:
                loss = loss + penalty(model)
            total += float(loss) * size
            count += size
            if activation is not None:
                outputs = activation(outputs)
            for metric in metrics.values():
                metric.update_state(targets, outputs, *(weights if weighted else ()))
    return {"loss": total / count} | {
        name: float(metric.result()) for name, metric in metrics.items()
    }


class EarlyStopping:
    """keras EarlyStopping: step() is True where training is to stop; restore() the best weights."""

    def __init__(
        self,
        patience=0,
        min_delta=0.0,
        mode="min",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
        verbose=False,
    ):
        self.patience = patience
        self.min_delta = abs(min_delta)
        self.sign = 1 if mode == "min" else -1
        self.baseline = None if baseline is None else self.sign * baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.verbose = verbose
        self.best = None
        self.best_epoch = self.wait = 0
        self.best_state = None

    def improves(self, value, reference):
        return reference is None or value + self.min_delta < reference

    def step(self, value, epoch, model=None):
        value = self.sign * float(value)
        if epoch < self.start_from_epoch:
            return False
        if self.restore_best_weights and self.best_state is None:
            self.keep(model)
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.keep(model)
            if self.improves(value, self.baseline):
                self.wait = 0
            return False
        stops = self.wait >= self.patience and epoch > 0
        if stops and self.verbose:
            print(f"Epoch {epoch + 1}: early stopping")
        return stops

    def keep(self, model):
        self.best_state = {
            key: value.clone() for key, value in model.state_dict().items()
        }

    def restore(self, model):
        if self.best_state is not None:
            if self.verbose:
                best = self.best_epoch + 1
                print(
                    f"Restoring model weights from the end of the best epoch: {best}."
                )
            model.load_state_dict(self.best_state)


def apply_constraints(model):
    """Puts the weights of a model's layers back into their bounds, after a step."""
    with torch.no_grad():
        for layer in model.modules():
            for name, function in getattr(layer, "constraints", {}).items():
                weight = getattr(layer, name)
                weight.copy_(function(weight))


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


TONES = [3, 5, 8, 13, 21]
LENGTH = 64


class Recordings(Dataset):
    "Generates the recordings when they are asked for"

    def __init__(self, list_IDs, batch_size=32, shuffle=True, **kwargs):
        super().__init__(**kwargs)
        self.list_IDs = list_IDs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.rng = np.random.RandomState(0)
        self.on_epoch_end()

    def __len__(self):
        "batches per epoch"
        return math.ceil(len(self.list_IDs) / self.batch_size)

    def __getitem__(self, index):
        ids = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        pairs = [self.read(i) for i in ids]
        return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])

    def on_epoch_end(self):
        self.order = np.array(self.list_IDs)
        if self.shuffle:
            self.rng.shuffle(self.order)

    def read(self, ID):
        rnd = np.random.RandomState(1000 + ID)
        t = np.arange(LENGTH) / LENGTH
        on = rnd.rand(len(TONES)) < 0.4
        wave = sum(
            rnd.uniform(0.6, 1.2) * np.sin(2 * np.pi * (f * t + rnd.rand()))
            for f, o in zip(TONES, on)
            if o
        )
        wave = wave + rnd.randn(LENGTH) * 0.2
        return wave[:, None].astype("float32"), on.astype("float32")


class ConvBlock(nn.Module):
    def __init__(self, in_features, filters):
        super().__init__()
        self.conv = nn.Conv1d(in_features, filters, 9, padding="same", bias=False)
        self.norm = nn.BatchNorm1d(filters, eps=0.001, momentum=0.2)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        x = self.norm(x)
        x = self.relu(x)
        return x


class ConvBlock2(nn.Module):
    def __init__(self, in_features, filters):
        super().__init__()
        self.conv = nn.Conv1d(
            in_features, filters, 5, padding="same", dilation=2, bias=False
        )
        self.norm = nn.BatchNorm1d(filters, eps=0.001, momentum=0.2)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        x = self.norm(x)
        x = self.relu(x)
        return x


class ConvBlock3(nn.Module):
    def __init__(self, in_features, filters):
        super().__init__()
        self.conv = nn.Conv1d(in_features, filters, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm1d(filters, eps=0.001, momentum=0.2)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        x = self.norm(x)
        x = self.relu(x)
        return x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_block = ConvBlock(1, 24)
        self.pool = nn.MaxPool1d(2)
        self.conv_block2 = ConvBlock2(24, 24)
        self.pool2 = SameAvgPool(2)
        self.conv_block3 = ConvBlock3(24, 32)
        self.pool3 = GlobalMaxPool()
        self.dense = nn.Sequential(
            constrain(nn.Linear(32, 32), lambda w: limit_norm(w, 3)), nn.ReLU()
        )
        self.dense2 = nn.Sequential(nn.Linear(32, len(TONES)), nn.Sigmoid())

    def forward(self, inp):
        x = self.conv_block(inp.permute(0, 2, 1))
        x = self.pool(x)
        x = self.conv_block2(x)
        x = self.pool2(x)
        x = self.conv_block3(x)
        x = self.pool3(x)
        x = self.dense(x)
        x = self.dense2(x)
        return x


def get_model():
    return Net()


def weighted_bce(w):
    "closure: a missed tone costs w times as much"

    def loss(y_true, y_pred):
        y_pred = torch.clamp(y_pred, 1e-6, 1 - 1e-6)
        ll = w * y_true * torch.log(y_pred) + (1 - y_true) * torch.log(1 - y_pred)
        return -torch.mean(ll, dim=-1)

    return loss


def f1(y_true, y_pred):
    hit = torch.round(y_pred)
    tp = torch.sum(hit * y_true)
    return 2 * tp / (torch.sum(hit) + torch.sum(torch.as_tensor(y_true)) + 1e-7)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if __name__ == "__main__":
    random.seed(9)
    np.random.seed(9)
    torch.manual_seed(9)
    partition = {"train": list(range(480)), "validation": list(range(480, 600))}
    training_generator = Recordings(partition["train"], batch_size=32)
    validation_generator = Recordings(
        partition["validation"], batch_size=60, shuffle=False
    )

    model = get_model()

    def criterion(outputs, targets):
        return weighted_bce(1.5)(targets, outputs).mean()

    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3, eps=1e-8)
    metrics = {"f1": MeanMetric(f1), "binary_accuracy": MeanMetric(binary_accuracy)}
    stop = EarlyStopping(patience=3, start_from_epoch=2, mode="max")
    train_loader = Converted(
        DataLoader(training_generator, batch_size=None, shuffle=True),
        lambda inputs, targets: (
            torch.as_tensor(inputs, dtype=torch.float32).reshape(-1, 64, 1),
            torch.as_tensor(targets, dtype=torch.float32),
        ),
    )
    val_loader = Converted(
        DataLoader(validation_generator, batch_size=None),
        lambda inputs, targets: (
            torch.as_tensor(inputs, dtype=torch.float32).reshape(-1, 64, 1),
            torch.as_tensor(targets, dtype=torch.float32),
        ),
    )
    h = {}
    training_generator.on_epoch_end()
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=0, threshold=1e-3, threshold_mode="abs", eps=0.0
    )
    for epoch in range(7):
        model.train()
        total = count = 0
        for metric in metrics.values():
            metric.reset_state()
        for inputs, targets in train_loader:
            inputs, targets = inputs.to(device), targets.to(device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss_2 = criterion(outputs, targets)
            loss_2.backward()
            optimizer.step()
            apply_constraints(model)
            total += loss_2.item() * len(targets)
            count += len(targets)
            for metric in metrics.values():
                metric.update_state(targets, outputs)
        logs = {"loss": total / count}
        logs |= {key: float(value.result()) for key, value in metrics.items()}
        logs |= {
            f"val_{key}": value
            for key, value in evaluate(model, val_loader, criterion, metrics).items()
        }
        logs["learning_rate"] = optimizer.param_groups[0]["lr"]
        for key, value in logs.items():
            h.setdefault(key, []).append(value)
        training_generator.on_epoch_end()
        validation_generator.on_epoch_end()
        plateau.step(logs["val_loss"])
        if stop.step(logs["val_f1"], epoch, model):
            break
    for i in range(len(h["loss"])):
        print(" ".join(["%s=%.4f" % (k, v[i]) for k, v in h.items()]))

    x, y = validation_generator[0]
    p = predict(model, torch.as_tensor(x, dtype=torch.float32))
    for a, b in zip(y[:5], p[:5]):
        print(
            [f for f, on in zip(TONES, a) if on],
            "->",
            [f for f, on in zip(TONES, b) if on > 0.5],
        )
