"""Layers that are added to a Sequential under conditions: where, and in which order of axes."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.rule import Unfit
from transpiler.template import fill


class Unrolls(Unfit):
    """What is written is not a list of layers, but the layers may be known all the same."""


def appended(add: cst.Call, modules: list[Any]) -> list[cst.BaseStatement]:
    """`model.append(module)` for the model that layers are added to."""
    assert isinstance(add.func, cst.Attribute)
    lines: list[cst.BaseStatement] = []
    for module in modules:
        value = fill("model.append(module)", model=add.func.value, module=module)
        lines.append(cst.SimpleStatementLine([cst.Expr(value)]))
    return lines


def branches_around(context: Context, node: cst.CSTNode, block: Any) -> list[Any] | None:
    """The `if` and `else` bodies, outermost first, between a block and a node in it.

    None where loops or other statements stand between them.
    """
    found: list[Any] = []
    place = context.edits.parent[context.edits.statement(node)]
    while place is not block:
        if not isinstance(place, cst.IndentedBlock):
            return None
        found.insert(0, place)
        owner: Any = context.edits.parent[place]
        if isinstance(owner, cst.Else):
            owner = context.edits.parent[owner]
        if not isinstance(owner, cst.If):
            return None
        place = context.edits.parent[context.edits.statement(owner)]
    return found


class Branches:
    """The order of axes along a chain whose layers are partly added under conditions.

    Each branch has to leave the order as it was before, whether it is run or not.
    """

    def __init__(self, context: Context, node: cst.CSTNode, chain: Any) -> None:
        self.context = context
        self.block = context.edits.parent[context.edits.statement(node)]
        self.chain = chain
        self.open: list[tuple[Any, str]] = []
        self.last: cst.CSTNode | None = None
        """The outermost `if` that the last layer was added in, if it was in one."""

    def enter(self, add: cst.Call) -> None:
        """Go on to where a layer is added."""
        around = branches_around(self.context, add, self.block) or []
        while self.open and [b for b, _ in self.open] != around[: len(self.open)]:
            self.close()
        self.last = None
        for body in around[len(self.open) :]:
            self.open.append((body, self.chain.order))
        if around:
            self.last = self.context.edits.statement(self.context.edits.parent[around[0]])

    def leave(self) -> None:
        """The end of the chain."""
        while self.open:
            self.close()

    def close(self) -> None:
        _, order = self.open.pop()
        if self.chain.order != order:
            raise Unrolls("the order of axes depends on a condition")
