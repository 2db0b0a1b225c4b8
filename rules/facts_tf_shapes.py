"""Facts of TensorFlow's and Keras' functions that rearrange: shapes, axes, joining, gathering."""

from __future__ import annotations

from transpiler.infer.arrays import arithmetic, broadcast
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    ListObject,
    Number,
    Sequence,
    Shape,
    Tensor,
    Value,
    element_of,
    items_of,
    scalar_type,
)
from transpiler.rule import infers
from transpiler.rules.facts_torch_shapes import fill_in
from transpiler.rules.operands import integers, normal_axis, product
from transpiler.rules.tf_operands import Given, as_tensor, dims_from, everywhere, is_number


@infers(*everywhere("reshape"))
def reshaped(call: Invocation) -> Value:
    given = Given(call)
    wanted = given.arg("shape", "newshape")
    return given.x.but(shape=fill_in(given.x.shape, dims_from(wanted)))


@infers("keras.backend.flatten", "keras.backend.batch_flatten", "keras.ops.ravel")
def flattened(call: Invocation) -> Value:
    x = Given(call).x
    if call.name.endswith("batch_flatten") and x.shape:
        return x.but(shape=(x.shape[0], product(x.shape[1:])))
    return x.but(shape=(product(x.shape),))


@infers(*everywhere("transpose", "permute_dimensions"))
def transposed(call: Invocation) -> Value:
    given = Given(call)
    x, perm = given.x, given.arg("perm", "axes", "pattern")
    if x.shape is None:
        found = integers(perm)
        return x.but(shape=(None,) * len(found)) if found else x
    if perm is None:
        return x.but(shape=x.shape[::-1])
    axes = integers(perm)
    if axes is None or len(axes) != len(x.shape):
        return x.but(shape=(None,) * len(x.shape))
    return x.but(shape=tuple(x.shape[a] for a in axes))


@infers("tf.linalg.matrix_transpose", "tf.linalg.adjoint", "keras.ops.swapaxes")
def matrix_transposed(call: Invocation) -> Value:
    given = Given(call)
    shape = given.x.shape
    if shape is None or len(shape) < 2:
        return given.x
    a, b = given.integer("axis1", default=-1), given.integer("axis2", default=-2)
    if a is None or b is None:
        return given.x.but(shape=(None,) * len(shape))
    dims = list(shape)
    dims[a], dims[b] = dims[b], dims[a]
    return given.x.but(shape=tuple(dims))


@infers("keras.ops.moveaxis", "tf.experimental.numpy.moveaxis")
def moved(call: Invocation) -> Value:
    x = Given(call).x
    return x.but(shape=None if x.shape is None else (None,) * len(x.shape))


@infers(*everywhere("expand_dims"))
def expanded(call: Invocation) -> Value:
    given = Given(call)
    x, axis = given.x, given.integer("axis", default=-1 if "backend" in call.name else None)
    if x.shape is None or axis is None:
        return x.but(shape=None)
    axis = axis + len(x.shape) + 1 if axis < 0 else axis
    return x.but(shape=(*x.shape[:axis], 1, *x.shape[axis:]))


@infers(*everywhere("squeeze"))
def squeezed(call: Invocation) -> Value:
    given = Given(call)
    x, axis = given.x, given.arg("axis", "squeeze_dims")
    if x.shape is None:
        return x
    if axis is None:
        if all(isinstance(d, int) for d in x.shape):
            return x.but(shape=tuple(d for d in x.shape if d != 1))
        return x.but(shape=None)
    axes = integers(axis)
    if axes is None:
        return x.but(shape=None)
    gone = {normal_axis(a, len(x.shape)) for a in axes}
    return x.but(shape=tuple(d for i, d in enumerate(x.shape) if i not in gone))


def parts_of(value: Value | None) -> list[Tensor] | None:
    """The tensors of a list of them."""
    items = items_of(value) if value is not None else None
    return None if items is None else [as_tensor(i) for i in items]


