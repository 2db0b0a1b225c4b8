"""Sizes of inputs as a program's own classes say them: numbers, names, arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
    Const,
    Instance,
    ListObject,
    Number,
    Symbol,
    Tensor,
    Union,
    Value,
    items_of,
    join,
    options,
)
from transpiler.infer.values import Sequence as Items
from transpiler.rules.keras_chains import chained
from transpiler.rules.keras_function_sizes import handed
from transpiler.rules.keras_written_sizes import is_readable
from transpiler.syntax import code, find, names_read
from transpiler.template import arguments


def input_of(value: Any) -> Tensor | None:
    """The (first) array that a layer is called on."""
    if isinstance(value, (Items, ListObject)):
        items = items_of(value)
        value = items[0] if items else None
    if isinstance(value, Union):
        arrays = [Tensor(o.shape, None, "tf") for o in value.options if isinstance(o, Tensor)]
        value = join(*arrays)
    return value if isinstance(value, Tensor) else None


def size_of(instance: Instance, axis: int = -1) -> int | str | None:
    """The size of an axis of what an instance is called on: a number, or its name."""
    seen = instance.state.get("inputs") if isinstance(instance.cls, Class) else None
    value = input_of(seen[0]) if seen else input_of(instance.state.get("input"))
    shape = value.shape if value is not None else None
    if shape is None or len(shape) < abs(axis):
        return None
    return shape[axis]


def _is(value: Value | None, size: int | str | None) -> bool:
    """Whether a value is a size."""
    if isinstance(size, str):
        return isinstance(value, Number) and value.symbol == size
    return value == Const(size)


def _written(context: Context, node: cst.CSTNode, size: int | str) -> cst.BaseExpression | None:
    """A size as such, where what it is named after is known."""
    if isinstance(size, int):
        return cst.Integer(str(size))
    found = cst.parse_expression(size)
    return found if is_readable(context, node, found) else None


def solve(
    context: Context, node: cst.CSTNode, made: Sequence[Instance], sizes: Sequence[int | str | None]
) -> cst.BaseExpression | None:
    """An expression that gives, where the instances are made, the size that each one needs."""
    if not sizes or None in sizes:
        return None
    among: list[dict[str, Value]] = [m.state.get("made among", {}) for m in made]
    same = len(set(sizes)) == 1
    name = _name(context, node, among, sizes)
    several = not same or len(made) > 1 or isinstance(sizes[0], str)
    if name is not None and (several or _is_width(context, node, name)):
        return name
    if same:
        named = _sibling(context, node, made, sizes)
        if named is not None and names_read(named):
            return named
        assert sizes[0] is not None
        whole = _written(context, node, sizes[0])
        if whole is not None:
            return whole
    return (
        _attribute(among, sizes)
        or _sibling(context, node, made, sizes)
        or _input(context, node, among, sizes)
        or chained(context, node, made, sizes, lambda one, size: _first(context, node, one, size))
        or handed(context, node, made, sizes, solve, _tell)
    )


_WIDTH = re.compile("filter|chan|unit|dim|width|feat|hidden|plane|^ch$|^n?c?out")


def _is_width(context: Context, node: cst.CSTNode, name: cst.BaseExpression) -> bool:
    """Whether a name is a function's parameter that says how many channels something has."""
    function = context.edits.enclosing(node, cst.FunctionDef)
    if function is None or not isinstance(name, cst.Name) or not _WIDTH.search(name.value):
        return False
    return any(p.name.value == name.value for p in function.params.params)


def _first(
    context: Context, node: cst.CSTNode, one: list[Instance], size: list[int | str | None]
) -> cst.BaseExpression | None:
    """What goes into the first of several layers that a loop makes, each time that it runs."""
    among: list[dict[str, Value]] = [m.state.get("made among", {}) for m in one]
    loop = context.edits.enclosing(node, cst.ListComp, cst.GeneratorExp, cst.For)
    found = _sibling(context, node, one, size)
    inner = {n.value for n in find(loop, cst.Name)} if isinstance(loop, cst.CompFor) else set()
    if found is not None and not names_read(found) & inner:
        return found
    found = _input(context, node, among, size)
    return found if found is not None else solve(context, node, one, size)


def _name(
    context: Context,
    node: cst.CSTNode,
    among: list[dict[str, Value]],
    sizes: Sequence[int | str | None],
) -> cst.BaseExpression | None:
    """A variable that had each size at the time."""
    for name in among[0] if among else ():
        if all(_is(a.get(name), s) for a, s in zip(among, sizes, strict=True)):
            return cst.Name(name) if name != "_" else _renamed(context, node)
    return None


