"""The tape of facts: what the original drew and which weights it began with, for its twin.

The original's process records, the translation's replays.  Draws are kept per kind (normal,
uniform, integer, permutation, kept places of a dropout ...) and served in order, in the layout that
the other framework asks for.
"""

from __future__ import annotations

import pickle
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transpiler.verify.layouts import arrange, is_ambiguous
from transpiler.weights.tree import Array, Node

LARGEST = 4_000_000
"""Arrays with more elements are not kept: such data come from seeded numpy on both sides."""


@dataclass
class Draw:
    """One random array, where it lies in the file, and what tells its layout."""

    kind: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    length: int
    print: tuple[Array, ...] | None = None


class Draws:
    """Random results, recorded on one side and replayed on the other."""

    def __init__(self, folder: Path, record: bool) -> None:
        self.record = record
        self.lock = threading.Lock()
        self.pauses = 0
        self.over = False
        self.missing: Counter[str] = Counter()
        self.kept: list[Draw] = []
        self.queues: dict[tuple[str, int], list[Draw]] = defaultdict(list)
        self.index = folder / "draws.index"
        self.data = (folder / "draws.bin").open("wb" if record else "rb")
        if not record:
            for draw in pickle.loads(self.index.read_bytes()):
                self.queues[draw.kind, int(np.prod(draw.shape))].append(draw)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what is drawn inside: initial weights are carried over as such."""
        self.pauses += 1
        try:
            yield
        finally:
            self.pauses -= 1

    def through(self, kind: str, value: Array, like: Array | None = None, ask: bool = True) -> Any:
        """Keep `value` on the recording side; give the recorded one on the other.

        `like`: the array that the draw is applied to, to tell equal shapes of other layouts apart.
        `ask`: False where the replaying side has a stream of its own, so that a miss is no miss.
        """
        if self.pauses or self.over:
            return value
        value = np.asarray(value)
        with self.lock:
            return self._keep(kind, value, like) if self.record else self._serve(
                kind, value, like, ask
            )  # fmt: skip

    def _keep(self, kind: str, value: Array, like: Array | None) -> Array:
        if value.size > LARGEST:
            return value
        stored = (
            np.packbits(value.astype(bool)) if value.dtype == bool else np.ascontiguousarray(value)
        )
        raw = stored.tobytes()
        marks = marginals(like) if like is not None and is_ambiguous(value.shape) else None
        self.kept.append(
            Draw(kind, value.shape, value.dtype.str, self.data.tell(), len(raw), marks)
        )
        self.data.write(raw)
        return value

    def _serve(self, kind: str, value: Array, like: Array | None, ask: bool) -> Array:
        queue = self.queues.get((kind, value.size), [])
        best, order = None, None
        mine = marginals(like) if like is not None and is_ambiguous(value.shape) else None
        for draw in queue[:64]:
            marks = None if mine is None or draw.print is None else (draw.print, mine)
            found = arrange(draw.shape, value.shape, marks)
            if found is not None and (order is None or found.cost < order.cost):
                best, order = draw, found
            if order is not None and order.cost == 0:
                break
        if best is None or order is None:
            if ask and value.size:
                self.missing[f"{kind} {value.shape}"] += 1
            return value
        queue.remove(best)
        return order.apply(self._load(best)).astype(value.dtype, copy=False)

    def _load(self, draw: Draw) -> Array:
        self.data.seek(draw.offset)
        raw = self.data.read(draw.length)
        if np.dtype(draw.dtype) == bool:
            bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=int(np.prod(draw.shape)))
            return bits.astype(bool).reshape(draw.shape)
        return np.frombuffer(raw, draw.dtype).reshape(draw.shape).copy()

    def close(self) -> None:
        """Write what the other side needs."""
        self.data.close()
        if self.record:
            self.index.write_bytes(pickle.dumps(self.kept))

    def leftover(self) -> Counter[str]:
        """Recorded draws that the other side never asked for; none where it was stopped."""
        return (
            Counter()
            if self.over
            else Counter(
                f"{draw.kind} {draw.shape}" for queue in self.queues.values() for draw in queue
            )
        )


def marginals(array: Array) -> tuple[Array, ...]:
    """Sums over all axes but one, for each: what survives a permutation of axes."""
    values = np.asarray(array, dtype=np.float64)
    axes = range(values.ndim)
    return tuple(values.sum(axis=tuple(a for a in axes if a != axis)) for axis in axes)


@dataclass
class Capture:
    """A model as it stood before its first use in training."""

    tree: Node
    side: str
    loose: bool = False


class Captures:
    """The models of the original, in the order of their first use."""

    def __init__(self, folder: Path, record: bool) -> None:
        self.path = folder / "models.pickle"
        self.record = record
        self.models: list[Capture] = [] if record else pickle.loads(self.path.read_bytes())
        self.loose = [v for m in self.models if m.loose for v in m.tree.arrays.values()]
        """Values of variables outside of models, not yet put in."""

    def take_loose(self, shapes: list[tuple[int, ...]]) -> list[Array] | None:
        """Values for variables of these shapes, in order; None, and none taken, if one lacks."""
        left, found = list(self.loose), []
        for shape in shapes:
            place = next((i for i, v in enumerate(left) if v.shape == shape), None)
            if place is None:
                return None
            found.append(np.array(left.pop(place)))
        self.loose = left
        return found

    def close(self) -> None:
        """Write what the other side needs."""
        if self.record:
            self.path.write_bytes(pickle.dumps(self.models))
