"""Layers made in a loop, each of which takes what the one before gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Value
from transpiler.syntax import code
from transpiler.template import fill

First = Callable[[], cst.BaseExpression | None]


def chained(
    context: Context,
    node: cst.CSTNode,
    made: Sequence[Instance],
    sizes: Sequence[int | str | None],
    first: First,
) -> cst.BaseExpression | None:
    """The size that comes in, as one more variable of the loop: `zip([n, *widths], widths)`."""
    loop = _loop(context, node)
    if loop is None or len(made) < 2:
        return None
    among: list[dict[str, Value]] = [m.state.get("made among", {}) for m in made]
    width = _target(loop)
    if width is None or any(
        a.get(width.value) != Const(s) for a, s in zip(among, sizes[1:], strict=False)
    ):
        return None
    known: dict[Any, cst.Name] = context.notes.setdefault("chained loops", {})
    if loop not in known:
        start = first()
        if start is None:
            return None
        kind = "features" if _is_flat(made) else "channels"
        taken = isinstance(start, cst.Name) and start.value == f"in_{kind}"
        known[loop] = cst.Name(f"{kind}_in" if taken else f"in_{kind}")
        _change(context, loop, width, known[loop], start)
    return known[loop]


def _loop(context: Context, node: cst.CSTNode) -> Any:
    """The comprehension or loop in whose rounds a call stands, if it has one variable or two."""
    comp = context.edits.enclosing(node, cst.ListComp, cst.GeneratorExp, cst.For, cst.FunctionDef)
    if isinstance(comp, cst.For):
        return comp
    if isinstance(comp, (cst.ListComp, cst.GeneratorExp)):
        plain = not comp.for_in.ifs and comp.for_in.inner_for_in is None
        return comp.for_in if plain else None
    return None


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
    context: Context, loop: Any, width: cst.Name, name: cst.Name, start: cst.BaseExpression
) -> None:
    many: Any = loop.iter if width is loop.target else loop.iter.args[0].value
    new = fill("zip([start, *many], many)", start=start, many=many)
    context.edits.replace(many, new)
    both = cst.Tuple([cst.Element(name), cst.Element(width)])
    if width is loop.target:
        both = both.with_changes(lpar=[], rpar=[])
    context.edits.replace(width, both)


def _is_flat(made: Sequence[Instance]) -> bool:
    value: Any = made[0].state.get("input")
    seen = made[0].state.get("inputs")
    value = seen[0] if value is None and seen else value
    rank = getattr(value, "rank", None)
    return rank is None or rank < 4
