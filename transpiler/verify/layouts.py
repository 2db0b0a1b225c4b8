"""The orders of axes that one random array may have on the two sides."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from transpiler.weights.tree import Array

Shape = tuple[int, ...]
Marks = tuple[tuple[Array, ...], tuple[Array, ...]]


@dataclass(frozen=True)
class Arrangement:
    """How a recorded array becomes the one asked for; a lower cost is the likelier one."""

    cost: int
    axes: tuple[int, ...] | None
    shape: Shape

    def apply(self, array: Array) -> Array:
        """The array, its axes moved and its shape as asked for."""
        if self.axes is not None:
            array = array.reshape([d for d in array.shape if d != 1]).transpose(self.axes)
        return array.reshape(self.shape)


def arrange(recorded: Shape, asked: Shape, marks: Marks | None = None) -> Arrangement | None:
    """The likeliest way from one shape to the other; None where there is none.

    Axes of length one do not count.  `marks` are the marginals of the arrays that the draw is
    applied to on either side: they decide where several orders of axes give the same shape.
    """
    if int(np.prod(recorded)) != int(np.prod(asked)):
        return None
    have = tuple(d for d in recorded if d != 1)
    want = tuple(d for d in asked if d != 1)
    alone = recorded[:1] == asked[:1] == (1,)
    fits = [axes for axes in orders(len(have), alone) if tuple(have[a] for a in axes) == want]
    if len(fits) > 1 and marks is not None:
        fitting = [axes for axes in fits if agree(recorded, asked, axes, marks)]
        if not fitting:  # it was drawn for another array
            return Arrangement(3, None, asked)
        fits = fitting
    if fits:
        plain = fits[0] == tuple(range(len(have)))
        return Arrangement(0 if plain else 1, None if plain else fits[0], asked)
    return Arrangement(2, None, asked)


def orders(rank: int, alone: bool = False) -> list[tuple[int, ...]]:
    """Orders of axes worth a try: as it is, channels last or first, batch and time swapped.

    Of an example that is `alone` in its batch only the other axes are counted.
    """
    plain = tuple(range(rank))
    found = [plain]
    if alone and rank >= 2:
        found += [(rank - 1, *plain[:-1]), (*plain[1:], 0)]
    if rank >= 3:
        found += [(0, *plain[2:], 1), (0, rank - 1, *plain[1:-1]), (1, 0, *plain[2:])]
    if rank in (3, 4):
        found += [axes for axes in permutations(plain) if axes[0] == 0]
    return list(dict.fromkeys(found))


def agree(recorded: Shape, asked: Shape, axes: tuple[int, ...], marks: Marks) -> bool:
    """Whether the marginals of the two arrays agree under an order of axes."""
    mine = [m for m, d in zip(marks[0], recorded, strict=False) if d != 1]
    other = [m for m, d in zip(marks[1], asked, strict=False) if d != 1]
    if len(mine) != len(axes) or len(other) != len(axes):
        return True
    return all(np.allclose(mine[a], other[i], rtol=1e-3) for i, a in enumerate(axes))


def is_ambiguous(shape: Shape) -> bool:
    """Whether several orders of axes lead from this shape to itself."""
    plain = tuple(d for d in shape if d != 1)
    return sum(tuple(plain[a] for a in axes) == plain for axes in orders(len(plain))) > 1
