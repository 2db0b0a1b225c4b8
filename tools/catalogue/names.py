"""Walks the public modules and chooses one name for each object."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections import defaultdict
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from catalogue.sources import CUSTOMARY, PREFERRED, ROOTS, SKIPPED, TORCH_MODULES, TREES

CONSTANTS = {"dtype", "DType", "memory_format", "layout", "qscheme"}
FRAMEWORKS = ("torch", "torchvision", "keras", "tensorflow", "tf")


class Names:
    """Every public name with its object, and which of an object's names is the canonical one."""

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}
        self._walked: set[str] = set()
        self.objects: dict[str, Any] = {}
        self.canonical: dict[int, str] = {}
        self.aliases: dict[str, str] = {}

    def collect(self) -> None:
        """Fill in all four."""
        self._walk_modules()
        for path, module in self.modules.items():
            for name, value in _public_members(path, module):
                self.objects.setdefault(f"{path}.{name}", value)
        self._choose()

    def _walk_modules(self) -> None:
        for path in TORCH_MODULES:
            self.modules[path] = importlib.import_module(path)
        for source, root in TREES.items():
            self._walk_tree(root, importlib.import_module(source))

    def _walk_tree(self, path: str, module: ModuleType) -> None:
        if path in SKIPPED or module.__name__ in self._walked:
            return
        self._walked.add(module.__name__)
        if path in self.modules:  # the same path of a second tree: its extra names count too
            self._add_extras(path, module)
        else:
            self.modules[path] = module
        for name in sorted(dir(module)):
            child = getattr(module, name, None)
            if isinstance(child, ModuleType) and _is_child(child) and not name.startswith("_"):
                self._walk_tree(f"{path}.{name}", child)

    def _add_extras(self, path: str, module: ModuleType) -> None:
        for name, value in _public_members(path, module):
            if not hasattr(self.modules[path], name):
                self.objects.setdefault(f"{path}.{name}", value)

    def _choose(self) -> None:
        groups: dict[int, list[str]] = defaultdict(list)
        for path, value in self.objects.items():
            if has_identity(value):
                groups[id(value)].append(path)
        for key, paths in groups.items():
            best = min(paths, key=lambda path: _rank(path, self.objects[path]))
            self.canonical[key] = best
            self.aliases.update({path: best for path in paths if path != best})

    def private_paths(self) -> Iterator[tuple[str, str]]:
        """Where each object is defined or re-exported outside of the public modules."""
        for best in self.canonical.values():
            value = self.objects[best]
            home = getattr(value, "__module__", None) or ""
            defined = inspect.isclass(value) or inspect.isfunction(value)
            if defined and "._" not in home:
                yield normalise_root(f"{home}.{value.__qualname__}"), best
        packages = ("torch.nn.modules", "torch.utils.data", "torch.optim", "torchvision")
        for path in [p for p in sys.modules if p.startswith(packages) and "._" not in p]:
            for name, value in list(vars(sys.modules[path]).items()):
                if getattr(sys.modules[path], "__path__", None) and id(value) in self.canonical:
                    yield f"{path}.{name}", self.canonical[id(value)]


def has_identity(value: Any) -> bool:
    """Whether two names for one such object are aliases (two equal numbers are not)."""
    return callable(value) or type(value).__name__ in CONSTANTS


def normalise_root(path: str) -> str:
    """``tensorflow.x`` as ``tf.x``, and so on for every prefix of ROOTS."""
    for prefix in sorted(ROOTS, key=len, reverse=True):
        if path == prefix or path.startswith(prefix + "."):
            return normalise_root(ROOTS[prefix] + path[len(prefix) :])
    return path


def _rank(path: str, value: Any) -> tuple[Any, ...]:
    own_name = getattr(value, "__name__", None) or str(value).rpartition(".")[2]
    place = next((i for i, p in enumerate(PREFERRED) if path.startswith(p)), len(PREFERRED))
    short = path.rpartition(".")[2]
    foreign = path.startswith("tf.") and (value.__module__ or "").startswith("keras")
    length = (path.count("."), short != own_name, place, len(path), path)
    return (not path.startswith(CUSTOMARY), foreign, *length)


def _is_child(module: ModuleType) -> bool:
    return module.__name__.startswith(("keras.", "tensorflow._api", "tensorflow.keras"))


def _public_members(path: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    listed = set(getattr(module, "__all__", ()))
    inner = getattr(module, "m", None)  # torch.backends.cudnn is an object before a module
    own = {*dir(inner), *vars(type(module))} if isinstance(inner, ModuleType) else set()
    names = {*dir(module), *listed, *own}
    for name in sorted(names):
        if (name.startswith("_") and name != "__version__") or f"{path}.{name}" in SKIPPED:
            continue
        value = getattr(module, name, ...)
        if isinstance(value, ModuleType) or value is ... or (value is None) > (name == "newaxis"):
            continue
        if _belongs(value, path, listed=name in listed or name in ("__version__", "newaxis")):
            yield name, value


def _belongs(value: Any, path: str, *, listed: bool) -> bool:
    """Leaves out what a module merely imported: typing, warnings, its own helpers' types."""
    home = str(getattr(value, "__module__", None) or "")
    if not path.startswith("torch"):
        return not home.startswith(("typing", "collections", "__future__"))
    if "pybind11_type" in (type(value).__name__, type(type(value)).__name__):
        return False  # the compiler's own objects, which torch re-exports by the hundred
    if listed or type(value).__name__ in CONSTANTS:
        return True
    if isinstance(value, bool | float):  # torch.pi, torch.backends.cudnn.benchmark
        return path == "torch" or path.startswith("torch.backends")
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return False
    if inspect.isclass(value):
        return f"{home}.".startswith((f"{path}.", "torch._C."))
    compiled = inspect.isbuiltin(value) and home in ("", "torch", "builtins")
    return compiled or f"{home}.".startswith((f"{path}.", "torch._C."))
