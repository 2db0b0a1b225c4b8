"""Gradients read by hand: `w -= lr * w.grad`, `x + eps * x.grad.sign()`, prints of `x.grad`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Function, Method, Tensor, options
from transpiler.planners.step.clipping import clip_lines
from transpiler.planners.step.events import Event, output_gradients
from transpiler.planners.step.gradients import (
    Gradient,
    gradients_in,
    is_result,
    is_variable,
    parameter_loop,
    refuse_writes,
    wants_gradient,
    whole_read,
)
from transpiler.planners.step.regions import Region, slice_of
from transpiler.rule import Unfit
from transpiler.syntax import code, find, names_read
from transpiler.template import fill, fill_statements

_ADDS = {"sub_": "assign_sub", "add_": "assign_add", "copy_": "assign"}


def rewrite_by_hand(context: Context, region: Region) -> None:
    """Tapes, gradients by name, and assignments for in-place updates. Raises Unfit."""
    clips = [e for e in region.events if e.kind == "clip"]
    gradients = gradients_in(context, region.body, {e.statement for e in clips})
    if not any(g.reads for g in gradients):
        raise Unfit(
            "backward() without an optimizer step in the same block",
            "apply the gradients where they are computed",
        )
    if clips and not all(g.loop for g in gradients if g.reads):
        raise Unfit("gradients that are clipped and then used by their names")
    for gradient in gradients:
        refuse_writes(context, gradient)
    passes = [_pass_of(context, region, gradients, event) for event in region.backwards]
    loops = _loops_around(context, region)
    for gradient in gradients:
        _find_users(context, region, gradient, passes, loops)
    _name_gradients(context, region, gradients, passes)
    for gradient in gradients:
        _plan_reads(context, region, gradient, passes)
        _plan_emptying(context, gradient, passes)
    for clip in clips:
        context.claim(clip.node)
        context.edits.replace(clip.statement, clip_lines(context, clip, cst.Name("gradients")))
    for zero in [e for e in region.events if e.kind == "zero"]:
        context.claim(zero.node)
        context.edits.replace(zero.statement, [])
    _write_tapes(context, region, passes)
    for statement in region.body:
        _plan_updates(context, statement)
    if loops:
        context.remark(
            region.backwards[0].statement, "training-step",
            "the step stays eager, which is slower than a @tf.function: "
            "it updates variables by hand",
        )  # fmt: skip


@dataclass(eq=False)
class _Pass:
    """A backward pass: the statements its loss depends on and the gradients that are read of it."""

    event: Event
    first: int
    last: int
    gradients: list[Gradient] = field(default_factory=list)
    added: set[Gradient] = field(default_factory=set)
    """Those that are summed up with what earlier passes left."""

    @property
    def is_named(self) -> bool:
        return isinstance(self.event.target, (cst.Name, cst.Attribute))


def _pass_of(context: Context, region: Region, gradients: list[Gradient], event: Event) -> _Pass:
    """The span that a tape has to record. Raises Unfit."""
    if event.target is None or event.conditional or event.loop is not None:
        raise Unfit("the statements that compute this loss were not found in its block")
    if any(a.keyword is not None and a.keyword.value == "create_graph" for a in event.node.args):
        raise Unfit("a gradient that is differentiated again")
    watched = [g for g in gradients if g.loop is None and not is_result(context, g, region.scope)]
    span = slice_of(context, region, event, {g.root for g in watched})
    if span is None:
        raise Unfit("the statements that compute this loss were not found in its block")
    first, last = span
    if not isinstance(event.target, (cst.Name, cst.Attribute)):
        last = max(last, event.index - 1)
        first = min(first, event.index)
    leaves = [i for g in watched if wants_gradient(context, g, region.scope) for i in g.bound]
    first = max([first, *(i + 1 for i in leaves if i < event.index)])
    return _Pass(event, first, last)


def _loops_around(context: Context, region: Region) -> list[Any]:
    found = []
    loop = context.edits.enclosing(region.events[0].statement, cst.For, cst.While)
    while loop is not None:
        found.append(loop)
        loop = context.edits.enclosing(loop, cst.For, cst.While)
    return found


def _find_users(
    context: Context, region: Region, gradient: Gradient, passes: list[_Pass], loops: list[Any]
) -> None:
    """Which passes a gradient sums up at the places where it is read. Raises Unfit."""
    others = [e for e in region.events if e.kind == "zero" and _empties(e, gradient)]
    gradient.empties += [(e.index, None) for e in others]
    if not wants_gradient(context, gradient, region.scope):
        return
    targets = {n for loop in loops if isinstance(loop, cst.For) for n in names_read(loop.target)}
    is_new = bool(gradient.bound) or gradient.root in targets
    if loops and gradient.reads and not is_new and not gradient.empties and not region.around:
        raise Unfit(
            "gradients are never set to zero here: torch adds them up over all steps",
            "empty them in each step, or sum the gradients explicitly",
        )
    before: _Pass | None = None
    for each in passes:
        place = each.event.index
        if not any(i >= place and not gradient.is_cleared(place, i) for i, _ in gradient.reads):
            continue
        if not _depends(context, region, each, gradient):
            continue
        each.gradients.append(gradient)
        if before is not None and not gradient.is_cleared(before.event.index, place):
            if gradient.loop is not None:
                raise Unfit("gradients of several passes are summed up in a loop over parameters")
            each.added.add(gradient)
        before = each


def _empties(event: Event, gradient: Gradient) -> bool:
    """Whether `model.zero_grad()` or `optimizer.zero_grad()` empties this gradient too."""
    if not event.name.startswith("torch.nn.Module"):
        return not gradient.bound
    return event.target is not None and gradient.root in names_read(event.target)


def _depends(context: Context, region: Region, each: _Pass, gradient: Gradient) -> bool:
    """Whether a pass reaches a tensor; functions of the program may read what is global."""
    if gradient.loop is not None or not gradient.text.isidentifier():
        return True
    parts: list[Any] = [*region.body[each.first : each.last + 1], each.event.target]
    if any(gradient.root in names_read(part) for part in parts):
        return True
    calls = [c for part in parts for c in find(part, cst.Call)]
    return any(
        isinstance(value, (Function, Method))
        for c in calls
        for value in options(context.fact(c.func))
    )


# ---- names -------------------------------------------------------------------------------------


def _name_gradients(
    context: Context, region: Region, gradients: list[Gradient], passes: list[_Pass]
) -> None:
    for gradient in gradients:
        if gradient.loop is not None:
            gradient.name = "gradients"
            continue
        gradient.name = _given_name(context, region, gradient, passes) or context.fresh(
            re.sub(r"\W+", "_", gradient.text.removeprefix("self.")) + "_grad"
        )


def _given_name(
    context: Context, region: Region, gradient: Gradient, passes: list[_Pass]
) -> str | None:
    """`data_grad` of `data_grad = data.grad.data`, which then needs no line of its own."""
    users = [p for p in passes if gradient in p.gradients]
    if len(users) != 1 or users[0].added or len(gradient.reads) != 1:
        return None
    [(index, node)] = gradient.reads
    statement = context.edits.statement(node)
    if statement is not region.body[index] or not isinstance(statement, cst.SimpleStatementLine):
        return None
    match statement.body:
        case [cst.Assign(targets=[cst.AssignTarget(target=cst.Name(name))], value=value)]:
            if value is not whole_read(context, node):
                return None
            between = region.body[users[0].event.index : index]
            if any(name in names_read(s) for s in between):
                return None
            _drop(context, node)
            return name
    return None


# ---- statements --------------------------------------------------------------------------------


def _plan_reads(context: Context, region: Region, gradient: Gradient, passes: list[_Pass]) -> None:
    """The gradient's name for `x.grad`; None where there is none yet."""
    places = [p.event.index for p in passes if gradient in p.gradients]
    looped = bool(_loops_around(context, region))
    if gradient.loop is not None:
        _plan_loops(context, gradient)
    for index, node in gradient.reads:
        if context.edits.edited(context.edits.statement(node)):
            continue
        whole = whole_read(context, node)
        last = max((p for p in places if p <= index), default=-1)
        known = last >= 0 and not any(last < i < index for i in gradient.bound)
        if not known and (looped or whole is not node):
            raise Unfit("a gradient is read before it is computed")
        for inner in find(whole, cst.Attribute):
            context.claim(inner)
        context.claim(whole)
        single = "gradient" if gradient.loop is not None else gradient.name
        context.edits.replace(whole, cst.Name(single if known else "None"))


