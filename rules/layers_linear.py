"""Dense layers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.initial_values import layer_initializers, tell_once, uniform
from transpiler.site import Site
from transpiler.template import OMIT, call


def start(site: Site) -> Any:
    """The initial weights."""
    return uniform(site, site.args.get("in_features"))


def start_bias(site: Site) -> Any:
    """The initial biases."""
    return OMIT if site.context.to != "tf" or site.const("bias", True) is False else start(site)


@rewrites("torch.nn.Linear", to="tf")
def linear_of_vectors(site: Site) -> Any:
    """A layer that is called on single vectors, which a Dense of Keras refuses."""
    made = [i for i in site.context.interpreter.instances.values() if i.origin is site.node]
    if not any(i.state.get("vectors") for i in made):
        raise Unfit("this layer is called on batches only")
    return call(
        site.emit("VectorDense").value,
        site.arg("out_features"),
        use_bias=OMIT if site.const("bias", True) is True else site.arg("bias"),
        **layer_initializers(site, site.args.get("in_features")),
    )


LINEAR = Rule(
    "linear",
    torch="torch.nn.Linear(inputs, units, bias=bias)",
    keras="keras.layers.Dense(units, use_bias=bias)",
    exact="keras.layers.Dense(units, use_bias=bias, "
    "kernel_initializer=start, bias_initializer=start_bias)",
    infer={"start": start, "start_bias": start_bias},
    weights="kernels",
    proof=Proof(inputs=[(5, 3)], args=["3, 4", "3, out_features=4, bias=False"]),
)

LAZY_LINEAR = Rule(
    "lazy-linear",
    torch="torch.nn.LazyLinear(units, bias=bias)",
    keras="keras.layers.Dense(units, use_bias=bias)",
    exact="keras.layers.Dense(units, use_bias=bias, "
    "kernel_initializer=start, bias_initializer=start_bias)",
    infer={"start": start, "start_bias": start_bias},
    weights="kernels",
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


@rewrites("torch.nn.Linear", to="tf")
def linear_of_shape(site: Site) -> Any:
    """`nn.Linear(*input_shape, 64)`: a shape of one size."""
    star = site.starred[0] if len(site.starred) == 1 else None
    first = site.node.args[0] if isinstance(site.node, cst.Call) and site.node.args else None
    if star is None or star is not first or star.star != "*" or len(site.positional) != 1:
        raise Unfit(f"arguments of {site.short} are unpacked with * or **")
    options: dict[str, Any] = {}
    if "bias" in site.keywords:
        options["use_bias"] = site.keywords["bias"]
    if site.exact:
        for name in ("kernel_initializer", "bias_initializer"):
            options[name] = cst.Call(site.emit("torch_uniform"), [cst.Arg(star.value, star="*")])
    else:
        tell_once(site)
    return call("keras.layers.Dense", site.positional[0], **options)
