"""The origin of a file: which framework it is written in, read off its imports first of all.

One parse by Python itself, which takes a millisecond, finds syntax errors, files that need no
translation and programs of a retired dialect before the engine is even imported.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from transpiler.findings import Span
from transpiler.rules import frameworks
from transpiler.source import SourceError


class Import(NamedTuple):
    """A module that a file asks for: ``from ..a import b`` is a.b (or a) at level 2."""

    module: str
    name: str
    level: int
    span: Span


class Origin(NamedTuple):
    """What a file is written in."""

    empty: bool
    frameworks: dict[str, Import]
    """The frameworks imported, each with its first import."""

    imports: tuple[Import, ...]
    dialect: tuple[str, Span] | None
    """The first use of the retired graph dialect."""

    lines: frozenset[int]
    """Where statements start."""


def find_origin(text: str, path: str) -> Origin:
    """Parse a file and tell what it is written in; a syntax error is raised with its place."""
    tree = parse_tree(text, path)
    imports = tuple(_find_imports(tree))
    used: dict[str, Import] = {}
    for item in imports:
        if framework := _find_framework(item):
            used.setdefault(framework, item)
    dialect = _find_dialect(tree) if "tf" in used else None
    return Origin(
        not tree.body, used, imports, dialect, _find_lines(tree) if dialect else frozenset()
    )


def parse_tree(text: str, path: str) -> ast.Module:
    """Parse as Python itself does, with its messages."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        line, column = max(error.lineno or 1, 1), max(error.offset or 1, 1)
        raise SourceError(path, line, column, f"syntax error: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError) as error:
        message = f"cannot be parsed: {error or 'nested too deeply'}"
        raise SourceError(path, 1, 1, message) from None


def _find_imports(tree: ast.Module) -> Iterator[Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", 0, find_span(alias))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.module or "", alias.name, node.level, find_span(node))


def _find_framework(item: Import) -> str | None:
    if item.level:
        return None
    root = item.module.partition(".")[0]
    return next((name for name, roots in frameworks.PACKAGES.items() if root in roots), None)


def _find_dialect(tree: ast.Module) -> tuple[str, Span] | None:
    """The first use of a name that only the retired dialect has."""
    aliases = dict(_find_aliases(tree))
    found: list[tuple[Span, str]] = []
    settings: list[ast.expr] = []  # a session that only configures the device is no such program
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and [word.arg for word in node.keywords] == ["config"]:
            settings.append(node.func)
        elif isinstance(node, ast.With):
            opened = [item.context_expr for item in node.items]
            found += _match_dialect([e.func for e in opened if isinstance(e, ast.Call)], aliases)
    candidates = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute | ast.Name) and node not in settings
    ]
    found += _match_dialect(candidates, aliases)
    if not found:
        return None
    span, name = min(found)
    return name, span


def _match_dialect(nodes: Sequence[ast.expr], aliases: dict[str, str]) -> list[tuple[Span, str]]:
    found = []
    for node in nodes:
        name = _name_qualified(node, aliases).replace(frameworks.GRAPH_MODULE, "tensorflow")
        if name in frameworks.GRAPH_DIALECT:
            found.append((find_span(node), ast.unparse(node)))
    return found


def _find_aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (root, root)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _name_qualified(node: ast.expr, aliases: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    return ".".join([aliases[node.id], *reversed(parts)])


def _find_lines(tree: ast.Module) -> frozenset[int]:
    return frozenset(node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt))


def find_span(node: ast.expr | ast.stmt | ast.alias) -> Span:
    """Where a node stands; Python counts its columns from 0, and in bytes of UTF-8."""
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return Span(node.lineno, node.col_offset + 1, end_line, end_column + 1)
