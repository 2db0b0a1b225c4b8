"""For code scanning: SARIF 2.1.0."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from transpiler import __version__
from transpiler.findings import Finding, Grade
from transpiler.report import Report
from transpiler.report.github import split_cell
from transpiler.source import SourceError

_LEVELS = {Grade.EXACT: "note", Grade.CAUTION: "warning", Grade.MANUAL: "error"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_sarif(report: Report) -> str:
    """One run: a result per finding, and the errors as notifications of the tool."""
    rules = sorted({finding.rule for finding in report.findings})
    run = {
        "tool": {
            "driver": {
                "name": "transpile",
                "version": __version__,
                "rules": [{"id": rule} for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not report.errors,
                "toolExecutionNotifications": [_describe_error(e) for e in report.errors],
            }
        ],
        "results": [_describe(finding, rules) for finding in report.findings],
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _describe(finding: Finding, rules: list[str]) -> dict[str, Any]:
    path, cell = split_cell(finding.path)
    span = finding.span
    region = {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }
    location = _locate(path, {} if cell else region)
    parts = [finding.message, finding.hint]
    if cell:
        parts.insert(0, f"{cell}, line {span.line}")
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": _LEVELS[finding.grade],
        "message": {"text": "\n".join(part for part in parts if part)},
        "locations": [location],
    }


def _describe_error(error: SourceError) -> dict[str, Any]:
    path, _ = split_cell(error.path)
    region = {"startLine": error.line, "startColumn": error.column} if error.line else {}
    return {
        "level": "error",
        "message": {"text": error.message},
        "locations": [_locate(path, region)],
    }


def _locate(path: str, region: dict[str, int]) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _format_uri(path)}}
    if region:
        place["region"] = region
    return {"physicalLocation": place}


def _format_uri(path: str) -> str:
    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(pure.as_posix())
