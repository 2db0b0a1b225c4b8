"""What PyTorch's layers give back when they are called: shapes from constructor arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from transpiler.infer.arrays import is_float
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Dim,
    Instance,
    Sequence,
    Shape,
    Tensor,
    Value,
    as_dim,
    is_none,
    items_of,
    join,
)
from transpiler.rule import infers
from transpiler.rules.layer_names import (
    ACTIVATIONS,
    KEEPING,
    each,
)
from transpiler.rules.operands import integers

SPATIAL_RANKS = {"1d": 3, "2d": 4, "3d": 5}


def called(*names: str) -> tuple[str, ...]:
    """Names of the calls of layers."""
    return tuple(f"torch.nn.{name}.__call__" for name in names)


def layer_of(call: Invocation) -> Instance:
    """The layer that is called."""
    assert isinstance(call.receiver, Instance)
    return call.receiver


def taken(call: Invocation) -> Tensor:
    """The first input; the layer remembers what it was called on."""
    value = call.positional[0] if call.positional else call.arg("input")
    if not isinstance(value, Tensor):
        value = Tensor(library="torch")
    state = layer_of(call).state
    if value.rank == 1:
        state["vectors"] = True
    state["input"] = value if "input" not in state else join(state["input"], value)
    return value.but(variable=False, library="torch")


def argument(layer: Instance, name: str) -> Value | None:
    """A constructor's argument, None where it was not given."""
    value = layer.arguments.get(name)
    return value if isinstance(value, Value) and not is_none(value) else None


def numbers(layer: Instance, name: str, count: int, default: int | None) -> list[Dim]:
    """An int or tuple argument as one number per axis; None where unknown."""
    value = argument(layer, name)
    if value is None:
        return [default] * count
    found = integers(value)
    if found is None:
        items = items_of(value)
        if items is None:
            return [as_dim(value)] * count
        return [as_dim(i) for i in items]
    return list(found) * count if len(found) == 1 else list(found)


def spatial(call: Invocation) -> int:
    """How many spatial axes the layer's name says."""
    return int(layer_of(call).class_names[0][-2]) if layer_of(call).class_names[0][-1] == "d" else 2


def library_name(layer: Instance) -> str:
    """The nearest library class's last name."""
    return layer.class_names[0].rpartition(".")[2]


