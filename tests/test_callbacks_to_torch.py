"""Callbacks, saved models, checkpoints and settings towards PyTorch: what the translations do."""

from __future__ import annotations

import ast
import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from transpiler.convert import Conversion, convert
from transpiler.findings import Grade

HEAD = """import os
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras.callbacks import (CSVLogger, EarlyStopping, LearningRateScheduler,
                                        ModelCheckpoint, ReduceLROnPlateau, TerminateOnNaN)

rng = np.random.RandomState(0)
x = rng.rand(64, 4).astype("float32")
y = x.sum(1, keepdims=True).astype("float32")


def make():
    return keras.Sequential([keras.layers.Dense(3, activation="tanh", input_shape=(4,)),
                             keras.layers.Dense(1)])


model = make()
model.compile("sgd", "mse")
"""


def translated(source: str) -> Conversion:
    conversion = convert(HEAD + source, "torch")
    ast.parse(conversion.code)
    return conversion


def run(source: str, folder: Path) -> dict[str, Any]:
    """What the translated program leaves behind, run in a folder of its own."""
    conversion = translated(source)
    manual = [f.message for f in conversion.findings if f.grade is Grade.MANUAL]
    assert manual == [], conversion.code
    names: dict[str, Any] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(folder)
    try:
        torch.manual_seed(0)
        exec(compile(conversion.code, "translated", "exec"), names)
    finally:
        os.chdir(before)
    return names


def test_training_stops_early_with_the_best_weights(tmp_path: Path) -> None:
    names = run(
        """
stop = EarlyStopping(monitor="loss", patience=1, min_delta=100.0, restore_best_weights=True)
history = model.fit(x, y, epochs=9, callbacks=[stop], verbose=0)
""",
        tmp_path,
    )
    assert len(names["history"]["loss"]) == 2


def test_a_list_that_is_filled_step_by_step(tmp_path: Path) -> None:
    names = run(
        """
callbacks = [CSVLogger("log.csv")]
callbacks.append(ModelCheckpoint("best.pt", monitor="val_loss", save_best_only=True))
plateau = ReduceLROnPlateau(monitor="val_loss", patience=1)
h = model.fit(x, y, validation_split=0.25, epochs=3, callbacks=callbacks + [plateau], verbose=0)
""",
        tmp_path,
    )
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [r["epoch"] for r in rows] == ["0", "1", "2"]
    assert [float(r["val_loss"]) for r in rows] == names["h"]["val_loss"]
    assert list(torch.load(tmp_path / "best.pt")) == list(names["model"].state_dict())


def test_rates_are_set_and_logged(tmp_path: Path) -> None:
    names = run(
        """
def schedule(epoch, lr):
    return lr * 0.5 if epoch else lr
h = model.fit(x, y, epochs=3, callbacks=[LearningRateScheduler(schedule)], verbose=0)
""",
        tmp_path,
    )
    assert names["h"]["learning_rate"] == pytest.approx([0.01, 0.005, 0.0025])


def test_a_callback_of_the_programs_own(tmp_path: Path) -> None:
    names = run(
        """
class Watch(keras.callbacks.Callback):
    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def on_train_begin(self, logs=None):
        self.epochs, self.batches = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, logs["loss"]))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)
        self.predicted = self.model.predict(x[:2], verbose=0)
        if epoch == self.limit:
            self.model.stop_training = True


watch = Watch(1)
h = model.fit(x, y, batch_size=32, epochs=5, callbacks=[watch], verbose=0)
""",
        tmp_path,
    )
    watch = names["watch"]
    assert watch.epochs == [0, 1]
    assert [b for b, _ in watch.batches] == [0, 1, 0, 1]
    assert watch.batches[1][1] == names["h"]["loss"][0]
    assert watch.predicted.shape == (2, 1)


def test_functions_and_broken_losses(tmp_path: Path) -> None:
    names = run(
        """
seen = []
note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))
y[0] = np.nan
model.fit(x, y, batch_size=64, epochs=4, callbacks=[TerminateOnNaN(), note], verbose=0)
""",
        tmp_path,
    )
    assert len(names["seen"]) == 1


def test_a_watched_value_that_is_never_there_is_told() -> None:
    conversion = translated("""
model.fit(x, y, callbacks=[EarlyStopping(monitor="val_loss")])
""")
    assert any("without validation data" in f.message for f in conversion.findings)


def test_weights_and_whole_models(tmp_path: Path) -> None:
    names = run(
        """
model.save_weights("weights.weights.h5")
again = make()
again.load_weights("weights.weights.h5")
same = np.abs(again.predict(x, verbose=0) - model.predict(x, verbose=0)).max()
""",
        tmp_path,
    )
    assert names["same"] == 0
    names = run(
        """
model.save("model.keras")
loaded = keras.models.load_model("model.keras")
same = np.abs(loaded.predict(x, verbose=0) - model.predict(x, verbose=0)).max()
""",
        tmp_path,
    )
    assert names["same"] == 0


RESUMED = """
net = make()
optimizer = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5))
step = tf.Variable(0)
checkpoint = tf.train.Checkpoint(step=step, net=net, optimizer=optimizer)
manager = tf.train.CheckpointManager(checkpoint, "points", max_to_keep=2)
checkpoint.restore(manager.latest_checkpoint).expect_partial()
started = int(step)
losses = []
for _ in range(ROUNDS):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((net(x) - y) ** 2)
    gradients = tape.gradient(loss, net.trainable_variables)
    optimizer.apply_gradients(zip(gradients, net.trainable_variables))
    step.assign_add(1)
    losses.append(float(loss))
    path = manager.save()
kept = [os.path.basename(p) for p in manager.checkpoints]
newest = tf.train.latest_checkpoint("points")
"""


def test_training_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    parts = tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    straight = run(RESUMED.replace("ROUNDS", "6"), whole)
    first = run(RESUMED.replace("ROUNDS", "3"), parts)
    assert (first["started"], first["kept"]) == (0, ["ckpt-2", "ckpt-3"])
    second = run(RESUMED.replace("ROUNDS", "3"), parts)
    assert second["started"] == 3
    assert second["newest"] == os.path.join("points", "ckpt-6")
    assert first["losses"] + second["losses"] == pytest.approx(straight["losses"], rel=1e-6)


def test_settings_leave_nothing_behind(tmp_path: Path) -> None:
    source = """
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
gpus = tf.config.experimental.list_physical_devices("GPU")
if gpus:
    try:
        for gpu in gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as e:
        print(e)
tf.get_logger().setLevel("ERROR")
tf.keras.backend.clear_session()
K = tf.keras.backend
eager = tf.executing_eagerly()
strategy = tf.distribute.MirroredStrategy()
size = 4 * strategy.num_replicas_in_sync
with strategy.scope():
    inner = make()
with tf.device("/CPU:0"):
    total = float(tf.reduce_sum(x))
writer = tf.summary.create_file_writer("logs")
with writer.as_default():
    tf.summary.scalar("total", total, step=1)
"""
    names = run(source, tmp_path)
    assert (names["eager"], names["size"]) == (True, 4)
    code = translated(source).code
    for gone in ("TF_CPP", "gpu", "clear_session", "strategy", "K =", "tf."):
        assert gone not in code.split("model = make()")[1], code
