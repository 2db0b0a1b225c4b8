"""torchvision to Keras: datasets in memory, transforms as small written-out callables, image grids.

torchvision's transforms work on PIL images and so do the written-out ones: the numbers that come
out are the same. Images keep torch's order (channels, height, width) in a batch, as the program
expects.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Unfit, rewrites
from transpiler.rules.facts_vision import IMAGES, TRANSFORMS
from transpiler.site import Site
from transpiler.template import call, fill

_DATASETS = "torchvision.datasets."
# transform -> the arguments that its unit takes
_UNITS: dict[str, tuple[str, ...]] = {
    "Compose": ("steps",),
    "Normalize": ("mean", "std"),
    "Resize": ("size", "interpolation"),
    "CenterCrop": ("size",),
    "Pad": ("padding", "fill"),
    "RandomCrop": ("size", "padding", "fill"),
    "RandomResizedCrop": ("size", "scale", "ratio", "interpolation"),
    "RandomHorizontalFlip": ("p",),
    "RandomVerticalFlip": ("p",),
    "RandomRotation": ("degrees", "expand", "fill"),
    "Grayscale": ("num_output_channels",),
    "ColorJitter": ("brightness", "contrast", "saturation", "hue"),
}
_FUNCTIONS = {"ToTensor": "to_tensor", "PILToTensor": "pil_to_tensor", "ToPILImage": "to_pil_image"}
_FREE = ("inplace", "antialias")
_CLASSES = {
    "MNIST": (
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six",
        "7 - seven", "8 - eight", "9 - nine",
    ),
    "FashionMNIST": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ),
    "CIFAR10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
}  # fmt: skip


# ---- datasets ------------------------------------------------------------------------------------


@rewrites(*(_DATASETS + name for name in IMAGES), to="tf")
def images(site: Site) -> Any:
    """`keras.datasets` holds the same images; the part for training comes first."""
    if not site.is_call:
        raise Unfit(f"{site.short} is used without being called")
    module = IMAGES[site.name.rpartition(".")[2]][0]
    part = _part(site)
    arrays = fill(f"keras.datasets.{module}.load_data()[part]", part=part)
    given = {n: site.args[n] for n in ("transform", "target_transform") if site.has(n)}
    site.context.emit("ImageDataset")
    return call("ImageDataset", arrays, **given)


def _part(site: Site) -> Any:
    train = site.const("train", None)
    if train is None:
        return fill("0 if train else 1", train=site.arg("train"))
    return 0 if train else 1


@rewrites(_DATASETS + "ImageFolder", to="tf")
def image_folder(site: Site) -> Any:
    """A folder of folders, read and transformed image by image."""
    for name in ("loader", "is_valid_file"):
        if site.has(name):
            raise Unfit(
                f"ImageFolder with its own `{name}`", "subclass the ImageFolder written here"
            )
    given = {n: site.args[n] for n in ("transform", "target_transform") if site.has(n)}
    site.context.emit("ImageFolder")
    return call("ImageFolder", site.arg("root"), **given)


_KEPT = ("classes", "class_to_idx", "samples", "imgs", "targets", "transform", "root", "data")


@rewrites(*(f"{_DATASETS}ImageFolder.{name}" for name in _KEPT if name != "data"),
          *(f"{_DATASETS}{c}.{n}" for c in IMAGES for n in ("data", "targets", "transform")),
          to="tf")  # fmt: skip
def kept(site: Site) -> Any:
    """The written-out datasets have these attributes."""
    return site.keep()


@rewrites(*(f"{_DATASETS}{c}.{n}" for c in IMAGES for n in ("train_data", "test_data")), to="tf")
def old_data(site: Site) -> Any:
    return fill("dataset.data", dataset=_receiver(site))


@rewrites(
    *(f"{_DATASETS}{c}.{n}" for c in IMAGES for n in ("train_labels", "test_labels")), to="tf"
)
def old_targets(site: Site) -> Any:
    return fill("dataset.targets", dataset=_receiver(site))


@rewrites(*(f"{_DATASETS}{c}.classes" for c in _CLASSES), to="tf")
def class_names(site: Site) -> Any:
    """Keras's data come without the names of the classes."""
    return fill("names", names=list(_CLASSES[site.name.split(".")[2]]))


