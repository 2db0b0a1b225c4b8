"""Checkpoints that translations to PyTorch write out, as those of tf.train."""

from __future__ import annotations

from typing import Any

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Tensor, Value, options
from transpiler.modules import is_module
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.template import call

CHECKPOINT = "to_torch.Checkpoint"
METHODS = tuple(f"{CHECKPOINT}.{name}" for name in ("write", "save", "restore", "expect_partial"))


@infers(CHECKPOINT)
def made(call_: Invocation) -> Value:
    return call_.interpreter.knowledge.construct(call_)


@rewrites(CHECKPOINT, to="tf")
def checkpoint(site: Site) -> Any:
    """TensorFlow keeps models, optimizers and variables."""
    if not site.is_call or site.positional or site.starred:
        raise Unfit("what a checkpoint keeps is not known here")
    for name, node in site.keywords.items():
        for value in options(site.fact(node)):
            variable = isinstance(value, Tensor) and value.variable
            optimizer = isinstance(value, Instance) and site.context.knowledge.derives(
                value, "torch.optim.Optimizer"
            )
            if not (variable or optimizer or is_module(site.context, value)):
                raise Unfit(f"`{name}` of a checkpoint is nothing that TensorFlow keeps",
                            "make it a tf.Variable")  # fmt: skip
    return call("tf.train.Checkpoint", **site.keywords)


@rewrites(*METHODS, to="tf")
def method(site: Site) -> Any:
    return site.keep()
