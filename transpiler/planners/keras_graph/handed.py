"""Functions that make models from arrays of a graph: modules need no such arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Function, Instance, Method, Sequence, Value, items_of, options
from transpiler.rule import Unfit
from transpiler.syntax import find


@dataclass
class Maker:
    """A function of the program that gives models out, and its calls."""

    function: cst.FunctionDef
    calls: list[cst.Call] = field(default_factory=list)
    bound: bool = False
    """Whether it is a method, whose first parameter no call hands over."""

    def parameter(self, call: cst.Call, arg: cst.Arg) -> str | None:
        """The name of the parameter that an argument is for."""
        if arg.keyword is not None:
            return arg.keyword.value
        params = self.function.params
        names = [p.name.value for p in [*params.posonly_params, *params.params]][self.bound :]
        index = list(call.args).index(arg)
        return None if arg.star or index >= len(names) else names[index]


def find_makers(context: Context, models: set[Any]) -> list[Maker]:
    """The functions around models, and those that call such functions to give models out."""
    made = set(models)
    makers: dict[cst.FunctionDef, Maker] = {}
    for _ in range(5):
        around = {context.edits.enclosing(m, cst.FunctionDef) for m in made} - {None}
        for call in find(context.module, cst.Call):
            function, bound = _called(context.fact(call.func))
            if function not in around or call in made or not _is_model(context, context.fact(call)):
                continue
            made.add(call)
            makers.setdefault(function, Maker(function, bound=bound)).calls.append(call)
    return list(makers.values())


def _called(value: Value) -> tuple[Any, bool]:
    if isinstance(value, Method):
        return value.function.node, True
    return (value.node, False) if isinstance(value, Function) else (None, False)


def _is_model(context: Context, value: Value) -> bool:
    """Whether a value is a model or has some."""
    if isinstance(value, Sequence):
        return any(_is_model(context, i) for i in items_of(value) or ())
    held = [v for v in options(value) if isinstance(v, Instance)]
    return bool(held) and all(context.knowledge.derives(v, "keras.Model") for v in held)


class Handed:
    """The arguments of makers that are arrays of a graph."""

    def __init__(self, context: Context, makers: list[Maker], is_array: Any) -> None:
        self.context = context
        self.makers = makers
        self.is_array = is_array
        self.dropped: list[tuple[Maker, set[str]]] = []

    def read(self, goes: Any) -> None:
        """Raises Unfit where a function does more with the arrays than build the graph."""
        for maker in self.makers:
            names: dict[str | None, list[bool]] = {}
            for call in maker.calls:
                for arg in call.args:
                    names.setdefault(maker.parameter(call, arg), []).append(
                        self.is_array(arg.value)
                    )
            dropped = {n for n, arrays in names.items() if any(arrays)}
            for name in dropped:
                if name is None or not all(names[name]) or not self._is_idle(maker, name, goes):
                    raise Unfit(
                        f"`{maker.function.name.value}` is handed arrays of this graph",
                        "write the model as an nn.Module by hand",
                    )
            self.dropped.append((maker, {n for n in dropped if n is not None}))

    def _is_idle(self, maker: Maker, name: str, goes: Any) -> bool:
        return all(goes(n) for n in find(maker.function.body, cst.Name) if n.value == name)

    def drop(self) -> None:
        """Take the parameters and arguments out."""
        for maker, names in self.dropped:
            if not names:
                continue
            for call in maker.calls:
                args = [a for a in call.args if maker.parameter(call, a) not in names]
                self.context.edits.replace(call, call.with_changes(args=_last_bare(args)))
            params = maker.function.params
            kept = {
                kind: _last_bare([p for p in getattr(params, kind) if p.name.value not in names])
                for kind in ("posonly_params", "params", "kwonly_params")
            }
            self.context.edits.replace(params, params.with_changes(**kept))


def _last_bare(items: list[Any]) -> list[Any]:
    """Arguments or parameters with no comma after the last."""
    if not items:
        return []
    return [*items[:-1], items[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)]
