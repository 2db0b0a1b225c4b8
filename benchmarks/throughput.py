"""Lines translated per second over many files, against parsing and formatting them alone.

python benchmarks/throughput.py [--rounds 3] [FOLDER ...]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import black
import libcst

from transpiler import Config, convert
from transpiler.origin import find_origin
from transpiler.siblings import find_siblings

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description="translation against parsing and formatting")
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "corpus/torch"])
    parser.add_argument("--to", choices=("tf", "torch"), default="tf")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    files = [path for folder in options.folders for path in sorted(folder.rglob("*.py"))]
    texts = {path: path.read_text() for path in files}
    done = {path for path, text in texts.items() if options.to in find_origin(text, "").frameworks}
    files = [path for path in files if path not in done]
    texts = {path: texts[path] for path in files}
    lines = sum(len(text.splitlines()) for text in texts.values())

    def parse_and_format(path: Path) -> None:
        libcst.parse_module(texts[path])
        black.format_str(texts[path], mode=black.Mode())

    def translate(path: Path) -> None:
        imports = find_origin(texts[path], str(path)).imports
        siblings = find_siblings(path, imports, None)
        convert(texts[path], options.to, path=str(path), config=Config(), siblings=siblings)

    seconds: dict[str, list[float]] = {"parse and format": [], "translate": []}
    for turn in range(options.rounds + 1):
        totals = time_in_turn({"parse and format": parse_and_format, "translate": translate}, files)
        if turn:  # the first turn loads the rules
            for name, total in totals.items():
                seconds[name].append(total)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{len(files)} files, {lines} lines; medians of {options.rounds} rounds, in turn, 1 process"
    )
    for name, value in medians.items():
        print(f"{name:17} {lines / value:8.0f} lines/s")
    ratio = medians["translate"] / medians["parse and format"]
    print(f"translate takes {ratio:.2f} times as long as parse and format")


def time_in_turn(jobs: dict[str, Callable[[Path], None]], files: list[Path]) -> dict[str, float]:
    """Processor seconds of each job over all files, the jobs alternating file by file."""
    totals = dict.fromkeys(jobs, 0.0)
    for path in files:
        for name, job in jobs.items():
            start = time.process_time()
            job(path)
            totals[name] += time.process_time() - start
    return totals


if __name__ == "__main__":
    main()
