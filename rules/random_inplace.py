"""Random numbers written into tensors: `x.normal_()` and the like."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import Tensor
from transpiler.rule import Unfit, rewrites
from transpiler.rules.operands import methods
from transpiler.rules.rebinding import fresh_shape, is_inner_link, stripped, write_back
from transpiler.rules.tensor_arguments import OMIT, Arguments, cast, fill, tf_dtype
from transpiler.site import Site, constant_value

# ---- random numbers in place ------------------------------------------------------------------


@rewrites(*methods("uniform_", "normal_", "random_", "bernoulli_", "exponential_"), to="tf")
def draw_in_place(site: Site) -> Any:
    given = Arguments(site)
    new = _drawn(site, stripped(given.x), given)
    return new if is_inner_link(site) else write_back(site, given.x, new)


def _drawn(site: Site, x: Any, given: Arguments) -> Any:
    name = site.name.rpartition(".")[2]
    fact = site.context.fact(x)
    known = fact.dtype if isinstance(fact, Tensor) else None
    dtype = OMIT if known in ("float32", None) else tf_dtype(known)
    shape = fresh_shape(site, x)
    if name == "uniform_":
        low, high = given.given("from", "from_", "a", at=0), given.given("to", "b", at=1)
        if low is OMIT and high is not OMIT:
            low = 0
        return fill("tf.random.uniform(shape, a, b, dtype=d)", shape=shape, a=low, b=high, d=dtype)
    if name == "normal_":
        mean, std = given.given("mean", at=0), given.given("std", at=1)
        return _normal(site, shape, mean, std, dtype)
    if name == "random_":
        low, high = given.get("from", "from_", at=0), given.get("to", at=1)
        if high is None:
            low, high = None, low
        if high is None:
            raise Unfit("Tensor.random_ without a bound has no equal here")
        draw = fill("tf.random.uniform(shape, a, b, dtype=tf.int64)", shape=shape,
                    a=0 if low is None else low, b=high)  # fmt: skip
        return draw if known == "int64" else cast(draw, known or "float32")
    if name == "bernoulli_":
        chance = given.get("p", at=0)
        draw = fill(
            "tf.random.uniform(shape) < p", shape=shape, p=0.5 if chance is None else chance
        )
        return cast(draw, known or "float32")
    rate = given.get("lambd", at=0)
    draw = fill("-tf.math.log(1 - tf.random.uniform(shape, dtype=d))", shape=shape, d=dtype)
    return draw if rate is None else fill("draw / rate", draw=draw, rate=rate)


def _normal(site: Site, shape: Any, mean: Any, std: Any, dtype: Any) -> Any:
    if std is OMIT and mean is not OMIT and constant_value(site.fact(mean)) == 0:
        mean = OMIT
    if mean is OMIT:
        return fill("tf.random.normal(shape, stddev=s, dtype=d)", shape=shape, s=std, d=dtype)
    return fill("tf.random.normal(shape, m, s, dtype=d)", shape=shape, m=mean, s=std, d=dtype)
