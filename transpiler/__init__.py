"""Translate PyTorch training scripts to TensorFlow/Keras 3, and back."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transpiler.config import Config
    from transpiler.convert import Conversion, convert
    from transpiler.findings import Finding, Grade, Span
    from transpiler.source import SourceError

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Conversion",
    "Finding",
    "Grade",
    "SourceError",
    "Span",
    "__version__",
    "convert",
]

_HOMES = {
    "Config": "transpiler.config",
    "Conversion": "transpiler.convert",
    "Finding": "transpiler.findings",
    "Grade": "transpiler.findings",
    "SourceError": "transpiler.source",
    "Span": "transpiler.findings",
    "convert": "transpiler.convert",
}


class _Package(ModuleType):
    """Imports what is asked for when it is asked for: ``transpile --help`` needs no parser."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing the module transpiler.convert binds it here under the name of its function.
        if name == "convert" and isinstance(value, ModuleType):
            value = value.convert
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
