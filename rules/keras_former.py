"""Keras 1 and 2: former names of parameters and methods, understood as what they meant."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Value
from transpiler.rule import infers

_LAYER = {
    "init": "kernel_initializer", "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer", "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint", "bias": "use_bias", "border_mode": "padding",
    "subsample": "strides", "nb_filter": "filters", "filter_length": "kernel_size",
    "subsample_length": "strides", "pool_length": "pool_size", "stride": "strides",
}  # fmt: skip
_UNITS = {**_LAYER, "output_dim": "units"}
_RECURRENT = {**_UNITS, "inner_activation": "recurrent_activation", "inner_init":
              "recurrent_initializer", "dropout_W": "dropout", "dropout_U": "recurrent_dropout",
              "forget_bias_init": "unit_forget_bias"}  # fmt: skip
_EMBEDDING = {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer"}
_FIT = {"nb_epoch": "epochs", "samples_per_epoch": "steps_per_epoch", "generator": "x",
        "nb_val_samples": "validation_steps", "val_samples": "steps", "data": "x"}  # fmt: skip

FORMER_PARAMETERS = {
    **{f"keras.layers.{n}": _UNITS for n in ("Dense",)},
    **{f"keras.layers.{n}": _RECURRENT for n in ("LSTM", "GRU", "SimpleRNN")},
    **{f"keras.layers.{n}": _LAYER for n in (
        "Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "SeparableConv2D", "MaxPooling1D",
        "MaxPooling2D", "AveragePooling2D", "AveragePooling1D", "DepthwiseConv2D",
    )},
    "keras.layers.Embedding": _EMBEDDING,
    "keras.layers.Dropout": {"p": "rate"},
    "keras.layers.BatchNormalization": {"beta_init": "beta_initializer", "mode": "synchronized"},
    **{f"keras.Model.{n}": _FIT for n in ("fit", "evaluate", "predict")},
    "keras.Model": {"input": "inputs", "output": "outputs"},
}  # fmt: skip


@infers(
    "keras.Model.fit_generator", "keras.Model.evaluate_generator", "keras.Model.predict_generator",
    "keras.Model.predict_classes", "keras.Model.predict_proba",
)  # fmt: skip
def former(call: Invocation) -> Value:
    """What these methods are called today."""
    name = call.name.removesuffix("_generator")
    for end in ("_classes", "_proba"):
        name = name.removesuffix(end)
    return call.interpreter.knowledge.call(
        Invocation(call.interpreter, name, call.node, call.receiver, call.positional, call.keywords)
    )
