"""Functions that build a part of a graph: each becomes a module of its own class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Value
from transpiler.planners.keras_graph import merges, naming
from transpiler.planners.keras_graph.classes import (
    class_of,
    docstring,
    free_class_name,
    names_needed,
    parameter,
)
from transpiler.planners.keras_graph.graph import Graph
from transpiler.planners.keras_graph.widths import simplified
from transpiler.planners.keras_scope import Renaming, Scope
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import GraphNode, GraphTensor, graph_tensors
from transpiler.rules.keras_layer import FIRST
from transpiler.rules.keras_masks import input_mask
from transpiler.site import constant_value, missing
from transpiler.syntax import find, names_read
from transpiler.template import as_node

if TYPE_CHECKING:
    from transpiler.planners.keras_graph.trace import Trace

Expression = cst.BaseExpression


@dataclass(eq=False)
class Block:
    """One call of a function that takes arrays of the graph and gives others."""

    context: Context
    frame: Any
    nodes: list[GraphNode]
    tensors: list[GraphTensor] = field(default_factory=list)
    """The arrays of the graph around that it reads, in the order of the function's parameters."""
    names: dict[GraphNode, str] = field(default_factory=dict)
    ids: frozenset[GraphNode] = frozenset()

    @property
    def function(self) -> cst.FunctionDef:
        found: cst.FunctionDef = self.frame.function
        return found

    @property
    def outer(self) -> cst.FunctionDef | None:
        """The function that gives this one out: `conv(8)(x)` calls what `conv` gives."""
        around = self.context.edits.enclosing(self.function, cst.FunctionDef)
        name = self.function.name.value
        for item in find(around.body, cst.Return) if around is not None else ():
            if isinstance(item.value, cst.Name) and item.value.value == name:
                return around  # type: ignore[no-any-return]
        return None

    @property
    def title(self) -> cst.FunctionDef:
        """The function whose name says what the block is."""
        return self.outer or self.function

    @property
    def given(self) -> dict[str, Value]:
        """What the parameters were, those of the function around a closure included."""
        outer = self.frame.parent.values if self.outer is not None else {}
        return {**outer, **self.frame.given}

    @property
    def name(self) -> str:
        return naming.block_name(self.title, self.given)

    @property
    def graph(self) -> Graph:
        inputs = [t.node for t in self.tensors if t.node is not None]
        frames = self.nodes[0].frames
        own = frames[: frames.index(self.frame) + 1]
        return Graph(inputs, self.frame.result, own, is_model=False, names=self.names, ids=self.ids)

    def write(self, around: Trace) -> Made:
        """The class, with the order of axes in which it needs fewest permutations."""
        high = [t.node for t in self.tensors if t.node is not None and (t.rank or 0) > 2]
        tries = [{}] if not high else [{}, dict.fromkeys(high, FIRST)]
        made = min((self.attempt(around, orders) for orders in tries), key=lambda m: m.cost)
        known = self.context.notes.setdefault("graph block classes", {})
        made.name = known.get((self.function, made.key), "")
        if not made.name:
            text = naming.class_name(naming.without_prefix(self.title.name.value))
            made.name = free_class_name(self.context, text or "Block")
            known[self.function, made.key] = made.name
        return made

    def attempt(self, around: Trace, orders: dict[GraphNode, str]) -> Made:
        scope = Scope(self.context, self.function, self.given, self.outer)
        trace = type(around)(self.context, self.graph, scope, lambda layer: None)
        names = trace.start(orders)
        result = trace.result(self.frame.result, None)
        return Made(self, trace, names, result)

    # ---- whether it is one -------------------------------------------------------------------

    def stands_alone(self, outside: list[GraphNode], outputs: list[GraphTensor]) -> bool:
        """Whether nothing passes between the function and its callers but arguments and results."""
        parent = self.context.edits.parent
        if self.function not in parent or self.frame.site not in parent:
            return False
        if not isinstance(self.frame.site, cst.Call):
            return False
        layers = [n.layer for n in self.nodes if n.layer is not None and not is_merge(n.layer)]
        if len(layers) < 2 or any(input_mask(n) is not None for n in self.nodes):
            return False
        return (
            self.owns(layers, outside) and self.takes_arguments() and self.returns(outside, outputs)
        )

    def owns(self, layers: list[Instance], outside: list[GraphNode]) -> bool:
        """Whether the function makes its layers itself, and nobody else calls them."""
        functions = {f.function for n in self.nodes for f in n.frames}
        enclosing = self.context.edits.enclosing
        if any(x.origin not in self.context.edits.parent for x in layers):
            return False
        if not all(enclosing(x.origin, cst.FunctionDef) in functions for x in layers):
            return False
        around = {f.function for f in self.nodes[0].frames[: self.depth]}
        if any(enclosing(x.origin, cst.FunctionDef) in around for x in layers):
            return False
        return not {n.layer for n in outside} & set(layers)

    @property
    def depth(self) -> int:
        place: int = self.nodes[0].frames.index(self.frame)
        return place

    def takes_arguments(self) -> bool:
        """Find the arrays from outside; whether the function was handed all of them."""
        inside = set(self.nodes)
        read = {
            t.node: t for n in self.nodes for t in n.sources()
            if t.node is not None and t.node not in inside and t.node.whole not in inside
        }  # fmt: skip
        for name, value in self.frame.given.items():
            held = graph_tensors(value)
            for index, tensor in enumerate(held):
                if tensor.node in read and tensor.node not in self.names:
                    self.tensors.append(tensor)
                    one = isinstance(value, GraphTensor)
                    self.names[tensor.node] = name if one else f"{name}_{index + 1}"
        return bool(read) and set(read) == set(self.names)

    def returns(self, outside: list[GraphNode], outputs: list[GraphTensor]) -> bool:
        """Whether all that others read of it are its results."""
        inside = set(self.nodes)
        read = [t for n in outside for t in n.sources()] + outputs
        wanted = {t.node for t in read if t.node in inside or (t.node and t.node.whole in inside)}
        given = [t.node for t in graph_tensors(self.frame.result)]
        if not wanted or not wanted <= set(given) or len(set(given)) != len(given):
            return False
        try:
            more = [n for n in self.graph.path() if n not in inside and n not in self.names]
        except Unfit:
            return False
        return not any(n.layer is not None and not is_merge(n.layer) for n in more)


