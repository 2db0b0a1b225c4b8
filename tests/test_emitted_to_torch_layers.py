"""Emitted PyTorch layers against keras.layers: outputs, gradients and statistics in float64."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from emitted_results import agree, double_precision, draw, keras_results, torch_results
from keras import layers
from torch import nn

from transpiler.rules.emitted.to_torch import attention, normalization, padding, recurrent

__all__ = ["double_precision"]

BATCH, STEPS, FEATURES, UNITS = 3, 5, 4, 6
RIGHT = np.arange(STEPS) < np.array([[5], [3], [0]])
HOLES = np.array([[0, 0, 1, 1, 1], [1, 0, 1, 0, 1], [0, 1, 1, 0, 0]], bool)


# ------------------------------------------------------------------ normalization


@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}])
@pytest.mark.parametrize("shape", [(8, 3), (4, 5, 3), (4, 5, 6, 3)])
def test_batch_norm(shape: tuple, options: dict) -> None:
    expected = layers.BatchNormalization(momentum=0.9, **options)
    module = normalization.KerasBatchNorm(3, momentum=0.1, **options)
    for training in (True, True, False):
        module.train(training)
        x = draw(*shape) + 1.5
        agree(
            keras_results(lambda t, training=training: expected(t, training=training), x),
            torch_results(lambda t: module(t.movedim(-1, 1)).movedim(1, -1), x),
        )
    agree(
        [expected.moving_mean.numpy(), expected.moving_variance.numpy()],
        [module.running_mean.numpy(), module.running_var.numpy()],
    )


@pytest.mark.parametrize("axis", [-1, None])
def test_normalization(axis: int | None) -> None:
    x = draw(20, 3) * 4 + 2
    for data in (x, x[:, 0]) if axis is None else (x,):
        expected, module = layers.Normalization(axis=axis), normalization.Normalization(axis=axis)
        expected.adapt(data)
        module.adapt(data)
        agree([expected(data).numpy()], [module(torch.tensor(data)).numpy()], 1e-6)
        module.adapt(iter(torch.tensor(data).split(7)))
        agree([expected(data).numpy()], [module(torch.tensor(data)).numpy()], 1e-6)


# ------------------------------------------------------------------ padding="same"


@pytest.mark.parametrize("kernel", [2, 3, (3, 4)])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [7, 8])
def test_same_convolution(size: int, stride: int, kernel: int | tuple) -> None:
    expected = layers.Conv2D(4, kernel, strides=stride, padding="same")
    expected.build((None, None, None, 3))
    kernel_weight, bias = expected.get_weights()
    module = nn.Sequential(padding.SamePad(kernel, stride), nn.Conv2d(3, 4, kernel, stride))
    module[1].weight.data = torch.tensor(kernel_weight.transpose(3, 2, 0, 1))
    module[1].bias.data = torch.tensor(bias)
    x = draw(2, size, size + 1, 3)
    agree(
        keras_results(expected, x),
        torch_results(lambda t: module(t.movedim(-1, 1)).movedim(1, -1), x),
    )


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (3, 1), ((2, 3), (2, 1))])
def test_same_pooling(kernel: int | tuple, stride: int | tuple) -> None:
    x = draw(2, 7, 8, 3)
    pairs = [
        (
            layers.MaxPooling2D(kernel, stride, padding="same"),
            nn.Sequential(
                padding.SamePad(kernel, stride, value=-torch.inf), nn.MaxPool2d(kernel, stride)
            ),
        ),
        (
            layers.AveragePooling2D(kernel, stride, padding="same"),
            padding.SameAvgPool(kernel, stride),
        ),
    ]
    for expected, module in pairs:
        agree(
            keras_results(expected, x),
            torch_results(lambda t, m=module: m(t.movedim(-1, 1)).movedim(1, -1), x),
        )


def test_same_padding_of_dilated_sequences() -> None:
    expected = layers.Conv1D(4, 3, padding="same", dilation_rate=2)
    expected.build((None, None, 3))
    kernel_weight, bias = expected.get_weights()
    module = nn.Sequential(padding.SamePad(3, dilation=2), nn.Conv1d(3, 4, 3, dilation=2))
    module[1].weight.data = torch.tensor(kernel_weight.transpose(2, 1, 0))
    module[1].bias.data = torch.tensor(bias)
    x = draw(2, 7, 3)
    agree(
        keras_results(expected, x),
        torch_results(lambda t: module(t.movedim(-1, 1)).movedim(1, -1), x),
    )


# ------------------------------------------------------------------ recurrent


def carry(layer: keras.layers.Layer, rnn: nn.Module) -> None:
    """Give the torch layer the weights of the Keras layer."""
    kernel, recurrent_kernel, bias = [np.array(weight) for weight in layer.get_weights()]
    if isinstance(layer, layers.GRU):  # z, r, h -> r, z, n
        swap = lambda w: w.reshape(*w.shape[:-1], 3, UNITS)[..., [1, 0, 2], :].reshape(w.shape)
        kernel, recurrent_kernel, bias = map(swap, (kernel, recurrent_kernel, bias))
    biases = bias if bias.ndim == 2 else [bias]
    rnn.weight_ih_l0.data = torch.tensor(kernel.T)
    rnn.weight_hh_l0.data = torch.tensor(recurrent_kernel.T)
    for name, value in zip(("bias_ih_l0", "bias_hh_l0"), biases, strict=False):
        getattr(rnn, name).data = torch.tensor(value)


def randomise(layer: keras.layers.Layer) -> keras.layers.Layer:
    layer.build((None, STEPS, FEATURES))
    layer.set_weights([draw(*weight.shape) * 0.5 for weight in layer.get_weights()])
    return layer


def stock(kind: str) -> nn.Module:
    rnn = {"LSTM": nn.LSTM, "GRU": nn.GRU, "SimpleRNN": nn.RNN}[kind]
    rnn = rnn(FEATURES, UNITS, batch_first=True)
    return rnn if kind == "GRU" else recurrent.single_bias(rnn)


def loop(name: str, **options: object) -> nn.Module:
    return getattr(recurrent, name)(FEATURES, UNITS, **options)


RECURRENT: list[tuple[str, dict, Callable[[], nn.Module]]] = [
    ("LSTM", {}, lambda: stock("LSTM")),
    ("GRU", {}, lambda: stock("GRU")),
    ("SimpleRNN", {}, lambda: stock("SimpleRNN")),
    ("LSTM", {"activation": "relu"}, lambda: loop("KerasLSTMLoop", activation=torch.relu)),
    ("SimpleRNN", {"activation": "elu"}, lambda: loop("KerasRNNLoop", activation=F.elu)),
    ("GRU", {"reset_after": False}, lambda: loop("KerasGRUResetBeforeLoop")),
    ("GRU", {"activation": "relu"}, lambda: loop("KerasGRULoop", activation=torch.relu)),
]


@pytest.mark.parametrize("mask", [None, RIGHT, HOLES], ids=["all", "right", "holes"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("kind", "options", "make"), RECURRENT)
def test_recurrent(
    kind: str, options: dict, make: Callable, backwards: bool, mask: np.ndarray | None
) -> None:
    common = {"return_state": True, "go_backwards": backwards}
    x = draw(BATCH, STEPS, FEATURES)
    states = [draw(BATCH, UNITS) for _ in range(2 if kind == "LSTM" else 1)]
    theirs = None if mask is None else tf.constant(mask)
    ours = None if mask is None else torch.tensor(mask)
    for sequences in (True, False):
        expected = getattr(layers, kind)(UNITS, return_sequences=sequences, **common, **options)
        module = recurrent.KerasRecurrent(make(), return_sequences=sequences, **common)
        carry(randomise(expected), module.rnn)
        agree(
            keras_results(lambda t, e=expected: e(t, mask=theirs), x),
            torch_results(lambda t, m=module: m(t, ours), x),
        )
        agree(
            keras_results(
                lambda t, *s, e=expected: e(t, mask=theirs, initial_state=list(s)), x, *states
            ),
            torch_results(lambda t, *s, m=module: m(t, ours, s), x, *states),
        )


def scripted(seed: int) -> Callable:
    """Masks that both frameworks draw alike, call by call."""
    rng = np.random.default_rng(seed)
    return lambda shape, rate: (rng.random(np.prod(shape)) > rate).reshape(shape) / (1 - rate)


@pytest.mark.parametrize(
    ("kind", "options", "make"),
    [
        ("LSTM", {}, "KerasLSTMLoop"),
        ("GRU", {}, "KerasGRULoop"),
        ("GRU", {"reset_after": False}, "KerasGRUResetBeforeLoop"),
        ("SimpleRNN", {}, "KerasRNNLoop"),
    ],
)
def test_recurrent_dropout(
    kind: str, options: dict, make: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = scripted(1), scripted(1)
    rates = {"dropout": 0.3, "recurrent_dropout": 0.4}
    monkeypatch.setattr(
        keras.src.backend.random,
        "dropout",
        lambda x, rate, **_: x * theirs(tuple(x.shape), rate),
    )
    monkeypatch.setattr(F, "dropout", lambda x, rate: x * torch.tensor(ours(x.shape, rate)))
    expected = getattr(layers, kind)(UNITS, return_sequences=True, **rates, **options)
    module = recurrent.KerasRecurrent(loop(make, **rates), return_sequences=True)
    carry(randomise(expected), module.rnn)
    x = draw(BATCH, STEPS, FEATURES)
    agree(
        keras_results(lambda t: expected(t, training=True), x),
        torch_results(lambda t: module(t), x),
    )


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "ave", "mul"])
@pytest.mark.parametrize("options", [{}, {"return_sequences": True, "return_state": True}])
@pytest.mark.parametrize("mask", [None, HOLES], ids=["all", "holes"])
def test_bidirectional(mask: np.ndarray | None, options: dict, merge_mode: str) -> None:
    expected = layers.Bidirectional(layers.LSTM(UNITS, **options), merge_mode=merge_mode)
    randomise(expected)
    module = recurrent.Bidirectional(
        recurrent.KerasRecurrent(stock("LSTM"), **options),
        recurrent.KerasRecurrent(stock("LSTM"), go_backwards=True, **options),
        merge_mode,
    )
    carry(expected.forward_layer, module.directions[0].rnn)
    carry(expected.backward_layer, module.directions[1].rnn)
    x = draw(BATCH, STEPS, FEATURES)
    theirs = None if mask is None else tf.constant(mask)
    ours = None if mask is None else torch.tensor(mask)
    agree(
        keras_results(lambda t: expected(t, mask=theirs), x),
        torch_results(lambda t: module(t, ours), x),
    )


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
def test_single_bias_trains_as_keras(kind: str) -> None:
    expected = randomise(getattr(layers, kind)(UNITS))
    module = recurrent.KerasRecurrent(stock(kind))
    carry(expected, module.rnn)
    x = draw(BATCH, STEPS, FEATURES)
    theirs, ours = keras.optimizers.SGD(0.1), torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(expected(x) ** 2)
        gradients = tape.gradient(loss, expected.trainable_variables)
        theirs.apply_gradients(zip(gradients, expected.trainable_variables, strict=True))
        ours.zero_grad()
        (module(torch.tensor(x)) ** 2).sum().backward()
        ours.step()
    kernel, _, bias = expected.get_weights()
    agree(
        [kernel.T, bias, np.zeros_like(bias)],
        [
            getattr(module.rnn, name).detach().numpy()
            for name in ("weight_ih_l0", "bias_ih_l0", "bias_hh_l0")
        ],
    )


def test_dropped_inputs_are_the_same_at_every_step() -> None:
    rnn = nn.RNN(FEATURES, FEATURES, batch_first=True)
    for parameter in rnn.parameters():
        nn.init.zeros_(parameter)
    rnn.weight_ih_l0.data = torch.eye(FEATURES)
    module = recurrent.KerasRecurrent(rnn, return_sequences=True, dropout=0.5)
    y = module(torch.ones(BATCH, STEPS, FEATURES)).detach()
    assert torch.equal(y, y[:, :1].expand_as(y))
    assert 0 < (y == 0).double().mean() < 1
    assert (module.eval()(torch.ones(BATCH, STEPS, FEATURES)) > 0).all()


# ------------------------------------------------------------------ attention


@pytest.mark.parametrize("options", [{}, {"value_dim": 5}, {"use_bias": False}])
@pytest.mark.parametrize("masked", [None, "padding", "causal"])
def test_multi_head_attention(masked: str | None, options: dict) -> None:
    expected = layers.MultiHeadAttention(2, 4, **options)
    module = attention.KerasMultiHeadAttention(FEATURES, 2, 4, **options)
    expected.build((None, STEPS, FEATURES), (None, STEPS, FEATURES))
    expected.set_weights([draw(*w.shape) for w in expected.get_weights()])
    weights = iter(expected.get_weights())
    for name in ("query", "key", "value", "output"):
        linear = getattr(module, name)
        linear.weight.data = torch.tensor(next(weights).reshape(linear.in_features, -1).T)
        if linear.bias is not None:
            linear.bias.data = torch.tensor(next(weights).ravel())
    query, value = draw(BATCH, STEPS, FEATURES), draw(BATCH, STEPS, FEATURES)
    mask = {"padding": (HOLES | RIGHT)[:, None, :]}.get(masked)
    theirs = {"use_causal_mask": masked == "causal", "attention_mask": mask}
    ours = theirs | {"attention_mask": None if mask is None else torch.tensor(mask)}
    agree(
        keras_results(
            lambda q, v: expected(q, v, return_attention_scores=True, **theirs), query, value
        ),
        torch_results(
            lambda q, v: module(q, v, return_attention_scores=True, **ours), query, value
        ),
    )


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("additive", [False, True])
def test_dot_product_attention(additive: bool, masked: bool) -> None:
    kind = layers.AdditiveAttention if additive else layers.Attention
    expected = kind(use_scale=True)
    module = attention.DotProductAttention(FEATURES if additive else None, True, additive)
    query, value = draw(BATCH, STEPS, FEATURES), draw(BATCH, STEPS, FEATURES)
    expected([query, value])
    expected.set_weights([draw(*w.shape) for w in expected.get_weights()])
    module.scale.data = torch.tensor(expected.get_weights()[0])
    theirs = [None, tf.constant(HOLES)] if masked else None
    ours = torch.tensor(HOLES) if masked else None
    agree(
        keras_results(lambda q, v: expected([q, v], mask=theirs), query, value),
        torch_results(lambda q, v: module(q, v, mask=ours), query, value),
    )
