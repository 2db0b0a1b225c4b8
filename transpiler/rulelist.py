"""``transpile rules``: what is translated, in both directions, and what is known not to be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from transpiler.config import Config, find_config, load_config
from transpiler.rule import Direction, Rule
from transpiler.rulebook import RuleBook, load
from transpiler.source import SourceError


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="transpile rules", description="List the names that are translated."
    )
    parser.add_argument("--to", choices=("tf", "torch"), help="only in this direction")
    parser.add_argument(
        "--unsupported", action="store_true", help="list what is not translated, and why"
    )
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        path = find_config(".")
        book = load((load_config(path) if path else Config()).rules)
    except SourceError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    lines = list_unsupported(book) if options.unsupported else list_names(book, options.to)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def list_names(book: RuleBook, to: Direction | None = None) -> Iterator[str]:
    """One line per name: what it is called in the other framework where a rule says so."""
    for direction in ("tf", "torch") if to is None else (to,):
        for name, rules in sorted(book.rules[direction].items()):
            spellings = [
                _find_spelling(rule, direction) for rule in rules if isinstance(rule, Rule)
            ]
            others = dict.fromkeys(spelling for spelling in spellings if spelling)
            yield f"{name} -> {', '.join(others) or 'rewritten'}"


def list_unsupported(book: RuleBook) -> Iterator[str]:
    """One line per name that is known not to be translated, with the reason."""
    for name, reason in sorted(book.unsupported.items()):
        yield f"{name}: {reason}"


def _find_spelling(rule: Rule, to: Direction) -> str:
    """What the rule writes: the name that its template calls."""
    spelling = rule.keras if to == "tf" else rule.torch
    first = spelling if isinstance(spelling, str) else spelling[0]
    return first.partition("(")[0]
