"""Losses and metrics of the program's own: plain classes on top of small emitted ones."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Symbol, scalar_type
from transpiler.modules import method
from transpiler.syntax import find, walk
from transpiler.template import call

BASES = {"keras.Loss": "KerasLoss", "keras.Metric": "KerasMetric"}
FORMER = {"reset_states": "reset_state"}


def plan(context: Context) -> None:
    """Other bases for classes of losses and metrics."""
    for node in find(context.module, cst.ClassDef):
        cls = context.fact(node)
        if not isinstance(cls, Class):
            continue
        base = next((b for b in BASES if context.knowledge.derives(cls, b)), None)
        if base is not None:
            _plan_class(context, node, base)


def _plan_class(context: Context, node: cst.ClassDef, base: str) -> None:
    for arg in node.bases:
        fact = context.fact(arg.value)
        if isinstance(fact, Symbol) and fact.name == base:
            for part in find(arg.value, cst.Name, cst.Attribute):
                context.claim(part)
            context.edits.replace(arg.value, cst.Name(context.emit(BASES[base])))
    for function in find(node, cst.FunctionDef):
        if function.name.value in FORMER:
            context.edits.replace(function.name, cst.Name(FORMER[function.name.value]))
    for name in ("get_config", "from_config"):
        found = method(node, name)
        if found is not None:
            context.edits.replace(found, [])
            for item in walk(found):
                context.claim(item)
            context.remark(node, f"class {node.name.value}", f"`{name}` is left out")
    for item in find(node, cst.Call):
        if base == "keras.Metric" and _adds_weight(item):
            _plan_weight(context, item)


def _adds_weight(node: cst.Call) -> bool:
    return isinstance(node.func, cst.Attribute) and node.func.attr.value == "add_weight"


def _plan_weight(context: Context, node: cst.Call) -> None:
    """`self.hits = self.add_weight(...)`: a tensor that a reset fills with zeros."""
    shape: Any = None
    for place, arg in enumerate(node.args):
        name = arg.keyword.value if arg.keyword is not None else None
        fact = context.fact(arg.value)
        if name == "shape" or (name is None and place < 2 and scalar_type(fact) != "str"):
            shape = arg.value
    parts = [shape] if shape is not None else [cst.Tuple([])]
    context.edits.replace(node, call("torch.zeros", *parts))
    for item in walk(node.func):
        context.claim(item)
    context.claim(node)


__all__ = ["plan"]
