"""Abstract values: what is known of an expression without running it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import libcst as cst

if TYPE_CHECKING:
    from transpiler.infer.frames import Frame

Dim = int | str | None
"""A size: known, symbolic (the source expression that names it), or unknown."""
Shape = tuple[Dim, ...] | None


class Value:
    """Base of all abstract values."""

    __slots__ = ()


class Unknown(Value):
    """Nothing is known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Const(Value):
    """A Python constant whose value is known."""

    value: Any

    def __hash__(self) -> int:
        return hash((type(self.value), repr(self.value)))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Const)
            and type(self.value) is type(other.value)
            and repr(self.value) == repr(other.value)
        )


@dataclass(frozen=True, slots=True)
class Number(Value):
    """A Python int, float, bool or str whose value is not known; `symbol` is source text for it."""

    type: str
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Tensor(Value):
    """An array. `library` is the framework's root name, or "numpy"; `variable` a trainable one."""

    shape: Shape = None
    dtype: str | None = None
    library: str = ""
    variable: bool = False

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    @property
    def placed(self) -> bool:
        """Whether it is one step of a graph, unlike any other."""
        return False

    def but(self, **changes: Any) -> Tensor:
        """The same array with other facts."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Symbol(Value):
    """Something imported from a library, by its canonical qualified name."""

    name: str


@dataclass(frozen=True, slots=True)
class Bound(Value):
    """A library's method, bound to its receiver: `torch.Tensor.view` of a tensor."""

    name: str
    receiver: Value


@dataclass(eq=False, slots=True, repr=False)
class Function(Value):
    """A function or lambda of the program."""

    node: cst.FunctionDef | cst.Lambda
    frame: Frame
    owner: Class | None = None
    decorators: tuple[Value, ...] = ()

    @property
    def name(self) -> str:
        name = getattr(self.node, "name", None)
        return name.value if name is not None else "<lambda>"

    def __repr__(self) -> str:
        return f"Function({self.name})"


@dataclass(eq=False, slots=True, repr=False)
class Class(Value):
    """A class of the program."""

    node: cst.ClassDef
    frame: Frame
    bases: tuple[Value, ...] = ()
    members: dict[str, Value] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name.value

    def lookup(self, name: str) -> Value | None:
        """A member of the class or of its bases in the program."""
        if name in self.members:
            return self.members[name]
        for base in self.bases:
            if isinstance(base, Class) and (found := base.lookup(name)) is not None:
                return found
        return None

    def fields(self) -> list[str]:
        """What the constructor of a dataclass takes, in order: the annotated names."""
        found: dict[str, None] = {}
        for base in reversed(self.bases):
            if isinstance(base, Class):
                found |= dict.fromkeys(base.fields())
        for line in self.node.body.body:
            for small in line.body if isinstance(line, cst.SimpleStatementLine) else ():
                if isinstance(small, cst.AnnAssign) and isinstance(small.target, cst.Name):
                    found[small.target.value] = None
        return list(found)

    def library_bases(self) -> Iterator[str]:
        """Canonical names of the library classes that this class derives from, nearest first."""
        for base in self.bases:
            if isinstance(base, Symbol):
                yield base.name
            elif isinstance(base, Class):
                yield from base.library_bases()

    def __repr__(self) -> str:
        return f"Class({self.name})"


