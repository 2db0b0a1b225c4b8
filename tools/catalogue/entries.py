"""Describes each public object: kind, signatures, bases, and a class's members."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_overloads

from catalogue import stubs
from catalogue.defaults import write_signature
from catalogue.names import CONSTANTS, FRAMEWORKS, Names
from catalogue.sources import ATTRIBUTES, SIGNATURES

Entry = tuple[str, list[str], list[str]]  # kind, signatures, bases

OPAQUE = "*args, **kwargs"
CALLED = {"__call__", "__len__", "__getitem__", "__iter__", "__enter__", "__exit__"}
# The classes that tf.Tensor and tf.Variable objects really have carry more than the public ones.
CONCRETE = {
    "tf.Tensor": "tensorflow.python.framework.ops:_EagerTensorBase",
    "tf.Variable": "tensorflow.python.ops.resource_variable_ops:BaseResourceVariable",
    "torch.Tensor": "torch._C:TensorBase",
}


class Describer:
    """Turns objects into entries, with torch's stub files at hand."""

    def __init__(self, names: Names, torch_folder: Path) -> None:
        self.names = names.canonical
        compiled = torch_folder / "_C"
        self.classes = stubs.read_classes(compiled / "__init__.pyi")
        self.functions = [
            stubs.read_functions(compiled / "_VariableFunctions.pyi"),
            stubs.read_functions(torch_folder / "nn" / "functional.pyi"),
            stubs.read_functions(compiled / "_nn.pyi"),
            stubs.read_functions(compiled / "__init__.pyi"),
        ]

    def describe(self, path: str, value: Any) -> Iterator[tuple[str, Entry]]:
        """The entry of one public name and, for a class, of each of its own members."""
        if inspect.isclass(value):
            yield path, ("class", self._constructor(path, value), self._bases(value))
            if type(value).__name__ != "tensortype":  # torch.FloatTensor ...: torch.Tensor again
                yield from self._members(path, value)
        elif callable(value) and type(value).__name__ not in CONSTANTS:
            yield path, ("function", self._function(path, value), [])
        else:
            yield path, ("constant", [], [])

    def _function(self, path: str, value: Any) -> list[str]:
        if path in SIGNATURES:
            return SIGNATURES[path]
        text = write_signature(value, self.names, bound=False)
        if text == OPAQUE:  # two functions in one, chosen by a flag: the plain one has them all
            text = write_signature(_plain_form(value), self.names, bound=False)
        if text is not None and text != OPAQUE:
            return [text]
        overloads = self._overloads(value, bound=False)
        return overloads or self._from_stubs(path, value) or [OPAQUE]

    def _overloads(self, function: Any, *, bound: bool) -> list[str]:
        """What ``typing.overload`` declared for a function that itself takes anything."""
        declared = get_overloads(function) if inspect.isfunction(function) else []
        texts = [write_signature(form, self.names, bound=bound) or OPAQUE for form in declared]
        return [text for text in texts if text != OPAQUE]

    def _from_stubs(self, path: str, value: Any) -> list[str]:
        """Stub files know overloads, docstrings know defaults: the one without a gap wins."""
        if not path.startswith("torch"):
            return []
        name, written = path.rpartition(".")[2], []
        # Namespaces of their own reuse the names of torch's functions with other parameters.
        if not path.startswith(("torch.linalg", "torch.fft", "torch.special")):
            written = [stubs.write_arguments(f[name]) for f in self.functions if name in f]
        described = stubs.from_docstring(name, getattr(value, "__doc__", None))
        if described is not None:
            written.append(stubs.write_arguments([described]))
        written.sort(key=lambda signatures: "..." in "".join(signatures))
        return written[0] if written else []

    def _constructor(self, path: str, value: type) -> list[str]:
        opaque = False
        for base in value.__mro__[:-1]:
            known = SIGNATURES.get(self.names.get(id(base), ""))
            if known and not (base is not value and opaque):
                return known
            for method in ("__init__", "__new__"):
                found = self._initialiser(vars(base).get(method))
                opaque = opaque or found == [OPAQUE]
                if found and found != [OPAQUE]:  # else it hands on whatever it is given
                    return found
        if all(getattr(value, m) is getattr(object, m) for m in ("__init__", "__new__")):
            return [""]
        stub = self.classes.get(value.__name__, {}) if path.startswith("torch.") else {}
        overloads = stub.get("__init__") or stub.get("__new__")
        return stubs.write_arguments(overloads) if overloads else [OPAQUE]

    def _initialiser(self, function: Any) -> list[str]:
        function = getattr(function, "__func__", function)
        text = write_signature(function, self.names, bound=True) if function else None
        if text == OPAQUE:
            return self._overloads(function, bound=True) or [OPAQUE]
        return [] if text is None else [text]

    def _bases(self, value: type) -> list[str]:
        """The whole ancestry within the frameworks, some private classes included."""
        bases = []
        for base in value.__mro__[1:]:
            own = f"{base.__module__}.{base.__qualname__}"
            if id(base) in self.names:
                bases.append(self.names[id(base)])
            elif own.startswith("torch.nn."):  # scripts do ask for _BatchNorm and _Loss
                bases.append(own)
        return list(dict.fromkeys(bases))

    def _members(self, path: str, value: type) -> Iterator[tuple[str, Entry]]:
        described: dict[str, Entry] = {
            name: ("property", [], []) for name in ATTRIBUTES.get(path, ())
        }
        stub = self.classes.get("TensorBase", {}) if path == "torch.Tensor" else {}
        for owner in self._owners(path, value):
            for name, member in list(vars(owner).items()):
                if (not name.startswith("_") or name in CALLED) and name not in described:
                    described[name] = self._member(name, member, stub.get(name))
            for name in inspect.get_annotations(owner):
                if not name.startswith("_"):  # an attribute that only instances have
                    described.setdefault(name, ("property", [], []))
        for name, entry in described.items():
            known = SIGNATURES.get(f"{path}.{name}")
            yield f"{path}.{name}", ("method", known, []) if known else entry

    def _owners(self, path: str, value: type) -> Iterator[type]:
        """The class and those of its bases that have no public name to hold their members."""
        yield value
        if path in CONCRETE:
            module, _, name = CONCRETE[path].partition(":")
            yield getattr(__import__(module, fromlist=[name]), name)
        public = [base for base in value.__mro__[1:] if id(base) in self.names]
        inherited = {ancestor for base in public for ancestor in base.__mro__}
        for base in value.__mro__[1:]:
            if base.__module__.startswith(FRAMEWORKS) and base not in inherited:
                yield base

    def _member(self, name: str, member: Any, overloads: list[Any] | None) -> Entry:
        static = isinstance(member, staticmethod)
        function = getattr(member, "__func__", member)
        if not callable(function) or inspect.isclass(function):
            kind = "constant" if isinstance(member, int | float | str | type) else "property"
            return kind, [], []
        text = write_signature(function, self.names, bound=not static)
        declared = self._overloads(function, bound=True) if text == OPAQUE else []
        if declared:
            return "method", declared, []
        if (text is None or text == OPAQUE) and overloads:
            return "method", stubs.write_arguments(overloads), []
        if text is None:
            described = stubs.from_docstring(name, function.__doc__)
            return "method", stubs.write_arguments([described]) if described else [OPAQUE], []
        return "method", [text], []


def _plain_form(value: Any) -> Any:
    """What torch's ``boolean_dispatch`` calls where ``return_indices`` is not set."""
    cells = inspect.getclosurevars(value).nonlocals if inspect.isfunction(value) else {}
    return cells.get("if_false", value)
