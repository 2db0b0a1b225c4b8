"""What Keras' models are made of: inputs, layers in order, graphs, and what they are trained on."""

from __future__ import annotations

from typing import Any

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Shape,
    Symbol,
    Tensor,
    Value,
    as_dim,
    from_dim,
    is_none,
    items_of,
    join,
    options,
    stretches_of,
)
from transpiler.rule import infers, infers_property
from transpiler.rules.facts_keras_layers import result_of
from transpiler.rules.keras_callbacks import introduce
from transpiler.rules.keras_graph import (
    GraphNode,
    GraphTensor,
    graph_tensors,
    placed,
    without_graph,
)
from transpiler.rules.keras_written_sizes import argument_of, written_size

FIRST_NAMES = ("inputs", "query", "sequence", "sequences", "x", "input")
"""What a layer's first argument may be called."""
ENTRIES = {"keras.Layer": "call"}
ARRAYS = {"tf": "tf.Tensor", "keras": "tf.Tensor"}
ENTRY_DEFAULTS = {
    f"keras.{name}": Tensor(library="tf")
    for name in ("Layer.call", "Loss.call", "Loss.__call__", "Metric.update_state")
}
PREPARES = {"keras.Layer": "build"}


def shape_from(value: Value | None, node: Any = None) -> Shape:
    """A tuple or list as a shape; sizes that are not known go by what the program writes there."""
    if value is None:
        return None
    items = items_of(value)
    if items is None:
        return None
    sizes = [None if i == NONE else as_dim(i) for i in items]
    for index, (item, size) in enumerate(zip(items, sizes, strict=True)):
        if size is None and item != NONE:
            sizes[index] = written_size(node, index)
    return tuple(sizes)


def without_batch(value: Value) -> Value:
    """Data as the batches that are taken of it."""
    match value:
        case Tensor():
            shape = value.shape
            # Keras hands floats on in its own precision.
            floats = value.dtype in ("float64", "float16") and value.library == "numpy"
            dtype = "float32" if floats else value.dtype
            return Tensor((None, *shape[1:]) if shape else None, dtype, "tf")
        case Mapping():
            return Mapping({k: without_batch(x) for k, x in value.items.items()})
        case ListObject() | Sequence():
            items = items_of(value)
            return ListObject([without_batch(i) for i in items]) if items is not None else value
    return value


@infers("keras.Input", "keras.layers.InputLayer")
def graph_input(call: Invocation) -> Value:
    """The entry of a graph."""
    written = argument_of(call.node, "shape", "input_shape", at=0)
    shape = shape_from(call.arg("shape", "input_shape", at=0), written)
    given = call.arg("dtype")
    dtype = given.value if isinstance(given, Const) and isinstance(given.value, str) else "float32"
    written = argument_of(call.node, "batch_shape", "batch_input_shape")
    batch = shape_from(call.arg("batch_shape", "batch_input_shape"), written)
    whole: Shape = batch if batch is not None else None if shape is None else (None, *shape)
    tensor = call.arg("tensor")
    if isinstance(tensor, GraphTensor):
        return tensor
    name = call.arg("name")
    node = GraphNode(None, call=call.node, keywords={"name": name} if name is not None else {})
    if call.interpreter.latest is None:
        call.interpreter.latest = ({}, set())
    return placed(Tensor(whole, dtype, "tf"), node)


def remember_input(layer: Instance, inputs: list[Value]) -> None:
    """A layer keeps what it was called on."""
    if not inputs:
        return
    value = inputs[0]
    plain: Value = value
    if isinstance(value, Tensor):
        plain = Tensor(value.shape, value.dtype, "tf")
    elif isinstance(value, (ListObject, Sequence)):
        items = items_of(value) or ()
        plain = Sequence("tuple", tuple(without_batch(i) for i in items))
    have = layer.state.get("input")
    layer.state["input"] = plain if have is None else join(have, plain)


