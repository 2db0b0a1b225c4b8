"""What tf.data gives: the structure, shapes and dtypes of a pipeline's elements.

A pipeline is an instance of `tf.data.Dataset` whose state holds `element`, the value that iterating
gives, `endless`, whether it repeats for ever, and `uncounted`, whether its length is known only at
its end.
"""

from __future__ import annotations

from collections.abc import Callable

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Dim,
    Instance,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    as_dim,
    element_of,
    is_none,
    items_of,
    join,
    options,
    scalar_type,
)
from transpiler.rule import infers, infers_property
from transpiler.rules.facts_numpy import data_dtype
from transpiler.rules.operands import shape_of_data

PIPELINE = "tf.data.Dataset"
METHOD = PIPELINE + "."
_UNCOUNTED = ("flat_map", "interleave", "filter", "take_while", "unbatch", "from_generator",
              "TextLineDataset", "TFRecordDataset")  # fmt: skip
"""Steps after which nobody knows how many elements there are before they are read."""
_NUMBERS = {"int": "int32", "float": "float32", "bool": "bool", "str": "string"}


def is_pipeline(value: Value) -> bool:
    """Whether a value is a tf.data pipeline."""
    return isinstance(value, Instance) and value.class_names[:1] == (PIPELINE,)


def pipelines(value: Value | None) -> list[Instance]:
    """The pipelines among the alternatives of a value."""
    return [o for o in options(value) if isinstance(o, Instance) and is_pipeline(o)]


def element(value: Value | None) -> Value:
    """What iterating over a pipeline gives."""
    found = [o.state.get("element", UNKNOWN) for o in pipelines(value)]
    return join(*found) if found else UNKNOWN


def made(call: Invocation, content: Value, *sources: Value | None) -> Instance:
    """The pipeline that a call makes out of others."""
    result = call.interpreter.allocate(Symbol(PIPELINE), call.node, dict(call.bound))
    have = result.state.get("element")
    result.state["element"] = content if have is None else join(have, content)
    for word in ("endless", "uncounted"):
        if any(p.state.get(word) for s in sources for p in pipelines(s)):
            result.state[word] = True
    if call.name.rpartition(".")[2] in _UNCOUNTED:
        result.state["uncounted"] = True
    return result


# ---- structures ----------------------------------------------------------------------------------


def mapped(value: Value, change: Callable[[Value], Value]) -> Value:
    """A structure of tensors with each part changed."""
    match value:
        case Sequence() if value.items is not None:
            return Sequence("tuple", tuple(mapped(i, change) for i in value.items))
        case Mapping():
            return Mapping({k: mapped(x, change) for k, x in value.items.items()}, value.element)
    return change(value)


def as_tensor(value: Value) -> Value:
    """Data as a tensor of TensorFlow's."""
    match value:
        case Tensor():
            return Tensor(value.shape, value.dtype, "tf")
        case ListObject():
            kind = scalar_type(element_of(value))
            dtype = _NUMBERS.get(kind or "") or data_dtype(value)
            return Tensor(shape_of_data(value), dtype, "tf")
        case Const() | Number():
            kind = scalar_type(value)
            return Tensor((), _NUMBERS.get(kind or ""), "tf") if kind in _NUMBERS else UNKNOWN
    return value if isinstance(value, Instance) else UNKNOWN


def rows(value: Value) -> Value:
    """One row of each array."""
    return mapped(value, lambda part: _row(as_tensor(part)))


def _row(value: Value) -> Value:
    if isinstance(value, Tensor):
        return Tensor(value.shape[1:] if value.shape else None, value.dtype, "tf")
    return Tensor(library="tf")


def stacked(value: Value, size: Dim = None) -> Value:
    """Elements as a batch of them."""

    def stack(part: Value) -> Value:
        if not isinstance(part, Tensor):
            return Tensor(library="tf")
        shape = None if part.shape is None else (size, *part.shape)
        return Tensor(shape, part.dtype, "tf")

    return mapped(value, stack)


def spread(value: Value) -> list[Value]:
    """The arguments that a function of an element is called with."""
    if isinstance(value, Sequence) and value.items is not None:
        return list(value.items)
    return [value]


def packed(value: Value) -> Value:
    """What a function of an element gives, as an element."""
    match value:
        case Sequence() | ListObject() if items_of(value) is not None:
            return Sequence("tuple", tuple(packed(i) for i in items_of(value) or ()))
        case Mapping():
            return Mapping({k: packed(x) for k, x in value.items.items()}, value.element)
        case Instance() if is_pipeline(value):
            return value
    found = as_tensor(value)
    return Tensor(library="tf") if found is UNKNOWN else found


# ---- sources -------------------------------------------------------------------------------------


@infers(METHOD + "from_tensor_slices")
def from_slices(call: Invocation) -> Value:
    data = call.arg("tensors", at=0) or UNKNOWN
    return made(call, UNKNOWN if data is UNKNOWN else rows(data))


