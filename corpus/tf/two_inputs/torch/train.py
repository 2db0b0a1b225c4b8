"""Functional API: two inputs (words of a news wire and its marks), two outputs
(is it urgent, and for which desk), shared embedding for headline and article."""

import argparse

import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader


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


def categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the largest target."""
    return (y_pred.argmax(-1) == y_true.argmax(-1)).to(torch.get_default_dtype())


class LossMetric:
    """The mean over all examples of a loss that is a mean over each batch."""

    def __init__(self, loss):
        self.loss = loss
        self.reset_state()

    def reset_state(self):
        self.total = self.count = 0

    def update_state(self, y_true, y_pred, *weights):
        self.total += float(self.loss(y_pred, y_true, *weights)) * len(y_true)
        self.count += len(y_true)

    def result(self):
        return self.total / max(self.count, 1)


class OutputMetric:
    """A metric of one of several outputs."""

    def __init__(self, metric, output, target=None):
        self.metric = metric
        self.output = output
        self.target = output if target is None else target

    def reset_state(self):
        self.metric.reset_state()

    def update_state(self, y_true, y_pred, *weights):
        self.metric.update_state(y_true[self.target], y_pred[self.output], *weights)

    def result(self):
        return self.metric.result()


def like(y_true, y_pred):
    """Targets with the dtype and rank of the predictions, as Keras' losses take them."""
    y_true = torch.as_tensor(y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.dim() == y_pred.dim() + 1:
        return y_true.squeeze(-1)
    return y_true.unsqueeze(-1) if y_true.dim() == y_pred.dim() - 1 else y_true


def binary_crossentropy(y_true, y_pred, label_smoothing=0.0):
    """keras.losses.binary_crossentropy of probabilities, which are clipped to 1e-7."""
    y_true = like(y_true, y_pred) * (1 - label_smoothing) + 0.5 * label_smoothing
    p = y_pred.clamp(1e-7, 1 - 1e-7)
    return F.binary_cross_entropy(p, y_true, reduction="none").mean(-1)


class GlobalAvgPool(nn.Module):
    """keras' global average pooling of channels-first data."""

    def __init__(self, keepdim=False):
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x):
        return x.mean(tuple(range(2, x.dim())), keepdim=self.keepdim)


class GlobalMaxPool(nn.Module):
    """keras' global maximum pooling of channels-first data: equal maxima share the gradient."""

    def __init__(self, keepdim=False):
        super().__init__()
        self.keepdim = keepdim

    def forward(self, x):
        return x.amax(tuple(range(2, x.dim())), keepdim=self.keepdim)


def to_tensor(data):
    """An array as a tensor, floats in the default precision."""
    tensor = torch.as_tensor(np.asarray(data))
    return (
        tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor
    )


def slices(data):
    """The rows of arrays as a dataset, in the tuples and dicts that the arrays come in."""
    if isinstance(data, tuple):
        return torch.utils.data.StackDataset(*map(slices, data))
    if isinstance(data, dict):
        return torch.utils.data.StackDataset(**{key: slices(data[key]) for key in data})
    array = data if isinstance(data, torch.Tensor) else np.asarray(data)
    is_text = isinstance(array, np.ndarray) and array.dtype.kind in "OSU"
    return array.tolist() if is_text else to_tensor(array)


