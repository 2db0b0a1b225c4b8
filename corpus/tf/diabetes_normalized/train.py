"""Regression on the diabetes data: adapted normalization, L2, a decaying learning rate."""
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from tensorflow import keras
from tensorflow.keras.layers import Dense, Dropout, Normalization
from tensorflow.keras.regularizers import L1, l2

SEED = 0
BATCH = 32
keras.utils.set_random_seed(SEED)


def load_frame() -> pd.DataFrame:
    frame = load_diabetes(as_frame=True, scaled=False).frame
    sex = frame.pop("sex")
    frame["is_a"] = (sex == 1.0) * 1.0
    frame["is_b"] = (sex == 2.0) * 1.0
    frame["target"] /= 100.0
    return frame


frame = load_frame()
train_frame, test_frame = train_test_split(frame, test_size=0.2, random_state=SEED)
y_train, y_test = (f["target"].to_numpy("float32") for f in (train_frame, test_frame))
x_train, x_test = (f.drop(columns="target").to_numpy("float32") for f in (train_frame, test_frame))
print(train_frame.describe().T[["mean", "std"]].round(2))

# mean and variance of the training data become part of the model
normalize = Normalization(axis=-1)
normalize.adapt(x_train)


class EveryFew(keras.callbacks.Callback):
    """A line every few epochs, and the best validation error at the end."""

    def __init__(self, every=3):
        super().__init__()
        self.every = every

    def on_train_begin(self, logs=None):
        self.best = float("inf")
        self.best_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        if logs["val_mae"] < self.best:
            self.best, self.best_epoch = logs["val_mae"], epoch
        if epoch % self.every == 0:
            print("  epoch %2d  " % epoch + "  ".join("%s %.4f" % item for item in sorted(logs.items())))

    def on_train_end(self, logs=None):
        print("  best val_mae %.4f in epoch %d" % (self.best, self.best_epoch))


def linear():
    return keras.Sequential([normalize, Dense(units=1)])


def network(width=24, rate=0.1):
    return keras.Sequential([
        normalize,
        Dense(width, activation="elu", kernel_regularizer=l2(0.001)),
        Dropout(rate),
        Dense(width, activation="elu", kernel_regularizer=l2(0.001), bias_regularizer=L1(1e-4)),
        Dense(1),
    ])


steps = int(0.8 * len(x_train)) // BATCH
decay = keras.optimizers.schedules.InverseTimeDecay(0.01, decay_steps=5 * steps, decay_rate=1.0, staircase=False)
candidates = {
    "linear": (linear(), keras.optimizers.SGD(0.05, momentum=0.9, clipvalue=1.0)),
    "network": (network(), keras.optimizers.Adam(decay)),
}

table = {}
for name, (model, optimizer) in candidates.items():
    print(name)
    model.compile(
        optimizer=optimizer,
        loss="huber",
        metrics=["mae", keras.metrics.RootMeanSquaredError(name="rmse")],
    )
    model.fit(
        x_train, y_train,
        validation_split=0.2,
        batch_size=BATCH,
        epochs=9,
        callbacks=[EveryFew()],
        verbose=0,
    )
    table[name] = model.evaluate(x_test, y_test, verbose=0)
    error = model.predict(x_test, verbose=0)[:, 0] - y_test
    print("  test: bias %.3f, worst %.3f" % (error.mean(), np.abs(error).max()))

print(pd.DataFrame(table, index=["loss", "mae", "rmse"]).round(4))
slope = candidates["linear"][0].layers[-1].kernel.numpy().ravel()
for column, value in sorted(zip(train_frame.columns.drop("target"), slope), key=lambda t: -abs(t[1]))[:4]:
    print("%-8s %+.3f" % (column, value))
