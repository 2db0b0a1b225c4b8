"""Emitted layers against torch.nn: outputs, states, gradients and statistics in float64."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from emitted_results import agree, double_precision, draw, keras_results, torch_results
from keras import layers
from torch import nn

from transpiler.rules.emitted.to_tf import embeddings, normalization, recurrent
from transpiler.rules.emitted.to_tf.activations import TorchPReLU

B, T, F, H = 3, 5, 4, 6


__all__ = ["double_precision"]


# ------------------------------------------------------------------ normalization


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("shape", [(8, 3), (4, 5, 3), (4, 5, 6, 3)])
@pytest.mark.parametrize("momentum", [0.2, None])
def test_batch_norm(shape: tuple, momentum: float | None, traced: bool) -> None:
    norm = [nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d][len(shape) - 2]
    expected = norm(3, momentum=momentum)
    if momentum is None:
        layer = normalization.CumulativeBatchNorm()
    else:
        layer = normalization.TorchBatchNorm(momentum=1 - momentum)
    last = lambda x: x.movedim(1, -1)
    first = lambda x: x.movedim(-1, 1)
    layer.build(shape)
    for _ in range(3):
        x = draw(*shape) + 1.5
        agree(
            torch_results(lambda t: last(expected(first(t))), x),
            keras_results(lambda t: layer(t, training=True), x, traced=traced),
        )
    agree(
        [expected.running_mean.numpy(), expected.running_var.numpy()],
        [layer.moving_mean.numpy(), layer.moving_variance.numpy()],
    )
    expected.eval()
    agree(torch_results(lambda t: last(expected(first(t))), x), keras_results(layer, x))


@pytest.mark.parametrize("affine", [False, True])
def test_instance_norm_with_running_statistics(affine: bool) -> None:
    expected = nn.InstanceNorm2d(3, affine=affine, track_running_stats=True)
    layer = normalization.RunningInstanceNorm(affine=affine)
    for training in (True, True, False):
        expected.train(training)
        x = draw(4, 5, 6, 3) + 0.5
        agree(
            torch_results(lambda t: expected(t.movedim(-1, 1)).movedim(1, -1), x),
            keras_results(lambda t, training=training: layer(t, training=training), x),
        )


@pytest.mark.parametrize("size", [3, 4, 5])
def test_local_response_norm(size: int) -> None:
    expected = nn.LocalResponseNorm(size, alpha=0.5, beta=0.7, k=2.0)
    x = draw(2, 4, 4, 7)
    agree(
        torch_results(lambda t: expected(t.movedim(-1, 1)).movedim(1, -1), x),
        keras_results(lambda t: normalization.local_response_norm(t, size, 0.5, 0.7, 2.0), x),
    )


# ------------------------------------------------------------------ recurrent


def carry(module: nn.Module, stack: recurrent.RecurrentStack, kind: str) -> None:
    """Give the Keras stack the weights of the torch module."""
    order = {"GRU": [1, 0, 2]}.get(kind)

    def gates(weight: torch.Tensor) -> np.ndarray:
        value = weight.detach().numpy()
        if order is None:
            return value
        return np.concatenate([value.reshape(3, H, -1)[i] for i in order]).reshape(value.shape)

    index = 0
    for level in range(module.num_layers):
        for end in ["", "_reverse"][: stack.directions]:
            names = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
            wi, wh, bi, bh = [gates(getattr(module, f"{n}_l{level}{end}")) for n in names]
            if isinstance(stack, recurrent.TorchLSTM | recurrent.TorchRNN):
                values = [wi, wh, bi, bh]
            elif kind == "GRU":
                values = [wi.T, wh.T, np.stack([bi, bh])]
            else:
                values = [wi.T, wh.T, bi + bh]
            stack.rnns[index].set_weights(values)
            index += 1


STACKS = ["StackedLSTM", "TorchLSTM", "StackedGRU", "TorchGRU", "StackedRNN", "TorchRNN"]


@pytest.mark.parametrize(
    ("options", "traced"), [({}, False), ({"num_layers": 2, "bidirectional": True}, True)]
)
@pytest.mark.parametrize("name", STACKS)
def test_recurrent_stack(name: str, options: dict, traced: bool) -> None:
    kind = name[-4:].removeprefix("d").removeprefix("h")
    batch_first = not traced
    module = getattr(nn, kind)(F, H, batch_first=batch_first, **options)
    stack = getattr(recurrent, name)(H, batch_first=batch_first, **options)
    x = draw(B, T, F) if batch_first else draw(T, B, F)
    depth = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    states = [draw(depth, B, H) for _ in range(2 if kind == "LSTM" else 1)]
    stack(tf.constant(x))
    carry(module, stack, kind)
    agree(torch_results(module, x), keras_results(stack, x, traced=traced))
    pack = lambda s: tuple(s) if len(s) > 1 else s[0]
    agree(
        torch_results(lambda t, *s: module(t, pack(s)), x, *states),
        keras_results(lambda t, *s: stack(t, pack(s)), x, *states, traced=traced),
    )


def test_masked_stack_is_a_packed_sequence() -> None:
    module = nn.LSTM(F, H, num_layers=2, batch_first=True, bidirectional=True)
    stack = recurrent.TorchLSTM(H, num_layers=2, batch_first=True, bidirectional=True)
    x, lengths = draw(B, T, F), [5, 3, 2]
    stack(tf.constant(x))
    carry(module, stack, "LSTM")

    def packed(t: torch.Tensor) -> tuple:
        sequence = nn.utils.rnn.pack_padded_sequence(t, torch.tensor(lengths), batch_first=True)
        outputs, states = module(sequence)
        return nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)[0], states

    mask = tf.sequence_mask(lengths, T)
    agree(torch_results(packed, x), keras_results(lambda t: stack(t, mask=mask), x))


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_both_biases_are_trained(kind: str) -> None:
    module = getattr(nn, kind)(F, H, batch_first=True)
    stack = getattr(recurrent, f"Torch{kind}")(H, batch_first=True)
    x = draw(B, T, F)
    stack(tf.constant(x))
    carry(module, stack, kind)
    expected, optimizer = torch.optim.SGD(module.parameters(), 0.1), keras.optimizers.SGD(0.1)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(stack(tf.constant(x))[0] ** 2)
        gradients = tape.gradient(loss, stack.trainable_variables)
        optimizer.apply_gradients(zip(gradients, stack.trainable_variables, strict=True))

    for _ in range(5):
        expected.zero_grad()
        (module(torch.tensor(x))[0] ** 2).sum().backward()
        expected.step()
        step()
    agree([p.detach().numpy() for p in module.parameters()], stack.get_weights())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_cell_step(kind: str) -> None:
    module = getattr(nn, f"{kind}Cell")(F, H)
    if kind == "GRU":
        cell = recurrent.CellStep(layers.GRUCell(H))
    else:
        cell = recurrent.CellStep(getattr(recurrent, f"Torch{kind}Cell")(H))
    x = draw(B, F)
    cell(tf.constant(x))
    values = [p.detach().numpy() for p in module.parameters()]
    if kind == "GRU":
        swap = lambda w: np.concatenate([w[H : 2 * H], w[:H], w[2 * H :]])
        wi, wh, bi, bh = [swap(value) for value in values]
        values = [wi.T, wh.T, np.stack([bi, bh])]
    cell.set_weights(values)

    def unroll(step: Callable) -> Callable:
        return lambda t: step(t, step(t, step(t)))

    agree(torch_results(unroll(module), x), keras_results(unroll(cell), x))


# ------------------------------------------------------------------ embeddings


def test_padded_embedding_trains_as_torch() -> None:
    module = nn.Embedding(7, H, padding_idx=2)
    layer = embeddings.PaddedEmbedding(7, H, padding_idx=2)
    layer.build()
    assert not layer.get_weights()[0][2].any()
    layer.set_weights([module.weight.detach().numpy()])
    ids = np.array([[0, 2, 5], [2, 2, 1]])
    expected, optimizer = torch.optim.SGD(module.parameters(), 0.1), keras.optimizers.SGD(0.1)
    for _ in range(3):
        expected.zero_grad()
        ((module(torch.tensor(ids)) + 1) ** 2).sum().backward()
        expected.step()
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((layer(tf.constant(ids)) + 1) ** 2)
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
    agree([module.weight.detach().numpy()], layer.get_weights())


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("mode", ["mean", "sum", "max"])
def test_embedding_bag(mode: str, traced: bool) -> None:
    module, layer = nn.EmbeddingBag(7, H, mode=mode), embeddings.EmbeddingBag(7, H, mode)
    layer.build()
    layer.set_weights([module.weight.detach().numpy()])
    table, ids, offsets = np.array([[0, 2, 5], [6, 2, 1]]), np.arange(6), np.array([0, 1, 1, 4])
    bag = tf.function(layer) if traced else layer
    agree([module(torch.tensor(table)).detach().numpy()], [bag(tf.constant(table)).numpy()])
    agree(
        [module(torch.tensor(ids), torch.tensor(offsets)).detach().numpy()],
        [bag(tf.constant(ids), tf.constant(offsets)).numpy()],
    )


@pytest.mark.parametrize(("count", "shape"), [(1, (4, 5)), (3, (2, 4, 5, 3))])
def test_prelu_with_a_vector_of_slopes(count: int, shape: tuple[int, ...]) -> None:
    theirs, ours = torch.nn.PReLU(count), TorchPReLU(count)
    theirs.weight.data = torch.linspace(0.1, 0.5, count)
    ours.alpha.assign(theirs.weight.detach().numpy())
    x = np.random.default_rng(0).standard_normal(shape)
    x[0] = 0.0
    order = (0, *range(2, len(shape)), 1)
    value = torch.tensor(np.moveaxis(x, -1, 1) if len(shape) > 2 else x, requires_grad=True)
    expected = theirs(value)
    expected.square().sum().backward()
    with tf.GradientTape() as tape:
        found = ours(tf.constant(x))
        total = tf.reduce_sum(tf.square(found))
    slopes = tape.gradient(total, ours.alpha)
    moved = expected.detach().numpy()
    np.testing.assert_allclose(found, moved.transpose(order) if len(shape) > 2 else moved)
    np.testing.assert_allclose(slopes, theirs.weight.grad.numpy())
    assert ours.alpha.shape == (count,)
