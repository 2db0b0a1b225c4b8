"""Lifting a region into a `@tf.function`: what it reads goes in, what is used later comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import always_writes, exposed_reads, reads, writes
from transpiler.infer.builtins import BUILTINS
from transpiler.infer.values import (
    Class,
    Const,
    Function,
    Instance,
    Number,
    SourceModule,
    Symbol,
    Tensor,
    options,
)
from transpiler.modules import is_module, owner_class, self_name
from transpiler.planners.step.contributions import Update
from transpiler.planners.step.events import evaluates_closures, label_of
from transpiler.planners.step.homes import own_home, rebound_beside
from transpiler.planners.step.looks import Look
from transpiler.planners.step.regions import Region
from transpiler.planners.step.several import build_beforehand
from transpiler.planners.step.tracing import called_functions, reason_not_traceable
from transpiler.syntax import code, find, names_read, walk
from transpiler.template import fill_statements

Items = list[tuple[int, cst.BaseStatement]]
Planned = dict[cst.CSTNode, list[cst.BaseStatement]]


@dataclass
class _Cut:
    """A region's statements: before, moved into the step, put off until after it, and the rest."""

    before: list[cst.BaseStatement]
    moved: list[cst.BaseStatement]
    originals: list[cst.BaseStatement]
    deferred: list[cst.BaseStatement]
    rest: list[cst.BaseStatement]


def lift(
    context: Context,
    region: Region,
    updates: list[Update],
    items: Items,
    planned: Planned,
    after: list[cst.BaseStatement],
    looks: list[Look],
) -> None:
    """Move the region into a traced function, or leave it in place with a note."""
    cut = _cut(context, region, updates, items, planned, looks)
    mark_called(context, cut.originals)
    region.home = own_home(context, region)
    settings = Settings(context, region)
    once = _runs_once(context, region)
    reason = "" if once else _reason(context, region, updates, cut, planned, settings)
    for statement, new in planned.items():
        context.edits.replace(statement, new)
    if reason is not None:
        if after:
            place = max(i for i, _ in items if i <= updates[0].losses[-1].index)
            position = max(n for n, (i, _) in enumerate(items) if i <= place) + 1
            items[position:position] = [(place, s) for s in after]
        context.edits.replace_body(region.block, [s for _, s in items])
        if not once:
            context.remark(
                region.events[0].statement,
                "training-step",
                f"the step stays eager, which is slower than a @tf.function: {reason}",
            )
        return
    context.notes.setdefault("traced", set()).update(cut.originals)
    later = {k.name for k in looks if k.statement in [*cut.deferred, *cut.rest]}
    _write(context, region, cut, planned, after, settings, later)


def _runs_once(context: Context, region: Region) -> bool:
    """A step of the program itself outside of any loop, which a trace would only delay."""
    if isinstance(region.scope, cst.FunctionDef):
        return False
    first = region.events[0].statement
    return context.edits.enclosing(first, cst.For, cst.While) is None


class Settings:
    """Objects of settings (argparse namespaces, data classes): a traced function can not take them.

    What the step reads of them is passed instead: `args.clip` becomes the parameter `clip`.
    """

    def __init__(self, context: Context, region: Region) -> None:
        self.context = context
        self.region = region
        self.passed: dict[str, cst.BaseExpression] = {}

    def is_settings(self, name: str, statements: list[cst.BaseStatement]) -> bool:
        """Whether a name holds such an object."""
        for statement in statements:
            for node in find(statement, cst.Name):
                if node.value == name:
                    for value in options(self.context.fact(node)):
                        if isinstance(value, Instance) and _is_unhashable(self.context, value):
                            return True
        return False

    def split(self, name: str, statements: list[cst.BaseStatement]) -> bool:
        """Pass the attributes that are read instead of the object; False where it is used whole."""
        edits = self.context.edits
        uses: list[cst.Attribute] = []
        for statement in statements:
            for node in find(statement, cst.Name):
                parent = edits.parent.get(node)
                if node.value != name or (
                    isinstance(parent, cst.Attribute) and parent.attr is node
                ):
                    continue
                if not isinstance(parent, cst.Attribute):
                    return False
                uses.append(parent)
        for use in uses:
            attribute = use.attr.value
            taken = attribute in self.context.names and attribute not in self.passed
            parameter = f"{name}_{attribute}" if taken and self.is_bound(attribute) else attribute
            self.passed.setdefault(parameter, use)
            self.context.claim(use)
            edits.replace(use, cst.Name(parameter))
        return True

    def is_bound(self, name: str) -> bool:
        """Whether the name means something else around the region."""
        scope = self.region.scope
        body = scope.body if isinstance(scope, cst.FunctionDef) else self.context.module
        params = scope.params.params if isinstance(scope, cst.FunctionDef) else ()
        return name in writes(body) or any(p.name.value == name for p in params)


