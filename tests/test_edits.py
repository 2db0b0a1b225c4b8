"""Edits: nothing of the program is lost, and what goes into an expression keeps its meaning."""

import ast

import libcst as cst
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transpiler.edits import Edits
from transpiler.normalize import normalize
from transpiler.syntax import comments, find
from transpiler.template import fill, fill_statements

# ---- expressions keep their meaning ----------------------------------------------------------

OUTER = [
    "x",
    "x + a",
    "a + x",
    "x - a",
    "a - x",
    "x * a",
    "a * x",
    "x @ a",
    "a / x",
    "x // a",
    "a % x",
    "x ** a",
    "a ** x",
    "-x",
    "~x",
    "-x ** a",
    "not x",
    "x and a",
    "a and x",
    "x or a",
    "a or x",
    "x < a",
    "a < x",
    "a < x < b",
    "a in x",
    "x is not a",
    "x & a",
    "a | x",
    "a ^ x",
    "a << x",
    "x >> a",
    "x if a else b",
    "a if x else b",
    "a if b else x",
    "x.real",
    "x[a]",
    "x(a)",
    "x.f(a)",
    "a[x]",
    "a[x:]",
    "a[:x]",
    "a[::x]",
    "a[b, x]",
    "a(x)",
    "a(b, x)",
    "a(k=x)",
    "a(*x)",
    "a(**x)",
    "(x, a)",
    "(a, x)",
    "[x, a]",
    "[*x]",
    "{x, a}",
    "{x: a}",
    "{a: x}",
    "{**x}",
    "[x for a in b]",
    "[a for a in x]",
    "[a for a in b if x]",
    "{x: a for a in b}",
    "{a: x for a in b}",
    "(x for a in b)",
    "lambda: x",
    "lambda a=x: a",
    "f'{x}'",
    "f'{x:.2f} {x!r}'",
    "(y := x)",
]
INNER = [
    "p",
    "1",
    "1.5",
    "-1",
    "p + q",
    "p - q",
    "p * q",
    "p / q",
    "p ** q",
    "-p",
    "not p",
    "p and q",
    "p or q",
    "p < q",
    "p < q < r",
    "p not in q",
    "p & q",
    "p | q",
    "p << q",
    "p if q else r",
    "p.q",
    "p[q]",
    "p(q)",
    "lambda: p",
    "(p, q)",
    "[p, q]",
    "{p: q}",
    "(p for p in q)",
    "[p for p in q]",
    "'text'",
    '"text"',
    "p['text']",
]


class _Substitute(ast.NodeTransformer):
    def __init__(self, new: ast.expr) -> None:
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.new if node.id == "x" else node


