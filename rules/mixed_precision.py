"""Gradient scaling: with everything in float32 there is nothing to scale."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import NONE, Instance, Symbol, Value
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.syntax import find

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