@infers("keras.Layer.__call__")
def call_layer(call: Invocation) -> Value:
    """A layer of the library, or a model made of layers, on its inputs."""
    layer = call.receiver
    assert isinstance(layer, Instance)
    inputs = list(call.positional)
    if not inputs:
        named = [call.keywords[n] for n in FIRST_NAMES if n in call.keywords]
        inputs = named[:1]
    remember_input(layer, inputs)
    if inputs and isinstance(inputs[0], Tensor) and str(inputs[0].dtype).startswith("float"):
        layer.state["takes floats"] = True
    if "layers" in layer.state:
        result = run_layers(call, layer, inputs)
    elif "outputs" in layer.state:
        result = without_graph(layer.state["outputs"])
    else:
        for wrapped in ("layer", "backward_layer"):
            inner = layer.arguments.get(wrapped)
            if isinstance(inner, Instance):
                remember_input(inner, inputs)
        result = computed(call, layer, inputs)
    have = layer.state.get("output")
    layer.state["output"] = (
        without_graph(result) if have is None else join(have, without_graph(result))
    )
    held = [*inputs, *call.keywords.values()]
    if any(graph_tensors(v) for v in held) and not call.interpreter.unsure:
        frames = tuple(call.interpreter.frames)
        step = GraphNode(layer, inputs, dict(call.keywords), call.node, frames=frames)
        result = placed(without_graph(result), step)
        layer.state["graph input"], layer.state["graph output"] = (
            inputs[0] if inputs else UNKNOWN,
            result,
        )
        return result
    return without_graph(result)


def computed(call: Invocation, layer: Instance, inputs: list[Value]) -> Value:
    """What a layer of the library gives; a Lambda is its function."""
    function = layer.arguments.get("function")
    if layer.class_names[:1] != ("keras.layers.Lambda",) or not isinstance(function, Value):
        return result_of(layer, inputs)
    outer, call.interpreter.latest = call.interpreter.latest, None
    try:
        result = call.interpreter.call(function, [without_graph(i) for i in inputs], {}, None)
    finally:
        call.interpreter.latest = outer
    return Tensor(library="tf") if result is UNKNOWN else result


def run_layers(call: Invocation, model: Instance, inputs: list[Value]) -> Value:
    """The layers of a Sequential one after the other."""
    x: Value = without_graph(inputs[0]) if inputs else UNKNOWN
    start = model.state.get("start")
    if isinstance(start, Tensor):
        x = refined(start, x)
    for loop, layers in model.state.get("stretches") or [(None, model.state["layers"])]:
        for _ in range(1 if loop is None else 2):
            before = x
            for layer in layers:
                if isinstance(layer, Instance):
                    x = passed_through(call, layer, x)
            x = x if loop is None else join(before, x)
    return x


def passed_through(call: Invocation, layer: Instance, x: Value) -> Value:
    """What comes out behind a layer that is there, or perhaps there."""
    result = call.interpreter.call(layer, [x], {}, None)
    return join(x, result) if layer.state.get("perhaps") else result


def refined(declared: Tensor, x: Value) -> Value:
    """What comes in, with the sizes that the model declares."""
    if not isinstance(x, Tensor) or x.shape is None or declared.shape is None:
        return declared
    if len(x.shape) != len(declared.shape):
        return declared
    shape = tuple(a if b is None else b for a, b in zip(x.shape, declared.shape, strict=False))
    return x.but(shape=shape)


@infers("keras.Sequential")
def sequential(call: Invocation) -> Value:
    """A model of layers in order."""
    model = call.interpreter.allocate(Symbol("keras.Sequential"), call.node, call.bound)
    model.state["layers"] = []
    for name in ("start", "stretches"):
        model.state.pop(name, None)
    given = call.arg("layers", at=0)
    if given is None:
        return model
    for loop, items in stretches_of(given):
        if loop is not None:  # any number of these
            model.state["loop"] = True
            model.state["layers"].append(UNKNOWN)
        for item in items:
            append(call, model, item)
        if loop is not None:
            model.state["layers"].append(UNKNOWN)
    if model.state.get("loop"):
        model.state["stretches"] = stretches_of(given)
    return model


def append(call: Invocation, model: Instance, layer: Value) -> None:
    """Take a layer in, and run it where it is known what comes in."""
    state = model.state
    if isinstance(layer, GraphTensor):
        state["start"] = state["current"] = without_graph(layer)
        return
    for option in options(layer):
        if not isinstance(option, Instance):
            state["layers"].append(UNKNOWN)
            continue
        if option in state["layers"]:
            continue
        if not state["layers"] and "start" not in state:
            shape = declared_shape(option)
            if shape is not None:
                ids = option.class_names[:1] == ("keras.layers.Embedding",)
                state["start"] = state["current"] = Tensor(
                    shape, "int32" if ids else "float32", "tf"
                )
        state["layers"].append(option)
        if "start" in state:
            state["current"] = passed_through(call, option, state["current"])