def _renamed(context: Context, node: cst.CSTNode) -> cst.BaseExpression | None:
    """The variable of a loop that had no name as long as nothing read it."""
    loop: Any = context.edits.enclosing(node, cst.ListComp, cst.GeneratorExp, cst.For)
    target = loop.target if isinstance(loop, cst.For) else loop and loop.for_in.target
    if not isinstance(target, cst.Name) or target.value != "_":
        return None
    context.edits.replace(target, cst.Name("width"))
    return cst.Name("width")


def _owners(among: list[dict[str, Value]]) -> tuple[str, list[Instance]] | None:
    """The name of `self` and the objects in whose methods the instances are made."""
    if not among or not all(among):
        return None
    name = next(iter(among[0]))
    found = [a.get(name) for a in among]
    owners = [o for o in found if isinstance(o, Instance)]
    return (name, owners) if len(owners) == len(found) else None


def _attribute(
    among: list[dict[str, Value]], sizes: Sequence[int | str | None]
) -> cst.BaseExpression | None:
    """`self.units`, where the object's attribute is the size."""
    held = _owners(among)
    if held is None:
        return None
    name, owners = held
    for attribute in owners[0].attributes:
        if all(_is(o.attributes.get(attribute), s) for o, s in zip(owners, sizes, strict=True)):
            return cst.Attribute(cst.Name(name), cst.Name(attribute))
    return None


def _sibling(
    context: Context, node: cst.CSTNode, made: Sequence[Instance], sizes: Sequence[int | str | None]
) -> cst.BaseExpression | None:
    """The argument of another layer of the same function that is the size: `units // 2`."""
    function = context.edits.enclosing(node, cst.FunctionDef)
    held = _owners([m.state.get("made among", {}) for m in made])
    if function is None or held is None:
        return None
    by_call: dict[Any, dict[int, Instance]] = {}
    for instance in context.interpreter.instances.values():
        other = _owners([instance.state.get("made among", {})])
        if other is not None and instance.origin is not None:
            by_call.setdefault(instance.origin, {})[id(other[1][0])] = instance
    before: cst.BaseExpression | None = None
    after: cst.BaseExpression | None = None
    passed = False
    for call_ in find(function.body, cst.Call):
        passed = passed or call_ is node
        found = None if call_ is node else _width(context, function, call_, by_call, held, sizes)
        if found is not None and not passed:
            before = found
        elif found is not None and after is None:
            after = found
    return before if before is not None else after


PURE = {"int", "max", "min", "round", "sum", "len", "abs"}
WIDTHS = {"units": 0, "filters": 0, "output_dim": 1}
"""The arguments by which layers say how many channels they give, and their places."""


def _width(
    context: Context,
    function: cst.FunctionDef,
    call_: cst.Call,
    by_call: dict[Any, dict[int, Instance]],
    held: tuple[str, list[Instance]],
    sizes: Sequence[int | str | None],
) -> cst.BaseExpression | None:
    """A layer's own width, where it is the size and the constructor's arguments say it."""
    instances = by_call.get(call_)
    if instances is None or context.edits.enclosing(call_, cst.FunctionDef) is not function:
        return None
    params = {p.name.value for p in [*function.params.params, *function.params.kwonly_params]}
    for name, place in WIDTHS.items():
        values = [instances[id(o)].arguments.get(name) if id(o) in instances else None
                  for o in held[1]]  # fmt: skip
        if all(_is(v, s) for v, s in zip(values, sizes, strict=True)):
            node = _argument_node(call_, name, place)
            if node is None or any(
                isinstance(o, Instance) and isinstance(o.cls, Symbol)
                for a in find(node, cst.Attribute) for o in options(context.fact(a.value))
            ):  # fmt: skip
                continue  # what is asked of a layer has another name here
            if names_read(node) <= _readable(function, params) | PURE:
                return node.deep_clone()
    return None


def _readable(function: cst.FunctionDef, params: set[str]) -> set[str]:
    """The names that mean the same all over a function: set once, before its layers."""
    found = params - bound_names(function)
    for line in function.body.body:
        small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
        if isinstance(small, cst.Assign) and isinstance(small.targets[0].target, cst.Name):
            name = small.targets[0].target.value
            once = sum(n.value == name for t in find(function.body, cst.AssignTarget)
                       for n in find(t.target, cst.Name)) == 1  # fmt: skip
            if once and not any(find(small.value, cst.Call)):
                found.add(name)
    return found


def bound_names(function: cst.FunctionDef) -> set[str]:
    """The names that a function assigns to."""
    targets = [t.target for t in find(function.body, cst.AssignTarget)]
    targets += [t.target for t in find(function.body, cst.CompFor)]
    return {t.value for t in targets if isinstance(t, cst.Name)}


