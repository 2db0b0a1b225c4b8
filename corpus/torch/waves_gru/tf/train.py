#!/usr/bin/env python
# -*- coding: utf-8 -*-
"""Bidirectional GRU that tells sine, square, sawtooth and noise apart."""

import math

import numpy as np
import keras
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


def learning_rate_of(optimizer):
    """The learning rate as the number once assigned, without its float32 rounding."""
    return float(str(optimizer.learning_rate.numpy()))


def parts_of(optimizer):
    """The optimizers of an optimizer's groups, each with a learning rate of its own."""
    return [part for part, _ in getattr(optimizer, "groups", [(optimizer, None)])]


class EpochSchedule:
    """Sets learning_rate = minimum + (initial - minimum) * factor(epoch) at each step."""

    def __init__(self, optimizer, factor, minimum=0.0, last_epoch=-1):
        self.optimizer = optimizer
        self.factor = factor
        self.minimum = minimum
        if not hasattr(
            optimizer, "initial_lr"
        ):  # later schedules start from it as well
            optimizer.initial_lr = learning_rate_of(optimizer)
        self.initial = optimizer.initial_lr
        self.last_epoch = last_epoch
        self.step()

    def rate(self, epoch):
        return self.minimum + (self.initial - self.minimum) * self.factor(epoch)

    def step(self, epoch=None):
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self.last_lr = self.rate(self.last_epoch)
        self.optimizer.learning_rate = self.last_lr
        if self.minimum and hasattr(self.optimizer, "ratios"):
            for (part, _), ratio in zip(self.optimizer.groups, self.optimizer.ratios):
                span = self.initial * ratio - self.minimum
                part.learning_rate = self.minimum + span * self.factor(self.last_epoch)

    def get_last_lr(self):
        parts = parts_of(self.optimizer)
        return (
            [self.last_lr]
            if len(parts) == 1
            else [learning_rate_of(part) for part in parts]
        )

    def state_dict(self):
        return {"last_epoch": self.last_epoch, "initial": self.initial}

    def load_state_dict(self, state):
        self.initial = state["initial"]
        self.step(state["last_epoch"])


# ---- hyper-parameters --------------------------------------------------------
sequence_length = 32
input_size = 2
hidden_size = 24
num_layers = 2
num_classes = 4
batch_size = 40
num_epochs = 5
learning_rate = 0.004


def generate(n, rng):
    t = np.linspace(0, 1, sequence_length, endpoint=False)
    signals = np.empty((n, sequence_length, input_size), dtype=np.float32)
    labels = rng.randint(0, num_classes, size=n)
    for i, lab in enumerate(labels):
        f, ph = rng.uniform(2, 5), rng.uniform(0, 1)
        phase = (t * f + ph) % 1.0
        if lab == 0:
            s = np.sin(2 * math.pi * phase)
        elif lab == 1:
            s = np.where(phase < 0.5, 1.0, -1.0)
        elif lab == 2:
            s = 2 * phase - 1
        else:
            s = rng.randn(sequence_length) * 0.7
        signals[i, :, 0] = s + rng.randn(sequence_length) * 0.1
        signals[i, :, 1] = np.gradient(signals[i, :, 0])
    return signals, labels


class BiGRU(keras.Model):
    def __init__(self, input_size, hidden_size, num_layers, num_classes):
        super(BiGRU, self).__init__()
        self.gru = StackedGRU(
            hidden_size, num_layers=num_layers, bidirectional=True
        )  # (seq, batch, feature): batch_first is left at False here
        self.norm = layers.LayerNormalization(epsilon=1e-5)
        self.attn = layers.Dense(1)
        self.drop = layers.Dropout(0.1)
        self.fc = layers.Dense(num_classes)

    def call(self, x):
        x = tf.transpose(x, [1, 0, 2])  # (T, B, F)
        out, h_n = self.gru(x)  # (T, B, 2H), (layers * 2, B, H)
        last = tf.concat(
            [h_n[-2], h_n[-1]], axis=1
        )  # forward and backward state of the top layer
        score = tf.nn.softmax(self.attn(tf.tanh(self.norm(out))), axis=0)
        context = tf.reduce_sum(score * out, axis=0)
        return self.fc(self.drop(tf.concat([last, context], axis=1)))


@tf.function
def train_step(signals, labels):

    with tf.GradientTape() as tape:
        outputs = model(signals, training=True)
        loss = loss_func(labels, outputs)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


if __name__ == "__main__":
    tf.random.set_seed(0)
    rng = np.random.RandomState(0)
    device = "cuda:0" if tf.config.list_physical_devices("GPU") else "cpu"

    x_train, y_train = generate(480, rng)
    x_valid, y_valid = generate(160, rng)
    train_ds = tf.data.Dataset.from_tensor_slices(
        (tf.convert_to_tensor(x_train), tf.convert_to_tensor(y_train))
    )
    valid_ds = tf.data.Dataset.from_tensor_slices(
        (tf.convert_to_tensor(x_valid), tf.convert_to_tensor(y_valid))
    )
    train_dl = (
        train_ds.shuffle(len(train_ds)).batch(batch_size).prefetch(tf.data.AUTOTUNE)
    )
    valid_dl = valid_ds.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    model = BiGRU(input_size, hidden_size, num_layers, num_classes)
    loss_func = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(learning_rate=learning_rate, epsilon=1e-08)
    lr_lambda = lambda epoch: 0.85**epoch
    scheduler = EpochSchedule(optimizer, lr_lambda)

    total_step = len(train_dl)
    for epoch in range(num_epochs):
        for i, (signals, labels) in enumerate(train_dl):
            loss = train_step(signals, labels)

            if (i + 1) % 4 == 0:
                print(
                    "Epoch [{}/{}], Step [{}/{}], Loss: {:.4f}".format(
                        epoch + 1, num_epochs, i + 1, total_step, float(loss)
                    )
                )
        scheduler.step()
        confusion = tf.zeros([num_classes, num_classes], dtype=tf.int64)
        for signals, labels in valid_dl:
            pred = tf.argmax(model(signals, training=False), axis=1)
            for t, p in zip(labels.numpy().tolist(), pred.numpy().tolist()):
                confusion = assign_at(confusion, np.s_[t, p], confusion[t, p] + 1)
        acc = int(tf.reduce_sum(tf.linalg.diag_part(confusion))) / int(
            tf.reduce_sum(confusion)
        )
        print(
            "lr {:.5f}  validation accuracy {:.2f}".format(
                float(optimizer.learning_rate), acc
            )
        )

    print(confusion.numpy())
