"""Gradients clipped: the statements for `clip_grad_norm_` and `clip_grad_value_`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.planners.step.events import Event
from transpiler.rule import Unfit
from transpiler.template import fill, fill_statements


def clip_lines(context: Context, clip: Event, name: cst.Name) -> list[cst.BaseStatement]:
    """`clip_grad_norm_` and `clip_grad_value_` on the list of gradients that a name holds."""
    if "change" in clip.notes:
        return _change_lines(context, clip, name)
    if "formula" in clip.notes:
        formula: Any = clip.notes["formula"]
        values = dict(zip("ab", formula[1], strict=False))
        return fill_statements(
            f"gs = [g if g is None else {formula[0]} for g in gs]", gs=name, **values
        )
    arguments = {a.keyword.value: a.value for a in clip.node.args if a.keyword is not None}
    positional = [a.value for a in clip.node.args if a.keyword is None]
    limit = arguments.get("max_norm") or arguments.get("clip_value")
    limit = limit or arguments.get("clip_norm")
    if limit is None and len(positional) > 1:
        limit = positional[1]
    if limit is None:
        raise Unfit("a limit that is not plain to see")
    small = None if isinstance(clip.statement, cst.For) else clip.statement.body[0]
    norm = small.targets[0].target if isinstance(small, cst.Assign) else cst.Name("_")
    if "value" in clip.name:
        template = "gs = [g if g is None else tf.clip_by_value(g, -limit, limit) for g in gs]"
    elif clip.name == "to_torch.clip_by_global_norm":
        template = "gs, norm = tf.clip_by_global_norm(gs, limit)"
    elif context.exact or len(positional) > 2 or set(arguments) - {"max_norm"}:
        context.emit("clip_grad_norm")
        template = "gs, norm = clip_grad_norm(gs, limit, *more)"
    else:
        template = "gs, norm = tf.clip_by_global_norm(gs, limit)"
        context.caution(
            clip.node,
            "clip_grad_norm_",
            "torch divides by the norm plus 1e-6, TensorFlow by the norm: clipped gradients "
            "differ by 1e-6 / norm, relatively",
        )
    more = positional[2:] + [v for k, v in arguments.items() if k == "norm_type"]
    return fill_statements(template, gs=name, limit=limit, norm=norm, more=more)


_SIGNS = {cst.DivideAssign: "/", cst.MultiplyAssign: "*", cst.AddAssign: "+",
          cst.SubtractAssign: "-"}  # fmt: skip


def _change_lines(context: Context, clip: Event, name: cst.Name) -> list[cst.BaseStatement]:
    """What a loop makes of each gradient, made of each one in the list."""
    change_: Any = clip.notes["change"]
    small, reads, p = change_
    g = cst.Name(p.value)  # what is read of the loop is bound by the list
    for node in reads:
        context.edits.replace(node, g)
        context.claim(node)
    change = small.value
    if isinstance(small, cst.AugAssign):
        sign = _SIGNS.get(type(small.operator))
        if sign is None:
            raise Unfit("gradients are changed by hand in a way that is not translated")
        change = fill(f"g {sign} value", g=g, value=small.value)
    return fill_statements("gs = [g if g is None else change for g in gs]", gs=name, g=g,
                           change=change)  # fmt: skip
