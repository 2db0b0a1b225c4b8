"""Imports: what the new code needs is added, what nothing uses any more is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeGuard

import libcst as cst

from transpiler.context import Context
from transpiler.rules.naming import SHORT_NAMES, SOURCE_ROOTS, TARGET_IMPORTS
from transpiler.syntax import (
    children,
    code,
    comments,
    docstring_end,
    dotted,
    is_a,
    names_read,
    rebuild,
)
from transpiler.units import DIRECTIONS, needed_units

_BINDING = frozenset(
    {
        *(cst.AssignTarget, cst.Param, cst.FunctionDef, cst.ClassDef, cst.For, cst.CompFor),
        *(cst.AsName, cst.ImportAlias),
    }
)
_DIRECTIVES = ("noqa", "type:", "pylint:", "isort:", "fmt:", "pragma", "mypy:")


def finish_imports(context: Context, module: cst.Module) -> cst.Module:
    """Shorten the target's long names, add its imports, drop orphaned ones."""
    bound = _bound_names(context.module)
    module = _shorten(module, context, bound)
    used = names_read_everywhere(module)
    taken = {s.name.value for s in context.module.body if _is_definition(s)}
    units = set(needed_units(context.to, list(context.requests.emitted))) - taken
    own = [s for s in module.body if not (_is_definition(s) and s.name.value in units)]
    imported = names_read_everywhere(module.with_changes(body=own)) - units
    body, anchor, left, rest = _drop_orphans(context, list(module.body), imported)
    wanted = _wanted_imports(context, module, used)
    have = {code(s).strip() for s in body if _was_import(s)}
    new = [cst.parse_statement(line) for line in _merge(w for w in wanted if w not in have)]
    first = docstring_end(body)
    while first < len(body) and _is_future(body[first]):
        first += 1
    leading = first
    while leading < len(body) and _was_import(body[leading]):
        leading += 1
    # Imports further down may come after the first use of what is needed now.
    anchor = first if anchor is None else min(anchor, max(leading, first))
    if new and anchor < len(body):
        lines = list(getattr(body[anchor], "leading_lines", []))
        if _was_import(body[anchor]) or not lines:
            new[0] = new[0].with_changes(leading_lines=lines)
            body[anchor] = body[anchor].with_changes(leading_lines=[])
        elif left and lines[: len(left)] == left:  # what stood above the imports that went
            new[0] = new[0].with_changes(leading_lines=left)
            body[anchor] = body[anchor].with_changes(leading_lines=lines[len(left) :])
    body[anchor:anchor] = new
    return module.with_changes(body=body, footer=[*rest, *module.footer])


def _is_definition(statement: cst.CSTNode) -> TypeGuard[cst.FunctionDef | cst.ClassDef]:
    return isinstance(statement, (cst.FunctionDef, cst.ClassDef))


def _is_future(statement: cst.CSTNode) -> bool:
    if not isinstance(statement, cst.SimpleStatementLine):
        return False
    first = statement.body[0]
    return isinstance(first, cst.ImportFrom) and dotted(first.module) == "__future__"


def _was_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], (cst.Import, cst.ImportFrom)
    )


def names_read_everywhere(module: cst.Module) -> set[str]:
    """Every bare name outside import statements."""
    found: set[str] = set()
    stack: list[cst.CSTNode] = [module]
    while stack:
        node = stack.pop()
        if is_a(node, cst.Import, cst.ImportFrom):
            continue
        if is_a(node, cst.BaseExpression):
            found |= names_read(node)
        else:
            stack.extend(children(node))
    return found


def _bound_names(module: cst.Module) -> set[str]:
    """Names that the program itself binds to something else than the target's packages."""
    found: set[str] = set()
    stack: list[cst.CSTNode] = [module]
    while stack:
        node = stack.pop()
        if isinstance(node, cst.ImportFrom) and dotted(node.module) in DIRECTIONS:
            continue
        stack.extend(children(node))
        if type(node) not in _BINDING:  # instance checks of abstract classes are slow
            continue
        match node:
            case (
                cst.AssignTarget(target=cst.Name(value=name)) | cst.Param(name=cst.Name(value=name))
            ):
                found.add(name)
            case (
                cst.FunctionDef(name=cst.Name(value=name)) | cst.ClassDef(name=cst.Name(value=name))
            ):
                found.add(name)
            case cst.For(target=target) | cst.CompFor(target=target):
                found |= names_read(target)
            case cst.AssignTarget(target=target):
                if isinstance(target, (cst.Tuple, cst.List)):
                    found |= names_read(target)
            case cst.AsName(name=cst.Name(value=name)):
                found.add(name)
            case cst.ImportAlias(name=cst.Name(value=name), asname=None):
                found.add(name)
    return found


def _shorten(module: cst.Module, context: Context, bound: set[str]) -> cst.Module:
    """`keras.layers.Dense` → `layers.Dense` where that name is free, in new code only."""
    names = SHORT_NAMES[context.to].items()
    short = {long: name for long, name in names if name not in bound}
    original = context.edits.parent

    def change(node: cst.CSTNode) -> cst.CSTNode | None:
        if node in original or is_a(node, cst.Import, cst.ImportFrom):
            return node
        if type(node) is cst.Attribute and not node.lpar:
            name = short.get(dotted(node) or "")
            if name is not None:
                return cst.Name(name)
        return None

    return rebuild(module, change)


