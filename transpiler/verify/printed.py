"""Compare what two runs printed: the numbers in lines whose words agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]*\w)|\bnan\b|\binf\b"
)
TIMES = re.compile(
    r"\b(time|elapsed|took|speed|eta|sec|secs|seconds|minutes|duration|ms)\b|\d\s*m?s\b|/s\b|it/s"
    r"|\b\d{1,2}:\d{2}:\d{2}\b|\b\d{4}-\d{2}-\d{2}\b",
    re.IGNORECASE,
)

EPOCH = re.compile(r"Epoch \d+/\d+(?P<logs>(?: - \w+: \S+)*)")
"""What `fit` says of an epoch, and what its translation prints for that."""


@dataclass(frozen=True)
class Difference:
    """Two printed lines that disagree in a number."""

    original: str
    translation: str
    first: float
    second: float


def compare_lines(
    original: Sequence[str], translation: Sequence[str], tolerance: float
) -> tuple[Difference | None, int, tuple[list[str], list[str]]]:
    """The first difference, how many lines were compared, and those that one side has alone."""
    ours = [in_order(line) for line in original if _counts(line)]
    theirs = [in_order(line) for line in translation if _counts(line)]
    matcher = SequenceMatcher(None, [words(x) for x in ours], [words(x) for x in theirs], False)
    compared = 0
    left = set(range(len(ours))), set(range(len(theirs)))
    for block in matcher.get_matching_blocks():
        for i in range(block.size):
            first, second = ours[block.a + i], theirs[block.b + i]
            left[0].discard(block.a + i)
            left[1].discard(block.b + i)
            compared += 1
            found = _differ(first, second, tolerance)
            if found is not None:
                return Difference(first, second, *found), compared, ([], [])
    rest = [ours[i] for i in sorted(left[0])], [theirs[i] for i in sorted(left[1])]
    return None, compared, rest


def in_order(line: str) -> str:
    """The logs of an epoch sorted by their names, as Keras has them; other lines as they are."""
    found = EPOCH.fullmatch(line.strip())
    if found is None:
        return line
    head, *logs = line.strip().split(" - ")
    return " - ".join([head, *sorted(logs)])


def _counts(line: str) -> bool:
    found = EPOCH.fullmatch(line.strip())
    if found is not None and not found["logs"]:
        return False  # a heading
    return bool(NUMBER.search(line)) and not TIMES.search(line) and not {"━", "│"} & set(line)


def words(line: str) -> str:
    """A line without its numbers and spacing."""
    return " ".join(NUMBER.sub("#", line).split())


def _differ(first: str, second: str, tolerance: float) -> tuple[float, float] | None:
    for a, b in zip(NUMBER.findall(first), NUMBER.findall(second), strict=False):
        x, y = _value(a), _value(b)
        if x == y or (x != x and y != y):
            continue
        unit = max(_unit(a), _unit(b))
        if not abs(x - y) <= 1.01 * unit + tolerance * abs(x):
            return x, y
    return None


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _unit(text: str) -> float:
    """The weight of the last digit printed, or 0 for a whole number."""
    mantissa, _, exponent = text.lower().partition("e")
    places = len(mantissa.partition(".")[2])
    if not places and not exponent:
        return 0.0
    return float(10.0 ** (int(exponent or 0) - places))
