"""The initial values of Keras' layers, on the modules that they become."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const
from transpiler.rules.keras_initial_values import named
from transpiler.template import OMIT, call, fill

USUAL = {"embeddings": "random_uniform"}
PLAIN = {
    "he_uniform": "torch.nn.init.kaiming_uniform_",
    "orthogonal": "torch.nn.init.orthogonal_",
    "zeros": "torch.nn.init.zeros_",
    "ones": "torch.nn.init.ones_",
    "identity": "torch.nn.init.eye_",
}
"""PyTorch's functions of the same effect."""
EMITTED = ("he_normal", "glorot_normal", "lecun_normal")
DEPTHWISE = ("glorot_uniform", "random_uniform", "random_normal", "truncated_normal", "zeros",
             "ones", "constant")  # fmt: skip
"""Initializers whose spread is the same for a depthwise kernel's axes in both libraries."""


def started(layer: Any, module: cst.BaseExpression, kernel: str) -> cst.BaseExpression:
    """A module with the layer's initial values: those it is given, and in exact output all.

    Where they are not carried over this is said, once for Keras' defaults.
    """
    if layer.starts_as_torch():
        return module
    given = layer.instance.arguments.get(f"{kernel}_initializer")
    bias = layer.instance.arguments.get("bias_initializer")
    usual = USUAL.get(kernel, "glorot_uniform")
    plain = given is None or named(given) == (usual, {})
    plain = plain and (bias is None or named(bias) == ("zeros", {}))
    lazy = isinstance(module, cst.Call) and "Lazy" in cst.Module([]).code_for_node(module.func)
    if plain and (not layer.site.exact or lazy):
        warn_of_defaults(layer)
        return module
    weight = function_of(layer, given if given is not None else Const(usual), kernel)
    start = OMIT if bias is None else function_of(layer, bias, "bias")
    if lazy or weight is None or start is None:
        warn_of_initializers(layer)
        return module
    made: cst.BaseExpression = layer.emit("initialize", module, weight, bias=start)
    return made


def function_of(layer: Any, value: Any, role: str) -> Any:
    """What fills a parameter, OMIT where `initialize` does it unasked; None where nothing does."""
    name, options = named(value)
    if name == {"bias": "zeros"}.get(role, "glorot_uniform"):
        several = role == "depthwise" and layer.const("depth_multiplier", 1) != 1
        return None if several else OMIT
    if role == "depthwise" and name not in DEPTHWISE:
        return None
    if name in EMITTED:
        return cst.Name(layer.site.context.emit(name))
    if name in PLAIN and not options:
        return fill(PLAIN[name])
    bound: dict[str, Any] = {}
    match name:
        case "random_normal" | "truncated_normal":
            mean, std = options.get("mean", 0.0), options.get("stddev", 0.05)
            bound = {"mean": mean or OMIT, "std": std}
            if name == "truncated_normal":
                bound |= {"a": mean - 2 * std, "b": mean + 2 * std}
            function = "normal_" if name == "random_normal" else "trunc_normal_"
        case "random_uniform":
            function = "uniform_"
            bound = {"a": options.get("minval", -0.05), "b": options.get("maxval", 0.05)}
        case "constant":
            function, bound = "constant_", {"val": options.get("value", 0.0)}
        case "orthogonal" | "identity" if set(options) <= {"gain"}:
            function, bound = PLAIN[name].rpartition(".")[2], {"gain": options.get("gain", 1.0)}
            if name == "identity":
                return None
        case "lecun_uniform":
            function, bound = "kaiming_uniform_", {"nonlinearity": "linear"}
        case "variance_scaling":
            unit = cst.Name(layer.site.context.emit(name))
            return partial(layer, call("f", unit).args[0].value, options)
        case _:
            return None
    return partial(layer, fill(f"torch.nn.init.{function}"), bound)


def partial(layer: Any, function: cst.BaseExpression, bound: dict[str, Any]) -> cst.Call:
    layer.site.context.request_import("import functools")
    return call("functools.partial", function, **bound)


def started_recurrent(layer: Any, module: cst.BaseExpression) -> cst.BaseExpression:
    """A recurrent module with Keras' default initial values, in exact output."""
    if layer.starts_as_torch():
        return module
    usual = {"kernel": "glorot_uniform", "recurrent": "orthogonal", "bias": "zeros"}
    for role, name in usual.items():
        given = layer.instance.arguments.get(f"{role}_initializer")
        if given is not None and named(given) != (name, {}):
            warn_of_initializers(layer)
            return module
    if not layer.site.exact or layer.const("unit_forget_bias", True) is False:
        warn_of_defaults(layer)
        return module
    unit = "initialize_cell" if layer.name.endswith("Cell") else "initialize_recurrent"
    made: cst.BaseExpression = layer.emit(unit, module)
    return made


def warn_of_initializers(layer: Any) -> None:
    layer.caution(
        f"the initializers of {layer.site.short} are not carried over: PyTorch's own are used",
        "set the weights with torch.nn.init",
    )


def warn_of_defaults(layer: Any) -> None:
    notes = layer.site.context.notes
    if not notes.get("initial values"):
        notes["initial values"] = True
        layer.caution(
            "layers start from PyTorch's own initial values, not from Keras' (Glorot uniform,"
            " zero biases)",
            "--fidelity exact writes Keras'; equal weights train equally",
        )
