"""Twin runs of hand-written translations: right ones agree to rounding, wrong ones are caught."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from verify_mutants import MUTANTS, Mutant

from transpiler.verify import Workshop
from transpiler.verify.twins import Recording

TWINS = Path(__file__).parent / "verify_twins"
SIDES = {
    "cnn": ("cnn_torch.py", "cnn_tf.py", "tf", 14),
    "gan": ("gan_torch.py", "gan_tf.py", "tf", 14),
    "gru": ("gru_torch.py", "gru_tf.py", "tf", None),
    "fit": ("fit_tf.py", "fit_torch.py", "torch", None),
    "attention": ("attention_torch.py", "attention_tf.py", "tf", None),
    "loose": ("loose_torch.py", "loose_tf.py", "tf", None),
    "parts": ("parts_torch.py", "parts_tf.py", "tf", None),
    "parts back": ("parts_tf.py", "parts_torch.py", "torch", None),
    "lazy": ("lazy_tf.py", "lazy_torch.py", "torch", None),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as found:
        yield found


class Recordings:
    """Each original runs once, for all its translations."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.made: dict[str, Recording] = {}

    def of(self, twin: str) -> Recording:
        if twin not in self.made:
            original, _, to, steps = SIDES[twin]
            self.made[twin] = self.shop.record(TWINS / original, to, steps=steps)
        return self.made[twin]


@pytest.fixture(scope="module")
def recordings(shop: Workshop) -> Iterator[Recordings]:
    found = Recordings(shop)
    yield found
    for recording in found.made.values():
        recording.__exit__(None, None, None)


@pytest.mark.parametrize("twin", SIDES)
def test_right_translations_agree_to_rounding(twin: str, recordings: Recordings) -> None:
    verdict = recordings.of(twin).check(TWINS / SIDES[twin][1])
    assert verdict.status == "equal", (verdict.first, verdict.error)
    assert verdict.worst_loss < 1e-12
    assert not verdict.notes
    assert verdict.exit_code == 0


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.twin}: {m.name}")
def test_wrong_translations_are_caught(
    mutant: Mutant, recordings: Recordings, tmp_path: Path
) -> None:
    name = SIDES[mutant.twin][1]
    source = (TWINS / name).read_text()
    assert mutant.old in source
    (tmp_path / name).write_text(source.replace(mutant.old, mutant.new))
    verdict = recordings.of(mutant.twin).check(tmp_path / name)
    assert verdict.status == "different", verdict.error
    assert verdict.first is not None
    assert verdict.first.step >= 1
    assert verdict.exit_code == 1
    print(f"{mutant.twin}: {mutant.name}: {verdict.first.quantity} at step {verdict.first.step}")


def test_there_are_enough_kinds_of_mutants() -> None:
    assert len({mutant.name for mutant in MUTANTS}) >= 40


def test_a_variable_without_partner_is_named(recordings: Recordings, tmp_path: Path) -> None:
    source = (TWINS / "cnn_tf.py").read_text()
    spoiled = source.replace("layers.Dense(10)", "layers.Dense(10, use_bias=False)")
    (tmp_path / "cnn_tf.py").write_text(spoiled)
    verdict = recordings.of("cnn").check(tmp_path / "cnn_tf.py")
    assert verdict.exit_code == 2
    assert verdict.failed_side == "translation"
    assert "fc (Linear): weight (10, 192), bias (10,)" in verdict.error


def test_a_failing_translation_gives_its_own_traceback(
    recordings: Recordings, tmp_path: Path
) -> None:
    (tmp_path / "cnn_tf.py").write_text("def f():\n    return 1 / 0\n\n\nf()\n")
    verdict = recordings.of("cnn").check(tmp_path / "cnn_tf.py")
    assert verdict.exit_code == 2
    assert "ZeroDivisionError" in verdict.error
    assert "transpiler" not in verdict.error


def test_the_gradient_that_differs_is_named(recordings: Recordings, tmp_path: Path) -> None:
    source = (TWINS / "cnn_tf.py").read_text()
    old = "x = tf.nn.relu(self.conv2(x))"
    assert old in source
    new = "x = tf.nn.relu(self.conv2(x))\n        x = x + tf.sin(x) - tf.stop_gradient(tf.sin(x))"
    (tmp_path / "cnn_tf.py").write_text(source.replace(old, new))
    first = recordings.of("cnn").check(tmp_path / "cnn_tf.py").first
    assert first is not None
    assert (first.step, first.quantity) == (1, "gradient norm")
    assert "conv" in first.detail


