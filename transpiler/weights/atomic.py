"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A place to write to, of the same ending; it becomes `path` once all went well."""
    with folder_beside(path) as folder:
        part = folder / path.name
        yield part
        os.replace(part, path)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A folder on the same disk as `path`, gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".transpile-", dir=path.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_into(folder: Path, target: Path, last: str) -> list[Path]:
    """Move all files of a folder beside each other; the one that names the others comes last."""
    files = sorted(folder.iterdir(), key=lambda file: (file.name == last, file.name))
    for file in files:
        os.replace(file, target / file.name)
    return [target / file.name for file in files]
