"""Siblings: the project's own modules that a file imports, found as Python would find them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from transpiler.origin import Import, Origin, find_origin
from transpiler.project import discover_files
from transpiler.source import SourceError, read_bytes, read_source


def find_siblings(path: Path, imports: tuple[Import, ...], root: Path | None) -> dict[str, str]:
    """The texts of the modules that a file imports, and of those that they import in turn.

    They go by their dotted names as seen from the file: a relative import counts from the file's
    own folder. A module that cannot be read is left out: its own translation will say so.
    """
    return {name: text for name, (text, _) in _follow_imports(path, imports, root).items()}


def _follow_imports(
    path: Path, imports: tuple[Import, ...], root: Path | None
) -> dict[str, tuple[str, Path]]:
    """The text and file of every module that a file imports, directly or through others."""
    found: dict[str, tuple[str, Path]] = {}
    folders = list(_list_search_folders(path, root))
    waiting = deque([(path.absolute(), "", imports)])
    while waiting:
        importer, package, wanted = waiting.popleft()
        for name, file in _locate(importer, package, wanted, folders):
            if name in found or (module := load_module(str(file))) is None:
                continue
            text, origin = module
            found[name] = text, file
            waiting.append((file, name.rpartition(".")[0], origin.imports))
            if file.name == "__init__.py":  # its relative imports count from itself
                waiting.append((file, name, origin.imports))
    return found


MAX_CALLERS = 8


def find_callers(path: Path, root: Path | None) -> list[Caller]:
    """The project's programs that import a file: what they call it with is worth knowing."""
    own = os.path.realpath(path)
    found: list[Caller] = []
    for file in _list_mentions(path, root):
        if len(found) == MAX_CALLERS or os.path.realpath(file) == own:
            continue
        module = load_module(str(file))
        if module is None or not module[1].imports:
            continue
        reached = _follow_imports(file, module[1].imports, root)
        names = [n for n, (_, f) in reached.items() if os.path.realpath(f) == own]
        if names:
            texts = {n: text for n, (text, _) in reached.items() if n not in names}
            found.append(Caller(module[0], tuple(names), texts))
    return found


def _list_mentions(path: Path, root: Path | None) -> list[Path]:
    """Files that mention a file's name, or the name of one that does: only they may import it."""
    texts = dict(_read_folder(str(root or path.absolute().parent), root is not None))
    mentioned, waiting = set[Path](), [path.absolute()]
    while waiting:
        file = waiting.pop()
        name = (file.parent if file.stem == "__init__" else file).stem.encode()
        more = [other for other, data in texts.items() if name in data and other not in mentioned]
        mentioned.update(more)
        waiting += more
    return sorted(mentioned, key=lambda other: (b"__main__" not in texts[other], other))


@lru_cache(maxsize=64)
def _read_folder(folder: str, deep: bool) -> tuple[tuple[Path, bytes], ...]:
    """The Python files of a folder, or of a whole tree, with their bytes."""
    place = Path(folder).absolute()
    files = discover_files(place).files if deep else sorted(place.glob("*.py"))
    return tuple((file, _read(file)) for file in files if file.suffix == ".py")


def _read(file: Path) -> bytes:
    try:
        return read_bytes(file)
    except SourceError:
        return b""


class Caller:
    """A program that imports a file: its text, the file's names in it, its other modules."""

    def __init__(self, text: str, names: tuple[str, ...], siblings: dict[str, str]) -> None:
        self.text = text
        self.names = names
        self.siblings = siblings


@lru_cache(maxsize=4096)
def load_module(path: str) -> tuple[str, Origin] | None:
    """A module's text and origin, or nothing where it cannot be read."""
    try:
        text = read_source(path).text
        return text, find_origin(text, path)
    except SourceError:
        return None


def _locate(
    importer: Path, package: str, imports: tuple[Import, ...], absolute: list[Path]
) -> Iterator[tuple[str, Path]]:
    """The files that imports mean, each under its dotted name."""
    for item in imports:
        folders, prefix = [*absolute, importer.parent], ""
        if item.level:
            up = item.level - 1
            folders = [importer.parents[min(up, len(importer.parents) - 1)]]
            parts = package.split(".") if package else []
            prefix = "".join(f"{part}." for part in parts[: max(len(parts) - up, 0)])
        for name in _list_names(item):
            for folder in folders:
                if file := _find_file(folder, name):
                    yield prefix + name, file
                    break


def _list_names(item: Import) -> list[str]:
    """``from a import b`` may mean the module a.b, and runs a in any case."""
    names = [item.module] if item.module else []
    if item.name and item.name != "*":
        names.append(f"{item.module}.{item.name}" if item.module else item.name)
    return names


def _find_file(folder: Path, name: str) -> Path | None:
    stem = folder.joinpath(*name.split("."))
    for candidate in (f"{stem}.py", f"{stem}/__init__.py"):
        if os.path.isfile(candidate):
            return Path(candidate)
    return None


def _list_search_folders(path: Path, root: Path | None) -> Iterator[Path]:
    """Where Python looks: the script's own folder, and those above it up to the project's root."""
    folder = path.absolute().parent
    limit = (root or _find_root(folder)).absolute()
    yield folder
    if limit in folder.parents:
        for parent in folder.parents:
            yield parent
            if parent == limit:
                return


def _find_root(folder: Path) -> Path:
    """The working folder where the file is under it, else the folder that holds its package."""
    here = Path.cwd()
    if here in folder.parents:
        return here
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder
