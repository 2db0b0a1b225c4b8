"""One statement per line and a block under every header, so that planners see one form only."""

from __future__ import annotations

from typing import Any

import libcst as cst

_BLOCKS = ("body", "orelse", "handlers", "finalbody")


def normalize(module: cst.Module) -> cst.Module:
    """The module with one statement per line; every other node stays the node it was."""
    return _rebuild(module)  # type: ignore[no-any-return]


def _rebuild(node: Any) -> Any:
    """The node with its blocks in normal form; the same object where nothing changes."""
    changes: dict[str, Any] = {}
    for name in _BLOCKS:
        old = getattr(node, name, None)
        if isinstance(old, cst.SimpleStatementSuite):
            changes[name] = _block(old)
        elif isinstance(old, (list, tuple)):
            new = [line for item in old for line in _lines(item)]
            if len(new) != len(old) or any(a is not b for a, b in zip(new, old, strict=False)):
                changes[name] = new
        elif isinstance(old, cst.CSTNode) and not isinstance(old, cst.BaseExpression):
            new_block = _rebuild(old)
            if new_block is not old:
                changes[name] = new_block
    return node.with_changes(**changes) if changes else node


def _lines(statement: Any) -> list[Any]:
    if not isinstance(statement, cst.SimpleStatementLine):
        return [_rebuild(statement)]
    if len(statement.body) < 2:
        return [statement]
    lines = [cst.SimpleStatementLine([_bare(s)]) for s in statement.body]
    lines[0] = lines[0].with_changes(leading_lines=statement.leading_lines)
    lines[-1] = lines[-1].with_changes(trailing_whitespace=statement.trailing_whitespace)
    return lines


def _block(suite: cst.SimpleStatementSuite) -> cst.IndentedBlock:
    lines = [cst.SimpleStatementLine([_bare(s)]) for s in suite.body]
    lines[-1] = lines[-1].with_changes(trailing_whitespace=suite.trailing_whitespace)
    return cst.IndentedBlock(lines)


def _bare(small: cst.BaseSmallStatement) -> cst.BaseSmallStatement:
    if small.semicolon is cst.MaybeSentinel.DEFAULT:
        return small
    # In place, so that facts and places found for the node stay with it.
    object.__setattr__(small, "semicolon", cst.MaybeSentinel.DEFAULT)
    return small