def _plan_loops(context: Context, gradient: Gradient) -> None:
    """`for gradient, p in zip(gradients, model.trainable_variables)` for loops over parameters."""
    loops = {parameter_loop(context, node): None for _, node in gradient.reads}
    for loop in loops:
        assert loop is not None
        target: Any = loop.target
        if isinstance(target, cst.Tuple):
            name = code(target.elements[0].value)
            if name in names_read(loop.body):
                raise Unfit("names of parameters are not the same in Keras")
            target = target.elements[1].value
        context.claim(loop.iter)
        if _is_used(loop, code(target)):
            context.edits.replace(
                loop.iter, fill("zip(gradients, variables)", variables=_variables(context, loop))
            )
            pair = fill("(gradient, p)", p=target)
            context.edits.replace(loop.target, pair.with_changes(lpar=[], rpar=[]))
        else:
            context.edits.replace(loop.iter, cst.Name("gradients"))
            context.edits.replace(loop.target, cst.Name("gradient"))


def _is_used(loop: cst.For, name: str) -> bool:
    """Whether the loop needs the parameter itself, not only its gradient."""
    reads = [n for n in find(loop.body, cst.Name) if n.value == name]
    gradients = [
        n
        for n in find(loop.body, cst.Attribute)
        if n.attr.value == "grad" and code(n.value) == name
    ]
    return len(reads) > len(gradients)


