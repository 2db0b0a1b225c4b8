"""Sums of small numbers, written character by character: "14+7" -> "21".

Encoder and decoder are LSTMs; the decoder starts from the states of the encoder and is trained
with teacher forcing. For decoding the same layers are put together again, one step at a time.
"""

import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader


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


def sparse_categorical_crossentropy(y_true, y_pred, ignore_class=None):
    """keras.losses.sparse_categorical_crossentropy of probabilities, clipped to 1e-7."""
    logits = y_pred.clamp(1e-7, 1 - 1e-7).log()
    y_true = torch.as_tensor(y_true, device=y_pred.device).long()
    y_true = y_true.squeeze(-1) if y_true.dim() == logits.dim() else y_true
    options = {} if ignore_class is None else {"ignore_index": ignore_class}
    return F.cross_entropy(logits.movedim(-1, 1), y_true, reduction="none", **options)


def weighted_mean(losses, sample_weight=None):
    """Keras' loss with sample weights: their weighted sum divided by the number of losses."""
    if sample_weight is None:
        return losses.mean()
    weights = sample_weight.reshape(
        sample_weight.shape + (1,) * (losses.dim() - sample_weight.dim())
    )
    return (losses * weights).sum() / losses.numel()


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


random.seed(6)
np.random.seed(6)
torch.manual_seed(6)

N, UNITS, EMBED = 1500, 64, 16
EPOCHS, BATCH = 10, 50
ALPHABET = ["<pad>", "<go>", "<end>"] + list("0123456789+")
PAD, GO, END = 0, 1, 2
ID = {c: i for i, c in enumerate(ALPHABET)}


def to_ids(text, length, prefix=(), suffix=()):
    ids = list(prefix) + [ID[c] for c in text] + list(suffix)
    return ids + [PAD] * (length - len(ids))


def make_problems(n):
    rng = np.random.default_rng(6)
    problems, answers = [], []
    for a, b in rng.integers(0, 25, size=(n, 2)):
        problems.append("%d+%d" % (a, b))
        answers.append("%d" % (a + b))
    return problems, answers


problems, answers = make_problems(N)
question = np.array([to_ids(p, 5) for p in problems])
answer_in = np.array([to_ids(a, 3, prefix=[GO]) for a in answers])
answer_out = np.array([to_ids(a, 3, suffix=[END]) for a in answers])
weights = (answer_out != PAD).astype("float32")  # padding does not count


# ---- layers, shared by the training graph and by the two decoding graphs
# ---- training graph
class Trainer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_question = nn.Embedding(len(ALPHABET), EMBED)
        self.reader = KerasRecurrent(
            single_bias(nn.LSTM(16, UNITS, batch_first=True)), return_state=True
        )
        self.embed_answer = nn.Embedding(len(ALPHABET), EMBED)
        self.writer = KerasRecurrent(
            single_bias(nn.LSTM(16, UNITS, batch_first=True)),
            return_sequences=True,
            return_state=True,
        )
        self.to_char = nn.Sequential(nn.Linear(64, len(ALPHABET)), nn.Softmax(dim=-1))

    def forward(self, question, answer):
        mask = question != 0
        _, h, c = self.reader(self.embed_question(question), mask=mask)
        sequence, _, _ = self.writer(self.embed_answer(answer), initial_state=[h, c])
        x = self.to_char(sequence)
        return x


trainer = Trainer()

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def criterion(outputs, targets, sample_weight=None):
    return weighted_mean(
        sparse_categorical_crossentropy(targets, outputs), sample_weight
    )


trainer.to(device)
optimizer = torch.optim.RMSprop(trainer.parameters(), lr=0.008, alpha=0.9, eps=1e-7)
metrics = {"sparse_categorical_accuracy": MeanMetric(sparse_categorical_accuracy)}
dataset = slices(
    (
        (
            torch.as_tensor(question, dtype=torch.int64),
            torch.as_tensor(answer_in, dtype=torch.int64),
        ),
        torch.as_tensor(answer_out, dtype=torch.int64),
        torch.as_tensor(weights, dtype=torch.float32),
    )
)
split = int(len(dataset) * (1 - 0.1))
train_loader = DataLoader(
    torch.utils.data.Subset(dataset, range(split)), batch_size=BATCH, shuffle=True
)
val_loader = DataLoader(
    torch.utils.data.Subset(dataset, range(split, len(dataset))), batch_size=BATCH
)
history = {}
for epoch_2 in range(EPOCHS):
    trainer.train()
    total = count = 0
    for metric in metrics.values():
        metric.reset_state()
    for inputs, targets, weights_2 in train_loader:
        inputs = to_device(inputs, device)
        targets, weights_2 = targets.to(device), weights_2.to(device)
        optimizer.zero_grad()
        outputs = trainer(*inputs)
        loss = criterion(outputs, targets, weights_2)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in metrics.values():
            metric.update_state(targets, outputs, weights_2)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics.items()}
    logs |= {
        f"val_{key}": value
        for key, value in evaluate(
            trainer, val_loader, criterion, metrics, call=call_with_all, weighted=True
        ).items()
    }
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
for epoch in range(len(history["loss"])):
    print(
        "epoch %2d" % (epoch + 1),
        *("%s %.4f" % (k, v[epoch]) for k, v in sorted(history.items())),
    )


# ---- decoding graphs
class Start(nn.Module):
    def __init__(self, trainer):
        super().__init__()
        self.embed_question = trainer.embed_question
        self.reader = trainer.reader

    def forward(self, question):
        mask = question != 0
        _, h, c = self.reader(self.embed_question(question), mask=mask)
        return h, c


start = Start(trainer)


class Advance(nn.Module):
    def __init__(self, trainer):
        super().__init__()
        self.embed_answer = trainer.embed_answer
        self.writer = trainer.writer
        self.to_char = trainer.to_char

    def forward(self, answer, h_in, c_in):
        sequence, h_out, c_out = self.writer(
            self.embed_answer(answer), initial_state=[h_in, c_in]
        )
        x = self.to_char(sequence)
        return x, h_out, c_out


advance = Advance(trainer)


def solve(batch, longest=3):
    """Greedy decoding of a whole batch."""
    states = predict_batches(start, torch.as_tensor(batch, dtype=torch.int64).split(32))
    token = np.full((len(batch), 1), GO)
    texts = [""] * len(batch)
    finished = np.zeros(len(batch), bool)
    for _ in range(longest):
        probs, *states = predict_batches(
            advance,
            [
                (
                    torch.as_tensor(token, dtype=torch.int64),
                    *(torch.as_tensor(x, dtype=torch.float32) for x in states),
                )
            ],
            call=call_with_all,
        )
        token = probs[:, -1].argmax(-1)[:, None]
        for i, t in enumerate(token[:, 0]):
            finished[i] |= t in (END, PAD)
            if not finished[i]:
                texts[i] += ALPHABET[t]
    return texts


guesses = solve(question[-150:])
right = np.mean([g == a for g, a in zip(guesses, answers[-150:])])
off_by = [
    abs(int(g or 0) - int(a)) for g, a in zip(guesses, answers[-150:]) if "+" not in g
]
print(
    "new problems: %.1f%% exactly right, off by %.2f on average"
    % (100 * right, np.mean(off_by))
)
for p, g, a in list(zip(problems[-150:], guesses, answers[-150:]))[:6]:
    print("  %5s = %-3s %s" % (p, g, "ok" if g == a else "no, " + a))
