"""Where twin processes come from: fresh interpreters, or forks of one that has its framework.

Importing TensorFlow takes longer than most comparisons.  A nursery imports a framework once, runs
nothing with it, and forks a child for each run: every child is as untouched as a fresh process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Protocol

from transpiler.verify.side import Framework, Setup

SERVE = "import sys; from transpiler.verify.nursery import serve; serve(sys.argv[1])"


class Process(Protocol):
    """A running side."""

    def poll(self) -> int | None:
        """Its exit code once it has ended."""

    def kill(self) -> None:
        """End it."""


class Starter(Protocol):
    """Something that starts a side from its orders."""

    def start(self, orders: Path) -> Process:
        """Start one side."""

    def close(self) -> None:
        """End what is still running."""


def environment() -> dict[str, str]:
    """The runner's environment: ours, with this package found first."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1",
            "PYTHONHASHSEED": "0"}  # fmt: skip


class Fresh:
    """An interpreter of its own for each side."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, orders: Path) -> Process:
        """Start one side."""
        process = subprocess.Popen(
            [sys.executable, "-m", "transpiler.verify.runner", str(orders)],
            stdin=subprocess.DEVNULL,
            cwd=orders.parent,
            env=environment(),
        )
        self.running.append(process)
        return process

    def close(self) -> None:
        """End what is still running."""
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()


class Forked:
    """A child of a nursery, known by its process id and the status file written when it ends."""

    def __init__(self, orders: Path) -> None:
        self.orders = orders

    def poll(self) -> int | None:
        """Its exit code once it has ended."""
        try:
            return int(self.orders.with_suffix(".status").read_text())
        except (OSError, ValueError):
            return None

    def kill(self) -> None:
        """End it."""
        try:
            os.kill(int(self.orders.with_suffix(".pid").read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            return


class Nurseries:
    """One process per framework that forks the sides as they are asked for."""

    def __init__(self) -> None:
        self.servers: dict[Framework, subprocess.Popen[bytes]] = {}

    def start(self, orders: Path) -> Process:
        """Have one side forked."""
        framework = Setup.read(orders).framework
        server = self.servers.get(framework)
        if server is None or server.poll() is not None:
            server = self.servers[framework] = subprocess.Popen(
                [sys.executable, "-c", SERVE, framework],
                stdin=subprocess.PIPE,
                env=environment(),
            )
        assert server.stdin is not None
        server.stdin.write(f"{orders}\n".encode())
        server.stdin.flush()
        return Forked(orders)

    def close(self) -> None:
        """End the nurseries."""
        for server in self.servers.values():
            assert server.stdin is not None
            server.stdin.close()
            server.wait()


def serve(framework: Framework) -> None:
    """Import the framework, then fork a runner for every line of orders on standard input."""
    from transpiler.verify import runner

    runner.prepare_environment()
    runner.import_framework(framework)
    children: dict[int, Path] = {}

    def reap(_signal: int, _frame: FrameType | None) -> None:
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                leave(children.pop(pid), ".status", os.waitstatus_to_exitcode(status))

    signal.signal(signal.SIGCHLD, reap)
    for orders in read_lines():
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            runner.run_and_leave(orders)
        children[pid] = orders
        leave(orders, ".pid", pid)
        reap(signal.SIGCHLD, None)
    for pid in list(children):
        os.kill(pid, signal.SIGKILL)


def leave(orders: Path, suffix: str, number: int) -> None:
    """Write a number beside some orders, unless their comparison is over already."""
    with suppress(OSError):
        orders.with_suffix(suffix).write_text(str(number))


def read_lines() -> Iterator[Path]:
    """Orders as they arrive, until the other end closes."""
    rest = b""
    while chunk := os.read(0, 65536):  # repeated by Python itself when a child's end interrupts it
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (Path(os.fsdecode(line)) for line in lines)