def _variables(context: Context, loop: cst.For) -> cst.BaseExpression:
    if isinstance(loop.iter, cst.Call) and isinstance(loop.iter.func, cst.Attribute):
        return fill("model.trainable_variables", model=loop.iter.func.value)
    return loop.iter


def _plan_emptying(context: Context, gradient: Gradient, passes: list[_Pass]) -> None:
    """Nothing is to be emptied where a tape starts anew; a read in between finds zeros."""
    places = [p.event.index for p in passes if gradient in p.gradients]
    for index, statement in gradient.empties:
        if statement is None:
            continue
        for inner in find(statement, cst.Call, cst.Attribute):
            context.claim(inner)
        following = min((p for p in places if p > index), default=None)
        read = any(
            i > index and (following is None or i < following) and not gradient.is_cleared(index, i)
            for i, _ in gradient.reads
        )
        zeros: list[cst.BaseStatement] = []
        if read and gradient.loop is None and any(p < index for p in places):
            value = "None" if code(statement).rstrip().endswith("None") else "tf.zeros_like(g)"
            zeros = fill_statements(f"g = {value}", g=cst.Name(gradient.name))
        context.edits.replace(statement, zeros)


def _drop(context: Context, node: cst.CSTNode) -> None:
    statement = context.edits.statement(node)
    for inner in find(statement, cst.Call, cst.Attribute):
        context.claim(inner)
    context.edits.replace(statement, [])


# ---- tapes -------------------------------------------------------------------------------------


def _write_tapes(context: Context, region: Region, passes: list[_Pass]) -> None:
    """A tape for each pass; passes that share statements share one that persists."""
    groups: list[list[_Pass]] = []
    for each in sorted(passes, key=lambda p: p.first):
        if groups and each.first <= max(p.last for p in groups[-1]):
            groups[-1].append(each)
        else:
            groups.append([each])
    body: list[cst.BaseStatement] = []
    place = 0
    for group in groups:
        first = group[0].first
        last = max(p.last for p in group)
        body += region.body[place:first]
        body += _tape(context, region, group, region.body[first : last + 1])
        place = last + 1
    context.edits.replace_body(region.block, [*body, *region.body[place:]])


