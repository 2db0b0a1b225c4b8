"""Emitted units: small named functions and classes, placed once where the target has no call."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.rules.naming import SOURCE_ROOTS
from transpiler.syntax import docstring_end, dotted, find, rebuild, target_names, walk
from transpiler.units import needed_units, unit


def place_units(context: Context, module: cst.Module) -> cst.Module:
    """Insert the emitted units before the first definition or statement after the imports."""
    used = {n.value for n in walk(module) if isinstance(n, cst.Name)}
    names = needed_units(context.to, [n for n in context.requests.emitted if n in used])
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
