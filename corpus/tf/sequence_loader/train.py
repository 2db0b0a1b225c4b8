#-*- coding: utf-8 -*-
# Batches by a keras.utils.Sequence: the data do not fit into memory (let us say).
# Multi-label: which of five tones sound in a noisy recording?

import math
import numpy as np
import tensorflow as tf
from tensorflow.keras.layers import Conv1D, Dense, GlobalMaxPool1D, Input, MaxPooling1D, BatchNormalization, ReLU, AveragePooling1D
from tensorflow.keras.models import Model
from tensorflow.keras.utils import Sequence

TONES  = [3, 5, 8, 13, 21]
LENGTH = 64


class Recordings(Sequence):
    'Generates the recordings when they are asked for'

    def __init__(self, list_IDs, batch_size=32, shuffle=True, **kwargs):
        super().__init__(**kwargs)
        self.list_IDs   = list_IDs
        self.batch_size = batch_size
        self.shuffle    = shuffle
        self.rng        = np.random.RandomState(0)
        self.on_epoch_end()

    def __len__(self):
        'batches per epoch'
        return math.ceil(len(self.list_IDs) / self.batch_size)

    def __getitem__(self, index):
        ids = self.order[index * self.batch_size:(index + 1) * self.batch_size]
        pairs = [self.read(i) for i in ids]
        return np.stack([p[0] for p in pairs]), np.stack([p[1] for p in pairs])

    def on_epoch_end(self):
        self.order = np.array(self.list_IDs)
        if self.shuffle:
            self.rng.shuffle(self.order)

    def read(self, ID):
        rnd = np.random.RandomState(1000 + ID)
        t = np.arange(LENGTH) / LENGTH
        on = rnd.rand(len(TONES)) < 0.4
        wave = sum(rnd.uniform(.6, 1.2) * np.sin(2 * np.pi * (f * t + rnd.rand())) for f, o in zip(TONES, on) if o)
        wave = wave + rnd.randn(LENGTH) * .2
        return wave[:, None].astype('float32'), on.astype('float32')


def conv_block(x, filters, k, dilation=1):
    x = Conv1D(filters, k, padding='same', dilation_rate=dilation, use_bias=False)(x)
    x = BatchNormalization(momentum=0.8)(x)
    return ReLU()(x)


def get_model():
    inp = Input((LENGTH, 1))
    x = conv_block(inp, 24, 9)
    x = MaxPooling1D(2)(x)
    x = conv_block(x, 24, 5, dilation=2)
    x = AveragePooling1D(2, padding='same')(x)
    x = conv_block(x, 32, 3)
    x = GlobalMaxPool1D()(x)
    x = Dense(32, activation='relu', kernel_constraint=tf.keras.constraints.max_norm(3))(x)
    return Model(inp, Dense(len(TONES), activation='sigmoid')(x))


def weighted_bce(w):
    'closure: a missed tone costs w times as much'
    def loss(y_true, y_pred):
        y_pred = tf.clip_by_value(y_pred, 1e-6, 1 - 1e-6)
        ll = w * y_true * tf.math.log(y_pred) + (1 - y_true) * tf.math.log(1 - y_pred)
        return -tf.reduce_mean(ll, axis=-1)
    return loss


def f1(y_true, y_pred):
    hit = tf.round(y_pred)
    tp = tf.reduce_sum(hit * y_true)
    return 2 * tp / (tf.reduce_sum(hit) + tf.reduce_sum(y_true) + 1e-7)


if __name__ == '__main__':
    tf.keras.utils.set_random_seed(9)
    partition = {'train': list(range(480)), 'validation': list(range(480, 600))}
    training_generator   = Recordings(partition['train'], batch_size=32)
    validation_generator = Recordings(partition['validation'], batch_size=60, shuffle=False)

    model = get_model()
    model.compile(optimizer=tf.keras.optimizers.Adam(learning_rate=4e-3, epsilon=1e-8),
                  loss=weighted_bce(1.5), metrics=[f1, 'binary_accuracy'])
    reduce = tf.keras.callbacks.ReduceLROnPlateau('val_loss', factor=.5, patience=1, min_delta=1e-3)
    stop   = tf.keras.callbacks.EarlyStopping('val_f1', mode='max', patience=3, start_from_epoch=2)
    h = model.fit(training_generator, validation_data=validation_generator, epochs=7, callbacks=[reduce, stop], verbose=0)
    for i in range(len(h.epoch)):
        print(' '.join(['%s=%.4f' % (k, v[i]) for k, v in h.history.items()]))

    x, y = validation_generator[0]
    p = model.predict(x, verbose=0)
    for a, b in zip(y[:5], p[:5]):
        print([f for f, on in zip(TONES, a) if on], '->', [f for f, on in zip(TONES, b) if on > .5])
