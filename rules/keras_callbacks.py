"""Keras' callbacks: what a class of the program's own needs; fit calls it in its loop.

`transpiler/planners/keras_callbacks.py` writes the callbacks that a fit is given.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Function,
    Instance,
    Mapping,
    Number,
    Value,
    element_of,
    items_of,
    options,
)
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.rules.keras_saving import remember
from transpiler.site import Site

BASE = "keras.callbacks.Callback"
_PLACES = {
    "on_train_begin": 0, "on_train_end": 0, "on_epoch_begin": 1, "on_epoch_end": 1,
    "on_batch_begin": 1, "on_batch_end": 1, "on_train_batch_begin": 1, "on_train_batch_end": 1,
}  # fmt: skip


def introduce(call: Invocation, model: Instance) -> None:
    """Tell the callbacks of a fit which model they see, and run their methods."""
    given = call.arg("callbacks")
    if given is None:
        return
    known = items_of(given)
    for callback in options(element_of(given)) if known is None else known:
        for option in options(callback):
            if isinstance(option, Instance):
                option.state["model"] = model
                if option.class_names[:1] == ("keras.callbacks.ModelCheckpoint",):
                    path = option.arguments.get("filepath")
                    remember(call, path if isinstance(path, Value) else None, model)
                run_methods(call, option)


def run_methods(call: Invocation, callback: Instance) -> None:
    """Interpret a callback's methods on the arguments that Keras gives."""
    for name, value in callback.arguments.items():
        if name.startswith("on_") and isinstance(value, Function):
            call.call(value, Number("int"), Mapping({}, Number("float")))
    for name, count in _PLACES.items():
        lookup = getattr(callback.cls, "lookup", None)
        if lookup is not None and isinstance(lookup(name), Function):
            numbers: list[Value] = [Number("int")] * count
            method = call.interpreter.attribute(callback, name)
            params = len(lookup(name).node.params.params) - 1
            given = [*numbers, Mapping({}, Number("float"))][:params]
            call.interpreter.call(method, given, {}, None)


@infers_property(f"{BASE}.model")
def model(value: Value) -> Value:
    found = value.state.get("model") if isinstance(value, Instance) else None
    return found if isinstance(found, Value) else UNKNOWN


@infers_property(f"{BASE}.params")
def params(value: Value) -> Value:
    return Mapping({"epochs": Number("int")}, Number("int"))


@infers_property("keras.Model.stop_training")
def stop_training(value: Value) -> Value:
    return Number("bool")


@infers(*(f"{BASE}.{name}" for name in (*_PLACES, "set_model", "set_params", "__init__")))
def nothing(_: Invocation) -> Value:
    return NONE


@rewrites(BASE, to="torch")
def base(site: Site) -> Any:
    """As a base class it adds nothing to a class whose methods the loop calls."""
    parent = site.context.edits.parent[site.node]
    if isinstance(parent, cst.Arg) and isinstance(site.context.edits.parent[parent], cst.ClassDef):
        site.context.edits.replace(parent, [])
        return site.keep()
    raise Unfit("a callback without methods is used", "leave it out")


@rewrites(
    f"{BASE}.model", f"{BASE}.params", "keras.Model.stop_training",
    *(f"{BASE}.{name}" for name in _PLACES), to="torch",
)  # fmt: skip
def kept(site: Site) -> Any:
    """Attributes and methods that the training loop sets and calls."""
    if any(isinstance(v, Instance) and v.class_names[:1] == ("keras.callbacks.History",)
           for v in options(site.receiver_fact)):  # fmt: skip
        raise Unfit("the history of a training loop keeps the losses and metrics only")
    return site.keep()


@rewrites(f"{BASE}.__init__", to="torch")
def construct(site: Site) -> Any:
    if site.alone and (site.positional or site.keywords):
        return site.fill("super().__init__()")
    return site.keep()