def _tape(
    context: Context, region: Region, group: list[_Pass], inner: list[cst.BaseStatement]
) -> list[cst.BaseStatement]:
    taped = context.notes.setdefault("taped", {})
    for statement in inner:
        taped.setdefault(statement, "tape")
    named: list[cst.BaseStatement] = []
    for each in group:
        context.claim(each.event.node)
        loss: Any = each.event.target
        if not each.is_named:
            loss = cst.Name(context.fresh("loss"))
            lines = fill_statements("name = value", name=loss, value=each.event.target)
            if each is group[-1]:
                named += lines
                lines = []
        else:
            lines = []
        lines += _gradient_lines(each, loss, output_gradients(each.event))
        context.edits.replace(each.event.statement, lines)
    watched: dict[str, Gradient] = {}
    for each in group:
        for g in each.gradients:
            if g.loop is None and not is_variable(context, g.owner):
                if g.text.isidentifier() and not is_result(context, g, region.scope):
                    watched.setdefault(g.text, g)
    watches = [
        line for g in watched.values() for line in fill_statements("tape.watch(x)", x=g.owner)
    ]
    return fill_statements(
        "with tf.GradientTape(persistent=True) as tape:\n    body" if len(group) > 1
        else "with tf.GradientTape() as tape:\n    body",
        body=[*watches, *inner, *named],
    )  # fmt: skip


def _gradient_lines(each: _Pass, loss: Any, given: Any) -> list[cst.BaseStatement]:
    """`w_grad, b_grad = tape.gradient(loss, [w, b])`, added to what was there."""
    if not each.gradients:
        return []
    found = "tape.gradient(loss, source)"
    if given is not None:
        found = "tape.gradient(loss, source, output_gradients=given)"
    names: list[Any] = [cst.Name(g.name) for g in each.gradients]
    sources: list[Any] = [_source(g) for g in each.gradients]
    if len(names) == 1:
        operator = "+=" if each.added else "="
        return fill_statements(
            f"name {operator} {found}", name=names[0], loss=loss, source=sources[0], given=given
        )
    fresh = [cst.Name(f"new_{g.name}") if g in each.added else cst.Name(g.name)
             for g in each.gradients]  # fmt: skip
    target = cst.Tuple([cst.Element(n) for n in fresh], lpar=[], rpar=[])
    lines = fill_statements(
        f"target = {found}", target=target, loss=loss, source=sources, given=given
    )
    for gradient, name in zip(each.gradients, fresh, strict=True):
        if gradient in each.added:
            lines += fill_statements("g += new", g=cst.Name(gradient.name), new=name.deep_clone())
    return lines


def _source(gradient: Gradient) -> Any:
    loop = gradient.loop
    if loop is not None and isinstance(loop.iter, cst.Call):
        assert isinstance(loop.iter.func, cst.Attribute)
        return fill("model.trainable_variables", model=loop.iter.func.value)
    return gradient.owner if loop is None else gradient.owner.deep_clone()  # that one is replaced


def _plan_updates(context: Context, statement: cst.CSTNode) -> None:
    """In-place changes of variables as assignments to them."""
    for line in find(statement, cst.SimpleStatementLine):
        if context.edits.edited(line):
            continue
        small = line.body[0]
        if isinstance(small, cst.AugAssign):
            method = {cst.SubtractAssign: "assign_sub", cst.AddAssign: "assign_add"}.get(
                type(small.operator)
            )
            variable = _variable(context, small.target)
            if method and variable is not None:
                _replace(context, line, variable, method, small.value)
        elif isinstance(small, cst.Assign) and len(small.targets) == 1:
            target = small.targets[0].target
            if isinstance(target, cst.Attribute) and target.attr.value == "data":
                variable = _variable(context, target)
                if variable is not None:
                    _replace(context, line, variable, "assign", small.value)
        elif isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
            func = small.value.func
            if isinstance(func, cst.Attribute) and func.attr.value in _ADDS and small.value.args:
                variable = _variable(context, func.value)
                if variable is not None:
                    args = small.value.args
                    value = args[0].value
                    if len(args) == 2:
                        value = fill("a * b", a=args[1].value, b=value)
                    context.claim(small.value)
                    _replace(context, line, variable, _ADDS[func.attr.value], value)


def _variable(context: Context, node: cst.BaseExpression) -> cst.BaseExpression | None:
    """The variable that `w` or `w.data` stands for."""
    if isinstance(node, cst.Attribute) and node.attr.value == "data":
        context.claim(node)
        node = node.value
    if not isinstance(node, (cst.Name, cst.Attribute)):
        return None
    if any(isinstance(o, Tensor) and o.variable for o in options(context.fact(node))):
        return node
    return None


def _replace(
    context: Context, line: cst.CSTNode, variable: Any, method: str, value: cst.BaseExpression
) -> None:
    new = fill_statements(f"variable.{method}(value)", variable=variable, value=value)
    context.edits.replace(line, new)
