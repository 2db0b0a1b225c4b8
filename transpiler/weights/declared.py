"""What rules declare about parameters, by the names of classes: the one place that says it.

Twin processes do not read rule files: the process that starts them leaves the table beside their
orders, with what the user's own rules say in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transpiler.rulebook import RuleBook

Weights = str | Mapping[str, str]
Table = dict[str, list[Weights]]

_table: Table | None = None


def collect(book: RuleBook) -> Table:
    """Every `weights` of a rule book, by the last part of each class name that it stands for."""
    from transpiler.matching import spelling_name, spellings
    from transpiler.rule import Rule

    table: Table = {name: [weights] for name, weights in book.weights.items()}
    for index in book.rules.values():
        for name, items in index.items():
            for item in items:
                if item.weights is None:
                    continue
                names = [name]
                if isinstance(item, Rule):
                    both = (*spellings(item.torch), *spellings(item.keras))
                    names = [spelling_name(spelling) for spelling in both]
                for short in (full.rpartition(".")[2] for full in names):
                    found = table.setdefault(short, []) if short[0].isupper() else [item.weights]
                    if item.weights not in found:
                        found.append(item.weights)
    return table


def use(table: Table | None) -> None:
    """Read declarations from this table from now on; None: from the shipped rules."""
    global _table
    _table = table


def table() -> Table:
    """The table in use."""
    global _table
    if _table is None:
        from transpiler.rulebook import load

        _table = collect(load())
    return _table


def declared(kinds: Iterable[str]) -> list[Weights]:
    """What is declared for the first of some classes that anything is declared for."""
    for kind in kinds:
        found = table().get(kind)
        if found:
            return found
    return []


def is_declared(kinds: Iterable[str]) -> bool:
    """Whether a rule says how the parameters of one of these classes map."""
    return any(kind in table() for kind in kinds)


def leave(folder: Path, files: tuple[str, ...] = ()) -> None:
    """Leave the table for the processes of a comparison; `files`: the user's own rules."""
    from transpiler.rulebook import load

    (folder / "weights.json").write_text(json.dumps(collect(load(files))))


def pick_up(folder: Path) -> None:
    """Use the table that was left."""
    path = folder / "weights.json"
    if path.exists():
        use(json.loads(path.read_text()))
