"""Keras 3 without TensorFlow names: layers written with keras.ops, trained with fit."""

import keras
import numpy as np
from keras import layers, ops
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(2025)


@keras.saving.register_keras_serializable(package="scratch")
class RMSNorm(layers.Layer):
    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        super().build(input_shape)

    def call(self, x):
        rms = ops.sqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
        return x / rms * self.scale

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


class GatedUnit(layers.Layer):
    """Splits the projection in two and lets one half gate the other."""

    def __init__(self, dim, kernel_regularizer=None, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim
        self.project = layers.Dense(2 * dim, kernel_regularizer=kernel_regularizer)

    def call(self, x):
        value, gate = ops.split(self.project(x), 2, axis=-1)
        return value * ops.sigmoid(gate)


class RowAttention(layers.Layer):
    """Single-head self attention over the rows of an image."""

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape):
        init = keras.initializers.GlorotUniform(seed=1)
        shape = (input_shape[-1], self.dim)
        self.wq = self.add_weight(shape=shape, initializer=init, name="wq")
        self.wk = self.add_weight(shape=shape, initializer="glorot_uniform", name="wk")
        self.wv = self.add_weight(shape=shape, initializer="glorot_uniform", name="wv")
        self.position = self.add_weight(
            shape=(input_shape[1], self.dim), initializer=keras.initializers.RandomNormal(stddev=0.02), name="position"
        )

    def call(self, x):
        q = ops.matmul(x, self.wq) + self.position
        k = ops.matmul(x, self.wk) + self.position
        v = ops.matmul(x, self.wv)
        scores = ops.matmul(q, ops.transpose(k, (0, 2, 1))) / ops.sqrt(float(self.dim))
        return ops.matmul(ops.softmax(scores, axis=-1), v)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1], self.dim)


def focal_loss(y_true, y_pred, gamma=1.5):
    y_true = ops.one_hot(ops.cast(ops.squeeze(y_true, -1), "int32"), 10)
    log_p = ops.log_softmax(y_pred, axis=-1)
    p = ops.exp(log_p)
    return -ops.sum(y_true * (1.0 - p) ** gamma * log_p, axis=-1)


def build():
    inputs = keras.Input((8, 8))
    h = RowAttention(24)(inputs)
    for i in range(2):
        h = layers.Add()([h, GatedUnit(24, kernel_regularizer=keras.regularizers.L2(1e-4))(RMSNorm()(h))])
    h = layers.Flatten()(h)
    h = RMSNorm(epsilon=1e-5)(h)
    return keras.Model(inputs, layers.Dense(10)(h))


bunch = load_digits()
x = bunch.images.astype("float32") / 16 - 0.5
y = bunch.target[:, None]
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=297, random_state=3)

model = build()
model.compile(
    optimizer=keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(8e-3, decay_steps=20, decay_rate=0.9), global_clipnorm=1.0
    ),
    loss=focal_loss,
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc"), keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top3")],
)
history = model.fit(x_train, y_train, batch_size=100, epochs=6, validation_data=(x_test, y_test), verbose=0)
for row in zip(range(1, 7), *(history.history[k] for k in ["loss", "acc", "val_loss", "val_acc", "val_top3"])):
    print("epoch %d  loss %.4f  acc %.3f  val_loss %.4f  val_acc %.3f  val_top3 %.3f" % row)

predictions = ops.argmax(model(x_test), axis=-1)
wrong = np.flatnonzero(ops.convert_to_numpy(predictions) != y_test[:, 0])
print(len(wrong), "wrong, the first ones:", wrong[:5])
print("scale of the last norm: %.3f .. %.3f" % (
    float(ops.min(model.layers[-2].scale)), float(ops.max(model.layers[-2].scale))))
