"""Constants of the torch module, and settings that have no effect in TensorFlow."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Rule, Unfit, rewrites
from transpiler.rules.operands import dtype_of
from transpiler.site import Site

VALUES = [
    Rule(name, torch=f"torch.{name}", keras=f"math.{name}", to="tf")
    for name in ("pi", "inf", "nan", "e")
]
VERSION = Rule("version", torch="torch.__version__", keras="tf.__version__", to="tf")


@rewrites("torch.Tensor", to="tf")
def tensor_class(site: Site) -> Any:
    """The class by its name, in annotations and tests."""
    if site.is_call:
        raise Unfit("torch.Tensor called in a way that has no equal here")
    return site.fill("tf.Tensor")


@rewrites("torch.set_default_tensor_type", "torch.set_default_dtype", to="tf")
def default_dtype(site: Site) -> Any:
    value = site.positional[0] if site.positional else None
    if value is not None and site.alone and dtype_of(site.fact(value)) == "float32":
        for node in (value, site.node):
            site.context.claim(node)
        return []
    raise Unfit(
        f"{site.short} changes the dtype of everything made after it",
        "set keras.config.set_floatx and pass dtype= where tensors are made",
    )


@rewrites("torch.get_default_dtype", to="tf")
def read_default_dtype(site: Site) -> Any:
    return site.fill("tf.float32")


@rewrites("torch.set_default_device", to="tf")
def default_device(site: Site) -> Any:
    if not site.alone:
        raise Unfit(f"{site.short} inside of an expression")
    return []
