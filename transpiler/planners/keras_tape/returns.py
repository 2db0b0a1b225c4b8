"""What leaves a training step: numbers without their graph, and functions that need none."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import writes
from transpiler.infer.values import Const, Number, Tensor, options
from transpiler.planners.keras_tape.constants import wrap_no_grad
from transpiler.planners.keras_tape.modes import Modes
from transpiler.planners.keras_tape.reach import Reach
from transpiler.planners.keras_tape.tapes import Tape
from transpiler.planners.keras_tape.updates import Update, scope_of
from transpiler.syntax import find, names_read
from transpiler.template import fill


def plan_returns(context: Context, tapes: list[Tape], updates: list[Update]) -> None:
    """`return loss` of a function that trains gives the loss without its graph."""
    trained = {scope_of(context, u.node) for u in updates}
    for tape in tapes:
        function = tape.function
        if function is None or tape.nested or function not in trained:
            continue
        made = set().union(*(writes(s) for s in tape.block.body.body), set())
        for assign in find(function.body, cst.Assign):  # `mean = loss / n`, after the block
            if names_read(assign.value) & made and isinstance(assign.value, cst.BinaryOperation):
                made |= writes(assign)
        for node in find(function.body, cst.Return):
            if scope_of(context, node) is function and node.value is not None:
                for part in _parts(node.value):
                    _detach(context, part, made)


def _parts(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    match node:
        case cst.Tuple() | cst.List():
            return [p for e in node.elements for p in _parts(e.value)]
        case cst.Dict():
            return [p for e in node.elements for p in _parts(e.value)]
    return [node]


def _detach(context: Context, node: cst.BaseExpression, made: set[str]) -> None:
    if isinstance(node, cst.BinaryOperation):
        if not names_read(node) & made:
            return
    elif not isinstance(node, cst.Name) or node.value not in made:
        return
    done: set[Any] = context.notes.setdefault("detached results", set())
    if node in done or context.edits.edited(node):
        return
    done.add(node)
    found = [o for o in options(context.fact(node)) if not isinstance(o, (Const, Number))]
    if found and all(isinstance(o, Tensor) and o.library == "tf" for o in found):
        context.edits.wrap(node, lambda x: fill("x.detach()", x=x))


def plan_evaluation(context: Context, tapes: list[Tape], reach: Reach, modes: Modes) -> None:
    """Functions and loops that only evaluate a model run without gradients."""
    blocks = [t.block.body for t in tapes]
    recorded = reach.within(blocks)
    run = reach.run_here()  # what other files call may run in their tapes
    for function in find(context.module, cst.FunctionDef):
        if function in recorded or function in modes.inherited or function not in run:
            continue
        if _evaluates(modes, function.body.body) and not _records(reach, tapes, function.body):
            if not _is_special(context, function):
                _decorate(context, function)
    for loop in find(context.module, cst.For, cst.While):
        around = context.edits.enclosing(loop, cst.FunctionDef, cst.For, cst.While, cst.With)
        if isinstance(around, (cst.FunctionDef, cst.With)) or not _evaluates(modes, [loop]):
            continue
        if around is None or not _evaluates(modes, [around]) or _records(reach, tapes, around):
            if not _records(reach, tapes, loop):
                wrap_no_grad(context, [loop])


def _evaluates(modes: Modes, statements: Any) -> bool:
    calls = [c for s in statements for c in modes.all_inside(s)]
    return bool(calls) and all(c.mode is False for c in calls)


TRAINING = ("fit", "fit_generator", "train_on_batch", "minimize", "apply_gradients")


def _records(reach: Reach, tapes: list[Tape], node: cst.CSTNode) -> bool:
    """Whether a piece of code runs a tape, or anything else that trains."""
    inner = {t.block for t in tapes}
    for part in [node, *(f.body for f in reach.within([node]))]:
        if any(w in inner for w in find(part, cst.With)):
            return True
        for call in find(part, cst.Call):
            if isinstance(call.func, cst.Attribute) and call.func.attr.value in TRAINING:
                return True
    return False


def _is_special(context: Context, function: cst.FunctionDef) -> bool:
    """Whether a function is called by others than the program, or gives one thing at a time."""
    if function.name.value in ("__init__", "build", "call", "__call__", "main"):
        return True
    if any(True for _ in find(function.body, cst.Yield)):
        return True
    return _is_handed_on(context, function)


def _decorate(context: Context, function: cst.FunctionDef) -> None:
    """`@torch.no_grad()` above a function."""
    if context.edits.edited(function):
        return
    new = cst.Decorator(fill("torch.no_grad()"))
    for decorator in function.decorators:
        if context.edits.edited(decorator):  # a traced function: the decorator goes
            context.edits.replace(decorator, new)
            return
    changed = function.with_changes(decorators=[new, *function.decorators])
    context.edits.replace(function, changed)


def _is_handed_on(context: Context, function: cst.FunctionDef) -> bool:
    """Whether the function is named without being called: it may run in any tape then."""
    for name in find(context.module, cst.Name):
        if name.value != function.name.value or name is function.name:
            continue
        node: Any = name
        parent: Any = context.edits.parent.get(name)
        if isinstance(parent, cst.Attribute) and parent.attr is name:
            node, parent = parent, context.edits.parent.get(parent)
        if not (isinstance(parent, cst.Call) and parent.func is node):
            return True
    return False
