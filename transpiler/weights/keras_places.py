"""The live layers of a Keras script that a state may belong to, and whether it fits."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from transpiler.verify.tf_models import is_seed
from transpiler.weights import keras_files
from transpiler.weights.tree import Array


@dataclass(frozen=True)
class Place:
    """A live layer that a state may belong to."""

    index: int
    is_whole: bool
    layer: Any

    @property
    def shapes(self) -> Counter[tuple[int, ...]]:
        """The shapes of all its variables, generators' states left out."""
        return Counter(tuple(v.shape) for v in self.layer.variables if not is_seed(v))


def common_path(names: list[str]) -> str:
    """The dotted path that all names begin with."""
    paths = [name.replace(".", "/") for name in names]
    return os.path.commonpath([os.path.dirname(path) for path in paths]).replace("/", ".")


def fits(place: Place, stored: Mapping[str, Array]) -> bool:
    """Whether a file has an array for each of a layer's variables."""
    return not place.shapes - Counter(tuple(a.shape) for a in stored.values())


def load_weights(layer: Any, path: Path, stored: Mapping[str, Array]) -> None:
    """Have Keras load a file, under a name that tells it which kind it is."""
    ending = ".keras" if keras_files.find_kind(path) == "keras" else ".weights.h5"
    if any(name.startswith("model_weights/") for name in stored):
        ending = ".h5"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"checkpoint{ending}"
        shutil.copyfile(path, copy)
        layer.load_weights(str(copy))


def restores(prefix: str, name: str, owner: Any, stored: Mapping[str, Array]) -> bool:
    """Restore an object; whether all that it holds now is in the checkpoint."""
    try:
        tf.train.Checkpoint(**{name: owner}).restore(prefix).expect_partial()
    except (ValueError, tf.errors.OpError):
        return False
    held = {v.path: np.asarray(v.numpy()) for v in owner.variables if not is_seed(v)}
    return bool(held) and not keras_files.unaccounted(held, stored.values())


def is_arrays(value: Any) -> bool:
    """Whether a value is a list of arrays, as get_weights() gives."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(a, np.ndarray | np.generic) for a in value)
    )


def is_numbers(value: Mapping[Any, Any]) -> bool:
    """Whether a dict holds settings alone, as a schedule's state does."""
    return not any(is_arrays(v) or isinstance(v, Mapping) for v in value.values()) and bool(
        {"last_epoch", "best", "initial"} & set(map(str, value))
    )


def explain(
    path: Path, stored: Mapping[str, Array], places: list[Place], failures: list[str]
) -> str:
    """Why a weights file fits no model."""
    if not places:
        return "the script had made no model by then; --steps N lets it go further"
    layer = places[0].layer
    lines = [
        f"{path.name} does not fit the script's {type(layer).__name__} "
        "(are the script's arguments those it was trained with? they go after --)"
    ]
    lines += [f"  {failure}" for failure in failures[:3]]
    free = Counter(tuple(a.shape) for a in stored.values())
    for variable in layer.variables:
        shape = tuple(variable.shape)
        if is_seed(variable):
            continue
        if not free[shape]:
            lines.append(f"  {variable.path} {shape}: no array of this shape in the file")
        free[shape] -= 1
    return "\n".join(lines[:20])
