"""Templates: real Python with holes, filled with nodes of the original tree or plain values.

Every bare name of a template that is given as a keyword is a hole. Nodes of the original tree stay
themselves when they are put into a hole, so the apply step still finds the edits inside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import libcst as cst

from transpiler.syntax import literal


class _Omit:
    """Put into an argument's hole, it drops the argument."""

    def __repr__(self) -> str:
        return "OMIT"


OMIT = _Omit()


@lru_cache(maxsize=4096)
def parse_expression(template: str) -> cst.BaseExpression:
    """The template's tree (shared: never change or embed it as it is)."""
    return cst.parse_expression(template)


@lru_cache(maxsize=1024)
def parse_statements(template: str) -> tuple[cst.BaseStatement, ...]:
    """The template's statements (shared)."""
    body = cst.parse_module(template).body
    return tuple(s for s in body if isinstance(s, cst.BaseStatement))


def as_node(value: Any) -> cst.BaseExpression:
    """A hole's value as an expression: nodes stay, anything else is written as a literal."""
    if isinstance(value, cst.BaseExpression):
        return value
    if isinstance(value, (list, tuple)) and any(isinstance(v, cst.CSTNode) for v in value):
        elements = [cst.Element(as_node(v)) for v in value]
        if isinstance(value, list):
            return cst.List(elements)
        return cst.Tuple(elements)
    return literal(value)


def _are_statements(value: Any) -> bool:
    """Whether a hole takes statements (an empty list may)."""
    if isinstance(value, (list, tuple)):
        return all(isinstance(v, cst.BaseStatement) for v in value) and bool(value)
    return isinstance(value, cst.BaseStatement)


class _Filler(cst.CSTTransformer):
    def __init__(self, holes: Mapping[str, Any]) -> None:
        super().__init__()
        self.holes = holes

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> Any:
        if original_node.value in self.holes:
            value = self.holes[original_node.value]
            if value is OMIT or _are_statements(value):
                return updated_node
            return as_node(value)
        return cst.Name(updated_node.value, lpar=updated_node.lpar, rpar=updated_node.rpar)

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> Any:
        return updated_node.with_changes(attr=cst.Name(original_node.attr.value))

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> Any:
        value = original_node.value
        hole = self.holes.get(value.value) if isinstance(value, cst.Name) else None
        if hole is OMIT:
            return cst.RemoveFromParent()
        if original_node.star and isinstance(hole, (list, tuple)):
            return cst.FlattenSentinel(
                [v if isinstance(v, cst.Arg) else cst.Arg(as_node(v)) for v in hole]
            )
        return updated_node.with_changes(keyword=original_node.keyword)

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> Any:
        if len(updated_node.args) < len(original_node.args) and updated_node.args:
            *first, last = updated_node.args
            last = last.with_changes(comma=cst.MaybeSentinel.DEFAULT)
            return updated_node.with_changes(args=[*first, last])
        return updated_node

    def leave_Param(self, original_node: cst.Param, updated_node: cst.Param) -> Any:
        name: cst.CSTNode = updated_node.name  # a hole may have put an expression here
        if isinstance(name, cst.Name):
            return updated_node
        return updated_node.with_changes(name=original_node.name)

    def leave_StarredElement(
        self, original_node: cst.StarredElement, updated_node: cst.StarredElement
    ) -> Any:
        value = original_node.value
        hole = self.holes.get(value.value) if isinstance(value, cst.Name) else None
        if isinstance(hole, (list, tuple)):
            return cst.FlattenSentinel([cst.Element(as_node(v)) for v in hole])
        return updated_node

    def leave_SimpleStatementLine(
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> Any:
        small = original_node.body[0]
        if isinstance(small, cst.Expr) and isinstance(small.value, cst.Name):
            hole = self.holes.get(small.value.value)
            if isinstance(hole, (list, tuple)):
                return cst.FlattenSentinel(list(hole)) if hole else cst.RemoveFromParent()
            if isinstance(hole, cst.BaseStatement):
                return hole
        return updated_node


def fill(template: str, /, **holes: Any) -> cst.BaseExpression:
    """An expression from a template. `*xs` takes a list; OMIT drops an argument."""
    result = parse_expression(template).visit(_Filler(holes))
    assert isinstance(result, cst.BaseExpression)
    return result


def fill_statements(template: str, /, **holes: Any) -> list[cst.BaseStatement]:
    """Statements from a template; a line that is only a hole takes statements."""
    filler = _Filler(holes)
    found: list[cst.BaseStatement] = []
    for statement in parse_statements(template):
        result = statement.visit(filler)
        if isinstance(result, cst.FlattenSentinel):
            found.extend(r for r in result if isinstance(r, cst.BaseStatement))
        elif isinstance(result, cst.BaseStatement):
            found.append(result)
    return found


def arguments(
    positional: Sequence[Any] = (), keywords: Mapping[str, Any] | None = None
) -> list[cst.Arg]:
    """Arguments of a call from plain values and nodes, OMIT left out."""
    found = [cst.Arg(as_node(v)) for v in positional if v is not OMIT]
    for name, value in (keywords or {}).items():
        if value is not OMIT:
            found.append(
                cst.Arg(
                    as_node(value),
                    keyword=cst.Name(name),
                    equal=cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace("")),
                )
            )
    return found


def call(name: str, /, *positional: Any, **keywords: Any) -> cst.Call:
    """`name(...)` with the arguments given; nodes stay themselves, OMIT is left out."""
    func = parse_expression(name).deep_clone()
    return cst.Call(func=func, args=arguments(positional, keywords))
