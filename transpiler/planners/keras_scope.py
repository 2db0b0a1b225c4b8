"""What may be read inside of a class that is written for a graph: constants, globals, arguments."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Number,
    Sequence,
    SourceModule,
    Symbol,
    Tensor,
    Union,
    Value,
    items_of,
)
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import graph_tensors
from transpiler.site import constant_value, missing
from transpiler.syntax import code, find, names_read, target_names
from transpiler.template import as_node

MARK = "_in_graph"
"""A call that stands for an expression under other names, until `settle_names` writes it."""


class Scope:
    """The names that a class may use, and the arguments that its constructor has to be given."""

    def __init__(
        self,
        context: Context,
        builder: Any,
        given: Mapping[str, Value] | None = None,
        outer: Any = None,
    ) -> None:
        self.context = context
        self.builder = builder
        self.functions = [f for f in (builder, outer) if f is not None]
        """The builder, and the function that gives it out if it is a closure."""
        self.given = given
        """What the builder's parameters were in the activation that is written, if it is one."""
        self.parameters: dict[str, cst.BaseExpression] = {}
        self.aliases: dict[str, cst.BaseExpression] = {}
        self.prelude: dict[str, cst.Assign] = {}
        """What the constructor computes from its arguments first."""
        self.widths: Callable[[], cst.BaseExpression | None] = lambda: None
        """The number of channels that the layer at hand takes, as the class can say it."""
        self.width_of: Callable[[Value], cst.BaseExpression | None] = lambda value: None
        """The number of channels of an array, as the class can say it."""

    def write(self, node: cst.BaseExpression, value: Value | None = None) -> Any:
        """An argument as it may stand in the class: as written, its constant, or a parameter."""
        names = free_names(self.context, node)
        if all(self.is_global(n) for n in names) and not isinstance(node, cst.Lambda):
            return node
        if not isinstance(node, cst.Lambda) and self.are_symbols(names):
            return self.worded(node)
        sized = self.sized(node, value)
        if sized is not None:
            return sized
        found = constant_value(value) if value is not None else missing
        if found is not missing:
            return found
        if names and all(self.is_own(n) for n in names):
            return self.parameter(node)
        if isinstance(value, Number) and value.symbol is not None:
            return self.symbolic(value.symbol)
        raise Unfit("an argument of a layer in this graph is not known before the program runs")

    def are_symbols(self, names: list[cst.Name]) -> bool:
        """Whether all names are parameters of the builder, which the class then has as well."""
        own = [n for n in names if not self.is_global(n)]
        if not own or not all(self._is_symbol(n, ()) for n in own):
            return False
        for name in own:
            self._take(name)
        return True

    def is_named(self, node: cst.CSTNode) -> bool:
        """Whether an expression has names, all of which the class may use."""
        names = free_names(self.context, node)
        if not names:
            return False
        return all(self.is_global(n) for n in names) or self.are_symbols(names)

    def symbol(self, name: cst.Name) -> cst.BaseExpression | None:
        """A parameter of the builder, or what it computes from some, as the class has it."""
        return self.worded(cst.Name(name.value)) if self.are_symbols([name]) else None

    def worded(self, node: cst.BaseExpression) -> cst.BaseExpression:
        """An expression of the builder with the names that sizes have in the class."""
        if not self.aliases:
            return node
        found = node.visit(Renaming(self.aliases))
        return found if isinstance(found, cst.BaseExpression) else node

    def _is_symbol(self, name: cst.Name, around: tuple[str, ...]) -> bool:
        function = self._binder(name)
        if name.value in around or function is None or self._is_owner(name, function):
            return False
        given = self._value(name)
        if name.value in _parameters(function) and not (given is UNKNOWN or _is_plain(given)):
            return False
        assign = self._assignment(name)
        if assign is None:
            return name.value in _parameters(function)
        if not _is_plain(self.context.fact(name)):
            return False
        read = [n for n in self._own_names(assign.value) if not self.is_global(n)]
        if name.value in _parameters(function):  # `width = int(width * alpha)`
            return all(n.value == name.value or self._is_symbol(n, ()) for n in read)
        sized = self._with_sizes(assign.value) is not None
        return (bool(read) or sized) and all(
            self._is_symbol(n, (*around, name.value)) for n in read
        )

    def _is_owner(self, name: cst.Name, function: Any) -> bool:
        """Whether a name is the object whose method builds the graph: `self`."""
        around = self.context.edits.enclosing(function, cst.FunctionDef, cst.ClassDef)
        first = function.params.params[:1]
        return isinstance(around, cst.ClassDef) and any(p.name.value == name.value for p in first)

    def _own_names(self, node: cst.BaseExpression) -> list[cst.Name]:
        """The names that an expression reads, but for arrays whose size it asks for."""
        arrays = {n for s in find(node, cst.Subscript) if self._asked(s) for n in find(s, cst.Name)}
        return [n for n in free_names(self.context, node) if n not in arrays]

    def _binder(self, name: cst.Name) -> Any:
        """The function that binds a name, if it does so once."""
        if self.context.edits.enclosing(name, cst.FunctionDef) not in self.functions:
            return None
        for function in self.functions:
            bindings = _count_bindings(function, name.value)
            if bindings:
                again = bindings == 2 and _is_adjusted(function, name.value)
                return function if bindings == 1 or again else None
        return None

    def _value(self, name: cst.Name) -> Value:
        given = None if self.given is None else self.given.get(name.value)
        return self.context.fact(name) if given is None else given

    def _take(self, name: cst.Name) -> None:
        if name.value in self.prelude or name.value in self.aliases:
            return
        assign = self._assignment(name)
        if assign is None:
            self.parameters.setdefault(name.value, cst.Name(name.value))
            return
        for read in self._own_names(assign.value):
            if not self.is_global(read) and read.value != name.value:
                self._take(read)
        value = self._with_sizes(assign.value)
        if isinstance(value, cst.Name) and isinstance(assign.targets[0].target, cst.Name):
            self.aliases[name.value] = value
            return
        value = self.worded(assign.value if value is None else value)
        self.prelude[name.value] = assign.with_changes(value=value)
        if name.value in _parameters(self._binder(name)):
            self.parameters.setdefault(name.value, cst.Name(name.value))

    def _assignment(self, name: cst.Name) -> cst.Assign | None:
        """The line of the builder that computes a variable from others, if that is all it does."""
        for line in self._binder(name).body.body:
            small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
            if isinstance(small, cst.Assign) and len(small.targets) == 1:
                target = small.targets[0].target
                names = [target] if isinstance(target, cst.Name) else []
                if isinstance(target, cst.Tuple):
                    names = [e.value for e in target.elements if isinstance(e.value, cst.Name)]
                if any(n.value == name.value for n in names):
                    return small if is_pure(small.value) else None
        return None

    # ---- sizes that are read off arrays ------------------------------------------------------

    def _asked(self, node: cst.Subscript) -> cst.BaseExpression | None:
        """The channels in `x.shape[-1]` of an array that the builder was handed."""
        text = code(node).replace(" ", "")
        owner = text.removesuffix("[-1]").removesuffix(".shape")
        if self.given is None or text != f"{owner}.shape[-1]" or owner not in self.given:
            return None
        return self.width_of(self.given[owner])

    def _with_sizes(self, node: cst.BaseExpression) -> cst.BaseExpression | None:
        """An expression with names for the sizes that it reads off arrays, if there are any."""
        asked = {s: w for s in find(node, cst.Subscript) if (w := self._asked(s)) is not None}
        if not asked:
            return None
        if node in asked:
            return asked[node]  # type: ignore[index]

        class _Sizes(cst.CSTTransformer):
            def leave_Subscript(self, original_node: cst.Subscript, updated_node: Any) -> Any:
                return asked.get(original_node, updated_node)

        found = node.visit(_Sizes())
        return found if isinstance(found, cst.BaseExpression) else None

    def sized(self, node: cst.BaseExpression, value: Value | None) -> cst.BaseExpression | None:
        """`x.shape[-1] // 2` in the words of the class, where it gives the number it has to."""
        found = self._with_sizes(node)
        names = [n for n in self._own_names(node) if not self.is_global(n)]
        if found is None or not isinstance(value, Const) or names:
            return None
        sizes = {code(w): w for s in find(node, cst.Subscript) if (w := self._asked(s)) is not None}
        text = code(node)
        for owner, array in (self.given or {}).items():
            if isinstance(array, Tensor) and array.shape:
                text = text.replace(f"{owner}.shape[-1]", str(array.shape[-1]))
        try:
            agrees = bool(sizes) and eval(text, {"__builtins__": {"int": int}}) == value.value
        except Exception:  # what is not plain arithmetic is no size
            return None
        return found if agrees else None

    def symbolic(self, text: str) -> cst.BaseExpression:
        """A size that is only known by name: `options.width + 1`."""
        scope = self

        class _Parameters(cst.CSTTransformer):
            def visit_Attribute(self, node: cst.Attribute) -> bool:
                return False

            def leave_Attribute(self, original_node: cst.Attribute, updated_node: Any) -> Any:
                root = code(original_node).partition(".")[0]
                return scope.by_root(root, original_node)

            def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> Any:
                return scope.by_root(original_node.value, original_node)

        expression = cst.parse_expression(text)
        if any(True for _ in find(expression, cst.Call, cst.Subscript)):
            return self.reading(expression)
        result = expression.visit(_Parameters())
        assert isinstance(result, cst.BaseExpression)
        return result

    def reading(self, node: cst.BaseExpression) -> cst.BaseExpression:
        """`len(words)`, `x.shape[1]`: read in the class, or where it is made."""
        names = [n for n in sorted(names_read(node)) if not hasattr(builtins, n)]
        if self.builder is not None and any(_count_bindings(self.builder, n) for n in names):
            for name in names:
                if _count_bindings(self.builder, name) != 1:
                    self.by_root(name, node)
            return self.parameter(node, "size")
        for name in names:
            self.by_root(name, node)
        return node

    def by_root(self, root: str, node: Any) -> cst.BaseExpression:
        """A name or attribute, by what its first word means where the model is made."""
        own = self.given is None and self.builder is not None
        if own and _count_bindings(self.builder, root) == 1:
            return self.parameter(node)
        places = [p for p in self._assignments().get(root, []) if not self._is_graph(p, root)]
        if len(places) == 1 and self._is_outside(places[0]):
            found: cst.BaseExpression = node
            return found
        raise Unfit(f"`{root}` in this graph is not known before the program runs")

    def _is_graph(self, place: Any, name: str) -> bool:
        """Whether a variable is bound to an array of the graph: that line goes."""
        target = getattr(place, "target", None)
        found = [n for n in find(target, cst.Name) if n.value == name] if target else []
        return any(graph_tensors(self.context.fact(n)) for n in found)

    def _is_outside(self, place: cst.CSTNode) -> bool:
        """Whether a binding stands in no function."""
        return self._is_top(place) or (
            self.builder is None and self.context.edits.enclosing(place, cst.FunctionDef) is None
        )

    def parameter(self, node: cst.BaseExpression, otherwise: str = "value") -> cst.Name:
        """An argument of the constructor."""
        name = node.attr.value if isinstance(node, cst.Attribute) else otherwise
        name = node.value if isinstance(node, cst.Name) else name
        if name == "self":
            raise Unfit("a part of this graph reads the object that builds it",
                        "read what it needs into variables first")  # fmt: skip
        while name in self.parameters and code(self.parameters[name]) != code(node):
            name += "_"
        self.parameters[name] = node
        return cst.Name(name)

    def is_global(self, name: cst.Name) -> bool:
        """Whether a name means the same wherever the module reads it."""
        fact = self.context.fact(name)
        if isinstance(fact, (Function, Class, Symbol, SourceModule)):
            return not self._is_local(name)
        if self._is_local(name):
            return False
        places = self._assignments().get(name.value, [])
        return len(places) == 1 and self._is_top(places[0]) and not self._is_drawn(places[0])

    def _is_drawn(self, target: cst.CSTNode) -> bool:
        """Whether a variable is read off the graph, as in `shape = K.int_shape(x)`: it goes too."""
        statement: Any = self.context.edits.parent.get(target)
        if not isinstance(statement, cst.Assign):
            return False
        names = find(statement.value, cst.Name)
        return any(graph_tensors(self.context.fact(n)) for n in names)

    def is_own(self, name: cst.Name) -> bool:
        """Whether a name of the function that makes the model still has its value there."""
        if self.is_global(name):
            return True
        if self.given is not None:
            return self._is_symbol(name, ())
        if self.context.edits.enclosing(name, cst.FunctionDef) is not self.builder:
            return False
        if self.builder is None:
            places = self._assignments().get(name.value, [])
            return len(places) == 1 and not isinstance(places[0], (cst.For, cst.AugAssign))
        return _count_bindings(self.builder, name.value) == 1

    def _is_local(self, name: cst.Name) -> bool:
        function = self.context.edits.enclosing(name, cst.FunctionDef, cst.Lambda)
        while function is not None:
            if _count_bindings(function, name.value):
                return True
            function = self.context.edits.enclosing(function, cst.FunctionDef, cst.Lambda)
        return False

    def _assignments(self) -> dict[str, list[cst.CSTNode]]:
        """Where the module's own variables are bound."""
        known = self.context.notes.get("module bindings")
        if known is None:
            known = {}
            kinds = (cst.AssignTarget, cst.AugAssign, cst.For, cst.AnnAssign, cst.AsName)
            for kind in kinds:
                for node in find(self.context.module, kind):
                    target: Any = getattr(node, "name" if kind is cst.AsName else "target")
                    for name in target_names(target):
                        known.setdefault(name, []).append(node)
            self.context.notes["module bindings"] = known
        found: dict[str, list[cst.CSTNode]] = known
        return found

    def _is_top(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.For, cst.AugAssign)):
            return False
        edits = self.context.edits
        return edits.enclosing(node, cst.FunctionDef, cst.For, cst.While, cst.ClassDef) is None