def _is_unhashable(context: Context, value: Instance) -> bool:
    if isinstance(value.cls, Symbol):
        return value.cls.name.endswith(("Namespace", "SimpleNamespace"))
    return not is_module(context, value) and any(
        "dataclass" in code(d.decorator) for d in value.cls.node.decorators
    )


def _cut(
    context: Context,
    region: Region,
    updates: list[Update],
    items: Items,
    planned: Planned,
    looks: list[Look],
) -> _Cut:
    """Split the statements; what only logs between the tape and the last step is put off."""
    first = _with_starts(context, min(u.first for u in updates), items, planned)
    if updates[0].accumulates:
        last = max(e.index for u in updates for e in u.losses)
    else:
        last = max(e.index for e in region.events if e.kind in ("backward", "step", "clip"))
    inside = [(i, s) for i, s in items if first <= i <= last]
    fixed = {look.statement for look in looks if not look.movable}
    needed: set[str] = set()
    kept: list[int] = []
    for position in range(len(inside) - 1, -1, -1):
        _index, statement = inside[position]
        is_event = statement in planned or any(s in planned for s in walk(statement))
        is_tape = isinstance(statement, cst.With) and statement not in region.body
        if is_event or is_tape or statement in fixed or (writes(statement) & needed):
            kept.append(position)
            needed |= _reads_of(statement, planned)
    kept.reverse()
    deferred = [s for p, (_, s) in enumerate(inside) if p not in kept]
    later = [inside[p][1] for p in kept]
    if _order_matters(deferred, later):
        deferred, kept = [], list(range(len(inside)))
    moved = [inside[p][1] for p in kept]
    originals = [s for i, s in enumerate(region.body) if first <= i <= last and s not in deferred]
    return _Cut(
        [s for i, s in items if i < first],
        moved,
        originals,
        deferred,
        [s for i, s in items if i > last],
    )


def _with_starts(context: Context, first: int, items: Items, planned: Planned) -> int:
    """The step begins with the sums and lists that it fills: `loss = 0`, `outputs = []`."""
    inside = [s for i, s in items if i >= first]
    found = first
    for index, statement in reversed([(i, s) for i, s in items if i < first]):
        if statement in planned or not _is_start(context, statement):
            break
        inside.insert(0, statement)
        if writes(statement) & exposed_reads(_with_events(inside[1:], planned)):
            found = index
    return found


def _is_start(context: Context, statement: cst.BaseStatement) -> bool:
    """An assignment of a number, of an empty container or of zeros."""
    match statement:
        case cst.SimpleStatementLine(body=[cst.Assign(targets=[target], value=value)]):
            empty = isinstance(value, (cst.List, cst.Dict)) and not value.elements
            number = isinstance(value, (cst.Integer, cst.Float))
            zeros = isinstance(value, cst.Call) and _makes_zeros(context, value)
            return isinstance(target.target, cst.Name) and (empty or number or zeros)
    return False


def _makes_zeros(context: Context, call: cst.Call) -> bool:
    """Whether a call makes a first state, from nothing that changes from step to step."""
    made = context.fact(call.func)
    if not isinstance(made, Symbol) or made.name not in ("torch.zeros", "torch.zeros_like"):
        return False
    names = {n for a in call.args for n in names_read(a.value)}
    facts = [
        context.fact(n) for a in call.args for n in find(a.value, cst.Name) if n.value in names
    ]
    return all(isinstance(fact, (Const, Tensor, Symbol)) for fact in facts)


def _reads_of(statement: cst.BaseStatement, planned: Planned) -> set[str]:
    found = reads(statement)
    for node in walk(statement):
        for new in planned.get(node, ()):
            found |= reads(new)
    return found


def _order_matters(deferred: list[cst.BaseStatement], kept: list[cst.BaseStatement]) -> bool:
    """Whether running the deferred statements after the others could change what they see."""
    bound = set().union(*(writes(s) for s in deferred), set())
    return any(bound & reads(s) for s in kept)


