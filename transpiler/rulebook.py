"""The rule book: every rule file's rules, indexed by qualified name."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from transpiler import signatures
from transpiler.infer.knowledge import Knowledge
from transpiler.matching import apply_rule, spelling_name, spellings
from transpiler.rule import Direction, Inference, Layout, Rewriter, Rule, Unfit
from transpiler.site import Site

SHIPPED = "transpiler.rules"
FROM_TENSORFLOW = ("keras_", "tf_", "facts_keras", "facts_tf", "unsupported_tensorflow")
"""How the names of rule files begin that only serve translations from TensorFlow."""


class RuleBook:
    """Rules by direction and qualified name, and the knowledge the interpreter reads."""

    def __init__(self) -> None:
        self.rules: dict[Direction, dict[str, list[Rule | Rewriter]]] = {"tf": {}, "torch": {}}
        self.knowledge = Knowledge()
        self.unsupported: dict[str, str] = {}
        self.weights: dict[str, Any] = {}
        """How the parameters of emitted classes map, by the classes' names."""
        self.modules: list[str] = []

    def add_module(self, module: ModuleType) -> None:
        """Take in everything that a rule file defines."""
        self.modules.append(module.__name__)
        for value in list(vars(module).values()):
            if isinstance(value, (Rule, Rewriter, Inference)):
                self.add(value)
            elif isinstance(value, (list, tuple)):
                for item in value:
                    if isinstance(item, (Rule, Rewriter, Inference)):
                        self.add(item)
        knowledge = self.knowledge
        knowledge.entries.update(getattr(module, "ENTRIES", {}))
        knowledge.prepares.update(getattr(module, "PREPARES", {}))
        knowledge.arrays.update(getattr(module, "ARRAYS", {}))
        knowledge.modes.update(getattr(module, "MODES", ()))
        knowledge.entry_defaults.update(getattr(module, "ENTRY_DEFAULTS", {}))
        signatures.FORMER.update(getattr(module, "FORMER_PARAMETERS", {}))
        knowledge.tracer = getattr(module, "TRACER", knowledge.tracer)
        knowledge.boundary = getattr(module, "BOUNDARY", knowledge.boundary)
        self.unsupported.update(getattr(module, "UNSUPPORTED", {}))
        self.weights.update(getattr(module, "WEIGHTS", {}))

    def add(self, item: Rule | Rewriter | Inference) -> None:
        if isinstance(item, Inference):
            registry: dict[str, Any] = (
                self.knowledge.properties if item.is_property else self.knowledge.functions
            )
            for name in item.names:
                registry[name] = item.function
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

    to: leaves out what is only about reading the target itself, which takes a while to import.
    """
    return _load(files, to == "tf")


@lru_cache(maxsize=4)
def _load(files: tuple[str, ...], forward: bool) -> RuleBook:
    book = RuleBook()
    for file in files:
        book.add_module(_load_file(Path(file)))
    package = importlib.import_module(SHIPPED)
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        if not info.ispkg and not (forward and info.name.startswith(FROM_TENSORFLOW)):
            book.add_module(importlib.import_module(f"{SHIPPED}.{info.name}"))
    return book


def _load_file(path: Path) -> ModuleType:
    name = f"transpiler_user_rules_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot read the rule file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
