"""Models whose results depend on whether they train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
    Const,
    Function,
    Instance,
    Method,
    Value,
    items_of,
    options,
)
from transpiler.modules import descendants, is_module
from transpiler.planners.keras_tape.flags import flag_parameter
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import graph_tensors
from transpiler.syntax import find

LAYERS = frozenset(
    """BatchNormalization Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout
    GaussianDropout GaussianNoise ActivityRegularization RandomBrightness RandomContrast RandomCrop
    RandomFlip RandomHeight RandomRotation RandomTranslation RandomWidth RandomZoom
    SpectralNormalization SyncBatchNormalization""".split()
)
RATES = ("dropout", "recurrent_dropout", "attention_dropout")


def is_sensitive(context: Context, model: Instance) -> bool:
    """Whether any part of a model asks if it trains, or may."""
    known: dict[Any, bool] = context.notes.setdefault("sensitive models", {})
    if model not in known:
        known[model] = any(_asks(context, part) for part in parts_of(context, model))
    return known[model]


def fits_in_inference(context: Context, models: list[Instance]) -> bool:
    """Whether Keras' own training step runs models with parts that ask for the mode in inference.

    Keras 3 hands `training=True` to a model only if its `call` names that parameter; without it,
    dropout drops nothing and batch norms use their running statistics. Keras 2 told them all.
    Raises Unfit where some of the models are told and others are not.
    """
    found = {_hears_nothing(m) and is_sensitive(context, m) for m in models}
    if len(found) > 1:
        raise Unfit("some of the models that are trained here take `training` and others do not")
    return found == {True}


def _hears_nothing(model: Instance) -> bool:
    entry = model.cls.lookup("call") if isinstance(model.cls, Class) else None
    node = getattr(entry, "node", None)
    if not isinstance(node, cst.FunctionDef):
        return False
    return "training" not in {p.name.value for p in find(node.params, cst.Param)}


def parts_of(context: Context, model: Instance) -> Iterator[Instance]:
    """The layers of a model, in whichever way it holds them."""
    seen: set[int] = set()
    stack: list[Value] = [model]
    while stack:
        value = stack.pop()
        for part in descendants(value):
            if not isinstance(part, Instance) or id(part) in seen:
                continue
            seen.add(id(part))
            if is_module(context, part):
                yield part
            stack.extend(x for x in part.state.get("layers") or [] if isinstance(x, Value))
            outputs = part.state.get("outputs")
            if isinstance(outputs, Value):
                stack.extend(_graph_layers(outputs))


def _graph_layers(outputs: Value) -> list[Value]:
    """The layers behind the outputs of a functional model."""
    found: list[Value] = []
    seen: set[int] = set()
    stack = list(graph_tensors(outputs))
    while stack:
        node = getattr(stack.pop(), "node", None)
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        step = node.whole or node
        if step.layer is not None:
            found.append(step.layer)
        stack.extend(node.sources())
    return found


def _asks(context: Context, layer: Instance) -> bool:
    if isinstance(layer.cls, Class):
        return _reads_flag(context, layer.cls)
    kind = (layer.class_names or ("",))[0]
    if "applications" in kind or kind.startswith("tf.keras.hub"):
        return True
    if any(name.rpartition(".")[2] in LAYERS for name in context.knowledge.bases(kind)):
        return True
    for name in RATES:
        given = layer.arguments.get(name)
        if isinstance(given, Value) and not (isinstance(given, Const) and not given.value):
            return True
    return "layers" in layer.state and _is_unknown(layer)


def _is_unknown(layer: Instance) -> bool:
    """A Sequential of which some layers are not known."""
    layers = layer.state["layers"]
    return any(not isinstance(x, (Instance,)) and items_of(x) is None for x in layers)


def _reads_flag(context: Context, cls: Class) -> bool:
    """Whether a class of the program reads its flag for more than handing it on."""
    entry = cls.lookup("call")
    node = getattr(entry, "node", None)
    if not isinstance(node, cst.FunctionDef):
        return False
    flag = flag_parameter(context, node)
    for name in find(node.body, cst.Name):
        if name.value != flag:
            continue
        parent = context.edits.parent.get(name)
        if isinstance(parent, cst.Arg) and _takes_flag(context, parent):
            return True
        if isinstance(parent, cst.Arg) and (parent.keyword is name or parent.keyword is not None):
            continue
        if isinstance(parent, cst.Arg) and parent.keyword is None:
            continue  # handed on by position
        return True
    return False


def _takes_flag(context: Context, arg: cst.Arg) -> bool:
    """Whether an argument goes to a function of the program's own, which may well read it."""
    call = context.edits.parent.get(arg)
    if not isinstance(call, cst.Call):
        return False
    return any(isinstance(f, (Function, Method)) for f in options(context.fact(call.func)))
