"""Tapes, what they are asked for, and how they lie in each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_tape.reach import Reach
from transpiler.site import Site
from transpiler.syntax import code, find

TAPE = "tf.GradientTape"
GRADIENT = f"{TAPE}.gradient"


@dataclass(eq=False)
class Gradient:
    """One `tape.gradient(target, sources)`."""

    node: cst.Call
    tape: Tape
    target: cst.BaseExpression
    sources: cst.BaseExpression
    retained: bool = False
    """Whether the graph is needed once more."""
    repeated: bool = False
    """Whether a loop inside of the tape's life asks for it again and again."""
    differentiated: bool = False
    """Whether the gradient itself is differentiated."""


@dataclass(eq=False)
class Tape:
    """One `with tf.GradientTape() as tape`."""

    block: cst.With
    item: cst.WithItem
    name: str
    function: cst.FunctionDef | None
    nested: bool = False
    """Whether it may run while another tape records."""
    gradients: list[Gradient] = field(default_factory=list)
    watches: list[cst.Call] = field(default_factory=list)


def read_tapes(context: Context, reach: Reach) -> list[Tape]:
    """The tapes of the module with everything that is asked of them."""
    tapes = [
        Tape(block, item, code(item.asname.name).strip() if item.asname else "",
             context.edits.enclosing(block, cst.FunctionDef))
        for block in find(context.module, cst.With)
        for item in block.items
        if _is_tape(context, item)
    ]  # fmt: skip
    inside = reach.within([t.block.body for t in tapes])
    for tape in tapes:
        outer = _tape_around(context, tapes, tape)
        tape.nested = outer is not None or _runs_in(context, tape.block, inside)
    for call in find(context.module, cst.Call):
        _take(context, tapes, reach, call)
    for tape in tapes:
        _mark_shared(context, tapes, tape)
        for gradient in tape.gradients:
            gradient.differentiated |= _is_read_by_its_tape(context, gradient)
    return tapes


def _is_tape(context: Context, item: cst.WithItem) -> bool:
    found = options(context.fact(item.item))
    return all(isinstance(o, Instance) and o.class_names[:1] == (TAPE,) for o in found)


def _runs_in(context: Context, node: cst.CSTNode, functions: set[Any]) -> bool:
    place: Any = node
    while place is not None:
        if place in functions:
            return True
        place = context.edits.enclosing(place, cst.FunctionDef, cst.Lambda)
    return False


def _tape_around(context: Context, tapes: list[Tape], tape: Tape) -> Tape | None:
    """Another tape in whose block this one stands."""
    blocks = {t.block: t for t in tapes}
    place: Any = tape.block
    while (place := context.edits.enclosing(place, cst.With, cst.FunctionDef)) is not None:
        if isinstance(place, cst.FunctionDef):
            return None
        if place in blocks:
            return blocks[place]
    return None


def _take(context: Context, tapes: list[Tape], reach: Reach, call: cst.Call) -> None:
    """Note a call of a tape's method with the tape it belongs to."""
    func = call.func
    if not isinstance(func, cst.Attribute):
        return
    name = qualified_name(context, func) or ""
    if not name.startswith(f"{TAPE}."):
        return
    tape = _owner(context, tapes, func)
    if tape is None:
        return
    if name == f"{TAPE}.watch":
        tape.watches.append(call)
    elif name == GRADIENT:
        site = Site(context, call, name)
        given = site.args
        if "target" not in given or "sources" not in given:
            return
        found = Gradient(call, tape, given["target"], given["sources"])
        others = [t for t in tapes if t is not tape and t.block is not tape.block]
        around = any(stands_in(context, call, t.block) for t in others)
        inside = reach.within([t.block.body for t in others])
        found.differentiated = around or _runs_in(context, call, inside)
        tape.gradients.append(found)


def _is_read_by_its_tape(context: Context, gradient: Gradient) -> bool:
    """Whether a persistent tape records a gradient of its own and differentiates it later."""
    tape, found = gradient.tape, set[str]()
    if len(tape.gradients) == 1 or not stands_in(context, gradient.node, tape.block):
        return False
    for assign in find(tape.block, cst.Assign):
        read = {n.value for n in find(assign.value, cst.Name)}
        if gradient.node in find(assign, cst.Call) or read & found:
            found |= {n.value for t in assign.targets for n in find(t.target, cst.Name)}
    others = [g for g in tape.gradients if g is not gradient]
    return any(n.value in found for g in others for n in find(g.target, cst.Name))


def stands_in(context: Context, node: cst.CSTNode, block: cst.With) -> bool:
    """Whether a node is in the body of a block, inner functions left out."""
    place: Any = node
    while place is not None and not isinstance(place, cst.FunctionDef):
        if place is block.body:
            return True
        place = context.edits.parent.get(place)
    return False


def _owner(context: Context, tapes: list[Tape], func: cst.Attribute) -> Tape | None:
    origins = {o.origin for o in options(context.fact(func.value)) if isinstance(o, Instance)}
    found = [t for t in tapes if t.item.item in origins]
    if len(found) > 1:
        place = context.edits.enclosing(func, cst.FunctionDef)
        name = code(func.value).strip()
        near = [t for t in found if t.function is place and t.name == name]
        found = [t for t in near if _comes_before(context, t, func)] or near or found
    return found[-1] if found else None


def _comes_before(context: Context, tape: Tape, node: cst.CSTNode) -> bool:
    order: dict[Any, int] = context.notes.setdefault("order of nodes", {})
    if not order:
        for index, item in enumerate(find(context.module, cst.With, cst.Call)):
            order[item] = index
    place: Any = node
    while place not in order:
        place = context.edits.parent[place]
    return order[tape.block] < order[place]


def outermost(context: Context, tapes: list[Tape], tape: Tape) -> cst.With:
    """The block of the outermost tape around a tape."""
    found: Tape = tape
    while (around := _tape_around(context, tapes, found)) is not None:
        found = around
    return found.block


def _mark_shared(context: Context, tapes: list[Tape], tape: Tape) -> None:
    """All but the last gradient of what was recorded together keep the graph."""
    block = outermost(context, tapes, tape)
    if block is not tape.block or tape.item is not tape.block.items[0]:
        if any(t.block is block and t is not tape for t in tapes):
            return
    together = [
        g for t in tapes if outermost(context, tapes, t) is block for g in t.gradients
    ]  # fmt: skip
    order = {n: i for i, n in enumerate(find(context.module, cst.Call))}
    together.sort(key=lambda g: order[g.node])
    for gradient in together[:-1]:
        gradient.retained = True
    for gradient in together:
        loop = context.edits.enclosing(
            gradient.node, cst.For, cst.While, cst.ListComp, cst.GeneratorExp, cst.FunctionDef
        )
        around = context.edits.enclosing(block, cst.For, cst.While, cst.FunctionDef)
        if loop is not around and not isinstance(loop, cst.FunctionDef):
            gradient.retained = gradient.repeated = True
