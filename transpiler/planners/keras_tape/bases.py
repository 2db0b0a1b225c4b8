"""Learning-rate schedules that the program derives from Keras' own base class."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Symbol
from transpiler.modules import method
from transpiler.syntax import find

SCHEDULE = "keras.optimizers.schedules.LearningRateSchedule"


def plan_bases(context: Context) -> None:
    """A schedule is a plain class with `__call__`; what Keras saves it by goes."""
    for node in find(context.module, cst.ClassDef):
        cls = context.fact(node)
        if not isinstance(cls, Class) or not context.knowledge.derives(cls, SCHEDULE):
            continue
        for arg in node.bases:
            fact = context.fact(arg.value)
            if isinstance(fact, Symbol) and fact.name == SCHEDULE:
                for part in find(arg.value, cst.Name, cst.Attribute):
                    context.claim(part)
                context.edits.replace(arg, [])
        for name in ("get_config", "from_config"):
            own = method(node, name)
            if own is not None:
                context.edits.replace(own, [])
        for call in find(node, cst.Call):
            if isinstance(call.func, cst.Attribute) and isinstance(call.func.value, cst.Call):
                context.claim(call)
