# Sentiment of short, made up reviews. Tokenizer by hand, pad_sequences, Embedding(mask_zero=True)
import random
import re
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


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


class KerasNadam(KerasOptimizer):
    """keras Nadam with its momentum schedule."""

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, **kwargs):
        super().__init__(params, lr, betas=betas, eps=eps, **kwargs)

    def update(self, p, g, state, group):
        (beta_1, beta_2), t = group["betas"], group["iterations"]
        mu = beta_1 * (1 - 0.5 * 0.96**t)
        mu_next = beta_1 * (1 - 0.5 * 0.96 ** (t + 1))
        if group.get("counted") != t:  # once per step, not per parameter
            group["mu_product"] = group.get("mu_product", 1.0) * mu
            group["counted"] = t
        product = group["mu_product"]
        m, v = self.slot(state, "momentum", p), self.slot(state, "velocity", p)
        m.lerp_(g, 1 - beta_1)
        v.lerp_(squared_gradient(p, g), 1 - beta_2)
        ahead = mu_next * m / (1 - product * mu_next) + (1 - mu) * g / (1 - product)
        p.sub_(group["lr"] * ahead / ((v / (1 - beta_2**t)).sqrt() + group["eps"]))


def single_bias(rnn):
    """Leaves a torch LSTM or RNN one trained bias per layer, as Keras has it."""
    for name, parameter in rnn.named_parameters():
        if name.startswith("bias_hh"):
            nn.init.zeros_(parameter).requires_grad_(False)
    return rnn


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


def apply_constraints(model):
    """Puts the weights of a model's layers back into their bounds, after a step."""
    with torch.no_grad():
        for layer in model.modules():
            for name, function in getattr(layer, "constraints", {}).items():
                weight = getattr(layer, name)
                weight.copy_(function(weight))


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


def pad_sequences(
    sequences, maxlen=None, dtype="int32", padding="pre", truncating="pre", value=0.0
):
    """Rows of one length: longer ones are cut and shorter ones filled up, at the front or end."""
    maxlen = max(map(len, sequences)) if maxlen is None else maxlen
    shape = next((np.asarray(row).shape[1:] for row in sequences if len(row)), ())
    result = np.full((len(sequences), maxlen, *shape), value, dtype=dtype)
    for target, row in zip(result, sequences):
        row = np.asarray(
            row[-maxlen:] if truncating == "pre" else row[:maxlen], dtype=dtype
        )
        if len(row):
            place = slice(-len(row), None) if padding == "pre" else slice(len(row))
            target[place] = row
    return result


def limit_norm(weight, max_value=None, dim=1):
    """keras.constraints.MaxNorm along an axis, UnitNorm without a limit."""
    norms = weight.square().sum(dim, keepdim=True).sqrt()
    return weight * (
        (1.0 if max_value is None else norms.clamp(0, max_value)) / (1e-7 + norms)
    )


def constrain(layer, function, name="weight"):
    """Remembers what keeps a layer's weight in bounds, which `apply_constraints` does."""
    layer.constraints = {**getattr(layer, "constraints", {}), name: function}
    return layer


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


random.seed(21)
np.random.seed(21)
random.seed(21)
np.random.seed(21)
torch.manual_seed(21)

max_features = 64
maxlen = 14
embedding_dims = 16

openers = ["I think that", "Honestly,", "Well...", "My friend says", "To be fair,", ""]
things = ["the phone", "this book", "the hotel", "that song", "the meal"]
good = ["is wonderful", "works well", "was a joy", "made me smile", "is great"]
bad = ["is terrible", "broke soon", "was a pain", "made me cry", "is bad"]
tails = ["and my dog agrees", "as they say", "every day", "in the end", "", ""]


def review():
    positive = random.random() < 0.5
    text = " ".join(
        [
            random.choice(openers),
            random.choice(things),
            random.choice(good if positive else bad),
        ]
    )
    if random.random() < 0.2:  # "it is not true that ..." turns the meaning
        text = "it is not true that " + text
        positive = not positive
    return text + " " + random.choice(tails), int(positive)


def tokenize(text):
    return re.sub(r"[^a-z ]", "", text.lower()).split()


texts, y = zip(*[review() for _ in range(1200)])
words = {}
for t in texts:
    for w in tokenize(t):
        words[w] = words.get(w, 0) + 1
