"""Sequential models whose layers are known, however they were put together."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Sequence, Symbol, Tensor, Value
from transpiler.planners.keras_graph.classes import class_of, outermost
from transpiler.planners.keras_graph.graph import of_model
from transpiler.planners.keras_graph.trace import Trace
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_scope import Scope
from transpiler.planners.keras_sequential import Chain, keep_place, rank_in, rank_out
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import result_of
from transpiler.rules.keras_graph import GraphNode, placed
from transpiler.rules.keras_layer import LAST, Part
from transpiler.rules.keras_layers import layer_parts
from transpiler.rules.keras_masks import is_source
from transpiler.site import Site
from transpiler.syntax import walk
from transpiler.template import call, fill


class Unrolled:
    """One Sequential, from the layers that it has when it is used first."""

    def __init__(
        self, context: Context, node: cst.Call, models: list[Instance], adds: list[cst.Call]
    ) -> None:
        self.context = context
        self.node = node
        self.adds = adds
        if len(models) != 1:
            raise Unfit("the models that are made here differ in their layers")
        self.model = models[0]
        held = self.model.state.get("layers") or []
        self.layers = [x for x in held if isinstance(x, Instance)]
        if len(self.layers) != len(held) or not held or self.model.state.get("loop"):
            raise Unfit("the layers of this Sequential are not known before the program runs",
                        "collect them in a list and hand it to nn.Sequential(*layers)")  # fmt: skip
        self.scope = Scope(context, context.edits.enclosing(node, cst.FunctionDef))

    def write(self) -> None:
        masked = any(is_source(x) for x in self.layers)
        new = self.as_class() if masked else self.as_list()
        gone = self.construction()
        for statement in gone:
            self.context.edits.replace(statement, [])
        for add in self.adds:
            for item in walk(add):
                self.context.claim(item)
        for item in walk(self.node):
            self.context.claim(item)
        self.context.edits.replace(self.node, new)

    # ---- a list of modules -------------------------------------------------------------------

    def as_list(self) -> cst.BaseExpression:
        chain = Chain(self.context)
        modules: list[Any] = []
        for layer in self.layers:
            parts = self.parts(layer)
            new = chain.take(parts, rank_in(layer), rank_out(layer))
            keep_place(self.context, layer, new, len(modules))
            modules += new
        last = self.layers[-1]
        modules += chain.finish(rank_out(last))
        return call("torch.nn.Sequential", *modules)

    def parts(self, layer: Instance) -> list[Part]:
        origin = layer.origin
        if not isinstance(origin, cst.Call):
            raise Unfit("a layer of this Sequential is not known before the program runs")
        if not isinstance(layer.cls, Symbol) or {"layers", "outputs"} & set(layer.state):
            return [Part(origin, LAST)]
        site = Site(self.context, origin, layer.class_names[0])
        parts: list[Part] = layer_parts(site, layer, literal=True, scope=self.scope)
        if self.model.state.get("logits") and layer is self.layers[-1]:
            return parts[:-1] or [Part(fill("torch.nn.Identity()"))]
        return parts

    # ---- a class -----------------------------------------------------------------------------

    def as_class(self) -> cst.BaseExpression:
        """A module with a forward of its own, which hands masks on."""
        start = self.model.state.get("start")
        value: Value = start if isinstance(start, Tensor) else Tensor(None, "float32", "tf")
        value = placed(value, GraphNode(None))
        inputs = value
        for layer in self.layers:
            result = result_of(layer, [value])
            if isinstance(result, Sequence):
                raise Unfit("a layer with several results in a Sequential is not translated")
            value = placed(result, GraphNode(layer, [value], {}, layer.origin))
        graph = Instance(Symbol("keras.Model"))
        graph.state.update(self.model.state)
        graph.state.pop("layers")
        graph.state["inputs_of"], graph.state["outputs"] = inputs, value
        trace = Trace(self.context, of_model(graph), self.scope, lambda layer: None)
        names, result_ = trace.read()
        name = free_name(self.context, self.class_name())
        params = [cst.Param(cst.Name(p)) for p in self.scope.parameters]
        lines = class_of(name, params, names, trace, result_)
        self.context.edits.insert_before(outermost(self.context, self.node), lines)
        return call(name, *self.scope.parameters.values())

    def class_name(self) -> str:
        parent = self.context.edits.parent[self.node]
        if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
            text = parent.targets[0].target.value
            if text != "model":
                return "".join(p[:1].upper() + p[1:] for p in text.split("_") if p)
        return "Net"

    # ---- what put the layers in --------------------------------------------------------------

    def construction(self) -> list[Any]:
        """The statements that go: adds, and loops and branches of nothing else."""
        lines = {self.context.edits.statement(a) for a in self.adds}
        found: dict[Any, None] = {}
        for line in lines:
            place: Any = line
            around = self.context.edits.enclosing(place, cst.For, cst.If, cst.While)
            while around is not None and self.node not in set(walk(around)):
                if not self.is_emptied(around, lines):
                    raise Unfit("a loop that adds layers does something else as well")
                place, around = around, self.context.edits.enclosing(
                    around, cst.For, cst.If, cst.While
                )  # fmt: skip
            found[place] = None
        return list(found)

    def is_emptied(self, statement: Any, lines: set[Any]) -> bool:
        inner = [s for s in walk(statement) if isinstance(s, cst.SimpleStatementLine)]
        return all(s in lines or isinstance(s.body[0], cst.Pass) for s in inner)
