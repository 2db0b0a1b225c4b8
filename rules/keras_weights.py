"""Variables that a Keras layer makes for itself: `add_weight` as parameters and buffers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import NONE, Const, Value, is_none
from transpiler.rule import Unfit, rewrites
from transpiler.rules.keras_bounds import bound, penalty
from transpiler.rules.keras_initial_values import filled
from transpiler.site import Site
from transpiler.syntax import walk
from transpiler.template import OMIT, call, fill_statements

BINDING = ("shape", "initializer", "dtype", "trainable", "regularizer", "constraint", "name")
KERAS_2 = ("name", "shape", "dtype", "initializer", "regularizer", "trainable", "constraint")


@rewrites("keras.Layer.add_weight", "keras.Layer.add_variable", to="torch")
def add_weight(site: Site) -> Any:
    """`self.w = self.add_weight(...)`: a parameter, or a buffer where it is not trained."""
    given = arguments(site)
    shape = sizes(site, given.get("shape"))
    node = given.get("initializer")
    fact: Value | None = None
    if node is not None:
        fact = site.fact(node)
    elif site.context.fact(given.get("dtype")) != NONE and "dtype" in given:
        fact = None
    new = call("torch.nn.Parameter", filled(site, fact, node, shape))
    target = site.assigned_to
    more = beside(site, given)
    trainable = given.get("trainable")
    if trainable is not None and site.fact(trainable) != Const(True):
        if site.fact(trainable) != Const(False):
            raise Unfit("whether a weight is trained is not known before the program runs")
        if not isinstance(target, cst.Attribute):
            return call("torch.nn.Parameter", *new.args[:1], requires_grad=False)
        return fill_statements("owner.register_buffer(name, value)", owner=target.value,
                               name=target.attr.value, value=new.args[0].value)  # fmt: skip
    if not more:
        return new
    if not isinstance(target, cst.Attribute):
        raise Unfit("a weight with a regularizer or a constraint has no name here",
                    "assign it to an attribute")  # fmt: skip
    lines = fill_statements("target = new", target=target, new=new)
    for unit, positional, options in more:
        unit = site.context.emit(unit)
        entry = call(unit, target.value, *positional, **options, name=target.attr.value)
        lines.append(cst.SimpleStatementLine([cst.Expr(entry)]))
    return lines


def beside(site: Site, given: dict[str, cst.BaseExpression]) -> list[Any]:
    """What keeps a weight small or in bounds: units to call with the layer and their arguments."""
    found: list[Any] = []
    regularizer, constraint = given.get("regularizer"), given.get("constraint")
    if regularizer is not None:
        l1, l2 = penalty("add_weight", site.fact(regularizer))
        if l1 or l2:
            found.append(("regularize", [], {"l1": l1 or OMIT, "l2": l2 or OMIT}))
            claim_all(site, regularizer)
    if constraint is not None and not is_none(site.fact(constraint)):
        function = bound(site.context, "add_weight", site.fact(constraint), linear=False)
        found.append(("constrain", [function], {}))
        claim_all(site, constraint)
    return found


def claim_all(site: Site, node: cst.BaseExpression) -> None:
    """What goes with the call needs no rule of its own."""
    for part in walk(node):
        site.context.claim(part)


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