PURE = frozenset(
    """int float len range round max min abs list tuple zip enumerate reversed sorted sum str
    dict""".split()
)


def is_pure(value: cst.CSTNode) -> bool:
    """Whether an expression calls nothing but functions of Python that only compute."""
    calls = find(value, cst.Call)
    return all(isinstance(c.func, cst.Name) and c.func.value in PURE for c in calls)


def _parameters(function: Any) -> set[str]:
    params = function.params
    every = [*params.posonly_params, *params.params, *params.kwonly_params]
    return {p.name.value for p in every}


def _is_adjusted(function: Any, name: str) -> bool:
    """Whether a parameter is set anew once, before anything else reads it."""
    if name not in _parameters(function):
        return False
    for line in function.body.body:
        if name not in names_read(line):
            continue
        small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
        return (
            isinstance(small, cst.Assign)
            and isinstance(small.targets[0].target, cst.Name)
            and small.targets[0].target.value == name
        )
    return False


NAMESPACE = "argparse.Namespace"


def _is_plain(value: Value) -> bool:
    """Whether a value is a number, a text, or several: what a constructor may be given."""
    if isinstance(value, (Const, Number)):
        return value != NONE
    if isinstance(value, Instance):  # settings that are read by their attributes
        names = value.class_names
        return not names if isinstance(value.cls, Class) else names[:1] == (NAMESPACE,)
    if isinstance(value, Union):
        return all(_is_plain(o) for o in value.options)
    items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
    return bool(items) and all(_is_plain(i) for i in items or ())


