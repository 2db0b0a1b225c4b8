"""Signatures of torch's compiled names: from its .pyi files, else from docstrings."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

Overloads = dict[str, list[ast.arguments]]


def read_functions(path: Path) -> Overloads:
    """Every function at the top of a stub file, its overloads in order."""
    found: Overloads = defaultdict(list)
    for node in _tree(path).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name].append(node.args)
    return found


def read_classes(path: Path) -> dict[str, Overloads]:
    """Every class of a stub file: its methods' overloads without ``self``, properties as []."""
    found: dict[str, Overloads] = {}
    for node in _tree(path).body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = _read_members(node)
    return found


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _read_members(node: ast.ClassDef) -> Overloads:
    members: Overloads = defaultdict(list)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            members[item.target.id] = []
        elif isinstance(item, ast.FunctionDef):
            decorators = {getattr(d, "id", getattr(d, "attr", "")) for d in item.decorator_list}
            if decorators & {"property", "setter"}:
                members[item.name] = []
                continue
            if "staticmethod" not in decorators:
                drop_first(item.args)
            members[item.name].append(item.args)
    return members


def drop_first(arguments: ast.arguments) -> None:
    """Take ``self`` away."""
    del (arguments.posonlyargs or arguments.args)[:1]


def from_docstring(name: str, text: str | None) -> ast.arguments | None:
    """What ``conv2d(input, weight, bias=None) -> Tensor`` at the head of a docstring says."""
    short = re.escape(name.rpartition(".")[2])
    head = re.match(rf"\s*(?:[\w.]+\.)?{short}\((.*?)\)\s*(?:->|\n|$)", text or "", re.DOTALL)
    if head is None:
        return None
    try:
        function = ast.parse(f"def f({head[1]}): ...").body[0]
    except SyntaxError:
        return None
    assert isinstance(function, ast.FunctionDef)
    return function.args


def write_arguments(overloads: list[ast.arguments]) -> list[str]:
    """Source text of each overload; types stay only where there is a choice to make by them."""
    usable = [o for o in overloads if [a.arg for a in o.args][:1] != ["self"]] or overloads
    several = len({_write(o, types=False) for o in usable}) > 1
    return list(dict.fromkeys(_write(o, types=several) for o in sorted(usable, key=_rank)))


def _rank(arguments: ast.arguments) -> int:
    """The commoner form first: ``view(size)`` before ``view(dtype)``, ``max(dim)`` first of all."""
    named = [a.arg for a in arguments.args if a.arg not in ("self", "input")]
    if named[:1] in (["dtype"], ["other"]):
        return 2 if named[0] == "dtype" else 1
    return 0


def _write(arguments: ast.arguments, *, types: bool) -> str:
    plain = ast.arguments(
        [_plain(a, types) for a in arguments.posonlyargs],
        [_plain(a, types) for a in arguments.args],
        arguments.vararg and _plain(arguments.vararg, types),
        [_plain(a, types) for a in arguments.kwonlyargs],
        arguments.kw_defaults,
        arguments.kwarg and _plain(arguments.kwarg, types),
        arguments.defaults,
    )
    text = ast.unparse(plain).replace(" | ", "|")
    return re.sub(r": ([^,=]+)=", r": \1 = ", text) if types else text


# What tells overloads apart; other types are left out.
TYPES = {
    "Tensor": "Tensor",
    "_int": "int",
    "_float": "float",
    "_bool": "bool",
    "_dtype": "dtype",
    "_device": "device",
    "DeviceLikeType": "device",
    "_size": "ints",
    "Sequence": "ints",
    "Number": "Number",
    "_complex": "Number",
    "str": "str",
}


def _plain(argument: ast.arg, types: bool) -> ast.arg:
    if not types or argument.annotation is None:
        return ast.arg("input" if argument.arg == "self" else argument.arg)
    heads = [getattr(part, "id", "") for part in _alternatives(argument.annotation)]
    known = list(dict.fromkeys(TYPES[head] for head in heads if head in TYPES))
    annotation = ast.Name("|".join(known)) if known else None
    return ast.arg("input" if argument.arg == "self" else argument.arg, annotation)


def _alternatives(annotation: ast.expr) -> list[ast.expr]:
    if isinstance(annotation, ast.BinOp):
        return _alternatives(annotation.left) + _alternatives(annotation.right)
    return [annotation.value if isinstance(annotation, ast.Subscript) else annotation]