def _drop_orphans(
    context: Context, body: list[cst.BaseStatement], used: set[str]
) -> tuple[list[cst.BaseStatement], int | None, list[cst.EmptyLine], list[cst.EmptyLine]]:
    """Drop imports of the source framework that nothing uses.

    Returned are the statements left, the place of the first that went, the lines that stood above
    it, which are now above the next, and lines that have no next statement.
    """
    roots = SOURCE_ROOTS[context.to]
    kept: list[cst.BaseStatement] = []
    anchor: int | None = None
    pending: list[cst.EmptyLine] = []
    left: list[cst.EmptyLine] = []
    for statement in body:
        result = _without_orphans(statement, roots, used)
        if result is not statement:
            anchor = len(kept) if anchor is None else anchor
            pending.extend(_lines_about(statement, result))
        if result is None:
            continue
        if pending:
            pending = _trim(pending)
            left = pending if anchor == len(kept) else left
            lines = [*pending, *getattr(result, "leading_lines", ())]
            result = result.with_changes(leading_lines=_trim(lines))
            pending = []
        kept.append(result)
    return kept, anchor, left, pending


def _lines_about(
    statement: cst.BaseStatement, result: cst.BaseStatement | None
) -> Iterator[cst.EmptyLine]:
    """Lines and comments that an import loses; what was said to linters goes with it."""
    lost = comments(statement) - (comments(result) if result is not None else Counter())
    if result is None:
        for line in getattr(statement, "leading_lines", ()):
            if line.comment is not None:
                lost[line.comment.value] -= 1
            yield line
    for text in (+lost).elements():
        if not text.lstrip("# ").startswith(_DIRECTIVES):
            yield cst.EmptyLine(comment=cst.Comment(text))


def _trim(lines: list[cst.EmptyLine]) -> list[cst.EmptyLine]:
    while len(lines) > 1 and not lines[0].comment and not lines[1].comment:
        lines.pop(0)
    return lines


def _without_orphans(
    statement: cst.BaseStatement, roots: tuple[str, ...], used: set[str]
) -> cst.BaseStatement | None:
    if not _was_import(statement):
        return statement
    assert isinstance(statement, cst.SimpleStatementLine)
    node = statement.body[0]
    assert isinstance(node, (cst.Import, cst.ImportFrom))
    if isinstance(node.names, cst.ImportStar):
        origin = dotted(node.module) if isinstance(node, cst.ImportFrom) else None
        gone = origin is not None and origin.partition(".")[0] in roots
        return None if gone else statement
    if isinstance(node, cst.ImportFrom):
        if node.relative or (dotted(node.module) or "").partition(".")[0] not in roots:
            return statement
        left = [a for a in node.names if bound_by(a) in used]
    else:
        left = [
            a
            for a in node.names
            if (dotted(a.name) or "").partition(".")[0] not in roots or bound_by(a) in used
        ]
    if len(left) == len(node.names):
        return statement
    if not left:
        return None
    left[-1] = left[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return statement.with_changes(body=[node.with_changes(names=left)])


def bound_by(alias: cst.ImportAlias) -> str:
    if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
        return alias.asname.name.value
    return (dotted(alias.name) or "").partition(".")[0]


def _wanted_imports(context: Context, module: cst.Module, used: set[str]) -> Iterator[str]:
    bound = _imported_names(module)
    lines = list(context.requests.imports)
    for name, statement in TARGET_IMPORTS[context.to].items():
        if name in used and name not in bound:
            lines.append(statement)
    yield from sorted(dict.fromkeys(lines), key=_import_order)


def _merge(lines: Iterable[str]) -> list[str]:
    """`from m import a` and `from m import b`, in order, as one import of both."""
    names: dict[str, list[str]] = {}
    for line in lines:
        origin, _, imported = line.partition(" import ")
        names.setdefault(origin, []).extend([imported] if imported else [])
    return [f"{origin} import {', '.join(n)}" if n else origin for origin, n in names.items()]


def _import_order(line: str) -> tuple[int, str]:
    root = line.split()[1].partition(".")[0]
    third_party = root in {"numpy", "tensorflow", "keras", "torch", "torchvision"}
    return (int(third_party), line.startswith("from"), line)  # type: ignore[return-value]


def _imported_names(module: cst.Module) -> set[str]:
    found: set[str] = set()
    stack: list[cst.CSTNode] = [module]
    while stack:
        node = stack.pop()
        stack.extend(children(node))
        if type(node) not in _BINDING:
            continue
        match node:
            case cst.ImportAlias():
                found.add(bound_by(node))
            case cst.FunctionDef() | cst.ClassDef():
                found.add(node.name.value)
            case cst.AssignTarget(target=cst.Name(value=name)):
                found.add(name)
    return found
