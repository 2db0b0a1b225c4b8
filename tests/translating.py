"""Short ways to translate a program in a test; no framework is imported."""

from __future__ import annotations

from transpiler.config import Config
from transpiler.convert import Conversion, convert
from transpiler.findings import Grade

TORCH = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
FLUENT = Config()


def translate(source: str, config: Config = FLUENT) -> Conversion:
    """A PyTorch program, its imports included, in TensorFlow."""
    return convert(TORCH + source, "tf", path="train.py", config=config)


def to_tf(source: str) -> str:
    """The translation, of which nothing may be left to do."""
    conversion = translate(source)
    left = [f.message for f in conversion.findings if f.grade is Grade.MANUAL]
    assert not left, left
    return conversion.code


def reasons(source: str) -> list[str]:
    """What is left for a person to do; every such place is marked in the code."""
    conversion = translate(source)
    found = [f.message for f in conversion.findings if f.grade is Grade.MANUAL]
    for message in found:
        assert f"# TODO(transpile): {message}" in conversion.code
    return found


def definition(code: str, name: str) -> str:
    """The text of a top-level function or class, decorators included."""
    blocks = code.split("\n\n\n")
    for block in blocks:
        if f"def {name}(" in block or f"class {name}(" in block or f"class {name}:" in block:
            return block.strip()
    raise AssertionError(f"no {name} in\n{code}")
