"""Facts of torch.nn.functional's calls."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Const, Dim, Number, Tensor, Value, as_dim, is_none, items_of
from transpiler.rule import infers
from transpiler.rules.facts_torch_layers import window_size
from transpiler.rules.facts_torch_math import floating
from transpiler.rules.operands import Operands, in_module, integers

F = "torch.nn.functional"
ELEMENTWISE = (
    "relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "selu", "celu", "mish", "softplus",
    "softsign", "logsigmoid", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink",
    "tanhshrink", "threshold", "prelu", "rrelu", "dropout", "dropout1d", "dropout2d", "dropout3d",
    "alpha_dropout", "feature_dropout", "normalize", "batch_norm", "layer_norm", "instance_norm",
    "group_norm", "local_response_norm", "rms_norm", "relu_", "leaky_relu_", "elu_", "hardtanh_",
    "gumbel_softmax", "softmin",
)  # fmt: skip


@infers(*in_module(F, *ELEMENTWISE), "torch.dropout", "torch.layer_norm", "torch.batch_norm",
        "torch.nn.functional.tanh", "torch.nn.functional.sigmoid", "torch.nn.functional.softmax",
        "torch.nn.functional.log_softmax")  # fmt: skip
def elementwise(call: Invocation) -> Value:
    return floating.function(call)


@infers(f"{F}.one_hot")
def one_hot(call: Invocation) -> Value:
    given = Operands(call)
    count = given.arg("num_classes", at=0)
    shape = given.plain.shape
    size: Dim = as_dim(count) if count is not None and count != Const(-1) else None
    return Tensor(None if shape is None else (*shape, size), "int64", "torch")


@infers(f"{F}.embedding")
def embedding(call: Invocation) -> Value:
    given = Operands(call)
    weight, shape = given.arg("weight", at=0), given.plain.shape
    if not isinstance(weight, Tensor):
        return Tensor(library="torch")
    width = weight.shape[-1] if weight.shape else None
    return Tensor(None if shape is None else (*shape, width), weight.dtype, "torch")


@infers(f"{F}.linear")
def linear(call: Invocation) -> Value:
    given = Operands(call)
    weight, x = given.arg("weight", at=0), given.plain
    if x.shape is None:
        return x
    width = weight.shape[0] if isinstance(weight, Tensor) and weight.shape else None
    return x.but(shape=(*x.shape[:-1], width))


@infers(f"{F}.bilinear")
def bilinear(call: Invocation) -> Value:
    given = Operands(call)
    weight, x = given.arg("weight", at=1), given.plain
    width = weight.shape[0] if isinstance(weight, Tensor) and weight.shape else None
    return x.but(shape=(*x.shape[:-1], width) if x.shape else None)


@infers(f"{F}.cosine_similarity", f"{F}.pairwise_distance", "torch.cosine_similarity",
        "torch.pairwise_distance")  # fmt: skip
def similarity(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain if isinstance(given.first, Tensor) else Tensor(library="torch")
    x1 = call.keywords.get("x1")
    x = x1 if isinstance(x1, Tensor) else x
    if x.shape is None:
        return x.but(variable=False)
    usual = Const(1) if call.name.endswith("similarity") else Const(-1)
    axis = integers(given.arg("dim", at=1) or usual)
    if axis is None:
        return x.but(shape=None, variable=False)
    gone = axis[0] % len(x.shape) if x.shape else 0
    return x.but(shape=tuple(d for i, d in enumerate(x.shape) if i != gone), variable=False)


@infers(f"{F}.scaled_dot_product_attention")
def attention(call: Invocation) -> Value:
    query, value = call.arg("query", at=0), call.arg("value", at=2)
    if not isinstance(query, Tensor) or not isinstance(value, Tensor):
        return Tensor(library="torch")
    if query.shape is None or not value.shape:
        return query.but(shape=None, variable=False)
    return query.but(shape=(*query.shape[:-1], value.shape[-1]), variable=False)


# ---- spatial ----------------------------------------------------------------------------------


def each(value: Value | None, count: int, default: Dim) -> list[Dim]:
    """One number per axis."""
    if value is None or is_none(value):
        return [default] * count
    if isinstance(value, (Const, Number)) and items_of(value) is None:
        return [as_dim(value)] * count
    items = items_of(value)
    if items is None:
        return [None] * count
    return [as_dim(i) for i in items] * (count if len(items) == 1 else 1)


def axes_of(call: Invocation) -> int:
    digit = next((c for c in call.name if c in "123"), "2")
    return int(digit)


@infers(*in_module(F, "conv1d", "conv2d", "conv3d"), "torch.conv1d", "torch.conv2d")
def convolution(call: Invocation) -> Value:
    given, count = Operands(call), axes_of(call)
    weight, x = given.arg("weight", at=0), given.plain
    if x.shape is None or not isinstance(weight, Tensor) or weight.shape is None:
        return x.but(shape=(None,) * (count + 2))
    stride, dilation = (
        each(given.arg("stride", at=2), count, 1),
        each(given.arg("dilation", at=4), count, 1),
    )
    padding = given.arg("padding", at=3)
    if padding == Const("same"):
        return x.but(shape=(x.shape[0], weight.shape[0], *x.shape[2:]))
    pads = each(padding if padding != Const("valid") else None, count, 0)
    sizes = [
        window_size(n, k, s, p, d)
        for n, k, s, p, d in zip(
            x.shape[2:], weight.shape[2:], stride, pads, dilation, strict=False
        )
    ]
    return x.but(shape=(x.shape[0], weight.shape[0], *sizes))


@infers(*in_module(F, *(f"{k}_pool{n}d" for k in ("max", "avg", "lp") for n in (1, 2, 3))),
        "torch.max_pool2d", "torch.max_pool1d", "torch.avg_pool1d")  # fmt: skip
def pooling(call: Invocation) -> Value:
    given, count = Operands(call), axes_of(call)
    x = given.plain
    if x.shape is None:
        return x.but(shape=(None,) * (count + 2))
    at = 1 if "lp_pool" in call.name else 0
    kernel = each(given.arg("kernel_size", at=at), count, None)
    stride_value = given.arg("stride", at=at + 1)
    stride = (
        kernel if stride_value is None or is_none(stride_value) else each(stride_value, count, None)
    )
    padding = each(given.arg("padding", at=2), count, 0) if at == 0 else [0] * count
    is_max = "max_pool" in call.name
    dilation = each(given.arg("dilation", at=3), count, 1) if is_max else [1] * count
    ceil = given.flag("ceil_mode", at=4 if is_max else 3)
    sizes = [
        1 if k == n and isinstance(k, str) else window_size(n, k, s, p, d, ceil)
        for n, k, s, p, d in zip(x.shape[-count:], kernel, stride, padding, dilation, strict=False)
    ]
    return x.but(shape=(*x.shape[:-count], *sizes))


@infers(*in_module(F, *(f"adaptive_{k}_pool{n}d" for k in ("max", "avg") for n in (1, 2, 3))))
def adaptive_pooling(call: Invocation) -> Value:
    given, count = Operands(call), axes_of(call)
    x = given.plain
    if x.shape is None:
        return x.but(shape=(None,) * (count + 2))
    sizes = each(given.arg("output_size", at=0), count, None)
    return x.but(shape=(*x.shape[:-count], *sizes))


@infers(f"{F}.interpolate", f"{F}.upsample", f"{F}.upsample_nearest", f"{F}.upsample_bilinear")
def resized(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    if x.shape is None:
        return x
    count = len(x.shape) - 2
    size, scale = given.arg("size", at=0), given.arg("scale_factor", at=1)
    if size is not None and not is_none(size):
        return x.but(shape=(*x.shape[:2], *each(size, count, None)))
    factors = items_of(scale) if scale is not None and items_of(scale) else (scale,) * count
    sizes = [
        int(n * f.value) if isinstance(n, int) and isinstance(f, Const) and f.value else None
        for n, f in zip(x.shape[2:], factors or (), strict=False)
    ]
    return x.but(shape=(*x.shape[:2], *sizes))


@infers(f"{F}.pad", "torch.nn.functional.pad")
def padded(call: Invocation) -> Value:
    given = Operands(call)
    x, pads = given.plain, integers(given.arg("pad", at=0))
    if x.shape is None or pads is None:
        return x.but(shape=None if x.shape is None else (None,) * len(x.shape))
    shape: list[Dim] = list(x.shape)
    for i in range(len(pads) // 2):
        old = shape[-1 - i]
        shape[-1 - i] = old + pads[2 * i] + pads[2 * i + 1] if isinstance(old, int) else None
    return x.but(shape=tuple(shape))


@infers(f"{F}.unfold", f"{F}.fold", f"{F}.grid_sample", f"{F}.affine_grid", f"{F}.glu",
        f"{F}.pixel_shuffle", f"{F}.pixel_unshuffle", f"{F}.conv_transpose1d",
        f"{F}.conv_transpose2d", f"{F}.conv_transpose3d", "torch.pixel_shuffle")  # fmt: skip
def other(call: Invocation) -> Value:
    x = Operands(call).plain
    rank = {"unfold": 3, "fold": 4}.get(call.name.rpartition(".")[2], x.rank)
    return x.but(shape=None if rank is None else (None,) * rank)
