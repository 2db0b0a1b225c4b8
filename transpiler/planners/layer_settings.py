"""The planner of settings of layers that a program changes or reads after they are made.

m.eps = 1e-3          m.epsilon = 1e-3
m.momentum = 0.03     m.momentum = 0.97      torch counts what is new, Keras what is kept
m.p = 0.3             m.rate = 0.3
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Symbol, Value, options
from transpiler.planners.unfreezing import is_late
from transpiler.syntax import code, find, literal
from transpiler.template import fill

_KINDS = {"eps": ("BatchNorm", "LayerNorm", "GroupNorm", "InstanceNorm"),
          "momentum": ("BatchNorm", "InstanceNorm"), "p": ("Dropout",)}  # fmt: skip
CHANGING = "settings of layers change"
_NAMES = {"eps": "epsilon", "p": "rate"}
_IDLE = frozenset(
    """in_features out_features in_channels out_channels num_features num_embeddings embedding_dim
    inplace device dtype bias weight training""".split()
)
"""Arguments that change nothing once the layer is made, or are variables."""


def plan(context: Context) -> None:
    """Rewrite the settings that Keras' layers have as well; tell of others that are changed."""
    for node in find(context.module, cst.Attribute):
        if node in context.claimed:
            continue
        kinds = _KINDS.get(node.attr.value, ())
        if kinds and _is_meant(context, node, kinds):
            _plan_setting(context, node)
        elif isinstance(context.edits.parent.get(node), cst.AssignTarget):
            _tell_change(context, node)


def _is_meant(context: Context, node: cst.Attribute, kinds: tuple[str, ...]) -> bool:
    """Whether the owner is such a layer, or is tested to be one."""
    owners = options(context.fact(node.value))
    if any(_layer_name(owner).startswith(kinds) for owner in owners):
        return True
    test = context.edits.enclosing(node, cst.If)
    while test is not None:  # `if isinstance(m, nn.BatchNorm2d):` of something unknown
        text = code(test.test)
        if f"({code(node.value)}," in text and any(kind in text for kind in kinds):
            return True
        test = context.edits.enclosing(test, cst.If)
    return False


def _layer_name(value: Value) -> str:
    name = value.cls.name if isinstance(value, Instance) and isinstance(value.cls, Symbol) else ""
    return name.rpartition(".")[2] if name.startswith("torch.nn.") else ""


def _plan_setting(context: Context, node: cst.Attribute) -> None:
    context.claim(node)
    if isinstance(context.edits.parent.get(node), (cst.AssignTarget, cst.AugAssign)):
        if is_late(context, node):
            context.notes[CHANGING] = True
    if node.attr.value in _NAMES:
        new = node.with_changes(attr=cst.Name(_NAMES[node.attr.value]))
        context.edits.replace(node, new)
        return
    parent = context.edits.parent[node]
    if not isinstance(parent, cst.AssignTarget):
        context.edits.replace(node, fill("1 - norm.momentum", norm=node.value))
        return
    assign: Any = context.edits.parent[parent]
    fact = context.fact(assign.value)
    if fact == Const(None):
        context.manual(node, "BatchNorm.momentum", "Keras has no cumulative average of statistics")
    elif isinstance(assign.value, (cst.Float, cst.Integer)) and isinstance(fact, Const):
        context.edits.replace(assign.value, literal(round(1 - fact.value, 12)))
    else:
        context.edits.wrap(assign.value, lambda x: fill("1 - x", x=x))


def _tell_change(context: Context, node: cst.Attribute) -> None:
    """`conv.stride = (1, 1)` of a layer whose call depends on it."""
    name = node.attr.value
    if name in _IDLE:
        return
    for owner in options(context.fact(node.value)):
        layer = _layer_name(owner)
        entry = signatures.lookup(f"torch.nn.{layer}") if layer else None
        if entry is not None and any(_takes(text, name) for text in entry.source):
            context.manual(
                node, f"{layer}.{name}",
                f"`{name}` of a layer is changed after it was made",
                "give it to the layer where that is made",
            )  # fmt: skip
            return


def _takes(parameters: str, name: str) -> bool:
    return name in {part.partition("=")[0].strip() for part in parameters.split(",")}


__all__ = ["plan"]