@dataclass(eq=False, slots=True, repr=False)
class Instance(Value):
    """An object; `origin` is the call that made it."""

    cls: Class | Symbol
    arguments: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Value] = field(default_factory=dict)
    origin: Any = None
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Canonical library class names, nearest first."""
        if isinstance(self.cls, Symbol):
            return (self.cls.name,)
        return tuple(self.cls.library_bases())

    def __repr__(self) -> str:
        name = self.cls.name if isinstance(self.cls, (Class, Symbol)) else "?"
        return f"Instance({name})"


@dataclass(frozen=True, slots=True)
class Method(Value):
    """A method of the program, bound to its object."""

    function: Function
    receiver: Value


@dataclass(frozen=True, slots=True)
class Sequence(Value):
    """A tuple, list, generator, range ...: its items where they are known, else their join.

    A named tuple's kind lists its fields: "tuple:values,indices".
    """

    kind: str
    items: tuple[Value, ...] | None = None
    element: Value = UNKNOWN


births = itertools.count()
"""Tells what was made before a loop from what is made in each of its rounds."""


Stretch = tuple[Any, list["Value"]]
"""Elements in order; and what repeats them any number of times, or None."""


@dataclass(eq=False, slots=True)
class ListObject(Value):
    """A mutable list: items in order while they are known, and their join."""

    items: list[Value] | None = field(default_factory=list)
    element: Value | None = None
    born: int = field(default_factory=lambda: next(births))
    stretches: list[Stretch] | None = None
    """What is known of the order where the items are not: see `stretches_of`."""


@dataclass(eq=False, slots=True)
class Mapping(Value):
    """A dict: values by constant key, and the join of all values."""

    items: dict[Any, Value] = field(default_factory=dict)
    element: Value | None = None


@dataclass(frozen=True, slots=True)
class SourceModule(Value):
    """Another file of the project."""

    name: str
    frame: Frame


@dataclass(frozen=True, slots=True)
class Union(Value):
    """One of several values."""

    options: tuple[Value, ...]


NONE = Const(None)
MAX_OPTIONS = 6
MAX_OBJECTS = 2000  # a factory of models may make many


def own_copy(value: Value) -> Value:
    """A list or dict of its own, with the same in it."""
    if isinstance(value, ListObject):
        items = None if value.items is None else list(value.items)
        return ListObject(items, value.element, stretches=value.stretches)
    if isinstance(value, Mapping):
        return Mapping(dict(value.items), value.element)
    return value


def options(value: Value | None) -> tuple[Value, ...]:
    """The alternatives of a value (itself where it is no union)."""
    if value is None:
        return ()
    return value.options if isinstance(value, Union) else (value,)


def join_shapes(a: Shape, b: Shape) -> Shape:
    """What two shapes have in common."""
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple(x if x == y else None for x, y in zip(a, b, strict=False))


def _join_two(a: Value, b: Value) -> Value | None:
    """One value for both, or None where they stay alternatives."""
    if a is b or a == b:
        return a
    match a, b:
        case Tensor(), Tensor():
            if a.library != b.library:
                return None
            dtype = a.dtype if a.dtype == b.dtype else None
            return Tensor(
                join_shapes(a.shape, b.shape), dtype, a.library, a.variable and b.variable
            )
        case ((Const() | Number()), (Const() | Number())):
            kinds = {str(scalar_type(a)), str(scalar_type(b))}
            if len(kinds) == 1 and "None" not in kinds:
                return Number(kinds.pop())
            if kinds == {"int", "float"}:
                return Number("float")
            return None
        case Sequence(), Sequence() if a.kind == b.kind:
            if a.items is not None and b.items is not None and len(a.items) == len(b.items):
                return Sequence(
                    a.kind, tuple(join(x, y) for x, y in zip(a.items, b.items, strict=False))
                )
            return Sequence(a.kind, None, join(element_of(a), element_of(b)))
        case ListObject(), ListObject():
            if a.items is not None and b.items is not None and len(a.items) == len(b.items) > 0:
                return ListObject([join(x, y) for x, y in zip(a.items, b.items, strict=False)])
            held = [element_of(x) for x in (a, b) if x.items or x.element is not None]
            return ListObject(None, join(*held) if held else None)  # an empty list says nothing
        case Mapping(), Mapping() if a.items.keys() == b.items.keys():
            element = join(a.element, b.element) if a.element or b.element else None
            return Mapping({k: join(x, b.items[k]) for k, x in a.items.items()}, element)
        case Method(), Method() if a.function is b.function:
            return Method(a.function, join(a.receiver, b.receiver))
        case Bound(), Bound() if a.name == b.name:
            return Bound(a.name, join(a.receiver, b.receiver))
        case Unknown(), _:
            return UNKNOWN
        case _, Unknown():
            return UNKNOWN
    return None


def join(*values: Value | None) -> Value:
    """The least value that covers all of them."""
    found: list[Value] = []
    seen: set[int] = set()
    for value in values:
        for option in options(value):
            if isinstance(option, Instance):  # which is only ever equal to itself
                if id(option) not in seen:
                    seen.add(id(option))
                    found.append(option)
                continue
            for i, have in enumerate(found):
                merged = _join_two(have, option)
                if merged is not None:
                    found[i] = merged
                    break
            else:
                found.append(option)
    if not found:
        return UNKNOWN
    if any(isinstance(v, Unknown) for v in found):
        return UNKNOWN
    objects = all(isinstance(v, (Instance, Bound, Method, Function)) for v in found)
    if len(found) > (MAX_OBJECTS if objects else MAX_OPTIONS):
        return UNKNOWN
    return found[0] if len(found) == 1 else Union(tuple(found))


def without_sizes(value: Value) -> Value:
    """The value, of whose arrays only the number of axes is known."""
    match value:
        case Tensor() if value.shape is not None:
            return value.but(shape=(None,) * len(value.shape))
        case Sequence() if value.items is not None:
            return Sequence(value.kind, tuple(map(without_sizes, value.items)))
        case Union():
            return join(*map(without_sizes, value.options))
    return value


def scalar_type(value: Value) -> str | None:
    """The Python type's name of a constant or number."""
    if isinstance(value, Number):
        return value.type
    if isinstance(value, Const):
        return "None" if value.value is None else type(value.value).__name__
    return None


