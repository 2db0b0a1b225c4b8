"""Recurrent layers with torch's interface: stacks, directions and states in one tensor."""

import keras
import tensorflow as tf
from keras import layers


class RecurrentStack(layers.Layer):
    """Called as torch's layers: outputs and states of shape (layers * directions, batch, units)."""

    def __init__(
        self,
        units,
        num_layers=1,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        **options,
    ):
        super().__init__()
        self.supports_masking = True
        self.batch_first = batch_first
        self.directions = 2 if bidirectional else 1
        self.dropout = layers.Dropout(dropout)  # between the layers only
        options |= {"return_sequences": True, "return_state": True}
        self.rnns = [  # layer 0 forward, layer 0 backward, layer 1 forward, ...
            self.make(units, go_backwards=backward, **options)
            for _ in range(num_layers)
            for backward in [False, True][: self.directions]
        ]

    def build(self, input_shape):
        width = input_shape[-1]
        for place, rnn in enumerate(self.rnns):
            if place >= self.directions:
                width = self.directions * rnn.cell.units
            rnn.build((None, None, width))

    def call(self, x, state=None, mask=None):
        x = x if self.batch_first else tf.transpose(x, [1, 0, 2])
        finals = []
        while len(finals) < len(self.rnns):
            if finals:
                x = self.dropout(x)
            outputs = []
            for rnn in self.rnns[len(finals) :][: self.directions]:
                start = None
                if state is not None:
                    start = [s[len(finals)] for s in tf.nest.flatten(state)]
                y, *final = rnn(x, initial_state=start, mask=mask)
                outputs.append(tf.reverse(y, [1]) if rnn.go_backwards else y)
                finals.append(final)
            x = tf.concat(outputs, -1)
            if mask is not None:
                x = tf.where(mask[..., None], x, tf.zeros_like(x))
        states = [tf.stack(s) for s in zip(*finals)]
        x = x if self.batch_first else tf.transpose(x, [1, 0, 2])
        return x, tuple(states) if len(states) > 1 else states[0]


class StackedLSTM(RecurrentStack):
    """torch.nn.LSTM's interface over keras.layers.LSTM (one bias per layer, not two)."""

    def make(self, units, **options):
        return layers.LSTM(units, **options)


class StackedRNN(RecurrentStack):
    """torch.nn.RNN's interface over keras.layers.SimpleRNN (one bias per layer, not two)."""

    def make(self, units, **options):
        return layers.SimpleRNN(units, **options)


class StackedGRU(RecurrentStack):
    """torch.nn.GRU's interface over keras.layers.GRU, which has both of torch's biases."""

    def make(self, units, **options):
        return layers.GRU(units, reset_after=True, **options)


class TorchGRU(RecurrentStack):
    """torch.nn.GRU: StackedGRU that starts from torch's uniform weights."""

    def make(self, units, **options):
        uniform = keras.initializers.RandomUniform(-(units**-0.5), units**-0.5)
        return layers.GRU(
            units,
            reset_after=True,
            kernel_initializer=uniform,
            recurrent_initializer=uniform.clone(),
            bias_initializer=uniform.clone(),
            **options,
        )


class TorchLSTM(RecurrentStack):
    """torch.nn.LSTM, both biases included: each of them is trained."""

    def make(self, units, **options):
        return layers.RNN(TorchLSTMCell(units), **options)


class TorchRNN(RecurrentStack):
    """torch.nn.RNN, both biases included: each of them is trained."""

    def make(self, units, activation="tanh", **options):
        return layers.RNN(TorchRNNCell(units, activation), **options)


class TwoBiasCell(layers.Layer):
    """The weights of a torch cell in torch's shapes, for layers.RNN."""

    gates = 1

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = self.state_size = units
        uniform = keras.initializers.RandomUniform(-(units**-0.5), units**-0.5)
        self.kernel_initializer = self.recurrent_initializer = self.bias_initializer = uniform

    def build(self, input_shape):
        rows = self.gates * self.units

        def add(name, initializer, *shape):
            return self.add_weight(name=name, shape=shape, initializer=initializer.clone())

        self.weight_ih = add("weight_ih", self.kernel_initializer, rows, input_shape[-1])
        self.weight_hh = add("weight_hh", self.recurrent_initializer, rows, self.units)
        self.bias_ih = add("bias_ih", self.bias_initializer, rows)
        self.bias_hh = add("bias_hh", self.bias_initializer, rows)

    def project(self, x, h):
        x = tf.matmul(x, self.weight_ih, transpose_b=True) + self.bias_ih
        return x + tf.matmul(h, self.weight_hh, transpose_b=True) + self.bias_hh


class TorchLSTMCell(TwoBiasCell):
    """One step of torch.nn.LSTM with its two biases."""

    gates = 4

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.state_size = [units, units]

    def call(self, x, states):
        h, c = states
        i, f, g, o = tf.split(self.project(x, h), 4, axis=-1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        h = tf.sigmoid(o) * tf.tanh(c)
        return h, [h, c]


class TorchRNNCell(TwoBiasCell):
    """One step of torch.nn.RNN with its two biases."""

    def __init__(self, units, activation="tanh", **kwargs):
        super().__init__(units, **kwargs)
        self.activation = keras.activations.get(activation)

    def call(self, x, states):
        h = self.activation(self.project(x, tf.nest.flatten(states)[0]))
        return h, [h]


class CellStep(layers.Layer):
    """Calls a recurrent cell as torch does: cell(x, state) is the new state, first from zeros."""

    def __init__(self, cell, **kwargs):
        super().__init__(**kwargs)
        self.cell = cell

    def call(self, x, state=None, training=None):
        if state is None:
            sizes = tf.nest.flatten(self.cell.state_size)
            state = [tf.zeros([tf.shape(x)[0], size], x.dtype) for size in sizes]
        _, state = self.cell(x, tf.nest.flatten(state))
        return tuple(state) if len(state) > 1 else state[0]
