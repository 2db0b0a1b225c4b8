"""Which backward passes each optimizer step sums up, read off zero_grad and the order of events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Function,
    Instance,
    ListObject,
    Sequence,
    Symbol,
    Tensor,
    options,
)
from transpiler.modules import descendants, is_module
from transpiler.planners.step.events import Event, event_of, instances, is_true
from transpiler.planners.step.kept import KeptTape, kept_tape
from transpiler.planners.step.regions import (
    Region,
    computing,
    differentiable_calls,
    differentiable_reads,
    slice_of,
)
from transpiler.planners.step.variables import parameters_of
from transpiler.rule import Unfit
from transpiler.syntax import code, find, names_read, walk


@dataclass(eq=False)
class Update:
    """One gradient computation and the steps that apply it."""

    losses: list[Event]
    steps: list[Event]
    clips: list[Event] = field(default_factory=list)
    accumulates: bool = False
    first: int = 0
    last: int = 0
    prefix: str = ""
    kept: KeptTape | None = None
    """The tape that the losses' graph begins in, where that is in other functions."""


def updates_of(context: Context, region: Region) -> list[Update]:
    """The gradient computations of a region, in the order of their first step. Raises Unfit."""
    found: dict[tuple[int, ...], Update] = {}
    if not region.steps:
        raise Unfit(
            "backward() without an optimizer step in the same block",
            "apply the gradients where they are computed",
        )
    for step in region.steps:
        losses, accumulates = _contributions(context, region, step)
        if not losses:
            raise Unfit("no backward pass reaches this optimizer step")
        key = tuple(id(e) for e in losses)
        update = found.setdefault(key, Update(losses, [], accumulates=accumulates))
        update.steps.append(step)
    for update in found.values():
        _span(context, region, update)
    _assign_clips(context, region, list(found.values()))
    return list(found.values())


def _span(context: Context, region: Region, update: Update) -> None:
    spans = []
    update.kept = _kept(context, region, update)
    for loss in update.losses:
        span = slice_of(context, region, loss)
        if update.kept is not None:
            own = computing(context, region, loss)
            span = (min(own, default=loss.index), max(own, default=-1))
        if span is None:
            raise Unfit(
                "the statements that compute this loss were not found in its block",
                "compute the loss in the block that calls backward()",
            )
        spans.append(span)
    update.first = min(s[0] for s in spans)
    update.last = max(s[1] for s in spans)


def _kept(context: Context, region: Region, update: Update) -> KeptTape | None:
    """The tape of a loss that is computed, wholly or in part, from what other functions left."""
    modules = [m for s in update.steps for m in _stepped_modules(context, s)]
    if not modules or region.scope is context.module:
        return None
    missing = any(slice_of(context, region, loss) is None for loss in update.losses)
    try:
        kept = kept_tape(context, region, modules)
    except Unfit:
        if missing:
            raise
        return None
    if kept is None:
        return None
    if not missing and not kept.left & _direct_reads(context, region, update):
        return None
    if any(u.keyword is not None and u.keyword.value == "retain_graph" and is_true(
        context.fact(u.value)) for e in update.losses for u in e.node.args):  # fmt: skip
        raise Unfit("the graph of this loss begins in another function and is needed again")
    return kept


def _direct_reads(context: Context, region: Region, update: Update) -> set[str]:
    """Names of variables and attributes that the losses' statements read, detached ones not."""
    found: set[str] = set()
    for loss in update.losses:
        nodes: list[cst.CSTNode] = [region.body[i] for i in computing(context, region, loss)]
        for node in [*nodes, loss.statement]:
            plain = differentiable_reads(context, node)
            found |= plain
            found |= {
                a.attr.value for a in find(node, cst.Attribute) if names_read(a.value) & plain
            }
    return found


def _contributions(context: Context, region: Region, step: Event) -> tuple[list[Event], bool]:
    """The backward passes that a step sums up, and whether they come from several rounds."""
    events = region.events
    place = events.index(step)
    losses: list[Event] = []
    for event in reversed(events[:place]):
        if event.kind == "zero" and covers(context, event, step):
            if not event.conditional or step.conditional:
                return losses[::-1], False
        elif event.kind == "backward" and _reaches(context, region, event, step):
            losses.append(event)
    losses.reverse()
    after = [e for e in events[place + 1 :] if e.kind == "zero" and covers(context, e, step)]
    if after:
        conditional = step.conditional and not all(loss.conditional for loss in losses)
        return losses, conditional
    if any(covers(context, zero, step) for zero in region.around):
        return losses, False
    if _zeroed_outside(context, region, step):
        return losses, True
    if len(instances(step.value)) != 1 or not in_loop(context, region):
        return losses, False
    raise Unfit(
        "gradients are never set to zero here: torch adds them up over all steps",
        "call optimizer.zero_grad() in each step, or sum the gradients explicitly",
    )


def in_loop(context: Context, region: Region) -> bool:
    """Whether a region runs again and again in its function."""
    return context.edits.enclosing(region.events[0].statement, cst.For, cst.While) is not None


def covers(context: Context, zero: Event, step: Event) -> bool:
    """Whether a zero_grad clears what a step applies."""
    if zero.name == "by hand":
        return _shares_names(context, zero, step)
    if zero.name.startswith("torch.nn.Module"):
        cleared = {id(d) for m in instances(zero.value) for d in descendants(m)}
        stepped = {id(m) for m in _stepped_modules(context, step)}
        return not stepped or bool(cleared & stepped)
    a = {id(i) for i in instances(zero.value)}
    b = {id(i) for i in instances(step.value)}
    return not a or not b or bool(a & b)