def _argument_node(node: Any, name: str, place: int) -> cst.BaseExpression | None:
    for arg in node.args:
        if arg.keyword is not None and arg.keyword.value == name:
            found: cst.BaseExpression = arg.value
            return found
    plain = [a for a in node.args if a.keyword is None and not a.star]
    return plain[place].value if len(plain) > place else None


def _input(
    context: Context,
    node: cst.CSTNode,
    among: list[dict[str, Value]],
    sizes: Sequence[int | str | None],
) -> cst.BaseExpression | None:
    """The size of the object's own input, which its constructor is given."""
    held = _owners(among)
    if held is None:
        return None
    _, owners = held
    if any(size_of(o) != s for o, s in zip(owners, sizes, strict=True)):
        return None
    cls = owners[0].cls
    if not isinstance(cls, Class) or any(o.cls is not cls for o in owners):
        return None
    function = context.edits.enclosing(node, cst.FunctionDef)
    if function is None or function.name.value not in ("__init__", "build"):
        return None
    return input_size(context, cls)


def input_size(context: Context, cls: Class) -> cst.BaseExpression | None:
    """Give a class's constructor the size of its input; the name that it has there."""
    asked: dict[Class, str | None] = context.notes.setdefault("input sizes", {})
    if cls not in asked:
        asked[cls] = None  # a class that makes itself has no size that can be said
        asked[cls] = _ask(context, cls)
    found = asked[cls]
    return cst.Name(found) if found is not None else None


def _ask(context: Context, cls: Class) -> str | None:
    if any(isinstance(b, Class) for b in cls.bases) or _is_base(context, cls):
        return None
    params = _constructor(cls)
    calls = [c for c in find(context.module, cst.Call) if context.fact(c.func) is cls]
    really = [i for i in context.interpreter.instances.values() if not i.state.get("never made")]
    made = {c: [i for i in really if i.origin is c and i.cls is cls] for c in calls}
    every = [i for found in made.values() for i in found]
    if params is None or not every or any(not found for found in made.values()):
        return None
    ranks = {v.rank for i in every if (v := input_of((i.state.get("inputs") or [None])[0]))}
    name = "in_channels" if max((r or 0 for r in ranks), default=0) > 3 else "in_features"
    new: dict[Any, cst.BaseExpression] = {}
    for call_, found in made.items():
        size = solve(context, call_, found, [size_of(i) for i in found])
        if size is None:
            return None
        new[call_] = size
    _write_sizes(context, params, new, name)
    return name


def _write_sizes(
    context: Context,
    params: cst.Parameters,
    new: dict[Any, cst.BaseExpression],
    name: str,
    method: bool = True,
) -> None:
    for call_, size in new.items():
        context.edits.wrap(call_, with_first(size), inner=True)
    context.edits.wrap(params, with_parameter(name, method))


def _tell(
    context: Context, function: cst.FunctionDef, new: dict[Any, cst.BaseExpression], name: str
) -> None:
    """Give a function its parameter, which comes first but for `self`."""
    around = context.edits.enclosing(function, cst.FunctionDef, cst.ClassDef)
    static = any(code(d.decorator) == "staticmethod" for d in function.decorators)
    method = isinstance(around, cst.ClassDef) and not static
    _write_sizes(context, function.params, new, name, method)


def _is_base(context: Context, cls: Class) -> bool:
    for node in find(context.module, cst.ClassDef):
        value = context.fact(node)
        if isinstance(value, Class) and cls in value.bases:
            return True
    return False


def _constructor(cls: Class) -> cst.Parameters | None:
    """The parameters of what becomes the constructor."""
    for name in ("__init__", "build"):
        for statement in cls.node.body.body:
            if isinstance(statement, cst.FunctionDef) and statement.name.value == name:
                return statement.params
    return None


def with_first(size: cst.BaseExpression) -> Callable[[Any], Any]:
    def change(node: Any) -> Any:
        if not isinstance(node, cst.Call):
            return node
        return node.with_changes(args=[*arguments([size]), *node.args])

    return change


def with_parameter(name: str, method: bool = True) -> Callable[[Any], Any]:
    def change(node: Any) -> Any:
        if not isinstance(node, cst.Parameters):
            return node
        held = list(node.params)
        first, rest = (held[:1], held[1:]) if method else ([], held)
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        more = rest or node.kwonly_params or node.star_kwarg
        own = cst.Param(cst.Name(name), comma=comma if more else cst.MaybeSentinel.DEFAULT)
        return node.with_changes(params=[*(p.with_changes(comma=comma) for p in first), own, *rest])

    return change
