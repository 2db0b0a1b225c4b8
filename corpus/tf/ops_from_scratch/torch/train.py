"""Keras 3 without TensorFlow names: layers written with keras.ops, trained with fit."""

import math
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def exponential_decay(initial_learning_rate, decay_steps, decay_rate, staircase=False):
    """keras ExponentialDecay."""

    def schedule(step):
        periods = step // decay_steps if staircase else step / decay_steps
        return initial_learning_rate * decay_rate**periods

    return schedule


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


def squared_gradient(p, g):
    """g * g, or what a KerasEmbedding recorded for its weight if all of g comes from there."""
    recorded, p.recorded = getattr(p, "recorded", None), None
    if recorded is None:
        return g * g
    rows, squares = recorded
    return (
        squares if torch.allclose(rows, g, atol=1e-6 * float(g.abs().max())) else g * g
    )


class KerasAdam(KerasOptimizer):
    """keras Adam and AdamW: epsilon beside the uncorrected root, weight decay decoupled."""

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, amsgrad=False, **kwargs
    ):
        super().__init__(params, lr, betas=betas, eps=eps, amsgrad=amsgrad, **kwargs)

    def update(self, p, g, state, group):
        (beta_1, beta_2), t = group["betas"], group["iterations"]
        m, v = self.slot(state, "momentum", p), self.slot(state, "velocity", p)
        m.lerp_(g, 1 - beta_1)
        v.lerp_(squared_gradient(p, g), 1 - beta_2)
        if group["amsgrad"]:
            v_max = self.slot(state, "velocity_hat", p)
            v = torch.maximum(v_max, v, out=v_max)
        step_size = group["lr"] * (1 - beta_2**t) ** 0.5 / (1 - beta_1**t)
        p.sub_(step_size * m / (v.sqrt() + group["eps"]))


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


def regularize(layer, l1=0.0, l2=0.0, name="weight"):
    """Remembers the penalty on a layer's weight, which `regularization` adds up."""
    layer.penalties = [*getattr(layer, "penalties", ()), (name, l1, l2)]
    return layer


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


def top_k_accuracy(y_true, y_pred, k=5):
    """1 for each example whose target's index is among the k largest predictions."""
    best = y_pred.topk(k, -1).indices
    return (best == y_true.reshape(-1, 1)).any(-1).to(torch.get_default_dtype())


random.seed(2025)
np.random.seed(2025)
torch.manual_seed(2025)


class RMSNorm(nn.Module):
    def __init__(self, in_features, epsilon=1e-6):
        super().__init__()
        self.epsilon = epsilon
        self.scale = nn.Parameter(torch.ones(in_features))

    def forward(self, x):
        rms = torch.sqrt(
            torch.mean(torch.square(x), dim=-1, keepdim=True) + self.epsilon
        )
        return x / rms * self.scale


class GatedUnit(nn.Module):
    """Splits the projection in two and lets one half gate the other."""

    def __init__(self, dim, kernel_regularizer=None):
        super().__init__()
        self.dim = dim
        self.project = regularize(nn.Linear(dim, 2 * dim), l2=0.0001)

    def forward(self, x):
        value, gate = torch.chunk(self.project(x), 2, dim=-1)
        return value * torch.sigmoid(gate)


class RowAttention(nn.Module):
    """Single-head self attention over the rows of an image."""

    def __init__(self, in_features, dim):
        super().__init__()
        self.dim = dim
        shape = (in_features, self.dim)
        self.wq = nn.Parameter(nn.init.xavier_uniform_(torch.empty(8, 24)))
        self.wk = nn.Parameter(nn.init.xavier_uniform_(torch.empty(8, 24)))
        self.wv = nn.Parameter(nn.init.xavier_uniform_(torch.empty(8, 24)))
        self.position = nn.Parameter(
            nn.init.normal_(torch.empty(in_features, self.dim), 0.0, 0.02)
        )

    def forward(self, x):
        q = torch.matmul(x, self.wq) + self.position
        k = torch.matmul(x, self.wk) + self.position
        v = torch.matmul(x, self.wv)
        scores = torch.matmul(q, k.permute(0, 2, 1)) / math.sqrt(float(self.dim))
        return torch.matmul(torch.softmax(scores, dim=-1), v)


def focal_loss(y_true, y_pred, gamma=1.5):
    y_true = F.one_hot(torch.squeeze(y_true, -1).int().long(), 10).float()
    log_p = torch.log_softmax(y_pred, dim=-1)
    p = torch.exp(log_p)
    return -torch.sum(y_true * (1.0 - p) ** gamma * log_p, dim=-1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.row_attention = RowAttention(8, 24)
        self.rmsnorm = RMSNorm(24)
        self.gated_unit = GatedUnit(24, kernel_regularizer=None)
        self.rmsnorm2 = RMSNorm(24)
        self.gated_unit2 = GatedUnit(24, kernel_regularizer=None)
        self.flatten = nn.Flatten()
        self.rmsnorm3 = RMSNorm(192, epsilon=1e-5)
        self.dense = nn.Linear(192, 10)

    def forward(self, inputs):
        h = self.row_attention(inputs)
        h = h + self.gated_unit(self.rmsnorm(h))
        h = h + self.gated_unit2(self.rmsnorm2(h))
        h = self.flatten(h)
        h = self.rmsnorm3(h)
        x = self.dense(h)
        return x


def build():
    return Net()


bunch = load_digits()
x = bunch.images.astype("float32") / 16 - 0.5
y = bunch.target[:, None]
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=297, random_state=3)

model = build()


def criterion(outputs, targets):
    return focal_loss(targets, outputs).mean()


optimizer = KerasAdam(model.parameters(), lr=1.0, global_clipnorm=1.0)
scheduler = torch.optim.lr_scheduler.LambdaLR(
    optimizer,
    exponential_decay(initial_learning_rate=8e-3, decay_steps=20, decay_rate=0.9),
)
metrics = {
    "acc": MeanMetric(sparse_categorical_accuracy),
    "top3": MeanMetric(top_k_accuracy, k=3),
}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train, dtype=torch.float32),
        torch.as_tensor(y_train, dtype=torch.float32),
    ),
    batch_size=100,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_test, dtype=torch.float32),
        torch.as_tensor(y_test, dtype=torch.float32),
    ),
    batch_size=100,
)
history = {}
for epoch in range(6):
    model.train()
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets) + regularization(model)
        loss.backward()
        optimizer.step()
        scheduler.step()
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in metrics.values():
            metric.update_state(targets, outputs)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(
            model, val_loader, criterion, metrics, penalty=regularization
        ).items()
    }
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
for row in zip(
    range(1, 7),
    *(history[k] for k in ["loss", "acc", "val_loss", "val_acc", "val_top3"]),
):
    print(
        "epoch %d  loss %.4f  acc %.3f  val_loss %.4f  val_acc %.3f  val_top3 %.3f"
        % row
    )

predictions = torch.argmax(model(torch.as_tensor(x_test, dtype=torch.float32)), dim=-1)
wrong = np.flatnonzero(predictions.cpu().numpy() != y_test[:, 0])
print(len(wrong), "wrong, the first ones:", wrong[:5])
print(
    "scale of the last norm: %.3f .. %.3f"
    % (float(torch.min(model.rmsnorm3.scale)), float(torch.max(model.rmsnorm3.scale)))
)
