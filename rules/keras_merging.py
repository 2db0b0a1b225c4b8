"""Keras' merging functions on arrays: `add([a, b])`, `concatenate([a, b])`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Unfit, rewrites
from transpiler.site import Site
from transpiler.template import call, fill

SIGNS = {"add": "a + b", "subtract": "a - b", "multiply": "a * b",
         "maximum": "torch.maximum(a, b)", "minimum": "torch.minimum(a, b)"}  # fmt: skip


@rewrites(*(f"keras.layers.{name}" for name in SIGNS), to="torch")
def merge(site: Site) -> Any:
    """The operator between the arrays of the list."""
    parts = listed(site)
    result = parts[0]
    for part in parts[1:]:
        result = fill(SIGNS[site.name.rpartition(".")[2]], a=result, b=part)
    return result


@rewrites("keras.layers.average", to="torch")
def average(site: Site) -> Any:
    parts = listed(site)
    result = parts[0]
    for part in parts[1:]:
        result = fill("a + b", a=result, b=part)
    return fill("(total) / n", total=result, n=len(parts))


@rewrites("keras.layers.concatenate", to="torch")
def concatenate(site: Site) -> Any:
    return call("torch.cat", site.arg("inputs"), dim=site.arg("axis"))


def listed(site: Site) -> list[cst.BaseExpression]:
    """The arrays that are written as a list."""
    given = site.arg("inputs")
    if not isinstance(given, (cst.List, cst.Tuple)) or not given.elements:
        raise Unfit(f"what {site.short} puts together is not written as a list")
    return [e.value for e in given.elements]
