"""Keras' activations by name, as PyTorch modules and functions."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const, Function, Instance, Symbol, Value, options
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.template import call, fill

MODULES: dict[str, str] = {
    "relu": "torch.nn.ReLU()",
    "sigmoid": "torch.nn.Sigmoid()",
    "tanh": "torch.nn.Tanh()",
    "softmax": "torch.nn.Softmax(dim=-1)",
    "log_softmax": "torch.nn.LogSoftmax(dim=-1)",
    "elu": "torch.nn.ELU()",
    "selu": "torch.nn.SELU()",
    "gelu": "torch.nn.GELU()",
    "silu": "torch.nn.SiLU()",
    "swish": "torch.nn.SiLU()",
    "softplus": "torch.nn.Softplus()",
    "softsign": "torch.nn.Softsign()",
    "mish": "torch.nn.Mish()",
    "relu6": "torch.nn.ReLU6()",
    "leaky_relu": "torch.nn.LeakyReLU(0.2)",
    "hard_sigmoid": "torch.nn.Hardsigmoid()",
    "hard_silu": "torch.nn.Hardswish()",
    "hard_swish": "torch.nn.Hardswish()",
    "log_sigmoid": "torch.nn.LogSigmoid()",
    "tanh_shrink": "torch.nn.Tanhshrink()",
    "hard_tanh": "torch.nn.Hardtanh()",
    "hard_shrink": "torch.nn.Hardshrink()",
    "soft_shrink": "torch.nn.Softshrink()",
    "celu": "torch.nn.CELU()",
    "glu": "torch.nn.GLU()",
}

FUNCTIONS: dict[str, str] = {
    "relu": "torch.relu(x)",
    "sigmoid": "torch.sigmoid(x)",
    "tanh": "torch.tanh(x)",
    "softmax": "torch.softmax(x, dim=-1)",
    "log_softmax": "torch.log_softmax(x, dim=-1)",
    "elu": "torch.nn.functional.elu(x)",
    "selu": "torch.nn.functional.selu(x)",
    "gelu": "torch.nn.functional.gelu(x)",
    "silu": "torch.nn.functional.silu(x)",
    "swish": "torch.nn.functional.silu(x)",
    "softplus": "torch.nn.functional.softplus(x)",
    "softsign": "torch.nn.functional.softsign(x)",
    "mish": "torch.nn.functional.mish(x)",
    "relu6": "torch.nn.functional.relu6(x)",
    "leaky_relu": "torch.nn.functional.leaky_relu(x, 0.2)",
    "hard_sigmoid": "torch.nn.functional.hardsigmoid(x)",
    "exponential": "torch.exp(x)",
    "linear": "x",
}


def activation_name(value: Value | None) -> str | None:
    """The name of an activation given by string or as the library's function."""
    match value:
        case Const(value=None) | None:
            return "linear"
        case Const(value=str(name)):
            return name
        case Symbol(name=name) if name.startswith(("keras.activations.", "tf.nn.", "keras.ops.")):
            return name.rpartition(".")[2]
        case Symbol(name=name) if name in ("tf.tanh", "tf.sigmoid"):
            return name.rpartition(".")[2]
    return None


def activation_module(site: Site, value: Value | None, node: Any) -> cst.BaseExpression | None:
    """The module of an activation argument; None where it is linear."""
    if isinstance(value, Instance):
        return node if isinstance(node, cst.BaseExpression) else None
    name = activation_name(value)
    if name == "linear":
        return None
    if name in MODULES:
        return fill(MODULES[name])
    if name == "exponential":
        return call("Lambda", fill("torch.exp")).with_changes(func=site.emit("Lambda"))
    functions = all(isinstance(o, Function) for o in options(value)) and value is not None
    if functions and isinstance(node, cst.BaseExpression):
        return call("Lambda", node).with_changes(func=site.emit("Lambda"))
    raise Unfit(
        f"the activation {name or 'given here'} of {site.short} has no PyTorch module",
        "write the activation as a function in forward",
    )
