"""Losses and metrics that the program derives from Keras' own base classes."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Symbol
from transpiler.modules import method
from transpiler.syntax import code, find

UNITS = {"keras.Loss": "Loss", "keras.Metric": "Metric", "keras.metrics.Mean": "Mean"}
DROPPED = ("get_config", "from_config")


def plan_bases(context: Context) -> None:
    """The base class is an emitted one; what Keras saves and loads classes by goes."""
    for node in find(context.module, cst.ClassDef):
        cls = context.fact(node)
        if not isinstance(cls, Class):
            continue
        if not any(context.knowledge.derives(cls, base) for base in UNITS):
            continue
        for arg in node.bases:
            fact = context.fact(arg.value)
            if isinstance(fact, Symbol) and fact.name in UNITS:
                for part in find(arg.value, cst.Name, cst.Attribute):
                    context.claim(part)
                context.edits.replace(arg.value, cst.Name(context.emit(UNITS[fact.name])))
        for name in DROPPED:
            own = method(node, name)
            if own is not None:
                context.edits.replace(own, [])
        _plan_calls(context, node)


def _plan_calls(context: Context, node: cst.ClassDef) -> None:
    """`super().__init__(...)` and `self.add_weight(...)` mean the same of the emitted base."""
    for call in find(node, cst.Call):
        func: Any = call.func
        if not isinstance(func, cst.Attribute):
            continue
        if func.attr.value == "add_weight" or code(func).replace(" ", "").startswith("super("):
            context.claim(call)
            for part in find(func, cst.Call, cst.Attribute):
                context.claim(part)
    own = method(node, "reset_states")
    if own is not None and method(node, "reset_state") is None:
        context.edits.replace(own.name, cst.Name("reset_state"))
