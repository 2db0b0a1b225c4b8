"""Random numbers: streams are never equal, distributions are."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Value
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules.operands import both, dtype_of
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    as_list,
    cast,
    dims_list,
    dtype_argument,
    fill,
    is_simple,
    is_size,
    is_tensor,
    sizes,
    tf_dtype,
)
from transpiler.rules.tensors_create import finish, warn_of_generator, written_dtype
from transpiler.site import Site
from transpiler.syntax import find, walk


@rewrites("torch.rand", "torch.randn", to="tf")
def draw(site: Site) -> Any:
    given = Arguments(site, first=False)
    warn_of_generator(site, given)
    name = "normal" if site.name.endswith("randn") else "uniform"
    dims = as_list(sizes(site, given, "size"))
    new = fill(f"tf.random.{name}(dims, dtype=d)", dims=dims, d=written_dtype(site, given))
    return finish(site, given, new)


@rewrites("torch.rand_like", "torch.randn_like", to="tf", layout="elementwise")
def draw_like(site: Site) -> Any:
    given = Arguments(site)
    name = "normal" if "randn" in site.name else "uniform"
    asked, known = given.get("dtype"), site.dtype(given.x)
    dtype = dtype_argument(site, asked)
    if dtype is OMIT and known is not None and known != "float32":
        dtype = tf_dtype(known)
    return finish(site, given, fill(f"tf.random.{name}(tf.shape(x), dtype=d)", x=given.x, d=dtype))


@rewrites("torch.randint", to="tf")
def draw_integers(site: Site) -> Any:
    given = Arguments(site, first=False)
    warn_of_generator(site, given)
    bounds = [n for n in given.rest if is_size(site.fact(n)) and not isinstance(n, cst.Tuple)]
    shape = given.get("size") or (given.rest[-1] if len(given.rest) > len(bounds) else None)
    if shape is None and len(given.rest) in (2, 3):
        shape, bounds = given.rest[-1], given.rest[:-1]
    low, high = given.get("low"), given.get("high")
    if high is None:
        low, high = (
            (bounds[0], bounds[1]) if len(bounds) > 1 else (low, bounds[0] if bounds else None)
        )
    elif bounds:
        low = bounds[0]
    if high is None or shape is None:
        raise Unfit("the bounds of torch.randint are not plain")
    asked = dtype_of(site.fact(given.get("dtype"))) if given.get("dtype") is not None else "int64"
    dims = dims_list(site, shape)
    dtype = asked if asked in ("int32", "int64") else "int64"
    new = fill("tf.random.uniform(dims, a, b, dtype=d)", dims=dims, a=0 if low is None else low,
               b=high, d=tf_dtype(dtype))  # fmt: skip
    if low is None:
        new = fill("tf.random.uniform(dims, maxval=b, dtype=d)", dims=dims, b=high,
                   d=tf_dtype(dtype))  # fmt: skip
    return new if asked == dtype else cast(new, str(asked))


@rewrites("torch.randperm", to="tf")
def shuffle(site: Site) -> Any:
    given = Arguments(site, first=False)
    warn_of_generator(site, given)
    return fill("tf.random.shuffle(tf.range(n, dtype=tf.int64))", n=given.get("n", at=0))


@rewrites("torch.normal", to="tf")
def normal(site: Site) -> Any:
    given = Arguments(site, first=False)
    warn_of_generator(site, given)
    mean, std, shape = given.get("mean", at=0), given.get("std", at=1), given.get("size", at=2)
    if shape is not None:
        dims = dims_list(site, shape)
        new = fill("tf.random.normal(dims, m, s, dtype=d)", dims=dims, m=mean, s=std,
                   d=written_dtype(site, given))  # fmt: skip
        return finish(site, given, new)
    sample = mean if is_tensor(site, mean) else std
    if not is_tensor(site, sample):
        raise Unfit("whether torch.normal gets numbers or tensors is not known")
    dtype = site.dtype(sample)
    return fill(
        "tf.random.normal(tf.shape(x), m, s, dtype=d)", x=sample, m=mean,
        s=OMIT if std is None else std, d=OMIT if dtype in (None, "float32") else tf_dtype(dtype),
    )  # fmt: skip


@rewrites(*both("bernoulli"), to="tf")
def bernoulli(site: Site) -> Any:
    given = Arguments(site)
    warn_of_generator(site, given)
    x, chance, dtype = given.x, given.get("p", at=0), site.dtype(given.x)
    chance = x if chance is None else chance
    if not is_simple(x):
        return fill("unit(p)", unit=site.emit("bernoulli"), p=chance)
    if dtype in (None, "float32"):
        return fill("tf.cast(tf.random.uniform(tf.shape(x)) < p, x.dtype)", x=x, p=chance)
    return fill(
        "tf.cast(tf.random.uniform(tf.shape(x), dtype=x.dtype) < p, x.dtype)", x=x, p=chance
    )


@rewrites(*both("multinomial"), to="tf")
def multinomial(site: Site) -> Any:
    given = Arguments(site)
    warn_of_generator(site, given)
    replacement = given.const("replacement", at=1, default=False)
    count = given.get("num_samples", at=0)
    return fill("unit(p, n, replacement=r)", unit=site.emit("multinomial"), p=given.x, n=count,
                r=True if replacement else OMIT)  # fmt: skip


# ---- seeds ------------------------------------------------------------------------------------


@rewrites("torch.manual_seed", "torch.random.manual_seed", to="tf")
def seed(site: Site) -> Any:
    """Keras draws its first weights from Python's stream; NumPy's own is left to its own seed."""
    value = Arguments(site, first=False).get("seed", at=0)
    modules = {n.value for n in find(site.context.module, cst.Name)}
    if "random" in modules and _seeds_others(site):
        return fill("tf.random.set_seed(s)", s=value)
    return fill("keras.utils.set_random_seed(s)", s=value)


def _seeds_others(site: Site) -> bool:
    """Whether the program seeds NumPy or draws from it: that stream must stay as it is."""
    for node in find(site.context.module, cst.Attribute):
        if node.attr.value == "random" and isinstance(node.value, cst.Name):
            if node.value.value in ("np", "numpy"):
                return True
    return False


@rewrites("torch.cuda.manual_seed", "torch.cuda.manual_seed_all", "torch.mps.manual_seed", to="tf")
def device_seed(site: Site) -> Any:
    """One seed serves all devices."""
    if not site.alone:
        raise Unfit(f"{site.short} inside of an expression")
    for call in find(site.context.module, cst.Call):
        name = getattr(site.context.fact(call.func), "name", "")
        if name in ("torch.manual_seed", "torch.random.manual_seed"):
            return []
    return seed.function(site)


@infers("torch.Generator", "torch.Generator.manual_seed")
def generator_fact(call: Invocation) -> Value:
    if call.receiver is not None:
        return call.receiver
    return call.interpreter.knowledge.construct(call)


@rewrites("torch.Generator", "torch.Generator.manual_seed", to="tf")
def generator(site: Site) -> Any:
    """Generators are left out everywhere: numbers come from TensorFlow's global one."""
    if site.alone:
        return []
    site.caution("the generator is left out: numbers come from TensorFlow's global one")
    if site.receiver is not None:
        for node in walk(site.receiver):
            site.context.claim(node)
    return cst.Name("None")
