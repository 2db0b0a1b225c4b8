"""Functional padding, resampling and rearranging of images, channels last."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import items_of
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.functional_spatial import F, numbers
from transpiler.rules.operands import in_module
from transpiler.rules.tensor_arguments import OMIT, Arguments, fill
from transpiler.site import Site, constant_value

# ---- padding and resampling -------------------------------------------------------------------


@rewrites(
    f"{F}.pad", to="tf", layout="axis",
    proof=Proof(
        inputs=[(2, 3, 8, 7), (4, 5)],
        cases=["F.pad(x, (1, 2, 3, 0))", "F.pad(y, (0, 2))", "F.pad(x, [1, 1], value=0.5)",
               "F.pad(x, (1, 1, 2, 2), mode='reflect')", "F.pad(x, (1, 2, 0, 1), 'replicate')",
               "F.pad(x, (1, 2, 0, 1), mode='circular')", "F.pad(x, (0, 0, 0, 0, 1, 0))",
               "F.pad(x, (1, 1, 1, 1), 'constant', 0)"],
    ),
)  # fmt: skip
def pad(site: Site) -> Any:
    given = Arguments(site)
    rank = site.rank(given.x)
    sides = _sides(site, given.get("pad", at=0))
    if rank is None:
        raise Unfit("the rank of the tensor that F.pad pads is not known")
    if any(
        isinstance(constant_value(site.fact(s)), int) and constant_value(site.fact(s)) < 0
        for s in sides
    ):
        raise Unfit("F.pad with a negative padding cuts off", "slice the tensor instead")
    pairs: list[Any] = [[0, 0] for _ in range(rank)]
    for i in range(len(sides) // 2):
        pairs[rank - 1 - i] = [sides[2 * i], sides[2 * i + 1]]
    if site.layout(given.x) == "nhwc":
        pairs = [pairs[0], *pairs[2:], pairs[1]]
    mode, value = given.const("mode", at=1, default="constant"), given.get("value", at=2)
    written = [list(p) for p in pairs]
    if mode == "constant":
        plain = value is None or constant_value(site.fact(value)) == 0
        return fill("tf.pad(x, p, constant_values=v)", x=given.x, p=_nested(written),
                    v=OMIT if plain else value)  # fmt: skip
    if mode == "reflect":
        return fill('tf.pad(x, p, "REFLECT")', x=given.x, p=_nested(written))
    if mode not in ("replicate", "circular"):
        raise Unfit(f"F.pad with the mode {mode!r}")
    return fill("unit(x, p, m)", unit=site.emit("pad_edges"), x=given.x, p=_nested(written), m=mode)


def _sides(site: Site, node: Any) -> list[Any]:
    if isinstance(node, (cst.Tuple, cst.List)):
        return [e.value for e in node.elements]
    items = items_of(site.fact(node))
    if items is None or not isinstance(node, (cst.Name, cst.Attribute)):
        value = constant_value(site.fact(node))
        if not isinstance(value, (tuple, list)):
            raise Unfit("how many axes F.pad pads is not known before the program runs")
        return [cst.Integer(str(v)) for v in value]
    return [fill("p[i]", p=node, i=i) for i in range(len(items))]


def _nested(pairs: list[list[Any]]) -> cst.List:
    from transpiler.template import as_node

    rows = [cst.List([cst.Element(as_node(v)) for v in pair]) for pair in pairs]
    return cst.List([cst.Element(row) for row in rows])


@rewrites(
    *in_module(F, "interpolate", "upsample", "upsample_nearest", "upsample_bilinear"), to="tf",
    layout="spatial",
    proof=Proof(
        inputs=[(2, 3, 4, 5), (2, 3, 6)],
        cases=["F.interpolate(x, scale_factor=2)", "F.interpolate(x, size=(8, 7))",
               "F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)",
               "F.interpolate(x, (9, 10), mode='bilinear', align_corners=True)",
               "F.interpolate(y, scale_factor=2, mode='linear')", "F.upsample(x, scale_factor=2)",
               "F.interpolate(x, size=6, mode='nearest')",
               "F.interpolate(x, size=(2, 2), mode='area')",
               "F.interpolate(x, size=(7, 3), mode='nearest-exact')",
               "F.interpolate(x, scale_factor=2, mode='nearest-exact')"],
    ),
)  # fmt: skip
def interpolate(site: Site) -> Any:
    given = Arguments(site)
    size, scale = given.get("size", at=0), given.get("scale_factor", at=1)
    mode = given.const("mode", at=2, default="nearest")
    corners = given.const("align_corners", at=3, default=False)
    if site.name.endswith("upsample_bilinear"):
        mode, corners = "bilinear", True
    for name in ("antialias", "recompute_scale_factor"):
        if given.get(name) is not None and given.const(name):
            raise Unfit(f"{site.short} with {name} has no equal here")
    if mode == "nearest-exact":
        return _nearest(site, given.x, size, scale)
    if mode not in ("nearest", "linear", "bilinear", "trilinear", "bicubic", "area"):
        raise Unfit(f"{site.short} with the mode {mode!r} has no equal here")
    known = numbers(site, size, 2, 0) if size is not None else None
    if mode == "bilinear" and not corners and known is not None and not site.exact:
        site.caution("tf.image.resize interpolates in single precision (1e-7 off in float64)")
        return fill("tf.image.resize(x, s)", x=given.x, s=list(known))
    return fill(
        "unit(x, size=s, scale_factor=f, mode=m, align_corners=c)", unit=site.emit("interpolate"),
        x=given.x, s=OMIT if size is None else size, f=OMIT if scale is None else scale,
        m=OMIT if mode == "nearest" else mode, c=True if corners else OMIT,
    )  # fmt: skip


def _nearest(site: Site, x: Any, size: Any, scale: Any) -> Any:
    """The nearest pixel by the centers of both: the one way in which TensorFlow does it."""
    if site.rank(x) != 4:
        raise Unfit(f"{site.short} with the mode 'nearest-exact' is translated for images only")
    if size is None:
        factor, shape = constant_value(site.fact(scale)), getattr(site.fact(x), "shape", ())
        if not isinstance(factor, int) or not all(isinstance(d, int) for d in shape[2:]):
            raise Unfit(f"the size that {site.short} gives is not known before the program runs")
        size = [d * factor for d in shape[2:]]
    elif isinstance(constant_value(site.fact(size)), int):
        size = [size, size]
    return fill("tf.image.resize(x, s, method=m)", x=x, s=size, m="nearest")


@rewrites("to_torch.resize_images", to="tf")
def resize_images(site: Site) -> Any:
    """What translations to PyTorch write for `tf.image.resize`."""
    mode = site.const("mode", "bilinear")
    if mode not in ("nearest-exact", "bilinear", "area"):
        raise Unfit(f"images resized with the mode {mode!r}")
    method = {"nearest-exact": "nearest", "bilinear": OMIT}.get(mode, mode)
    return fill("tf.image.resize(x, s, method=m)", x=site.arg("images"), s=site.arg("size"),
                m=method)  # fmt: skip


@rewrites(*in_module(F, "pixel_shuffle", "pixel_unshuffle"), "torch.pixel_shuffle", to="tf",
          layout="spatial",
          proof=Proof(inputs=[(2, 8, 3, 4)], cases=["F.pixel_shuffle(x, 2)"]))  # fmt: skip
def shuffle_pixels(site: Site) -> Any:
    given = Arguments(site)
    unit = site.emit(site.name.rpartition(".")[2])
    return fill("unit(x, r)", unit=unit, x=given.x,
                r=given.get("upscale_factor", "downscale_factor", at=0))  # fmt: skip


@rewrites(f"{F}.grid_sample", to="tf", layout="spatial",
          proof=Proof(inputs=[(2, 3, 4, 5), (2, 3, 3, 2)],
                      cases=["F.grid_sample(x, y, align_corners=False)",
                             "F.grid_sample(x, y, 'bilinear', 'border', True)"]))  # fmt: skip
def grid_sample(site: Site) -> Any:
    given = Arguments(site)
    mode = given.const("mode", at=1, default="bilinear")
    padding = given.const("padding_mode", at=2, default="zeros")
    if mode not in ("bilinear", "nearest") or padding not in ("zeros", "border"):
        raise Unfit(f"F.grid_sample with mode {mode!r} and padding {padding!r} has no equal here")
    return fill(
        "unit(x, g, mode=m, padding_mode=p, align_corners=c)", unit=site.emit("grid_sample"),
        x=given.x, g=given.get("grid", at=0), m=OMIT if mode == "bilinear" else mode,
        p=OMIT if padding == "zeros" else padding, c=given.given("align_corners", at=3),
    )  # fmt: skip


@rewrites(f"{F}.affine_grid", to="tf",
          proof=Proof(inputs=[(2, 2, 3)],
                      cases=["F.affine_grid(x, (2, 3, 4, 5), align_corners=False)"]))  # fmt: skip
def affine_grid(site: Site) -> Any:
    given = Arguments(site)
    theta, size = site.keywords.get("theta", given.x), given.get("size", at=0)
    return fill("unit(t, list(s)[2:], align_corners=c)", unit=site.emit("affine_grid"), t=theta,
                s=size, c=given.given("align_corners", at=1))  # fmt: skip


@rewrites(f"{F}.unfold", to="tf",
          proof=Proof(inputs=[(2, 3, 6, 5)], cases=["F.unfold(x, 3)",
                                                    "F.unfold(x, (2, 3), padding=1)",
                             "F.unfold(x, kernel_size=3, stride=2)"]))  # fmt: skip
def unfold(site: Site) -> Any:
    given = Arguments(site)
    found = {
        name: numbers(site, given.get(name, at=at), 2, usual)
        for name, at, usual in (("kernel_size", 0, 0), ("dilation", 1, 1), ("padding", 2, 0),
                                ("stride", 3, 1))
    }  # fmt: skip
    if None in found.values():
        raise Unfit("the windows of F.unfold are not known before the program runs")
    usual = {"dilation": (1, 1), "padding": (0, 0), "stride": (1, 1)}
    options = {k: OMIT if found[k] == v else found[k] for k, v in usual.items()}
    return fill(
        "unit(tf.transpose(x, [0, 2, 3, 1]), k, dilation=d, padding=p, stride=s)",
        unit=site.emit("unfold"), x=given.x, k=found["kernel_size"], d=options["dilation"],
        p=options["padding"], s=options["stride"],
    )  # fmt: skip


@rewrites(f"{F}.local_response_norm", to="tf", layout="spatial",
          proof=Proof(inputs=[(2, 6, 4, 4)], cases=["F.local_response_norm(x, 3)"]))  # fmt: skip
def local_response_norm(site: Site) -> Any:
    given = Arguments(site)
    return fill("unit(x, n, alpha=a, beta=b, k=k)", unit=site.emit("local_response_norm"),
                x=given.x, n=given.get("size", at=0), a=given.given("alpha", at=1),
                b=given.given("beta", at=2), k=given.given("k", at=3))  # fmt: skip


@rewrites(*in_module(F, "fold", "max_unpool2d", "lp_pool1d", "lp_pool2d"), to="tf")
def unsupported(site: Site) -> Any:
    raise Unfit(f"{site.short} has no equal here", "use the layer of that name")
