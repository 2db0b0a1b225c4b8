"""For programs: one JSON document."""

from __future__ import annotations

import json
from typing import Any

from transpiler import __version__
from transpiler.findings import Finding, Grade
from transpiler.report import Report


def render_json(report: Report) -> str:
    """Findings, errors, notes, changes and a count of the findings by grade."""
    grades = [finding.grade for finding in report.findings]
    document = {
        "version": __version__,
        "findings": [_describe(finding) for finding in report.findings],
        "errors": [
            {
                "path": error.path,
                "line": error.line or None,
                "column": error.column or None,
                "message": error.message,
            }
            for error in report.errors
        ],
        "notes": [{"path": path or None, "message": text} for path, text in report.notes],
        "would_change": list(report.changes),
        "summary": {grade.value: grades.count(grade) for grade in Grade},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _describe(finding: Finding) -> dict[str, Any]:
    span = finding.span
    return {
        "path": finding.path,
        "line": span.line,
        "column": span.column,
        "end_line": span.end_line,
        "end_column": span.end_column,
        "grade": finding.grade.value,
        "rule": finding.rule,
        "message": finding.message,
        "hint": finding.hint or None,
    }
