"""Rewriting a region: tapes around losses, gradients for backward(), apply_gradients for step()."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Symbol
from transpiler.modules import descendants
from transpiler.planners.step.by_hand import rewrite_by_hand
from transpiler.planners.step.clipping import clip_lines
from transpiler.planners.step.contributions import Update, clips, updates_of
from transpiler.planners.step.events import Event, label_of, output_gradients
from transpiler.planners.step.kept_writing import record
from transpiler.planners.step.lifting import lift
from transpiler.planners.step.looks import Held, plan_looks
from transpiler.planners.step.regions import Region
from transpiler.planners.step.variables import variables_of
from transpiler.rule import Unfit
from transpiler.syntax import code
from transpiler.template import fill_statements


def rewrite_region(context: Context, region: Region) -> None:
    """Plan everything that a region needs. Raises Unfit before any edit is made."""
    if not region.steps:
        rewrite_by_hand(context, region)
        return
    updates = updates_of(context, region)
    _name_updates(updates)
    variables = {s: variables_of(context, s, region.scope) for u in updates for s in u.steps}
    edits = _Edits(context, region, updates, variables)
    edits.prepare()
    edits.record_elsewhere()
    looks = plan_looks(context, region, edits.held())
    items = edits.wrap_tapes()
    lift(context, region, updates, items, edits.planned, edits.after, looks)


def _name_updates(updates: list[Update]) -> None:
    if len(updates) == 1:
        return
    taken: set[str] = set()
    for number, update in enumerate(updates, 1):
        target = update.steps[0].target
        prefix = label_of(code(target) if target is not None else "")
        if not prefix or prefix in taken:
            prefix = f"{prefix or 'step'}{number}"
        taken.add(prefix)
        update.prefix = f"{prefix}_"


class _Edits:
    """The new statements of one region."""

    def __init__(
        self,
        context: Context,
        region: Region,
        updates: list[Update],
        variables: dict[Event, cst.BaseExpression],
    ) -> None:
        self.context = context
        self.region = region
        self.updates = updates
        self.variables = variables
        self.planned: dict[cst.CSTNode, list[cst.BaseStatement]] = {}
        self.loss_names: dict[Event, cst.BaseExpression] = {}
        self.extra: dict[int, list[cst.BaseStatement]] = {}
        self.after: list[cst.BaseStatement] = []
        self.sums: dict[Update, tuple[int, cst.Name]] = {}
        self.following: dict[int, list[cst.BaseStatement]] = {}

    # ---- single statements -------------------------------------------------------------------

    def prepare(self) -> None:
        """New statements for every event."""
        for event in self.region.events:
            self.planned[event.statement] = []
            self.context.claim(event.node)
        for update in self.updates:
            self.plan_losses(update)
            self.plan_gradient(update)
            for clip in update.clips:
                self.plan_clip(update, clip)
            for step in update.steps:
                self.plan_step(update, step)
            if update.accumulates:
                self.plan_accumulation(update)

    def name(self, update: Update, step: Event | None = None) -> str:
        """The variable that holds an update's gradients."""
        if len(update.steps) > 1 and step is not None:
            target = step.target
            prefix = label_of(code(target) if target is not None else "")
            others = [s for s in update.steps if s is not step and s.target is not None]
            if not prefix or any(label_of(code(s.target)) == prefix for s in others if s.target):
                prefix = f"{prefix or 'step'}{update.steps.index(step) + 1}"
            return f"{prefix}_gradients"
        return f"{update.prefix}gradients"

    def held(self) -> list[Held]:
        """The lists of gradients that a round computes anew."""
        return [
            Held(self.name(u, s), self.variables[s], u.losses[-1].index)
            for u in self.updates
            for s in u.steps
            if not u.accumulates
        ]

    def plan_losses(self, update: Update) -> None:
        """A name for every loss, bound inside the tape where backward() was called on more."""
        for event in update.losses:
            if event in self.loss_names or event.target is None:
                continue
            if event.loop is not None:
                self.plan_sum(update, event)
                continue
            if isinstance(event.target, (cst.Name, cst.Attribute)):
                self.loss_names[event] = event.target
                continue
            if event.conditional:
                raise Unfit("backward() on an expression inside a condition")
            name = cst.Name(self.context.fresh("loss"))
            self.loss_names[event] = name
            [line] = fill_statements("name = value", name=name, value=event.target)
            self.extra.setdefault(event.index, []).append(line)
            update.last = max(update.last, event.index)

    def plan_sum(self, update: Update, event: Event) -> None:
        """The losses of a loop add up: their gradients do."""
        if output_gradients(event) is not None:
            raise Unfit("backward() with gradients of its own in a loop before the step")
        if update not in self.sums:
            name = code(event.target) if isinstance(event.target, cst.Name) else "loss"
            total = cst.Name(self.context.fresh(f"total_{name}"))
            self.sums[update] = (event.index, total)
        total = self.sums[update][1]
        self.loss_names[event] = total
        self.planned[event.statement] = fill_statements(
            "total += loss", total=total, loss=event.target
        )

    def record_elsewhere(self) -> None:
        """Enter a kept tape where other functions compute what a loss is made of."""
        kept = [u for u in self.updates if u.kept is not None]
        if len(kept) > 1:
            raise Unfit("the graphs of several losses begin in other functions")
        for update in kept:
            assert update.kept is not None
            record(self.context, self.region, update.kept)

    def tape_name(self, update: Update) -> cst.Name:
        return cst.Name(update.kept.name if update.kept is not None else f"{update.prefix}tape")

    def plan_gradient(self, update: Update) -> None:
        losses = list(
            {code(n): n for n in map(self.loss_names.__getitem__, update.losses)}.values()
        )
        last = update.losses[-1]
        loss: Any = losses[0] if len(losses) == 1 else losses
        tape = self.tape_name(update)
        sources = [self.variables[s] for s in update.steps]
        given = output_gradients(last)
        if len(sources) == 1:
            target: Any = cst.Name(self.name(update))
            source: Any = sources[0]
        else:
            target = cst.Tuple(
                [cst.Element(cst.Name(self.name(update, s))) for s in update.steps],
                lpar=[], rpar=[],
            )  # fmt: skip
            source = sources
        lines = fill_statements(
            "target = tape.gradient(loss, source, output_gradients=given)"
            if given is not None
            else "target = tape.gradient(loss, source)",
            target=target, tape=tape, loss=loss, source=source, given=given,
        )  # fmt: skip
        if self.has_embedding(update) and len(sources) == 1:
            lines += fill_statements(
                "target = [tf.convert_to_tensor(g) for g in target]", target=target
            )
        if last.loop is not None:
            self.following[last.index] = lines
        else:
            self.planned[last.statement] = [*self.planned[last.statement], *lines]

    def has_embedding(self, update: Update) -> bool:
        """Whether gradients may be IndexedSlices, whose repeated rows are summed too late."""
        from transpiler.planners.step.contributions import _stepped_modules

        for step in update.steps:
            for module in _stepped_modules(self.context, step):
                for part in descendants(module):
                    cls = getattr(part, "cls", None)
                    if isinstance(cls, Symbol) and cls.name.startswith("torch.nn.Embedding"):
                        if part.state.get("inputs") or not part.state.get("read early"):  # type: ignore[attr-defined]
                            return True  # one whose table is only read has dense gradients
        return False

    def plan_clip(self, update: Update, clip: Event) -> None:
        """`clip_grad_norm_` and `clip_grad_value_` on the list of gradients."""
        names = self.clipped_names(update, clip)
        whole = cst.Name(names[0])
        if len(names) > 1:
            whole = cst.Name(f"{update.prefix}gradients")
        lines = clip_lines(self.context, clip, whole)
        if len(names) > 1:
            joined = " + ".join(names)
            before = fill_statements(f"gs = {joined}", gs=whole)
            lines = [*before, *lines, *self.split_again(whole, names)]
        self.planned[clip.statement] = lines

    def clipped_names(self, update: Update, clip: Event) -> list[str]:
        """The gradient lists that a clip works on."""
        if self.is_accumulated(update, clip):
            return ["accumulated"]
        if len(update.steps) == 1:
            return [self.name(update)]
        own = [s for s in update.steps if clips(self.context, clip, s)]
        return [self.name(update, s) for s in own or update.steps]

    def split_again(self, whole: cst.Name, names: list[str]) -> list[cst.BaseStatement]:
        """The clipped gradients, back in the lists that they came from."""
        lines = fill_statements("gs = iter(gs)", gs=whole)
        for name in names:
            lines += fill_statements("own = [next(gs) for _ in own]", own=cst.Name(name), gs=whole)
        return lines

    def is_accumulated(self, update: Update, event: Event) -> bool:
        return update.accumulates and (event.conditional or event.index > update.losses[-1].index)

    def plan_step(self, update: Update, step: Event) -> None:
        name = "accumulated" if update.accumulates else self.name(update, step)
        self.planned[step.statement] = fill_statements(
            "optimizer.apply_gradients(zip(gradients, variables))",
            optimizer=step.target,
            gradients=cst.Name(name),
            variables=self.variables[step],
        )

    def plan_accumulation(self, update: Update) -> None:
        """Gradients summed over rounds in a variable that zero_grad empties."""
        if len(self.updates) > 1 or len(update.steps) > 1 or self.region.is_part:
            raise Unfit("gradients are summed over rounds for several optimizers")
        self.context.emit("add_gradients")
        last = update.losses[-1].statement
        self.after = fill_statements(
            "accumulated = add_gradients(accumulated, gradients)",
            gradients=cst.Name(self.name(update)),
        )
        [empty] = fill_statements("accumulated = None")
        zeros = self.zero_statements(update)
        for statement in zeros:
            if statement in self.planned:
                self.planned[statement] = [empty.deep_clone()]
            else:
                self.context.edits.replace(statement, [empty.deep_clone()])
        if all(s in self.planned for s in zeros):
            loop = self.outermost_loop(last)
            self.context.edits.insert_before(loop, [empty])

    def zero_statements(self, update: Update) -> list[cst.CSTNode]:
        from transpiler.planners.step.contributions import own_lines
        from transpiler.planners.step.events import event_of

        found: list[cst.CSTNode] = []
        for statement in own_lines(self.context, self.region.scope):
            event = event_of(self.context, statement)
            if event is not None and event.kind == "zero":
                self.context.claim(event.node)
                found.append(statement)
        return found

    def outermost_loop(self, statement: cst.CSTNode) -> cst.CSTNode:
        found: cst.CSTNode = statement
        current: Any = statement
        while current is not None and current is not self.region.scope:
            if isinstance(current, (cst.For, cst.While)):
                found = current
            current = self.context.edits.parent.get(current)
        return found

    # ---- tapes -------------------------------------------------------------------------------

    def wrap_tapes(self) -> list[tuple[int, cst.BaseStatement]]:
        """The block's statements with the index each comes from, tapes around the losses."""
        spans = sorted(
            ([u.first, max(u.last, u.first), u] for u in self.updates if u.last >= 0),
            key=lambda s: (s[0], -s[1]),  # type: ignore[operator]
        )
        for i, a in enumerate(spans):
            for b in spans[i + 1 :]:
                if b[0] <= a[1] < b[1]:  # type: ignore[operator]
                    a[1] = b[1]
        spans.sort(key=lambda s: (s[0], -s[1]))  # type: ignore[operator]
        return self.build(0, len(self.region.body) - 1, spans)

    def build(
        self, low: int, high: int, spans: list[list[Any]]
    ) -> list[tuple[int, cst.BaseStatement]]:
        found: list[tuple[int, cst.BaseStatement]] = []
        index = low
        while index <= high:
            starting = [s for s in spans if s[0] == index]
            if starting:
                first, last, update = starting[0]
                rest = [s for s in spans if s is not starting[0]]
                inner = self.build(first, last, [s for s in rest if first <= s[0] <= last])
                spans = [s for s in rest if s[0] > last]
                found.append((first, self.tape(update, [s for _, s in inner])))
                found.extend((last, line) for _, line in self.trailing(last))
                found.extend((last, line) for line in self.following.pop(last, ()))
                index = last + 1
                continue
            found.extend(self.at(index))
            index += 1
        return found

    def trailing(self, index: int) -> list[tuple[int, cst.BaseStatement]]:
        """What follows a tape that ends with a statement written for backward() itself."""
        if index in self.extra:
            return [(index, self.region.body[index])]
        return []

    def at(self, index: int) -> list[tuple[int, cst.BaseStatement]]:
        if index in self.extra:
            return [(index, s) for s in self.extra[index]]
        starts = [total for place, total in self.sums.values() if place == index]
        zeros = [z for total in starts for z in fill_statements("total = 0.0", total=total)]
        return [(index, s) for s in [*zeros, self.region.body[index]]]

    def tape(self, update: Update, inner: list[cst.BaseStatement]) -> cst.BaseStatement:
        name = self.tape_name(update)
        taped = self.context.notes.setdefault("taped", {})
        for statement in inner:
            taped.setdefault(statement, name.value)
        template = "with tape" if update.kept is not None else "with tf.GradientTape() as tape"
        [statement] = fill_statements(f"{template}:\n    body", tape=name, body=inner)
        return statement
