"""Edits: what planners want changed, and the one walk that carries it out.

An edit replaces a node of the original tree. The replacement may hold other original nodes: the
walk goes on inside it and applies their edits as well, so planners compose without seeing each
other's output. A node with no edit inside is returned as it is, comments and spacing included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import libcst as cst

from transpiler.syntax import child_fields, children, code, comments, parents, rebuild, walk

Statements = list[cst.BaseStatement]
Wrap = Callable[[cst.BaseExpression], cst.BaseExpression]


class Edits:
    """The edits of one module, keyed by node."""

    def __init__(self, module: cst.Module) -> None:
        self.module = module
        self.parent = parents(module)
        self._replacements: dict[cst.CSTNode, Any] = {}
        self._wraps: dict[cst.CSTNode, list[Wrap]] = {}
        self._inner: dict[cst.CSTNode, int] = {}
        self._before: dict[cst.CSTNode, Statements] = {}
        self._after: dict[cst.CSTNode, Statements] = {}
        self._notes: dict[cst.CSTNode, list[str]] = {}
        self._bodies: dict[cst.CSTNode, Statements] = {}
        self._unwrapped: set[cst.CSTNode] = set()
        self._dirty: set[cst.CSTNode] = set()
        self._order: dict[cst.CSTNode, int] = {}

    def replace(self, node: cst.CSTNode, new: Any) -> None:
        """Put `new` in its place: a node, or a list of statements, elements, arguments."""
        self._replacements[node] = new
        self._touch(node)

    def withdraw(self, node: cst.CSTNode) -> None:
        """Take a replacement back."""
        self._replacements.pop(node, None)

    def order(self, node: cst.CSTNode) -> int:
        """The place of a node among all nodes of the original, in source order."""
        if not self._order:
            self._order = {n: i for i, n in enumerate(walk(self.module))}
        return self._order.get(node, -1)

    def wrap(self, node: cst.CSTNode, function: Wrap, inner: bool = False) -> None:
        """Apply a function to whatever the expression has become.

        inner: the function changes the expression itself, before anything is put around it.
        """
        wraps = self._wraps.setdefault(node, [])
        place = self._inner.get(node, 0)
        wraps.insert(place if inner else len(wraps), function)
        if inner:
            self._inner[node] = place + 1
        self._touch(node)

    def insert_before(self, statement: cst.CSTNode, new: Sequence[cst.BaseStatement]) -> None:
        """Statements before one of the original's (leading comments stay with the first line)."""
        self._before.setdefault(statement, []).extend(new)
        self._touch(statement)

    def insert_after(self, statement: cst.CSTNode, new: Sequence[cst.BaseStatement]) -> None:
        """Statements after one of the original's."""
        self._after.setdefault(statement, []).extend(new)
        self._touch(statement)

    def replace_body(self, block: cst.CSTNode, new: Sequence[Any]) -> None:
        """Other statements for a block (or the module): new ones and the original's, in any order.

        Unlike an edit of a statement, this lets an original statement move somewhere else.
        """
        self._bodies[block] = list(new)
        self._touch(block)

    def surround(self, run: Sequence[Any], outer: cst.BaseStatement) -> None:
        """Put a new compound statement that holds a run of a block's statements in their place.

        What was to come before the run comes before the new statement.
        """
        block = self.parent[run[0]]
        body = self.body_of(block)
        place = body.index(run[0])
        kept = [s for s in body if s not in run]
        self.replace_body(block, [*kept[:place], outer, *kept[place:]])
        if run[0] in self._before:
            self._before[outer] = self._before.pop(run[0])

    def body_of(self, block: Any) -> list[Any]:
        """A block's statements as they stand after `replace_body`."""
        return list(self._bodies.get(block, block.body))

    def unwrap(self, statement: cst.CSTNode) -> None:
        """Put the block of a compound statement in the statement's place."""
        self._unwrapped.add(statement)
        self._touch(statement)

    def note(self, node: cst.CSTNode, text: str) -> None:
        """A comment line above the statement that holds the node, unless it stands there."""
        statement = self.statement(node)
        notes = self._notes.setdefault(statement, [])
        if text not in notes and f"# {text}" not in self._comments_above(statement):
            notes.append(text)
            self._touch(statement)

    def _comments_above(self, statement: cst.CSTNode) -> list[str]:
        lines = list(getattr(statement, "leading_lines", ()))
        if self.module.body and statement is self.module.body[0]:
            lines += self.module.header
        return [line.comment.value for line in lines if line.comment is not None]

    def edited(self, node: cst.CSTNode) -> bool:
        """Whether the node itself has a replacement."""
        return node in self._replacements

    def replacement(self, node: cst.CSTNode) -> Any:
        """What stands in a node's place, itself where nothing does."""
        return self._replacements.get(node, node)

    def wrapped(self, node: cst.CSTNode) -> bool:
        """Whether what the expression becomes is wrapped in something."""
        return node in self._wraps

    def statement(self, node: cst.CSTNode) -> cst.CSTNode:
        """The statement line or compound statement that a node of the original stands in.

        A branch `elif` is no statement of its own: that is the `if` it belongs to.
        """
        while not isinstance(node, cst.BaseStatement) or self._is_branch(node):
            node = self.parent[node]
        return node

    def _is_branch(self, node: cst.CSTNode) -> bool:
        parent = self.parent.get(node)
        return isinstance(parent, cst.If) and parent.orelse is node

    def enclosing(self, node: cst.CSTNode, *kinds: type[Any]) -> Any:
        """The nearest ancestor of one of the classes, or None."""
        current = self.parent.get(node)
        while current is not None and not isinstance(current, kinds):
            current = self.parent.get(current)
        return current

    def _touch(self, node: cst.CSTNode) -> None:
        current: cst.CSTNode | None = node
        while current is not None and current not in self._dirty:
            self._dirty.add(current)
            current = self.parent.get(current)

    def live(self) -> set[cst.CSTNode]:
        """The original nodes that the result is made of, replaced ones included."""
        found: set[cst.CSTNode] = set()
        stack: list[Any] = [self.module]
        while stack:
            node = stack.pop()
            if node in self.parent:
                if node in found:
                    continue
                found.add(node)
                stack.extend(self._before.get(node, ()))
                stack.extend(self._after.get(node, ()))
                if node in self._replacements:
                    new = self._replacements[node]
                    news = new if isinstance(new, list) else [new]
                    for item in news:
                        stack.extend(children(item) if item in found else [item])
                    continue
            if node in self._bodies:
                stack.extend(self._bodies[node])
                stack.extend(c for c in children(node) if not isinstance(c, cst.BaseStatement))
                continue
            stack.extend(children(node))
        return found

    def apply(self) -> cst.Module:
        """The module with every edit carried out and every comment kept."""
        if not self._dirty:
            return self.module
        result = _Walk(self, Counter()).module()
        lost = comments(self.module) - comments(result)
        if lost:
            result = _Walk(self, lost).module()
            result = _append_lost(result, comments(self.module) - comments(result))
        return result


