"""`copy.deepcopy` of modules: Keras makes layers again from what they were made from.

Keras's own layers know that; classes of the program get it from a base.
"""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Instance, Symbol, Value, options
from transpiler.modules import is_module
from transpiler.syntax import find
from transpiler.template import fill


def plan_copies(context: Context) -> set[Class]:
    """Rewrite the copies; the program's classes whose objects are copied."""
    found: set[Class] = set()
    for call in find(context.module, cst.Call):
        if context.fact(call.func) != Symbol("copy.deepcopy") or len(call.args) != 1:
            continue
        fact = context.fact(call.args[0].value)
        if not any(is_module(context, v) for v in options(fact) if isinstance(v, Instance)):
            continue
        context.claim(call)
        new = fill("copied(x)", x=call.args[0].value)
        context.edits.replace(call, new.with_changes(func=cst.Name(context.emit("copied"))))
        found |= _own_classes(context, fact)
        context.caution(
            call, "copy.deepcopy",
            "copies of layers that are not built yet start from initial values of their own; "
            "torch's start equal",
        )  # fmt: skip
    return _with_arguments(context, found)


def _own_classes(context: Context, fact: Value) -> set[Class]:
    return {
        v.cls
        for v in options(fact)
        if isinstance(v, Instance) and isinstance(v.cls, Class) and is_module(context, v)
    }


def _with_arguments(context: Context, found: set[Class]) -> set[Class]:
    """And the classes of what these objects are made from."""
    pending = found
    while pending:
        given: set[Class] = set()
        for call in find(context.module, cst.Call):
            if context.fact(call.func) in pending:
                for arg in call.args:
                    given |= _own_classes(context, context.fact(arg.value))
        pending = given - found
        found = found | pending
    return found
