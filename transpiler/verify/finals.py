"""What the variables of a run hold in the end: the last update, too, has to be the same.

Losses tell of an update only once another loss follows.  So both sides keep their variables as they
are when the run is over, and the translation's are compared with the original's through the pairs
by which they were filled.

Where a gradient is zero but for rounding (a bias before a batch norm, the keys' bias of an
attention), optimizers that divide by its size make steps of mere noise out of it.  The largest
gradient of each element, kept on the torch side, tells these elements; they are left out.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transpiler.weights.slot import Slot
from transpiler.weights.tree import Array

if TYPE_CHECKING:
    from transpiler.verify.side import Run
    from transpiler.weights.pairing import Pair

NOISE = 1e-9
"""Gradients below this part of the largest one are taken for rounding."""


@dataclass
class Finals:
    """The variables of one side: those of each model by name, and those of none."""

    models: dict[int, dict[str, Array]] = field(default_factory=dict)
    loose: list[Array] = field(default_factory=list)
    largest: dict[str, Array] = field(default_factory=dict)
    """The largest gradient of every element, by "model:name"; torch knows it."""

    def write(self, path: Path) -> None:
        """Leave them for the other side."""
        path.write_bytes(pickle.dumps(self))

    @classmethod
    def read(cls, path: Path) -> Finals:
        """What `write` left; nothing where the original did not come so far."""
        found: Finals = pickle.loads(path.read_bytes()) if path.exists() else cls()
        return found


@dataclass(frozen=True)
class Final:
    """One variable of both sides in the end, by the original's name."""

    name: str
    original: float
    translation: float
    distance: float
    trained: bool
    noisy: bool


def compare_finals(run: Run, original: Finals, mine: Finals) -> list[Final]:
    """Every pair of variables; those outside of models all together."""
    all_found: list[Final] = []
    torch_is_mine = run.setup.framework == "torch"
    largest = (mine if torch_is_mine else original).largest
    peak = max((float(a.max(initial=0.0)) for a in largest.values()), default=0.0)
    paired = {index for index, _ in run.partners.values()}
    loaded = [_shapes(m) for index, m in original.models.items() if index not in paired]
    free = [index for index, _ in run.partners.values()]
    for number, (index, pairs) in run.partners.items():
        own = mine.models.get(number)
        found: dict[int, list[Final]] = {}
        for other in _alike(original, free, index):
            theirs = original.models[other]
            if own is None or _shapes(theirs) in loaded:
                continue  # a whole model that was loaded has taken its place
            t, k = (own, theirs) if torch_is_mine else (theirs, own)
            owner = number if torch_is_mine else other
            gradients = {n: largest.get(f"{owner}:{n}") for n in t}
            sides = _Sides(t, k, gradients, peak, not torch_is_mine)
            found[other] = [
                f for pair in pairs for slot in pair.slots for f in sides.compare(pair, slot)
            ]
        if found:
            nearest = min(found, key=lambda other: sum(f.distance for f in found[other]))
            free.remove(nearest)
            all_found += found[nearest]
    return all_found + list(_loose(original.loose, mine.loose))


def _alike(original: Finals, free: list[int], index: int) -> list[int]:
    """The models that may be the one at an index: a copy starts with the values of its model."""
    own = original.models.get(index)
    return (
        []
        if own is None
        else sorted(
            (
                i
                for i in free
                if i in original.models and _shapes(original.models[i]) == _shapes(own)
            ),
            key=lambda i: i != index,
        )
    )


def _shapes(model: dict[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in model.items()}


@dataclass
class _Sides:
    """The two models of a pair."""

    torch: dict[str, Array]
    keras: dict[str, Array]
    largest: dict[str, Array | None]
    peak: float
    torch_first: bool

    def compare(self, pair: Pair, slot: Slot) -> Iterator[Final]:
        t_names = [pair.torch_name(n) for n in slot.torch]
        k_names = [pair.keras_name(n) for n in slot.keras]
        if not set(t_names) <= set(self.torch) or not set(k_names) <= set(self.keras):
            return  # a variable that is gone by now
        moved = slot.forward([self.torch[n] for n in t_names])
        sizes = [self.largest.get(n) for n in t_names]
        trained = all(size is not None for size in sizes)
        masks: Sequence[Any] = [None] * len(moved)
        if trained:
            given = [size for size in sizes if size is not None]
            masks = [np.asarray(m, float) > NOISE * self.peak for m in slot.forward(given)]
        for name, a, mask in zip(k_names, moved, masks, strict=True):
            b = self.keras[name]
            if a.shape != b.shape:
                continue
            shown = ", ".join(t_names) if self.torch_first else name
            yield _final(shown, a, b, mask, trained, self.torch_first)


def _final(name: str, a: Array, b: Array, mask: Any, trained: bool, torch_first: bool) -> Final:
    x, y = (np.asarray(v, dtype=np.float64) for v in (a, b))
    noisy = mask is not None and not mask.all()
    if noisy:
        x, y = x[mask], y[mask]
    first, second = (x, y) if torch_first else (y, x)
    return Final(name, _norm(first), _norm(second), _norm(first - second), trained, noisy)


def _loose(theirs: list[Array], own: list[Array]) -> Iterator[Final]:
    """Variables outside of models have no names in common: their norm has to agree."""
    if not theirs or sorted(a.size for a in theirs) != sorted(a.size for a in own):
        return
    x, y = (float(np.hypot.reduce([_norm(a) for a in side])) for side in (theirs, own))
    yield Final("variables outside of models", x, y, abs(x - y), True, False)


def _norm(array: Array) -> float:
    return float(np.linalg.norm(np.asarray(array, dtype=np.float64).ravel()))