def window_size(n: Dim, k: Dim, s: Dim, p: Dim, d: Dim, ceil: bool = False) -> Dim:
    """The number of places of a window along an axis."""
    if isinstance(s, int) and isinstance(k, int) and isinstance(p, int) and isinstance(d, int):
        if s == 1 and 2 * p == d * (k - 1):
            return n
        if isinstance(n, int):
            room = n + 2 * p - d * (k - 1) - 1
            size = -(-room // s) + 1 if ceil else room // s + 1
            if ceil and (size - 1) * s >= n + p:
                size -= 1
            return size
    return None


def with_channels(x: Tensor, channels: Dim, sizes: Iterable[Dim] | None, rank: int) -> Tensor:
    """The result of a spatial layer; the batch axis is left out where the input has none."""
    if x.shape is None:
        return x.but(shape=(None, channels, *([None] * (rank - 2))))
    inner = tuple(sizes) if sizes is not None else (None,) * (rank - 2)
    batch = x.shape[: -(rank - 1)] if len(x.shape) >= rank - 1 else (None,)
    return x.but(shape=(*batch, channels, *inner))


def inner_sizes(x: Tensor, rank: int) -> list[Dim]:
    """The sizes of the spatial axes."""
    if x.shape is None or len(x.shape) < rank - 1:
        return [None] * (rank - 2)
    return list(x.shape[len(x.shape) - (rank - 2) :])


def channels_of(x: Tensor, rank: int) -> Dim:
    """The size of the channel axis."""
    if x.shape is None or len(x.shape) < rank - 1:
        return None
    return x.shape[-(rank - 1)]


@infers(*called(*KEEPING, *ACTIVATIONS))
def keeping(call: Invocation) -> Value:
    """Layers whose result has the shape of their input."""
    x = taken(call)
    if x.shape is None and library_name(layer_of(call))[-2:] in ("2d", "3d"):
        rank = SPATIAL_RANKS[library_name(layer_of(call))[-2:]]
        return x.but(shape=(None,) * rank, dtype=x.dtype or "float32")
    return x if is_float(x.dtype) else x.but(dtype="float32")


@infers(*called("Linear", "LazyLinear"))
def linear(call: Invocation) -> Value:
    x, units = taken(call), argument(layer_of(call), "out_features")
    shape = None if x.shape is None else (*x.shape[:-1], as_dim(units or UNKNOWN))
    return x.but(shape=shape, dtype=x.dtype or "float32")


@infers(*called("Bilinear"))
def bilinear(call: Invocation) -> Value:
    found: Value = linear.function(call)
    return found


@infers(*called(*each("Conv", "LazyConv")))
def convolution(call: Invocation) -> Value:
    layer, x, count = layer_of(call), taken(call), spatial(call)
    kernel = numbers(layer, "kernel_size", count, None)
    stride, dilation = (numbers(layer, name, count, 1) for name in ("stride", "dilation"))
    padding_value = argument(layer, "padding")
    sizes: list[Dim] = inner_sizes(x, count + 2)
    if not (isinstance(padding_value, Const) and padding_value.value == "same"):
        padding: list[Dim] = [0] * count
        if not (isinstance(padding_value, Const) and padding_value.value == "valid"):
            padding = numbers(layer, "padding", count, 0)
        sizes = [
            window_size(*axis)
            for axis in zip(sizes, kernel, stride, padding, dilation, strict=False)
        ]
    channels = as_dim(argument(layer, "out_channels") or UNKNOWN)
    return with_channels(x, channels, sizes, count + 2).but(dtype=x.dtype or "float32")


@infers(*called(*each("ConvTranspose", "LazyConvTranspose")))
def transposed_convolution(call: Invocation) -> Value:
    layer, x, count = layer_of(call), taken(call), spatial(call)
    kernel = numbers(layer, "kernel_size", count, None)
    names = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
    options = [numbers(layer, name, count, default) for name, default in names.items()]
    sizes: list[Dim] = []
    for n, k, s, p, o, d in zip(inner_sizes(x, count + 2), kernel, *options, strict=False):
        known = [v for v in (n, k, s, p, o, d) if isinstance(v, int)]
        size = (known[0] - 1) * known[2] - 2 * known[3] + known[5] * (known[1] - 1) + known[4] + 1 \
            if len(known) == 6 else None  # fmt: skip
        sizes.append(size)
    channels = as_dim(argument(layer, "out_channels") or UNKNOWN)
    return with_channels(x, channels, sizes, count + 2).but(dtype=x.dtype or "float32")


@infers(*called(*each("MaxPool", "AvgPool", "LPPool")))
def pooling(call: Invocation) -> Value:
    layer, x, count = layer_of(call), taken(call), spatial(call)
    kernel = numbers(layer, "kernel_size", count, None)
    stride = numbers(layer, "stride", count, None)
    stride = [k if s is None else s for s, k in zip(stride, kernel, strict=False)]
    padding, dilation = numbers(layer, "padding", count, 0), numbers(layer, "dilation", count, 1)
    ceil = argument(layer, "ceil_mode") == Const(True)
    axes = zip(inner_sizes(x, count + 2), kernel, stride, padding, dilation, strict=False)
    sizes = [window_size(*axis, ceil) for axis in axes]
    result = with_channels(x, channels_of(x, count + 2), sizes, count + 2)
    if argument(layer, "return_indices") == Const(True):
        return Sequence("tuple", (result, result.but(dtype="int64")))
    return result


@infers(*called(*each("AdaptiveAvgPool", "AdaptiveMaxPool")))
def adaptive_pooling(call: Invocation) -> Value:
    layer, x, count = layer_of(call), taken(call), spatial(call)
    old = inner_sizes(x, count + 2)
    items = items_of(layer.arguments.get("output_size", UNKNOWN))
    if items is not None and len(items) == count:
        sizes = [o if is_none(i) else as_dim(i) for i, o in zip(items, old, strict=False)]
    else:
        sizes = numbers(layer, "output_size", count, None)
    return with_channels(x, channels_of(x, count + 2), sizes, count + 2)


@infers(*called("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"))
def upsampled(call: Invocation) -> Value:
    layer, x = layer_of(call), taken(call)
    if x.shape is None:
        return x
    count = len(x.shape) - 2
    old = inner_sizes(x, count + 2)
    if argument(layer, "size") is not None:
        sizes = numbers(layer, "size", count, None)
    else:
        scale = argument(layer, "scale_factor")
        factors = integers(scale) or ((scale.value,) if isinstance(scale, Const) else None)
        if factors is None or not all(isinstance(f, (int, float)) for f in factors):
            sizes = [None] * count
        else:
            factors = factors * count if len(factors) == 1 else factors
            sizes = [
                int(n * f) if isinstance(n, int) else None
                for n, f in zip(old, factors, strict=False)
            ]
    return with_channels(x, channels_of(x, count + 2), sizes, count + 2)


@infers(*called("PixelShuffle", "PixelUnshuffle"))
def shuffled(call: Invocation) -> Value:
    layer, x = layer_of(call), taken(call)
    up = library_name(layer) == "PixelShuffle"
    factor = as_dim(argument(layer, "upscale_factor" if up else "downscale_factor") or UNKNOWN)
    if x.shape is None or len(x.shape) != 4 or not isinstance(factor, int):
        return x.but(shape=(None,) * 4)
    n, c, h, w = x.shape

    def change(dim: Dim, by: Callable[[int], int]) -> Dim:
        return by(dim) if isinstance(dim, int) else None

    grow: Callable[[int], int] = lambda v: v * factor
    shrink: Callable[[int], int] = lambda v: v // factor
    square: Callable[[int], int] = lambda v: v // factor**2 if up else v * factor**2
    side = grow if up else shrink
    return x.but(shape=(n, change(c, square), change(h, side), change(w, side)))


@infers(*called(*each("ZeroPad", "ReflectionPad", "ReplicationPad", "ConstantPad", "CircularPad")))
def padded(call: Invocation) -> Value:
    layer, x, count = layer_of(call), taken(call), spatial(call)
    given = numbers(layer, "padding", 2 * count, None)
    sizes: list[Dim] = []
    for axis, n in enumerate(inner_sizes(x, count + 2)):
        before, after = (given[2 * (count - 1 - axis) + i] for i in (0, 1))
        known = isinstance(n, int) and isinstance(before, int) and isinstance(after, int)
        sizes.append(n + before + after if known else None)  # type: ignore[operator]
    return with_channels(x, channels_of(x, count + 2), sizes, count + 2)


@infers(*called("Embedding"))
def embedded(call: Invocation) -> Value:
    x, size = taken(call), argument(layer_of(call), "embedding_dim")
    table = argument(layer_of(call), "embeddings")
    if size is None and isinstance(table, Tensor) and table.shape is not None:
        shape: Shape = None if x.shape is None else (*x.shape, table.shape[-1])
    else:
        shape = None if x.shape is None else (*x.shape, as_dim(size or UNKNOWN))
    return Tensor(shape, "float32", "torch")


@infers("torch.nn.Embedding.from_pretrained")
def pretrained(call: Invocation) -> Value:
    from transpiler.infer.values import Symbol

    return call.interpreter.allocate(
        Symbol("torch.nn.Embedding"), call.node, {"embeddings": call.arg("embeddings", at=0)}
    )


@infers(*called("EmbeddingBag"))
def embedded_bag(call: Invocation) -> Value:
    x, size = taken(call), as_dim(argument(layer_of(call), "embedding_dim") or UNKNOWN)
    batch: Dim = x.shape[0] if x.shape is not None and len(x.shape) == 2 else None
    return Tensor((batch, size), "float32", "torch")


@infers(*called("Flatten"))
def flattened(call: Invocation) -> Value:
    layer, x = layer_of(call), taken(call)
    start = numbers(layer, "start_dim", 1, 1)[0]
    end = numbers(layer, "end_dim", 1, -1)[0]
    if x.shape is None:
        return x.but(shape=(None, None) if (start, end) == (1, -1) else None)
    if not isinstance(start, int) or not isinstance(end, int):
        return x.but(shape=None)
    end = end + len(x.shape) if end < 0 else end
    size: Dim = 1
    for dim in x.shape[start : end + 1]:
        size = size * dim if isinstance(size, int) and isinstance(dim, int) else None
    return x.but(shape=(*x.shape[:start], size, *x.shape[end + 1 :]))


@infers(*called("Unflatten"))
def unflattened(call: Invocation) -> Value:
    layer, x = layer_of(call), taken(call)
    axis = numbers(layer, "dim", 1, None)[0]
    items = items_of(layer.arguments.get("unflattened_size", UNKNOWN))
    if x.shape is None or not isinstance(axis, int) or items is None:
        return x.but(shape=None)
    axis %= len(x.shape)
    return x.but(shape=(*x.shape[:axis], *map(as_dim, items), *x.shape[axis + 1 :]))


@infers(*called("GLU"))
def gated(call: Invocation) -> Value:
    x = taken(call)
    axis = numbers(layer_of(call), "dim", 1, -1)[0]
    if x.shape is None or not isinstance(axis, int):
        return x
    shape = list(x.shape)
    dim = shape[axis]
    shape[axis] = dim // 2 if isinstance(dim, int) else None
    return x.but(shape=tuple(shape))
