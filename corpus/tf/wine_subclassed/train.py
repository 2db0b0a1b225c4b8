import tensorflow as tf
from sklearn.datasets import load_wine

"""
Subclassing everything: layer, model, loss and metric.
"""

SEED = 11
tf.keras.utils.set_random_seed(SEED)


class Affine(tf.keras.layers.Layer):
    def __init__(self, units=32, use_bias=True, **kwargs):
        super(Affine, self).__init__(**kwargs)
        self.units = units
        self.use_bias = use_bias

    def build(self, input_shape):
        self.w = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer="glorot_normal",
            trainable=True,
        )
        if self.use_bias:
            self.b = self.add_weight(name="offset", shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        y = tf.matmul(inputs, self.w)
        if self.use_bias:
            y = y + self.b
        return y

    def get_config(self):
        config = super().get_config()
        config.update({"units": self.units, "use_bias": self.use_bias})
        return config


class UnitNorm(tf.keras.layers.Layer):
    """Divides every sample by its length."""

    def call(self, x):
        return x / tf.sqrt(tf.reduce_sum(tf.square(x), axis=[1], keepdims=True))


class RunningCenter(tf.keras.layers.Layer):
    def build(self, input_shape):
        self.center = self.add_weight(
            name="center", shape=(input_shape[-1],), initializer="zeros", trainable=False
        )

    def call(self, x, training=None):
        if training:
            self.center.assign(0.9 * self.center + 0.1 * tf.reduce_mean(x, axis=0))
        return x - self.center


class WineNet(tf.keras.Model):
    def __init__(self, n_classes=3, rate=0.2):
        super(WineNet, self).__init__(name="wine_net")
        self.center = RunningCenter()
        self.hidden = [Affine(24), Affine(16, use_bias=False)]
        self.unit = UnitNorm()
        self.drop = tf.keras.layers.Dropout(rate)
        self.classifier = tf.keras.layers.Dense(n_classes)

    def call(self, inputs, training=False):
        x = self.center(inputs, training=training)
        for layer in self.hidden:
            x = tf.nn.relu(layer(x))
            x = self.drop(x, training=training)
        x = self.unit(x + 1e-6)
        return self.classifier(10.0 * x)


class SmoothedCrossEntropy(tf.keras.losses.Loss):
    def __init__(self, smoothing=0.1, name="smoothed_ce"):
        super().__init__(name=name)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        n = tf.cast(tf.shape(y_pred)[-1], tf.float32)
        one_hot = tf.one_hot(tf.cast(tf.reshape(y_true, [-1]), tf.int32), tf.shape(y_pred)[-1])
        target = one_hot * (1.0 - self.smoothing) + self.smoothing / n
        return -tf.reduce_sum(target * tf.nn.log_softmax(y_pred), axis=-1)


class MacroRecall(tf.keras.metrics.Metric):
    def __init__(self, n_classes, name="macro_recall", **kwargs):
        super(MacroRecall, self).__init__(name=name, **kwargs)
        self.n_classes = n_classes
        self.hits = self.add_weight(name="hits", shape=(n_classes,), initializer="zeros")
        self.seen = self.add_weight(name="seen", shape=(n_classes,), initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true = tf.cast(tf.reshape(y_true, [-1]), tf.int32)
        y_hat = tf.argmax(y_pred, axis=-1, output_type=tf.int32)
        one_hot = tf.one_hot(y_true, self.n_classes)
        right = tf.cast(tf.equal(y_true, y_hat), tf.float32)
        self.hits.assign_add(tf.reduce_sum(one_hot * right[:, tf.newaxis], axis=0))
        self.seen.assign_add(tf.reduce_sum(one_hot, axis=0))

    def result(self):
        return tf.reduce_mean(self.hits / tf.maximum(self.seen, 1.0))

    def reset_state(self):
        self.hits.assign(tf.zeros_like(self.hits))
        self.seen.assign(tf.zeros_like(self.seen))


def mean_logit(y_true, y_pred):
    return tf.reduce_mean(y_pred)


x, y = load_wine(return_X_y=True)
x = ((x - x.mean(0)) / x.std(0)).astype("float32")
order = tf.random.shuffle(tf.range(len(x)), seed=SEED).numpy()
x, y = x[order], y[order]
x_train, y_train, x_val, y_val = x[:130], y[:130], x[130:], y[130:]

model = WineNet()
model.compile(
    optimizer=tf.keras.optimizers.Adam(learning_rate=0.01, beta_2=0.99),
    loss=SmoothedCrossEntropy(0.05),
    metrics=[MacroRecall(3), tf.keras.metrics.SparseCategoricalAccuracy("acc"), mean_logit],
)
model.fit(x_train, y_train, batch_size=20, epochs=10, validation_data=(x_val, y_val), verbose=2)
model.summary()

val = model.evaluate(x_val, y_val, verbose=0, return_dict=True)
print({k: round(float(v), 4) for k, v in val.items()})
model.save_weights("wine.weights.h5")

clone = WineNet()
clone(x_val[:1])
clone.load_weights("wine.weights.h5")
tf.debugging.assert_near(clone(x_val), model(x_val))
print("weights reloaded")
