"""Regression on the diabetes data: adapted normalization, L2, a decaying learning rate."""
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.datasets import load_diabetes
from tensorflow import keras
from tensorflow.keras import layers, regularizers

pd.set_option("display.width", 120)
np.set_printoptions(precision=3, suppress=True)
keras.utils.set_random_seed(0)

dataset = load_diabetes(as_frame=True, scaled=False).frame
dataset["sex"] = dataset["sex"].map({1.0: "A", 2.0: "B"})
dataset = pd.get_dummies(dataset, columns=["sex"], prefix="", prefix_sep="", dtype=float)
dataset = dataset.dropna()
print(dataset.tail(3))

train_dataset = dataset.sample(frac=0.8, random_state=0)
test_dataset = dataset.drop(train_dataset.index)

train_features = train_dataset.copy()
test_features = test_dataset.copy()
train_labels = train_features.pop("target")
test_labels = test_features.pop("target")

normalizer = layers.Normalization(axis=-1)
normalizer.adapt(np.array(train_features))
print("mean", normalizer.mean.numpy())

N_TRAIN = len(train_features)
BATCH_SIZE = 32
STEPS_PER_EPOCH = N_TRAIN // BATCH_SIZE

lr_schedule = keras.optimizers.schedules.InverseTimeDecay(
    0.01, decay_steps=STEPS_PER_EPOCH * 5, decay_rate=1, staircase=False
)


class DotLogger(keras.callbacks.Callback):
    """One dot per epoch, and a line now and then."""

    def __init__(self, every=4):
        super().__init__()
        self.every = every

    def on_train_begin(self, logs=None):
        self.best = np.inf

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        self.best = min(self.best, logs.get("val_mae", np.inf))
        if epoch % self.every == 0:
            print(f"\nepoch {epoch:3d}: " + ", ".join(f"{k} {v:.4f}" for k, v in sorted(logs.items())))
        print(".", end="")

    def on_train_end(self, logs=None):
        print(f"\nbest val_mae {self.best:.3f}")


def compile_and_fit(model, name, optimizer=None, max_epochs=8):
    if optimizer is None:
        optimizer = keras.optimizers.Adam(lr_schedule)
    model.compile(optimizer=optimizer, loss="huber", metrics=["mae", keras.metrics.RootMeanSquaredError(name="rmse")])
    return model.fit(
        train_features.to_numpy(),
        train_labels.to_numpy() / 100.0,
        validation_split=0.2,
        batch_size=BATCH_SIZE,
        epochs=max_epochs,
        callbacks=[DotLogger()],
        verbose=0,
    )


def linear_model():
    return keras.Sequential([normalizer, layers.Dense(units=1)])


def l2_model(n=24, rate=0.1):
    return keras.Sequential([
        normalizer,
        layers.Dense(n, activation="elu", kernel_regularizer=regularizers.l2(0.001)),
        layers.Dropout(rate),
        layers.Dense(n, activation="elu", kernel_regularizer=regularizers.l2(0.001),
                     bias_regularizer=regularizers.L1(1e-4)),
        layers.Dense(1),
    ])


histories, results = {}, {}
for name, model, optimizer in [
    ("linear", linear_model(), keras.optimizers.SGD(0.05, momentum=0.9, clipvalue=1.0)),
    ("l2", l2_model(), None),
]:
    print("=" * 10, name)
    histories[name] = compile_and_fit(model, name, optimizer)
    results[name] = model.evaluate(test_features.to_numpy(), test_labels.to_numpy() / 100.0, verbose=0)
    predictions = model.predict(test_features.to_numpy(), verbose=0).flatten() * 100.0
    error = predictions - test_labels.to_numpy()
    print("%s: mean error %.2f, mean absolute error %.2f" % (name, error.mean(), np.abs(error).mean()))

hist = pd.DataFrame(histories["l2"].history)
hist["epoch"] = histories["l2"].epoch
print(hist.tail(3).round(4))
print(pd.DataFrame(results, index=["loss", "mae", "rmse"]).T.round(4))
