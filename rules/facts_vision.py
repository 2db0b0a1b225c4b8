"""What torchvision gives: the shapes of images through their transforms, elements of datasets."""

from __future__ import annotations

from typing import Any

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    ListObject,
    Number,
    Sequence,
    Tensor,
    Value,
    items_of,
    options,
)
from transpiler.rule import infers, infers_property
from transpiler.rules.facts_data import mark_indexed

VISION = "torchvision."
TRANSFORMS = "torchvision.transforms."
DATASETS = "torchvision.datasets."
# dataset -> (module of keras.datasets, shape as (C, H, W), number of classes)
IMAGES: dict[str, tuple[str, tuple[int, int, int]]] = {
    "MNIST": ("mnist", (1, 28, 28)),
    "FashionMNIST": ("fashion_mnist", (1, 28, 28)),
    "CIFAR10": ("cifar10", (3, 32, 32)),
    "CIFAR100": ("cifar100", (3, 32, 32)),
}
ELSEWHERE: dict[str, tuple[int | None, ...]] = {
    **dict.fromkeys(("KMNIST", "EMNIST", "QMNIST"), (1, 28, 28)), "USPS": (1, 16, 16),
    "SVHN": (3, 32, 32), "STL10": (3, 96, 96),
    **dict.fromkeys(("ImageFolder", "LSUN", "ImageNet", "Food101", "Flowers102", "OxfordIIITPet",
                     "StanfordCars", "Places365"), (3, None, None)),
}  # fmt: skip
"""Other images with a class each, by shape as (C, H, W)."""
_DATASETS = tuple(f"torchvision.datasets.{name}" for name in (*IMAGES, "ImageFolder"))
_LABELLED = tuple(f"torchvision.datasets.{name}" for name in (*IMAGES, *ELSEWHERE))
_SIZED = ("Resize", "CenterCrop", "RandomCrop", "RandomResizedCrop")
_SAME = (
    "RandomHorizontalFlip", "RandomVerticalFlip", "RandomRotation", "ColorJitter", "Normalize",
    "ToTensor", "PILToTensor", "ToPILImage",
)  # fmt: skip


def transformed(invocation: Invocation, image: Value, transform: Value | None) -> Value:
    """An image after a transform, which is one of torchvision's or a function of the program."""
    if transform is None or (isinstance(transform, Const) and transform.value is None):
        return image
    if not isinstance(transform, Instance):
        return invocation.call(transform, image)
    name = transform.class_names[0] if transform.class_names else ""
    if not name.startswith(TRANSFORMS):
        return invocation.call(transform, image)
    short = name.rpartition(".")[2]
    if short == "Compose":
        for step in items_of(_argument(transform, "transforms")) or (UNKNOWN,):
            image = transformed(invocation, image, step)
        return image
    if short == "Lambda":
        return invocation.call(_argument(transform, "lambd"), image)
    return _moved(short, transform, image)


def _argument(instance: Instance, name: str) -> Value:
    found = instance.arguments.get(name)
    return found if isinstance(found, Value) else UNKNOWN


def _moved(name: str, transform: Instance, image: Value) -> Value:
    """The image's shape, kept as (C, H, W) all along, and its type."""
    if not isinstance(image, Tensor) or image.shape is None or len(image.shape) != 3:
        return UNKNOWN
    channels, height, width = image.shape
    if name in _SIZED:
        sides = _sides(_argument(transform, "size"), name)
        if name == "Resize" and sides is None and height == width:
            sides = _sides(_argument(transform, "size"), "CenterCrop")
        height, width = sides or (None, None)
    elif name == "Grayscale":
        count = transform.arguments.get("num_output_channels", Const(1))
        channels = count.value if isinstance(count, Const) else None
    elif name == "Pad":
        height = width = None
    elif name not in _SAME:
        return UNKNOWN
    dtype = "float32" if name in ("ToTensor", "Normalize") else image.dtype
    return Tensor((channels, height, width), dtype, "torch")


def _sides(size: Value, name: str) -> tuple[int, int] | None:
    items = items_of(size)
    values = [v.value for v in items or (size,) if isinstance(v, Const)]
    if len(values) == 2:
        return values[0], values[1]
    if len(values) == 1 and name != "Resize":
        return values[0], values[0]
    return None


def _start(dataset: Instance) -> Value:
    short = dataset.class_names[0].rpartition(".")[2]
    shape: Any = IMAGES[short][1] if short in IMAGES else ELSEWHERE.get(short)
    return Tensor(shape, "uint8", "torch")


@infers(*(f"{name}.__getitem__" for name in _LABELLED))
def image_item(invocation: Invocation) -> Value:
    """An image as its transform leaves it, and its class."""
    dataset = invocation.receiver
    if not isinstance(dataset, Instance):
        return UNKNOWN
    if invocation.node is not None:
        mark_indexed(dataset)
    image = transformed(invocation, _start(dataset), _optional(dataset, "transform"))
    target: Value = Number("int")
    change = _optional(dataset, "target_transform")
    if change is not None:
        target = invocation.call(change, target)
    return Sequence("tuple", (image, target))


def _optional(dataset: Instance, name: str) -> Value | None:
    found = dataset.arguments.get(name)
    is_none = isinstance(found, Const) and found.value is None
    return found if isinstance(found, Value) and not is_none else None


@infers_property(
    *(f"{name}.data" for name in _DATASETS), *(f"{name}.train_data" for name in _DATASETS)
)
def images(dataset: Value) -> Value:
    found = [o for o in options(dataset) if isinstance(o, Instance)]
    short = found[0].class_names[0].rpartition(".")[2] if found else ""
    if short.endswith("MNIST"):
        return Tensor((None, 28, 28), "uint8", "torch")
    return Tensor((None, 32, 32, 3), "uint8", "numpy")


@infers_property(
    *(f"{name}.targets" for name in _DATASETS), *(f"{name}.train_labels" for name in _DATASETS)
)
def targets(dataset: Value) -> Value:
    found = [o for o in options(dataset) if isinstance(o, Instance)]
    if found and found[0].class_names[0].endswith("MNIST"):
        return Tensor((None,), "int64", "torch")
    return ListObject(None, Number("int"))


@infers("torchvision.utils.make_grid")
def grid(_: Invocation) -> Value:
    return Tensor((None, None, None), "float32", "numpy")
