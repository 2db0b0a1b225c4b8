"""Pair the modules of a torch model with the layers of its Keras twin.

By attribute path where names agree, otherwise in order: of first call where both sides know it, of
registration where not.  Every variable must end up in a pair; what does not is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from transpiler.weights.mapping import find_slots
from transpiler.weights.slot import Slot
from transpiler.weights.tree import NEVER, Array, Node

MOST_LAYERS = 24
"""The longest run of Keras layers that one torch module may stand for."""


class PairingError(Exception):
    """Some variable has no partner; the text names it."""


@dataclass(frozen=True)
class Pair:
    """One torch module and the Keras layers that hold the same numbers."""

    torch: Node
    keras: tuple[Node, ...]
    slots: tuple[Slot, ...]

    def torch_name(self, name: str) -> str:
        """The full dotted name of one of the module's variables."""
        return join(self.torch.path, name)

    def keras_name(self, name: str) -> str:
        """The full dotted name of "0.kernel" and the like."""
        index, _, rest = name.partition(".")
        return join(self.keras[int(index)].path, rest)


def join(path: str, name: str) -> str:
    """A dotted name below a path that may be empty."""
    return f"{path}.{name}" if path else name


def pair_trees(torch_root: Node, keras_root: Node) -> list[Pair]:
    """All pairs of two whole models, or PairingError that names what is left over."""
    pairs = match(torch_root, keras_root)
    if pairs is None:
        raise PairingError(explain(torch_root, keras_root))
    return pairs


def match(t: Node, k: Node) -> list[Pair] | None:
    """Pair two subtrees, by names first, in order where that fails."""
    if t.is_unit or k.is_unit:
        return match_in_order([t], [k])
    by_name = _match_by_name(t, k)
    return by_name if by_name is not None else match_in_order([t], [k])


def _match_by_name(t: Node, k: Node) -> list[Pair] | None:
    t_children = {c.name: c for c in t.children if c.has_arrays()}
    k_children = {c.name: c for c in k.children if c.has_arrays()}
    shared = [name for name in t_children if name in k_children and not _is_number(name)]
    if _is_list(t_children) and _is_list(k_children) and len(t_children) == len(k_children):
        shared_pairs = list(zip(t_children.values(), k_children.values(), strict=True))
        rest_t: list[Node] = []
        rest_k: list[Node] = []
    else:
        shared_pairs = [(t_children[name], k_children[name]) for name in shared]
        rest_t = [c for name, c in t_children.items() if name not in shared]
        rest_k = [c for name, c in k_children.items() if name not in shared]
    own = ([_own(t)] if t.arrays else []), ([_own(k)] if k.arrays else [])
    if not shared_pairs and not any(own):
        return None
    pairs: list[Pair] = []
    for child_t, child_k in shared_pairs:
        found = match(child_t, child_k)
        if found is None:
            return None
        pairs += found
    found = match_in_order([*own[0], *rest_t], [*own[1], *rest_k])
    return None if found is None else pairs + found


def _own(node: Node) -> Node:
    return replace(node, children=[])


def _is_number(name: str) -> bool:
    return name.rpartition(".")[2].isdigit()


def _is_list(children: dict[str, Node]) -> bool:
    return bool(children) and all(_is_number(name) for name in children)


def match_in_order(ts: Sequence[Node], ks: Sequence[Node]) -> list[Pair] | None:
    """Pair the atoms of two sequences one after the other, called ones in call order."""
    t_atoms = [atom for t in ts for atom in t.atoms()]
    k_atoms = [atom for k in ks for atom in k.atoms()]
    tries = [(t_atoms, k_atoms), (t_atoms, split(k_atoms)), (split(t_atoms), split(k_atoms))]
    if all(a.rank != NEVER for a in [*t_atoms, *k_atoms]):
        tries.insert(0, (_by_rank(t_atoms), _by_rank(k_atoms)))
    elif all(a.rank != NEVER for a in k_atoms) and all(_is_graph(k) for k in ks):
        tries.insert(0, (t_atoms, _by_rank(k_atoms)))  # Keras lists a graph's layers by depth
    for first, second in tries:
        pairs = _walk(first, second)
        if pairs is not None:
            return pairs
    return None


