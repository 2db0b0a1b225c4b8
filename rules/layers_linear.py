"""Dense layers."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Proof, Rule, rewrites
from transpiler.rules.initial_values import uniform
from transpiler.site import Site
from transpiler.template import OMIT, call


def start(site: Site) -> Any:
    """The initial weights."""
    return uniform(site, site.args.get("in_features"))


def start_bias(site: Site) -> Any:
    """The initial biases."""
    return OMIT if site.context.to != "tf" or site.const("bias", True) is False else start(site)


LINEAR = Rule(
    "linear",
    torch="torch.nn.Linear(inputs, units, bias=bias)",
    keras="keras.layers.Dense(units, use_bias=bias)",
    exact="keras.layers.Dense(units, use_bias=bias, "
    "kernel_initializer=start, bias_initializer=start_bias)",
    infer={"start": start, "start_bias": start_bias},
    weights={"weight": "transposed kernel", "bias": "bias"},
    proof=Proof(inputs=[(5, 3)], args=["3, 4", "3, out_features=4, bias=False"]),
)

LAZY_LINEAR = Rule(
    "lazy-linear",
    torch="torch.nn.LazyLinear(units, bias=bias)",
    keras="keras.layers.Dense(units, use_bias=bias)",
    exact="keras.layers.Dense(units, use_bias=bias, "
    "kernel_initializer=start, bias_initializer=start_bias)",
    infer={"start": start, "start_bias": start_bias},
    weights={"weight": "transposed kernel", "bias": "bias"},
    proof=Proof(inputs=[(5, 3)], args=["4"]),
    to="tf",
)

IDENTITY = Rule(
    "identity",
    torch="torch.nn.Identity()",
    keras="keras.layers.Identity()",
    layout="elementwise",
    to="torch",
)


@rewrites(
    "torch.nn.Identity",
    to="tf",
    layout="elementwise",
    proof=Proof(inputs=[(5, 3)], args=["", "54, unused=3"]),
)
def identity(site: Site) -> Any:
    """torch's Identity ignores whatever arguments it is given."""
    return call("keras.layers.Identity")
