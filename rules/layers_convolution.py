"""Convolutions. torch pads explicitly: Keras's "same" is taken only where it pads as much."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.initial_values import layer_initializers, product_of
from transpiler.rules.layer_arguments import (
    axes_of,
    in_one,
    known,
    lambda_layer,
    per_axis,
    same_text,
)
from transpiler.rules.layer_names import each
from transpiler.site import Site, constant_value
from transpiler.syntax import walk
from transpiler.template import OMIT, call, fill

CONVOLUTIONS = tuple(f"torch.nn.{name}" for name in each("Conv", "LazyConv"))
TRANSPOSED = tuple(f"torch.nn.{name}" for name in each("ConvTranspose", "LazyConvTranspose"))


def unless(value: Any, usual: Any, site: Site) -> Any:
    """OMIT where an argument is known to be the usual value; the program's own names stay."""
    if isinstance(value, cst.CSTNode) and _mentions_names(value):
        return value
    found = known(site, value)
    if found == usual or (isinstance(found, (tuple, list)) and set(found) == {usual}):
        return OMIT
    return value


def _mentions_names(node: cst.CSTNode) -> bool:
    constants = ("True", "False", "None")
    return any(isinstance(n, cst.Name) and n.value not in constants for n in walk(node))


def convolution_parts(site: Site) -> list[Any]:
    """The Keras layers that make up a convolution."""
    mode = site.const("padding_mode")
    before, padding = _padding(site) if mode == "zeros" else (_edges(site, mode), OMIT)
    options: dict[str, Any] = {"strides": OMIT, "padding": padding}
    options["dilation_rate"] = unless(site.arg("dilation"), 1, site)
    strided, after = _strided(site)
    options["strides"] = unless(site.arg("stride"), 1, site) if strided else OMIT
    layer = _depthwise(site, options) if _is_depthwise(site) else _plain(site, options)
    return [*before, layer, *after]


def _plain(site: Site, options: dict[str, Any]) -> cst.BaseExpression:
    inputs = site.args.get("in_channels")
    fan_in = None
    if inputs is not None:
        window = site.arg("kernel_size")
        fan_in = product_of(site, inputs, site.arg("groups"), window, axes_of(site))
    return call(
        f"keras.layers.Conv{axes_of(site)}D",
        site.arg("out_channels"),
        site.arg("kernel_size"),
        **options,
        groups=unless(site.arg("groups"), 1, site),
        use_bias=unless(site.arg("bias"), True, site),
        **layer_initializers(site, fan_in),
    )


def _is_depthwise(site: Site) -> bool:
    """Whether every input channel is convolved on its own (and Keras has a layer for it)."""
    if axes_of(site) == 3 or "in_channels" not in site.args:
        return False
    groups, inputs = known(site, site.arg("groups")), known(site, site.arg("in_channels"))
    strides = per_axis(site, "stride", axes_of(site))
    if strides is None or len(set(strides)) > 1 or groups == 1:
        return False
    if groups is not None and inputs is not None:
        return bool(groups == inputs)
    return bool(same_text(site, "groups", "in_channels"))


def _depthwise(site: Site, options: dict[str, Any]) -> cst.BaseExpression:
    inputs, outputs = site.arg("in_channels"), site.arg("out_channels")
    a, b = known(site, inputs), known(site, outputs)
    multiplier: Any = OMIT
    if a is not None and b is not None:
        multiplier = OMIT if a == b else b // a
    elif not same_text(site, "in_channels", "out_channels"):
        multiplier = fill("b // a", a=inputs, b=outputs)
    window = site.arg("kernel_size")
    return call(
        f"keras.layers.DepthwiseConv{axes_of(site)}D",
        window,
        **options,
        depth_multiplier=multiplier,
        use_bias=unless(site.arg("bias"), True, site),
        **layer_initializers(site, product_of(site, 1, 1, window, axes_of(site)), "depthwise"),
    )


def _strided(site: Site) -> tuple[bool, list[Any]]:
    """Keras refuses a stride beside a dilation: then every stride-th place is taken afterwards."""
    count = axes_of(site)
    dilation, stride = per_axis(site, "dilation", count), per_axis(site, "stride", count)
    if (dilation and max(dilation) == 1) or (stride and max(stride) == 1) or _never_both(site):
        return True, []
    if stride is not None:
        steps = [f"::{s}" for s in stride]
        return False, [lambda_layer(site, fill(f"x[{', '.join([':', *steps])}]"))]
    steps = ["::s"] * count
    body = fill(f"x[{', '.join([':', *steps])}]", s=site.arg("stride"))
    return False, [lambda_layer(site, body)]


