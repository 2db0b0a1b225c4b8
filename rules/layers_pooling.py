"""Pooling. Keras pads with less than torch does, so explicit padding goes to an emitted layer."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.layer_arguments import axes_of, input_of, known, lambda_layer, per_axis
from transpiler.rules.layer_names import each
from transpiler.site import Site
from transpiler.template import OMIT, call, fill

MAX_POOLS = tuple(f"torch.nn.{name}" for name in each("MaxPool"))
AVERAGE_POOLS = tuple(f"torch.nn.{name}" for name in each("AvgPool"))


def window(site: Site) -> dict[str, Any]:
    """The strides of a pooling window, left out where they equal the window."""
    if not site.has("stride"):
        return {"strides": OMIT}
    stride, size = site.arg("stride"), site.arg("kernel_size")
    count = axes_of(site)
    equal = per_axis(site, "stride", count) == per_axis(site, "kernel_size", count)
    same = known(site, stride) is not None and equal
    return {"strides": OMIT if same or stride.deep_equals(size) else stride}


def emitted(site: Site, name: str, **options: Any) -> cst.BaseExpression:
    """A call of an emitted pooling layer."""
    result = call(name, site.arg("kernel_size"), **window(site), **options)
    return result.with_changes(func=site.emit(name))


def unpadded(site: Site) -> bool:
    """Whether the window is known to stay inside and to have no holes."""
    count = axes_of(site)
    names = ["padding"] + (["dilation"] if "MaxPool" in site.name else [])
    wanted = {"padding": (0,) * count, "dilation": (1,) * count}
    return all(per_axis(site, name, count) == wanted[name] for name in names)


def tell_single(site: Site) -> None:
    """TensorFlow pools three axes in single precision only."""
    if axes_of(site) == 3:
        site.caution("TensorFlow has no 3-D pooling in double precision on CPUs")


def given(site: Site, name: str, usual: Any) -> Any:
    """An argument, or OMIT where it is known to be the usual one."""
    found = known(site, site.arg(name))
    if found == usual or (isinstance(found, (tuple, list)) and set(found) == {usual}):
        return OMIT
    return site.arg(name)


@rewrites(
    *MAX_POOLS,
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 9), (2, 3, 8, 7), (2, 2, 4, 5, 6)],
        cases=[
            "torch.nn.MaxPool1d(2)(x)",
            "torch.nn.MaxPool1d(3, stride=2, padding=1)(x)",
            "torch.nn.MaxPool2d(2)(y)",
            "torch.nn.MaxPool2d(2, 2)(y)",
            "torch.nn.MaxPool2d(kernel_size=(3, 2), stride=(2, 1))(y)",
            "torch.nn.MaxPool2d(3, 2, 1)(y)",
            "torch.nn.MaxPool2d(3, stride=1, padding=1)(y)",
            "torch.nn.MaxPool2d(2, 2, ceil_mode=True)(y)",
            "torch.nn.MaxPool2d(3, 2, ceil_mode=True)(y)",
            "torch.nn.MaxPool2d((3, 2), 2, (1, 0), ceil_mode=True)(y)",
            "torch.nn.MaxPool2d(3, 1, dilation=2)(y)",
            "torch.nn.MaxPool3d(2)(z)",
            "torch.nn.MaxPool3d((1, 2, 3), stride=2, padding=(0, 1, 1))(z)",
            "torch.nn.MaxPool2d(2)(torch.relu(y))",
        ],
    ),
)
def max_pooling(site: Site) -> Any:
    """The stock layer where nothing is padded; TensorFlow's 3-D one has no double precision."""
    if site.const("return_indices"):
        raise Unfit(
            f"{site.short} with return_indices=True has no Keras layer",
            "call the emitted max_pool_with_indices where the layer is called",
        )
    count, ceil = axes_of(site), site.const("ceil_mode")
    halves = per_axis(site, "kernel_size", count) == (2,) * count
    halves = halves and window(site)["strides"] is OMIT
    if unpadded(site) and (not ceil or halves) and not (count == 3 and site.exact):
        tell_single(site)
        return call(
            f"keras.layers.MaxPooling{count}D",
            site.arg("kernel_size"),
            **window(site),
            padding="same" if ceil else OMIT,
        )
    return emitted(
        site,
        "TorchMaxPooling",
        padding=given(site, "padding", 0),
        dilation=given(site, "dilation", 1),
        ceil_mode=True if ceil else OMIT,
    )


@rewrites(
    *AVERAGE_POOLS,
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 9), (2, 3, 8, 7), (2, 2, 4, 5, 6)],
        cases=[
            "torch.nn.AvgPool1d(2)(x)",
            "torch.nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False)(x)",
            "torch.nn.AvgPool2d(2)(y)",
            "torch.nn.AvgPool2d(3, 2)(y)",
            "torch.nn.AvgPool2d(3, 2, 1)(y)",
            "torch.nn.AvgPool2d(3, 1, 1, count_include_pad=False)(y)",
            "torch.nn.AvgPool2d(3, 2, (1, 0), count_include_pad=False)(y)",
            "torch.nn.AvgPool2d(3, 2, ceil_mode=True)(y)",
            "torch.nn.AvgPool2d(3, 2, 1, ceil_mode=True)(y)",
            "torch.nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False)(y)",
            "torch.nn.AvgPool2d(2, divisor_override=3)(y)",
            "torch.nn.AvgPool3d(2)(z)",
            "torch.nn.AvgPool3d(3, 2, 1)(z)",
        ],
    ),
)
def average_pooling(site: Site) -> Any:
    """The stock layer, after zero padding where torch counts the padding."""
    count, ceil = axes_of(site), site.const("ceil_mode")
    divisor = site.given("divisor_override") if "divisor_override" in site.args else OMIT
    outside = site.const("count_include_pad")
    stock = not ceil and divisor is OMIT and not (count == 3 and site.exact)
    name = f"keras.layers.AveragePooling{count}D"
    if stock and unpadded(site):
        tell_single(site)
        return call(name, site.arg("kernel_size"), **window(site))
    if stock and not outside and _is_same(site, count):
        return call(name, site.arg("kernel_size"), strides=1, padding="same")
    if stock and outside:
        tell_single(site)
        padding = call(f"keras.layers.ZeroPadding{count}D", site.arg("padding"))
        pool = call(name, site.arg("kernel_size"), **window(site))
        return fill("keras.Sequential([a, b])", a=padding, b=pool)
    return emitted(
        site,
        "TorchAveragePooling",
        padding=given(site, "padding", 0),
        ceil_mode=True if ceil else OMIT,
        count_include_pad=OMIT if outside else False,
        divisor_override=divisor,
    )


