# Forecast a generated series with windows made by tf.data; causal Conv1D + LSTM.
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset
import numpy as np


class Windows(Dataset):
    """Neighbouring elements stacked: batches that a further step can look into, or windows."""

    def __init__(self, dataset, size, shift=None, drop_last=False):
        self.dataset = dataset
        self.size = size
        self.shift = size if shift is None else shift
        self.drop_last = drop_last

    def __len__(self):
        starts = len(self.dataset) - (self.size - 1 if self.drop_last else 0)
        return max(0, -(-starts // self.shift))

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = index * self.shift
        stop = min(start + self.size, len(self.dataset))
        if isinstance(self.dataset, (torch.Tensor, TensorDataset)):
            return self.dataset[start:stop]
        batch = torch.utils.data.default_collate(
            [self.dataset[i] for i in range(start, stop)]
        )
        return tuple(batch) if isinstance(batch, list) else batch


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


def huber(y_true, y_pred, delta=1.0):
    """keras.losses.huber: the mean over the last axis."""
    return F.huber_loss(
        y_pred, like(y_true, y_pred), delta=delta, reduction="none"
    ).mean(-1)


class Permute(nn.Module):
    """Puts the axes of a batch in another order."""

    def __init__(self, *axes):
        super().__init__()
        self.axes = axes

    def forward(self, x):
        return x.permute(self.axes)


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


class Lambda(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def join_batches(parts):
    """The outputs of all batches as one numpy array, in the lists and dicts that they come in."""
    if isinstance(parts[0], dict):
        return {key: join_batches([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], (list, tuple)):
        return [join_batches(group) for group in zip(*parts)]
    return torch.cat(parts).cpu().numpy()


def to_device(data, device):
    """Tensors, also those in lists and dicts, on a device."""
    if isinstance(data, dict):
        return {key: to_device(value, device) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [to_device(value, device) for value in data]
    return data.to(device) if isinstance(data, torch.Tensor) else data


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


def make_series(n, period=60, seed=42):
    """Slow growth, a sawtooth-like season and noise."""
    rnd = np.random.RandomState(seed)
    t = np.arange(n)
    phase = (t % period) / period
    season = np.where(phase < 0.3, 6 * np.sin(phase * np.pi / 0.3), -2 * (1 - phase))
    return 10 + 0.004 * t + season + rnd.normal(0, 0.5, n)


random.seed(51)
np.random.seed(51)
torch.manual_seed(51)

series = make_series(700)
series = ((series - series[:500].mean()) / series[:500].std()).astype("float32")

split_time = 500
x_train, x_valid = series[:split_time], series[split_time:]

window_size = 24
batch_size = 32
buffer = 600


def to_windows(series, window_size, batch_size, buffer):
    series = torch.unsqueeze(torch.as_tensor(series), -1)
    ds = series
    ds = Windows(ds, window_size + 1, 1, drop_last=True)
    ds = Mapped(ds, lambda w: (w[:-1], w[-1]))
    return DataLoader(ds, batch_size=batch_size, shuffle=True)


def forecast_all(model, series, window_size):
    ds = torch.as_tensor(series[:, np.newaxis])
    ds = Windows(ds, window_size, 1, drop_last=True)
    ds = DataLoader(ds, batch_size=64)
    return predict_batches(model, ds)


train_set = to_windows(x_train, window_size, batch_size, buffer)

model = nn.Sequential(
    Permute(0, 2, 1),
    nn.ConstantPad1d((4, 0), 0.0),
    nn.Conv1d(1, 16, 5),
    nn.ReLU(),
    Permute(0, 2, 1),
    KerasRecurrent(
        single_bias(nn.LSTM(16, 24, batch_first=True)), return_sequences=True
    ),
    KerasRecurrent(single_bias(nn.LSTM(24, 16, batch_first=True))),
    nn.Linear(16, 12),
    nn.ReLU(),
    nn.Linear(12, 1),
    Lambda(lambda x: x * 2.0),
)
# warm up the learning rate, then hold it


class StopWhenGood:
    def on_epoch_end(self, epoch, logs={}):
        print(
            "epoch %d: loss %.4f mae %.4f lr %.5f"
            % (epoch, logs["loss"], logs["mae"], logs["learning_rate"])
        )
        if logs.get("mae") < 0.12:
            print("good enough, stop")
            self.model.stop_training = True


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def criterion(outputs, targets):
    return huber(targets, outputs).mean()


model.to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
metrics = {"mae": MeanMetric(mean_absolute_error)}
train_loader = train_set
history = {}
schedule = lambda epoch: min(6e-3, 2e-3 * 2**epoch)
model.stop_training = False
stop_when_good = StopWhenGood()
stop_when_good.model = model
for epoch_2 in range(7):
    for group in optimizer.param_groups:
        group["lr"] = schedule(epoch_2)
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
        total += loss.item() * len(targets)
        count += len(targets)
        for metric in metrics.values():
            metric.update_state(targets, outputs)
    logs = {"loss": total / count}
    logs |= {key: float(value.result()) for key, value in metrics.items()}
    logs["learning_rate"] = optimizer.param_groups[0]["lr"]
    stop_when_good.on_epoch_end(epoch_2, logs)
    for key, value in logs.items():
        history.setdefault(key, []).append(value)
    if model.stop_training:
        break

forecast = forecast_all(model, series[split_time - window_size : -1], window_size)[:, 0]
print(len(forecast), len(x_valid))
naive = series[split_time - 1 : -1]
print(
    "mae of the model %.4f, of yesterday's value %.4f"
    % (np.abs(forecast - x_valid).mean(), np.abs(naive - x_valid).mean())
)
