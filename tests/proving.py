"""Proves rules numerically: builds both sides, carries the weights over, compares in float64.

For rule authors. A `Proof` turns into *cases*, one test each in test_proofs.py:

    Proof(inputs=[(5, 3)], args=["3, 4", "3, 4, bias=False"])      # calls of the rule's torch class
    Proof(inputs=[(2, 3), "int(5, 3) < 7"], cases=["torch.gather(x, 1, y)", "x.mean(0)"])
    Proof(inputs=[(2, 8, 8, 3)], keras_cases=["keras.layers.Conv2D(4, 3)(x)"])

* Inputs are named x, y, z, w. An entry is a shape (normal numbers) or one of "int(5, 3) < 7",
  "positive(2, 3)", "unit(2, 3)" (in 0..1), "bool(2, 3)". A case gets the inputs that it names, so
  one proof can serve 1-, 2- and 3-dimensional forms.
* A case is an expression; statements may stand before it, one per line ("x.add_(1)\\nx").
  `torch`, `nn`, `F`, `math`, `np` (and `tf`, `keras`, `layers` in keras_cases) are imported.
* Objects that are made and called in one go, `torch.nn.Linear(3, 4)(x)`, are made once: their
  parameters are carried over by the rule's `weights` (transpiler.weights.entries), else by what
  transpiler.weights.pairing finds, and their gradients and later state are compared as well.
* `training=True` runs them in train mode as well, otherwise in evaluation mode alone.
* Whatever comes out is compared: nested tuples are flattened, ints must be ints, bools bools.
  `gradients=False` where the case is not differentiable.

Each torch case is translated with exact fidelity; where the fluent translation is another one and
reports no caution, that one is compared too. Going back, the translation (or each of keras_cases)
is translated to torch and compared again: nothing may be left by hand there either.

Try one file's rules:  pytest tests/test_proofs.py -k linear
See the code:          python tests/show_proof.py linear
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import transpiler.convert  # noqa: F401 - the package gives its function this name
from transpiler import rulebook, signatures
from transpiler.config import Config
from transpiler.convert import Conversion
from transpiler.findings import Grade
from transpiler.infer.interpreter import Interpreter
from transpiler.infer.values import Tensor, Value
from transpiler.matching import spelling_name, spellings
from transpiler.rule import Proof, Rewriter, Rule

NAMES = "xyzw"
HEADERS = {
    "torch": "import math\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\n"
    "from torch import nn\n",
    "tf": "import math\nimport keras\nimport numpy as np\nimport tensorflow as tf\n"
    "from keras import layers\n",
}


@dataclass(frozen=True)
class Case:
    """One expression of one framework that a rule claims to translate."""

    id: str
    rule: Rule | Rewriter
    proof: Proof
    code: str
    source: str
    training: bool = False

    @property
    def target(self) -> str:
        return "tf" if self.source == "torch" else "torch"


# ------------------------------------------------------------------ which cases there are


def proved_rules() -> list[Rule | Rewriter]:
    """Every rule of the book that carries a proof, once."""
    book = rulebook.load()
    found: dict[int, Rule | Rewriter] = {}
    for direction in ("tf", "torch"):
        for rules in book.rules[direction].values():
            found.update((id(rule), rule) for rule in rules if rule.proof is not None)
    return list(found.values())


def rule_name(rule: Rule | Rewriter) -> str:
    if isinstance(rule, Rule):
        return rule.name
    return f"{rule.function.__name__}-{rule.to}"


def torch_cases() -> list[Case]:
    """All cases that are written in torch."""
    found = []
    for rule in proved_rules():
        proof = rule.proof
        assert proof is not None
        if isinstance(rule, Rewriter) and rule.to == "torch":
            continue
        codes = [*map(class_call(rule, proof), proof.args), *proof.cases]
        for number, code in enumerate(codes):
            found += in_modes(f"{rule_name(rule)}-{number}", rule, proof, code, "torch")
    return unique(found)


def keras_cases() -> list[Case]:
    """All cases that are written in Keras or TensorFlow."""
    found = []
    for rule in proved_rules():
        assert rule.proof is not None
        codes = list(rule.proof.keras_cases)
        if isinstance(rule, Rewriter) and rule.to == "torch" and not codes:
            codes = [*map(class_call(rule, rule.proof), rule.proof.args), *rule.proof.cases]
        for number, code in enumerate(codes):
            found += in_modes(f"{rule_name(rule)}-k{number}", rule, rule.proof, code, "tf")
    return unique(found)


def in_modes(name: str, rule: Rule | Rewriter, proof: Proof, code: str, source: str) -> list[Case]:
    """The case in evaluation mode, and before that in training mode where the proof says so."""
    found = [Case(name, rule, proof, code, source)]
    if proof.training:
        found.insert(0, Case(f"{name}-training", rule, proof, code, source, training=True))
    return found


def unique(cases: Sequence[Case]) -> list[Case]:
    """The cases with distinct ids."""
    seen: dict[str, Case] = {}
    for case in cases:
        name, number = case.id, 1
        while name in seen:
            number += 1
            name = f"{case.id}.{number}"
        seen[name] = replace(case, id=name)
    return list(seen.values())


def class_call(rule: Rule | Rewriter, proof: Proof) -> Any:
    """How an argument list becomes a case: a call of the rule's class on all inputs."""
    if isinstance(rule, Rule):
        names = [spelling_name(s) for s in spellings(rule.torch)]
    else:
        names = list(rule.names)
    inputs = ", ".join(NAMES[: len(proof.inputs)])
    entry = signatures.lookup(names[0])
    if entry is not None and entry.kind == "class":
        return lambda args: f"{names[0]}({args})({inputs})"
    return lambda args: f"{names[0]}({', '.join(filter(None, [inputs, args]))})"


