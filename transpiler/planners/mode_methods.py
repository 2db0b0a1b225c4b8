"""Methods of models that code outside calls by name: `vae.encode(x)`, `policy.act(state)`.

torch's layers find their mode in themselves. Keras hands it down from the outermost layer that is
called, and a method called by its name is none: it gets a `training` argument and passes it on.
"""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Method, options
from transpiler.modules import is_module
from transpiler.planners.model import ENTRY, add_keyword, add_parameter
from transpiler.syntax import find


class MethodModes:
    """The methods of a file that pass the mode on."""

    def __init__(self, context: Context, depends: object) -> None:
        self.context = context
        self.depends = depends
        self.done: dict[cst.FunctionDef, bool] = {}

    def adapt(self, method: Method) -> bool:
        """Give a method its argument; whether the mode matters to it at all."""
        function = method.function.node
        if not isinstance(function, cst.FunctionDef) or function.name.value == ENTRY:
            return False
        if function not in self.done:
            self.done[function] = False  # a method that calls itself
            inner = [call for call in find(function, cst.Call) if self.passes_on(call)]
            for call in inner:
                add_keyword(self.context, call, "training", cst.Name("training"))
            self.done[function] = bool(inner)
            if inner:
                add_parameter(self.context, function, "training=None")
        return self.done[function]

    def is_adaptable(self, method: Method) -> bool:
        """Whether the method stands in this file, with the name `training` free in it."""
        function = method.function.node
        return function in self.context.edits.parent and not any(
            name.value == "training" for name in find(function, cst.Name)
        )

    def passes_on(self, call: cst.Call) -> bool:
        for value in options(self.context.fact(call.func)):
            if isinstance(value, Instance) and is_module(self.context, value):
                if self.depends(self.context, value):  # type: ignore[operator]
                    return True
            elif isinstance(value, Method) and is_module(self.context, value.receiver):
                if value.function.name == ENTRY and isinstance(call.func, cst.Attribute):
                    if isinstance(call.func.value, cst.Call):  # super().forward(x)
                        continue
                    if self.depends(self.context, value.receiver):  # type: ignore[operator]
                        self.context.edits.replace(call.func, call.func.value)
                        return True
                elif self.is_adaptable(value) and self.adapt(value):
                    return True
        return False


__all__ = ["MethodModes"]
