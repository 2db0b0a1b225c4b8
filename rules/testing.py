"""Assertions about arrays."""

from __future__ import annotations

from typing import Any

from transpiler.rule import rewrites
from transpiler.site import Site
from transpiler.template import call


@rewrites("tf.debugging.assert_near", to="torch")
def assert_near(site: Site) -> Any:
    """PyTorch's assertion has tolerances of its own by default."""
    given = {n: site.given(n) for n in ("rtol", "atol")}
    return call("torch.testing.assert_close", site.arg("x"), site.arg("y"), **given)


@rewrites("torch.testing.assert_close", to="tf")
def assert_close(site: Site) -> Any:
    """TensorFlow's assertion, with the tolerances that PyTorch has for single precision."""
    rtol, atol = (site.args.get(n, usual) for n, usual in (("rtol", 1.3e-6), ("atol", 1e-5)))
    return call("tf.debugging.assert_near", site.arg("actual"), site.arg("expected"),
                rtol=rtol, atol=atol)  # fmt: skip