class _Flatten(ast.NodeTransformer):
    """`(p and q) and r` means what `p and q and r` does."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        values: list[ast.expr] = []
        for value in node.values:
            same = isinstance(value, ast.BoolOp) and isinstance(value.op, type(node.op))
            values.extend(value.values if same else [value])  # type: ignore[attr-defined]
        return ast.BoolOp(node.op, values)


def _meaning(tree: str | ast.AST) -> str:
    tree = ast.parse(tree.strip(), mode="eval") if isinstance(tree, str) else tree
    return ast.dump(_Flatten().visit(tree))


def _expected(outer: str, inner: str) -> str:
    tree = ast.parse(outer, mode="eval")
    tree.body = _Substitute(ast.parse(inner, mode="eval").body).visit(tree.body)
    return _meaning(tree)


@pytest.mark.parametrize("outer", OUTER)
def test_replaced_operand_keeps_its_meaning(outer: str) -> None:
    for inner in INNER:
        module = cst.parse_module(f"{outer}\n")
        edits = Edits(module)
        for name in [n for n in find(module, cst.Name) if n.value == "x"]:
            edits.replace(name, cst.parse_expression(inner))
        assert _meaning(edits.apply().code) == _expected(outer, inner), (outer, inner)


@pytest.mark.parametrize("template", OUTER)
def test_filled_template_keeps_its_meaning(template: str) -> None:
    for inner in INNER:
        module = cst.parse_module(f"{inner}\n")
        edits = Edits(module)
        [whole] = [s.body[0].value for s in module.body]  # type: ignore[union-attr,index]
        edits.replace(whole, fill(template, x=whole))
        assert _meaning(edits.apply().code) == _expected(template, inner), (template, inner)


# ---- comments --------------------------------------------------------------------------------

COMMENTED = '''# 1 top
import os  # 2

# 3 above a class


class K:  # 4 header
    # 5 inside
    a = 1  # 6

    # 7 above a method
    def f(  # 8 after the parenthesis
        self,
        x,  # 9 beside a parameter
        # 10 before the end
    ):  # 11 header
        """Doc."""
        # 12 first line
        if x:  # 13
            y = [  # 14
                1,  # 15
                # 16 between
                2,
            ]  # 17
        # 18 before elif
        elif y:  # 19
            pass  # 20
        else:  # 21
            # 22 only a comment and a pass
            pass
        for i in y: print(i)  # 23 on one line
        # 24 at the end of the body


# 25 between definitions
with open(  # 26
    "f"
) as g:
    # 27
    g.read(); g.close()  # 28
try:  # 29
    z = (  # 30
        # 31 in parentheses
        1
        + 2  # 32
    )
except E:  # 33
    pass  # 34
finally:  # 35
    # 36
    pass
while z:  # 37
    z = f(  # 38
        a,  # 39
        b=2,  # 40
    )
    break
    # 41 after the last statement
# 42 at the end
'''
TREE = normalize(cst.parse_module(COMMENTED))
STATEMENTS = list(
    find(TREE, cst.SimpleStatementLine, cst.If, cst.For, cst.With, cst.While, cst.Try)
)
EXPRESSIONS = [
    n
    for n in find(TREE, cst.Call, cst.List, cst.BinaryOperation, cst.Integer, cst.Name)
    if not isinstance(n, cst.Name) or n.value == "x"
]


def _kept(module: cst.Module) -> None:
    compile(module.code, "edited", "exec")
    assert not comments(TREE) - comments(cst.parse_module(module.code))


@pytest.mark.parametrize("index", range(len(STATEMENTS)))
@pytest.mark.parametrize("new", [[], "line", "two", "block"])
def test_replaced_statement_leaves_its_comments(index: int, new: str | list[object]) -> None:
    lines = {
        "line": "p = 1",
        "two": "p = 1\nq = 2",
        "block": "with p:\n    q = 1",
    }
    edits = Edits(TREE)
    statements = fill_statements(lines[new]) if isinstance(new, str) else []
    edits.replace(STATEMENTS[index], statements)
    _kept(edits.apply())


def test_replaced_expressions_leave_their_comments() -> None:
    for node in EXPRESSIONS:
        if isinstance(Edits(TREE).parent[node], (cst.Param, cst.NameItem)):
            continue
        edits = Edits(TREE)
        edits.replace(node, cst.Name("new"))
        _kept(edits.apply())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_edits_together_keep_every_comment(data: st.DataObject) -> None:
    edits = Edits(TREE)
    for statement in data.draw(st.lists(st.sampled_from(STATEMENTS), max_size=6, unique_by=id)):
        match data.draw(st.sampled_from(["drop", "line", "before", "after", "note", "unwrap"])):
            case "drop":
                edits.replace(statement, [])
            case "line":
                edits.replace(statement, fill_statements("new = 1"))
            case "before":
                edits.insert_before(statement, fill_statements("first = 1\nsecond = 2"))
            case "after":
                edits.insert_after(statement, fill_statements("later = 1"))
            case "note":
                edits.note(statement, "TODO(transpile): why")
            case "unwrap" if isinstance(statement, cst.With):
                edits.unwrap(statement)
    for node in data.draw(st.lists(st.sampled_from(EXPRESSIONS), max_size=4, unique_by=id)):
        if not isinstance(edits.parent[node], (cst.Param, cst.NameItem)):
            edits.wrap(node, lambda x: fill("wrapped(x)", x=x))
    _kept(edits.apply())


# ---- edits that meet --------------------------------------------------------------------------


def _apply(source: str, plan: object) -> str:
    module = normalize(cst.parse_module(source))
    edits = Edits(module)
    plan(edits, module)  # type: ignore[operator]
    return edits.apply().code


def test_no_edit_gives_the_very_module_back() -> None:
    module = cst.parse_module(COMMENTED)
    assert Edits(module).apply() is module


def test_edits_inside_of_replaced_code_are_carried_out() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        outer, inner = find(module, cst.Call)
        edits.replace(outer, fill("g(y)", y=outer.args[0].value))
        edits.replace(inner, fill("h(z)", z=inner.args[0].value))

    assert _apply("a = f(k(x + 1))\n", plan) == "a = g(h(x + 1))\n"


def test_a_replacement_may_hold_the_node_itself() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        [call] = find(module, cst.Call)
        edits.replace(call, fill("float(c)", c=call))
        edits.wrap(call, lambda x: fill("abs(x)", x=x))

    assert _apply("a = f(x)\n", plan) == "a = abs(float(f(x)))\n"


def test_a_header_comment_stays_above_what_is_inserted_before() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        edits.insert_before(module.body[1], fill_statements("first = 0"))

    assert _apply("a = 1\n# about b\nb = 2\n", plan) == "a = 1\n# about b\nfirst = 0\nb = 2\n"


def test_a_block_that_loses_everything_passes() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        [loop] = find(module, cst.For)
        edits.replace(loop.body.body[0], [])

    assert _apply("for i in x:\n    a = i\n", plan) == "for i in x:\n    pass\n"


def test_a_test_without_consequences_goes_but_one_that_calls_stays() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        for test in find(module, cst.If):
            edits.replace(test.body.body[0], [])

    assert _apply("if a:\n    b = 1\nc = 1\n", plan) == "c = 1\n"
    assert _apply("if a():\n    b = 1\nc = 1\n", plan) == "if a():\n    pass\nc = 1\n"


def test_an_unwrapped_block_takes_the_place_of_its_statement() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        [block] = find(module, cst.With)
        edits.unwrap(block)

    source = "# above\nwith p():  # header\n    a = 1  # one\n    # two\n    b = 2\n"
    assert _apply(source, plan) == "# above\n# header\na = 1  # one\n# two\nb = 2\n"


def test_a_statement_may_move_to_another_block() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        first, second = module.body
        assert isinstance(second, cst.For)
        edits.replace_body(module, [second])
        edits.replace_body(second.body, [first, *second.body.body])
        [number] = find(first, cst.Integer)
        edits.replace(number, cst.Integer("2"))

    assert _apply("a = 1  # one\nfor i in x:\n    b = i\n", plan) == (
        "for i in x:\n    a = 2  # one\n    b = i\n"
    )


def test_a_note_stands_once_above_its_statement() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        for call in find(module, cst.Call):
            edits.note(call, "TODO(transpile): why")

    once = _apply("x = 1\ny = f(g(x))\n", plan)
    assert once == "x = 1\n# TODO(transpile): why\ny = f(g(x))\n"
    assert _apply(once, plan) == once


def test_what_is_wrapped_in_methods_keeps_its_operands() -> None:
    module = cst.parse_module("f(a + b)\n")
    edits = Edits(module)
    [total] = find(module, cst.BinaryOperation)
    edits.wrap(total, lambda x: fill("x.first().second()", x=x))
    assert edits.apply().code == "f((a + b).first().second())\n"


def test_comments_of_removed_statements_keep_their_order() -> None:
    def plan(edits: Edits, module: cst.Module) -> None:
        edits.replace(module.body[0], [])

    source = "# one\n# two\na = f(  # three\n    1,  # four\n)  # five\n# six\nb = 2\n"
    found = _apply(source, plan)
    assert found == "# one\n# two\n# three\n# four\n# five\n# six\nb = 2\n"