def declared_shape(layer: Instance) -> Shape:
    """`input_shape=`, `input_dim=` and `input_length=` of a first layer."""
    written = argument_of(layer.origin, "input_shape")
    shape = shape_from(layer.arguments.get("input_shape"), written)
    if shape is not None:
        return (None, *shape)
    written = argument_of(layer.origin, "batch_input_shape")
    shape = shape_from(layer.arguments.get("batch_input_shape"), written)
    if shape is not None:
        return shape
    width = layer.arguments.get("input_dim")
    length = layer.arguments.get("input_length")
    if layer.class_names[:1] == ("keras.layers.Embedding",):
        return (None, as_dim(length)) if isinstance(length, Value) else None
    if isinstance(width, Value):
        size = as_dim(width) or written_size(argument_of(layer.origin, "input_dim"))
        if isinstance(length, Value):
            return (None, as_dim(length), size)
        return (None, size)
    if "layers" in layer.state and isinstance(layer.state.get("start"), Tensor):
        found: Shape = layer.state["start"].shape
        return found
    inner = layer.arguments.get("layer")
    return declared_shape(inner) if isinstance(inner, Instance) else None


@infers("keras.Sequential.add")
def add_layer(call: Invocation) -> Value:
    model = call.receiver
    layer = call.arg("layer", at=0)
    if isinstance(model, Instance) and layer is not None and "layers" in model.state:
        if call.interpreter.dead:
            return NONE
        if call.interpreter.unsure:
            model.state["loop"] = True
        append(call, model, layer)
    return NONE


@infers("keras.Model", "keras.Model.__init__")
def functional(call: Invocation) -> Value:
    """A model from the inputs and outputs of a graph."""
    inputs, outputs = call.arg("inputs", at=0), call.arg("outputs", at=1)
    if call.receiver is not None:
        model = call.receiver
    else:
        model = call.interpreter.allocate(Symbol("keras.Model"), call.node, dict(call.keywords))
    if isinstance(model, Instance) and inputs is not None and outputs is not None:
        model.state["inputs_of"], model.state["outputs"] = inputs, outputs
        model.state["made"] = call.node
        model.state["frames"] = tuple(call.interpreter.frames)
    return model if call.receiver is None else NONE


@infers("keras.Model.compile")
def compiled(call: Invocation) -> Value:
    """The model remembers how it is trained."""
    model = call.receiver
    if isinstance(model, Instance):
        model.state.setdefault("compiled", {})[call.node] = dict(call.bound)
    return NONE


def is_generator(value: Value | None) -> bool:
    """Whether data is what a generator of the program gives."""
    return isinstance(value, Sequence) and value.kind == "generator"


def data_batch(call: Invocation) -> Value | None:
    """What `fit` and its like hand to the model."""
    x = call.arg("x", "generator", at=0)
    if x is None:
        return None
    if isinstance(x, Instance) or is_generator(x):
        batch = call.interpreter.iterate(x, None)
        items = items_of(batch)
        return items[0] if items else batch
    return without_batch(x)


@infers(
    "keras.Model.fit", "keras.Model.evaluate", "keras.Model.predict", "keras.Model.train_on_batch",
    "keras.Model.predict_on_batch", "keras.Model.test_on_batch",
)  # fmt: skip
def trained(call: Invocation) -> Value:
    """Training and inference call the model on batches of the data."""
    model, batch = call.receiver, data_batch(call)
    result: Value = UNKNOWN
    if isinstance(model, Instance) and batch is not None and batch is not UNKNOWN:
        result = call.interpreter.call(model, [batch], {}, None)
    if isinstance(model, Instance):
        run_steps(call, model)
        run_losses(call, model, result)
    if call.name.endswith("fit"):
        if isinstance(model, Instance):
            introduce(call, model)
        return call.interpreter.allocate(Symbol("keras.callbacks.History"), call.node, {})
    if "predict" in call.name:
        return as_numpy(result)
    return UNKNOWN


