"""Trains a small Keras script and its translation in this process, from equal weights, in float64.

A script makes its models, then trains below a line `# train`. The results named are compared.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from devices import DEFINITION, Elsewhere, elsewhere
from proving_sides import to_numpy
from training import carry_over

from transpiler.config import Config
from transpiler.convert import Conversion, convert
from transpiler.findings import Grade

IMPORTS = """
import numpy as np
import tensorflow as tf
import keras
from keras import layers

rng = np.random.default_rng(0)
"""
TRAIN = "# train"


def translate_keras(source: str, fidelity: str = "exact") -> Conversion:
    """The translation of a script below the usual imports."""
    text = IMPORTS + textwrap.dedent(source)
    return convert(text, "torch", config=Config(fidelity=fidelity))  # type: ignore[arg-type]


def left_over(conversion: Conversion) -> list[str]:
    return [f.message for f in conversion.findings if f.grade is Grade.MANUAL]


def train_twins(source: str, *results: str) -> tuple[dict[str, Any], dict[str, Any], Conversion]:
    """The names that the script and its translation leave behind."""
    conversion = translate_keras(source)
    assert left_over(conversion) == [], conversion.code
    print(conversion.code)  # shown where a test fails
    code = conversion.code.replace("torch.float32", "torch.float64").replace(
        ".float()", ".double()"
    )
    assert TRAIN in code
    ours: dict[str, Any] = {"__name__": "translated"}
    mode = Elsewhere()
    code = elsewhere(code)
    theirs: dict[str, Any] = {"__name__": "original"}
    keras.backend.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    torch.set_default_dtype(torch.float64)
    keras.utils.set_random_seed(0)
    original = IMPORTS + textwrap.dedent(source)
    with contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        for number, (text, names) in enumerate(((code, ours), (original, theirs))):
            file = Path(folder) / f"part_{number}.py"
            file.write_text(text, encoding="utf-8")
            with (
                mode
                if names is ours and DEFINITION in conversion.code
                else contextlib.nullcontext()
            ):
                exec(compile(text.split(TRAIN)[0], str(file), "exec"), names)
        carry_over(ours, theirs)
        for text, names in ((original, theirs), (code, ours)):
            with (
                mode
                if names is ours and DEFINITION in conversion.code
                else contextlib.nullcontext()
            ):
                exec(compile(text.split(TRAIN, 1)[1], "<train>", "exec"), names)
    assert mode.moves or DEFINITION not in conversion.code
    return theirs, ours, conversion


def numbers(value: Any) -> list[np.ndarray]:
    """All numbers of a result, whatever they come in."""
    value = getattr(value, "history", value)
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    if isinstance(value, (list, tuple)):
        return [n for item in value for n in numbers(item)]
    return [np.asarray(to_numpy(value), dtype="float64")]


def assert_twins(source: str, *results: str, tolerance: float = 1e-8) -> Conversion:
    """Both leave equal results; the translation for a look at how it is written."""
    theirs, ours, conversion = train_twins(source, *results)
    for name in results:
        expected, found = numbers(theirs[name]), numbers(ours[name])
        assert len(expected) == len(found) > 0, name
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=tolerance, atol=1e-10, err_msg=name)
    return conversion
