"""What holds of every translation: it parses, keeps every comment, and Black changes nothing."""

import io
import os
import shutil
import subprocess
import sys
import tokenize
from collections import Counter
from pathlib import Path

import black
import pytest

from transpiler.config import Config
from transpiler.translation import Target, translate_path

CORPUS = Path(__file__).parent.parent / "corpus"
SCRIPTS: list[tuple[Path, Target]] = [
    *((path, "tf") for path in sorted((CORPUS / "torch").glob("*/*.py"))),
    *((path, "torch") for path in sorted((CORPUS / "tf").glob("*/*.py"))),
]


def list_comments(text: str) -> Counter[str]:
    """The words of every comment; Black may change the space after the hash sign."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return Counter(t.string.lstrip("#! ").strip() for t in tokens if t.type == tokenize.COMMENT)


@pytest.mark.parametrize("fidelity", ["fluent", "exact"])
@pytest.mark.parametrize(
    ("path", "to"), SCRIPTS, ids=lambda p: str(p.relative_to(CORPUS)) if isinstance(p, Path) else p
)
def test_every_translation(path: Path, to: Target, fidelity: str) -> None:
    result = translate_path(str(path), to, Config(fidelity=fidelity))  # type: ignore[arg-type]
    assert result.error is None
    text = result.data.decode()
    compile(text, str(path), "exec")
    assert not list_comments(path.read_text()) - list_comments(text)
    if result.changed:
        assert black.format_str(text, mode=black.Mode()) == text
    lines = path.read_text().count("\n") + 1
    assert all(1 <= finding.span.line <= lines for finding in result.findings)
    assert [f.span for f in result.findings] == sorted(f.span for f in result.findings)


def test_the_output_does_not_depend_on_place_or_chance(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for file in (CORPUS / "torch/two_file_project").glob("*.py"):
        shutil.copy(file, source)
    outputs = []
    for seed, folder, jobs in (("1", Path.cwd(), "1"), ("2", tmp_path, "2")):
        output = tmp_path / seed
        command = [sys.executable, "-m", "transpiler", str(source), "--to", "tf", "-j", jobs]
        result = subprocess.run(
            [*command, "-o", str(output)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode in (0, 1), result.stderr
        texts = {file.name: file.read_text() for file in sorted(output.iterdir())}
        outputs.append((texts, result.stderr.replace(str(output), "out")))
    assert outputs[0] == outputs[1]
    assert set(outputs[0][0]) == {file.name for file in source.glob("*.py")}
