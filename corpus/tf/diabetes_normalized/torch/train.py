"""Regression on the diabetes data: adapted normalization, L2, a decaying learning rate."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
import functools
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def like(y_true, y_pred):
    """Targets with the dtype and rank of the predictions, as Keras' losses take them."""
    y_true = torch.as_tensor(y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.dim() == y_pred.dim() + 1:
        return y_true.squeeze(-1)
    return y_true.unsqueeze(-1) if y_true.dim() == y_pred.dim() - 1 else y_true


def mean_absolute_error(y_true, y_pred):
    """keras.losses.mean_absolute_error: the mean over the last axis."""
    return (y_pred - like(y_true, y_pred)).abs().mean(-1)


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


def huber(y_true, y_pred, delta=1.0):
    """keras.losses.huber: the mean over the last axis."""
    return F.huber_loss(
        y_pred, like(y_true, y_pred), delta=delta, reduction="none"
    ).mean(-1)


class KerasOptimizer(torch.optim.Optimizer):
    """Clipping, decoupled weight decay and the count of steps as keras.optimizers has them."""

    def __init__(
        self,
        params,
        lr,
        weight_decay=None,
        clipnorm=None,
        global_clipnorm=None,
        clipvalue=None,
        **options,
    ):
        options |= {"lr": lr, "weight_decay": weight_decay, "iterations": 0}
        super().__init__(params, options)
        self.clipnorm = clipnorm
        self.global_clipnorm = global_clipnorm
        self.clipvalue = clipvalue

    @property
    def iterations(self):
        return self.param_groups[0]["iterations"]

    def clip(self, p, scale):
        gradient = p.grad
        if self.clipnorm is not None:
            parts = [gradient, *(q.grad for q in getattr(p, "joined_with", ()))]
            norm = torch.stack([part.norm() for part in parts]).norm()
            return gradient * (self.clipnorm / norm.clamp(min=self.clipnorm))
        if self.clipvalue is not None and scale is None:
            return gradient.clamp(-self.clipvalue, self.clipvalue)
        return gradient if scale is None else gradient * scale

    @torch.no_grad()
    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure() if closure else None
        groups = [
            (g, p) for g in self.param_groups for p in g["params"] if p.grad is not None
        ]
        scale = None
        if self.global_clipnorm is not None:
            norm = torch.stack([p.grad.square().sum() for _, p in groups]).sum().sqrt()
            scale = self.global_clipnorm * (1 / norm).clamp(
                max=1 / self.global_clipnorm
            )
        for group in self.param_groups:
            group["iterations"] += 1
        for group, p in groups:
            gradient = self.clip(p, scale)
            if group["weight_decay"]:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            self.update(p, gradient, self.state[p], group)
        return loss

    def slot(self, state, name, p, value=0.0):
        if name not in state:
            state[name] = torch.full_like(p, value)
        return state[name]


class KerasSGD(KerasOptimizer):
    """keras SGD: the velocity contains the learning rate of each step."""

    def __init__(self, params, lr=0.01, momentum=0.0, nesterov=False, **kwargs):
        super().__init__(params, lr, momentum=momentum, nesterov=nesterov, **kwargs)

    def update(self, p, g, state, group):
        change = -group["lr"] * g
        if group["momentum"]:
            velocity = self.slot(state, "momentum", p)
            velocity.mul_(group["momentum"]).add_(change)
            change = (
                group["momentum"] * velocity + change if group["nesterov"] else velocity
            )
        p.add_(change)


def inverse_time_decay(initial_learning_rate, decay_steps, decay_rate, staircase=False):
    """keras InverseTimeDecay."""

    def schedule(step):
        periods = step // decay_steps if staircase else step / decay_steps
        return initial_learning_rate / (1 + decay_rate * periods)

    return schedule


def scheduled(schedule, optimizer_class, parameters, **options):
    """An optimizer whose learning rate follows a schedule, moved on after each of its steps."""
    optimizer = optimizer_class(parameters, lr=1.0, **options)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    optimizer.register_step_post_hook(lambda *_: scheduler.step())
    return optimizer


def regularize(layer, l1=0.0, l2=0.0, name="weight"):
    """Remembers the penalty on a layer's weight, which `regularization` adds up."""
    layer.penalties = [*getattr(layer, "penalties", ()), (name, l1, l2)]
    return layer


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


def regularization(model):
    """The penalties on the weights of a model's layers, as Keras adds them to the loss."""
    total = 0.0
    for layer in model.modules():
        for name, l1, l2 in getattr(layer, "penalties", ()):
            weight = getattr(layer, name)
            if not weight.requires_grad:
                continue  # Keras leaves frozen weights out
            if l1:
                total = total + l1 * weight.abs().sum()
            if l2:
                total = total + l2 * weight.square().sum()
    return total


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


class Normalization(nn.Module):
    """keras.layers.Normalization: adapt() sets mean and variance of the last axis, or of all."""

    def __init__(self, mean=0.0, variance=1.0, axis=-1):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean))
        self.register_buffer("variance", torch.as_tensor(variance))
        self.axis = axis

    def adapt(self, data):
        if not isinstance(data, (list, tuple)) and not hasattr(data, "__array__"):
            data = torch.cat(list(data))  # batches
        data = data if isinstance(data, torch.Tensor) else np.asarray(data)
        data = torch.as_tensor(data, dtype=torch.get_default_dtype())
        data = data.flatten() if self.axis is None else data.flatten(0, -2)
        data = data.to(self.mean.device)
        self.mean, self.variance = data.mean(0), data.var(0, unbiased=False)

    def forward(self, x):
        return (x - self.mean) / self.variance.sqrt().clamp(min=1e-7)


