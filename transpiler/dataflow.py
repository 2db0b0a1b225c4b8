"""Which names statements read and bind: what a block needs from around it and leaves behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import libcst as cst

from transpiler.syntax import children, names_read, target_names

# The kinds of nodes that bind or read names in ways of their own; all others are looked through.
# An exact look at the class: instance checks against libcst's abstract classes are slow.
_READING = frozenset(
    {
        *(cst.Name, cst.Attribute, cst.Arg, cst.AssignTarget, cst.CompFor, cst.For, cst.AnnAssign),
        *(cst.Param, cst.FunctionDef, cst.ClassDef, cst.AsName, cst.Import, cst.ImportFrom),
        *(cst.Global, cst.Nonlocal),
    }
)
_BINDING = frozenset(
    {
        *(cst.AssignTarget, cst.AnnAssign, cst.AugAssign, cst.For, cst.AsName, cst.NamedExpr),
        *(cst.FunctionDef, cst.ClassDef, cst.ImportAlias, cst.Lambda, cst.CompFor),
    }
)


def reads(node: cst.CSTNode) -> set[str]:
    """Names that a statement or expression reads (targets that it only binds are left out)."""
    found: set[str] = set()
    stack: list[cst.CSTNode] = [node]
    while stack:
        item = stack.pop()
        if type(item) not in _READING:
            stack.extend(children(item))
            continue
        match item:
            case cst.Name():
                found.add(item.value)
            case cst.Attribute():
                stack.append(item.value)
            case cst.Arg():
                stack.append(item.value)
            case cst.AssignTarget(target=target) | cst.CompFor(target=target):
                stack.extend(_read_in_target(target))
                if isinstance(item, cst.CompFor):
                    stack.extend(c for c in children(item) if c is not target)
            case cst.For(target=target):
                stack.extend(_read_in_target(target))
                stack.extend(c for c in children(item) if c is not target)
            case cst.AnnAssign(target=target):
                stack.extend(_read_in_target(target))
                if item.value is not None:
                    stack.append(item.value)
            case cst.Param():
                if item.default is not None:
                    stack.append(item.default)
            case cst.FunctionDef() | cst.ClassDef():
                stack.extend(c for c in children(item) if c is not item.name)
            case cst.AsName() | cst.Import() | cst.ImportFrom() | cst.Global() | cst.Nonlocal():
                pass
    return found - {"True", "False", "None"} - comprehension_names(node)


def comprehension_names(node: cst.CSTNode) -> set[str]:
    """Names that only comprehensions and lambdas inside bind."""
    inner: set[str] = set()
    stack: list[cst.CSTNode] = [node]
    while stack:
        item = stack.pop()
        if type(item) is cst.CompFor:
            inner |= set(target_names(item.target))
        elif type(item) is cst.Lambda:
            inner |= {p.name.value for p in item.params.params}
        stack.extend(children(item))
    return inner - writes(node)


def _read_in_target(target: cst.CSTNode) -> list[cst.CSTNode]:
    """The expressions that an assignment target evaluates: `a` and `i` of `a[i] = ...`."""
    match target:
        case cst.Name():
            return []
        case cst.Tuple() | cst.List():
            return [part for e in target.elements for part in _read_in_target(e.value)]
        case cst.StarredElement():
            return _read_in_target(target.value)
    return [target]


def writes(node: cst.CSTNode) -> set[str]:
    """Names that a statement binds (attributes and items of objects are no names)."""
    found: set[str] = set()
    stack: list[cst.CSTNode] = [node]
    while stack:
        item = stack.pop()
        if type(item) not in _BINDING:
            stack.extend(children(item))
            continue
        match item:
            case cst.AssignTarget(target=target) | cst.AnnAssign(target=target):
                found |= set(target_names(target))
            case cst.AugAssign(target=cst.Name(value=name)):
                found.add(name)
            case cst.For(target=target):
                found |= set(target_names(target))
            case cst.AsName(name=cst.Name(value=name)):
                found.add(name)
            case cst.NamedExpr(target=cst.Name(value=name)):
                found.add(name)
            case (
                cst.FunctionDef(name=cst.Name(value=name)) | cst.ClassDef(name=cst.Name(value=name))
            ):
                found.add(name)
                continue
            case cst.ImportAlias():
                found |= names_read(item.name) if item.asname is None else set()
            case cst.Lambda() | cst.CompFor():
                continue
        stack.extend(children(item))
    return found


def always_writes(node: cst.CSTNode) -> set[str]:
    """Names that a statement binds whichever way it runs."""
    if isinstance(node, cst.SimpleStatementLine):
        return writes(node)
    if isinstance(node, cst.With):
        found: set[str] = set()
        for statement in node.body.body:
            found |= always_writes(statement)
        return found | writes(node.with_changes(body=cst.IndentedBlock([])))
    if isinstance(node, cst.If) and isinstance(node.orelse, cst.Else):
        first = set().union(*(always_writes(s) for s in node.body.body))
        return first & set().union(*(always_writes(s) for s in node.orelse.body.body))
    return set()


def exposed_reads(statements: Iterable[cst.CSTNode]) -> set[str]:
    """Names that a run of statements reads before binding them itself."""
    found: set[str] = set()
    bound: set[str] = set()
    for statement in statements:
        found |= _exposed(statement) - bound
        bound |= always_writes(statement)
    return found


def _exposed(statement: cst.CSTNode) -> set[str]:
    match statement:
        case cst.With():
            header = set().union(*(reads(i.item) for i in statement.items))
            bound = set().union(*(writes(i) for i in statement.items), set())
            return header | (exposed_reads(statement.body.body) - bound)
        case cst.For():
            bound = set(target_names(statement.target))
            return reads(statement.iter) | (exposed_reads(statement.body.body) - bound)
        case cst.While():
            return reads(statement.test) | exposed_reads(statement.body.body)
        case cst.If():
            found = reads(statement.test) | exposed_reads(statement.body.body)
            if statement.orelse is not None:
                inner = statement.orelse
                rest = [inner] if isinstance(inner, cst.If) else inner.body.body
                found |= exposed_reads(rest)
            return found
    return reads(statement)


def read_after(
    parents: Mapping[cst.CSTNode, cst.CSTNode], statement: cst.CSTNode, name: str
) -> bool:
    """Whether a variable is read after a statement, before it is bound to something else."""
    current: Any = statement
    while not isinstance(current, (cst.FunctionDef, cst.Module)):
        parent: Any = parents[current]
        body = getattr(parent, "body", None)
        if isinstance(body, (list, tuple)) and current in body:
            for later in list(body)[list(body).index(current) + 1 :]:
                if name in exposed_reads([later]):
                    return True
                if name in always_writes(later):
                    return False
        if isinstance(parent, (cst.For, cst.While)) and current is parent.body:
            if name in exposed_reads(list(parent.body.body)):
                return True
            if isinstance(parent, cst.While) and name in reads(parent.test):
                return True
        current = parent
    return False
