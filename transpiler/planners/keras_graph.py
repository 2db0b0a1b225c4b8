"""Functional Keras models: the graph from inputs to outputs as one `nn.Module`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Instance,
    ListObject,
    Mapping,
    Sequence,
    Symbol,
    Tensor,
    Value,
    items_of,
    options,
)
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_sequential import Chain, rank_in, rank_out, to_first, to_last
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import GraphNode, GraphTensor, graph_tensors
from transpiler.rules.keras_layers import FIRST, LAST, layer_parts
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import call

MERGES = {
    "Add": " + ", "Subtract": " - ", "Multiply": " * ",
}  # fmt: skip


def plan(context: Context) -> None:
    """A class for every `keras.Model(inputs, outputs)`."""
    for node in find(context.module, cst.Call):
        if qualified_name(context, node.func) != "keras.Model":
            continue
        if not isinstance(context.fact(node.func), Symbol):
            continue
        try:
            _Graph(context, node).write()
        except Unfit as error:
            context.claim(node)
            context.unfit(node, "keras.Model", error)


class _Graph:
    def __init__(self, context: Context, node: cst.Call) -> None:
        self.context = context
        self.node = node
        models = [i for i in options(context.fact(node)) if isinstance(i, Instance)]
        if len(models) != 1 or "outputs" not in models[0].state:
            raise Unfit("the graph of this model is not known before the program runs")
        self.model = models[0]
        self.lines: list[str] = []
        self.setup: list[tuple[str, cst.BaseExpression]] = []
        self.names: dict[GraphNode, str] = {}
        self.orders: dict[GraphNode, str] = {}
        self.layers: dict[Instance, str] = {}
        self.taken: set[str] = set()
        self.calls: set[Any] = set()
        self.left: Counter[GraphNode] = Counter()
        """How often each value is still to be read."""

    def write(self) -> None:
        self.count(self.model.state["outputs"])
        inputs = self.tensors(self.model.state["inputs_of"])
        outputs = self.model.state["outputs"]
        if any(t.node is None or t.node.layer is not None for t in inputs):
            raise Unfit("a model that begins in the middle of a graph is not translated")
        args = []
        for tensor in inputs:
            assert tensor.node is not None
            args.append(self.name_input(tensor.node))
        result = self.result(outputs)
        statement = self.context.edits.statement(self.node)
        self.remove_construction()
        name = self.class_name(statement)
        definition = self.definition(name, args, result)
        top = statement
        while not isinstance(self.context.edits.parent[top], cst.Module):
            top = self.context.edits.statement(self.context.edits.parent[top])
        self.context.edits.insert_before(top, [definition])
        self.context.claim(self.node)
        self.context.edits.replace(self.node, call(name))

    def count(self, outputs: Value) -> None:
        """Count the readers of every value."""
        seen: set[GraphNode] = set()
        stack = graph_tensors(outputs)
        for tensor in stack:
            node = tensor.node
            if node is None:
                continue
            self.left[node] += 1
            if node not in seen:
                seen.add(node)
                stack.extend(graph_tensors(ListObject(list(node.inputs))))

    # ---- reading the graph -------------------------------------------------------------------

    def tensors(self, value: Value) -> list[GraphTensor]:
        if isinstance(value, GraphTensor):
            return [value]
        items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
        if items is None or not all(isinstance(i, GraphTensor) for i in items):
            raise Unfit("the inputs of this model are not known before the program runs")
        return [i for i in items if isinstance(i, GraphTensor)]

    def name_input(self, node: GraphNode) -> str:
        name = self.fresh(self.assigned(node) or "x")
        self.names[node], self.orders[node] = name, LAST
        self.calls.add(node.call)
        return name

    def result(self, outputs: Value) -> str:
        match outputs:
            case GraphTensor():
                return self.use(outputs, LAST)
            case Mapping():
                return "{" + ", ".join(
                    f'"{k}": {self.result(v)}' for k, v in outputs.items.items()
                ) + "}"  # fmt: skip
            case ListObject() | Sequence() if (items := items_of(outputs)) is not None:
                return ", ".join(self.result(i) for i in items)
        raise Unfit("the outputs of this model are not known before the program runs")

    def use(self, tensor: Value, order: str | None) -> str:
        """The name of a value of the graph, in an order of axes (None: as it is)."""
        if not isinstance(tensor, GraphTensor) or tensor.node is None:
            raise Unfit(
                "a value of this graph is made by something else than a layer",
                "wrap it in a layer of its own, or write the model as an nn.Module",
            )
        node = tensor.node
        if node not in self.names:
            self.visit(node)
        have = self.orders[node]
        rank = tensor.rank
        if order is None or order == have or (rank is not None and rank <= 2):
            return self.names[node]
        if rank is None:
            raise Unfit("the rank of a value in this graph is not known")
        axes = to_first(rank) if order == FIRST else to_last(rank)
        return f"{self.names[node]}.permute({', '.join(map(str, axes))})"

    def visit(self, node: GraphNode) -> None:
        layer = node.layer
        if layer is None:
            raise Unfit("an input of this graph is not among the model's inputs")
        if node.part is not None:
            raise Unfit("layers with several results in a graph are not translated")
        if node.keywords:
            names = ", ".join(sorted(node.keywords))
            raise Unfit(f"the argument {names} of a layer in this graph is not translated")
        self.calls.add(node.call)
        kind = (layer.class_names or ("",))[0].rpartition(".")[2]
        if kind in MERGES or kind in ("Concatenate", "Average", "Maximum", "Minimum"):
            self.merge(node, layer, kind)
        elif isinstance(layer.cls, Symbol) and not {"layers", "outputs"} & set(layer.state):
            self.library(node, layer)
        else:
            raise Unfit("a model or own layer inside of a functional graph is not translated")

    def merge(self, node: GraphNode, layer: Instance, kind: str) -> None:
        items = items_of(node.inputs[0]) if node.inputs else None
        if items is None:
            raise Unfit(f"what {kind} puts together is not known")
        for item in items:
            self.use(item, None)
        first = all(isinstance(i, GraphTensor) and i.node and self.orders[i.node] == FIRST
                    for i in items)  # fmt: skip
        order = FIRST if first else LAST
        parts = [self.use(i, order) for i in items]
        rank = items[0].rank if isinstance(items[0], Tensor) else None
        if kind in MERGES:
            text = MERGES[kind].join(parts)
        elif kind == "Average":
            text = f"({' + '.join(parts)}) / {len(parts)}"
        elif kind in ("Maximum", "Minimum"):
            raise Unfit(f"{kind} in a graph is not translated")
        else:
            text = f"torch.cat([{', '.join(parts)}], dim={self.axis(layer, order, rank)})"
        self.assign(node, text, order)

    def axis(self, layer: Instance, order: str, rank: int | None) -> int:
        from transpiler.rules.facts_keras_layers import argument

        axis = argument(layer, "axis", -1)
        if not isinstance(axis, int) or rank is None:
            raise Unfit("the axis of a concatenation is not known")
        axis %= rank
        if order == LAST or axis == 0:
            return axis if axis != rank - 1 else -1
        return 1 if axis == rank - 1 else axis + 1

    def library(self, node: GraphNode, layer: Instance) -> None:
        if len(node.inputs) != 1:
            raise Unfit("layers of several inputs in a graph are not translated")
        tensor = node.inputs[0]
        parts = layer_parts(self.site(layer), layer, literal=True)
        if self.model.state.get("logits") and self.is_last(node):
            parts = parts[:-1]
        wanted = next((p.order for p in parts if p.order in (FIRST, LAST)), None)
        if layer in self.layers and wanted is None:
            wanted = LAST
        source = self.use(tensor, wanted)
        assert isinstance(tensor, GraphTensor)
        assert tensor.node is not None
        chain = Chain(self.context)
        chain.order = wanted or self.orders[tensor.node]
        modules = chain.take(parts, tensor.rank or rank_in(layer), rank_out(layer))
        if layer not in self.layers:
            name = self.fresh(self.layer_name(layer, node), attribute=True)
            self.layers[layer] = name
            if modules:
                module = modules[0] if len(modules) == 1 else call("torch.nn.Sequential", *modules)
                self.setup.append((name, module))
        text = f"self.{self.layers[layer]}({source})" if modules else source
        self.assign(node, text, chain.order)

    def is_last(self, node: GraphNode) -> bool:
        outputs = self.model.state["outputs"]
        return isinstance(outputs, GraphTensor) and outputs.node is node

    def site(self, layer: Instance) -> Site:
        if not isinstance(layer.origin, cst.Call):
            raise Unfit("a layer of this graph is not known before the program runs")
        self.calls.add(layer.origin)
        return Site(self.context, layer.origin, layer.class_names[0])

    def layer_name(self, layer: Instance, node: GraphNode) -> str:
        from transpiler.infer.values import Const

        given = layer.arguments.get("name")
        if isinstance(given, Const) and str(given.value).isidentifier():
            return str(given.value)
        kind = layer.class_names[0].rpartition(".")[2]
        return {"BatchNormalization": "norm", "Conv2DTranspose": "up"}.get(
            kind, "pool" if "Pooling" in kind else kind.rstrip("123D").lower() or kind.lower()
        )

    def assign(self, node: GraphNode, text: str, order: str) -> None:
        name = self.assigned(node) or "x"
        for tensor in graph_tensors(ListObject(list(node.inputs))):
            if tensor.node is not None:
                self.left[tensor.node] -= 1
        live = {n for k, n in self.names.items() if self.left[k] > 0}
        if name in live:
            name = self.fresh(name)
        self.taken.add(name)
        self.names[node], self.orders[node] = name, order
        self.lines.append(f"{name} = {text}")

    def assigned(self, node: GraphNode) -> str | None:
        parent = self.context.edits.parent.get(node.call)
        if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
            return parent.targets[0].target.value
        return None

    def fresh(self, name: str, attribute: bool = False) -> str:
        used = {n for n, _ in self.setup} if attribute else self.taken
        candidate, number = name, 1
        while candidate in used:
            number += 1
            candidate = f"{name}{number}"
        used.add(candidate)
        return candidate

    # ---- writing -----------------------------------------------------------------------------

    def remove_construction(self) -> None:
        """The calls that made the graph go, where they stand beside the model."""
        own = self.context.edits.enclosing(self.node, cst.FunctionDef)
        others = [
            i for i in self.context.interpreter.instances.values()
            if i is not self.model and "outputs" in i.state and i.state.get("made") is not self.node
        ]  # fmt: skip
        if others:
            raise Unfit("several models over one graph are not translated",
                        "write each as an nn.Module")  # fmt: skip
        gone: list[Any] = []
        for item in self.calls:
            if item is None:
                continue
            statement = self.context.edits.statement(item)
            if self.context.edits.enclosing(item, cst.FunctionDef) is not own:
                raise Unfit("the graph is built by several functions",
                            "write each block as an nn.Module of its own")  # fmt: skip
            if self.context.edits.enclosing(item, cst.For, cst.While, cst.If) is not None:
                raise Unfit("the graph is built in a loop or under a condition",
                            "write it as an nn.Module with a ModuleList")  # fmt: skip
            if (
                isinstance(statement, cst.SimpleStatementLine)
                and isinstance(statement.body[0], cst.Assign)
                and statement is not self.context.edits.statement(self.node)
            ):
                gone.append(statement)
        gone += self.aliases()
        self.check_other_uses(set(gone))
        for item in self.calls - {None}:
            self.context.claim(item)
        for statement in dict.fromkeys(gone):
            self.context.edits.replace(statement, [])

    def aliases(self) -> list[Any]:
        """`skip = x`: other names of the graph's values."""
        return [
            self.context.edits.statement(a)
            for a in find(self.context.module, cst.Assign)
            if isinstance(a.value, cst.Name) and isinstance(self.context.fact(a.value), GraphTensor)
        ]

    def check_other_uses(self, gone: set[Any]) -> None:
        """Nothing but the model may read the graph's values."""
        own = self.context.edits.statement(self.node)
        for name in find(self.context.module, cst.Name):
            if not isinstance(self.context.fact(name), GraphTensor):
                continue
            statement = self.context.edits.statement(name)
            if statement not in gone and statement is not own:
                raise Unfit("values of the graph are used beside the model",
                            "write the graph as an nn.Module by hand")  # fmt: skip

    def class_name(self, statement: cst.CSTNode) -> str:
        small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
        name = "Net"
        if isinstance(small, cst.Assign) and isinstance(small.targets[0].target, cst.Name):
            name = "".join(p.capitalize() for p in small.targets[0].target.value.split("_"))
        from transpiler.planners.keras_training import free_name

        return free_name(self.context, name or "Net")

    def definition(self, name: str, args: list[str], result: str) -> cst.BaseStatement:
        text = f"class {name}(torch.nn.Module):\n    def __init__(self):\n"
        text += "        super().__init__()\n"
        holes: dict[str, cst.BaseExpression] = {}
        for index, (attribute, module) in enumerate(self.setup):
            text += f"        self.{attribute} = hole_{index}\n"
            holes[f"hole_{index}"] = module
        text += f"\n    def forward(self, {', '.join(args)}):\n"
        text += "".join(f"        {line}\n" for line in self.lines)
        text += f"        return {result}\n"
        from transpiler.template import fill_statements

        return fill_statements(text, **holes)[0]
