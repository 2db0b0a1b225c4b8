"""Checkpoints that translations to PyTorch write out, as those of tf.train."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Tensor, Value, options
from transpiler.modules import is_module
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules.schedules import is_hooked
from transpiler.site import Site
from transpiler.template import call, fill

CHECKPOINT, MANAGER = "to_torch.Checkpoint", "to_torch.CheckpointManager"
METHODS = tuple(f"{CHECKPOINT}.{name}" for name in ("write", "save", "restore", "expect_partial"))
MANAGING = tuple(
    f"{MANAGER}.{name}"
    for name in ("save", "latest_checkpoint", "checkpoints", "restore_or_initialize")
)


@infers(CHECKPOINT)
def made(call_: Invocation) -> Value:
    """Tensors that it is given are counters, kept in variables."""
    found = call_.interpreter.knowledge.construct(call_)
    for name, value in call_.keywords.items():
        counts = isinstance(value, Tensor)
        found.attributes[name] = value.but(variable=True) if counts else value  # type: ignore
    return found


@infers(MANAGER)
def managed(call_: Invocation) -> Value:
    return call_.interpreter.knowledge.construct(call_)


@rewrites(CHECKPOINT, to="tf")
def checkpoint(site: Site) -> Any:
    """TensorFlow keeps models, optimizers and variables."""
    if not site.is_call or site.positional or site.starred:
        raise Unfit("what a checkpoint keeps is not known here")
    kept: dict[str, Any] = {}
    for name, node in site.keywords.items():
        if is_hooked(site.context, node):
            continue  # the optimizer's own schedule goes on from its count of steps
        kept[name] = _counter(site, node) if _is_counter(site, node) else node
        if kept[name] is node and not all(_is_kept(site, v) for v in options(site.fact(node))):
            raise Unfit(f"`{name}` of a checkpoint is nothing that TensorFlow keeps",
                        "make it a tf.Variable")  # fmt: skip
    return call("tf.train.Checkpoint", **kept)


def _is_kept(site: Site, value: Value) -> bool:
    variable = isinstance(value, Tensor) and value.variable
    optimizer = isinstance(value, Instance) and site.context.knowledge.derives(
        value, "torch.optim.Optimizer"
    )
    return variable or optimizer or is_module(site.context, value)


def _is_counter(site: Site, node: cst.BaseExpression) -> bool:
    fact = site.fact(node)
    return isinstance(fact, Tensor) and not fact.variable and fact.library == "torch"


def _counter(site: Site, node: cst.BaseExpression) -> cst.BaseExpression:
    """`torch.tensor(0)` as a variable."""
    fact = site.fact(node)
    if isinstance(node, cst.Call) and qualified_name(site.context, node.func) == "torch.tensor":
        if len(node.args) == 1 and isinstance(fact, Tensor) and fact.dtype == "int64":
            site.context.claim(node)
            site.context.claim(node.func)
            return fill("tf.Variable(v, dtype=tf.int64)", v=node.args[0].value)
    return fill("tf.Variable(x)", x=node)


@rewrites(MANAGER, to="tf")
def manager(site: Site) -> Any:
    """The manager of a checkpoint that TensorFlow keeps."""
    owners = [o for o in options(site.fact(site.arg("checkpoint"))) if isinstance(o, Instance)]
    if not site.is_call or not owners or any(o.class_names != (CHECKPOINT,) for o in owners):
        raise Unfit("what this manager keeps is not known here")
    return call("tf.train.CheckpointManager", *site.positional, **site.keywords)


@rewrites(*METHODS, *MANAGING, to="tf")
def method(site: Site) -> Any:
    return site.keep()
