"""The layers that translations to TensorFlow write out, as the modules they were written for."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import Instance, Sequence, Value
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import (
    SHAPES,
    argument,
    embedding,
    first,
    floating,
    keeping,
    size_argument,
)
from transpiler.rules.keras_layer import ANY, FIRST, LAST, Layer, Part
from transpiler.rules.keras_layers import LAYERS, minus_momentum
from transpiler.rules.keras_layers_more import group_norm
from transpiler.template import OMIT, call

TORCH_NORMS = ("TorchBatchNorm", "TwiceDifferentiableBatchNorm")
NORMS: dict[str, dict[str, Any]] = {
    **{name: {} for name in TORCH_NORMS},
    "CumulativeBatchNorm": {"momentum": None},
    "BatchStatisticsNorm": {"track_running_stats": False},
}
GROUPS = "TwiceDifferentiableGroupNorm"
STACKS = {"TorchLSTM": "LSTM", "TorchGRU": "GRU", "TorchRNN": "RNN", "StackedGRU": "GRU"}


def batch_norm(layer: Layer) -> list[Part]:
    """torch's own statistics, counted as torch counts."""
    x = layer.input
    if x is None or x.rank is None:
        raise Unfit(f"the rank of the input of {layer.site.short} is not known")
    options: dict[str, Any] = dict(NORMS[layer.name])
    if layer.name in TORCH_NORMS and "momentum" in layer.site.args:
        options["momentum"] = minus_momentum(layer)
    plain = layer.const("center", True) and layer.const("scale", True)
    if not plain and (layer.const("center", True) or layer.const("scale", True)):
        raise Unfit(f"{layer.site.short} with only one of center and scale has no equal here")
    eps = layer.arg("epsilon") if "epsilon" in layer.site.args else OMIT
    kind = {2: 1, 3: 1, 4: 2, 5: 3}.get(x.rank, 1)
    module = call(f"torch.nn.BatchNorm{kind}d", layer.size(), eps=eps, **options,
                  affine=OMIT if plain else False)  # fmt: skip
    return [Part(module, FIRST if x.rank > 2 else ANY)]


def padded_embedding(layer: Layer) -> list[Part]:
    """The row of the padding index stays as it is."""
    module = call("torch.nn.Embedding", layer.arg("input_dim"), layer.arg("output_dim"),
                  padding_idx=layer.arg("padding_idx"))  # fmt: skip
    return [Part(module, LAST)]


def prelu(layer: Layer) -> list[Part]:
    options = {n: layer.arg(n) for n in ("num_parameters", "init") if n in layer.site.args}
    return [Part(call("torch.nn.PReLU", **options), FIRST)]


def stack(layer: Layer) -> list[Part]:
    """Outputs and states as torch gives them."""
    names = ("num_layers", "batch_first", "dropout", "bidirectional", "activation", "use_bias")
    options = {n: layer.arg(n) for n in names if n in layer.site.args}
    if "activation" in options:
        options["nonlinearity"] = options.pop("activation")
    if "use_bias" in options:
        options["bias"] = options.pop("use_bias")
    known = {"units", *names}
    for name in layer.site.args:
        if name not in known:
            raise Unfit(f"`{name}` of {layer.site.short} has no equal here")
    module = call(f"torch.nn.{STACKS[layer.name]}", layer.size(), layer.arg("units"), **options)
    return [Part(module, LAST)]


def stack_result(layer: Instance, inputs: list[Value]) -> Value:
    """Outputs of all directions side by side; states of shape (layers * directions, batch, n)."""
    x, units = floating(first(inputs)), size_argument(layer, "units")
    count, both = argument(layer, "num_layers", 1), argument(layer, "bidirectional", False)
    ways = 2 if both else 1
    width = units * ways if isinstance(units, int) else units if ways == 1 else None
    first_axes = x.shape[:2] if x.rank == 3 and x.shape else (None, None)
    batch = first_axes[0] if argument(layer, "batch_first", False) is True else first_axes[1]
    rows = count * ways if isinstance(count, int) else None
    state = x.but(shape=(rows, batch, units))
    states = Sequence("tuple", (state, state)) if layer.class_names[0].endswith("LSTM") else state
    return Sequence("tuple", (x.but(shape=(*first_axes, width)), states))


SHAPES.update(dict.fromkeys((*NORMS, GROUPS, "TorchPReLU"), keeping))
SHAPES.update(dict.fromkeys(STACKS, stack_result), PaddedEmbedding=embedding)
LAYERS.update(dict.fromkeys(NORMS, batch_norm), **{GROUPS: group_norm})
LAYERS.update(dict.fromkeys(STACKS, stack), PaddedEmbedding=padded_embedding, TorchPReLU=prelu)
UNITS = (*NORMS, GROUPS, *STACKS, "PaddedEmbedding", "TorchPReLU")
