"""Where models are trained: on the GPU if there is one, as Keras does by itself.

A program that trains by compile and fit gets one line `device = ...`; its models are moved where
they are compiled, batches in the loop. Whatever else calls a moved model gets its results back on
the CPU. What a program's own layers, losses and metrics make of nothing would stay on the CPU: such
a program is left where PyTorch puts its tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Function, Instance, Tensor, Value, join, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_names import free_name
from transpiler.rules.keras_graph import GraphTensor
from transpiler.syntax import code, find
from transpiler.template import fill, fill_statements

_MAKERS = frozenset(
    """zeros ones fill eye linspace range arange constant Variable variable convert_to_tensor
    one_hot sequence_mask normal uniform truncated_normal random_normal random_uniform randint
    categorical shuffle meshgrid tri identity full array cast_to_floatx as_tensor""".split()
)
"""Calls whose results have no device from their arguments."""
PREDICT = ("keras.Model.predict", "keras.Model.predict_on_batch")
WEIGHTLESS = (
    "Activation",
    "Add",
    "Average",
    "Concatenate",
    "Cropping",
    "Dropout",
    "Flatten",
    "Global",
    "Input",
    "Lambda",
    "LeakyReLU",
    "Max",
    "Multiply",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Reshape",
    "Softmax",
    "Subtract",
    "UpSampling",
    "ZeroPadding",
)
"""How the names of layers without variables start."""


def find_device(context: Context) -> cst.Name | None:
    """The name of the device that models are moved to; None where they stay as they are."""
    known: dict[str, Any] = context.notes.setdefault("device", {})
    if "name" not in known:
        known["name"] = None
        reason = known["reason"] = _obstacle(context)
        if reason is None:
            known["name"] = cst.Name(free_name(context, "device"))
    name: cst.Name | None = known["name"]
    return name


def plan(context: Context) -> None:
    """Calls by hand, once all else is written."""
    if moved(context) is not None:
        _wrap_calls(context)
        _move_sharing(context)


def define_device(context: Context, node: cst.CSTNode) -> None:
    """The device, before the top-level statement that first compiles a model or reads one back."""
    known: dict[str, Any] = context.notes["device"]
    if known.get("defined"):
        return
    known["defined"] = True
    reads = [
        c for c in find(context.module, cst.Call)
        if context.edits.enclosing(c, cst.FunctionDef) is None
        and code(c.func).rpartition(".")[2] in ("load_model", "load_weights")
    ]  # fmt: skip
    first = min([node, *reads], key=context.edits.order)
    top: Any = context.edits.statement(first)
    while not isinstance(context.edits.parent[top], cst.Module):
        top = context.edits.statement(context.edits.parent[top])
    context.edits.insert_before(top, fill_statements(
        'device = torch.device("cuda" if torch.cuda.is_available() else "cpu")',
        device=known["name"],
    ))  # fmt: skip


def moved(context: Context) -> cst.Name | None:
    """The device, where models of the program have been moved to it."""
    known: dict[str, Any] = context.notes.get("device", {})
    return known["name"] if known.get("defined") else None


# ---- what speaks against it ------------------------------------------------------------------


def _obstacle(context: Context) -> str | None:
    """Why models can not be moved; None where they can."""
    for node in find(context.module, cst.Call):
        if qualified_name(context, node.func) == "tf.GradientTape":
            return "the program trains by hand"
    for value in _compiled(context):
        if isinstance(value, Function) and _makes_tensors(context, value.node):
            return "a loss or metric makes tensors"
        if isinstance(value, Instance) and isinstance(value.cls, Class):
            return "a loss or metric is a class of the program's own"
    for part in _parts(context):
        if isinstance(part.cls, Class) and (
            _makes_tensors(context, part.cls.node) or _keeps_tensors(part)
        ):
            return f"{part.cls.name} makes tensors"
        for value in part.arguments.values():
            if isinstance(value, Function) and _makes_tensors(context, value.node):
                return "a function in a layer makes tensors"
        if _mixes(part):
            return "a graph reads tensors from outside"
    for node in _direct_calls(context):
        if not _is_plain(context, node):
            return "a model is called on or gives several tensors"
    if any(_repeats(context, c) for m in _models(context) for c in m.state["compiled"]):
        return "a model is compiled in a loop that calls it before"
    return None


def _repeats(context: Context, node: cst.CSTNode) -> bool:
    """Whether a loop compiles a model that its body calls by hand further up."""
    loop = context.edits.enclosing(node, cst.For, cst.While)
    if node not in context.edits.parent or loop is None:
        return False
    inside = set(find(loop, cst.Call))
    called = [c for c in _calls(context) if c in inside]
    return any(context.edits.order(c) < context.edits.order(node) for c in called)


def _models(context: Context) -> list[Instance]:
    return [m for m in context.interpreter.instances.values() if m.state.get("compiled")]


def _parts(context: Context) -> list[Instance]:
    from transpiler.planners.keras_compile import parts_of

    return parts_of(_models(context))


def _compiled(context: Context) -> Iterator[Value]:
    """What the models are compiled with."""
    from transpiler.infer.values import items_of

    for model in _models(context):
        for given in model.state["compiled"].values():
            for name in ("loss", "metrics", "weighted_metrics"):
                value = given.get(name)
                for part in (items_of(value) or [value]) if isinstance(value, Value) else []:
                    yield from options(part)


def _makes_tensors(context: Context, node: Any) -> bool:
    """Whether code makes arrays of nothing, or reads some from around it."""
    for item in find(node, cst.Call):
        func = item.func
        last = func.attr.value if isinstance(func, cst.Attribute) else getattr(func, "value", "")
        if last in _MAKERS:
            return True
    for name in find(node, cst.Name):
        fact = context.fact(name)
        if isinstance(fact, Tensor) and fact.rank != 0 and not isinstance(fact, GraphTensor):
            around = context.edits.enclosing(name, cst.FunctionDef, cst.Lambda)
            if isinstance(node, cst.ClassDef):
                continue
            if around is not None and not _binds(around, name.value):
                return True
    return False


def _binds(function: Any, name: str) -> bool:
    from transpiler.dataflow import writes

    every = [*function.params.posonly_params, *function.params.params,
             *function.params.kwonly_params]  # fmt: skip
    return name in {p.name.value for p in every} or (
        isinstance(function, cst.FunctionDef) and name in writes(function.body)
    )


def _keeps_tensors(part: Instance) -> bool:
    """Whether an object of a class of the program's own holds an array that is no weight."""
    return any(isinstance(v, Tensor) and not v.variable and v.rank != 0
               for v in part.attributes.values())  # fmt: skip


