"""The interpreter: what is known of expressions without running the program."""

from __future__ import annotations

import libcst as cst
import pytest

from transpiler import rulebook
from transpiler.infer.interpreter import Interpreter
from transpiler.infer.values import (
    Bound,
    Const,
    Instance,
    Number,
    Symbol,
    Tensor,
    Value,
    items_of,
    options,
)
from transpiler.normalize import normalize
from transpiler.syntax import find

HEADER = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def interpret(source: str, siblings: dict[str, str] | None = None) -> list[Value]:
    """What is known of each `reveal(...)`, in the order in which they stand."""
    module = normalize(cst.parse_module(HEADER + source))

    def load(name: str) -> cst.Module | None:
        text = (siblings or {}).get(name)
        return None if text is None else normalize(cst.parse_module(text))

    interpreter = Interpreter(rulebook.load(()).knowledge, load)
    interpreter.run(module)
    return [
        interpreter.facts[call.args[0].value]
        for call in find(module, cst.Call)
        if isinstance(call.func, cst.Name) and call.func.value == "reveal"
    ]


def show(value: Value) -> str:
    """A short text for a value."""
    match value:
        case Const():
            return repr(value.value)
        case Number():
            return value.type
        case Tensor():
            known = value.shape
            shape = "..." if known is None else ",".join(str(d or "?") for d in known)
            return f"[{shape}] {value.dtype}"
        case Symbol() | Bound():
            return value.name
        case Instance():
            return repr(value)
    return " | ".join(sorted(show(o) for o in options(value))) if len(options(value)) > 1 else "?"


def reveal(source: str, siblings: dict[str, str] | None = None) -> str:
    [value] = interpret(source, siblings)
    return show(value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("reveal(2 * 3 + 1)", "7"),
        ("a, b = 1, 2.5\nreveal(a + b)", "3.5"),
        ("a, *b, c = 1, 2, 3, 4\nreveal(b[1] + c)", "7"),
        ("x = [i * i for i in range(4)]\nreveal(x[2])", "4"),
        ("x = {'a': 1, 'b': 2}\nreveal(x['b'])", "2"),
        ("x = dict(a=1)\nx['b'] = 'text'\nreveal(x['b'])", "'text'"),
        ("x = []\nx.append(3)\nreveal(x[0])", "3"),
        ("x = 'a b'.split()\nreveal(len([1, 2]) > 1)", "True"),
        ("f = lambda x, k=2: x * k\nreveal(f(4))", "8"),
        ("def f(x, *rest, k=1, **more):\n    return x + k\n\nreveal(f(4, 5, k=2, z=3))", "6"),
        ("def f(n):\n    def g():\n        return n + 1\n    return g\n\nreveal(f(1)())", "2"),
        ("n = 1\ndef f():\n    global n\n    n = 2\n\nf()\nreveal(n)", "int"),
        ("reveal(1 if True else 'a')", "1"),
        ("reveal((lambda: 3)())", "3"),
        ("reveal(isinstance((1, 2), (list, tuple)))", "True"),
        ("reveal(isinstance({}, nn.Module))", "False"),
        ("reveal(isinstance(torch.zeros(2), dict))", "False"),
        ("reveal(hasattr(torch.zeros(2), 'rows'))", "False"),
        (
            "def f(x):\n    if isinstance(x, tuple):\n        return 1\n    return 'a'\n\n"
            "reveal(f((2,)))",
            "1",
        ),
        (
            "def f(x):\n    if x is None:\n        yield 'a'\n    else:\n        yield 1\n\n"
            "for i in f(2):\n    reveal(i)",
            "1",
        ),
        ("i = 2\nreveal(f'block{i}')", "'block2'"),
        ("i = 2\nreveal(f'{i:03d}')", "str"),
        ("reveal('block{}'.format(2))", "'block2'"),
        ("x = [1, 2, 3]\nx.pop()\nreveal(len(x))", "2"),
        ("import pandas as pd\nt = pd.read_csv('f')\nreveal(t[['a', 'b']].values)", "[?,2] None"),
        (
            "import pandas as pd\nt = pd.read_csv('f')[['a']]\nt['b'] = 1\nreveal(t.values)",
            "[?,?] None",
        ),
        (
            "class A:\n    def __init__(self):\n        self.a = self.make()\n    def make(self):\n"
            "        return 1\nclass B(A):\n    def __init__(self):\n        super().__init__()\n"
            "    def make(self):\n        return 2\n\nreveal(B().a)",
            "2",
        ),
        ("import types\nhp = types.SimpleNamespace(lr=0.1, dim=8)\nreveal(hp.dim)", "8"),
    ],
)
def test_python_itself(source: str, expected: str) -> None:
    assert reveal(source) == expected


