"""Neural matrix factorisation: embeddings, Dot, Concatenate; ratings are generated."""

import collections
import os

import numpy as np
import pandas as pd
import random
import torch
from torch import nn
from torch.utils.data import DataLoader


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


def mean_squared_error(y_true, y_pred):
    """keras.losses.mean_squared_error: the mean over the last axis."""
    return (y_pred - like(y_true, y_pred)).square().mean(-1)


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


class KerasAdamax(KerasOptimizer):
    """keras Adamax: epsilon is added to the maximum."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, **kwargs):
        super().__init__(params, lr, betas=betas, eps=eps, **kwargs)

    def update(self, p, g, state, group):
        beta_1, beta_2 = group["betas"]
        m, u = self.slot(state, "momentum", p), self.slot(state, "norm", p)
        m.lerp_(g, 1 - beta_1)
        torch.maximum(beta_2 * u, g.abs(), out=u)
        step_size = group["lr"] / (1 - beta_1 ** group["iterations"])
        p.sub_(step_size * m / (u + group["eps"]))


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


def regularize(layer, l1=0.0, l2=0.0, name="weight"):
    """Remembers the penalty on a layer's weight, which `regularization` adds up."""
    layer.penalties = [*getattr(layer, "penalties", ()), (name, l1, l2)]
    return layer


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


def get_weights(model):
    """Copies of all parameters and buffers as numpy arrays, in the order of state_dict."""
    return [
        value.detach().cpu().numpy().copy() for value in model.state_dict().values()
    ]


Config = collections.namedtuple(
    "Config", "n_users n_movies n_ratings k batch epochs seed"
)
cfg = Config(n_users=150, n_movies=90, n_ratings=5000, k=6, batch=64, epochs=5, seed=12)


def ratings_frame(cfg):
    rng = np.random.RandomState(cfg.seed)
    taste = rng.normal(0, 1, (cfg.n_users, 2))
    genre = rng.normal(0, 1, (cfg.n_movies, 2))
    df = (
        pd.DataFrame(
            {
                "userId": rng.randint(0, cfg.n_users, cfg.n_ratings),
                "movieId": rng.randint(0, cfg.n_movies, cfg.n_ratings),
            }
        )
        .drop_duplicates()
        .reset_index(drop=True)
    )
    score = (taste[df.userId] * genre[df.movieId]).sum(axis=1) + 0.5 * rng.normal(
        size=len(df)
    )
    df["rating"] = np.clip(np.round(3.2 + score), 1, 5)
    return df


class Vector(nn.Module):
    def __init__(self, n, dim):
        super().__init__()
        self.embedding = regularize(
            initialize(nn.Embedding(n, dim), he_normal), l2=1e-6
        )
        self.flatten = nn.Flatten()

    def forward(self, x):
        e = self.embedding(x)
        x = self.flatten(e)
        return x


