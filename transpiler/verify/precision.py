"""A script in double precision: every float32 that it names becomes float64.

Text edits at the places the syntax tree gives, so that lines stay where they are and what reads the
source again (AutoGraph, inspect, tracebacks) sees the same program.
"""

from __future__ import annotations

import ast

NAMES = {
    "float32": "float64",
    "FloatTensor": "DoubleTensor",
}
TEXTS = {
    "float32": "float64",
    "f4": "f8",
    "<f4": "<f8",
    "torch.FloatTensor": "torch.DoubleTensor",
    "mixed_float16": "float64",
    "mixed_bfloat16": "float64",
}


def widen(source: str) -> str:
    """The source with its float32 names in float64; unchanged where it does not parse."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    edits = sorted({edit for node in ast.walk(tree) for edit in _edits(node, lines)}, reverse=True)
    for line, start, end, text in edits:
        lines[line] = lines[line][:start] + text.encode() + lines[line][end:]
    return b"".join(lines).decode()


Edit = tuple[int, int, int, str]


def _edits(node: ast.AST, lines: list[bytes]) -> list[Edit]:
    match node:
        case ast.Attribute(attr=name) if name in NAMES:
            return _replace_end(node, name, NAMES[name])
        case ast.Attribute(value=ast.Name(id="torch"), attr="float"):
            return _replace_end(node, "float", "float64")
        case ast.Call(func=ast.Attribute(attr="float") as method, args=[], keywords=[]):
            return _replace_end(method, "float", "double")
        case ast.alias(name=name) if name in NAMES and node.asname is None:
            line, start = node.lineno - 1, node.col_offset
            return [(line, start, start + len(name), f"{NAMES[name]} as {name}")]
        case ast.Constant(value=str(text)) if text in TEXTS and TEXTS[text] != text:
            return _replace_text(node, text, lines)
    return []


def _replace_end(node: ast.Attribute, old: str, new: str) -> list[Edit]:
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    end = node.end_col_offset
    return [(node.end_lineno - 1, end - len(old), end, new)]


def _replace_text(node: ast.Constant, text: str, lines: list[bytes]) -> list[Edit]:
    if node.lineno != node.end_lineno or node.end_col_offset is None:
        return []
    line, start, end = node.lineno - 1, node.col_offset, node.end_col_offset
    old = lines[line][start:end].decode()
    return [(line, start, end, old.replace(text, TEXTS[text]))] if text in old else []
