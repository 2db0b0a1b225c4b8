"""Which rule file defines what: kept beside the byte code, so that few of them are imported.

A run needs the rules of some dozen names; importing every rule file takes longer than translating.
The index is written where Python keeps the byte code of the rules, and holds as long as it does: a
file that is new, gone or changed makes it void, and everything is read again.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from transpiler.matching import spelling_name, spellings
from transpiler.rule import Direction, Inference, Rewriter, Rule

SETTINGS = (
    "ARRAYS", "BOUNDARY", "ENTRIES", "ENTRY_DEFAULTS", "FORMER_PARAMETERS", "MODES", "PREPARES",
    "TRACER", "UNSUPPORTED", "WEIGHTS",
)  # fmt: skip
"""What rule files say beside rules and inferences."""


class Contents:
    """The rules and inferences of one rule file, by name."""

    def __init__(self, module: Any) -> None:
        self.rules: dict[Direction, dict[str, list[Rule | Rewriter]]] = {"tf": {}, "torch": {}}
        self.functions: dict[str, Any] = {}
        self.properties: dict[str, Any] = {}
        for value in list(vars(module).values()):
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, (Rule, Rewriter, Inference)):
                    self._add(item)

    def _add(self, item: Rule | Rewriter | Inference) -> None:
        if isinstance(item, Inference):
            registry = self.properties if item.is_property else self.functions
            registry.update(dict.fromkeys(item.names, item.function))
        elif isinstance(item, Rewriter):
            for name in item.names:
                self._index(item.to, name, item)
        else:
            if item.to in (None, "tf"):
                for spelling in spellings(item.torch):
                    self._index("tf", spelling_name(spelling), item)
            if item.to in (None, "torch"):
                for spelling in spellings(item.keras):
                    self._index("torch", spelling_name(spelling), item)

    def _index(self, to: Direction, name: str, item: Rule | Rewriter) -> None:
        found = self.rules[to].setdefault(name, [])
        if item not in found:
            found.append(item)


@cache
def read_contents(module: str) -> Contents:
    """What a rule file defines."""
    return Contents(importlib.import_module(module))


class RuleIndex(NamedTuple):
    """The rule files that define each name, by their numbers, for one direction."""

    modules: list[str]
    at_once: list[str]
    """Files that say more than rules and inferences."""
    rules: dict[str, list[int]]
    functions: dict[str, list[int]]
    properties: dict[str, list[int]]


def read(package: str, to: Direction) -> RuleIndex | None:
    """The index of a package's rule files, unless there is none or a file has changed."""
    try:
        kept = json.loads(_place(package, to).read_text(encoding="utf-8"))
        return RuleIndex(**kept["index"]) if kept["files"] == _state(package) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(package: str, to: Direction, modules: Sequence[str]) -> None:
    """Keep the index of these rule files; where nothing can be written, do without."""
    if sys.dont_write_bytecode:
        return
    place = _place(package, to)
    own = place.with_suffix(f".{os.getpid()}")
    try:
        own.write_text(
            json.dumps({"files": _state(package), "index": _build(to, modules)._asdict()})
        )
        own.replace(place)
    except OSError:
        return


def _build(to: Direction, modules: Sequence[str]) -> RuleIndex:
    index = RuleIndex(list(modules), [m for m in modules if _says_more(m)], {}, {}, {})
    for number, module in enumerate(modules):
        contents = read_contents(module)
        for name in contents.rules[to]:
            index.rules.setdefault(name, []).append(number)
        index.functions.update({name: [number] for name in contents.functions})
        index.properties.update({name: [number] for name in contents.properties})
    return index


def _says_more(module: str) -> bool:
    """Whether a rule file has settings, or adds to another file's tables as it is imported."""
    loaded = sys.modules[module]
    if any(hasattr(loaded, name) for name in SETTINGS):
        return True
    tree = ast.parse(Path(str(loaded.__file__)).read_text(encoding="utf-8"))
    return any(isinstance(s, ast.Expr) and isinstance(s.value, ast.Call) for s in tree.body)


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations)))


def _place(package: str, to: Direction) -> Path:
    code = importlib.util.cache_from_source(str(_folder(package) / "index.py"))
    return Path(code).with_suffix(f".{to}.json")


def _state(package: str) -> dict[str, list[int]]:
    """Size and time of the rule files and of the engine's own, as byte code is checked."""
    state: dict[str, list[int]] = {}
    for folder in (_folder(package), Path(__file__).parent):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    stat = entry.stat()
                    state[f"{folder.name}/{entry.name}"] = [stat.st_size, stat.st_mtime_ns]
    return state
