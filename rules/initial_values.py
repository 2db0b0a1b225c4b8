"""Where training starts: torch's default initial values under exact fidelity, else a note."""

from __future__ import annotations

import math
from typing import Any

import libcst as cst

from transpiler.infer.values import Number, items_of, options
from transpiler.rules.layer_arguments import known
from transpiler.site import Site
from transpiler.template import OMIT, as_node, fill

NOTE = "initial values differ"


def tell_once(site: Site) -> None:
    """Fluent output starts from Keras's own initial values: said once for the whole script."""
    if site.context.to != "tf" or NOTE in site.context.notes:
        return
    site.context.notes[NOTE] = True
    site.caution(
        "from here on layers start from Keras's initial values (Glorot uniform weights, zero "
        "biases, embeddings within 0.05), not from torch's (uniform within 1/sqrt(fan_in), "
        "embeddings standard normal)",
        "--fidelity exact writes torch's",
    )


def uniform(site: Site, fan_in: Any) -> Any:
    """The initializer of torch's Linear and convolutions; OMIT in fluent output."""
    if site.context.to != "tf":
        return OMIT
    if not site.exact:
        tell_once(site)
        return OMIT
    if fan_in is None:
        return OMIT
    return fill("f(n)", f=site.emit("torch_uniform"), n=fan_in)


def layer_initializers(site: Site, fan_in: Any, kernel: str = "kernel") -> dict[str, Any]:
    """Keyword arguments for the initial values of a kernel and its bias."""
    bias = site.const("bias", True)
    return {
        f"{kernel}_initializer": uniform(site, fan_in),
        "bias_initializer": uniform(site, fan_in) if bias is not False else OMIT,
    }


def product_of(
    site: Site, channels: Any, groups: Any, window: cst.BaseExpression, axes: int
) -> Any:
    """channels // groups * window size, as a number where all are known."""
    given = [known(site, x) for x in (channels, groups, window)]
    if all(g is not None for g in given):
        size = given[2] if isinstance(given[2], (tuple, list)) else (given[2],) * axes
        return given[0] // given[1] * math.prod(size)
    result = as_node(channels)
    if given[1] != 1:
        result = fill("a // b", a=result, b=groups)
    if isinstance(given[2], int):
        return fill("a * n", a=result, n=given[2] ** axes)
    if isinstance(given[2], (tuple, list)):
        return fill("a * n", a=result, n=math.prod(given[2]))
    pairs = [items_of(o) is not None for o in options(site.fact(window))]
    if any(pairs) and not all(pairs):  # some calls give a number, others a tuple
        site.request_import("import numpy as np")
        return fill(f"a * np.prod(np.broadcast_to(k, {axes}))", a=result, k=window)
    is_pair = any(pairs) or isinstance(window, (cst.Tuple, cst.List))
    if isinstance(site.fact(window), Number) or not is_pair:
        return fill(f"a * k**{axes}" if axes > 1 else "a * k", a=result, k=window)
    site.request_import("import math")
    return fill("a * math.prod(k)", a=result, k=window)
