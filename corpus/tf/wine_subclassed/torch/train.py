import random
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.datasets import load_wine


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


def weighted_mean(losses, sample_weight=None):
    """Keras' loss with sample weights: their weighted sum divided by the number of losses."""
    if sample_weight is None:
        return losses.mean()
    weights = sample_weight.reshape(
        sample_weight.shape + (1,) * (losses.dim() - sample_weight.dim())
    )
    return (losses * weights).sum() / losses.numel()


class KerasLoss:
    """keras.losses.Loss: the mean of what `call` gives for each example."""

    def __init__(self, name=None, reduction="sum_over_batch_size", **options):
        self.name = name
        self.reduction = reduction

    def __call__(self, y_true, y_pred, sample_weight=None):
        losses = torch.as_tensor(self.call(y_true, y_pred))
        if self.reduction in ("none", None):
            return losses
        if self.reduction == "sum":
            return losses.sum()
        return weighted_mean(losses, sample_weight)


class KerasMetric:
    """keras.metrics.Metric: `update_state` batch by batch, `result`, and zeros at a reset."""

    def __init__(self, name=None, **options):
        self.name = name or type(self).__name__

    def reset_state(self):
        for name, value in vars(self).items():
            if isinstance(value, torch.Tensor):
                setattr(self, name, torch.zeros_like(value))
            elif hasattr(value, "reset_state"):
                value.reset_state()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()


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


def sparse_categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the target's index."""
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    return (y_pred.argmax(-1) == y_true).to(torch.get_default_dtype())


"""
Subclassing everything: layer, model, loss and metric.
"""

SEED = 11
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


class Affine(nn.Module):
    def __init__(self, in_features, units=32, use_bias=True):
        super().__init__()
        self.units = units
        self.use_bias = use_bias
        self.w = nn.Parameter(
            nn.init.xavier_normal_(torch.empty(in_features, self.units))
        )
        if self.use_bias:
            self.b = nn.Parameter(torch.zeros(self.units))

    def forward(self, inputs):
        y = torch.matmul(inputs, self.w)
        if self.use_bias:
            y = y + self.b
        return y


class UnitNorm(nn.Module):
    """Divides every sample by its length."""

    def forward(self, x):
        return x / torch.sqrt(torch.sum(torch.square(x), dim=1, keepdim=True))


class RunningCenter(nn.Module):
    def __init__(self, in_features):
        super().__init__()
        self.register_buffer("center", torch.zeros(in_features))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.center.copy_(
                    0.9 * self.center + 0.1 * torch.mean(torch.as_tensor(x), dim=0)
                )
        return x - self.center


class WineNet(nn.Module):
    def __init__(self, n_classes=3, rate=0.2):
        super().__init__()
        self.center = RunningCenter(13)
        self.hidden = nn.ModuleList([Affine(13, 24), Affine(24, 16, use_bias=False)])
        self.unit = UnitNorm()
        self.drop = nn.Dropout(rate)
        self.classifier = nn.Linear(16, n_classes)

    def forward(self, inputs):
        x = self.center(inputs)
        for layer in self.hidden:
            x = torch.relu(layer(x))
            x = self.drop(x)
        x = self.unit(x + 1e-6)
        return self.classifier(10.0 * x)


class SmoothedCrossEntropy(KerasLoss):
    def __init__(self, smoothing=0.1, name="smoothed_ce"):
        super().__init__(name=name)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        n = float(y_pred.shape[-1])
        one_hot = F.one_hot(
            torch.reshape(y_true, [-1]).int().long(), y_pred.shape[-1]
        ).float()
        target = one_hot * (1.0 - self.smoothing) + self.smoothing / n
        return -torch.sum(target * torch.log_softmax(y_pred, dim=-1), dim=-1)


class MacroRecall(KerasMetric):
    def __init__(self, n_classes, name="macro_recall", **kwargs):
        super(MacroRecall, self).__init__(name=name, **kwargs)
        self.n_classes = n_classes
        self.hits = torch.zeros((n_classes,))
        self.seen = torch.zeros((n_classes,))

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = torch.reshape(y_true, [-1]).int()
        y_hat = torch.argmax(y_pred, dim=-1)
        one_hot = F.one_hot(y_true.long(), self.n_classes).float()
        right = (y_true == y_hat).float()
        with torch.no_grad():
            self.hits.add_(torch.sum(one_hot * right[:, None], dim=0))
            self.seen.add_(torch.sum(one_hot, dim=0))

    def result(self):
        return torch.mean(self.hits / torch.clamp(self.seen, min=1.0))

    def reset_state(self):
        with torch.no_grad():
            self.hits.copy_(torch.zeros_like(self.hits))
            self.seen.copy_(torch.zeros_like(self.seen))


def mean_logit(y_true, y_pred):
    return torch.mean(y_pred)


x, y = load_wine(return_X_y=True)
x = ((x - x.mean(0)) / x.std(0)).astype("float32")
order = torch.randperm(len(x)).cpu().numpy()
x, y = x[order], y[order]
x_train, y_train, x_val, y_val = x[:130], y[:130], x[130:], y[130:]

model = WineNet()


def criterion(outputs, targets):
    return SmoothedCrossEntropy(0.05)(targets, outputs)


optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.9, 0.99), eps=1e-7)
metrics = {
    "macro_recall": MacroRecall(3),
    "acc": MeanMetric(sparse_categorical_accuracy),
    "mean_logit": MeanMetric(mean_logit),
}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train, dtype=torch.float32),
        torch.as_tensor(y_train, dtype=torch.float32),
    ),
    batch_size=20,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_val, dtype=torch.float32),
        torch.as_tensor(y_val, dtype=torch.float32),
    ),
    batch_size=20,
)
for epoch in range(10):
    model.train()
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in metrics.values():
            metric.update_state(targets, outputs)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(model, val_loader, criterion, metrics).items()
    }
    print(
        f"Epoch {epoch + 1}/10 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )
print(model)

val = evaluate(
    model,
    DataLoader(
        TensorDataset(
            torch.as_tensor(x_val, dtype=torch.float32),
            torch.as_tensor(y_val, dtype=torch.float32),
        ),
        batch_size=32,
    ),
    criterion,
    metrics,
)
print({k: round(float(v), 4) for k, v in val.items()})
torch.save(model.state_dict(), "wine.weights.h5")

clone = WineNet()
clone.eval()
clone(torch.as_tensor(x_val[:1], dtype=torch.float32))
clone.load_state_dict(torch.load("wine.weights.h5"))
model.eval()
torch.testing.assert_close(
    clone(torch.as_tensor(x_val, dtype=torch.float32)),
    model(torch.as_tensor(x_val, dtype=torch.float32)),
)
print("weights reloaded")
