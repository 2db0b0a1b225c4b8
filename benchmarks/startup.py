"""How long one cold ``transpile`` takes, against the least that any such tool needs.

The floor is a Python that imports libcst and black, parses the same script and formats it. Both run
in turn as processes of their own, so that a busy machine is busy for both.

    python benchmarks/startup.py [--runs 15] [SCRIPT]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "corpus/torch/cancer_checkpoint/train.py"

FLOOR = """
import sys
import black, libcst
source = open(sys.argv[1]).read()
libcst.parse_module(source)
black.format_str(source, mode=black.Mode())
"""
TRANSPILE = "from transpiler.cli import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description="cold start of transpile against its floor")
    parser.add_argument("script", nargs="?", type=Path, default=SCRIPT)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "out.py")
        commands = {
            "nothing": [sys.executable, "-c", ""],
            "floor": [sys.executable, "-c", FLOOR, str(options.script)],
            "transpile": [
                *(sys.executable, "-c", TRANSPILE),
                *(str(options.script), "--to", "tf", "-o", output),
            ],
        }
        times = measure(commands, options.runs)
    lines = len(options.script.read_text().splitlines())
    print(f"{options.script.name}, {lines} lines; medians of {options.runs} runs each, in turn")
    for kind in ("wall", "cpu"):
        medians = {name: statistics.median(times[name, kind]) for name in commands}
        row = "  ".join(f"{name} {medians[name] * 1000:6.0f} ms" for name in commands)
        ratio = medians["transpile"] / medians["floor"]
        print(f"{kind:5} {row}  transpile/floor {ratio:.2f}")


def measure(commands: dict[str, list[str]], runs: int) -> dict[tuple[str, str], list[float]]:
    """Wall and processor seconds of each run, the commands in turn."""
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(runs + 1):
        for name, command in commands.items():
            wall, cpu = time_process(command)
            if turn:  # the first turn writes the byte code caches
                times.setdefault((name, "wall"), []).append(wall)
                times.setdefault((name, "cpu"), []).append(cpu)
    return times


def time_process(command: list[str]) -> tuple[float, float]:
    start, before = time.perf_counter(), count_cpu()
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # installed code has its caches
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wall, cpu = time.perf_counter() - start, count_cpu() - before
    if result.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} failed:\n{result.stderr}")
    return wall, cpu


def count_cpu() -> float:
    """Processor seconds of all processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
