# Rare disease: few of the malignant cases are kept; the loss is weighted by class, and the
# output bias starts at the base rate.

from __future__ import absolute_import, division, print_function

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight
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


def binary_cross_entropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of logits."""
    y_true = like(y_true, y_pred) * (1 - label_smoothing) + 0.5 * label_smoothing
    return F.binary_cross_entropy_with_logits(y_pred, y_true, reduction="none").mean(-1)


def weighted_mean(losses, sample_weight=None):
    """Keras' loss with sample weights: their weighted sum divided by the number of losses."""
    if sample_weight is None:
        return losses.mean()
    weights = sample_weight.reshape(
        sample_weight.shape + (1,) * (losses.dim() - sample_weight.dim())
    )
    return (losses * weights).sum() / losses.numel()


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


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


def binary_accuracy(y_true, y_pred, threshold=0.5):
    """For each example, the part of the predictions that is on the target's side."""
    hits = (y_pred > threshold) == (y_true.reshape(y_pred.shape) > 0.5)
    return hits.to(torch.get_default_dtype()).mean(-1)


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


class Confusion:
    """True and false positives and negatives above a threshold, since the last reset."""

    def __init__(self, threshold=0.5, name=None):
        self.threshold = 0.5 if threshold is None else threshold
        self.name = name
        self.reset_state()

    def reset_state(self):
        self.tp = self.fp = self.tn = self.fn = 0.0

    def update_state(self, y_true, y_pred):
        y_true, y_pred = torch.as_tensor(y_true), torch.as_tensor(y_pred)
        positive, truth = y_pred > self.threshold, y_true.reshape(y_pred.shape) > 0.5
        self.tp = self.tp + (positive & truth).sum()
        self.fp = self.fp + (positive & ~truth).sum()
        self.tn = self.tn + (~positive & ~truth).sum()
        self.fn = self.fn + (~positive & truth).sum()

    def __call__(self, y_true, y_pred):
        self.update_state(y_true, y_pred)
        return self.result()

    def ratio(self, part, whole):
        return torch.as_tensor(part / whole if whole else 0.0)


class Precision(Confusion):
    """keras.metrics.Precision: the part of the positive predictions that is right."""

    def result(self):
        return self.ratio(self.tp, self.tp + self.fp)


class Recall(Confusion):
    """keras.metrics.Recall: the part of the positive targets that is found."""

    def result(self):
        return self.ratio(self.tp, self.tp + self.fn)


class AUC:
    """keras.metrics.AUC: the area under the ROC curve at 200 thresholds."""

    def __init__(self, num_thresholds=200, name=None):
        self.name = name
        inner = torch.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        self.thresholds = torch.cat(
            [torch.tensor([-1e-7]), inner, torch.tensor([1 + 1e-7])]
        )
        self.reset_state()

    def reset_state(self):
        self.tp = self.fp = self.positives = self.negatives = 0.0

    def update_state(self, y_true, y_pred):
        y_pred = torch.as_tensor(y_pred)
        truth = torch.as_tensor(y_true).flatten() > 0.5
        above = y_pred.detach().flatten() > self.thresholds.to(y_pred)[:, None]
        self.tp = self.tp + (above & truth).sum(1)
        self.fp = self.fp + (above & ~truth).sum(1)
        self.positives = self.positives + truth.sum()
        self.negatives = self.negatives + (~truth).sum()

    def __call__(self, y_true, y_pred):
        self.update_state(y_true, y_pred)
        return self.result()

    def result(self):
        recall, fallout = self.tp / self.positives, self.fp / self.negatives
        return ((fallout[:-1] - fallout[1:]) * (recall[:-1] + recall[1:]) / 2).sum()


class TruePositives(Confusion):
    """keras.metrics.TruePositives."""

    def result(self):
        return torch.as_tensor(self.tp)


class FalsePositives(Confusion):
    """keras.metrics.FalsePositives."""

    def result(self):
        return torch.as_tensor(self.fp)


random.seed(33)
np.random.seed(33)
torch.manual_seed(33)

N_SICK = 45
EPOCHS = 8
BATCH = 16

cancer = load_breast_cancer()
sick = cancer.target == 0
chosen = np.concatenate([np.flatnonzero(sick)[:N_SICK], np.flatnonzero(~sick)])
np.random.shuffle(chosen)
X, y = cancer.data[chosen].astype(np.float32), sick[chosen].astype(np.int32)

