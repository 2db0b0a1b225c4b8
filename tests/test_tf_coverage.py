"""What public TensorFlow programs use most has a rule, a planner, or a reason why it has none.

`tests/tf_names.txt` lists names, those that most public repositories use first; `<tensor>` and the
like stand for objects of a class. See what is open:  python tests/test_tf_coverage.py
"""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from transpiler import rulebook, signatures

ROOT = Path(__file__).parents[1]
NAMES = (Path(__file__).parent / "tf_names.txt").read_text(encoding="utf-8").split("\n")[:-1]
OWNERS = {
    "<tensor>": ("tf.Tensor", "tf.Variable"),
    "<tensorarray>": ("tf.TensorArray",),
    "<model>": ("keras.Model", "keras.Sequential", "keras.Layer"),
    "<layer>": ("keras.Layer",),
    "super()": ("keras.Layer", "keras.Model"),
    "<metric>": ("keras.Metric",),
    "<optimizer>": ("keras.optimizers.Optimizer",),
    "<callback>": ("keras.callbacks.Callback",),
    "<dataset>": ("tf.data.Dataset",),
    "<tape>": ("tf.GradientTape",),
    "<strategy>": ("tf.distribute.Strategy",),
    "<tokenizer>": ("keras.preprocessing.text.Tokenizer",),
    "<ckpt>": ("tf.train.Checkpoint",),
    "<ckptmgr>": ("tf.train.CheckpointManager",),
}

LIBRARIES = {"hub": "tensorflow_hub", "tfds": "tensorflow_datasets"}


@cache
def planned_words() -> frozenset[str]:
    """Names that the planners towards PyTorch, and what they use, speak of."""
    found: set[str] = set()
    planners = ROOT / "transpiler/planners"
    files = [*planners.glob("keras*/*.py"), *planners.glob("keras*.py")]
    files += (ROOT / "rules").glob("keras*.py")
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
                found.update(node.value.replace(".", " ").split())
    return frozenset(found)


def status(name: str) -> str:
    """How a name is taken care of: "rule", "reason", "planner", or "" where it is not."""
    book = rulebook.load()
    root, _, rest = name.partition(".")
    owners = OWNERS.get(root, (LIBRARIES.get(root, root),))
    for candidate in [f"{owner}.{rest}" if rest else owner for owner in owners]:
        known = signatures.canonical(candidate)
        entry = signatures.lookup(known)
        spelled = {known, entry.name} if entry is not None else {known}
        if any(book.candidates("torch", n) for n in spelled):
            return "rule"
        if spelled & set(book.unsupported):
            return "reason"
    return "planner" if name.rpartition(".")[2] in planned_words() else ""


@pytest.mark.parametrize(("count", "share"), [(200, 1.0), (400, 0.97)])
def test_what_programs_use_most_is_taken_care_of(count: int, share: float) -> None:
    open_names = [name for name in NAMES[:count] if not status(name)]
    assert len(open_names) <= (1 - share) * count, open_names


@pytest.mark.parametrize("count", [200, 400])
def test_tensors_are_taken_care_of(count: int) -> None:
    """Functions of tensors are rules (or have a reason), none is left to chance."""
    homes = ("tf.math.", "tf.nn.", "tf.linalg.", "keras.ops.", "keras.backend.", "tf.random.",
             "tf.reduce_", "<tensor>.")  # fmt: skip
    names = [n for n in NAMES[:count] if n.startswith(homes)]
    assert [n for n in names if not status(n)] == []


if __name__ == "__main__":
    for number in (200, 400):
        print(number, dict(Counter(status(n) or "open" for n in NAMES[:number])))
    print(*(n for n in NAMES if not status(n)), sep="\n")
