"""Sizes of inputs that functions which make layers are handed: one more parameter, first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.frames import Frame
from transpiler.infer.values import Function, Instance, Method, Value, options
from transpiler.syntax import find

Size = int | str | None
Solve = Callable[
    [Context, cst.CSTNode, Sequence[Instance], Sequence[Size]], cst.BaseExpression | None
]
Write = Callable[[Any, cst.FunctionDef, dict[cst.Call, cst.BaseExpression], str], None]


def activation(layer: Instance, function: cst.FunctionDef | None) -> Frame | None:
    """The run of a function in which a layer was made."""
    frame = layer.state.get("made in")
    while isinstance(frame, Frame) and frame.function is not function:
        frame = frame.parent
    return frame if isinstance(frame, Frame) else None


def handed(
    context: Context, node: cst.CSTNode, made: Sequence[Instance], sizes: Sequence[Size],
    solve: Solve, write: Write,
) -> cst.BaseExpression | None:  # fmt: skip
    """The parameter by which a function is told a size, where every call of it can say one."""
    function: Any = context.edits.enclosing(node, cst.FunctionDef, cst.Lambda)
    if not isinstance(function, cst.FunctionDef) or function.name.value.startswith("__"):
        return None
    frames = [activation(m, function) for m in made]
    told: dict[Frame, Size] = {}
    for frame, size in zip(frames, sizes, strict=True):
        if frame is None or told.setdefault(frame, size) != size:
            return None
    asked: dict[Any, list[tuple[dict[Frame, Size], str | None]]]
    asked = context.notes.setdefault("sizes of functions", {})
    before = asked.setdefault(function, [])
    for known, name in before:
        if all(known.get(frame, size) == size for frame, size in told.items()):
            return cst.Name(name) if name is not None else None
    if before:
        return None  # one size is what a function can be told
    before.append((told, None))
    name = _name(function, made)
    new = _at_calls(context, function, told, made[0], solve)
    if new is None or name is None:
        return None
    write(context, function, new, name)
    before[:] = [(told, name)]
    return cst.Name(name)


def _name(function: cst.FunctionDef, made: Sequence[Instance]) -> str | None:
    """`in_channels` or `in_features`, if the function has no other use for it."""
    ranks = [getattr(m.state.get("input"), "rank", None) or 0 for m in made]
    for layer in made:
        seen = layer.state.get("inputs") or [None]
        ranks.append(getattr(seen[0], "rank", None) or 0)
    name = "in_channels" if max(ranks) > 3 else "in_features"
    return None if any(n.value == name for n in find(function, cst.Name)) else name


def _at_calls(
    context: Context, function: cst.FunctionDef, told: dict[Frame, Size], layer: Instance,
    solve: Solve,
) -> dict[cst.Call, cst.BaseExpression] | None:  # fmt: skip
    """What each call of a function hands it; None where a call is not known."""
    by_call: dict[Any, list[Frame]] = {}
    for frame in told:
        by_call.setdefault(frame.site, []).append(frame)
    if set(by_call) != set(calls_of(context, function)):
        return None
    found = {}
    for call, frames in by_call.items():
        made = [_as_made(call, frame, layer) for frame in frames]
        size = solve(context, call, made, [told[f] for f in frames])
        if size is None:
            return None
        found[call] = size
    return found


def _as_made(call: cst.Call, frame: Frame, layer: Instance) -> Instance:
    """A call of a function, as something that is made there."""
    state = {"made among": frame.among, "made in": frame.caller, "input": layer.state.get("input"),
             "inputs": layer.state.get("inputs")}  # fmt: skip
    return Instance(layer.cls, {}, {}, call, state)


def calls_of(context: Context, function: cst.FunctionDef) -> list[Any]:
    """The calls of a function, and None where it is used in another way."""
    found: list[Any] = []
    for item in find(context.module, cst.Name, cst.Attribute):
        node: Any = item
        name = node.attr.value if isinstance(node, cst.Attribute) else node.value
        parent = context.edits.parent.get(node)
        owned = isinstance(parent, cst.Attribute) and parent.attr is node
        if name != function.name.value or node is function.name or owned:
            continue
        if _means(context.fact(node), function):
            called = isinstance(parent, cst.Call) and parent.func is node
            found.append(parent if called else None)
    return found


def _means(value: Value, function: cst.FunctionDef) -> bool:
    held = [o.function if isinstance(o, Method) else o for o in options(value)]
    return any(isinstance(o, Function) and o.node is function for o in held)
