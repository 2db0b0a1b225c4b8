"""Optimizers that are made before their model is known: made whole where a model is compiled.

Keras' optimizers find out at compile what they update, PyTorch's are made of it. One that a program
keeps in a list, hands to a function or makes in another becomes a `functools.partial` of its class.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Value, options
from transpiler.planners.keras_training import Training
from transpiler.rule import Unfit
from transpiler.rules.keras_optimizers import Recipe
from transpiler.syntax import find
from transpiler.template import call


def is_deferred(training: Training, given: cst.CSTNode, fact: Value) -> bool:
    """Whether the optimizer is not made in compile, or just before it under a name of its own."""
    context = training.context
    made = _made(fact)
    if not made or any(m.origin is given for m in made):
        return False
    if len({m.origin for m in made}) > 1 or not isinstance(given, cst.Name):
        return True
    origin = made[0].origin
    target = context.edits.parent[origin]
    if not isinstance(target, cst.Assign) or len(target.targets) != 1:
        return True
    name = target.targets[0].target
    function = context.edits.enclosing(training.node, cst.FunctionDef)
    return (
        not isinstance(name, cst.Name)
        or name.value != given.value
        or context.edits.enclosing(origin, cst.FunctionDef) is not function
        or len(_compiled_with(context, made)) > 1
    )


def is_renewed(context: Context, given: cst.CSTNode, node: cst.Call) -> bool:
    """Whether a variable gets another optimizer each time before compile reads it."""
    if not isinstance(given, cst.Name):
        return False
    around = context.edits.enclosing(node, cst.For, cst.While, cst.FunctionDef)
    reads = [n for n in find(around, cst.Name) if n.value == given.value] if around else []
    match around:
        case cst.For():
            bound = [n for n in find(around.target, cst.Name) if n.value == given.value]
        case cst.FunctionDef():
            bound = [p.name for p in around.params.params if p.name.value == given.value]
        case _:
            bound = []
    rest = [n for n in reads if n not in bound and n is not given]
    return bool(bound) and all(_is_keyword(context, n) for n in rest)


def _is_keyword(context: Context, name: cst.Name) -> bool:
    parent = context.edits.parent.get(name)
    return isinstance(parent, cst.Arg) and parent.keyword is name


def _made(fact: Value) -> list[Instance]:
    return [
        o for o in options(fact)
        if isinstance(o, Instance) and isinstance(o.origin, cst.Call)
        and o.class_names[:1] and o.class_names[0].startswith("keras.optimizers.")
    ]  # fmt: skip


def _compiled_with(context: Context, made: list[Instance]) -> set[cst.CSTNode]:
    """The calls of compile that are given one of some optimizers."""
    origins = {m.origin for m in made}
    return {
        node
        for model in context.interpreter.instances.values()
        for node, given in model.state.get("compiled", {}).items()
        if any(m.origin in origins for v in given.values() if isinstance(v, Value)
               for m in _made(v))
    }  # fmt: skip


def defer_optimizers(context: Context, fact: Value, statement: cst.CSTNode) -> None:
    """Make a partial of each optimizer that compile may be given. Raises Unfit."""
    made = _made(fact)
    if len(made) != len(options(fact)):
        raise Unfit("the optimizer is not one of Keras' that are known before the program runs")
    done: dict[Any, bool] = context.notes.setdefault("deferred optimizers", {})
    for value in made:
        if value.origin in done:
            continue
        if value.origin not in context.edits.parent or _is_used(context, value):
            raise Unfit("an optimizer that the program also uses by itself is made before its"
                        " model is known", "make it after the model")  # fmt: skip
        done[value.origin] = True
        recipe = Recipe(context, value, statement)
        params = cst.Name("params")
        new: Any = recipe.write(params)
        if recipe.schedule is not None:
            new = on_schedule(context, recipe.schedule, new)
        context.request_import("import functools")
        bound = [a for a in new.args if a.value is not params]
        partial = call("functools.partial").with_changes(args=[cst.Arg(new.func), *bound])
        context.claim(value.origin)
        context.edits.replace(value.origin, partial)


def on_schedule(
    context: Context, schedule: cst.BaseExpression, optimizer: cst.BaseExpression
) -> cst.Call:
    """An optimizer that moves its own learning rate on after each step."""
    assert isinstance(optimizer, cst.Call)
    params, *rest = [a for a in optimizer.args if a.keyword is None or a.keyword.value != "lr"]
    made = call(context.emit("scheduled"))
    return made.with_changes(args=[cst.Arg(schedule), cst.Arg(optimizer.func), params, *rest])


def _is_used(context: Context, value: Instance) -> bool:
    """Whether the program reads or steps an optimizer, other than as that of its model."""
    for node in find(context.module, cst.Attribute):
        if not any(getattr(o, "origin", None) is value.origin
                   for o in options(context.fact(node.value))):  # fmt: skip
            continue
        inner = node.value
        if isinstance(inner, cst.Attribute) and inner.attr.value == "optimizer":
            continue
        return True
    return False
