"""Templates: holes are filled, omitted arguments go, and the shared trees stay as they were."""

import libcst as cst
import pytest

from transpiler.syntax import code
from transpiler.template import OMIT, arguments, as_node, call, fill, fill_statements


def filled(template: str, **holes: object) -> str:
    return code(fill(template, **holes))


@pytest.mark.parametrize(
    ("template", "holes", "expected"),
    [
        ("f(x)", {"x": 1}, "f(1)"),
        ("f(x, k=y)", {"x": "a", "y": None}, 'f("a", k=None)'),
        ("f(x, k=y)", {"x": 1, "y": OMIT}, "f(1)"),
        ("f(x, k=y)", {"x": OMIT, "y": 2}, "f(k=2)"),
        ("f(x)", {"x": OMIT}, "f()"),
        ("f(*xs, y)", {"xs": [1, 2], "y": 3}, "f(1, 2, 3)"),
        ("f(*xs, y)", {"xs": [], "y": 3}, "f(3)"),
        ("[*xs, 0]", {"xs": [1, 2]}, "[1, 2, 0]"),
        ("x.x(x=x)", {"x": 1}, "1.x(x=1)"),
        ("lambda x: x + y", {"y": 1}, "lambda x: x + 1"),
        ("f(x)", {"x": 1e-5}, "f(1e-5)"),
        ("f(x)", {"x": (2,)}, "f((2,))"),
        ("f(x)", {"x": [1, (2, None)]}, "f([1, (2, None)])"),
        ("f(x)", {"x": "it's"}, 'f("it\'s")'),
        ("f(x)", {"x": 'a"b'}, "f('a\"b')"),
    ],
)
def test_holes(template: str, holes: dict[str, object], expected: str) -> None:
    assert filled(template, **holes) == expected


def test_only_names_given_are_holes() -> None:
    assert filled("tf.reshape(x, shape)", x=cst.Name("a")) == "tf.reshape(a, shape)"


def test_a_name_that_is_an_attribute_or_a_keyword_is_no_hole() -> None:
    assert filled("f.x(x=1)", x=2) == "f.x(x=1)"


def test_nodes_stay_themselves() -> None:
    node = cst.parse_expression("a + b")
    new = fill("f(x)", x=node)
    assert isinstance(new, cst.Call)
    assert new.args[0].value is node


def test_a_template_can_be_filled_again_and_in_two_places() -> None:
    first, second = fill("f(x, g(1))", x=1), fill("f(x, g(1))", x=2)
    assert (code(first), code(second)) == ("f(1, g(1))", "f(2, g(1))")
    both = fill("f(a, b)", a=fill("x.y"), b=fill("x.y"))
    nodes: set[int] = set()
    stack: list[cst.CSTNode] = [both]
    while stack:
        node = stack.pop()
        if isinstance(node, (cst.Name, cst.Attribute)):
            assert id(node) not in nodes, "a node that stands twice in a tree has two parents"
            nodes.add(id(node))
        stack.extend(node.children)


def test_a_list_with_nodes_is_written_out() -> None:
    assert code(as_node([cst.Name("a"), 2])) == "[a, 2]"
    assert code(as_node((cst.Name("a"), 2))).strip("()") == "a, 2"


def test_statements_take_the_place_of_a_line() -> None:
    body = fill_statements("a = 1\nb = 2")
    [block] = fill_statements("with x as t:\n    body", body=body, t=cst.Name("tape"))
    assert code(block) == "with x as tape:\n    a = 1\n    b = 2\n"
    [block] = fill_statements("if x:\n    body\n    c = 3", body=[])
    assert code(block) == "if x:\n    c = 3\n"


def test_call_leaves_out_what_is_omitted() -> None:
    new = call("layers.Dense", 3, activation=OMIT, use_bias=False)
    assert code(new) == "layers.Dense(3, use_bias=False)"
    assert arguments([OMIT], {"a": OMIT}) == []
