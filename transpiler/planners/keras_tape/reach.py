"""Which functions of the program a piece of code may run, and which ones run inside of a tape."""

from __future__ import annotations

from collections.abc import Iterable

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
    Function,
    Instance,
    Method,
    Tensor,
    Value,
    items_of,
    options,
)
from transpiler.modules import is_module
from transpiler.syntax import find

Definition = cst.FunctionDef | cst.Lambda


class Reach:
    """The calls of one module's functions, followed."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._direct: dict[cst.CSTNode, set[Definition]] = {}

    def called(self, value: Value) -> list[Definition]:
        """The functions that calling a value runs."""
        found: list[Definition] = []
        for option in options(value):
            match option:
                case Function():
                    found.append(option.node)
                case Method():
                    found.append(option.function.node)
                case Class():
                    found += self.member(option, "__init__")
                case Instance(cls=Class() as cls):
                    for name in ("__call__", "call"):
                        found += self.member(cls, name)
        return found

    def member(self, cls: Class, name: str) -> list[Definition]:
        found = cls.lookup(name)
        return [found.node] if isinstance(found, Function) else []

    def direct(self, node: cst.CSTNode) -> set[Definition]:
        """Functions that are called, or handed on, somewhere in a piece of code."""
        if node not in self._direct:
            found: set[Definition] = set()
            for call in find(node, cst.Call):
                found.update(self.called(self.context.fact(call.func)))
                for arg in call.args:
                    for value in options(self.context.fact(arg.value)):
                        if isinstance(value, (Function, Method)):
                            found.update(self.called(value))
            self._direct[node] = found
        return self._direct[node]

    def within(self, nodes: Iterable[cst.CSTNode]) -> set[Definition]:
        """Every function that may run while the code runs."""
        found: set[Definition] = set()
        stack = list(nodes)
        while stack:
            for function in self.direct(stack.pop()):
                if function not in found:
                    found.add(function)
                    stack.append(function.body)
        return found

    def run_here(self) -> set[Definition]:
        """The functions that the module's own code runs when it is started."""
        body = self.context.module.body
        plain = [s for s in body if not isinstance(s, (cst.FunctionDef, cst.ClassDef))]
        return self.within(plain)

    def uses_variables(self, node: cst.CSTNode) -> bool:
        """Whether a piece of code may compute something that depends on trained variables."""
        return any(self._touches(part) for part in [node, *self.within([node])])

    def _touches(self, node: cst.CSTNode) -> bool:
        for item in find(node, cst.Call, cst.Name, cst.Attribute):
            if isinstance(item, cst.Call):
                values = options(self.context.fact(item.func))
                if any(isinstance(v, Instance) and is_module(self.context, v) for v in values):
                    return True
            elif is_trained(self.context.fact(item)):
                return True
        return False


def is_trained(value: Value) -> bool:
    """Whether a value is a trained variable, or a list of such."""
    if isinstance(value, Tensor):
        return value.variable
    items = items_of(value)
    if items:
        return any(is_trained(i) for i in items)
    element = getattr(value, "element", None)
    return isinstance(element, Tensor) and element.variable
