"""Weights of a layer by name: `dense.kernel`, `norm.gamma`, `embedding.embeddings`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const, Instance, Tensor, Value, options
from transpiler.rule import Unfit, infers_property, rewrites
from transpiler.site import Site
from transpiler.syntax import code, walk
from transpiler.template import fill

NAMES = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var", "embeddings": "weight",
}  # fmt: skip
AXES = {"Dense": "T", "Conv1D": "permute(2, 1, 0)", "Conv2D": "permute(2, 3, 1, 0)",
        "Conv3D": "permute(2, 3, 4, 1, 0)"}  # fmt: skip
"""How PyTorch's weight becomes Keras' kernel."""
OWNED = {
    **dict.fromkeys(AXES, ("kernel", "bias")),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "LayerNormalization": ("gamma", "beta"),
    "Embedding": ("embeddings",),
}
PROPERTIES = [f"keras.layers.{kind}.{name}" for kind, names in OWNED.items() for name in names]


@infers_property(*PROPERTIES)
def weight(value: Value) -> Value:
    return Tensor(None, "float32", "tf", True)


@rewrites(*PROPERTIES, to="torch")
def layer_weight(site: Site) -> Any:
    """The module's parameter, in Keras' order of axes."""
    kind, _, name = site.name.removeprefix("keras.layers.").partition(".")
    for layer in options(site.receiver_fact):
        if isinstance(layer, Instance) and not is_one_module(site, layer):
            raise Unfit(f"`{name}` of a layer that is several modules here",
                        "take the weight of the module that holds it")  # fmt: skip
    text = f"layer.{NAMES[name]}" + (f".{AXES[kind]}" if name == "kernel" else "")
    return fill(text, layer=site.receiver)


def is_one_module(site: Site, layer: Instance) -> bool:
    """Whether a layer becomes a single module, which the receiver then is."""
    if is_asked_for(site):
        return True
    if layer.arguments.get("activation") in (None, Const(None), Const("linear")):
        return layer.arguments.get("padding") in (None, Const("valid"))
    models = site.context.interpreter.instances.values()
    held = [m.state.get("layers") for m in models if "starred" not in m.state]
    return any(isinstance(x, list) and layer in x for x in held)  # an element of a Sequential


def is_asked_for(site: Site) -> bool:
    """Whether the receiver stands under a test of its class, which holds for the module only."""
    place: Any = site.node
    while (place := site.context.edits.enclosing(place, cst.If)) is not None:
        test = place.test
        if site.node in set(walk(place.body)) and isinstance(test, cst.Call):
            if code(test.func) == "isinstance" and site.receiver is not None:
                if code(test.args[0].value) == code(site.receiver):
                    return True
    return False