def joined_sizes(value: Value | None) -> Value | None:
    """Sizes in one list, such as `[tf.shape(x)[:-1], [4]]`; None where it is something else."""
    parts = items_of(value) if value is not None else None
    if not parts or not any(isinstance(p, Sequence) for p in parts):
        return None
    if not all(isinstance(p, (Sequence, ListObject)) for p in parts):
        return None
    held = [items_of(p) for p in parts]
    known = [i for items in held for i in items or ()]
    if not all(is_number(i) for i in known):
        return None
    if any(items is None for items in held):
        whole = all(is_number(element_of(p)) for p in parts)
        return ListObject(None, Number("int")) if whole else None
    return ListObject(known)


@infers(*everywhere("concat", "concatenate", "hstack", "vstack"))
def concatenated(call: Invocation) -> Value:
    given = Given(call)
    sizes = joined_sizes(given.first)
    if sizes is not None:
        return sizes
    parts = parts_of(given.first)
    usual = 0 if not call.name.startswith("keras.backend") else -1
    axis = given.integer("axis", default=usual)
    if not parts:
        inner = as_tensor(element_of(given.first or UNKNOWN))
        return inner.but(shape=None if inner.shape is None else (None,) * len(inner.shape))
    dtype = next((p.dtype for p in parts if p.dtype is not None), None)
    whole = next((p.shape for p in parts if p.shape is not None), None)
    if whole is None or axis is None or call.name.endswith("stack") or not whole:
        return Tensor(None if whole is None else (None,) * len(whole), dtype, "tf")
    at = normal_axis(axis, len(whole))
    lengths = [p.shape[at] if p.shape is not None and at < len(p.shape) else None for p in parts]
    total = sum(n for n in lengths if isinstance(n, int))
    known = total if all(isinstance(n, int) for n in lengths) else None
    return Tensor((*whole[:at], known, *whole[at + 1 :]), dtype, "tf")


@infers(*everywhere("stack", "parallel_stack"))
def stacked(call: Invocation) -> Value:
    given = Given(call)
    held = items_of(given.first) if given.first is not None else None
    if held and all(scalar_type(i) == "int" for i in held):
        return ListObject(list(held))  # sizes
    parts = parts_of(given.first)
    axis = given.integer("axis", default=0)
    count: Dim = len(parts) if parts is not None else None
    inner = parts[0] if parts else as_tensor(element_of(given.first or UNKNOWN))
    if inner.shape is None or axis is None:
        return inner.but(shape=None)
    at = axis + len(inner.shape) + 1 if axis < 0 else axis
    return inner.but(shape=(*inner.shape[:at], count, *inner.shape[at:]))


@infers(*everywhere("unstack"))
def unstacked(call: Invocation) -> Value:
    given = Given(call)
    if isinstance(given.first, Sequence):  # the sizes that tf.shape gave
        return Sequence("list", given.first.items, given.first.element)
    axis = given.integer("axis", default=0)
    x = given.x
    if x.shape is None or axis is None or not x.shape:
        return Sequence("list", None, x.but(shape=None))
    at = normal_axis(axis, len(x.shape))
    part = x.but(shape=(*x.shape[:at], *x.shape[at + 1 :]))
    count = x.shape[at]
    if isinstance(count, int) and count <= 64:
        return Sequence("list", (part,) * count)
    return Sequence("list", None, part)


@infers(*everywhere("split"), "keras.ops.array_split")
def split(call: Invocation) -> Value:
    given = Given(call)
    x = given.x
    axis = given.integer("axis", default=0)
    sizes = given.arg("num_or_size_splits", "indices_or_sections")
    count = sizes.value if isinstance(sizes, Const) and isinstance(sizes.value, int) else None
    listed = items_of(sizes) if sizes is not None else None
    if x.shape is None or axis is None or not x.shape:
        part = x.but(shape=None)
        parts = (part,) * (count or len(listed or ()))
        return Sequence("list", parts or None, part)
    at = normal_axis(axis, len(x.shape))

    def part_of(size: Dim) -> Tensor:
        assert x.shape is not None
        return x.but(shape=(*x.shape[:at], size, *x.shape[at + 1 :]))

    whole = x.shape[at]
    if count:
        size = whole // count if isinstance(whole, int) else None
        return Sequence("list", (part_of(size),) * count)
    if listed is not None and "keras" not in call.name:
        dims = dims_from(ListObject(list(listed))) or ()
        return Sequence("list", tuple(part_of(None if d == -1 else d) for d in dims))
    return Sequence("list", None, part_of(None))


