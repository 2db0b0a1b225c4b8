"""Run a script and its translation as twins and compare what they did."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from transpiler.verify.compared import Verdict, judge
from transpiler.verify.scratch import mirror
from transpiler.verify.side import Framework, Setup

Progress = Callable[[str, int], None]


def compare(
    original: Path,
    translated: Path,
    to: Literal["tf", "torch"],
    args: Sequence[str] = (),
    steps: int | None = 60,
    float64: bool = True,
    timeout: float = 600.0,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Run both scripts from equal weights on equal batches and draws; say where they part.

    `folder` is the working folder whose files the scripts see (default: the original's own).
    Nothing in it is written to: each side works in a scratch copy of links.
    """
    with tempfile.TemporaryDirectory(prefix="transpile-verify-") as name:
        pair = _Pair(Path(name).resolve(), steps, float64, tuple(args))
        source: Framework = "torch" if to == "tf" else "tf"
        base = (folder or original.parent).resolve()
        first = pair.start("original", source, original.resolve(), base)
        second = pair.start("translation", to, translated.resolve(), base)
        reports = pair.wait(first, second, timeout, progress)
    return judge(*reports, to=to, float64=float64)


class _Pair:
    """The two processes of one comparison and the folder between them."""

    def __init__(
        self, root: Path, steps: int | None, float64: bool, arguments: tuple[str, ...]
    ) -> None:
        self.root = root
        self.exchange = root / "exchange"
        self.exchange.mkdir()
        self.steps = steps
        self.float64 = float64
        self.arguments = arguments

    def start(
        self, side: str, framework: Framework, script: Path, base: Path
    ) -> subprocess.Popen[bytes]:
        """Lay out one side's folders and start its process."""
        place = self.root / side
        home, folder = lay_out(script, base, place, self.float64)
        setup = Setup(
            framework,
            side == "original",
            str(home),
            str(place),
            str(folder),
            str(self.exchange),
            self.arguments,
            self.steps,
            self.float64,
        )
        orders = self.exchange / f"{side}.json"
        setup.write(orders)
        with (
            (self.exchange / f"{side}.out").open("wb") as out,
            (self.exchange / f"{side}.err").open("wb") as err,
        ):
            return subprocess.Popen(
                [sys.executable, "-m", "transpiler.verify.runner", str(orders)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=environment(),
            )

    def wait(
        self,
        first: subprocess.Popen[bytes],
        second: subprocess.Popen[bytes],
        timeout: float,
        progress: Progress | None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait for the original, then for the translation; end what runs too long."""
        try:
            one = self._report("original", first, timeout, progress)
            if one["error"] is not None:
                (self.exchange / "abandoned").touch()
                return one, {"events": [], "updates": 0, "error": None, "skipped": True}
            return one, self._report("translation", second, timeout, progress)
        finally:
            for process in (first, second):
                if process.poll() is None:
                    process.kill()
                process.wait()

    def _report(
        self, side: str, process: subprocess.Popen[bytes], timeout: float, progress: Progress | None
    ) -> dict[str, Any]:
        path = self.exchange / f"{side}.events"
        limit = time.monotonic() + timeout
        while not path.exists() and process.poll() is None:
            if time.monotonic() > limit:
                process.kill()
                return self._failed(side, f"ran longer than {timeout:.0f} seconds")
            if progress is not None:
                progress(side, self._steps_done(side))
            time.sleep(0.05)
        if not path.exists():
            return self._failed(side, f"the process ended with code {process.returncode}")
        report: dict[str, Any] = pickle.loads(path.read_bytes())
        report["output"] = self._text(side, "out")
        report["stderr"] = self._text(side, "err")
        return report

    def _steps_done(self, side: str) -> int:
        try:
            return int((self.exchange / f"{side}.progress").read_text() or 0)
        except (OSError, ValueError):
            return 0

    def _failed(self, side: str, reason: str) -> dict[str, Any]:
        text = self._text(side, "err")[-4000:]
        return {"events": [], "updates": 0, "error": f"{reason}\n{text}".strip()}

    def _text(self, side: str, kind: str) -> str:
        path = self.exchange / f"{side}.{kind}"
        return path.read_text(errors="replace") if path.exists() else ""


def lay_out(script: Path, base: Path, place: Path, float64: bool) -> tuple[Path, Path]:
    """Mirror the script's folder and the working folder; their places in the mirror."""
    home = script.parent
    if home == base or base in home.parents:
        mirror(base, place / "work", float64)
        return place / "work" / script.relative_to(base), place / "work"
    mirror(base, place / "work", float64)
    mirror(home, place / "script", float64)
    return place / "script" / script.name, place / "work"


def environment() -> dict[str, str]:
    """The runner's environment: ours, with this package found first."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