def _shares_names(context: Context, zero: Event, step: Event) -> bool:
    """Whether a loop over a list of variables meets those of an optimizer."""
    try:
        stepped = parameters_of(context, step)
    except Unfit:
        return True
    return bool(_named_in(context, zero.target) & _named_in(context, stepped))


def _named_in(context: Context, node: cst.CSTNode | None) -> set[str]:
    """The variables and models of an expression, and of the lists that it is put together from."""
    found: set[str] = set()
    pending = list(find(node, cst.Name)) if node is not None else []
    while pending:
        name = pending.pop()
        if name.value in found or isinstance(context.fact(name), (Symbol, Function)):
            continue
        found.add(name.value)
        for assign in find(context.module, cst.Assign):
            if any(code(t.target) == name.value for t in assign.targets):
                if isinstance(context.fact(name), (ListObject, Sequence)):
                    pending += find(assign.value, cst.Name)
    return found


def _stepped_modules(context: Context, step: Event) -> list[Instance]:
    """The modules whose parameters an optimizer was given."""
    try:
        expression = parameters_of(context, step)
    except Unfit:
        return []
    return _modules_in(context, expression)


def _modules_in(context: Context, expression: cst.CSTNode) -> list[Instance]:
    return [
        value
        for node in walk(expression)
        if isinstance(node, (cst.Name, cst.Attribute))
        for value in options(context.fact(node))
        if isinstance(value, Instance) and is_module(context, value)
    ]


def _reaches(context: Context, region: Region, loss: Event, step: Event) -> bool:
    """Whether a loss depends on the variables that a step updates, and is asked about them."""
    asked = next(
        (a.value for a in loss.node.args if a.keyword and a.keyword.value == "inputs"), None
    )
    if asked is not None and not _asks(context, asked, step):
        return False
    if len({tuple(id(i) for i in instances(s.value)) for s in region.steps}) < 2:
        return True
    return depends_on(context, region, loss, step)


def _asks(context: Context, inputs: cst.BaseExpression, step: Event) -> bool:
    """Whether `backward(inputs=...)` names what a step updates. Raises Unfit."""
    named: set[Any] = {id(d) for m in _modules_in(context, inputs) for d in descendants(m)}
    stepped: set[Any] = {id(m) for m in _stepped_modules(context, step)}
    if not named or not stepped:
        named = _named_in(context, inputs)
        stepped = _named_in(context, parameters_of(context, step))
    if named & stepped in (set(), stepped):
        return bool(named & stepped)
    raise Unfit("backward() is asked about some inputs only", "use torch.autograd.grad")


def depends_on(context: Context, region: Region, loss: Event, step: Event) -> bool:
    """Whether a loss may be computed with variables of a step, that of another region included."""
    stepped = {id(d) for m in _stepped_modules(context, step) for d in descendants(m)}
    if not stepped:
        return True
    span = slice_of(context, region, loss)
    if span is None:
        return True
    used: set[int] = set()
    unknown = False
    statements = [*region.body[span[0] : span[1] + 1], loss.statement]
    for statement in statements:
        for call in differentiable_calls(context, statement):
            for value in options(context.fact(call.func)):
                receiver = getattr(value, "receiver", value)
                if isinstance(receiver, Instance) and is_module(context, receiver):
                    used |= {id(d) for d in descendants(receiver)}
                elif isinstance(receiver, Tensor):
                    continue
                elif not isinstance(receiver, Instance) and hasattr(value, "node"):
                    unknown = True
    return unknown or not used or bool(used & stepped)


def own_lines(context: Context, scope: cst.CSTNode) -> list[cst.SimpleStatementLine]:
    """The statement lines of a function or the module, definitions inside left out."""
    owner = scope if isinstance(scope, cst.FunctionDef) else None
    return [
        line
        for line in find(scope, cst.SimpleStatementLine)
        if context.edits.enclosing(line, cst.FunctionDef) is owner
    ]


def _zeroed_outside(context: Context, region: Region, step: Event) -> bool:
    own = {e.statement for e in region.events}
    for statement in own_lines(context, region.scope):
        if statement in own:
            continue
        event = event_of(context, statement)
        if event is not None and event.kind == "zero" and covers(context, event, step):
            return True
    return False


def _assign_clips(context: Context, region: Region, updates: list[Update]) -> None:
    for clip in [e for e in region.events if e.kind == "clip"]:
        place = region.events.index(clip)
        for update in updates:
            steps = [s for s in update.steps if region.events.index(s) > place]
            if steps and (len(updates) == 1 or clips(context, clip, steps[0])):
                update.clips.append(clip)
                break
        else:
            raise Unfit("which optimizer's gradients this clips is not known")


def clips(context: Context, clip: Event, step: Event) -> bool:
    """Whether a clip names the modules that a step updates."""
    stepped = {id(d) for m in _stepped_modules(context, step) for d in descendants(m)}
    own = list(options(step.value))
    for node in walk(clip.target) if clip.target is not None else ():
        for value in options(context.fact(node)):
            if isinstance(value, Instance) and (id(value) in stepped or value in own):
                return True
    return False
