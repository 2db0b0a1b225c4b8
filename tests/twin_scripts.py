"""Checks whole scripts as twins: what several test files share."""

from __future__ import annotations

from pathlib import Path

from transpiler.config import Config
from transpiler.convert import Conversion, convert
from transpiler.findings import Grade
from transpiler.verify.twins import Workshop


def check(shop: Workshop, folder: Path, script: str, steps: int | None = None) -> Conversion:
    """Nothing is left for a person, and both programs train the same; the fluent translation."""
    original, translated = folder / "train.py", folder / "train_tf.py"
    original.write_text(script, encoding="utf-8")
    conversion = convert(script, "tf", path="train.py", config=Config(fidelity="exact"))
    translated.write_text(conversion.code, encoding="utf-8")
    print(conversion.code)  # shown where a test fails
    left = [f for f in conversion.findings if f.grade is Grade.MANUAL]
    assert not left, left
    with shop.record(original, "tf", steps=steps) as recording:
        verdict = recording.check(translated)
    assert verdict.equal, (verdict.first, verdict.error, verdict.notes)
    return convert(script, "tf", path="train.py")