@infers(*everywhere("tile", "broadcast_to"))
def tiled(call: Invocation) -> Value:
    given = Given(call)
    x = given.x
    if call.name.endswith("broadcast_to"):
        return x.but(shape=dims_from(given.arg("shape")))
    counts = dims_from(given.arg("multiples", "repeats", "n"))
    if x.shape is None or counts is None or len(counts) != len(x.shape):
        return x.but(shape=None if counts is None else (None,) * len(counts))
    return x.but(shape=tuple(_times(d, c) for d, c in zip(x.shape, counts, strict=True)))


def _times(dim: Dim, count: Dim) -> Dim:
    if isinstance(dim, int) and isinstance(count, int):
        return dim * count
    return dim if count == 1 else count if dim == 1 else None


@infers(*everywhere("repeat", "repeat_elements"))
def repeated(call: Invocation) -> Value:
    given = Given(call)
    x, axis = given.x, given.integer("axis")
    count = given.integer("repeats", "rep")
    if given.arg("axis") is None:
        total = product(x.shape)
        return x.but(shape=(total * count if total is not None and count else None,))
    if x.shape is None or axis is None:
        return x.but(shape=None)
    at = normal_axis(axis, len(x.shape))
    return x.but(shape=(*x.shape[:at], _times(x.shape[at], count), *x.shape[at + 1 :]))


@infers(*everywhere("pad"))
def padded(call: Invocation) -> Value:
    given = Given(call)
    x, paddings = given.x, given.arg("paddings", "pad_width")
    pairs = [integers(p) for p in items_of(paddings) or ()] if paddings is not None else []
    if x.shape is None or len(pairs) != len(x.shape):
        return x.but(shape=None if x.shape is None else (None,) * len(x.shape))
    dims: list[Dim] = []
    for dim, pair in zip(x.shape, pairs, strict=True):
        known = isinstance(dim, int) and pair is not None
        dims.append(dim + sum(pair) if known and isinstance(dim, int) and pair else None)
        if pair is not None and not any(pair):
            dims[-1] = dim
    return x.but(shape=tuple(dims))


@infers(*everywhere("slice", "strided_slice"))
def sliced(call: Invocation) -> Value:
    given = Given(call)
    sizes = dims_from(given.arg("size", "shape"))
    if sizes is None or call.name.endswith("strided_slice"):
        rank = given.x.rank
        return given.x.but(shape=None if rank is None else (None,) * rank)
    return given.x.but(shape=tuple(None if d == -1 else d for d in sizes))


# ---- gathering --------------------------------------------------------------------------------


@infers(*everywhere("gather", "take", "embedding_lookup"))
def gathered(call: Invocation) -> Value:
    given = Given(call)
    x, index = given.x, as_tensor(given.arg("indices", "ids"))
    axis, batch = given.integer("axis", default=None), given.integer("batch_dims", default=0)
    if given.arg("axis") is None:
        axis = batch
    if x.shape is None or index.shape is None or axis is None or batch is None:
        return x.but(shape=None)
    at = normal_axis(axis, len(x.shape))
    return x.but(shape=(*x.shape[:at], *index.shape[batch:], *x.shape[at + 1 :]))


@infers(*everywhere("gather_nd"))
def gathered_nd(call: Invocation) -> Value:
    given = Given(call)
    x, index = given.x, as_tensor(given.arg("indices"))
    batch = given.integer("batch_dims", default=0) or 0
    if x.shape is None or not index.shape or not isinstance(index.shape[-1], int):
        return x.but(shape=None)
    return x.but(shape=(*index.shape[:-1], *x.shape[batch + index.shape[-1] :]))


@infers("keras.ops.take_along_axis")
def along(call: Invocation) -> Value:
    given = Given(call)
    return given.x.but(shape=as_tensor(given.arg("indices")).shape)


