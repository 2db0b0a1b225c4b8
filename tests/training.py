"""Trains a small script and its translation in this process, from equal weights, in float64.

A script defines `model` (or several modules) and a function `train()` that returns numbers:
losses, learning rates, gradients. Arrays named in `inputs` stand ready as global tensors. A
function `prepare()`, where there is one, calls the models once before the weights are carried over.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import torch
from proving import HEADERS, fact, flatten, manual, translate
from proving_sides import to_numpy

from transpiler.convert import Conversion
from transpiler.verify import tf_tree, torch_models
from transpiler.weights.pairing import pair_trees

RNG = np.random.default_rng(3)
FEATURES = RNG.standard_normal((12, 5))
CLASSES = RNG.integers(0, 3, 12)
INPUTS = {"features": FEATURES, "classes": CLASSES}


def train_both(
    source: str,
    fidelity: str = "exact",
    inputs: Mapping[str, np.ndarray] = INPUTS,
    allow: tuple[str, ...] = (),
) -> tuple[list[np.ndarray], list[np.ndarray], Conversion]:
    """What `train()` returns in the original and in the translation, and the translation."""
    source = HEADERS["torch"] + source
    facts = {name: fact(array, "torch") for name, array in inputs.items()}
    conversion = translate(source, "tf", facts, fidelity)
    left = [m for m in manual(conversion) if m not in allow]
    assert not left, f"{left}\n{conversion.code}"
    print(conversion.code)  # shown where a test fails
    torch.manual_seed(0)
    ours: dict[str, Any] = {name: torch.tensor(array) for name, array in inputs.items()}
    theirs: dict[str, Any] = {name: tf.constant(array) for name, array in inputs.items()}
    exec(compile(source, "<torch>", "exec"), ours)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "translation.py"  # autograph reads the source of what it traces
        file.write_text(conversion.code, encoding="utf-8")
        keras.utils.set_random_seed(0)
        exec(compile(conversion.code, str(file), "exec"), theirs)
        if "prepare" in theirs:
            theirs["prepare"]()
        carry_over(ours, theirs)
        expected = [to_numpy(v) for v in flatten(ours["train"]())]
        found = [to_numpy(v) for v in flatten(theirs["train"]())]
    return expected, found, conversion


def carry_over(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Give every Keras model the weights of the torch model of the same name."""
    for name, module in ours.items():
        layer = theirs.get(name)
        if not isinstance(module, torch.nn.Module) or not isinstance(layer, keras.layers.Layer):
            continue
        tree = torch_models.build_tree(module, {})
        if not tree.has_arrays():
            continue
        if not layer.built:
            first = next(m for m in module.modules() if isinstance(m, torch.nn.Linear))
            layer(tf.zeros((1, first.in_features)))
        built = tf_tree.build_tree(layer, {})
        values = tree.flat()
        for pair in pair_trees(tree, built.tree):
            for slot in pair.slots:
                own = {n: values[pair.torch_name(n)] for n in slot.torch}
                for key, value in slot.to_keras(own).items():
                    built.variables[pair.keras_name(key)].assign(value)


def assert_same(
    source: str,
    fidelity: str = "exact",
    inputs: Mapping[str, np.ndarray] = INPUTS,
    tolerance: float = 1e-9,
) -> Conversion:
    """Both train the same; returns the translation for a look at how it is written."""
    expected, found, conversion = train_both(source, fidelity, inputs)
    assert len(expected) == len(found) > 0
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        np.testing.assert_allclose(
            other, one, rtol=tolerance, atol=tolerance * 1e-3, err_msg=f"result {number}"
        )
    return conversion
