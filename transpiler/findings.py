"""Findings: what a translation has to tell, and where.

Records on the way of a single run are named tuples: a data class costs a millisecond to define.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Grade(StrEnum):
    """How well a place was translated."""

    EXACT = "exact"
    """Translated exactly; the finding only informs."""

    CAUTION = "caution"
    """Translated, with a deviation that the message names."""

    MANUAL = "manual"
    """Left as it was, for a person."""


class Span(NamedTuple):
    """A stretch of source text; lines and columns count from 1, the end column is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Finding(NamedTuple):
    """One thing to know about one place of the source."""

    path: str
    span: Span
    grade: Grade
    rule: str
    message: str
    hint: str = ""


def sort_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Put findings in the order of their places; equal ones are told once."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda f: (f.path, f.span, f.rule, f.message)))
