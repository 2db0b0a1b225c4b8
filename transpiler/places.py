"""Places: where nodes of a LibCST tree stand in its source.

LibCST finds positions by writing out the whole module again in Python, which takes longer than
parsing it. Python's own parser knows where each statement starts, and both parsers see the same
statements in the same order: so only the statements that hold a node in question are written out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import libcst as cst
from libcst.metadata.position_provider import PositionProvidingCodegenState

from transpiler.findings import Span


class Places:
    """The places of a module's nodes; `parents` lead from each node to the one it is in.

    `origins` tells what nodes were that took the place of others.
    """

    def __init__(
        self,
        module: cst.Module,
        source: str,
        parents: Mapping[cst.CSTNode, cst.CSTNode],
        origins: Mapping[cst.CSTNode, cst.CSTNode] = MappingProxyType({}),
    ) -> None:
        self.module = module
        self.parents = parents
        self.lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        found, told = list(_list_statements(module)), list(_list_nodes(ast.parse(source)))
        self.statements = dict(zip(found, told, strict=True))
        for new, old in origins.items():
            if old in self.statements:
                self.statements[new] = self.statements[old]
        self._computed: dict[cst.CSTNode, Any] = {}  # LibCST writes its code ranges here

    def find(self, node: cst.CSTNode) -> Span:
        """Where a node stands; the place of what holds it, where it has none of its own."""
        statement: cst.CSTNode | None = node
        while statement is not None and statement not in self.statements:
            statement = self.parents.get(statement)
        if statement is None:
            return Span(1, 1, 1, 1)
        self._locate(statement)
        while node not in self._computed and node is not statement:
            node = self.parents[node]
        if node is statement:
            return self._span_of(self.statements[statement])
        start, end = self._computed[node].start, self._computed[node].end
        return Span(start.line, start.column + 1, end.line, end.column + 1)

    def _span_of(self, node: ast.stmt | ast.excepthandler) -> Span:
        end_line, end_offset = node.end_lineno or node.lineno, node.end_col_offset or 0
        start = self._count_columns(node.lineno, node.col_offset)
        return Span(node.lineno, start + 1, end_line, self._count_columns(end_line, end_offset) + 1)

    def _count_columns(self, line: int, offset: int) -> int:
        """Characters for bytes of UTF-8, in which Python counts."""
        text = self.lines[line - 1]
        return offset if text.isascii() else len(text.encode()[:offset].decode())

    def _locate(self, statement: cst.CSTNode) -> None:
        """Write out one statement without its body, and keep the places of its parts."""
        if statement in self._computed:
            return
        self._computed[statement] = None
        line, column = _find_start(self.statements[statement])
        before = self.lines[line - 1][: self._count_columns(line, column)]
        alone = not before.strip()
        state = PositionProvidingCodegenState(
            default_indent=self.module.default_indent,
            default_newline=self.module.default_newline,
            provider=self,  # type: ignore[arg-type]
            indent_tokens=[before] if alone else [],
            line=line,
            column=0 if alone else len(before),
        )
        options = {"is_elif": True} if _is_elif(statement, self.parents) else {}
        for part in _strip(statement):
            part._codegen(state, **options)


def _is_elif(node: cst.CSTNode, parents: Mapping[cst.CSTNode, cst.CSTNode]) -> bool:
    return isinstance(node, cst.If) and isinstance(parents.get(node), cst.If)


def _find_start(node: ast.stmt | ast.excepthandler) -> tuple[int, int]:
    """The start of a statement, its decorators included."""
    decorators = getattr(node, "decorator_list", [])
    return (decorators[0].lineno if decorators else node.lineno), node.col_offset


def _strip(statement: cst.CSTNode) -> list[cst.CSTNode]:
    """What to write out of a statement: all but what stands above, in and below it."""
    if isinstance(statement, cst.BaseSmallStatement):
        return [statement]
    if isinstance(statement, cst.Try | cst.TryStar):
        return []
    changes: dict[str, Any] = {"leading_lines": ()}
    if not isinstance(statement, cst.SimpleStatementLine | cst.Match):
        changes["body"] = cst.SimpleStatementSuite([cst.Pass()])
    if isinstance(statement, cst.If | cst.For | cst.While):
        changes["orelse"] = None
    return [statement.with_changes(**changes)]


def _list_statements(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """All statements in the order of the source; of a line of several, the line and the rest."""
    match node:
        case cst.SimpleStatementLine():
            yield node
            yield from node.body[1:]
        case cst.SimpleStatementSuite():
            yield from node.body
        case cst.Module() | cst.IndentedBlock():
            for statement in node.body:
                yield from _list_statements(statement)
        case cst.Match():
            yield node
            for case in node.cases:
                yield from _list_statements(case.body)
        case cst.Else() | cst.Finally():
            yield from _list_statements(node.body)
        case _:
            yield node
            for name in ("body", "handlers", "orelse", "finalbody"):
                yield from _list_below(getattr(node, name, None))


def _list_below(below: Any) -> Iterator[cst.CSTNode]:
    if isinstance(below, cst.CSTNode):
        yield from _list_statements(below)
    elif below:
        for handler in below:
            yield from _list_statements(handler)


def _list_nodes(node: ast.AST) -> Iterator[ast.stmt | ast.excepthandler]:
    """The same statements by Python's own parser."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        for child in getattr(node, name, ()):
            if isinstance(child, ast.stmt | ast.excepthandler):
                yield child
            yield from _list_nodes(child)