def _is_same(site: Site, count: int) -> bool:
    """Whether Keras's "same" is torch's padding without counting what is padded."""
    sizes, paddings = (per_axis(site, name, count) for name in ("kernel_size", "padding"))
    if not site.has("stride") or per_axis(site, "stride", count) != (1,) * count:
        return False
    if sizes is None or paddings is None:
        return False
    return all(k == 2 * p + 1 for k, p in zip(sizes, paddings, strict=False))


@rewrites(
    *(f"torch.nn.{name}" for name in each("AdaptiveAvgPool")),
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 9), (2, 3, 8, 7), (2, 2, 4, 5, 6)],
        cases=[
            "torch.nn.AdaptiveAvgPool1d(1)(x)",
            "torch.nn.AdaptiveAvgPool1d(4)(x)",
            "torch.nn.AdaptiveAvgPool2d((1, 1))(y)",
            "torch.nn.AdaptiveAvgPool2d(3)(y)",
            "torch.nn.AdaptiveAvgPool2d((None, 5))(y)",
            "torch.nn.AdaptiveAvgPool3d(1)(z)",
            "torch.nn.AdaptiveAvgPool3d((2, 3, 5))(z)",
        ],
    ),
)
def adaptive_average(site: Site) -> Any:
    """Global pooling for size 1, the adaptive layer for other sizes."""
    return _adaptive(site, "Average", "adaptive_avg_pool")


@rewrites(
    *(f"torch.nn.{name}" for name in each("AdaptiveMaxPool")),
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 9), (2, 3, 8, 7), (2, 2, 4, 5, 6)],
        cases=[
            "torch.nn.AdaptiveMaxPool1d(1)(x)",
            "torch.nn.AdaptiveMaxPool2d(3)(y)",
            "torch.nn.AdaptiveMaxPool2d((1, 1))(y)",
            "torch.nn.AdaptiveMaxPool2d((None, 4))(y)",
        ],
    ),
)
def adaptive_max(site: Site) -> Any:
    """Global pooling for size 1 spreads the gradient over equal maxima: said where it matters."""
    if site.const("return_indices", False):
        raise Unfit(f"{site.short} with return_indices=True has no Keras layer")
    x = input_of(site)
    ones = (1,) * axes_of(site)
    if per_axis(site, "output_size", axes_of(site)) == ones and x is not None and x.shape:
        inner = x.shape[2:]
        if axes_of(site) < 3 and all(isinstance(n, int) for n in inner):
            size = inner[0] if len(set(inner)) == 1 else tuple(inner)
            return call(f"keras.layers.MaxPooling{axes_of(site)}D", size)
    if per_axis(site, "output_size", axes_of(site)) == ones:
        site.caution("the gradient is shared among equal maxima; torch gives it to the first one")
    return _adaptive(site, "Max", "adaptive_max_pool")


def _adaptive(site: Site, kind: str, function: str) -> Any:
    count = axes_of(site)
    size = per_axis(site, "output_size", count)
    if size == (1,) * count:
        return call(f"keras.layers.Global{kind}Pooling{count}D", keepdims=True)
    value = known(site, site.arg("output_size"))
    if (size is not None or value is None) and not (count == 3 and site.exact):
        tell_single(site)
        stock = "Average" if kind == "Average" else "Max"
        return call(f"keras.layers.Adaptive{stock}Pooling{count}D", site.arg("output_size"))
    sizes = value if isinstance(value, (tuple, list)) else (value,) * count
    given = tuple(sizes) if value is not None else site.arg("output_size")
    return lambda_layer(site, fill("f(x, size)", f=site.emit(function), size=given))


@rewrites(
    *(f"torch.nn.{name}" for name in each("LPPool")),
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=["positive(2, 3, 9)", "positive(2, 3, 8, 7)"],
        cases=["torch.nn.LPPool1d(2, 3)(x)", "torch.nn.LPPool2d(3, 2, stride=1)(y)"],
    ),
)
def lp_pooling(site: Site) -> Any:
    """The root of the sum of powers in each window."""
    if site.const("ceil_mode"):
        raise Unfit(f"{site.short} with ceil_mode=True has no equal here")
    arguments = {k: v for k, v in window(site).items() if v is not OMIT}
    inner = call("f", cst.Name("x"), site.arg("norm_type"), site.arg("kernel_size"))
    inner = inner.with_changes(
        func=site.emit("lp_pool"),
        args=[*inner.args, *(cst.Arg(v) for v in arguments.values())],
    )
    return lambda_layer(site, inner)
