"""`tf.strings` and clocks: single strings are Python's own in PyTorch programs."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Const, ListObject, Number, Tensor, Value, options, scalar_type
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules.tf_arguments import TfArguments
from transpiler.rules.tf_operands import Given
from transpiler.site import Site, constant_value
from transpiler.template import fill

S = "tf.strings."


def is_single(value: Value) -> bool:
    """Whether a value is one string, of Python's or of TensorFlow's."""
    return all(
        scalar_type(o) == "str" or (isinstance(o, Tensor) and o.dtype == "string" and o.rank == 0)
        for o in options(value)
    )


@infers(*(S + name for name in ("format", "join", "lower", "upper", "strip", "regex_replace",
                                "substr", "reduce_join", "as_string")))  # fmt: skip
def text(call: Invocation) -> Value:
    """One string of one string; tensors of strings stay that."""
    given = Given(call)
    first = given.first
    if call.name.endswith(("format", "join")) or (first is not None and is_single(first)):
        return Number("str")
    return Tensor(first.shape if isinstance(first, Tensor) else None, "string", "tf")


@infers(S + "length", S + "to_number")
def measured(call: Invocation) -> Value:
    given = Given(call)
    kind = "int" if call.name.endswith("length") else "float"
    if given.first is not None and is_single(given.first):
        return Number(kind)
    return given.x.but(dtype="int32" if kind == "int" else "float32")


@infers(S + "split")
def words(call: Invocation) -> Value:
    return ListObject(None, Number("str"))


@infers("tf.timestamp")
def clock(call: Invocation) -> Value:
    return Number("float")


@rewrites("tf.timestamp", to="torch")
def timestamp(site: Site) -> Any:
    site.request_import("import time")
    return fill("time.time()")


def single(site: Site, given: TfArguments) -> Any:
    """The string operated on. Raises Unfit for tensors of strings."""
    if not is_single(site.fact(given.first)):
        raise Unfit("PyTorch has no tensors of strings", "keep them in lists, and loop over them")
    return given.first


@rewrites(S + "format", to="torch")
def format_text(site: Site) -> Any:
    given = TfArguments(site)
    inputs = given.need("inputs")
    parts = [inputs]
    if isinstance(inputs, (cst.List, cst.Tuple)):
        parts = [e.value for e in inputs.elements]
    if given.const("placeholder", default="{}") != "{}":
        raise Unfit("tf.strings.format with a placeholder of its own")
    return fill("t.format(*xs)", t=given.first, xs=[cst.Arg(p) for p in parts])


@rewrites(S + "join", to="torch")
def join_texts(site: Site) -> Any:
    given = TfArguments(site)
    separator = given.get("separator")
    return fill("s.join(xs)", s=cst.SimpleString('""') if separator is None else separator,
                xs=given.first)  # fmt: skip


METHODS = {"lower": "x.lower()", "upper": "x.upper()", "strip": "x.strip()", "length": "len(x)",
           "to_number": "float(x)"}  # fmt: skip


@rewrites(*(S + name for name in METHODS), to="torch")
def method(site: Site) -> Any:
    given = TfArguments(site)
    return fill(METHODS[site.name.removeprefix(S)], x=single(site, given))


@rewrites(S + "as_string", to="torch")
def as_string(site: Site) -> Any:
    given = TfArguments(site)
    value = site.fact(given.first)
    if not isinstance(value, (Const, Number)) and not (
        isinstance(value, Tensor) and value.rank == 0
    ):
        raise Unfit("PyTorch has no tensors of strings", "keep them in lists")
    return fill("str(x)" if not isinstance(value, Tensor) else "str(x.item())", x=given.first)


@rewrites(S + "split", to="torch")
def split_text(site: Site) -> Any:
    given = TfArguments(site)
    separator = given.get("sep")
    x = single(site, given)
    return fill("x.split()", x=x) if separator is None else fill("x.split(s)", x=x, s=separator)


@rewrites(S + "regex_replace", to="torch")
def regex_replace(site: Site) -> Any:
    given = TfArguments(site)
    x = single(site, given)
    site.request_import("import re")
    count = 0 if given.const("replace_global", default=True) else 1
    form = "re.sub(p, r, x, count=1)" if count else "re.sub(p, r, x)"
    return fill(form, p=given.need("pattern"), r=given.need("rewrite"), x=x)


@rewrites(S + "regex_full_match", to="torch")
def regex_full_match(site: Site) -> Any:
    given = TfArguments(site)
    x = single(site, given)
    site.request_import("import re")
    return fill("bool(re.fullmatch(p, x))", p=given.need("pattern"), x=x)


@rewrites(S + "substr", to="torch")
def substring(site: Site) -> Any:
    given = TfArguments(site)
    x, start, length = single(site, given), given.need("pos"), given.need("len")
    a, n = constant_value(site.fact(start)), constant_value(site.fact(length))
    if isinstance(a, int) and isinstance(n, int):
        return fill("x[a:b]", x=x, a=a, b=a + n)
    return fill("x[a:a + n]", x=x, a=start, n=length)
