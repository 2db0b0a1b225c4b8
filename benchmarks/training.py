"""Steps per second of translated programs, against TensorFlow programs written by hand.

Each script of ``torch/`` is translated on the spot and run in turn with its counterpart in
``expert/``: the same model, data, batch size and optimizer. The scripts time their own epochs; the
first, in which the graph is traced, does not count.

    python benchmarks/training.py [--rounds 3] [mlp] [cnn] [lstm]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = ("mlp", "cnn", "lstm")


def main() -> None:
    parser = argparse.ArgumentParser(description="translated against hand-written programs")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("steps/s       translated    expert   ratio of the medians, of the best epochs")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names:
            translated = Path(folder) / f"{name}.py"
            translate(FOLDER / "torch" / f"{name}.py", translated)
            programs = {"translated": translated, "expert": FOLDER / "expert" / f"{name}.py"}
            print_row(name, measure(programs, options.rounds))


def translate(source: Path, target: Path) -> None:
    command = [sys.executable, "-m", "transpiler", str(source), "--to", "tf", "-o", str(target)]
    subprocess.run([*command, "-q"], check=True)


def measure(programs: dict[str, Path], rounds: int) -> dict[str, list[float]]:
    """The speed of each epoch but the first, the programs in turn."""
    speeds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, path in programs.items():
            speeds[name] += run(path)
    return speeds


def run(path: Path) -> list[float]:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(
        [sys.executable, str(path)], env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(f"{path} failed:\n{result.stderr[-3000:]}")
    return [float(speed) for speed in re.findall(r"([\d.]+) steps/s", result.stdout)][1:]


def print_row(name: str, speeds: dict[str, list[float]]) -> None:
    translated, expert = speeds["translated"], speeds["expert"]
    medians = statistics.median(translated), statistics.median(expert)
    ratios = medians[0] / medians[1], max(translated) / max(expert)
    row = f"{name:12} {medians[0]:11.1f} {medians[1]:9.1f}   {ratios[0]:.2f}, {ratios[1]:.2f}"
    print(row, flush=True)


if __name__ == "__main__":
    main()