SETTINGS = """
from dataclasses import dataclass, field
@dataclass
class Settings:
    name: str
    widths: list = field(default_factory=lambda: [32, 16])
    depth: int = field(default=3)
@dataclass
class More(Settings):
    rate: float = 0.5
"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("reveal(Settings('a').widths[1])", "16"),
        ("reveal(Settings('a', [4]).widths[0])", "4"),
        ("reveal(Settings('a').depth)", "3"),
        ("reveal(More('a', [], 2, 0.1).rate)", "0.1"),
        ("Settings('a').widths.append(8)\nreveal(len(Settings('b').widths))", "2"),
    ],
)
def test_fields_of_a_dataclass(source: str, expected: str) -> None:
    assert reveal(SETTINGS + source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if unknown():\n    a = 1\nelse:\n    a = 2\nreveal(a)", "int"),
        ("if unknown():\n    a = 1\nelse:\n    a = 'b'\nreveal(a)", "'b' | 1"),
        ("if False:\n    a = 1\nelse:\n    a = 2\nreveal(a)", "2"),
        ("n = 0\nfor i in range(1000):\n    n = n + 1\nreveal(n)", "int"),
        ("x = torch.zeros(2, 3)\nwhile unknown():\n    x = x.t()\nreveal(x)", "[?,?] float32"),
        ("try:\n    a = 1\nexcept OSError:\n    a = 'b'\nreveal(a)", "'b' | 1"),
        ("with open('f') as f:\n    a = 1\nreveal(a)", "1"),
        ("x = None\nif unknown():\n    x = torch.ones(3)\nreveal(x)", "None | [3] float32"),
        ("a = []\nif unknown():\n    a = [torch.ones(3)]\nreveal(a[0])", "[3] float32"),
        ("a = [1]\nif unknown():\n    a.append(2)\nreveal(len(a))", "int"),
        ("a = [nn.ReLU()]\nif unknown():\n    a.append(nn.Tanh())\nreveal(len(a))", "int"),
        ("a = []\nfor i in unknown():\n    a += [i]\nreveal(len(a))", "int"),
        ("a = [1]\nif unknown():\n    a.clear()\nreveal(len(a))", "int"),
    ],
)
def test_ways_that_meet(source: str, expected: str) -> None:
    assert reveal(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("reveal(torch.zeros(2, 3))", "[2,3] float32"),
        ("reveal(torch.zeros(2, 3, dtype=torch.long))", "[2,3] int64"),
        ("reveal(torch.zeros(4, 1) + torch.zeros(3))", "[4,3] float32"),
        ("reveal(torch.zeros(4, 2) @ torch.zeros(2, 5))", "[4,5] float32"),
        ("reveal(torch.zeros(4, 2) > 0)", "[4,2] bool"),
        ("reveal(torch.zeros(4, 2, 3)[1:3, :, 0])", "[2,2] float32"),
        ("reveal(torch.zeros(4, 2, 3)[None, ..., -1])", "[1,4,2] float32"),
        ("reveal(torch.zeros(4, 2, 3)[..., 0, :])", "[4,3] float32"),
        ("reveal(torch.zeros(4, 2, 3)[0, ...])", "[2,3] float32"),
        ("reveal(torch.zeros(4, 2, 3)[..., None])", "[4,2,3,1] float32"),
        ("reveal(torch.zeros(4, 2, 3)[[0, 1]])", "[2,2,3] float32"),
        ("reveal(torch.zeros(4, 2, 3)[torch.zeros(5, 7).long()])", "[5,7,2,3] float32"),
        ("reveal(torch.zeros(4, 2, 3)[torch.zeros(4, 2) > 0])", "[?,3] float32"),
        ("reveal(torch.zeros(4, 2).sum(dim=1, keepdim=True))", "[4,1] float32"),
        ("reveal(torch.zeros(4, 6).view(-1, 3))", "[8,3] float32"),
        ("reveal(torch.zeros(4, 6).view(4, 2, -1).permute(2, 0, 1))", "[3,4,2] float32"),
        ("reveal(torch.cat([torch.zeros(4, 6), torch.zeros(2, 6)]))", "[6,6] float32"),
        ("reveal(torch.stack([torch.zeros(4, 6)] * 3, dim=1))", "[4,3,6] float32"),
        ("reveal(nn.Conv2d(3, 8, 3, stride=2)(torch.zeros(2, 3, 9, 9)))", "[2,8,4,4] float32"),
        ("reveal(nn.Linear(3, 7)(torch.zeros(2, 5, 3)))", "[2,5,7] float32"),
        ("x = torch.zeros(2, 5)\nreveal(x.argmax(1))", "[2] int64"),
        ("x = torch.zeros(2, 5)\nreveal(x.max(1).values)", "[2] float32"),
        ("v, i = torch.zeros(2, 5).max(dim=1)\nreveal(i)", "[2] int64"),
        ("reveal(torch.zeros(2, 5).shape[1])", "5"),
        ("b, n = torch.zeros(2, 5).size()\nreveal(b * n)", "10"),
        ("reveal(torch.zeros(2, 5).mean().item())", "float"),
        ("reveal(F.relu)", "torch.nn.functional.relu"),
        ("reveal(F.cross_entropy(torch.zeros(2, 5), torch.zeros(2).long()))", "[] float32"),
    ],
)
def test_arrays(source: str, expected: str) -> None:
    assert reveal(source) == expected


@pytest.mark.parametrize(
    ("imports", "name"),
    [
        ("import torch as t", "t.nn.functional.relu"),
        ("import torch.nn as layers", "layers.functional.relu"),
        ("import torch.nn.functional", "torch.nn.functional.relu"),
        ("from torch.nn import functional as fn", "fn.relu"),
        ("from torch.nn.functional import relu as r", "r"),
        ("from torch.nn.functional import *", "relu"),
        ("from torch import *", "nn.functional.relu"),
        ("import torch\nalias = torch.nn.functional", "alias.relu"),
    ],
)
def test_names_are_found_whatever_they_are_called(imports: str, name: str) -> None:
    assert reveal(f"{imports}\nreveal({name})") == "torch.nn.functional.relu"


@pytest.mark.parametrize(
    "source",
    [
        "data = Mine()\nreveal(data.DataLoader)",
        "def f(torch):\n    reveal(torch.zeros(2))\n\nf(Mine())",
        "class torch:\n    zeros = 3\n\nreveal(torch.zeros)",
        "torch = 1\nreveal(torch)",
        "from numpy import zeros\nreveal(zeros)",
        "reveal([torch for torch in (1, 2)][0])",
    ],
)
def test_names_of_the_program_s_own_are_not_the_framework_s(source: str) -> None:
    assert "torch" not in reveal(source)


NET = """
class Block(nn.Module):
    def __init__(self, width, depth=2):
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(width, 2))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)

    @property
    def double(self):
        return self.width * 2

    @staticmethod
    def half(n):
        return n // 2

    @classmethod
    def small(cls):
        return cls(4)
