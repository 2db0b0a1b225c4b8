"""Data flow: the names that statements read and bind, which is what a step takes and returns."""

import libcst as cst
import pytest

from transpiler.dataflow import always_writes, exposed_reads, reads, writes


def statements(source: str) -> list[cst.CSTNode]:
    return list(cst.parse_module(source).body)


def names(text: str) -> set[str]:
    return set(text.split())


@pytest.mark.parametrize(
    ("source", "read", "bound"),
    [
        ("a = b", "b", "a"),
        ("a = b = c", "c", "a b"),
        ("a, (b, *c) = d", "d", "a b c"),
        ("a += b", "a b", "a"),
        ("a: int = b", "b", "a"),
        ("a.b = c", "a c", ""),
        ("a[i] = c", "a i c", ""),
        ("a.b += c", "a c", ""),
        ("f(a, k=b)", "f a b", ""),
        ("a.b.c(d)", "a d", ""),
        ("x = [a for a in b if a > c]", "b c", "x"),
        ("x = {k: v for k, v in d.items()}", "d", "x"),
        ("f = lambda a, b=c: a + d", "c d", "f"),
        ("for i in a:\n    b = i", "a i", "i b"),
        ("with a as b:\n    c = b", "a b", "b c"),
        ("print(y := x)", "print x", "y"),
        ("import a.b", "", "a"),
        ("import a.b as c", "", "c"),
        ("from a import b as c", "", "c"),
        ("x = None", "", "x"),
        ("del a", "a", ""),
    ],
)
def test_one_statement(source: str, read: str, bound: str) -> None:
    [statement] = statements(source)
    if not source.startswith(("for", "with", "print(y")):  # what they bind they may read as well
        assert reads(statement) == names(read)
    else:
        assert reads(statement) >= names(read) - writes(statement)
    assert writes(statement) == names(bound)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = 1\nb = a", ""),
        ("b = a\na = 1", "a"),
        ("a += 1", "a"),
        ("if c:\n    a = 1\nb = a", "c a"),
        ("if c:\n    a = 1\nelse:\n    a = 2\nb = a", "c"),
        ("for a in b:\n    c = a\nd = c", "b c"),
        ("for a in b:\n    t = t + a", "b t"),
        ("with f() as a:\n    b = a\nc = b", "f"),
        ("if c:\n    a = 1\nelif d:\n    a = 2\nb = a", "c d a"),
        ("x[i] = y", "x i y"),
    ],
)
def test_what_is_needed_from_before(source: str, expected: str) -> None:
    assert exposed_reads(statements(source)) == names(expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a = 1", "a"),
        ("if c:\n    a = b = 1\nelse:\n    a = 2", "a"),
        ("if c:\n    a = 1", ""),
        ("for i in x:\n    a = 1", ""),
        ("while c:\n    a = 1", ""),
        ("with f() as g:\n    a = 1", "a g"),
        ("with f():\n    if c:\n        a = 1", ""),
        ("try:\n    a = 1\nexcept E:\n    pass", ""),
    ],
)
def test_what_is_bound_whichever_way_it_goes(source: str, expected: str) -> None:
    [statement] = statements(source)
    assert always_writes(statement) == names(expected)
