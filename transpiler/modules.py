"""Questions about the program's own modules (layers and models), asked by several planners."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
    Instance,
    ListObject,
    Mapping,
    Sequence,
    Symbol,
    Union,
    Value,
    options,
)
from transpiler.syntax import find

TORCH_MODULE = "torch.nn.Module"
KERAS_LAYER = "keras.Layer"


def is_module(context: Context, value: Value) -> bool:
    """Whether a value is a module (layer, model) of the source framework."""
    base = TORCH_MODULE if context.to == "tf" else KERAS_LAYER
    return isinstance(value, (Instance, Class)) and context.knowledge.derives(value, base)


def is_loss(context: Context, value: Value) -> bool:
    """Whether a module is one of torch's losses, which have no parameters of their own."""
    bases = ("torch.nn.modules.loss._Loss", "torch.nn.modules.loss._WeightedLoss")
    return any(context.knowledge.derives(value, base) for base in bases)


def modules_in(context: Context, value: Value | None) -> list[Instance]:
    """The modules that a value is or holds."""
    found = []
    for option in options(value):
        if isinstance(option, Instance) and is_module(context, option):
            found.append(option)
    return found


def children(value: Value) -> Iterator[Value]:
    """What an object or container holds."""
    match value:
        case Instance():
            yield from value.attributes.values()
            for argument in value.arguments.values():
                if isinstance(argument, Value):
                    yield argument
                elif isinstance(argument, (list, tuple)):
                    yield from (a for a in argument if isinstance(a, Value))
            for _, added in value.state.get("forms", ()):
                yield added
        case ListObject() | Sequence():
            yield from value.items or ()
            if value.element is not None:
                yield value.element
        case Mapping():
            yield from value.items.values()
            if value.element is not None:
                yield value.element
        case Union():
            yield from value.options


def descendants(value: Value) -> Iterator[Value]:
    """The value and everything that it holds, each once."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        stack.extend(children(current))


def module_classes(context: Context) -> list[tuple[cst.ClassDef, Class]]:
    """The program's module classes that are defined in this file."""
    found = []
    for node in find(context.module, cst.ClassDef):
        value = context.fact(node)
        if isinstance(value, Class) and is_module(context, value):
            found.append((node, value))
    return found


def method(node: cst.ClassDef, name: str) -> cst.FunctionDef | None:
    """A method by name, as the class itself defines it."""
    for statement in node.body.body:
        if isinstance(statement, cst.FunctionDef) and statement.name.value == name:
            return statement
    return None


def owner_class(context: Context, node: cst.CSTNode) -> cst.ClassDef | None:
    """The class in whose body a node stands."""
    found = context.edits.enclosing(node, cst.ClassDef)
    return found if isinstance(found, cst.ClassDef) else None


def in_module_method(context: Context, node: cst.CSTNode) -> bool:
    """Whether a node stands in a method of a module class."""
    owner = owner_class(context, node)
    return owner is not None and is_module(context, context.fact(owner))


def self_name(function: cst.FunctionDef) -> str:
    """The name of a method's first parameter."""
    params = [*function.params.posonly_params, *function.params.params]
    return params[0].name.value if params else "self"


def class_symbol(value: Value) -> str | None:
    """The library class of an object."""
    if isinstance(value, Instance) and isinstance(value.cls, Symbol):
        return value.cls.name
    return None
