"""Functional Keras models: the graph from inputs to outputs as one `nn.Module`."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Instance, Symbol, Value, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_graph import calls
from transpiler.planners.keras_graph.blocks import Made
from transpiler.planners.keras_graph.classes import outermost
from transpiler.planners.keras_graph.construction import Construction
from transpiler.planners.keras_graph.graph import of_model
from transpiler.planners.keras_graph.model import Model
from transpiler.planners.keras_graph.trace import Trace
from transpiler.planners.keras_scope import Scope
from transpiler.rule import Unfit
from transpiler.syntax import find, walk


def plan(context: Context) -> None:
    """A class for every `keras.Model(inputs, outputs)`."""
    graphs: list[Model] = []
    failed: list[tuple[cst.Call, Unfit]] = []
    for node in find(context.module, cst.Call):
        if not _is_functional(context, node):
            continue
        try:
            graphs.append(Model(context, node, graphs))
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
    """A call of keras.Model, or of a class that only adds methods to it."""
    if qualified_name(context, node.func) == "keras.Model":
        return isinstance(context.fact(node.func), Symbol)
    cls = context.fact(node.func)
    if not isinstance(cls, Class) or not context.knowledge.derives(cls, "keras.Model"):
        return False
    if any(cls.lookup(name) is not None for name in ("__init__", "call", "build")):
        return False
    models = [m for m in options(context.fact(node)) if isinstance(m, Instance)]
    return bool(models) and all("outputs" in m.state for m in models)


def _take_out(context: Context, graphs: list[Model]) -> None:
    context.notes["graphs"] = True
    made = {c for g in graphs for c in g.trace.calls}
    written = {e for g in graphs for e in g.trace.expressions}
    construction = Construction(context, made, {g.node for g in graphs})
    construction.remove(written)
    _write_blocks(context, [m for g in graphs for m in g.trace.used], {})
    for graph in graphs:
        graph.write(construction.gone)
    calls.plan(context)


def _write_blocks(context: Context, blocks: list[Made], written: dict[str, cst.CSTNode]) -> None:
    """The classes of blocks stand where the functions stood that built them.

    The first class of a function takes what the function says of itself.
    """
    for made in blocks:
        _write_blocks(context, made.trace.used, written)
        if made.name not in written:
            function = made.block.function
            lines = made.statements(made.name, documented=function not in written.values())
            written[made.name] = function
            context.edits.insert_before(outermost(context, function), lines)


def attribute_name(context: Context, model: Instance, part: Instance) -> str | None:
    """The attribute, or path of attributes, under which a functional model holds a layer."""
    if "outputs" not in model.state:
        return None
    known: dict[int, dict[Instance, str]] = context.notes.setdefault("graph attributes", {})
    if id(model) not in known:
        mark = len(context.reports)
        builder = context.edits.enclosing(model.origin, cst.FunctionDef)
        trace = Trace(context, of_model(model), Scope(context, builder), lambda layer: None)
        try:
            trace.start()
        except Unfit:
            return None
        finally:
            del context.reports[mark:]
        known[id(model)] = dict(trace.layers)
    return known[id(model)].get(part)


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


def is_left(value: Value) -> bool:
    """Whether a model stays as the source has it."""
    return isinstance(value, Instance) and bool(value.state.get("left"))


__all__ = ["is_left", "plan"]