def _count_bindings(function: Any, name: str) -> int:
    """How often a function binds a name: as a parameter and by assignment."""
    params = function.params
    every = [*params.posonly_params, *params.params, *params.kwonly_params]
    found: int = sum(p.name.value == name for p in every)
    for target in find(function.body, cst.AssignTarget):
        found += list(target_names(target.target)).count(name)
    for loop in find(function.body, cst.For):
        found += 2 * list(target_names(loop.target)).count(name)
    for change in find(function.body, cst.AugAssign):
        found += 2 * (isinstance(change.target, cst.Name) and change.target.value == name)
    return found


def free_names(context: Context, node: cst.CSTNode) -> list[cst.Name]:
    """The variables that an expression reads."""
    read = names_read(node)
    bound = {p.name.value for f in find(node, cst.Lambda) for p in f.params.params}
    found = []
    for name in find(node, cst.Name):
        parent = context.edits.parent.get(name)
        if isinstance(parent, cst.Attribute) and parent.attr is name:
            continue
        if isinstance(parent, cst.Arg) and parent.keyword is name:
            continue
        if name.value in read and name.value not in bound and not hasattr(builtins, name.value):
            if name.value not in ("True", "False", "None"):
                found.append(name)
    return found


def renamed(node: cst.BaseExpression, names: Mapping[str, Any]) -> cst.BaseExpression:
    """An expression of the original under other names (settled once all edits are carried out)."""
    names = {k: v for k, v in names.items() if not (isinstance(v, cst.Name) and v.value == k)}
    if not names:
        return node
    args = [cst.Arg(node), *(cst.Arg(as_node(v), keyword=cst.Name(k)) for k, v in names.items())]
    return cst.Call(cst.Name(MARK), args)