@infers(*everywhere("boolean_mask"))
def masked(call: Invocation) -> Value:
    given = Given(call)
    mask = as_tensor(given.arg("mask"))
    x = given.x
    if x.shape is None or mask.shape is None:
        return x.but(shape=None)
    return x.but(shape=(None, *x.shape[len(mask.shape) :]))


@infers(*everywhere("one_hot"))
def one_hot(call: Invocation) -> Value:
    given = Given(call)
    x = as_tensor(given.arg("indices", "x") or given.first)
    depth = given.arg("depth", "num_classes")
    size = depth.value if isinstance(depth, Const) else None
    axis = given.integer("axis", default=-1)
    shape: Shape = None
    if x.shape is not None and axis is not None:
        at = len(x.shape) if axis == -1 else axis
        shape = (*x.shape[:at], size, *x.shape[at:])
    return Tensor(shape, given.dtype("float32"), "tf")


@infers(*everywhere("where"))
def where(call: Invocation) -> Value:
    given = Given(call)
    condition = given.x
    yes, no = given.arg("x", "x1"), given.arg("y", "x2")
    if yes is None or no is None:
        if call.name.startswith("keras.ops"):
            index = Tensor((None,), "int32", "tf")
            return Sequence("tuple", None, index)
        return Tensor((None, condition.rank), "int64", "tf")
    if is_number(yes) and is_number(no):
        kind = as_tensor(yes)
        return kind.but(shape=condition.shape)
    left = yes if is_number(yes) else as_tensor(yes)
    right = no if is_number(no) else as_tensor(no)
    merged = arithmetic("Add", left, right)
    shape = merged.shape if isinstance(merged, Tensor) else None
    dtype = merged.dtype if isinstance(merged, Tensor) else None
    return Tensor(broadcast(shape, condition.shape), dtype, "tf")


@infers("tf.scatter_nd", "keras.ops.scatter")
def scattered(call: Invocation) -> Value:
    given = Given(call)
    updates = as_tensor(given.arg("updates", "values"))
    return updates.but(shape=dims_from(given.arg("shape")))


@infers("tf.tensor_scatter_nd_update", "tf.tensor_scatter_nd_add", "tf.tensor_scatter_nd_sub",
        "keras.ops.scatter_update", "keras.ops.slice_update")  # fmt: skip
def updated(call: Invocation) -> Value:
    return Given(call).x


@infers(*everywhere("meshgrid"))
def meshgrid(call: Invocation) -> Value:
    parts = [as_tensor(v) for v in call.positional]
    known = all(p.shape is not None and len(p.shape) == 1 for p in parts)
    shape: Shape = tuple(p.shape[0] for p in parts if p.shape) if known else None
    indexing = call.keywords.get("indexing")
    if shape is not None and len(shape) > 1 and indexing != Const("ij"):
        shape = (shape[1], shape[0], *shape[2:])
    return Sequence("list", tuple(p.but(shape=shape) for p in parts))


@infers(*everywhere("argsort", "searchsorted", "bincount", "histogram_fixed_width"))
def order(call: Invocation) -> Value:
    x = Given(call).x
    shape = x.shape if call.name.endswith("argsort") else None
    return Tensor(shape, "int32", "tf")


@infers("tf.unique", "tf.unique_with_counts")
def unique(call: Invocation) -> Value:
    x = Given(call).x
    index = Tensor(x.shape, "int32", "tf")
    parts = (x.but(shape=(None,)), index)
    if call.name.endswith("counts"):
        return Sequence("tuple:y,idx,count", (*parts, Tensor((None,), "int32", "tf")))
    return Sequence("tuple:y,idx", parts)


@infers("tf.math.segment_sum", "tf.math.segment_mean", "tf.math.segment_max",
        "tf.math.unsorted_segment_sum", "tf.math.unsorted_segment_mean",
        "keras.ops.segment_sum")  # fmt: skip
def segments(call: Invocation) -> Value:
    given = Given(call)
    x, count = given.x, given.integer("num_segments")
    return x.but(shape=None if x.shape is None else (count, *x.shape[1:]))


