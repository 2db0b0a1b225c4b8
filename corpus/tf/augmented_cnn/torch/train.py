#!/usr/bin/env python3
"""Image classification with augmentation layers and the usual callbacks."""

from __future__ import annotations

import csv
import os
import pathlib

import math
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np


def sparse_categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the target's index."""
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    return (y_pred.argmax(-1) == y_true).to(torch.get_default_dtype())


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


class Rescaling(nn.Module):
    """keras.layers.Rescaling: scale * x + offset."""

    def __init__(self, scale, offset=0.0):
        super().__init__()
        self.scale = scale
        self.offset = offset

    def forward(self, x):
        return x * self.scale + self.offset


def same_padding(sizes, kernel_size, stride=1, dilation=1):
    """The arguments of F.pad for padding="same", last axis first."""
    many = lambda value: value if isinstance(value, tuple) else (value,) * len(sizes)
    pads = []
    for n, k, s, d in zip(sizes, many(kernel_size), many(stride), many(dilation)):
        total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        pads = [total // 2, total - total // 2, *pads]
    return pads


class SamePad(nn.Module):
    """Pads for a convolution or pooling without padding to have Keras' padding="same"."""

    def __init__(self, kernel_size, stride=1, dilation=1, value=0.0):
        super().__init__()
        self.window = kernel_size, stride, dilation
        self.value = value  # -inf before maximum pooling

    def forward(self, x):
        return F.pad(x, same_padding(x.shape[2:], *self.window), value=self.value)


class RandomFlip(nn.Module):
    """keras.layers.RandomFlip: each image of a training batch on its own."""

    def __init__(self, mode="horizontal_and_vertical"):
        super().__init__()
        self.axes = [
            axis
            for axis, name in ((-1, "horizontal"), (-2, "vertical"))
            if name in mode
        ]

    def forward(self, x):
        for axis in self.axes if self.training else []:
            flip = torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5
            x = torch.where(flip, x.flip(axis), x)
        return x


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


class RandomAffine(nn.Module):
    """keras' RandomRotation, RandomZoom and RandomTranslation: each image on its own.

    Ranges are pairs: turns of rotation, zoom (positive is out) and shift (parts of the size).
    """

    def __init__(
        self,
        rotation=(0, 0),
        zoom_height=(0, 0),
        zoom_width=None,
        shift_height=(0, 0),
        shift_width=(0, 0),
        fill_mode="reflect",
    ):
        super().__init__()
        self.rotation = rotation
        self.zooms = zoom_height, zoom_width
        self.shifts = shift_height, shift_width
        self.padding_mode = {
            "reflect": "reflection",
            "nearest": "border",
            "constant": "zeros",
        }[fill_mode]

    def forward(self, x):
        if not self.training:
            return x
        height, width = x.shape[-2:]
        zeros = torch.zeros(len(x), device=x.device)
        draw = lambda limits: zeros.clone().uniform_(*limits) if any(limits) else zeros
        angle = 2 * math.pi * draw(self.rotation)
        zoom_y = 1 + draw(self.zooms[0])
        zoom_x = zoom_y if self.zooms[1] is None else 1 + draw(self.zooms[1])
        shift_y, shift_x = [-2 * draw(limits) for limits in self.shifts]
        cos, sin = angle.cos(), angle.sin()
        rows = [zoom_x * cos, -sin * height / width, shift_x]
        rows += [sin * width / height, zoom_y * cos, shift_y]
        theta = torch.stack(rows, 1).reshape(-1, 2, 3).to(x.dtype)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return F.grid_sample(
            x, grid, padding_mode=self.padding_mode, align_corners=False
        )


class RandomContrast(nn.Module):
    """keras.layers.RandomContrast: each image on its own, about its channels' means."""

    def __init__(self, factor, value_range=(0, 255)):
        super().__init__()
        self.factor = factor if isinstance(factor, tuple) else (0, factor)
        self.value_range = value_range

    def forward(self, x):
        if not self.training:
            return x
        factor = torch.empty(len(x), 1, 1, 1, device=x.device)
        factor.uniform_(1 - self.factor[0], 1 + self.factor[1])
        mean = x.mean((-2, -1), keepdim=True)
        return ((x - mean) * factor + mean).clamp(*self.value_range)


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


class ModelCheckpoint:
    """keras ModelCheckpoint with save_best_only: the weights, or the whole model, at the best."""

    def __init__(self, filepath, mode="min", whole=False, verbose=False):
        self.filepath = filepath
        self.sign = 1 if mode == "min" else -1
        self.whole = whole
        self.verbose = verbose
        self.best = math.inf

    def step(self, value, epoch, model, **logs):
        if self.sign * float(value) >= self.best:
            return
        self.best = self.sign * float(value)
        path = str(self.filepath).format(epoch=epoch + 1, **logs)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving model to {path}")
        torch.save(model if self.whole else model.state_dict(), path)


class CSVLogger:
    """keras CSVLogger: a row for each epoch, the names of its values in the first line."""

    def __init__(self, filename, separator=",", append=False):
        self.file = open(filename, "a" if append else "w")
        self.separator = separator
        self.names = None

    def write(self, epoch, logs):
        if self.names is None:
            self.names = sorted(logs)
            if self.file.tell() == 0:
                print("epoch", *self.names, sep=self.separator, file=self.file)
        row = [logs.get(name, "NA") for name in self.names]
        print(epoch, *row, sep=self.separator, file=self.file, flush=True)

    def close(self):
        self.file.close()


IMG_SIZE = 16
NUM_CLASSES = 4
SHAPES = ["cross", "ring", "stripes", "corner"]
OUT = pathlib.Path("augmented_out")


# before any layer exists: the augmentation below draws its seeds when it is made
random.seed(1337)
np.random.seed(1337)
torch.manual_seed(1337)


def draw(kind: int, rng: np.random.Generator) -> np.ndarray:
    img = rng.normal(30, 12, (IMG_SIZE, IMG_SIZE, 3))
    colour = rng.uniform(120, 255, 3)
    c = rng.integers(6, 10)
    if kind == 0:
        img[c - 1 : c + 1, 3:13] = colour
        img[3:13, c - 1 : c + 1] = colour
    elif kind == 1:
        yy, xx = np.mgrid[:IMG_SIZE, :IMG_SIZE]
        r = np.hypot(yy - c, xx - c)
        img[(r > 3) & (r < 5)] = colour
    elif kind == 2:
        img[::4] = colour
        img[1::4] = colour
    else:
        img[c:, c : c + 2] = colour
        img[c : c + 2, c:] = colour
    return np.clip(img, 0, 255).astype("uint8")


def load_split(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, NUM_CLASSES, n)
    return np.stack([draw(k, rng) for k in labels]), labels


data_augmentation = nn.Sequential(
    Permute(0, 3, 1, 2),
    RandomFlip("horizontal"),
    RandomAffine(
        fill_mode="nearest", shift_height=(-0.1, 0.1), shift_width=(-0.1, 0.1)
    ),
    RandomContrast(0.2),
    Permute(0, 2, 3, 1),
)


class Net(nn.Module):
    def __init__(self, num_classes, data_augmentation):
        super().__init__()
        self.data_augmentation = data_augmentation
        self.rescaling = Rescaling(1.0 / 255)
        self.conv = nn.Conv2d(3, 16, 3, padding="same", bias=False)
        self.norm = nn.BatchNorm2d(16, eps=0.001, momentum=0.1)
        self.activation = nn.ReLU()
        self.pool = nn.Sequential(SamePad(2, 2, value=-math.inf), nn.MaxPool2d(2))
        self.spatialdropout = nn.Dropout2d(0.1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding="same", bias=False)
        self.norm2 = nn.BatchNorm2d(32, eps=0.001, momentum=0.1)
        self.activation2 = nn.ReLU()
        self.pool2 = nn.Sequential(SamePad(2, 2, value=-math.inf), nn.MaxPool2d(2))
        self.spatialdropout2 = nn.Dropout2d(0.1)
        self.separableconv = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding="same", groups=32, bias=False),
            nn.Conv2d(32, 48, 1),
            nn.ReLU(),
        )
        self.pool3 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(0.3)
        self.dense = nn.Linear(48, num_classes)

    def forward(self, inputs):
        x = self.data_augmentation(inputs)
        x = self.rescaling(x)
        x = self.conv(x.permute(0, 3, 1, 2))
        x = self.norm(x)
        x = self.activation(x)
        x = self.pool(x)
        x = self.spatialdropout(x)
        x = self.conv2(x)
        x = self.norm2(x)
        x = self.activation2(x)
        x = self.pool2(x)
        x = self.spatialdropout2(x)
        x = self.separableconv(x)
        x = self.pool3(x)
        x = self.dropout(x)
        outputs = self.dense(x)
        return outputs


