"""The model planner: `nn.Module` classes as Keras models and layers."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Bound,
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Method,
    Number,
    Sequence,
    Symbol,
    Union,
    Value,
    is_none,
    items_of,
    options,
)
from transpiler.modules import (
    descendants,
    in_module_method,
    is_module,
    method,
    module_classes,
    owner_class,
    self_name,
)
from transpiler.planners.copies import plan_copies
from transpiler.syntax import find
from transpiler.template import fill, fill_statements

ENTRY = "forward"


def plan(context: Context) -> None:
    """Bases, the entry method, calls of it, the training flag."""
    classes = module_classes(context)
    if not classes:
        return
    copied = plan_copies(context)
    outer = _classes_called_outside(context) | _classes_held_by_none(context)
    for node, cls in classes:
        _plan_bases(context, node, cls in outer or not _is_called(context, cls), cls in copied)
        _plan_entry(context, node)
    _rename_entry_calls(context)
    _plan_training_flag(context, classes)
    _plan_scalar_arguments(context)


def _is_called(context: Context, cls: Class) -> bool:
    return any(
        i.cls is cls for i in context.interpreter.instances.values() if i.origin is not cls.node
    )


def _classes_called_outside(context: Context) -> set[Class]:
    """Classes whose objects are called, trained or kept by code outside of modules."""
    found: set[Class] = set()
    for node in find(context.module, cst.Call):
        if in_module_method(context, node):
            continue
        for value in options(context.fact(node.func)):
            if isinstance(value, Instance) and isinstance(value.cls, Class):
                found.add(value.cls)
        for value in options(context.fact(node)):
            if isinstance(value, Instance) and isinstance(value.cls, Class):
                if isinstance(context.fact(node.func), Class) and _assigned_outside(context, node):
                    found.add(value.cls)
    return found


def _classes_held_by_none(context: Context) -> set[Class]:
    """Classes with an object that is no part of another module: models of other files' programs."""
    made = [i for i in context.interpreter.instances.values() if is_module(context, i)]
    parts = {id(part) for whole in made for part in descendants(whole) if part is not whole}
    return {
        i.cls
        for i in made
        if isinstance(i.cls, Class) and i.origin is not i.cls.node and id(i) not in parts
    }


def _assigned_outside(context: Context, node: cst.Call) -> bool:
    parent = context.edits.parent[node]
    while isinstance(parent, (cst.Attribute, cst.Call, cst.Arg)):
        parent = context.edits.parent[parent]
    return isinstance(parent, (cst.Assign, cst.AnnAssign, cst.Return))


def _plan_bases(context: Context, node: cst.ClassDef, outermost: bool, copied: bool) -> None:
    for arg in node.bases:
        fact = context.fact(arg.value)
        if isinstance(fact, Symbol) and fact.name == "torch.nn.Module":
            name = "keras.Model" if outermost else "keras.layers.Layer"
            context.claim(arg.value)
            context.edits.replace(arg.value, fill(name))
            if copied:
                mixin = cst.Arg(cst.Name(context.emit("Copyable")))
                context.edits.replace(arg, [mixin, arg])


def _plan_entry(context: Context, node: cst.ClassDef) -> None:
    entry = method(node, ENTRY)
    if entry is not None:
        context.edits.replace(entry.name, cst.Name("call"))


def _rename_entry_calls(context: Context) -> None:
    """`model.forward(x)` → `model.call(x)` inside modules, `model(x)` elsewhere."""
    for node in find(context.module, cst.Attribute):
        if node.attr.value != ENTRY:
            continue
        found = [
            getattr(value, "receiver", None) if isinstance(value, Method) else value
            for value in (*options(context.fact(node)), *options(context.fact(node.value)))
        ]
        own = [v for v in found if isinstance(v, Instance) and isinstance(v.cls, Class)]
        if any(is_module(context, value) for value in own):
            context.edits.replace(node.attr, cst.Name("call"))


def is_self(context: Context, node: cst.CSTNode) -> bool:
    """Whether a name is the module itself in a method of a module class."""
    if not isinstance(node, cst.Name):
        return False
    owner = owner_class(context, node)
    function = context.edits.enclosing(node, cst.FunctionDef)
    if owner is None or function is None or not is_module(context, context.fact(owner)):
        return False
    while (above := context.edits.enclosing(function, cst.FunctionDef)) is not None:
        function = above
    return node.value == self_name(function)


