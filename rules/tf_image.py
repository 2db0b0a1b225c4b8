"""tf.image and tf.io towards PyTorch: images as tensors with their channels last, files by Python.

The images stay in the order that the program has them in; what PyTorch has no call for is written
out (`rules/emitted/to_torch/pictures.py`).
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    Const,
    Dim,
    ListObject,
    Number,
    Symbol,
    Tensor,
    Value,
    as_dim,
    items_of,
)
from transpiler.rule import Proof, Unfit, infers, rewrites
from transpiler.site import Site, constant_value, missing
from transpiler.template import OMIT, call, fill

_SIZED = ("resize", "resize_with_pad", "resize_with_crop_or_pad", "resize_image_with_crop_or_pad")
_SAME = (
    "flip_left_right", "flip_up_down", "random_flip_left_right", "random_flip_up_down", "rot90",
    "transpose", "adjust_brightness", "adjust_contrast", "adjust_saturation", "adjust_hue",
    "random_brightness", "random_contrast", "random_saturation", "random_hue", "rgb_to_hsv",
    "hsv_to_rgb", "per_image_standardization", "adjust_gamma",
)  # fmt: skip
_MODES = {"bilinear": "bilinear", "nearest": "nearest-exact"}


def _image(call: Invocation) -> Tensor:
    value = call.arg("images", "image", "value", at=0)
    return value if isinstance(value, Tensor) else Tensor(library="tf")


# ---- facts ---------------------------------------------------------------------------------------


@infers(*(f"tf.image.{name}" for name in _SIZED))
def sized(call: Invocation) -> Value:
    """The image with another height and width; resized ones are floats."""
    x = _image(call)
    given = call.arg("size", at=1)
    sides: tuple[Dim, ...] = (None, None)
    if call.name.endswith(".resize"):
        known = items_of(given) if given is not None else None
        if known is not None and len(known) == 2:
            sides = (as_dim(known[0]), as_dim(known[1]))
    else:
        both = [call.arg("target_height", at=1), call.arg("target_width", at=2)]
        sides = tuple(as_dim(b) if b is not None else None for b in both)
    shape = None
    if x.shape is not None and len(x.shape) >= 3:
        shape = (*x.shape[:-3], *sides, x.shape[-1])
    method = call.arg("method", at=2)
    near = (isinstance(method, Const) and method.value == "nearest") or (
        isinstance(method, Symbol) and method.name.endswith("NEAREST_NEIGHBOR")
    )
    keeps = "crop_or_pad" in call.name or near
    return Tensor(shape, x.dtype if keeps else "float32", "tf")


@infers(*(f"tf.image.{name}" for name in _SAME))
def same(call: Invocation) -> Value:
    x = _image(call)
    kind = "float32" if call.name.endswith("standardization") else x.dtype
    return Tensor(x.shape, kind, "tf")


@infers("tf.image.rgb_to_grayscale", "tf.image.grayscale_to_rgb")
def recoloured(call: Invocation) -> Value:
    x = _image(call)
    count = 1 if call.name.endswith("grayscale") else 3
    return Tensor((*x.shape[:-1], count) if x.shape else None, x.dtype, "tf")


@infers("tf.image.convert_image_dtype")
def converted(call: Invocation) -> Value:
    kind = call.arg("dtype", at=1)
    name = kind.name.rpartition(".")[2] if isinstance(kind, Symbol) else None
    return Tensor(_image(call).shape, name, "tf")


@infers("tf.image.crop_to_bounding_box", "tf.image.pad_to_bounding_box")
def boxed(call: Invocation) -> Value:
    x = _image(call)
    sides = [call.arg(n, at=i + 3) for i, n in enumerate(("target_height", "target_width"))]
    known = tuple(as_dim(s) if s is not None else None for s in sides)
    shape = (*x.shape[:-3], *known, x.shape[-1]) if x.shape and len(x.shape) > 2 else None
    return Tensor(shape, x.dtype, "tf")


@infers("tf.image.central_crop", "tf.image.random_crop")
def cropped(call: Invocation) -> Value:
    x = _image(call)
    given = call.arg("size", at=1)
    known = items_of(given) if given is not None else None
    if call.name.endswith("random_crop") and known is not None:
        return Tensor(tuple(as_dim(k) for k in known), x.dtype, "tf")
    shape = (*x.shape[:-3], None, None, x.shape[-1]) if x.shape and len(x.shape) > 2 else None
    return Tensor(shape, x.dtype, "tf")


@infers("tf.image.psnr", "tf.image.ssim", "tf.image.total_variation")
def measured(call: Invocation) -> Value:
    x = _image(call)
    return Tensor(x.shape[:-3] if x.shape and len(x.shape) > 2 else None, "float32", "tf")


@infers("tf.io.decode_jpeg", "tf.io.decode_png", "tf.io.decode_image", "tf.io.decode_bmp",
        "tf.io.decode_gif", "tf.image.decode_jpeg", "tf.image.decode_png",
        "tf.image.decode_image")  # fmt: skip
def decoded(call: Invocation) -> Value:
    channels = call.arg("channels", at=1)
    kind = call.arg("dtype", at=2)
    name = kind.name.rpartition(".")[2] if isinstance(kind, Symbol) else "uint8"
    return Tensor((None, None, as_dim(channels) if channels is not None else None), name, "tf")


@infers("tf.io.gfile.exists", "tf.io.gfile.isdir")
def truth(_: Invocation) -> Value:
    return Number("bool")


@infers("tf.io.gfile.glob", "tf.io.gfile.listdir")
def paths(_: Invocation) -> Value:
    return ListObject(None, Number("str"))


# ---- sizes ---------------------------------------------------------------------------------------


def _mode(site: Site, name: str = "method") -> Any:
    """The mode of interpolation by PyTorch's name; OMIT for the default. Raises Unfit."""
    given = site.args.get(name)
    if given is None:
        return OMIT
    fact = site.context.fact(given)
    kind = constant_value(fact)
    if isinstance(fact, Symbol):
        kind = {"NEAREST_NEIGHBOR": "nearest"}.get(
            fact.name.rpartition(".")[2], fact.name.rpartition(".")[2].lower()
        )
    if kind in _MODES:
        return OMIT if kind == "bilinear" else _MODES[str(kind)]
    raise Unfit("only bilinear resizing and that to the nearest neighbour are translated")


