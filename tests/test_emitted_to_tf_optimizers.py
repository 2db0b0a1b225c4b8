"""Emitted optimizers against torch.optim: float64, many steps, eager and traced."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from emitted_results import double_precision

from transpiler.rules.emitted.to_tf import optimizers

__all__ = ["double_precision"]

STEPS = 30
SHAPES = [(4, 3), (3,), (5,)]
SCALES = (1.0, 1e-4, 1e-7)  # tiny gradients show where eps is added

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {}),
    ("Adam", {"betas": (0.5, 0.99), "eps": 1e-6, "weight_decay": 0.1, "amsgrad": True}),
    ("AdamW", {"weight_decay": 0.05}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "weight_decay": 0.01}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.01, "initial_accumulator_value": 0.1}),
    ("Adadelta", {"weight_decay": 0.01}),
    ("Adamax", {"weight_decay": 0.01}),
    ("NAdam", {"weight_decay": 0.01}),
    ("RAdam", {"weight_decay": 0.01}),
    ("Rprop", {}),
]


def draw(dtype: type = np.float64) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    noise = [[rng.standard_normal(shape).astype(dtype) for shape in SHAPES] for _ in range(STEPS)]
    return start, noise


def rate(step: int) -> float:
    return 0.01 * 0.5 ** (step // 10)


def run_torch(name: str, options: dict, dtype: type = np.float64) -> np.ndarray:
    start, noise = draw(dtype)
    params = [torch.nn.Parameter(torch.tensor(value)) for value in start]
    optimizer = getattr(torch.optim, name)(params, rate(0), **options)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = rate(step)
        for index, param in enumerate(params):
            gradient = SCALES[index] * (0.3 * param.detach() + torch.tensor(noise[step][index]))
            param.grad = None if index == 1 and step % 3 == 0 else gradient
        optimizer.step()
    return np.concatenate([param.detach().numpy().ravel() for param in params])


def run_keras(name: str, options: dict, traced: bool, dtype: type = np.float64) -> np.ndarray:
    start, noise = draw(dtype)
    variables = [keras.Variable(value, dtype=dtype.__name__) for value in start]
    optimizer = getattr(optimizers, f"Torch{name}")(rate(0), **options)

    def apply(some: bool, *noises: tf.Tensor) -> None:
        gradients = [
            s * (0.3 * v.value + n) for s, v, n in zip(SCALES, variables, noises, strict=True)
        ]
        if not some:
            gradients[1] = None
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    apply = tf.function(apply) if traced else apply
    for step in range(STEPS):
        optimizer.learning_rate = rate(step)
        apply(step % 3 != 0, *[tf.constant(n) for n in noise[step]])
    return np.concatenate([variable.numpy().ravel() for variable in variables])


pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_optimizer_follows_torch(name: str, options: dict, traced: bool) -> None:
    expected = run_torch(name, options)
    assert np.abs(run_keras(name, options, traced) - expected).max() < 1e-14


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "NAdam"])
def test_optimizer_follows_torch_in_single_precision(name: str) -> None:
    keras.config.set_floatx("float32")
    torch.set_default_dtype(torch.float32)
    expected = run_torch(name, {}, np.float32)
    assert np.abs(run_keras(name, {}, True, np.float32) - expected).max() < 5e-7


def test_repeated_embedding_rows_are_added() -> None:
    table = np.random.default_rng(1).standard_normal((5, 3))
    layer = torch.nn.Embedding(5, 3, _weight=torch.tensor(table))
    expected = torch.optim.Adam(layer.parameters(), 0.01)
    weight = keras.Variable(table)
    optimizer = optimizers.TorchAdam(0.01)
    for ids in ([0, 1, 1], [2, 3, 0], [1, 1, 4]):
        expected.zero_grad()
        (layer(torch.tensor(ids)) ** 2).sum().backward()
        expected.step()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.gather(weight.value, ids) ** 2)
        optimizer.apply_gradients([(tape.gradient(loss, weight.value), weight)])
    assert np.abs(weight.numpy() - layer.weight.detach().numpy()).max() < 1e-15


def test_optimizer_state_is_checkpointed(tmp_path) -> None:
    def train(optimizer, variable, steps):
        for _ in range(steps):
            optimizer.apply_gradients([(2 * variable.value, variable)])

    first, variable = optimizers.TorchNAdam(0.1), keras.Variable(np.ones(3))
    train(first, variable, 3)
    path = tf.train.Checkpoint(optimizer=first, variable=variable).save(str(tmp_path / "c"))
    train(first, variable, 3)
    second, again = optimizers.TorchNAdam(0.1), keras.Variable(np.zeros(3))
    second.build([again])
    tf.train.Checkpoint(optimizer=second, variable=again).restore(path)
    train(second, again, 3)
    assert np.array_equal(again.numpy(), variable.numpy())