@infers("tf.linalg.diag", "tf.linalg.set_diag", "tf.linalg.diag_part", "keras.ops.diag",
        "tf.linalg.tensor_diag_part", "tf.linalg.tensor_diag")  # fmt: skip
def diagonal(call: Invocation) -> Value:
    x = Given(call).x
    if call.name.endswith("set_diag") or x.shape is None:
        return x
    if call.name.endswith("part"):
        return x.but(shape=x.shape[:-1] if len(x.shape) > 1 else None)
    return x.but(shape=(*x.shape, x.shape[-1]) if x.shape else None)


@infers("tf.map_fn", "tf.vectorized_map", "keras.ops.vectorized_map", "keras.ops.map",
        "keras.backend.map_fn")  # fmt: skip
def mapped(call: Invocation) -> Value:
    """The function on each element, stacked."""
    function, elements = call.arg("fn", "function", "f", at=0), call.arg("elems", "xs", at=1)
    elements = elements or (call.positional[1] if len(call.positional) > 1 else None)
    if function is None or elements is None:
        return UNKNOWN
    items = items_of(elements) if isinstance(elements, (Sequence, ListObject)) else None
    if items is not None:
        element: Value = Sequence("tuple", tuple(element_of(as_tensor(i)) for i in items))
        first = as_tensor(items[0]) if items else Tensor(library="tf")
    else:
        first = as_tensor(elements)
        element = element_of(first)
    result = call.call(function, element)
    count = first.shape[0] if first.shape else None
    if isinstance(result, Tensor):
        shape = None if result.shape is None else (count, *result.shape)
        return result.but(shape=shape, variable=False)
    return UNKNOWN if not is_number(result) else as_tensor(result).but(shape=(count,))


# ---- images and convolutions ------------------------------------------------------------------


@infers("tf.nn.conv2d", "tf.nn.conv1d", "tf.nn.conv3d", "tf.nn.convolution",
        "tf.nn.depthwise_conv2d", "tf.nn.conv2d_transpose", "tf.nn.separable_conv2d",
        "keras.ops.conv", "keras.ops.depthwise_conv", "keras.ops.conv_transpose",
        "keras.backend.conv2d")  # fmt: skip
def convolved(call: Invocation) -> Value:
    given = Given(call)
    x = given.x
    filters = as_tensor(given.arg("filters", "filter", "kernel"))
    if x.shape is None:
        return x
    channels: Dim = None
    if filters.shape:
        kind = call.name.rpartition(".")[2]
        channels = filters.shape[-2] if "transpose" in kind else filters.shape[-1]
        if "depthwise" in kind:
            two = filters.shape[-2:]
            channels = product(two)
    wanted = dims_from(given.arg("output_shape"))
    if wanted is not None:
        return x.but(shape=wanted)
    strides = integers(given.arg("strides")) or (1,)
    padding = given.arg("padding")
    same = isinstance(padding, Const) and str(padding.value).lower() == "same"
    spatial = x.shape[1:-1]
    if same and set(strides) == {1}:
        return x.but(shape=(x.shape[0], *spatial, channels))
    return x.but(shape=(x.shape[0], *(None for _ in spatial), channels))


@infers("tf.nn.max_pool2d", "tf.nn.max_pool", "tf.nn.avg_pool2d", "tf.nn.avg_pool",
        "tf.nn.max_pool1d", "tf.nn.avg_pool1d", "tf.nn.max_pool3d", "tf.nn.avg_pool3d",
        "keras.ops.max_pool", "keras.ops.average_pool", "tf.nn.pool", "keras.backend.pool2d",
        "keras.backend.resize_images", "keras.ops.image.resize_", "tf.nn.depth_to_space",
        "tf.nn.space_to_depth")  # fmt: skip
def pooled(call: Invocation) -> Value:
    x = Given(call).x
    if x.shape is None or len(x.shape) < 3:
        return x
    last = None if "depth" in call.name else x.shape[-1]
    return x.but(shape=(x.shape[0], *(None for _ in x.shape[1:-1]), last))
