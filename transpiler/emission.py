"""Emitted units: small named functions and classes, placed once where the target has no call."""

from __future__ import annotations

import ast
import importlib.util
import symtable
from collections.abc import Container, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.rule import Direction
from transpiler.rules.naming import SOURCE_ROOTS
from transpiler.syntax import docstring_end, dotted, find, rebuild, target_names

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
        for other in sorted(_names_in(to, name) - {name}):
            if other in _sources(to):
                visit(other)
        ordered.append(name)

    for name in wanted:
        visit(name)
    return ordered


@cache
def _names_in(to: Direction, name: str) -> set[str]:
    """The global names that a unit reads, by Python's own scoping."""
    path, _ = _sources(to)[name]
    tables = [symtable.symtable(_texts(to, path)[name], name, "exec")]
    found: set[str] = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        whole = table.get_type() == "module"
        found |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (whole or symbol.is_global())
        }
    return found


def place_units(context: Context, module: cst.Module) -> cst.Module:
    """Insert the emitted units before the first definition or statement after the imports."""
    names = needed_units(context.to, list(context.requests.emitted))
    if not names:
        return module
    units: list[cst.BaseStatement] = [
        unit(context.to, n).with_changes(leading_lines=[]) for n in names
    ]
    own = own_names(context)
    taken = own & set(names)
    if taken:
        new = {n: context.fresh(_other_name(n)) for n in taken}
        module = _rename(module, new, context.edits.parent)
        units = [_rename(u, new, {}) for u in units]
    if "layers" in own:
        units = [_spell_out_layers(u) for u in units]
    body: list[Any] = list(module.body)
    place = docstring_end(body)
    while place < len(body) and _is_import(body[place]):
        place += 1
    body[place:place] = units
    return module.with_changes(body=body)


def own_names(context: Context) -> set[str]:
    """Names that the program binds itself, other than by importing them from the framework."""
    found: set[str] = set()
    kinds = (cst.FunctionDef, cst.ClassDef, cst.Param, cst.AssignTarget, cst.For, cst.CompFor)
    for node in find(context.module, *kinds, cst.ImportFrom):
        match node:
            case cst.FunctionDef() | cst.ClassDef():
                found.add(node.name.value)
            case cst.Param(name=cst.Name(value=name)):
                found.add(name)
            case cst.AssignTarget(target=target) | cst.For(target=target):
                found |= set(target_names(target))
            case cst.CompFor(target=target):
                found |= set(target_names(target))
            case cst.ImportFrom(module=origin) if not isinstance(node.names, cst.ImportStar):
                root = (dotted(origin) or "").partition(".")[0]
                if root not in SOURCE_ROOTS[context.to] or node.relative:
                    found |= {alias.evaluated_alias or alias.evaluated_name for alias in node.names}
    return found


def _spell_out_layers(unit: Any) -> Any:
    """`layers.Dense` as `keras.layers.Dense`, for programs that use the short name themselves."""

    def change(item: cst.CSTNode) -> cst.CSTNode | None:
        if isinstance(item, cst.Attribute) and isinstance(item.value, cst.Name):
            if item.value.value == "layers":
                return item.with_changes(value=cst.Attribute(cst.Name("keras"), item.value))
        return None

    return rebuild(unit, change)


def _other_name(name: str) -> str:
    """A name for a unit whose own the program has taken."""
    return f"Torch{name}" if name[:1].isupper() else f"torch_{name}"


def _rename(node: Any, new: Mapping[str, str], original: Container[cst.CSTNode]) -> Any:
    """New code with bare names changed; the program's own code stays."""

    def change(item: cst.CSTNode) -> cst.CSTNode | None:
        if item in original:
            return item
        match item:
            case cst.Name(value=name) if name in new:
                return item.with_changes(value=new[name])
            case cst.Attribute():
                return item.with_changes(value=rebuild(item.value, change))
            case cst.Arg():
                return item.with_changes(value=rebuild(item.value, change))
        return None

    return rebuild(node, change)


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], (cst.Import, cst.ImportFrom)
    )
