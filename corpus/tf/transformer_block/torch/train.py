"""A transformer encoder decides which kind of bracket is closed more often in a string."""

import numpy as np
import math
import random
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


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


def glorot_normal(weight):
    """keras.initializers.GlorotNormal: a truncated normal."""
    return variance_scaling(weight, mode="fan_avg")


def initialize(layer, weight=nn.init.xavier_uniform_, bias=nn.init.zeros_):
    """Gives a layer Keras' initial values: Glorot uniform weights and zero biases, if not told."""
    weight(layer.weight)
    if getattr(layer, "bias", None) is not None:
        bias(layer.bias)
    return layer


def masked_softmax(scores, mask=None):
    """Softmax over the places where mask is True; over all places where it is nowhere."""
    if mask is not None:
        scores = scores + torch.where(mask, 0.0, -1e9).to(scores.dtype)
    return scores.softmax(-1)


class KerasMultiHeadAttention(nn.Module):
    """keras.layers.MultiHeadAttention: any key_dim; (query, value, key); True means attend."""

    def __init__(
        self,
        query_dim,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_dim=None,
    ):
        super().__init__()
        self.num_heads = num_heads
        value_dim = value_dim or key_dim
        self.query = nn.Linear(query_dim, num_heads * key_dim, bias=use_bias)
        self.key = nn.Linear(query_dim, num_heads * key_dim, bias=use_bias)
        self.value = nn.Linear(query_dim, num_heads * value_dim, bias=use_bias)
        self.output = nn.Linear(
            num_heads * value_dim, output_dim or query_dim, bias=use_bias
        )
        self.dropout = nn.Dropout(dropout)
        size = output_dim or query_dim
        for layer, fans in (
            (self.query, (num_heads + key_dim) * query_dim),
            (self.key, (num_heads + key_dim) * query_dim),
            (self.value, (num_heads + value_dim) * query_dim),
            (self.output, (value_dim + size) * num_heads),
        ):  # Glorot uniform of Keras' kernels, which have an axis for the heads
            nn.init.uniform_(layer.weight, -((6 / fans) ** 0.5), (6 / fans) ** 0.5)
            if use_bias:
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        query,
        value,
        key=None,
        attention_mask=None,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        heads = lambda x: x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3)
        q, v = heads(self.query(query)), heads(self.value(value))
        k = heads(self.key(value if key is None else key))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if attention_mask is not None:
            attention_mask = attention_mask.bool().unsqueeze(-3)
        if use_causal_mask:
            causal = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
            attention_mask = (
                causal if attention_mask is None else attention_mask & causal
            )
        weights = self.dropout(masked_softmax(scores, attention_mask))
        outputs = self.output((weights @ v).transpose(-2, -3).flatten(-2))
        return (outputs, weights) if return_attention_scores else outputs


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


random.seed(812)
np.random.seed(812)
torch.manual_seed(812)

PADDING, CLS = 0, 1
TOKENS = {"(": 2, ")": 3, "[": 4, "]": 5, "x": 6}
MAXLEN = 16


class Embed(nn.Module):
    """Token vectors scaled up, plus learned positions."""

    def __init__(self, vocab, length, dim):
        super().__init__()
        self.dim = dim
        self.tokens = initialize(nn.Embedding(vocab, dim), glorot_normal)
        self.length = length
        self.positions = nn.Parameter(
            nn.init.trunc_normal_(
                torch.empty(1, self.length, self.dim), 0.0, 0.1, -0.2, 0.2
            )
        )

    def forward(self, ids):
        n = torch.as_tensor(ids).shape[1]
        return self.tokens(ids) * math.sqrt(float(self.dim)) + self.positions[:, :n, :]


class EncoderBlock(nn.Module):
    def __init__(self, dim, heads, hidden, dropout=0.0):
        super().__init__()
        self.norm_a = nn.LayerNorm(dim, eps=1e-6)
        self.attention = KerasMultiHeadAttention(dim, heads, dim // heads)
        self.norm_b = nn.LayerNorm(dim, eps=0.001)
        self.hidden = nn.Sequential(nn.Linear(dim, hidden), nn.GELU())
        self.project = nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, visible=None):
        normed = self.norm_a(x)
        x = x + self.attention(query=normed, value=normed, attention_mask=visible)
        y = self.project(self.hidden(self.norm_b(x)))
        return x + self.dropout(y)


class BracketModel(nn.Module):
    def __init__(self, depth=2, dim=24, heads=3):
        super().__init__()
        self.embed = Embed(len(TOKENS) + 2, MAXLEN + 1, dim)
        self.blocks = nn.ModuleList(
            [EncoderBlock(dim, heads, 2 * dim) for i in range(depth)]
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(48, 1)

    def forward(self, ids):
        real = ids != PADDING
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x, visible=real[:, None, :])
        x = self.norm(x)
        weight = real.to(x.dtype)[:, :, None]
        mean = torch.sum(x * weight, dim=1) / torch.sum(weight, dim=1)
        return self.head(torch.cat([x[:, 0], mean], dim=-1))


def make(n, seed):
    rng = np.random.default_rng(seed)
    ids = np.full((n, MAXLEN + 1), PADDING, dtype="int32")
    labels = np.zeros((n, 1), dtype="float32")
    for row in range(n):
        s = rng.choice(list("()[]x"), size=int(rng.integers(5, MAXLEN + 1)))
        ids[row, 0] = CLS
        ids[row, 1 : len(s) + 1] = [TOKENS[str(ch)] for ch in s]
        labels[row] = np.sum(s == ")") > np.sum(s == "]")
    return ids, labels


x_train, y_train = make(1600, 0)
x_val, y_val = make(300, 1)

model = BracketModel()
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, eps=1e-7, weight_decay=1e-4)
metrics = {"binary_accuracy": MeanMetric(binary_accuracy, threshold=0.0)}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_train, dtype=torch.int64),
        torch.as_tensor(y_train, dtype=torch.float32),
    ),
    batch_size=64,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(x_val, dtype=torch.int64),
        torch.as_tensor(y_val, dtype=torch.float32),
    ),
    batch_size=64,
)
history = {}
for epoch in range(4):
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
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
    print(
        f"Epoch {epoch + 1}/4 - "
        + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
    )

logits = predict(model, torch.as_tensor(x_val, dtype=torch.int64), batch_size=100)
print("accuracy %.3f" % np.mean((logits > 0) == (y_val > 0.5)))
print("loss went from %.4f to %.4f" % (history["loss"][0], history["loss"][-1]))

# where does the class token look?
block = model.blocks[0]
h = block.norm_a(model.embed(torch.as_tensor(x_val[:1])))
_, scores = block.attention(
    h,
    h,
    attention_mask=(x_val[:1] != PADDING)[:, None, :],
    return_attention_scores=True,
)
inverse = {v: k for k, v in TOKENS.items()}
for token, s in zip(
    x_val[0][1:], scores.detach().cpu().numpy()[0, :, 0, 1:].mean(axis=0)
):
    if token != PADDING:
        print(inverse[int(token)], "%.3f" % s)
