"""The hooks, run by the real pre-commit in a repository of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
HOOKS = Path(__file__).parent.parent / ".pre-commit-hooks.yaml"


def run(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PRE_COMMIT_HOME": str(folder.parent / "cache")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment.pop("SKIP", None)
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one file of each framework, and the hooks as if installed from here."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    folder = tmp_path / "repository"
    folder.mkdir()
    hooks: list[dict[str, Any]] = yaml.safe_load(HOOKS.read_text())
    for hook in hooks:
        # Of the entries only these differ from what a user gets: nothing is fetched from PyPI.
        program, options = hook["entry"].split(" ", 1)
        assert program == "transpile"
        hook |= {"language": "system", "entry": f"{sys.executable} -m transpiler {options}"}
    config = {"repos": [{"repo": "local", "hooks": hooks}]}
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    (folder / "source.py").write_text("import torch\n\nx = torch.ones(3)\n")
    (folder / "target.py").write_text("import tensorflow as tf\n")
    (folder / "plain.py").write_text("x = 1\n")
    (folder / "notes.txt").write_text("import torch\n")
    assert run("git", "init", "-q", folder=folder).returncode == 0
    assert run("git", "add", ".", folder=folder).returncode == 0
    return folder


def pre_commit(hook: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "pre_commit", "run", hook, "--all-files", folder=folder)


def test_the_checking_hook_fails_and_writes_nothing(repository: Path) -> None:
    before = {path: path.read_bytes() for path in repository.glob("*.[pt]*")}
    result = pre_commit("transpile-check", repository)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "source.py: would change" in result.stdout
    assert {path: path.read_bytes() for path in repository.glob("*.[pt]*")} == before


def test_the_checking_hook_passes_where_nothing_is_left(repository: Path) -> None:
    run("git", "rm", "-q", "-f", "source.py", folder=repository)
    result = pre_commit("transpile-check", repository)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Passed" in result.stdout


def test_the_rewriting_hook_rewrites_once(repository: Path) -> None:
    result = pre_commit("transpile", repository)
    assert result.returncode == 1  # pre-commit stops a commit that its hooks have changed
    assert "files were modified by this hook" in result.stdout
    assert "import torch" not in (repository / "source.py").read_text()
    assert (repository / "notes.txt").read_text() == "import torch\n"
    run("git", "add", ".", folder=repository)
    assert pre_commit("transpile", repository).returncode == 0
    assert pre_commit("transpile-check", repository).returncode == 0
