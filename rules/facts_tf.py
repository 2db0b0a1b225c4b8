"""Facts of TensorFlow's tensors: new ones, constants, attributes, and what leaves for Python."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    ListObject,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    from_dim,
    items_of,
    join,
)
from transpiler.rule import Inference, infers, infers_property
from transpiler.rules.operands import DTYPES, dims_of, product
from transpiler.rules.tf_operands import (
    Given,
    as_tensor,
    data_dtype,
    dims_from,
    dtype_named,
    everywhere,
    is_number,
    members,
)

# ---- new tensors ------------------------------------------------------------------------------


@infers(
    "tf.constant", "tf.convert_to_tensor", "keras.ops.convert_to_tensor", "keras.ops.array",
    "tf.Variable", "keras.Variable", "keras.backend.variable", "keras.backend.constant",
    "tf.convert_to_tensor_or_sparse_tensor", "tf.make_tensor_proto",
)  # fmt: skip
def data(call: Invocation) -> Value:
    given = Given(call)
    value = given.arg("value", "initial_value", "initializer", "x") or given.first
    if isinstance(value, Const) and isinstance(value.value, str):
        return Tensor((), "string", "tf")
    if callable_value(value):
        value = call.call(value or UNKNOWN)
    x = as_tensor(value)
    dtype = given.dtype() if given.arg("dtype") is not None else x.dtype
    shape = x.shape
    if given.arg("shape") is not None:
        shape = dims_from(given.arg("shape"))
    return Tensor(shape, dtype, "tf", call.name.lower().endswith("variable"))


def callable_value(value: Value | None) -> bool:
    """Whether an initial value is a function that makes it."""
    from transpiler.infer.values import Function

    return isinstance(value, Function)


@infers(*everywhere("zeros", "ones"), "keras.ops.empty", "tf.random.normal", "tf.random.uniform",
        "tf.random.truncated_normal", "tf.random.stateless_normal", "tf.random.stateless_uniform",
        "tf.random.gamma", "tf.random.poisson", "keras.random.normal", "keras.random.uniform",
        "keras.random.randint", "keras.random.truncated_normal", "keras.backend.random_normal",
        "keras.backend.random_uniform", "keras.backend.truncated_normal",
        "keras.backend.random_bernoulli", "keras.backend.random_binomial",
        "tf.random.Generator.normal", "tf.random.Generator.uniform",
        "tf.random.Generator.truncated_normal")  # fmt: skip
def filled(call: Invocation) -> Value:
    given = Given(call)
    usual = "int32" if call.name.endswith("randint") else "float32"
    shape = given.arg("shape") or (call.positional[0] if call.positional else None)
    return Tensor(dims_from(shape), given.dtype(usual), "tf")


@infers("tf.fill", "keras.ops.full")
def full(call: Invocation) -> Value:
    given = Given(call)
    value = given.arg("value", "fill_value")
    dtype = given.dtype() if given.arg("dtype") is not None else data_dtype(value)
    return Tensor(dims_from(given.arg("dims", "shape")), dtype, "tf")


@infers(*everywhere("zeros_like", "ones_like", "full_like", "empty_like"))
def like(call: Invocation) -> Value:
    given = Given(call)
    return given.x.but(dtype=given.dtype(given.x.dtype))


@infers(*everywhere("eye", "identity_matrix"))
def eye(call: Invocation) -> Value:
    given = Given(call)
    rows = given.arg("num_rows", "N", "size") or given.first
    columns = given.arg("num_columns", "M") or rows
    shape = dims_of([v for v in (rows, columns) if v is not None])
    batch = given.arg("batch_shape")
    if batch is not None and shape is not None:
        front = dims_from(batch)
        shape = None if front is None else (*front, *shape)
    return Tensor(shape, given.dtype("float32"), "tf")


@infers(*everywhere("range", "arange"))
def numbers(call: Invocation) -> Value:
    given = Given(call)
    bounds = list(call.positional[:3]) or [
        v for v in (given.arg("start"), given.arg("limit", "stop")) if v is not None
    ]
    known = [b.value for b in bounds if isinstance(b, Const)]
    size = None
    if len(known) == len(bounds) and all(isinstance(k, int) for k in known) and known:
        size = len(range(*known)) if given.arg("delta", "step") is None else None
    elif len(bounds) == 1 and isinstance(bounds[0], Number):
        size = bounds[0].symbol  # type: ignore[assignment]
    kinds = {data_dtype(b) for b in bounds}
    usual = kinds.pop() if len(kinds) == 1 else "float32" if "float32" in kinds else None
    return Tensor((size,), given.dtype(usual), "tf")


@infers(*everywhere("linspace", "logspace"))
def linspace(call: Invocation) -> Value:
    given = Given(call)
    count = given.arg("num") or (call.positional[2] if len(call.positional) > 2 else None)
    size = count.value if isinstance(count, Const) else None
    return Tensor((size,), given.dtype("float32"), "tf")


@infers("tf.random.categorical", "keras.random.categorical")
def categorical(call: Invocation) -> Value:
    given = Given(call)
    count = given.integer("num_samples")
    rows = given.x.shape[0] if given.x.shape else None
    return Tensor((rows, count), given.dtype("int64"), "tf")


@infers("tf.random.shuffle", "keras.random.shuffle", "tf.random.experimental.stateless_shuffle")
def shuffled(call: Invocation) -> Value:
    return Given(call).x


@infers("tf.random.Generator.from_seed", "tf.random.Generator.from_non_deterministic_state",
        "tf.random.get_global_generator")  # fmt: skip
def generator(call: Invocation) -> Value:
    return call.interpreter.allocate(Symbol("tf.random.Generator"), call.node, {})


@infers("tf.random.set_seed", "keras.utils.set_random_seed", "tf.print",
        "tf.no_op", "tf.debugging.assert_equal", "tf.debugging.Assert", "keras.backend.set_floatx",
        "tf.Tensor.set_shape", "keras.backend.clear_session")  # fmt: skip
def nothing(call: Invocation) -> Value:
    return NONE


# ---- numbers of the host ----------------------------------------------------------------------


@infers("keras.backend.epsilon", "keras.config.epsilon")
def epsilon(call: Invocation) -> Value:
    return Const(1e-7)


@infers("keras.config.floatx", "keras.backend.floatx")
def floatx(call: Invocation) -> Value:
    return Const("float32")


@infers("keras.config.image_data_format", "keras.backend.image_data_format")
def image_data_format(call: Invocation) -> Value:
    return Const("channels_last")


@infers("tf.executing_eagerly")
def eagerly(call: Invocation) -> Value:
    return Const(True)


@infers("tf.is_tensor", "keras.ops.is_tensor", "keras.backend.is_keras_tensor")
def is_tensor(call: Invocation) -> Value:
    return Number("bool")


# ---- shapes -----------------------------------------------------------------------------------


def sizes_of(x: Value | None) -> Value:
    """All sizes of a tensor as numbers."""
    shape = x.shape if isinstance(x, Tensor) else None
    if shape is None:
        return Sequence("tuple", None, Number("int"))
    return Sequence("tuple", tuple(from_dim(d) for d in shape))


@infers("tf.shape", "keras.ops.shape", "keras.backend.shape", "keras.backend.int_shape",
        "tf.Tensor.get_shape", "tf.Variable.get_shape", "tf.shape_n")  # fmt: skip
def shape(call: Invocation) -> Value:
    """The sizes: numbers, as the translation has them too."""
    return sizes_of(as_tensor(Given(call).first))


@infers_property(*members("shape"))
def shape_property(value: Value) -> Value:
    return sizes_of(value)


@infers(*everywhere("rank", "ndim"))
def rank(call: Invocation) -> Value:
    found = Given(call).x.rank
    return Number("int") if found is None else Const(found)


@infers_property(*members("ndim"))
def ndim(value: Value) -> Value:
    found = value.rank if isinstance(value, Tensor) else None
    return Number("int") if found is None else Const(found)


@infers(*everywhere("size", "count_params"))
def size(call: Invocation) -> Value:
    total = product(Given(call).x.shape)
    return Number("int") if total is None else Const(total)


@infers("tf.TensorShape")
def tensor_shape(call: Invocation) -> Value:
    items = items_of(call.positional[0]) if call.positional else None
    return Sequence("tuple", items, Number("int"))


# ---- attributes and methods -------------------------------------------------------------------


@infers("builtins.as_list", "builtins.numpy")
def of_sizes(call: Invocation) -> Value:
    """Sizes, which are plain numbers here, asked for as a list or as an array."""
    items = items_of(call.receiver) if isinstance(call.receiver, Sequence) else None
    if items is not None and call.name.endswith("as_list"):
        return ListObject(list(items))
    return call.receiver or UNKNOWN


@infers_property("builtins.ndims", "builtins.rank")
def of_shape(value: Value) -> Value:
    items = items_of(value)
    return Number("int") if items is None else Const(len(items))


@infers_property(*members("dtype"))
def dtype(value: Value) -> Value:
    known = value.dtype if isinstance(value, Tensor) else None
    return UNKNOWN if known is None else Symbol(f"tf.{known}")


@infers_property(*members("device", "name"))
def texts(value: Value) -> Value:
    return Number("str")


@infers(*members("numpy", "__array__"), "keras.backend.get_value", "keras.ops.convert_to_numpy",
        "tf.get_static_value", "tf.make_ndarray")  # fmt: skip
def numpy(call: Invocation) -> Value:
    x = call.receiver if call.receiver is not None else call.arg("x", "tensor", at=0)
    if isinstance(x, Tensor):
        return Tensor(x.shape, x.dtype, "numpy")
    return x if is_number(x) and x is not None else Tensor(library="numpy")


@infers(*members("assign", "assign_add", "assign_sub", "value", "read_value"),
        "tf.Variable.initialized_value", "keras.backend.update", "keras.backend.update_add",
        "keras.backend.update_sub")  # fmt: skip
def variable_value(call: Invocation) -> Value:
    x = call.receiver if call.receiver is not None else call.arg("x", at=0)
    if not isinstance(x, Tensor):
        return Tensor(library="tf")
    return Tensor(x.shape, x.dtype, "tf", "assign" in call.name)


@infers("tf.Variable.scatter_nd_update", "tf.Variable.scatter_update")
def scattered(call: Invocation) -> Value:
    return call.receiver or UNKNOWN


@infers_property("tf.Variable.trainable")
def trainable(value: Value) -> Value:
    return Number("bool")


@infers(*everywhere("identity", "stop_gradient", "check_numerics", "ensure_shape", "copy",
                    "guarantee_const", "grad_pass_through"),
        "tf.debugging.check_numerics", "tf.debugging.assert_all_finite")  # fmt: skip
def same(call: Invocation) -> Value:
    if call.name == "keras.activations.identity":
        return Given(call).x
    x = Given(call).x
    wanted = call.arg("shape") if call.name.endswith("ensure_shape") else None
    return x.but(shape=dims_from(wanted)) if wanted is not None and x.shape is None else x


@infers(*everywhere("cast", "saturate_cast"), "tf.bitcast", "tf.image.convert_image_dtype")
def cast(call: Invocation) -> Value:
    """A cast; a number stays a number of the host."""
    given = Given(call)
    asked = given.arg("dtype", "type")
    name = dtype_named(asked)
    if given.on_number and name is not None and not call.name.endswith("dtype"):
        kind = "float" if "float" in name else "bool" if name == "bool" else "int"
        if isinstance(given.first, Const) and kind == "float":
            return Const(float(given.first.value))
        if isinstance(given.first, Number) and given.first.type == kind:
            return given.first
        return Number(kind)
    return given.x.but(dtype=name)


@infers("tf.function", "tf.autograph.experimental.do_not_convert", "tf.custom_gradient",
        "tf.recompute_grad")  # fmt: skip
def decorated(call: Invocation) -> Value:
    """The function itself; with arguments, a decorator that gives it back."""
    found = call.arg("func", "f", "python_function", at=0)
    return Symbol(call.name) if found is None else found


@infers("tf.numpy_function", "tf.py_function", "tf.py_func")
def host_function(call: Invocation) -> Value:
    kinds = call.arg("Tout", at=2)
    items = items_of(kinds) if kinds is not None else None
    if items is None:
        return Tensor(None, dtype_named(kinds), "tf")
    return Sequence("list", tuple(Tensor(None, dtype_named(i), "tf") for i in items))


@infers("tf.cond", "tf.case", "keras.backend.switch", "keras.ops.cond")
def choice(call: Invocation) -> Value:
    """Either function's result."""
    found = []
    for value in (call.arg("true_fn", at=1), call.arg("false_fn", at=2)):
        if value is not None:
            found.append(call.call(value) if not isinstance(value, Tensor) else value)
    return join(*found) if found else UNKNOWN


@infers("tf.nest.map_structure")
def mapped_structure(call: Invocation) -> Value:
    function, structures = call.positional[0], call.positional[1:]
    if structures and isinstance(structures[0], Tensor):
        return call.call(function, *structures)
    return UNKNOWN


def _constant(name: str, value: Value) -> Inference:
    return infers_property(name)(lambda owner: value)


CONSTANTS = [_constant("tf.newaxis", NONE), _constant("keras.ops.newaxis", NONE)]
DTYPE_PROPERTIES = [
    _constant(f"tf.{name}.{attribute}", value)
    for name in sorted(DTYPES)
    for attribute, value in (("name", Const(name)), ("is_floating", Const("float" in name)))
]
"""What `tf.float32.name` says."""


@infers("tf.random.Generator")
def new_generator(call: Invocation) -> Value:
    return call.interpreter.knowledge.construct(call)


@infers("tf.Module.__init__", "tf.Module")
def module(call: Invocation) -> Value:
    if isinstance(call.receiver, Instance):
        return NONE
    return call.interpreter.knowledge.construct(call)
