"""What Keras' layers give back when they are called: shapes from constructor arguments."""

from __future__ import annotations

import math
from collections.abc import Callable

import libcst as cst

from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Instance,
    ListObject,
    Sequence,
    Shape,
    Tensor,
    Value,
    as_dim,
    is_none,
    items_of,
)
from transpiler.rules.keras_written_sizes import argument_of, written_size
from transpiler.syntax import code

Result = Callable[[Instance, list[Value]], Value]


def argument(layer: Instance, name: str, default: object = None) -> object:
    """A constructor argument's constant, the default where it was not given or is not known."""
    value = layer.arguments.get(name)
    if isinstance(value, Const) and value.value is not None:
        return value.value
    return default


def size_argument(layer: Instance, name: str, at: int = 0) -> Dim:
    """A constructor argument that is a size; by what the program writes where it is not known."""
    value = layer.arguments.get(name)
    if not isinstance(value, Value):
        return None
    return as_dim(value) or written_size(argument_of(layer.origin, name, at=at))


def numbers(layer: Instance, name: str, count: int, default: int | None) -> list[Dim]:
    """An argument that is one number for all axes, or one for each."""
    value = layer.arguments.get(name)
    if not isinstance(value, Value) or is_none(value):
        return [default] * count
    items = items_of(value)
    if items is not None:
        found = [as_dim(i) for i in items]
        return found if len(found) == count else (found * count)[:count]
    return [as_dim(value)] * count


def class_name(layer: Instance) -> str:
    """`Conv2D` for a layer of the library."""
    names = layer.class_names
    return names[0].rpartition(".")[2] if names else ""


def first(inputs: list[Value]) -> Tensor:
    """The first input, as an array."""
    for value in inputs:
        if isinstance(value, Tensor):
            return value
        items = items_of(value) if isinstance(value, (ListObject, Sequence)) else None
        if items and isinstance(items[0], Tensor):
            return items[0]
    return Tensor(library="tf")


def many(inputs: list[Value]) -> list[Tensor]:
    """The arrays of a layer that takes a list."""
    if inputs and isinstance(inputs[0], (ListObject, Sequence)):
        inputs = list(items_of(inputs[0]) or ())
    return [i if isinstance(i, Tensor) else Tensor(library="tf") for i in inputs]


def floating(x: Tensor) -> Tensor:
    """The array as a layer's float result."""
    kept = x.dtype if x.dtype in ("float16", "bfloat16", "float64") else "float32"
    return Tensor(x.shape, kept, "tf")


def keeping(layer: Instance, inputs: list[Value]) -> Value:
    return floating(first(inputs))


def dense(layer: Instance, inputs: list[Value]) -> Value:
    x = floating(first(inputs))
    units = size_argument(layer, "units")
    return x.but(shape=None if x.shape is None else (*x.shape[:-1], units))


def padding_of(layer: Instance) -> str | None:
    """The kind of padding, in lower case; None where it is not known."""
    value = layer.arguments.get("padding")
    if value is None:
        return "valid"
    return str(value.value).lower() if isinstance(value, Const) else None


