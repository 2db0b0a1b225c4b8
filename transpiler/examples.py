"""Examples of a rule: the cases of its proof, translated on the spot."""

from __future__ import annotations

import ast
import re

from transpiler.convert import convert
from transpiler.findings import Grade
from transpiler.rule import Direction, Proof

_NAMES = "xyzw"
_HEADS = {"torch": "import torch\n", "tf": "import keras\nimport tensorflow as tf\n"}
_MOST = 3


def make_examples(name: str, proof: Proof, to: Direction) -> list[tuple[str, str]]:
    """Pairs of an expression and its translation; what cannot stand alone is left out."""
    source: Direction = "torch" if to == "tf" else "tf"
    if source == "torch":
        cases = [*(f"{name}({arguments})" for arguments in proof.args), *proof.cases]
    else:
        cases = [case for case in proof.keras_cases if name.rpartition(".")[2] in case]
    found = []
    for case in cases:
        if (new := _translate(case, proof, source, to)) is not None:
            found.append((case, new))
        if len(found) == _MOST:
            break
    return found


def _translate(case: str, proof: Proof, source: Direction, to: Direction) -> str | None:
    inputs = "".join(
        f"{name} = {_write_input(spec, source)}\n"
        for name, spec in zip(_NAMES, proof.inputs, strict=False)
        if re.search(rf"\b{name}\b", case)
    )
    conversion = convert(f"{_HEADS[source]}{inputs}result = {case}\n", to)
    if any(finding.grade is Grade.MANUAL for finding in conversion.findings):
        return None
    last = ast.parse(conversion.code).body[-1]
    if not (isinstance(last, ast.Assign) and ast.unparse(last.targets[0]) == "result"):
        return None
    return ast.get_source_segment(conversion.code, last.value)


def _write_input(spec: tuple[int, ...] | str, source: Direction) -> str:
    shape: object = spec
    kind, limit = "", "2"
    if isinstance(spec, str):
        match = re.match(r"(\w+)\(([^)]*)\)(?:\s*<\s*(\d+))?", spec)
        if not match:
            return spec
        kind, shape, limit = match[1], f"({match[2]},)", match[3] or "2"
    if source == "tf":
        whole = f"tf.random.uniform({shape}, 0, {limit}, 'int32')"
        return whole if kind == "int" else f"tf.random.normal({shape})"
    return f"torch.randint(0, {limit}, {shape})" if kind == "int" else f"torch.randn({shape})"