@rewrites(
    "tf.image.resize", to="torch",
    proof=Proof(
        inputs=[(2, 4, 5, 3)],
        keras_cases=["tf.image.resize(x, (8, 7))", "tf.image.resize(x, [3, 3], method='nearest')",
                     "tf.image.resize(x, (2, 3), 'bilinear')"],
        tolerance=1e-6, reason="TensorFlow resizes in single precision", directions=("torch",),
    ),
)  # fmt: skip
def resize(site: Site) -> Any:
    for name in ("preserve_aspect_ratio", "antialias"):
        if site.has(name) and site.const(name, None) is not False:
            raise Unfit(f"`{name}` of tf.image.resize is not translated")
    given = site.args.get("method")
    if given is not None and constant_value(site.context.fact(given)) == "bicubic":
        raise Unfit("bicubic resizing of TensorFlow is not translated",
                    "resize with method='bilinear'")  # fmt: skip
    unit = site.emit("resize_images")
    return call(unit.value, site.arg("images"), site.arg("size"), _mode(site))


@rewrites(
    "keras.ops.image.resize", to="torch",
    proof=Proof(
        inputs=[(2, 4, 5, 3)],
        keras_cases=["keras.ops.image.resize(x, (8, 7))",
                     "keras.ops.image.resize(x, size=(3, 3), interpolation='nearest')"],
        tolerance=1e-6, reason="TensorFlow resizes in single precision", directions=("torch",),
    ),
)  # fmt: skip
def resize_by_keras(site: Site) -> Any:
    """The same on channels-last images."""
    for name in set(site.args) - {"images", "size", "interpolation"}:
        if site.const(name, "?") not in (False, None, "channels_last"):
            raise Unfit(f"`{name}` of keras.ops.image.resize is not translated")
    unit = site.emit("resize_images")
    return call(unit.value, site.arg("images"), site.arg("size"), _mode(site, "interpolation"))


