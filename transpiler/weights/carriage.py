"""Carry a checkpoint's arrays over to the other framework's names and shapes.

Pure numpy: what the pairing found decides, for weights as for the averages that optimizers keep.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transpiler.weights.cargo import CheckpointError
from transpiler.weights.pairing import Pair
from transpiler.weights.slot import Slot
from transpiler.weights.tree import Array


@dataclass(frozen=True)
class Route:
    """Some variables of the source and those of the target that stand for them."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    slot: Slot
    to_torch: bool

    def carry(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The target's values."""
        given = [arrays[name] for name in self.source]
        move = self.slot.backward if self.to_torch else self.slot.forward
        return dict(zip(self.target, move(given), strict=True))

    def carry_averages(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The target's values of something that behaves as gradients do, not as weights."""
        if self.slot.shares:
            given = [arrays[name] for name in self.source]
            if self.to_torch:
                return {name: self.slot.backward(given)[0] for name in self.target}
            first, *rest = given
            return self._of_first(first, rest)
        return self.carry(arrays)

    def _of_first(self, first: Array, rest: Sequence[Array]) -> dict[str, Array]:
        zeros = [first * 0 for _ in rest]
        return dict(zip(self.target, self.slot.forward([first, *zeros]), strict=True))


@dataclass
class Routes:
    """All routes of one pair of models."""

    index: int
    """Which recorded model they lead from."""
    number: int
    """Which model of the target they lead to."""
    routes: list[Route] = field(default_factory=list)

    @classmethod
    def of(cls, index: int, number: int, pairs: Sequence[Pair], to_torch: bool) -> Routes:
        """The routes that the pairs of two models make."""
        found = cls(index, number)
        for pair in pairs:
            for slot in pair.slots:
                t = tuple(pair.torch_name(name) for name in slot.torch)
                k = tuple(pair.keras_name(name) for name in slot.keras)
                source, target = (k, t) if to_torch else (t, k)
                found.routes.append(Route(source, target, slot, to_torch))
        return found

    def carry(self, arrays: Mapping[str, Array]) -> tuple[dict[str, Array], set[str]]:
        """The target's values and the source's names that they came from."""
        values: dict[str, Array] = {}
        used: set[str] = set()
        for route in self.routes:
            present = [name for name in route.source if name in arrays]
            if present and len(present) < len(route.source):
                missing = ", ".join(set(route.source) - set(present))
                raise CheckpointError(f"{present[0]} is there, but {missing} is not")
            if present:
                values |= route.carry(arrays)
                used |= set(present)
        return values, used


def check_shapes(values: Mapping[str, Array], shapes: Mapping[str, Sequence[int]]) -> None:
    """CheckpointError where a value does not have the shape of what it goes into."""
    for name, value in values.items():
        wanted = tuple(shapes[name])
        if tuple(value.shape) != wanted:
            raise CheckpointError(f"{name} has shape {tuple(value.shape)}, not {wanted}")
