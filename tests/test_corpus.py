"""Whole programs: every corpus script trains the same as its translation, step by step."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from transpiler.config import Config
from transpiler.verify import Workshop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from translate_corpus import list_programs, translate_program

PROGRAMS = [pytest.param(folder, to, id=f"{folder.name}-to-{to}") for folder, to in list_programs()]


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """Processes that have their framework loaded, shared by all comparisons."""
    with Workshop() as shop:
        yield shop


@pytest.mark.parametrize(("folder", "to"), PROGRAMS)
def test_trains_the_same(folder: Path, to: str, workshop: Workshop, tmp_path: Path) -> None:
    """Equal weights, batches and draws give equal losses for 50 steps and more, to 1e-9."""
    for name, data in translate_program(folder, to, Config(fidelity="exact")):
        assert b"TODO(transpile)" not in data, f"{name} is not translated whole"
        (tmp_path / name).write_bytes(data)
    with workshop.record(folder / "train.py", to, steps=60, folder=folder) as recording:
        verdict = recording.check(tmp_path / "train.py")
    assert verdict.error == ""
    assert verdict.first is None, verdict.first
    assert verdict.equal
    assert min(verdict.steps) >= 50
    assert verdict.worst_loss <= 1e-9
