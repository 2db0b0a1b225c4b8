"""The stateful planner: modules whose `forward` keeps something for its next call, or needs values.

Keras builds a model by a trial run of `call` on symbolic inputs. What such a run would leave in
the model's attributes is of no use to the first real call, and where it fails in the middle of a
call the layers after it no longer know whether they train. A `build` of the class's own takes its
place, and the layers build themselves when they are called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Instance, Method, Symbol, Tensor, options
from transpiler.modules import descendants, is_module, method, module_classes, self_name
from transpiler.planners.expressions import qualified_name
from transpiler.planners.rebindings import rebinds
from transpiler.planners.step.tracing import assigned_attributes
from transpiler.syntax import code, find, walk
from transpiler.template import fill_statements

_BUILD = """
def build(self, input_shape):
    pass  # no trial run of call, which {name}
"""
_VALUES = frozenset(f"torch.Tensor.{name}" for name in ("item", "tolist", "numpy"))
_CHANGES = frozenset({"append", "extend", "insert", "add", "update", "pop", "clear", "setdefault"})


def plan(context: Context) -> None:
    """Give the classes of modules that keep state, and those that hold such modules, a `build`."""
    classes = module_classes(context)
    kept = {cls: name for node, cls in classes if (name := _reason(context, node)) is not None}
    if not kept:
        return
    for node, cls in classes:
        name = kept.get(cls) or _kept_in_parts(context, cls, kept)
        entry = method(node, "forward")
        if name is not None and entry is not None and method(node, "build") is None:
            context.edits.insert_before(entry, fill_statements(_BUILD.format(name=name)))


def _kept_in_parts(context: Context, cls: Class, kept: dict[Class, str]) -> str | None:
    """What holds for a part of a module."""
    for instance in context.interpreter.instances.values():
        if instance.cls is cls and is_module(context, instance):
            for part in descendants(instance):
                held = getattr(part, "cls", None)
                if isinstance(held, Class) and held in kept:
                    return kept[held]
    return None


def leaves_traces(context: Context, model: Instance) -> bool:
    """Whether a call of a module for its shapes alone changes what comes after."""
    parts = [getattr(part, "cls", None) for part in [model, *descendants(model)]]
    reasons = [_reason(context, cls.node) for cls in parts if isinstance(cls, Class)]
    return any(reason is not None and "depends" not in reason for reason in reasons)


def _reason(context: Context, node: cst.ClassDef) -> str | None:
    """What a trial run on symbolic inputs would do amiss."""
    kept = _kept_name(context, node)
    if kept is not None:
        return f"would leave its {kept} behind"
    for function in _running(context, node):
        for part in walk(function):
            if isinstance(part, (cst.Assert, cst.If, cst.While, cst.IfExp)):
                if isinstance(context.fact(part.test), Tensor):
                    return "depends on values"
            elif isinstance(part, cst.Call):
                name = qualified_name(context, part.func) or _library_name(context, part.func)
                if name in _VALUES or _is_number_of_tensor(context, part):
                    return "depends on values"
                if name.startswith(("random.", "numpy.random.")):
                    return "draws numbers"
    return None


def _is_number_of_tensor(context: Context, call: cst.Call) -> bool:
    """`int(pointer)`."""
    func = call.func
    if not isinstance(func, cst.Name) or func.value not in ("int", "float") or not call.args:
        return False
    fact = context.fact(call.args[0].value)
    return isinstance(fact, Tensor) and fact.library == "torch"


def _library_name(context: Context, func: cst.BaseExpression) -> str:
    fact = context.fact(func)
    return fact.name if isinstance(fact, Symbol) else ""


def _kept_name(context: Context, node: cst.ClassDef) -> str | None:
    """An attribute that the entry method, or a method it calls, changes and reads before that."""
    written: dict[str, None] = {}
    early: set[str] = set()
    for function in _running(context, node):
        owner = self_name(function)
        bound: set[str] = set()
        for name, is_read in _events(context, function, owner):
            if not is_read:
                bound.add(name)
                written.setdefault(name)
            elif name not in bound:
                early.add(name)
    buffers = _buffers(context, node)
    return next((name for name in written if name in early and name not in buffers), None)


def _buffers(context: Context, node: cst.ClassDef) -> set[str]:
    """Registered tensors, which become variables: a trial run changes none."""
    return {
        str(fact.value)
        for call in find(node, cst.Call)
        if isinstance(call.func, cst.Attribute) and call.func.attr.value == "register_buffer"
        for arg in call.args[:1]
        if isinstance(fact := context.fact(arg.value), Const)
    }


def _events(
    context: Context, function: cst.FunctionDef, owner: str | None
) -> Iterator[tuple[str, bool]]:
    """The function's own attributes as they are read (True) and changed, a statement at a time."""
    for line in walk(function):
        if not isinstance(line, (cst.BaseSmallStatement, cst.BaseExpression)):
            continue
        parts = list(walk(line)) if isinstance(line, cst.BaseSmallStatement) else [line]
        changed = [t for part in parts for t in _changed(part) if code(t.value) == owner]
        changed = [t for t in changed if not rebinds(context, t)]
        rebound = changed if isinstance(line, cst.Assign) else []
        for part in parts:
            if isinstance(part, cst.Attribute) and code(part.value) == owner:
                if part not in rebound:
                    yield part.attr.value, True
        yield from ((target.attr.value, False) for target in changed)


def _changed(node: cst.CSTNode) -> list[cst.Attribute]:
    """The attributes that a node binds or changes in place."""
    if isinstance(node, (cst.Assign, cst.AugAssign)):
        targets: list[Any] = [node.target] if isinstance(node, cst.AugAssign) else [
            t.target for t in node.targets
        ]  # fmt: skip
        items = [t.value for t in targets if isinstance(t, cst.Subscript)]
        return [*assigned_attributes(node), *(i for i in items if isinstance(i, cst.Attribute))]
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        if node.func.attr.value in _CHANGES and isinstance(node.func.value, cst.Attribute):
            return [node.func.value]
    return []


def _running(context: Context, node: cst.ClassDef) -> list[cst.FunctionDef]:
    """The entry method and the class's own methods that it comes to."""
    entry = method(node, "forward")
    found: list[cst.FunctionDef] = []
    pending = [entry] if entry is not None else []
    while pending:
        function = pending.pop()
        if function in found:
            continue
        found.append(function)
        for call in find(function, cst.Call):
            for value in options(context.fact(call.func)):
                callee = value.function.node if isinstance(value, Method) else None
                if isinstance(callee, cst.FunctionDef) and callee in node.body.body:
                    pending.append(callee)
    return found


__all__ = ["leaves_traces", "plan"]
