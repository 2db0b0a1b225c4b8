"""Bidirectional GRUs over pen strokes: classify which letter was drawn.

A ``tf.data`` pipeline with jitter, a functional model with a bidirectional GRU that returns
its states, and ``Model.fit`` over the pipeline.
"""

import logging
import math
from typing import Tuple

import numpy as np
import itertools
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset


def to_tensor(data):
    """An array as a tensor, floats in the default precision."""
    tensor = torch.as_tensor(np.asarray(data))
    return (
        tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor
    )


class Mapped(Dataset):
    """A dataset with a function applied to each element; tuples are spread over its arguments."""

    def __init__(self, dataset, function):
        self.dataset = dataset
        self.function = function

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        element = self.dataset[index]
        if isinstance(element, tuple):
            return self.function(*element)
        return self.function(element)


def cosine_decay(
    initial_learning_rate, decay_steps, alpha=0.0, warmup_target=None, warmup_steps=0
):
    """keras CosineDecay: a linear warmup to the target, if given, then half a cosine."""

    def schedule(step):
        peak, start = initial_learning_rate, 0
        if warmup_target is not None:
            peak, start = warmup_target, warmup_steps
            if step < warmup_steps:
                climb = warmup_target - initial_learning_rate
                return initial_learning_rate + climb * step / warmup_steps
        part = min(step - start, decay_steps) / decay_steps
        return peak * ((1 - alpha) * (1 + math.cos(math.pi * part)) / 2 + alpha)

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


class KerasRecurrent(nn.Module):
    """One keras recurrent layer over torch's: dropped inputs, masks, direction, kind of output."""

    def __init__(
        self,
        rnn,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        dropout=0.0,
    ):
        super().__init__()
        self.rnn = rnn  # batch first, one layer
        if isinstance(rnn, nn.GRU) and rnn.bias:  # Keras clips them as one
            rnn.bias_ih_l0.joined_with = [rnn.bias_hh_l0]
            rnn.bias_hh_l0.joined_with = [rnn.bias_ih_l0]
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.dropout = dropout

    def get_initial_state(self, batch_size):
        zeros = self.rnn.weight_hh_l0.new_zeros(batch_size, self.rnn.hidden_size)
        return [zeros, zeros] if isinstance(self.rnn, nn.LSTM) else [zeros]

    def run(self, x, states):
        """All outputs and the final states, each of shape (batch, units)."""
        if states is not None:
            states = [state[None] for state in states]
            states = tuple(states) if len(states) > 1 else states[0]
        y, states = self.rnn(x, states)
        return y, states if isinstance(states, tuple) else (states,)

    def run_masked(self, x, mask, states):
        """As run; a masked step repeats the output before it and keeps the states."""
        lengths = mask.sum(1)
        order = (
            (~mask).long().argsort(dim=1, stable=True)
        )  # the steps that count come first
        x = x.take_along_dim(order[..., None], 1)
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        y, final = self.run(packed, states)
        y, _ = nn.utils.rnn.pad_packed_sequence(
            y, batch_first=True, total_length=x.shape[1]
        )
        index = mask.cumsum(1) - 1
        y = y.take_along_dim(index.clamp(min=0)[..., None], 1) * (index >= 0)[..., None]
        some = (lengths > 0)[:, None]
        before = [torch.zeros_like(s) for s in final] if states is None else states
        return y, [torch.where(some, s, b) for s, b in zip(final, before)]

    def forward(self, x, mask=None, initial_state=None):
        if isinstance(initial_state, torch.Tensor):
            initial_state = [initial_state]
        if self.go_backwards:
            x, mask = x.flip(1), None if mask is None else mask.flip(1)
        if self.dropout:  # the same inputs are dropped at every step
            x = x * F.dropout(torch.ones_like(x[:, :1]), self.dropout, self.training)
        if mask is None:
            y, states = self.run(x, initial_state)
        else:
            y, states = self.run_masked(x, mask, initial_state)
        states = [state.reshape(len(x), -1) for state in states]
        y = y if self.return_sequences else y[:, -1]
        return (y, *states) if self.return_state else y


class Bidirectional(nn.Module):
    """keras.layers.Bidirectional of two layers, the second with go_backwards=True."""

    def __init__(self, forward, backward, merge_mode="concat"):
        super().__init__()
        self.directions = nn.ModuleList([forward, backward])
        self.merge_mode = merge_mode

    def forward(self, x, mask=None, initial_state=None):
        first, second = self.directions
        half = None if initial_state is None else len(initial_state) // 2
        y = first(x, mask, initial_state and initial_state[:half])
        z = second(x, mask, initial_state and initial_state[half:])
        (y, *states), (z, *more) = (y, z) if first.return_state else ([y], [z])
        if first.return_sequences:
            z = z.flip(1)
            if mask is not None:  # zeros here, not the output before
                y, z = y * mask[..., None], z * mask[..., None]
        merge = {
            "concat": lambda: torch.cat([y, z], -1),
            "sum": lambda: y + z,
            "ave": lambda: (y + z) / 2,
            "mul": lambda: y * z,
            None: lambda: (y, z),
        }
        merged = merge[self.merge_mode]()
        return (merged, *states, *more) if first.return_state else merged


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


