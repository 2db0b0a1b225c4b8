"""Emitted attention and transformer layers against torch.nn in float64."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import torch.nn.functional as F
from emitted_results import agree, double_precision, draw, keras_results, torch_results
from torch import nn

from transpiler.rules.emitted.to_tf import attention

B, T, S, E, HEADS = 3, 5, 4, 8, 2
KEYS = np.array([[0, 0, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]], bool)
CAUSAL = np.triu(np.ones((T, T), bool), 1)

__all__ = ["double_precision"]


def carry(module: nn.Module, layer: keras.layers.Layer) -> None:
    """Give every weight of the Keras layer the torch parameter of the same name."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    for name, parameter in module.named_parameters():
        target = layer
        *path, last = name.split(".")
        for part in path:
            target = target[int(part)] if part.isdigit() else getattr(target, part)
        value = parameter.detach().numpy()
        if isinstance(target, keras.layers.Dense):
            (target.bias if last == "bias" else target.kernel).assign(value.T)
        elif isinstance(target, keras.layers.LayerNormalization):
            (target.beta if last == "bias" else target.gamma).assign(value)
        else:
            getattr(target, last).assign(value)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    "masks",
    [
        {},
        {"key_padding_mask": KEYS},
        {"attn_mask": np.triu(np.ones((T, S), bool), 1)},
        {"attn_mask": np.cos(np.arange(T * S)).reshape(T, S), "key_padding_mask": KEYS},
        {"attn_mask": np.sin(np.arange(B * HEADS * T * S)).reshape(B * HEADS, T, S)},
    ],
)
def test_multihead_attention(masks: dict, traced: bool) -> None:
    module = nn.MultiheadAttention(E, HEADS, batch_first=traced)
    layer = attention.TorchMultiheadAttention(E, HEADS, batch_first=traced)
    carry(module, layer)
    q, k, v = draw(B, T, E), draw(B, S, E), draw(B, S, E)
    if not traced:
        q, k, v = [x.transpose(1, 0, 2) for x in (q, k, v)]
    tensors = {name: torch.tensor(mask) for name, mask in masks.items()}
    agree(
        torch_results(lambda *x: module(*x, **tensors), q, k, v),
        keras_results(lambda *x: layer(*x, **masks), q, k, v, traced=traced),
    )
    per_head = {"average_attn_weights": False}
    agree(
        torch_results(lambda *x: module(*x, **tensors, **per_head), q, k, v),
        keras_results(lambda *x: layer(*x, **masks, **per_head), q, k, v, traced=traced),
    )


def test_attention_to_nothing_is_zero() -> None:
    module = nn.MultiheadAttention(E, HEADS, bias=False, batch_first=True)
    layer = attention.TorchMultiheadAttention(E, HEADS, bias=False, batch_first=True)
    carry(module, layer)
    q, mask = draw(1, T, E), np.ones((1, T), bool)
    agree(
        torch_results(lambda x: module(x, x, x, torch.tensor(mask), need_weights=False)[0], q),
        keras_results(lambda x: layer(x, x, x, mask, need_weights=False)[0], q),
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"attn_mask": ~CAUSAL},
        {"attn_mask": np.cos(np.arange(T * T)).reshape(T, T), "scale": 0.3},
    ],
)
def test_scaled_dot_product_attention(options: dict) -> None:
    q, k, v = [draw(B, HEADS, T, E) for _ in range(3)]
    theirs = {n: torch.tensor(o) if n == "attn_mask" else o for n, o in options.items()}
    agree(
        torch_results(lambda *x: F.scaled_dot_product_attention(*x, **theirs), q, k, v),
        keras_results(lambda *x: attention.scaled_dot_product_attention(*x, **options), q, k, v),
    )


def test_square_subsequent_mask() -> None:
    expected = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    assert np.array_equal(attention.square_subsequent_mask(T).numpy(), expected.numpy())


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_encoder(norm_first: bool, activation: str) -> None:
    options = {"dropout": 0.0, "activation": activation, "norm_first": norm_first}
    options |= {"batch_first": True}
    module = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(E, HEADS, 16, **options), 2, nn.LayerNorm(E)
    )
    norm = keras.layers.LayerNormalization(epsilon=1e-5)
    norm.build((None, E))
    layer = attention.TransformerEncoder(
        attention.TransformerEncoderLayer(E, HEADS, 16, **options), 2, norm
    )
    for one, other in zip(
        layer.layers[0].get_weights(), layer.layers[1].get_weights(), strict=True
    ):
        assert np.array_equal(one, other)
    carry(module, layer)
    x, padding = draw(B, T, E), np.arange(T) >= np.array([[5], [3], [4]])
    agree(
        torch_results(
            lambda t: module(module(t, torch.tensor(CAUSAL), torch.tensor(padding)), None), x
        ),
        keras_results(lambda t: layer(layer(t, CAUSAL, padding), None), x, traced=True),
    )


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_transformer(batch_first: bool, bias: bool) -> None:
    options = {"dropout": 0.0, "batch_first": batch_first, "bias": bias}
    module = nn.Transformer(E, HEADS, 2, 2, 16, **options)
    layer = attention.Transformer(E, HEADS, 2, 2, 16, **options)
    carry(module, layer)
    source, target = draw(B, S, E), draw(B, T, E)
    if not batch_first:
        source, target = source.transpose(1, 0, 2), target.transpose(1, 0, 2)
    masks = {"src_key_padding_mask": KEYS, "memory_key_padding_mask": KEYS, "tgt_mask": CAUSAL}
    tensors = {name: torch.tensor(mask) for name, mask in masks.items()}
    agree(
        torch_results(lambda *x: module(*x, **tensors), source, target),
        keras_results(lambda *x: layer(*x, **masks), source, target, traced=batch_first),
    )


def test_transformer_trains_as_torch() -> None:
    module = nn.TransformerEncoderLayer(E, HEADS, 16, dropout=0.0)
    layer = attention.TransformerEncoderLayer(E, HEADS, 16, dropout=0.0)
    carry(module, layer)
    x = draw(T, B, E)
    expected, optimizer = torch.optim.SGD(module.parameters(), 1e-3), keras.optimizers.SGD(1e-3)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(tf.constant(x), training=True) ** 3)
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
        return loss

    for _ in range(10):
        expected.zero_grad()
        loss = (module(torch.tensor(x)) ** 3).mean()
        loss.backward()
        expected.step()
        assert float(step()) == pytest.approx(loss.item(), rel=1e-12)


def test_layers_of_a_model_are_saved(tmp_path) -> None:
    def build() -> Callable:
        inputs = keras.Input((T, E))
        layer = attention.TransformerEncoderLayer(E, HEADS, 16, batch_first=True)
        return keras.Model(inputs, attention.TransformerEncoder(layer, 2)(inputs))

    first, second = build(), build()
    first.save_weights(tmp_path / "first.weights.h5")
    second.load_weights(tmp_path / "first.weights.h5")
    x = draw(B, T, E)
    assert np.array_equal(first(x).numpy(), second(x).numpy())
