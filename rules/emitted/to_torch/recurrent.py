"""Recurrent layers with Keras' weights, masks and outputs."""

import torch
import torch.nn.functional as F
from torch import nn


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
        order = (~mask).long().argsort(dim=1, stable=True)  # the steps that count come first
        x = x.take_along_dim(order[..., None], 1)
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False
        )
        y, final = self.run(packed, states)
        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
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


class KerasCell(nn.Module):
    """A recurrent cell called as those of Keras: the output, and the states as they came."""

    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def get_initial_state(self, batch_size):
        zeros = self.cell.weight_hh.new_zeros(batch_size, self.cell.hidden_size)
        return [zeros, zeros] if isinstance(self.cell, nn.LSTMCell) else [zeros]

    def forward(self, x, states):
        listed = isinstance(states, (list, tuple))
        held = tuple(states) if listed else (states,)
        new = self.cell(x, held if len(held) > 1 else held[0])
        new = list(new) if isinstance(new, tuple) else [new]
        return new[0], new if listed else new[0]


def gated(x, weight, bias=None, masks=None):
    """A linear map to all gates; with masks, each gate sees what its own lets through."""
    if masks is None:
        return F.linear(x, weight, bias)
    biases = [None] * len(masks) if bias is None else bias.chunk(len(masks))
    parts = zip(masks, weight.chunk(len(masks)), biases)
    return torch.cat([F.linear(x * mask, w, b) for mask, w, b in parts], -1)


class KerasCellLoop(nn.Module):
    """A recurrent cell of Keras, step by step: for what torch's layers lack."""

    states = 1
    gates = (0,)  # the masks that Keras draws, in the order of torch's gates

    def __init__(
        self,
        input_size,
        hidden_size,
        activation=torch.tanh,
        recurrent_activation=torch.sigmoid,
        bias=True,
        dropout=0.0,
        recurrent_dropout=0.0,
    ):
        super().__init__()
        rows = len(self.gates) * hidden_size
        self.weight_ih_l0 = nn.Parameter(nn.init.xavier_uniform_(torch.empty(rows, input_size)))
        self.weight_hh_l0 = nn.Parameter(nn.init.orthogonal_(torch.empty(rows, hidden_size)))
        self.bias_ih_l0 = nn.Parameter(torch.zeros(rows), requires_grad=bias)
        self.activation = activation
        self.recurrent_activation = recurrent_activation
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout

    def masks(self, like, rate):
        """What each gate drops, at every step the same."""
        if not rate or not self.training:
            return None
        drawn = [F.dropout(torch.ones_like(like), rate) for _ in self.gates]
        return [drawn[i] for i in self.gates]

    def forward(self, x, states=None):
        packed = isinstance(x, nn.utils.rnn.PackedSequence)
        if packed:
            x, lengths = nn.utils.rnn.pad_packed_sequence(x, batch_first=True)
        hidden_size = self.weight_hh_l0.shape[1]
        if states is None:
            states = [x.new_zeros(1, len(x), hidden_size)] * self.states
        states = [states[0]] if isinstance(states, torch.Tensor) else [s[0] for s in states]
        masks = self.masks(x[:, :1], self.dropout)
        projected = gated(x, self.weight_ih_l0, self.bias_ih_l0, masks)
        masks = self.masks(states[0], self.recurrent_dropout)
        outputs = []
        for t in range(x.shape[1]):
            new = self.step(projected[:, t], masks, *states)
            if packed:
                new = [
                    torch.where((t < lengths.to(x.device))[:, None], n, s)
                    for n, s in zip(new, states)
                ]
            states = new
            outputs.append(states[0])
        y = torch.stack(outputs, 1)
        if packed:
            y = nn.utils.rnn.pack_padded_sequence(
                y, lengths, batch_first=True, enforce_sorted=False
            )
        return y, tuple(states) if self.states > 1 else states[0]


class KerasLSTMLoop(KerasCellLoop):
    """keras LSTM with its activations by argument, and what its gates drop."""

    states, gates = 2, (0, 1, 2, 3)

    def __init__(self, input_size, hidden_size, *, bias=True, **options):
        super().__init__(input_size, hidden_size, bias=bias, **options)
        if bias:
            self.bias_ih_l0.data[hidden_size : 2 * hidden_size] = 1.0  # unit_forget_bias

    def step(self, x, masks, h, c):
        i, f, g, o = (x + gated(h, self.weight_hh_l0, masks=masks)).chunk(4, -1)
        gate = self.recurrent_activation
        c = gate(f) * c + gate(i) * self.activation(g)
        return gate(o) * self.activation(c), c


class KerasRNNLoop(KerasCellLoop):
    """keras SimpleRNN with its activation by argument."""

    def step(self, x, masks, h):
        return (self.activation(x + gated(h, self.weight_hh_l0, masks=masks)),)


class KerasGRULoop(KerasCellLoop):
    """keras GRU with its activations by argument, and what its gates drop."""

    gates = (1, 0, 2)

    def __init__(self, input_size, hidden_size, *, bias=True, **options):
        super().__init__(input_size, hidden_size, bias=bias, **options)
        self.bias_hh_l0 = nn.Parameter(torch.zeros_like(self.bias_ih_l0), requires_grad=bias)
        self.bias_ih_l0.joined_with = [self.bias_hh_l0]  # Keras clips them as one
        self.bias_hh_l0.joined_with = [self.bias_ih_l0]

    def step(self, x, masks, h):
        r, z, n = gated(h, self.weight_hh_l0, self.bias_hh_l0, masks).chunk(3, -1)
        x_r, x_z, x_n = x.chunk(3, -1)
        r, z = self.recurrent_activation(x_r + r), self.recurrent_activation(x_z + z)
        return (z * h + (1 - z) * self.activation(x_n + r * n),)


class KerasGRUResetBeforeLoop(KerasCellLoop):
    """keras GRU with reset_after=False: the reset gate acts before the matrix product."""

    gates = (1, 0, 2)

    def step(self, x, masks, h):
        weight_rz, weight_n = self.weight_hh_l0.tensor_split([2 * h.shape[1]])
        x_rz, x_n = x.tensor_split([2 * h.shape[1]], -1)
        rz = x_rz + gated(h, weight_rz, masks=masks and masks[:2])
        r, z = self.recurrent_activation(rz).chunk(2, -1)
        dropped = h if masks is None else h * masks[2]
        n = self.activation(x_n + F.linear(r * dropped, weight_n))
        return (z * h + (1 - z) * n,)


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


def masked_mean(x, mask):
    """keras.layers.GlobalAveragePooling1D with a mask: the mean over the steps that count."""
    weights = mask.to(x.dtype)[..., None]
    return (x * weights).sum(1) / weights.sum(1)
