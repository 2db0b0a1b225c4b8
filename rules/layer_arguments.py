"""Arguments of layers: numbers that are one for all axes or one each, and what is known of them."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Instance, Tensor, join, options
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import find, target_names
from transpiler.template import call, fill


def known(site: Site, node: Any) -> Any:
    """The constant value of an expression (or plain value), None where it is not known."""
    if not isinstance(node, cst.CSTNode):
        return node
    value = constant_value(site.fact(node))
    return None if value is missing else value


def written(site: Site, name: str) -> Any:
    """An argument as the call gives it, else the default as a plain value."""
    if name in site.args:
        return site.args[name]
    value = known(site, site.arg(name))
    return value if value is not None else site.arg(name)


def per_axis(site: Site, name: str, count: int) -> tuple[int, ...] | None:
    """An int or tuple argument as one number per axis, None where it is not known."""
    value = known(site, site.arg(name))
    if isinstance(value, int):
        return (value,) * count
    if isinstance(value, (tuple, list)) and all(isinstance(v, int) for v in value):
        return tuple(value) * count if len(value) == 1 else tuple(value)
    return None


def axes_of(site: Site) -> int:
    """2 for Conv2d."""
    return int(site.name[-2])


def same_text(site: Site, one: str, other: str) -> bool:
    """Whether two arguments are the same expression (names and attributes only)."""
    from transpiler.syntax import code

    a, b = site.args.get(one), site.args.get(other)
    plain = (cst.Name, cst.Attribute, cst.Integer)
    return isinstance(a, plain) and isinstance(b, plain) and code(a) == code(b)


def instance_of(site: Site) -> Instance | None:
    """The object that the call makes."""
    for value in options(site.context.fact(site.node)):
        if isinstance(value, Instance):
            return value
    return None


def input_of(site: Site) -> Tensor | None:
    """What the layer made here is called on, where all objects made here agree."""
    seen = [
        i.state["input"]
        for i in site.context.interpreter.instances.values()
        if i.origin is site.node and "input" in i.state
    ]
    value = join(*seen) if seen else None
    return value if isinstance(value, Tensor) else None


def in_one(parts: list[Any]) -> Any:
    """Layers that run one after the other as one layer."""
    if len(parts) == 1:
        return parts[0]
    return call("keras.Sequential", cst.List([cst.Element(p) for p in parts]))


def function_of_x(site: Site, body: Any) -> cst.Lambda:
    """`lambda x: body`; names that a loop around binds are kept as they are now."""
    loops = []
    node = site.context.edits.enclosing(site.node, cst.For, cst.CompFor, cst.ListComp)
    while node is not None:
        loops.append(node.for_in if isinstance(node, cst.ListComp) else node)
        node = site.context.edits.enclosing(node, cst.For, cst.CompFor, cst.ListComp)
    bound = {name for loop in loops for name in _bound_names(loop)}
    kept = sorted({n.value for n in find(body, cst.Name)} & bound)
    params = [cst.Param(cst.Name("x"))]
    params += [cst.Param(cst.Name(name), default=cst.Name(name)) for name in kept]
    return cst.Lambda(cst.Parameters(params), body)


def _bound_names(loop: Any) -> set[str]:
    names = set(target_names(loop.target))
    for assign in find(loop, cst.AssignTarget):
        names |= set(target_names(assign.target))
    return names


def lambda_layer(site: Site, body: Any) -> cst.BaseExpression:
    """A function of x as a layer."""
    return call("keras.layers.Lambda", function_of_x(site, body))


__all__ = [
    "axes_of",
    "call",
    "fill",
    "function_of_x",
    "in_one",
    "input_of",
    "instance_of",
    "known",
    "lambda_layer",
    "per_axis",
    "same_text",
    "written",
]  # fmt: skip