def _append_lost(module: cst.Module, lost: Counter[str]) -> cst.Module:
    if not lost:
        return module
    lines = [cst.EmptyLine(comment=cst.Comment(text)) for text in lost.elements()]
    return module.with_changes(footer=[*module.footer, *lines])


class _Walk:
    """One application; `lost` are comments that must be put back above their statement."""

    def __init__(self, edits: Edits, lost: Counter[str]) -> None:
        self.edits = edits
        self.lost = lost
        self.active: set[cst.CSTNode] = set()

    def module(self) -> cst.Module:
        module = self.edits.module
        body, rest = self.body(self.edits.body_of(module))
        return module.with_changes(body=body, footer=[*rest, *module.footer])

    def node(self, node: Any) -> Any:
        """The new form of an expression or other node (statements go through `body`)."""
        edits = self.edits
        original = node in edits.parent or node is edits.module
        if original and node not in edits._dirty:
            return node
        if node in edits._replacements and node not in self.active:
            new = edits._replacements[node]
            self.active.add(node)
            result: Any = [self.node(n) for n in new] if isinstance(new, list) else self.node(new)
            self.active.discard(node)
        else:
            result = self.rebuild(node)
        if node in edits._wraps and node not in self.active:
            for function in edits._wraps[node]:
                result = function(result)
            if original:
                self.active.add(node)
                result = self.rebuild_new(result)
                self.active.discard(node)
        return result

    def rebuild_new(self, node: Any) -> Any:
        if isinstance(node, cst.Call):
            args = [a.with_changes(value=_bare_argument(a.value)) for a in node.args]
            node = node.with_changes(args=args)
        return parenthesize_operands(_bind_receivers(node))

    def rebuild(self, node: Any) -> Any:
        changes: dict[str, Any] = {}
        kind: Any = type(node)
        for name in child_fields(kind):
            old = getattr(node, name)
            if isinstance(old, cst.CSTNode):
                new = self.node(old)
                if isinstance(new, list) and name == "orelse":  # a branch `elif` was replaced
                    new = cst.Else(cst.IndentedBlock(new)) if new else None
                if new is not old:
                    changes[name] = new
            elif isinstance(old, (tuple, list)) and old and isinstance(old[0], cst.CSTNode):
                if isinstance(old[0], cst.BaseStatement) and name == "body":
                    items, rest = self.body(self.edits._bodies.get(node, old))
                    if rest:
                        changes["footer"] = [*rest, *node.footer]
                    if not items and isinstance(node, cst.IndentedBlock):
                        items = [cst.SimpleStatementLine([cst.Pass()])]
                else:
                    items = self.items(old)
                if len(items) != len(old) or any(
                    a is not b for a, b in zip(items, old, strict=False)
                ):
                    changes[name] = items
        if isinstance(node, cst.Arg) and node not in self.edits.parent:
            changes["value"] = _bare_argument(changes.get("value", node.value))
        if changes:
            return parenthesize_operands(_changed(node, changes))
        # New code may hold operands of the original that nothing else changes.
        return node if node in self.edits.parent else parenthesize_operands(node)

    def items(self, old: Sequence[Any]) -> list[Any]:
        found: list[Any] = []
        for item in old:
            new = self.node(item)
            if isinstance(new, list):
                found.extend(new)
            else:
                found.append(new)
        return found

    def body(self, statements: Sequence[Any]) -> tuple[list[Any], list[cst.EmptyLine]]:
        """The new statements of a block and comment lines that found no statement to stand on."""
        found: list[Any] = []
        pending: list[cst.EmptyLine] = []
        for statement in statements:
            new = self.statement(statement)
            kept = self.kept_lines(statement, new)
            if new and (pending or kept):
                lines = [*pending, *kept]
                leading = list(new[0].leading_lines)
                new[0] = new[0].with_changes(leading_lines=[*lines, *leading])
                pending = []
            elif not new:
                pending.extend(kept)
            found.extend(new)
        return found, pending

    def statement(self, statement: Any) -> list[Any]:
        edits = self.edits
        original = statement in edits.parent
        if original and statement not in edits._dirty:
            return [statement]
        before = [s for b in edits._before.get(statement, ()) for s in self.statement(b)]
        after = [s for b in edits._after.get(statement, ()) for s in self.statement(b)]
        if statement in edits._replacements and statement not in self.active:
            new = edits._replacements[statement]
            self.active.add(statement)
            middle = [
                r for n in (new if isinstance(new, list) else [new]) for r in self.statement(n)
            ]
            self.active.discard(statement)
            middle = _inherit_lines(statement, middle)
        elif statement in edits._unwrapped:
            inner, rest = self.body(edits.body_of(statement.body))
            middle = _inherit_lines(statement, _push_comments(statement, inner, rest))
        else:
            middle = [self.rebuild(statement)]
            if not original and isinstance(statement, cst.With):
                middle = [_with_blank_lines_outside(middle[0])]
            if isinstance(middle[0], cst.SimpleStatementLine) and not middle[0].body:
                middle = []
            elif _is_emptied(statement, middle[0]):
                middle = []
        if notes := edits._notes.get(statement):
            lines = [cst.EmptyLine(comment=cst.Comment(f"# {text}")) for text in notes]
            if middle:
                first = middle[0]
                middle[0] = first.with_changes(leading_lines=[*first.leading_lines, *lines])
        result = [*before, *middle, *after]
        if before and middle:
            result = _move_leading_lines(before, middle, after)
        return result

    def kept_lines(self, statement: Any, new: list[Any]) -> list[cst.EmptyLine]:
        """Comment lines of a statement that its replacement lost."""
        if not self.lost or statement not in self.edits._dirty:
            return []
        have: Counter[str] = Counter()
        for item in new:
            have.update(comments(item))
        lines: list[cst.EmptyLine] = []
        for text in (comments(statement) - have).elements():
            if self.lost[text] > 0:
                self.lost[text] -= 1
                lines.append(cst.EmptyLine(comment=cst.Comment(text)))
        return lines


