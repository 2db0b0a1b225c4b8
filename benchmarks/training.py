"""Steps per second of translated programs, against TensorFlow programs written by hand.

Each script of ``torch/`` is translated on the spot and runs against its match in ``expert/``: the
same model, data, batch size and optimizer. Both are alive at once and take turns, an epoch each,
while the other is stopped: so a busy machine is busy for both. The first epochs, in which graphs
are traced, do not count.

    python benchmarks/training.py [mlp] [cnn] [lstm]
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

FOLDER = Path(__file__).parent
NAMES = ("mlp", "cnn", "lstm")
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description="translated against hand-written programs")
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    options = parser.parse_args()
    print("steps/s   translated   expert   translated/expert (median over pairs of epochs)")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names:
            translated = Path(folder) / f"{name}.py"
            translate(FOLDER / "torch" / f"{name}.py", translated)
            ours, theirs = race(translated, FOLDER / "expert" / f"{name}.py")
            ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
            a, b = statistics.median(ours), statistics.median(theirs)
            print(f"{name:9} {a:10.1f} {b:8.1f}   {ratio:.2f}", flush=True)


def translate(source: Path, target: Path) -> None:
    command = [sys.executable, "-m", "transpiler", str(source), "--to", "tf", "-o", str(target)]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        sys.exit(f"{source} was not translated whole:\n{result.stderr}")


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

    def run_epoch(self) -> float | None:
        """Steps per second of the next epoch; nothing where there is none."""
        assert self.process.stdout
        self.process.send_signal(signal.SIGCONT)
        start = time.perf_counter()
        line = self.process.stdout.readline()
        seconds = time.perf_counter() - start
        if not line:
            self.finish()
            return None
        self.process.send_signal(signal.SIGSTOP)
        match = re.search(r"over (\d+) steps", line)
        if not match:
            sys.exit(f"{self.path} printed {line!r}")
        return int(match[1]) / seconds

    def finish(self) -> None:
        if self.process.wait():
            self.errors.seek(0)
            sys.exit(f"{self.path} failed:\n{self.errors.read()[-3000:]}")


def race(*paths: Path) -> tuple[list[float], ...]:
    """The speeds of programs that take turns, epoch by epoch."""
    runners = [Runner(path) for path in paths]
    speeds: tuple[list[float], ...] = tuple([] for _ in runners)
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
