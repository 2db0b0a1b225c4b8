"""Softmax and sigmoid whose results go into a loss as they are: Keras's losses look behind them."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Bound, Class, Function, Instance, Method, Symbol, options
from transpiler.syntax import find

SOFTMAXES = frozenset({"torch.nn.Softmax", "torch.nn.Softmax2d", "torch.softmax",
                       "torch.nn.functional.softmax", "torch.Tensor.softmax",
                       "torch.special.softmax"})  # fmt: skip
SIGMOIDS = frozenset({"torch.nn.Sigmoid", "torch.sigmoid", "torch.nn.functional.sigmoid",
                      "torch.Tensor.sigmoid", "torch.special.expit"})  # fmt: skip


def reach_losses(context: Context, names: frozenset[str]) -> bool:
    """Whether a loss of the program may be given what one of these functions returns."""
    key = f"losses after {min(names)}"
    if key not in context.notes:
        context.notes[key] = _Flow(context).reaches(names)
    return bool(context.notes[key])


class _Flow:
    """Follows values through names, returns and calls until they change or meet a loss."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.calls = list(find(context.module, cst.Call))
        self.seen: set[Any] = set()

    def reaches(self, names: frozenset[str]) -> bool:
        own = set(self.calls)
        for node in list(self.context.facts):
            if isinstance(node, cst.Call) and any(
                _is_one(v, names) for v in options(self.context.facts.get(node.func))
            ):
                if node not in own or self.goes_on(node, None):
                    return True  # made in another file: where it goes is not known here
        return False

    def goes_on(self, call: cst.CSTNode, place: int | None) -> bool:
        """Whether a call's result, or an element of it, comes to a loss."""
        if (call, place) in self.seen:
            return False
        self.seen.add((call, place))
        parent = self.context.edits.parent.get(call)
        index = place
        while isinstance(parent, (cst.Element, cst.Tuple)):
            if isinstance(parent, cst.Tuple):
                index = next(i for i, e in enumerate(parent.elements) if e.value is call)
            parent = self.context.edits.parent.get(parent)
        match parent:
            case cst.Return():
                return self.returned(parent, index)
            case cst.Assign():
                return any(self.assigned(t.target, parent, index) for t in parent.targets)
            case cst.Arg():
                whole = self.context.edits.parent[parent]
                return isinstance(whole, cst.Call) and self.given(whole, parent)
            case cst.List() | cst.Call():
                return True  # of layers, perhaps; called at once
        return False

    def given(self, whole: cst.Call, arg: cst.Arg) -> bool:
        values = options(self.context.fact(whole.func))
        if any(isinstance(v, Symbol) and v.name == "torch.nn.Sequential" for v in values):
            return whole.args[-1] is arg and self.goes_on(whole, None)
        return self.is_loss(whole)

    def assigned(self, target: cst.BaseExpression, assign: cst.Assign, place: int | None) -> bool:
        if isinstance(target, cst.Tuple):
            if place is None or place >= len(target.elements):
                return any(self.assigned(e.value, assign, None) for e in target.elements)
            target = target.elements[place].value
        if isinstance(target, cst.Attribute):  # a layer, or a result kept
            return any(
                self.goes_on(call, None)
                for call in self.calls
                if isinstance(call.func, cst.Attribute)
                and call.func.attr.value == target.attr.value
            )
        if not isinstance(target, cst.Name):
            return False
        scope = self.context.edits.enclosing(assign, cst.FunctionDef) or self.context.module
        for name in find(scope, cst.Name):
            if name.value == target.value and name is not target:
                parent = self.context.edits.parent.get(name)
                called = isinstance(parent, cst.Call) and parent.func is name
                if not isinstance(parent, cst.AssignTarget) and self.goes_on(
                    parent if called and parent is not None else name, None
                ):
                    return True
        return False

    def returned(self, node: cst.Return, place: int | None) -> bool:
        """Whether what is returned comes to a loss where the function is called."""
        function = self.context.edits.enclosing(node, cst.FunctionDef)
        callers = [
            call
            for call in self.calls
            if any(_runs(v, function) for v in options(self.context.fact(call.func)))
        ]
        return not callers or any(self.goes_on(call, place) for call in callers)

    def is_loss(self, call: cst.Call) -> bool:
        for value in options(self.context.fact(call.func)):
            if isinstance(value, Instance) and self.context.knowledge.derives(
                value, "torch.nn.modules.loss._Loss"
            ):
                return True
            if isinstance(value, Symbol) and "cross_entropy" in value.name:
                return True
        return False


def _is_one(value: Any, names: frozenset[str]) -> bool:
    match value:
        case Symbol() | Bound():
            return value.name in names
        case Instance():
            return any(name in names for name in value.class_names)
    return False


def _runs(value: Any, function: Any) -> bool:
    """Whether calling a value runs this function of the program."""
    match value:
        case Function():
            return value.node is function
        case Method():
            return value.function.node is function
        case Instance(cls=Class() as cls):
            return any(
                isinstance(member := cls.lookup(name), Function) and member.node is function
                for name in ("forward", "__call__")
            )
    return False


__all__ = ["SIGMOIDS", "SOFTMAXES", "reach_losses"]
