"""Embeddings under Keras' adaptive optimizers, which square the gradients of repeated ids apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from keras_training import IMPORTS, translate_keras

from transpiler.verify import Workshop

SOURCE = """
x, y = rng.integers(0, 9, size=(16, 6)), rng.normal(size=(16, 1))
class Net(keras.Model):
    def __init__(self):
        super().__init__()
        self.table = layers.Embedding(9, 4{options})
        self.out = layers.Dense(1)
    def call(self, x):
        h = tf.reduce_mean(self.table(x), axis=1)
        return self.out(h){more}
model = Net()
model(x[:1])
model.compile("{optimizer}", "mse")
h = model.fit(x, y, epochs=3, batch_size=8, shuffle=False, verbose=0).history
"""
OPTIONS = {
    "looked up": ("", ""),
    "regularized": (", embeddings_regularizer=keras.regularizers.l2(0.25)", ""),
    "used whole as well": ("", " + tf.reduce_mean(self.table.embeddings)"),
}


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop() as shop:
        yield shop


@pytest.mark.parametrize("name", list(OPTIONS))
def test_repeated_ids(name: str, workshop: Workshop, tmp_path: Path) -> None:
    options, more = OPTIONS[name]
    source = SOURCE.format(options=options, more=more, optimizer="adam")
    original, translated = tmp_path / "original.py", tmp_path / "translated.py"
    original.write_text(IMPORTS + source)
    translated.write_text(translate_keras(source).code)
    with workshop.record(original, "torch") as recording:
        verdict = recording.check(translated)
    assert verdict.equal, verdict.first or verdict.error


@pytest.mark.parametrize(("optimizer", "told"), [("adam", True), ("sgd", False)])
def test_the_difference_is_told(optimizer: str, told: bool) -> None:
    source = SOURCE.format(options="", more="", optimizer=optimizer)
    findings = translate_keras(source, fidelity="fluent").findings
    assert any("one by one" in " ".join(f.message.split()) for f in findings) is told