def span(n: Dim, k: Dim, s: Dim, padding: str | None, d: Dim = 1) -> Dim:
    """How many places a window has along an axis."""
    if padding is not None and isinstance(n, str):
        return named_span(n, k, s, padding, d)
    if padding is None or not (isinstance(n, int) and isinstance(s, int)):
        return None
    if padding in ("same", "causal"):
        return -(-n // s)
    if not (isinstance(k, int) and isinstance(d, int)):
        return None
    return (n - d * (k - 1) - 1) // s + 1


def named_span(n: str, k: Dim, s: Dim, padding: str, d: Dim) -> Dim:
    """The same along an axis whose size is known by what the program writes for it."""
    if not (isinstance(k, int) and isinstance(s, int) and isinstance(d, int)):
        return None
    same = padding in ("same", "causal")
    if same and s == 1:
        return n
    width = d * (k - 1) + 1
    if same:
        text = f"-(-({n}) // {s})"
    elif s == 1:
        text = f"({n}) - {width - 1}" if width > 1 else n
    else:
        text = f"({n}) // {s}" if width == s else f"(({n}) - {width}) // {s} + 1"
    plain = code(cst.parse_expression(text)).replace(f"({n})", n if n.isidentifier() else f"({n})")
    return plain if len(plain) <= 80 else None


def axes_in(name: str) -> int:
    """2 for Conv2D and Conv2DTranspose."""
    digits = [c for c in name if c in "123"]
    return int(digits[0]) if digits else 2


def spatial(x: Tensor, count: int) -> tuple[Dim, list[Dim], Dim]:
    """Batch, inner sizes and channels."""
    if x.shape is None or len(x.shape) != count + 2:
        return None, [None] * count, None
    return x.shape[0], list(x.shape[1:-1]), x.shape[-1]


def convolution(layer: Instance, inputs: list[Value]) -> Value:
    name = class_name(layer)
    count, x = axes_in(name), floating(first(inputs))
    batch, sizes, channels = spatial(x, count)
    kernel = numbers(layer, "kernel_size", count, None)
    stride = numbers(layer, "strides", count, 1)
    dilation = numbers(layer, "dilation_rate", count, 1)
    padding = padding_of(layer)
    found = [
        span(n, k, s, padding, d)
        for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=False)
    ]
    if name.startswith("Depthwise"):
        factor = argument(layer, "depth_multiplier", 1)
        known = isinstance(channels, int) and isinstance(factor, int)
        out: Dim = channels * factor if known else None  # type: ignore[operator]
    else:
        out = size_argument(layer, "filters")
    return x.but(shape=(batch, *found, out))


def transposed(layer: Instance, inputs: list[Value]) -> Value:
    count, x = axes_in(class_name(layer)), floating(first(inputs))
    batch, sizes, _ = spatial(x, count)
    kernel = numbers(layer, "kernel_size", count, None)
    stride = numbers(layer, "strides", count, 1)
    padding = padding_of(layer)
    found: list[Dim] = []
    for n, k, s in zip(sizes, kernel, stride, strict=False):
        if padding is None or not (
            isinstance(n, int) and isinstance(s, int) and isinstance(k, int)
        ):
            found.append(None)
        else:
            found.append(n * s if padding == "same" else n * s + max(k - s, 0))
    return x.but(shape=(batch, *found, size_argument(layer, "filters")))


def pooling(layer: Instance, inputs: list[Value]) -> Value:
    count, x = axes_in(class_name(layer)), floating(first(inputs))
    batch, sizes, channels = spatial(x, count)
    window = numbers(layer, "pool_size", count, 2)
    given = layer.arguments.get("strides")
    absent = not isinstance(given, Value) or is_none(given)
    stride = window if absent else numbers(layer, "strides", count, None)
    padding = padding_of(layer)
    found = [span(n, k, s, padding) for n, k, s in zip(sizes, window, stride, strict=False)]
    return x.but(shape=(batch, *found, channels))


def global_pooling(layer: Instance, inputs: list[Value]) -> Value:
    count, x = axes_in(class_name(layer)), floating(first(inputs))
    batch, _, channels = spatial(x, count)
    kept = [1] * count if argument(layer, "keepdims") is True else []
    return x.but(shape=(batch, *kept, channels))


def adaptive_pooling(layer: Instance, inputs: list[Value]) -> Value:
    count, x = axes_in(class_name(layer)), floating(first(inputs))
    batch, _, channels = spatial(x, count)
    return x.but(shape=(batch, *numbers(layer, "output_size", count, None), channels))


def flatten(layer: Instance, inputs: list[Value]) -> Value:
    x = first(inputs)
    x = Tensor(x.shape, x.dtype, "tf")
    if x.shape is None:
        return x.but(shape=(None, None))
    return x.but(shape=(x.shape[0], product(x.shape[1:])))