def mark_called(context: Context, statements: list[cst.BaseStatement]) -> None:
    """Remember the functions that run inside a tape: no_grad blocks in them must cut gradients."""
    taped: set[cst.CSTNode] = context.notes.setdefault("taped functions", set())
    pending: list[cst.CSTNode] = list(statements)
    while pending:
        calls: Iterator[Any] = find(pending.pop(), cst.Call, cst.Attribute)
        for call in calls:
            for function in called_functions(context, call):
                if function not in taped:
                    taped.add(function)
                    pending.append(function.body)


def _reason(
    context: Context,
    region: Region,
    updates: list[Update],
    cut: _Cut,
    planned: Planned,
    settings: Settings,
) -> str | None:
    """Why the step can not become a graph, None where it can."""
    events = {e.statement for e in region.events}
    statements = [s for s in cut.originals if s not in events]
    reason = reason_not_traceable(context, statements)
    if reason is not None:
        return reason
    if any(evaluates_closures(context, s.node) for s in region.steps):
        return "the optimizer asks for gradients as it goes"
    if any(u.kept is not None for u in updates):
        return "other functions compute what the loss is made of"
    if any(e.loop is not None for u in updates for e in u.losses):
        return "the losses of a loop add up to one step"
    for statement in cut.originals:
        if statement not in events and any(isinstance(n, cst.BaseCompoundStatement) and any(
            e in events for e in walk(n)) for n in walk(statement)):  # fmt: skip
            if isinstance(statement, cst.If) and not _plain_test(context, statement.test):
                return "the optimizer steps under a condition that changes from batch to batch"
    for name in _parameters(context, region, cut, planned):
        if settings.is_settings(name, cut.originals):
            if not settings.split(name, cut.originals):
                return f"`{name}` can not be an argument of a traced function"
            continue
        if _is_changing_number(context, region, name):
            return f"`{name}` is a Python number that changes from step to step"
    missing = _results(context, region, cut) - _surely_bound(cut)
    if missing:
        return f"`{sorted(missing)[0]}` is only set under a condition"
    return None if region.home is not None else build_beforehand(context, region.steps)


def _surely_bound(cut: _Cut) -> set[str]:
    found: set[str] = set()
    for statement in cut.moved:
        found |= always_writes(statement)
    return found


def _plain_test(context: Context, test: cst.BaseExpression) -> bool:
    """A condition on strings and flags: few values, so few traces."""
    for node in find(test, cst.Name):
        fact = context.fact(node)
        kinds = {
            getattr(o, "type", type(getattr(o, "value", None)).__name__) for o in options(fact)
        }
        if isinstance(fact, (Const, Number)) or all(
            isinstance(o, (Const, Number)) for o in options(fact)
        ):
            if kinds <= {"str", "bool"}:
                continue
        if isinstance(fact, Symbol):
            continue
        return False
    return True


def _is_changing_number(context: Context, region: Region, name: str) -> bool:
    """A number that the loop around the region rebinds."""
    facts = [context.fact(n) for s in region.body for n in find(s, cst.Name) if n.value == name]
    numeric = any(
        isinstance(o, (Const, Number))
        and (o.type if isinstance(o, Number) else type(o.value).__name__) in ("int", "float")
        for f in facts
        for o in options(f)
    )
    if not numeric:
        return False
    loop = context.edits.enclosing(region.events[0].statement, cst.For, cst.While)
    return loop is not None and name in writes(loop)


# ---- names -----------------------------------------------------------------------------------


def _parameters(context: Context, region: Region, cut: _Cut, planned: Planned) -> list[str]:
    """Names that the moved statements need from around, models and optimizers first."""
    wanted = exposed_reads(_with_events(cut.moved, planned)) - BUILTINS
    local = _local_names(context, region)
    if region.home is not None:
        local &= rebound_beside(context, region.home)
    flags = context.notes.get("mode flag of", {})
    used = {flags[c] for s in cut.moved for c in find(s, cst.Call) if c in flags}
    wanted |= used
    local |= used
    method_self = _method_self(context, region)
    wanted = {n for n in wanted if n in local and n != method_self}
    wanted -= {n for n in wanted if _is_definition(context, region, n)}
    wanted -= {n for n in wanted if _only_places(context, cut.moved, n)}
    ordered = [n for n in _names_in_order(cut.moved, planned) if n in wanted]
    ordered += sorted(wanted - set(ordered))
    ranks = {n: _rank(context, region, n) for n in ordered}
    return sorted(ordered, key=lambda n: ranks[n])