cut = int(0.7 * len(y))
scaler = StandardScaler().fit(X[:cut])
X = np.clip(scaler.transform(X), -5, 5)
X_train, X_test, y_train, y_test = X[:cut], X[cut:], y[:cut], y[cut:]
rate = y_train.mean()
print("{} patients, {:.1%} of them sick".format(len(y), y.mean()))


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def build(p):
    """p: base rate of the positive class"""
    log_odds = np.log(p / (1 - p))
    net = nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 1))

    def criterion(outputs, targets, sample_weight=None):
        return weighted_mean(binary_cross_entropy(targets, outputs), sample_weight)

    net.to(device)
    net.optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, eps=1e-7)
    net.metrics = {
        "accuracy": MeanMetric(binary_accuracy),
        "precision": Precision(),
        "recall": Recall(),
        "auc": AUC(),
        "tp": TruePositives(),
        "fp": FalsePositives(),
    }
    net.criterion = criterion
    return net


net = build(rate)
before = list(
    evaluate(
        net,
        DataLoader(
            TensorDataset(
                torch.as_tensor(X_train, dtype=torch.float32),
                torch.as_tensor(y_train, dtype=torch.float32).reshape(-1, 1),
            ),
            batch_size=64,
        ),
        net.criterion,
        net.metrics,
        activation=torch.sigmoid,
    ).values()
)
entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
print(
    "loss before training %.4f (entropy of the base rate %.4f)" % (before[0], entropy)
)

balanced = compute_class_weight("balanced", classes=np.array([0, 1]), y=y_train)
class_weight = dict(enumerate(balanced))
print("class weights", {k: round(float(v), 3) for k, v in class_weight.items()})

train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(X_train, dtype=torch.float32),
        torch.as_tensor(y_train, dtype=torch.float32).reshape(-1, 1),
        torch.tensor([class_weight[int(label)] for label in np.ravel(y_train)]),
    ),
    batch_size=BATCH,
    shuffle=True,
)
history = {}
for epoch in range(EPOCHS):
    net.train()
    total = count = 0
    for metric in net.metrics.values():
        metric.reset_state()
    for inputs, targets, weights in train_loader:
        inputs, targets, weights = (
            inputs.to(device),
            targets.to(device),
            weights.to(device),
        )
        net.optimizer.zero_grad()
        outputs = net(inputs)
        loss = net.criterion(outputs, targets, weights)
        loss.backward()
        net.optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in net.metrics.values():
            metric.update_state(targets, outputs.sigmoid())
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in net.metrics.items()}
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
for i in range(EPOCHS):
    print(
        "epoch {:2d}: weighted loss {:.4f}, precision {:.3f}, recall {:.3f}, auc {:.3f}".format(
            i + 1, *[history[k][i] for k in ("loss", "precision", "recall", "auc")]
        )
    )

after = evaluate(
    net,
    DataLoader(
        TensorDataset(
            torch.as_tensor(X_test, dtype=torch.float32),
            torch.as_tensor(y_test, dtype=torch.float32).reshape(-1, 1),
        ),
        batch_size=BATCH,
    ),
    net.criterion,
    net.metrics,
    activation=torch.sigmoid,
)
for k in sorted(after):
    print("%-10s %.4f" % (k, after[k]))

# some doctors are surer than others: a weight per sample, on top of the trained network
sure = np.random.uniform(0.5, 1.0, size=len(y_train)).astype("float32")
weight = sure * np.where(y_train == 1, balanced[1], balanced[0])
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(X_train, dtype=torch.float32),
        torch.as_tensor(y_train, dtype=torch.float32).reshape(-1, 1),
        torch.as_tensor(weight, dtype=torch.float32),
    ),
    batch_size=32,
    shuffle=True,
)
more = {}
for epoch in range(2):
    net.train()
    total = count = 0
    for metric in net.metrics.values():
        metric.reset_state()
    for inputs, targets, weights in train_loader:
        inputs, targets, weights = (
            inputs.to(device),
            targets.to(device),
            weights.to(device),
        )
        net.optimizer.zero_grad()
        outputs = net(inputs)
        loss = net.criterion(outputs, targets, weights)
        loss.backward()
        net.optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in net.metrics.values():
            metric.update_state(targets, outputs.sigmoid())
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in net.metrics.items()}
    for key, value in logs.items():
        more.setdefault(key, []).append(value)
print("by sample weight", np.round(more["loss"], 4))

# threshold chosen on the training data
p_train = predict(
    net, torch.as_tensor(X_train, dtype=torch.float32), activation=torch.sigmoid
).ravel()
p_test = predict(
    net, torch.as_tensor(X_test, dtype=torch.float32), activation=torch.sigmoid
).ravel()
grid = np.linspace(0.1, 0.9, 17)
f1 = [
    2
    * ((p_train > t) & (y_train == 1)).sum()
    / max(1, (p_train > t).sum() + y_train.sum())
    for t in grid
]
best = grid[int(np.argmax(f1))]
print(
    "threshold %.2f: %d of %d sick found, %d false alarms"
    % (
        best,
        ((p_test > best) & (y_test == 1)).sum(),
        y_test.sum(),
        ((p_test > best) & (y_test == 0)).sum(),
    )
)
