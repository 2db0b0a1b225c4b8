"""`layer.trainable = False`, and loops over a model's layers that ask for their names."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import UNKNOWN, Const, Instance, Symbol, Value, items_of, options
from transpiler.modules import is_module
from transpiler.planners.keras_graph import attribute_name
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_tape.sensitive import parts_of
from transpiler.planners.keras_trainable import Changes
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import snake
from transpiler.syntax import find
from transpiler.template import call, fill


def plan(context: Context) -> None:
    """Freezing is asked of parameters; layers that are told by name are listed with it."""
    changes = Changes(context)
    for node in changes.changes:
        target = node.targets[0].target
        assert isinstance(target, cst.Attribute)
        _freeze(context, node, target, changes)
    loops: list[Any] = list(find(context.module, cst.For, cst.CompFor))
    for loop in loops:
        names = _names_asked(context, loop)
        if names:
            try:
                _list(context, loop, names)
            except Unfit as error:
                context.unfit(loop if isinstance(loop, cst.For) else loop.iter, "layer.name", error)


def _freeze(context: Context, node: cst.Assign, target: cst.Attribute, changes: Changes) -> None:
    found = [v for v in options(context.fact(target.value)) if v is not UNKNOWN]
    modules = [v for v in found if isinstance(v, Instance) and is_module(context, v)]
    if found and len(modules) < len(found):
        return
    context.claim(target)
    own = isinstance(target.value, cst.Name) and target.value.value == "self"
    if not found or own:
        context.manual(
            node, "trainable", "what is frozen here is not known before the program runs",
            "use requires_grad_ on the module",
        )  # fmt: skip
        return
    normal = any(
        name.rpartition(".")[2] in ("BatchNormalization", "SyncBatchNormalization")
        for m in modules for part in parts_of(context, m) for name in part.class_names
    )  # fmt: skip
    new: cst.BaseExpression
    if normal:
        new = call(context.emit("set_trainable"), target.value, node.value)
    else:
        new = fill("module.requires_grad_(flag)", module=target.value, flag=node.value)
    context.edits.replace(node, cst.Expr(new))
    changes.warn(node, modules)


# ---- names of layers -------------------------------------------------------------------------


def _names_asked(context: Context, loop: Any) -> list[cst.Attribute]:
    """`layer.name` of the loop's variable, where it goes over the layers of a model."""
    if not isinstance(loop.target, cst.Name) or not _layers(loop.iter):
        return []
    around: Any = loop if isinstance(loop, cst.For) else context.edits.parent[loop]
    return [
        a for a in find(around, cst.Attribute)
        if a.attr.value == "name" and isinstance(a.value, cst.Name)
        and a.value.value == loop.target.value
    ]  # fmt: skip


def _layers(node: cst.BaseExpression) -> cst.Attribute | None:
    """The `model.layers` in `model.layers[:-2]`."""
    while isinstance(node, cst.Subscript):
        node = node.value
    return node if isinstance(node, cst.Attribute) and node.attr.value == "layers" else None


def _list(context: Context, loop: Any, names: list[cst.Attribute]) -> None:
    owner = _layers(loop.iter)
    assert owner is not None
    models = [m for m in options(context.fact(owner.value)) if isinstance(m, Instance)]
    layers = items_of(context.fact(loop.iter))
    if len(models) != 1 or layers is None:
        raise Unfit("which layers this loop goes over is not known before the program runs")
    pairs = []
    for layer in layers:
        module = _module(context, models[0], layer, owner.value)
        if module is not None and isinstance(layer, Instance):
            pair = [cst.SimpleString(f'"{_name(context, layer)}"'), module]
            pairs.append(cst.Element(cst.Tuple([cst.Element(p) for p in pair])))
    name = free_name(context, "name")
    context.claim(owner)
    context.edits.replace(loop.iter, cst.List(pairs))
    both = cst.Tuple([cst.Element(cst.Name(name)), cst.Element(loop.target)], lpar=[], rpar=[])
    context.edits.replace(loop.target, both)
    for asked in names:
        context.claim(asked)
        context.edits.replace(asked, cst.Name(name))


def _module(
    context: Context, model: Instance, layer: Value, owner: cst.BaseExpression
) -> cst.BaseExpression | None:
    """The module that a layer became; None where it left nothing behind."""
    if not isinstance(layer, Instance):
        raise Unfit("a layer of this loop is not known before the program runs")
    if "outputs" in model.state:
        found = attribute_name(context, model, layer)
        return fill(f"model.{found}", model=owner) if found is not None else None
    places: dict[Instance, int | None] = context.notes.get("sequential places", {})
    if layer not in places:
        if layer.class_names[:1] == ("keras.layers.InputLayer",):
            return None
        raise Unfit("where a layer of this loop went is not known")
    place = places[layer]
    return None if place is None else fill("model[i]", model=owner, i=place)


def _name(context: Context, layer: Instance) -> str:
    given = layer.arguments.get("name")
    if isinstance(given, Const) and isinstance(given.value, str):
        return given.value
    if given is not None or not isinstance(layer.cls, Symbol) or _has_weights(layer):
        raise Unfit("Keras counts the layers that have no name of their own",
                    "give the layers names in the source")  # fmt: skip
    text: str = snake(layer.cls.name.rpartition(".")[2])
    return text


def _has_weights(layer: Instance) -> bool:
    kind = layer.class_names[0].rpartition(".")[2]
    weighted = ("Dense", "Conv", "Norm", "Embedding", "LSTM", "GRU", "RNN", "Attention", "PReLU")
    return any(w in kind for w in weighted)


__all__ = ["plan"]