def _only_places(context: Context, statements: list[cst.BaseStatement], name: str) -> bool:
    """Whether a name only says on which device things are: `x.to(device)`, `device=device`."""
    edits = context.edits
    uses = [n for s in statements for n in find(s, cst.Name) if n.value == name]
    for node in uses:
        arg = edits.parent.get(node)
        call = edits.parent.get(arg) if arg is not None else None
        if not isinstance(arg, cst.Arg) or not isinstance(call, cst.Call):
            return False
        if arg.keyword is node:
            continue
        moves = isinstance(call.func, cst.Attribute) and call.func.attr.value in ("to", "cuda")
        if arg.keyword is not None and arg.keyword.value != "device":
            return False
        if arg.keyword is None and not moves:
            return False
        kinds = {getattr(o, "type", None) for o in options(context.fact(node))}
        if arg.keyword is None and not kinds <= {"str", None}:
            return False
    return bool(uses)


def _is_definition(context: Context, region: Region, name: str) -> bool:
    """Whether a name of the module stands for an import, a function or a class."""
    for frame in context.interpreter.activations.get(context.module, []):
        value = frame.values.get(name)
        if value is not None and all(
            isinstance(o, (Symbol, SourceModule, Function, Class)) for o in options(value)
        ):
            return not _bound_in_functions(context, region, name)
    return False


def _bound_in_functions(context: Context, region: Region, name: str) -> bool:
    scope: Any = region.scope
    while scope is not None:
        if isinstance(scope, cst.FunctionDef):
            if name in writes(scope.body) or any(p.name.value == name for p in scope.params.params):
                return True
        scope = context.edits.parent.get(scope)
    return False


def _with_events(statements: list[cst.BaseStatement], planned: Planned) -> list[cst.BaseStatement]:
    """The statements with top-level events in their new form."""
    found: list[cst.BaseStatement] = []
    for statement in statements:
        if statement in planned:
            found.extend(planned[statement])
            continue
        found.append(statement)
        for node in walk(statement):
            found.extend(planned.get(node, ()) if node is not statement else ())
    return found


def _names_in_order(statements: list[cst.BaseStatement], planned: Planned) -> list[str]:
    found: dict[str, None] = {}
    for statement in _with_events(statements, planned):
        for node in find(statement, cst.Name):
            found.setdefault(node.value)
    return list(found)


def _rank(context: Context, region: Region, name: str) -> int:
    for statement in region.body:
        for node in find(statement, cst.Name):
            if node.value == name:
                for value in options(context.fact(node)):
                    if isinstance(value, Instance):
                        if is_module(context, value):
                            return 0
                        return 1
    return 2


def _method_self(context: Context, region: Region) -> str | None:
    scope = region.scope
    if isinstance(scope, cst.FunctionDef) and _is_method(context, scope):
        return self_name(scope)
    return None


def _is_method(context: Context, scope: cst.FunctionDef) -> bool:
    owner = owner_class(context, scope)
    return owner is not None and scope in owner.body.body and bool(scope.params.params)


def _local_names(context: Context, region: Region) -> set[str]:
    """Names to be passed: locals of functions; at module level what is rebound in loops."""
    found: set[str] = set()
    scope: Any = region.scope
    if not isinstance(scope, cst.FunctionDef):
        return _rebound_names(context)
    while scope is not None:
        if isinstance(scope, cst.FunctionDef):
            params = scope.params
            found |= {
                p.name.value
                for p in [*params.posonly_params, *params.params, *params.kwonly_params]
            }
            for star in (params.star_arg, params.star_kwarg):
                if isinstance(star, cst.Param):
                    found.add(star.name.value)
            found |= writes(scope.body)
        scope = context.edits.parent.get(scope)
    return found


