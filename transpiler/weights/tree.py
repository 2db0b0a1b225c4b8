"""Models as plain data: what both frameworks' walkers produce and what the pairing reads.

A `Node` is one module or layer with its own variables and its children.  Nothing here knows a
framework, so trees travel between processes and are tested without either library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from transpiler.weights.declared import is_declared

Array = NDArray[np.generic]

#: Stock classes whose variables are mapped as one unit, children included.
TORCH_UNITS = frozenset(
    {
        "Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d",
        "ConvTranspose3d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm",
        "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "RMSNorm", "Embedding",
        "EmbeddingBag", "LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell",
        "MultiheadAttention", "KerasMultiHeadAttention", "PReLU", "Bilinear", "Bidirectional",
    }
)  # fmt: skip
KERAS_UNITS = frozenset(
    {
        "Dense", "EinsumDense", "Conv2D", "Conv1D", "Conv3D", "Conv1DTranspose",
        "Conv2DTranspose", "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D",
        "SeparableConv1D", "SeparableConv2D", "BatchNormalization", "LayerNormalization",
        "GroupNormalization", "RMSNormalization", "UnitNormalization", "SimpleRNN",
        "SimpleRNNCell", "MultiHeadAttention",
    }
)  # fmt: skip
UNITS = TORCH_UNITS | KERAS_UNITS

STAGES = {
    f"SeparableConv{n}D": (("depthwise_kernel",), ("pointwise_kernel", "bias")) for n in (1, 2)
}
"""Layers that are several modules on the other side: the variables of each, in order."""

NEVER = 1 << 30


@dataclass
class Node:
    """One module or layer: its own variables by name, its children in order."""

    name: str
    kinds: tuple[str, ...]
    arrays: dict[str, Array] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    rank: int = NEVER
    """Order of the first call; `NEVER` where the node itself was not called."""
    optional: frozenset[str] = frozenset()
    """Variables that the other side need not have: buffers, tied parameters."""
    path: str = ""

    @property
    def is_unit(self) -> bool:
        """Whether the node is mapped as a whole."""
        return any(kind in UNITS for kind in self.kinds) or is_declared(self.kinds)

    def has_arrays(self) -> bool:
        """Whether the node or anything below it holds a variable."""
        return bool(self.arrays) or any(child.has_arrays() for child in self.children)

    def flat(self) -> dict[str, Array]:
        """All variables of the subtree by dotted name."""
        found = dict(self.arrays)
        for child in self.children:
            found |= {f"{child.name}.{key}": value for key, value in child.flat().items()}
        return found

    def flat_optional(self) -> set[str]:
        """Dotted names of the variables that may go without a partner."""
        found = set(self.optional)
        for child in self.children:
            found |= {f"{child.name}.{key}" for key in child.flat_optional()}
        return found

    def atoms(self) -> Iterator[Node]:
        """The smallest nodes that are mapped one by one, in registration order."""
        if self.is_unit:
            if self.has_arrays():
                yield from self._stages()
            return
        if self.arrays:
            yield Node(self.name, self.kinds, self.arrays, [], self.rank, self.optional, self.path)
        for child in self.children:
            yield from child.atoms()

    def _stages(self) -> Iterator[Node]:
        """The unit, or each of its stages."""
        found = next((STAGES[kind] for kind in self.kinds if kind in STAGES), None)
        if found is None:
            yield self
            return
        for names in found:
            own = {name: self.arrays[name] for name in names if name in self.arrays}
            yield replace(self, arrays=own, optional=self.optional & own.keys())


def set_paths(node: Node, path: str = "") -> Node:
    """Fill in `path`, the dotted name of every node below `node`."""
    node.path = path
    for child in node.children:
        set_paths(child, f"{path}.{child.name}" if path else child.name)
    return node