def _receiver(site: Site) -> cst.BaseExpression:
    assert isinstance(site.node, cst.Attribute)
    return site.node.value


# ---- transforms ----------------------------------------------------------------------------------


@rewrites(*(TRANSFORMS + name for name in _UNITS), to="tf")
def transform(site: Site) -> Any:
    """A unit of the same name and arguments."""
    name = site.name.rpartition(".")[2]
    site.context.emit(name)
    if not site.is_call:
        return cst.Name(name)
    if name == "Compose":
        return call(name, *site.args.values())
    for argument in site.args:
        if argument not in (*_UNITS[name], *_FREE) and site.has(argument):
            raise Unfit(f"`{argument}` of {site.short} is not written out")
    given = {n: v for n, v in site.args.items() if n not in _FREE}
    count = len(site.positional)
    if tuple(given)[:count] == _UNITS[name][:count]:
        return call(name, *list(given.values())[:count], **dict(list(given.items())[count:]))
    return call(name, **given)


@rewrites(*(TRANSFORMS + name for name in _FUNCTIONS), to="tf")
def transform_function(site: Site) -> Any:
    """Transforms without settings are functions."""
    name = _FUNCTIONS[site.name.rpartition(".")[2]]
    site.context.emit(name)
    if not site.is_call or not site.args:
        return cst.Name(name)
    site.request_import("import functools")
    return call("functools.partial", cst.Name(name), **site.args)


@rewrites(
    TRANSFORMS + "functional.to_tensor", TRANSFORMS + "functional.pil_to_tensor",
    TRANSFORMS + "functional.to_pil_image", TRANSFORMS + "functional.crop", to="tf",
)  # fmt: skip
def functional(site: Site) -> Any:
    name = site.name.rpartition(".")[2]
    site.context.emit(name)
    return call(name, *site.args.values())


@rewrites(TRANSFORMS + "functional.normalize", TRANSFORMS + "functional.resize",
          TRANSFORMS + "functional.center_crop", to="tf")  # fmt: skip
def functional_class(site: Site) -> Any:
    """Functions that are a unit's call: `resize(image, 32)` → `Resize(32)(image)`."""
    name = {"normalize": "Normalize", "resize": "Resize", "center_crop": "CenterCrop"}[
        site.name.rpartition(".")[2]
    ]
    site.context.emit(name)
    arguments = {n: v for n, v in site.args.items() if n not in _FREE}
    image, *rest = arguments.values()
    return cst.Call(call(name, *rest), [cst.Arg(image)])


@rewrites(TRANSFORMS + "Lambda", to="tf")
def function(site: Site) -> Any:
    """The function itself."""
    return site.arg("lambd")


@rewrites(*(f"{TRANSFORMS}{name}.__call__" for name in (*_UNITS, *_FUNCTIONS, "Lambda")), to="tf")
def applied(site: Site) -> Any:
    return site.keep()


# ---- images as files -----------------------------------------------------------------------------


@rewrites("torchvision.utils.make_grid", "torchvision.utils.save_image", to="tf")
def grids(site: Site) -> Any:
    """Images side by side."""
    name = site.name.rpartition(".")[2]
    known = ("tensor", "fp", "nrow", "padding", "normalize", "value_range", "range", "pad_value")
    for argument in [*site.keywords, *site.starred]:
        if argument not in known:
            raise Unfit(f"an argument of {site.short} that is not written out")
    options = {("value_range" if n == "range" else n): v for n, v in site.keywords.items()}
    first = [*site.positional]
    for argument in ("tensor", "fp"):
        if argument in options:
            first.append(options.pop(argument))
    if len(first) > (2 if name == "save_image" else 4):
        raise Unfit(f"settings of {site.short} given by position", "name them")
    site.context.emit(name)
    return call(name, *first, **options)
