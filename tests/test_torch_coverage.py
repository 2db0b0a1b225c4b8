"""What public PyTorch programs use most has a rule, a planner, or a reason why it has none.

`tests/torch_names.txt` lists names, those that most public repositories use first; `<tensor>` and
the like stand for objects of a class. See what is open:  python tests/test_torch_coverage.py
"""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from transpiler import rulebook, signatures

ROOT = Path(__file__).parents[1]
NAMES = (Path(__file__).parent / "torch_names.txt").read_text(encoding="utf-8").split("\n")[:-1]
OWNERS = {
    "<tensor>": ("torch.Tensor",),
    "<module>": ("torch.nn.Module",),
    "<optimizer>": ("torch.optim.Optimizer",),
    "<scheduler>": ("torch.optim.lr_scheduler.LRScheduler",),
    "<loader>": ("torch.utils.data.DataLoader",),
    "<dataset>": ("torch.utils.data.Dataset",),
    "<scaler>": ("torch.amp.GradScaler", "torch.cuda.amp.GradScaler"),
    "<writer>": ("torch.utils.tensorboard.SummaryWriter",),
    "<dist>": ("torch.distributions.Normal", "torch.distributions.Categorical"),
}
ELSEWHERE = ("torch.distributed.", "torch.multiprocessing.", "torchtext.",
             "torch.utils.data.distributed.", "torch.utils.data.DistributedSampler",
             "<module>.share_memory")  # fmt: skip
"""Several processes, and a library that is no longer kept: "no rule" is all there is to say."""


@cache
def planned_words() -> frozenset[str]:
    """Names that the planners towards TensorFlow, and what they use, speak of."""
    found: set[str] = set()
    for file in [*(ROOT / "transpiler/planners").rglob("*.py"), *(ROOT / "rules").glob("*.py")]:
        if "keras" in file.relative_to(ROOT).as_posix():
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(node.value.replace(".", " ").split())
    return frozenset(found)


def status(name: str) -> str:
    """How a name is taken care of: "rule", "reason", "planner", or "" where it is not."""
    book = rulebook.load()
    root, _, rest = name.partition(".")
    for candidate in [f"{owner}.{rest}" for owner in OWNERS.get(root, ())] or [name]:
        known = signatures.canonical(candidate)
        entry = signatures.lookup(known)
        spelled = {known, entry.name} if entry is not None else {known}
        if any(book.candidates("tf", n) for n in spelled):
            return "rule"
        if spelled & set(book.unsupported):
            return "reason"
    return "planner" if name.rpartition(".")[2] in planned_words() else ""


def test_the_most_used_are_taken_care_of() -> None:
    assert [name for name in NAMES[:200] if not status(name)] == []


@pytest.mark.parametrize("name", [n for n in NAMES[200:] if not n.startswith(ELSEWHERE)])
def test_the_next_are_taken_care_of(name: str) -> None:
    assert status(name)


if __name__ == "__main__":
    for count in (200, 400):
        print(count, Counter(status(name) or "open" for name in NAMES[:count]))
    print("\n".join(name for name in NAMES if not status(name)))