"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("reveal(Block(8))", "Instance(Block)"),
        ("reveal(Block(8)(torch.zeros(3, 8)))", "[3,2] float32"),
        ("reveal(Block(8).double)", "16"),
        ("reveal(Block.half(8))", "4"),
        ("reveal(Block.small().width)", "4"),
        ("reveal(Block(8).layers[1])", "Instance(torch.nn.Linear)"),
        ("reveal(len(Block(8, depth=3).layers))", "3"),
        ("reveal(Block(8).head[0])", "Instance(torch.nn.ReLU)"),
        ("net = Block(8)\nnet.extra = 3\nreveal(net.extra)", "3"),
        (
            "class Wide(Block):\n    def __init__(self):\n        super().__init__(32)\n\n"
            "reveal(Wide()(torch.zeros(3, 32)))",
            "[3,2] float32",
        ),
        ("reveal(Block(8).parameters)", "torch.nn.Module.parameters"),
        ("reveal(isinstance(Block(8), nn.Module))", "True"),
    ],
)
def test_the_program_s_classes(source: str, expected: str) -> None:
    assert reveal(NET + source) == expected


def test_functions_that_nobody_calls_are_interpreted_too() -> None:
    assert reveal("def f(x):\n    y = torch.zeros(2)\n    reveal(y)\n") == "[2] float32"


