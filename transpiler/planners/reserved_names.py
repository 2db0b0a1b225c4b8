"""Attributes whose names Keras keeps for itself on layers and models get names of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Instance, Symbol, Value, options
from transpiler.modules import is_module
from transpiler.planners.model import is_self
from transpiler.rules.keras_names import RESERVED_ATTRIBUTES
from transpiler.syntax import find
from transpiler.template import fill

_BY_TEXT = frozenset(f"builtins.{kind}attr" for kind in ("get", "set", "has", "del"))


def plan(context: Context) -> None:
    """`self.loss = …`, `net.optimizer = …`, `def metrics(self)`: `loss_` and so on, everywhere."""
    names = {name.value for name in _members(context)}
    names |= {node.attr.value for node in _set(context)}
    names |= {text for _, text in _set_by_text(context)}
    names &= RESERVED_ATTRIBUTES
    if not names:
        return
    for node in find(context.module, cst.Attribute):
        if node.attr.value in names and _is_modules(context, node.value):
            context.edits.replace(node.attr, cst.Name(f"{node.attr.value}_"))
    for name in _members(context):
        if name.value in names:
            context.edits.replace(name, cst.Name(f"{name.value}_"))
    for string, text in _by_text(context):
        if text in names:
            context.edits.replace(string, fill(repr(f"{text}_")))


def _members(context: Context) -> Iterator[cst.Name]:
    """The names of methods and of class attributes of the program's modules."""
    for node in find(context.module, cst.ClassDef):
        cls = context.fact(node)
        if not isinstance(cls, Class) or not is_module(context, cls):
            continue
        for member in find(node, cst.FunctionDef, cst.AssignTarget, cst.AnnAssign):
            if context.edits.enclosing(member, cst.FunctionDef, cst.ClassDef) is not node:
                continue
            target: Any = getattr(member, "target", None) or member
            target = target.name if isinstance(target, cst.FunctionDef) else target
            if isinstance(target, cst.Name):
                yield target


def _set(context: Context) -> Iterator[cst.Attribute]:
    """The attributes of modules that the program sets: inside, outside or in another file."""
    for node in find(context.module, cst.Attribute):
        if node.attr.value in RESERVED_ATTRIBUTES:
            values = options(context.fact(node.value))
            if _is_set(context, node) or any(_has(context, v, node.attr.value) for v in values):
                yield node


def _is_set(context: Context, node: cst.Attribute) -> bool:
    above: Any = context.edits.parent.get(node)
    while isinstance(above, (cst.Tuple, cst.List, cst.Element)):
        above = context.edits.parent.get(above)
    if isinstance(above, (cst.AnnAssign, cst.AugAssign)) and above.target is not node:
        return False
    is_target = isinstance(above, (cst.AssignTarget, cst.AnnAssign, cst.AugAssign))
    return is_target and _is_modules(context, node.value)


def _has(context: Context, value: Value, name: str) -> bool:
    """Whether a module has an attribute or a method of the program's own of that name."""
    if not isinstance(value, Instance) or not is_module(context, value):
        return False
    own = isinstance(value.cls, Class) and value.cls.lookup(name) is not None
    return own or name in value.attributes


def _set_by_text(context: Context) -> Iterator[tuple[cst.SimpleString, str]]:
    for string, text in _by_text(context):
        call = context.edits.enclosing(string, cst.Call)
        if isinstance(call, cst.Call) and len(call.args) == 3:
            if context.fact(call.func) == Symbol("builtins.setattr"):
                yield string, text


def _by_text(context: Context) -> Iterator[tuple[cst.SimpleString, str]]:
    """Names of a module's attributes that are written as texts: `getattr(net, "loss")`."""
    for call in find(context.module, cst.Call):
        fact = context.fact(call.func)
        if not isinstance(fact, Symbol) or fact.name not in _BY_TEXT or len(call.args) < 2:
            continue
        string = call.args[1].value
        if isinstance(string, cst.SimpleString) and _is_modules(context, call.args[0].value):
            yield string, str(string.evaluated_value)


def _is_modules(context: Context, node: cst.BaseExpression) -> bool:
    return is_self(context, node) or any(
        is_module(context, value) for value in options(context.fact(node))
    )
