"""Layers that change images by chance, as the layers of Keras that they were written for."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Rule, Unfit, rewrites
from transpiler.site import Site
from transpiler.template import OMIT, call

_T, _K = "to_torch.", "keras.layers."

PLAIN = [
    Rule("RandomFlip back", torch=f"{_T}RandomFlip(m)", keras=f"{_K}RandomFlip(m)",
         layout="spatial", to="tf"),
    Rule("RandomContrast back", torch=f"{_T}RandomContrast(f, value_range=r)",
         keras=f"{_K}RandomContrast(f, value_range=r)", layout="spatial", to="tf"),
]  # fmt: skip
_KINDS = {
    ("rotation",): "RandomRotation",
    ("zoom_height", "zoom_width"): "RandomZoom",
    ("shift_height", "shift_width"): "RandomTranslation",
}


@rewrites(f"{_T}RandomAffine", to="tf", layout="spatial")
def affine(site: Site) -> Any:
    """One layer of Keras for turns, zooms and shifts each."""
    given = {n: v for n, v in site.args.items() if n != "fill_mode"}
    for names, layer in _KINDS.items():
        if given and set(given) <= set(names):
            factors = [_factor(site, n) if n in given else OMIT for n in names]
            if factors[0] is not OMIT:
                return call(f"{_K}{layer}", *factors, fill_mode=site.given("fill_mode"))
    raise Unfit("a RandomAffine of more than one kind of change is no layer of Keras'")


def _factor(site: Site, name: str) -> Any:
    """A range; one number where it is even."""
    low, high = site.const(name)
    return high if low == -high else (low, high)