def _mixes(part: Instance) -> bool:
    """Whether a functional model reads arrays that are not of its graph."""
    from transpiler.rules.facts_keras_models import steps

    outputs = part.state.get("outputs")
    if not isinstance(outputs, Value):
        return False
    return any(
        isinstance(value, Tensor) and not isinstance(value, GraphTensor) and value.rank != 0
        for step in steps(outputs)
        for value in [*step.inputs, *step.keywords.values(), *step.names.values()]
    )


# ---- calls by hand ---------------------------------------------------------------------------


def _direct_calls(context: Context) -> list[cst.Call]:
    """Calls by hand of models that have been moved."""
    return [c for c in _calls(context) if not _is_earlier(context, c)]


def _calls(context: Context) -> list[cst.Call]:
    """Calls of compiled models and their parts on data, outside of the classes of models."""
    parts = {id(p) for p in _parts(context)}
    found = []
    for node in find(context.module, cst.Call):
        called = options(context.fact(node.func))
        if isinstance(node.func, cst.Call) or not any(
            isinstance(o, Instance) and id(o) in parts for o in called
        ):
            continue
        around = context.edits.enclosing(node, cst.ClassDef)
        if around is not None and _is_module(context, around):
            continue
        result = context.fact(node)
        if not isinstance(result, GraphTensor) and not _gives_graph(result):
            found.append(node)
    return found


