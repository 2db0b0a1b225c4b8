"""The code that built a functional graph: taken out where nothing but the graph needs it."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_graph.handed import Handed, find_makers
from transpiler.planners.keras_scope import is_pure
from transpiler.rule import Unfit
from transpiler.rules.tf_initializers import OWN
from transpiler.syntax import find, walk

ADDING = ("append", "extend", "insert")


class Construction:
    """The statements that make graphs, in all functions of the module."""

    def __init__(self, context: Context, calls: set[Any], models: set[Any]) -> None:
        self.context = context
        latest = context.interpreter.latest
        here = context.edits.parent
        seen = {n for n in (latest[1] if latest else ()) if n in here and not self.is_start(n)}
        if any(c is not None and c not in here for c in calls):
            raise Unfit("a part of this graph is built in another file",
                        "write the model as an nn.Module by hand")  # fmt: skip
        self.nodes = {c for c in calls if c is not None} | seen
        makers = find_makers(context, models)
        self.models = models.union(*(m.calls for m in makers))
        """What stays: the calls that make models, and those of functions that give them out."""
        self.handed = Handed(context, makers, self.is_array)
        self.gone: set[Any] = set()

    def is_start(self, node: Any) -> bool:
        """Whether a node makes the input of a model, maybe that of a Sequential."""
        if isinstance(node, (cst.List, cst.Tuple, cst.Dict)):
            return True  # what it holds counts by itself
        name = qualified_name(self.context, node.func) if isinstance(node, cst.Call) else ""
        return name in ("keras.Input", "keras.layers.InputLayer")

    def is_array(self, node: cst.BaseExpression) -> bool:
        """Whether an expression is an array of a graph, or holds nothing but such."""
        if isinstance(node, (cst.List, cst.Tuple)):
            return bool(node.elements) and all(self.is_array(e.value) for e in node.elements)
        return node in self.nodes or (isinstance(node, cst.Call) and self.is_start(node))

    def remove(self, written: set[Any]) -> None:
        """Take the construction out, but for expressions that are written in a class.

        Raises Unfit where something else reads the graph.
        """
        self.collect()
        helpers = self.helpers()
        self.spread(helpers)
        self.check(helpers)
        self.handed.read(lambda node: self.goes(node) or self.in_model(node))
        self.handed.drop()
        for statement in self.whole():
            self.context.edits.replace(statement, [])
        for node in self.nodes - written:
            self.context.claim(node)

    def collect(self) -> None:
        """Statements that hold a step of the graph, or make a layer for it."""
        for node in self.nodes:
            statement = self.context.edits.statement(node)
            if statement in self.gone or self.holds_model(statement):
                continue
            if isinstance(statement, cst.SimpleStatementLine):
                self.gone.add(statement)

    def holds_model(self, statement: Any) -> bool:
        return any(self.context.edits.statement(m) is statement for m in self.models)

    def helpers(self) -> set[Any]:
        """Functions that build parts of graphs and no model."""
        makers = {self.context.edits.enclosing(m, cst.FunctionDef) for m in self.models}
        found = {self.context.edits.enclosing(s, cst.FunctionDef) for s in self.gone}
        return {f for f in found if f is not None and f not in makers}

    def giver(self, helper: cst.FunctionDef) -> cst.FunctionDef | None:
        """The function that does nothing but give a closure out."""
        around = self.context.edits.enclosing(helper, cst.FunctionDef)
        if around is None:
            return None
        for line in around.body.body:
            small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
            given = isinstance(small, cst.Return) and isinstance(small.value, cst.Name)
            if given and small.value.value == helper.name.value:  # type: ignore[union-attr]
                return around  # type: ignore[no-any-return]
        return None

    def spread(self, helpers: set[Any]) -> None:
        """Add what is only there for statements that go: names, loops, helper functions."""
        helpers |= {f for h in helpers if (f := self.giver(h)) is not None}
        inside = {
            s for h in helpers for s in walk(h.body) if isinstance(s, cst.SimpleStatementLine)
        }
        self.gone |= inside | helpers
        lines = [s for s in walk(self.context.module) if isinstance(s, cst.SimpleStatementLine)]
        while True:
            more = {
                s for s in lines if s not in self.gone and not self.holds_model(s)
                and self.context.edits.enclosing(s, cst.FunctionDef) is not None
                and self.only_for_graph(s)
            }  # fmt: skip
            if not more:
                return
            self.gone |= more

    def only_for_graph(self, statement: cst.SimpleStatementLine) -> bool:
        """Whether an assignment is read by nothing but what goes."""
        small = statement.body[0]
        function = self.context.edits.enclosing(statement, cst.FunctionDef)
        if isinstance(small, cst.Assign) and len(small.targets) == 1:
            target: Any = small.targets[0].target
        elif isinstance(small, cst.AugAssign):
            target = small.target
        else:
            return False
        value: Any = small.value
        if not isinstance(target, cst.Name) or not (is_pure(value) or self.is_option(value)):
            return False
        reads = [
            n for n in find(function.body, cst.Name)
            if n.value == target.value and self.context.edits.statement(n) is not statement
            and not isinstance(self.context.edits.parent[n], cst.AssignTarget)
        ]  # fmt: skip
        goes = [n for n in reads if self.goes(n)]
        return bool(goes) and len(goes) == len(reads)

    def is_option(self, node: cst.BaseExpression) -> bool:
        """Whether an expression makes what layers are told: initializers and penalties."""
        value = self.context.fact(node)
        name = (value.class_names or ("",))[0] if isinstance(value, Instance) else ""
        return name.startswith(("keras.initializers.", "keras.regularizers.")) or name in OWN

    def goes(self, node: cst.CSTNode) -> bool:
        """Whether a node stands in a statement that goes, or in the head of one."""
        statement: Any = self.context.edits.statement(node)
        if statement in self.gone:
            return True
        return isinstance(statement, (cst.For, cst.If, cst.While)) and self.is_emptied(statement)

    def is_emptied(self, statement: Any) -> bool:
        """Whether everything in a loop or branch goes."""
        lines = [s for s in walk(statement) if isinstance(s, cst.SimpleStatementLine)]
        return bool(lines) and all(s in self.gone or _is_empty(s) for s in lines)

    def check(self, helpers: set[Any]) -> None:
        """Nothing that stays may read the graph or call its helpers."""
        for statement in self.gone:
            if statement in helpers:
                self.check_helper(statement, helpers)
            elif isinstance(statement, cst.SimpleStatementLine):
                self.check_line(statement)
        for node in self.nodes:
            statement = self.context.edits.statement(node)
            if statement in self.gone or self.holds_model(statement):
                continue
            if not self.goes(node):
                raise Unfit("values of the graph are used beside the model",
                            "write the model as an nn.Module by hand")  # fmt: skip

    def check_helper(self, helper: cst.FunctionDef, helpers: set[Any]) -> None:
        for name in find(self.context.module, cst.Name):
            if name.value != helper.name.value or name is helper.name:
                continue
            parent = self.context.edits.parent[name]
            if isinstance(parent, cst.Attribute) and parent.attr is not name:
                continue
            if not self.goes(name) and not self.in_model(name):
                raise Unfit(
                    f"`{helper.name.value}` builds a part of this graph and is used beside it",
                    "write it as an nn.Module by hand",
                )

    def in_model(self, name: cst.CSTNode) -> bool:
        return self.holds_model(self.context.edits.statement(name))

    def check_line(self, statement: cst.SimpleStatementLine) -> None:
        small = statement.body[0]
        if isinstance(small, (cst.Assign, cst.AnnAssign, cst.AugAssign)):
            return
        if isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
            func = small.value.func
            if isinstance(func, cst.Attribute) and func.attr.value in ADDING:
                return
            if isinstance(func, cst.Name) and func.value == "print":
                self.context.remark(
                    statement,
                    "keras.Model",
                    "a line that shows symbolic arrays of the graph is left out",
                )
                return
        if isinstance(small, cst.Expr) and not find_calls(small):
            return
        if self.context.edits.enclosing(statement, cst.FunctionDef) in self.gone:
            return
        raise Unfit("values of the graph are used beside the model",
                    "write the model as an nn.Module by hand")  # fmt: skip

    def whole(self) -> list[Any]:
        """The outermost statements that go."""
        found = []
        for statement in walk(self.context.module):
            if not isinstance(statement, cst.BaseStatement):
                continue
            goes = statement in self.gone
            if isinstance(statement, (cst.For, cst.If, cst.While)) and not goes:
                goes = self.is_emptied(statement)
                if goes:
                    self.gone.add(statement)
            if goes:
                found.append(statement)
        outer = set(found)
        return [s for s in found if not any(a in outer for a in self.around(s))]

    def around(self, statement: Any) -> list[Any]:
        found = []
        current = self.context.edits.parent.get(statement)
        while current is not None:
            if isinstance(current, cst.BaseStatement):
                found.append(current)
            current = self.context.edits.parent.get(current)
        return found


def find_calls(node: cst.CSTNode) -> bool:
    return any(True for _ in find(node, cst.Call))


def _is_empty(statement: cst.SimpleStatementLine) -> bool:
    small = statement.body[0]
    if isinstance(small, (cst.Pass, cst.Continue)):
        return True
    return isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString)
