"""Regions: the block where losses are computed, go backward and the optimizers step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import always_writes, reads, writes
from transpiler.infer.values import Function, Instance, Method, Symbol, Tensor, Unknown, options
from transpiler.modules import is_loss, is_module
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.events import Event, event_of
from transpiler.syntax import find, names_read, walk

_LOOPS = (cst.For, cst.While)
_CUTS = frozenset({"torch.Tensor.detach", "torch.Tensor.item", "torch.Tensor.data",
                   "torch.Tensor.numpy", "torch.Tensor.tolist", "torch.tensor",
                   "torch.from_numpy", "torch.autograd.Variable",
                   *(f"torch.{kind}Tensor" for kind in (
                       "", "Float", "Double", "Half", "Long", "Int", "Short", "Byte",
                       "Bool"))})  # fmt: skip
"""What gradients do not pass: values read, and tensors made of data."""


@dataclass(eq=False)
class Region:
    """A run of one block's statements with the events among them."""

    body: list[cst.BaseStatement]
    block: cst.CSTNode
    scope: cst.CSTNode
    events: list[Event]
    around: list[Event] = field(default_factory=list)
    """Events of the blocks around that belong to the same round: zero_grad before a `with`."""
    is_part: bool = False
    """Whether it is one of several updates that run under conditions of their own."""
    home: cst.CSTNode | None = None
    """The statement of the same function before which its step is defined, where it is nested."""

    @property
    def backwards(self) -> list[Event]:
        return [e for e in self.events if e.kind == "backward"]

    @property
    def steps(self) -> list[Event]:
        return [e for e in self.events if e.kind == "step"]


def find_regions(
    context: Context, body: list[cst.BaseStatement], scope: cst.CSTNode
) -> Iterator[Region]:
    """The regions of a function's body or of the module, innermost blocks first."""
    block = scope.body if isinstance(scope, cst.FunctionDef) else scope
    yield from _search(context, body, block, scope, [])


def _search(
    context: Context,
    body: list[cst.BaseStatement],
    block: cst.CSTNode,
    scope: cst.CSTNode,
    around: list[Event],
) -> Iterator[Region]:
    events: list[Event] = []
    holders: set[int] = set()
    for index, statement in enumerate(body):
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            continue
        if isinstance(statement, _LOOPS) and event_of(context, statement) is None:
            summed = _summed_up(context, statement, body[index + 1 :])
            for event in summed:
                event.index, event.conditional, event.loop = index, True, statement
            if summed:
                holders.add(index)
                events.extend(summed)
                continue
            inner = list(statement.body.body)
            yield from _search(context, inner, statement.body, scope, [])  # type: ignore[arg-type]
            continue
        found = list(_events_in(context, statement))
        for event in found:
            event.index = index
            event.conditional = event.statement is not statement
        if found:
            holders.add(index)
            events.extend(found)
        elif not isinstance(statement, cst.SimpleStatementLine):
            yield from _inner(context, statement, scope, [])
    backwards = [e for e in events if e.kind == "backward"]
    if not backwards:
        if any(e.kind == "step" for e in events):
            for index in sorted(holders):
                if not isinstance(body[index], cst.SimpleStatementLine):
                    yield from _inner(context, body[index], scope, [])
        return
    index = backwards[0].index
    if len({e.index for e in backwards}) == 1 and not isinstance(
        body[index], (cst.SimpleStatementLine, *_LOOPS)
    ):
        if _computed_inside(body[index], backwards):
            zeros = [e for e in events if e.kind == "zero" and e.index != index]
            yield from _inner(context, body[index], scope, [*around, *zeros])
            return
    yield Region(body, block, scope, events, around)


def _summed_up(context: Context, loop: cst.CSTNode, rest: list[cst.BaseStatement]) -> list[Event]:
    """The backward passes of a loop whose gradients a step after it sums up."""
    found = [e for line in walk(loop) if (e := event_of(context, line)) is not None]
    if not found or any(e.kind != "backward" for e in found):
        return []
    steps = any(e.kind == "step" for s in rest for e in _events_in(context, s))
    return found if steps else []


def _inner(
    context: Context, statement: cst.CSTNode, scope: cst.CSTNode, around: list[Event]
) -> Iterator[Region]:
    """Regions inside the blocks of a compound statement."""
    for part in blocks_of(statement):
        yield from _search(context, list(part.body), part, scope, around)


def regions_inside(context: Context, region: Region, index: int) -> Iterator[Region]:
    """The regions inside a compound statement of a region."""
    zeros = [e for e in region.events if e.kind == "zero" and not e.conditional]
    yield from _inner(context, region.body[index], region.scope, [*region.around, *zeros])