def product(sizes: tuple[Dim, ...]) -> Dim:
    """The number of elements, where all sizes are known."""
    known = [s for s in sizes if isinstance(s, int)]
    named = [s for s in sizes if isinstance(s, str)]
    if len(named) == 1 and len(known) == len(sizes) - 1:
        factor = math.prod(known)
        return named[0] if factor == 1 else f"({named[0]}) * {factor}"
    return math.prod(known) if len(known) == len(sizes) else None


def reshape(layer: Instance, inputs: list[Value]) -> Value:
    x = first(inputs)
    items = items_of(layer.arguments.get("target_shape", UNKNOWN))
    if items is None:
        return Tensor(None, x.dtype, "tf")
    sizes = [as_dim(i) for i in items]
    if -1 in sizes and x.shape is not None:
        total, rest = product(x.shape[1:]), product(tuple(s for s in sizes if s != -1))
        free = total // rest if isinstance(total, int) and isinstance(rest, int) and rest else None
        sizes = [free if s == -1 else s for s in sizes]
    batch = x.shape[0] if x.shape else None
    return Tensor((batch, *(None if s == -1 else s for s in sizes)), x.dtype, "tf")


def permute(layer: Instance, inputs: list[Value]) -> Value:
    x = first(inputs)
    dims = numbers(layer, "dims", (x.rank or 1) - 1, None)
    if x.shape is None or not all(isinstance(d, int) for d in dims):
        return Tensor(None, x.dtype, "tf")
    shape = (x.shape[0], *(x.shape[d] for d in dims if isinstance(d, int)))
    return Tensor(shape, x.dtype, "tf")


def repeat_vector(layer: Instance, inputs: list[Value]) -> Value:
    x = floating(first(inputs))
    if x.shape is None or len(x.shape) != 2:
        return x.but(shape=(None, None, None))
    return x.but(shape=(x.shape[0], size_argument(layer, "n"), x.shape[1]))


def embedding(layer: Instance, inputs: list[Value]) -> Value:
    x = first(inputs)
    width = size_argument(layer, "output_dim", 1)
    return Tensor(None if x.shape is None else (*x.shape, width), "float32", "tf")


def concatenate(layer: Instance, inputs: list[Value]) -> Value:
    parts = many(inputs)
    axis = argument(layer, "axis", -1)
    return joined(parts, axis if isinstance(axis, int) else None)


def joined(parts: list[Tensor], axis: int | None) -> Tensor:
    """Arrays put together along an axis."""
    shapes = [p.shape for p in parts]
    found = next((s for s in shapes if s is not None), None)
    if axis is None or found is None or any(s is None for s in shapes):
        return Tensor(None, "float32", "tf")
    axis %= len(found)
    sizes = [s[axis] for s in shapes if s is not None and len(s) > axis]
    known = [s for s in sizes if isinstance(s, int)]
    total: Dim = sum(known) if len(known) == len(parts) else named_sum(sizes)
    return Tensor((*found[:axis], total, *found[axis + 1 :]), parts[0].dtype, "tf")


def named_sum(sizes: list[Dim]) -> Dim:
    """The sum of sizes that are known by name."""
    if any(s is None for s in sizes):
        return None
    names = dict.fromkeys(s for s in sizes if isinstance(s, str))
    terms = [f"{sizes.count(n)} * ({n})" if sizes.count(n) > 1 else n for n in names]
    rest = sum(s for s in sizes if isinstance(s, int))
    return " + ".join([*terms, *([str(rest)] if rest else [])])


def merged(layer: Instance, inputs: list[Value]) -> Value:
    parts = many(inputs)
    shape: Shape = None
    for part in parts:
        if part.shape is None:
            continue
        if shape is None or len(part.shape) > len(shape):
            shape = part.shape
        elif len(part.shape) == len(shape):
            shape = tuple(
                b if a in (None, 1) else a for a, b in zip(shape, part.shape, strict=False)
            )
    return Tensor(shape, "float32", "tf")


