"""Keras' convolutions, poolings and what pads, cuts and enlarges, as PyTorch modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.infer.values import (
    Const,
    Number,
    Value,
    is_none,
    scalar_type,
)
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import axes_in, borders, numbers
from transpiler.rules.keras_layer import (
    ANY,
    FIRST,
    LAST,
    Layer,
    Part,
    activated,
    sized,
    weighted,
)
from transpiler.rules.keras_layer_starts import started
from transpiler.template import OMIT, as_node, call, fill


def per_axis(layer: Layer, name: str, count: int) -> tuple[int, ...] | None:
    found = numbers(layer.instance, name, count, 1)
    whole = [f for f in found if isinstance(f, int)]
    return tuple(whole) if len(whole) == count else None


def short(numbers_: tuple[int, ...] | None, given: Any) -> Any:
    """(3, 3) as 3."""
    if numbers_ is not None:
        return numbers_[0] if len(set(numbers_)) == 1 else numbers_
    return given


@dataclass
class Window:
    """A size per axis: its numbers, where all calls have the same, and what is written."""

    numbers: tuple[int, ...] | None
    written: Any

    @property
    def is_one(self) -> bool:
        """Whether it changes nothing, and says so in numbers."""
        return self.numbers is not None and set(self.numbers) == {1} and self.written == 1


def window(layer: Layer, name: str, count: int) -> Window:
    """`kernel_size`, `strides` ...: by name where the program names it, else in numbers."""
    found = per_axis(layer, name, count)
    if found is None or layer.names(name):
        return Window(found, layer.arg(name))
    return Window(found, found[0] if len(set(found)) == 1 else found)


def convolution(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    if layer.const("data_format", None) == "channels_first":
        raise Unfit(f"{layer.site.short} with data_format='channels_first' is not translated")
    kernel, stride, dilation = (
        window(layer, name, count) for name in ("kernel_size", "strides", "dilation_rate")
    )
    before, padding = pads(layer, kernel, stride, dilation)
    depthwise = layer.name.startswith("Depthwise")
    options = {
        "stride": OMIT if stride.is_one else stride.written,
        "padding": padding,
        "dilation": OMIT if dilation.is_one else dilation.written,
        "bias": layer.unless("use_bias", True),
    }
    if depthwise:
        channels = layer.size()
        factor = layer.const("depth_multiplier", 1)
        outputs: Any = times(channels, factor)
        options["groups"] = channels
        module = call(f"torch.nn.Conv{count}d", channels, outputs, kernel.written, **options)
    else:
        options["groups"] = layer.unless("groups", 1)
        module = sized(layer, f"Conv{count}d", layer.arg("filters"), kernel.written, **options)
    parts = [*before, Part(weighted(layer, module, "depthwise" if depthwise else "kernel"), FIRST)]
    return activated(layer, parts)


def pads(
    layer: Layer, kernel: Window, stride: Window, dilation: Window, value: str | None = None
) -> tuple[list[Part], Any]:
    """What pads before a window, or the module's own padding argument."""
    padding = layer.padding
    if padding == "valid":
        return [], OMIT
    if padding == "causal":
        amount = _before(kernel, dilation)
        return [Part(call("torch.nn.ConstantPad1d", (amount, 0), 0.0), FIRST)], OMIT
    if padding != "same":
        raise Unfit(f"padding={padding!r} of {layer.site.short} is not translated")
    if kernel.is_one and not isinstance(kernel.written, cst.CSTNode):
        return [], OMIT
    if stride.numbers is not None and set(stride.numbers) == {1} and value is None:
        return [], "same"
    module = layer.emit(
        "SamePad", kernel.written, OMIT if stride.is_one else stride.written,
        dilation=OMIT if dilation.is_one else dilation.written,
        value=OMIT if value is None else fill(value),
    )  # fmt: skip
    return [Part(module, FIRST)], OMIT


def _before(kernel: Window, dilation: Window) -> Any:
    """How many elements of the past the window of a causal convolution reaches."""
    if isinstance(kernel.written, int) and isinstance(dilation.written, int):
        return dilation.written * (kernel.written - 1)
    reach = as_node(kernel.written - 1) if isinstance(kernel.written, int) else fill(
        "k - 1", k=kernel.written)  # fmt: skip
    return reach if dilation.is_one else fill("d * reach", d=dilation.written, reach=reach)


def times(size: cst.BaseExpression | int, factor: int) -> cst.BaseExpression | int:
    """A size several times over."""
    if isinstance(size, int):
        return size * factor
    return size if factor == 1 else fill("size * factor", size=size, factor=factor)