def to_device(data, device):
    """Tensors, also those in lists and dicts, on a device."""
    if isinstance(data, dict):
        return {key: to_device(value, device) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [to_device(value, device) for value in data]
    return data.to(device) if isinstance(data, torch.Tensor) else data


def first_tensor(data):
    """The first tensor of tensors in lists and dicts."""
    while not isinstance(data, torch.Tensor):
        data = next(iter(data.values() if isinstance(data, dict) else data))
    return data


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


def call_with_all(model, inputs):
    """A model called on inputs that come in a list or a dict."""
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def join_batches(parts):
    """The outputs of all batches as one numpy array, in the lists and dicts that they come in."""
    if isinstance(parts[0], dict):
        return {key: join_batches([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], (list, tuple)):
        return [join_batches(group) for group in zip(*parts)]
    return torch.cat(parts).cpu().numpy()


def predict_batches(model, loader, activation=None, call=None):
    """The model's outputs for all batches, in evaluation mode, as numpy arrays."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        batches = (to_device(batch, device) for batch in loader)
        outputs = [model(x) if call is None else call(model, x) for x in batches]
    return join_batches(
        outputs if activation is None else [activation(y) for y in outputs]
    )


VOCAB = 60
HEAD_LEN, TEXT_LEN = 6, 18
N_FLAGS, N_DESKS = 5, 4


def make_wires(n, seed=0):
    """Words below 40 are noise; every desk has its own five words above."""
    rng = np.random.default_rng(seed)
    desk = rng.integers(0, N_DESKS, n)
    headline = rng.integers(1, 40, (n, HEAD_LEN))
    article = rng.integers(1, 40, (n, TEXT_LEN))
    rows = np.arange(n)
    for _ in range(4):
        article[rows, rng.integers(0, TEXT_LEN, n)] = (
            40 + 5 * desk + rng.integers(0, 5, n)
        )
    headline[rows, rng.integers(0, HEAD_LEN, n)] = 40 + 5 * desk + rng.integers(0, 5, n)
    marks = rng.integers(0, 2, (n, N_FLAGS)).astype("float32")
    score = marks @ np.array([1.5, -1.0, 0.5, 0.8, -0.4]) + 0.3 * desk - 0.6
    urgent = (score + rng.normal(0, 0.3, n) > 0).astype("float32")
    x = {"headline": headline, "article": article, "marks": marks}
    y = {"urgent": urgent[:, None], "desk": np.eye(N_DESKS)[desk]}
    return x, y


class Wires(nn.Module):
    def __init__(self, embedding_dim, units):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, embedding_dim)
        self.pool = GlobalAvgPool()
        self.conv = nn.Sequential(nn.Conv1d(embedding_dim, units, 3), nn.ReLU())
        self.pool2 = GlobalMaxPool()
        self.dense = nn.Sequential(nn.Linear(embedding_dim + units + 5, 32), nn.ReLU())
        self.dropout = nn.Dropout(0.1)
        self.urgent = nn.Sequential(nn.Linear(32, 1), nn.Sigmoid())
        self.desk = nn.Linear(32, N_DESKS)

    def forward(self, headline, article, marks):
        headline_features = self.pool(self.embed(headline).permute(0, 2, 1))
        article_features = self.conv(self.embed(article).permute(0, 2, 1))
        article_features = self.pool2(article_features)
        x = torch.cat([headline_features, article_features, marks], dim=-1)
        x = self.dense(x)
        x = self.dropout(x)
        urgent_pred = self.urgent(x)
        desk_pred = self.desk(x)
        return {"urgent": urgent_pred, "desk": desk_pred}


def build(embedding_dim=12, units=16):
    # one table of words for both texts
    return Wires(embedding_dim, units)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=42)
    opts = parser.parse_args()

    random.seed(opts.seed)
    np.random.seed(opts.seed)
    torch.manual_seed(opts.seed)
    x, y = make_wires(960)
    x_test, y_test = make_wires(200, seed=1)

    model = build()

    def urgent_loss(outputs, targets):
        return binary_crossentropy(targets, outputs).mean()

    desk_loss = nn.CrossEntropyLoss()

    def criterion(outputs, targets):
        return urgent_loss(outputs["urgent"], targets["urgent"]) + 0.5 * desk_loss(
            outputs["desk"], targets["desk"]
        )

    model.to(device)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3, alpha=0.9, eps=1e-7)
    metrics = {
        "urgent_loss": OutputMetric(LossMetric(urgent_loss), "urgent"),
        "desk_loss": OutputMetric(LossMetric(desk_loss), "desk"),
        "desk_accuracy": OutputMetric(MeanMetric(categorical_accuracy), "desk"),
        "urgent_accuracy": OutputMetric(MeanMetric(binary_accuracy), "urgent"),
    }
    train_loader = DataLoader(slices((x, y)), batch_size=opts.batch_size, shuffle=True)
    for epoch in range(opts.epochs):
        model.train()
        total = count = 0
        for metric in metrics.values():
            metric.reset_state()
        for inputs, targets in train_loader:
            inputs = to_device(inputs, device)
            targets = to_device(targets, device)
            optimizer.zero_grad()
            outputs = model(**inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets["urgent"])
            count += len(targets["urgent"])
            for metric in metrics.values():
                metric.update_state(targets, outputs)
        logs = {"loss": total / count}
        logs |= {key: float(value.result()) for key, value in metrics.items()}
        print(
            f"Epoch {epoch + 1}/{opts.epochs} - "
            + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
        )
    results = evaluate(
        model,
        DataLoader(slices((x_test, y_test)), batch_size=32),
        criterion,
        metrics,
        call=call_with_all,
    )
    for name in sorted(results):
        print(f"{name:>24s}: {results[name]:.4f}")

    out = predict_batches(
        model,
        DataLoader(slices({k: v[:3] for k, v in x_test.items()}), batch_size=32),
        call=call_with_all,
    )
    print(
        out["urgent"].ravel().round(3),
        torch.softmax(torch.as_tensor(out["desk"]), dim=-1)
        .detach()
        .cpu()
        .numpy()
        .argmax(-1),
    )


if __name__ == "__main__":
    main()
