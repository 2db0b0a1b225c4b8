# Transfer learning on the digits: base network from 0-4, then 5-9 with a frozen base, then fine-tuning.

import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import load_digits


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


class GlobalMaxPool(nn.Module):
    """keras' global maximum pooling of channels-first data: equal maxima share the gradient."""

    def __init__(self, keepdim=False):
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x):
        return x.amax(tuple(range(2, x.dim())), keepdim=self.keepdim)


class Rescaling(nn.Module):
    """keras.layers.Rescaling: scale * x + offset."""

    def __init__(self, scale, offset=0.0):
        super().__init__()
        self.scale = scale
        self.offset = offset

    def forward(self, x):
        return x * self.scale + self.offset


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


def set_trainable(module, trainable):
    """keras' `layer.trainable = ...`: frozen batch norms use their moving statistics."""
    module.requires_grad_(trainable)
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            mode = type(part).train
            part.train = lambda on=True, part=part, mode=mode: mode(
                part, on and trainable
            )
            part.train(part.training)
    return module


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


def sparse_cross_entropy(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of logits."""
    y_true = torch.as_tensor(y_true, device=y_pred.device).long()
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    ignored = -100 if ignore_class is None else ignore_class
    scores = y_pred.movedim(-1, 1) if y_pred.dim() > 1 else y_pred
    return F.cross_entropy(scores, y_true, ignore_index=ignored, reduction="none")


class MeanLoss:
    """A loss called as those of keras.losses: targets first, the mean over all examples."""

    def __init__(self, function, reduction="mean", **options):
        self.function = function
        self.reduction = reduction
        self.options = options

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = self.function(y_true, y_pred, **self.options)
        if sample_weight is not None:
            weights = torch.as_tensor(
                sample_weight, dtype=losses.dtype, device=losses.device
            )
            if weights.dim() == losses.dim() + 1:
                weights = weights.squeeze(-1)
            losses = losses * weights.reshape(
                weights.shape + (1,) * (losses.dim() - weights.dim())
            )
        if self.reduction == "none":
            return losses
        if self.reduction == "sum":
            return losses.sum()
        ignored = self.options.get("ignore_class")
        if ignored is None:
            return losses.mean()
        kept = (torch.as_tensor(y_true) != ignored).sum()  # the mean is over these only
        return losses.sum() / kept.clamp_min(1)


random.seed(8)
np.random.seed(8)
torch.manual_seed(8)

img_shape = (8, 8, 1)
batch_size = 32


def load(first, last):
    digits = load_digits()
    sel = (digits.target >= first) & (digits.target <= last)
    x = digits.images[sel][..., None].astype("float32")
    y = digits.target[sel] - first
    return x, y


def create_base():
    base = nn.Sequential(
        Rescaling(1 / 8.0, -1),
        Permute(0, 3, 1, 2),
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        nn.BatchNorm2d(16, eps=0.001, momentum=0.1),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(32, 32, 2),
        nn.ReLU(),
        Permute(0, 2, 3, 1),
    )
    return base


# --- 1. base network
x_a, y_a = load(0, 4)
base_model = create_base()
first = nn.Sequential(
    base_model, Permute(0, 3, 1, 2), GlobalMaxPool(), nn.Linear(32, 5)
)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
criterion = nn.CrossEntropyLoss()
first.to(device)
optimizer = torch.optim.Adam(first.parameters(), lr=3e-3, eps=1e-7)
metrics = {"accuracy": MeanMetric(sparse_categorical_accuracy)}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_a, dtype=torch.float32),
        torch.as_tensor(y_a, dtype=torch.int64),
    ),
    batch_size=batch_size,
    shuffle=True,
)
for epoch in range(2):
    first.train()
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    for inputs_2, targets in train_loader:
        inputs_2, targets = inputs_2.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs_2 = first(inputs_2)
        loss_2 = criterion(outputs_2, targets)
        loss_2.backward()
        optimizer.step()
        total += loss_2.item() * len(targets)
        count += len(targets)
        for metric in metrics.values():
            metric.update_state(targets, outputs_2)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics.items()}
    print(
        f"Epoch {epoch + 1}/2 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )
torch.save(base_model.state_dict(), "base.weights.h5")

# --- 2. new head, frozen base
x_b, y_b = load(5, 9)
rng = np.random.RandomState(0)
order = rng.permutation(len(x_b))
x_b, y_b = x_b[order], y_b[order]
train = DataLoader(
    TensorDataset(torch.as_tensor(x_b[:300]), torch.as_tensor(y_b[:300])),
    batch_size=batch_size,
    shuffle=True,
)
valid = DataLoader(
    TensorDataset(torch.as_tensor(x_b[300:]), torch.as_tensor(y_b[300:])),
    batch_size=128,
)

base_model = create_base()
base_model.load_state_dict(torch.load("base.weights.h5", map_location=device))
set_trainable(base_model, False)


class Net(nn.Module):
    def __init__(self, base_model):
        super().__init__()
        self.base_model = base_model
        self.pool = GlobalMaxPool()
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(32, 5)

    def forward(self, inputs):
        x = self.base_model(inputs)
        x = self.pool(x.permute(0, 3, 1, 2))
        x = self.dropout(x)
        outputs = self.head(x)
        return outputs


model = Net(base_model)
print(
    "trainable tensors: %d of %d"
    % (
        len([p for p in model.parameters() if p.requires_grad]),
        len([*model.parameters(), *model.buffers()]),
    )
)

loss = MeanLoss(sparse_cross_entropy)
criterion_2 = nn.CrossEntropyLoss()
model.to(device)
optimizer_2 = torch.optim.Adam(model.parameters(), lr=0.01, eps=1e-7)
metrics_2 = {"accuracy": MeanMetric(sparse_categorical_accuracy)}
loss0, accuracy0 = list(evaluate(model, valid, criterion_2, metrics_2).values())
print("initial loss: {:.2f}, initial accuracy: {:.2f}".format(loss0, accuracy0))
train_loader = train
val_loader = valid
history = {}
for epoch in range(3):
    model.train()
    total = count = 0
    for metric in metrics_2.values():
        metric.reset_state()
    for inputs_2, targets in train_loader:
        inputs_2, targets = inputs_2.to(device), targets.to(device)
        optimizer_2.zero_grad()
        outputs_2 = model(inputs_2)
        loss_2 = criterion_2(outputs_2, targets)
        loss_2.backward()
        optimizer_2.step()
        total += loss_2.item() * len(targets)
        count += len(targets)
        for metric in metrics_2.values():
            metric.update_state(targets, outputs_2)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics_2.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(model, val_loader, criterion_2, metrics_2).items()
    }
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
    print(
        f"Epoch {epoch + 1}/3 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )

# --- 3. fine-tune everything from conv2 on
set_trainable(base_model, True)
for name, layer in [
    ("rescaling", base_model[0]),
    ("conv1", base_model[2]),
    ("bn1", base_model[4]),
    ("conv2", base_model[5]),
    ("average_pooling2d", base_model[7]),
    ("conv3", base_model[8]),
]:
    if name in ("conv1", "bn1"):
        set_trainable(layer, False)
print(
    [
        (name_2, l.trainable)
        for name_2, l in [
            ("rescaling", base_model[0]),
            ("conv1", base_model[2]),
            ("bn1", base_model[4]),
            ("conv2", base_model[5]),
            ("average_pooling2d", base_model[7]),
            ("conv3", base_model[8]),
        ]
    ]
)

criterion_2 = nn.CrossEntropyLoss()
model.to(device)
optimizer_2 = torch.optim.RMSprop(model.parameters(), lr=5e-4, alpha=0.9, eps=1e-7)
metrics_2 = {"accuracy": MeanMetric(sparse_categorical_accuracy)}
train_loader = train
val_loader = valid
history_fine = {}
for epoch in range(range(len(history["loss"]))[-1] + 1, 6):
    model.train()
    total = count = 0
    for metric in metrics_2.values():
        metric.reset_state()
    for inputs_2, targets in train_loader:
        inputs_2, targets = inputs_2.to(device), targets.to(device)
        optimizer_2.zero_grad()
        outputs_2 = model(inputs_2)
        loss_2 = criterion_2(outputs_2, targets)
        loss_2.backward()
        optimizer_2.step()
        total += loss_2.item() * len(targets)
        count += len(targets)
        for metric in metrics_2.values():
            metric.update_state(targets, outputs_2)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics_2.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(model, val_loader, criterion_2, metrics_2).items()
    }
    for key, value in logs.items():
        history_fine.setdefault(key, []).append(value)
    print(
        f"Epoch {epoch + 1}/6 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )

acc = history["val_accuracy"] + history_fine["val_accuracy"]
print("validation accuracy:", " ".join("%.3f" % a for a in acc))
torch.save(model.state_dict(), "transferred.keras")