def blocks_of(statement: cst.CSTNode) -> Iterator[cst.IndentedBlock]:
    match statement:
        case cst.If():
            if isinstance(statement.body, cst.IndentedBlock):
                yield statement.body
            if statement.orelse is not None:
                yield from blocks_of(statement.orelse)
        case cst.Try():
            for part in [statement, *statement.handlers, statement.orelse, statement.finalbody]:
                if part is not None and isinstance(part.body, cst.IndentedBlock):
                    yield part.body
        case cst.With() | cst.Else() | cst.For() | cst.While():
            if isinstance(statement.body, cst.IndentedBlock):
                yield statement.body


def _events_in(context: Context, statement: cst.CSTNode) -> Iterator[Event]:
    """Events at or under a statement, loops and definitions left out."""
    event = event_of(context, statement)
    if event is not None:
        yield event
        return
    if isinstance(statement, _LOOPS):
        return
    for block in blocks_of(statement):
        for inner in block.body:
            if not isinstance(inner, (cst.FunctionDef, cst.ClassDef)):
                yield from _events_in(context, inner)


def _computed_inside(statement: cst.CSTNode, backwards: list[Event]) -> bool:
    """Whether the losses are bound in the very block that holds their backward()."""
    for event in backwards:
        if event.target is None:
            return False
        names = names_read(event.target)
        inside = any(
            names & writes(s) and event.statement is not s
            for block in _all_blocks(statement)
            for s in block.body
            if isinstance(s, cst.SimpleStatementLine)
        )
        if not inside and not list(find(event.target, cst.Call)):
            return False
    return True


def _all_blocks(statement: cst.CSTNode) -> Iterator[cst.IndentedBlock]:
    for node in walk(statement):
        if isinstance(node, cst.IndentedBlock):
            yield node


# ---- slices ----------------------------------------------------------------------------------


def slice_of(
    context: Context,
    region: Region,
    event: Event,
    leaves: set[str] = frozenset(),  # type: ignore[assignment]
) -> tuple[int, int] | None:
    """First and last statement that a loss's gradient passes through; None where there is none.

    Gradients are asked for of trained variables, and of what the names in `leaves` stand for.
    """
    needed = differentiable_reads(context, event.target) if event.target is not None else set()
    touched: list[int] = []
    sliced: list[int] = []
    if event.loop is not None:
        sliced.append(event.index)
        needed = differentiable_reads(context, event.loop)
        if _touches(context, event.loop, leaves):
            touched.append(event.index)
    elif event.target is not None and _touches(context, event.target, leaves):
        touched.append(event.index)
    for index in range(event.index - 1, -1, -1):
        statement = region.body[index]
        if event_of(context, statement) is not None:
            continue
        bound = _bound_by(context, statement)
        if not (bound & needed):
            continue
        needed -= always_writes(statement)  # earlier values of these names play no part
        if not cuts_gradients(context, statement):
            sliced.append(index)
            if _touches(context, statement, leaves):
                touched.append(index)
            needed |= differentiable_reads(context, statement)
    if not touched:
        return None
    return min(touched), max(sliced, default=min(touched))


def computing(context: Context, region: Region, event: Event) -> list[int]:
    """The statements of the block that a loss is computed by, whatever they compute with."""
    needed = differentiable_reads(context, event.loop or event.target or event.statement)
    found = [event.index] if event.loop is not None else []
    for index in range(event.index - 1, -1, -1):
        statement = region.body[index]
        if event_of(context, statement) is not None or not _bound_by(context, statement) & needed:
            continue
        needed -= always_writes(statement)
        if not cuts_gradients(context, statement):
            found.append(index)
            needed |= differentiable_reads(context, statement)
    return found


def entering(
    context: Context, before: list[cst.BaseStatement], region: Region, event: Event
) -> bool:
    """Whether the gradient of a region's loss passes through statements before the region."""
    needed = differentiable_reads(context, event.target) if event.target is not None else set()
    for statement in reversed([*before, *region.body[: event.index]]):
        if event_of(context, statement) is not None or not _bound_by(context, statement) & needed:
            continue
        needed -= always_writes(statement)
        passing = differentiable_reads(context, statement)
        if cuts_gradients(context, statement) or not passing:
            continue
        if statement in before and touches_parameters(context, statement):
            return True
        needed |= passing
    return False


def _touches(context: Context, node: cst.CSTNode, leaves: set[str]) -> bool:
    return touches_parameters(context, node) or bool(leaves and leaves & names_read(node))


