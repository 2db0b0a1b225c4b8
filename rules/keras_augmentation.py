"""`keras.preprocessing.image`: generators of changed images, images as arrays."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Mapping,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    as_dim,
    is_none,
    items_of,
)
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.site import Site
from transpiler.template import call, fill

GENERATOR = "keras.preprocessing.image.ImageDataGenerator"
FLOW = "keras.preprocessing.image.Iterator"
_OPEN = ("zca_whitening", "zca_epsilon", "data_format", "interpolation_order", "dtype")


def _rows(value: Value | None) -> Tensor:
    shape = value.shape if isinstance(value, Tensor) else None
    return Tensor((None, *shape[1:]) if shape else None, getattr(value, "dtype", None), "numpy")


def _flow(made: Invocation, parts: list[Value]) -> Value:
    flow = made.interpreter.allocate(Symbol(FLOW), made.node, {})
    flow.state["element"] = parts[0] if len(parts) == 1 else Sequence("tuple", tuple(parts))
    return flow


@infers(f"{GENERATOR}.flow")
def flow_fact(made: Invocation) -> Value:
    x, y = made.arg("x", at=0), made.arg("y", at=1)
    parts: list[Value] = [_rows(x).but(dtype="float32")]
    if y is not None and not is_none(y):
        parts.append(_rows(y))
    return _flow(made, parts)


@infers(f"{GENERATOR}.flow_from_directory")
def folder_fact(made: Invocation) -> Value:
    size = items_of(made.arg("target_size", at=1) or Const((256, 256))) or (NONE, NONE)
    mode, colours = made.arg("class_mode", at=4), made.arg("color_mode", at=2)
    channels = {"grayscale": 1, "rgba": 4}.get(getattr(colours, "value", "rgb"), 3)
    images = Tensor((None, *(as_dim(s) for s in size), channels), "float32", "numpy")
    kind = getattr(mode, "value", "categorical")
    if kind is None or kind == "input":
        return _flow(made, [images])
    labels = Tensor((None, None), "float32", "numpy")
    if kind != "categorical":
        labels = Tensor((None,), "float32" if kind == "binary" else "int64", "numpy")
    return _flow(made, [images, labels])


@infers(f"{FLOW}.__iter__")
def batches(made: Invocation) -> Value:
    state = getattr(made.receiver, "state", {})
    return Sequence("generator", None, state.get("element", UNKNOWN))


@infers(f"{FLOW}.next", f"{FLOW}.__next__", f"{FLOW}.__getitem__")
def batch(made: Invocation) -> Value:
    found: Value = getattr(made.receiver, "state", {}).get("element", UNKNOWN)
    return found


@infers_property(f"{FLOW}.class_indices")
def class_indices(_: Value) -> Value:
    return Mapping({}, Number("int"))


@infers_property(f"{FLOW}.n")
def count(_: Value) -> Value:
    return Number("int")


@infers(f"{GENERATOR}.fit")
def fitted(_: Invocation) -> Value:
    return NONE


@rewrites(GENERATOR, to="torch")
def generator(site: Site) -> Any:
    """The class is written out; what only says its default is left out."""
    for name in _OPEN:
        if site.has(name) and site.const(name, "?") not in (False, None, 1e-6, 1, "channels_last"):
            raise Unfit(f"`{name}` of ImageDataGenerator is not translated")
    if not site.is_call:
        return site.emit("ImageDataGenerator")
    site.context.emit("ImageFlow")
    given = {n: v for n, v in site.args.items() if n not in _OPEN}
    kept = {n: v for n, v in given.items() if not _is_default(site, n)}
    return call(site.context.emit("ImageDataGenerator"), **kept)


def _is_default(site: Site, name: str) -> bool:
    value = site.const(name, "?")
    return value is not True and value in (0, None) and value != "?"


@rewrites(f"{GENERATOR}.flow", f"{GENERATOR}.flow_from_directory", to="torch")
def flow(site: Site) -> Any:
    for name in ("save_to_dir", "follow_links", "ignore_class_split", "keep_aspect_ratio"):
        if site.has(name) and site.const(name, "?") not in (False, None):
            raise Unfit(f"`{name}` of {site.short} is not translated")
    return site.keep()


@rewrites(
    f"{GENERATOR}.fit", f"{GENERATOR}.standardize", f"{GENERATOR}.random_transform",
    f"{FLOW}.next", f"{FLOW}.__next__", f"{FLOW}.reset", f"{FLOW}.class_indices", f"{FLOW}.n",
    f"{FLOW}.samples", f"{FLOW}.batch_size", f"{FLOW}.classes", f"{FLOW}.filenames",
    f"{FLOW}.filepaths", to="torch",
)  # fmt: skip
def kept(site: Site) -> Any:
    return site.keep()


@rewrites(f"{GENERATOR}.flow_from_dataframe", to="torch")
def from_frame(_: Site) -> Any:
    raise Unfit("images named in a table are not translated", "write a Dataset that opens them")


@rewrites("keras.utils.load_img", to="torch")
def load_image(site: Site) -> Any:
    """A picture of PIL's, in the size asked for."""
    for name in ("interpolation", "keep_aspect_ratio"):
        if site.has(name):
            raise Unfit(f"`{name}` of load_img is not translated")
    mode = {"grayscale": "L", "rgba": "RGBA"}.get(str(site.const("color_mode", "rgb")), "RGB")
    new = fill("Image.open(path).convert(mode)", path=site.arg("path"), mode=mode)
    if not site.has("target_size"):
        return new
    size = site.arg("target_size")
    if isinstance(size, cst.Tuple) and len(size.elements) == 2:
        height, width = (e.value for e in size.elements)
        return fill("image.resize((w, h), Image.NEAREST)", image=new, w=width, h=height)
    return fill("image.resize(size[::-1], Image.NEAREST)", image=new, size=size)


@rewrites("keras.utils.img_to_array", to="torch")
def image_array(site: Site) -> Any:
    return fill('np.atleast_3d(np.asarray(image, dtype="float32"))', image=site.arg("img"))


@rewrites("keras.utils.image_dataset_from_directory", to="torch")
def image_folder(site: Site) -> Any:
    """A data set of the files, batched and shuffled by a DataLoader."""
    known = ("directory", "image_size", "label_mode", "color_mode", "class_names", "shuffle",
             "seed", "validation_split", "subset")  # fmt: skip
    for name, value in site.args.items():
        if name in (*known, "batch_size", "verbose"):
            continue
        if (name, getattr(site.context.fact(value), "value", "?")) not in (
            ("labels", "inferred"), ("interpolation", "bilinear"), ("follow_links", False),
        ):  # fmt: skip
            raise Unfit(f"`{name}` of image_dataset_from_directory is not translated")
    given = {n: site.args[n] for n in known if n in site.args}
    shuffled = site.const("shuffle", "?")
    if shuffled == "?":
        raise Unfit("whether the images are shuffled is not known before the program runs")
    if site.const("label_mode", "?") == "int":
        given.pop("label_mode", None)
    if shuffled is True:
        given.pop("shuffle", None)
    files = call(site.context.emit("ImageFiles"), given.pop("directory"), **given)
    size = site.args.get("batch_size", 32)
    options = {"shuffle": True} if shuffled else {}
    return call("torch.utils.data.DataLoader", files, batch_size=size, **options)
