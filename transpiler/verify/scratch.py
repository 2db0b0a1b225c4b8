"""A working folder of its own for each side: the user's files seen, none of them written over.

Sources are copied (widened to float64 where asked for), everything else is linked; a link is cut
the moment a script opens its file for writing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transpiler.verify.precision import widen

MOST_ENTRIES = 4000
SKIPPED = {"__pycache__", "node_modules", "site-packages"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC


def mirror(
    source: Path,
    target: Path,
    float64: bool,
    home: Path | None = None,
    hidden: frozenset[Path] = frozenset(),
) -> None:
    """Fill `target` with the files of `source`: sources below `home` copied, the rest linked."""
    home = home or source
    left = MOST_ENTRIES
    queue = [(source, target)]
    while queue:
        folder, place = queue.pop(0)
        place.mkdir(parents=True, exist_ok=True)
        for entry in _entries(folder):
            goal = place / entry.name
            left -= 1
            if entry.resolve() in hidden:
                continue
            if entry.is_dir() and left > 0 and entry.resolve() != target.resolve():
                queue.append((entry, goal))
            elif entry.suffix == ".py" and home in entry.parents and entry.is_file():
                copy_source(entry, goal, float64)
            elif not goal.exists():
                goal.symlink_to(entry.resolve())


def _entries(folder: Path) -> Iterable[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [e for e in found if not e.name.startswith(".") and not _is_skipped(e)]


def _is_skipped(entry: Path) -> bool:
    """Caches and environments: large, and found by the interpreter without our help."""
    return entry.name in SKIPPED or (entry / "pyvenv.cfg").exists()


def copy_source(source: Path, target: Path, float64: bool) -> None:
    """Copy one Python file, widened where asked for."""
    try:
        text = source.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        shutil.copyfile(source, target)
        return
    target.write_text(widen(text) if float64 else text, encoding="utf-8")


class LinkCutter:
    """An audit hook: a linked file that is opened for writing is copied or dropped first."""

    def __init__(self, root: Path) -> None:
        self.root = str(root.resolve())

    def install(self) -> None:
        """Watch every open of this process."""
        sys.addaudithook(self._watch)

    def _watch(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            mode, flags = args[1], args[2]
            writes = (isinstance(flags, int) and bool(flags & WRITING)) or (
                isinstance(mode, str) and any(letter in mode for letter in "wa+x")
            )
            if writes:
                self.cut(args[0])

    def cut(self, name: Any) -> None:
        """Turn a link into a file of its own."""
        path = os.path.abspath(os.fsdecode(name))
        if not path.startswith(self.root + os.sep):
            return
        if not os.path.realpath(os.path.dirname(path)).startswith(self.root):
            raise PermissionError(f"{path}: verification does not write into your own folders")
        if os.path.islink(path):
            origin = os.path.realpath(path)
            os.unlink(path)
            if os.path.isfile(origin):
                shutil.copyfile(origin, path)
