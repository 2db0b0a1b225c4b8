"""Initializers that the program calls by itself: functions of a shape in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Symbol, Tensor, Value, options
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules.keras_initial_values import named, parametrized
from transpiler.rules.keras_model_parts import read_by_layers
from transpiler.rules.tf_arguments import drop
from transpiler.rules.tf_operands import dims_from, dtype_named
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import fill

OWN = {
    "tf.random_normal_initializer": "random_normal", "tf.zeros_initializer": "zeros",
    "tf.random_uniform_initializer": "random_uniform", "tf.ones_initializer": "ones",
    "tf.constant_initializer": "constant",
}  # fmt: skip
KERAS = tuple(
    f"keras.initializers.{name}"
    for name in """Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal GlorotUniform
    GlorotNormal HeNormal HeUniform LecunNormal LecunUniform Orthogonal VarianceScaling""".split()
)
SCALED = ("glorot", "he_", "lecun", "orthogonal")
"""Initializers that read off the shape which axes are inputs and outputs."""


@infers("keras.Initializer.__call__", *(f"{name}.__call__" for name in OWN))
def made(call: Invocation) -> Value:
    """A tensor of the shape that is asked for."""
    shape = call.arg("shape", at=0)
    return Tensor(dims_from(shape), dtype_named(call.arg("dtype", at=1)) or "float32", "tf")


@infers(*OWN)
def initializer(call: Invocation) -> Value:
    return call.interpreter.allocate(Symbol(call.name), call.node, call.bound)


def template_of(value: Value, site: Site) -> str:
    """What an initializer makes of `shape`. Raises Unfit."""
    name, given = named(value)
    if isinstance(value, Instance) and value.class_names[:1]:
        name = OWN.get(value.class_names[0], name)
    if name == "constant":
        return f"torch.full(shape, {float(given.get('value') or 0.0)!r})"
    found = parametrized(name, given)
    if found is None:
        raise Unfit(
            f"the initializer {name or 'called here'} is not translated", "use torch.nn.init"
        )
    return found


def is_called(site: Site) -> bool:
    """Whether the program calls the object that is made here."""
    return any(
        getattr(o, "origin", None) is site.node
        for call in find(site.context.module, cst.Call)
        for o in options(site.context.fact(call.func))
    )


@rewrites(*OWN, *KERAS, to="torch")
def function_of_shape(site: Site) -> Any:
    """A function that makes a tensor."""
    fact = site.context.fact(site.node)
    held = options(fact)
    if held and all(isinstance(o, Instance) for o in held) and not is_called(site):
        return read_by_layers(site)
    if not site.is_call or not isinstance(fact, Instance) or not is_called(site):
        raise Unfit(f"{site.short} stands outside of a layer", "use torch.nn.init")
    for node in (*site.positional, *site.keywords.values()):
        drop(site, node)
    return fill(f"lambda shape: {template_of(fact, site)}")


_SPREAD = {
    "RandomUniform": ("uniform_", ("minval", "maxval")),
    "RandomNormal": ("normal_", ("mean", "stddev")),
}
_TURNED = {"fan_in": "fan_out", "fan_out": "fan_in"}
"""In Keras' order of axes the inputs come first."""


def _of_arguments(site: Site, made: cst.Call, shape: Any) -> Any:
    """The tensor, by arguments that need not be known; None where a plain one will do."""
    name = site.name.removesuffix(".__call__")
    kind = name.rpartition(".")[2]
    if name not in KERAS:
        return None
    inner = Site(site.context, made, name)
    if kind == "VarianceScaling":
        mode, kind = inner.const("mode"), inner.const("distribution")
        return fill("f(torch.empty(shape), s, m, d)", f=site.emit("variance_scaling"), shape=shape,
                    s=inner.arg("scale"), m=_TURNED.get(mode, mode), d=kind)  # fmt: skip
    if kind in _SPREAD and named(site.context.fact(made))[0] == "":
        function, (first, second) = _SPREAD[kind]
        return fill(f"torch.nn.init.{function}(torch.empty(shape), a, b)", shape=shape,
                    a=inner.arg(first), b=inner.arg(second))  # fmt: skip
    return None


@rewrites(*(f"{name}.__call__" for name in (*OWN, *KERAS)), to="torch")
def called(site: Site) -> Any:
    """A tensor of a shape."""
    node = site.node
    assert isinstance(node, cst.Call)
    shape = site.keywords.get("shape", site.positional[0] if site.positional else None)
    if shape is None:
        raise Unfit(f"{site.short} without a shape")
    dtype = site.keywords.get("dtype", site.positional[1] if len(site.positional) > 1 else None)
    if dtype is not None and dtype_named(site.fact(dtype)) not in (None, "float32"):
        raise Unfit(f"{site.short} with another dtype than float32")
    drop(site, dtype)
    fact = site.context.fact(node.func)
    name, _ = named(fact)
    rank = len(dims_from(site.fact(shape)) or ())
    if name.startswith(SCALED) and rank > 2:
        raise Unfit(f"{site.short} of more than two axes", "torch counts the axes in another order")
    if isinstance(node.func, cst.Call):
        drop(site, node.func)
        given = _of_arguments(site, node.func, shape)
        return given if given is not None else fill(template_of(fact, site), shape=shape)
    return fill("f(s)", f=node.func, s=shape)
