# Custom training loop: tf.data + GradientTape + @tf.function + metric objects
import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn import datasets


def variance_scaling(weight, scale=1.0, mode="fan_in", distribution="truncated_normal"):
    """keras.initializers.VarianceScaling of a weight whose outputs come first."""
    size = weight[0, 0].numel()
    fan_in, fan_out = weight.shape[1] * size, weight.shape[0] * size
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[
        mode
    ]
    if distribution == "uniform":
        limit = (3 * scale / fan) ** 0.5
        return nn.init.uniform_(weight, -limit, limit)
    std = (scale / fan) ** 0.5
    if distribution == "untruncated_normal":
        return nn.init.normal_(weight, std=std)
    std = std / 0.87962566103423978  # what truncation takes away
    return nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def he_normal(weight):
    """keras.initializers.HeNormal: a truncated normal."""
    return variance_scaling(weight, scale=2.0)


def initialize(layer, weight=nn.init.xavier_uniform_, bias=nn.init.zeros_):
    """Gives a layer Keras' initial values: Glorot uniform weights and zero biases, if not told."""
    weight(layer.weight)
    if getattr(layer, "bias", None) is not None:
        bias(layer.bias)
    return layer


def sparse_cross_entropy(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of logits."""
    y_true = torch.as_tensor(y_true, device=y_pred.device).long()
    y_true = y_true.squeeze(-1) if y_true.dim() == y_pred.dim() else y_true
    ignored = -100 if ignore_class is None else ignore_class
    scores = y_pred.movedim(-1, 1) if y_pred.dim() > 1 else y_pred
    return F.cross_entropy(scores, y_true, ignore_index=ignored, reduction="none")


def sparse_log_loss(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of a softmax, without clipping."""
    logits = y_pred.clamp_min(torch.finfo(y_pred.dtype).tiny).log()
    return sparse_cross_entropy(y_true, logits, ignore_class)


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


random.seed(116)
np.random.seed(116)
torch.manual_seed(116)

BATCH_SIZE = 16
EPOCHS = 15
lr = 0.02

iris = datasets.load_iris()
x_data, y_data = iris.data, iris.target
idx = np.random.permutation(len(x_data))
x_data, y_data = x_data[idx], y_data[idx]

x_train, y_train = torch.as_tensor(x_data[:-30], dtype=torch.float32), y_data[:-30]
x_test, y_test = torch.as_tensor(x_data[-30:], dtype=torch.float32), y_data[-30:]

train_ds = TensorDataset(x_train, torch.as_tensor(y_train))
train_ds = DataLoader(train_ds, batch_size=BATCH_SIZE, shuffle=True)
test_ds = DataLoader(
    TensorDataset(x_test, torch.as_tensor(y_test)), batch_size=BATCH_SIZE
)


class IrisModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(4, eps=0.001, momentum=0.1)
        self.hidden = nn.Sequential(initialize(nn.Linear(4, 16), he_normal), nn.ReLU())
        self.out = nn.Sequential(nn.Linear(16, 3), nn.Softmax(dim=-1))

    def forward(self, x):
        x = self.bn(x)
        return self.out(self.hidden(x))


model = IrisModel()
criterion = MeanLoss(sparse_log_loss)
optimizer = torch.optim.Adam(model.parameters(), lr=lr, eps=1e-7)

train_loss = Mean()
train_acc = MeanMetric(sparse_categorical_accuracy)
test_loss = Mean()
test_acc = MeanMetric(sparse_categorical_accuracy)


def train_step(features, labels):
    model.train()
    predictions = model(features)
    loss = criterion(labels, predictions)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

    train_loss(loss)
    train_acc(labels, predictions)


@torch.no_grad()
def test_step(features, labels):
    model.eval()
    predictions = model(features)
    t_loss = criterion(labels, predictions)

    test_loss.update_state(t_loss)
    test_acc.update_state(labels, predictions)


curve = []
for epoch in range(1, EPOCHS + 1):
    for features, labels in train_ds:
        train_step(features, labels)
    for features, labels in test_ds:
        test_step(features, labels)

    template = "epoch {:2d} | loss {:.5f} acc {:.1%} | test loss {:.5f} acc {:.1%}"
    print(
        template.format(
            epoch,
            float(train_loss.result()),
            float(train_acc.result()),
            float(test_loss.result()),
            float(test_acc.result()),
        )
    )
    curve.append((train_loss.result().item(), float(test_acc.result())))

    for metric in (train_loss, train_acc, test_loss, test_acc):
        metric.reset_state()

print("best test accuracy", max(acc for _, acc in curve))

# how sure is the network about the flowers it gets wrong?
model.eval()
probs = model(x_test).detach().cpu().numpy()
for p, t in zip(probs, y_test):
    if p.argmax() != t:
        print(iris.target_names[t], "->", iris.target_names[p.argmax()], p.round(3))

# which feature matters? the gradient of the loss with respect to the input
x_test = x_test.detach().requires_grad_()
loss = criterion(y_test, model(x_test))
saliency = torch.mean(torch.abs(torch.autograd.grad(loss, x_test)[0]), dim=0)
for name, s in zip(iris.feature_names, saliency.detach().cpu().numpy()):
    print("%-20s %.5f" % (name, s))
