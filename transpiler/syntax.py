"""Walking LibCST trees without its visitors: visiting in Python costs more than native parsing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, TypeVar

import libcst as cst
from libcst._nodes.internal import CodegenState

Node = TypeVar("Node", bound=cst.CSTNode)

_SKIPPED = frozenset(
    {
        "lpar", "rpar", "whitespace", "leading_lines", "trailing_whitespace", "header", "footer",
        "lbrace", "rbrace", "lbracket", "rbracket", "equal", "comma", "semicolon", "colon", "dot",
        "whitespace_before_args", "lines_after_decorators", "whitespace_before_colon",
        "whitespace_after_func", "whitespace_before_test", "whitespace_after_star",
    }
)  # fmt: skip


@cache
def child_fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """Names of the fields of a node class that can hold code (not white space, not text)."""
    return tuple(
        name
        for name, field in kind.__dataclass_fields__.items()
        if name not in _SKIPPED and not name.startswith("whitespace") and field.type is not str
    )


_FIRST = ("leading_lines", "decorators", "lines_after_decorators", "header", "lpar",
          "whitespace_before_args")  # fmt: skip


@cache
def _node_fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """Names of the fields that can hold nodes, white space included, about as they are written."""
    found = [n for n, field in kind.__dataclass_fields__.items() if field.type is not str]
    return tuple(sorted(found, key=lambda n: n not in _FIRST))


_IS_NODE: dict[type[Any], bool] = {}
_MATCHES: dict[tuple[type[Any], tuple[type[Any], ...]], bool] = {}
_WALKS: dict[cst.CSTNode, list[cst.CSTNode]] = {}
_FOUND: dict[tuple[cst.CSTNode, tuple[type[Any], ...]], list[cst.CSTNode]] = {}
_BY_CLASS: dict[cst.CSTNode, dict[type[Any], list[tuple[int, cst.CSTNode]]]] = {}
_CHILDREN: dict[int, tuple[cst.CSTNode, tuple[cst.CSTNode, ...]]] = {}
"""By identity, with the node, which keeps its identity: nodes are hashed by a Python function."""


def is_node(value: object) -> bool:
    """isinstance(value, CSTNode), without the cost of an abstract base class's check."""
    kind = type(value)
    known = _IS_NODE.get(kind)
    if known is None:
        known = _IS_NODE[kind] = cst.CSTNode in kind.__mro__
    return known


def is_a(value: object, *kinds: type[Any]) -> bool:
    """isinstance for node classes, remembered per class, without abstract base classes' checks."""
    key = (type(value), kinds)
    known = _MATCHES.get(key)
    if known is None:
        known = _MATCHES[key] = not set(kinds).isdisjoint(key[0].__mro__)
    return known


def children(node: cst.CSTNode) -> tuple[cst.CSTNode, ...]:
    """The child nodes that are code, in source order."""
    known = _CHILDREN.get(id(node))
    if known is None:
        known = _CHILDREN[id(node)] = node, tuple(_list_children(node))
    return known[1]


def _list_children(node: cst.CSTNode) -> list[cst.CSTNode]:
    found: list[cst.CSTNode] = []
    for name in child_fields(type(node)):
        value = getattr(node, name)
        if is_node(value):
            found.append(value)
        elif type(value) in (tuple, list):
            found.extend(item for item in value if is_node(item))
    return found


def walk(node: cst.CSTNode) -> list[cst.CSTNode]:
    """The node and everything under it, parents first."""
    known = _WALKS.get(node)
    if known is not None:
        return known
    found: list[cst.CSTNode] = []
    stack = [node]
    while stack:
        current = stack.pop()
        found.append(current)
        stack.extend(reversed(children(current)))
    if is_a(node, cst.Module, cst.FunctionDef, cst.ClassDef, cst.SimpleStatementLine):
        _WALKS[node] = found
    return found


def forget_walks() -> None:
    """Let go of the trees that `walk`, `find` and `children` remember."""
    _WALKS.clear()
    _FOUND.clear()
    _BY_CLASS.clear()
    _CHILDREN.clear()


def find(node: cst.CSTNode, *kinds: type[Node]) -> Iterator[Node]:
    """Nodes of the given classes at or under a node, parents first."""
    found = _FOUND.get((node, kinds))
    if found is None:
        items = walk(node)
        if node not in _WALKS:
            return (item for item in items if is_a(item, *kinds))  # type: ignore[misc]
        found = _FOUND[node, kinds] = _of_classes(node, items, kinds)
    return iter(found)  # type: ignore[arg-type]


def _of_classes(
    node: cst.CSTNode, items: list[cst.CSTNode], kinds: tuple[type[Any], ...]
) -> list[cst.CSTNode]:
    """The nodes of some classes: every planner looks for its own, over the whole module."""
    table = _BY_CLASS.get(node)
    if table is None:
        table = _BY_CLASS[node] = {}
        for index, item in enumerate(items):
            table.setdefault(type(item), []).append((index, item))
    groups = [table[kind] for kind in table if not set(kinds).isdisjoint(kind.__mro__)]
    if len(groups) == 1:
        return [item for _, item in groups[0]]
    return [item for _, item in sorted(chain.from_iterable(groups), key=itemgetter(0))]