def _is_marked(node: cst.Call) -> bool:
    return isinstance(node.func, cst.Name) and node.func.value == MARK


class _Settling(cst.CSTTransformer):
    """Writes the marked calls; what holds none stays the very node that it was."""

    def __init__(self, module: cst.Module) -> None:
        super().__init__()
        self.around: set[cst.CSTNode] = set()
        self.mark(module)

    def mark(self, node: cst.CSTNode) -> bool:
        """Remember the nodes that hold marked calls."""
        below = [self.mark(child) for child in node.children]
        if True in below or (isinstance(node, cst.Call) and _is_marked(node)):
            self.around.add(node)
            return True
        return False

    def on_visit(self, node: cst.CSTNode) -> bool:
        return node in self.around

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> Any:
        if not _is_marked(updated_node):
            return updated_node
        first, *rest = updated_node.args
        names = {a.keyword.value: a.value for a in rest if a.keyword is not None}
        return first.value.visit(Renaming(names))


class Renaming(cst.CSTTransformer):
    """Other expressions for the variables of an expression."""

    def __init__(self, names: dict[str, cst.BaseExpression]) -> None:
        super().__init__()
        self.names = names

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> Any:
        return self.names.get(updated_node.value, updated_node)

    def leave_Attribute(self, original_node: cst.Attribute, updated_node: cst.Attribute) -> Any:
        return updated_node.with_changes(attr=original_node.attr)

    def leave_Arg(self, original_node: cst.Arg, updated_node: cst.Arg) -> Any:
        return updated_node.with_changes(keyword=original_node.keyword)


def settle_names(module: cst.Module) -> cst.Module:
    """Write every expression that stands under other names."""
    result = module.visit(_Settling(module))
    assert isinstance(result, cst.Module)
    return result
