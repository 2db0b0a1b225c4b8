"""What is shipped: the wheel holds every module of the engine and the rules, and the catalogue."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the committed files and whatever is not ignored."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    shipped = ("transpiler/", "rules/", "pyproject.toml", "setup.py", "README.md", "LICENSE")
    for name in subprocess.check_output(listed, cwd=PROJECT, text=True).split("\0"):
        if name.startswith(shipped) and (PROJECT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((PROJECT / name).read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "-w", out, copy], check=True)
    return next(out.glob("*.whl"))


def test_every_module_is_shipped(wheel: Path) -> None:
    shipped = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        prefix + path.relative_to(PROJECT / folder).as_posix()
        for folder, prefix in (("transpiler", "transpiler/"), ("rules", "transpiler/rules/"))
        for path in (PROJECT / folder).rglob("*")
        if path.suffix in (".py", ".json", ".typed")
    }
    assert not wanted - shipped


def test_wheel_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import transpiler.rules.emitted.to_tf as rules, transpiler.signatures as signatures\n"
        f"assert rules.__file__.startswith({str(tmp_path)!r}), rules.__file__\n"
        "assert signatures.lookup('torch.nn.Linear').kind == 'class'\n"
    )
    subprocess.run([sys.executable, "-I", "-c", script], check=True, cwd=tmp_path)
