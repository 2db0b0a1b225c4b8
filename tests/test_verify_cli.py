"""`transpile verify` as a command: arguments, files that it writes, exit codes."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from transpiler.verify import Workshop, cli
from transpiler.verify.twins import compare

pytestmark = pytest.mark.slow

DATA = """
import numpy as np


def load(count):
    rng = np.random.RandomState(0)
    x = rng.randn(count, 3).astype("float32")
    return x, x.sum(1, keepdims=True)
"""
SCRIPT = """#!/usr/bin/env python
# In[1]:
get_ipython().run_line_magic("matplotlib", "inline")
import argparse

import torch
from torch import nn

from data import load

parser = argparse.ArgumentParser()
parser.add_argument("--count", type=int, default=64)
args = parser.parse_args()

# In[2]:


def main():
    torch.manual_seed(0)
    x, y = map(torch.from_numpy, load(args.count))
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Dropout(0.2), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for epoch in range(9):
        model.train()
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            print(len(x), "rows, epoch", epoch, "loss", nn.functional.mse_loss(model(x), y).item())


if __name__ == "__main__":
    main()
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[Workshop]:
    with Workshop() as found:
        yield found


@pytest.fixture
def folder(shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two files, with the command run in its folder."""
    (tmp_path / "data.py").write_text(DATA)
    (tmp_path / "train.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "compare", functools.partial(compare, workshop=shop))
    return tmp_path


def test_an_exported_notebook_of_two_files_with_arguments(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    files = ["--json", "v.json", "--plot", "v.png"]
    code = cli.main(["train.py", "--to", "tf", "--steps", "5", *files, "--", "--count", "20"])
    out = capsys.readouterr()
    assert code == 0, out
    assert "5 steps in float64" in out.out
    assert "They train the same." in out.out
    verdict = json.loads((folder / "v.json").read_text())
    assert verdict["status"] == "equal"
    assert len(verdict["losses"]["original"]) == 5
    rows = {row["quantity"]: row["compared"] for row in verdict["quantities"]}
    assert rows["loss"] == rows["gradient norm"] == rows["learning rate"] == 5
    assert rows["evaluation"] == 5
    assert rows["printed"] >= 4
    assert (folder / "v.png").stat().st_size > 1000
    left = sorted(p.name for p in folder.iterdir() if p.name != "__pycache__")
    assert left == ["data.py", "train.py", "v.json", "v.png"]


def test_a_wrong_translation_gives_1_and_a_failing_one_2(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transpiler.verify.translate import translate

    found = translate(folder / "train.py", "tf", folder / "out")
    assert not isinstance(found, str)
    right = found[0].read_text()
    assert "0.2" in right
    found[0].write_text(right.replace("0.2", "0.25"))
    arguments = ["train.py", "--to", "tf", "--translated", "out/train.py", "--steps", "3"]
    assert cli.main([*arguments, "--float64"]) == 1
    assert "They part at step 1, loss" in capsys.readouterr().out
    found[0].write_text("raise KeyError('lost')\n")
    assert cli.main([*arguments, "--float64"]) == 2
    told = capsys.readouterr().err
    assert "the translation could not run" in told
    assert "KeyError: 'lost'" in told


def test_what_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(tmp_path / "no.py"), "--to", "tf"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert cli.main([str(tmp_path / "no.py")]) == 2
