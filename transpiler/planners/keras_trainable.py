"""When `trainable` counts: Keras reads it where a model is first trained after its compile."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, options
from transpiler.planners.keras_compile import parts_of
from transpiler.planners.keras_training import models_of
from transpiler.site import constant_value
from transpiler.syntax import code, find

TRAINING = ("fit", "fit_generator", "train_on_batch")


class Changes:
    """All that is told to be trainable or not, and the models that this is about."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.changes = [
            n for n in find(context.module, cst.Assign)
            if isinstance(n.targets[0].target, cst.Attribute)
            and n.targets[0].target.attr.value == "trainable"
        ]  # fmt: skip
        calls = [n for n in find(context.module, cst.Call) if isinstance(n.func, cst.Attribute)]
        self.uses = [n for n in calls if n.func.attr.value in TRAINING]  # type: ignore[attr-defined]
        self.compiles = [n for n in calls if n.func.attr.value == "compile"]  # type: ignore[attr-defined]

    def warn(self, node: cst.Assign, modules: list[Instance]) -> None:
        """Say where PyTorch, which heeds a change at once, trains something else than Keras."""
        used = [u for u in self.uses if models_of(self.context, u)]
        for use in used:
            for model in models_of(self.context, use):
                if not set(modules) & set(parts_of([model])):
                    continue
                name = code(use.func.value)  # type: ignore[attr-defined]
                if self.is_late(node, use, model):
                    self.context.caution(
                        node, "trainable",
                        f"Keras goes on as `{name}` was first trained after its last compile; here"
                        " the change counts at once",
                        f"compile `{name}` again after the change, or drop it",
                    )  # fmt: skip
                    return
                if self.is_frozen_for_good(node, use, model, modules):
                    self.context.caution(
                        node, "trainable",
                        f"`{name}` is frozen when it is first trained: as in Keras 3, its own"
                        " training changes nothing (Keras 2 went by what was trainable at compile)",
                        f"set `{name}.trainable = True` before it is trained, False before the"
                        " model around it is",
                    )  # fmt: skip
                    return

    def is_late(self, node: cst.Assign, use: cst.Call, model: Instance) -> bool:
        """Whether a model that has been trained is trained on without another compile."""
        edits = self.context.edits
        place, now = self.place(node), edits.order(node)
        if self.place(use) is not place or edits.order(use) < now:
            return False
        around = [c for c in self.of(self.compiles, model) if self.place(c) is place]
        earlier = [
            u for u in self.of(self.uses, model)
            if self.place(u) is place and edits.order(u) < now
            and not any(edits.order(u) < edits.order(c) < edits.order(use) for c in around)
        ]  # fmt: skip
        return bool(earlier) and self.value_at(node, earlier[-1]) != self.value(node)

    def is_frozen_for_good(
        self, node: cst.Assign, use: cst.Call, model: Instance, modules: list[Instance]
    ) -> bool:
        """Whether a compiled model is frozen as a whole, and trained afterwards all the same."""
        edits = self.context.edits
        if modules != [model] or self.value(node) is not False:
            return False
        if self.place(use) is self.place(node) and edits.order(use) < edits.order(node):
            return False
        if not isinstance(model.cls, Symbol):
            return False
        for change in self.changes:
            target: Any = change.targets[0].target
            if self.value(change) is not False and model in _held(self.context, target.value):
                return False
        return True

    def of(self, calls: list[cst.Call], model: Instance) -> list[cst.Call]:
        return [c for c in calls if model in models_of(self.context, c)]

    def value(self, change: cst.Assign) -> Any:
        return constant_value(self.context.fact(change.value))

    def value_at(self, node: cst.Assign, use: cst.Call) -> Any:
        """What was set last before a use, on the same expression; at first all is trainable."""
        edits = self.context.edits
        text = code(node.targets[0].target)
        before = [
            c for c in self.changes
            if code(c.targets[0].target) == text and edits.order(c) < edits.order(use)
            and self.place(c) is self.place(use)
        ]  # fmt: skip
        return self.value(before[-1]) if before else True

    def place(self, node: cst.CSTNode) -> Any:
        return self.context.edits.enclosing(node, cst.FunctionDef)


def _held(context: Context, node: cst.BaseExpression) -> list[Instance]:
    return [v for v in options(context.fact(node)) if isinstance(v, Instance)]


__all__ = ["Changes"]
