"""The data that `fit` and its like are given, as loaders of batches."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    is_none,
    items_of,
    options,
)
from transpiler.modules import descendants
from transpiler.planners.keras_floatx import CASTS, floatx
from transpiler.planners.keras_training import Output, Training, output_of
from transpiler.rule import Unfit
from transpiler.rules.facts_keras import is_generator
from transpiler.rules.facts_sklearn import rank_of
from transpiler.rules.keras_graph import GraphTensor
from transpiler.rules.keras_ids import are_ids
from transpiler.syntax import code, find
from transpiler.template import OMIT, as_node, call, fill

Shape = str
"""How inputs come: "one", "many" (in order) or "named"."""


class Batches:
    """Data for the models of one call."""

    def __init__(self, context: Context, models: list[Instance], training: Training | None) -> None:
        self.context = context
        self.models = models
        self.training = training

    # ---- what the data is --------------------------------------------------------------------

    def is_pipeline(self, node: Any) -> bool:
        """Whether something gives batches by itself."""
        fact = self.fact(node)
        if is_generator(fact):
            return True
        return isinstance(fact, Instance) and rank_of(fact) is None

    def fact(self, node: Any) -> Value:
        """What the data is; one for several of a kind, such as a loop makes round after round."""
        fact = self.context.fact(node)
        found = options(fact)
        kinds = {v.class_names[:1] for v in found if isinstance(v, Instance)}
        alike = len(kinds) == 1 and all(isinstance(v, Instance) for v in found)
        return found[0] if alike else fact

    def batch_of(self, node: Any) -> list[Value]:
        """What a pipeline gives at a time."""
        batch = self.context.interpreter.iterate(self.fact(node), None)
        items = items_of(batch) if isinstance(batch, (Sequence, ListObject)) else None
        return list(items) if items is not None else [batch]

    def kind_of(self, node: Any) -> Shape:
        """How a model's inputs come in an expression."""
        return kind_of(self.context.fact(node), node)

    def kind(self, x: Any) -> Shape:
        if self.is_pipeline(x):
            return kind_of(self.batch_of(x)[0], None)
        return self.kind_of(x)

    def spreads(self, kind: Shape) -> bool:
        """Whether the model takes its inputs one by one."""
        return kind != "one" and any(isinstance(m.cls, Symbol) for m in self.models)

    # ---- pipelines ---------------------------------------------------------------------------

    def pipeline(self, node: Any, outputs: list[Output], shuffle: Any = OMIT) -> Any:
        """A pipeline's batches in the form that the model and its loss take."""
        loader: Any = node
        if is_sequence(self.fact(node)):
            loader = call("torch.utils.data.DataLoader", node, batch_size=cst.Name("None"),
                          shuffle=shuffle)  # fmt: skip
        parts = self.batch_of(node)
        if not all(isinstance(p, Tensor) for p in parts) or len(parts) > 3:
            if is_generator(self.context.fact(node)):
                raise Unfit(
                    "what the generator gives is not known before the program runs",
                    "convert its arrays to tensors, and write the training loop by hand",
                )
            return loader
        names = ("inputs", "targets", "weights")[: len(parts)]
        new: list[Any] = [cst.Name(n) for n in names]
        new[0] = self.converted_input(new[0], parts[0])
        if len(parts) > 1 and len(outputs) == 1:
            new[1] = self.converted_target(node, new[1], parts[1], outputs[0])
        if all(isinstance(n, cst.Name) for n in new):
            return loader
        result = new[0] if len(new) == 1 else cst.Tuple([cst.Element(n) for n in new])
        change = cst.Lambda(cst.Parameters([cst.Param(cst.Name(n)) for n in names]), result)
        return call(self.context.emit("Converted"), loader, change)

    def converted_input(self, name: cst.Name, fact: Value) -> Any:
        """Keras' models turn what they are given into floats, unless they look it up."""
        kind = fact.dtype if isinstance(fact, Tensor) else None
        if isinstance(fact, Tensor) and fact.library == "numpy":
            return self.input(name, graph_inputs(self.models), 0)
        own = floatx(self.context)
        if kind in (own, "float16", "string", "object"):
            return name
        given = graph_inputs(self.models).get(0)
        whole = any(isinstance(m.cls, Symbol) for m in self.models)
        if self.takes_ids(given) or not (whole or kind in ("float32", "float64")):
            return name
        return fill(f"x.{CASTS[own]}()", x=name)

    def converted_target(self, node: Any, name: cst.Name, fact: Value, output: Output) -> Any:
        if output.loss is None or not isinstance(fact, Tensor):
            return name
        kind, rank = fact.dtype, fact.rank
        wanted = output.fact.rank if isinstance(output.fact, Tensor) else None
        new: Any = name
        if fact.library == "numpy":
            kind = "int64" if output.loss.sparse else floatx(self.context)
            new = fill(f"torch.as_tensor(x, dtype=torch.{kind})", x=name)
        if output.loss.sparse:
            if kind != "int64" and not (self.is_plain(node) and rank == 1):
                new = fill("x.long()", x=new)
            return fill("x.flatten()", x=new) if rank == 2 and wanted == 2 else new
        own = floatx(self.context)
        if kind not in (own, "float16"):
            new = fill(f"x.{CASTS[own]}()", x=new)
        if rank is not None and wanted is not None and rank == wanted - 1 and is_narrow(output):
            new = fill("x.unsqueeze(-1)", x=new)
        return new

    def is_plain(self, node: Any) -> bool:
        """Whether elements come out of a pipeline as they went in, labels as int64."""
        graph = self.context.notes.get("pipelines")
        return graph is not None and graph.is_plain(node)

    # ---- arrays as tensors -------------------------------------------------------------------

    def inputs(self, node: Any) -> cst.BaseExpression:
        """Inputs as tensors of the dtype that the model takes."""
        given = graph_inputs(self.models)
        if isinstance(node, (cst.List, cst.Tuple)) and not is_row(self.context, node):
            return cst.Tuple([self.element(e, given, i) for i, e in enumerate(node.elements)])
        if isinstance(node, cst.Dict):
            pairs = []
            for e in node.elements:
                if not isinstance(e, cst.DictElement):
                    raise Unfit("the inputs are not known before the program runs")
                name = self.context.fact(e.key)
                key = name.value if isinstance(name, Const) else None
                pairs.append(cst.DictElement(e.key, self.input(e.value, given, key)))
            return cst.Dict(pairs)
        kind = self.kind_of(node)
        if kind == "many":
            return fill("tuple(x)", x=node)
        return as_node(node) if kind == "named" else self.input(node, given, 0)

    def batch(self, node: Any) -> cst.BaseExpression:
        """All inputs as the tensors of one batch."""
        kind = self.kind_of(node)
        if isinstance(node, (cst.List, cst.Tuple, cst.Dict)) or kind == "one":
            return self.inputs(node)
        form = "[convert(x) for x in inputs]"
        if kind == "named":
            form = "{key: convert(x) for key, x in inputs.items()}"
        names = {n: cst.Name(n) for n in ("key", "x")}
        return fill(form, convert=cst.Name(self.context.emit("to_tensor")), inputs=node, **names)

    def element(self, element: Any, given: dict[Any, Value], index: int) -> cst.BaseElement:
        """One of the inputs in a list, or the rest of them."""
        if isinstance(element, cst.Element):
            return cst.Element(self.input(element.value, given, index))
        starts: list[Value | None] = [
            v for k, v in given.items() if isinstance(k, int) and k >= index
        ]
        kinds = {"int64" if self.takes_ids(s) else floatx(self.context) for s in starts or [None]}
        if len(kinds) > 1:
            raise Unfit("which inputs are numbers of words is not known before the program runs")
        form = f"(torch.as_tensor(x, dtype=torch.{kinds.pop()}) for x in inputs)"
        return cst.StarredElement(fill(form, x=cst.Name("x"), inputs=element.value))

    def input(self, node: Any, given: dict[Any, Value], key: Any) -> cst.BaseExpression:
        kind = "int64" if self.takes_ids(given.get(key)) else floatx(self.context)
        if is_row(self.context, node):
            return fill(f"torch.tensor(x, dtype=torch.{kind}).unsqueeze(-1)", x=node)
        new = fill(f"torch.as_tensor(x, dtype=torch.{kind})", x=plain(self.context, node))
        return self.ranked(new, self.context.fact(node), self.wanted(given, key))

    def wanted(self, given: dict[Any, Value], key: Any) -> Tensor | None:
        """The input that a model declares: Keras adds or drops a last axis of size one for it."""
        if key in given:
            return found if isinstance(found := given[key], Tensor) else None
        starts = [m.state.get("start") for m in self.models]
        shapes = {s.shape: s for s in starts if isinstance(s, Tensor)}
        return next(iter(shapes.values())) if len(shapes) == 1 and key == 0 else None

    def ranked(
        self, new: cst.BaseExpression, fact: Value, wanted: Tensor | None
    ) -> cst.BaseExpression:
        """An array with the last axis that a model's input, or its output, has."""
        if wanted is None or not wanted.shape:
            return new
        rank, sizes = rank_of(fact), wanted.shape[1:]
        last = fact.shape[-1] if isinstance(fact, Tensor) and fact.shape else None
        if rank is None and sizes and sizes[-1] == 1 and None not in sizes:
            whole = [cst.parse_expression(str(s)) for s in (-1, *sizes)]
            return call("x.reshape", *whole).with_changes(func=fill("x.reshape", x=new))
        if rank == len(sizes) and sizes and sizes[-1] == 1:
            return fill("x.unsqueeze(-1)", x=new)
        if rank == len(sizes) + 2 and last == 1:
            return fill("x.squeeze(-1)", x=new)
        return new

    def takes_ids(self, start: Value | None) -> bool:
        """Whether the model looks numbers up in an embedding."""
        if isinstance(start, GraphTensor) and any(are_ids(m, start.node) for m in self.models):
            return True
        if isinstance(start, Tensor):
            return (start.dtype or "").startswith(("int", "uint"))
        for model in self.models:
            layers = model.state.get("layers") or []
            first = layers[0] if layers else None
            if isinstance(first, Instance) and first.class_names[:1] == ("keras.layers.Embedding",):
                return True
            if isinstance(model.cls, Symbol):
                continue
            if reads_ids(self.context, model):
                return True
        return False

    def targets(self, node: Any, outputs: list[Output]) -> cst.BaseExpression:
        """Targets as tensors of the dtype that the loss takes."""
        if isinstance(node, (cst.List, cst.Tuple)) and len(outputs) > 1:
            named = {o.target_key: o for o in outputs}
            parts = [self.target(e.value, named.get(i)) for i, e in enumerate(node.elements)]
            return cst.Tuple([cst.Element(p) for p in parts])
        if isinstance(node, cst.Dict):
            named = {o.target_key: o for o in outputs}
            pairs = []
            for e in node.elements:
                if not isinstance(e, cst.DictElement):
                    raise Unfit("the targets are not known before the program runs")
                name = self.context.fact(e.key)
                key = name.value if isinstance(name, Const) else None
                pairs.append(cst.DictElement(e.key, self.target(e.value, named.get(key))))
            return cst.Dict(pairs)
        kind = self.kind_of(node)
        if kind == "many" and len(outputs) > 1:
            return fill("tuple(y)", y=node)
        if kind == "named" and len(outputs) > 1:
            return as_node(node)
        return self.target(node, outputs[0] if outputs else None)

    def target(self, node: Any, output: Output | None) -> cst.BaseExpression:
        rank = rank_of(self.context.fact(node))
        wanted = output.fact.rank if output and isinstance(output.fact, Tensor) else None
        value = plain(self.context, node)
        if output is not None and output.loss is not None and output.loss.sparse:
            new = fill("torch.as_tensor(x, dtype=torch.int64)", x=value)
            return fill("x.flatten()", x=new) if rank in (2, None) and wanted == 2 else new
        new = fill(f"torch.as_tensor(x, dtype=torch.{floatx(self.context)})", x=value)
        if rank is not None and wanted is not None and rank == wanted - 1 and is_narrow(output):
            return fill("x.unsqueeze(-1)", x=new)
        gives = output.fact if output and isinstance(output.fact, Tensor) else None
        if rank is None and gives is not None and gives.shape and gives.shape[1:] == (1,):
            return fill("x.reshape(-1, 1)", x=new)
        return new

    def weights(self, node: Any) -> cst.BaseExpression:
        form = f"torch.as_tensor(w, dtype=torch.{floatx(self.context)})"
        return fill(form, w=plain(self.context, node))

    def class_weights(self, weights: Any, y: Any) -> cst.BaseExpression:
        """A weight for each example, by its class."""
        fact = self.context.fact(y)
        rank, shape = (fact.rank, fact.shape) if isinstance(fact, Tensor) else (None, None)
        labels = fill("y", y=y)
        if rank == 2 and shape is not None and shape[-1] != 1:
            labels = fill("np.argmax(y, axis=-1)", y=y)
        elif rank != 1:
            labels = fill("np.ravel(y)", y=y)
        return fill("torch.tensor([weights[int(label)] for label in labels])", weights=weights,
                    labels=labels, label=cst.Name("label"))  # fmt: skip

    # ---- loaders -----------------------------------------------------------------------------

    def dataset(self, parts: list[Any]) -> cst.BaseExpression:
        """A dataset of arrays, or of tuples and dicts of arrays."""
        parts = [p for p in parts if p is not None]
        if any(isinstance(p, (cst.Tuple, cst.Dict, cst.Name)) or _is_tuple(p) for p in parts):
            whole = cst.Tuple([cst.Element(p) for p in parts])
            return call(self.context.emit("slices"), whole)
        return call("torch.utils.data.TensorDataset", *parts)

    def loader(
        self, dataset: cst.BaseExpression, batch_size: Any, shuffle: Any = OMIT
    ) -> cst.BaseExpression:
        return call("torch.utils.data.DataLoader", dataset, batch_size=batch_size, shuffle=shuffle)


