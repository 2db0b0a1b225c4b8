import numpy as np
import pandas as pd
import random
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from sklearn.preprocessing import MinMaxScaler


def like(y_true, y_pred):
    """Targets with the dtype and rank of the predictions, as Keras' losses take them."""
    y_true = torch.as_tensor(y_true, dtype=y_pred.dtype, device=y_pred.device)
    if y_true.dim() == y_pred.dim() + 1:
        return y_true.squeeze(-1)
    return y_true.unsqueeze(-1) if y_true.dim() == y_pred.dim() - 1 else y_true


def mean_squared_error(y_true, y_pred):
    """keras.losses.mean_squared_error: the mean over the last axis."""
    return (y_pred - like(y_true, y_pred)).square().mean(-1)


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


def predict(model, inputs, batch_size=32, activation=None):
    """The model's outputs for all examples, in evaluation mode, as a numpy array."""
    model.eval()
    device = next((p.device for p in model.parameters()), "cpu")
    with torch.no_grad():
        outputs = torch.cat(
            [model(batch.to(device)) for batch in inputs.split(batch_size)]
        )
    return (outputs if activation is None else activation(outputs)).cpu().numpy()


random.seed(7)
np.random.seed(7)
torch.manual_seed(7)

# passengers of an imaginary airline: trend + season + noise, 12 years of weeks
weeks = np.arange(12 * 52)
df = pd.DataFrame(
    {
        "passengers": 100
        + 0.2 * weeks
        + 30 * np.sin(2 * np.pi * weeks / 52)
        + np.random.normal(0, 4, len(weeks)),
        "holiday": (weeks % 26 < 3).astype(float),
    }
)
dataset = df.values.astype("float32")

# normalize the dataset
scaler = MinMaxScaler(feature_range=(0, 1))
dataset = scaler.fit_transform(dataset)

# split into train and test sets
train_size = int(len(dataset) * 0.75)
train, test = dataset[:train_size], dataset[train_size:]


# windows of `n` weeks, and the passengers of the week after
def windows(table, n):
    starts = range(len(table) - n)
    return np.stack([table[s : s + n] for s in starts]), np.array(
        [table[s + n, 0] for s in starts]
    )


look_back = 12
trainX, trainY = windows(train, look_back)
testX, testY = windows(test, look_back)
timesteps, features = trainX.shape[1], trainX.shape[2]
print(trainX.shape, trainY.shape)

model = nn.Sequential(
    KerasRecurrent(single_bias(nn.LSTM(features, 64, batch_first=True))),
    nn.Linear(64, 1),
)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def criterion(outputs, targets):
    return mean_squared_error(targets, outputs).mean()


model.to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
metrics = {}
train_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(trainX, dtype=torch.float32),
        torch.as_tensor(trainY, dtype=torch.float32).unsqueeze(-1),
    ),
    batch_size=16,
    shuffle=True,
)
val_loader = DataLoader(
    TensorDataset(
        torch.as_tensor(testX, dtype=torch.float32),
        torch.as_tensor(testY, dtype=torch.float32).unsqueeze(-1),
    ),
    batch_size=16,
)
on_epoch_end = lambda epoch, logs: print(
    "epoch %d loss %.5f val_loss %.5f" % (epoch, logs["loss"], logs["val_loss"])
)
for epoch_2 in range(6):
    model.train()
    total = count = 0
    for inputs, targets in train_loader:
        inputs, targets = inputs.to(device), targets.to(device)
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(targets)
        count += len(targets)
    logs_2 = {"loss": total / count}
    logs_2 |= {
        f"val_{key}": value
        for key, value in evaluate(model, val_loader, criterion, metrics).items()
    }
    on_epoch_end(epoch_2, logs_2)

# make predictions
fitted = predict(model, torch.as_tensor(trainX, dtype=torch.float32))
forecast = predict(model, torch.as_tensor(testX, dtype=torch.float32))


# invert predictions
def invert(column):
    padded = np.zeros((len(column), features))
    padded[:, 0] = column
    return scaler.inverse_transform(padded)[:, 0]


def rmse(a, b):
    return np.sqrt(np.mean((a - b) ** 2))


print("rmse on the first nine years: %.2f" % rmse(invert(trainY), invert(fitted[:, 0])))
print(
    "rmse on the last three years: %.2f" % rmse(invert(testY), invert(forecast[:, 0]))
)

# roll the model forward
window = testX[-1:].copy()
future = []
for _ in range(5):
    nxt = predict(model, torch.as_tensor(window, dtype=torch.float32))[0, 0]
    future.append(nxt)
    window = np.roll(window, -1, axis=1)
    window[0, -1] = [nxt, 0.0]
print("next weeks:", invert(np.array(future)).round(1))
