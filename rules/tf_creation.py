"""New tensors, casts, constants and random numbers of TensorFlow and Keras in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import (
    Const,
    ListObject,
    Sequence,
    Tensor,
    Value,
    element_of,
    items_of,
    options,
    scalar_type,
)
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.operands import DTYPES
from transpiler.rules.tf_arguments import (
    OMIT,
    TfArguments,
    cast,
    drop,
    holds_tensors,
    host_numbers,
    is_array,
    size_list,
    sizes,
    stack,
    tensor,
    torch_dtype,
    usual_dtype,
)
from transpiler.rules.tf_operands import (
    as_tensor,
    data_dtype,
    dtype_named,
    everywhere,
    is_number,
)
from transpiler.site import Site, constant_value
from transpiler.syntax import find
from transpiler.template import fill

DTYPE_NAMES = [
    Rule(f"tf-dtype-{name}", torch=f"torch.{name}", keras=f"tf.{name}", to="torch")
    for name in sorted(DTYPES)
]


@rewrites("tf.string", to="torch")
def string(site: Site) -> Any:
    raise Unfit("PyTorch has no tensors of strings", "keep them in lists")


@rewrites("tf.newaxis", "keras.ops.newaxis", to="torch")
def newaxis(site: Site) -> Any:
    return cst.Name("None")


# ---- data -------------------------------------------------------------------------------------


def holds_strings(value: Value) -> bool:
    """Whether a value is a string, or a list of some."""
    if isinstance(value, (Sequence, ListObject)):
        items = items_of(value)
        return any(holds_strings(i) for i in (items if items else (element_of(value),)))
    return scalar_type(value) == "str"


@rewrites(
    "tf.constant", "tf.convert_to_tensor", "keras.ops.convert_to_tensor", "keras.ops.array",
    "keras.backend.constant", to="torch",
    proof=Proof(inputs=[(2, 3)],
                keras_cases=["x * tf.constant(2.0)", "x + tf.constant([1.0, 2.0, 3.0])",
                             "tf.constant([[1, 2], [3, 4]])", "tf.constant(3, shape=[2, 2])",
                             "x * tf.convert_to_tensor(np.ones(3))", "tf.constant(np.arange(3))",
                             "tf.convert_to_tensor(x)", "tf.convert_to_tensor([x[0], x[1]])",
                             "tf.constant([1, 2], dtype=tf.float32) * x[0, 0]",
                             "x + tf.constant(1, tf.float32)", "tf.constant([True, False])",
                             "x + keras.ops.convert_to_tensor(np.ones((2, 3)))"]),
)  # fmt: skip
def constant(site: Site) -> Any:
    given = TfArguments(site)
    value, asked = given.first, given.get("dtype")
    fact = site.fact(value)
    if holds_strings(fact) or as_tensor(fact).dtype == "string":
        raise Unfit("PyTorch has no tensors of strings", "keep them in lists")
    dtype = torch_dtype(site, asked)
    if dtype_named(site.fact(asked)) == data_dtype(fact) and not isinstance(fact, Tensor):
        dtype = OMIT
    shape = given.get("shape")
    if shape is not None:
        if is_number(fact):
            return fill("torch.full(s, v, dtype=d)", s=shape, v=value, d=dtype)
        return fill("torch.tensor(v, dtype=d).reshape(s)", s=shape, v=value, d=dtype)
    if isinstance(fact, (Sequence, ListObject)) and holds_tensors(fact):
        new = stack(site, value)
        return new if dtype is OMIT else cast(site, new, dtype)
    if isinstance(fact, Tensor) and is_array(fact):
        known = fact.dtype is not None and fact.dtype == dtype_named(site.fact(asked))
        return value if dtype is OMIT or known else cast(site, value, dtype)
    if isinstance(fact, Tensor):
        name = "tensor" if site.name == "tf.constant" else "as_tensor"
        return fill(f"torch.{name}(v, dtype=d)", v=value, d=dtype)
    if is_number(fact) or isinstance(fact, (Sequence, ListObject)):
        return fill("torch.tensor(v, dtype=d)", v=value, d=dtype)
    return fill("torch.as_tensor(v, dtype=d)", v=value, d=dtype)


@rewrites(
    *everywhere("cast", "saturate_cast"), to="torch",
    proof=Proof(inputs=[(2, 3), "int(2, 3) < 4", "bool(2, 3)"],
                keras_cases=["tf.cast(y, tf.float32)", "tf.cast(x, tf.int32)",
                             "tf.cast(z, 'float32') * x", "tf.cast(y, x.dtype)",
                             "tf.keras.backend.cast(y, 'float32')",
                             "tf.cast(x * 3, dtype=tf.uint8)",
                             "x * tf.cast(3, tf.float32)", "tf.cast(y, tf.bool)",
                             "keras.ops.cast(y, dtype='int64')",
                             "tf.cast(np.arange(3), tf.float32)",
                             "x / tf.cast(tf.shape(x)[0], tf.float32)"]),
)  # fmt: skip
def cast_rule(site: Site) -> Any:
    given = TfArguments(site)
    value, asked = given.first, given.need("dtype")
    fact = site.fact(value)
    name = dtype_named(site.fact(asked))
    of_other = isinstance(asked, cst.Attribute) and asked.attr.value == "dtype"
    if host_numbers(site, value) and of_other:
        return tensor(site, value, asked)
    if host_numbers(site, value) and name is not None:
        kind = "float" if "float" in name else "bool" if name == "bool" else "int"
        drop(site, asked)
        if constant_value(fact) is not None and isinstance(constant_value(fact), float):
            if kind == "float":
                return value
        return fill(f"{kind}(x)", x=value)
    dtype = torch_dtype(site, asked)
    if isinstance(fact, Tensor) and is_array(fact):
        if name is not None and fact.dtype == name and name == "float32":
            return value
        return cast(site, value, dtype)
    if isinstance(fact, (Sequence, ListObject)) or is_number(fact):
        return tensor(site, value, dtype)
    return fill("torch.as_tensor(x, dtype=d)", x=value, d=dtype)


@rewrites("tf.dtypes.as_dtype", "keras.backend.standardize_dtype", to="torch")
def as_dtype(site: Site) -> Any:
    node = TfArguments(site).first
    if dtype_named(site.fact(node)) is None:
        raise Unfit("the dtype is not known before the program runs")
    return torch_dtype(site, node)


# ---- filled -----------------------------------------------------------------------------------


@rewrites(
    *everywhere("zeros", "ones"), "keras.ops.empty", to="torch",
    proof=Proof(inputs=[(2, 3)],
                keras_cases=["x + tf.zeros((2, 3))", "x * tf.ones([2, 1])", "tf.zeros(3)[0] + x",
                             "tf.ones(shape=(2,), dtype=tf.int32)", "x * tf.ones(tf.shape(x))",
                             "tf.zeros([tf.shape(x)[0], 4])", "tf.zeros((), tf.int64)",
                             "keras.ops.ones((2, 3), dtype=x.dtype) * x", "tf.zeros(x.shape) + x",
                             "tf.zeros([2, 3], tf.bool)", "tf.keras.backend.zeros((2, 3))"]),
)  # fmt: skip
def filled(site: Site) -> Any:
    given = TfArguments(site)
    name = "ones" if site.name.endswith("ones") else "zeros"
    dims = sizes(site, given.need("shape"))
    return fill(f"torch.{name}(*dims, dtype=d)", dims=dims, d=usual_dtype(site, given))


@rewrites("tf.fill", "keras.ops.full", to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["x + tf.fill([2, 3], 0.5)", "tf.fill((2,), 3)",
                                   "keras.ops.full((2, 3), 1.5)",
                                   "tf.fill(tf.shape(x), 2.0) * x"]))  # fmt: skip
def full(site: Site) -> Any:
    given = TfArguments(site)
    shape, value = given.need("dims", "shape"), given.need("value", "fill_value")
    if isinstance(site.fact(value), Tensor):
        return fill("v.expand(s)", v=value, s=size_list(site, shape))
    return fill("torch.full(s, v, dtype=d)", s=size_list(site, shape), v=value,
                d=torch_dtype(site, given.get("dtype")))  # fmt: skip


@rewrites(
    *everywhere("zeros_like", "ones_like", "empty_like", "full_like"), to="torch",
    proof=Proof(inputs=[(2, 3), "int(2, 3) < 4"],
                keras_cases=["tf.zeros_like(x) + x", "tf.ones_like(y)", "keras.ops.zeros_like(x)",
                             "tf.ones_like(x, dtype=tf.int32)", "keras.ops.full_like(x, 2.0) * x"]),
)  # fmt: skip
def like(site: Site) -> Any:
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    if name == "full_like":
        return fill("torch.full_like(x, v, dtype=d)", x=given.x, v=given.need("fill_value"),
                    d=given.dtype)  # fmt: skip
    return fill(f"torch.{name}(x, dtype=d)", x=given.x, d=given.dtype)


@rewrites("tf.eye", "keras.ops.eye", "keras.backend.eye", "keras.ops.identity", to="torch",
          proof=Proof(inputs=[(3, 3)],
                      keras_cases=["x + tf.eye(3)", "tf.eye(2, 4) * 2.0", "keras.ops.eye(3)",
                                   "x + tf.eye(3, batch_shape=[2])"]))  # fmt: skip
def eye(site: Site) -> Any:
    given = TfArguments(site)
    rows, columns = given.first, given.get("num_columns", "M")
    new = fill("torch.eye(n, m, dtype=d)", n=rows, m=OMIT if columns is None else columns,
               d=usual_dtype(site, given))  # fmt: skip
    batch = given.get("batch_shape")
    if batch is not None:
        if not isinstance(batch, (cst.List, cst.Tuple)):
            raise Unfit("`batch_shape` of tf.eye is not written out")
        counts = [cst.Arg(e.value) for e in batch.elements]
        return fill("x.repeat(*n, 1, 1)", x=new, n=counts)
    return new


COUNTED = ("print", "range", "int", "float", "str", "len", "tf.print", "enumerate")
"""Functions that take a number where the program gives them a counting tensor."""


def counts(site: Site, loop: cst.For) -> bool:
    """Whether a loop only counts: nothing is done with its numbers that needs a tensor."""
    if not isinstance(loop.target, cst.Name):
        return False
    parents = site.context.edits.parent
    for name in find(loop.body, cst.Name):
        if name.value != loop.target.value:
            continue
        parent: Any = parents.get(name)
        if isinstance(parent, cst.Arg):
            if parent.keyword is name:
                continue
            call: Any = parents.get(parent)
            function = cst.Module([]).code_for_node(call.func) if call is not None else ""
            if function not in COUNTED and not function.endswith(".format"):
                return False
        elif isinstance(parent, (cst.BinaryOperation, cst.Comparison, cst.ComparisonTarget)):
            sides = [getattr(parent, side, None) for side in ("left", "right", "comparator")]
            facts = [o for s in sides if s is not None and s is not name
                     for o in options(site.context.fact(s))]  # fmt: skip
            if any(isinstance(o, Tensor) and o.rank != 0 for o in facts):
                return False
        elif not isinstance(parent, (cst.Index, cst.FormattedStringExpression)):
            return False
    return True


@rewrites(
    "tf.range", "keras.ops.arange", "keras.backend.arange", to="torch",
    proof=Proof(inputs=[(5,)], gradients=False,
                keras_cases=["tf.range(5)", "tf.range(1, 10, 2)", "tf.range(0.0, 1.0, 0.25)",
                             "tf.range(tf.shape(x)[0])", "tf.range(4, dtype=tf.float32)",
                             "tf.range(start=1, limit=4)", "tf.range(6, delta=2)",
                             "keras.ops.arange(5)", "tf.range(2, limit=7, delta=3)",
                             "tf.range(3.0)", "tf.keras.backend.arange(0, 5, 2)"]),
)  # fmt: skip
def arange(site: Site) -> Any:
    given = TfArguments(site)
    parent = site.parent
    counting = isinstance(parent, cst.For) and parent.iter is site.node and counts(site, parent)
    bounds: list[Any] = list(site.positional[:3])
    names = [("start",), ("limit", "stop"), ("delta", "step")]
    if len(bounds) == 1 and "limit" not in site.keywords and "stop" not in site.keywords:
        step = next((site.keywords[n] for n in names[2] if n in site.keywords), None)
        bounds = [0, *bounds, step] if step is not None else bounds
    else:
        for at, aliases in enumerate(names):
            found = next((site.keywords[n] for n in aliases if n in site.keywords), None)
            if found is not None:
                bounds += [0] * (at - len(bounds))
                bounds.append(found)
    if counting:
        drop(site, given.get("dtype"))
        return fill("range(*bounds)", bounds=[
            cst.Arg(cst.Integer("0") if b == 0 else b) for b in bounds
        ])  # fmt: skip
    return fill("torch.arange(*bounds, dtype=d)",
                bounds=[cst.Arg(cst.Integer("0") if b == 0 else b) for b in bounds],
                d=given.dtype)  # fmt: skip


@rewrites("tf.linspace", "keras.ops.linspace", "keras.ops.logspace", to="torch",
          proof=Proof(inputs=[(5,)], keras_cases=["x * tf.linspace(-1.0, 1.0, 5)",
                                                  "tf.linspace(0.0, 3.0, num=4)",
                                                  "keras.ops.linspace(0.0, 4.0, 5)"]))  # fmt: skip
def linspace(site: Site) -> Any:
    given = TfArguments(site)
    if given.get("axis") is not None or given.const("endpoint", default=True) is not True:
        raise Unfit(f"{site.short} with `axis` or without its end")
    name = site.name.rpartition(".")[2]
    count = given.get("num")
    count = cst.Integer("50") if count is None else count
    return fill(f"torch.{name}(a, b, n)", a=given.first, b=given.need("stop"), n=count)


# ---- random -----------------------------------------------------------------------------------


def warn_of_seed(site: Site, given: TfArguments) -> None:
    """A seed of one operation has no equal: torch draws from one stream."""
    if given.get("seed") is not None:
        site.caution(
            f"the seed of this {site.short} is left out: numbers come from the global stream",
            "seed it with torch.manual_seed",
        )


def is_default(site: Site, node: Any, number: float) -> bool:
    return node is None or constant_value(site.fact(node)) == number


def stateless(site: Site, given: TfArguments, template: str) -> Any:
    """Numbers of a generator of their own, the same at each call."""
    seed = site.fact(given.need("seed"))
    numbers = [i.value for i in items_of(seed) or () if isinstance(i, Const)]
    usual = {"mean": 0, "stddev": 1, "minval": 0, "maxval": 1}
    if not numbers or any(not is_default(site, given.get(n), v) for n, v in usual.items()):
        raise Unfit(f"{site.short} with this seed or range is not translated")
    site.caution("the same seed gives other numbers in PyTorch")
    drop(site, given.need("seed"))
    generator = fill("torch.Generator().manual_seed(seed)", seed=sum(numbers))
    dims = sizes(site, given.need("shape"))
    return fill(template, dims=dims, g=generator, d=usual_dtype(site, given))


@rewrites("tf.random.normal", "keras.random.normal", "keras.backend.random_normal",
          "tf.random.Generator.normal", "tf.random.stateless_normal", to="torch")  # fmt: skip
def normal(site: Site) -> Any:
    given = TfArguments(site)
    if site.name.endswith("stateless_normal"):
        return stateless(site, given, "torch.randn(*dims, generator=g, dtype=d)")
    warn_of_seed(site, given)
    mean, deviation, shape = given.get("mean"), given.get("stddev"), given.need("shape")
    dtype = usual_dtype(site, given)
    if is_default(site, mean, 0) and is_default(site, deviation, 1):
        return fill("torch.randn(*dims, dtype=d)", dims=sizes(site, shape), d=dtype)
    numbers = [n is None or is_number(site.fact(n)) for n in (mean, deviation)]
    new = fill("torch.randn(*dims, dtype=d)", dims=sizes(site, shape), d=dtype)
    if all(numbers):
        mean = cst.Float("0.0") if mean is None else mean
        deviation = cst.Float("1.0") if deviation is None else deviation
        return fill("torch.normal(m, s, size=dims, dtype=d)", m=mean, s=deviation,
                    dims=size_list(site, shape), d=dtype)  # fmt: skip
    if is_default(site, deviation, 1):
        return fill("m + x", m=mean, x=new)
    if is_default(site, mean, 0):
        return fill("s * x", s=deviation, x=new)
    return fill("m + s * x", m=mean, s=deviation, x=new)


@rewrites("tf.random.uniform", "keras.random.uniform", "keras.random.randint",
          "keras.backend.random_uniform", "tf.random.Generator.uniform",
          "tf.random.stateless_uniform", to="torch")  # fmt: skip
def uniform(site: Site) -> Any:
    given = TfArguments(site)
    if site.name.endswith("stateless_uniform"):
        return stateless(site, given, "torch.rand(*dims, generator=g, dtype=d)")
    warn_of_seed(site, given)
    low, high, shape = given.get("minval"), given.get("maxval"), given.need("shape")
    asked = given.get("dtype")
    kind = dtype_named(site.fact(asked)) if asked is not None else "float32"
    if site.name.endswith("randint") or (kind is not None and "int" in kind):
        if high is None:
            raise Unfit(f"{site.short} of integers is called without `maxval`")
        dtype = OMIT if kind in ("int32", "int64", "float32") else torch_dtype(site, asked)
        drop(site, asked)
        low = cst.Integer("0") if low is None else low
        return fill("torch.randint(a, b, dims, dtype=d)", a=low, b=high,
                    dims=size_list_of(site, shape), d=dtype)  # fmt: skip
    dims, dtype = sizes(site, shape), usual_dtype(site, given)
    if is_default(site, low, 0) and is_default(site, high, 1):
        return fill("torch.rand(*dims, dtype=d)", dims=dims, d=dtype)
    low, high = (0.0 if low is None else low), (1.0 if high is None else high)
    if all(n == 0.0 or host_numbers(site, n) for n in (low, high)):
        return fill("torch.empty(*dims, dtype=d).uniform_(a, b)", dims=dims, d=dtype, a=low,
                    b=high)  # fmt: skip
    new = fill("torch.rand(*dims, dtype=d)", dims=dims, d=dtype)
    return fill("a + (b - a) * x", a=low, b=high, x=new)


def size_list_of(site: Site, node: Any) -> Any:
    """A shape as `size=` takes it: a tuple, where one number is written."""
    if is_number(site.fact(node)):
        return cst.Tuple([cst.Element(node)])
    return size_list(site, node)


@rewrites("tf.random.truncated_normal", "keras.random.truncated_normal",
          "keras.backend.truncated_normal", "tf.random.Generator.truncated_normal",
          to="torch")  # fmt: skip
def truncated_normal(site: Site) -> Any:
    """Draws beyond two standard deviations are drawn again."""
    given = TfArguments(site)
    warn_of_seed(site, given)
    mean, deviation = given.get("mean"), given.get("stddev")
    return fill("unit(s, mean=m, std=d)", unit=site.emit("truncated_normal"),
                s=size_list_of(site, given.need("shape")),
                m=OMIT if is_default(site, mean, 0) else mean,
                d=OMIT if is_default(site, deviation, 1) else deviation)  # fmt: skip


@rewrites("tf.random.categorical", "keras.random.categorical", to="torch")
def categorical(site: Site) -> Any:
    given = TfArguments(site)
    warn_of_seed(site, given)
    return fill("torch.multinomial(torch.softmax(x, dim=-1), n, replacement=True)", x=given.x,
                n=given.need("num_samples"))  # fmt: skip


@rewrites("tf.random.shuffle", "keras.random.shuffle", to="torch")
def shuffle(site: Site) -> Any:
    given = TfArguments(site)
    warn_of_seed(site, given)
    if given.get("axis") is not None:
        raise Unfit(f"{site.short} along another axis than the first")
    x = given.x
    if isinstance(x, cst.Call) and cst.Module([]).code_for_node(x.func) == "tf.range":
        arguments = x.args
        if len(arguments) == 1:
            drop(site, x.func, x)
            return fill("torch.randperm(n)", n=arguments[0].value)
    if isinstance(x, (cst.Name, cst.Attribute)):
        return fill("x[torch.randperm(len(x))]", x=x)
    return fill("unit(x)", unit=site.emit("shuffle"), x=x)


@rewrites("tf.random.poisson", to="torch")
def poisson(site: Site) -> Any:
    given = TfArguments(site)
    warn_of_seed(site, given)
    rate = given.need("lam")
    return fill("torch.poisson(torch.full(s, float(r)))", s=size_list_of(site, given.need("shape")),
                r=rate)  # fmt: skip


# ---- names that lead to others ----------------------------------------------------------------

ALIASES = [
    Rule(f"tf-dtype-{name}", torch=f"torch.{target}", keras=f"tf.{name}", to="torch")
    for name, target in (("half", "float16"), ("double", "float64"))
]
"""The catalogue's own names of `tf.float16` and `tf.float64`."""


@rewrites("tf.complex", "keras.ops.complex", to="torch",
          proof=Proof(inputs=[(2, 3), (2, 3)],
                      keras_cases=["tf.abs(tf.complex(x, y))"], gradients=False))  # fmt: skip
def complex_numbers(site: Site) -> Any:
    given = TfArguments(site)
    return fill("torch.complex(a, b)", a=given.x, b=tensor(site, given.need("imag", "y")))
