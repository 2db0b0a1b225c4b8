"""Losses whose forward pass ran elsewhere: one tape that is entered again wherever it plays.

`policy.saved.append(dist.log_prob(action))` in one function and `loss.backward()` in another: torch
keeps the graph with the saved values. TensorFlow needs a tape that both functions enter. What has
to run inside it are the statements that compute with the model and leave something behind.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import always_writes, writes
from transpiler.infer.values import (
    Function,
    Instance,
    ListObject,
    Method,
    Sequence,
    Tensor,
    Unknown,
    Value,
    options,
)
from transpiler.modules import descendants, is_module, owner_class
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.events import event_of, scopes
from transpiler.planners.step.regions import (
    Region,
    blocks_of,
    cuts_gradients,
    differentiable_reads,
)
from transpiler.planners.step.tracing import called_functions
from transpiler.rule import Unfit
from transpiler.syntax import find, names_read, target_names

_STORES = frozenset({"append", "appendleft", "extend", "insert", "add", "put", "push"})
Run = list[cst.BaseStatement]


@dataclass(eq=False)
class KeptTape:
    """The runs of statements, in other functions, that a loss's graph begins in."""

    name: str
    runs: list[Run]
    left: set[str] = field(default_factory=set)
    """Names of the attributes and variables that hold what they computed."""


def kept_tape(context: Context, region: Region, modules: list[Instance]) -> KeptTape | None:
    """Where the graph of a region's loss begins, if that is in other functions. Raises Unfit."""
    search = _Search(context, region, modules)
    runs = list(search.all_runs())
    if not runs:
        return None
    search.check(runs)
    return KeptTape("running_tape", runs, search.left)


