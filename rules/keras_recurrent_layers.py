"""Keras' recurrent layers and cells as PyTorch modules."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Unfit
from transpiler.rules.keras_activations import activation_name
from transpiler.rules.keras_layer import (
    LAST,
    Layer,
    Part,
)
from transpiler.rules.keras_layer_starts import started_recurrent
from transpiler.template import OMIT, call, fill


def recurrent(layer: Layer) -> list[Part]:
    """LSTM, GRU and SimpleRNN: PyTorch's layer with Keras' single bias, in the kind of output."""
    layer.refuse("stateful", "unroll", "kernel_regularizer", "recurrent_regularizer",
                 "bias_regularizer", "kernel_constraint", "recurrent_constraint",
                 "zero_output_for_mask", "time_major")  # fmt: skip
    kind = {"LSTM": "LSTM", "GRU": "GRU", "SimpleRNN": "RNN"}[layer.name]
    activation = activation_name(layer.value("activation"))
    gates = activation_name(layer.value("recurrent_activation")) if kind != "RNN" else "sigmoid"
    bias = layer.unless("use_bias", True)
    usual = activation == "tanh" and gates == "sigmoid"
    if kind == "GRU" and layer.const("reset_after", True) is not True:
        usual = False
    if kind == "RNN" and activation == "relu":
        usual = True
    drops = layer.unless("recurrent_dropout", 0.0) is not OMIT
    if usual and not drops:
        extra = {"nonlinearity": "relu"} if kind == "RNN" and activation == "relu" else {}
        module: cst.BaseExpression = call(
            f"torch.nn.{kind}", layer.size(), layer.arg("units"), bias=bias, batch_first=True,
            **extra,
        )  # fmt: skip
        module = started_recurrent(layer, module)
        if kind != "GRU" and bias is OMIT:
            module = layer.emit("single_bias", module)
    else:
        from transpiler.rules.keras_activations import FUNCTIONS

        if activation not in FUNCTIONS or gates not in FUNCTIONS:
            raise Unfit(f"the activations of {layer.site.short} have no equal here")
        functions: dict[str, Any] = {}
        if activation != "tanh":
            functions["activation"] = fill("lambda x: " + FUNCTIONS[activation])
        if kind != "RNN" and gates != "sigmoid":
            functions["recurrent_activation"] = fill("lambda x: " + FUNCTIONS[gates])
        if drops:
            functions["dropout"] = layer.unless("dropout", 0.0)
            functions["recurrent_dropout"] = layer.arg("recurrent_dropout")
        before = kind == "GRU" and layer.const("reset_after", True) is not True
        module = layer.emit(f"Keras{kind}{'ResetBefore' if before else ''}Loop", layer.size(),
                            layer.arg("units"), **functions, bias=bias)  # fmt: skip
    options = {
        name: OMIT if layer.plain(name) in (False, 0, 0.0) else layer.arg(name)
        for name in ("return_sequences", "return_state", "go_backwards", "dropout")
        if not (drops and name == "dropout")
    }
    return [Part(layer.emit("KerasRecurrent", module, **options), LAST)]


def cell(layer: Layer) -> list[Part]:
    """One step of a recurrent layer: PyTorch's cell with Keras' single bias."""
    layer.refuse("dropout", "recurrent_dropout", "kernel_regularizer", "recurrent_regularizer",
                 "bias_regularizer", "kernel_constraint", "recurrent_constraint")  # fmt: skip
    kind = {"SimpleRNNCell": "RNNCell"}.get(layer.name, layer.name)
    activation = activation_name(layer.value("activation"))
    gates = activation_name(layer.value("recurrent_activation")) if kind != "RNNCell" else "sigmoid"
    relu = kind == "RNNCell" and activation == "relu"
    if (activation != "tanh" and not relu) or gates != "sigmoid":
        raise Unfit(f"the activations of {layer.site.short} have no equal here")
    if kind == "GRUCell" and layer.const("reset_after", True) is not True:
        raise Unfit(f"reset_after=False of {layer.site.short} has no equal here")
    bias = layer.unless("use_bias", True)
    module: cst.BaseExpression = call(
        f"torch.nn.{kind}", layer.size(), layer.arg("units"), bias=bias,
        nonlinearity="relu" if relu else OMIT,
    )  # fmt: skip
    module = started_recurrent(layer, module)
    if kind != "GRUCell" and bias is OMIT:
        module = layer.emit("single_bias", module)
    return [Part(layer.emit("KerasCell", module), LAST)]