@rewrites("tf.image.ResizeMethod.NEAREST_NEIGHBOR", "tf.image.ResizeMethod.BILINEAR", to="torch")
def method(site: Site) -> Any:
    return fill('"nearest-exact"' if "NEAREST" in site.name else '"bilinear"')


@rewrites("tf.image.resize_with_pad", to="torch")
def resize_with_pad(site: Site) -> Any:
    unit = site.emit("resize_with_pad")
    return call(unit.value, *(site.arg(n) for n in ("image", "target_height", "target_width")),
                _mode(site))  # fmt: skip


@rewrites(
    "tf.image.resize_with_crop_or_pad", "tf.image.resize_image_with_crop_or_pad", to="torch",
    proof=Proof(
        inputs=[(4, 7, 3)],
        keras_cases=["tf.image.resize_with_crop_or_pad(x, 6, 4)",
                     "tf.image.resize_with_crop_or_pad(x, 3, 9)"], directions=("torch",),
    ),
)  # fmt: skip
def resize_with_crop_or_pad(site: Site) -> Any:
    unit = site.emit("resize_with_crop_or_pad")
    return call(unit.value, *(site.arg(n) for n in ("image", "target_height", "target_width")))


@rewrites(
    "tf.image.crop_to_bounding_box", to="torch",
    proof=Proof(
        inputs=[(2, 5, 6, 3)], keras_cases=["tf.image.crop_to_bounding_box(x, 1, 2, 3, 4)"],
        directions=("torch",),
    ),
)  # fmt: skip
def crop(site: Site) -> Any:
    names = ("offset_height", "offset_width", "target_height", "target_width")
    top, left, height, width = (site.arg(n) for n in names)
    return fill("image[..., top:bottom, left:right, :]", image=site.arg("image"), top=top,
                left=left, bottom=_plus(site, top, height),
                right=_plus(site, left, width))  # fmt: skip


def _plus(site: Site, a: cst.BaseExpression, b: cst.BaseExpression) -> Any:
    known = [constant_value(site.fact(n)) for n in (a, b)]
    if missing not in known:
        return sum(known)
    return fill("a + b", a=a, b=b)


@rewrites(
    "tf.image.pad_to_bounding_box", to="torch",
    proof=Proof(
        inputs=[(2, 3, 4, 3)], keras_cases=["tf.image.pad_to_bounding_box(x, 1, 2, 6, 7)"],
        directions=("torch",),
    ),
)  # fmt: skip
def pad(site: Site) -> Any:
    names = ("image", "offset_height", "offset_width", "target_height", "target_width")
    return call(site.emit("pad_to_bounding_box").value, *(site.arg(n) for n in names))


@rewrites(
    "tf.image.central_crop", to="torch",
    proof=Proof(
        inputs=[(5, 6, 3)],
        keras_cases=["tf.image.central_crop(x, 0.5)", "tf.image.central_crop(x, 0.7)"],
        directions=("torch",),
    ),
)  # fmt: skip
def central_crop(site: Site) -> Any:
    return call(site.emit("central_crop").value, site.arg("image"), site.arg("central_fraction"))


# ---- turning and colours -------------------------------------------------------------------------


@rewrites(
    "tf.image.flip_left_right", "tf.image.flip_up_down", to="torch",
    proof=Proof(
        inputs=[(2, 3, 4, 3)],
        keras_cases=["tf.image.flip_left_right(x)", "tf.image.flip_up_down(x)",
                     "tf.image.flip_left_right(x[0])"], directions=("torch",),
    ),
)  # fmt: skip
def flip(site: Site) -> Any:
    axis = -2 if site.name.endswith("left_right") else -3
    return fill("x.flip(axis)", x=site.arg("image"), axis=axis)


