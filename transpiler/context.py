"""What every planner is given: the original tree, the facts, and where to leave its edits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import libcst as cst

from transpiler.config import Config
from transpiler.edits import Edits
from transpiler.findings import Finding, Grade
from transpiler.infer.interpreter import Interpreter
from transpiler.infer.values import UNKNOWN, Value
from transpiler.rule import Direction, Unfit

if TYPE_CHECKING:
    from transpiler.rulebook import RuleBook

TODO = "TODO(transpile): "


@dataclass
class Requests:
    """Imports and emitted units that the new code needs."""

    emitted: dict[str, None] = field(default_factory=dict)
    imports: dict[str, None] = field(default_factory=dict)


@dataclass
class Report:
    """A finding before its place is known."""

    node: cst.CSTNode
    grade: Grade
    rule: str
    message: str
    hint: str
    anchor: cst.CSTNode | None = None
    """What the report is about in the result, where the node itself was left out of it."""


class Context:
    """One module's translation in progress."""

    def __init__(
        self,
        module: cst.Module,
        to: Direction,
        config: Config,
        interpreter: Interpreter,
        rulebook: RuleBook,
        path: str,
    ) -> None:
        self.module = module
        self.to = to
        self.config = config
        self.interpreter = interpreter
        self.knowledge = interpreter.knowledge
        self.rulebook = rulebook
        self.path = path
        self.facts = interpreter.facts
        self.edits = Edits(module)
        self.requests = Requests()
        self.reports: list[Report] = []
        self.layouts: dict[cst.CSTNode, str] = {}
        self.claimed: set[cst.CSTNode] = set()
        self.notes: dict[str, Any] = {}
        self.names = {n.value for n in self.edits.parent if isinstance(n, cst.Name)}

    @property
    def exact(self) -> bool:
        return self.config.fidelity == "exact"

    def fact(self, node: cst.CSTNode | None) -> Value:
        """What is known of an expression of the original tree."""
        return UNKNOWN if node is None else self.facts.get(node, UNKNOWN)

    def claim(self, node: cst.CSTNode) -> None:
        """Keep the expression rules off a node (not off what is under it)."""
        self.claimed.add(node)

    def emit(self, name: str) -> str:
        """Ask for an emitted unit; the name it goes by."""
        self.requests.emitted[name] = None
        return name

    def request_import(self, statement: str) -> None:
        """Ask for an import by its source text, such as `import math`."""
        self.requests.imports[statement] = None

    def report(
        self, node: cst.CSTNode, grade: Grade, rule: str, message: str, hint: str = ""
    ) -> None:
        """Leave a finding at a node; one that is manual also marks the place in the code."""
        self.reports.append(Report(node, grade, rule, message, hint))

    def caution(self, node: cst.CSTNode, rule: str, message: str, hint: str = "") -> None:
        self.report(node, Grade.CAUTION, rule, message, hint)

    def anchor(self, node: cst.CSTNode, first: int) -> None:
        """Tie the reports from the first on at a node to the edit around it made for it."""
        place: cst.CSTNode | None = node
        while place is not None and not self.edits.edited(place):
            place = self.edits.parent.get(place)
        for report in self.reports[first:]:
            if report.node is node:
                report.anchor = place

    def remark(self, node: cst.CSTNode, rule: str, message: str, hint: str = "") -> None:
        """Something worth knowing that changes no number."""
        self.report(node, Grade.EXACT, rule, message, hint)

    def manual(self, node: cst.CSTNode, rule: str, message: str, hint: str = "") -> None:
        self.report(node, Grade.MANUAL, rule, message, hint)

    def unfit(self, node: cst.CSTNode, rule: str, error: Unfit) -> None:
        self.manual(node, rule, error.reason, error.hint)

    def fresh(self, name: str) -> str:
        """A name that the module does not use yet."""
        candidate, number = name, 1
        while candidate in self.names:
            number += 1
            candidate = f"{name}_{number}"
        self.names.add(candidate)
        return candidate

    def settle(self) -> None:
        """Drop reports about code that an edit around it left out; mark the manual ones."""
        live = self.edits.live()
        self.reports = [r for r in self.reports if r.node in live or r.anchor in live]
        for report in self.reports:
            if report.grade is Grade.MANUAL:
                self.edits.note(report.node, TODO + report.message)

    def findings(self) -> tuple[Finding, ...]:
        """The reports with their places, sorted and without repeats."""
        if not self.reports:
            return ()
        places = self.notes["places"]()
        found = {
            Finding(self.path, places.find(r.node), r.grade, r.rule, r.message, r.hint)
            for r in self.reports
        }
        return tuple(sorted(found, key=lambda f: (f.span, f.rule, f.message)))
