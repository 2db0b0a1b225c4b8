"""Optimizers are made from the parameters that they update, once these exist."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance
from transpiler.planners.keras_deferred import on_schedule
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_tape.chains import order_of
from transpiler.planners.keras_tape.factories import is_read_before, plan_factories
from transpiler.planners.keras_tape.groups import is_groups
from transpiler.planners.keras_tape.handed_classes import is_handed_on, write_handed
from transpiler.planners.keras_tape.pairs import is_one, paired_variables
from transpiler.planners.keras_tape.reaching import Reached, reach_variables
from transpiler.planners.keras_tape.updates import Update, scope_of
from transpiler.rule import Unfit
from transpiler.rules.keras_optimizers import Recipe
from transpiler.syntax import code
from transpiler.template import fill_statements


def plan_optimizers(context: Context, updates: list[Update]) -> set[Any]:
    """Write each optimizer that the program steps by itself; those of varying variables."""
    plan_factories(context, updates)
    groups: dict[Any, list[Update]] = {}
    made: dict[Any, Instance] = {}
    for update in updates:
        for optimizer in update.optimizers:
            if isinstance(optimizer.origin, cst.Call):
                groups.setdefault(optimizer.origin, []).append(update)
                made[optimizer.origin] = optimizer
    for instance in context.interpreter.instances.values():
        if instance.origin in context.notes["handed parameters"]:  # in a branch not taken as well
            groups.setdefault(instance.origin, [])
            made.setdefault(instance.origin, instance)
    narrow = set()
    fitted = context.notes.get("fitted optimizers", ())
    for origin, own in groups.items():
        if origin not in context.edits.parent or origin in fitted or is_groups(made[origin]):
            continue
        maker = _Maker(context, origin, made[origin], own)
        try:
            maker.write()
        except Unfit as error:
            context.claim(origin)
            context.unfit(origin, "keras.optimizers", error)
        if maker.varies:
            narrow.add(origin)
    return narrow


class _Maker:
    """One optimizer, to be written."""

    def __init__(
        self, context: Context, origin: cst.Call, value: Instance, updates: list[Update]
    ) -> None:
        self.context = context
        self.origin = origin
        self.value = value
        self.updates = updates
        self.statement: Any = context.edits.statement(origin)
        self.varies = False

    def write(self) -> None:
        context, origin = self.context, self.origin
        reached = self.variables()
        if is_handed_on(context, origin.func):
            new = write_handed(context, origin, self.value, reached.expression)
            context.claim(origin)
            self.put(new, self.later(reached))
            return
        recipe = Recipe(context, self.value, self.statement)
        recipe.counted = origin in context.notes.get("counted optimizers", ())
        new = recipe.write(reached.expression)
        context.claim(origin)
        after = self.later(reached)
        if recipe.schedule is not None and origin in context.notes["handed parameters"]:
            context.edits.replace(origin, on_schedule(context, recipe.schedule, new))
        elif recipe.schedule is not None:
            self.schedule(recipe, new, after)
        else:
            self.put(new, after)

    def put(self, new: cst.BaseExpression, after: Any) -> None:
        """Write the optimizer where it stands, or after another statement."""
        if after is None:
            self.context.edits.replace(self.origin, new)
        else:
            self.defer(self.context.edits.parent[self.origin], new, after, [])

    def variables(self) -> Reached:
        """What all its updates update."""
        handed = self.context.notes.get("handed parameters", {}).get(self.origin)
        if handed is not None:
            return Reached(handed)
        found: dict[str, Reached] = {}
        for update in self.updates:
            node: Any = update.variables
            if node is None and update.pairs:
                node = cst.List([cst.Element(v) for _, v in update.pairs])
            if node is None:
                raise Unfit("which variables this optimizer updates is not known here")
            if len({o.origin for o in update.optimizers}) > 1 and not is_one(self.context, node):
                node = paired_variables(self.context, update, node, self.origin)
            reached = reach_variables(self.context, node, self.origin)
            found.setdefault(code(reached.expression).strip(), reached)
        if len(found) == 1:
            return next(iter(found.values()))
        self.varies = True
        elements: list[Any] = []
        after: list[Any] = []
        for reached in found.values():
            after += reached.after
            if isinstance(reached.expression, cst.List):
                elements += reached.expression.elements
            else:
                elements.append(cst.StarredElement(reached.expression))
        unique = {code(cst.List([e])): e for e in elements}
        return Reached(cst.List(list(unique.values())), after)

    def later(self, reached: Reached) -> Any:
        """The statement after which the optimizer has to be made; None where it may stay."""
        order = order_of(self.context)
        late = [s for s in reached.after if order.end(s) > order.index[self.origin]]
        if not late:
            return None
        return max(late, key=lambda s: order.end(s))

    def defer(
        self, parent: Any, new: cst.BaseExpression, after: Any, more: list[cst.BaseStatement]
    ) -> None:
        """Make the optimizer after another statement."""
        context = self.context
        if not isinstance(parent, cst.Assign) or len(parent.targets) != 1:
            raise Unfit("the optimizer is made before the model, inside of another expression",
                        "make it in a statement of its own, after the model")  # fmt: skip
        if is_read_before(context, parent, after):
            raise Unfit("the optimizer is used before its model is made")
        target = parent.targets[0].target.deep_clone()
        lines = fill_statements("target = new", target=target, new=new)
        if isinstance(self.statement, cst.SimpleStatementLine) and self.statement.leading_lines:
            kept = [x for x in self.statement.leading_lines if x.comment is not None]
            lines[0] = lines[0].with_changes(leading_lines=kept)
        context.edits.replace(self.statement, [])
        context.edits.insert_after(after, [*lines, *more])

    # ---- schedules ---------------------------------------------------------------------------

    def schedule(self, recipe: Recipe, new: cst.BaseExpression, after: Any) -> None:
        """A scheduler beside the optimizer, stepped where the optimizer steps."""
        context, parent = self.context, self.context.edits.parent[self.origin]
        target = context.notes.get("compiled optimizers", {}).get(self.origin)
        if target is None:
            if not isinstance(parent, cst.Assign) or len(parent.targets) != 1:
                raise Unfit("an optimizer with a schedule is made inside of another expression",
                            "make it in a statement of its own")  # fmt: skip
            target = parent.targets[0].target
        scheduler = self.scheduler_name(target)
        context.notes.setdefault("schedulers", []).append((self.origin, scheduler))
        lines = fill_statements(
            "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)",
            scheduler=scheduler, optimizer=target.deep_clone(), schedule=recipe.schedule,
        )  # fmt: skip
        stepped: dict[Any, Any] = context.notes.setdefault("tape schedulers", {})
        reached = {u.node: self.scheduler_at(u, target, scheduler) for u in self.updates}
        if all(r is not None for r in reached.values()):
            stepped.update(reached)
        else:
            lines += fill_statements(
                "optimizer.register_step_post_hook(lambda *_: scheduler.step())",
                optimizer=target.deep_clone(), scheduler=scheduler.deep_clone(),
            )  # fmt: skip
        if after is not None:
            self.defer(parent, new, after, lines)
        else:
            context.edits.replace(self.origin, new)
            context.edits.insert_after(self.statement, lines)

    def scheduler_name(self, target: cst.BaseExpression) -> cst.BaseExpression:
        if isinstance(target, cst.Attribute):
            name = target.attr.value.replace("optimizer", "scheduler")
            name = name if name != target.attr.value else f"{name}_scheduler"
            return cst.Attribute(target.value.deep_clone(), cst.Name(name))
        text = target.value if isinstance(target, cst.Name) else "optimizer"
        name = text.replace("optimizer", "scheduler")
        return cst.Name(free_name(self.context, name if name != text else "scheduler"))

    def scheduler_at(
        self, update: Update, target: cst.BaseExpression, scheduler: cst.BaseExpression
    ) -> cst.BaseExpression | None:
        """The scheduler as the function of an update reaches it."""
        if len(update.optimizers) != 1:
            return None
        if isinstance(target, cst.Attribute) and isinstance(scheduler, cst.Attribute):
            if isinstance(update.optimizer, cst.Attribute):
                if update.optimizer.attr.value == target.attr.value:
                    return cst.Attribute(update.optimizer.value.deep_clone(), scheduler.attr)
            return None
        if code(update.optimizer).strip() != code(target).strip():
            return None
        home, scope = scope_of(self.context, self.origin), scope_of(self.context, update.node)
        if home is scope or (home is self.context.module and not _binds(scope, target)):
            return scheduler
        return None


def _binds(scope: Any, target: cst.BaseExpression) -> bool:
    """Whether a function has a variable of its own under the optimizer's name."""
    name = getattr(target, "value", None)
    params = [p.name.value for p in scope.params.params]
    return name in params
