"""There and back: a corpus program's translation, translated back, trains as the translation does.

That the translation trains as the program is proved elsewhere (`test_corpus.py`): a twin run of the
second step closes the circle. `round_trips.txt` lists the programs that do not come back yet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from transpiler.config import Config
from transpiler.verify import Workshop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

from translate_corpus import DIRECTIONS, Target, list_programs, translate_program

EXACT = Config(fidelity="exact")
OPEN = Path(__file__).parent / "round_trips.txt"
PROGRAMS = {f"{folder.parent.name}/{folder.name}": (folder, to) for folder, to in list_programs()}
WAITING = {
    line.partition(":")[0]: line.partition(":")[2].strip()
    for line in OPEN.read_text(encoding="utf-8").splitlines()
}
CLOSED = [name for name in PROGRAMS if name not in WAITING]


@pytest.fixture(scope="session")
def workshop() -> Iterator[Workshop]:
    """Processes that have their framework loaded, shared by all comparisons."""
    with Workshop() as shop:
        yield shop


def write(folder: Path, to: Target, target: Path) -> int:
    """Translate a program into a folder; how many places are left to do."""
    target.mkdir()
    left = 0
    for name, data in translate_program(folder, to, EXACT):
        (target / name).write_bytes(data)
        left += data.count(b"TODO(transpile)")
    return left


def go_round(name: str, folder: Path) -> tuple[Path, Path, Target, int]:
    """The translation and the one back, the framework it started from, and what is left to do."""
    source, to = PROGRAMS[name]
    origin: Target = DIRECTIONS[to]
    there, back = folder / "there", folder / "back"
    left = write(source, to, there)
    return there, back, origin, left or write(there, origin, back)


def compare(name: str, folder: Path, workshop: Workshop) -> str:
    """Why a program does not come back; empty where it trains the same."""
    there, back, origin, left = go_round(name, folder)
    if left:
        return f"{left} places are left to do"
    with workshop.record(there / "train.py", origin, steps=60, folder=there) as recording:
        verdict = recording.check(back / "train.py")
    if verdict.error:
        return verdict.error
    same = verdict.equal and min(verdict.steps) >= 50 and verdict.worst_loss <= 1e-9
    return "" if same else str(verdict.first or verdict)


@pytest.mark.parametrize("name", CLOSED)
def test_comes_back_and_trains_the_same(name: str, workshop: Workshop, tmp_path: Path) -> None:
    """Equal weights, batches and draws give equal losses for 50 steps and more, to 1e-9."""
    assert compare(name, tmp_path, workshop) == ""


def test_what_comes_back_by_now_is_taken_out_of_the_list(
    workshop: Workshop, tmp_path: Path
) -> None:
    for name in WAITING:
        folder = tmp_path / name.replace("/", "_")
        folder.mkdir()
        assert compare(name, folder, workshop), f"{name} comes back: take it out of {OPEN.name}"