word_index = {
    w: i + 2
    for i, w in enumerate(sorted(words, key=lambda w: (-words[w], w)))
    if i + 2 < max_features
}
sequences = [[word_index.get(w, 1) for w in tokenize(t)] for t in texts]

x = pad_sequences(sequences=sequences, maxlen=maxlen, padding="post", truncating="post")
y = np.array(y)
x_train, x_test, y_train, y_test = x[:1000], x[1000:], y[:1000], y[1000:]
print(
    "x_train shape:",
    x_train.shape,
    " mean length:",
    np.mean([len(s) for s in sequences]),
)


class AttentionPool(nn.Module):
    """Weighted mean over the time axis which respects the mask."""

    def __init__(self, in_features):
        super().__init__()
        self.supports_masking = True
        self.score = nn.Parameter(nn.init.xavier_normal_(torch.empty(in_features, 1)))
        constrain(self, lambda w: limit_norm(w, 2.0, dim=0), name="score")

    def forward(self, h, mask=None):
        e = torch.squeeze(torch.matmul(h, self.score), -1)
        if mask is not None:
            e = torch.where(mask, e, -1e9)
        a = torch.softmax(e, dim=-1)
        return torch.sum(h * torch.unsqueeze(a, -1), dim=1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(max_features, embedding_dims)
        self.spatialdropout = nn.Dropout1d(0.1)
        self.lstm = KerasRecurrent(
            single_bias(nn.LSTM(embedding_dims, 24, batch_first=True)),
            return_sequences=True,
        )
        self.attention_pool = AttentionPool(24)
        self.dense = nn.Linear(24, 16)
        self.leakyrelu = nn.LeakyReLU(0.1)
        self.dense2 = nn.Linear(16, 1)

    def forward(self, x):
        mask = x != 0
        x = self.embedding(x)
        x = self.spatialdropout(x.permute(0, 2, 1))
        x = self.lstm(x.permute(0, 2, 1), mask=mask)
        x = self.attention_pool(x, mask=mask)
        x = self.dense(x)
        x = self.leakyrelu(x)
        x = self.dense2(x)
        return x


model = Net()

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
criterion = nn.BCEWithLogitsLoss()
model.to(device)
optimizer = KerasNadam(model.parameters(), lr=5e-3)
metrics = {"accuracy": MeanMetric(binary_accuracy), "auc": AUC()}

for cycle in range(2):
    train_loader = DataLoader(
        TensorDataset(
            torch.as_tensor(x_train, dtype=torch.int64),
            torch.as_tensor(y_train, dtype=torch.float32).unsqueeze(-1),
        ),
        batch_size=50,
        shuffle=True,
    )
    for epoch in range(2):
        model.train()
        total = count = 0
        for metric in metrics.values():
            metric.reset_state()
        for inputs, targets in train_loader:
            inputs, targets = inputs.to(device), targets.to(device)
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            apply_constraints(model)
            total += loss.item() * len(targets)
            count += len(targets)
            for metric in metrics.values():
                metric.update_state(targets, outputs.sigmoid())
        logs = {"loss": total / count}
        logs |= {key: float(value.result()) for key, value in metrics.items()}
        print(
            f"Epoch {epoch + 1}/2 - "
            + " - ".join(f"{key}: {value:.4f}" for key, value in logs.items())
        )
    scores = evaluate(
        model,
        [
            (
                torch.as_tensor(x_test, dtype=torch.int64),
                torch.as_tensor(y_test, dtype=torch.float32).unsqueeze(-1),
            )
        ],
        criterion,
        metrics,
        activation=torch.sigmoid,
    )
    print("cycle", cycle, {k: round(float(v), 4) for k, v in scores.items()})

for text in [
    "the meal was a joy",
    "it is not true that the meal was a joy",
    "this book broke soon every day",
]:
    seq = pad_sequences(
        sequences=[[word_index.get(w, 1) for w in tokenize(text)]],
        maxlen=maxlen,
        padding="post",
    )
    print(
        "%-40s %.3f"
        % (
            text,
            predict(
                model, torch.as_tensor(seq, dtype=torch.int64), activation=torch.sigmoid
            )[0, 0],
        )
    )
