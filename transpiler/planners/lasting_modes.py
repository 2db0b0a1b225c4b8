"""`train()` of a model's own that keeps parts in evaluation mode: those are called so.

def train(self, mode=True):             def call(self, x):
    super().train(mode)                     x = self.base(x, training=False)
    self.base.eval()
    return self
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Function, Instance, Method, Unknown, Value, options
from transpiler.modules import (
    children,
    in_module_method,
    is_module,
    method,
    module_classes,
    self_name,
)
from transpiler.planners.model import add_keyword, add_parameter
from transpiler.syntax import code, docstring_end, find, names_read

_NEUTRAL = ("parameters", "requires_grad_", "named_parameters")
"""What may be asked of a part besides calling it."""


Depends = Callable[[Context, Instance], bool]


def plan_parts(context: Context, depends: Depends) -> set[cst.FunctionDef]:
    """Call the parts in evaluation mode; the `train` methods that this makes superfluous."""
    found: set[cst.FunctionDef] = set()
    for node, cls in module_classes(context):
        function = method(node, "train")
        parts = _kept_in_evaluation(function) if function is not None else []
        if function is None or not parts or not _is_set_before_calls(context, cls):
            continue
        calls = [_only_calls(context, node, function, name) for name in parts]
        entry = method(node, "forward")
        inside = set(find(entry.body, cst.Call)) if entry is not None else set()
        if any(c is None or not inside.issuperset(c) for c in calls):
            continue
        if entry is None or not _can_tell_others(context, entry):
            continue
        for call in (c for some in calls for c in some or ()):
            add_keyword(context, call, "training", cst.Name("False"))
        _tell_others(context, entry, {c for some in calls for c in some or ()}, depends)
        context.edits.replace(function, [])
        found.add(function)
    return found


def _can_tell_others(context: Context, entry: cst.FunctionDef) -> bool:
    """Whether each layer that depends on the mode is called in the entry method itself."""
    if any(name.value == "training" for name in find(entry, cst.Name)):
        return False
    for call in find(entry.body, cst.Call):
        for option in options(context.fact(call.func)):
            if isinstance(option, Method) and is_module(context, option.receiver):
                return False
            if isinstance(option, Function):
                return False
            if isinstance(option, Unknown) and not _is_of_a_value(entry, call.func):
                return False
    return True


def _is_of_a_value(entry: cst.FunctionDef, func: cst.BaseExpression) -> bool:
    """`x.view(...)`: a method of something computed, not of what the model holds."""
    return isinstance(func, cst.Attribute) and self_name(entry) not in names_read(func)


def _tell_others(
    context: Context, entry: cst.FunctionDef, parts: set[cst.Call], depends: Depends
) -> None:
    others = [
        call
        for call in find(entry.body, cst.Call)
        if call not in parts
        and any(isinstance(o, Instance) and is_module(context, o) and depends(context, o)
                for o in options(context.fact(call.func)))
    ]  # fmt: skip
    for call in others:
        add_keyword(context, call, "training", cst.Name("training"))
    if others:
        add_parameter(context, entry, "training=None")


def _kept_in_evaluation(function: cst.FunctionDef) -> list[str]:
    """The attributes whose `eval()` follows `super().train(mode)`, if nothing else happens."""
    params = function.params.params
    body: list[Any] = list(function.body.body)
    lines = [code(line).strip() for line in body[docstring_end(body) :]]
    lines = [line.rpartition("\n")[2].partition("  #")[0] for line in lines]
    if len(params) != 2 or function.decorators or function.params.star_kwarg is not None:
        return []
    first, mode = self_name(function), params[1].name.value
    if lines and lines[-1] in (f"return {first}", "return"):
        lines.pop()
    upper = [line for line in lines if line.startswith("super(")]
    if lines[:1] != upper or not lines[0].endswith((f").train({mode})", f").train(mode={mode})")):
        return []
    names = [line.removeprefix(f"{first}.").removesuffix(".eval()") for line in lines[1:]]
    plain = all(line == f"{first}.{n}.eval()" and n.isidentifier()
                for line, n in zip(lines[1:], names, strict=True))  # fmt: skip
    return names if plain else []


def _only_calls(
    context: Context, node: cst.ClassDef, function: cst.FunctionDef, name: str
) -> list[cst.Call] | None:
    """The calls of a part in its class; None where it may be run in other ways or places."""
    found: list[cst.Call] = []
    apart = set(find(function, cst.Attribute))
    inside = set(find(node, cst.Attribute))
    for attribute in find(context.module, cst.Attribute):
        if attribute.attr.value != name or attribute in apart:
            continue
        parent: Any = context.edits.parent[attribute]
        if isinstance(parent, cst.AssignTarget) and attribute in inside:
            continue
        if isinstance(parent, cst.Attribute) and parent.attr.value in _NEUTRAL:
            continue
        owner: Any = context.edits.enclosing(attribute, cst.FunctionDef)
        if not isinstance(parent, cst.Call) or parent.func is not attribute:
            return None
        if attribute not in inside or code(attribute.value) != self_name(owner):
            return None
        found.append(parent)
    return found


def _is_set_before_calls(context: Context, cls: Class) -> bool:
    """Whether every place that runs such a model has set its mode: new ones are in training."""
    spots: dict[Any, list[bool]] = {}
    if any(_is_of(o, cls) for i in context.interpreter.instances.values() for c in children(i)
           for o in options(c)):  # fmt: skip
        return False
    for call in find(context.module, cst.Call):
        if in_module_method(context, call):
            if _runs(context, call.func, cls):
                return False
            continue
        scope = context.edits.enclosing(call, cst.FunctionDef)
        func: Any = call.func
        switch = isinstance(func, cst.Attribute) and func.attr.value in ("train", "eval")
        if switch and _runs(context, func.value, cls):
            spots.setdefault(scope, []).append(True)
        elif _runs(context, func, cls):
            spots.setdefault(scope, []).append(False)
    return bool(spots) and all(order[0] for order in spots.values())


def _runs(context: Context, node: cst.CSTNode, cls: Class) -> bool:
    """Whether a value is such a model or a method of one that computes."""
    for option in options(context.fact(node)):
        if isinstance(option, Method) and option.function.name not in ("train", "eval"):
            option = option.receiver
        if _is_of(option, cls):
            return True
    return False


def _is_of(value: Value, cls: Class) -> bool:
    """Whether a value is an object of a class or of one that extends it."""
    classes: list[Any] = [value.cls] if isinstance(value, Instance) else []
    while classes:
        current = classes.pop()
        if current is cls:
            return True
        classes += current.bases if isinstance(current, Class) else ()
    return False


def is_removed(context: Context, node: cst.CSTNode, removed: set[cst.FunctionDef]) -> bool:
    """Whether a call runs such a `train` method."""
    functions = [o.function.node for o in options(context.fact(node)) if isinstance(o, Method)]
    return bool(functions) and all(f in removed for f in functions)