def is_sequence(fact: Value) -> bool:
    """Whether data is a class of the program that gives whole batches by number."""
    names = ("keras.utils.PyDataset", "keras.preprocessing.image.Iterator")
    return isinstance(fact, Instance) and any(n in fact.class_names for n in names)


def _is_tuple(node: Any) -> bool:
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Name)
        and node.func.value == "tuple"
    )


def kind_of(fact: Value | None, node: Any) -> Shape:
    if isinstance(fact, Mapping) or isinstance(node, cst.Dict):
        return "named"
    if isinstance(fact, (ListObject, Sequence)):
        items = items_of(fact)
        if items is not None and items and all(isinstance(i, Tensor) for i in items):
            return "many"
    if isinstance(node, (cst.List, cst.Tuple)) and any(
        isinstance(e.value, (cst.Name, cst.Call, cst.Attribute, cst.Subscript))
        for e in node.elements
    ):
        return "many" if not isinstance(fact, Tensor) else "one"
    return "one"


def plain(context: Context, node: Any) -> Any:
    """Tables of pandas as their values; so what may be one."""
    fact = context.fact(node)
    if isinstance(fact, Instance) and rank_of(fact) is not None:
        return fill("x.to_numpy()", x=node)
    if fact is UNKNOWN and any("pandas" in code(i) for i in imports_of(context)):
        context.request_import("import numpy as np")
        return fill("np.asarray(x)", x=node)
    return node