class Sum:
    """keras.metrics.Sum: the weighted sum of all values since the last reset."""

    def __init__(self, name=None):
        self.name = name
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0.0

    def update_state(self, values, sample_weight=None):
        values = torch.as_tensor(values, dtype=torch.get_default_dtype()).detach()
        weights = torch.ones_like(values)
        if sample_weight is not None:
            sample_weight = torch.as_tensor(sample_weight)
            weights = weights * sample_weight.reshape(-1, *[1] * (values.dim() - 1))
        self.total = self.total + (values * weights).sum()
        self.count = self.count + weights.sum()

    def __call__(self, *args, **kwargs):
        self.update_state(*args, **kwargs)
        return self.result()

    def result(self):
        return torch.as_tensor(self.total)


class Mean(Sum):
    """keras.metrics.Mean: the weighted mean of all values since the last reset."""

    def result(self):
        return self.total / self.count if self.count else torch.zeros(())


class RootMeanSquaredError(Mean):
    """keras.metrics.RootMeanSquaredError: the root of the mean over all elements."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = torch.as_tensor(y_pred)
        errors = torch.as_tensor(y_true).reshape(y_pred.shape) - y_pred
        super().update_state(errors.square(), sample_weight)

    def result(self):
        return super().result().sqrt()


SEED = 0
BATCH = 32
random.seed(SEED)
np.random.seed(SEED)
torch.manual_seed(SEED)


def load_frame() -> pd.DataFrame:
    frame = load_diabetes(as_frame=True, scaled=False).frame
    sex = frame.pop("sex")
    frame["is_a"] = (sex == 1.0) * 1.0
    frame["is_b"] = (sex == 2.0) * 1.0
    frame["target"] /= 100.0
    return frame


frame = load_frame()
train_frame, test_frame = train_test_split(frame, test_size=0.2, random_state=SEED)
y_train, y_test = (f["target"].to_numpy("float32") for f in (train_frame, test_frame))
x_train, x_test = (
    f.drop(columns="target").to_numpy("float32") for f in (train_frame, test_frame)
)
print(train_frame.describe().T[["mean", "std"]].round(2))

# mean and variance of the training data become part of the model
normalize = Normalization()
normalize.adapt(x_train)


class EveryFew:
    """A line every few epochs, and the best validation error at the end."""

    def __init__(self, every=3):
        super().__init__()
        self.every = every

    def on_train_begin(self, logs=None):
        self.best = float("inf")
        self.best_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if logs["val_mae"] < self.best:
            self.best, self.best_epoch = logs["val_mae"], epoch
        if epoch % self.every == 0:
            print(
                "  epoch %2d  " % epoch
                + "  ".join("%s %.4f" % item for item in sorted(logs.items()))
            )

    def on_train_end(self, logs=None):
        print("  best val_mae %.4f in epoch %d" % (self.best, self.best_epoch))


def linear():
    return nn.Sequential(normalize, nn.LazyLinear(1))


def network(width=24, rate=0.1):
    return nn.Sequential(
        normalize,
        regularize(nn.LazyLinear(width), l2=0.001),
        nn.ELU(),
        nn.Dropout(rate),
        regularize(regularize(nn.LazyLinear(width), l2=0.001), l1=0.0001, name="bias"),
        nn.ELU(),
        nn.LazyLinear(1),
    )


steps = int(0.8 * len(x_train)) // BATCH
decay = inverse_time_decay(
    initial_learning_rate=0.01, decay_steps=5 * steps, decay_rate=1.0, staircase=False
)
candidates = {
    "linear": (
        linear(),
        functools.partial(KerasSGD, lr=0.05, momentum=0.9, clipvalue=1.0),
    ),
    "network": (
        network(),
        functools.partial(scheduled, decay, torch.optim.Adam, eps=1e-7),
    ),
}

table = {}
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
for name, (model, optimizer) in candidates.items():
    print(name)

    def criterion(outputs, targets):
        return huber(targets, outputs).mean()

    model.to(device)
    optimizer = optimizer(model.parameters())
    metrics = {"mae": MeanMetric(mean_absolute_error), "rmse": RootMeanSquaredError()}
    dataset = TensorDataset(
        torch.as_tensor(np.asarray(x_train), dtype=torch.float32),
        torch.as_tensor(np.asarray(y_train), dtype=torch.float32),
    )
    split = int(len(dataset) * (1 - 0.2))
    train_loader = DataLoader(
        torch.utils.data.Subset(dataset, range(split)), batch_size=BATCH, shuffle=True
    )
    val_loader = DataLoader(
        torch.utils.data.Subset(dataset, range(split, len(dataset))), batch_size=BATCH
    )
    every_few = EveryFew()
    every_few.on_train_begin()
    model.eval()
    model(to_device(train_loader.dataset[0][0].unsqueeze(0), device))
    for epoch in range(9):
        model.train()
        total = count = 0
        for metric in metrics.values():
            metric.reset_state()
        for inputs, targets in train_loader:
            inputs, targets = inputs.to(device), targets.to(device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, targets) + regularization(model)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
            count += len(targets)
            for metric in metrics.values():
                metric.update_state(targets, outputs)
        logs = {"loss": total / count}
        logs |= {key: float(value_2.result()) for key, value_2 in metrics.items()}
        logs |= {
            f"val_{key}": value_2
            for key, value_2 in evaluate(
                model, val_loader, criterion, metrics, penalty=regularization
            ).items()
        }
        every_few.on_epoch_end(epoch, logs)
    every_few.on_train_end(logs)
    table[name] = list(
        evaluate(
            model,
            DataLoader(
                TensorDataset(
                    torch.as_tensor(np.asarray(x_test), dtype=torch.float32),
                    torch.as_tensor(np.asarray(y_test), dtype=torch.float32),
                ),
                batch_size=32,
            ),
            criterion,
            metrics,
            penalty=regularization,
        ).values()
    )
    error = (
        predict(model, torch.as_tensor(np.asarray(x_test), dtype=torch.float32))[:, 0]
        - y_test
    )
    print("  test: bias %.3f, worst %.3f" % (error.mean(), np.abs(error).max()))

print(pd.DataFrame(table, index=["loss", "mae", "rmse"]).round(4))
slope = candidates["linear"][0][1].weight.T.detach().cpu().numpy().ravel()
for column, value in sorted(
    zip(train_frame.columns.drop("target"), slope), key=lambda t: -abs(t[1])
)[:4]:
    print("%-8s %+.3f" % (column, value))