@infers(METHOD + "from_tensors")
def from_tensors(call: Invocation) -> Value:
    data = call.arg("tensors", at=0) or UNKNOWN
    return made(call, UNKNOWN if data is UNKNOWN else mapped(data, as_tensor))


@infers("tf.TensorSpec")
def tensor_spec(call: Invocation) -> Value:
    shape, dtype = call.arg("shape", at=0), call.arg("dtype", at=1)
    made_spec = call.interpreter.allocate(Symbol("tf.TensorSpec"), call.node, dict(call.bound))
    made_spec.state["tensor"] = _typed(dtype, shape)
    return made_spec


def _typed(dtype: Value | None, shape: Value | None) -> Tensor:
    kind = dtype.name.rpartition(".")[2] if isinstance(dtype, Symbol) else None
    if isinstance(dtype, Const) and isinstance(dtype.value, str):
        kind = dtype.value
    dims = items_of(shape) if shape is not None else None
    known = None if dims is None else tuple(None if is_none(d) else as_dim(d) for d in dims)
    return Tensor(known, kind or "float32", "tf")


def signature_of(call: Invocation) -> Value:
    """What `output_signature`, or `output_types` and `output_shapes`, say of a generator."""
    given = call.arg("output_signature")
    if given is not None:
        return mapped(
            given, lambda part: part.state["tensor"]
            if isinstance(part, Instance) and "tensor" in part.state else Tensor(library="tf"),
        )  # fmt: skip
    types, shapes = call.arg("output_types", at=1), call.arg("output_shapes", at=2)
    items = items_of(types) if isinstance(types, (Sequence, ListObject)) else None
    if items is None:
        return _typed(types, shapes) if types is not None else UNKNOWN
    dims = items_of(shapes) if isinstance(shapes, (Sequence, ListObject)) else None
    if dims is None or len(dims) != len(items):
        dims = (None,) * len(items)  # type: ignore[assignment]
    return Sequence("tuple", tuple(_typed(t, s) for t, s in zip(items, dims or (), strict=True)))


@infers(METHOD + "from_generator")
def from_generator(call: Invocation) -> Value:
    generator = call.arg("generator", at=0)
    if generator is not None:
        given = call.arg("args")
        call.call(generator, *(items_of(given) or () if given is not None else ()))
    return made(call, signature_of(call))


@infers(METHOD + "range")
def counting(call: Invocation) -> Value:
    return made(call, Tensor((), "int64", "tf"))


@infers(
    METHOD + "list_files", "tf.data.TextLineDataset", "tf.data.TFRecordDataset",
    "tf.data.FixedLengthRecordDataset",
)  # fmt: skip
def strings(call: Invocation) -> Value:
    return made(call, Tensor((), "string", "tf"))


@infers(METHOD + "zip")
def zipped(call: Invocation) -> Value:
    given = list(call.positional)
    if len(given) == 1 and not is_pipeline(given[0]):
        given = list(items_of(given[0]) or ())
    elif not given and "datasets" in call.keywords:
        given = list(items_of(call.keywords["datasets"]) or ())
    return made(call, Sequence("tuple", tuple(element(g) for g in given)), *given[:1])


@infers(
    METHOD + "sample_from_datasets", METHOD + "choose_from_datasets",
    "tf.data.experimental.sample_from_datasets", "tf.data.experimental.choose_from_datasets",
)  # fmt: skip
def mixed(call: Invocation) -> Value:
    given = call.arg("datasets", at=0)
    return made(call, element(element_of(given)) if given is not None else UNKNOWN)


# ---- steps ---------------------------------------------------------------------------------------


@infers(
    *(METHOD + n for n in ("shuffle", "prefetch", "cache", "take", "skip", "with_options",
                           "shard", "snapshot", "filter", "take_while", "unique",
                           "ignore_errors"))
)  # fmt: skip
def same(call: Invocation) -> Value:
    """Steps that give the elements on as they are."""
    content = element(call.receiver)
    if call.name.endswith(("filter", "take_while")):
        predicate = call.arg("predicate", at=0)
        if predicate is not None:
            call.call(predicate, *spread(content))
    result = made(call, content, call.receiver)
    if call.name.endswith(".take"):
        result.state.pop("endless", None)
    return result


@infers(METHOD + "concatenate")
def chained(call: Invocation) -> Value:
    other = call.arg("dataset", at=0)
    return made(call, join(element(call.receiver), element(other)), call.receiver)


@infers(METHOD + "repeat")
def repeated(call: Invocation) -> Value:
    result = made(call, element(call.receiver), call.receiver)
    count = call.arg("count", at=0)
    if count is None or is_none(count) or count == Const(-1):
        result.state["endless"] = True
    return result


@infers(METHOD + "map")
def map_elements(call: Invocation) -> Value:
    function = call.arg("map_func", at=0)
    result = call.call(function, *spread(element(call.receiver))) if function else UNKNOWN
    return made(call, packed(result), call.receiver)


@infers(METHOD + "flat_map", METHOD + "interleave")
def flat_map(call: Invocation) -> Value:
    function = call.arg("map_func", at=0)
    result = call.call(function, *spread(element(call.receiver))) if function else UNKNOWN
    return made(call, element(result), call.receiver)