@rewrites("tf.image.random_flip_left_right", "tf.image.random_flip_up_down", to="torch")
def random_flip(site: Site) -> Any:
    axis = -2 if site.name.endswith("left_right") else -3
    return call(site.emit("random_flip").value, site.arg("image"), axis)


@rewrites(
    "tf.image.rot90", to="torch",
    proof=Proof(
        inputs=[(2, 3, 4, 3)], keras_cases=["tf.image.rot90(x)", "tf.image.rot90(x, k=3)"],
        directions=("torch",),
    ),
)  # fmt: skip
def rot90(site: Site) -> Any:
    return fill("torch.rot90(x, k, (-3, -2))", x=site.arg("image"), k=site.arg("k"))


@rewrites("tf.image.random_crop", "tf.random.random_crop", to="torch")
def random_crop(site: Site) -> Any:
    return call(site.emit("random_crop").value, site.arg("value"), site.arg("size"))


@rewrites(
    "tf.image.rgb_to_grayscale", "tf.image.per_image_standardization", "tf.image.rgb_to_hsv",
    "tf.image.hsv_to_rgb", "tf.image.total_variation", to="torch",
    proof=Proof(
        inputs=["unit(2, 3, 4, 3)"],
        keras_cases=["tf.image.rgb_to_grayscale(x)", "tf.image.per_image_standardization(x)",
                     "tf.image.rgb_to_hsv(x)", "tf.image.hsv_to_rgb(x)",
                     "tf.image.total_variation(x)"],
        tolerance=1e-6, reason="TensorFlow computes colours in single precision", gradients=False,
        directions=("torch",),
    ),
)  # fmt: skip
def by_unit(site: Site) -> Any:
    """Functions that are written out under their own names."""
    given = [*site.positional, *site.keywords.values()]
    name = site.name.rpartition(".")[2]
    return call(site.emit("grayscale" if name == "rgb_to_grayscale" else name).value, given[0])


@rewrites("tf.image.grayscale_to_rgb", to="torch")
def grayscale_to_rgb(site: Site) -> Any:
    return fill("x.repeat_interleave(3, -1)", x=site.arg("images"))


_ADJUSTED = {"brightness": "delta", "contrast": "contrast_factor", "hue": "delta",
             "saturation": "saturation_factor"}  # fmt: skip


@rewrites(*(f"tf.image.adjust_{name}" for name in _ADJUSTED), to="torch")
def adjust(site: Site) -> Any:
    what = site.name.rpartition("_")[2]
    image = site.args.get("image", site.args.get("images"))
    return call(site.emit(f"adjust_{what}").value, image, site.arg(_ADJUSTED[what]))


@rewrites(*(f"tf.image.random_{name}" for name in _ADJUSTED), to="torch")
def random_adjust(site: Site) -> Any:
    """The same change by a random amount."""
    what = site.name.rpartition("_")[2]
    site.emit("uniform")
    if what in ("brightness", "hue"):
        amount = fill("uniform(-limit, limit)", limit=site.arg("max_delta"))
    else:
        amount = fill("uniform(low, high)", low=site.arg("lower"), high=site.arg("upper"))
    return call(site.emit(f"adjust_{what}").value, site.arg("image"), amount)


@rewrites("tf.image.convert_image_dtype", to="torch")
def convert_image_dtype(site: Site) -> Any:
    """Bytes to floats in 0 to 1, where both dtypes are known; else written out."""
    fact = site.context.fact(site.arg("dtype"))
    kind = fact.name.rpartition(".")[2] if isinstance(fact, Symbol) else constant_value(fact)
    image, have = site.arg("image"), site.dtype(site.arg("image"))
    if have == "uint8" and kind == "float32":
        return fill("image.float() / 255", image=image)
    if have == kind and have is not None:
        return image
    if kind is missing:
        raise Unfit("the dtype that images are converted to is not known")
    return fill("convert(image, kind)", convert=site.emit("convert_image_dtype"), image=image,
                kind=fill(f"torch.{kind}"))  # fmt: skip


