"""The distributions that translations to TensorFlow write out, as those of PyTorch's."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Tensor, Value
from transpiler.rule import infers, rewrites
from transpiler.site import Site
from transpiler.template import parse_expression

KINDS = ("Normal", "Categorical", "Bernoulli", "Uniform", "MultivariateNormal", "Independent",
         "Beta")  # fmt: skip
METHODS = ("sample", "rsample", "log_prob", "entropy", "cdf")
_NAMES = tuple(f"to_tf.{kind}" for kind in KINDS)


@rewrites(*_NAMES, to="torch")
def distribution(site: Site) -> Any:
    """The same arguments, in the same order."""
    kind = site.name.partition(".")[2]
    target = parse_expression(f"torch.distributions.{kind}").deep_clone()
    return cst.Call(target, site.node.args) if isinstance(site.node, cst.Call) else target


@rewrites(*(f"{name}.{method}" for name in _NAMES for method in METHODS), to="torch")
def method(site: Site) -> Any:
    return site.keep()


@infers(*_NAMES)
def made(call_: Invocation) -> Value:
    return call_.interpreter.knowledge.construct(call_)


@infers(*(f"{name}.{method}" for name in _NAMES for method in METHODS))
def drawn(call_: Invocation) -> Value:
    """Whole numbers for classes; the shape of the parameters where nothing else is asked for."""
    of_classes = call_.name.startswith("to_tf.Categorical")
    dtype = "int64" if of_classes and call_.name.endswith("sample") else "float32"
    owner = call_.receiver
    given = list(owner.arguments.values()) if isinstance(owner, Instance) else []
    arrays = [a for a in given if isinstance(a, Tensor) and a.shape is not None]
    if call_.positional or call_.keywords or not arrays:
        return Tensor(None, dtype, "tf")
    shape = max((a.shape or () for a in arrays), key=len)
    return Tensor(shape[:-1] if of_classes else shape, dtype, "tf")
