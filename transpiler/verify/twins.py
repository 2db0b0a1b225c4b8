"""Run a script and its translation as twins and compare what they did."""

from __future__ import annotations

import pickle
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transpiler.config import find_config, load_config
from transpiler.verify.compared import Verdict, judge
from transpiler.verify.nursery import Fresh, Nurseries, Process, Starter
from transpiler.verify.scratch import mirror
from transpiler.verify.side import Framework, Setup
from transpiler.weights.declared import leave

Progress = Callable[[str, int], None]


def compare(
    original: Path,
    translated: Path,
    to: Framework,
    args: Sequence[str] = (),
    steps: int | None = 60,
    float64: bool = True,
    timeout: float = 600.0,
    folder: Path | None = None,
    progress: Progress | None = None,
    workshop: Workshop | None = None,
    exact: Callable[[], Path | None] = lambda: None,
) -> Verdict:
    """Run both scripts from equal weights on equal batches and draws; say where they part.

    `folder` is the working folder whose files the scripts see (default: the original's own).
    Nothing in it is written to: each side works in a scratch copy of links.
    `workshop`: share one over many comparisons, and each starts in an instant.
    `exact`: makes another translation, which is checked as well where this one differs.
    """
    shop = workshop or Workshop(Fresh())
    try:
        with shop.record(original, to, args, steps, float64, timeout, folder) as recording:
            verdict = recording.check(translated, progress)
            other = exact() if verdict.status == "different" else None
            if other is not None:
                verdict.exact = recording.check(other, progress)
            return verdict
    finally:
        if workshop is None:
            shop.close()


class Workshop:
    """Starts sides; by default from nurseries, which suits many comparisons."""

    def __init__(self, starter: Starter | None = None) -> None:
        self.starter: Starter = starter or Nurseries()

    def record(
        self,
        original: Path,
        to: Framework,
        args: Sequence[str] = (),
        steps: int | None = 60,
        float64: bool = True,
        timeout: float = 600.0,
        folder: Path | None = None,
        job: dict[str, str] | None = None,
    ) -> Recording:
        """Start the original; any number of translations can be checked against it."""
        return Recording(
            self.starter, original, to, tuple(args), steps, float64, timeout, folder, job
        )

    def close(self) -> None:
        """End all processes."""
        self.starter.close()

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recording:
    """One run of an original, and the folder that holds its tape."""

    def __init__(
        self,
        starter: Starter,
        original: Path,
        to: Framework,
        arguments: tuple[str, ...],
        steps: int | None,
        float64: bool,
        timeout: float,
        folder: Path | None,
        job: dict[str, str] | None = None,
    ) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="transpile-verify-")).resolve()
        self.exchange = self.root / "exchange"
        self.exchange.mkdir()
        leave(self.exchange, own_rules(original))
        self.starter = starter
        self.to = to
        self.arguments = arguments
        self.steps = steps
        self.float64 = float64
        self.timeout = timeout
        self.base = (folder or original.parent).resolve()
        self.hidden = checkpoint_files(Path(job["checkpoint"])) if job else frozenset[Path]()
        self.checks = 0
        self.report: dict[str, Any] | None = None
        source: Framework = "torch" if to == "tf" else "tf"
        self.process = self._start("original", source, original.resolve(), job)

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def check(self, translated: Path, progress: Progress | None = None) -> Verdict:
        """Run a translation against the recorded original and compare."""
        other = self.replay(translated, progress)
        assert self.report is not None
        return judge(self.report, other, to=self.to, float64=self.float64)

    def replay(
        self,
        translated: Path,
        progress: Progress | None = None,
        job: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Run a translation against the recorded original; its report."""
        self.checks += 1
        side = f"translation-{self.checks}"
        process = self._start(side, self.to, translated.resolve(), job)
        try:
            if self.report is None:
                self.report = self._wait("original", self.process, progress)
            if self.report["error"] is not None:
                (self.exchange / "abandoned").touch()
                other: dict[str, Any] = {"events": [], "updates": 0, "error": None}
            else:
                other = self._wait(side, process, progress)
        finally:
            process.kill()
        return other

    def _start(
        self, side: str, framework: Framework, script: Path, job: dict[str, str] | None = None
    ) -> Process:
        """Lay out one side's folders and start its process."""
        place = self.root / side
        home, work = lay_out(script, self.base, place, self.float64, self.hidden)
        orders = self.exchange / f"{side}.json"
        Setup(
            framework,
            side == "original",
            side,
            str(home),
            str(place),
            str(work),
            str(self.exchange),
            self.arguments,
            self.steps,
            self.float64,
            job,
        ).write(orders)
        return self.starter.start(orders)

    def _wait(self, side: str, process: Process, progress: Progress | None) -> dict[str, Any]:
        path = self.exchange / f"{side}.events"
        limit = time.monotonic() + self.timeout
        while not path.exists() and process.poll() is None:
            if time.monotonic() > limit:
                process.kill()
                return self._failed(side, f"ran longer than {self.timeout:.0f} seconds")
            if progress is not None:
                progress("original" if side == "original" else "translation", self._done(side))
            time.sleep(0.02)
        if not path.exists():
            return self._failed(side, f"the process ended with code {process.poll()}")
        report: dict[str, Any] = pickle.loads(path.read_bytes())
        report["output"] = self._text(side, "out")
        report["stderr"] = self._text(side, "err")
        if str(report["error"] or "").startswith("the script left"):  # and said why elsewhere
            said = report["stderr"].strip() or report["output"].strip()
            report["error"] = f"{report['error']}\n{said[-4000:]}".strip()
        return report

    def _done(self, side: str) -> int:
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


def checkpoint_files(path: Path) -> frozenset[Path]:
    """What a script that resumes by itself must not find: the other side could not read it."""
    folder = path if path.is_dir() else path.parent
    found = {path.resolve()} if path.is_file() else set[Path]()
    if path.is_dir() or path.suffix == ".index" or not path.exists():
        found |= {p.resolve() for p in (*folder.glob("*.index"), *folder.glob("*.data-*"))}
        found.add((folder / "checkpoint").resolve())
    return frozenset(found)


def own_rules(script: Path) -> tuple[str, ...]:
    """The rule files of the script's own project."""
    path = find_config(script)
    return load_config(path).rules if path else ()


def lay_out(
    script: Path, base: Path, place: Path, float64: bool, hidden: frozenset[Path] = frozenset()
) -> tuple[Path, Path]:
    """Mirror the script's folder and the working folder; their places in the mirror."""
    home = script.parent
    if home == base or base in home.parents:
        mirror(base, place / "work", float64, home, hidden)
        return place / "work" / script.relative_to(base), place / "work"
    mirror(base, place / "work", float64, hidden=hidden)
    mirror(home, place / "script", float64, hidden=hidden)
    return place / "script" / script.name, place / "work"
