"""Copies of layers that translations to TensorFlow wrote out, as `copy.deepcopy` again."""

from __future__ import annotations

from typing import Any

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Value
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site

COPYABLE = "to_tf.Copyable"


@infers("to_tf.copied")
def copied_fact(call: Invocation) -> Value:
    return call.positional[0] if call.positional else UNKNOWN


@rewrites("to_tf.copied", to="torch")
def copied(site: Site) -> Any:
    return site.fill("copy.deepcopy(x)", x=site.arg("layer"))


@rewrites(COPYABLE, to="torch")
def copyable(site: Site) -> Any:
    """A base beside that of a layer, which the planner of models leaves out."""
    raise Unfit("Copyable is no class of PyTorch's")