log = logging.getLogger("gestures")
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

CLASSES = "LOVZ"
STEPS = 20


def stroke(letter: str) -> np.ndarray:
    s = np.linspace(0.0, 1.0, STEPS)
    if letter == "L":
        xy = np.stack(
            [
                np.where(s < 0.6, 0.0, (s - 0.6) / 0.4),
                np.where(s < 0.6, 1 - s / 0.6, 0.0),
            ],
            1,
        )
    elif letter == "O":
        xy = np.stack([np.cos(2 * math.pi * s), np.sin(2 * math.pi * s)], 1) * 0.5 + 0.5
    elif letter == "V":
        xy = np.stack([s, np.abs(2 * s - 1)], 1)
    else:
        x = np.interp(s, [0, 0.33, 0.66, 1], [0, 1, 0, 1])
        y = np.interp(s, [0, 0.33, 0.66, 1], [1, 1, 0, 0])
        xy = np.stack([x, y], 1)
    return xy


def generate(n: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), n)
    xy = np.stack([stroke(CLASSES[k]) for k in labels])
    angle = rng.normal(0, 0.35, n)
    rot = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    ).transpose(2, 0, 1)
    backwards = rng.random(n) < 0.5  # half of the people start at the other end
    xy[backwards] = xy[backwards][:, ::-1]
    return (xy @ rot).astype("float32"), labels.astype("int64")


def jitter(xy: torch.Tensor, label: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
    xy = xy + torch.normal(0.0, 0.05, size=xy.shape)
    return xy, label


def to_deltas(xy, label):
    deltas = xy[1:] - xy[:-1]
    speed = torch.linalg.vector_norm(deltas, dim=-1, keepdim=True)
    return torch.cat([deltas * 10.0, speed], dim=-1), label


def pipeline(n: int, seed: int, batch: int, training: bool) -> DataLoader:
    ds = TensorDataset(*map(to_tensor, generate(n, seed)))
    if training:
        ds = Mapped(ds, jitter)
    ds = Mapped(ds, to_deltas)
    return DataLoader(ds, batch_size=batch, shuffle=training, drop_last=training)


class Net(nn.Module):
    def __init__(self, units):
        super().__init__()
        self.bidirectional = Bidirectional(
            KerasRecurrent(nn.GRU(3, units, batch_first=True), return_sequences=True),
            KerasRecurrent(
                nn.GRU(3, units, batch_first=True),
                return_sequences=True,
                go_backwards=True,
            ),
        )
        self.norm = nn.LayerNorm(32, eps=1e-5)
        self.bidirectional2 = Bidirectional(
            KerasRecurrent(nn.GRU(32, units, batch_first=True), return_state=True),
            KerasRecurrent(
                nn.GRU(32, units, batch_first=True),
                return_state=True,
                go_backwards=True,
            ),
            merge_mode="sum",
        )
        self.dense = nn.Sequential(nn.Linear(48, 24), nn.SiLU())
        self.logits = nn.Linear(24, len(CLASSES))

    def forward(self, deltas):
        seq = self.bidirectional(deltas)
        seq = self.norm(seq)
        out, forward, backward = self.bidirectional2(seq)
        h = torch.cat([out, forward, backward], dim=-1)
        h = self.dense(h)
        x = self.logits(h)
        return x


def build_model(units: int = 16) -> nn.Module:
    return Net(units)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    train = pipeline(640, 1, 32, training=True)
    valid = pipeline(160, 2, 80, training=False)
    log.info("element spec: %s", ("float32 unknown shape", "int64 (32,)"))

    steps_per_epoch = int(torch.tensor(len(train)).item())
    schedule = cosine_decay(
        initial_learning_rate=6e-3, decay_steps=4 * steps_per_epoch, alpha=0.05
    )
    model = build_model()
    criterion = nn.CrossEntropyLoss()
    model.to(device)
    optimizer = KerasAdam(model.parameters(), lr=1.0, clipnorm=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
    metrics = {"acc": MeanMetric(sparse_categorical_accuracy)}
    train_loader = train
    val_loader = valid
    history = {}
    for epoch_2 in range(4):
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
            scheduler.step()
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
        for key, value in logs.items():
            history.setdefault(key, []).append(value)
    for epoch, loss in enumerate(history["loss"]):
        log.info(
            "epoch %d loss %.4f acc %.3f val_loss %.4f val_acc %.3f",
            epoch,
            loss,
            *(history[k][epoch] for k in ("acc", "val_loss", "val_acc")),
        )

    for xy, label in itertools.islice(valid, 1):
        probs = torch.softmax(model(xy.to(device)).cpu(), dim=-1)
        top = torch.topk(probs, 2)
        for i in range(4):
            guess = [CLASSES[j] for j in top.indices[i].cpu().numpy()]
            log.info(
                "%s: %s %s",
                CLASSES[int(label[i])],
                guess,
                top.values[i].detach().cpu().numpy().round(2),
            )


if __name__ == "__main__":
    main()