def dot(layer: Instance, inputs: list[Value]) -> Value:
    parts = many(inputs)
    if all(p.rank == 2 for p in parts):
        return Tensor((parts[0].shape[0] if parts[0].shape else None, 1), "float32", "tf")
    return Tensor(None, "float32", "tf")


def recurrent(layer: Instance, inputs: list[Value]) -> Value:
    x, units = floating(first(inputs)), size_argument(layer, "units")
    batch, steps = (x.shape[0], x.shape[1]) if x.rank == 3 and x.shape else (None, None)
    y = x.but(shape=(batch, steps, units))
    if argument(layer, "return_sequences") is not True:
        y = y.but(shape=(batch, units))
    if argument(layer, "return_state") is not True:
        return y
    state = x.but(shape=(batch, units))
    count = 2 if class_name(layer) == "LSTM" else 1
    return Sequence("tuple", (y, *[state] * count))


def cell(layer: Instance, inputs: list[Value]) -> Value:
    """The output, and the new states in a list if they came in one."""
    x, units = floating(first(inputs)), size_argument(layer, "units")
    y = x.but(shape=(x.shape[0] if x.shape else None, units))
    count = 2 if class_name(layer) == "LSTMCell" else 1
    alone = len(inputs) > 1 and isinstance(inputs[1], Tensor)
    return Sequence("tuple", (y, y if alone else Sequence("list", (y,) * count)))


def bidirectional(layer: Instance, inputs: list[Value]) -> Value:
    inner = layer.arguments.get("layer")
    if not isinstance(inner, Instance):
        return Tensor(None, "float32", "tf")
    result = recurrent(inner, inputs)
    factor = 2 if argument(layer, "merge_mode", "concat") == "concat" else 1
    if is_none(layer.arguments.get("merge_mode", Const("concat"))):
        return Sequence("tuple", (result, result))

    def widen(y: Value) -> Value:
        assert isinstance(y, Tensor)
        assert y.shape is not None
        last = y.shape[-1]
        width = last * factor if isinstance(last, int) else None
        return y.but(shape=(*y.shape[:-1], width))

    if isinstance(result, Sequence) and result.items:
        y, *states = result.items
        return Sequence("tuple", (widen(y), *states, *states))
    return widen(result)


def distributed(layer: Instance, inputs: list[Value]) -> Value:
    inner, x = layer.arguments.get("layer"), first(inputs)
    if not isinstance(inner, Instance) or x.shape is None or len(x.shape) < 3:
        return Tensor(None, "float32", "tf")
    flat = x.but(shape=(None, *x.shape[2:]))
    y = result_of(inner, [flat])
    if isinstance(y, Tensor) and y.shape is not None:
        return y.but(shape=(*x.shape[:2], *y.shape[1:]))
    return Tensor(None, "float32", "tf")


def attention(layer: Instance, inputs: list[Value]) -> Value:
    x = floating(first(inputs))
    width = size_argument(layer, "output_shape", 9)
    if width is not None and x.shape is not None:
        return x.but(shape=(*x.shape[:-1], width))
    return x


def zero_padding(layer: Instance, inputs: list[Value]) -> Value:
    name = class_name(layer)
    count, x = axes_in(name), floating(first(inputs))
    batch, sizes, channels = spatial(x, count)
    parameter = "cropping" if name.startswith("Cropping") else "padding"
    amounts = borders(layer, parameter, count)
    sign = -1 if parameter == "cropping" else 1
    found: list[Dim] = []
    for n, pair in zip(sizes, amounts, strict=False):
        known = isinstance(n, int) and pair is not None
        found.append(n + sign * sum(pair) if known else None)  # type: ignore[operator,arg-type]
    return x.but(shape=(batch, *found, channels))


