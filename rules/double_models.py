"""Models in float64: torch converts the weights, Keras makes them in the dtype that they keep."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, Value, options
from transpiler.modules import descendants, is_loss, is_module
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import fill_statements


def make_double(site: Site) -> None:
    """`set_floatx` before the model is made, where all that are made after it are double too."""
    context = site.context
    made_here = context.interpreter.instances.values()
    modules = [m for m in made_here if is_module(context, m) and not is_loss(context, m)]
    models = [m for m in modules if m in options(site.receiver_fact)]
    wholes = {id(part) for m in models for part in descendants(m)}
    made = [m.origin for m in models if isinstance(m.origin, cst.Call)]
    lines = [call for call in made if call in context.edits.parent]
    if not lines or len(lines) < len(models):
        raise Unfit("a model in float64 that is not made here", "use keras.config.set_floatx")
    first = min(lines, key=context.edits.order)
    doubled: set[int] = context.notes.setdefault("double models", set())
    doubled |= wholes
    later = [m for m in modules if context.edits.order(m.origin) > context.edits.order(first)]
    if any(id(m) not in doubled and not _is_asked_for(context, m) for m in later):
        raise Unfit("only some of the models are in float64", "give their layers a dtype")
    if len(doubled) == len(wholes):
        line = context.edits.statement(first)
        context.edits.insert_before(line, fill_statements('keras.config.set_floatx("float64")'))


def _is_asked_for(context: Context, model: Instance) -> bool:
    """Whether float64 is asked for the model, or for what holds it, further down."""
    return any(
        part is model
        for call in find(context.module, cst.Call)
        if isinstance(call.func, cst.Attribute) and _asks(context, call, call.func.attr.value)
        for whole in options(context.fact(call.func.value))
        for part in descendants(whole)
    )


def _asks(context: Context, call: cst.Call, method: str) -> bool:
    if method == "to":
        return any(is_double(context.fact(a.value)) for a in call.args)
    return method == "double"


def is_double(value: Value) -> bool:
    """Whether a dtype is float64."""
    return isinstance(value, Symbol) and value.name in ("torch.float64", "torch.double")
