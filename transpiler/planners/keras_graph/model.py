"""The class of one functional model, and how it reaches layers that others have too."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Instance, options
from transpiler.planners.keras_graph import naming
from transpiler.planners.keras_graph.classes import class_of, names_needed, outermost
from transpiler.planners.keras_graph.graph import of_model
from transpiler.planners.keras_graph.trace import Trace
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_scope import Scope
from transpiler.rule import Unfit
from transpiler.syntax import code, find


def _target(node: Any) -> cst.CSTNode:
    found: cst.CSTNode = node.target
    return found


class Model:
    """One call of `keras.Model(inputs, outputs)`."""

    def __init__(self, context: Context, node: cst.Call, before: list[Model]) -> None:
        self.context = context
        self.node = node
        self.before = before
        self.builder = context.edits.enclosing(node, cst.FunctionDef)
        self.models = [i for i in options(context.fact(node)) if isinstance(i, Instance)]
        if not self.models or any("outputs" not in m.state for m in self.models):
            raise Unfit("the graph of this model is not known before the program runs")
        texts = set()
        for model in self.models:
            self.scope = Scope(context, self.builder)
            self.trace = Trace(context, of_model(model), self.scope, self.held)
            self.arguments, self.result = self.trace.read()
            known = context.notes.setdefault("graph attributes", {})
            known[id(model)] = dict(self.trace.layers)
            texts.add(cst.Module(self.body("Net")).code)  # type: ignore[arg-type]
        if len(texts) > 1:
            raise Unfit("the models that are made here differ in their sizes")

    # ---- layers that are made elsewhere ------------------------------------------------------

    def held(self, layer: Instance) -> cst.BaseExpression | None:
        """How the class reaches a layer that is not its own."""
        for graph in self.before:
            if layer in graph.trace.layers and layer not in graph.trace.borrowed:
                owner = self.scope.parameter(self.variable(graph))
                return cst.parse_expression(f"{owner.value}.{graph.trace.layers[layer]}")
        callee = self.callee(layer)
        if callee is None:
            return None
        elsewhere = self.is_used_elsewhere(layer, callee)
        if not self.is_model(layer) and not elsewhere:
            return None
        if not self.is_kept(callee):
            if elsewhere:
                name = code(callee)
                raise Unfit(f"`{name}` of this graph is used beside it and is bound again")
            return None
        return self.scope.parameter(callee)

    def is_kept(self, callee: cst.Name | cst.Attribute) -> bool:
        """Whether a variable, or an attribute, still holds the same where the model is made."""
        if isinstance(callee, cst.Name):
            return self.scope.is_own(callee) or self.is_unchanged(callee)
        places: list[Any] = list(find(self.builder or self.context.module, cst.AssignTarget))
        texts = [code(t.target) for t in places]
        return texts.count(code(callee)) <= 1 and code(callee.value) not in texts

    def is_unchanged(self, name: cst.Name) -> bool:
        edits = self.context.edits
        start: Any = edits.statement(name)
        end: Any = edits.statement(self.node)
        block: Any = edits.parent[start]
        lines: list[Any] = list(getattr(block, "body", ()))
        if edits.parent[end] is not block or start not in lines:
            return False
        between = lines[lines.index(start) : lines.index(end)]
        targets = [t for s in between for t in find(s, cst.AssignTarget, cst.For, cst.AugAssign)]
        return not any(n.value == name.value for t in targets for n in find(_target(t), cst.Name))

    def variable(self, graph: Model) -> cst.Name | cst.Attribute:
        """The variable, or attribute, that holds another model of the same graph."""
        parent = self.context.edits.parent[graph.node]
        if graph.builder is self.builder and isinstance(parent, cst.Assign):
            target = parent.targets[0].target
            if isinstance(target, cst.Name) and self.scope.is_own(target):
                return target
        for node in find(self.node, cst.Name, cst.Attribute):
            held: Any = node  # Model(model.input, model.layers[-2].output)
            if self.context.fact(held) in graph.models:
                root = held
                while isinstance(root, cst.Attribute):
                    root = root.value
                if isinstance(root, cst.Name) and self.scope.is_own(root):
                    return held  # type: ignore[no-any-return]
        raise Unfit("models that share layers are made in different functions")

    def callee(self, layer: Instance) -> cst.Name | cst.Attribute | None:
        """The variable, or attribute of an object, by which the graph calls a layer."""
        found: list[cst.Name | cst.Attribute] = []
        for node in self.context.edits.parent:
            if not isinstance(node, cst.Call) or node is layer.origin:
                continue
            func = node.func
            held = isinstance(func, cst.Attribute) and isinstance(func.value, cst.Name)
            if isinstance(func, cst.Name) or held:
                fact = self.context.fact(func)
                if fact is layer or (self.is_given(func) and layer in options(fact)):
                    found.append(func)  # type: ignore[arg-type]
        around = [f for f in found if self.place(f) is self.builder]
        around += [f for f in found if isinstance(f, cst.Name)]
        return around[0] if around else None

    def is_given(self, func: cst.BaseExpression) -> bool:
        """Whether a name is a parameter of the function that makes the model: one layer a call."""
        if not isinstance(func, cst.Name) or not isinstance(self.builder, cst.FunctionDef):
            return False
        params = {p.name.value for p in find(self.builder.params, cst.Param)}
        return func.value in params and self.place(func) is self.builder

    def place(self, node: cst.CSTNode) -> Any:
        return self.context.edits.enclosing(node, cst.FunctionDef)

    def is_model(self, layer: Instance) -> bool:
        return self.context.knowledge.derives(layer, "keras.Model")

    def is_used_elsewhere(self, layer: Instance, callee: cst.Name | cst.Attribute) -> bool:
        """Whether more than the graph uses a layer's variable."""
        latest = self.context.interpreter.latest
        seen = latest[1] if latest else set()
        for name in find(self.context.module, type(callee)):
            if code(name) != code(callee) or self.context.fact(name) is not layer:
                continue
            parent = self.context.edits.parent[name]
            if isinstance(parent, cst.AssignTarget):
                continue
            if not (isinstance(parent, cst.Call) and parent in seen):
                return True
        return False

    # ---- writing -----------------------------------------------------------------------------

    def write(self, gone: set[Any]) -> None:
        """The class, and a call of it where the graph was built."""
        statement: Any = self.context.edits.statement(self.node)
        name = self.class_name(statement)
        if self.builder is not None and name == self.builder.name.value:
            if self.is_whole_builder(statement, gone):
                self.context.edits.replace(self.builder, self.body(name))
                self.context.claim(self.node)
                return
            name += "Net"
        name = free_name(self.context, name)
        top = outermost(self.context, statement)
        self.context.edits.insert_before(top, self.body(name))
        for part, hole in self.trace.holes.items():
            self.context.edits.replace(part, cst.Name(hole))
        self.context.claim(self.node)
        args = [cst.Arg(self.scope.parameters[n]) for n in self.parameters()]
        self.context.edits.replace(self.node, cst.Call(cst.Name(name), args))

    def is_whole_builder(self, statement: Any, gone: set[Any]) -> bool:
        """Whether a function `Generator()` does nothing but return this model."""
        builder = self.builder
        assert builder is not None
        if builder.params.params or builder.decorators or self.parameters():
            return False
        if self.context.edits.parent.get(builder) is not self.context.module:
            return False
        returned = isinstance(statement, cst.SimpleStatementLine) and isinstance(
            statement.body[0], cst.Return
        )
        rest = [s for s in builder.body.body if s is not statement and s not in gone]
        return returned and not rest and "#" not in code(builder)

    def parameters(self) -> list[str]:
        """What the constructor is given, in the order of the builder's own parameters."""
        needed = names_needed(self.trace)
        names = [n for n in self.scope.parameters if n in needed]
        if self.builder is None:
            return names
        own = [p.name.value for p in self.builder.params.params]
        return sorted(names, key=lambda n: own.index(n) if n in own else len(own))

    def class_name(self, statement: Any) -> str:
        """A class name from the variable, the model's name or the function that makes it."""
        small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
        found = ""
        target = small.targets[0].target if isinstance(small, cst.Assign) else None
        if isinstance(target, (cst.Name, cst.Attribute)):
            found = target.value if isinstance(target, cst.Name) else target.attr.value
        if found in ("", "model", "m", "net", "network"):
            found = self.given_name() or (self.builder.name.value if self.builder else "")
        found = naming.without_prefix(found)
        found = found.removesuffix("_model") if found != "_model" else ""
        name = naming.class_name(found)
        taken = name in ("Model", "Build", "Make", "Create", "Main", "Define", "Net")
        return "Net" if not name.isidentifier() or taken else name

    def given_name(self) -> str:
        value = self.models[0].arguments.get("name")
        text = value.value if isinstance(value, Const) else None
        return text if isinstance(text, str) and text.isidentifier() else ""

    def body(self, name: str) -> list[cst.BaseStatement]:
        params = [cst.Param(cst.Name(p)) for p in self.parameters()]
        made = class_of(name, params, self.arguments, self.trace, self.result)
        return [self.with_base(line) for line in made]

    def with_base(self, line: Any) -> Any:
        """The class derives from the program's own, where that adds methods to a model."""
        if not isinstance(line, cst.ClassDef) or not isinstance(self.models[0].cls, Class):
            return line
        return line.with_changes(bases=[cst.Arg(cst.Name(self.models[0].cls.name))])
