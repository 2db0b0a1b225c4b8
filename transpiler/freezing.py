"""Which modules a program freezes: Keras no longer lists the variables of those as trainable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Symbol, Tensor, Value, options
from transpiler.modules import descendants, is_module
from transpiler.syntax import find

SETTER = Symbol("to_torch.set_trainable")


def may_be_frozen(context: Context, value: Value) -> bool:
    """Whether some variable of these modules may be frozen somewhere."""
    frozen = context.notes.get("frozen modules")
    if frozen is None:
        frozen = context.notes["frozen modules"] = list(_frozen(context))
    known = {id(part) for o in frozen if o is not None for part in descendants(o)}
    mine = list(_parts(value))
    if not frozen:
        return False
    return None in frozen or not mine or any(id(part) in known for part in mine)


def has_only_parameters(context: Context, value: Value) -> bool:
    """Whether each weight of these modules is what torch calls a parameter."""
    parts = list(_parts(value))
    return bool(parts) and all(
        is_module(context, part)
        and not any("BatchNorm" in name for name in part.class_names)
        and not part.state.get("registered")
        for part in parts
    )


def _parts(value: Value) -> Iterator[Instance]:
    for option in options(value):
        yield from (p for p in descendants(option) if isinstance(p, Instance) and not _is_data(p))


def _is_data(value: Instance) -> bool:
    return not value.class_names and not value.attributes


def _frozen(context: Context) -> Iterator[Instance | None]:
    """The modules whose parameters are frozen somewhere; None where it is not known whose."""
    nodes: Iterator[Any] = find(context.module, cst.Assign, cst.Call)
    for node in nodes:
        if isinstance(node, cst.Assign):
            target: Any = node.targets[0].target
            flag: Any = node.value
        else:
            target, flag = node.func, node.args[0].value if node.args else cst.Name("True")
        names = ("requires_grad", "requires_grad_", "trainable")
        if isinstance(node, cst.Call) and context.fact(target) == SETTER and node.args:
            yield from (o for o in options(context.fact(flag)) if isinstance(o, Instance))
        if not isinstance(target, cst.Attribute) or target.attr.value not in names:
            continue
        if isinstance(node, cst.Call) and target.attr.value != "requires_grad_":
            continue
        if context.fact(flag) == Const(True) or (
            isinstance(flag, cst.Name) and flag.value == "True"
        ):
            continue
        yield from owners_of(context, target.value)


def owners_of(context: Context, node: Any) -> Iterator[Instance | None]:
    """The modules that a frozen value is, or whose parameters it is one of."""
    modules = [o for o in options(context.fact(node)) if is_module(context, o)]
    if modules:
        yield from (m for m in modules if isinstance(m, Instance))
        return
    if isinstance(node, cst.Attribute):
        yield from owners_of(context, node.value)
        return
    loop = context.edits.enclosing(node, cst.For)
    found = False
    while loop is not None:
        for call in find(loop.iter, cst.Call):
            if isinstance(call.func, cst.Attribute) and call.func.attr.value.endswith("parameters"):
                for option in options(context.fact(call.func.value)):
                    found = True
                    yield option if isinstance(option, Instance) else None
        loop = context.edits.enclosing(loop, cst.For)
    fact = context.fact(node)
    if not found and not (isinstance(fact, Tensor) and not fact.variable):
        yield None


def freezes_singly(context: Context) -> bool:
    """Whether the program freezes some of a model's parameters, told by name or place."""
    found = context.notes.get("freezes singly")
    if found is None:
        found = any(
            isinstance(context.edits.parent.get(node), cst.AssignTarget)
            and _is_one_of_many(context, node)
            for node in find(context.module, cst.Attribute)
            if node.attr.value == "requires_grad"
        )
        context.notes["freezes singly"] = found
    return bool(found)


def _is_one_of_many(context: Context, node: cst.Attribute) -> bool:
    """Whether a loop over parameters does something else as well, or not to all."""
    loop = context.edits.enclosing(node, cst.For)
    if loop is None:
        return not isinstance(node.value, cst.Name)
    alone = len(loop.body.body) == 1 and isinstance(loop.body.body[0], cst.SimpleStatementLine)
    return not (alone and isinstance(loop.target, cst.Name))