def borders(layer: Instance, name: str, count: int) -> list[tuple[int, int] | None]:
    """Elements added (or cut off) before and after, by axis."""
    value = layer.arguments.get(name)
    if not isinstance(value, Value):
        return [(1, 1)] * count
    if isinstance(value, Const) and isinstance(value.value, int):
        return [(value.value, value.value)] * count
    items = items_of(value)
    if items is None:
        return [None] * count
    if count == 1 and len(items) == 2:
        pair = [as_dim(i) for i in items]
        whole = [p for p in pair if isinstance(p, int)]
        return [(whole[0], whole[1])] if len(whole) == 2 else [None]
    found: list[tuple[int, int] | None] = []
    for item in items:
        inner = items_of(item)
        pair = [as_dim(i) for i in inner] if inner is not None else [as_dim(item)] * 2
        whole = [p for p in pair if isinstance(p, int)]
        found.append((whole[0], whole[1]) if len(whole) == 2 else None)
    return found


def upsampled(layer: Instance, inputs: list[Value]) -> Value:
    count, x = axes_in(class_name(layer)), floating(first(inputs))
    batch, sizes, channels = spatial(x, count)
    factors = numbers(layer, "size", count, 2)
    found: list[Dim] = []
    for n, f in zip(sizes, factors, strict=False):
        found.append(n * f if isinstance(n, int) and isinstance(f, int) else None)
    return x.but(shape=(batch, *found, channels))


def resized(layer: Instance, inputs: list[Value]) -> Value:
    x = floating(first(inputs))
    batch, _, channels = spatial(x, 2)
    sizes = size_argument(layer, "height"), size_argument(layer, "width", 1)
    return x.but(shape=(batch, *sizes, channels))


def cropped(layer: Instance, inputs: list[Value]) -> Value:
    return resized(layer, inputs)


SHAPES: dict[str, Result] = {
    "Dense": dense,
    **{
        f"{prefix}{n}D": convolution
        for n in (1, 2, 3)
        for prefix in ("Conv", "SeparableConv", "DepthwiseConv")
    },
    **{f"Conv{n}DTranspose": transposed for n in (1, 2, 3)},
    **{f"{p}Pooling{n}D": pooling for n in (1, 2, 3) for p in ("Max", "Average")},
    **{f"Global{p}Pooling{n}D": global_pooling for n in (1, 2, 3) for p in ("Max", "Average")},
    **{f"Adaptive{p}Pooling{n}D": adaptive_pooling for n in (1, 2, 3) for p in ("Max", "Average")},
    **{f"ZeroPadding{n}D": zero_padding for n in (1, 2, 3)},
    **{f"Cropping{n}D": zero_padding for n in (1, 2, 3)},
    **{f"UpSampling{n}D": upsampled for n in (1, 2, 3)},
    "Flatten": flatten, "Reshape": reshape, "Permute": permute, "RepeatVector": repeat_vector,
    "Embedding": embedding, "Concatenate": concatenate, "Dot": dot,
    **dict.fromkeys(("Add", "Multiply", "Subtract", "Average", "Maximum", "Minimum"), merged),
    **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell"), cell),
    "LSTM": recurrent, "GRU": recurrent, "SimpleRNN": recurrent, "Bidirectional": bidirectional,
    "TimeDistributed": distributed, "MultiHeadAttention": attention, "Attention": attention,
    "AdditiveAttention": attention, "Resizing": resized, "CenterCrop": cropped,
    "RandomCrop": cropped,
}  # fmt: skip

KEEPING = frozenset(
    """Activation Dropout BatchNormalization LayerNormalization GroupNormalization RMSNormalization
    UnitNormalization SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianNoise
    GaussianDropout AlphaDropout ReLU LeakyReLU PReLU ELU Softmax Masking ActivityRegularization
    Normalization Rescaling Identity RandomFlip RandomRotation RandomZoom RandomTranslation
    RandomContrast RandomBrightness""".split()
)


def result_of(layer: Instance, inputs: list[Value]) -> Value:
    """What a layer of the library gives for its inputs."""
    name = class_name(layer)
    if name in KEEPING:
        return keeping(layer, inputs)
    shape = SHAPES.get(name)
    return shape(layer, inputs) if shape is not None else Tensor(None, "float32", "tf")
