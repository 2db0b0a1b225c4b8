"""Reports: what a run has to tell, in one form each. All are pure functions of the findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module

from transpiler.findings import Finding
from transpiler.source import SourceError

FORMATS = ("text", "full", "json", "github", "sarif")


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has to tell."""

    findings: tuple[Finding, ...] = ()
    errors: tuple[SourceError, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    """Paths, each with a remark that asks for nothing; without a path, one on the whole run."""

    changes: tuple[str, ...] = ()
    """Files that a run which may write would change."""

    texts: dict[str, str] = field(default_factory=dict)
    """The source text under each path that the findings name."""


def render_report(report: Report, form: str) -> str:
    """The report in one of the forms; empty where there is nothing to tell."""
    home = "text" if form == "full" else form
    render: Callable[[Report], str] = getattr(
        import_module(f"transpiler.report.{home}"), f"render_{form}"
    )
    return render(report)
