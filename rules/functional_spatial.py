"""Functional forms of spatial layers, channels last: convolution, pooling, padding, resampling."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import Tensor
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import in_module
from transpiler.rules.tensor_arguments import OMIT, Arguments, fill
from transpiler.rules.tensors_gradient import may_have_gradient
from transpiler.rules.tensors_reduce import TIES
from transpiler.site import Site, constant_value, missing
from transpiler.template import call

F = "torch.nn.functional"


def axes_of(site: Site) -> int:
    """2 for conv2d."""
    return int(next(c for c in reversed(site.name) if c.isdigit()))


def numbers(site: Site, node: Any, count: int, usual: int) -> tuple[int, ...] | None:
    """One number per axis, None where they are not known."""
    if node is None:
        return (usual,) * count
    value = constant_value(site.fact(node))
    if isinstance(value, int):
        return (value,) * count
    if isinstance(value, (tuple, list)) and all(isinstance(v, int) for v in value):
        return tuple(value) * (count if len(value) == 1 else 1)
    return None


def compact(values: tuple[int, ...]) -> Any:
    """One number where all are equal."""
    return values[0] if len(set(values)) == 1 else list(values)


def padded(x: Any, pads: tuple[int, ...], **options: Any) -> Any:
    """`tf.pad` of the spatial axes."""
    pairs = [[0, 0], *([p, p] for p in pads), [0, 0]]
    return fill("tf.pad(x, p, constant_values=v)", x=x, p=pairs, v=options.get("value", OMIT))


# ---- convolution ------------------------------------------------------------------------------

KERNELS = {1: [2, 1, 0], 2: [2, 3, 1, 0], 3: [2, 3, 4, 1, 0]}


@rewrites(
    *in_module(F, "conv1d", "conv2d", "conv3d"), "torch.conv1d", "torch.conv2d", to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 8, 8), (4, 3, 3, 3), (4,), (3, 1, 3, 3)],
        cases=["F.conv2d(x, y)", "F.conv2d(x, y, z, padding=1)", "F.conv2d(x, y, stride=2)",
               "F.conv2d(x, y, z, 2, 1)", "F.conv2d(x, y, padding='same')",
               "F.conv2d(x, y, dilation=2)", "F.conv2d(x, w, padding=1, groups=3)",
               "F.conv1d(x[:, :, 0], y[:, :, 0], z, padding=1)"],
    ),
)  # fmt: skip
def convolution(site: Site) -> Any:
    given, count = Arguments(site), axes_of(site)
    weight, bias = given.get("weight", at=0), given.get("bias", at=1)
    stride = numbers(site, given.get("stride", at=2), count, 1)
    dilation = numbers(site, given.get("dilation", at=4), count, 1)
    groups = given.const("groups", at=5, default=1)
    if stride is None or dilation is None:
        raise Unfit(f"stride or dilation of {site.short} is not known before the program runs")
    x, padding = _padding(site, given, count, weight, stride, dilation)
    options: dict[str, Any] = {"strides": compact(stride), "padding": padding}
    if set(dilation) != {1}:
        options["dilations"] = compact(dilation)
    if groups != 1:
        result = _depthwise(site, x, weight, groups, stride, options)
    else:
        kernel = fill("tf.transpose(w, order)", w=weight, order=KERNELS[count])
        name = f"tf.nn.conv{count}d"
        if "dilations" in options:  # the others have no gradient for these on CPUs
            name = "tf.nn.convolution"
        elif count == 3:
            options["strides"] = [1, *stride, 1]
        elif count == 1:
            options["stride"] = options.pop("strides")
        result = call(name, x, kernel, **options)
    return result if bias is None else fill("r + b", r=result, b=bias)


def _padding(
    site: Site, given: Arguments, count: int, weight: Any,
    stride: tuple[int, ...], dilation: tuple[int, ...],
) -> tuple[Any, str]:  # fmt: skip
    """The input, padded where it must be, and TensorFlow's padding mode."""
    node = given.get("padding", at=3)
    value = constant_value(site.fact(node)) if node is not None else 0
    if value in ("same", "valid"):
        return given.x, value.upper()
    pads = numbers(site, node, count, 0)
    if pads is None:
        raise Unfit(f"the padding of {site.short} is not known before the program runs")
    if not any(pads):
        return given.x, "VALID"
    fact = site.context.fact(weight)
    sizes = fact.shape[2:] if isinstance(fact, Tensor) and fact.shape else ()
    if set(stride) == {1} and len(sizes) == count and all(
        isinstance(k, int) and d * (k - 1) == 2 * p
        for k, d, p in zip(sizes, dilation, pads, strict=True)
    ):  # fmt: skip
        return given.x, "SAME"
    return padded(given.x, pads), "VALID"


def _depthwise(
    site: Site, x: Any, weight: Any, groups: int, stride: tuple[int, ...], options: dict[str, Any]
) -> Any:
    """Groups of one channel each."""
    fact = site.context.fact(weight)
    shape = fact.shape if isinstance(fact, Tensor) else None
    if shape is None or len(shape) != 4 or shape[1] != 1 or len(set(stride)) != 1:
        raise Unfit(f"{site.short} with groups of several channels has no equal here")
    options["strides"] = [1, *stride, 1]
    if shape[0] == groups:
        kernel = fill("tf.transpose(w, [2, 3, 0, 1])", w=weight)
    else:
        raise Unfit(f"{site.short} with several outputs per channel has no equal here")
    return call("tf.nn.depthwise_conv2d", x, kernel, **options)


