"""Optimizers made of a class that the program hands on: `OPTIMIZERS[name](learning_rate=lr)`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.imports import bound_by
from transpiler.infer.values import Instance, Symbol, options
from transpiler.planners.keras_deferred import on_schedule
from transpiler.rule import Unfit
from transpiler.rules.keras_optimizers import NAMES, Recipe
from transpiler.syntax import dotted, find
from transpiler.template import OMIT, call

CLASSES = frozenset(f"keras.optimizers.{n}" for n in NAMES.values())
PARAMS = cst.Name("params")


def is_handed_on(context: Context, func: cst.BaseExpression) -> bool:
    """Whether what is called is a class under a name of the program, or one of several."""
    return not _is_imported(context, func) and bool(_classes(context, func))


def _is_imported(context: Context, node: cst.BaseExpression) -> bool:
    """Whether a name leads to the library by imports, or by a variable of the module for one."""
    names: set[str] | None = context.notes.get("imported names")
    if names is None:
        names = {bound_by(alias) for alias in find(context.module, cst.ImportAlias)}
        for line in context.module.body:
            small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
            if isinstance(small, cst.Assign) and isinstance(small.targets[0].target, cst.Name):
                root = (dotted(small.value) or "").partition(".")[0]
                if root in names and len(_assigned(context, small.targets[0].target.value)) == 1:
                    names.add(small.targets[0].target.value)
        context.notes["imported names"] = names
    text = dotted(node)
    return text is not None and text.partition(".")[0] in names


def _assigned(context: Context, name: str) -> list[cst.AssignTarget]:
    targets = find(context.module, cst.AssignTarget)
    return [t for t in targets if isinstance(t.target, cst.Name) and t.target.value == name]


def _classes(context: Context, node: cst.CSTNode) -> list[Symbol]:
    found = options(context.fact(node))
    classes = [o for o in found if isinstance(o, Symbol) and o.name in CLASSES]
    return classes if len(classes) == len(found) else []


def write_handed(
    context: Context, origin: cst.Call, made: Instance, params: cst.BaseExpression
) -> cst.BaseExpression:
    """The call, with the parameters and the rate as PyTorch's classes take them. Raises Unfit."""
    recipe = Recipe(context, made, context.edits.statement(origin))
    for name in recipe.args:
        if name not in ("learning_rate", "lr"):
            raise Unfit(f"`{name}` of an optimizer whose class is handed on is not translated",
                        "bind it where the class is written: functools.partial")  # fmt: skip
    rate = recipe.rate()
    new = call("of_class", params, lr=rate).with_changes(func=origin.func)
    for node in _references(context):
        _write_class(context, node, rate is OMIT)
    return new if recipe.schedule is None else on_schedule(context, recipe.schedule, new)


def _references(context: Context) -> Iterator[Any]:
    """Where the program names a class of optimizers without calling it; its own names stay."""
    for item in find(context.module, cst.Name, cst.Attribute):
        node: Any = item
        parent = context.edits.parent.get(node)
        called = isinstance(parent, cst.Call) and parent.func is node
        inner = isinstance(parent, (cst.Attribute, cst.ImportAlias, cst.AsName))
        if called or inner or not _classes(context, node):
            continue
        if _is_imported(context, node):
            yield node
        else:
            context.claim(node)


def _write_class(context: Context, node: Any, with_rate: bool) -> None:
    """PyTorch's class, with what Keras' has by default bound to it."""
    done: set[Any] = context.notes.setdefault("classes of optimizers", set())
    if node in done:
        return
    done.add(node)
    made: Any = Recipe(context, context.fact(node), node).write(PARAMS)
    kept = [a for a in made.args[1:]
            if with_rate or a.keyword is None or a.keyword.value != "lr"]  # fmt: skip
    new = made.func
    if kept:
        context.request_import("import functools")
        new = call("functools.partial").with_changes(args=[cst.Arg(new), *kept])
    context.claim(node)
    context.edits.replace(node, new)


__all__ = ["is_handed_on", "write_handed"]
