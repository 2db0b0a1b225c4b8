"""Keras's and TensorFlow's checkpoint files, read for what they hold; nothing in them is run."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from transpiler.weights.cargo import CheckpointError
from transpiler.weights.tree import Array

SAFE = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("collections", "OrderedDict"),
}
"""All that a pickled bundle of arrays refers to."""
ATTRIBUTES = "/.ATTRIBUTES/"
BOOKKEEPING = ("_CHECKPOINTABLE_OBJECT_GRAPH", "save_counter")


def kind_of(path: Path) -> str:
    """What a file is to be written as: `h5`, `keras`, `pickle` or `checkpoint`, by its name."""
    name = path.name.lower()
    if name.endswith((".h5", ".hdf5")):
        return "h5"
    if name.endswith(".keras"):
        return "keras"
    pickled = (".pkl", ".pickle", ".pt", ".pth", ".tar", ".bin", ".model", ".t7", ".npy")
    return "pickle" if name.endswith(pickled) else "checkpoint"


def find_kind(path: Path) -> str:
    """What a file that is there holds, by its first bytes."""
    if path.is_dir() or not path.exists():
        return "checkpoint"
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"\x89HDF"):
        return "h5"
    if head.startswith(b"PK"):
        return "keras"
    return "pickle" if head[:1] == b"\x80" else "checkpoint"


class SafeUnpickler(pickle.Unpickler):
    """Reads arrays, numbers, texts and containers of them, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every name but those that arrays are made of."""
        if (module, name) in SAFE:
            return super().find_class(module, name)
        raise CheckpointError(
            f"the bundle refers to {module}.{name}, and nothing in a checkpoint is executed"
        )


def read_pickle(path: Path) -> Any:
    """A bundle of arrays."""
    with path.open("rb") as file:
        try:
            return SafeUnpickler(file).load()
        except (pickle.UnpicklingError, EOFError, ValueError, ImportError) as error:
            raise CheckpointError(f"{path.name} can not be read: {error}") from error


def read_h5(path: Path) -> dict[str, Array]:
    """All arrays of a weights file, or of the weights inside a .keras file, by their place."""
    try:
        return _read_h5(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path.name} can not be read: {error}") from error


def _read_h5(path: Path) -> dict[str, Array]:
    source: Any = path
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "model.weights.h5" not in archive.namelist():
                raise CheckpointError(f"{path.name} holds no weights")
            source = io.BytesIO(archive.read("model.weights.h5"))
    found: dict[str, Array] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item)

    with h5py.File(source, "r") as file:
        file.visititems(visit)
    return found


def checkpoint_prefix(path: Path) -> str:
    """A checkpoint's prefix: given as such, as one of its files, or as the folder of the latest."""
    if path.is_dir():
        latest = tf.train.latest_checkpoint(str(path))
        if latest is None:
            raise CheckpointError(f"{path} holds no checkpoint")
        return str(latest)
    name = str(path)
    if name.endswith(".index"):
        name = name.removesuffix(".index")
    if not Path(f"{name}.index").exists():
        raise CheckpointError(f"{path}: no such checkpoint")
    return name


def read_checkpoint(prefix: str) -> dict[str, Array]:
    """All arrays of a tf.train.Checkpoint by their place in its graph of objects."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        return {
            name.partition(ATTRIBUTES)[0]: np.asarray(reader.get_tensor(name))
            for name in reader.get_variable_to_shape_map()
            if not name.startswith(BOOKKEEPING) and name.endswith("VARIABLE_VALUE")
        }
    except (tf.errors.OpError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{Path(prefix).name} can not be read: {reason}") from error


def unaccounted(stored: dict[str, Array], held: Iterable[Array]) -> list[str]:
    """The stored arrays that none of the live variables has."""
    counts = Counter(_mark(array) for array in held)
    left = []
    for name, array in stored.items():
        mark = _mark(array)
        if counts[mark]:
            counts[mark] -= 1
        else:
            left.append(name)
    return left


def _mark(array: Array) -> tuple[tuple[int, ...], bytes]:
    kind = np.float32 if array.dtype.kind == "f" else array.dtype
    array = np.ascontiguousarray(array, dtype=kind)
    return array.shape, array.tobytes()