def test_what_a_parameter_is_shows_in_its_calls() -> None:
    source = "def f(x):\n    reveal(x)\n\nf(torch.zeros(2, 3))\nf(torch.zeros(4, 3))\n"
    assert reveal(source) == "[?,3] float32"


@pytest.mark.parametrize(
    ("imports", "use"),
    [
        ("import parts", "parts.make()"),
        ("from parts import make", "make()"),
        ("from parts import make as m", "m()"),
        ("from parts import *", "make()"),
        ("import package.inner", "package.inner.make()"),
        ("from package import inner", "inner.make()"),
        ("from package.inner import make", "make()"),
    ],
)
def test_other_files_of_the_project(imports: str, use: str) -> None:
    text = "import torch\ndef make():\n    return torch.zeros(2, 3)\n"
    siblings = {"parts": text, "package": "", "package.inner": text}
    assert reveal(f"{imports}\nreveal({use})", siblings) == "[2,3] float32"


def test_the_mode_at_each_call() -> None:
    module = normalize(
        cst.parse_module(f"""{HEADER}
net = nn.Dropout(0.5)
net(1)
net.eval()
net(2)
net.train()
net(3)
""")
    )
    interpreter = Interpreter(rulebook.load(()).knowledge)
    interpreter.run(module)
    found = {
        str(call.args[0].value.value): modes  # type: ignore[attr-defined]
        for call, modes in interpreter.call_modes.items()
        if isinstance(call, cst.Call)
    }
    assert found == {"1": {True}, "2": {False}, "3": {True}}


@pytest.mark.parametrize(
    "source",
    [
        "def f(n):\n    return f(n - 1)\n\nreveal(f(3))",
        "class A:\n    def __init__(self):\n        self.a = A()\n\nreveal(A().b)",
        "x = []\nx.append(x)\nreveal(x[0].y)",
        "while True:\n    a = unknown(1)\nreveal(a)",
        "reveal(torch.no_such_thing(1).of_this().name)",
        "def f():\n    yield from f()\n\nfor i in f():\n    reveal(i)",
    ],
)
def test_it_comes_to_an_end(source: str) -> None:
    interpret(source)


def test_what_a_star_takes_is_known_also_where_it_is_nothing() -> None:
    none, one = interpret("""
for batch in ([1, 2], (3, 4)):
    first, second, *others = batch
    reveal(others)
first, *others, last = 1, 2, 3
reveal(others)
""")
    assert items_of(none) == ()
    assert items_of(one) == (Const(2),)


def test_settings_of_a_dataclass_that_the_command_line_may_change() -> None:
    values = interpret("""
from dataclasses import dataclass
import tyro
@dataclass
class Args:
    seed: int
    rate: float = 0.1
    track: bool = False
    env: str = None
args = tyro.cli(Args)
reveal(args.seed)
reveal(args.rate)
reveal(args.track)
reveal(args.env)
""")
    assert values[:3] == [
        Number("int", "args.seed"), Number("float", "args.rate"), Number("bool", "args.track")
    ]  # fmt: skip
    assert set(options(values[3])) == {Number("str", "args.env"), Const(None)}