def _is_graph(node: Node) -> bool:
    """Whether a model's layers have no names, as in a functional model."""
    return _is_list({child.name: child for child in node.children})


def split(atoms: Sequence[Node]) -> list[Node]:
    """One atom per variable, for classes of the script's own."""
    return [
        part
        for atom in atoms
        for part in (
            [atom]
            if atom.is_unit
            else [
                replace(atom, arrays={key: value}, optional=atom.optional & {key})
                for key, value in atom.arrays.items()
            ]
        )
    ]


def _by_rank(atoms: list[Node]) -> list[Node]:
    return sorted(atoms, key=lambda atom: atom.rank)


def _walk(ts: list[Node], ks: list[Node]) -> list[Pair] | None:
    """For every torch atom the first run of unused Keras atoms that fits it."""
    free = list(ks)
    pairs: list[Pair] = []
    missing = []
    for t in ts:
        pair = _take(t, free)
        if pair is None:
            missing.append(t)
        else:
            pairs.append(pair)
            free = [k for k in free if not any(k is used for used in pair.keras)]
    needed = [t for t in missing if set(t.flat()) - t.flat_optional()]
    unused = [k for k in free if set(k.flat()) - k.flat_optional()]
    return None if needed or unused else pairs


def _take(t: Node, free: list[Node]) -> Pair | None:
    starts = sorted(range(len(free)), key=lambda i: not (free[i].arrays.keys() <= t.arrays.keys()))
    for start in starts:
        most = MOST_LAYERS if t.is_unit else 1
        for length in range(1, min(most, len(free) - start) + 1):
            run = free[start : start + length]
            slots = find_slots(t, run)
            if slots is not None:
                return Pair(t, tuple(run), tuple(slots))
    return None


def explain(t: Node, k: Node) -> str:
    """Why two models do not pair: what is on either side, and the first that does not fit."""
    t_atoms, k_atoms = list(t.atoms()), list(k.atoms())
    free = list(k_atoms)
    lines = []
    for atom in t_atoms:
        pair = _take(atom, free)
        if pair is None:
            lines.append(f"  torch {_describe(atom)}: no layer of the other side fits")
        else:
            free = [x for x in free if not any(x is used for used in pair.keras)]
    lines += [f"  keras {_describe(atom)}: no module of the other side fits" for atom in free]
    head = f"the weights of {_name(t)} and {_name(k)} do not pair:"
    return "\n".join([head, *lines])


def _name(node: Node) -> str:
    return f"{node.kinds[0] if node.kinds else 'model'}"


def _describe(node: Node) -> str:
    shapes = ", ".join(f"{name} {tuple(a.shape)}" for name, a in node.flat().items())
    return f"{node.path or node.name or 'model'} ({_name(node)}): {shapes}"


def to_keras(pairs: Sequence[Pair]) -> dict[str, Array]:
    """The values of all Keras variables, by full name."""
    return {
        pair.keras_name(name): value
        for pair in pairs
        for slot in pair.slots
        for name, value in slot.to_keras(pair.torch.flat()).items()
    }


def to_torch(pairs: Sequence[Pair]) -> dict[str, Array]:
    """The values of all torch variables, by full name."""
    found: dict[str, Array] = {}
    for pair in pairs:
        k = {f"{i}.{n}": a for i, node in enumerate(pair.keras) for n, a in node.flat().items()}
        for slot in pair.slots:
            for name, value in slot.to_torch(k).items():
                found[pair.torch_name(name)] = value
    return found


def names_of(pairs: Sequence[Pair]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Which variables stand for which, by full name: for comparing gradients."""
    return [
        (
            tuple(pair.torch_name(name) for name in slot.torch),
            tuple(pair.keras_name(name) for name in slot.keras),
        )
        for pair in pairs
        for slot in pair.slots
    ]
