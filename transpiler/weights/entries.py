"""How rules say which arrays of their two classes belong together.

A rule's `weights` is plain data, so that rule files load without numpy:

    weights={"weight": "transposed kernel", "bias": "bias"}     torch name -> [transform] Keras name
    weights="kernels"                                           the name of a finder in FINDERS

Both give `Slot`s for the arrays of a pair of objects, in either direction.
"""

from __future__ import annotations

from collections.abc import Mapping

from transpiler.weights.finders import (
    Arrays,
    Finder,
    attention,
    generic,
    kernels,
    named,
    projections,
    reshape_slot,
    restore_kernel,
    transpose_kernel,
)
from transpiler.weights.recurrent import Groups, cell_slots, direction_slots
from transpiler.weights.slot import Move, Slot

Weights = str | Mapping[str, str]

FINDERS: dict[str, Finder] = {
    "attention": attention,
    "cells": lambda t, k: cell_slots(t, Groups.of(k)),
    "generic": generic,
    "kernels": kernels,
    "named": named,
    "directions": direction_slots,
    "projections": projections,
}
"""Mappings that depend on the arrays themselves: groups, gates, packed projections."""

TRANSFORMS: dict[str, tuple[Move, Move]] = {
    "transposed": (
        lambda a: [transpose_kernel(a[0])],
        lambda a: [restore_kernel(a[0])],
    ),
}
"""What may stand before a Keras name: how torch's array becomes Keras's, and back."""


def find_entries(weights: Weights, t: Arrays, k: Arrays) -> list[Slot] | None:
    """The slots of a rule's `weights` for the arrays of one pair; None where they do not fit."""
    slots = FINDERS[weights](t, k) if isinstance(weights, str) else _by_name(weights, t, k)
    if not slots or not all(slot.fits(t, k) for slot in slots):
        return None
    return slots


def _by_name(weights: Mapping[str, str], t: Arrays, k: Arrays) -> list[Slot] | None:
    last = {name.rpartition(".")[2]: name for name in k}
    slots: list[Slot] = []
    for torch_name, spelling in weights.items():
        *transforms, keras_name = spelling.split()
        place = last.get(keras_name)
        if torch_name not in t:
            continue  # an optional parameter, or statistics that only Keras keeps
        if place is None:
            return None
        if transforms:
            there, back = TRANSFORMS[transforms[0]]
            slots.append(Slot((torch_name,), (place,), there, back))
        else:
            slots.append(reshape_slot(torch_name, place, t[torch_name], k[place]))
    return slots