def make_model(input_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    return Net(num_classes, data_augmentation)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    OUT.mkdir(exist_ok=True)
    x_train, y_train = load_split(512, seed=0)
    x_test, y_test = load_split(128, seed=1)

    model = make_model((IMG_SIZE, IMG_SIZE, 3), NUM_CLASSES)
    criterion = nn.CrossEntropyLoss()
    model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, eps=1e-7)
    metrics = {"accuracy": MeanMetric(sparse_categorical_accuracy)}
    dataset = TensorDataset(
        torch.as_tensor(x_train, dtype=torch.float32),
        torch.as_tensor(y_train, dtype=torch.int64),
    )
    split = int(len(dataset) * (1 - 0.2))
    train_loader = DataLoader(
        torch.utils.data.Subset(dataset, range(split)), batch_size=32, shuffle=True
    )
    val_loader = DataLoader(
        torch.utils.data.Subset(dataset, range(split, len(dataset))), batch_size=32
    )
    history = {}
    early_stopping = EarlyStopping(patience=3, restore_best_weights=True, verbose=True)
    checkpoint = ModelCheckpoint(str(OUT / "best.keras"), mode="max", whole=True)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=0.5,
        patience=0,
        threshold=0.0001,
        threshold_mode="abs",
        min_lr=1e-5,
        eps=0.0,
    )
    csv_logger = CSVLogger(str(OUT / "log.csv"))
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
        csv_logger.write(epoch, logs)
        for key, value in logs.items():
            history.setdefault(key, []).append(value)
        print(
            f"Epoch {epoch + 1}/7 - "
            + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
        )
        checkpoint.step(logs["val_accuracy"], epoch, model, **logs)
        plateau.step(logs["val_loss"])
        if early_stopping.step(logs["val_loss"], epoch, model):
            break
    early_stopping.restore(model)
    csv_logger.close()
    best_epoch = int(np.argmin(history["val_loss"]))
    print(f"best epoch: {best_epoch + 1} of {len(history['loss'])}")

    loss, acc = list(
        evaluate(
            model,
            DataLoader(
                TensorDataset(
                    torch.as_tensor(x_test, dtype=torch.float32),
                    torch.as_tensor(y_test, dtype=torch.int64),
                ),
                batch_size=32,
            ),
            criterion,
            metrics,
        ).values()
    )
    print(f"restored weights: test loss {loss:.4f}, accuracy {acc:.4f}")
    best = torch.load(OUT / "best.keras", map_location=device, weights_only=False)
    loss, acc = list(
        evaluate(
            best,
            DataLoader(
                TensorDataset(
                    torch.as_tensor(x_test, dtype=torch.float32),
                    torch.as_tensor(y_test, dtype=torch.int64),
                ),
                batch_size=32,
            ),
            criterion,
            metrics,
        ).values()
    )
    print(f"best checkpoint:  test loss {loss:.4f}, accuracy {acc:.4f}")

    with open(OUT / "log.csv") as f:
        rows = list(csv.DictReader(f))
    print("logged", len(rows), "epochs to", os.path.join(OUT, "log.csv"))


if __name__ == "__main__":
    main()
