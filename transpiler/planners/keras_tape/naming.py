"""Names of variables, which in PyTorch their model knows."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_tape.gradients import is_variable_list
from transpiler.syntax import find
from transpiler.template import fill


def plan_names(context: Context) -> None:
    """`for v in model.trainable_variables: v.name` goes through `named_parameters()`."""
    loops: list[Any] = [*find(context.module, cst.For), *find(context.module, cst.CompFor)]
    for loop in loops:
        if not isinstance(loop.target, cst.Name) or not is_variable_list(loop.iter):
            continue
        around: Any = loop if isinstance(loop, cst.For) else context.edits.parent[loop]
        asked = [
            a
            for a in find(around, cst.Attribute)
            if a.attr.value == "name"
            and isinstance(a.value, cst.Name)
            and a.value.value == loop.target.value
        ]
        if not asked:
            continue
        assert isinstance(loop.iter, cst.Attribute)
        name = "name" if "name" not in context.names else free_name(context, "name")
        for node in asked:
            context.claim(node)
            context.edits.replace(node, cst.Name(name))
        context.claim(loop.iter)
        new = fill("model.named_parameters()", model=loop.iter.value)
        context.edits.replace(loop.iter, new)
        pair = cst.Tuple([cst.Element(cst.Name(name)), cst.Element(loop.target)], [], [])
        context.edits.replace(loop.target, pair)


__all__ = ["plan_names"]
