"""Expressions: what each one is, given what its parts are."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import libcst as cst

from transpiler.infer import values as v
from transpiler.infer.arrays import arithmetic, index_shape
from transpiler.infer.builtins import BUILTINS, Builtins
from transpiler.infer.frames import Frame
from transpiler.infer.values import (
    UNKNOWN,
    Bound,
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Mapping,
    Method,
    Number,
    Sequence,
    SourceModule,
    Symbol,
    Tensor,
    Union,
    Value,
    element_of,
    items_of,
    join,
    options,
    scalar_type,
)
from transpiler.syntax import dotted, find

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Subtract": operator.sub,
    "Multiply": operator.mul,
    "Divide": operator.truediv,
    "FloorDivide": operator.floordiv,
    "Modulo": operator.mod,
    "Power": operator.pow,
    "LeftShift": operator.lshift,
    "RightShift": operator.rshift,
    "BitOr": operator.or_,
    "BitAnd": operator.and_,
    "BitXor": operator.xor,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Equal": operator.eq,
    "NotEqual": operator.ne,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEqual": operator.le,
    "GreaterThanEqual": operator.ge,
}
_CONTAINERS = (ListObject, Mapping, Sequence)
_HOLDING = (Tensor, *_CONTAINERS)


class Expressions(Builtins):
    """The half of the interpreter that evaluates expressions."""

    def record(self, node: cst.CSTNode, value: Value) -> None:
        """Keep a fact, joined with what earlier visits found."""
        facts = self.weak_facts if self.dead else self.facts
        have = facts.get(node)
        facts[node] = value if have is None or have is value else join(have, value)

    def eval(self, node: Any, frame: Frame) -> Value:
        """The value of an expression, which is recorded as a fact."""
        method = _EVALUATORS.get(type(node))
        before = self.placements
        value = method(self, node, frame) if method is not None else UNKNOWN
        if self.latest is not None and self.knowledge.tracer is not None:
            if self.placements != before or isinstance(value, _HOLDING):
                value = self.knowledge.tracer(self, node, value, frame)
            else:
                self.latest[0].pop(node, None)
        facts = self.weak_facts if self.dead else self.facts
        have = facts.get(node)
        facts[node] = value if have is None or have is value else join(have, value)
        return value

    def eval_name(self, node: cst.Name, frame: Frame) -> Value:
        name = node.value
        value = frame.lookup(name)
        if value is not None:
            return value
        if name in ("True", "False", "None"):
            return Const({"True": True, "False": False, "None": None}[name])
        if name in BUILTINS:
            return Symbol(f"builtins.{name}")
        return UNKNOWN

    def eval_literal(self, node: Any, frame: Frame) -> Value:
        try:
            value = node.evaluated_value
        except Exception:  # malformed or mixed literals have no value
            return UNKNOWN
        return Const(value) if value is not None else UNKNOWN

    def eval_ellipsis(self, node: cst.Ellipsis, frame: Frame) -> Value:
        return Const(...)

    def eval_formatted(self, node: cst.FormattedString, frame: Frame) -> Value:
        text: str | None = ""
        for part in node.parts:
            if isinstance(part, cst.FormattedStringText):
                plain_text = not set("{}\\") & set(part.value)
                text = text + part.value if text is not None and plain_text else None
                continue
            assert isinstance(part, cst.FormattedStringExpression)
            value = self.eval(part.expression, frame)
            for inner in part.format_spec or ():
                if isinstance(inner, cst.FormattedStringExpression):
                    self.eval(inner.expression, frame)
            plain = isinstance(value, Const) and isinstance(value.value, (int, str))
            if text is None or not plain or part.format_spec or part.conversion or part.equal:
                text = None
            elif isinstance(value, Const):
                text += str(value.value)
        return Number("str") if text is None else Const(text)

    def eval_concatenated(self, node: cst.ConcatenatedString, frame: Frame) -> Value:
        self.eval(node.left, frame)
        self.eval(node.right, frame)
        return self.eval_literal(node, frame)

    def eval_tuple(self, node: cst.Tuple, frame: Frame) -> Value:
        return Sequence("tuple", *self.eval_elements(node.elements, frame)[:2])

    def eval_list(self, node: cst.List | cst.Set, frame: Frame) -> Value:
        items, element, stretches = self.eval_elements(node.elements, frame)
        if items is not None:
            return ListObject(list(items))
        return ListObject(None, element, stretches=stretches)

    def eval_elements(
        self, elements: Any, frame: Frame
    ) -> tuple[tuple[Value, ...] | None, Value, list[v.Stretch]]:
        seen: list[Value] = []
        stretches: list[v.Stretch] = []
        for element in elements:
            value = self.eval(element.value, frame)
            if isinstance(element, cst.StarredElement):
                seen.append(element_of(value))
                stretches += v.stretches_of(value)
            else:
                seen.append(value)
                stretches.append((None, [value]))
        if any(loop is not None for loop, _ in stretches):
            return None, join(*seen), stretches
        return tuple(x for _, held in stretches for x in held), UNKNOWN, stretches

    def eval_dict(self, node: cst.Dict, frame: Frame) -> Value:
        mapping = Mapping()
        for element in node.elements:
            value = self.eval(element.value, frame)
            if isinstance(element, cst.DictElement):
                key = self.eval(element.key, frame)
                if isinstance(key, Const) and isinstance(key.value, (str, int, float, bool)):
                    mapping.items[key.value] = value
                else:
                    mapping.element = join(mapping.element, value)
            elif isinstance(value, Mapping):
                mapping.items.update(value.items)
        return mapping

    def eval_binary(self, node: cst.BinaryOperation, frame: Frame) -> Value:
        left = self.eval(node.left, frame)
        right = self.eval(node.right, frame)
        return self.binary_values(type(node.operator).__name__, left, right)

    def binary_values(self, operation: str, left: Value, right: Value) -> Value:
        """`left operation right` on values."""
        if isinstance(left, Union) or isinstance(right, Union):
            pairs = [(a, b) for a in options(left) for b in options(right)]
            pairs = [(a, b) for a, b in pairs if not v.is_none(a) and not v.is_none(b)]
            return join(*(self.binary_values(operation, a, b) for a, b in pairs[:8]))
        if isinstance(left, Tensor) or isinstance(right, Tensor):
            return arithmetic(operation, left, right)
        match left, right:
            case Const(), Const():
                return _fold(operation, left.value, right.value)
            case ((Const() | Number()), (Const() | Number())):
                return _number(operation, left, right)
            case ((ListObject() | Sequence()), (ListObject() | Sequence())) if operation == "Add":
                return _concatenate(left, right)
            case ((ListObject() | Sequence()), (Const() | Number())) if operation == "Multiply":
                return _repeat(left, right)
        return UNKNOWN

    def eval_unary(self, node: cst.UnaryOperation, frame: Frame) -> Value:
        value = self.eval(node.expression, frame)
        kind = type(node.operator).__name__
        if kind == "Not":
            truth = self.truth(value)
            return Number("bool") if truth is None else Const(not truth)
        if isinstance(value, Tensor):
            return value.but(variable=False)
        if isinstance(value, Const) and isinstance(value.value, (int, float)):
            if kind == "Minus":
                return Const(-value.value)
            if kind == "BitInvert" and isinstance(value.value, int):
                return Const(~value.value)
            return value
        return Number(value.type) if isinstance(value, Number) else UNKNOWN

    def eval_boolean(self, node: cst.BooleanOperation, frame: Frame) -> Value:
        left = self.eval(node.left, frame)
        if any(True for _ in find(node.right, cst.NamedExpr)):
            right = self.eval(node.right, frame)
        else:
            values = dict(frame.values)  # the right side runs where the left one did not decide
            self.narrow(node.left, isinstance(node.operator, cst.And), frame)
            right = self.eval(node.right, frame)
            frame.values = values
        truth = self.truth(left)
        if isinstance(node.operator, cst.And):
            if truth is not None:
                return right if truth else left
        elif truth is not None:
            return left if truth else right
        if isinstance(left, Number) and isinstance(right, Const):
            if right.value is isinstance(node.operator, cst.Or):  # decides, whatever left is
                return right
        return join(left, right)

    def eval_comparison(self, node: cst.Comparison, frame: Frame) -> Value:
        left = self.eval(node.left, frame)
        result: Value = Number("bool")
        for target in node.comparisons:
            right = self.eval(target.comparator, frame)
            kind = type(target.operator).__name__
            if isinstance(left, Tensor) or isinstance(right, Tensor):
                if kind in _COMPARISONS:
                    result = arithmetic(kind, left, right)
            elif kind in ("Is", "IsNot"):
                result = _identity(kind, left, right)
            elif kind in ("In", "NotIn"):
                result = _membership(kind, left, right)
            elif kind in _COMPARISONS and isinstance(left, Const) and isinstance(right, Const):
                try:
                    result = Const(bool(_COMPARISONS[kind](left.value, right.value)))
                except TypeError:
                    result = Number("bool")
            left = right
        return result if len(node.comparisons) == 1 else _chained(result)

    def eval_attribute(self, node: cst.Attribute, frame: Frame) -> Value:
        return self.attribute(self.eval(node.value, frame), node.attr.value)

    def attribute(self, receiver: Value, name: str) -> Value:
        """`receiver.name` on values."""
        match receiver:
            case Symbol():
                return self.symbol_attribute(receiver, name)
            case Instance():
                return self.instance_attribute(receiver, name)
            case Tensor():
                return self.knowledge.array_member(receiver, name)
            case SourceModule():
                found = receiver.frame.values.get(name)
                if found is None:
                    found = self.import_module(f"{receiver.name}.{name}")
                return found if found is not None else UNKNOWN
            case Class():
                found = receiver.lookup(name)
                if isinstance(found, Function) and "classmethod" in self.decorator_names(found):
                    return Method(found, receiver)
                if found is not None:
                    return found
                for base in receiver.library_bases():
                    member = self.knowledge.member(base, name)
                    if member is not None:
                        known = self.knowledge.properties.get(member)
                        return known(receiver) if known is not None else Symbol(member)
            case Union():
                able = [o for o in receiver.options if not v.lacks(o, name)]
                able = [o for o in able if not v.is_none(o)] or able  # None has none: it raises
                return join(*(self.attribute(o, name) for o in able))
            case Sequence() if name in (fields := receiver.kind.partition(":")[2].split(",")):
                return receiver.items[fields.index(name)] if receiver.items else receiver.element
            case ListObject() | Mapping() | Sequence():
                known = self.knowledge.properties.get(f"builtins.{name}")
                return known(receiver) if known is not None else Bound(f"builtins.{name}", receiver)
            case Const(value=None):
                return v.NONE  # the program would raise: another value is meant
            case Const() | Number() if scalar_type(receiver) == "str":
                return Bound(f"builtins.str.{name}", receiver)
            case Const() | Number() if f"builtins.{name}" in self.knowledge.functions:
                return Bound(f"builtins.{name}", receiver)
            case Bound():
                qualified = f"{receiver.name}.{name}"
                if qualified in self.knowledge.properties:
                    return self.knowledge.properties[qualified](receiver.receiver)
            case v.Unknown() if name in self.knowledge.lone:
                return Bound(self.knowledge.lone[name], receiver)
        return UNKNOWN

    def symbol_attribute(self, receiver: Symbol, name: str) -> Value:
        qualified = self.knowledge.canonical(f"{receiver.name}.{name}")
        known = self.knowledge.properties.get(qualified)
        if known is not None:
            return known(receiver)
        return Symbol(qualified)

    def instance_attribute(self, receiver: Instance, name: str) -> Value:
        found = receiver.attributes.get(name)
        if found is not None:
            return found
        if isinstance(receiver.cls, Class):
            member = receiver.cls.lookup(name)
            if isinstance(member, Function):
                return self.bind_method(member, receiver)
            if member is not None:
                return member
        for base in receiver.class_names:
            qualified = self.knowledge.member(base, name)
            if qualified in self.knowledge.modes:
                mode = self.modes.get(receiver, frozenset({True}))
                return Const(next(iter(mode))) if len(mode) == 1 else Number("bool")
            if qualified is not None:
                if qualified in self.knowledge.properties:
                    return self.knowledge.properties[qualified](receiver)
                return Bound(qualified, receiver)
        if name == "next":
            return Bound("builtins.next", receiver)  # of iterators, in Python 2
        unnamed: Value = receiver.state.get("unnamed", UNKNOWN)
        return unnamed

    def bind_method(self, member: Function, receiver: Instance) -> Value:
        names = self.decorator_names(member)
        if isinstance(receiver.origin, Instance):
            receiver = receiver.origin  # what super() stands for: its own methods come first
        if "staticmethod" in names:
            return member
        if "property" in names or "cached_property" in names:
            return self.call_function(member, [receiver], {})
        if "classmethod" in names and isinstance(receiver.cls, Class):
            return Method(member, receiver.cls)
        return Method(member, receiver)

    def eval_subscript(self, node: cst.Subscript, frame: Frame) -> Value:
        container = self.eval(node.value, frame)
        index = self.eval_index(node, frame)
        return join(*(self.item(o, node, index) for o in options(container) if not v.is_none(o)))

    def eval_index(self, node: cst.Subscript, frame: Frame) -> Value:
        """Evaluate the parts of an index; a single plain index is returned."""
        found: list[Value] = []
        for element in node.slice:
            part = element.slice
            if isinstance(part, cst.Index):
                found.append(self.eval(part.value, frame))
            elif isinstance(part, cst.Slice):
                for bound in (part.lower, part.upper, part.step):
                    if bound is not None:
                        self.eval(bound, frame)
                found.append(UNKNOWN)
        if len(found) == 1:
            return found[0]
        return Sequence("tuple", tuple(found))

    def item(self, container: Value, node: cst.Subscript, index: Value) -> Value:
        """`container[index]` on values."""
        whole = isinstance(node.slice[0].slice, cst.Index)
        match container:
            case Tensor():
                shape = index_shape(container, node, self.facts)
                return container.but(shape=shape, variable=False)
            case ListObject() | Sequence():
                known = items_of(container)
                if not whole:
                    return _slice(container, node.slice[0].slice, self.facts)
                if known is not None and isinstance(index, Const) and isinstance(index.value, int):
                    if -len(known) <= index.value < len(known):
                        return known[index.value]
                return element_of(container)
            case Mapping():
                if isinstance(index, Const) and index.value in container.items:
                    return container.items[index.value]
                known_values = list(container.items.values())
                if container.element is not None or known_values:
                    return join(container.element, *known_values)
            case Const() if isinstance(container.value, str):
                return Number("str")
            case Instance():
                return self.instance_item(container, node, index)
        return UNKNOWN

    def instance_item(self, container: Instance, node: cst.Subscript, index: Value) -> Value:
        if isinstance(container.cls, Class):
            method = container.cls.lookup("__getitem__")
            if isinstance(method, Function):
                return self.call_function(method, [container, index], {})
        for base in container.class_names:
            for line in self.knowledge.bases(base):
                name = f"{line}.__getitem__"
                if name in self.knowledge.functions:
                    from transpiler.infer.knowledge import Invocation

                    whole: Any = self
                    invocation = Invocation(whole, name, node, container, [index], {})
                    return self.knowledge.functions[name](invocation)
        return UNKNOWN

    def eval_call(self, node: cst.Call, frame: Frame) -> Value:
        function = self.eval(node.func, frame)
        positional: list[Value] = []
        keywords: dict[str, Value] = {}
        for arg in node.args:
            value = self.eval(arg.value, frame)
            if self.rounds is not None and isinstance(value, Number) and value.symbol is None:
                value = _named(value, arg.value)
            if arg.star == "*":
                known = items_of(value)
                if known is None and function == Symbol("builtins.zip") and len(node.args) == 1:
                    return _columns(element_of(value))
                positional.extend(known if known is not None else [element_of(value)])
            elif arg.star == "**":
                if isinstance(value, Mapping):
                    keywords.update({k: x for k, x in value.items.items() if isinstance(k, str)})
            elif arg.keyword is not None:
                keywords[arg.keyword.value] = value
            else:
                positional.append(value)
        if function == Symbol("builtins.super"):
            return self.super_object(frame)
        if isinstance(function, Symbol) and function.name in (
            "builtins.locals",
            "builtins.globals",
        ):
            return Mapping({}, UNKNOWN)
        self.sites.append(node)
        outer, self.caller = self.caller, frame
        try:
            return self.call(function, positional, keywords, node)
        finally:
            self.caller = outer
            self.sites.pop()

    def super_object(self, frame: Frame) -> Value:
        """`super()`: the bases of the class whose method runs, bound to its first argument."""
        scope: Frame | None = frame
        owner = None
        while scope is not None and owner is None:
            owner = getattr(scope, "owner", None)
            scope = scope.parent
        receiver = next(iter(frame.values.values()), UNKNOWN)
        if not isinstance(owner, Class):
            return UNKNOWN
        proxy = Class(owner.node, owner.frame, owner.bases, {})
        instance = Instance(proxy, {}, {}, None)
        if isinstance(receiver, Instance):
            instance.origin = receiver
            instance.arguments, instance.attributes = receiver.arguments, receiver.attributes
            instance.state = receiver.state
        return instance

    def eval_ifexp(self, node: cst.IfExp, frame: Frame) -> Value:
        truth = self.truth(self.eval(node.test, frame))
        values = dict(frame.values)
        found = []
        for taken, branch in ((True, node.body), (False, node.orelse)):
            self.narrow(node.test, taken, frame)
            never = truth is not None and truth is not taken
            self.dead += never
            found.append(self.eval(branch, frame))
            self.dead -= never
            frame.values = dict(values)
        body, orelse = found
        frame.values = values
        if truth is None:
            return join(body, orelse)
        return body if truth else orelse

    def eval_lambda(self, node: cst.Lambda, frame: Frame) -> Value:
        function = Function(node, frame)
        self.functions.append((function, None))
        return function

    def eval_named(self, node: cst.NamedExpr, frame: Frame) -> Value:
        value = self.eval(node.value, frame)
        self.assign(node.target, value, frame)
        return value

    def eval_comprehension(self, node: Any, frame: Frame) -> Value:
        inner = Frame(frame)
        inner.module_name, inner.package = frame.module_name, frame.package
        known = self.eval_for_in(node.for_in, inner)
        if isinstance(node, cst.DictComp):
            self.eval(node.key, inner)
            return Mapping({}, self.eval(node.value, inner))
        items = None
        if known is not None and node.for_in.inner_for_in is None and _are_few(known):
            items = self.eval_items(node, known, inner)
        if items is not None:
            if isinstance(node, cst.GeneratorExp):
                return Sequence("generator", tuple(items))
            return ListObject(items)
        element = self.eval(node.elt, inner)
        if isinstance(node, cst.GeneratorExp):
            return Sequence("generator", None, element)
        return ListObject(None, element)

    def eval_items(self, node: Any, known: Iterable[Value], inner: Frame) -> list[Value] | None:
        """The elements of a comprehension, one by one; None where a condition is not known."""
        items = []
        for index, item in enumerate(known):
            self.assign(node.for_in.target, item, inner)
            with self.in_round(node, index):
                tests = [self.truth(self.eval(t.test, inner)) for t in node.for_in.ifs]
                if None in tests and False not in tests:
                    return None
                if all(tests):
                    items.append(self.eval(node.elt, inner))
        return items

    def eval_for_in(self, node: cst.CompFor, frame: Frame) -> tuple[Value, ...] | None:
        iterable = self.eval(node.iter, frame)
        self.assign(node.target, self.iterate(iterable, node.iter), frame)
        for test in node.ifs:
            self.eval(test.test, frame)
        if node.inner_for_in is not None:
            self.eval_for_in(node.inner_for_in, frame)
            return None
        return items_of(iterable)

    def eval_yield(self, node: cst.Yield, frame: Frame) -> Value:
        yielded = frame.yielded if self.dead == frame.dead else frame.never_yielded
        if isinstance(node.value, cst.From):
            yielded.append(element_of(self.eval(node.value.item, frame)))
        elif node.value is not None:
            yielded.append(self.eval(node.value, frame))
        return UNKNOWN

    def eval_await(self, node: cst.Await, frame: Frame) -> Value:
        return self.eval(node.expression, frame)

    def truth(self, value: Value) -> bool | None:
        """Whether a value is true, where that is known."""
        match value:
            case Const():
                return bool(value.value)
            case Instance() | Function() | Class() | Symbol():
                return True
            case ListObject() if value.items is not None and value.element is None:
                return bool(value.items)
        return None


def _membership(kind: str, left: Value, right: Value) -> Value:
    """`"conv" in name` of two texts."""
    if not isinstance(left, Const) or not isinstance(right, Const):
        return Number("bool")
    if not isinstance(left.value, str) or not isinstance(right.value, str):
        return Number("bool")
    return Const((left.value in right.value) == (kind == "In"))


def _are_few(items: tuple[Value, ...]) -> bool:
    """Whether the elements are worth a look each; layers are, up to a deep model's."""
    return len(items) <= (64 if items and isinstance(items[0], Instance) else 16)


