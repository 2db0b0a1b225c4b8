"""Windows cut out of images, and arrays as pictures, towards PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Dim, Tensor, Value, as_dim, is_none, items_of
from transpiler.rule import Proof, Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.template import OMIT, as_node, call, fill

TF, KERAS = "tf.image.extract_patches", "keras.ops.image.extract_patches"


def _sides(value: Value | None) -> tuple[Dim, Dim]:
    """Height and width of a window: one number, two, or those between ones."""
    items = items_of(value) if value is not None else None
    if items is None:
        size = as_dim(value) if value is not None else None
        return size, size
    sizes = [as_dim(i) for i in items]
    pair = sizes[1:3] if len(sizes) == 4 else sizes
    return (pair[0], pair[1]) if len(pair) == 2 else (None, None)


@infers(TF, KERAS)
def patches(call_: Invocation) -> Value:
    """The grid of windows, each flat."""
    x = call_.arg("images", at=0)
    if not isinstance(x, Tensor) or x.shape is None or len(x.shape) < 3:
        return UNKNOWN
    window = _sides(call_.arg("sizes", "size", at=1))
    given = call_.arg("strides", at=2)
    step = window if given is None or is_none(given) else _sides(given)
    rows, columns, channels = x.shape[-3:]
    grid = [_count(*each) for each in zip((rows, columns), window, step, strict=True)]
    known = [d for d in (*window, channels) if isinstance(d, int)]
    flat = known[0] * known[1] * known[2] if len(known) == 3 else None
    return Tensor((*x.shape[:-3], *grid, flat), x.dtype, "tf")


def _count(size: Dim, window: Dim, step: Dim) -> Dim:
    if isinstance(size, int) and isinstance(window, int) and isinstance(step, int):
        return (size - window) // step + 1
    return None


def _pair(site: Site, name: str) -> Any:
    """A window's sides as the program writes them; OMIT where nothing is said."""
    node = site.args.get(name)
    if node is None or (isinstance(node, cst.Name) and node.value == "None"):
        return OMIT
    if isinstance(node, (cst.List, cst.Tuple)):
        sides = [e.value for e in node.elements]
        if len(sides) in (2, 4):
            sides = sides[1:3] if len(sides) == 4 else sides
            return cst.Tuple([cst.Element(side) for side in sides])
    elif items_of(site.fact(name)) is None:
        return cst.Tuple([cst.Element(as_node(node)), cst.Element(as_node(node))])
    raise Unfit(f"`{name}` of {site.short} is not written out", "write two numbers")


@rewrites(
    TF, KERAS, to="torch",
    proof=Proof(
        inputs=["normal(2, 6, 9, 3)"],
        keras_cases=[
            "keras.ops.image.extract_patches(x, 3)",
            "keras.ops.image.extract_patches(x, (2, 3), strides=(1, 2))",
            "tf.image.extract_patches(x, [1, 2, 2, 1], [1, 2, 3, 1], [1, 1, 1, 1], 'VALID')",
        ],
        directions=("torch",),
    ),
)  # fmt: skip
def extract(site: Site) -> Any:
    """Windows of images with their channels last."""
    if str(site.const("padding", "?")).lower() != "valid":
        raise Unfit(f"padding of {site.short} is not translated", "pad the images by hand")
    rates = site.args.get("rates", site.args.get("dilation_rate"))
    known = site.context.fact(rates) if isinstance(rates, cst.BaseExpression) else None
    if known is not None and set(_sides(known)) != {1}:
        raise Unfit(f"dilation of {site.short} is not translated")
    if site.has("data_format") and site.const("data_format", "?") != "channels_last":
        raise Unfit(f"`data_format` of {site.short} is not translated")
    size = _pair(site, "sizes" if site.name == TF else "size")
    return call(
        site.emit("extract_patches").value, site.arg("images"), size, _pair(site, "strides")
    )


@rewrites("keras.utils.array_to_img", to="torch")
def picture(site: Site) -> Any:
    """An array as a picture of PIL's."""
    return _picture(site, "data_format", "dtype")


@rewrites("keras.utils.save_img", to="torch")
def saved_picture(site: Site) -> Any:
    """A picture is saved by itself."""
    image = _picture(site, "data_format", "file_format")
    return fill("image.save(path)", image=image, path=site.arg("path"))


def _picture(site: Site, *refused: str) -> Any:
    for name in refused:
        if site.has(name):
            raise Unfit(f"`{name}` of {site.name.rpartition('.')[2]} is not translated")
    scale = OMIT if site.const("scale", True) is True else site.arg("scale")
    return call(site.emit("array_to_img").value, site.arg("x"), scale=scale)
