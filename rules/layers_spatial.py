"""Padding layers, resampling and the rearranging of pixels."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Number
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.layer_arguments import axes_of, input_of, known, lambda_layer
from transpiler.rules.layer_names import each
from transpiler.site import Site
from transpiler.template import OMIT, call, fill

_INPUTS = [(2, 3, 9), (2, 3, 8, 7), (2, 2, 4, 5, 6)]


def unit(site: Site, name: str, *args: Any, **options: Any) -> cst.BaseExpression:
    """A call of an emitted unit."""
    return call(name, *args, **options).with_changes(func=site.emit(name))


@rewrites(
    *(f"torch.nn.{name}" for name in each("ZeroPad", "ConstantPad")),
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=_INPUTS,
        cases=[
            "torch.nn.ZeroPad1d(2)(x)",
            "torch.nn.ZeroPad2d(1)(y)",
            "torch.nn.ZeroPad2d((1, 2, 0, 3))(y)",
            "torch.nn.ZeroPad3d((1, 2, 0, 3, 4, 5))(z)",
            "torch.nn.ZeroPad2d(-1)(y)",
            "torch.nn.ZeroPad2d((0, -1, -2, 0))(y)",
            "torch.nn.ConstantPad1d((1, 0), 0)(x)",
            "torch.nn.ConstantPad2d((1, 2, 0, 3), 0.5)(y)",
            "torch.nn.ConstantPad3d(1, 2.5)(z)",
        ],
    ),
)
def constant_padding(site: Site) -> Any:
    """ZeroPadding for zeros, whose pairs stand in the order of the axes."""
    count = axes_of(site)
    value = known(site, site.arg("value")) if "Constant" in site.name else 0
    padding = known(site, site.arg("padding"))
    sides = [padding] if isinstance(padding, int) else list(padding or [])
    if any(side < 0 for side in sides):
        return _cropping(site, count, sides)
    name = f"keras.layers.ZeroPadding{count}D"
    if value == 0 and value is not None:
        if isinstance(padding, int) or isinstance(site.fact("padding"), Number):
            return call(name, site.arg("padding"))
        if isinstance(padding, (tuple, list)):
            return call(name, _pairs(tuple(padding)))
    options = {} if value == 0 else {"value": site.arg("value")}
    return unit(site, "SpatialPadding", site.arg("padding"), **options)


def _cropping(site: Site, count: int, sides: list[int]) -> Any:
    """A negative padding cuts off."""
    if max(sides) > 0:
        raise Unfit(f"{site.short} pads and cuts off", "use layers.Cropping for what it cuts off")
    amounts = tuple(-side for side in sides)
    return call(f"keras.layers.Cropping{count}D",
                amounts[0] if len(amounts) == 1 else _pairs(amounts))  # fmt: skip


def _pairs(padding: tuple[int, ...]) -> Any:
    """torch's flat numbers, last axis first, as Keras's pairs, first axis first."""
    pairs = tuple(padding[i : i + 2] for i in range(0, len(padding), 2))[::-1]
    return pairs if len(pairs) > 1 else pairs[0]


@rewrites(
    *(f"torch.nn.{name}" for name in each("ReflectionPad", "ReplicationPad", "CircularPad")),
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=_INPUTS,
        cases=[
            "torch.nn.ReflectionPad1d(2)(x)",
            "torch.nn.ReflectionPad2d(3)(y)",
            "torch.nn.ReflectionPad2d((1, 2, 3, 0))(y)",
            "torch.nn.ReplicationPad2d((1, 2, 3, 0))(y)",
            "torch.nn.ReplicationPad3d(1)(z)",
            "torch.nn.CircularPad2d((1, 2, 3, 0))(y)",
        ],
    ),
)
def edge_padding(site: Site) -> Any:
    """The emitted layer, which takes torch's padding as it is."""
    stem = site.name.rpartition(".")[2][:-5]
    mode = {"Reflection": "reflect", "Replication": "replicate", "Circular": "circular"}[stem]
    return unit(site, "SpatialPadding", site.arg("padding"), mode)


