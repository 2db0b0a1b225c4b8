"""Recurrent stacks: torch's weight_ih_l0, ... against Keras cells, one per layer and direction."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from transpiler.weights.slot import Move, Slot, same
from transpiler.weights.tree import Array

Arrays = dict[str, Array]
BACKWARD = re.compile(r"back|revers|bwd?\b")


@dataclass
class Groups:
    """Keras variables of recurrent cells: one prefix per cell, in order."""

    arrays: Arrays
    prefixes: list[str]

    @classmethod
    def of(cls, arrays: Arrays) -> Groups:
        """Collect the prefixes that hold a cell's variables."""
        prefixes: list[str] = []
        for name in arrays:
            prefix, _, last = name.rpartition(".")
            if last in ("recurrent_kernel", "weight_hh") and prefix not in prefixes:
                prefixes.append(prefix)
        return cls(arrays, prefixes)

    def arranged(self, directions: int) -> list[str]:
        """Prefixes as torch counts: layer 0 forward, layer 0 backward, layer 1 forward ..."""
        behind = [p for p in self.prefixes if BACKWARD.search(p)]
        ahead = [p for p in self.prefixes if not BACKWARD.search(p)]
        if directions == 2 and len(behind) == len(ahead):
            return [p for pair in zip(ahead, behind, strict=True) for p in pair]
        return self.prefixes


def cell_slots(t: Arrays, cells: Groups) -> list[Slot] | None:
    """The slots of a whole stack, or of a single cell."""
    suffixes = [name[len("weight_hh") :] for name in t if name.startswith("weight_hh")]
    if not suffixes or any(name.startswith("weight_hr") for name in t):
        return None
    if not cells.prefixes:
        return _by_name(t, cells.arrays)
    directions = 2 if any(s.endswith("_reverse") for s in suffixes) else 1
    prefixes = cells.arranged(directions)
    if len(prefixes) != len(suffixes):
        return None
    slots: list[Slot] = []
    for suffix, prefix in zip(suffixes, prefixes, strict=True):
        slots += _one_cell(suffix, prefix, t, cells.arrays)
    return slots


def direction_slots(t: Arrays, k: Arrays) -> list[Slot] | None:
    """A recurrent layer in both directions, one module for each on both sides."""
    slots: list[Slot] = []
    for start, word in (("directions.0.rnn.", "forward_layer"), ("directions.1.rnn.", "backward")):
        own = {n.removeprefix(start): a for n, a in t.items() if n.startswith(start)}
        found = cell_slots(own, Groups.of({n: a for n, a in k.items() if word in n}))
        if not own or not found:
            return None
        slots += [replace(s, torch=tuple(start + n for n in s.torch)) for s in found]
    return slots


def _by_name(t: Arrays, k: Arrays) -> list[Slot] | None:
    last = {name.split(".")[-1]: name for name in k}
    if set(t) - set(last):
        return None
    return [same(name, last[name]) for name in t]


def _one_cell(suffix: str, prefix: str, t: Arrays, k: Arrays) -> list[Slot]:
    if f"{prefix}.weight_hh" in k:  # torch's own shapes
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [same(n + suffix, f"{prefix}.{n}") for n in names if n + suffix in t]
    swap = len(t["weight_hh" + suffix]) == 3 * t["weight_hh" + suffix].shape[1]
    slots = [
        _matrix("weight_ih" + suffix, f"{prefix}.kernel", swap),
        _matrix("weight_hh" + suffix, f"{prefix}.recurrent_kernel", swap),
    ]
    biases = ("bias_ih" + suffix, "bias_hh" + suffix)
    if biases[0] in t and f"{prefix}.bias" in k:
        only = biases[1] not in t  # a cell that is written out has one
        own = f"{prefix}.bias"
        slots.append(_only(biases[0], own, swap) if only else _bias(biases, prefix, k, swap))
    return slots


def swap_gates(array: Array) -> Array:
    """torch's r, z, n as Keras's z, r, h (and back): the first two of three blocks."""
    first, second, third = np.split(array, 3)
    return np.concatenate([second, first, third])


def _matrix(torch_name: str, keras_name: str, swap: bool) -> Slot:
    change = swap_gates if swap else np.asarray
    return Slot(
        (torch_name,), (keras_name,), lambda a: [change(a[0]).T], lambda a: [change(a[0].T)]
    )


def _only(torch_name: str, keras_name: str, swap: bool) -> Slot:
    change = swap_gates if swap else np.asarray
    return Slot((torch_name,), (keras_name,), lambda a: [change(a[0])], lambda a: [change(a[0])])


def _bias(names: tuple[str, str], prefix: str, k: Arrays, swap: bool) -> Slot:
    """Two torch biases: two Keras variables, two rows of one (GRU), or their sum."""
    change = swap_gates if swap else np.asarray
    own, second = f"{prefix}.bias", f"{prefix}.bias_hh"
    forward: Move
    backward: Move
    if second in k:
        forward = backward = lambda a: [change(x) for x in a]
        return Slot(names, (own, second), forward, backward)
    if k[own].ndim == 2:
        forward = lambda a: [np.stack([change(x) for x in a])]
        backward = lambda a: [change(x) for x in a[0]]
    else:
        forward = lambda a: [change(a[0] + a[1])]  # type: ignore[operator]
        backward = lambda a: [change(a[0]), np.zeros_like(a[0])]
    return Slot(names, (own,), forward, backward, shares=k[own].ndim == 1)
