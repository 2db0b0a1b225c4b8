"""The outcome of a run: what became of its files, and the report of it."""

from __future__ import annotations

from collections.abc import Sequence

from transpiler.findings import Finding, Grade
from transpiler.plan import Options, Plan
from transpiler.report import Report
from transpiler.source import SourceError
from transpiler.translation import Translation


class Outcome:
    """What a run has come to so far; the files go by their number, which gives the order."""

    def __init__(self) -> None:
        self.results: dict[int, Translation] = {}
        self.errors: list[tuple[int, SourceError]] = []
        self.written: dict[int, str] = {}
        self.changing: dict[int, str] = {}
        self.diffs: dict[int, str] = {}


def make_report(options: Options, outcome: Outcome, plan: Plan) -> Report:
    """What to tell: findings in the order of the files, errors, and unless quiet, remarks."""
    results = [outcome.results[number] for number in sorted(outcome.results)]
    findings = tuple(finding for result in results for finding in result.findings)
    texts = {path: text for result in results for path, text in result.texts.items()}
    notes = [] if options.quiet else _list_notes(outcome, plan, results, findings)
    errors = tuple(error for _, error in sorted(outcome.errors, key=lambda item: item[0]))
    changes = [path for _, path in sorted(outcome.changing.items()) if not options.quiet]
    return Report(findings, errors, tuple(notes), tuple(changes), texts)


def _list_notes(
    outcome: Outcome, plan: Plan, results: list[Translation], findings: Sequence[Finding]
) -> list[tuple[str, str]]:
    notes = [(result.path, result.note) for result in results if result.note]
    if outcome.written:
        notes += [(str(path), "not Python, not copied") for path in plan.skipped]
        notes.append(("", _summarize(outcome, findings)))
    return notes


def _summarize(outcome: Outcome, findings: Sequence[Finding]) -> str:
    grades = [finding.grade for finding in findings]
    parts = []
    if cautions := grades.count(Grade.CAUTION):
        parts.append(_count(cautions, "caution"))
    if left := grades.count(Grade.MANUAL):
        parts.append(f"{_count(left, 'place')} left for a person")
    if failed := len(outcome.errors):
        parts.append(f"{_count(failed, 'file')} could not be translated")
    paths = list(outcome.written.values())
    what = paths[0] if len(paths) == 1 else _count(len(paths), "file")
    return f"wrote {what}: {', '.join(parts) or 'nothing left for a person'}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