def _named(value: Number, node: cst.BaseExpression) -> Number:
    """A number that is handed on, with the attribute that it was: `options.width`."""
    text = dotted(node) if isinstance(node, cst.Attribute) else None
    return Number(value.type, text) if text and value.type == "int" else value


def _fold(operation: str, left: Any, right: Any) -> Value:
    if operation == "Power" and (abs(right) > 64 if isinstance(right, (int, float)) else True):
        return Number("float")
    if operation in ("Multiply", "LeftShift") and not all(
        isinstance(x, (int, float)) for x in (left, right)
    ):
        return UNKNOWN
    try:
        result = _OPERATORS[operation](left, right)
    except Exception:  # the program itself would raise here
        return UNKNOWN
    return Const(result) if not isinstance(result, (str, bytes)) or len(result) < 500 else UNKNOWN


def _number(operation: str, left: Value, right: Value) -> Value:
    kinds = {scalar_type(left), scalar_type(right)}
    if "str" in kinds:
        return Number("str")
    if "None" in kinds:
        return UNKNOWN
    if operation == "Divide" or "float" in kinds:
        return Number("float")
    return Number("int")


def _concatenate(left: Value, right: Value) -> Value:
    a, b = items_of(left), items_of(right)
    if a is not None and b is not None:
        if isinstance(left, ListObject):
            return ListObject([*a, *b])
        return Sequence("tuple", (*a, *b))
    element = join(element_of(left), element_of(right))
    if isinstance(left, ListObject):
        stretches = [*v.stretches_of(left), *v.stretches_of(right)]
        return ListObject(None, element, stretches=stretches)
    return Sequence("tuple", None, element)


