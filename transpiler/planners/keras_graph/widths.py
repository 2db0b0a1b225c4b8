"""How many channels an array of a graph has, in the words of the class that is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst

from transpiler.infer.values import Instance, ListObject, Sequence, Symbol, Tensor, Value, items_of
from transpiler.planners.keras_graph import merges
from transpiler.rules.facts_keras_layers import argument
from transpiler.rules.keras_graph import GraphNode, GraphTensor
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code, names_read
from transpiler.template import fill

if TYPE_CHECKING:
    from transpiler.planners.keras_graph.trace import Trace

MAKING = {"Dense": "units", "LSTM": "units", "GRU": "units", "SimpleRNN": "units",
          "Embedding": "output_dim"}  # fmt: skip
KEEPING = (
    "BatchNormalization", "LayerNormalization", "GroupNormalization", "Activation", "ReLU",
    "LeakyReLU", "PReLU", "ELU", "Softmax", "Dropout", "SpatialDropout", "GaussianNoise",
    "MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling", "UpSampling",
    "ZeroPadding", "Cropping", "MultiHeadAttention", "Identity", "DepthwiseConv",
)  # fmt: skip
Expression = cst.BaseExpression


class Widths:
    """Sizes of last axes as expressions of the constructor's arguments."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.known: dict[GraphNode, Expression | None] = {}

    def of(self, value: Value | None) -> Expression | None:
        """A name or a sum of names; None where only the number is known."""
        items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
        value = items[0] if items else value
        if not isinstance(value, GraphTensor) or value.node is None:
            return None
        if value.node.whole is not None and value.node not in self.known:
            return self.given(value)
        if value.node not in self.known:
            found = self.given(value) or self.made(value.node)
            self.known[value.node] = found if self.agrees(found, value) else None
        return self.known[value.node]

    def agrees(self, width: Expression | None, value: GraphTensor) -> bool:
        """Whether an expression gives the size, as far as it can be computed."""
        size = value.shape[-1] if value.shape else None
        if width is None or not isinstance(size, int):
            return True
        known: dict[str, Any] = {}
        for name in names_read(width):
            told = self.trace.sizes.get(name)
            found: Any = told.shape[-1] if told is not None and told.shape else missing
            if told is None and (given := (self.trace.scope.given or {}).get(name)) is not None:
                found = constant_value(given)
            if found is not missing:
                known[name] = found
        try:
            return bool(eval(code(width), {"__builtins__": {"int": int}}, known) == size)
        except Exception:  # a name that has no value here
            return True

    def given(self, value: Value | None) -> Expression | None:
        """The size of an input, which a block is told."""
        if not isinstance(value, GraphTensor) or value.node not in self.trace.graph.inputs:
            return None
        return self.trace.input_width(value)

    def made(self, node: GraphNode) -> Expression | None:
        layer = node.layer
        if layer is None:
            return self.kept(node)
        if not isinstance(layer.cls, Symbol) or {"layers", "outputs"} & set(layer.state):
            return None
        kind = layer.cls.name.rpartition(".")[2]
        bare = kind.rstrip("123D") if kind[-1:] == "D" else kind
        if bare in KEEPING and argument(layer, "depth_multiplier", 1) == 1:
            return self.of(node.inputs[0]) if node.inputs else None
        if kind == "Flatten":
            source = node.sources()[0]
            flat = source.shape is not None and set(source.shape[1:-1]) <= {1}
            return self.of(source) if flat else None
        if kind == "Concatenate":
            return self.summed(node, layer)
        if kind in merges.KINDS:
            return self.kept(node) if kind != "Dot" else None
        name = MAKING.get(kind, "filters" if "Conv" in bare else "")
        return self.argument(layer, name) if name else None

    def argument(self, layer: Instance, name: str) -> Expression | None:
        """The argument of the layer that says how many channels it gives, where it has names."""
        if not isinstance(layer.origin, cst.Call):
            return None
        site = Site(self.trace.context, layer.origin, layer.class_names[0])
        node = site.args.get(name)
        if node is None or node not in self.trace.context.edits.parent:
            return None
        if not self.trace.scope.is_named(node):
            return None
        return self.trace.scope.worded(node) if isinstance(node, cst.BaseExpression) else None

    def kept(self, node: GraphNode) -> Expression | None:
        """Where arrays of one width meet, the result has it too."""
        sources = [t for t in node.sources() if isinstance(t, Tensor) and t.shape]
        sizes = {t.shape[-1] for t in sources if t.shape}
        ranks = {t.rank for t in sources}
        if len(sizes) != 1 or len(ranks) != 1 or (node.layer is None and not _adds(node.call)):
            return None
        return next((w for t in sources if (w := self.of(t)) is not None), None)

    def summed(self, node: GraphNode, layer: Instance) -> Expression | None:
        items = node.sources()
        if not items or argument(layer, "axis", -1) not in (-1, (items[0].rank or 0) - 1):
            return None
        widths: list[Expression | int] = []
        for item in items:
            size = item.shape[-1] if item.shape else None
            named = self.of(item)
            if named is None and not isinstance(size, int):
                return None
            widths.append(named if named is not None else size)  # type: ignore[arg-type]
        if all(isinstance(w, int) for w in widths):
            return None
        holes = {f"w{i}": w for i, w in enumerate(widths)}
        return simplified(fill(" + ".join(holes), **holes))


def _adds(node: cst.CSTNode) -> bool:
    """Whether an expression computes element by element."""
    kinds = (cst.Add, cst.Subtract, cst.Multiply, cst.Divide)
    return isinstance(node, cst.BinaryOperation) and isinstance(node.operator, kinds)


def simplified(width: Expression) -> Expression:
    """A sum with equal terms taken together: `n + 2 * growth`."""
    known: dict[str, tuple[Expression, int]] = {}
    number = 0
    for term, factor in _terms(width):
        if isinstance(term, cst.Integer):
            number += factor * term.evaluated_value
        else:
            text = code(term)
            known[text] = (term, factor + known.get(text, (term, 0))[1])
    ordered = sorted(known.values(), key=lambda k: k[1] > 1)
    parts: list[Any] = [t if n == 1 else fill("n * term", n=n, term=t) for t, n in ordered]
    parts += [number] if number or not parts else []
    holes = {f"w{i}": w for i, w in enumerate(parts)}
    return fill(" + ".join(holes), **holes)


def _terms(width: Expression) -> list[tuple[Expression, int]]:
    """The terms of a sum, each with its whole factor."""
    if isinstance(width, cst.BinaryOperation):
        if isinstance(width.operator, cst.Add):
            return [*_terms(width.left), *_terms(width.right)]
        if isinstance(width.operator, cst.Multiply) and isinstance(width.left, cst.Integer):
            factor = width.left.evaluated_value
            return [(t, factor * n) for t, n in _terms(width.right)]
    return [(width.with_changes(lpar=[], rpar=[]) if hasattr(width, "lpar") else width, 1)]
