"""A small abstract interpreter: runs a program on what is known instead of on data.

It follows values through assignments, branches (both sides, joined), loops (a few rounds), the
program's own functions, classes and files. Facts are kept per node, joined over every visit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Sequenced
from contextlib import contextmanager
from typing import Any

import libcst as cst

from transpiler.infer import values as v
from transpiler.infer.expressions import Expressions
from transpiler.infer.frames import Frame
from transpiler.infer.knowledge import Invocation, Knowledge
from transpiler.infer.rebindings import is_of_library, note_rebinding
from transpiler.infer.usage import arrays_by_usage
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Bound,
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Method,
    Number,
    Sequence,
    SourceModule,
    Symbol,
    Tensor,
    Union,
    Value,
    element_of,
    items_of,
    join,
    options,
    own_copy,
)
from transpiler.syntax import find

MAX_DEPTH = 40
MAX_RUNS = 24
MAX_RUNS_OF_MODULES = 240  # a deep network is made of many blocks of one class
MAX_MADE = 1000
"""How many objects of a class: one without its attributes would leave all of them unknown."""
MAX_UNROLL = 32


class Interpreter(Expressions):
    """Interprets one module (and, on import, the project's other files)."""

    def __init__(
        self,
        knowledge: Knowledge,
        load: Callable[[str], cst.Module | None] = lambda name: None,
    ) -> None:
        self.knowledge = knowledge
        self.load = load
        self.facts: dict[cst.CSTNode, Value] = {}
        self.weak_facts: dict[cst.CSTNode, Value] = {}  # from branches that are never taken
        self.dead = 0
        self.choices: list[int] = []  # since when in branches that may be taken or not
        self.forks = 0  # how many alternatives deep, second ones and on
        self.guessed: dict[tuple[int, str], Instance] = {}  # objects of classes asked for
        self.call_modes: dict[cst.CSTNode, frozenset[bool]] = {}
        self.callees: dict[cst.CSTNode, dict[Instance, None]] = {}  # also where a fact forgets them
        self.modes: dict[Instance, frozenset[bool]] = {}
        self.modules: dict[str, SourceModule] = {}
        self.instances: dict[tuple[Any, ...], Instance] = {}
        self.stack: list[Any] = []
        self.sites: list[Any] = []
        self.caller: Frame | None = None  # the variables where the call that runs stands
        self.frames: list[Frame] = []  # the activations of the program's functions that run
        self.runs: dict[Any, int] = {}
        self.results: dict[Any, Value] = {}
        self.early: set[cst.CSTNode] = set()
        self.rebindings: dict[cst.CSTNode, bool] = {}
        self.differentiates_twice = False
        self.unsure: list[int] = []  # when the loops around began whose rounds are not known
        self.loops: list[Any] = []  # and these loops
        self.rounds: dict[tuple[int, int], object] | None = None
        # Where it is a dict, each round of a known loop makes objects of its own.
        # The last values of expressions in a graph, and all nodes that ever had one.
        self.placements = 0  # how often an expression was found to stand in a graph
        self.latest: tuple[dict[Any, Value], set[Any]] | None = None
        self.saved: dict[Any, Value] = {}
        self.usages: dict[cst.CSTNode, dict[str, Value]] = {}
        self.functions: list[tuple[Function, Class | None]] = []
        self.activations: dict[Any, list[Frame]] = {}
        self.handlers: dict[type[Any], Callable[[Any, Frame], None]] = {
            cst.SimpleStatementLine: self.exec_line,
            cst.FunctionDef: self.exec_function,
            cst.ClassDef: self.exec_class,
            cst.If: self.exec_if,
            cst.For: self.exec_for,
            cst.While: self.exec_while,
            cst.With: self.exec_with,
            cst.Try: self.exec_try,
        }

    # ---- modules -----------------------------------------------------------------------------

    def run(
        self,
        module: cst.Module,
        name: str = "__main__",
        package: str = "",
        callers: Iterable[Any] = (),
    ) -> Frame:
        """Interpret a module from top to bottom, its callers, then whatever nobody called."""
        frame = Frame(kind="module")
        frame.module_name, frame.package = name, package
        frame.values["__name__"] = Const("__main__" if name == "__main__" else name)
        self.activations.setdefault(module, []).append(frame)
        first = len(self.functions)
        self.exec_body(module.body, frame)
        own = len(self.functions)
        for caller in callers:
            self.run_caller(caller, frame)
        del self.functions[own:]
        self.run_uncalled(first, module)
        for node, value in self.weak_facts.items():
            # What is not run today may be run with other arguments, whose sizes are others.
            self.facts.setdefault(node, v.without_sizes(value))
        return frame

    def run_caller(self, caller: Any, frame: Frame) -> None:
        """Interpret a program that imports the module under some names."""
        tree = caller.tree()
        if tree is None:
            return
        modules, load = self.modules, self.load
        self.modules = {n: SourceModule(n, frame) for n in caller.names}
        self.load = caller.load
        outer = Frame(kind="module")
        outer.values["__name__"] = Const("__main__")
        self.exec_body(tree.body, outer)
        self.modules, self.load = modules, load

    def run_uncalled(self, first: int, module: cst.Module) -> None:
        """Interpret functions that the program itself never called, on unknown arguments.

        Those that nothing in the file names come first: they may well call the others.
        """
        named = Counter(n.value for n in find(module, cst.Name))
        named.subtract(f.name.value for f in find(module, cst.FunctionDef))
        for last in (False, True):
            index = first
            while index < len(self.functions):
                function, owner = self.functions[index]
                index += 1
                if function.node not in self.runs and (last or not named[function.name]):
                    self.call_uncalled(function, owner)

    def call_uncalled(self, function: Function, owner: Class | None) -> None:
        receiver: Value | None = None
        default: Value = UNKNOWN
        static = owner is None or "staticmethod" in self.decorator_names(function)
        if owner is not None and not static:
            receiver = self.any_instance(owner)
        for base in owner.library_bases() if owner is not None else ():
            for line in self.knowledge.bases(base):
                known = self.knowledge.entry_defaults.get(f"{line}.{function.name}")
                if known is not None:
                    default = known
                    if static:  # a context of the library's comes first
                        receiver = self.allocate(Symbol(line), function.node, {})
                    break
        self.call_function(function, [] if receiver is None else [receiver], {}, default)

    def any_instance(self, cls: Class) -> Instance:
        """An object of a class that was made by the program, or else by nobody in particular."""
        for instance in self.instances.values():
            if instance.cls is cls:
                return instance
        instance = self.allocate(cls, cls.node, {})
        init = cls.lookup("__init__")
        if isinstance(init, Function):
            self.call_function(init, [instance], {}, UNKNOWN)
        return instance

    def import_module(self, name: str) -> SourceModule | None:
        """Another file of the project, interpreted on first import."""
        if name in self.modules:
            return self.modules[name]
        tree = self.load(name)
        if tree is None:
            return None
        frame = Frame(kind="module")
        frame.module_name = name
        frame.package = name.rpartition(".")[0]
        frame.values["__name__"] = Const(name)
        module = SourceModule(name, frame)
        self.modules[name] = module
        self.exec_body(tree.body, frame)
        return module

    # ---- statements --------------------------------------------------------------------------

    def exec_body(self, body: Any, frame: Frame) -> None:
        if isinstance(body, (cst.IndentedBlock, cst.SimpleStatementSuite)):
            suite = body.body
        else:
            suite = body
        for statement in suite:
            if frame.stopped:
                # Code after return is still looked at, so that it is translated as well.
                frame.stopped = False
                self.dead += 1
                self.exec_statement(statement, frame)
                self.dead -= 1
                frame.stopped = True
            else:
                self.exec_statement(statement, frame)

    def exec_statement(self, statement: Any, frame: Frame) -> None:
        handler = self.handlers.get(type(statement))
        if handler is not None:
            handler(statement, frame)
        elif isinstance(statement, cst.BaseSmallStatement):
            self.exec_small(statement, frame)

    def exec_line(self, node: cst.SimpleStatementLine, frame: Frame) -> None:
        for small in node.body:
            self.exec_small(small, frame)

    def exec_small(self, node: cst.BaseSmallStatement, frame: Frame) -> None:
        match node:
            case cst.Expr():
                self.eval(node.value, frame)
            case cst.Assign():
                value = self.eval(node.value, frame)
                note_rebinding(self, node, value, frame)
                for target in node.targets:
                    self.assign(target.target, value, frame)
            case cst.AugAssign():
                self.exec_augmented(node, frame)
            case cst.AnnAssign():
                self.eval(node.annotation.annotation, frame)
                if node.value is not None:
                    value = self.eval(node.value, frame)
                    if value is UNKNOWN:
                        value = self.annotated(node.annotation, frame)
                    self.assign(node.target, value, frame)
            case cst.Return():
                value = self.eval(node.value, frame) if node.value is not None else NONE
                (frame.returned if self.dead == frame.dead else frame.never).append(value)
                frame.stopped = True
            case cst.Import() | cst.ImportFrom():
                self.exec_import(node, frame)
            case cst.Global():
                frame.globals.update(item.name.value for item in node.names)
            case cst.Nonlocal():
                frame.nonlocals.update(item.name.value for item in node.names)
            case cst.Assert():
                self.eval(node.test, frame)
            case cst.Raise():
                if node.exc is not None:
                    self.eval(node.exc, frame)
                frame.stopped = True
            case cst.Del():
                self.eval(node.target, frame)
            case cst.Break() | cst.Continue():
                pass

    def exec_augmented(self, node: cst.AugAssign, frame: Frame) -> None:
        left = self.eval(node.target, frame)
        right = self.eval(node.value, frame)
        result = self.binary_values(
            type(node.operator).__name__.removesuffix("Assign"), left, right
        )
        if isinstance(left, ListObject) and self.dead:
            result = left
        elif isinstance(left, ListObject):
            self.list_method(left, "extend", [right])
            result = left
        if isinstance(left, Tensor) and left.variable:
            result = left
        elif isinstance(left, Tensor) and isinstance(result, Tensor) and left.dtype is not None:
            if not isinstance(node.operator, cst.DivideAssign):
                result = result.but(dtype=left.dtype)  # arrays are changed where they are
        self.assign(node.target, result, frame)

    def exec_import(self, node: cst.Import | cst.ImportFrom, frame: Frame) -> None:
        from transpiler.infer.imports import bind_import

        bind_import(self, node, frame)

    def exec_function(self, node: cst.FunctionDef, frame: Frame) -> None:
        decorators = tuple(self.eval(d.decorator, frame) for d in node.decorators)
        owner = getattr(frame, "owner", None) if frame.kind == "class" else None
        function = Function(node, frame, owner, decorators)
        for default in [*node.params.params, *node.params.kwonly_params]:
            if default.default is not None:
                self.eval(default.default, frame)
            if default.annotation is not None:
                self.eval(default.annotation.annotation, frame)
        if node.returns is not None:
            self.eval(node.returns.annotation, frame)
        self.functions.append((function, owner))
        self.facts[node] = function
        frame.assign(node.name.value, self.decorated(function, decorators))

    def decorated(self, function: Function, decorators: tuple[Value, ...]) -> Value:
        result: Value = function
        for decorator in reversed(decorators):
            if isinstance(decorator, Function):
                applied = self.call(decorator, [result], {}, None)
                result = applied if isinstance(applied, Function) else result
        return result

    def decorator_names(self, function: Function) -> set[str]:
        return {d.name.rpartition(".")[2] for d in function.decorators if isinstance(d, Symbol)}

    def exec_class(self, node: cst.ClassDef, frame: Frame) -> None:
        bases = tuple(self.eval(arg.value, frame) for arg in node.bases)
        for decorator in node.decorators:
            self.eval(decorator.decorator, frame)
        cls = Class(node, frame, bases)
        inner = Frame(frame, kind="class")
        inner.owner = cls  # type: ignore[attr-defined]
        self.facts[node] = cls
        frame.assign(node.name.value, cls)
        self.exec_body(node.body, inner)
        cls.members.update(inner.values)

    def exec_if(self, node: cst.If, frame: Frame) -> None:
        test = self.eval(node.test, frame)
        truth = self.truth(test)
        is_main = isinstance(node.test, cst.Comparison) and self.is_main_test(node.test)
        branches: list[Any] = [node.body]
        other: Any = node.orelse
        if isinstance(other, cst.If):
            branches.append([other])
        elif isinstance(other, cst.Else):
            branches.append(other.body)
        else:
            branches.append([])
        if is_main:
            self.exec_body(node.body, frame)
            return
        self.exec_branches(branches, frame, taken=truth, test=node.test)

    def is_main_test(self, test: cst.Comparison) -> bool:
        return isinstance(test.left, cst.Name) and test.left.value == "__name__"

    def exec_branches(
        self, branches: list[Any], frame: Frame, taken: bool | None = None, test: Any = None
    ) -> None:
        """Run alternatives from the same state and join what they leave behind."""
        values, modes = dict(frame.values), dict(self.modes)
        outcomes: list[tuple[dict[str, Value], dict[Instance, frozenset[bool]], bool]] = []
        for index, branch in enumerate(branches):
            frame.values, self.modes = dict(values), dict(modes)
            frame.stopped = False
            if test is not None:
                self.narrow(test, index == 0, frame)
            dead = taken is not None and taken != (index == 0)
            self.dead += dead
            self.choices += [next(v.births)] * (taken is None)
            self.forks += taken is None and index > 0
            self.exec_body(branch, frame)
            self.forks -= taken is None and index > 0
            del self.choices[len(self.choices) - (taken is None) :]
            self.dead -= dead
            outcomes.append((frame.values, self.modes, frame.stopped or dead))
        live = [o for o in outcomes if not o[2]]
        frame.stopped = not live
        live = live or outcomes
        frame.values = self.join_values([o[0] for o in live])
        self.modes = self.join_modes([o[1] for o in live])

    def narrow(self, test: Any, holds: bool, frame: Frame) -> None:
        """What `x is None`, `isinstance(x, C)`, plain `x`, `not`, `and`, `or` say of x there."""
        if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            self.narrow(test.expression, not holds, frame)
            return
        if isinstance(test, cst.BooleanOperation):
            self.narrow_either(test, holds, frame)
            return
        if isinstance(test, cst.Call):
            self.narrow_class(test, holds, frame)
        name: str | None = None
        none_when = True
        if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
            target = test.comparisons[0]
            is_none = isinstance(target.comparator, cst.Name) and target.comparator.value == "None"
            if is_none and isinstance(test.left, cst.Name):
                name = test.left.value
                none_when = isinstance(target.operator, (cst.Is, cst.Equal))
        elif isinstance(test, cst.Name):
            name, none_when = test.value, False
        if name is None or name not in frame.values:
            return
        value = frame.values[name]
        if isinstance(value, Union) and holds != none_when:
            frame.values[name] = v.without_none(value)

    def narrow_either(self, test: cst.BooleanOperation, holds: bool, frame: Frame) -> None:
        """Both sides are known, or one of them is."""
        if isinstance(test.operator, cst.And) == holds:
            self.narrow(test.left, holds, frame)
            self.narrow(test.right, holds, frame)
            return
        values = dict(frame.values)
        self.narrow(test.left, holds, frame)
        first, frame.values = frame.values, values
        self.narrow(test.left, not holds, frame)
        self.narrow(test.right, holds, frame)
        frame.values = self.join_values([first, frame.values])

    def narrow_class(self, test: cst.Call, holds: bool, frame: Frame) -> None:
        """What `isinstance(x, C)` says of x in the branch."""
        match test:
            case cst.Call(
                func=cst.Name(value="isinstance"),
                args=[cst.Arg(value=cst.Name(value=name)), cst.Arg(value=kinds)],
            ):
                known = self.facts.get(kinds, self.weak_facts.get(kinds, UNKNOWN))
                classes = [c for c in items_of(known) or (known,) if isinstance(c, Symbol)]
                if name not in frame.values or not classes:
                    return
            case _:
                return
        names = [c.name for c in classes]
        if holds and all(n.startswith("builtins.") for n in names):  # no array of a library
            kept = [o for o in options(frame.values[name]) if not isinstance(o, Tensor)]
            frame.values[name] = join(*kept) if kept else UNKNOWN
        fits = [
            (o, any(self.knowledge.derives(o, n) for n in names))
            for o in options(frame.values[name])
            if isinstance(o, Instance)
        ]
        kept = [o for o, fit in fits if fit == holds]
        if kept:
            frame.values[name] = join(*kept)
        elif holds and all(self.knowledge.is_class(n) for n in names):
            made = [self.guessed.setdefault((id(test), c.name), Instance(c)) for c in classes]
            frame.values[name] = join(*made)

    def join_values(self, states: list[dict[str, Value]]) -> dict[str, Value]:
        if len(states) == 1:
            return states[0]
        merged: dict[str, Value] = {}
        for state in states:
            for name, value in state.items():
                have = merged.get(name)
                merged[name] = value if have is None or have is value else join(have, value)
        return merged

    def join_modes(
        self, states: list[dict[Instance, frozenset[bool]]]
    ) -> dict[Instance, frozenset[bool]]:
        if len(states) == 1:
            return states[0]
        merged: dict[Instance, frozenset[bool]] = {}
        for instance in {i for state in states for i in state}:
            found = [state.get(instance, frozenset({True})) for state in states]
            merged[instance] = frozenset().union(*found)
        return merged

    def exec_for(self, node: cst.For, frame: Frame) -> None:
        iterable = self.eval(node.iter, frame)
        known = items_of(iterable)
        if known is not None and 0 < len(known) <= MAX_UNROLL:
            for index, item in enumerate(known):
                self.assign(node.target, item, frame)
                self.exec_round(node, index, frame)
                frame.stopped = False
        elif known == () and isinstance(iterable, Sequence) and iterable.kind == "range":
            values = dict(frame.values)
            self.dead += 1  # no round: the body is looked at for what can be said of it
            self.assign(node.target, Number("int"), frame)
            self.exec_body(node.body, frame)
            self.dead -= 1
            frame.values, frame.stopped = values, False
        else:
            element = self.iterate(iterable, node.iter)
            self.exec_loop(node, frame, lambda: self.assign(node.target, element, frame))
        if node.orelse is not None:
            self.exec_body(node.orelse.body, frame)

    def exec_round(self, node: cst.For, index: int, frame: Frame) -> None:
        with self.in_round(node, index):
            self.exec_body(node.body, frame)

    @contextmanager
    def in_round(self, node: Any, index: int) -> Iterator[None]:
        """One round of a loop, which makes objects of its own where rounds are told apart."""
        if self.rounds is None:
            yield
            return
        self.sites.append(self.rounds.setdefault((id(node), index), object()))
        try:
            yield
        finally:
            self.sites.pop()

    def exec_loop(self, node: Any, frame: Frame, start: Callable[[], None]) -> None:
        for _ in range(2):
            before, modes = dict(frame.values), dict(self.modes)
            start()
            self.unsure.append(next(v.births))
            self.loops.append(node)
            self.exec_body(node.body, frame)
            self.loops.pop()
            self.unsure.pop()
            frame.stopped = False
            frame.values = self.join_values([before, frame.values])
            self.modes = self.join_modes([modes, self.modes])

    def exec_while(self, node: cst.While, frame: Frame) -> None:
        self.exec_loop(node, frame, lambda: void(self.eval(node.test, frame)))
        if node.orelse is not None:
            self.exec_body(node.orelse.body, frame)

    def exec_with(self, node: cst.With, frame: Frame) -> None:
        for item in node.items:
            value = self.eval(item.item, frame)
            if item.asname is not None:
                self.assign(item.asname.name, value, frame)
        self.exec_body(node.body, frame)

    def exec_try(self, node: cst.Try, frame: Frame) -> None:
        self.exec_body(node.body, frame)
        frame.stopped = False
        for handler in node.handlers:
            if handler.type is not None:
                self.eval(handler.type, frame)
            self.exec_branches([handler.body, []], frame)
        frame.stopped = False
        for part in (node.orelse, node.finalbody):
            if part is not None:
                self.exec_body(part.body, frame)

    # ---- assignment --------------------------------------------------------------------------

    def assign(self, target: Any, value: Value, frame: Frame) -> None:
        match target:
            case cst.Name():
                frame.assign(target.value, value)
                self.record(target, value)
            case cst.Attribute():
                owner = self.eval(target.value, frame)
                if not is_of_library(self, target, owner):
                    self.set_attribute(owner, target.attr.value, value)
                self.record(target, value)
            case cst.Subscript():
                self.set_item(target, value, frame)
            case cst.Tuple() | cst.List():
                self.unpack(target, value, frame)
            case cst.StarredElement():
                self.assign(target.value, value, frame)

    def unpack(self, target: cst.Tuple | cst.List, value: Value, frame: Frame) -> None:
        elements = target.elements
        known = [_dealt(items_of(o), elements) for o in options(value)]
        if all(k is not None for k in known) and known:
            for i, element in enumerate(elements):
                self.assign(element.value, join(*(k[i] for k in known if k)), frame)
            return
        each = element_of(value)
        for element in elements:
            if isinstance(element, cst.StarredElement):
                self.assign(element.value, ListObject(None, each), frame)
            else:
                self.assign(element.value, each, frame)

    def set_attribute(self, receiver: Value, name: str, value: Value) -> None:
        for option in options(receiver):
            if isinstance(option, Instance):
                if isinstance(value, Tensor) and name in option.state.get("registered", ()):
                    value = value.but(variable=True)
                have = option.attributes.get(name)
                if self.dead and have is not None:
                    continue
                fresh = self.stack and self.stack[-1] == ("__init__", option) and not self.forks
                option.attributes[name] = value if have is None or fresh else join(have, value)
            elif isinstance(option, Class):
                option.members[name] = join(option.members.get(name), value)

    def set_item(self, target: cst.Subscript, value: Value, frame: Frame) -> None:
        container = self.eval(target.value, frame)
        index = self.eval_index(target, frame)
        self.record(target, value)
        for option in options(container):
            if isinstance(option, v.Mapping):
                if isinstance(index, Const):
                    option.items[index.value] = value
                else:
                    option.element = join(option.element, value)
            elif isinstance(option, ListObject):
                option.element = join(option.element, value)
            elif isinstance(option, Instance):
                option.state["elements set"] = True

    # ---- calls -------------------------------------------------------------------------------

    def allocate(self, cls: Class | Symbol, node: Any, arguments: dict[str, Any]) -> Instance:
        """The object made at a call, one per site and calling context."""
        context = tuple(id(s) for s in self.sites[-4 if self.rounds is None else -9 :])
        key = (cls if isinstance(cls, Class) else cls.name, id(node), context)
        if node is None or key not in self.instances:
            instance = Instance(cls, arguments, {}, node)
            if self.rounds is not None and self.caller is not None:
                instance.state["made among"] = dict(self.caller.values)
                instance.state["made in"] = self.caller
            if self.dead:
                instance.state["never made"] = True
            self.instances[key if node is not None else (id(instance),)] = instance
            return instance
        instance = self.instances[key]
        if not self.dead:
            instance.state.pop("never made", None)
        for name, value in arguments.items():
            have = instance.arguments.get(name)
            if isinstance(have, Value) and isinstance(value, Value):
                instance.arguments[name] = join(have, value)
            else:
                instance.arguments[name] = value
        return instance

    def call(
        self, function: Value, positional: list[Value], keywords: dict[str, Value], node: Any
    ) -> Value:
        """The result of a call, whatever is called."""
        match function:
            case Function():
                return self.call_function(function, positional, keywords)
            case Method():
                first = function.receiver
                if node is not None and isinstance(first, Instance):
                    mode = self.modes.get(first, frozenset({True}))
                    self.call_modes[node] = self.call_modes.get(node, frozenset()) | mode
                return self.call_function(function.function, [first, *positional], keywords)
            case Class():
                return self.instantiate(function, positional, keywords, node)
            case Instance():
                return self.call_instance(function, positional, keywords, node)
            case Symbol():
                if function.name.startswith("builtins."):
                    return self.call_builtin(function.name[9:], positional, keywords, node)
                return self.knowledge.call(
                    Invocation(self, function.name, node, None, positional, keywords)
                )
            case Bound():
                return self.call_bound(function, positional, keywords, node)
            case Union():
                found = [
                    self.call(o, positional, keywords, node)
                    for o in function.options
                    if not v.is_none(o)
                ]
                return join(*found)
        return UNKNOWN

    def call_bound(
        self, function: Bound, positional: list[Value], keywords: dict[str, Value], node: Any
    ) -> Value:
        if function.name.startswith("builtins."):
            return self.call_container_method(function, positional, keywords)
        results = []
        for receiver in options(function.receiver):
            results.append(
                self.knowledge.call(
                    Invocation(self, function.name, node, receiver, positional, keywords)
                )
            )
        return join(*results)

    def instantiate(
        self, cls: Class, positional: list[Value], keywords: dict[str, Value], node: Any
    ) -> Value:
        instance = self.allocate(cls, node, {})
        init = cls.lookup("__init__")
        if isinstance(init, Function):
            before = dict(instance.attributes) if self.rounds is None else {}
            self.call_function(init, [instance, *positional], keywords)
            self.keep_attributes(instance, before)
        else:
            for base in cls.library_bases():
                invocation = Invocation(self, base, node, instance, positional, keywords)
                instance.arguments.update(invocation.bound)
                inherited = self.knowledge.functions.get(f"{base}.__init__")
                if inherited is not None:
                    inherited(invocation)
                break
            names = cls.fields()
            for name in names:  # each object has lists and dicts of its own
                default = cls.lookup(name)
                if default is not None:
                    instance.attributes[name] = own_copy(default)
            for name, value in [*zip(names, positional, strict=False), *keywords.items()]:
                instance.attributes[name] = value
        return instance

    def keep_attributes(self, instance: Instance, before: dict[str, Value]) -> None:
        """An object that a loop makes again stands for all of them: what the former ones hold."""
        for name, value in before.items():
            now = instance.attributes[name]
            kinds = {type(option) for each in (value, now) for option in options(each)}
            if now is not value and kinds <= {Instance, Const, Number}:
                instance.attributes[name] = join(value, now)

    def call_instance(
        self, instance: Instance, positional: list[Value], keywords: dict[str, Value], node: Any
    ) -> Value:
        """`model(x)`: the method that a call runs, and the mode it runs in."""
        if node is not None:
            mode = self.modes.get(instance, frozenset({True}))
            self.call_modes[node] = self.call_modes.get(node, frozenset()) | mode
            self.callees.setdefault(node, {})[instance] = None
        if positional and not (self.dead and instance.state.get("inputs")):
            seen = instance.state.get("inputs")
            instance.state["inputs"] = (
                [a if b is UNKNOWN else b if a is UNKNOWN else join(a, b)
                 for a, b in zip(seen, positional, strict=False)]
                if seen
                else list(positional)
            )  # fmt: skip
        if isinstance(instance.cls, Class):
            for name in ("__call__", self.knowledge.entry(instance)):
                method = instance.cls.lookup(name) if name else None
                if isinstance(method, Function):
                    if self.latest is not None and self.knowledge.boundary is not None:
                        return self.knowledge.boundary(
                            self, instance, method, positional, keywords, node
                        )
                    self.prepare(instance, positional)
                    return self.run_entry(instance, method, positional, keywords)
        for base in instance.class_names:
            for line in self.knowledge.bases(base):
                name = f"{line}.__call__"
                if name in self.knowledge.functions:
                    invocation = Invocation(self, name, node, instance, positional, keywords)
                    return self.knowledge.functions[name](invocation)
        return UNKNOWN

    def run_entry(
        self,
        instance: Instance,
        method: Function,
        positional: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        """Run what a call of an object runs; what it was asked twice is known."""
        asked: list[tuple[Any, Value]] = instance.state.setdefault("asked", [])
        key = (positional, keywords)
        known = [result for before, result in asked if before == key]
        if self.rounds is not None and len(known) >= 2:
            return known[-1]
        result = self.call_function(method, [instance, *positional], keywords)
        instance.state["gave"] = join(instance.state.get("gave", result), result)
        asked.append((key, result))
        return result

    def prepare(self, instance: Instance, positional: list[Value]) -> None:
        """Run the method that prepares an object for its first call, on the input's shape."""
        for base, name in self.knowledge.prepares.items():
            method = instance.cls.lookup(name) if isinstance(instance.cls, Class) else None
            if not isinstance(method, Function) or not self.knowledge.derives(instance, base):
                continue
            shapes = [self.attribute(p, "shape") for p in positional[:1]]
            if "prepared" in instance.state:
                shapes = [
                    join(a, b) for a, b in zip(shapes, instance.state["prepared"], strict=False)
                ]
                if shapes == instance.state["prepared"]:
                    return
            instance.state["prepared"] = shapes
            self.call_function(method, [instance, *shapes], {})

    def call_function(
        self,
        function: Function,
        positional: list[Value],
        keywords: dict[str, Value],
        default: Value | None = None,
    ) -> Value:
        """Interpret a function's body on the arguments."""
        node = function.node
        depth = sum(1 for s in self.stack if s is node or (isinstance(s, tuple) and s[0] is node))
        if depth >= 2 or len(self.stack) >= MAX_DEPTH:
            return self.results.get(node, UNKNOWN)
        given = [*positional, *keywords.values()]
        if not any(p.placed for p in given if isinstance(p, Tensor)):
            self.runs[node] = self.runs.get(node, 0) + 1
        made = self.rounds is not None and function.owner is not None
        most = MAX_RUNS_OF_MODULES if made else MAX_RUNS
        most = MAX_MADE if function.name == "__init__" else most
        if self.runs.setdefault(node, 1) > most:
            return v.without_sizes(self.results.get(node, UNKNOWN))
        frame = Frame(function.frame)
        self.bind_parameters(function, frame, list(positional), dict(keywords), default)
        is_init = function.name == "__init__" and positional
        if is_init and isinstance(positional[0], Instance):
            positional[0].state["made with"] = dict(frame.values)
        frame.function, frame.given, frame.dead = node, dict(frame.values), self.dead
        frame.site = self.sites[-1] if self.sites else None
        frame.caller = self.caller
        if self.rounds is not None and self.caller is not None:
            frame.among = dict(self.caller.values)
        self.stack.append(("__init__", positional[0]) if is_init else node)
        self.frames.append(frame)
        try:
            if isinstance(node, cst.Lambda):
                result = self.eval(node.body, frame)
            else:
                self.exec_body(node.body, frame)
                result = self.result(node, frame)
        finally:
            self.stack.pop()
            self.frames.pop()
        frame.result = result
        self.activations.setdefault(node, []).append(frame)
        self.results[node] = join(self.results.get(node, result), result)
        return result

    def result(self, node: cst.FunctionDef, frame: Frame) -> Value:
        if frame.yielded or frame.never_yielded:
            return Sequence("generator", None, join(*(frame.yielded or frame.never_yielded)))
        falls_through = not frame.stopped
        returned = frame.returned or frame.never
        if not returned:
            return NONE
        return join(*returned, NONE) if falls_through else join(*returned)

    def bind_parameters(
        self,
        function: Function,
        frame: Frame,
        positional: list[Value],
        keywords: dict[str, Value],
        default: Value | None,
    ) -> None:
        params = function.node.params
        for param in [*params.posonly_params, *params.params, *params.kwonly_params]:
            name = param.name.value
            if positional and param not in params.kwonly_params:
                value = positional.pop(0)
            elif name in keywords:
                value = keywords.pop(name)
            else:
                value = self.parameter_default(param, function, default)
            if value is UNKNOWN and param.annotation is not None:
                value = self.annotated(param.annotation, function.frame)
            if value is UNKNOWN:
                value = self.used_as_array(function).get(name, UNKNOWN)
            frame.values[name] = value
            self.record(param.name, value)
        if isinstance(params.star_arg, cst.Param):
            rest = Sequence("tuple", tuple(positional)) if default is None else Sequence("tuple")
            frame.values[params.star_arg.name.value] = rest
        if params.star_kwarg is not None:
            mapping = v.Mapping(dict(keywords)) if default is None else v.Mapping({}, UNKNOWN)
            frame.values[params.star_kwarg.name.value] = mapping

    def used_as_array(self, function: Function) -> dict[str, Value]:
        """Parameters of which nothing is known but that their use makes arrays."""
        node = function.node
        if node not in self.usages:
            known = isinstance(node, cst.FunctionDef)
            self.usages[node] = (
                arrays_by_usage(node, self.knowledge, function.frame) if known else {}  # type: ignore[arg-type]
            )
        return self.usages[node]

    def parameter_default(
        self, param: cst.Param, function: Function, default: Value | None
    ) -> Value:
        if param.default is not None:
            value = self.eval(param.default, function.frame)
            if default is None:
                return value
            # Nobody calls it here: the default is one possibility among others of its type.
            kind = v.scalar_type(value)
            if kind is not None and kind != "None":
                return Number(kind, param.name.value)
            return UNKNOWN if v.is_none(value) else value
        return default if default is not None else UNKNOWN

    def annotated(self, annotation: cst.Annotation, frame: Frame) -> Value:
        """What a type annotation says."""
        value = self.eval(annotation.annotation, frame)
        match value:
            case Symbol() if value.name.startswith("builtins."):
                kind = value.name[9:]
                return Number(kind) if kind in ("int", "float", "bool", "str") else UNKNOWN
            case Symbol():
                for library, name in self.knowledge.arrays.items():
                    if name == value.name:
                        return Tensor(library=library)
                if self.knowledge.is_class(value.name):
                    return self.allocate(value, annotation, {})
            case Class():
                return self.any_instance(value)
        return UNKNOWN

    def iterate(self, iterable: Value, node: Any) -> Value:
        """What a loop variable holds."""
        found = []
        for option in options(iterable):
            if isinstance(option, Instance):
                found.append(self.iterate_instance(option))
            elif not v.is_none(option):
                found.append(element_of(option))
        return join(*found)

    def iterate_instance(self, instance: Instance) -> Value:
        if isinstance(instance.cls, Class):
            method = instance.cls.lookup("__iter__")
            if isinstance(method, Function):
                result = self.call_function(method, [instance], {})
                if isinstance(result, Instance) and result is not instance:
                    return self.iterate_instance(result)
                if not isinstance(result, Instance):
                    return element_of(result)
                step = instance.cls.lookup("__next__")
                if isinstance(step, Function):
                    return self.call_function(step, [instance], {})
            method = instance.cls.lookup("__getitem__")
            if isinstance(method, Function):
                return self.call_function(method, [instance, Number("int")], {})
        for base in instance.class_names:
            for line in self.knowledge.bases(base):
                name = f"{line}.__iter__"
                if name in self.knowledge.functions:
                    invocation = Invocation(self, name, None, instance, [], {})
                    return element_of(self.knowledge.functions[name](invocation))
        return UNKNOWN


def void(_: object) -> None:
    """Drop a result."""


def _dealt(
    items: Sequenced[Value] | None, targets: Sequenced[cst.BaseElement]
) -> list[Value] | None:
    """The values of targets of which one may be starred; None where they are not known.

    What a star takes is a list that programs hand on and do not fill: its length is kept, 0 too.
    """
    star = next((i for i, t in enumerate(targets) if isinstance(t, cst.StarredElement)), None)
    if items is None or star is None:
        return list(items) if items is not None and len(items) == len(targets) else None
    rest = len(items) - len(targets) + 1
    if rest < 0:
        return None
    taken = Sequence("tuple", tuple(items[star : star + rest]))
    return [*items[:star], taken, *items[star + rest :]]
