"""Runs a function in each framework and compares outputs and gradients, in float64."""

from collections.abc import Callable, Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    set_precision("float64", torch.float64)
    yield
    set_precision("float32", torch.float32)


def set_precision(name: str, dtype: torch.dtype) -> None:
    """The default of both libraries; Keras' policy stays as first used unless set as well."""
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)
    torch.set_default_dtype(dtype)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def weigh(output: object) -> np.ndarray:
    shape = tuple(output.shape)  # type: ignore[attr-defined]
    return np.cos(np.arange(np.prod(shape)).reshape(shape))


def torch_results(function: Callable, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs, flattened, and the gradients of a fixed weighted sum of them."""
    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    outputs = [o for o in tf.nest.flatten(function(*tensors)) if o is not None]
    total = sum((o * torch.tensor(weigh(o))).sum() for o in outputs if o.requires_grad)
    gradients = torch.autograd.grad(total, tensors, allow_unused=True)
    return [r.detach().numpy() for r in (*outputs, *gradients) if r is not None]


def keras_results(
    function: Callable, *inputs: np.ndarray, traced: bool = False
) -> list[np.ndarray]:
    def run(*tensors: tf.Tensor) -> list:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = [o for o in tf.nest.flatten(function(*tensors)) if o is not None]
            floats = [o for o in outputs if o.dtype.is_floating]
            total = tf.add_n([tf.reduce_sum(o * weigh(o)) for o in floats])
        return [*outputs, *tape.gradient(total, tensors)]

    results = (tf.function(run) if traced else run)(*[tf.constant(x) for x in inputs])
    return [tf.convert_to_tensor(r).numpy() for r in results if r is not None]


def agree(expected: list, results: list, tolerance: float = 1e-13) -> None:
    assert len(expected) == len(results)
    for one, other in zip(expected, results, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(other, one, rtol=1e-13, atol=tolerance)
