"""For people: one line per finding, or each with its source line and a caret."""

from __future__ import annotations

from transpiler.findings import Finding
from transpiler.report import Report

_NAMED = 3  # of a long list of files, so many are named


def render_text(report: Report) -> str:
    """``path:line:col: grade rule: message``, the hint indented below."""
    return _join(report, [_format(finding) for finding in report.findings])


def render_full(report: Report) -> str:
    """The same with the source line, and a caret under the place."""
    blocks = [_format(f, _quote(f, report.texts.get(f.path, ""))) for f in report.findings]
    return _join(report, blocks)


def _join(report: Report, blocks: list[str]) -> str:
    errors = [_format_error(error.path, error.line, error.column, error.message)
              for error in report.errors]  # fmt: skip
    changes = [f"{path}: would change" for path in report.changes]
    lines = [*blocks, *errors, *_group_notes(report), *changes]
    return "\n".join(lines) + "\n" if lines else ""


def _group_notes(report: Report) -> list[str]:
    """Remarks, those of many files together where they are the same."""
    groups: dict[str, list[str]] = {}
    for path, text in report.notes:
        groups.setdefault(text, []).append(path)
    return [f"{_name_some(p)}: note: {text}" if p[0] else text for text, p in groups.items()]


def _name_some(paths: list[str]) -> str:
    if len(paths) <= _NAMED + 1:
        return ", ".join(paths)
    return f"{', '.join(paths[:_NAMED])} and {len(paths) - _NAMED} more"


def _format_error(path: str, line: int, column: int, message: str) -> str:
    place = f"{path}:{line}:{column}" if line else path
    return f"{place}: error: {message}"


def _format(finding: Finding, quote: str = "") -> str:
    place = f"{finding.path}:{finding.span.line}:{finding.span.column}"
    text = f"{place}: {finding.grade} {finding.rule}: {finding.message}{quote}"
    hint = f"\nhint: {finding.hint}".replace("\n", "\n    ")
    return text + hint if finding.hint else text


def _quote(finding: Finding, text: str) -> str:
    lines = text.split("\n")
    span = finding.span
    if not 0 < span.line <= len(lines):
        return ""
    line = lines[span.line - 1]
    before, rest = line[: span.column - 1], line[span.column - 1 :]
    if span.end_line == span.line:
        rest = rest[: max(span.end_column - span.column, 0)]
    margin = " " * len(str(span.line))
    indent = "".join(c if c == "\t" else " " * _measure(c) for c in before)
    carets = "^" * max(sum(_measure(c) for c in rest.rstrip()), 1)
    return f"\n    {margin} |\n    {span.line} | {line}\n    {margin} | {indent}{carets}"


def _measure(character: str) -> int:
    """How many columns a terminal gives a character."""
    if character.isascii():
        return 1
    import unicodedata

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