@infers(METHOD + "batch")
def batched(call: Invocation) -> Value:
    size, drop = call.arg("batch_size", at=0), call.arg("drop_remainder", at=1)
    known = as_dim(size) if size is not None and drop == Const(True) else None
    return made(call, stacked(element(call.receiver), known), call.receiver)


@infers(METHOD + "padded_batch")
def padded(call: Invocation) -> Value:
    def open_axes(part: Value) -> Value:
        if isinstance(part, Tensor) and part.shape is not None:
            return part.but(shape=(None,) * len(part.shape))
        return part

    content = stacked(mapped(element(call.receiver), open_axes))
    return made(call, content, call.receiver)


@infers(METHOD + "window")
def windows(call: Invocation) -> Value:
    """Elements that are pipelines themselves, of up to `size` elements."""

    def window(part: Value) -> Value:
        inner = Instance(Symbol(PIPELINE), {}, {}, call.node)
        inner.state.update(element=part, window=True)
        return inner

    return made(call, mapped(element(call.receiver), window), call.receiver)


@infers(METHOD + "unbatch")
def unbatched(call: Invocation) -> Value:
    return made(call, rows(element(call.receiver)), call.receiver)


@infers(METHOD + "enumerate")
def enumerated(call: Invocation) -> Value:
    pair = Sequence("tuple", (Tensor((), "int64", "tf"), element(call.receiver)))
    return made(call, pair, call.receiver)


@infers(METHOD + "apply")
def applied(call: Invocation) -> Value:
    function = call.arg("transformation_func", at=0)
    result = call.call(function, call.receiver or UNKNOWN) if function is not None else UNKNOWN
    if pipelines(result):
        return result
    return made(call, element(call.receiver), call.receiver)


@infers(METHOD + "reduce")
def reduced(call: Invocation) -> Value:
    start, function = call.arg("initial_state", at=0), call.arg("reduce_func", at=1)
    first = packed(start) if start is not None else UNKNOWN
    if function is None:
        return UNKNOWN
    return packed(call.call(function, first, *[element(call.receiver)]))


# ---- reading -------------------------------------------------------------------------------------


@infers(METHOD + "__iter__")
def iterated(call: Invocation) -> Value:
    return Sequence("generator", None, element(call.receiver))


@infers(METHOD + "as_numpy_iterator")
def as_numpy(call: Invocation) -> Value:
    def plain(part: Value) -> Value:
        if isinstance(part, Tensor):
            return Tensor(part.shape, part.dtype, "numpy")
        return part

    return Sequence("generator", None, mapped(element(call.receiver), plain))


@infers(METHOD + "get_single_element")
def single(call: Invocation) -> Value:
    return element(call.receiver)


@infers(METHOD + "cardinality", "tf.data.experimental.cardinality")
def cardinality(call: Invocation) -> Value:
    return Tensor((), "int64", "tf")


@infers(METHOD + "__len__")
def length(call: Invocation) -> Value:
    return Number("int")


@infers_property(METHOD + "element_spec")
def element_spec(value: Value) -> Value:
    return element(value)


# ---- Keras' own pipelines ------------------------------------------------------------------------


@infers("keras.utils.image_dataset_from_directory")
def images_of_folder(call: Invocation) -> Value:
    """Batches of float images, with labels as `label_mode` says."""
    size = items_of(call.arg("image_size") or Const((256, 256))) or (Const(None),) * 2
    mode, colours = call.arg("label_mode"), call.arg("color_mode")
    channels = {"grayscale": 1, "rgba": 4}.get(getattr(colours, "value", "rgb"), 3)
    images = Tensor((None, *(as_dim(s) for s in size), channels), "float32", "tf")
    given = call.arg("batch_size")
    if given == NONE:
        images = Tensor(images.shape[1:] if images.shape else None, "float32", "tf")
    labels: Value = Tensor((None,), "int32", "tf")
    if mode == Const("categorical"):
        labels = Tensor((None, None), "float32", "tf")
    elif mode == Const("binary"):
        labels = Tensor((None, 1), "float32", "tf")
    content: Value = images if mode == NONE else Sequence("tuple", (images, labels))
    result = made(call, content)
    result.attributes["class_names"] = ListObject(None, Number("str"))
    return result


@infers("keras.utils.timeseries_dataset_from_array")
def series_windows(call: Invocation) -> Value:
    """Batches of windows over rows, with targets where they are given."""
    data, targets = call.arg("data", at=0), call.arg("targets", at=1)
    length = call.arg("sequence_length", at=2)
    size = as_dim(length) if length is not None else None
    inputs = Tensor(library="tf")
    if isinstance(data, Tensor) and data.shape is not None:
        inputs = Tensor((None, size, *data.shape[1:]), data.dtype, "tf")
    if targets is None or is_none(targets):
        return made(call, inputs)
    goal = stacked(_row(as_tensor(targets)))
    return made(call, Sequence("tuple", (inputs, goal)))