# ------------------------------------------------------------------ inputs


def draw(spec: tuple[int, ...] | str, number: int) -> np.ndarray:
    """An input's array."""
    rng = np.random.default_rng(7 + number)
    if not isinstance(spec, str):
        return rng.standard_normal(spec)
    match = re.fullmatch(r"(\w+)\(([\d, ]*)\)(?: < (\d+))?", spec)
    assert match, f"input {spec!r} is not understood"
    shape = tuple(int(n) for n in match[2].split(",") if n.strip())
    if match[1] == "int":
        return rng.integers(0, int(match[3] or 10), shape)
    if match[1] == "bool":
        return rng.random(shape) < 0.5
    values = rng.uniform(0.02, 0.98, shape)
    return values * 3 if match[1] == "positive" else values


def fact(array: np.ndarray, library: str) -> Value:
    """What the translator is told of an input."""
    dtype = {"f": "float32", "i": "int64", "b": "bool"}[array.dtype.kind]
    return Tensor(tuple(array.shape), dtype, library)


def used_inputs(case: Case) -> dict[str, np.ndarray]:
    """The inputs that a case names."""
    read = {n.id for n in ast.walk(ast.parse(case.code)) if isinstance(n, ast.Name)}
    return {
        name: draw(spec, number)
        for number, (name, spec) in enumerate(zip(NAMES, case.proof.inputs, strict=False))
        if name in read
    }


# ------------------------------------------------------------------ scripts


