"""One step of a mapping: a few arrays of one side against a few of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transpiler.weights.tree import Array

Move = Callable[[Sequence[Array]], list[Array]]


@dataclass(frozen=True)
class Slot:
    """Arrays that map together, by name on either side, and the two directions."""

    torch: tuple[str, ...]
    keras: tuple[str, ...]
    forward: Move
    backward: Move
    shares: bool = False
    """Whether the torch arrays are added up in one: each of them has the sum's own gradient."""

    def to_keras(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """The Keras arrays for torch's."""
        found = self.forward([state[name] for name in self.torch])
        return dict(zip(self.keras, found, strict=True))

    def to_torch(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """The torch arrays for Keras's."""
        found = self.backward([state[name] for name in self.keras])
        return dict(zip(self.torch, found, strict=True))

    def fits(self, t: Mapping[str, Array], k: Mapping[str, Array]) -> bool:
        """Whether moving either way gives the shapes that the other side has."""
        try:
            there, back = self.to_keras(t), self.to_torch(k)
        except (ValueError, IndexError, KeyError):
            return False
        return all(there[name].shape == k[name].shape for name in there) and all(
            back[name].shape == t[name].shape for name in back
        )


def same(torch_name: str, keras_name: str) -> Slot:
    """One array that is the same on both sides."""
    return Slot((torch_name,), (keras_name,), lambda a: [a[0]], lambda a: [a[0]])


def shapes_fit(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether two shapes differ by axes of length one alone."""
    return [d for d in a if d != 1] == [d for d in b if d != 1]