def _is_emptied(old: Any, new: Any) -> bool:
    """Whether an edit left nothing of an `if` whose test only reads."""
    if not isinstance(new, cst.If) or new.orelse is not None or new is old:
        return False
    only = new.body.body[0] if len(new.body.body) == 1 else None
    is_pass = isinstance(only, cst.SimpleStatementLine) and isinstance(only.body[0], cst.Pass)
    was_pass = len(old.body.body) == 1 and "pass" in cst.Module([]).code_for_node(old.body)
    return is_pass and not was_pass and not any(isinstance(n, cst.Call) for n in walk(new.test))


def _push_comments(statement: Any, inner: list[Any], rest: list[cst.EmptyLine]) -> list[Any]:
    """The statements of an unwrapped block, its header's comment above them."""
    header = getattr(statement.body, "header", None)
    if inner and header is not None and header.comment is not None:
        line = cst.EmptyLine(comment=header.comment)
        inner[0] = inner[0].with_changes(leading_lines=[line, *inner[0].leading_lines])
    return inner


def _with_blank_lines_outside(block: Any) -> Any:
    """A new block whose first statement stood after blank lines, which go above the block."""
    first, *rest = block.body.body
    lines = list(first.leading_lines)
    blank = []
    while lines and lines[0].comment is None:
        blank.append(lines.pop(0))
    if not blank:
        return block
    body = block.body.with_changes(body=[first.with_changes(leading_lines=lines), *rest])
    return block.with_changes(body=body, leading_lines=[*block.leading_lines, *blank])


