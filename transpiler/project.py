"""Whole trees: which files a folder holds that are to be translated, and which are not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from transpiler.source import SourceError

SUFFIXES = (".py", ".ipynb")
EXCLUDED_FOLDERS = (
    "__pycache__",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
    "*.egg-info",
)
"""Folders that hold no sources of the project; hidden ones are left out as well."""


class Discovery:
    """What a folder holds: Python files and notebooks, and others beside them."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.others: list[Path] = []


def discover_files(
    root: Path, exclude: Sequence[str] = (), output: Path | None = None
) -> Discovery:
    """The Python files and notebooks of a tree, in a fixed order, without the output's folder."""
    found = Discovery()
    own = identify(output) if output else None
    for folder, names, files in os.walk(root, onerror=_fail_listing):
        place = Path(folder)
        names[:] = [name for name in names if _is_wanted(place / name, root, exclude, own)]
        for name in files:
            if not _is_excluded(place / name, root, exclude):
                kind = found.files if name.endswith(SUFFIXES) else found.others
                kind.append(place / name)
    found.files.sort()
    found.others.sort()
    return found


def identify(path: Path) -> tuple[int, int] | None:
    """What a path leads to, the same for every link to it; nothing where there is nothing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _fail_listing(error: OSError) -> None:
    reason = (error.strerror or str(error)).lower()
    raise SourceError(str(error.filename), 0, 0, f"cannot be looked through: {reason}")


def _is_wanted(
    folder: Path, root: Path, exclude: Sequence[str], own: tuple[int, int] | None
) -> bool:
    """Whether to look into a folder."""
    name = folder.name
    if name.startswith(".") or any(fnmatch(name, pattern) for pattern in EXCLUDED_FOLDERS):
        return False
    if _is_excluded(folder, root, exclude) or (folder / "pyvenv.cfg").exists():
        return False
    return own is None or identify(folder) != own


def _is_excluded(path: Path, root: Path, exclude: Sequence[str]) -> bool:
    """Whether a pattern means this path: by its name, or by its path from the root."""
    relative = path.relative_to(root).as_posix()
    patterns = [pattern.strip("/") for pattern in exclude]
    return any(fnmatch(relative, p) or fnmatch(path.name, p) for p in patterns)
