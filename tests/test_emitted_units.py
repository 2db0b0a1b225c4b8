"""Every emitted unit stands alone: documented, and made of known imports and other units."""

import ast
import builtins
import symtable
from pathlib import Path

import pytest

from transpiler.rules.naming import TARGET_IMPORTS
from transpiler.units import FOLDERS, needed_units

FOLDER = Path(__file__).parents[1] / "rules" / "emitted"
UNITS = [
    (to, path, node)
    for to, name in FOLDERS.items()
    for path in sorted((FOLDER / name).glob("*.py"))
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef)
]


def free_names(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """The global names that a unit reads, by Python's own scoping."""
    names: set[str] = set()
    tables = [symtable.symtable(ast.unparse(node), "unit", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        module = table.get_type() == "module"
        names |= {
            symbol.get_name()
            for symbol in table.get_symbols()
            if symbol.is_referenced() and (symbol.is_global() or module)
        }
    return names - {node.name} - set(dir(builtins))


@pytest.mark.parametrize(("to", "path", "node"), UNITS, ids=[f"{u[0]}-{u[2].name}" for u in UNITS])
def test_unit(to: str, path: Path, node: ast.FunctionDef | ast.ClassDef) -> None:
    units = {other.name: other for other_to, _, other in UNITS if other_to == to}
    assert ast.get_docstring(node), "says which semantics it keeps"
    names = free_names(node)
    assert names <= set(units) | set(TARGET_IMPORTS[to])
    needed, ahead = {node.name}, [node]
    while ahead:
        more = {name for name in free_names(ahead.pop()) if name in units} - needed
        needed |= more
        ahead += [units[name] for name in more]
    assert set(needed_units(to, [node.name])) == needed


def test_names_are_unique() -> None:
    names = [(to, node.name) for to, _, node in UNITS]
    assert len(names) == len(set(names))