class Made:
    """A block's class, as one of its calls needs it."""

    def __init__(self, block: Block, trace: Trace, names: list[str], result: Expression) -> None:
        self.block = block
        self.trace = trace
        self.arguments = names
        self.result = result
        self.name = ""
        outputs = graph_tensors(block.frame.result)
        self.orders = [trace.orders[t.node] for t in block.tensors if t.node is not None]
        self.given = [trace.orders[t.node] for t in outputs if t.node is not None]
        body = cst.Module(self.statements("Block")).code  # type: ignore[arg-type]
        self.key = (body, tuple(self.orders), tuple(self.given))

    @property
    def cost(self) -> int:
        deeper: int = sum(m.cost for m in self.trace.used)
        return self.trace.permuted + deeper

    def statements(self, name: str, documented: bool = True) -> list[cst.BaseStatement]:
        params = [cst.Param(cst.Name(n)) for n in self.sizes()]
        for own in self.parameters():
            params.append(parameter(own))
        doc = docstring(self.block.function) if documented else None
        return class_of(name, params, self.arguments, self.trace, self.result, doc)

    def sizes(self) -> dict[str, GraphTensor]:
        """What the class is told of its inputs, as far as it needs it."""
        needed = names_needed(self.trace)
        return {n: t for n, t in self.trace.sizes.items() if n in needed}

    def parameters(self) -> list[cst.Param]:
        """Those parameters of the function that the class needs."""
        functions = [f for f in (self.block.outer, self.block.function) if f is not None]
        every = [p for f in functions for p in _params(f)]
        needed = names_needed(self.trace) & set(self.trace.scope.parameters)
        return [p for p in every if p.name.value in needed]

    def constructor(self, around: Trace) -> cst.Call:
        """The call that makes the module, inside of the class around."""
        args = [cst.Arg(self.width(t, around)) for t in self.sizes().values()]
        passed = self.passed()
        in_order = True
        for param in self.parameters():
            name = param.name.value
            keyword, node = passed.get(name, (None, None))
            if node is None and param.default is not None:
                in_order = False
                continue
            written = self.written(name, node, around)
            in_order = in_order and keyword is None
            args.append(cst.Arg(written) if in_order else cst.Arg(written, keyword=cst.Name(name)))
        return cst.Call(cst.Name(self.name), args)

    def written(self, name: str, node: Expression | None, around: Trace) -> Expression:
        """An argument as the class around can say it."""
        value = self.block.given.get(name)
        new: Any = missing
        if node is not None:
            new = around.scope.write(node, value)
        elif value is not None:
            new = constant_value(value)
        if new is missing:
            raise Unfit(f"`{name}` in this graph is not known before the program runs")
        return as_node(new)

    def told(self, around: Trace) -> dict[str, Expression]:
        """What the names in the class stand for, in words of the class around."""
        found = {n: self.width(t, around) for n, t in self.sizes().items()}
        passed = self.passed()
        for param in self.parameters():
            node = passed.get(param.name.value, (None, param.default))[1]
            found[param.name.value] = self.written(param.name.value, node, around)
        return found

    def width_of(self, output: GraphTensor, around: Trace) -> Expression | None:
        """The channels of a result in words of the class around, if it has any."""
        named = self.trace.widths.of(output)
        told = self.told(around)
        computed = set(self.trace.scope.prelude)
        if named is None or not names_read(named) <= set(told) - computed:
            return None
        result = named.visit(Renaming(told))
        assert isinstance(result, cst.BaseExpression)
        return simplified(result) if names_read(result) else None

    def width(self, tensor: GraphTensor, around: Trace) -> Expression:
        named = around.widths.of(tensor)
        if named is not None:
            return named
        size = tensor.shape[-1] if tensor.shape else None
        if isinstance(size, str):
            return around.scope.symbolic(size)
        if not isinstance(size, int):
            raise Unfit("the channels of an array in this graph are not known")
        return cst.Integer(str(size))

    def passed(self) -> dict[str, tuple[str | None, Expression]]:
        """The arguments of the call by the function's parameters: keyword, expression."""
        site: Any = self.block.frame.site
        found = _arguments(self.block.function, site)
        if self.block.outer is not None and isinstance(site.func, cst.Call):
            found |= _arguments(self.block.outer, site.func)
        return found


