"""Variables that a Keras layer makes for itself: `add_weight` as parameters and buffers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import NONE, Const, Value, is_none
from transpiler.rule import Unfit, rewrites
from transpiler.rules.keras_initial_values import filled
from transpiler.site import Site
from transpiler.template import call, fill_statements

BINDING = ("shape", "initializer", "dtype", "trainable", "regularizer", "constraint", "name")
KERAS_2 = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")


@rewrites("keras.Layer.add_weight", "keras.Layer.add_variable", to="torch")
def add_weight(site: Site) -> Any:
    """`self.w = self.add_weight(...)`: a parameter, or a buffer where it is not trained."""
    given = arguments(site)
    for name in ("regularizer", "constraint"):
        if name in given and not is_none(site.context.fact(given[name])):
            raise Unfit(f"`{name}` of add_weight has no equal here", "write it in the loss")
    shape = sizes(site, given.get("shape"))
    node = given.get("initializer")
    fact: Value | None = None
    if node is not None:
        fact = site.fact(node)
    elif site.context.fact(given.get("dtype")) != NONE and "dtype" in given:
        fact = None
    value = filled(site, fact, node, shape)
    trainable = given.get("trainable")
    if trainable is None or site.fact(trainable) == Const(True):
        return call("torch.nn.Parameter", value)
    if site.fact(trainable) != Const(False):
        raise Unfit("whether a weight is trained is not known before the program runs")
    target = site.assigned_to
    if not isinstance(target, cst.Attribute):
        return call("torch.nn.Parameter", value, requires_grad=False)
    return fill_statements("owner.register_buffer(name, value)", owner=target.value,
                           name=target.attr.value, value=value)  # fmt: skip


def arguments(site: Site) -> dict[str, cst.BaseExpression]:
    """The arguments by name, in Keras 3's order or, where a name comes first, in Keras 2's."""
    order = BINDING
    if site.positional:
        first = site.context.fact(site.positional[0])
        if isinstance(first, Const) and isinstance(first.value, str):
            order = KERAS_2
    if site.starred:
        raise Unfit("arguments of add_weight are unpacked with * or **")
    found = dict(zip(order, site.positional, strict=False))
    return found | site.keywords


def sizes(site: Site, shape: cst.BaseExpression | None) -> list[Any]:
    """The sizes of a shape."""
    if shape is None or (isinstance(shape, cst.Name) and shape.value == "None"):
        return []
    if isinstance(shape, (cst.Tuple, cst.List)):
        return [e.value for e in shape.elements]
    from transpiler.infer.values import items_of, scalar_type

    fact = site.context.fact(shape)
    if scalar_type(fact) == "int":
        return [shape]
    items = items_of(fact)
    if items is not None and all(isinstance(i, Const) for i in items):
        return [i.value for i in items if isinstance(i, Const)]
    return [shape]