@rewrites(
    "torch.nn.Upsample",
    "torch.nn.UpsamplingNearest2d",
    "torch.nn.UpsamplingBilinear2d",
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=_INPUTS,
        cases=[
            "torch.nn.Upsample(scale_factor=2)(y)",
            "torch.nn.Upsample(scale_factor=(2, 3), mode='nearest')(y)",
            "torch.nn.Upsample(scale_factor=2)(x)",
            "torch.nn.Upsample(scale_factor=2)(z)",
            "torch.nn.Upsample(size=(11, 5))(y)",
            "torch.nn.Upsample(scale_factor=2, mode='bilinear')(y)",
            "torch.nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)(y)",
            "torch.nn.Upsample(size=(11, 5), mode='bilinear', align_corners=False)(y)",
            "torch.nn.Upsample(scale_factor=1.5, mode='bicubic')(y)",
            "torch.nn.Upsample(scale_factor=2, mode='linear')(x)",
            "torch.nn.Upsample(scale_factor=2, mode='trilinear', align_corners=True)(z)",
            "torch.nn.UpsamplingNearest2d(scale_factor=2)(y)",
            "torch.nn.UpsamplingBilinear2d(scale_factor=2)(y)",
        ],
    ),
)
def upsampling(site: Site) -> Any:
    """UpSampling for whole factors; TensorFlow's bilinear one computes in single precision."""
    bilinear = site.name.endswith("Bilinear2d")
    mode = "bilinear" if bilinear else "nearest"
    corners: Any = bilinear
    if site.name.endswith("Upsample"):
        mode, corners = site.const("mode"), site.const("align_corners") or False
        if site.has("recompute_scale_factor") and site.const("recompute_scale_factor"):
            raise Unfit(f"{site.short} with recompute_scale_factor=True has no equal here")
    scale = known(site, site.arg("scale_factor")) if site.has("scale_factor") else None
    whole = _whole(scale)
    axes = _axes(site)
    stock = mode == "nearest" or (mode == "bilinear" and not corners and not site.exact)
    if whole is not None and stock and axes is not None:
        if mode == "bilinear":
            site.caution("UpSampling2D interpolates in single precision (2e-7 off in float64)")
        return call(
            f"keras.layers.UpSampling{axes}D",
            whole,
            interpolation="bilinear" if mode == "bilinear" else OMIT,
        )
    inner = unit(
        site,
        "interpolate",
        cst.Name("x"),
        size=site.arg("size") if site.has("size") else OMIT,
        scale_factor=site.arg("scale_factor") if site.has("scale_factor") else OMIT,
        mode=OMIT if mode == "nearest" else mode,
        align_corners=True if corners else OMIT,
    )
    return lambda_layer(site, inner)


def _whole(scale: Any) -> Any:
    """A factor as whole numbers, None where it is something else."""
    scales = scale if isinstance(scale, (tuple, list)) else [scale]
    if not all(isinstance(s, (int, float)) and s == int(s) for s in scales):
        return None
    numbers = tuple(int(s) for s in scales)
    return numbers[0] if len(numbers) == 1 else numbers


def _axes(site: Site) -> int | None:
    """How many spatial axes the layer works on; two unless it is known to be called otherwise."""
    x = input_of(site)
    if x is None or x.rank is None:
        return 2
    return x.rank - 2 if 3 <= x.rank <= 5 else None


@rewrites(
    "torch.nn.PixelShuffle",
    "torch.nn.PixelUnshuffle",
    "torch.nn.ChannelShuffle",
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 8, 3, 4), (2, 3, 4, 6)],
        cases=["torch.nn.PixelShuffle(2)(x)", "torch.nn.PixelUnshuffle(downscale_factor=2)(y)"],
    ),
)
def pixel_shuffling(site: Site) -> Any:
    """Functions that keep torch's order of channels, row and column."""
    if site.name.endswith("ChannelShuffle"):
        raise Unfit("ChannelShuffle has no Keras layer", "reshape, transpose and reshape back")
    up = site.name.endswith("PixelShuffle")
    function = site.emit("pixel_shuffle" if up else "pixel_unshuffle")
    factor = site.arg("upscale_factor" if up else "downscale_factor")
    return lambda_layer(site, fill("f(x, r)", f=function, r=factor))


@rewrites(
    "torch.nn.LocalResponseNorm",
    "torch.nn.CrossMapLRN2d",
    to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 6, 3, 4)],
        cases=[
            "torch.nn.LocalResponseNorm(3)(x)",
            "torch.nn.LocalResponseNorm(size=4, alpha=0.1, beta=0.5, k=2)(x)",
        ],
    ),
)
def response_norm(site: Site) -> Any:
    """Divided by what neighbouring channels hold."""
    options = {n: site.args[n] for n in ("alpha", "beta", "k") if n in site.args}
    inner = unit(site, "local_response_norm", cst.Name("x"), site.arg("size"), **options)
    return lambda_layer(site, inner)