def _repeat(left: Value, right: Value) -> Value:
    known = items_of(left)
    if known is not None and isinstance(right, Const) and isinstance(right.value, int):
        if right.value * len(known) <= 64:
            items = known * right.value
            return (
                ListObject(list(items))
                if isinstance(left, ListObject)
                else Sequence("tuple", items)
            )
    element = element_of(left)
    return (
        ListObject(None, element)
        if isinstance(left, ListObject)
        else Sequence("tuple", None, element)
    )


def _identity(kind: str, left: Value, right: Value) -> Value:
    if v.is_none(right):
        if v.is_none(left):
            return Const(kind == "Is")
        if isinstance(left, (Tensor, Instance, Function, Class, Symbol, ListObject, Sequence)):
            return Const(kind == "IsNot")
        if isinstance(left, (Const, Number)):
            return Const(kind == "IsNot")
    return Number("bool")


def _columns(row: Value) -> Value:
    """`zip(*rows)` of rows whose number is not known: each part of a row, as often as there are."""
    parts = items_of(row)
    if parts is None:
        return Sequence("zip", None, Sequence("tuple", None, element_of(row)))
    return Sequence("zip", tuple(Sequence("tuple", None, part) for part in parts))


def _chained(result: Value) -> Value:
    return result if isinstance(result, Tensor) else Number("bool")


