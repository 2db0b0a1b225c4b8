"""Reports: what a run has to tell, in one form each. All are pure functions of the findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import NamedTuple

from transpiler.findings import Finding
from transpiler.source import SourceError

FORMATS = ("text", "full", "json", "github", "sarif")


class Report(NamedTuple):
    """What a run has to tell."""

    findings: tuple[Finding, ...] = ()
    errors: tuple[SourceError, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    """Paths, each with a remark that asks for nothing; without a path, one on the whole run."""

    changes: tuple[str, ...] = ()
    """Files that a run which may write would change."""

    texts: Mapping[str, str] = MappingProxyType({})
    """The source text under each path that the findings name."""


def render_report(report: Report, form: str) -> str:
    """The report in one of the forms; empty where there is nothing to tell."""
    home = "text" if form == "full" else form
    render: Callable[[Report], str] = getattr(
        import_module(f"transpiler.report.{home}"), f"render_{form}"
    )
    return render(report)
