"""torch's checkpoint files: read without running anything, written whole or not at all."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transpiler.weights.atomic import writing
from transpiler.weights.cargo import CheckpointError

SAFETENSORS = ".safetensors"


def read(path: Path) -> Any:
    """What a file holds. Nothing in it is executed."""
    if path.suffix == SAFETENSORS:
        return read_safetensors(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported operand" in str(error):  # no pickle at all
            raise CheckpointError(f"{path.name} is no file of torch's, or damaged") from None
        raise CheckpointError(
            f"{path.name} holds more than weights, and nothing in a checkpoint is executed "
            f"({first_sentence(str(error))}): save model.state_dict(), not the model"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(
            f"{path.name} is no file of torch's, or damaged ({reason})"
        ) from error


def read_safetensors(path: Path) -> Any:
    """The tensors of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise CheckpointError(f"{path.name} can not be read: {error}") from error


def first_sentence(text: str) -> str:
    """Which object it is that torch does not read."""
    for line in text.splitlines():
        if "Unsupported" in line or "GLOBAL" in line:
            return line.strip().split(". ")[0]
    return text.strip().split(". ")[0]


def write(path: Path, value: Any) -> None:
    """Write a state or a bundle; `.safetensors` holds one state alone."""
    with writing(path) as part:
        if path.suffix != SAFETENSORS:
            torch.save(value, part)
            read(part)  # what was written must load
            return
        if not is_state(value):
            raise CheckpointError("a safetensors file holds one model's state and nothing else")
        from safetensors.torch import save_file

        save_file({name: t.detach().clone().contiguous() for name, t in value.items()}, str(part))


def is_state(value: Any) -> bool:
    """Whether a value is a flat dict of tensors."""
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(key, str) for key in value)
        and all(isinstance(item, torch.Tensor) for item in value.values())
    )


def is_optimizer(value: Any) -> bool:
    """Whether a value is an optimizer's state_dict."""
    return isinstance(value, Mapping) and {"state", "param_groups"} <= set(value)
