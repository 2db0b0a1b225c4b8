"""The emitted units as they are kept: where each stands, what it reads, what its calls take.

A unit has a qualified name as what a framework exports has: `to_tf.TorchAdam` is the class that
translations to TensorFlow write for `torch.optim.Adam`. Rules and facts speak of it by that name.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import symtable
from functools import cache
from pathlib import Path
from typing import Any

import libcst as cst

from transpiler.rule import Direction

FOLDERS: dict[Direction, str] = {"tf": "to_tf", "torch": "to_torch"}
DIRECTIONS: dict[str, Direction] = {folder: to for to, folder in FOLDERS.items()}
_LONG_NAMES = {
    "layers": "keras.layers", "nn": "torch.nn", "F": "torch.nn.functional",
    "DataLoader": "torch.utils.data.DataLoader", "Dataset": "torch.utils.data.Dataset",
    "TensorDataset": "torch.utils.data.TensorDataset",
}  # fmt: skip
_ACTS_AS = {"ParameterGroups": "keras.Optimizer"}
"""Units that take the place of a class which they do not derive from."""
_HEADER = re.compile(r"^(?:def|class) (\w+)", re.MULTILINE)
_NEXT = re.compile(r"^[^\s)\]}]", re.MULTILINE)
Definition = ast.FunctionDef | ast.ClassDef


@cache
def _folder(to: Direction) -> Path:
    spec = importlib.util.find_spec("transpiler.rules")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "emitted" / FOLDERS[to]


@cache
def sources(to: Direction) -> dict[str, tuple[Path, str]]:
    """The file and text in which each unit stands (found by its `def` or `class` line)."""
    found: dict[str, tuple[Path, str]] = {}
    for path in sorted(_folder(to).glob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.update(dict.fromkeys(_HEADER.findall(text), (path, text)))
    return found


@cache
def text_of(to: Direction, name: str) -> str:
    """The definition of a unit as it is written: up to the next line that is not indented."""
    text = sources(to)[name][1]
    header = re.search(rf"^(?:@.*\n)*(?:def|class) {name}\b", text, re.MULTILINE)
    assert header is not None
    end = _NEXT.search(text, header.end())
    return text[header.start() : end.start() if end else len(text)].rstrip() + "\n"


@cache
def tree_of(to: Direction, name: str) -> Definition:
    """The definition of a unit in Python's own tree."""
    found = ast.parse(text_of(to, name)).body[0]
    assert isinstance(found, (ast.FunctionDef, ast.ClassDef))
    return found


@cache
def unit(to: Direction, name: str) -> cst.FunctionDef | cst.ClassDef:
    """The definition of an emitted unit."""
    found = cst.parse_module(text_of(to, name)).body[0]
    assert isinstance(found, (cst.FunctionDef, cst.ClassDef))
    return found


def needed_units(to: Direction, wanted: list[str]) -> list[str]:
    """The units asked for and those that they use, definitions before uses."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered or name not in sources(to):
            return
        for other in sorted(names_in(to, name) - {name}):
            if other in sources(to):
                visit(other)
        ordered.append(name)

    for name in wanted:
        visit(name)
    return ordered


@cache
def names_in(to: Direction, name: str) -> set[str]:
    """The global names that a unit reads, by Python's own scoping."""
    tables = [symtable.symtable(text_of(to, name), name, "exec")]
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


# ---- units by their qualified names --------------------------------------------------------------


def split_name(qualified: str) -> tuple[Direction, str, str] | None:
    """The direction, the unit and the member of `to_tf.DataLoader.dataset`."""
    root, _, rest = qualified.partition(".")
    name, _, member = rest.partition(".")
    to = DIRECTIONS.get(root)
    return (to, name, member) if to is not None and name in sources(to) else None


@cache
def describe(qualified: str) -> list[Any] | None:
    """A unit, or a method of one, as the catalogue has names: kind, signatures, all bases."""
    found = split_name(qualified)
    if found is None:
        return None
    to, name, member = found
    node = tree_of(to, name)
    if isinstance(node, ast.FunctionDef):
        return None if member else ["function", [ast.unparse(node.args)], []]
    if member:
        method = _method(node, member)
        return None if method is None else ["method", [_parameters(method)], []]
    bases = _bases(to, node)
    if name in _ACTS_AS:
        bases.append(_ACTS_AS[name])
    return ["class", _constructor(to, node, bases), bases]


def _method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == name), None)


def _parameters(method: ast.FunctionDef) -> str:
    """What a call gives a method: all parameters after `self`."""
    return ast.unparse(method.args).partition(",")[2].strip()


def _bases(to: Direction, node: ast.ClassDef) -> list[str]:
    """The names of all base classes, nearest first."""
    from transpiler import signatures

    found: dict[str, None] = {}
    for base in node.bases:
        first, _, rest = ast.unparse(base).partition(".")
        name = f"{FOLDERS[to]}.{first}" if first in sources(to) else _LONG_NAMES.get(first, first)
        name = signatures.canonical(f"{name}.{rest}" if rest else name)
        entry = signatures.lookup(name)
        private = ("torch.nn.Module",) if name.startswith("torch.nn.modules.") else ()
        found.update(dict.fromkeys([name, *(entry.bases if entry else private)]))
    return list(found)


def _constructor(to: Direction, node: ast.ClassDef, bases: list[str]) -> list[str]:
    from transpiler import signatures

    method = _method(node, "__init__")
    if method is not None:
        return [_parameters(method)]
    entry = signatures.lookup(bases[0]) if bases else None
    return list(entry.source) if entry is not None else [""]


def module_text(name: str) -> str | None:
    """The file of units that the interpreter calls `to_tf/losses`."""
    root, _, stem = name.partition("/")
    path = _folder(DIRECTIONS[root]) / f"{stem}.py" if root in DIRECTIONS and stem else None
    return path.read_text(encoding="utf-8") if path is not None and path.is_file() else None


def module_name(qualified: str) -> str | None:
    """The name of the file that a unit stands in, as `module_text` takes it."""
    found = split_name(qualified)
    if found is None:
        return None
    return f"{FOLDERS[found[0]]}/{sources(found[0])[found[1]][0].stem}"
