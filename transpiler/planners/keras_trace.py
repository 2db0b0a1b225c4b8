"""The steps of a functional graph as lines of a `forward`, and the modules that they call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
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
from transpiler.planners.keras_scope import Scope, free_names, renamed
from transpiler.planners.keras_sequential import Chain, rank_in, rank_out, to_first, to_last
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import argument
from transpiler.rules.facts_keras_models import steps
from transpiler.rules.keras_graph import GraphNode, GraphTensor, graph_tensors
from transpiler.rules.keras_layers import FIRST, LAST, layer_parts
from transpiler.rules.keras_masks import (
    input_mask,
    is_source,
    kind_of,
    mask_of,
    output_mask,
    takes_mask,
)
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import find
from transpiler.template import as_node, call, fill, fill_statements

MERGES = {"Add": " + ", "Subtract": " - ", "Multiply": " * "}
NAMES = {
    "BatchNormalization": "norm", "LayerNormalization": "norm", "Conv2DTranspose": "up",
    "MultiHeadAttention": "attention", "UpSampling2D": "up", "InputLayer": "x",
}  # fmt: skip
Expression = cst.BaseExpression


class Trace:
    """One model's graph, step by step."""

    def __init__(
        self,
        context: Context,
        model: Instance,
        scope: Scope,
        held: Callable[[Instance], Expression | None],
    ) -> None:
        self.context = context
        self.model = model
        self.scope = scope
        self.held = held
        """The expression by which a layer that is made elsewhere is reached, if it is."""
        self.setup: dict[str, Expression] = {}
        self.layers: dict[Instance, str] = {}
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
        self.frozen: list[str] = []
        """Attributes that run in evaluation mode whatever the model's mode."""
        self.readers: dict[GraphNode, GraphNode] = {}
        self.masks: dict[GraphNode, Expression] = {}
        self.last_mask: GraphNode | None = None
        self.keeps_mask = bool(model.state.get("masked loss"))

    # ---- the whole ---------------------------------------------------------------------------

    def read(self) -> tuple[list[str], Expression]:
        """Write the lines; the names of the inputs and the expression that is returned."""
        outputs = self.model.state["outputs"]
        inputs = self.inputs(self.model.state["inputs_of"])
        path = self.path(outputs, set(inputs))
        for tensor in graph_tensors(outputs):
            self.count(tensor.node)
        for node in path:
            for tensor in node.sources():
                self.count(tensor.node)
                if tensor.node is not None:
                    self.readers[tensor.node.whole or tensor.node] = node
        names = [self.name_input(node) for node in inputs]
        self.last_mask = output_mask(outputs)
        for node in path:
            if node not in self.values and node not in self.deferred:
                self.visit(node)
        self.context.notes.setdefault("graph orders", {}).update(self.wanted)
        result = self.result(outputs)
        if self.last_mask is not None and self.keeps_mask:
            mask = self.masks[self.last_mask]
            self.lines += fill_statements("self.mask = mask", mask=mask)
        return names, result

    def count(self, node: GraphNode | None) -> None:
        if node is not None:
            self.left[node] += 1
            if node.whole is not None:
                self.left[node.whole] += 1

    def path(self, outputs: Value, inputs: set[GraphNode]) -> list[GraphNode]:
        """The steps from the inputs to the outputs."""
        seen: set[GraphNode] = set()
        stack = [t.node for t in graph_tensors(outputs)]
        while stack:
            node = stack.pop()
            if node is None or node in seen:
                continue
            if node in inputs or (node.whole is not None and node.whole in inputs):
                seen.add(node)
                continue
            if node.is_input:
                raise Unfit("an input of this graph is not among the model's inputs")
            seen.add(node)
            stack.extend([node.whole] if node.whole else [t.node for t in node.sources()])
        return [n for n in steps(outputs) if n in seen]

    def inputs(self, value: Value) -> list[GraphNode]:
        tensors = graph_tensors(value)
        if not tensors or any(t.node is None for t in tensors):
            raise Unfit("the inputs of this model are not known before the program runs")
        return [t.node for t in tensors if t.node is not None]

    def name_input(self, node: GraphNode) -> str:
        given = node.keywords.get("name")
        name = self.assigned(node)
        if isinstance(given, Const) and str(given.value).isidentifier():
            text = str(given.value)  # dicts of inputs go by it
        else:
            text = name.value if isinstance(name, cst.Name) else "x"
        text = self.fresh(text if text.isidentifier() else "x")
        self.values[node], self.orders[node] = cst.Name(text), LAST
        self.calls.add(node.call)
        return text

    def result(self, outputs: Value) -> Expression:
        match outputs:
            case GraphTensor():
                return self.use(outputs, LAST)
            case Mapping():
                return cst.Dict([
                    cst.DictElement(as_node(k), self.result(v)) for k, v in outputs.items.items()
                ])  # fmt: skip
            case ListObject() | Sequence() if (items := items_of(outputs)) is not None:
                if len(items) == 1:
                    return self.result(items[0])
                return cst.Tuple([cst.Element(self.result(i)) for i in items], lpar=[], rpar=[])
        raise Unfit("the outputs of this model are not known before the program runs")

    # ---- values ------------------------------------------------------------------------------

    def use(self, tensor: Value | None, order: str | None) -> Expression:
        """A value of the graph in an order of axes (None: as it is)."""
        if not isinstance(tensor, GraphTensor) or tensor.node is None:
            raise Unfit("a value of this graph is not known before the program runs")
        node = tensor.node
        if node not in self.values and node.whole is not None:
            raise Unfit("several results of a layer in this graph are used in a way not understood")
        if node not in self.values:
            self.visit(node)
        found, have, rank = self.values[node], self.orders[node], tensor.rank
        if order is None or order == have or (rank is not None and rank <= 2):
            return found
        if rank is None:
            raise Unfit("the rank of a value in this graph is not known")
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
        layer = node.layer
        self.calls.add(node.call)
        if layer is None:
            self.expression(node)
            return
        kind = (layer.class_names or ("",))[0].rpartition(".")[2]
        library = isinstance(layer.cls, Symbol) and not {"layers", "outputs"} & set(layer.state)
        if library and isinstance(layer.origin, cst.Call):
            self.calls.add(layer.origin)
        if library and kind in (*MERGES, "Concatenate", "Average", "Maximum", "Minimum", "Dot"):
            self.merge(node, layer, kind)
        elif library and kind == "Masking":
            self.make_mask(node, layer)
            mask = fill("mask[..., None]", mask=self.masks[node])
            self.assign(node, fill("x * m", x=self.argument(node.inputs[0]), m=mask), LAST)
        elif library and kind == "GlobalAveragePooling1D" and input_mask(node) is not None:
            unit, mask = self.context.emit("masked_mean"), self.mask(node, {})["mask"]
            self.assign(node, call(unit, self.argument(node.inputs[0]), mask), LAST)
        elif library and kind == "Lambda":
            self.function(node, layer)
        elif library:
            self.library(node, layer)
        else:
            self.own(node, layer)

    def expression(self, node: GraphNode) -> None:
        """An expression of the source, under the names that its parts have here."""
        if not node.operands:
            raise Unfit("an input of this graph is not among the model's inputs")
        if self.is_operand(node):
            self.deferred.add(node)
            return
        names: dict[str, Any] = {}
        for part, value in self.operands(node):
            if isinstance(part, cst.Name):
                names[part.value] = self.argument(value)
            else:
                hole = self.hole(part)
                names[hole] = self.argument(value)
        inner = {n for part, _ in self.operands(node) for n in find(part, cst.Name)}
        names |= self.others(node.call, self.known_names(node), set(names), inner)
        self.expressions.add(node.call)
        self.assign(node, renamed(node.call, names), LAST)

    def is_operand(self, node: GraphNode) -> bool:
        """Whether an expression is written inside of the only other one that reads it."""
        reader = self.readers.get(node)
        if self.left[node] != 1 or reader is None or not reader.operands:
            return False
        return any(
            isinstance(v, GraphTensor) and v.node is node and p is node.call
            for p, v in reader.operands.items()
        )

    def operands(self, node: GraphNode) -> list[tuple[Any, Value]]:
        """The parts of an expression that are steps of their own."""
        found: list[tuple[Any, Value]] = []
        for part, value in node.operands.items():
            step = value.node if isinstance(value, GraphTensor) else None
            if step is not None and step in self.deferred:
                self.expressions.add(step.call)
                found += self.operands(step)
            else:
                found.append((part, value))
        return found

    def known_names(self, node: GraphNode) -> dict[str, Value]:
        """What the names of an expression stood for, those of its parts included."""
        found = dict(node.names)
        for value in node.operands.values():
            step = value.node if isinstance(value, GraphTensor) else None
            if step is not None and step in self.deferred:
                found = self.known_names(step) | found
        return found

    def hole(self, part: Any) -> str:
        """The name that stands for a call inside of an expression."""
        holes = self.context.notes.setdefault("graph holes", {})
        if part not in holes:
            holes[part] = f"_step_{len(holes)}"
        self.holes[part] = holes[part]
        return str(holes[part])

    def others(
        self, node: Any, known: dict[str, Value], have: set[str], inner: Container[Any] = ()
    ) -> dict[str, Any]:
        """The other variables that an expression reads: constants or arguments."""
        found: dict[str, Any] = {}
        for name in free_names(self.context, node):
            if name in inner or name.value in have or name.value in found:
                continue
            if self.scope.is_global(name):
                continue
            value = known.get(name.value, self.context.fact(name))
            constant = constant_value(value)
            if constant is not missing:
                found[name.value] = constant
            elif self.scope.is_own(name):
                found[name.value] = fill("self.x", x=self.scope.parameter(name))
                self.setup.setdefault(name.value, cst.Name(name.value))
            else:
                raise Unfit(f"`{name.value}` in this graph is not known before the program runs")
        return found

    def merge(self, node: GraphNode, layer: Instance, kind: str) -> None:
        value = node.inputs[0] if node.inputs else None
        items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
        if items is None or not items:
            raise Unfit(f"what {kind} puts together is not known")
        for item in items:
            self.use(item, None)
        first = all(isinstance(i, GraphTensor) and i.node and self.orders[i.node] == FIRST
                    for i in items)  # fmt: skip
        order = FIRST if first and kind != "Dot" else LAST
        parts = [self.use(i, order) for i in items]
        rank = items[0].rank if isinstance(items[0], Tensor) else None
        holes = {f"p{i}": p for i, p in enumerate(parts)}
        many = [cst.Element(p) for p in parts]
        if kind in MERGES:
            new = fill(MERGES[kind].join(holes), **holes)
        elif kind == "Average":
            new = fill(f"({' + '.join(holes)}) / {len(parts)}", **holes)
        elif kind in ("Maximum", "Minimum"):
            new = parts[0]
            for other in parts[1:]:
                new = call(f"torch.{kind.lower()}", new, other)
        elif kind == "Dot":
            new = self.dot(layer, parts, rank)
        else:
            new = call("torch.cat", cst.List(many), dim=self.axis(layer, order, rank))
        self.assign(node, new, order)

    def dot(self, layer: Instance, parts: list[Expression], rank: int | None) -> Expression:
        """Products along an axis of batches of vectors or matrices."""
        axes: Any = layer.arguments.get("axes")
        found = constant_value(axes) if isinstance(axes, Value) else missing
        found = tuple(found) if isinstance(found, (list, tuple)) else (found, found)
        a, b = parts
        if argument(layer, "normalize", False) is True:
            norm = "torch.nn.functional.normalize(x, dim=d, eps=1e-6)"
            a, b = (fill(norm, x=p, d=d) for p, d in zip(parts, found, strict=True))
        if rank == 2 and set(found) <= {1, -1}:
            return fill("(a * b).sum(-1, keepdim=True)", a=a, b=b)
        if rank == 3 and missing not in found:
            one, two = (d % 3 for d in found)
            a = a if one == 2 else fill("a.transpose(1, 2)", a=a)
            b = b if two == 1 else fill("b.transpose(1, 2)", b=b)
            return fill("a @ b", a=a, b=b)
        raise Unfit("the axes of Dot are not translated")

    def axis(self, layer: Instance, order: str, rank: int | None) -> int:
        axis = argument(layer, "axis", -1)
        if not isinstance(axis, int) or rank is None:
            raise Unfit("the axis of a concatenation is not known")
        axis %= rank
        if order == LAST or axis == 0:
            return axis if axis != rank - 1 else -1
        return 1 if axis == rank - 1 else axis + 1

    def function(self, node: GraphNode, layer: Instance) -> None:
        """A Lambda layer calls its function."""
        site = self.site(layer)
        given = site.arg("function")
        if site.has("arguments") or site.has("mask"):
            raise Unfit("`arguments` of Lambda in a graph are not translated")
        inputs = [self.argument(v) for v in node.inputs]
        if isinstance(given, cst.Lambda) and len(given.params.params) == 1:
            name = given.params.params[0].name.value
            value = inputs[0]
            if isinstance(value, cst.Name):
                names = {name: value}
                names |= self.others(given.body, {}, {name})
                self.assign(node, renamed(given.body, names), LAST)
                return
        names = self.others(given, {}, set())
        self.assign(node, cst.Call(renamed(given, names), [cst.Arg(i) for i in inputs]), LAST)

    def library(self, node: GraphNode, layer: Instance) -> None:
        if is_source(layer):
            self.make_mask(node, layer)
        tensor = node.inputs[0] if node.inputs else next(iter(node.keywords.values()), None)
        held = self.held(layer)
        alone = held is not None and not isinstance(held, cst.Attribute)
        single = len(node.inputs) == 1 and not self.extra(node) and isinstance(tensor, GraphTensor)
        parts = (
            [] if alone else layer_parts(self.site(layer), layer, literal=True, scope=self.scope)
        )
        if self.model.state.get("logits") and self.is_last(node):
            parts = parts[:-1]  # the loss takes the softmax or sigmoid over
        wanted = self.order_for(layer, parts, held, single)
        self.wanted[layer] = wanted
        source = self.use(tensor, wanted) if single else None
        chain = Chain(self.context)
        chain.order = wanted or self.orders[tensor.node]  # type: ignore[union-attr]
        rank = tensor.rank if isinstance(tensor, Tensor) else None
        modules = chain.take(parts, rank or rank_in(layer), rank_out(layer))
        if layer not in self.layers and (modules or held is not None):
            name = self.fresh_attribute(self.layer_name(layer))
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
        tensors = graph_tensors(self.model.state["outputs"])
        return len(tensors) == 1 and tensors[0].node is node

    def is_shared(self, layer: Instance) -> bool:
        return sum(n.layer is layer for n in self.left) > 1

    def extra(self, node: GraphNode) -> dict[str, Value]:
        """Keyword arguments but the mode."""
        return {k: v for k, v in node.keywords.items() if k != "training"}

    def called(self, name: str, node: GraphNode, source: Expression | None) -> Expression:
        positional = [source] if source is not None else [self.argument(v) for v in node.inputs]
        keywords = {k: self.argument(v) for k, v in self.extra(node).items()}
        keywords |= self.mask(node, keywords)
        self.keep_mode(name, node)
        return call(f"self.{name}", *positional, **keywords)

    def mask(self, node: GraphNode, given: dict[str, Expression]) -> dict[str, Expression]:
        """The mask that Keras hands to a call by itself."""
        source, layer = input_mask(node), node.layer
        if source is None or layer is None or not takes_mask(layer):
            return {}
        kind = kind_of(layer)
        if "mask" in given or "attention_mask" in given:
            return {}
        if kind in ("Attention", "AdditiveAttention"):
            raise Unfit(f"masks of {kind} are not translated", "pass the mask by hand")
        mask = self.masks[source]
        if kind == "MultiHeadAttention":
            queries, keys = [mask_of(t.node) for t in self.attended(node)]
            parts = []
            if queries is not None:
                parts.append(fill("mask[:, :, None]", mask=self.masks[queries]))
            if keys is not None:
                parts.append(fill("mask[:, None, :]", mask=self.masks[keys]))
            both = parts[0] if len(parts) == 1 else fill("a & b", a=parts[0], b=parts[1])
            return {"attention_mask": both}
        return {"mask": mask}

    def attended(self, node: GraphNode) -> list[GraphTensor]:
        """Query and value of an attention."""
        held = [*node.inputs, *(node.keywords.get(n) for n in ("query", "value"))]
        found = [t for v in held if v is not None for t in graph_tensors(v)]
        return [found[0], found[1] if len(found) > 1 else found[0]]

    def make_mask(self, node: GraphNode, layer: Instance) -> None:
        """The mask that an embedding or Masking layer makes."""
        source = self.argument(node.inputs[0])
        if kind_of(layer) == "Masking":
            value = constant_value(layer.arguments.get("mask_value", Const(0.0)))
            new = fill("(x != value).any(-1)", x=source, value=value)
        else:
            new = fill("x != 0", x=source)
        name = cst.Name(self.fresh("mask"))
        self.masks[node] = name
        self.lines += fill_statements("name = new", name=name, new=new)

    def keep_mode(self, name: str, node: GraphNode) -> None:
        """`layer(x, training=False)`: the module stays in evaluation mode."""
        mode = node.keywords.get("training")
        if mode is None or mode == Const(None):
            return
        if mode != Const(False):
            raise Unfit("a layer of this graph runs in a mode of its own")
        if name not in self.frozen:
            self.frozen.append(name)

    def own(self, node: GraphNode, layer: Instance) -> None:
        """A layer of the program, or another model."""
        if layer not in self.layers:
            name = self.fresh_attribute(self.layer_name(layer))
            self.layers[layer] = name
            held = self.held(layer)
            if held is None:
                if not isinstance(layer.origin, cst.Call):
                    raise Unfit("a layer of this graph is not known before the program runs")
                self.calls.add(layer.origin)
                names = self.others(layer.origin, layer.state.get("locals", {}), set())
                held = renamed(layer.origin, names)
            self.setup[name] = held
        self.assign(node, self.called(self.layers[layer], node, None), LAST)

    def site(self, layer: Instance) -> Site:
        if not isinstance(layer.origin, cst.Call):
            raise Unfit("a layer of this graph is not known before the program runs")
        return Site(self.context, layer.origin, layer.class_names[0])

    # ---- names -------------------------------------------------------------------------------

    def layer_name(self, layer: Instance) -> str:
        given = layer.arguments.get("name")
        if isinstance(given, Const) and str(given.value).isidentifier():
            return str(given.value)
        parent = self.context.edits.parent.get(layer.origin)
        if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
            return parent.targets[0].target.value
        if isinstance(layer.cls, Class):
            kind = layer.cls.name
            return "".join("_" * (i > 0 and c.isupper() and not kind[i - 1].isupper()) + c.lower()
                           for i, c in enumerate(kind))  # fmt: skip
        kind = (layer.class_names or ("layer",))[0].rpartition(".")[2]
        short = "pool" if "Pooling" in kind else kind.rstrip("123D").lower() or kind.lower()
        return NAMES.get(kind, short)

    def assign(self, node: GraphNode, new: Expression, order: str) -> None:
        for tensor in node.sources():
            if tensor.node is not None:
                self.left[tensor.node] -= 1
                if tensor.node.whole is not None:
                    self.left[tensor.node.whole] -= 1
        self.orders[node] = order
        target = self.assigned(node)
        if isinstance(target, (cst.Tuple, cst.List)):
            self.assign_parts(node, target, new)
            return
        if target is None and self.left[node] == 1 and self.is_inside(node):
            self.values[node] = new
            return
        name = self.free(target.value if isinstance(target, cst.Name) else "x")
        self.values[node] = cst.Name(name)
        for reader in self.readers_of(node):
            self.values[reader] = fill(f"{name}[i]", i=reader.part)
            self.orders[reader] = LAST
        self.lines += fill_statements("name = new", name=cst.Name(name), new=new)

    def readers_of(self, node: GraphNode) -> list[GraphNode]:
        """The single results of a step that has several."""
        return [n for n in self.left if n.whole is node]

    def assign_parts(self, node: GraphNode, target: Any, new: Expression) -> None:
        names = []
        starred = any(isinstance(e, cst.StarredElement) for e in target.elements)
        parts = self.readers_of(node)
        if starred:
            raise Unfit("results of a layer are unpacked with * in this graph")
        for element in target.elements:
            text = element.value.value if isinstance(element.value, cst.Name) else "x"
            names.append(self.free(text))
        for part in parts:
            self.values[part] = cst.Name(names[int(part.part or 0)])
            self.orders[part] = LAST
        left = cst.Tuple([cst.Element(cst.Name(n)) for n in names], lpar=[], rpar=[])
        self.lines.append(cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(left)], new)]))

    def is_inside(self, node: GraphNode) -> bool:
        """Whether the step is written inside of the layer's call that reads it."""
        reader = self.readers.get(node)
        if reader is None or reader.layer is None or node.layer is None:
            return False
        current = self.context.edits.parent.get(node.call)
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
        candidate, number = name, 1
        while candidate in live:
            number += 1
            candidate = f"{name}{number}"
        return self.take(candidate)

    def take(self, name: str) -> str:
        self.taken.add(name)
        return name

    def assigned(self, node: GraphNode) -> Any:
        """What the source assigns the step to."""
        parent = self.context.edits.parent.get(node.call)
        if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
            target = parent.targets[0].target
            return target if isinstance(target, (cst.Name, cst.Tuple, cst.List)) else None
        return None

    def fresh(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self.taken:
            number += 1
            candidate = f"{name}{number}"
        return self.take(candidate)

    def fresh_attribute(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self.setup or candidate in MODULE_NAMES:
            number += 1
            candidate = f"{name}{number}"
        return candidate


def attribute_name(context: Context, model: Instance, part: Instance) -> str | None:
    """The attribute under which a functional model holds a layer."""
    known: dict[int, dict[Instance, str]] = context.notes.setdefault("graph attributes", {})
    if id(model) not in known:
        names: dict[Instance, str] = {}
        scope = Scope(context, None)
        trace = Trace(context, model, scope, lambda layer: cst.Name("layer"))
        for node in steps(model.state["outputs"]) if "outputs" in model.state else ():
            if node.layer is not None and node.layer not in names:
                name = trace.fresh_attribute(trace.layer_name(node.layer))
                trace.setup[name] = cst.Name(name)
                names[node.layer] = name
        known[id(model)] = names
    return known[id(model)].get(part)


MODULE_NAMES = frozenset(
    """forward train eval float double half to cpu cuda type apply children modules parameters
    buffers named_parameters state_dict load_state_dict training zero_grad compile share_memory
    register_buffer add_module extra_repr""".split()
)
"""Attributes that `nn.Module` keeps for itself."""
__all__ = ["Trace"]