class _Search:
    """Follows what the modules compute through the functions of the file."""

    def __init__(self, context: Context, region: Region, modules: list[Instance]) -> None:
        self.context = context
        self.region = region
        self.modules = {id(d) for m in modules for d in descendants(m)}
        self.classes = {getattr(m.cls, "node", None) for m in modules}
        self.plays_memo: dict[cst.CSTNode, bool] = {region.scope: False}
        self.left: set[str] = set()

    # ---- which calls compute with the modules ------------------------------------------------

    def calls_network(self, node: cst.CSTNode) -> bool:
        return any(self.is_network(call) for call in find(node, cst.Call))

    def is_network(self, call: cst.Call) -> bool:
        for value in options(self.context.fact(call.func)):
            match value:
                case Instance() if id(value) in self.modules and is_module(self.context, value):
                    return True
                case Method():
                    inside = id(value.receiver) in self.modules
                    node = value.function.node
                    if self.plays(node) and (inside or self.gives_graph(node)):
                        return True
                case Function() if self.plays(value.node) and self.gives_graph(value.node):
                    return True
        return False

    def plays(self, function: cst.CSTNode) -> bool:
        """Whether a function of the program computes with the modules."""
        if function not in self.plays_memo:
            self.plays_memo[function] = False
            body = function.body  # type: ignore[attr-defined]
            self.plays_memo[function] = not self.is_cut(function) and self.calls_network(body)
        return self.plays_memo[function]

    def gives_graph(self, function: cst.CSTNode) -> bool:
        """Whether what a function returns can carry gradients."""
        if isinstance(function, cst.Lambda):
            return True
        return any(
            item.value is not None and self.carries(self.context.fact(item.value))
            for item in find(function, cst.Return)
        )

    def carries(self, value: Value | None) -> bool:
        """Whether gradients may pass a value."""
        for option in options(value):
            match option:
                case Tensor():
                    if option.library != "numpy" and not (option.dtype or "float").startswith(
                        ("int", "uint", "bool")
                    ):
                        return True
                case ListObject() | Sequence():
                    held = [*(option.items or ()), option.element]
                    if any(self.carries(item) for item in held if item is not None):
                        return True
                case Instance() | Unknown():
                    return True
        return False

    def is_cut(self, function: cst.CSTNode) -> bool:
        decorators = getattr(function, "decorators", ())
        return any(
            qualified_name(self.context, getattr(d.decorator, "func", d.decorator))
            in ("torch.no_grad", "torch.inference_mode")
            for d in decorators
        )

    # ---- runs --------------------------------------------------------------------------------

    def all_runs(self) -> Iterator[Run]:
        for body, owner in scopes(self.context):
            if owner is self.region.scope or self.is_cut(owner):
                continue
            if isinstance(owner, cst.FunctionDef):
                home = owner_class(self.context, owner)
                if home is not None and home in self.classes:
                    continue
                if self.plays(owner) and self.gives_graph(owner) and not self.trains(owner):
                    continue
            yield from self.runs(body)

    def runs(self, body: list[cst.BaseStatement]) -> Iterator[Run]:
        """The runs of a block that have to be recorded, as far inside as they go."""
        tainted: set[str] = set()
        touched: list[int] = []
        left: set[str] = set()
        for index, statement in enumerate(body):
            handed = self.handed_over(statement, tainted)
            if handed:
                left |= handed
            elif self.concerns(statement, tainted):
                touched.append(index)
                left |= self.leaves(statement, set(tainted))
                self.spread(statement, tainted)
        if not touched:
            return
        if len(touched) == 1 and not isinstance(body[touched[0]], cst.SimpleStatementLine):
            for block in blocks_of(body[touched[0]]):
                yield from self.runs(list(block.body))
        elif left:
            self.left |= left
            yield body[touched[0] : touched[-1] + 1]

    def concerns(self, statement: cst.BaseStatement, tainted: set[str]) -> bool:
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            return False
        if cuts_gradients(self.context, statement):
            return False
        inner = [s for b in blocks_of(statement) for s in b.body]
        if inner:
            inside = set(tainted)
            found = [self.concerns_and_spreads(s, inside) for s in inner]
            return any(found)
        if self.calls_network(statement):
            return True
        return bool(tainted & differentiable_reads(self.context, statement))

    def concerns_and_spreads(self, statement: cst.BaseStatement, tainted: set[str]) -> bool:
        concerned = self.concerns(statement, tainted)
        if concerned:
            self.spread(statement, tainted)
        return concerned

    def spread(self, statement: cst.BaseStatement, tainted: set[str]) -> None:
        """Names that hold something of the graph after a statement."""
        inner = [s for b in blocks_of(statement) for s in b.body]
        for part in inner:
            self.concerns_and_spreads(part, tainted)
        if inner or not isinstance(statement, cst.SimpleStatementLine):
            return
        small = statement.body[0]
        if isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
            func = small.value.func
            if isinstance(func, cst.Attribute) and isinstance(func.value, cst.Name):
                if func.attr.value in _STORES and self.stores_part(small.value, tainted):
                    tainted.add(func.value.value)
        elif isinstance(small, cst.AugAssign):
            tainted |= writes(statement)
        elif isinstance(small, cst.Assign):
            fact = self.context.fact(small.value)
            for target in small.targets:
                tainted |= self.carrying_names(target.target, fact)

    def carrying_names(self, target: cst.BaseExpression, fact: Value) -> set[str]:
        if isinstance(target, (cst.Tuple, cst.List)):
            items = getattr(fact, "items", None)
            if isinstance(items, (list, tuple)) and len(items) == len(target.elements):
                pairs = zip(target.elements, items, strict=True)
                return set().union(*(self.carrying_names(e.value, item) for e, item in pairs))
            return set(target_names(target))
        return set(target_names(target)) if self.carries(fact) else set()

    def leaves(self, statement: cst.BaseStatement, tainted: set[str]) -> set[str]:
        """Names of what a statement stores parts of the graph in."""
        inner = [s for b in blocks_of(statement) for s in b.body]
        found: set[str] = set()
        for part in inner:
            if self.concerns(part, tainted):
                found |= self.leaves(part, tainted)
                self.spread(part, tainted)
        if inner:
            return found
        for target in find(statement, cst.AssignTarget):
            if isinstance(target.target, (cst.Attribute, cst.Subscript)):
                found |= _last_name(target.target)
        for call in find(statement, cst.Call):
            if self.stores_part(call, tainted):
                found |= self.stored_by(call)
        return found

    def handed_over(self, statement: cst.BaseStatement, tainted: set[str]) -> set[str]:
        """The parameters by which a call of the region's function takes parts of the graph."""
        scope = self.region.scope
        if not isinstance(statement, cst.SimpleStatementLine) or not tainted:
            return set()
        if isinstance(scope, cst.FunctionDef):
            for call in find(statement, cst.Call):
                if self.is_region(call):
                    return {
                        name
                        for name, value in _given(scope, call)
                        if self.is_part(value, tainted) and not self.is_detached(scope, name)
                    }
        return set()

    def is_detached(self, function: cst.FunctionDef, name: str) -> bool:
        """`advantages = advantages.detach()` before anything else is done with the parameter."""
        for statement in function.body.body:
            if name in names_read(statement):
                bound = name in always_writes(statement)
                return bound and name not in differentiable_reads(self.context, statement)
        return True

    def trains(self, function: cst.FunctionDef) -> bool:
        """Whether a function hands what it computed to the region's, and so ends its graph."""
        return any(self.is_region(call) for call in find(function.body, cst.Call))

    def is_region(self, call: cst.Call) -> bool:
        """Whether a call runs the region's function."""
        for value in options(self.context.fact(call.func)):
            function = value.function if isinstance(value, Method) else value
            if isinstance(function, Function) and function.node is self.region.scope:
                return True
        return False

    def stores_part(self, call: cst.Call, tainted: set[str]) -> bool:
        return any(self.is_part(a.value, tainted) for a in call.args)

    def is_part(self, node: cst.BaseExpression, tainted: set[str]) -> bool:
        return self.calls_network(node) or bool(tainted & differentiable_reads(self.context, node))

    def stored_by(self, call: cst.Call) -> set[str]:
        """What a call stores its arguments in."""
        for value in options(self.context.fact(call.func)):
            function = value.function if isinstance(value, Method) else value
            if isinstance(function, Function) and isinstance(function.node, cst.FunctionDef):
                if not self.plays(function.node):
                    return _stored_in(function.node)
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in _STORES:
            return _last_name(call.func.value)
        return set()

    # ---- soundness ---------------------------------------------------------------------------

    def check(self, runs: list[Run]) -> None:
        """A tape can not be entered while it records; steps inside a run have their own."""
        owners = {self.region.scope}
        for run in runs:
            owners.add(self.context.edits.enclosing(run[0], cst.FunctionDef))
        for run in runs:
            for statement in run:
                reached = _reached(self.context, statement)
                if reached & owners or any(
                    event_of(self.context, line) is not None
                    for line in find(statement, cst.SimpleStatementLine)
                ):
                    raise Unfit(
                        "the graph of this loss begins in statements that also update the model",
                        "compute the loss in the block that calls backward()",
                    )