def _inherit_lines(statement: Any, new: list[Any]) -> list[Any]:
    """Give a replaced statement's blank and comment lines and its trailing comment to the new."""
    if not new:
        return new
    leading = list(getattr(statement, "leading_lines", ()))
    if leading and new[0].leading_lines is not statement.leading_lines:
        own = [line for line in new[0].leading_lines if line.comment is not None]
        new[0] = new[0].with_changes(leading_lines=[*leading, *own])
    last = new[-1]
    if (
        isinstance(statement, cst.SimpleStatementLine)
        and isinstance(last, cst.SimpleStatementLine)
        and statement.trailing_whitespace.comment
        and not last.trailing_whitespace.comment
    ):
        new[-1] = last.with_changes(trailing_whitespace=statement.trailing_whitespace)
    return new


def _move_leading_lines(before: list[Any], middle: list[Any], after: list[Any]) -> list[Any]:
    lines = middle[0].leading_lines
    middle[0] = middle[0].with_changes(leading_lines=[])
    before[0] = before[0].with_changes(leading_lines=[*lines, *before[0].leading_lines])
    return [*before, *middle, *after]


# Python's operator precedence, loosest first (Language Reference 6.17).
_LOOSE: dict[type[Any], int] = {
    cst.NamedExpr: 0, cst.Lambda: 1, cst.IfExp: 2, cst.Comparison: 6, cst.Await: 15,
    cst.Yield: 0, cst.GeneratorExp: 20,
}  # fmt: skip
_BINARY: dict[type[Any], int] = {
    cst.BitOr: 7, cst.BitXor: 8, cst.BitAnd: 9, cst.LeftShift: 10, cst.RightShift: 10,
    cst.Add: 11, cst.Subtract: 11, cst.Multiply: 12, cst.Divide: 12, cst.FloorDivide: 12,
    cst.Modulo: 12, cst.MatrixMultiply: 12, cst.Power: 14,
}  # fmt: skip


def precedence(node: cst.CSTNode) -> int:
    """How tightly an expression binds; atoms, calls and attributes 20."""
    if getattr(node, "lpar", None):
        return 21
    match node:
        case cst.BooleanOperation():
            return 3 if isinstance(node.operator, cst.Or) else 4
        case cst.UnaryOperation():
            return 5 if isinstance(node.operator, cst.Not) else 13
        case cst.BinaryOperation():
            return _BINARY[type(node.operator)]
        case cst.Tuple():
            return -1
        case cst.Integer() | cst.Float():
            return 19
    return _LOOSE.get(type(node), 20)


