"""Control flow, printing, checks and settings of TensorFlow in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Sequence
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.tf_arguments import OMIT, TfArguments, drop
from transpiler.rules.tf_elementwise import sides
from transpiler.rules.tf_operands import is_number
from transpiler.site import Site
from transpiler.template import fill, fill_statements

# ---- control flow -----------------------------------------------------------------------------


def called(function: Any) -> Any:
    """The result of a function without arguments: a lambda's body, else a call."""
    if isinstance(function, cst.Lambda) and not function.params.params:
        return function.body
    return fill("f()", f=function)


@rewrites("tf.cond", "keras.ops.cond", to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["tf.cond(x[0, 0] > 9.0, lambda: x * 2.0, lambda: x / 2.0)",
                                   "tf.cond(tf.reduce_mean(x) < 9.0, true_fn=lambda: x, "
                                   "false_fn=lambda: -x)"]))  # fmt: skip
def cond(site: Site) -> Any:
    given = TfArguments(site)
    yes, no = given.need("true_fn"), given.need("false_fn")
    return fill("a if c else b", a=called(yes), b=called(no), c=given.first)


@rewrites("tf.case", "tf.switch_case", to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["tf.case([(x[0, 0] > 9.0, lambda: x * 2.0)], "
                                   "default=lambda: -x)",
                                   "tf.switch_case(tf.constant(1), [lambda: x, lambda: -x])"]),
)  # fmt: skip
def case(site: Site) -> Any:
    given = TfArguments(site)
    if site.name.endswith("switch_case"):
        if given.get("default") is not None:
            raise Unfit("tf.switch_case with a default")
        return fill("f[i]()", f=given.need("branch_fns"), i=given.need("branch_index"))
    pairs, default = given.need("pred_fn_pairs"), given.get("default")
    if not isinstance(pairs, (cst.List, cst.Tuple)) or default is None:
        raise Unfit("tf.case whose branches are not written out, or without a default")
    new = called(default)
    for element in reversed(pairs.elements):
        if not isinstance(element.value, cst.Tuple) or len(element.value.elements) != 2:
            raise Unfit("tf.case whose branches are not written out")
        test, function = (e.value for e in element.value.elements)
        new = fill("a if c else b", a=called(function), b=new, c=test)
    return new


@rewrites("tf.while_loop", to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["tf.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * x), "
                                   "[tf.constant(0), x])[1]"]))  # fmt: skip
def while_loop(site: Site) -> Any:
    given = TfArguments(site)
    return fill("unit(c, b, v, maximum_iterations=m)", unit=site.emit("while_loop"),
                c=given.need("cond"), b=given.need("body"), v=given.need("loop_vars"),
                m=given.given("maximum_iterations"))  # fmt: skip


@rewrites("tf.scan", to="torch",
          proof=Proof(inputs=[(4, 3)],
                      keras_cases=["tf.scan(lambda a, b: a * 0.5 + b, x)"]))  # fmt: skip
def scan(site: Site) -> Any:
    given = TfArguments(site)
    return fill("unit(f, x, i, reverse=r)", unit=site.emit("scan"), f=given.need("fn"),
                x=given.need("elems"), i=given.given("initializer"),
                r=given.given("reverse"))  # fmt: skip


@rewrites("tf.map_fn", "tf.vectorized_map", "keras.ops.map", "keras.ops.vectorized_map",
          "keras.backend.map_fn", to="torch",
          proof=Proof(inputs=[(4, 3), (4, 3)],
                      keras_cases=["tf.map_fn(lambda r: r * tf.reduce_sum(r), x)",
                                   "tf.map_fn(lambda p: p[0] * p[1], (x, y), dtype=tf.float32)",
                                   "tf.vectorized_map(lambda r: r / tf.norm(r), x)"]))  # fmt: skip
def map_fn(site: Site) -> Any:
    """The results of each element, stacked."""
    given = TfArguments(site)
    for name in ("dtype", "fn_output_signature"):
        drop(site, given.get(name))
    function, elements = given.need("fn", "function", "f"), given.need("elems", "xs")
    result = site.context.fact(site.node)
    if isinstance(result, Sequence):
        raise Unfit(f"{site.short} of a function with several results")
    if isinstance(site.fact(elements), Sequence) or isinstance(elements, (cst.Tuple, cst.List)):
        return _with_name(function, "zip(*x)", elements, site)
    return _with_name(function, "x", elements, site)


def _with_name(function: Any, items: str, elements: Any, site: Site) -> Any:
    """A list of results; a lambda's parameter names the element."""
    if isinstance(function, cst.Lambda) and len(function.params.params) == 1:
        name = function.params.params[0].name
        return fill(f"torch.stack([r for n in {items}])", r=function.body, n=name, x=elements)
    return fill(f"torch.stack([f(element) for element in {items}])", f=function, x=elements)


