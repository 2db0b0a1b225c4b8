"""Keras' initializers as filled tensors: the values of a layer's own parameters."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const, Function, Instance, Symbol, Union, Value
from transpiler.rule import Unfit
from transpiler.site import Site, constant_value, missing
from transpiler.template import as_node, call, fill

NAMES = {
    "uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones",
    "glorot_uniform_v2": "glorot_uniform", "xavier_uniform": "glorot_uniform",
}  # fmt: skip
FILLS = {
    "zeros": "torch.zeros(shape)",
    "ones": "torch.ones(shape)",
    "glorot_uniform": "torch.nn.init.xavier_uniform_(torch.empty(shape))",
    "glorot_normal": "torch.nn.init.xavier_normal_(torch.empty(shape))",
    "random_uniform": "torch.nn.init.uniform_(torch.empty(shape), -0.05, 0.05)",
    "random_normal": "torch.nn.init.normal_(torch.empty(shape), std=0.05)",
    "truncated_normal": "torch.nn.init.trunc_normal_(torch.empty(shape), std=0.05, a=-0.1, b=0.1)",
    "he_uniform": "torch.nn.init.kaiming_uniform_(torch.empty(shape), mode='fan_out', "
    "nonlinearity='relu')",
    "he_normal": "torch.nn.init.kaiming_normal_(torch.empty(shape), mode='fan_out', "
    "nonlinearity='relu')",
    "lecun_uniform": "torch.nn.init.kaiming_uniform_(torch.empty(shape), mode='fan_out', "
    "nonlinearity='linear')",
    "lecun_normal": "torch.nn.init.kaiming_normal_(torch.empty(shape), mode='fan_out', "
    "nonlinearity='linear')",
    "orthogonal": "torch.nn.init.orthogonal_(torch.empty(shape))",
    "identity": "torch.eye(shape)",
}
"""In Keras' order of axes the inputs come first: torch calls that fan_out."""


def snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def filled(site: Site, value: Value | None, node: Any, shape: list[Any]) -> cst.BaseExpression:
    """A tensor of a shape with what an initializer puts into it. Raises Unfit."""
    name, options = named(value)
    if isinstance(value, Function) and isinstance(node, cst.BaseExpression):
        return fill("initializer(shape)", initializer=node, shape=cst.Tuple(elements(shape)))
    holes = {"shape": [cst.Arg(as_node(s)) for s in shape]}
    if not shape and name in ("zeros", "ones", "constant"):
        return scalar(name, options)
    if name == "constant":
        return call("torch.full", as_node(tuple(map(as_node, shape))), options.get("value", 0.0))
    template = parametrized(name, options)
    if template is None:
        raise Unfit(f"the initializer {name or 'given here'} of {site.short} is not translated")
    return fill(template.replace("(shape)", "(*shape)"), **holes)


def scalar(name: str, options: dict[str, Any]) -> cst.BaseExpression:
    value = {"zeros": 0.0, "ones": 1.0}.get(name, options.get("value", 0.0))
    return call("torch.tensor", float(value))


def elements(shape: list[Any]) -> list[cst.Element]:
    return [cst.Element(as_node(s)) for s in shape]


def named(value: Value | None) -> tuple[str, dict[str, Any]]:
    """An initializer's name in snake case and its constant arguments."""
    match value:
        case None | Const(value=None):
            return "glorot_uniform", {}
        case Const(value=str(text)):
            return NAMES.get(snake(text), snake(text)), {}
        case Symbol(name=full):
            return _from_class(full), {}
        case Instance() if value.class_names:
            known = {k: constant_value(v) for k, v in value.arguments.items()
                     if isinstance(v, Value)}  # fmt: skip
            if missing in [v for k, v in known.items() if k != "seed"]:
                return "", {}
            options = {k: v for k, v in known.items() if k != "seed"}
            return _from_class(value.class_names[0]), options
        case Union():  # made once for each round of a loop
            found = [named(option) for option in value.options]
            return found[0] if all(f == found[0] for f in found) else ("", {})
    return "", {}


def _from_class(full: str) -> str:
    name = snake(full.rpartition(".")[2]).removesuffix("_initializer")
    return NAMES.get(name, name)


def parametrized(name: str, options: dict[str, Any]) -> str | None:
    """The template of an initializer with its arguments."""
    options = {k: v for k, v in options.items() if v is not None}
    if not options:
        return FILLS.get(name)
    if name == "random_uniform":
        low, high = options.get("minval", -0.05), options.get("maxval", 0.05)
        return f"torch.nn.init.uniform_(torch.empty(shape), {low!r}, {high!r})"
    mean, std = options.get("mean", 0.0), options.get("stddev", 0.05)
    if name == "random_normal":
        return f"torch.nn.init.normal_(torch.empty(shape), {mean!r}, {std!r})"
    if name == "truncated_normal":
        low, high = mean - 2 * std, mean + 2 * std
        return (f"torch.nn.init.trunc_normal_(torch.empty(shape), {mean!r}, {std!r}, "
                f"{low!r}, {high!r})")  # fmt: skip
    if name == "orthogonal":
        return f"torch.nn.init.orthogonal_(torch.empty(shape), {options.get('gain', 1.0)!r})"
    return None


def fills(name: str, given: dict[str, Any], layer: Any, role: str) -> cst.BaseExpression:
    """`nn.init.normal_(layer.weight, std=0.02)` and the like. Raises Unfit."""
    if name in ("zeros", "ones"):
        template: str | None = f"torch.nn.init.{name}_(torch.empty(shape))"
    elif name == "constant":
        template = f"torch.nn.init.constant_(torch.empty(shape), {given.get('value', 0.0)!r})"
    elif name == "variance_scaling":
        template = _kaiming(given)
    else:
        template = parametrized(name, given)
    if template is None:
        raise Unfit(
            f"the initializer {name or 'given here'} is not translated", "use torch.nn.init"
        )
    if name != "variance_scaling":
        template = template.replace("mode='fan_out', ", "")
    text = template.replace("torch.empty(shape)", f"layer.{role}")
    return fill(text, layer=layer)


def _kaiming(given: dict[str, Any]) -> str | None:
    """VarianceScaling of a layer's weight by torch's names for it, where one has its scale."""
    scale, mode = given.get("scale", 1.0), given.get("mode", "fan_in")
    kinds = {"uniform": "uniform", "untruncated_normal": "normal"}
    kind = kinds.get(given.get("distribution", "truncated_normal"))
    if kind is None:
        return None
    if mode == "fan_avg":
        gain = "" if scale == 1 else f", gain={scale**0.5!r}"
        return f"torch.nn.init.xavier_{kind}_(torch.empty(shape){gain})"
    slope = "relu" if scale == 2 else "linear" if scale == 1 else None
    options = f"nonlinearity='{slope}'" if slope else f"a={(2 / scale - 1) ** 0.5!r}"
    if scale > 2:
        return None
    fan = ", mode='fan_out'" if mode == "fan_out" else ""
    return f"torch.nn.init.kaiming_{kind}_(torch.empty(shape){fan}, {options})"