@rewrites(*in_module(F, "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), to="tf",
          layout="spatial")  # fmt: skip
def transposed_convolution(site: Site) -> Any:
    raise Unfit(f"{site.short} with a weight of its own has no equal here",
                "use the layer nn.ConvTranspose")  # fmt: skip


# ---- pooling ----------------------------------------------------------------------------------


@rewrites(
    *in_module(F, *(f"{k}_pool{n}d" for k in ("max", "avg") for n in (1, 2, 3))),
    "torch.max_pool1d", "torch.max_pool2d", "torch.avg_pool1d", to="tf", layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 8, 7), (2, 3, 9)],
        cases=["F.max_pool2d(x, 2)", "F.max_pool2d(x, (2, 2), 1)", "F.max_pool2d(x, 3, 2, 1)",
               "F.max_pool2d(x, 3, stride=1, padding=1)", "F.avg_pool2d(x, 2)",
               "F.avg_pool2d(x, 3, stride=2, padding=1)", "F.max_pool1d(y, 2)",
               "F.max_pool1d(y, y.size(2))", "F.max_pool2d(x, kernel_size=2, stride=2)",
               "F.avg_pool1d(y, kernel_size=3, stride=2)", "F.max_pool2d(x, 2, ceil_mode=True)",
               "F.avg_pool2d(x, (8, 7))", "F.max_pool2d(x, x.size()[2:])"],
    ),
)  # fmt: skip
def pooling(site: Site) -> Any:
    given, count = Arguments(site), axes_of(site)
    kind = "max" if "max_pool" in site.name else "avg"
    if given.get("return_indices", at=5 if kind == "max" else None) is not None:
        raise Unfit(f"{site.short} with return_indices has no equal here")
    size, stride = given.get("kernel_size", at=0), given.get("stride", at=1)
    pads = numbers(site, given.get("padding", at=2), count, 0)
    ceil = given.const("ceil_mode", at=4 if kind == "max" else 3, default=False)
    dilation = given.get("dilation", at=3) if kind == "max" else None
    counted = given.const("count_include_pad", at=4, default=True) if kind == "avg" else True
    divisor = given.get("divisor_override", at=5) if kind == "avg" else None
    sizes, strides = numbers(site, size, count, 0), numbers(site, stride or size, count, 0)
    same = pads is not None and strides == (1,) * count and sizes == tuple(2 * p + 1 for p in pads)
    plain = dilation is None and divisor is None and not ceil
    if plain and pads is not None and (not any(pads) or (same and (kind == "max" or not counted))):
        return call(
            f"tf.nn.{kind}_pool{count}d", given.x, _written(sizes, size),
            _written(strides, stride or size), "SAME" if any(pads) else "VALID",
        )  # fmt: skip
    name = "TorchMaxPooling" if kind == "max" else "TorchAveragePooling"
    layer = call(
        name, size, strides=OMIT if stride is None else stride,
        padding=given.given("padding", at=2), dilation=OMIT if dilation is None else dilation,
        ceil_mode=True if ceil else OMIT, count_include_pad=OMIT if counted else False,
        divisor_override=OMIT if divisor is None else divisor,
    ).with_changes(func=site.emit(name))  # fmt: skip
    return fill("layer(x)", layer=layer, x=given.x)


def _written(values: tuple[int, ...] | None, node: Any) -> Any:
    return compact(values) if values is not None else node


@rewrites(
    *in_module(F, *(f"adaptive_{k}_pool{n}d" for k in ("max", "avg") for n in (1, 2, 3))),
    to="tf", layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 8, 7), (2, 3, 9)],
        cases=["F.adaptive_avg_pool2d(x, 1)", "F.adaptive_avg_pool2d(x, (1, 1))",
               "F.adaptive_avg_pool2d(x, (3, 4))", "F.adaptive_max_pool2d(x, 3)",
               "F.adaptive_avg_pool1d(y, 4)", "F.adaptive_max_pool2d(x, (1, 1))"],
    ),
)  # fmt: skip
def adaptive_pooling(site: Site) -> Any:
    given, count = Arguments(site), axes_of(site)
    node = given.get("output_size", at=0)
    average = "avg" in site.name
    if numbers(site, node, count, 0) == (1,) * count:
        if not average and not site.exact and may_have_gradient(site):
            site.caution(TIES)
        if average or not site.exact:
            return fill(f"tf.reduce_{'mean' if average else 'max'}(x, axis=a, keepdims=True)",
                        x=given.x, a=list(range(1, count + 1)))  # fmt: skip
    if not average and numbers(site, node, count, 0) is None:
        raise Unfit(f"the size of {site.short} is not known before the program runs")
    value = constant_value(site.fact(node))
    size = node if value is missing else value if isinstance(value, tuple) else (
        tuple(value) if isinstance(value, list) else (value,) * count)  # fmt: skip
    unit = site.emit("adaptive_avg_pool" if average else "adaptive_max_pool")
    return fill("unit(x, s)", unit=unit, x=given.x, s=size)