def _never_both(site: Site) -> bool:
    """Whether no object made here has both, as far as the program makes them itself."""
    made = [i for i in site.context.interpreter.instances.values() if i.origin is site.node]
    found = []
    for instance in made:
        pair = [constant_value(instance.arguments.get(n, Const(1))) for n in ("stride", "dilation")]
        found.append(any(value in (1, (1,), (1, 1), (1, 1, 1)) for value in pair))
    return bool(found) and all(found)


def _padding(site: Site) -> tuple[list[Any], Any]:
    """The layer that pads before the convolution, or Keras's own padding argument."""
    given = site.arg("padding")
    value = known(site, given)
    if value in ("same", "valid"):
        return [], "same" if value == "same" else OMIT
    count = axes_of(site)
    padding = per_axis(site, "padding", count)
    if padding is not None and not any(padding):
        return [], OMIT
    names = ("kernel_size", "stride", "dilation")
    window, stride, dilation = (per_axis(site, name, count) for name in names)
    if padding and window and dilation and stride == (1,) * count:
        if all(2 * p == d * (k - 1) for p, k, d in zip(padding, window, dilation, strict=False)):
            return [], "same"
    if isinstance(value, (tuple, list)) and count == 1:
        given = _only(given)
    return [call(f"keras.layers.ZeroPadding{count}D", given)], OMIT


def _only(node: cst.BaseExpression) -> cst.BaseExpression:
    """The single element of a written tuple."""
    if isinstance(node, (cst.Tuple, cst.List)) and len(node.elements) == 1:
        return node.elements[0].value
    return fill("p[0]", p=node)


