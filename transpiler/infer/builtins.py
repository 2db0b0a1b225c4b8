"""Python's own functions and container methods, on abstract values."""

from __future__ import annotations

import builtins
from collections.abc import Iterable
from typing import Any

from transpiler.infer import values as v
from transpiler.infer.evaluation import Evaluation
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Bound,
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Stretch,
    Symbol,
    Tensor,
    Union,
    Value,
    element_of,
    from_dim,
    is_none,
    items_of,
    join,
    options,
    scalar_type,
    stretches_of,
)

BUILTINS = frozenset(dir(builtins))
_CONVERSIONS = {"int": int, "float": float, "str": str, "bool": bool}


class Builtins(Evaluation):
    """The part of the interpreter that knows Python's built-in functions."""

    def call_builtin(
        self,
        name: str,
        positional: list[Value],
        keywords: dict[str, Value],
        node: Any,
    ) -> Value:
        first = positional[0] if positional else UNKNOWN
        match name:
            case "ord" | "hash" | "id":
                return Number("int")
            case "len":
                return self.length(first)
            case "range":
                return _range(positional)
            case "enumerate":
                element = self.iterate(first, None)
                known = items_of(first)
                start = keywords.get("start", positional[1] if len(positional) > 1 else Const(0))
                if known is not None and isinstance(start, Const) and isinstance(start.value, int):
                    counted = enumerate(known, start.value)
                    pairs = [Sequence("tuple", (Const(i), x)) for i, x in counted]
                    return Sequence("enumerate", tuple(pairs))
                return Sequence("enumerate", None, Sequence("tuple", (Number("int"), element)))
            case "zip":
                return self.zip_values(positional)
            case "list" | "tuple" | "sorted" | "reversed" | "set" | "frozenset" | "iter":
                return self.convert_container(name, positional)
            case "dict":
                mapping = Mapping(dict(keywords))
                for option in options(first):
                    if isinstance(option, Mapping):
                        mapping.items = {**option.items, **mapping.items}
                        mapping.element = option.element
                    elif items_of(option) is None:  # pairs of which the number is not known
                        pair = items_of(element_of(option))
                        if pair is not None and len(pair) == 2:
                            mapping.element = pair[1]
                return mapping
            case "next":
                return self.iterate(first, None)
            case "int" | "float" | "str" | "bool":
                return _convert(name, first)
            case "sum":
                return self.sum_values(first)
            case "min" | "max":
                values = list(items_of(first) or ()) if len(positional) == 1 else positional
                return _extreme(name, values) if values else element_of(first)
            case "abs" | "round":
                if isinstance(first, Tensor):
                    return first.but(variable=False)
                kind = scalar_type(first)
                if name == "round" and len(positional) == 1:
                    kind = "int"
                return Number(kind) if kind else UNKNOWN
            case "isinstance":
                return self.is_instance(positional)
            case "hasattr" if len(positional) == 2:
                return self.has_attribute(first, positional[1])
            case "callable" | "any" | "all" | "issubclass" | "hasattr":
                return Number("bool")
            case "getattr":
                if len(positional) > 1 and isinstance(positional[1], Const):
                    return self.attribute(first, str(positional[1].value))
                return UNKNOWN
            case "map":
                items = [self.iterate(p, None) for p in positional[1:]]
                return Sequence("map", None, self.call(first, items, {}, None))
            case "filter":
                self.call(first, [self.iterate(p, None) for p in positional[1:2]], {}, None)
                return positional[1] if len(positional) > 1 else UNKNOWN
            case "slice":
                return Sequence("slice")
            case "setattr":
                return self.set_named(positional)
            case "print":
                return NONE
            case "type":
                if isinstance(first, Instance):
                    return first.cls
            case "input" | "repr" | "format" | "chr":
                return Number("str")
            case "divmod":
                return Sequence("tuple", (Number("int"), Number("int")))
        return UNKNOWN

    def set_named(self, positional: list[Value]) -> Value:
        """`setattr(object, name, value)`; an unknown name may stand for any attribute."""
        if len(positional) == 3:
            target, name, value = positional
            if isinstance(name, Const):
                self.set_attribute(target, str(name.value), value)
            else:
                for option in options(target):
                    if isinstance(option, Instance):
                        option.state["unnamed"] = join(option.state.get("unnamed"), value)
        return NONE

    def length(self, value: Value) -> Value:
        known = items_of(value)
        if isinstance(value, Tensor) and value.shape:
            return from_dim(value.shape[0])
        if known is not None:
            doubtful = any(isinstance(x, Instance) and "perhaps" in x.state for x in known)
            return Number("int") if doubtful else Const(len(known))
        if isinstance(value, Const) and isinstance(value.value, (str, bytes)):
            return Const(len(value.value))
        for option in options(value):
            if isinstance(option, Instance) and isinstance(option.cls, Class):
                method = option.cls.lookup("__len__")
                if isinstance(method, Function):
                    return self.call_function(method, [option], {})
        return Number("int")

    def zip_values(self, positional: list[Value]) -> Value:
        known = [items_of(p) for p in positional]
        lists = [k for k in known if k is not None]
        if lists and len(lists) == len(known):
            rows = [Sequence("tuple", row) for row in zip(*lists, strict=False)]
            return Sequence("zip", tuple(rows))
        return Sequence(
            "zip", None, Sequence("tuple", tuple(self.iterate(p, None) for p in positional))
        )

    def convert_container(self, name: str, positional: list[Value]) -> Value:
        if not positional:
            return ListObject([]) if name != "tuple" else Sequence("tuple", ())
        value = positional[0]
        if name == "iter":
            return value
        known = items_of(value)
        if name in ("sorted", "set", "frozenset"):
            known = None
        if known is None:
            element = self.iterate(value, None)
            return (
                Sequence("tuple", None, element) if name == "tuple" else ListObject(None, element)
            )
        if name == "reversed":
            known = known[::-1]
        return Sequence("tuple", known) if name == "tuple" else ListObject(list(known))

    def sum_values(self, value: Value) -> Value:
        element = self.iterate(value, None)
        if isinstance(element, Tensor):
            return element.but(variable=False)
        kind = scalar_type(element)
        return Number(kind if kind in ("int", "float") else "int") if kind else UNKNOWN

    def has_attribute(self, value: Value, name: Value) -> Value:
        """False where none of the objects can have it; what they have may come later."""
        found = options(value)
        if not isinstance(name, Const) or not found:
            return Number("bool")
        for option in found:
            if isinstance(option, Tensor) and self.is_no_member(option, str(name.value)):
                continue
            if not isinstance(option, Instance) or "unnamed" in option.state:
                return Number("bool")
            if self.attribute(option, str(name.value)) is not UNKNOWN:
                return Number("bool")
        return Const(False)

    def is_no_member(self, array: Tensor, name: str) -> bool:
        """Whether the arrays of a library are known, and have nothing of this name."""
        cls = self.knowledge.array_class(array)
        known = f"{cls}.{name}" in self.knowledge.properties or self.knowledge.member(cls, name)
        return self.knowledge.is_class(cls) and not known and not name.startswith("_")

    def is_instance(self, positional: list[Value]) -> Value:
        if len(positional) < 2:
            return Number("bool")
        value, classes = positional
        wanted = items_of(classes) or (classes,)
        if isinstance(value, Union):
            found = [self.is_instance([option, classes]) for option in value.options]
            return found[0] if all(f == found[0] for f in found) else Number("bool")
        if (kind := _python_kind(value)) is not None:
            return self.is_of_kind(kind, wanted)
        if not isinstance(value, (Instance, Tensor)):
            return Number("bool")
        answers: list[bool] = []
        for cls in wanted:
            if isinstance(cls, Symbol) and isinstance(value, Instance):
                answers.append(self.knowledge.derives(value, cls.name))
            elif isinstance(cls, Symbol) and isinstance(value, Tensor):
                answers.append(cls.name == self.knowledge.array_class(value))
            elif isinstance(cls, Class) and isinstance(value, Instance):
                answers.append(_derives(value.cls, cls))
            else:
                return Number("bool")
        return Const(any(answers))

    def is_of_kind(self, kind: str, classes: Iterable[Value]) -> Value:
        """Whether a value of one of Python's own classes is of one of these."""
        names = [c.name if isinstance(c, Symbol) else "" for c in classes]
        if any(n == f"builtins.{kind}" for n in names):
            return Const(True)
        own = all(n.startswith("builtins.") or self.knowledge.is_class(n) for n in names)
        return Const(False) if own and kind != "bool" else Number("bool")

    def call_container_method(
        self,
        function: Bound,
        positional: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        name = function.name.removeprefix("builtins.")
        receiver = function.receiver
        if name == "str.format" and not keywords:
            return _formatted(receiver, positional)
        if name.startswith("str."):
            return _string_method(name[4:])
        if name == "next":
            return self.iterate(receiver, None)
        known = self.knowledge.functions.get(function.name)
        if known is not None:
            interpreter: Any = self
            return known(
                Invocation(interpreter, function.name, None, receiver, positional, keywords)
            )
        if isinstance(receiver, ListObject):
            return self.list_method(receiver, name, positional)
        if isinstance(receiver, Mapping):
            if name == "update" and self.dead:
                return NONE
            if name == "update" and self.choices and isinstance(positional[0], Mapping):
                return _perhaps_update(receiver, positional[0])
            return _mapping_method(receiver, name, positional)
        return UNKNOWN

    def is_counted(self, receiver: ListObject) -> bool:
        """Whether a list that grows here does so a known number of times."""
        if len(receiver.items or ()) >= 64:
            return False
        return not any(receiver.born < start for start in self.unsure)

    def is_certain(self, receiver: ListObject) -> bool:
        """Whether what happens to a list here surely happens, and once."""
        certain = not any(receiver.born < start for start in self.choices)
        return certain and self.is_counted(receiver)

    def take_in(self, receiver: ListObject, added: Value) -> None:
        """A list grows at its end by the elements of another."""
        doubtful = any(receiver.born < start for start in self.choices)
        known = items_of(added)
        objects = known is not None and all(isinstance(x, Instance) for x in known)
        if doubtful and objects:
            for item in known or ():
                item.state["perhaps"] = True  # type: ignore[attr-defined]
        certain = objects or not doubtful
        if receiver.items is not None and known is not None and self.is_counted(receiver):
            if certain:
                receiver.items.extend(known)
                return
        receiver.stretches = self.stretched(receiver, added) if certain else None
        element = self.iterate(added, None)
        receiver.element = join(receiver.element, *(receiver.items or ()), element)
        receiver.items = None

    def stretched(self, receiver: ListObject, added: Value) -> list[Stretch] | None:
        """What a list holds in order, when more comes to its end."""
        if receiver.items is None and receiver.stretches is None:
            return None
        found = stretches_of(receiver)
        loop = next((x for x, start in zip(self.loops, self.unsure, strict=True)
                     if receiver.born < start), None)  # fmt: skip
        if loop is None:
            return [*found, *stretches_of(added)]
        if any(key is loop for key, _ in found[:-1]):
            return None
        held = [x for _, values in stretches_of(added) for x in values]
        if found and found[-1][0] is loop:
            held = [*found.pop()[1], *held]
        return [*found, (loop, list({id(x): x for x in held}.values()))]

    def list_method(self, receiver: ListObject, name: str, positional: list[Value]) -> Value:
        first = positional[0] if positional else UNKNOWN
        if self.dead and name not in ("copy", "index", "count"):
            return element_of(receiver) if name.startswith("pop") else NONE  # it never happens
        match name:
            case "append" | "extend":
                self.take_in(receiver, Sequence("list", (first,)) if name == "append" else first)
                return NONE
            case "insert" | "add" | "appendleft" | "extendleft":
                added = positional[-1] if positional else UNKNOWN
                added = self.iterate(added, None) if name == "extendleft" else added
                receiver.element = join(receiver.element, *(receiver.items or ()), added)
                receiver.items = receiver.stretches = None
                return NONE
            case "pop" if receiver.items and not positional and self.is_certain(receiver):
                return receiver.items.pop()
            case "pop" | "popleft" | "clear" | "remove" | "rotate" | "sort" | "reverse":
                element = element_of(receiver)
                receiver.stretches = None
                if receiver.items:
                    receiver.element, receiver.items = element, None
                return element if name.startswith("pop") else NONE
            case "copy":
                return v.own_copy(receiver)
            case "index" | "count":
                return Number("int")
        return UNKNOWN


def _formatted(text: Value, given: list[Value]) -> Value:
    """`"stage{}".format(i)`."""
    if isinstance(text, Const) and all(isinstance(x, Const) for x in given):
        try:
            return Const(text.value.format(*(x.value for x in given if isinstance(x, Const))))
        except (LookupError, ValueError, TypeError, AttributeError):
            pass
    return Number("str")


def _mapping_method(receiver: Mapping, name: str, positional: list[Value]) -> Value:
    values = [*receiver.items.values(), *([receiver.element] if receiver.element else [])]
    keys = [Const(k) for k in receiver.items]
    match name:
        case "items":
            if receiver.element is None:
                rows = [Sequence("tuple", (Const(k), x)) for k, x in receiver.items.items()]
                return Sequence("items", tuple(rows))
            row = Sequence("tuple", (join(*keys) if keys else UNKNOWN, join(*values)))
            return Sequence("items", None, row)
        case "values":
            return Sequence(
                "values", tuple(values) if receiver.element is None else None, join(*values)
            )
        case "keys":
            return Sequence("keys", tuple(keys) if receiver.element is None else None)
        case "get" | "pop" | "setdefault":
            key = positional[0] if positional else UNKNOWN
            if isinstance(key, Const) and key.value in receiver.items:
                return receiver.items[key.value]
            return join(*values, *(positional[1:] or [NONE])) if values else UNKNOWN
        case "copy":
            return Mapping(dict(receiver.items), receiver.element)
        case "update":
            if positional and isinstance(positional[0], Mapping):
                receiver.items.update(positional[0].items)
            return NONE
    return UNKNOWN


def _perhaps_update(receiver: Mapping, other: Mapping) -> Value:
    """An update in a branch: afterwards a key is there or not."""
    for key, value in other.items.items():
        if key in receiver.items:
            receiver.items[key] = join(receiver.items[key], value)
        else:
            receiver.element = join(receiver.element, value)
    return NONE


def _string_method(name: str) -> Value:
    if name in ("split", "splitlines", "rsplit"):
        return ListObject(None, Number("str"))
    if name in ("startswith", "endswith", "isdigit", "isalpha", "isspace", "isupper", "islower"):
        return Number("bool")
    if name in ("find", "index", "count", "rfind"):
        return Number("int")
    return Number("str")


def _range(positional: list[Value]) -> Value:
    bounds = [p.value for p in positional if isinstance(p, Const) and isinstance(p.value, int)]
    if len(bounds) == len(positional) and bounds:
        numbers = range(*bounds)
        if len(numbers) <= 16:
            return Sequence("range", tuple(Const(i) for i in numbers))
    return Sequence("range", None, Number("int"))


def _convert(name: str, value: Value) -> Value:
    if isinstance(value, Const) and isinstance(value.value, (int, float, str, bool)):
        try:
            return Const(_CONVERSIONS[name](value.value))
        except (ValueError, OverflowError):
            return Number(name)
    symbol = value.symbol if isinstance(value, Number) and value.type == name else None
    return Number(name, symbol)


def _extreme(name: str, values: list[Value]) -> Value:
    known = [x.value for x in values if isinstance(x, Const) and isinstance(x.value, (int, float))]
    if len(known) == len(values):
        return Const(max(known) if name == "max" else min(known))
    kinds = {scalar_type(x) for x in values}
    if kinds <= {"int"}:
        return Number("int")
    return Number("float") if kinds <= {"int", "float"} else join(*values)


def _derives(cls: Class | Symbol, base: Class) -> bool:
    if cls is base:
        return True
    return isinstance(cls, Class) and any(
        isinstance(b, Class) and _derives(b, base) for b in cls.bases
    )


__all__ = ["BUILTINS", "Builtins", "v"]


def _python_kind(value: Value) -> str | None:
    """The class of Python's that a value is of."""
    match value:
        case ListObject():
            return "list"
        case Mapping():
            return "dict"
        case Sequence(kind=kind) if kind.partition(":")[0] in ("tuple", "list", "set", "range"):
            return kind.partition(":")[0]
        case Const() | Number() if not is_none(value):
            return scalar_type(value)
    return None
