"""`transpile verify`: arguments, the translation where none is given, the report, the exit code."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from transpiler.verify.compared import Verdict
from transpiler.verify.explained import Reported
from transpiler.verify.report import draw_plot, show, write_json
from transpiler.verify.translate import choose_config, translate
from transpiler.verify.twins import Progress, compare


def main(argv: Sequence[str]) -> int:
    """Run the command; 0 equal, 1 different, 2 could not run."""
    own, script_arguments = split_arguments(list(argv))
    try:
        options = build_parser().parse_args(own)
    except SystemExit as stop:
        return int(stop.code or 0)
    original = Path(options.script)
    for path in filter(None, (options.script, options.translated)):
        if not Path(path).is_file():
            sys.stderr.write(f"{path}: no such file\n")
            return 2
    with tempfile.TemporaryDirectory(prefix="transpile-translated-") as name:
        reported: list[Reported] = []
        exact: Callable[[], Path | None] = lambda: None
        if options.translated:
            translated = Path(options.translated)
        else:
            found = translate(original, options.to, Path(name), options.fidelity)
            if isinstance(found, str):
                sys.stderr.write(f"{found}\n")
                return 2
            translated, reported = found[0], [Reported.of(f) for f in found[1]]
            if any(not r.is_about_the_start for r in reported):
                exact = functools.partial(translate_exactly, original, options, Path(name))
        with progress_bar(options.steps) as progress:
            verdict = run(options, original, translated, script_arguments, progress, exact)
    verdict.reported = reported
    show(verdict, original.name)
    if options.json:
        write_json(verdict, Path(options.json))
    if options.plot and any(verdict.losses):
        draw_plot(verdict, Path(options.plot), original.name)
    return verdict.exit_code


def translate_exactly(original: Path, options: argparse.Namespace, folder: Path) -> Path | None:
    """The translation that keeps the source's numbers; None where that is the one there is."""
    if choose_config(original, options.fidelity).fidelity == "exact":
        return None
    found = translate(original, options.to, folder / "exact", "exact")
    return None if isinstance(found, str) else found[0]


def run(
    options: argparse.Namespace,
    original: Path,
    translated: Path,
    arguments: list[str],
    progress: Progress | None,
    exact: Callable[[], Path | None] = lambda: None,
) -> Verdict:
    """Compare in the wanted precision; in single where double was not asked for and fails."""

    def attempt(float64: bool) -> Verdict:
        return compare(
            original,
            translated,
            options.to,
            arguments,
            options.steps,
            float64,
            options.timeout,
            Path.cwd(),
            progress,
            exact=exact,
        )

    verdict = attempt(options.float64 is not False)
    if verdict.status != "failed" or options.float64 is not None:
        return verdict
    second = attempt(False)
    if second.status == "failed":
        return verdict
    reason = verdict.error.strip().splitlines()[-1] if verdict.error.strip() else "failed"
    second.notes.append(f"in float32, for in float64 the {verdict.failed_side} ended: {reason}")
    return second


def split_arguments(argv: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and the script's after `--`."""
    if "--" not in argv:
        return argv, []
    place = argv.index("--")
    return argv[:place], argv[place + 1 :]


def build_parser() -> argparse.ArgumentParser:
    """The parser of `transpile verify`."""
    parser = argparse.ArgumentParser(
        prog="transpile verify",
        usage="transpile verify SCRIPT --to {tf,torch} [options] [-- script arguments]",
        description="Run a script and its translation from equal weights on equal batches and "
        "random draws, and tell where they part.",
        epilog="exit codes: 0 they train the same; 1 they do not; 2 one of them could not run.",
    )
    parser.add_argument("script", help="the original, of either framework")
    parser.add_argument("--to", choices=("tf", "torch"), required=True)
    parser.add_argument("--translated", metavar="FILE", help="its translation (default: made now)")
    parser.add_argument("--fidelity", choices=("fluent", "exact"), help="of the translation")
    parser.add_argument("--steps", type=positive, metavar="N", help="stop both after N steps")
    parser.add_argument(
        "--float64",
        action=argparse.BooleanOptionalAction,
        help="double precision (default: where the script allows it)",
    )
    parser.add_argument("--json", metavar="FILE", help="write the verdict as JSON")
    parser.add_argument("--plot", metavar="FILE", help="draw both loss curves (PNG)")
    parser.add_argument(
        "--timeout", type=float, default=3600.0, metavar="S", help="seconds for each side"
    )
    return parser


def positive(text: str) -> int:
    """A whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


@contextmanager
def progress_bar(steps: int | None) -> Iterator[Callable[[str, int], None] | None]:
    """A bar per side on a terminal's standard error; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        "{task.description:12}",
        BarColumn(),
        TextColumn("{task.completed:.0f} steps"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        tasks = {side: bar.add_task(side, total=steps) for side in ("original", "translation")}
        yield lambda side, done: bar.update(tasks[side], completed=done)