class _Lift(ast.NodeTransformer):
    """Takes objects that are made and called in one go out of an expression."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Call):
            name = "layer" if not self.made else f"layer_{len(self.made) + 1}"
            self.made.append((name, ast.unparse(node.func)))
            node.func = ast.Name(name, ast.Load())
        return node


def write_script(case: Case) -> str:
    """The case as a script: objects, a function `compute` of the inputs, and its call."""
    tree = ast.parse(case.code)
    lift = _Lift()
    tree = lift.visit(tree)
    *statements, last = tree.body
    assert isinstance(last, ast.Expr), f"the last line of {case.code!r} is no expression"
    inputs = ", ".join(used_inputs(case))
    body = [*map(ast.unparse, statements), f"return {ast.unparse(last)}"]
    lines = [f"{name} = {made}" for name, made in lift.made]
    if case.source == "torch" and not case.training:
        lines += [f"{name}.eval()" for name, _ in lift.made]
    indented = "\n".join(f"    {line}" for part in body for line in part.splitlines())
    lines += [f"\n\ndef compute({inputs}):\n{indented}\n\n", f"result = compute({inputs})"]
    return HEADERS[case.source] + "\n".join(lines) + "\n"


def translate(source: str, to: str, facts: Mapping[str, Value], fidelity: str) -> Conversion:
    """Convert a script in which some global names are given from outside."""

    class Given(Interpreter):
        def exec_body(self, body: Any, frame: Any) -> None:
            if frame.kind == "module":
                for name, value in facts.items():
                    frame.values.setdefault(name, value)
            super().exec_body(body, frame)

    module: Any = sys.modules["transpiler.convert"]
    original = module.Interpreter
    module.Interpreter = Given
    try:
        config = Config(fidelity=fidelity)  # type: ignore[arg-type]
        conversion: Conversion = module.convert(source, to, path="case.py", config=config)
        return conversion
    finally:
        module.Interpreter = original


def drop_modes(code: str) -> str:
    """Without what only sets a mode: the harness sets it itself, and asks for gradients."""
    code = code.replace("@torch.no_grad()\n", "")
    return re.sub(r"(?m)^(# TODO.*\n)*layer\w*\.(eval|train)\(\)\n", "", code)


def manual(conversion: Conversion) -> list[str]:
    """What was left to do by hand (setting a mode left out)."""
    return [
        f.message
        for f in conversion.findings
        if f.grade is Grade.MANUAL and not re.search(r"Module\.(eval|train)", f.rule + f.message)
    ]


def cautions(conversion: Conversion) -> list[str]:
    """Deviations that the output makes (initial values left out: those are carried over)."""
    found = [f.message for f in conversion.findings if f.grade is Grade.CAUTION]
    return [message for message in found if "initial values" not in message]


# ------------------------------------------------------------------ results


def flatten(value: Any) -> Iterator[Any]:
    """The leaves of nested results, Nones left out."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from flatten(item)
    elif value is not None:
        yield value


def weigh(shape: Sequence[int], number: int) -> np.ndarray:
    """The weights of an output in the sum that is differentiated."""
    return np.cos(np.arange(int(np.prod(shape))) + number).reshape(tuple(shape))


@dataclass
class Results:
    """What one side computed."""

    outputs: list[np.ndarray]
    inputs: list[np.ndarray]
    """Gradients with respect to the inputs that are floating point."""
    weights: dict[str, np.ndarray]
    """Gradients by the names of the parameters."""
    state: dict[str, np.ndarray]
    """All variables afterwards."""


def assert_equal(expected: np.ndarray, found: np.ndarray, what: str, proof: Proof) -> None:
    """Same kind of numbers, same shape, same values."""
    assert expected.shape == found.shape, f"{what}: {expected.shape} became {found.shape}"
    assert expected.dtype.kind == found.dtype.kind, f"{what}: {expected.dtype} became {found.dtype}"
    if expected.dtype.kind in "bi":
        assert (expected == found).all(), f"{what}: {expected} became {found}"
        return
    scale = max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)))
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=proof.tolerance * scale, equal_nan=True, err_msg=what
    )


def compare(expected: Results, found: Results, proof: Proof) -> None:
    """Outputs, gradients and state; all in the spelling of the translation."""
    assert len(expected.outputs) == len(found.outputs), "another number of outputs"
    for i, (one, other) in enumerate(zip(expected.outputs, found.outputs, strict=True)):
        assert_equal(one, other, f"output {i}", proof)
    if not proof.gradients:
        return
    for i, (one, other) in enumerate(zip(expected.inputs, found.inputs, strict=True)):
        assert_equal(one, other, f"gradient of input {i}", proof)
    for name, one in expected.weights.items():
        assert_equal(one, found.weights[name], f"gradient of {name}", proof)
    for name, one in expected.state.items():
        assert_equal(one, found.state[name], f"{name} afterwards", proof)
