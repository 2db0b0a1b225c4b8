"""The planner of image data sets whose transforms only scale: they become arrays at once.

`MNIST(root, transform=Compose([ToTensor(), Normalize(mean, std)]))` transforms an image whenever
one is taken. Where nothing is drawn at random, all images can as well be scaled beforehand, which
is how such data are read in TensorFlow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Value, items_of, options
from transpiler.rules.facts_vision import DATASETS, IMAGES, TRANSFORMS
from transpiler.syntax import find, literal, walk
from transpiler.template import call, fill

Channels = tuple[float, ...]


class Scaling(NamedTuple):
    """What each channel has subtracted and is divided by, after 0..255 has become 0..1."""

    mean: Channels | None = None
    std: Channels | None = None


def plan(context: Context) -> None:
    """Replace the data sets, and drop the transforms that nothing else uses."""
    replaced = []
    for node in find(context.module, cst.Call):
        made = _image_dataset(context, node)
        if made is not None and _is_only_read(context, made):
            scaling = _scaling(made)
            if scaling is not None and _replace(context, node, made, scaling):
                replaced.append(node)
    _drop_transforms(context, replaced)


def _image_dataset(context: Context, node: cst.Call) -> Instance | None:
    """The data set that a call of one of torchvision's classes makes."""
    made = options(context.fact(node))
    if len(made) != 1 or not isinstance(made[0], Instance) or made[0].origin is not node:
        return None
    names = made[0].class_names
    known = bool(names) and names[0].removeprefix(DATASETS) in IMAGES
    return made[0] if known else None


def _is_only_read(context: Context, made: Instance) -> bool:
    """Whether no attribute of the data set is used, other than the names of its classes."""
    return not any(
        node.attr.value != "classes" and any(o is made for o in options(context.fact(node.value)))
        for node in find(context.module, cst.Attribute)
    )


def _scaling(made: Instance) -> Scaling | None:
    """The settings of a transform to tensors; None where it does anything else."""
    target = made.arguments.get("target_transform")
    if target is not None and target != Const(None):
        return None
    transform = made.arguments.get("transform")
    steps = _steps(transform) if isinstance(transform, Value) else None
    if not steps or _short(steps[0]) != "ToTensor" or len(steps) > 2:
        return None
    if len(steps) == 1:
        return Scaling()
    if _short(steps[1]) != "Normalize":
        return None
    mean, std = (_channels(steps[1].arguments.get(name)) for name in ("mean", "std"))
    return Scaling(mean, std) if mean and std else None


def _steps(transform: Value) -> list[Any] | None:
    """torchvision's transforms, one after the other."""
    if not isinstance(transform, Instance):
        return None
    if _short(transform) != "Compose":
        return [transform]
    inner = transform.arguments.get("transforms")
    items = items_of(inner) if isinstance(inner, Value) else None
    if items is None or not all(isinstance(i, Instance) for i in items):
        return None
    return list(items)


def _short(transform: Instance) -> str:
    names = transform.class_names
    return names[0].removeprefix(TRANSFORMS) if names and names[0].startswith(TRANSFORMS) else ""


def _channels(value: Any) -> Channels | None:
    """Numbers of a tuple or list, all of them known."""
    items = items_of(value) if isinstance(value, Value) else None
    numbers = [i.value for i in items or () if isinstance(i, Const)]
    return tuple(numbers) if items is not None and len(numbers) == len(items) else None


def _replace(context: Context, node: cst.Call, made: Instance, scaling: Scaling) -> bool:
    part = _part(node, made)
    if part is None:
        return False
    module = IMAGES[made.class_names[0].removeprefix(DATASETS)][0]
    arrays = fill(f"keras.datasets.{module}.load_data()[part]", part=part)
    settings = [literal(s) for s in scaling if s is not None]
    images = call(context.emit("scaled_images"), arrays, *settings)
    if made.state.get("indexed"):
        context.emit("TensorDataset")
        new: Any = fill("TensorDataset(*images)", images=images)
    else:
        new = fill("tf.data.Dataset.from_tensor_slices(images)", images=images)
    made.state["tensors"] = True
    for inner in walk(node):
        context.claim(inner)
    context.edits.replace(node, new)
    return True


def _part(node: cst.Call, made: Instance) -> Any:
    """Which of Keras's two parts it is: the first is for training. None where that is not clear."""
    train = made.arguments.get("train", Const(True))
    if isinstance(train, Const):
        return 0 if train.value else 1
    given = [a.value for a in node.args if a.keyword and a.keyword.value == "train"]
    return fill("0 if train else 1", train=given[0]) if given else None


def _drop_transforms(context: Context, replaced: list[cst.Call]) -> None:
    """Drop `transform = Compose(...)` where only the replaced data sets read it."""
    left_out = {node for made in replaced for node in find(made, cst.Name)}
    names = {n.value for n in left_out}
    for assign in find(context.module, cst.Assign):
        target = assign.targets[0].target
        if len(assign.targets) > 1 or not isinstance(target, cst.Name):
            continue
        if target.value not in names or not _is_transform(context, assign.value):
            continue
        scope = context.edits.enclosing(assign, cst.FunctionDef) or context.module
        reads = [n for n in find(scope, cst.Name) if n.value == target.value and n is not target]
        if all(n in left_out or _is_keyword(context, n) for n in reads):
            for inner in walk(assign):
                context.claim(inner)
            context.edits.replace(context.edits.statement(assign), [])


def _is_transform(context: Context, node: cst.BaseExpression) -> bool:
    made = options(context.fact(node))
    return all(isinstance(m, Instance) and bool(_short(m)) for m in made)


def _is_keyword(context: Context, name: cst.Name) -> bool:
    parent = context.edits.parent.get(name)
    return isinstance(parent, cst.Arg) and parent.keyword is name
