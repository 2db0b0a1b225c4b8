"""What is known of models as wholes: their layers, inputs and outputs, and what `build` tells."""

from __future__ import annotations

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    ListObject,
    Sequence,
    Symbol,
    Tensor,
    Value,
    items_of,
    join,
)
from transpiler.modules import descendants
from transpiler.rule import infers, infers_property
from transpiler.rules.facts_keras import shape_from
from transpiler.rules.keras_graph import GraphNode, GraphTensor, graph_tensors

MERGING = ("add", "subtract", "multiply", "average", "maximum", "minimum", "concatenate", "dot")


@infers(*(f"keras.layers.{name}" for name in MERGING))
def merge(call: Invocation) -> Value:
    """`add([a, b])` is `Add()([a, b])`."""
    name = call.name.rpartition(".")[2].capitalize()
    options = {k: v for k, v in call.bound.items() if k != "inputs" and isinstance(v, Value)}
    layer = call.interpreter.allocate(Symbol(f"keras.layers.{name}"), call.node, options)
    inputs = call.arg("inputs", at=0)
    return call.interpreter.call(layer, [inputs or UNKNOWN], {}, call.node)


def layers_of(model: Instance) -> list[Instance] | None:
    """A model's layers in Keras' order, where they are known."""
    held = model.state.get("layers")
    if isinstance(held, list):
        if UNKNOWN in held or model.state.get("loop"):
            return None
        return [x for x in held if isinstance(x, Instance)]
    outputs = model.state.get("outputs")
    if not isinstance(outputs, Value):
        return None
    found: list[Instance] = []
    for node in steps(outputs):
        if node.is_input:
            found.append(input_layer(node, outputs))
        elif node.layer is not None and node.layer not in found:
            found.append(node.layer)
    return found


def input_layer(node: GraphNode, outputs: Value) -> Instance:
    """The layer that stands for an input of a model."""
    state: dict[str, Value] = {}
    if (tensor := _arrays(outputs).get(node)) is not None:
        state = {"graph input": tensor, "graph output": tensor}
    given = [a for a in getattr(node.call, "args", ()) if a.keyword and a.keyword.value == "name"]
    texts = [a.value.evaluated_value for a in given if isinstance(a.value, cst.SimpleString)]
    options = {"name": Const(texts[0])} if texts else {}
    return Instance(Symbol("keras.layers.InputLayer"), options, {}, node.call, state)


def steps(outputs: Value) -> list[GraphNode]:
    """The steps that lead to the outputs, in the order in which they were made."""
    return sorted((n for n in _arrays(outputs) if n.whole is None), key=lambda n: n.place)


def _arrays(outputs: Value) -> dict[GraphNode, GraphTensor | None]:
    """The steps that lead to the outputs, with the array that each makes."""
    found: dict[GraphNode, GraphTensor | None] = {}
    stack = graph_tensors(outputs)
    while stack:
        tensor = stack.pop()
        node = tensor.node
        if node is None or node in found:
            continue
        found[node] = tensor
        if node.whole is not None:
            found.setdefault(node.whole, None)
        stack.extend(node.sources())
    return found


@infers_property("keras.Model.layers")
def layers(value: Value) -> Value:
    found = layers_of(value) if isinstance(value, Instance) else None
    return ListObject(None, UNKNOWN) if found is None else ListObject([*found])


@infers("keras.Layer._flatten_layers")
def all_layers(call: Invocation) -> Value:
    """A model, its layers, theirs and so on."""
    found: list[Value] = []
    stack: list[Value] = [call.receiver] if call.receiver is not None else []
    while stack:
        for part in descendants(stack.pop()):
            if isinstance(part, Instance) and part not in found:
                found.append(part)
                stack.extend(x for x in part.state.get("layers") or [] if isinstance(x, Value))
    derives = call.interpreter.knowledge.derives
    return ListObject(None, join(*(x for x in found if derives(x, "keras.Layer"))))


@infers("keras.Model.get_layer")
def get_layer(call: Invocation) -> Value:
    """A layer by name or number."""
    found = layers_of(call.receiver) if isinstance(call.receiver, Instance) else None
    name, index = call.arg("name", at=0), call.arg("index", at=1)
    for layer in found or ():
        if isinstance(name, Const) and layer.arguments.get("name") == name:
            return layer
    if found and isinstance(index, Const) and isinstance(index.value, int):
        return found[index.value]
    return UNKNOWN


def _as_is(value: Value) -> Value:
    items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
    return items[0] if items is not None and len(items) == 1 else value


def _state(value: Value, *names: str) -> Value:
    for name in names:
        found = value.state.get(name) if isinstance(value, Instance) else None
        if isinstance(found, Value):
            return found
    return UNKNOWN


@infers_property("keras.Operation.output")
def output(value: Value) -> Value:
    return _as_is(_state(value, "outputs", "graph output"))


@infers_property("keras.Operation.name", "keras.Layer.name", "keras.Model.name")
def name(value: Value) -> Value:
    """The name that the program gave."""
    given = value.arguments.get("name") if isinstance(value, Instance) else None
    return given if isinstance(given, Const) and isinstance(given.value, str) else UNKNOWN


@infers_property("keras.Layer.output_shape", "keras.Model.output_shape")
def output_shape(value: Value) -> Value:
    """In numbers, as it is where the program asks."""
    names = ("current", "output", "outputs")
    state = value.state if isinstance(value, Instance) else {}
    found = next((state[n] for n in names if n in state), UNKNOWN)
    shape = found.shape if isinstance(found, Tensor) else None
    if shape is None or not all(isinstance(n, int) for n in shape[1:]):
        return UNKNOWN
    return Const((None, *shape[1:]))


@infers_property("keras.Operation.input")
def model_input(value: Value) -> Value:
    return _as_is(_state(value, "inputs_of", "graph input"))


@infers_property("keras.Model.outputs")
def outputs(value: Value) -> Value:
    return _listed(_state(value, "outputs"))


@infers_property("keras.Model.inputs")
def inputs(value: Value) -> Value:
    return _listed(_state(value, "inputs_of"))


def _listed(value: Value) -> Value:
    return ListObject([value]) if isinstance(value, Tensor) else value


@infers("keras.Layer.build")
def build(call: Invocation) -> Value:
    """`model.build(input_shape)` says what the model will be called on."""
    model, given = call.receiver, call.arg("input_shape", at=0)
    shape = shape_from(given)
    if not isinstance(model, Instance) or model not in call.interpreter.instances.values():
        return NONE  # super().build(...)
    if shape is not None and "building" not in model.state:
        model.state["building"] = True
        start = Tensor(shape, "float32", "tf")
        if "layers" in model.state and "start" not in model.state:
            model.state["start"] = start
        call.interpreter.call(model, [start], {}, None)
        del model.state["building"]
    return NONE


@infers("keras.models.clone_model")
def clone(call: Invocation) -> Value:
    """Another model of the same layers: what is known of one holds for both."""
    model = call.arg("model", at=0)
    if not isinstance(model, Instance) or len(call.bound) != 1:
        return UNKNOWN
    twin = call.interpreter.allocate(model.cls, call.node, model.arguments)
    twin.state = model.state
    twin.attributes = model.attributes
    return twin
