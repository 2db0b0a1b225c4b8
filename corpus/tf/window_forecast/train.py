# Forecast a generated series with windows made by tf.data; causal Conv1D + LSTM.
import tensorflow as tf
import numpy as np

keras = tf.keras


def make_series(n, period=60, seed=42):
    """Slow growth, a sawtooth-like season and noise."""
    rnd = np.random.RandomState(seed)
    t = np.arange(n)
    phase = (t % period) / period
    season = np.where(phase < 0.3, 6 * np.sin(phase * np.pi / 0.3), -2 * (1 - phase))
    return 10 + 0.004 * t + season + rnd.normal(0, 0.5, n)


keras.backend.clear_session()
keras.utils.set_random_seed(51)

series = make_series(700)
series = ((series - series[:500].mean()) / series[:500].std()).astype("float32")

split_time = 500
x_train, x_valid = series[:split_time], series[split_time:]

window_size = 24
batch_size = 32
buffer = 600


def to_windows(series, window_size, batch_size, buffer):
    series = tf.expand_dims(series, axis=-1)
    ds = tf.data.Dataset.from_tensor_slices(series)
    ds = ds.window(window_size + 1, shift=1, drop_remainder=True)
    ds = ds.flat_map(lambda w: w.batch(window_size + 1))
    ds = ds.shuffle(buffer)
    ds = ds.map(lambda w: (w[:-1], w[-1]))
    return ds.batch(batch_size).prefetch(1)


def forecast_all(model, series, window_size):
    ds = tf.data.Dataset.from_tensor_slices(series[:, np.newaxis])
    ds = ds.window(window_size, shift=1, drop_remainder=True)
    ds = ds.flat_map(lambda w: w.batch(window_size))
    ds = ds.batch(64)
    return model.predict(ds, verbose=0)


train_set = to_windows(x_train, window_size, batch_size, buffer)

model = keras.models.Sequential([
    keras.layers.Input(shape=[None, 1]),
    keras.layers.Conv1D(filters=16, kernel_size=5, strides=1, padding="causal", activation="relu"),
    keras.layers.LSTM(24, return_sequences=True),
    keras.layers.LSTM(16),
    keras.layers.Dense(12, activation="relu"),
    keras.layers.Dense(1),
    keras.layers.Lambda(lambda x: x * 2.0),
])

# warm up the learning rate, then hold it
lr_schedule = keras.callbacks.LearningRateScheduler(lambda epoch: min(6e-3, 2e-3 * 2 ** epoch))


class StopWhenGood(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs={}):
        print("epoch %d: loss %.4f mae %.4f lr %.5f" % (epoch, logs["loss"], logs["mae"], logs["learning_rate"]))
        if logs.get("mae") < 0.12:
            print("good enough, stop")
            self.model.stop_training = True


model.compile(loss=keras.losses.Huber(),
              optimizer=keras.optimizers.Adam(learning_rate=1e-3),
              metrics=["mae"])
history = model.fit(train_set, epochs=7, verbose=0, callbacks=[lr_schedule, StopWhenGood()])

forecast = forecast_all(model, series[split_time - window_size:-1], window_size)[:, 0]
print(len(forecast), len(x_valid))
naive = series[split_time - 1:-1]
print("mae of the model %.4f, of yesterday's value %.4f" % (
    np.abs(forecast - x_valid).mean(), np.abs(naive - x_valid).mean()))
