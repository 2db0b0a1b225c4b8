"""Emitted units: small named functions and classes, placed once where the target has no call."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

import libcst as cst

from transpiler.context import Context
from transpiler.rule import Direction
from transpiler.syntax import docstring_end, names_read

FOLDERS: dict[Direction, str] = {"tf": "to_tf", "torch": "to_torch"}


@cache
def _folder(to: Direction) -> Path:
    spec = importlib.util.find_spec("transpiler.rules")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "emitted" / FOLDERS[to]


@cache
def _sources(to: Direction) -> dict[str, tuple[Path, str]]:
    """The file and text in which each unit stands (found by its `def` or `class` line)."""
    found: dict[str, tuple[Path, str]] = {}
    for path in sorted(_folder(to).glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for line in text.splitlines():
            if line.startswith(("def ", "class ")):
                name = line.split(None, 1)[1].split("(")[0].split(":")[0].strip()
                found[name] = (path, text)
    return found


@cache
def _texts(to: Direction, path: Path) -> dict[str, str]:
    """The text of each unit of a file, with its decorators; Python's own parser finds them fast."""
    text = next(t for p, t in _sources(to).values() if p == path)
    lines = text.splitlines(keepends=True)
    found: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = "".join(lines[start - 1 : node.end_lineno])
    return found


@cache
def unit(to: Direction, name: str) -> cst.FunctionDef | cst.ClassDef:
    """The definition of an emitted unit."""
    path, _ = _sources(to)[name]
    found = cst.parse_module(_texts(to, path)[name]).body[0]
    assert isinstance(found, (cst.FunctionDef, cst.ClassDef))
    return found


def needed_units(to: Direction, wanted: list[str]) -> list[str]:
    """The units asked for and those that they use, definitions before uses."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered or name not in _sources(to):
            return
        for other in sorted(_names_in(unit(to, name)) - {name}):
            if other in _sources(to):
                visit(other)
        ordered.append(name)

    for name in wanted:
        visit(name)
    return ordered


def _names_in(node: cst.CSTNode) -> set[str]:
    from transpiler.imports import names_read_everywhere

    return names_read_everywhere(cst.Module([node])) | names_read(node)  # type: ignore[list-item]


def place_units(context: Context, module: cst.Module) -> cst.Module:
    """Insert the emitted units before the first definition or statement after the imports."""
    names = needed_units(context.to, list(context.requests.emitted))
    if not names:
        return module
    units = [unit(context.to, n).with_changes(leading_lines=[]) for n in names]
    body = list(module.body)
    place = docstring_end(body)  # type: ignore[arg-type]
    while place < len(body) and _is_import(body[place]):
        place += 1
    body[place:place] = units
    return module.with_changes(body=body)


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], (cst.Import, cst.ImportFrom)
    )