class Neumf(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.user_gmf = Vector(cfg.n_users, cfg.k)
        self.movie_gmf = Vector(cfg.n_movies, cfg.k)
        self.user_bias = Vector(cfg.n_users, 1)
        self.movie_bias = Vector(cfg.n_movies, 1)
        self.user_mlp = Vector(cfg.n_users, cfg.k)
        self.movie_mlp = Vector(cfg.n_movies, cfg.k)
        self.dense = nn.Sequential(nn.Linear(3 * cfg.k, 24), nn.ReLU())
        self.norm = nn.BatchNorm1d(24, eps=0.001, momentum=0.01)
        self.dropout = nn.Dropout(0.1)
        self.dense2 = nn.Sequential(nn.Linear(24, 12), nn.ReLU())
        self.norm2 = nn.BatchNorm1d(12, eps=0.001, momentum=0.01)
        self.dropout2 = nn.Dropout(0.1)
        self.dense3 = nn.Linear(12, 1)
        self.rating = initialize(nn.Linear(1, 1), nn.init.ones_)

    def forward(self, user, movie):
        dot = (self.user_gmf(user) * self.movie_gmf(movie)).sum(-1, keepdim=True)
        bias = self.user_bias(user) + self.movie_bias(movie)
        a = self.user_mlp(user)
        b = self.movie_mlp(movie)
        h = torch.cat([a, b, a * b], dim=-1)
        h = self.dense(h)
        h = self.norm(h)
        h = self.dropout(h)
        h = self.dense2(h)
        h = self.norm2(h)
        h = self.dropout2(h)
        deep = self.dense3(h)
        total = dot + bias + deep
        x = self.rating(total)
        return x


def build(cfg):
    # linear part
    # deep part
    return Neumf(cfg)


random.seed(cfg.seed)
np.random.seed(cfg.seed)
torch.manual_seed(cfg.seed)
df = ratings_frame(cfg)
print(df.describe().loc[["count", "mean", "std"]].round(2))
test = df.sample(frac=0.15, random_state=cfg.seed)
train = df.drop(test.index)
mean = train.rating.mean()

model = build(cfg)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def criterion(outputs, targets):
    return mean_squared_error(targets, outputs).mean()


model.to(device)
optimizer = KerasAdamax(model.parameters(), lr=0.02)
metrics = {"mae": MeanMetric(mean_absolute_error)}
train_loader = DataLoader(
    slices(
        (
            (
                torch.as_tensor(
                    np.asarray(train.userId.values), dtype=torch.int64
                ).reshape(-1, 1),
                torch.as_tensor(
                    np.asarray(train.movieId.values), dtype=torch.int64
                ).reshape(-1, 1),
            ),
            torch.as_tensor(
                np.asarray(train.rating.values - mean), dtype=torch.float32
            ).reshape(-1, 1),
        )
    ),
    batch_size=cfg.batch,
    shuffle=True,
)
val_loader = DataLoader(
    slices(
        (
            (
                torch.as_tensor(
                    np.asarray(test.userId.values), dtype=torch.int64
                ).reshape(-1, 1),
                torch.as_tensor(
                    np.asarray(test.movieId.values), dtype=torch.int64
                ).reshape(-1, 1),
            ),
            torch.as_tensor(
                np.asarray(test.rating.values - mean), dtype=torch.float32
            ).reshape(-1, 1),
        )
    ),
    batch_size=cfg.batch,
)
history = {}
for epoch in range(cfg.epochs):
    model.train()
    total_2 = count = 0
    for metric in metrics.values():
        metric.reset_state()
    for inputs, targets in train_loader:
        inputs = to_device(inputs, device)
        targets = targets.to(device)
        optimizer.zero_grad()
        outputs = model(*inputs)
        loss = criterion(outputs, targets) + regularization(model)
        loss.backward()
        optimizer.step()
        total_2 += loss.item() * len(targets)
        count += len(targets)
        for metric in metrics.values():
            metric.update_state(targets, outputs)
    logs = {"loss": total_2 / count}
    logs |= {key: float(value.result()) for key, value in metrics.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(
            model,
            val_loader,
            criterion,
            metrics,
            penalty=regularization,
            call=call_with_all,
        ).items()
    }
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
    print(
        f"Epoch {epoch + 1}/{cfg.epochs} - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )
print(
    "val mae by epoch:",
    np.round(history["val_mae"], 3),
    "constant:",
    round((test.rating - mean).abs().mean(), 3),
)

torch.save(model, "neumf.h5")
again = torch.load("neumf.h5", map_location=device, weights_only=False)
user = 7
scores = (
    predict_batches(
        again,
        DataLoader(
            slices(
                (
                    torch.as_tensor(
                        np.full(cfg.n_movies, user), dtype=torch.int64
                    ).unsqueeze(-1),
                    torch.as_tensor(
                        np.arange(cfg.n_movies), dtype=torch.int64
                    ).unsqueeze(-1),
                )
            ),
            batch_size=32,
        ),
        call=call_with_all,
    ).ravel()
    + mean
)
unseen = np.setdiff1d(np.arange(cfg.n_movies), train[train.userId == user].movieId)
top = unseen[np.argsort(-scores[unseen])][:5]
print("for user %d: %s" % (user, ", ".join("%d (%.2f)" % (i, scores[i]) for i in top)))

vectors = get_weights(model.movie_gmf.embedding)[0]
print(
    "movie vectors",
    vectors.shape,
    "norm",
    round(float(np.linalg.norm(vectors, axis=1).mean()), 3),
)
