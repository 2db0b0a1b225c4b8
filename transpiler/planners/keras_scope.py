"""What may be read inside of a class that is written for a graph: constants, globals, arguments."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Function, Number, SourceModule, Symbol, Value
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import graph_tensors
from transpiler.site import constant_value, missing
from transpiler.syntax import code, find, names_read
from transpiler.template import as_node

MARK = "_in_graph"
"""A call that stands for an expression under other names, until `settle_names` writes it."""


class Scope:
    """The names that a class may use, and the arguments that its constructor has to be given."""

    def __init__(self, context: Context, builder: Any) -> None:
        self.context = context
        self.builder = builder
        self.parameters: dict[str, cst.BaseExpression] = {}

    def write(self, node: cst.BaseExpression, value: Value | None = None) -> Any:
        """An argument as it may stand in the class: as written, its constant, or a parameter."""
        names = free_names(self.context, node)
        if all(self.is_global(n) for n in names) and not isinstance(node, cst.Lambda):
            return node
        found = constant_value(value) if value is not None else missing
        if found is not missing:
            return found
        if names and all(self.is_own(n) for n in names):
            return self.parameter(node)
        if isinstance(value, Number) and value.symbol is not None:
            return self.symbolic(value.symbol)
        raise Unfit("an argument of a layer in this graph is not known before the program runs")

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
        if self.builder is not None and _count_bindings(self.builder, root) == 1:
            return self.parameter(node)
        places = self._assignments().get(root, [])
        if len(places) == 1 and self._is_top(places[0]):
            found: cst.BaseExpression = node
            return found
        raise Unfit(f"`{root}` in this graph is not known before the program runs")

    def parameter(self, node: cst.BaseExpression, otherwise: str = "value") -> cst.Name:
        """An argument of the constructor."""
        name = node.attr.value if isinstance(node, cst.Attribute) else otherwise
        name = node.value if isinstance(node, cst.Name) else name
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
                    for name in find(target, cst.Name):
                        known.setdefault(name.value, []).append(node)
            self.context.notes["module bindings"] = known
        found: dict[str, list[cst.CSTNode]] = known
        return found

    def _is_top(self, node: cst.CSTNode) -> bool:
        if isinstance(node, (cst.For, cst.AugAssign)):
            return False
        edits = self.context.edits
        return edits.enclosing(node, cst.FunctionDef, cst.For, cst.While, cst.ClassDef) is None


def _count_bindings(function: Any, name: str) -> int:
    """How often a function binds a name: as a parameter and by assignment."""
    params = function.params
    every = [*params.posonly_params, *params.params, *params.kwonly_params]
    found: int = sum(p.name.value == name for p in every)
    for target in find(function.body, cst.AssignTarget):
        found += sum(n.value == name for n in find(target.target, cst.Name))
    for loop in find(function.body, cst.For):
        found += 2 * sum(n.value == name for n in find(loop.target, cst.Name))
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


class _Settling(cst.CSTTransformer):
    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> Any:
        if not (isinstance(updated_node.func, cst.Name) and updated_node.func.value == MARK):
            return updated_node
        first, *rest = updated_node.args
        names = {a.keyword.value: a.value for a in rest if a.keyword is not None}
        return first.value.visit(_Renaming(names))


class _Renaming(cst.CSTTransformer):
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
    result = module.visit(_Settling())
    assert isinstance(result, cst.Module)
    return result
