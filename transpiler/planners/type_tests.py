"""The type-test planner: `isinstance(m, Layer)`, `type(m) is Layer`, names of classes as texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Symbol, Value
from transpiler.rules.facts_data import DATA, mark_indexed
from transpiler.rules.layer_classes import CLASS_NAMES, CLASSES, DEPTHWISE, RECURRENT
from transpiler.rules.naming import SOURCE_ROOTS
from transpiler.syntax import find
from transpiler.template import fill

WRITTEN = ("TensorDataset", "Subset", "ConcatDataset", "DataLoader")
"""Classes of torch.utils.data that are written out by the same name."""


def plan(context: Context) -> None:
    """Record the target's classes wherever an object's class is asked for."""
    for call in find(context.module, cst.Call):
        if isinstance(call.func, cst.Name) and call.func.value in ("isinstance", "issubclass"):
            if len(call.args) == 2:
                _plan_classes(context, written(context, call.args[1].value))
    for comparison in find(context.module, cst.Comparison):
        if asks_type(comparison.left):
            for target in comparison.comparisons:
                _plan_classes(context, target.comparator)
    plan_class_names(context, CLASS_NAMES)


def written(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """The classes that were given a name first."""
    if not isinstance(node, cst.Name):
        return node
    scope = context.edits.enclosing(node, cst.FunctionDef) or context.module
    values = [
        assign.value
        for assign in find(scope, cst.Assign)
        if any(t.target.deep_equals(node) for t in assign.targets)
    ]
    return values[0] if len(values) == 1 else node


def asks_type(node: cst.BaseExpression) -> bool:
    """`type(x)` and `x.__class__`."""
    match node:
        case cst.Call(func=cst.Name(value="type")):
            return True
        case cst.Attribute(attr=cst.Name(value="__class__")):
            return True
    return False


def _plan_classes(context: Context, node: Any) -> None:
    if isinstance(node, (cst.Tuple, cst.List)):
        for element in node.elements:
            _plan_classes(context, element.value)
        return
    fact = context.fact(node)
    if not isinstance(fact, Symbol):
        return
    name = fact.name
    if name.partition(".")[0] not in SOURCE_ROOTS[context.to]:
        return
    context.claim(node)
    new = _data_class(context, name) or CLASSES.get(name)
    if name in RECURRENT:
        new = RECURRENT[name][context.exact]
        if context.exact:
            context.emit(new)
    if new is None:
        context.manual(node, name.rpartition(".")[2], f"what {name} becomes is no class of its own")
        return
    if name in DEPTHWISE and _has_depthwise(context, name):
        context.edits.replace(node, fill(f"({new}, {DEPTHWISE[name]})"))
    else:
        context.edits.replace(node, fill(new))


def _data_class(context: Context, name: str) -> str | None:
    """A written-out class of data sets or loaders, whose objects then are no pipelines."""
    short = name.removeprefix(DATA)
    if not name.startswith(DATA) or short not in WRITTEN:
        return None
    for instance in context.interpreter.instances.values():
        if isinstance(instance.cls, Symbol) and instance.cls.name == name:
            mark_indexed(instance)
            dataset = instance.arguments.get("dataset")
            mark_indexed(dataset if isinstance(dataset, Value) else None)
    return context.emit(short)


def _has_depthwise(context: Context, name: str) -> bool:
    """Whether some object of the class has groups, of which the depthwise one is another class."""
    return any(
        isinstance(i.cls, Symbol) and i.cls.name == name and "groups" in i.arguments
        for i in context.interpreter.instances.values()
    )


def plan_class_names(context: Context, names: Mapping[str, str]) -> None:
    """Texts that are looked for in the name of an object's class."""
    for function in find(context.module, cst.FunctionDef, cst.For, cst.CompFor):
        asked = [
            a
            for a in find(function, cst.Attribute)
            if a.attr.value == "__name__"
            and isinstance(a.value, (cst.Attribute, cst.Call))
            and asks_type(a.value)
        ]
        if not asked:
            continue
        for text in find(function, cst.SimpleString):
            new = names.get(str(text.evaluated_value))
            parent = context.edits.parent.get(text)
            if new is not None and isinstance(
                parent, (cst.Arg, cst.Comparison, cst.ComparisonTarget, cst.Element)
            ):
                quote = text.value[0]
                context.edits.replace(text, cst.SimpleString(f"{quote}{new}{quote}"))
