"""The rule book: every rule file's rules, by qualified name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from transpiler import ruleindex, signatures
from transpiler.infer.knowledge import Knowledge
from transpiler.matching import apply_rule
from transpiler.registry import Registry
from transpiler.rule import Direction, Layout, Rewriter, Rule, Unfit
from transpiler.ruleindex import Contents, RuleIndex, read_contents
from transpiler.site import Site

SHIPPED = "transpiler.rules"
FROM_TENSORFLOW = ("keras_", "tf_", "facts_keras", "facts_tf", "unsupported_tensorflow")
"""How the names of rule files begin that only serve translations from TensorFlow."""


class RuleBook:
    """Rules by direction and qualified name, and the knowledge the interpreter reads."""

    def __init__(self) -> None:
        self.rules: dict[Direction, Registry[list[Rule | Rewriter]]] = {
            "tf": Registry(), "torch": Registry()
        }  # fmt: skip
        self.knowledge = Knowledge()
        self.unsupported: dict[str, str] = {}
        self.weights: dict[str, Any] = {}
        """How the parameters of emitted classes map, by the classes' names."""

    def add_module(self, module: ModuleType, *, first: bool = False) -> None:
        """Take in everything that a rule file defines; `first`: before what is there."""
        contents = Contents(module)
        for to, registry in self.rules.items():
            for name, items in contents.rules[to].items():
                known = registry.get(name, [])
                registry[name] = [*items, *known] if first else [*known, *items]
        for name, function in contents.functions.items():
            self.knowledge.functions.put(name, function)
        for name, function in contents.properties.items():
            self.knowledge.properties.put(name, function)
        self.add_settings(module)

    def add_settings(self, module: ModuleType) -> None:
        """Take in what a rule file says beside its rules and inferences."""
        knowledge = self.knowledge
        knowledge.entries.update(getattr(module, "ENTRIES", {}))
        knowledge.prepares.update(getattr(module, "PREPARES", {}))
        knowledge.arrays.update(getattr(module, "ARRAYS", {}))
        knowledge.lone.update(getattr(module, "LONE", {}))
        knowledge.modes.update(getattr(module, "MODES", ()))
        knowledge.entry_defaults.update(getattr(module, "ENTRY_DEFAULTS", {}))
        signatures.FORMER.update(getattr(module, "FORMER_PARAMETERS", {}))
        knowledge.tracer = getattr(module, "TRACER", knowledge.tracer)
        knowledge.boundary = getattr(module, "BOUNDARY", knowledge.boundary)
        self.unsupported.update(getattr(module, "UNSUPPORTED", {}))
        self.weights.update(getattr(module, "WEIGHTS", {}))

    def expect(self, index: RuleIndex, to: Direction) -> None:
        """Take in the shipped rule files for a direction, each when a name of it is asked for."""
        for module in index.at_once:
            self.add_settings(importlib.import_module(module))

        def contents(number: int) -> Contents:
            return read_contents(index.modules[number])

        self.rules[to].expect(index.rules, lambda at, name: contents(at).rules[to][name])
        knowledge = self.knowledge
        knowledge.functions.expect(index.functions, lambda at, name: contents(at).functions[name])
        knowledge.properties.expect(
            index.properties, lambda at, name: contents(at).properties[name]
        )

    def candidates(self, to: Direction, name: str) -> list[Rule | Rewriter]:
        """The rules for a name, in the order in which they are tried."""
        return self.rules[to].get(name, [])

    def layout(self, to: Direction, name: str) -> Layout:
        """How calls of a name treat the order of axes."""
        for item in self.candidates(to, name):
            if item.layout is not None:
                return item.layout
        return None

    def translate(self, site: Site) -> Any:
        """The site in the other framework. Raises Unfit with one rule's reason."""
        name = site.name
        found = self.candidates(site.context.to, name)
        if not found:
            reason = self.unsupported.get(name)
            raise Unfit(reason or f"no rule for {name}")
        error: Unfit | None = None
        for item in found:
            mark = len(site.context.reports)
            try:
                if isinstance(item, Rule):
                    return apply_rule(item, site)
                return item.function(site)
            except Unfit as reason:
                del site.context.reports[mark:]
                # Towards PyTorch the first rule is the one that knows the surroundings best.
                error = reason if error is None or site.context.to == "tf" else error
        assert error is not None
        raise error


def load(files: tuple[str, ...] = (), to: Direction | None = None) -> RuleBook:
    """The shipped rules and the user's own rule files, which come first.

    to: only the rules of this direction. The shipped files are then imported as their names are
        asked for: importing all of them takes longer than what most translations need of them.
    """
    return _load(files, to)


@lru_cache(maxsize=4)
def _load(files: tuple[str, ...], to: Direction | None) -> RuleBook:
    book = RuleBook()
    if to is not None and (index := ruleindex.read(SHIPPED, to)) is not None:
        book.expect(index, to)
    else:
        modules = _list_shipped(to)
        for module in modules:
            book.add_module(importlib.import_module(module))
        if to is not None:
            ruleindex.write(SHIPPED, to, modules)
    for file in reversed(files):
        book.add_module(_load_file(Path(file)), first=True)
    return book


def _list_shipped(to: Direction | None) -> list[str]:
    package = importlib.import_module(SHIPPED)
    names = sorted(i.name for i in pkgutil.iter_modules(package.__path__) if not i.ispkg)
    return [f"{SHIPPED}.{n}" for n in names if to != "tf" or not n.startswith(FROM_TENSORFLOW)]


def _load_file(path: Path) -> ModuleType:
    name = f"transpiler_user_rules_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot read the rule file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