def separable(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    kernel, stride, dilation = (
        window(layer, name, count) for name in ("kernel_size", "strides", "dilation_rate")
    )
    layer.refuse("pointwise_regularizer", "depthwise_regularizer", "pointwise_constraint")
    channels = layer.size()
    middle: Any = times(channels, layer.const("depth_multiplier", 1))
    before, padding = pads(layer, kernel, stride, dilation)
    first = call(
        f"torch.nn.Conv{count}d", channels, middle, kernel.written,
        stride=OMIT if stride.is_one else stride.written, padding=padding,
        dilation=OMIT if dilation.is_one else dilation.written, groups=channels, bias=False,
    )  # fmt: skip
    second = call(
        f"torch.nn.Conv{count}d", middle, layer.arg("filters"), 1,
        bias=layer.unless("use_bias", True),
    )  # fmt: skip
    modules = [started(layer, first, "depthwise"), started(layer, second, "pointwise")]
    return activated(layer, [*before, *(Part(m, FIRST) for m in modules)])


def transposed(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    kernel, stride = per_axis(layer, "kernel_size", count), per_axis(layer, "strides", count)
    dilation = per_axis(layer, "dilation_rate", count)
    if kernel is None or stride is None or dilation is None or set(dilation) != {1}:
        raise Unfit(f"the window of {layer.site.short} has no equal here")
    more = layer.const("output_padding", None)
    if more is not None and layer.padding == "same":
        raise Unfit(f"`output_padding` of {layer.site.short} has no equal here")
    options: dict[str, Any] = {"stride": OMIT if set(stride) == {1} else short(stride, None)}
    after: list[Part] = []
    if layer.padding == "same":
        gaps = [k - s for k, s in zip(kernel, stride, strict=False)]
        if any(g < 0 for g in gaps):
            options["output_padding"] = tuple(max(-g, 0) for g in gaps)
        lows = tuple(max(g, 0) // 2 for g in gaps)
        if all(g <= 0 or g % 2 == 0 for g in gaps):
            options["padding"] = OMIT if not any(lows) else short(lows, None)
        else:
            highs = [max(g, 0) - low for g, low in zip(gaps, lows, strict=False)]
            edges = tuple(-x for low, high in zip(reversed(lows), reversed(highs), strict=False)
                          for x in (low, high))  # fmt: skip
            after = [Part(call(f"torch.nn.ZeroPad{count}d", edges), FIRST)]
    elif more is not None:
        wanted = (more,) * count if isinstance(more, int) else tuple(more)
        options["output_padding"] = short(wanted, None) if any(wanted) else OMIT
    elif any(k < s for k, s in zip(kernel, stride, strict=False)):
        options["output_padding"] = tuple(
            max(s - k, 0) for k, s in zip(kernel, stride, strict=False)
        )
    module = call(
        f"torch.nn.ConvTranspose{count}d", layer.size(), layer.arg("filters"),
        short(kernel, None), **options, bias=layer.unless("use_bias", True),
    )  # fmt: skip
    return activated(layer, [Part(weighted(layer, module), FIRST), *after])


def pooling(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    kind = "Max" if layer.name.startswith("Max") else "Avg"
    given = layer.value("strides")
    kernel = pool_size(layer, count)
    absent = given is None or is_none(given)
    stride = kernel if absent else window(layer, "strides", count)
    equal = absent or (stride.numbers is not None and stride.numbers == kernel.numbers)
    step = OMIT if equal else stride.written
    if layer.padding == "same":
        if kind == "Avg":
            return [Part(layer.emit("SameAvgPool", kernel.written, step), FIRST)]
        before, _ = pads(layer, kernel, stride, Window((1,) * count, 1), "-math.inf")
        return [*before, Part(call(f"torch.nn.MaxPool{count}d", kernel.written, step), FIRST)]
    return [Part(call(f"torch.nn.{kind}Pool{count}d", kernel.written, step), FIRST)]


def pool_size(layer: Layer, count: int) -> Window:
    """The window of a pooling, which is 2 where nothing is said."""
    if isinstance(layer.instance.arguments.get("pool_size"), Value):
        return window(layer, "pool_size", count)
    return Window((2,) * count, 2)


def global_pooling(layer: Layer) -> list[Part]:
    count, kept = axes_in(layer.name), layer.const("keepdims", False)
    if "Max" in layer.name:
        return [Part(layer.emit("GlobalMaxPool", keepdim=kept or OMIT), FIRST)]
    if count == 1 or kept:
        return [Part(layer.emit("GlobalAvgPool", keepdim=kept or OMIT), FIRST)]
    pool = call(f"torch.nn.AdaptiveAvgPool{count}d", 1)
    return [Part(pool, FIRST), Part(fill("torch.nn.Flatten()"), ANY, LAST)]


def zero_padding(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    name = "cropping" if layer.name.startswith("Cropping") else "padding"
    amounts = borders(layer.instance, name, count)
    sign = -1 if name == "cropping" else 1
    edges: Any = tuple(sign * x for pair in reversed(amounts) if pair for x in pair)
    if None in amounts or (layer.names(name) and isinstance(layer.plain(name), int)):
        edges = _one_border(layer, name)
    elif len(set(edges)) == 1:
        edges = edges[0]
    return [Part(call(f"torch.nn.ZeroPad{count}d", edges), FIRST)]


def _one_border(layer: Layer, name: str) -> cst.BaseExpression:
    """The same number of elements on all sides, as the program writes it. Raises Unfit."""
    value = layer.value(name)
    if not isinstance(value, (Const, Number)) or scalar_type(value) != "int":
        raise Unfit(f"`{name}` of {layer.site.short} is not known before the program runs")
    amount: cst.BaseExpression = as_node(layer.arg(name))
    return amount if name == "padding" else fill("-amount", amount=amount)


def upsampling(layer: Layer) -> list[Part]:
    count = axes_in(layer.name)
    mode = layer.const("interpolation", "nearest")
    if mode not in ("nearest", "bilinear"):
        raise Unfit(f"interpolation={mode!r} of {layer.site.short} is not translated")
    given = isinstance(layer.instance.arguments.get("size"), Value)
    factors = window(layer, "size", count).written if given else 2
    return [Part(call("torch.nn.Upsample", scale_factor=factors,
                      mode=OMIT if mode == "nearest" else mode), FIRST)]  # fmt: skip