def _slice(container: Value, part: Any, facts: dict[cst.CSTNode, Value]) -> Value:
    known = items_of(container)
    bounds: list[Any] = []
    for node in (part.lower, part.upper, part.step):
        fact = facts.get(node) if node is not None else Const(None)
        bounds.append(fact.value if isinstance(fact, Const) else "?")
    if known is not None and "?" not in bounds:
        items = known[slice(*bounds)]
        return (
            ListObject(list(items))
            if isinstance(container, ListObject)
            else Sequence("tuple", items)
        )
    element = element_of(container)
    if isinstance(container, ListObject):
        return ListObject(None, element)
    return Sequence("tuple", None, element)


_EVALUATORS: dict[type[Any], Callable[[Any, Any, Frame], Value]] = {
    cst.Name: Expressions.eval_name,
    cst.Ellipsis: lambda self, node, frame: Const(...),
    cst.Integer: Expressions.eval_literal,
    cst.Float: Expressions.eval_literal,
    cst.Ellipsis: Expressions.eval_ellipsis,
    cst.SimpleString: Expressions.eval_literal,
    cst.ConcatenatedString: Expressions.eval_concatenated,
    cst.FormattedString: Expressions.eval_formatted,
    cst.Tuple: Expressions.eval_tuple,
    cst.List: Expressions.eval_list,
    cst.Set: Expressions.eval_list,
    cst.Dict: Expressions.eval_dict,
    cst.BinaryOperation: Expressions.eval_binary,
    cst.UnaryOperation: Expressions.eval_unary,
    cst.BooleanOperation: Expressions.eval_boolean,
    cst.Comparison: Expressions.eval_comparison,
    cst.Attribute: Expressions.eval_attribute,
    cst.Subscript: Expressions.eval_subscript,
    cst.Call: Expressions.eval_call,
    cst.IfExp: Expressions.eval_ifexp,
    cst.Lambda: Expressions.eval_lambda,
    cst.NamedExpr: Expressions.eval_named,
    cst.ListComp: Expressions.eval_comprehension,
    cst.SetComp: Expressions.eval_comprehension,
    cst.GeneratorExp: Expressions.eval_comprehension,
    cst.DictComp: Expressions.eval_comprehension,
    cst.Yield: Expressions.eval_yield,
    cst.Await: Expressions.eval_await,
}
