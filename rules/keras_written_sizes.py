"""Sizes that are not known before the program runs, as the program writes them: `len(chars)`."""

from __future__ import annotations

import builtins
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.syntax import code, dotted, names_read, walk

_PLAIN = (cst.Name, cst.Attribute, cst.Integer, cst.BinaryOperation, cst.BaseBinaryOp, cst.Dot,
          cst.Subscript, cst.SubscriptElement, cst.Index, cst.Call, cst.Arg, cst.UnaryOperation,
          cst.BaseUnaryOp, cst.SimpleString, cst.List, cst.Element)  # fmt: skip
_CALLED = ("len", "int", "max", "min")
_LONGEST = 40


def argument_of(call: Any, *names: str, at: int | None = None) -> Any:
    """The expression of an argument, by its names or its position."""
    if not isinstance(call, cst.Call):
        return None
    for arg in call.args:
        if arg.keyword is not None and arg.keyword.value in names:
            return arg.value
    if at is not None and at < len(call.args):
        arg = call.args[at]
        return arg.value if arg.keyword is None and not arg.star else None
    return None


def written_size(node: Any, index: int | None = None) -> str | None:
    """The text of a size, or of one in a tuple of sizes; None where it is not a plain reading."""
    if node is None:
        return None
    text: str | None = None
    if index is not None and isinstance(node, (cst.Tuple, cst.List)):
        if any(isinstance(e, cst.StarredElement) for e in node.elements):
            return None
        node = node.elements[index].value
    elif index is not None and isinstance(node, (cst.Name, cst.Attribute)):
        text = f"{code(node)}[{index}]"
    elif index is not None:
        return None
    if not _is_plain(node):
        return None
    text = text or code(node)
    return text if len(text) <= _LONGEST and "\n" not in text else None


def _is_plain(node: cst.BaseExpression) -> bool:
    """Whether reading an expression again gives the same and does nothing else."""
    for part in walk(node):
        if isinstance(part, cst.BaseExpression) and not isinstance(part, _PLAIN):
            return False
        if isinstance(part, cst.Call):
            method = isinstance(part.func, cst.Attribute) and part.func.attr.value == "keys"
            if not method and not (isinstance(part.func, cst.Name) and part.func.value in _CALLED):
                return False
    return True


def is_readable(context: Context, place: cst.CSTNode, size: cst.BaseExpression) -> bool:
    """Whether the names of a size mean at a place what they meant where it was written."""
    function = context.edits.enclosing(place, cst.FunctionDef)
    own = _bound(function) if function is not None else set()
    names = {n for n in names_read(size) if not hasattr(builtins, n)}
    if dotted(size) is not None and "." in code(size):
        return True
    if function is not None and context.edits.enclosing(function, cst.ClassDef) is not None:
        return not names & own and names <= _top(context)
    return names <= own | _top(context)


def _bound(function: Any) -> set[str]:
    params = [p for p in walk(function.params) if isinstance(p, cst.Param)]
    targets = [t for t in walk(function.body) if isinstance(t, cst.AssignTarget)]
    names = {n.value for t in targets for n in walk(t.target) if isinstance(n, cst.Name)}
    return names | {p.name.value for p in params}


def _top(context: Context) -> set[str]:
    """The variables of the module."""
    known = context.notes.get("module variables")
    if known is None:
        known = set()
        for target in walk(context.module):
            if isinstance(target, cst.AssignTarget):
                if context.edits.enclosing(target, cst.FunctionDef, cst.ClassDef) is None:
                    names = [n for n in walk(target.target) if isinstance(n, cst.Name)]
                    known |= {n.value for n in names}
        context.notes["module variables"] = known
    found: set[str] = known
    return found
