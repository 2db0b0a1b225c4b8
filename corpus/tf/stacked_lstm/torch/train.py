# Stacked LSTM: which of three machines made this vibration?
# Keras, Sequential, two recurrent layers, everything in one go.

import numpy as np
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.model_selection import train_test_split


def categorical_accuracy(y_true, y_pred):
    """1 for each example whose largest prediction is at the largest target."""
    return (y_pred.argmax(-1) == y_true.argmax(-1)).to(torch.get_default_dtype())


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


class EarlyStopping:
    """keras EarlyStopping: step() is True where training is to stop; restore() the best weights."""

    def __init__(
        self,
        patience=0,
        min_delta=0.0,
        mode="min",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
        verbose=False,
    ):
        self.patience = patience
        self.min_delta = abs(min_delta)
        self.sign = 1 if mode == "min" else -1
        self.baseline = None if baseline is None else self.sign * baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.verbose = verbose
        self.best = None
        self.best_epoch = self.wait = 0
        self.best_state = None

    def improves(self, value, reference):
        return reference is None or value + self.min_delta < reference

    def step(self, value, epoch, model=None):
        value = self.sign * float(value)
        if epoch < self.start_from_epoch:
            return False
        if self.restore_best_weights and self.best_state is None:
            self.keep(model)
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.keep(model)
            if self.improves(value, self.baseline):
                self.wait = 0
            return False
        stops = self.wait >= self.patience and epoch > 0
        if stops and self.verbose:
            print(f"Epoch {epoch + 1}: early stopping")
        return stops

    def keep(self, model):
        self.best_state = {
            key: value.clone() for key, value in model.state_dict().items()
        }

    def restore(self, model):
        if self.best_state is not None:
            if self.verbose:
                best = self.best_epoch + 1
                print(
                    f"Restoring model weights from the end of the best epoch: {best}."
                )
            model.load_state_dict(self.best_state)


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


def get_weights(model):
    """Copies of all parameters and buffers as numpy arrays, in the order of state_dict."""
    return [
        value.detach().cpu().numpy().copy() for value in model.state_dict().values()
    ]


random.seed(2)
np.random.seed(2)
torch.manual_seed(2)

N, T, C = 600, 24, 3


# ----------------------------------------------------------------- data
def vibration(kind):
    t = np.arange(T)
    base = {
        0: np.sin(0.5 * t),
        1: np.sin(0.5 * t) * np.exp(-0.08 * t),
        2: np.sin(0.5 * t + 0.02 * t**2),
    }[kind]
    phase = np.random.randint(0, 6)
    sig = np.roll(base, phase)
    return np.stack(
        [sig, np.gradient(sig), np.ones(T)], axis=-1
    ) + 0.25 * np.random.randn(T, C)


labels = np.random.randint(0, 3, size=N)
X = np.array([vibration(k) for k in labels])
Y = np.eye(np.max(labels) + 1)[labels]
X_train, X_test, Y_train, Y_test = train_test_split(
    X, Y, test_size=0.25, random_state=2
)
print(X_train.shape, Y_train.shape)

# ----------------------------------------------------------------- model
model = nn.Sequential(
    KerasRecurrent(
        single_bias(nn.LSTM(3, 32, batch_first=True)), return_sequences=True
    ),
    nn.Dropout(0.2),
    KerasRecurrent(single_bias(nn.LSTM(32, 16, batch_first=True))),
    nn.Dropout(0.2),
    nn.Linear(16, 3),
)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
criterion = nn.CrossEntropyLoss()
model.to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.005, eps=1e-7)
metrics = {"acc": MeanMetric(categorical_accuracy)}

# ----------------------------------------------------------------- training
dataset = TensorDataset(
    torch.as_tensor(X_train, dtype=torch.float32),
    torch.as_tensor(Y_train, dtype=torch.float32),
)
split = int(len(dataset) * (1 - 0.15))
train_loader = DataLoader(
    torch.utils.data.Subset(dataset, range(split)), batch_size=32, shuffle=True
)
val_loader = DataLoader(
    torch.utils.data.Subset(dataset, range(split, len(dataset))), batch_size=32
)
hist = {}
early_stopping = EarlyStopping(patience=4, restore_best_weights=True, mode="max")
for epoch in range(6):
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
        hist.setdefault(key, []).append(value)
    if early_stopping.step(logs["val_acc"], epoch, model):
        break
early_stopping.restore(model)
for e, (l, a, vl, va) in enumerate(
    zip(hist["loss"], hist["acc"], hist["val_loss"], hist["val_acc"])
):
    print(
        "epoch %2d - loss: %.4f - acc: %.4f - val_loss: %.4f - val_acc: %.4f"
        % (e + 1, l, a, vl, va)
    )

loss, acc = list(
    evaluate(
        model,
        DataLoader(
            TensorDataset(
                torch.as_tensor(X_test, dtype=torch.float32),
                torch.as_tensor(Y_test, dtype=torch.float32),
            ),
            batch_size=50,
        ),
        criterion,
        metrics,
    ).values()
)
print("test", round(loss, 4), round(acc, 4))

cm = np.zeros((3, 3), int)
for t, p in zip(
    Y_test.argmax(1),
    predict(
        model,
        torch.as_tensor(X_test, dtype=torch.float32),
        activation=lambda x: x.softmax(-1),
    ).argmax(1),
):
    cm[t, p] += 1
print(cm)

kernel, recurrent, bias = get_weights(model[0])
print(kernel.shape, recurrent.shape, bias.shape)
torch.save(model.state_dict(), "stacked.weights.h5")