@rewrites(
    "tf.image.psnr", to="torch",
    proof=Proof(
        inputs=["unit(2, 3, 4, 3)", "unit(2, 3, 4, 3)"],
        keras_cases=["tf.image.psnr(x, y, max_val=1.0)"], directions=("torch",), tolerance=1e-5,
        reason="TensorFlow computes it in single precision", gradients=False,
    ),
)  # fmt: skip
def psnr(site: Site) -> Any:
    return call(site.emit("psnr").value, *(site.arg(n) for n in ("a", "b", "max_val")))


# ---- files ---------------------------------------------------------------------------------------


@rewrites("tf.io.read_file", to="torch")
def read_file(site: Site) -> Any:
    return fill("pathlib.Path(path).read_bytes()", path=site.arg("filename"))


@rewrites("tf.io.write_file", to="torch")
def write_file(site: Site) -> Any:
    return fill("pathlib.Path(path).write_bytes(contents)", path=site.arg("filename"),
                contents=site.arg("contents"))  # fmt: skip


@rewrites("tf.io.decode_jpeg", "tf.io.decode_png", "tf.io.decode_image", "tf.io.decode_bmp",
          "tf.image.decode_jpeg", "tf.image.decode_png", "tf.image.decode_image",
          to="torch")  # fmt: skip
def decode(site: Site) -> Any:
    given = [
        *site.positional,
        *(site.keywords[n] for n in ("contents", "image") if n in site.keywords),
    ]
    channels = site.args.get("channels", OMIT)
    kind = site.args.get("dtype")
    new: Any = call(site.emit("decode_image").value, given[0], channels)
    fact = site.context.fact(kind)
    if isinstance(fact, Symbol) and not fact.name.endswith("uint8"):
        name = fact.name.rpartition(".")[2]
        return fill("convert(image, kind)", convert=site.emit("convert_image_dtype"), image=new,
                    kind=fill(f"torch.{name}"))  # fmt: skip
    return new


@rewrites("tf.io.encode_jpeg", "tf.io.encode_png", to="torch")
def encode(site: Site) -> Any:
    kind = "JPEG" if site.name.endswith("jpeg") else "PNG"
    return call(site.emit("encode_image").value, site.positional[0], kind)


_FILES = {
    "exists": "os.path.exists(x)", "isdir": "os.path.isdir(x)", "listdir": "os.listdir(x)",
    "makedirs": "os.makedirs(x, exist_ok=True)", "mkdir": "os.mkdir(x)", "remove": "os.remove(x)",
    "glob": "glob.glob(x)", "rmtree": "shutil.rmtree(x)",
}  # fmt: skip


@rewrites(*(f"tf.io.gfile.{name}" for name in _FILES), to="torch")
def files(site: Site) -> Any:
    given = [*site.positional, *site.keywords.values()]
    if len(given) != 1:
        raise Unfit(f"{site.short} with these arguments is not translated")
    return fill(_FILES[site.name.rpartition(".")[2]], x=given[0])


@rewrites("tf.io.gfile.GFile", "tf.io.gfile.join", to="torch")
def open_file(site: Site) -> Any:
    if site.name.endswith("join"):
        return call("os.path.join", *site.positional)
    return call("open", *site.positional, **site.keywords)


_RECORDS = (
    "tf.io.TFRecordWriter", "tf.io.parse_single_example", "tf.io.parse_example",
    "tf.io.FixedLenFeature", "tf.io.VarLenFeature", "tf.io.decode_raw", "tf.io.parse_tensor",
    "tf.io.serialize_tensor", "tf.train.Example", "tf.train.Features", "tf.train.Feature",
    "tf.train.BytesList", "tf.train.Int64List", "tf.train.FloatList", "tf.io.TFRecordOptions",
    "tf.io.TFRecordWriter.write", "tf.io.TFRecordWriter.close",
)  # fmt: skip


@rewrites(*_RECORDS, to="torch")
def records(_: Site) -> Any:
    raise Unfit("TFRecord files are not translated", "store the arrays with np.savez or torch.save")
