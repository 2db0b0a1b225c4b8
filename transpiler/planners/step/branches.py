"""Updates under a condition of their own: `if i % n_critic == 0:` around the generator's step."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from transpiler.context import Context
from transpiler.planners.step.contributions import covers, depends_on, in_loop
from transpiler.planners.step.events import Event
from transpiler.planners.step.regions import Region, entering, regions_inside
from transpiler.syntax import walk


def split_branches(context: Context, region: Region) -> Iterator[Region]:
    """The region without the branches that hold whole updates, which become regions themselves.

    Nothing may pass between the parts: no loss of one that another one computes with, and no
    gradient that is still there when another one steps.
    """
    branches = [i for i in _branches(region) if len(region.backwards) > 1]
    inner = {i: list(regions_inside(context, region, i)) for i in branches}
    rest = [e for e in region.events if e.index not in inner]
    parts = [r for found in inner.values() for r in found]
    whole = Region(region.body, region.block, region.scope, rest, region.around)
    complete = not whole.steps or whole.backwards
    if not parts or not complete or not all(r.steps and r.backwards for r in parts):
        yield region
        return
    if any(_enters(context, whole, i, r) for i, found in inner.items() for r in found):
        yield region
        return
    if _is_leaking(context, region, [whole, *parts]):
        yield region
        return
    for part in [*parts, whole] if whole.backwards else parts:
        part.is_part = True
        yield part


def _branches(region: Region) -> list[int]:
    """Statements of the block that are branches with a backward pass and a step in them."""
    kinds: dict[int, set[str]] = {}
    for event in region.events:
        kinds.setdefault(event.index, set()).add(event.kind)
    return [
        index
        for index, found in kinds.items()
        if isinstance(region.body[index], cst.If) and {"backward", "step"} <= found
    ]


def _enters(context: Context, whole: Region, index: int, part: Region) -> bool:
    """Whether a loss of the branch depends on what the block computed with variables before."""
    return any(entering(context, whole.body[:index], part, loss) for loss in part.backwards)


def _is_leaking(context: Context, region: Region, parts: list[Region]) -> bool:
    """Whether a step would also apply gradients that another part's loss left behind."""
    order = {node: place for place, node in enumerate(walk(region.block))}
    cyclic = in_loop(context, region)
    for one in parts:
        for loss in one.backwards:
            for other in parts:
                for step in other.steps if other is not one else ():
                    if not cyclic and order[step.statement] < order[loss.statement]:
                        continue
                    if depends_on(context, one, loss, step) and not any(
                        covers(context, zero, step)
                        for zero in _emptied_between(parts, order, one, loss, other, step)
                    ):
                        return True
    return False


def _emptied_between(
    parts: list[Region],
    order: dict[cst.CSTNode, int],
    one: Region,
    loss: Event,
    other: Region,
    step: Event,
) -> Iterator[Event]:
    """What surely empties gradients after a loss and before the next run of a step."""
    start, end = order[loss.statement], order[step.statement]
    for part in parts:
        for zero in part.events:
            if zero.kind != "zero" or zero.conditional:
                continue
            place = order[zero.statement]
            between = start < place < end if start < end else place > start or place < end
            # A branch's own emptying runs with its loss or its step, another's may not run.
            own = (part is one and place > start) or (part is other and place < end)
            if between and (part is parts[0] or own):
                yield zero