@rewrites("tf.TensorArray", to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["a = tf.TensorArray(tf.float32, size=2)\n"
                                   "a = a.write(0, x)\na = a.write(1, x * 2.0)\na.stack()"]),
)  # fmt: skip
def tensor_array(site: Site) -> Any:
    given = TfArguments(site)
    drop(site, *(v for k, v in given.values.items() if k != "size"))
    return fill("unit(n)", unit=site.emit("TensorArray"), n=given.given("size"))


@rewrites(*(f"tf.TensorArray.{name}" for name in ("write", "read", "stack", "concat", "unstack",
                                                  "size")), to="torch")  # fmt: skip
def tensor_array_method(site: Site) -> Any:
    """The emitted class has the same methods."""
    return site.keep()


@rewrites("tf.numpy_function", "tf.py_function", to="torch")
def host_function(site: Site) -> Any:
    """PyTorch runs Python as it is."""
    given = TfArguments(site)
    function, inputs = given.need("func"), given.need("inp")
    drop(site, given.get("Tout"))
    if not isinstance(inputs, (cst.List, cst.Tuple)):
        return fill("f(*xs)", f=function, xs=[cst.Arg(inputs, star="*")])
    form = "x.numpy()" if site.name.endswith("numpy_function") else "x"
    arguments = [cst.Arg(fill(form, x=e.value)) for e in inputs.elements]
    return fill("f(*xs)", f=function, xs=arguments)


# ---- printing and checks ----------------------------------------------------------------------


@rewrites("tf.print", to="torch")
def print_(site: Site) -> Any:
    args = [cst.Arg(a) for a in site.positional]
    known = {k: v for k, v in site.keywords.items() if k in ("end", "sep")}
    for name, value in site.keywords.items():
        if name not in known:
            drop(site, value)
    return fill("print(*xs, end=e, sep=s)", xs=args, e=known.get("end", OMIT),
                s=known.get("sep", OMIT))  # fmt: skip


ASSERTIONS = {
    "assert_equal": "a == b", "assert_greater": "a > b", "assert_less": "a < b",
    "assert_greater_equal": "a >= b", "assert_less_equal": "a <= b",
    "assert_none_equal": "a != b",
}  # fmt: skip


@rewrites(*(f"{home}.{name}" for name in ASSERTIONS for home in ("tf", "tf.debugging")),
          to="torch")  # fmt: skip
def assert_relation(site: Site) -> Any:
    given = TfArguments(site)
    if not site.alone:
        raise Unfit(f"{site.short} inside of an expression", "write an assert statement")
    a, b = sides(site, given)
    test = fill(ASSERTIONS[site.name.rpartition(".")[2]], a=a, b=b)
    numbers = all(is_number(site.fact(n)) for n in (a, b))
    shapes = all(isinstance(site.fact(n), Sequence) for n in (a, b))
    if not numbers and not shapes:
        test = fill("x.all()", x=test)
    return _assertion(test, given.get("message"))


def _assertion(test: Any, message: Any) -> Any:
    if message is None:
        return fill_statements("assert x", x=test)
    return fill_statements("assert x, m", x=test, m=message)


@rewrites("tf.debugging.Assert", "tf.Assert", to="torch")
def assert_rule(site: Site) -> Any:
    given = TfArguments(site)
    if not site.alone:
        raise Unfit(f"{site.short} inside of an expression", "write an assert statement")
    drop(site, given.get("data"))
    return _assertion(given.first, given.get("data"))


@rewrites("tf.debugging.check_numerics", "tf.debugging.assert_all_finite", to="torch")
def check_numerics(site: Site) -> Any:
    given = TfArguments(site)
    test = fill("torch.isfinite(x).all()", x=given.x)
    if site.alone:
        return _assertion(test, given.get("message"))
    raise Unfit(f"{site.short} inside of an expression", "write an assert statement before it")


# ---- settings and structures ----------------------------------------------------------------


@rewrites("tf.config.threading.set_intra_op_parallelism_threads", to="torch")
def threads(site: Site) -> Any:
    return fill("torch.set_num_threads(n)", n=TfArguments(site).first)


@rewrites("tf.nest.flatten", "keras.tree.flatten", to="torch")
def flatten(site: Site) -> Any:
    return fill("torch.utils._pytree.tree_leaves(x)", x=TfArguments(site).first)


@rewrites("tf.nest.map_structure", "keras.tree.map_structure", to="torch")
def map_structure(site: Site) -> Any:
    if len(site.positional) < 2:
        raise Unfit(f"{site.short} without its structures")
    function, *structures = site.positional
    return fill("torch.utils._pytree.tree_map(f, *xs)", f=function,
                xs=[cst.Arg(s) for s in structures])  # fmt: skip
