# -*- coding: utf-8 -*-
"""Sequence to sequence: read a number word by word, write its digits backwards.

GRU encoder, GRU cell decoder with additive attention, teacher forcing.
"""

import random

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def assign_at(x, index, value):
    """x with value written at x[index]; index holds integers and slices."""
    places = tf.reshape(tf.range(tf.size(x)), tf.shape(x))[index]
    value = tf.cast(value, x.dtype)
    value = tf.reshape(value, tf.shape(value)[max(value.ndim - places.ndim, 0) :])
    value = tf.broadcast_to(value, tf.shape(places))
    flat = tf.tensor_scatter_nd_update(
        tf.reshape(x, [-1]), tf.reshape(places, [-1, 1]), tf.reshape(value, [-1])
    )
    return tf.reshape(flat, tf.shape(x))


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


class StackedGRU(RecurrentStack):
    """torch.nn.GRU's interface over keras.layers.GRU, which has both of torch's biases."""

    def make(self, units, **options):
        return layers.GRU(units, reset_after=True, **options)


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


BOS, EOS, PAD = 0, 1, 2
WORDS = "zero one two three four five six seven eight nine".split()
LONGEST = 6
device = "cuda" if tf.config.list_physical_devices("GPU") else "cpu"

src_index = {w: i + 3 for i, w in enumerate(WORDS)}
n_tokens = len(WORDS) + 3


def random_pair():
    n = random.randint(3, LONGEST)
    numbers = [random.randrange(10) for _ in range(n)]
    return [WORDS[k] for k in numbers], [k for k in reversed(numbers)]


def encode_pairs(pairs):
    src = tf.fill([len(pairs), LONGEST], tf.cast(PAD, tf.int64))
    trg = tf.fill([len(pairs), LONGEST + 1], tf.cast(PAD, tf.int64))
    for row, (words, digits) in enumerate(pairs):
        for col, w in enumerate(words):
            src = assign_at(src, np.s_[row, col], src_index[w])
        out = [d + 3 for d in digits] + [EOS]
        trg = assign_at(trg, np.s_[row, : len(out)], tf.constant(out, dtype=tf.int64))
    return src, trg


class Reader(keras.Model):
    def __init__(self, vocab, hidden_size):
        super(Reader, self).__init__()
        self.embedding = layers.Embedding(vocab, hidden_size)
        self.gru = StackedGRU(hidden_size, batch_first=True)

    def call(self, tokens):
        return self.gru(self.embedding(tokens))


class AdditiveAttention(layers.Layer):
    def __init__(self, hidden_size):
        super(AdditiveAttention, self).__init__()
        self.for_query = layers.Dense(hidden_size)
        self.for_keys = layers.Dense(hidden_size)
        self.score = layers.Dense(1)

    def call(self, query, keys, mask):
        scores = self.score(
            tf.tanh(tf.expand_dims(self.for_query(query), 1) + self.for_keys(keys))
        )
        scores = tf.where(mask, -1e9, tf.squeeze(scores, axis=2))
        weights = tf.nn.softmax(scores)
        context = tf.squeeze(tf.matmul(tf.expand_dims(weights, 1), keys), axis=1)
        return context, weights


class Writer(keras.Model):
    def __init__(self, hidden_size, output_size):
        super(Writer, self).__init__()
        self.embedding = layers.Embedding(output_size, hidden_size)
        self.attention = AdditiveAttention(hidden_size)
        self.cell = CellStep(layers.GRUCell(hidden_size))
        self.out = layers.Dense(output_size)

    def step(self, token, hidden, keys, mask):
        context, weights = self.attention(hidden, keys, mask)
        rnn_in = tf.concat([self.embedding(token), context], axis=1)
        hidden = self.cell(rnn_in, hidden)
        return self.out(hidden), hidden, weights

    def call(self, keys, hidden, mask, target=None, max_len=LONGEST + 1):
        batch = keys.shape[0]
        token = tf.fill([batch], tf.cast(BOS, tf.int64))
        outputs = []
        for t in range(max_len):
            logits, hidden, _ = self.step(token, hidden, keys, mask)
            outputs.append(logits)
            if target is not None:
                token = target[:, t]  # teacher forcing
            else:
                token = tf.argmax(logits, axis=-1)
        return tf.stack(outputs, axis=1)


def train_batch(src, trg, reader, writer, opt_r, opt_w, criterion, p_teacher):
    with tf.GradientTape() as tape:
        keys, hidden = reader(src)
        forced = random.random() < p_teacher
        logits = writer(keys, hidden[0], src == PAD, trg if forced else None)
        loss = criterion(
            tf.reshape(trg, [-1]), tf.reshape(logits, [-1, logits.shape[-1]])
        )
    r_gradients, w_gradients = tape.gradient(
        loss, [reader.trainable_variables, writer.trainable_variables]
    )
    gradients = r_gradients + w_gradients
    gradients = [g if g is None else tf.clip_by_value(g, -0.5, 0.5) for g in gradients]
    gradients = iter(gradients)
    r_gradients = [next(gradients) for _ in r_gradients]
    w_gradients = [next(gradients) for _ in w_gradients]
    opt_r.apply_gradients(zip(r_gradients, reader.trainable_variables))
    opt_w.apply_gradients(zip(w_gradients, writer.trainable_variables))
    return float(loss)


def exact_match(pairs, reader, writer):
    reader, writer
    src, trg = encode_pairs(pairs)
    keys, hidden = reader(src)
    pred = tf.argmax(writer(keys, tf.squeeze(hidden, axis=0), src == PAD), axis=-1)
    right = tf.reduce_all((pred == trg) | (trg == PAD), axis=1)
    reader, writer
    return float(tf.reduce_mean(tf.cast(right, tf.float32))), pred


def main():
    random.seed(77)
    keras.utils.set_random_seed(77)
    reader = Reader(n_tokens, 48)
    writer = Writer(48, n_tokens)
    opt_r = keras.optimizers.Adam(learning_rate=0.005, epsilon=1e-08)
    opt_w = keras.optimizers.Adam(learning_rate=0.005, epsilon=1e-08)
    criterion = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=PAD
    )
    valid = [random_pair() for _ in range(100)]

    running = 0.0
    for it in range(1, 151):
        src, trg = encode_pairs([random_pair() for _ in range(32)])
        running += train_batch(src, trg, reader, writer, opt_r, opt_w, criterion, 0.8)
        if it % 15 == 0:
            match, _ = exact_match(valid, reader, writer)
            print("%d  loss %.4f  exact %.2f" % (it, running / 15, match))
            running = 0.0

    _, pred = exact_match(valid[:3], reader, writer)
    for (words, digits), row in zip(valid[:3], pred.numpy().tolist()):
        out = row[: row.index(EOS)] if EOS in row else row
        print(" ".join(words), "=", digits, "<", [k - 3 for k in out])


if __name__ == "__main__":
    main()