def _is_earlier(context: Context, node: cst.Call, called: Value | None = None) -> bool:
    """Whether a call is made before its model is compiled, and so before it is moved."""
    from transpiler.planners.keras_compile import parts_of

    ids = {id(o) for o in options(context.fact(node.func) if called is None else called)}
    scope, place = context.edits.enclosing(node, cst.FunctionDef), context.edits.order(node)
    compiles = [
        c for m in _models(context) if ids & {id(p) for p in parts_of([m])}
        for c in m.state["compiled"]
    ]  # fmt: skip
    return all(
        context.edits.order(c) > place and context.edits.enclosing(c, cst.FunctionDef) is scope
        for c in compiles
    )


def _gives_graph(value: Value) -> bool:
    from transpiler.rules.keras_graph import graph_tensors

    return bool(graph_tensors(value))


def _is_module(context: Context, node: cst.ClassDef) -> bool:
    cls = context.fact(node)
    return isinstance(cls, Class) and context.knowledge.derives(cls, "keras.Layer")


def _is_plain(context: Context, node: cst.Call) -> bool:
    """Whether a call takes one array and gives one."""
    given = [a.value for a in node.args if a.keyword is None and not a.star]
    return len(given) == 1 and all(
        isinstance(o, Tensor) for o in (context.fact(given[0]), context.fact(node))
    )


def _wrap_calls(context: Context) -> None:
    """`model(x.to(device)).cpu()`."""
    device = context.notes["device"]["name"]

    def move(x: Any) -> cst.BaseExpression:
        func = x.func if isinstance(x, cst.Call) else None
        if isinstance(func, cst.Attribute) and func.attr.value == "cpu":
            return func.value  # what another model gave is there already
        return fill("x.to(device)", x=x, device=device)

    for node in _direct_calls(context):
        context.edits.wrap(node.args[0].value, move)
        context.edits.wrap(node, lambda y: fill("y.cpu()", y=y))


# ---- models beside those that are trained ----------------------------------------------------


def _move_sharing(context: Context) -> None:
    """A model that predicts with parts of moved models and with parts of its own goes there too."""
    from transpiler.planners.keras_compile import parts_of

    there = {id(p) for p in _parts(context)}
    done: set[tuple[str, Any]] = set()
    for node in find(context.module, cst.Call):
        if qualified_name(context, node.func) not in PREDICT:
            continue
        assert isinstance(node.func, cst.Attribute)
        owner = node.func.value
        models = [o for o in options(context.fact(owner)) if isinstance(o, Instance)]
        mixed = [
            m for m in models
            if id(m) not in there and any(id(p) in there for p in parts_of([m]))
            and not all(id(p) in there or not _has_weights(p) for p in parts_of([m]))
        ]  # fmt: skip
        key = (code(owner), context.edits.enclosing(node, cst.FunctionDef))
        shared = [p for p in parts_of(mixed) if id(p) in there]
        if not shared or _is_earlier(context, node, join(*shared)):
            continue
        if key not in done and isinstance(owner, (cst.Name, cst.Attribute)):
            done.add(key)
            lines = fill_statements("model.to(device)", model=owner.deep_clone(),
                                    device=context.notes["device"]["name"])  # fmt: skip
            context.edits.insert_before(context.edits.statement(node), lines)


def _has_weights(part: Instance) -> bool:
    """Whether a part may hold variables that no other part holds."""
    if "layers" in part.state or "outputs" in part.state:
        return False
    kind = (part.class_names or ("",))[0].rpartition(".")[2]
    return not kind.startswith(WEIGHTLESS)


__all__ = ["define_device", "find_device", "moved"]
