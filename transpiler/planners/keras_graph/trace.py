"""The steps of a functional graph as lines of a `forward`, and the modules that they call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Const,
    Instance,
    ListObject,
    Mapping,
    Sequence,
    Symbol,
    Tensor,
    Value,
    items_of,
)
from transpiler.planners.keras_graph import formulas, masks, merges, naming
from transpiler.planners.keras_graph.blocks import Block, Made, find_blocks
from transpiler.planners.keras_graph.graph import Graph
from transpiler.planners.keras_graph.widths import Widths
from transpiler.planners.keras_scope import Scope, renamed
from transpiler.planners.keras_sequential import Chain, rank_in, rank_out, to_first, to_last
from transpiler.planners.keras_tape.sensitive import is_sensitive
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import GraphNode, GraphTensor, graph_tensors
from transpiler.rules.keras_layer import FIRST, LAST
from transpiler.rules.keras_layers import layer_parts
from transpiler.rules.keras_masks import input_mask, is_source, output_mask
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code, find
from transpiler.template import as_node, call, fill, fill_statements

Expression = cst.BaseExpression


class Trace:
    """One class's graph, step by step."""

    def __init__(
        self,
        context: Context,
        graph: Graph,
        scope: Scope,
        held: Callable[[Instance], Expression | None],
    ) -> None:
        self.context = context
        self.graph = graph
        self.scope = scope
        self.held = held
        """The expression by which a layer that is made elsewhere is reached, if it is."""
        self.setup: dict[str, Expression] = {}
        self.layers: dict[Instance, str] = {}
        """Each layer's attribute; a path where it is part of a block."""
        self.borrowed: set[Instance] = set()
        """Those of them that are made elsewhere."""
        self.wanted: dict[Instance, str | None] = {}
        self.lines: list[cst.BaseStatement] = []
        self.values: dict[GraphNode, Expression] = {}
        self.orders: dict[GraphNode, str] = {}
        self.taken: set[str] = set()
        self.calls: set[Any] = set()
        self.left: Counter[GraphNode] = Counter()
        self.deferred: set[GraphNode] = set()
        """Expressions that are written inside of another."""
        self.expressions: set[Any] = set()
        self.holes: dict[Any, str] = {}
        """Parts of expressions, and the names that stand for them there."""
        self.readers: dict[GraphNode, GraphNode] = {}
        self.masks: dict[GraphNode, Expression] = {}
        self.blocks: dict[GraphNode, Block] = {}
        self.used: list[Any] = []
        """The classes of blocks that it takes."""
        self.permuted = 0
        self.widths = Widths(self)
        self.scope.width_of = self.widths.of
        self.sizes: dict[str, GraphTensor] = {}
        """What a block's constructor is told of its inputs."""

    # ---- the whole ---------------------------------------------------------------------------

    def read(self) -> tuple[list[str], Expression]:
        """Write the lines; the names of the inputs and the expression that is returned."""
        names = self.start()
        result = self.result(self.graph.outputs, LAST)
        last = output_mask(self.graph.outputs)
        if last is not None and self.graph.keeps_mask:
            self.lines += fill_statements("self.mask = mask", mask=self.masks[last])
        return names, result

    def start(self, orders: dict[GraphNode, str] | None = None) -> list[str]:
        """Write the lines; the names of the inputs."""
        path = self.graph.path()
        for tensor in graph_tensors(self.graph.outputs):
            self.count(tensor.node)
        for node in path:
            for tensor in node.sources():
                self.count(tensor.node)
                if tensor.node is not None:
                    self.readers[tensor.node.whole or tensor.node] = node
        names = [self.name_input(node, orders or {}) for node in self.graph.inputs]
        self.blocks = find_blocks(self.context, self.graph, path)
        for node in path:
            if node not in self.values and node not in self.deferred:
                self.visit(node)
        self.context.notes.setdefault("graph orders", {}).update(self.wanted)
        return names

    def count(self, node: GraphNode | None, by: int = 1) -> None:
        if node is not None:
            self.left[node] += by
            if node.whole is not None:
                self.left[node.whole] += by

    def name_input(self, node: GraphNode, orders: dict[GraphNode, str]) -> str:
        text = self.fresh(self.graph.names.get(node) or naming.input_name(self.context, node))
        self.values[node], self.orders[node] = cst.Name(text), orders.get(node, LAST)
        if self.graph.is_model:
            self.calls.add(node.call)
        return text

    def result(self, outputs: Value, order: str | None) -> Expression:
        match outputs:
            case GraphTensor():
                return self.use(outputs, order)
            case Mapping():
                pairs = [(k, self.result(v, order)) for k, v in outputs.items.items()]
                return cst.Dict([cst.DictElement(as_node(k), v) for k, v in pairs])
            case ListObject() | Sequence() if (items := items_of(outputs)) is not None:
                if len(items) == 1:
                    return self.result(items[0], order)
                parts = [cst.Element(self.result(i, order)) for i in items]
                return cst.Tuple(parts, lpar=[], rpar=[])
        raise Unfit("the outputs of this model are not known before the program runs")

    # ---- values ------------------------------------------------------------------------------

    def use(
        self, tensor: Value | None, order: str | None, expected: int | None = None
    ) -> Expression:
        """A value of the graph in an order of axes (None: as it is).

        `expected` is the rank that a layer's kind tells, where the value's own is not known.
        """
        if not isinstance(tensor, GraphTensor) or tensor.node is None:
            raise Unfit("a value of this graph is not known before the program runs")
        node = tensor.node
        if node not in self.values and node.whole is not None:
            raise Unfit("several results of a layer in this graph are used in a way not understood")
        if node not in self.values:
            self.visit(node)
        found, have = self.values[node], self.orders[node]
        rank = expected if tensor.rank is None else tensor.rank
        if order is None or order == have or (rank is not None and rank <= 2):
            return found
        if rank is None:
            raise Unfit("the rank of a value in this graph is not known")
        self.permuted += 1
        axes = to_first(rank) if order == FIRST else to_last(rank)
        return fill(f"x.permute({', '.join(map(str, axes))})", x=found)

    def argument(self, value: Value) -> Expression:
        """An argument of a call in the graph."""
        if isinstance(value, GraphTensor):
            return self.use(value, LAST)
        items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
        if items is not None:
            return cst.List([cst.Element(self.argument(i)) for i in items])
        if isinstance(value, Mapping):
            pairs = [cst.DictElement(as_node(k), self.argument(v)) for k, v in value.items.items()]
            return cst.Dict(pairs)
        found = constant_value(value)
        if found is missing:
            raise Unfit("an argument of a layer in this graph is not known before the program runs")
        return as_node(found)

    # ---- steps -------------------------------------------------------------------------------

    def visit(self, node: GraphNode) -> None:
        block = self.blocks.get(node)
        if block is not None and self.block(block):
            return
        layer = node.layer
        self.calls.add(node.call)
        if layer is None:
            formulas.write(self, node)
            return
        kind = (layer.class_names or ("",))[0].rpartition(".")[2]
        library = isinstance(layer.cls, Symbol) and not {"layers", "outputs"} & set(layer.state)
        if library and isinstance(layer.origin, cst.Call):
            self.calls.add(layer.origin)
        if library and kind in merges.KINDS:
            merges.merge(self, node, layer, kind)
        elif library and kind == "Masking":
            masks.make(self, node, layer)
            mask = fill("mask[..., None]", mask=self.masks[node])
            self.assign(node, fill("x * m", x=self.argument(node.inputs[0]), m=mask), LAST)
        elif library and kind == "GlobalAveragePooling1D" and input_mask(node) is not None:
            unit, mask = self.context.emit("masked_mean"), masks.handed_on(self, node, {})["mask"]
            self.assign(node, call(unit, self.argument(node.inputs[0]), mask), LAST)
        elif library and kind == "Lambda":
            formulas.function_layer(self, node, layer)
        elif library:
            self.library(node, layer)
        else:
            self.own(node, layer)

    def block(self, block: Block) -> bool:
        """A call of a function that builds a part of the graph: a module of its own class."""
        try:
            made = block.write(self)
            held = self.held_block(made)
        except Unfit:  # written out in this class, the part may be understood all the same
            for node in block.nodes:
                self.blocks.pop(node, None)
            return False
        inputs = [self.use(t, o) for t, o in zip(block.tensors, made.orders, strict=True)]
        name = naming.fresh_attribute(self.setup, block.name)
        self.setup[name] = made.constructor(self) if held is None else held
        if held is None:
            self.used.append(made)
        self.calls |= made.trace.calls
        self.expressions |= made.trace.expressions
        self.holes |= made.trace.holes
        for layer, path in made.trace.layers.items():
            self.layers[layer] = f"{name}.{path}"
        for node in block.nodes:
            for tensor in node.sources():
                self.count(tensor.node, -1)
        self.keep(block, call(f"self.{name}", *inputs), made)
        return True

    def held_block(self, made: Made) -> Expression | None:
        """The block of another model that this one shares. Raises Unfit where it shares a part."""
        found: set[str] = set()
        for layer, path in made.trace.layers.items():
            held = self.held(layer)
            text = "" if held is None else code(held)
            found.add(text.removesuffix(f".{path}") if text.endswith(f".{path}") else text)
            if held is not None and not text.endswith(f".{path}"):
                raise Unfit("a part of a block is shared with another model")
        if len(found) > 1:
            raise Unfit("a part of a block is shared with another model")
        owner = found.pop() if found else ""
        return cst.parse_expression(owner) if owner else None

    def keep(self, block: Block, new: Expression, made: Made) -> None:
        """The results of a block under the names that the source gives them."""
        outputs = graph_tensors(block.frame.result)
        target = naming.assigned(self.context, block.frame.site)
        elements = target.elements if isinstance(target, (cst.Tuple, cst.List)) else ()
        names = [target] if isinstance(target, cst.Name) else [e.value for e in elements]
        if len(names) != len(outputs):
            names = [cst.Name("x")] * len(outputs)
        only = outputs[0].node if len(outputs) == 1 else None
        if only is not None and target is None and self.left[only] == 1:
            if self.is_inside(only, block.frame.site):
                self.widths.known[only] = made.width_of(outputs[0], self)
                self.values[only], self.orders[only] = new, made.given[0]
                self.close(block)
                return
        left: list[cst.Element] = []
        for tensor, written, order in zip(outputs, names, made.given, strict=True):
            assert tensor.node is not None
            self.widths.known[tensor.node] = made.width_of(tensor, self)
            text = written.value if isinstance(written, cst.Name) else "x"
            text = self.free(text) if self.left[tensor.node] > 0 else "_"
            self.values[tensor.node], self.orders[tensor.node] = cst.Name(text), order
            left.append(cst.Element(cst.Name(text)))
        self.close(block)
        to: Any = left[0].value if len(left) == 1 else cst.Tuple(left, lpar=[], rpar=[])
        self.lines.append(cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(to)], new)]))

    def close(self, block: Block) -> None:
        """What a block does inside is done."""
        for node in block.nodes:
            self.values.setdefault(node, cst.Name("_"))
            self.orders.setdefault(node, LAST)

    def input_width(self, tensor: GraphTensor) -> Expression | None:
        """The name by which a block's constructor knows the channels of an input."""
        if self.graph.is_model or tensor.node is None or not tensor.shape:
            return None
        kind = "channels" if len(tensor.shape) > 3 else "features"
        first = tensor.node is self.graph.inputs[0]
        name = f"in_{kind}" if first else f"{self.graph.names.get(tensor.node, 'other')}_{kind}"
        self.sizes.setdefault(name, tensor)
        return cst.Name(name)

    def library(self, node: GraphNode, layer: Instance) -> None:
        if is_source(layer):
            masks.make(self, node, layer)
        tensor = node.inputs[0] if node.inputs else next(iter(node.keywords.values()), None)
        held = self.held(layer)
        if held is not None:
            self.borrowed.add(layer)
        alone = held is not None and not isinstance(held, cst.Attribute)
        single = len(node.inputs) == 1 and not self.extra(node) and isinstance(tensor, GraphTensor)
        parts = [] if alone else self.parts(layer, tensor)
        if self.graph.logits and self.is_last(node):
            parts = parts[:-1]  # the loss takes the softmax or sigmoid over
        wanted = self.order_for(layer, parts, held, single)
        self.wanted[layer] = wanted
        source = self.use(tensor, wanted, rank_in(layer)) if single else None
        if source is not None and self.is_converted(layer, tensor):
            source = fill("x.long()", x=source)
        chain = Chain(self.context)
        chain.order = wanted or self.orders[tensor.node]  # type: ignore[union-attr]
        rank = tensor.rank if isinstance(tensor, Tensor) else None
        modules = chain.take(parts, rank or rank_in(layer), rank_out(layer))
        if layer not in self.layers and (modules or held is not None):
            name = naming.fresh_attribute(self.setup, self.layer_name(layer))
            self.layers[layer] = name
            if held is None:
                many = len(modules) > 1
                held = call("torch.nn.Sequential", *modules) if many else modules[0]
            self.setup[name] = held
        if layer not in self.layers and source is not None:
            self.values[node], self.orders[node] = source, chain.order
            return
        new = self.called(self.layers[layer], node, source)
        self.assign(node, new, LAST if alone else chain.order)

    def is_converted(self, layer: Instance, tensor: Value | None) -> bool:
        """Whether an embedding is handed floats, which Keras rounds by itself."""
        if "keras.layers.Embedding" not in layer.class_names or not isinstance(tensor, GraphTensor):
            return False
        whole = (tensor.dtype or "int").startswith(("int", "uint"))
        return not whole and not (self.graph.ids & {tensor.node})

    def parts(self, layer: Instance, tensor: Value | None) -> list[Any]:
        """The modules of a layer; sizes go by the names that the class has for them."""
        alone = not self.is_shared(layer)
        self.scope.widths = lambda: self.widths.of(tensor) if alone else None
        found: list[Any] = layer_parts(self.site(layer), layer, literal=True, scope=self.scope)
        return found

    def order_for(
        self, layer: Instance, parts: list[Any], held: Expression | None, single: bool
    ) -> str | None:
        """The order of axes in which a layer takes its input (None: any)."""
        if layer in self.wanted:
            return self.wanted[layer]
        if held is not None:
            known: dict[Instance, str | None] = self.context.notes.get("graph orders", {})
            return known.get(layer, LAST) if isinstance(held, cst.Attribute) else LAST
        wanted = next((p.order for p in parts if p.order in (FIRST, LAST)), None)
        return LAST if not single or (wanted is None and self.is_shared(layer)) else wanted

    def is_last(self, node: GraphNode) -> bool:
        """Whether the step gives the model's only output."""
        tensors = graph_tensors(self.graph.outputs)
        return len(tensors) == 1 and tensors[0].node is node

    def is_shared(self, layer: Instance) -> bool:
        return sum(n.layer is layer for n in self.left) > 1

    def extra(self, node: GraphNode) -> dict[str, Value]:
        """Keyword arguments but the mode."""
        return {k: v for k, v in node.keywords.items() if k != "training"}

    def called(self, name: str, node: GraphNode, source: Expression | None) -> Expression:
        inputs: Any = node.inputs
        if node.layer is not None and "outputs" in node.layer.state and len(inputs) == 1:
            inputs = items_of(inputs[0]) or inputs if not isinstance(inputs[0], Tensor) else inputs
        positional = [source] if source is not None else [self.argument(v) for v in inputs]
        keywords = {k: self.argument(v) for k, v in self.extra(node).items()}
        keywords |= masks.handed_on(self, node, keywords)
        self.check_mode(node)
        return call(f"self.{name}", *positional, **keywords)

    def check_mode(self, node: GraphNode) -> None:
        """`layer(x, training=False)`: Keras 3 runs it in the model's own mode, if that is told.

        What stands in the graph counts where the model is called without `training` alone, which
        is evaluation in any case.
        """
        mode = node.keywords.get("training")
        if mode is None or mode == Const(None):
            return
        if mode != Const(False):
            raise Unfit("a layer of this graph runs in a mode of its own")
        if node.layer is not None and is_sensitive(self.context, node.layer):
            self.context.remark(
                node.call, "training-mode",
                "Keras 3 hands fit's mode to this layer, training=False or not",
            )  # fmt: skip

    def own(self, node: GraphNode, layer: Instance) -> None:
        """A layer of the program, or another model."""
        if layer not in self.layers:
            held = self.held(layer)
            text = held.value if isinstance(held, cst.Name) else ""
            made, known = self.made_by(layer) if held is None else (layer.origin, {})
            name = text or naming.made_name(self.context, layer, made, not self.graph.is_model)
            name = naming.fresh_attribute(self.setup, name)
            self.layers[layer] = name
            if held is not None:
                self.borrowed.add(layer)
            else:
                self.calls.add(made)
                held = renamed(made, formulas.other_names(self, made, known, set()))
            self.setup[name] = held
        self.assign(node, self.called(self.layers[layer], node, None), LAST)

    def made_by(self, layer: Instance) -> tuple[cst.Call, dict[str, Value]]:
        """The call that gives a layer to the code that builds the graph; the variables there."""
        made, known = layer.origin, layer.state.get("made among", {})
        frame = layer.state.get("made in")
        own = {f.function for f in self.graph.frames} | {self.scope.builder}
        while frame is not None and frame.function not in own:
            if frame.result is layer and frame.site is not None:
                made, known, frame = frame.site, frame.among, frame.caller
            else:
                frame = frame.parent
        if not isinstance(made, cst.Call) or made not in self.context.edits.parent:
            raise Unfit("a layer of this graph is not known before the program runs")
        return made, known

    def layer_name(self, layer: Instance) -> str:
        return naming.layer_name(self.context, layer, in_block=not self.graph.is_model)

    def site(self, layer: Instance) -> Site:
        if not isinstance(layer.origin, cst.Call):
            raise Unfit("a layer of this graph is not known before the program runs")
        return Site(self.context, layer.origin, layer.class_names[0])

    # ---- names -------------------------------------------------------------------------------

    def assign(self, node: GraphNode, new: Expression, order: str) -> None:
        for tensor in node.sources():
            self.count(tensor.node, -1)
        if order == FIRST and (rank := self.rank_between(node)) is not None:
            new = fill(f"x.permute({', '.join(map(str, to_last(rank)))})", x=new)
            order = LAST
        self.orders[node] = order
        target = naming.assigned(self.context, node.call)
        if isinstance(target, (cst.Tuple, cst.List)):
            self.assign_parts(node, target, new)
            return
        if target is None and self.left[node] == 1 and self.is_inside(node, node.call):
            self.set(node, new)
            return
        name = cst.Name(self.free(target.value if isinstance(target, cst.Name) else "x"))
        self.set(node, name)
        self.lines += fill_statements("name = new", name=name, new=new)

    def rank_between(self, node: GraphNode) -> int | None:
        """The rank of an output that later steps read, if the program asks for its gradient.

        They have to read the very array that is given out, not another order of its axes.
        """
        ranks = [t.rank for t in graph_tensors(self.graph.outputs) if t.node is node]
        if not ranks or self.left[node] <= len(ranks) or not self.graph.is_model:
            return None
        calls = find(self.context.module, cst.Attribute)
        return ranks[0] if any(a.attr.value == "gradient" for a in calls) else None

    def set(self, node: GraphNode, value: Expression) -> None:
        """The expression of a step's result, and of each of several."""
        self.values[node] = value
        for reader in self.readers_of(node):
            self.values[reader] = fill("x[i]", x=value, i=reader.part)
            self.orders[reader] = LAST

    def readers_of(self, node: GraphNode) -> list[GraphNode]:
        """The single results of a step that has several."""
        return [n for n in self.left if n.whole is node]

    def assign_parts(self, node: GraphNode, target: Any, new: Expression) -> None:
        names = []
        if any(isinstance(e, cst.StarredElement) for e in target.elements):
            raise Unfit("results of a layer are unpacked with * in this graph")
        parts = self.readers_of(node)
        for element in target.elements:
            text = element.value.value if isinstance(element.value, cst.Name) else "x"
            names.append(self.free(text))
        for part in parts:
            self.values[part] = cst.Name(names[int(part.part or 0)])
            self.orders[part] = LAST
        left = cst.Tuple([cst.Element(cst.Name(n)) for n in names], lpar=[], rpar=[])
        self.lines.append(cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(left)], new)]))

    def is_inside(self, node: GraphNode, call: Any) -> bool:
        """Whether the step is written inside of the layer's call that reads it."""
        reader = self.readers.get(node)
        if reader is None or reader.layer is None or node.layer is None:
            return False
        current = self.context.edits.parent.get(call)
        while current is not None and not isinstance(current, cst.BaseStatement):
            if current is reader.call:
                return True
            current = self.context.edits.parent.get(current)
        return False

    def free(self, name: str) -> str:
        """A variable's name that holds no value that is still read."""
        live = {
            v.value for k, v in self.values.items() if isinstance(v, cst.Name) and self.left[k] > 0
        }
        live |= {m.value for m in self.masks.values() if isinstance(m, cst.Name)}
        return self.take(naming.fresh_in(live, name))

    def take(self, name: str) -> str:
        self.taken.add(name)
        return name

    def fresh(self, name: str) -> str:
        return self.take(naming.fresh_in(self.taken, name))


__all__ = ["Trace"]
