"""Calls of `Conv = partial(layers.Conv2D, padding="same")` as calls of the layer itself.

What the layers are made of depends on where each is called, so it is written there.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.plainer import GONE, Changes
from transpiler.syntax import code, dotted, find

_LINE = cst.SimpleStatementLine
_ROOTS = ("keras", "tensorflow")


def write_partials(module: cst.Module, changes: Changes, varies: Any) -> None:
    """Write out partials of Keras's names that are only ever called.

    varies: whether an argument may be another where the partial is called.
    """
    frameworks = _imported(module)
    mentions: dict[str, list[cst.Name]] = {}
    for node in find(module, cst.Name):
        mentions.setdefault(node.value, []).append(node)
    scopes = {n: f for f in find(module, cst.FunctionDef) for n in find(f, cst.Call, _LINE)}
    calls: dict[str, list[cst.Call]] = {}
    for call in find(module, cst.Call):
        if isinstance(call.func, cst.Name) and not any(a.star for a in call.args):
            calls.setdefault(call.func.value, []).append(call)
    for line in find(module, _LINE):
        name, made = _partial(line, frameworks)
        own = calls.get(name, [])
        if made is None or not own or len(mentions[name]) != len(own) + 1:
            continue
        places = {scopes.get(n) for n in (line, *own)}
        if varies(module, list(made.args[1:]), places):
            continue
        changes[line] = GONE
        changes.update(dict.fromkeys(own, _giving(made)))
    gone = sum(isinstance(node, _LINE) for node in changes)
    for line in find(module, _LINE):
        if code(line).strip() in ("from functools import partial", "import functools"):
            name = code(line).split()[-1]
            if gone and len(mentions[name]) == gone + 1:
                changes[line] = GONE


def _imported(module: cst.Module) -> set[str]:
    """Names that imports of Keras and TensorFlow bind."""
    found: set[str] = set()
    node: Any
    for node in find(module, cst.Import, cst.ImportFrom):
        aliases = node.names if not isinstance(node.names, cst.ImportStar) else ()
        for alias in aliases:
            home = node.module if isinstance(node, cst.ImportFrom) else alias.name
            if (dotted(home) or "").partition(".")[0] in _ROOTS:
                found.add((alias.evaluated_alias or alias.evaluated_name).partition(".")[0])
    return found


def _partial(line: cst.SimpleStatementLine, frameworks: set[str]) -> tuple[str, cst.Call | None]:
    """`name = partial(layers.Conv2D, padding="same")`."""
    small = line.body[0] if len(line.body) == 1 else None
    if not isinstance(small, cst.Assign) or len(small.targets) != 1:
        return "", None
    target, value = small.targets[0].target, small.value
    if not isinstance(target, cst.Name) or not isinstance(value, cst.Call) or not value.args:
        return "", None
    if code(value.func) not in ("partial", "functools.partial") or any(a.star for a in value.args):
        return "", None
    function = dotted(value.args[0].value)
    if function is None or function.partition(".")[0] not in frameworks:
        return "", None
    return target.value, value


def _giving(made: cst.Call) -> Any:
    """A call with what the partial has given before it."""

    def change(call: Any) -> Any:
        given = {a.keyword.value for a in call.args if a.keyword is not None}
        first = [a for a in made.args[1:] if a.keyword is None]
        rest = [a for a in made.args[1:] if a.keyword is not None and a.keyword.value not in given]
        positional = [a for a in call.args if a.keyword is None]
        named = [a for a in call.args if a.keyword is not None]
        args = [*(_apart(a) for a in first), *positional, *named, *(_apart(a) for a in rest)]
        args = [a.with_changes(comma=cst.MaybeSentinel.DEFAULT) for a in args]
        return call.with_changes(func=made.args[0].value.deep_clone(), args=args)

    return change


def _apart(arg: cst.Arg) -> cst.Arg:
    plain = cst.SimpleWhitespace("")
    return arg.deep_clone().with_changes(
        comma=cst.MaybeSentinel.DEFAULT, whitespace_after_arg=plain
    )
