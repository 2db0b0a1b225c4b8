"""The live modules of a torch script that a state may belong to, and whether it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from transpiler.weights.cargo import Key, spell

WRAPPERS = ("module.", "_orig_mod.", "model.module.")


@dataclass(frozen=True)
class Place:
    """A live module that a state may belong to."""

    index: int
    part: str
    module: Any

    @property
    def state(self) -> dict[str, Any]:
        """Its own state."""
        return dict(self.module.state_dict())


def all_names(places: list[Place]) -> set[str]:
    """The names of all parameters and buffers of all places."""
    return {name for place in places for name in place.state}


def unwrapped(state: Mapping[str, Any], known: set[str]) -> Mapping[str, Any]:
    """A state without the prefix of DataParallel or torch.compile."""
    for prefix in WRAPPERS:
        if all(name.startswith(prefix) for name in state) and not known & set(state):
            return {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def shapes_agree(place: Place, state: Mapping[str, Any]) -> bool:
    """Whether every tensor has the shape of the module's own."""
    return all(value.shape == state[name].shape for name, value in place.state.items())


def slots_agree(optimizer: Any, state: Mapping[str, Any]) -> bool:
    """Whether what is kept per parameter has the parameters' shapes."""
    live = [p for group in optimizer.param_groups for p in group["params"]]
    indices = [index for group in state["param_groups"] for index in group["params"]]
    return all(
        value.ndim == 0 or value.shape == parameter.shape
        for parameter, index in zip(live, indices, strict=True)
        for value in state["state"].get(index, {}).values()
        if isinstance(value, torch.Tensor)
    )


def explain(state: Mapping[str, Any], places: list[Place], key: Key) -> str:
    """Why a state fits no module: what is missing in it, what has another shape."""
    if not places:
        return "the script had made no model by then; --steps N lets it go further"
    nearest = max(places, key=lambda p: (len(set(p.state) & set(state)), not p.part))
    own = nearest.state
    lines = [
        f"{spell(key)} does not fit the script's {type(nearest.module).__name__} "
        "(are the script's arguments those it was trained with? they go after --)"
    ]
    lines += [f"  {name} {tuple(own[name].shape)}: not in the checkpoint"
              for name in own if name not in state]  # fmt: skip
    lines += [
        f"  {name}: {tuple(state[name].shape)} in the checkpoint, {tuple(own[name].shape)} here"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    lines += [f"  {name} {tuple(state[name].shape)}: only in the checkpoint"
              for name in state if name not in own]  # fmt: skip
    return "\n".join(lines[:20])