def _bound_by(context: Context, statement: cst.CSTNode) -> set[str]:
    """Names whose value a statement changes: bound, or changed by a method or an item."""
    found = writes(statement)
    for call in find(statement, cst.Call):
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in ("append", "extend"):
            found |= names_read(call.func.value)
    for target in find(statement, cst.AssignTarget):
        if isinstance(target.target, (cst.Subscript, cst.Attribute)):
            found |= names_read(target.target)
    return found


def cuts_gradients(context: Context, statement: cst.CSTNode) -> bool:
    """Whether the statement is a `with torch.no_grad():` block."""
    return isinstance(statement, cst.With) and any(
        qualified_name(context, item.item.func) in ("torch.no_grad", "torch.inference_mode")
        for item in statement.items
        if isinstance(item.item, cst.Call)
    )


def differentiable_reads(context: Context, node: cst.CSTNode) -> set[str]:
    """Names that gradients can pass through, detached uses left out."""
    cut = _cut_in(context, node)
    return _reads_without(node, cut) if cut else reads(node)


def differentiable_calls(context: Context, node: cst.CSTNode) -> Iterator[cst.Call]:
    """Calls whose results gradients can pass through, detached ones left out."""
    stack = [] if cuts_gradients(context, node) else [node]
    cut = _cut_in(context, node)
    while stack:
        current = stack.pop()
        if current in cut:
            continue
        if isinstance(current, cst.Call):
            yield current
        stack.extend(c for c in current.children if isinstance(c, cst.CSTNode))


def _cut_in(context: Context, node: cst.CSTNode) -> set[cst.CSTNode]:
    """Expressions that gradients do not pass: `x.detach()`, `x.item()`, `x.data`."""
    cut: set[cst.CSTNode] = set()
    for item in walk(node):
        if isinstance(item, cst.Call):
            if qualified_name(context, item.func) in _CUTS:
                cut.add(item)
        elif isinstance(item, cst.Attribute) and item.attr.value == "data":
            if isinstance(context.fact(item.value), Tensor):
                cut.add(item)
    return cut


def _reads_without(node: cst.CSTNode, cut: set[cst.CSTNode]) -> set[str]:
    if node in cut:
        return set()
    if isinstance(node, cst.Name):
        return {node.value}
    if isinstance(node, cst.Attribute):
        return _reads_without(node.value, cut)
    if isinstance(node, cst.Arg):
        return _reads_without(node.value, cut)
    if isinstance(node, cst.AssignTarget) and isinstance(node.target, (cst.Name, cst.Tuple)):
        return set()
    found: set[str] = set()
    for child in node.children:
        if isinstance(child, cst.CSTNode):
            found |= _reads_without(child, cut)
    return found


def touches_parameters(context: Context, node: cst.CSTNode) -> bool:
    """Whether a statement or expression may compute with trained variables."""
    for item in walk(node):
        if isinstance(item, cst.Call) and call_touches(context, item):
            return True
        if isinstance(item, (cst.Name, cst.Attribute, cst.Subscript)):
            fact = context.fact(item)
            if isinstance(fact, Tensor) and fact.variable:
                return True
    return False


def call_touches(context: Context, call: cst.Call) -> bool:
    for value in options(context.fact(call.func)):
        match value:
            case Instance():
                if is_module(context, value) and not is_loss(context, value):
                    return True
            case Method() if is_module(context, value.receiver):
                return True
            case Method() | Function():
                if _body_touches(context, value):
                    return True
            case Unknown():
                # An unknown callee may well be a model that somebody passes in.
                return not _is_data_call(context, call)
            case Symbol() if value.name.startswith("builtins."):
                continue
    return False


def _body_touches(context: Context, value: Method | Function) -> bool:
    """Whether a function of the program may compute with trained variables."""
    node = value.function.node if isinstance(value, Method) else value.node
    known: dict[cst.CSTNode, bool] = context.notes.setdefault("functions that touch", {})
    if node not in known:
        known[node] = False  # for functions that call themselves
        known[node] = touches_parameters(context, node.body)
    return known[node]


def _is_data_call(context: Context, call: cst.Call) -> bool:
    func = call.func
    if qualified_name(context, func) is not None:
        return True
    return isinstance(func, cst.Attribute) and func.attr.value in (
        "to", "cuda", "cpu", "float", "long", "view", "size", "next", "reshape", "numpy", "format",
        "sample", "sample_batch", "get_batch", "next_batch",
    )  # fmt: skip
