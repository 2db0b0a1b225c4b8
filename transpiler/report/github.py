"""For GitHub Actions: annotations on the lines of a pull request."""

from __future__ import annotations

import re

from transpiler.findings import Finding, Grade
from transpiler.report import Report

_LEVELS = {Grade.EXACT: "notice", Grade.CAUTION: "warning", Grade.MANUAL: "error"}


def render_github(report: Report) -> str:
    """One workflow command per finding, error, remark or change."""
    lines = [_format(finding) for finding in report.findings]
    for error in report.errors:
        place = {"file": error.path}
        if error.line:
            place |= {"line": str(error.line), "col": str(error.column)}
        lines.append(_command("error", place, "transpile", error.message))
    for path, text in report.notes:
        lines.append(_command("notice", {"file": path} if path else {}, "transpile", text))
    for path in report.changes:
        lines.append(_command("error", {"file": path}, "transpile", "would change"))
    return "".join(line + "\n" for line in lines)


def _format(finding: Finding) -> str:
    path, cell = split_cell(finding.path)
    message = f"{finding.message}\nhint: {finding.hint}" if finding.hint else finding.message
    place = {"file": path}
    if cell:
        message = f"{cell}, line {finding.span.line}: {message}"
    else:
        span = finding.span
        place |= {"line": str(span.line), "endLine": str(span.end_line)}
        if span.line == span.end_line:  # columns are only allowed within one line
            place |= {"col": str(span.column), "endColumn": str(span.end_column)}
    return _command(_LEVELS[finding.grade], place, f"transpile {finding.rule}", message)


def _command(level: str, place: dict[str, str], title: str, message: str) -> str:
    fields = {**place, "title": title}
    properties = ",".join(f"{key}={_escape_property(value)}" for key, value in fields.items())
    return f"::{level} {properties}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def split_cell(path: str) -> tuple[str, str]:
    """A notebook's own path, and the cell that a finding's path names."""
    match = re.fullmatch(r"(.*):(cell \d+)", path)
    return (match[1], match[2]) if match else (path, "")
