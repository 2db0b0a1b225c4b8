"""Emitted optimizers against keras.optimizers in float64, over many steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from emitted_results import double_precision

from transpiler.rules.emitted.to_torch import optimizers, recurrent

__all__ = ["double_precision"]

STEPS = 30
SHAPES = [(4, 3), (3,), (5,)]
SCALES = (1.0, 1e-4, 1e-7)  # tiny gradients show where epsilon is added
TOLERANCE = {"Nadam": 1e-8}  # Keras rounds its 0.96 to single precision
f = np.float64  # Keras takes a Python float through single precision

CASES = [
    ("SGD", {}, {}),
    ("SGD", {"momentum": 0.9}, {}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, {}),
    ("Adam", {"betas": (0.9, 0.999)}, {}),
    ("Adam", {"betas": (0.8, 0.99), "amsgrad": True, "eps": 1e-5, "weight_decay": 0.01}, {}),
    ("Adam", {"betas": (0.9, 0.999), "clipnorm": 0.5}, {}),
    ("Adam", {"betas": (0.9, 0.999), "global_clipnorm": 0.5}, {}),
    ("Adam", {"betas": (0.9, 0.999), "clipvalue": 0.1}, {}),
    ("RMSprop", {}, {}),
    ("RMSprop", {"momentum": 0.5, "centered": True, "weight_decay": 0.01, "rho": 0.8}, {}),
    ("Adagrad", {"initial_accumulator_value": 0.1}, {}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "eps": 1e-3}, {}),
    ("Adadelta", {"weight_decay": 0.01}, {}),
    ("Adamax", {"betas": (0.9, 0.999)}, {}),
    ("Nadam", {"betas": (0.9, 0.999), "weight_decay": 0.01}, {}),
    ("Lion", {"betas": (0.9, 0.99)}, {}),
    (
        "Ftrl",
        {"l1": 0.01, "l2": 0.02, "beta": 0.1, "initial_accumulator_value": 0.2},
        {"l1": "l1_regularization_strength", "l2": "l2_regularization_strength"},
    ),
]


def keras_options(options: dict, names: dict) -> dict:
    names = {"eps": "epsilon", "l2_shrinkage": "l2_shrinkage_regularization_strength"} | names
    wrap = lambda value: value if isinstance(value, bool) else f(value)
    result = {names.get(k, k): wrap(v) for k, v in options.items() if k != "betas"}
    if "betas" in options:
        result["beta_1"], result["beta_2"] = map(f, options["betas"])
    return result


def rate(step: int) -> float:
    return 0.01 * 0.5 ** (step // 10)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize(("name", "options", "names"), CASES)
def test_optimizer_follows_keras(name: str, options: dict, names: dict) -> None:
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape) for shape in SHAPES]
    params = [torch.nn.Parameter(torch.tensor(value)) for value in start]
    variables = [keras.Variable(value) for value in start]
    ours = getattr(optimizers, f"Keras{name}")(params, rate(0), **options)
    expected = getattr(keras.optimizers, name)(rate(0), **keras_options(options, names))
    for step in range(STEPS):
        expected.learning_rate = ours.param_groups[0]["lr"] = rate(step)
        noise = [rng.standard_normal(shape) for shape in SHAPES]
        gradients = [s * (0.3 * v + n) for s, v, n in zip(SCALES, start, noise, strict=True)]
        missing = 1 if step % 3 == 0 and "global_clipnorm" not in options else None
        for index, param in enumerate(params):
            param.grad = None if index == missing else torch.tensor(gradients[index])
        given = [None if i == missing else tf.constant(g) for i, g in enumerate(gradients)]
        expected.apply_gradients(zip(given, variables, strict=True))
        if step == STEPS // 2:  # a checkpoint in between changes nothing
            state = ours.state_dict()
            ours = getattr(optimizers, f"Keras{name}")(params, 1.0, **options)
            ours.load_state_dict(state)
        ours.step()
    for param, variable in zip(params, variables, strict=True):
        assert np.abs(param.detach().numpy() - variable.numpy()).max() < TOLERANCE.get(name, 1e-14)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad", "Adadelta", "Nadam", "SGD"])
def test_embedding_rows_that_repeat(name: str) -> None:
    rng = np.random.default_rng(1)
    table, weights = rng.standard_normal((7, 4)), rng.standard_normal((6, 4))
    layer = keras.layers.Embedding(7, 4)
    layer.build((None,))
    layer.set_weights([table])
    betas = {"beta_1": f(0.9), "beta_2": f(0.999)} if name in ("Adam", "Nadam") else {}
    if name == "Adagrad":
        betas = {"initial_accumulator_value": f(0.1)}
    expected = getattr(keras.optimizers, name)(0.01, **betas)
    module = optimizers.KerasEmbedding(7, 4, _weight=torch.tensor(table))
    ours = getattr(optimizers, f"Keras{name}")(module.parameters(), 0.01)
    for _ in range(10):
        ids = rng.integers(0, 7, (6,))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(ids) ** 2 * weights)
        expected.apply_gradients(
            zip(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
        )
        ours.zero_grad()
        (module(torch.tensor(ids)) ** 2 * torch.tensor(weights)).sum().backward()
        ours.step()
    difference = F.l1_loss(module.weight, torch.tensor(layer.get_weights()[0]))
    assert difference < TOLERANCE.get(name, 1e-14)


def test_closure() -> None:
    param = torch.nn.Parameter(torch.ones(2))
    optimizer = optimizers.KerasSGD([param], 0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2
    assert torch.allclose(param, torch.full((2,), 0.8))


def test_clipnorm_takes_the_two_biases_of_a_gru_as_one() -> None:
    """Keras keeps them in one variable."""
    rnn = recurrent.KerasRecurrent(torch.nn.GRU(3, 4, batch_first=True)).rnn
    for parameter in rnn.parameters():
        parameter.grad = torch.full_like(parameter, 0.2)
    gradients = tf.fill([2, 12], f(0.2))
    [expected] = keras.optimizers.SGD(clipnorm=f(0.1))._clip_gradients([gradients])
    found = optimizers.KerasSGD(rnn.parameters(), clipnorm=0.1).clip(rnn.bias_ih_l0, None)
    np.testing.assert_allclose(found.numpy(), expected.numpy()[0], rtol=1e-12)
