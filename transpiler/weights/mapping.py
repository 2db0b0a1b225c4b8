"""How one torch module and its Keras layers map onto each other: what their rules declare.

A rule's `weights` is looked up by the module's class.  Classes that no rule knows are the script's
own: their variables pair by name, else in order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transpiler.weights.declared import declared
from transpiler.weights.entries import find_entries
from transpiler.weights.finders import Arrays, generic, named
from transpiler.weights.slot import Slot
from transpiler.weights.tree import Node

__all__ = ["Arrays", "Slot", "find_slots"]


def find_slots(torch_node: Node, keras_nodes: Sequence[Node]) -> list[Slot] | None:
    """How `torch_node` maps onto `keras_nodes` together; None where it does not.

    Keras names are prefixed with the node's place in the sequence: "0.kernel".
    """
    t = torch_node.flat()
    k = {f"{i}.{name}": a for i, node in enumerate(keras_nodes) for name, a in node.flat().items()}
    for slots in _candidates(torch_node, keras_nodes, t, k):
        if slots and _complete(torch_node, keras_nodes, slots, t, k):
            return slots
    return None


def _candidates(
    t_node: Node, k_nodes: Sequence[Node], t: Arrays, k: Arrays
) -> Iterator[list[Slot] | None]:
    found = declared(t_node.kinds)
    known = bool(found)
    for weights in found or declared([kind for node in k_nodes for kind in node.kinds]):
        yield find_entries(weights, t, k)
    if any(node.is_unit for node in k_nodes) and (known or t_node.is_unit):
        return
    if known:
        yield named(t, k)
    yield generic(t, k)


def _complete(
    t_node: Node, k_nodes: Sequence[Node], slots: list[Slot], t: Arrays, k: Arrays
) -> bool:
    """Whether every variable is in a slot and every slot gives the shapes the other side has."""
    moved_t = {name for slot in slots for name in slot.torch}
    moved_k = {name for slot in slots for name in slot.keras}
    free_k = {f"{i}.{name}" for i, node in enumerate(k_nodes) for name in node.flat_optional()}
    if set(t) - moved_t - t_node.flat_optional() or set(k) - moved_k - free_k:
        return False
    return all(slot.fits(t, k) for slot in slots)
