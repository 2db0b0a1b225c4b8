"""Places are those that LibCST itself computes, at a fraction of the cost."""

from pathlib import Path

import libcst as cst
import pytest
from libcst.metadata import MetadataWrapper, PositionProvider

from transpiler.normalize import normalize
from transpiler.places import Places

ROOT = Path(__file__).parent.parent
FILES = sorted([*(ROOT / "corpus").rglob("*.py"), *(ROOT / "transpiler").glob("*.py")])

HARD = '''# a comment above
"""Doc."""
import os; import sys; x = f(1)
if a: b = f(2); c = f(3)
elif g(4):
    d = f(
        5,  # five
      6)
else:
    pass

@dec(7)
# between
@other(8)
async def fun(a: int = h(9), *, b="ä") -> r(10):
    """Doc."""
    async with p(11) as q, r(12): s = "日本" + t(13)
    for i in range(14): u(i)
    else:
        v(15)
    while w(16):
        try:
            x(17)
        except (A, b(18)) as e: y(19)
        except B:
            lambda z: z(20)
        else: a1(21)
        finally:
            a2(22)
class K(base(23), metaclass=meta(24)):
    field: int = c(25)

    @property
    def p(self): return [d(e) for e in f(26) if g(27)]

match h(28):
    case [1, K(x=2)] if i(29):
        j(30)
    case _:
        k(31); l(32)
m = (
    n(33)
    + \\
  o(34)
)
'''


def find_parents(node: cst.CSTNode) -> dict[cst.CSTNode, cst.CSTNode]:
    parents = {}
    stack = [node]
    while stack:
        current = stack.pop()
        for child in current.children:
            parents[child] = current
            stack.append(child)
    return parents


@pytest.mark.parametrize("path", [None, *FILES], ids=lambda p: p.name if p else "hard")
def test_places_of_all_calls_are_libcsts(path: Path | None) -> None:
    source = path.read_text() if path else HARD
    module = cst.parse_module(source)
    positions = MetadataWrapper(module, unsafe_skip_copy=True).resolve(PositionProvider)
    module = normalize(module)  # the nodes stay themselves
    parents = find_parents(module)
    places = Places(module, source, parents)
    kinds = (cst.Call, cst.Name, cst.Attribute, cst.Assign, cst.Arg)
    nodes = [n for n in parents if isinstance(n, kinds) and n in positions]
    assert nodes or path
    for node in nodes:
        start, end = positions[node].start, positions[node].end
        wanted = (start.line, start.column + 1, end.line, end.column + 1)
        assert tuple(places.find(node)) == wanted, cst.Module([]).code_for_node(node)


def test_a_statement_stands_where_it_starts() -> None:
    module = cst.parse_module("\n# c\nfor i in x:\n    pass\n")
    places = Places(module, module.code, find_parents(module))
    assert tuple(places.find(module.body[0])) == (3, 1, 4, 9)
    assert tuple(places.find(module)) == (1, 1, 1, 1)
