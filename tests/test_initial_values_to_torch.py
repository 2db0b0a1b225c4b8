"""Keras' initial values in PyTorch: the same spread and bounds, layer by layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
from keras_training import IMPORTS, translate_keras

KERNELS = {
    "Dense(300)": (200,),
    'Dense(300, kernel_initializer="he_normal")': (200,),
    'Dense(300, kernel_initializer="lecun_uniform", bias_initializer="ones")': (200,),
    "Dense(300, kernel_initializer=keras.initializers.RandomNormal(0.5, 0.02))": (200,),
    "Dense(300, kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.1))": (200,),
    "Dense(300, kernel_initializer=keras.initializers.Orthogonal(2.0))": (200,),
    'Dense(300, kernel_initializer=keras.initializers.VarianceScaling(2, "fan_out", "uniform"))': (
        200,
    ),
    "Conv1D(64, 5)": (9, 32),
    'Conv2D(64, 3, kernel_initializer="he_uniform")': (8, 8, 48),
    'Conv2D(64, 3, groups=4, kernel_initializer="glorot_normal")': (8, 8, 48),
    'Conv2DTranspose(64, 3, kernel_initializer="lecun_normal")': (8, 8, 48),
    "DepthwiseConv2D(5)": (8, 8, 256),
    "Embedding(300, 64)": (7,),
    "LSTM(90)": (7, 60),
    "GRU(90)": (7, 60),
}


@pytest.mark.parametrize("layer", KERNELS)
def test_initial_values_spread_as_in_keras(layer: str) -> None:
    source = f"model = keras.Sequential([layers.Input({KERNELS[layer]}), layers.{layer}])"
    conversion = translate_keras(source)
    assert not any("initial" in f.message for f in conversion.findings)
    names: dict[str, object] = {}
    keras.utils.set_random_seed(0)
    exec(IMPORTS + source, names)
    expected = [np.asarray(w) for w in names["model"].weights]  # type: ignore[attr-defined]
    torch.manual_seed(0)
    ours: dict[str, object] = {}
    exec(conversion.code, ours)
    found = [p.detach().numpy() for p in ours["model"].parameters()]  # type: ignore[attr-defined]
    for one in [w for w in expected if w.any()]:
        alike = [f for f in found if f.size == one.size and (f.ndim == one.ndim or one.ndim < 2)]
        other = next(f for f in alike if one.ndim > 1 or np.array_equal(np.sort(f), np.sort(one)))
        found = [f for f in found if f is not other]
        assert other.std() == pytest.approx(float(one.std()), rel=0.03)
        error = float(4 * one.std() / one.size**0.5)
        assert other.mean() == pytest.approx(float(one.mean()), abs=error + 1e-7)
        assert np.abs(other).max() == pytest.approx(float(np.abs(one).max()), rel=0.15)
    assert not any(f.any() for f in found)


def test_given_initializers_are_carried_over_in_fluent_output_too() -> None:
    source = """
start = keras.initializers.RandomNormal(stddev=0.02)
model = keras.Sequential([layers.Input((3,)), layers.Dense(4, kernel_initializer=start),
                          layers.Dense(1)])
"""
    code = translate_keras(source, "fluent").code
    assert "initialize(nn.Linear(3, 4), functools.partial(nn.init.normal_, std=0.02))" in code
    assert "    nn.Linear(4, 1)," in code
