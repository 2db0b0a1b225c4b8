"""Refresh the committed translations of corpus/: `python tools/translate_corpus.py [NAME ...]`.

Each program's folder holds its translation in `tf/` or `torch/`; `git diff` shows what changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from transpiler.config import Config
from transpiler.translation import translate_path

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
Target = Literal["tf", "torch"]
DIRECTIONS: dict[str, Target] = {"torch": "tf", "tf": "torch"}


def list_programs(*origins: str) -> list[tuple[Path, Target]]:
    """The folders of corpus programs with the framework that each is translated to."""
    found = []
    for origin in origins or DIRECTIONS:
        for folder in sorted((CORPUS / origin).iterdir()):
            if (folder / "train.py").is_file():
                found.append((folder, DIRECTIONS[origin]))
    return found


def translate_program(folder: Path, to: Target, config: Config) -> Iterator[tuple[str, bytes]]:
    """The translated files of a program, by name. Raises SourceError."""
    for path in sorted(folder.glob("*.py")):
        result = translate_path(str(path), to, config)
        if result.error is not None:
            raise result.error
        yield path.name, result.data


def main() -> None:
    wanted = set(sys.argv[1:])
    for folder, to in list_programs():
        if wanted and folder.name not in wanted:
            continue
        target = folder / to
        target.mkdir(exist_ok=True)
        for name, data in translate_program(folder, to, Config()):
            (target / name).write_bytes(data)
        print(f"{folder.name}: {target.relative_to(CORPUS.parent)}")


if __name__ == "__main__":
    main()