def _plan_training_flag(context: Context, classes: list[tuple[cst.ClassDef, Class]]) -> None:
    """`self.training` in the entry method → the `training` argument that Keras passes."""
    for node, _ in classes:
        for function in node.body.body:
            if not isinstance(function, cst.FunctionDef):
                continue
            uses = [
                a
                for a in find(function, cst.Attribute)
                if a.attr.value == "training" and is_self(context, a.value)
            ]
            if not uses:
                continue
            if function.name.value == ENTRY:
                add_parameter(context, function, "training=False")
            else:
                add_parameter(context, function, "training=False")
                _pass_flag(context, node, function)
            for attribute in uses:
                context.claim(attribute)
                context.edits.replace(attribute, cst.Name("training"))


def _plan_scalar_arguments(context: Context) -> None:
    """Keras takes only tensors by position: numbers, functions and layers go by name."""
    for call in find(context.module, cst.Call):
        entry = _entry_of(context, call)
        if entry is None or any(a.star for a in call.args):
            continue
        params = [p.name.value for p in entry.params.params[1:]]
        by_name = False
        for index, arg in enumerate(call.args):
            if arg.keyword is not None:
                break
            fact = context.fact(arg.value)
            other = isinstance(arg.value, cst.Lambda) or _is_no_tensor(fact)
            if (by_name or (other and index)) and index < len(params):
                by_name = True
                equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
                named = arg.with_changes(keyword=cst.Name(params[index]), equal=equal)
                context.edits.replace(arg, named)


def _is_no_tensor(fact: Value) -> bool:
    """Whether a value surely is none, nor a collection of some."""
    if isinstance(fact, (Sequence, ListObject)):
        items = items_of(fact)
        known = items if items is not None else [fact.element] if fact.element else []
        return bool(known) and all(_is_no_tensor(i) for i in known)
    if isinstance(fact, Union):
        return all(_is_no_tensor(o) for o in fact.options)
    if isinstance(fact, (Const, Number)):
        return not is_none(fact)
    return isinstance(fact, (Function, Method, Class, Instance, Bound, Symbol))


def _entry_of(context: Context, call: cst.Call) -> cst.FunctionDef | None:
    """The entry method that a call of one of the program's modules runs."""
    found: set[cst.FunctionDef] = set()
    for value in options(context.fact(call.func)):
        if (
            isinstance(value, Instance)
            and isinstance(value.cls, Class)
            and is_module(context, value)
        ):
            entry = value.cls.lookup(ENTRY)
            if isinstance(entry, Function) and isinstance(entry.node, cst.FunctionDef):
                found.add(entry.node)
    return found.pop() if len(found) == 1 else None


def add_parameter(context: Context, function: cst.FunctionDef, text: str) -> None:
    """Append a parameter to a function, unless it has one of that name."""
    definition = fill_statements(f"def f({text}): pass")[0]
    assert isinstance(definition, cst.FunctionDef)
    params = function.params
    if context.edits.edited(params) or any(
        p.name.value == "training" for p in [*params.params, *params.kwonly_params]
    ):
        return
    new = definition.params.params[0]
    if isinstance(params.star_arg, cst.Param) or params.kwonly_params:
        changed = params.with_changes(kwonly_params=[*params.kwonly_params, new])
    else:
        changed = params.with_changes(params=[*params.params, new])
    context.edits.replace(params, changed)


def _pass_flag(context: Context, node: cst.ClassDef, function: cst.FunctionDef) -> None:
    """Give the flag to a helper method wherever the entry method calls it."""
    for call in find(node, cst.Call):
        fact = context.fact(call.func)
        if isinstance(fact, Method) and fact.function.node is function:
            caller = context.edits.enclosing(call, cst.FunctionDef)
            if caller is not None:
                add_parameter(context, caller, "training=False")
                add_keyword(context, call, "training", cst.Name("training"))


def add_keyword(context: Context, call: cst.Call, name: str, value: cst.BaseExpression) -> None:
    """Append a keyword argument to a call."""
    from transpiler.template import arguments

    if any(a.keyword is not None and a.keyword.value == name for a in call.args):
        return
    [new] = arguments([], {name: value})

    def append(result: cst.BaseExpression) -> cst.BaseExpression:
        if not isinstance(result, cst.Call):
            return result
        args = list(result.args)
        if args:
            args[-1] = args[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return result.with_changes(args=[*args, new])

    context.edits.wrap(call, append)


__all__ = ["add_keyword", "plan"]
