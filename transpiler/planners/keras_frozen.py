"""`layer.trainable = False`: parameters that ask for no gradient."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Instance, options
from transpiler.modules import descendants
from transpiler.rule import Unfit
from transpiler.syntax import find
from transpiler.template import fill_statements

_NAME = "Layer.trainable"


def plan(context: Context) -> None:
    """Write every assignment to `trainable` of a layer or model."""
    for node in find(context.module, cst.Assign):
        target = node.targets[0].target
        if len(node.targets) == 1 and isinstance(target, cst.Attribute):
            if target.attr.value == "trainable":
                try:
                    _write(context, node, target)
                except Unfit as error:
                    context.claim(target)
                    context.unfit(node, _NAME, error)


def _write(context: Context, node: cst.Assign, target: cst.Attribute) -> None:
    held = options(context.fact(target.value))
    layers = [o for o in held if isinstance(o, Instance)]
    if not layers or not all(context.knowledge.derives(o, "keras.Layer") for o in layers):
        if any(isinstance(o, Instance) for o in held):
            return
        raise Unfit("what is frozen here is not known",
                    "call requires_grad_ of the module")  # fmt: skip
    if isinstance(target.value, cst.Name) and target.value.value == "self" and any(
        isinstance(o.cls, Class) for o in layers
    ):  # fmt: skip
        raise Unfit("a layer that freezes itself is not translated",
                    "call requires_grad_(False) once its parts are made")  # fmt: skip
    if any("BatchNormalization" in n for o in layers for p in descendants(o)
           if isinstance(p, Instance) for n in p.class_names):  # fmt: skip
        context.caution(
            node, _NAME, "Keras runs the BatchNormalization of what is frozen in inference mode;"
            " requires_grad_ leaves its mode as it is", "call eval() of it where it is frozen",
        )  # fmt: skip
    context.claim(target)
    new: Any = fill_statements("x.requires_grad_(value)", x=target.value, value=node.value)
    context.edits.replace(context.edits.statement(node), new)