def rebuild(node: Node, change: Callable[[cst.CSTNode], cst.CSTNode | None]) -> Node:
    """The tree with some nodes changed: `change` gives a node's replacement, or None."""
    new = change(node)
    if new is not None:
        return new  # type: ignore[return-value]
    changes: dict[str, Any] = {}
    for name in child_fields(type(node)):
        value = getattr(node, name)
        if is_node(value):
            result = rebuild(value, change)
            if result is not value:
                changes[name] = result
        elif type(value) in (tuple, list) and value and is_node(value[0]):
            items = [rebuild(item, change) for item in value]
            if any(a is not b for a, b in zip(items, value, strict=False)):
                changes[name] = items
    return node.with_changes(**changes) if changes else node


def parents(module: cst.Module) -> dict[cst.CSTNode, cst.CSTNode]:
    """The parent of every node of the tree."""
    found: dict[cst.CSTNode, cst.CSTNode] = {}
    stack: list[cst.CSTNode] = [module]
    while stack:
        node = stack.pop()
        for child in children(node):
            found[child] = node
            stack.append(child)
    return found


def names_read(node: cst.CSTNode) -> set[str]:
    """Bare names at or under a node, attribute and keyword names left out."""
    found: set[str] = set()
    stack: list[cst.CSTNode] = [node]
    while stack:
        item = stack.pop()
        if is_a(item, cst.Name):
            found.add(item.value)  # type: ignore[attr-defined]
        elif is_a(item, cst.Attribute, cst.Arg):
            stack.append(item.value)  # type: ignore[attr-defined]
        else:
            stack.extend(children(item))
    return found


_WITHOUT_COMMENTS = {cst.SimpleWhitespace, cst.Newline, cst.MaybeSentinel}


def comments(node: cst.CSTNode) -> Counter[str]:
    """Texts of the comments at or under a node, in order, with how often each stands there."""
    found: Counter[str] = Counter()
    stack: list[Any] = [node]
    while stack:
        item = stack.pop()
        kind: Any = type(item)
        if kind is cst.Comment:
            found[item.value] += 1
        elif is_node(item):
            for name in reversed(_node_fields(kind)):
                value = getattr(item, name)
                if value and type(value) not in _WITHOUT_COMMENTS:
                    stack.append(value)
        elif kind is tuple or kind is list:
            stack.extend(reversed(item))
    return found


@lru_cache(maxsize=4096)
def _parse(text: str) -> cst.BaseExpression:
    return cst.parse_expression(text)


class _Writing(CodegenState):
    """LibCST's way to write code, without a context manager for each node's place."""

    _no_place = nullcontext()

    def record_syntactic_position(self, *_: Any, **__: Any) -> Any:
        return self._no_place


def code(node: cst.CSTNode) -> str:
    """The source text of a node; of a module, with its own indents and line ends."""
    module = node if isinstance(node, cst.Module) else _PLAIN
    state = _Writing(module.default_indent, module.default_newline)
    node._codegen(state)
    return "".join(state.tokens)


_PLAIN = cst.Module(body=[])


def dotted(node: cst.CSTNode | None) -> str | None:
    """`a.b.c` for a chain of attributes of a name, None for anything else."""
    parts: list[str] = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name):
        return None
    parts.append(node.value)
    return ".".join(reversed(parts))


def literal(value: object) -> cst.BaseExpression:
    """The expression that writes a plain Python value (floats as `1e-5`, not `1e-05`)."""
    if isinstance(value, float):
        text = repr(value).replace("e-0", "e-").replace("e+0", "e")
        return _parse(text).deep_clone()
    if isinstance(value, str):
        quote = '"' if '"' not in value and "\\" not in value and value.isprintable() else None
        return cst.SimpleString(f"{quote}{value}{quote}" if quote else repr(value))
    if isinstance(value, (list, tuple)):
        elements = [cst.Element(literal(v)) for v in value]
        if isinstance(value, list):
            return cst.List(elements)
        if len(elements) == 1:
            elements = [elements[0].with_changes(comma=cst.Comma())]
        return cst.Tuple(elements)
    return _parse(repr(value)).deep_clone()


def constant(node: cst.CSTNode | None) -> object:
    """The value of a literal expression; raises ValueError where it is none."""
    import ast

    if not isinstance(node, cst.BaseExpression):
        raise ValueError("not an expression")
    return ast.literal_eval(code(node).strip())


def target_names(node: cst.CSTNode) -> Iterator[str]:
    """Bare names that an assignment target binds."""
    match node:
        case cst.Name():
            yield node.value
        case cst.Tuple() | cst.List():
            for element in node.elements:
                yield from target_names(element.value)
        case cst.StarredElement():
            yield from target_names(node.value)


def docstring_end(body: list[cst.BaseStatement]) -> int:
    """Index after a leading docstring."""
    if body and isinstance(first := body[0], cst.SimpleStatementLine):
        small = first.body[0]
        if isinstance(small, cst.Expr) and isinstance(
            small.value, (cst.SimpleString, cst.ConcatenatedString)
        ):
            return 1
    return 0
