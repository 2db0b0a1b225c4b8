"""The plan of a run: which file is translated to which, checked before anything is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from transpiler.config import Config
from transpiler.project import discover_files, identify
from transpiler.source import SourceError
from transpiler.translation import Target


class UsageError(Exception):
    """The arguments ask for something that makes no sense; nothing was done."""


class Options(NamedTuple):
    """What the command line asks for."""

    inputs: Sequence[str]
    to: Target
    output: str | None = None
    in_place: bool = False
    check: bool = False
    diff: bool = False
    fidelity: Literal["fluent", "exact"] | None = None
    form: str = "text"
    report: str | None = None
    config: str | None = None
    jobs: int | None = None
    quiet: bool = False


class Task(NamedTuple):
    """One file to translate; without an output it is only looked at or shown."""

    path: str
    output: str | None = None
    root: Path | None = None
    """The folder that was given, where the file was found in one."""

    makes_folder: bool = False
    """Whether the output's folder is made where it does not exist."""


class Plan:
    """What a run does; skipped are the files of the folders given that are not Python."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.skipped: list[Path] = []
        self.errors: list[SourceError] = []


def plan_run(inputs: Sequence[str], output: str | None, in_place: bool, config: Config) -> Plan:
    """Find the files and where each goes."""
    plan = Plan()
    for name in dict.fromkeys(inputs):
        path = Path(name)
        if path.is_dir():
            _add_folder(plan, path, output, in_place, config)
        elif not path.exists():
            plan.errors.append(SourceError(name, 0, 0, "no such file or folder"))
        else:
            target = name if in_place else _name_output(path, output, len(inputs))
            plan.tasks.append(Task(name, target, makes_folder=not in_place and target != output))
    if output is not None:
        _guard_inputs(plan.tasks)
    return plan


def _add_folder(
    plan: Plan, folder: Path, output: str | None, in_place: bool, config: Config
) -> None:
    if output is not None and Path(output).exists() and not Path(output).is_dir():
        raise UsageError(f"{folder} is a folder, but the output {output} is a file")
    if output is not None and identify(Path(output)) == identify(folder):
        raise UsageError(_describe_collision(output, str(folder)))
    found = discover_files(folder, config.exclude, Path(output) if output else None)
    if not found.files:
        plan.errors.append(SourceError(str(folder), 0, 0, "holds no Python files or notebooks"))
    for file in found.files:
        target = str(file) if in_place else None
        if output is not None:
            target = str(Path(output) / file.relative_to(folder))
        plan.tasks.append(Task(str(file), target, folder, makes_folder=True))
    plan.skipped += found.others


def _name_output(path: Path, output: str | None, count: int) -> str | None:
    """Where a single file goes: the output itself, or its own name in the output's folder."""
    if output is None:
        return None
    if Path(output).is_dir() or output.endswith(("/", os.sep)):
        return str(Path(output) / path.name)
    if count > 1:
        raise UsageError(f"several inputs need a folder as output; {output} is none")
    if (path.suffix == ".ipynb") != output.endswith(".ipynb") and not _is_special(output):
        raise UsageError(f"{path} and {output}: a notebook is translated to a notebook (.ipynb)")
    return output


def _is_special(output: str) -> bool:
    return os.path.exists(output) and not os.path.isfile(output)


def _guard_inputs(tasks: Sequence[Task]) -> None:
    """Refuse to write over an input, whatever link or spelling leads to it, or one file twice."""
    inputs = {identify(Path(task.path)): task.path for task in tasks}
    inputs.pop(None, None)
    taken: dict[str, str] = {}
    for task in tasks:
        assert task.output is not None
        if (victim := inputs.get(identify(Path(task.output)))) is not None:
            raise UsageError(_describe_collision(task.output, victim))
        real = os.path.realpath(task.output)
        if real in taken and not _is_special(real):
            raise UsageError(f"{taken[real]} and {task.path} would both be written to {real}")
        taken[real] = task.path


def _describe_collision(output: str, source: str) -> str:
    same = "the input" if output == source else f"the input {source}"
    return f"the output {output} is {same}; nothing was written (--in-place rewrites the input)"
