"""Facts of Python's collections: classes that `namedtuple` makes, and double-ended queues."""

from __future__ import annotations

import libcst as cst

from transpiler.infer.frames import Frame
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Class,
    Const,
    ListObject,
    Value,
    element_of,
    items_of,
)
from transpiler.rule import infers


@infers("collections.namedtuple")
def namedtuple(call: Invocation) -> Value:
    """A class whose objects keep what they are given under the names of its fields."""
    given, fields = call.arg("typename", at=0), call.arg("field_names", at=1)
    if not isinstance(given, Const) or not isinstance(given.value, str) or fields is None:
        return UNKNOWN
    if isinstance(fields, Const) and isinstance(fields.value, str):
        names = fields.value.replace(",", " ").split()
    else:
        items = items_of(fields) or ()
        names = [i.value for i in items if isinstance(i, Const) and isinstance(i.value, str)]
    node = cst.ClassDef(cst.Name(given.value), cst.IndentedBlock([]))
    members: dict[str, Value] = dict.fromkeys(names, UNKNOWN)
    return Class(node, Frame(kind="class"), (), members)


@infers("collections.deque")
def deque(call: Invocation) -> Value:
    """A list of as many items as it is given, or of an unknown number where the oldest go."""
    given = call.arg("iterable", at=0)
    items = items_of(given) if given is not None else ()
    if call.arg("maxlen", at=1) is None and items is not None:
        return ListObject(list(items))
    return ListObject(None, None if given is None else element_of(given))
