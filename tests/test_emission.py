"""Emitted units: written once, what they need before them, under names that are free."""

import ast
from typing import Literal

import pytest
from translating import TORCH, definition, to_tf

from transpiler.config import Config
from transpiler.convert import convert
from transpiler.syntax import code
from transpiler.units import needed_units, sources, unit

ACCUMULATE = """
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x = torch.randn(8, 3)
for i in range(8):
    loss = model(x).mean()
    loss.backward()
    if i % 2:
        optimizer.step()
        optimizer.zero_grad()
"""


def defined(text: str) -> list[str]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [n.name for n in ast.parse(text).body if isinstance(n, kinds)]


def test_a_unit_is_written_once_after_the_imports() -> None:
    text = to_tf("print(F.huber_loss(torch.ones(3), torch.ones(3), delta=2.0), 1)\n" * 2)
    names = defined(text)
    assert len(names) == len(set(names))
    assert "huber_loss" in names
    lines = [type(n).__name__ for n in ast.parse(text).body]
    assert lines == sorted(lines, key=["Import", "ImportFrom", "FunctionDef", "Expr"].index)


def test_units_come_before_the_units_that_use_them() -> None:
    names = needed_units("tf", ["cross_entropy"])
    assert names[-1] == "cross_entropy"
    assert names.index("reduce_loss") < names.index("nll_loss")
    assert needed_units("tf", ["cross_entropy", "nll_loss"]) == names
    assert needed_units("tf", ["no_such_unit"]) == []


@pytest.mark.parametrize("to", ["tf", "torch"])
def test_every_unit_stands_alone(to: Literal["tf", "torch"]) -> None:
    for name in sources(to):
        definition_of = unit(to, name)
        assert definition_of.name.value == name
        assert definition_of.get_docstring(), f"{name} says nothing of what it keeps"
        compile(code(definition_of), name, "exec")


def test_nothing_is_written_that_is_not_used() -> None:
    text = to_tf("x = F.relu(torch.ones(3))\n")
    assert defined(text) == []


def test_a_unit_makes_way_for_a_name_of_the_program() -> None:
    text = to_tf(f"def add_gradients(a):\n    return a\n\nprint(add_gradients(1))\n{ACCUMULATE}")
    names = defined(text)
    assert names.count("add_gradients") == 1
    assert "torch_add_gradients" in names
    assert "accumulated = torch_add_gradients(accumulated, gradients)" in text
    assert "print(add_gradients(1))" in text
    assert definition(text, "add_gradients") == "def add_gradients(a):\n    return a"


def test_units_have_the_imports_they_need() -> None:
    for fidelity in ("fluent", "exact"):
        config = Config(fidelity=fidelity)  # type: ignore[arg-type]
        text = convert(
            f"{TORCH}\nmodel = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))\n"
            "optimizer = torch.optim.Adam(model.parameters())\n",
            "tf",
            config=config,
        ).code
        tree = ast.parse(text)
        bound = {a.asname or a.name for n in ast.walk(tree) for a in getattr(n, "names", ())
                 if isinstance(a, ast.alias)}  # fmt: skip
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert {"tf", "keras", "layers", "np", "math", "functools"} & used <= bound


def test_exact_fidelity_writes_the_class_that_fluent_does_not() -> None:
    source = f"{TORCH}\nnet = nn.Linear(3, 3)\noptimizer = torch.optim.Adam(net.parameters())\n"
    fluent = convert(source, "tf")
    exact = convert(source, "tf", config=Config(fidelity="exact"))
    assert "class TorchAdam(" in exact.code
    assert "class" not in fluent.code
    assert any("epsilon" in f.message for f in fluent.findings)
    assert not any("epsilon" in f.message for f in exact.findings)
