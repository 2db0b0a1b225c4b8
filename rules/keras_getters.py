"""`activations.get`, `initializers.get` and their like: what own layers are told by name."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Symbol, Tensor, Value
from transpiler.rule import infers, rewrites
from transpiler.rules.keras_activations import MODULES
from transpiler.site import Site
from transpiler.template import call, fill

ACTIVATION = "keras.activations.Activation"
"""The function that a name stands for, whatever the name is."""
OPTIONS = tuple(f"keras.{kind}.get" for kind in ("initializers", "regularizers", "constraints"))


@infers("keras.activations.get")
def activation(call: Invocation) -> Value:
    given = call.arg("identifier", at=0) or UNKNOWN
    return call.interpreter.allocate(Symbol(ACTIVATION), call.node, {"identifier": given})


@infers(f"{ACTIVATION}.__call__")
def activated(call: Invocation) -> Value:
    """Any activation keeps the shape."""
    x = call.positional[0] if call.positional else UNKNOWN
    return x.but(variable=False) if isinstance(x, Tensor) else UNKNOWN


@infers(*OPTIONS)
def option(call: Invocation) -> Value:
    return call.arg("identifier", at=0) or UNKNOWN


@rewrites("keras.activations.get", to="torch")
def get_activation(site: Site) -> Any:
    """The module where the name is written here; else a function that knows the names."""
    given = site.arg("identifier")
    if isinstance(given, cst.Name) and given.value == "None":
        return fill("torch.nn.Identity()")
    if isinstance(given, cst.SimpleString) and given.evaluated_value in MODULES:
        return fill(MODULES[str(given.evaluated_value)])
    return call("f", given).with_changes(func=site.emit("get_activation"))


@rewrites(f"{ACTIVATION}.__call__", to="torch")
def activate(site: Site) -> Any:
    return site.keep()


@rewrites(*OPTIONS, to="torch")
def get_option(site: Site) -> Any:
    """The name or object itself: where it is used, it has been read already."""
    return site.arg("identifier")
