"""Steps per second of translated programs, against programs of the target written by hand.

``torch/`` and ``expert/`` hold the same model, data, batch size and optimizer as PyTorch and as
TensorFlow users write them. Each is translated on the spot and runs against the other. Both are
alive at once and take turns, an epoch each, while the other is stopped: so a busy machine is busy
for both. The first epochs, in which graphs are traced, do not count.

    python benchmarks/training.py [--to tf|torch] [mlp] [cnn] [lstm]
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
NAMES = ("mlp", "cnn", "lstm")
SOURCES = {"tf": "torch", "torch": "expert"}
"""The folder of what is translated, by where to; the other direction's is written by hand."""
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description="translated against hand-written programs")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--to", choices=list(SOURCES), help="only this direction")
    options = parser.parse_args()
    print("steps/s         translated   expert   translated/expert: wall, processor (medians)")
    pairings = [(n, to) for to in SOURCES if options.to in (None, to) for n in options.names]
    with tempfile.TemporaryDirectory() as folder:
        for name, to in pairings:
            translated = Path(folder) / f"{name}_{to}.py"
            source, expert = SOURCES[to], SOURCES["torch" if to == "tf" else "tf"]
            translate(FOLDER / source / f"{name}.py", to, translated)
            ours, theirs = race(translated, FOLDER / expert / f"{name}.py")
            pairs = list(zip(ours, theirs, strict=True))
            wall = statistics.median(a.wall / b.wall for a, b in pairs)
            cpu = statistics.median(a.cpu / b.cpu for a, b in pairs)
            a, b = (statistics.median(speed.wall for speed in found) for found in (ours, theirs))
            print(f"{name} to {to:7} {a:10.1f} {b:8.1f}   {wall:.2f}, {cpu:.2f}", flush=True)


def translate(source: Path, to: str, target: Path) -> None:
    command = [sys.executable, "-m", "transpiler", str(source), "--to", to, "-o", str(target)]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        sys.exit(f"{source} was not translated whole:\n{result.stderr}")


class Speed(NamedTuple):
    """Steps per second of wall time, and of processor time, which other load disturbs less."""

    wall: float
    cpu: float


class Runner:
    """A program that runs one epoch at a time."""

    def __init__(self, path: Path) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONUNBUFFERED": "1"}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, str(path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.path = path
        self.run_epoch()

    def run_epoch(self) -> Speed | None:
        """How fast the next epoch ran; nothing where there is none."""
        assert self.process.stdout
        cpu, start = self.count_cpu(), time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        line = self.process.stdout.readline()
        wall = time.perf_counter() - start
        cpu = self.count_cpu() - cpu
        if not line:
            self.finish()
            return None
        self.process.send_signal(signal.SIGSTOP)
        match = re.search(r"over (\d+) steps", line)
        if not match:
            sys.exit(f"{self.path} printed {line!r}")
        steps = int(match[1])
        return Speed(steps / wall, steps / max(cpu, 1e-9))

    def count_cpu(self) -> float:
        """Processor seconds that the process has used so far (Linux; elsewhere the wall's)."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return time.perf_counter()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def finish(self) -> None:
        if self.process.wait():
            self.errors.seek(0)
            sys.exit(f"{self.path} failed:\n{self.errors.read()[-3000:]}")


def race(*paths: Path) -> tuple[list[Speed], ...]:
    """The speeds of programs that take turns, epoch by epoch."""
    runners = [Runner(path) for path in paths]
    speeds: tuple[list[Speed], ...] = tuple([] for _ in runners)
    turn = 1
    while True:
        for runner, found in zip(runners, speeds, strict=True):
            speed = runner.run_epoch()
            if speed is not None and turn >= WARM_UP:
                found.append(speed)
        if all(runner.process.poll() is not None for runner in runners):
            return speeds
        turn += 1


if __name__ == "__main__":
    main()
