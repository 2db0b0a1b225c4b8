"""Wrong translations of corpus programs: verification has to catch each and name the step."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import corpus_mutants
import corpus_mutants_to_torch as to_torch
import pytest
from corpus_mutants import Mutant

from transpiler.config import Config
from transpiler.verify import Workshop
from transpiler.verify.twins import Recording

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from translate_corpus import translate_program  # noqa: E402

PROGRAMS = {**corpus_mutants.PROGRAMS, **to_torch.PROGRAMS}
MUTANTS = [*corpus_mutants.MUTANTS, *to_torch.MUTANTS]
FROM = {"tf": "torch", "torch": "tf"}
pytestmark = pytest.mark.slow


class Originals:
    """Each program is translated and run once, for all of its mutants."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.recordings: dict[str, Recording] = {}
        self.sources: dict[str, str] = {}

    def source(self, program: str) -> str:
        """The exact translation."""
        if program not in self.sources:
            to = PROGRAMS[program].to
            folder = ROOT / "corpus" / FROM[to] / program
            files = dict(translate_program(folder, to, Config(fidelity="exact")))
            self.sources[program] = files["train.py"].decode()
        return self.sources[program]

    def recording(self, program: str) -> Recording:
        """The run of the original."""
        if program not in self.recordings:
            how = PROGRAMS[program]
            folder = ROOT / "corpus" / FROM[how.to] / program
            self.recordings[program] = self.shop.record(
                folder / "train.py", how.to, how.arguments, how.steps, folder=folder
            )
        return self.recordings[program]


@pytest.fixture(scope="module")
def originals() -> Iterator[Originals]:
    with Workshop() as shop:
        found = Originals(shop)
        yield found
        for recording in found.recordings.values():
            recording.__exit__(None, None, None)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_translation_itself_is_equal(
    program: str, originals: Originals, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(originals.source(program))
    verdict = originals.recording(program).check(tmp_path / "train.py")
    assert verdict.equal, (verdict.first, verdict.error)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.program}: {m.kind}")
def test_each_mutant_is_caught(mutant: Mutant, originals: Originals, tmp_path: Path) -> None:
    source, changes = re.subn(mutant.pattern, mutant.change, originals.source(mutant.program))
    assert changes, "the translation has no such place any more"
    (tmp_path / "train.py").write_text(source)
    verdict = originals.recording(mutant.program).check(tmp_path / "train.py")
    assert verdict.status == "different", verdict.error
    assert verdict.exit_code == 1
    assert verdict.first is not None
    print(f"{mutant.kind}: {verdict.first.quantity} at step {verdict.first.step}")
    assert (verdict.first.step, verdict.first.quantity) == (mutant.step, mutant.quantity)


def test_there_are_forty_kinds_and_more() -> None:
    assert len({mutant.kind for mutant in MUTANTS}) >= 80
    assert len({mutant.kind for mutant in to_torch.MUTANTS}) >= 40
    assert all(mutant.step <= PROGRAMS[mutant.program].steps for mutant in MUTANTS)