def _changed(node: Any, changes: dict[str, Any]) -> Any:
    """The node with some children changed; `if(x):` gets a space where the parentheses went."""
    try:
        return node.with_changes(**changes)
    except cst.CSTValidationError:
        spaces = _spaces(node)
        if isinstance(getattr(node, "operator", None), cst.CSTNode):
            spaces["operator"] = node.operator.with_changes(**_spaces(node.operator))
        return node.with_changes(**{**spaces, **changes})


def _spaces(node: Any) -> dict[str, Any]:
    """The white space of a node that is empty and may be a blank."""
    return {
        name: cst.SimpleWhitespace(" ")
        for name in node.__dataclass_fields__
        if name.startswith("whitespace")
        and name != "whitespace_before_colon"
        and getattr(getattr(node, name), "value", None) == ""
    }


def _with_parens(node: Any, least: int) -> Any:
    if isinstance(node, cst.BaseExpression) and precedence(node) < least:
        return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return node


def _bind_receivers(node: Any) -> Any:
    """`a + b.first().second()` as `(a + b).first().second()`, where `a + b` was put there."""
    if not isinstance(node, (cst.Call, cst.Attribute)):
        return node
    name = "func" if isinstance(node, cst.Call) else "value"
    old = getattr(node, name)
    new = _bind_receivers(old)
    return parenthesize_operands(node if new is old else node.with_changes(**{name: new}))


def _bare_argument(value: Any) -> Any:
    """An argument without the parentheses that it needed where it stood before."""
    kept = (cst.Tuple, cst.GeneratorExp, cst.Yield, cst.NamedExpr)
    if isinstance(value, kept) or len(getattr(value, "lpar", ())) != 1:
        return value
    if comments(value.lpar[0]) or comments(value.rpar[0]):
        return value
    return value.with_changes(lpar=[], rpar=[])


def _with_other_quotes(string: cst.FormattedString) -> cst.FormattedString:
    """An f-string whose inner strings have other quotes: before Python 3.12 they have to."""
    own = string.end
    other = "'" if own[0] == '"' else '"'

    def change(node: cst.CSTNode) -> cst.CSTNode | None:
        if not isinstance(node, cst.SimpleString) or node.quote != own:
            return None
        text = node.raw_value
        if other in text or "\\" in text:
            return None
        return node.with_changes(value=f"{node.prefix}{other}{text}{other}")

    return rebuild(string, change)


def parenthesize_operands(node: Any) -> Any:
    """Parentheses around operands that would bind differently without them."""
    changes: dict[str, Any] = {}

    def need(name: str, least: int) -> None:
        old = getattr(node, name)
        new = _with_parens(old, least)
        if new is not old:
            changes[name] = new

    match node:
        case cst.BinaryOperation():
            level = (
                precedence(node.with_changes(lpar=[], rpar=[])) if node.lpar else precedence(node)
            )
            power = isinstance(node.operator, cst.Power)
            need("left", level + 1 if power else level)
            need("right", 13 if power else level + 1)
        case cst.UnaryOperation():
            need("expression", 5 if isinstance(node.operator, cst.Not) else 13)
        case cst.BooleanOperation():
            level = 3 if isinstance(node.operator, cst.Or) else 4
            need("left", level)
            need("right", level + 1)
        case cst.Comparison():
            need("left", 7)
        case cst.ComparisonTarget():
            need("comparator", 7)
        case cst.Attribute() | cst.Subscript():
            need("value", 20)
        case cst.Call():
            need("func", 20)
        case cst.IfExp():
            need("body", 3)
            need("test", 3)
            need("orelse", 2)
        case cst.Arg() | cst.Index():
            if isinstance(node, cst.Arg):
                need("value", 1 if node.star else -1)
                value = changes.get("value", node.value)
                if isinstance(value, cst.Tuple) and not value.lpar:
                    changes["value"] = _with_parens(value, 0)
        case cst.StarredElement() | cst.StarredDictElement():
            need("value", 7)
        case cst.DictElement():
            need("key", 1)
            need("value", 1)
        case cst.Element():
            need("value", 1)
        case cst.CompFor():
            need("iter", 3)
        case cst.CompIf():
            need("test", 3)
        case cst.FormattedStringExpression():
            need("expression", 2)
            if code(changes.get("expression", node.expression)).startswith("{"):
                changes["whitespace_before_expression"] = cst.SimpleWhitespace(" ")
        case cst.FormattedString():
            return _with_other_quotes(node)
    return _changed(node, changes) if changes else node
