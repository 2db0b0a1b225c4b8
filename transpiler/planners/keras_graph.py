"""Functional Keras models: the graph from inputs to outputs as one `nn.Module`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Symbol, Value, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_builder import Construction
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_scope import Scope
from transpiler.planners.keras_trace import Trace
from transpiler.rule import Unfit
from transpiler.syntax import find, walk
from transpiler.template import fill_statements

PREFIXES = ("build_", "make_", "create_", "get_", "define_", "construct_", "new_")


def plan(context: Context) -> None:
    """A class for every `keras.Model(inputs, outputs)`."""
    graphs: list[_Graph] = []
    failed: list[tuple[cst.Call, Unfit]] = []
    for node in find(context.module, cst.Call):
        if not _is_functional(context, node):
            continue
        try:
            graphs.append(_Graph(context, node, graphs))
        except Unfit as error:
            failed.append((node, error))
    mark = len(context.reports)
    if graphs and not failed:
        try:
            _take_out(context, graphs)
            return
        except Unfit as error:
            failed.append((graphs[0].node, error))
    del context.reports[mark:]
    for node, reason in failed[:1]:
        context.unfit(node, "keras.Model", reason)
    if failed:
        _leave(context, [*(g.node for g in graphs), *(n for n, _ in failed)])


def _is_functional(context: Context, node: cst.Call) -> bool:
    return qualified_name(context, node.func) == "keras.Model" and isinstance(
        context.fact(node.func), Symbol
    )


def _take_out(context: Context, graphs: list[_Graph]) -> None:
    context.notes["graphs"] = True
    calls = {c for g in graphs for c in g.trace.calls}
    written = {e for g in graphs for e in g.trace.expressions}
    Construction(context, calls, {g.node for g in graphs}).remove(written)
    for graph in graphs:
        graph.write()


def _leave(context: Context, models: list[cst.Call]) -> None:
    """The graph stays as it is, whole: no rule touches what builds it or trains it."""
    latest = context.interpreter.latest
    seen = {n for n in (latest[1] if latest else ()) if n in context.edits.parent}
    nodes = seen | set(models)
    around = set()
    for node in nodes:
        function = context.edits.enclosing(node, cst.FunctionDef)
        around.add(function if function is not None else context.edits.statement(node))
    for place in around:
        for item in walk(place):
            context.claim(item)
    for node in models:
        for value in options(context.fact(node)):
            if isinstance(value, Instance):
                value.state["left"] = True


class _Graph:
    def __init__(self, context: Context, node: cst.Call, before: list[_Graph]) -> None:
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
            self.trace = Trace(context, model, self.scope, self.held)
            self.arguments, self.result = self.trace.read()
            texts.add(cst.Module(self.body("Net")).code)  # type: ignore[arg-type]
        if len(texts) > 1:
            raise Unfit("the models that are made here differ in their sizes")

    # ---- layers that are made elsewhere ------------------------------------------------------

    def held(self, layer: Instance) -> cst.BaseExpression | None:
        """How the class reaches a layer that is not its own."""
        for graph in self.before:
            if layer in graph.trace.layers:
                owner = self.variable(graph)
                self.scope.parameters[owner.value] = owner
                name = graph.trace.layers[layer]
                return cst.Attribute(cst.Name(owner.value), cst.Name(name))
        callee = self.callee(layer)
        if callee is None:
            return None
        if not self.is_model(layer) and not self.is_used_elsewhere(layer, callee):
            return None
        if not self.scope.is_own(callee):
            return None
        return self.scope.parameter(callee)

    def variable(self, graph: _Graph) -> cst.Name:
        """The variable that holds another model of the same graph."""
        parent = self.context.edits.parent[graph.node]
        if graph.builder is self.builder and isinstance(parent, cst.Assign):
            target = parent.targets[0].target
            if isinstance(target, cst.Name) and self.scope.is_own(target):
                return target
        for name in find(self.node, cst.Name):  # Model(model.input, model.layers[-2].output)
            if self.context.fact(name) in graph.models and self.scope.is_own(name):
                return name
        raise Unfit("models that share layers are made in different functions")

    def callee(self, layer: Instance) -> cst.Name | None:
        """The variable by which the graph calls a layer."""
        for node in self.context.edits.parent:
            if isinstance(node, cst.Call) and isinstance(node.func, cst.Name):
                if self.context.fact(node.func) is layer and node is not layer.origin:
                    return node.func
        return None

    def is_model(self, layer: Instance) -> bool:
        return self.context.knowledge.derives(layer, "keras.Model")

    def is_used_elsewhere(self, layer: Instance, callee: cst.Name) -> bool:
        """Whether more than the graph uses a layer's variable."""
        latest = self.context.interpreter.latest
        seen = latest[1] if latest else set()
        for name in find(self.context.module, cst.Name):
            if name.value != callee.value or self.context.fact(name) is not layer:
                continue
            parent = self.context.edits.parent[name]
            if isinstance(parent, cst.AssignTarget):
                continue
            if not (isinstance(parent, cst.Call) and parent in seen):
                return True
        return False

    # ---- writing -----------------------------------------------------------------------------

    def write(self) -> None:
        statement: Any = self.context.edits.statement(self.node)
        name = free_name(self.context, self.class_name(statement))
        top = statement
        while not isinstance(self.context.edits.parent[top], cst.Module):
            top = self.context.edits.statement(self.context.edits.parent[top])
        self.context.edits.insert_before(top, self.body(name))
        for part, hole in self.trace.holes.items():
            self.context.edits.replace(part, cst.Name(hole))
        self.context.claim(self.node)
        args = [cst.Arg(a) for a in self.scope.parameters.values()]
        self.context.edits.replace(self.node, cst.Call(cst.Name(name), args))

    def class_name(self, statement: Any) -> str:
        """A class name from the variable, the model's name or the function that makes it."""
        small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
        found = ""
        if isinstance(small, cst.Assign) and isinstance(small.targets[0].target, cst.Name):
            found = small.targets[0].target.value
        if found in ("", "model", "m", "net", "network"):
            found = self.given_name() or (self.builder.name.value if self.builder else "")
        for prefix in PREFIXES:
            found = found.removeprefix(prefix)
        found = found.removesuffix("_model") if found != "_model" else ""
        name = "".join(p[:1].upper() + p[1:] for p in found.split("_") if p)
        taken = name in ("Model", "Build", "Make", "Create", "Main", "Define", "Net")
        return "Net" if not name.isidentifier() or taken else name

    def given_name(self) -> str:
        value = self.models[0].arguments.get("name")
        text = value.value if isinstance(value, Const) else None
        return text if isinstance(text, str) and text.isidentifier() else ""

    def body(self, name: str) -> list[cst.BaseStatement]:
        trace = self.trace
        params = "".join(f", {p}" for p in self.scope.parameters)
        text = f"class {name}(torch.nn.Module):\n    def __init__(self{params}):\n"
        text += "        super().__init__()\n"
        holes: dict[str, Any] = {}
        for index, (attribute, module) in enumerate(trace.setup.items()):
            text += f"        self.{attribute} = hole_{index}\n"
            holes[f"hole_{index}"] = module
        if trace.frozen:
            text += "\n    def train(self, mode=True):\n        super().train(mode)\n"
            text += "".join(f"        self.{n}.eval()\n" for n in trace.frozen)
            text += "        return self\n"
        text += f"\n    def forward(self, {', '.join(self.arguments)}):\n"
        text += "        lines\n        return result\n"
        return fill_statements(text, **holes, lines=trace.lines, result=self.result)


def is_left(value: Value) -> bool:
    """Whether a model stays as the source has it."""
    return isinstance(value, Instance) and bool(value.state.get("left"))


__all__ = ["is_left", "plan"]
