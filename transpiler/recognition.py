"""Emitted units in a program that was translated before: read as the calls that they stand for.

A translation back meets the definitions that the translation there has written. Where one equals a
unit of ours, and the rule book has a rule for it, the program reads as if it imported the unit:

    class TorchAdam(TorchOptimizer): ...        from to_tf import TorchAdam

From there on `to_tf.TorchAdam` is a name like any other of the source framework: rules translate
its calls, facts tell what they give, and nothing is left of the import once nothing uses it. What
no rule could translate gets its definition back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Symbol
from transpiler.rule import Direction
from transpiler.syntax import docstring_end, dotted, walk
from transpiler.units import FOLDERS, needed_units, sources, tree_of, unit

SOURCES: dict[Direction, Direction] = {"tf": "torch", "torch": "tf"}
"""The units that programs may hold which are translated to a framework."""
Known = Callable[[str], bool]


def recognize(module: cst.Module, text: str, to: Direction, known: Known) -> cst.Module:
    """The module with known units imported instead of defined.

    text: the module's source. known: whether there is a rule for a unit's qualified name.
    """
    home = SOURCES[to]
    meant = {
        node.name.value: name
        for node in module.body
        if isinstance(node, (cst.FunctionDef, cst.ClassDef))
        and (name := _unit_named(home, node.name.value)) is not None
    }
    if not meant:
        return module
    equal = _find_equal(home, text, meant)
    left_out = _select(home, text, equal, known)
    if not left_out:
        return module
    body = [s for node in module.body for s in _replace(node, home, left_out, known)]
    return module.with_changes(body=_drop_imports(body, text, set(left_out)))


def _unit_named(home: Direction, name: str) -> str | None:
    """The unit that a name may stand for; where the program had taken it, it was written longer."""
    for candidate in (name, name.removeprefix("torch_"), name.removeprefix("Torch")):
        if candidate in sources(home):
            return candidate
    return None


def _find_equal(home: Direction, text: str, meant: Mapping[str, str]) -> dict[str, str]:
    """The definitions of a program that equal the units they are named for."""
    found: dict[str, str] = {}
    counts: dict[str, int] = {}
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in meant:
            name = node.name
            counts[name] = counts.get(name, 0) + 1
            if ast.dump(_Plain(meant).visit(node)) == _dump(home, meant[name]):
                found[name] = meant[name]
    return {name: u for name, u in found.items() if counts[name] == 1}


@cache
def _dump(home: Direction, name: str) -> str:
    tree = ast.parse(ast.unparse(tree_of(home, name))).body[0]
    return ast.dump(_Plain({}).visit(tree))


class _Plain(ast.NodeTransformer):
    """Undoes what placing a unit may change: its name, and how `layers` is spelled."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names.get(node.id, node.id), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if node.attr == "layers" and isinstance(node.value, ast.Name) and node.value.id == "keras":
            return ast.Name("layers", node.ctx)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        return node


def _select(home: Direction, text: str, equal: dict[str, str], known: Known) -> dict[str, str]:
    """The definitions to leave out: units with a rule, and units that only such ones use."""
    found = {n: u for n, u in equal.items() if known(f"{FOLDERS[home]}.{u}")}
    readers: dict[str, set[str]] = {}
    for node in ast.parse(text).body:
        owner = getattr(node, "name", "")
        for item in ast.walk(node):
            if isinstance(item, ast.Name) and item.id in equal and item.id != owner:
                readers.setdefault(item.id, set()).add(owner)
    if not found:
        return {}
    while True:
        more = {
            n: u for n, u in equal.items()
            if n not in found and n in readers and readers[n] <= set(found)
        }  # fmt: skip
        if not more:
            return found
        found |= more


def _replace(
    node: Any, home: Direction, left_out: Mapping[str, str], known: Known
) -> list[cst.BaseStatement]:
    """A statement of the module; an import of a unit instead of its definition."""
    name = node.name.value if isinstance(node, (cst.FunctionDef, cst.ClassDef)) else ""
    if name not in left_out:
        return [node]
    kept = [line for line in node.leading_lines if line.comment is not None]
    if not known(f"{FOLDERS[home]}.{left_out[name]}") and not kept:
        return []
    unit_name = cst.Name(left_out[name])
    alias = cst.ImportAlias(unit_name)
    if name != left_out[name]:
        alias = cst.ImportAlias(unit_name, asname=cst.AsName(cst.Name(name)))
    line = cst.ImportFrom(cst.Name(FOLDERS[home]), [alias])
    return [cst.SimpleStatementLine([line], leading_lines=kept)]


def _drop_imports(body: list[Any], text: str, left_out: set[str]) -> list[Any]:
    """The statements without imports that only the units left out have used."""
    inside, outside = set[str](), set[str]()
    for node in ast.parse(text).body:
        names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        if getattr(node, "name", None) in left_out:
            inside |= names
        else:
            outside |= names
    orphans = inside - outside
    return [s for s in body if not _imports_only(s, orphans)]


def _imports_only(statement: Any, orphans: set[str]) -> bool:
    """Whether a plain `import a` or `import a as b` binds one of the names."""
    if not isinstance(statement, cst.SimpleStatementLine) or any(
        line.comment is not None for line in statement.leading_lines
    ):
        return False
    node = statement.body[0]
    if not isinstance(node, cst.Import) or len(node.names) != 1:
        return False
    return (node.names[0].evaluated_alias or node.names[0].evaluated_name) in orphans


# ---- afterwards ----------------------------------------------------------------------------------


def place_definitions(context: Context, module: cst.Module) -> cst.Module:
    """The translated module without imports of units; what is still used is defined again."""
    home = SOURCES[context.to]
    wanted: dict[str, str] = {}
    body: list[Any] = []
    lines: list[cst.EmptyLine] = []
    used = _names_left(context, module)
    for statement in module.body:
        alias = _imported_unit(statement, home)
        if alias is None:
            lead = getattr(statement, "leading_lines", None)
            if lines and lead is not None:
                statement = statement.with_changes(leading_lines=[*lines, *lead])
                lines = []
            body.append(statement)
            continue
        lines += statement.leading_lines
        name = alias.evaluated_alias or alias.evaluated_name
        if name in used:
            wanted[alias.evaluated_name] = name
    if len(body) == len(module.body):
        return module
    place = docstring_end(body)
    while place < len(body) and _is_import(body[place]):
        place += 1
    names = needed_units(home, list(wanted))
    new = [unit(home, n).with_changes(leading_lines=[]) for n in names]
    aliases = [
        cst.parse_statement(f"{alias} = {name}") for name, alias in wanted.items() if alias != name
    ]
    body[place:place] = [*new, *aliases]
    return module.with_changes(body=body)


def _names_left(context: Context, module: cst.Module) -> set[str]:
    """The names by which the program's own code still calls for units."""
    root = f"{FOLDERS[SOURCES[context.to]]}."
    return {
        node.value
        for node in walk(module)
        if isinstance(node, cst.Name) and node in context.edits.parent
        and isinstance(fact := context.fact(node), Symbol) and fact.name.startswith(root)
    }  # fmt: skip


def _imported_unit(statement: cst.CSTNode, home: Direction) -> cst.ImportAlias | None:
    if not isinstance(statement, cst.SimpleStatementLine):
        return None
    node = statement.body[0]
    if not isinstance(node, cst.ImportFrom) or isinstance(node.names, cst.ImportStar):
        return None
    return node.names[0] if dotted(node.module) == FOLDERS[home] else None


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], (cst.Import, cst.ImportFrom)
    )
