"""New tensors: constants, ranges, tensors like others, and data from Python and NumPy."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import (
    Const,
    Instance,
    options,
    scalar_type,
)
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import dtype_of, dtype_of_data, in_module, methods
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    as_list,
    dims_list,
    dtype_argument,
    fill,
    is_size,
    reads_as_size,
    sizes,
    tf_dtype,
)
from transpiler.site import Site, constant_value


def finish(site: Site, given: Arguments, node: Any) -> Any:
    """A tensor that asks for a gradient is a variable."""
    wanted = given.get("requires_grad")
    if wanted is None or constant_value(site.fact(wanted)) is False:
        return node
    if constant_value(site.fact(wanted)) is not True:
        raise Unfit("`requires_grad` is not known before the program runs")
    return fill("tf.Variable(x)", x=node)


def written_dtype(site: Site, given: Arguments, usual: str = "float32") -> Any:
    """The `dtype` argument, left out where TensorFlow would choose the same."""
    node = dtype_argument(site, given.get("dtype"))
    known = dtype_of(site.fact(given.get("dtype"))) if node is not OMIT else None
    return OMIT if known == usual else node


def warn_of_generator(site: Site, given: Arguments) -> None:
    """A generator of its own draws from a stream of its own."""
    found = given.get("generator")
    known = options(site.fact(found)) if found is not None else ()
    if not all(isinstance(o, (Const, Instance)) for o in known):
        site.caution("the generator is left out: numbers come from TensorFlow's global one")


@rewrites(
    *in_module("torch", "zeros", "ones", "empty"), to="tf",
    proof=Proof(
        inputs=[(2, 3)],
        cases=["x + torch.zeros(2, 3)", "x * torch.ones((2, 3))",
               "torch.zeros(3, dtype=torch.long)",
               "torch.ones(x.size())", "torch.zeros(*x.shape)", "torch.ones(2, x.size(1))",
               "torch.zeros(())", "torch.zeros(2, 2, dtype=torch.bool)", "torch.ones(3).long()"],
    ),
)  # fmt: skip
def filled(site: Site) -> Any:
    given = Arguments(site, first=False)
    name = "ones" if site.name.endswith("ones") else "zeros"
    dims = as_list(sizes(site, given, "size"))
    dtype = written_dtype(site, given)
    return finish(site, given, fill(f"tf.{name}(dims, dtype=d)", dims=dims, d=dtype))


@rewrites(
    "torch.full", to="tf",
    proof=Proof(inputs=[(2, 3)], gradients=False,
                cases=["torch.full((2, 3), 0.5)", "torch.full((2,), 3)", "torch.full(x.shape, 1.0)",
                       "torch.full((2, 2), 7, dtype=torch.float32)",
                       "torch.full([2], float('inf'))"]),
)  # fmt: skip
def full(site: Site) -> Any:
    given = Arguments(site, first=False)
    shape, value = given.get("size", at=0), given.get("fill_value", at=1)
    dims = dims_list(site, shape)
    asked = given.get("dtype")
    dtype = dtype_of(site.fact(asked)) if asked is not None else dtype_of_data(site.fact(value))
    written = dtype_argument(site, asked)
    if dtype is None and written is OMIT:
        site.caution("the dtype follows the value: of whole numbers int32 here, int64 in torch")
        return finish(site, given, fill("tf.fill(dims, value)", dims=dims, value=value))
    number = constant_value(site.fact(value))
    if dtype == "float32" and type(number) is int:
        value = cst.Float(f"{number}.0") if number >= 0 else value
        if number in (0, 1):
            new = fill(f"tf.{'ones' if number else 'zeros'}(dims)", dims=dims)
            return finish(site, given, new)
    written_so = isinstance(value, cst.Float) or dtype == dtype_of_data(site.fact(value))
    same = written_so and dtype in ("float32", "bool")
    if not same:
        to = written if written is not OMIT else tf_dtype(str(dtype))
        value = fill("tf.cast(v, d)", v=value, d=to)
    return finish(site, given, fill("tf.fill(dims, value)", dims=dims, value=value))


@rewrites(
    *in_module("torch", "zeros_like", "ones_like", "empty_like"), to="tf", layout="elementwise",
    proof=Proof(inputs=[(2, 3), "int(2, 3) < 3"],
                cases=["x + torch.ones_like(x)", "torch.zeros_like(y)",
                       "torch.ones_like(x, dtype=torch.bool)"]),
)  # fmt: skip
def like(site: Site) -> Any:
    given = Arguments(site)
    name = "ones_like" if "ones" in site.name else "zeros_like"
    dtype = dtype_argument(site, given.get("dtype"))
    return finish(site, given, fill(f"tf.{name}(x, dtype=d)", x=given.x, d=dtype))


@rewrites("torch.full_like", to="tf", layout="elementwise",
          proof=Proof(inputs=[(2, 3)], cases=["x * torch.full_like(x, 0.3)"]))  # fmt: skip
def full_like(site: Site) -> Any:
    given = Arguments(site)
    value = given.get("fill_value", at=0)
    if given.get("dtype") is not None:
        to = dtype_argument(site, given.get("dtype"))
        return fill("tf.fill(tf.shape(x), tf.cast(v, d))", x=given.x, v=value, d=to)
    if site.dtype(given.x) in ("float32", "float64"):
        return fill("tf.ones_like(x) * v", x=given.x, v=value)
    return fill("tf.fill(tf.shape(x), tf.cast(v, x.dtype))", x=given.x, v=value)


def _is_data(site: Site, given: Arguments) -> bool:
    """Whether `x.new(...)` is given values; several arguments, or none, are sizes."""
    if len(given.rest) != 1 or isinstance(given.rest[0], cst.StarredElement):
        return False
    only = given.rest[0]
    return not is_size(site.fact(only)) and not reads_as_size(site, only)


@rewrites(
    *methods("new_zeros", "new_ones", "new_empty", "new_full", "new_tensor", "new"), to="tf",
    proof=Proof(inputs=[(2, 3)], cases=["x + x.new_zeros(2, 3)", "x * x.new_ones((3,))",
                                        "x + x.new_full((2, 3), 0.5)",
                                        "x + x.new_zeros(x.size(0), 1)"]),
)  # fmt: skip
def new(site: Site) -> Any:
    given = Arguments(site)
    kind = site.name.rpartition(".")[2].removeprefix("new_")
    asked = given.get("dtype")
    known = site.dtype(given.x)
    dtype = dtype_argument(site, asked)
    if dtype is OMIT:
        dtype = OMIT if known == "float32" else fill("x.dtype", x=given.x)
    if kind == "tensor" or (kind == "new" and _is_data(site, given)):
        return fill("tf.constant(v, dtype=d)", v=given.rest[0], d=dtype)
    if kind == "full":
        shape = given.get("size", at=0)
        dims = dims_list(site, shape)
        value = fill("tf.cast(v, x.dtype)", v=given.get("fill_value", at=1), x=given.x)
        return fill("tf.fill(dims, v)", dims=dims, v=value)
    name = "ones" if kind == "ones" else "zeros"
    dims = as_list(sizes(site, given, "size"))
    return finish(site, given, fill(f"tf.{name}(dims, dtype=d)", dims=dims, d=dtype))


@rewrites("torch.eye", to="tf",
          proof=Proof(inputs=[(3, 3)], cases=["x + torch.eye(3)", "torch.eye(2, 4)",
                                              "torch.eye(3, dtype=torch.long)"]))  # fmt: skip
def eye(site: Site) -> Any:
    given = Arguments(site, first=False)
    return finish(site, given, fill("tf.eye(n, m, dtype=d)", n=given.get("n", at=0),
                                    m=given.given("m", at=1), d=written_dtype(site,
                                                                              given)))  # fmt: skip


@rewrites(
    "torch.arange", "torch.range", to="tf",
    proof=Proof(inputs=[(5,)], gradients=False,
                cases=["torch.arange(5)", "torch.arange(1, 10, 2)", "torch.arange(0, 1, 0.1)",
                       "torch.arange(x.size(0))", "torch.arange(4, dtype=torch.float)",
                       "torch.arange(0, 4, step=2).float()", "torch.arange(start=1, end=4)",
                       "torch.arange(3.0)"]),
)  # fmt: skip
def arange(site: Site) -> Any:
    given = Arguments(site, first=False)
    end, start = given.get("end", at=1), given.get("start", at=0)
    if end is None:
        start, end = given.get("start"), given.get("start", at=0) if not given.get("start") else end
    step = given.get("step", at=2)
    if site.name == "torch.range":
        raise Unfit("torch.range is deprecated; its end is included", "use torch.arange")
    kinds = {scalar_type(site.fact(n)) for n in (start, end, step) if n is not None}
    asked = given.get("dtype")
    bounds = [n for n in (start, end, step) if n is not None]
    known = dtype_of(site.fact(asked)) if asked is not None else None
    if kinds <= {"int"}:
        dtype = dtype_argument(site, asked) if asked is not None else tf_dtype("int64")
        template = "tf.range(*bounds, dtype=d)"
    elif "float" in kinds:
        dtype = dtype_argument(site, asked) if asked is not None else tf_dtype("float32")
        template = "tf.constant(np.arange(*bounds), dtype=d)"
    else:  # NumPy decides as torch does: int64 of integers
        dtype = dtype_argument(site, asked)
        template = "tf.convert_to_tensor(np.arange(*bounds), dtype=d)"
    del known
    return finish(site, given, fill(template, bounds=[cst.Arg(b) for b in bounds], d=dtype))


@rewrites("torch.linspace", to="tf",
          proof=Proof(inputs=[(5,)], cases=["x * torch.linspace(-1, 1, 5)",
                                            "torch.linspace(0, 1, steps=4)"]))  # fmt: skip
def linspace(site: Site) -> Any:
    given = Arguments(site, first=False)
    bounds = [given.get("start", at=0), given.get("end", at=1), given.get("steps", at=2)]
    dtype = dtype_argument(site, given.get("dtype"))
    new = fill("tf.constant(np.linspace(*bounds), dtype=d)",
               bounds=[cst.Arg(b) for b in bounds if b is not None],
               d=tf_dtype("float32") if dtype is OMIT else dtype)  # fmt: skip
    return finish(site, given, new)