def element_of(value: Value) -> Value:
    """What iterating over a container gives."""
    match value:
        case Sequence():
            return join(*value.items) if value.items else value.element
        case ListObject():
            known = value.items or []
            return join(*known, value.element) if known or value.element else UNKNOWN
        case Mapping():
            return join(*(Const(k) for k in value.items)) if value.items else UNKNOWN
        case Tensor():
            return value.but(shape=value.shape[1:] if value.shape else None, variable=False)
        case Const() if isinstance(value.value, (str, tuple, list)):
            return join(*(Const(v) for v in value.value)) if value.value else UNKNOWN
        case Union():
            return join(*(element_of(o) for o in value.options if o != NONE))
    return UNKNOWN


def items_of(value: Value) -> tuple[Value, ...] | None:
    """The items of a container whose length is known."""
    match value:
        case Sequence():
            return value.items
        case ListObject():
            return None if value.items is None else tuple(value.items)
        case Const() if isinstance(value.value, (tuple, list)):
            return tuple(Const(v) for v in value.value)
        case Tensor() if value.shape and isinstance(value.shape[0], int) and value.shape[0] <= 64:
            return (element_of(value),) * value.shape[0]
    return None


def stretches_of(value: Value) -> list[Stretch]:
    """What stands in a list in order, as far as it is known: `[a, *many, b]`."""
    items = items_of(value)
    if items is not None:
        return [(None, list(items))]
    if isinstance(value, ListObject) and value.stretches is not None:
        return list(value.stretches)
    return [(object(), list(options(element_of(value))))]


def is_none(value: Value) -> bool:
    return isinstance(value, Const) and value.value is None


def is_empty(value: Value) -> bool:
    """Whether a container never has an element."""
    if isinstance(value, ListObject):
        return not value.items and value.element is None
    return items_of(value) == ()


def lacks(value: Value, name: str) -> bool:
    """Whether an attribute that the program reads can not be one of this value.

    A loss that begins as the number 0 is a tensor where its gradient is asked for.
    """
    kind = {"int": int, "float": float, "bool": bool}.get(scalar_type(value) or "")
    return is_none(value) or (kind is not None and not hasattr(kind, name))


def without_none(value: Value) -> Value:
    """The value where it is not None."""
    if isinstance(value, Union):
        return join(*(o for o in value.options if not is_none(o)))
    return value


def as_dim(value: Value) -> Dim:
    """A number used as a size."""
    if isinstance(value, Const) and isinstance(value.value, int):
        return int(value.value)
    return value.symbol if isinstance(value, Number) else None


def from_dim(dim: Dim) -> Value:
    """A size used as a number."""
    if isinstance(dim, int):
        return Const(dim)
    return Number("int", dim)
