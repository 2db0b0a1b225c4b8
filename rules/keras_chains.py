"""Layers made in a loop, each of which takes what the one before gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Value, items_of
from transpiler.syntax import code, find, walk
from transpiler.template import fill, fill_statements

First = Callable[[list[Instance], list[int | str | None]], cst.BaseExpression | None]


def chained(
    context: Context,
    node: cst.CSTNode,
    made: Sequence[Instance],
    sizes: Sequence[int | str | None],
    first: First,
) -> cst.BaseExpression | None:
    """The size that comes in: one more variable of the loop, or one that its rounds hand on.

    `for n_in, n in zip([n, *widths], widths)` where every round makes a layer.
    """
    loop = _loop(context, node)
    rows = _rows(made, sizes)
    if loop is None or all(len(row) < 2 for row in rows):
        return None
    name: Any = _target(loop)
    change = _change
    if not _makes_in_every_round(context, node, loop, rows) or not _all_follow(rows, name):
        name, change = _handed_on(name, rows), _hand_on
        loop = _outermost(context, loop)
    if name is None or (change is _hand_on and _last_line(context, node) is None):
        return None
    known: dict[Any, tuple[cst.Name, list[Any]]] = context.notes.setdefault("chained loops", {})
    place = loop if change is _change else _last_line(context, node)
    if (loop, place) not in known:
        start = first([_outside(row[0][0], loop) for row in rows], [row[0][1] for row in rows])
        if start is None:
            return None
        kind = "features" if _is_flat(made) else "channels"
        taken = isinstance(start, cst.Name) and start.value == f"in_{kind}"
        new = cst.Name(f"{kind}_in" if taken else f"in_{kind}")
        known[loop, place] = new, rows
        change(context, loop, name, new, start, place)
    found, before = known[loop, place]
    same = [[s for _, s in row] for row in before] == [[s for _, s in row] for row in rows]
    return found if same or change is _change else None


def _outermost(context: Context, loop: Any) -> Any:
    """The loop of a function that is around another one, if that is a statement."""
    if not isinstance(loop, cst.For):
        return None
    around = context.edits.enclosing(loop, cst.For, cst.While, cst.FunctionDef)
    while isinstance(around, (cst.For, cst.While)):
        loop, around = around, context.edits.enclosing(
            around, cst.For, cst.While, cst.FunctionDef
        )  # fmt: skip
    return loop


Row = list[tuple[Instance, int | str | None]]


def _rows(made: Sequence[Instance], sizes: Sequence[int | str | None]) -> list[Row]:
    """The layers that each run of the loop makes, in order, with their sizes."""
    rows: dict[int, Row] = {}
    for layer, size in zip(made, sizes, strict=True):
        rows.setdefault(id(layer.state.get("made in")), []).append((layer, size))
    return list(rows.values())


def _among(layer: Instance) -> dict[str, Value]:
    found: dict[str, Value] = layer.state.get("made among", {})
    return found


def _all_follow(rows: list[Row], name: cst.Name | None, factor: int = 1) -> bool:
    """Whether a variable is, in each round, the size that the next layer takes."""
    return name is not None and all(
        _times(_among(layer).get(name.value), factor) == size
        for row in rows for (layer, _), (_, size) in pairwise(row)
    )  # fmt: skip


def _times(value: Value | None, factor: int) -> int | None:
    whole = isinstance(value, Const) and type(value.value) is int
    return value.value * factor if whole else None  # type: ignore[union-attr]


def _outside(layer: Instance, loop: Any) -> Instance:
    """A layer as something that is made before the loop: its variables are not there yet."""
    targets = [loop.target] if isinstance(loop, cst.CompFor) else []
    if isinstance(loop, (cst.For, cst.While)):
        targets = [t.target for t in find(loop, cst.AssignTarget)]
        targets += [t.target for t in find(loop, cst.For)]
    bound = {n.value for t in targets for n in find(t, cst.Name)}
    among = {k: v for k, v in _among(layer).items() if k not in bound}
    state = {**layer.state, "made among": among}
    return Instance(layer.cls, layer.arguments, layer.attributes, layer.origin, state)


def _loop(context: Context, node: cst.CSTNode) -> Any:
    """The comprehension or loop in whose rounds a call stands, if it has one variable or two."""
    comp = context.edits.enclosing(node, cst.ListComp, cst.GeneratorExp, cst.For, cst.FunctionDef)
    if isinstance(comp, cst.For):
        return comp
    if isinstance(comp, (cst.ListComp, cst.GeneratorExp)):
        plain = not comp.for_in.ifs and comp.for_in.inner_for_in is None
        return comp.for_in if plain else None
    return None


def _makes_in_every_round(context: Context, node: cst.CSTNode, loop: Any, rows: list[Row]) -> bool:
    """Whether there is one layer for each element that the loop goes over."""
    if not isinstance(loop, cst.For):
        return True
    skips = any(isinstance(n, (cst.Continue, cst.Break)) for n in walk(loop.body))
    if context.edits.enclosing(node, cst.For, cst.If) is loop and not skips:
        return True
    held = items_of(context.fact(loop.iter))
    return held is not None and all(len(row) == len(held) for row in rows)


def _target(loop: Any) -> cst.Name | None:
    """The variable that takes the elements: the second one of `enumerate`."""
    target = loop.target
    if isinstance(target, cst.Name):
        return target
    numbered = isinstance(loop.iter, cst.Call) and code(loop.iter.func) == "enumerate"
    if numbered and isinstance(target, cst.Tuple) and len(target.elements) == 2:
        second = target.elements[1].value
        return second if isinstance(second, cst.Name) else None
    return None


def _change(
    context: Context, loop: Any, width: cst.Name, name: cst.Name, start: Any, place: Any
) -> None:
    many: Any = loop.iter if width is loop.target else loop.iter.args[0].value
    new = fill("zip([start, *many], many)", start=start, many=many)
    context.edits.replace(many, new)
    both = cst.Tuple([cst.Element(name), cst.Element(width)])
    if width is loop.target:
        both = both.with_changes(lpar=[], rpar=[])
    context.edits.replace(width, both)


def _handed_on(target: cst.Name | None, rows: list[Row]) -> cst.BaseExpression | None:
    """What says how many channels a round's layer gives: a variable, or a multiple of one."""
    names = [target] if target is not None else []
    names += [cst.Name(n) for n in _among(rows[0][0][0])]
    for factor in FACTORS:
        for name in names:
            if _all_follow(rows, name, factor):
                return name if factor == 1 else fill("name * factor", name=name, factor=factor)
    return None


FACTORS = (1, 4, 2)
"""By how much blocks widen what comes in: bottlenecks by four."""


def _last_line(context: Context, node: cst.CSTNode) -> Any:
    """The last statement of the block that a call stands in, behind which the next size is said."""
    block: Any = context.edits.parent[context.edits.statement(node)]
    last = block.body[-1]
    leaves = isinstance(last, cst.SimpleStatementLine) and isinstance(
        last.body[0], (cst.Return, cst.Raise, cst.Continue, cst.Break)
    )
    return None if leaves else last


def _hand_on(
    context: Context, loop: Any, width: Any, name: cst.Name, start: Any, place: Any
) -> None:
    """`n_in = n` at the end of each round that makes a layer."""
    context.edits.insert_before(loop, fill_statements("name = start", name=name, start=start))
    context.edits.insert_after(place, fill_statements("name = width", name=name, width=width))


def _is_flat(made: Sequence[Instance]) -> bool:
    value: Any = made[0].state.get("input")
    seen = made[0].state.get("inputs")
    value = seen[0] if value is None and seen else value
    rank = getattr(value, "rank", None)
    return rank is None or rank < 4