def test_single_precision_agrees_within_its_own_rounding(shop: Workshop) -> None:
    with shop.record(TWINS / "gan_torch.py", "tf", steps=10, float64=False) as recording:
        verdict = recording.check(TWINS / "gan_tf.py")
    assert verdict.equal, (verdict.first, verdict.error)
    assert not verdict.float64


PLAIN = """
import keras
import numpy as np
import tensorflow as tf

keras.utils.set_random_seed(5)
layers = keras.layers
model = keras.Sequential([layers.Dense(6, "tanh"), layers.Dropout(0.3), layers.Dense(1)])
optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
x = np.linspace(-1, 1, 40).reshape(20, 2).astype("float32")


@tf.function
def step(x):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=True) - x[:, :1]))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return loss


for _ in range(6):
    print(repr(float(step(x))))
"""


def test_the_recorder_leaves_a_graph_the_program_it_was(shop: Workshop, tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(PLAIN)
    bare = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": ""},
    )
    with shop.record(script, "torch", float64=False) as recording:
        recording.check(script)  # fails: there is no torch in it; the original is what counts
        assert recording.report is not None
        printed = [e["text"] for e in recording.report["events"] if e["kind"] == "print"]
    assert len(printed) == 6
    assert printed == bare.stdout.splitlines()


BY_HAND = """
import torch
torch.manual_seed(0)
x = torch.randn(50, 3)
y = x @ torch.tensor([[1.0], [2.0], [3.0]])
w = torch.zeros(3, 1, requires_grad=True)
for i in range(COUNT):
    loss = ((x @ w - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        w.grad.zero_()
"""
BY_HAND_TF = """
import tensorflow as tf
x = tf.random.normal((50, 3))
y = x @ tf.constant([[1.0], [2.0], [3.0]])
w = tf.Variable(tf.zeros((3, 1)))
for i in range(COUNT):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((x @ w - y) ** 2)
    w.assign_sub(RATE * tape.gradient(loss, w))
"""
ONE_STEP = """
import torch
from torch import nn
net = nn.Linear(3, 1)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
loss = net(torch.ones(5, 3)).pow(2).mean()
loss.backward()
optimizer.step()
"""
ONE_STEP_TF = """
import keras
import tensorflow as tf
net = keras.layers.Dense(1)
optimizer = keras.optimizers.SGD(0.1)
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(net(tf.ones((5, 3))) ** 2)
optimizer.apply(tape.gradient(loss, net.trainable_variables), net.trainable_variables)
"""


@pytest.mark.parametrize(
    ("count", "rate", "found"),
    [(3, 0.1, None), (3, 0.2, (2, "loss")), (1, 0.1, None), (1, 0.2, (1, "weights"))],
)
def test_updates_by_hand_count_as_steps(
    count: int, rate: float, found: object, shop: Workshop, tmp_path: Path
) -> None:
    original, translated = tmp_path / "train.py", tmp_path / "train_tf.py"
    original.write_text(BY_HAND.replace("COUNT", str(count)))
    translated.write_text(BY_HAND_TF.replace("COUNT", str(count)).replace("RATE", str(rate)))
    with shop.record(original, "tf") as recording:
        verdict = recording.check(translated)
    first = verdict.first and (verdict.first.step, verdict.first.quantity)
    assert first == found, verdict
    assert verdict.steps == (count - 1, count - 1)


@pytest.mark.parametrize("wrong", ["", "0.2", "0.1, nesterov=True, momentum=0.9"])
def test_a_wrong_last_update_is_seen(wrong: str, shop: Workshop, tmp_path: Path) -> None:
    original, translated = tmp_path / "train.py", tmp_path / "train_tf.py"
    original.write_text(ONE_STEP)
    translated.write_text(ONE_STEP_TF.replace("SGD(0.1)", f"SGD({wrong or 0.1})"))
    with shop.record(original, "tf") as recording:
        verdict = recording.check(translated)
    assert verdict.equal == (not wrong), verdict
    assert "weights" in [row.quantity for row in verdict.rows]