def _reached(context: Context, node: cst.CSTNode) -> set[cst.CSTNode]:
    """The functions of the program that run while a node does."""
    found: set[cst.CSTNode] = set()
    pending: list[cst.CSTNode] = [node]
    while pending:
        calls: Iterator[Any] = find(pending.pop(), cst.Call, cst.Attribute)
        for call in calls:
            for function in called_functions(context, call):
                if function not in found:
                    found.add(function)
                    pending.append(function.body)
    return found


def _given(function: cst.FunctionDef, call: cst.Call) -> Iterator[tuple[str, cst.BaseExpression]]:
    """The arguments of a call by the names of the parameters that take them."""
    names = [p.name.value for p in function.params.params]
    if isinstance(call.func, cst.Attribute) and names[:1] == ["self"]:
        names = names[1:]
    for position, arg in enumerate(call.args):
        if arg.keyword is not None:
            yield arg.keyword.value, arg.value
        elif not arg.star and position < len(names):
            yield names[position], arg.value


def _stored_in(function: cst.FunctionDef) -> set[str]:
    found: set[str] = set()
    for target in find(function.body, cst.AssignTarget):
        if isinstance(target.target, (cst.Attribute, cst.Subscript)):
            found |= _last_name(target.target)
    for call in find(function.body, cst.Call):
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in _STORES:
            found |= _last_name(call.func.value)
    return found


def _last_name(node: Any) -> set[str]:
    while isinstance(node, cst.Subscript):
        node = node.value
    if isinstance(node, cst.Attribute):
        return {node.attr.value}
    return {node.value} if isinstance(node, cst.Name) else set()