def run_losses(call: Invocation, model: Instance, outputs: Value) -> None:
    """The program's own losses and metrics, on targets and outputs."""
    y = call.arg("y", at=1)
    targets: Value | None = without_batch(y) if y is not None else None
    x = call.arg("x", at=0)
    if targets is None and x is not None and (isinstance(x, Instance) or is_generator(x)):
        items = items_of(call.interpreter.iterate(x, None))
        targets = items[1] if items is not None and len(items) > 1 else None
    unknown = Tensor(library="tf")
    targets = unknown if targets is None or targets is UNKNOWN else targets
    alone = items_of(outputs) if isinstance(outputs, (ListObject, Sequence)) else None
    if alone is not None and len(alone) == 1:  # `outputs=[x]`: functions get it without its list
        outputs = alone[0]
    outputs = unknown if outputs is UNKNOWN else outputs
    for given in model.state.get("compiled", {}).values():
        wanted = [given.get("loss"), *(items_of(given.get("metrics", UNKNOWN)) or ())]
        for value in [o for w in wanted if isinstance(w, Value) for o in options(w)]:
            _run_loss(call, value, targets, outputs)


def _run_loss(call: Invocation, value: Value, targets: Value, outputs: Value) -> None:
    if isinstance(value, Function):
        call.call(value, targets, outputs)
    elif isinstance(value, Instance) and isinstance(value.cls, Class):
        for name in ("call", "update_state"):
            function = value.cls.lookup(name)
            if isinstance(function, Function):
                call.interpreter.call_function(function, [value, targets, outputs], {})
        for name in ("result", "reset_state", "reset_states"):
            function = value.cls.lookup(name)
            if isinstance(function, Function):
                call.interpreter.call_function(function, [value], {})


def run_steps(call: Invocation, model: Instance) -> None:
    """The program's own train_step and test_step, on what they are handed."""
    x, y = call.arg("x", at=0), call.arg("y", at=1)
    if x is None or not isinstance(model.cls, Class):
        return
    data = call.interpreter.iterate(x, None) if isinstance(x, Instance) else without_batch(x)
    if y is not None and not is_none(y):
        data = Sequence("tuple", (data, without_batch(y)))
    training = call.name.endswith(("fit", "train_on_batch"))
    for name in ("train_step", "test_step"):
        if isinstance(model.cls.lookup(name), Function) and (training or name == "test_step"):
            call.method(model, name, data)


def as_numpy(value: Value) -> Value:
    """Results as numpy arrays."""
    match value:
        case Tensor():
            return Tensor(value.shape, value.dtype, "numpy")
        case Sequence() | ListObject():
            return ListObject([as_numpy(i) for i in items_of(value) or ()])
        case Mapping():
            return Mapping({k: as_numpy(x) for k, x in value.items.items()})
    return Tensor(library="numpy")


@infers("keras.Layer.add_weight", "keras.Layer.add_variable", "keras.Metric.add_weight")
def add_weight(call: Invocation) -> Value:
    """A layer's own variable."""
    shape = shape_from(call.arg("shape", at=0))
    if call.arg("shape", at=0) is None:
        shape = ()
    given = call.arg("dtype")
    dtype = given.value if isinstance(given, Const) and isinstance(given.value, str) else "float32"
    return Tensor(shape, dtype, "tf", True)


@infers_property("keras.Layer.weights")
def weights(value: Value) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


@infers_property("keras.Layer.trainable_variables")
def trainable_variables(value: Value) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


@infers_property("keras.Layer.trainable_weights")
def trainable_weights(value: Value) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


@infers_property("keras.Layer.variables")
def variables(value: Value) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


@infers_property("keras.Model.history")
def last_history(value: Value) -> Value:
    """What the last fit told."""
    return Instance(Symbol("keras.callbacks.History"))


@infers_property("keras.callbacks.History.history")
def history(value: Value) -> Value:
    return Mapping({}, ListObject(None, Number("float")))


@infers_property("keras.Layer.trainable")
def trainable(value: Value) -> Value:
    return Number("bool")


@infers_property("keras.Layer.input_shape")
def input_shape(value: Value) -> Value:
    seen = value.state.get("input") if isinstance(value, Instance) else None
    return shape_value(seen) if isinstance(seen, Tensor) else UNKNOWN


def shape_value(x: Tensor) -> Value:
    """A shape as a tuple of numbers."""
    if x.shape is None:
        return Sequence("tuple", None, Number("int"))
    return Sequence("tuple", tuple(NONE if d is None else from_dim(d) for d in x.shape))
