"""Reads of a recurrent layer's last output: `out[:, -1]` and `h_n[-1]`, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Symbol, Value, options
from transpiler.syntax import constant, find

Reads = tuple[cst.CSTNode, cst.CSTNode, list[tuple[cst.CSTNode, cst.CSTNode]]]
"""An assignment's target, the name that is left of it, and each read with the name in it."""


def find_last_reads(context: Context, call: cst.Call) -> Reads | None:
    """Where a call's last output is all that is read of its result."""
    layers = [v for v in options(context.fact(call.func)) if isinstance(v, Instance)]
    if len(call.args) != 1 or call.args[0].star or not all(_is_forward(v) for v in layers):
        return None
    assign = context.edits.parent[call]
    if not isinstance(assign, cst.Assign) or len(assign.targets) != 1:
        return None
    target = assign.targets[0].target
    if not isinstance(target, cst.Tuple) or len(target.elements) != 2:
        return None
    outputs, states = (element.value for element in target.elements)
    if _is_unread(context, assign, states):
        return _collect(context, assign, target, outputs, _is_last_step)
    hidden = states
    if all(_name_of(layer).endswith("LSTM") for layer in layers):
        if not isinstance(states, cst.Tuple) or len(states.elements) != 2:
            return None
        hidden, cells = (element.value for element in states.elements)
        if not _is_unread(context, assign, cells):
            return None
    single = all(_count_levels(layer) == 1 for layer in layers)
    if not _is_unread(context, assign, outputs):
        return None
    return _collect(context, assign, target, hidden, _is_only_level if single else _is_top_level)


def _name_of(layer: Value) -> str:
    assert isinstance(layer, Instance)
    return layer.cls.name if isinstance(layer.cls, Symbol) else ""


def _is_forward(layer: Instance) -> bool:
    """Whether a layer runs in one direction, with a known number of levels."""
    one_way = layer.arguments.get("bidirectional", Const(False)) == Const(False)
    return one_way and _count_levels(layer) is not None


def _count_levels(layer: Value) -> int | None:
    assert isinstance(layer, Instance)
    levels = layer.arguments.get("num_layers", Const(1))
    return levels.value if isinstance(levels, Const) and isinstance(levels.value, int) else None


def _collect(
    context: Context, assign: cst.Assign, target: cst.Tuple, name: Any, is_last: Any
) -> Reads | None:
    """The reads of a name, if all are of the last output."""
    if not isinstance(name, cst.Name):
        return None
    names = _list_reads(context, assign, name.value)
    if not names:
        return None
    reads = [(_find_read(context, node, is_last), node) for node in names]
    if any(read is None for read, _ in reads):
        return None
    return target, name, [(read, node) for read, node in reads if read is not None]


def _find_read(context: Context, node: cst.Name, is_last: Any) -> cst.CSTNode | None:
    """The expression around a name that reads the last output of it."""
    parent = context.edits.parent[node]
    if isinstance(parent, cst.Subscript) and parent.value is node:
        return parent if is_last(parent) else None
    if isinstance(parent, cst.Attribute) and parent.attr.value == "squeeze":
        call = context.edits.parent[parent]
        zero = isinstance(call, cst.Call) and [_value(a.value) for a in call.args] == [0]
        return call if zero and is_last is _is_only_level else None
    return None


def _is_last_step(node: cst.Subscript) -> bool:
    """`x[:, -1]` or `x[:, -1, :]`."""
    parts = [element.slice for element in node.slice]
    if len(parts) == 3 and not _is_whole(parts.pop()):
        return False
    return len(parts) == 2 and _is_whole(parts[0]) and _index(parts[1]) == -1


def _is_top_level(node: cst.Subscript) -> bool:
    """`h[-1]`."""
    return len(node.slice) == 1 and _index(node.slice[0].slice) == -1


def _is_only_level(node: cst.Subscript) -> bool:
    """`h[-1]` or `h[0]`."""
    return len(node.slice) == 1 and _index(node.slice[0].slice) in (0, -1)


def _is_whole(part: cst.BaseSlice) -> bool:
    return isinstance(part, cst.Slice) and not (part.lower or part.upper or part.step)


def _index(part: cst.BaseSlice) -> object:
    return _value(part.value) if isinstance(part, cst.Index) else None


def _value(node: cst.BaseExpression) -> object:
    try:
        return constant(node)
    except (ValueError, SyntaxError):
        return None


# ---- who reads a name ----------------------------------------------------------------------------


def _is_unread(context: Context, assign: cst.Assign, target: cst.BaseExpression) -> bool:
    """Whether nothing that the assignment binds to names here is read after it."""
    names = list(find(target, cst.Name))
    if any(True for _ in find(target, cst.Attribute)):
        return False
    reads = [_list_reads(context, assign, name.value) for name in names]
    return all(found == [] for found in reads)


def _list_reads(context: Context, assign: cst.Assign, name: str) -> list[cst.Name] | None:
    """The reads of a name up to its next assignment; nothing where that cannot be told.

    Only assignments in a function's own block are told: what follows them runs after them.
    """
    line = context.edits.parent[assign]
    block = context.edits.parent[line]
    if not isinstance(block, cst.IndentedBlock):
        return None
    if not isinstance(context.edits.parent[block], cst.FunctionDef):
        return None
    found: list[cst.Name] = []
    index = next(i for i, statement in enumerate(block.body) if statement is line)
    for statement in block.body[index + 1 :]:
        uses = list(_list_uses(context, statement, name))
        found += [node for node, bound in uses if not bound]
        if any(bound for _, bound in uses):
            plain = isinstance(statement, cst.SimpleStatementLine)
            return found if plain else None
    return found


def _list_uses(
    context: Context, statement: cst.CSTNode, name: str
) -> Iterator[tuple[cst.Name, bool]]:
    """The uses of a name in a statement, and whether each binds it."""
    parents = context.edits.parent
    for node in find(statement, cst.Name):
        if node.value != name:
            continue
        child: cst.CSTNode = node
        parent: Any = parents[node]
        if isinstance(parent, cst.Attribute) and parent.attr is node:
            continue
        if isinstance(parent, cst.Arg) and parent.keyword is node:
            continue
        while isinstance(parent, cst.Element | cst.Tuple | cst.List | cst.StarredElement):
            child, parent = parent, parents[parent]
        looped = isinstance(parent, cst.For) and parent.target is child
        yield node, looped or isinstance(parent, cst.AssignTarget)