def imports_of(context: Context) -> list[Any]:
    return list(find(context.module, cst.Import, cst.ImportFrom))


def is_row(context: Context, node: Any) -> bool:
    """Whether inputs are a plain list of numbers, as former versions took them."""
    items = items_of(context.fact(node)) if isinstance(node, cst.List) else None
    return bool(items) and all(isinstance(i, (Const, Number)) for i in items or ())


def graph_inputs(models: list[Instance]) -> dict[Any, Value]:
    """The inputs of a functional model, by number and by name."""
    found: dict[Any, Value] = {}
    for model in models:
        value = model.state.get("inputs_of")
        items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
        listed = list(items) if items is not None else [value] if isinstance(value, Tensor) else []
        if isinstance(value, Mapping):
            found |= value.items
            listed = list(value.items.values())
        for index, item in enumerate(listed):
            found[index] = item
            node = getattr(item, "node", None)
            name = node.keywords.get("name") if node is not None else None
            if isinstance(name, Const):
                found[name.value] = item
    return found


def reads_ids(context: Context, model: Instance) -> bool:
    """Whether a model's first use of its input is an embedding."""
    return any(
        isinstance(p, Instance)
        and p.class_names[:1] == ("keras.layers.Embedding",)
        and isinstance(x := p.state.get("input"), Tensor)
        and (x.dtype or "int").startswith(("int", "uint"))
        for p in descendants(model)
    )


def is_given(context: Context, node: Any) -> bool:
    return node is not None and not is_none(context.fact(node))


def is_narrow(output: Output | None) -> bool:
    """Whether the last axis of an output may have one element, which Keras adds to its targets."""
    fact = output.fact if output is not None else None
    last = fact.shape[-1] if isinstance(fact, Tensor) and fact.shape else None
    return not isinstance(last, int) or last == 1


__all__ = ["Batches", "is_given", "output_of"]