def _params(function: cst.FunctionDef) -> list[cst.Param]:
    params = function.params
    return [*params.posonly_params, *params.params, *params.kwonly_params]


def _arguments(
    function: cst.FunctionDef, site: cst.Call
) -> dict[str, tuple[str | None, Expression]]:
    """The arguments of a call by the function's parameters: keyword, expression."""
    order = [p.name.value for p in [*function.params.posonly_params, *function.params.params]]
    found: dict[str, tuple[str | None, Expression]] = {}
    for index, arg in enumerate(site.args):
        if arg.star:
            break
        if arg.keyword is not None:
            found[arg.keyword.value] = (arg.keyword.value, arg.value)
        elif index < len(order):
            found[order[index]] = (None, arg.value)
    return found


def is_merge(layer: Instance) -> bool:
    kind = (layer.class_names or ("",))[0].rpartition(".")[2]
    return kind in merges.KINDS


def find_blocks(context: Context, graph: Graph, path: list[GraphNode]) -> dict[GraphNode, Block]:
    """The calls of builder functions on the way, by each of their steps."""
    outputs = graph_tensors(graph.outputs)
    by_frame: dict[Any, list[GraphNode]] = {}
    for node in path:
        if node not in graph.inputs:
            by_frame.setdefault(graph.below(node), []).append(node)
    found: dict[GraphNode, Block] = {}
    for frame, nodes in by_frame.items():
        if frame is None:
            continue
        block = Block(context, frame, nodes, ids=graph.ids)
        outside = [n for n in path if n not in set(nodes)]
        if block.stands_alone(outside, outputs):
            found |= dict.fromkeys(nodes, block)
    return found