def _edges(site: Site, mode: str) -> list[Any]:
    """The layer that repeats, mirrors or wraps the edges before a convolution."""
    count = axes_of(site)
    padding = per_axis(site, "padding", count)
    given: Any = site.arg("padding")
    if known(site, given) == "same":
        window, dilation = per_axis(site, "kernel_size", count), per_axis(site, "dilation", count)
        if window is None or dilation is None:
            raise Unfit(f"the padding of {site.short} is not known before the program runs")
        totals = [d * (k - 1) for d, k in zip(dilation, window, strict=False)]
        given = tuple(x for t in reversed(totals) for x in (t // 2, t - t // 2))
        given = given[0] if len(set(given)) == 1 else given
    elif padding is not None and not any(padding):
        return []
    elif padding is not None and len(set(padding)) > 1:
        given = tuple(x for p in reversed(padding) for x in (p, p))
    elif padding is not None:
        given = padding[0]
    return [call("SpatialPadding", given, mode).with_changes(func=site.emit("SpatialPadding"))]


@rewrites(
    *CONVOLUTIONS,
    to="tf",
    layout="spatial",
    weights="kernels",
    proof=Proof(
        inputs=[(2, 3, 9), (2, 4, 8, 7), (1, 2, 5, 6, 4)],
        cases=[
            "torch.nn.Conv1d(3, 4, 3)(x)",
            "torch.nn.Conv1d(3, 4, 5, padding=2)(x)",
            "torch.nn.Conv1d(3, 6, 3, stride=2, padding=(1,), bias=False)(x)",
            "torch.nn.Conv1d(3, 4, 3, padding=2, dilation=2, padding_mode='circular')(x)",
            "torch.nn.Conv1d(3, 3, 3, groups=3)(x)",
            "torch.nn.Conv2d(4, 5, 3)(y)",
            "torch.nn.Conv2d(4, 5, kernel_size=3, padding=1)(y)",
            "torch.nn.Conv2d(4, 5, 3, 2, 1)(y)",
            "torch.nn.Conv2d(4, 5, (3, 2), padding=(1, 2))(y)",
            "torch.nn.Conv2d(4, 5, 2, padding='same')(y)",
            "torch.nn.Conv2d(4, 5, 3, padding='valid', bias=False)(y)",
            "torch.nn.Conv2d(4, 5, 3, padding=2, dilation=2)(y)",
            "torch.nn.Conv2d(4, 6, 3, padding=1, groups=2)(y)",
            "torch.nn.Conv2d(4, 4, 3, padding=1, groups=4)(y)",
            "torch.nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4, bias=False)(y)",
            "torch.nn.Conv2d(4, 5, 3, padding=1, padding_mode='reflect')(y)",
            "torch.nn.Conv2d(4, 5, 5, padding=(2, 1), padding_mode='replicate')(y)",
            "torch.nn.Conv2d(4, 5, 4, padding='same', padding_mode='circular')(y)",
            "torch.nn.Conv2d(4, 5, 3, stride=2, padding=2, dilation=2)(y)",
            "torch.nn.LazyConv2d(5, 3, padding=1)(y)",
            "torch.nn.Conv3d(2, 3, 3, padding=1)(z)",
            "torch.nn.Conv3d(2, 3, (1, 2, 3), stride=2, padding=1)(z)",
        ],
    ),
)
def convolution(site: Site) -> Any:
    """One layer, after one that pads where Keras's own padding is another."""
    return in_one(convolution_parts(site))


def transposed_parts(site: Site) -> list[Any]:
    """The Keras layers that make up a transposed convolution."""
    if site.const("padding_mode") != "zeros":
        raise Unfit(f"{site.short} has no padding mode but zeros")
    for name in ("groups", "dilation"):
        if known(site, site.arg(name)) not in (1, (1,), (1, 1), (1, 1, 1)):
            raise Unfit(f"Keras's transposed convolutions have no {name}")
    count = axes_of(site)
    names = ("kernel_size", "stride", "padding", "output_padding")
    window, stride, padding, extra = (per_axis(site, name, count) for name in names)
    options: dict[str, Any] = {}
    after: list[Any] = []
    if window and stride and padding and extra and _is_same(window, stride, padding, extra):
        options["padding"] = "same"
    else:
        shrinks = not (window and stride) or any(
            k < s for k, s in zip(window, stride, strict=False)
        )
        if extra is None or any(extra) or shrinks:
            options["output_padding"] = site.arg("output_padding")
        after = _crop(site, count, padding)
    fan_in = product_of(site, site.arg("out_channels"), 1, site.arg("kernel_size"), count)
    layer = call(
        f"keras.layers.Conv{count}DTranspose",
        site.arg("out_channels"),
        site.arg("kernel_size"),
        strides=unless(site.arg("stride"), 1, site),
        **options,
        use_bias=unless(site.arg("bias"), True, site),
        **layer_initializers(site, fan_in),
    )
    return [layer, *after]


def _is_same(
    window: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    extra: tuple[int, ...],
) -> bool:
    """Whether Keras's "same" crops as much on both sides as torch's padding does."""
    return any(padding) and all(
        k >= s and k - s == 2 * p and o == 0
        for k, s, p, o in zip(window, stride, padding, extra, strict=False)
    )


def _crop(site: Site, count: int, padding: tuple[int, ...] | None) -> list[Any]:
    if padding is not None and not any(padding):
        return []
    given = site.arg("padding")
    if count == 1 and isinstance(known(site, given), (tuple, list)):
        given = _only(given)
    return [call(f"keras.layers.Cropping{count}D", given)]


@rewrites(
    *TRANSPOSED,
    to="tf",
    layout="spatial",
    weights="kernels",
    proof=Proof(
        inputs=[(2, 3, 6), (2, 4, 5, 4), (1, 2, 3, 4, 2)],
        cases=[
            "torch.nn.ConvTranspose1d(3, 4, 4, 2, 1)(x)",
            "torch.nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1, output_padding=1)(x)",
            "torch.nn.ConvTranspose2d(4, 5, 3)(y)",
            "torch.nn.ConvTranspose2d(4, 5, 4, 2, 1, bias=False)(y)",
            "torch.nn.ConvTranspose2d(4, 5, kernel_size=2, stride=2)(y)",
            "torch.nn.ConvTranspose2d(4, 5, 3, stride=2, padding=1)(y)",
            "torch.nn.ConvTranspose2d(4, 5, 3, stride=2, padding=1, output_padding=1)(y)",
            "torch.nn.ConvTranspose2d(4, 5, 2, stride=2, output_padding=1)(y)",
            "torch.nn.ConvTranspose2d(4, 5, 2, stride=3)(y)",
            "torch.nn.ConvTranspose2d(4, 5, (3, 4), stride=(1, 2), padding=(0, 2))(y)",
            "torch.nn.ConvTranspose3d(2, 3, 4, 2, 1)(z)",
            "torch.nn.ConvTranspose3d(2, 3, 3, stride=2, padding=1, output_padding=1)(z)",
        ],
    ),
)
def transposed_convolution(site: Site) -> Any:
    """One layer, cropped where Keras's own padding is another."""
    return in_one(transposed_parts(site))


__all__ = ["CONVOLUTIONS", "TRANSPOSED", "convolution_parts", "transposed_parts"]
