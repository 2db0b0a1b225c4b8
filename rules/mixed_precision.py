"""Gradient scaling: with everything in float32 there is nothing to scale."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import NONE, Instance, Number, Symbol, Value
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import fill

SCALERS = ("torch.cuda.amp.GradScaler", "torch.amp.GradScaler")


@infers(*SCALERS, "torch.cuda.amp.grad_scaler.GradScaler")
def scaler(call: Invocation) -> Value:
    """One kind for both spellings."""
    return Instance(Symbol(SCALERS[0]), {}, {}, call.node)


@infers(f"{SCALERS[0]}.scale")
def scale(call: Invocation) -> Value:
    return call.positional[0] if call.positional else NONE


@rewrites(*SCALERS, to="tf")
def dropped(site: Site) -> Any:
    """The scaler goes where the program only scales, steps and updates with it."""
    target = site.assigned_to
    if target is None or not site.is_call:
        raise Unfit(
            "a GradScaler that is not given a name", "everything runs in float32: leave it out"
        )
    if isinstance(target, cst.Name) and _only_attributes(site, target):
        return []
    return cst.Name("None")


def _only_attributes(site: Site, target: cst.Name) -> bool:
    parent = site.context.edits.parent
    for name in find(site.context.module, cst.Name):
        if name.value != target.value or name is target:
            continue
        around = parent[name]
        if not (isinstance(around, cst.Attribute) and around.value is name):
            return False
    return True


@rewrites(f"{SCALERS[0]}.scale", to="tf")
def unscaled(site: Site) -> Any:
    return site.positional[0]


@rewrites(f"{SCALERS[0]}.update", f"{SCALERS[0]}.unscale_", to="tf")
def nothing(site: Site) -> Any:
    if not site.alone:
        raise Unfit(f"{site.short} inside an expression")
    return []


def _methods(name: str) -> tuple[str, ...]:
    return tuple(f"{scaler}.{name}" for scaler in SCALERS)


@rewrites(*_methods("load_state_dict"), to="tf")
def no_state(site: Site) -> Any:
    """There is no state to go on with."""
    if not site.alone:
        raise Unfit(f"{site.short} is used inside of an expression")
    return []


@rewrites(*_methods("state_dict"), to="tf")
def empty_state(site: Site) -> Any:
    """An entry of a checkpoint is left out of it."""
    if isinstance(site.parent, cst.DictElement):
        site.context.edits.replace(site.parent, [])
        return site.keep()
    return fill("{}")


@rewrites(*_methods("get_scale"), *_methods("is_enabled"), to="tf")
def settings(site: Site) -> Any:
    """What a scaler says that is turned off."""
    return fill("1.0" if site.name.endswith("scale") else "False")


@infers(*_methods("get_scale"))
def scale_factor(_: Invocation) -> Value:
    return Number("float")
