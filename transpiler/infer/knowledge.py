"""What the interpreter knows of libraries: looked up by canonical qualified name.

The engine names no framework API. Rule files register functions here (`@infers`) that say what a
library's call gives back, and the signature catalogue says what is a class and what it derives
from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from transpiler import signatures
from transpiler.infer.values import UNKNOWN, Bound, Class, Instance, Symbol, Tensor, Value
from transpiler.registry import Registry
from transpiler.units import module_name

if TYPE_CHECKING:
    from transpiler.infer.interpreter import Interpreter

InferFunction = Callable[["Invocation"], Value]


class Invocation:
    """One abstract call of a library's function, class or method."""

    __slots__ = ("_bound", "interpreter", "keywords", "name", "node", "positional", "receiver")

    def __init__(
        self,
        interpreter: Interpreter,
        name: str,
        node: Any,
        receiver: Value | None,
        positional: list[Value],
        keywords: dict[str, Value],
    ) -> None:
        self.interpreter = interpreter
        self.name = name
        self.node = node
        self.receiver = receiver
        self.positional = positional
        self.keywords = keywords
        self._bound: dict[str, Any] | None = None

    @property
    def bound(self) -> dict[str, Any]:
        """Arguments by the parameter's name (those given; `*args` as a list of values)."""
        if self._bound is None:
            try:
                self._bound = dict(signatures.bind(self.name, self.positional, self.keywords))
            except signatures.BindError:
                self._bound = dict(self.keywords)
        return self._bound

    def arg(self, *names: str, at: int | None = None) -> Value | None:
        """An argument by any of its names, or by position; None where it was not given."""
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        bound = self.bound
        for name in names:
            if name in bound and isinstance(bound[name], Value):
                return bound[name]  # type: ignore[no-any-return]
        if at is not None and at < len(self.positional):
            return self.positional[at]
        return None

    def call(
        self, function: Value, *positional: Value, keywords: dict[str, Value] | None = None
    ) -> Value:
        """The result of calling some value."""
        return self.interpreter.call(function, list(positional), keywords or {}, None)

    def method(self, receiver: Value, name: str, *positional: Value) -> Value:
        """The result of calling a method."""
        function = self.interpreter.attribute(receiver, name)
        return self.interpreter.call(function, list(positional), {}, None)


class Knowledge:
    """The registries that the rule book fills."""

    def __init__(self) -> None:
        self.functions: Registry[InferFunction] = Registry()
        self.properties: Registry[Callable[[Value], Value]] = Registry()
        self.entries: dict[str, str] = {}  # library base class -> the method that a call runs
        self.prepares: dict[str, str] = {}  # library base class -> what runs before the first call
        self.arrays: dict[str, str] = {}  # library -> its array class
        self.lone: dict[str, str] = {}  # method that only one class has -> its qualified name
        self.modes: set[str] = set()  # properties that tell train from eval mode
        self.entry_defaults: dict[str, Value] = {}  # "torch.nn.Module.forward" -> parameters' value
        self.tracer: Callable[[Any, Any, Value, Any], Value] | None = None
        """Places the values of expressions in a graph, once there is one."""
        self.boundary: Callable[..., Value] | None = None
        """Calls an object whose inside does not belong to the graph it stands in."""
        self._members: dict[tuple[str, str], str | None] = {}

    def canonical(self, name: str) -> str:
        return signatures.canonical(name)

    def bases(self, name: str) -> tuple[str, ...]:
        entry = signatures.lookup(name)
        return (name, *entry.bases) if entry is not None else (name,)

    def is_class(self, name: str) -> bool:
        entry = signatures.lookup(name)
        return entry is not None and entry.kind == "class"

    def member(self, class_name: str, attribute: str) -> str | None:
        """The qualified name of a class's method or property, in the most general base that has it.

        `step` of any optimizer is `torch.optim.Optimizer.step`, so that one rule serves all.
        """
        key = (class_name, attribute)
        if key not in self._members:
            self._members[key] = self._find_member(class_name, attribute)
        return self._members[key]

    def _find_member(self, class_name: str, attribute: str) -> str | None:
        found = None
        for base in self.bases(class_name):
            name = f"{base}.{attribute}"
            if name in self.functions or name in self.properties:
                return name
            if signatures.lookup(name) is not None:
                found = name
        return found

    def derives(self, value: Value, base: str) -> bool:
        """Whether an object (or class) is of a library class or one derived from it."""
        if isinstance(value, Instance):
            names = value.class_names
        elif isinstance(value, Symbol):
            names = (value.name,)
        elif isinstance(value, Class):
            names = tuple(value.library_bases())
        else:
            return False
        return any(name == base or signatures.is_subclass(name, base) for name in names)

    def entry(self, instance: Instance | Class) -> str | None:
        """The method that calling an object of this class runs."""
        for base, method in self.entries.items():
            if self.derives(instance, base):
                return method
        return None

    def array_class(self, value: Tensor) -> str:
        return self.arrays.get(value.library, f"{value.library}.Tensor")

    def array_member(self, value: Tensor, attribute: str) -> Value:
        """An attribute of an array: a property's value or a bound method."""
        name = f"{self.array_class(value)}.{attribute}"
        if name in self.properties:
            return self.properties[name](value)
        return Bound(name, value)

    def call(self, invocation: Invocation) -> Value:
        """What a library's call gives back."""
        function = self.functions.get(invocation.name)
        if function is not None:
            return function(invocation)
        if self.is_class(invocation.name):
            for base in self.bases(invocation.name)[1:]:
                if base in self.functions:
                    return self.functions[base](invocation)
            bases = self.bases(invocation.name)
            if module_name(bases[0]) is None or any(module_name(b) is None for b in bases[1:]):
                return self.construct(invocation)
        return self.run_unit(invocation)

    def run_unit(self, invocation: Invocation) -> Value:
        """What an emitted unit gives back: its definition is interpreted."""
        home = module_name(invocation.name)
        module = invocation.interpreter.import_module(home) if home is not None else None
        if module is None or invocation.name.count(".") != 1:
            return UNKNOWN
        definition = module.frame.values.get(invocation.name.partition(".")[2], UNKNOWN)
        return invocation.interpreter.call(
            definition, invocation.positional, invocation.keywords, invocation.node
        )

    def construct(self, invocation: Invocation) -> Instance:
        """An object of a library's class."""
        return invocation.interpreter.allocate(
            Symbol(invocation.name), invocation.node, invocation.bound
        )
