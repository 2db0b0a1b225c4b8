"""`@tf.function` and strategies: PyTorch runs functions as they are, on the device they are on."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, options
from transpiler.planners.expressions import qualified_name
from transpiler.syntax import find, walk

TRACED = frozenset(
    {"tf.function", "tf.autograph.experimental.do_not_convert", "tf.Module.with_name_scope"}
)
STRATEGY = "tf.distribute.Strategy"
NAMED = frozenset({"tf.name_scope", "tf.device", "tf.compat.v1.name_scope"})


def plan_functions(context: Context) -> None:
    """Functions without the decorator, and without the call."""
    for function in find(context.module, cst.FunctionDef):
        for decorator in function.decorators:
            _plan_decorator(context, decorator)
    for node in find(context.module, cst.Call):
        if qualified_name(context, node.func) == "tf.function" and node.args:
            first = node.args[0]
            if first.keyword is None or first.keyword.value in ("func", "f"):
                context.claim(node)
                context.edits.replace(node, first.value)
    for block in find(context.module, cst.With):
        _plan_block(context, block)


def _plan_decorator(context: Context, decorator: cst.Decorator) -> None:
    node = decorator.decorator
    name = qualified_name(context, node.func if isinstance(node, cst.Call) else node)
    if name not in TRACED:
        return
    _claim_all(context, node)
    context.edits.replace(decorator, [])
    for arg in node.args if isinstance(node, cst.Call) else ():
        _drop_signature(context, arg)


def _drop_signature(context: Context, arg: cst.Arg) -> None:
    """A list of `tf.TensorSpec` that only decorators read is not needed any more."""
    if arg.keyword is None or arg.keyword.value != "input_signature":
        return
    if not isinstance(arg.value, cst.Name):
        return
    uses = [n for n in find(context.module, cst.Name) if n.value == arg.value.value]
    around = [context.edits.parent[n] for n in uses]
    made = [context.edits.parent[p] for p in around if isinstance(p, cst.AssignTarget)]
    read = [p for p in around if isinstance(p, cst.Arg) and p.keyword is not None
            and p.keyword.value == "input_signature"]  # fmt: skip
    if len(made) != 1 or len(made) + len(read) != len(uses):
        return
    for part in walk(made[0]):
        context.claim(part)
    context.edits.replace(context.edits.statement(made[0]), [])


def _claim_all(context: Context, node: cst.BaseExpression) -> None:
    for part in find(node, cst.Call, cst.Attribute, cst.Name):
        context.claim(part)


def _plan_block(context: Context, block: cst.With) -> None:
    """`with strategy.scope():` leaves its block."""
    dropped = [i for i in block.items if _is_scope(context, i.item)]
    if not dropped:
        return
    for item in dropped:
        _claim_all(context, item.item)
    kept = [i for i in block.items if i not in dropped]
    if kept:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        context.edits.replace(block, block.with_changes(items=kept))
    else:
        context.edits.unwrap(block)


def _is_scope(context: Context, node: Any) -> bool:
    if not isinstance(node, cst.Call):
        return False
    name = qualified_name(context, node.func) or ""
    if name in NAMED and name != "tf.device":
        return True
    if not isinstance(node.func, cst.Attribute) or node.func.attr.value != "scope":
        return False
    owner = options(context.fact(node.func.value))
    return any(isinstance(o, Instance) and context.knowledge.derives(o, STRATEGY) for o in owner)


__all__ = ["plan_functions"]
