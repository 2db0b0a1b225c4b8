"""What a layer was made with, read off it: `dense.units`, `conv.kernel_size`, `norm.epsilon`."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import Const, Instance, Number, Value, options
from transpiler.rule import Inference, Unfit, infers_property, rewrites
from transpiler.rules.keras_layer_weights import is_one_module
from transpiler.site import Site
from transpiler.template import fill

CONVOLUTION = {"filters": "out_channels", "kernel_size": "kernel_size", "strides": "stride",
               "dilation_rate": "dilation", "groups": "groups"}  # fmt: skip
BIASED = {"use_bias": "bias is not None"}
ATTRIBUTES: dict[str, dict[str, str]] = {
    "Dense": {"units": "out_features", **BIASED},
    **{f"Conv{n}D": {**CONVOLUTION, **BIASED} for n in (1, 2, 3)},
    "LSTM": {"units": "hidden_size"},
    "GRU": {"units": "hidden_size"},
    "BatchNormalization": {"epsilon": "eps"},
    "LayerNormalization": {"epsilon": "eps"},
    "Embedding": {"input_dim": "num_embeddings", "output_dim": "embedding_dim"},
    "Dropout": {"rate": "p"},
}
PROPERTIES = [f"keras.layers.{kind}.{name}" for kind, names in ATTRIBUTES.items() for name in names]


def _fact(name: str) -> Inference:
    """The argument that a layer was made with."""
    kind = "bool" if name == "use_bias" else "int"

    @infers_property(*(p for p in PROPERTIES if p.endswith(f".{name}")))
    def given(value: Value) -> Value:
        found = value.arguments.get(name) if isinstance(value, Instance) else None
        if found is None and name == "use_bias":
            return Const(True)
        return found if isinstance(found, Const) else Number(kind)

    return given


FACTS = [_fact(name) for name in ("units", "filters", "input_dim", "output_dim", "use_bias")]


@rewrites(*PROPERTIES, to="torch")
def setting(site: Site) -> Any:
    """The module's own word for it."""
    kind, _, name = site.name.removeprefix("keras.layers.").partition(".")
    for layer in options(site.receiver_fact):
        if isinstance(layer, Instance) and not is_one_module(site, layer):
            raise Unfit(f"`{name}` of a layer that is several modules here",
                        "ask the module that holds it")  # fmt: skip
    return fill(f"layer.{ATTRIBUTES[kind][name]}", layer=site.receiver)