def _rebound_names(context: Context) -> set[str]:
    """Module-level names that are bound in loops or more than once."""
    once: set[str] = set()
    found: set[str] = set()
    stack: list[tuple[cst.CSTNode, bool]] = [(s, False) for s in context.module.body]
    while stack:
        node, in_loop = stack.pop()
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            for statement in find(node, cst.Global):
                found |= {item.name.value for item in statement.names}
            continue
        if isinstance(node, cst.SimpleStatementLine):
            bound = writes(node)
            found |= bound if in_loop else bound & once
            once |= bound
            continue
        if isinstance(node, (cst.For, cst.While)):
            found |= writes(node)
            continue
        if isinstance(node, cst.With):
            found |= set().union(*(writes(i) for i in node.items), set()) & once
        stack.extend((c, in_loop) for c in node.children if isinstance(c, cst.CSTNode))
    return found


def _results(context: Context, region: Region, cut: _Cut) -> set[str]:
    """Names bound in the region that are read after it."""
    bound = set().union(*(writes(s) for s in cut.moved), set())
    if isinstance(region.scope, cst.FunctionDef):
        bound &= writes(region.scope.body) | bound
    live = exposed_reads(cut.deferred + cut.rest)
    current: Any = region.block
    inner: list[Any] = cut.deferred + cut.rest
    while current is not None and current is not region.scope:
        parent = context.edits.parent.get(current)
        if isinstance(parent, (cst.For, cst.While)) and parent.body is current:
            live |= exposed_reads(parent.body.body)
            if isinstance(parent, cst.While):
                live |= reads(parent.test)
        body = getattr(parent, "body", None)
        if isinstance(body, (list, tuple)) and current in body:
            position = list(body).index(current)
            rest = list(body)[position + 1 :]
            live |= exposed_reads(rest)
        current = parent
    if not isinstance(region.scope, cst.FunctionDef):
        for function in find(context.module, cst.FunctionDef):
            live |= reads(function.body) - writes(function.body)
    del inner
    return bound & live


# ---- writing ---------------------------------------------------------------------------------


def _write(
    context: Context,
    region: Region,
    cut: _Cut,
    planned: Planned,
    after: list[cst.BaseStatement],
    settings: Settings,
    later: set[str],
) -> None:
    names = _parameters(context, region, cut, planned)
    names = [n for n in names if not settings.is_settings(n, cut.originals)]
    wanted = _results(context, region, cut) | later
    if after:
        wanted |= {"gradients"} | {n for s in after for n in reads(s) if "gradients" in n}
        wanted -= {"accumulated", "add_gradients"}
    results = [n for n in _names_in_order(cut.moved, planned) if n in wanted]
    step = _step_name(context, region)
    owner = _method_self(context, region) if region.home is None else None
    function = _definition(step, [*names, *settings.passed], results, cut.moved, owner)
    call = _call(step, names, results, owner, list(settings.passed.values()))
    place = _place(context, region)
    context.edits.insert_before(place, [function])
    lines = [*cut.before, call, *after, *cut.deferred, *cut.rest]
    context.edits.replace_body(region.block, lines)


def _step_name(context: Context, region: Region) -> str:
    """`train_step`, or `g_step` and `d_step` where several stand in one block."""
    target = region.steps[0].target if region.is_part else None
    label = label_of(code(target)) if target is not None else ""
    return context.fresh(f"{label or 'train'}_step")


def _definition(
    name: str,
    names: list[str],
    results: list[str],
    body: list[cst.BaseStatement],
    owner: str | None,
) -> cst.BaseStatement:
    params = ", ".join([owner, *names] if owner else names)
    lines = list(body)
    if results:
        lines += fill_statements(f"return {', '.join(results)}")
    [function] = fill_statements(f"@tf.function\ndef {name}({params}):\n    body", body=lines)
    return function


def _call(
    name: str,
    names: list[str],
    results: list[str],
    owner: str | None,
    more: list[cst.BaseExpression],
) -> cst.BaseStatement:
    target = f"{', '.join(results)} = " if results else ""
    prefix = f"{owner}." if owner else ""
    # A copy: the original node is replaced by the parameter wherever it stands.
    values = [*map(cst.Name, names), *(m.deep_clone() for m in more)]
    [call] = fill_statements(f"{target}{prefix}{name}(*values)", values=values)
    return call


def _place(context: Context, region: Region) -> cst.CSTNode:
    """The statement before which the step is defined."""
    if region.home is not None:
        return region.home
    scope = region.scope
    if isinstance(scope, cst.FunctionDef) and _is_method(context, scope):
        return scope
    current: cst.CSTNode = region.events[0].statement
    while not isinstance(context.edits.parent[current], cst.Module):
        current = context.edits.parent[current]
    return current
