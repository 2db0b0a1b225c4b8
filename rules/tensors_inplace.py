"""In-place methods: a tensor's name is bound to the new tensor, a variable is assigned to."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.aliases import warn_of_aliases
from transpiler.infer.values import Tensor, Union
from transpiler.modules import in_module_method
from transpiler.planners.element_updates import write_elements
from transpiler.planners.indices import parts_of
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import methods
from transpiler.rules.promotion import number_like
from transpiler.rules.tensor_arguments import OMIT, Arguments, cast, fill, is_simple, tf_dtype
from transpiler.rules.tensors_choice import as_mask
from transpiler.rules.tensors_gradient import may_have_gradient
from transpiler.rules.tensors_math import FLOAT_UNARY, UNARY
from transpiler.site import Site, constant_value
from transpiler.syntax import find

BINARY = {"add_": "x + y", "sub_": "x - y", "mul_": "x * y", "div_": "x / y", "pow_": "x ** y",
          "remainder_": "x % y"}  # fmt: skip
FUNCTIONS = {
    f"{name}_": target
    for name, target in (UNARY | FLOAT_UNARY).items()
    if name in ("abs", "floor", "ceil", "round", "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid",
                "sin", "cos", "square", "sign")
} | {"relu_": "tf.nn.relu"}  # fmt: skip
LINKS = frozenset({*BINARY, *FUNCTIONS, "clamp_", "neg_", "fill_", "zero_", "normal_", "uniform_"})
VARIABLE = {"add_": "assign_add", "sub_": "assign_sub"}
_CHANGES = Proof(
    inputs=[(2, 3), (2, 3), "bool(2, 3)", "int(2, 1) < 3"],
    cases=["torch.zeros(2, 3).add_(x)", "x = x * 1\nx.mul_(2)\nx",
           "x = x * 1\nx.add_(y, alpha=3)\nx",
           "x = x * 1\nx.clamp_(-0.5, 0.5)\nx", "x = x * 1\nx.zero_()\nx + y",
           "x = x * 1\nx.masked_fill_(z, 0)\nx", "torch.zeros(2, 3).scatter_(1, w, 1) + x",
           "x = x * 1\nx.copy_(y)\nx", "x = x * 1\nx[0].fill_(2)\nx",
           "x = x * 1\nx[:, 1].mul_(3)\nx",
           "x = x * 1\nx.mul_(2).add_(1)\nx", "x = x * 1\nx.unsqueeze_(0)\nx",
           "x * torch.ones(3).fill_(4)",
           "x = x * 1\nx[z] = 0\nx", "x = x * 1\nx[:, 0] = 1\nx", "x = x * 1\nx[0, 1] += 2\nx",
           "x = x * 1\nx[1] = y[0]\nx", "x = x * 1\nx[x > 0] *= 2\nx"],
)  # fmt: skip


def new_value(site: Site, x: Any, given: Arguments) -> Any:
    """What the method leaves in its tensor."""
    name = site.name.rpartition(".")[2]
    if name in BINARY:
        return _binary(site, name, x, given)
    if name in FUNCTIONS:
        return fill(f"{FUNCTIONS[name]}(x)", x=x)
    if name in ("clamp_", "clamp_min_", "clamp_max_", "clip_"):
        return _clamped(name, x, given)
    if name in ("zero_", "fill_"):
        return _filled(site, name, x, given)
    if name == "copy_":
        return _copied(site, x, given.get("other", "src", at=0))
    if name == "masked_fill_":
        mask, value = given.get("mask", at=0), given.get("value", at=1)
        value = number_like(value, site.fact(value), site.fact(x))
        return fill("tf.where(m, v, x)", m=as_mask(site, mask), v=value, x=x)
    if name == "neg_":
        return fill("-x", x=x)
    if name == "lerp_":
        end, weight = given.get("end", at=0), given.get("weight", at=1)
        return fill("x + w * (y - x)", x=x, y=end, w=weight)
    if name in ("addcmul_", "addcdiv_"):
        return _combined(name, x, given)
    raise Unfit(f"no rule for {site.name}")


def _binary(site: Site, name: str, x: Any, given: Arguments) -> Any:
    other, alpha = given.get("other", "exponent", at=0), given.get("alpha")
    if alpha is None and len(given.rest) == 2 and name in ("add_", "sub_"):
        alpha, other = given.rest  # torch's old order: x.add_(number, tensor)
    have, want = site.dtype(other), site.dtype(x)
    if have and want and have != want:
        other = cast(other, want)
    if alpha is not None:
        return fill(BINARY[name].replace("y", "k * y"), x=x, y=other, k=alpha)
    return fill(BINARY[name], x=x, y=other)


def _clamped(name: str, x: Any, given: Arguments) -> Any:
    low = given.get("min", at=0) if name != "clamp_max_" else None
    high = given.get("max", at=0 if name == "clamp_max_" else 1) if name != "clamp_min_" else None
    if low is not None and high is not None:
        return fill("tf.clip_by_value(x, low, high)", x=x, low=low, high=high)
    if low is not None:
        return fill("tf.maximum(x, low)", x=x, low=low)
    return fill("tf.minimum(x, high)", x=x, high=high)


def _filled(site: Site, name: str, x: Any, given: Arguments) -> Any:
    value = given.get("value", at=0) if name == "fill_" else None
    number = constant_value(site.fact(value)) if value is not None else 0
    fact = site.context.fact(x)
    made = None if is_simple(x) else fresh_shape(site, x)
    if made is not None and isinstance(made, cst.List) and isinstance(fact, Tensor):
        dtype = fact.dtype
        d = OMIT if dtype in (None, "float32") else tf_dtype(dtype)
        if number in (0, 1) and not isinstance(number, bool):
            return fill(f"tf.{'ones' if number else 'zeros'}(s, dtype=d)", s=made, d=d)
        value = (
            value if isinstance(number, float) and d is OMIT else cast(value, dtype or "float32")
        )
        return fill("tf.fill(s, v)", s=made, v=value)
    if number in (0, 1) and not isinstance(number, bool):
        return fill(f"tf.{'ones' if number else 'zeros'}_like(x)", x=x)
    return fill("tf.fill(tf.shape(x), tf.cast(v, x.dtype))", x=x, v=value)


def _copied(site: Site, x: Any, source: Any) -> Any:
    have, want = site.context.fact(source), site.context.fact(x)
    if isinstance(have, Tensor) and isinstance(want, Tensor):
        if have.dtype and want.dtype and have.dtype != want.dtype:
            source = cast(source, want.dtype)
        if have.shape is not None and want.shape is not None and len(have.shape) != len(want.shape):
            return fill("tf.broadcast_to(y, tf.shape(x))", x=x, y=source)
    return source


def _combined(name: str, x: Any, given: Arguments) -> Any:
    a, b, value = given.get("tensor1", at=0), given.get("tensor2", at=1), given.get("value")
    if len(given.rest) == 3:
        value, a, b = given.rest
    sign = "*" if name == "addcmul_" else "/"
    if value is None:
        return fill(f"x + a {sign} b", x=x, a=a, b=b)
    return fill(f"x + k * a {sign} b", x=x, a=a, b=b, k=value)


# ---- where the new value goes -----------------------------------------------------------------


def stripped(node: Any) -> Any:
    """The tensor that `x.data` and `x.detach()` share their elements with."""
    while True:
        match node:
            case cst.Attribute(value=inner, attr=cst.Name(value="data")):
                node = inner
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="detach")), args=[]):
                node = inner
            case _:
                return node


def write_back(site: Site, x: Any, new: Any, variable_method: Any = None) -> Any:
    """The statement (or, for a tensor without a name, the expression) that stands for the call."""
    place = stripped(x)
    while is_link(place):
        place = stripped(place.func.value)
    fact = site.context.fact(place)
    if isinstance(fact, Union):
        raise Unfit(f"{site.short} of a tensor that may be one of several kinds")
    if not isinstance(place, (cst.Name, cst.Attribute, cst.Subscript)):
        return new
    if site.assigned_to is not None and site.assigned_to.deep_equals(place):
        return new
    if isinstance(site.parent, cst.Return) and isinstance(place, cst.Name):
        warn_of_aliases(site.context, site.node, place)
        return new
    if not site.alone and isinstance(place, cst.Name) and _is_last_use(site, place):
        return new
    if not site.alone:
        raise Unfit(f"{site.short} changes its tensor inside of an expression",
                    "give it a line of its own")  # fmt: skip
    if not isinstance(fact, Tensor):
        raise Unfit(f"whether {site.short} changes a variable or a tensor is not known")
    if isinstance(place, cst.Subscript) and not _is_tensor_list(site, place):
        return [_write_part(site, place, new)]
    if fact.variable:
        _refuse_unbuilt(site, place)
        change = variable_method or fill("v.assign(x)", v=place, x=new)
        return [cst.SimpleStatementLine([cst.Expr(change)])]
    warn_of_aliases(site.context, site.node, place)
    return [cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(place)], new)])]


def _is_last_use(site: Site, place: cst.Name) -> bool:
    """Whether a local name is only bound, and then used here."""
    function = site.context.edits.enclosing(site.node, cst.FunctionDef)
    if function is None or any(p.name.value == place.value for p in function.params.params):
        return False
    return sum(n.value == place.value for n in find(function.body, cst.Name)) == 2


def _is_tensor_list(site: Site, place: cst.Subscript) -> bool:
    return not isinstance(site.context.fact(place.value), Tensor)


def _write_part(site: Site, place: cst.Subscript, new: Any) -> cst.BaseStatement:
    base = stripped(place.value)
    fact = site.context.fact(base)
    if not isinstance(fact, Tensor):
        raise Unfit(f"{site.short} of a part of something unknown")
    return write_elements(site.context, base, fact, parts_of(site.context, place), place, new, None)


def _refuse_unbuilt(site: Site, place: Any) -> None:
    """Keras makes a layer's weights when it is first called: there is nothing to fill before."""
    function = site.context.edits.enclosing(site.node, cst.FunctionDef)
    if function is None or not isinstance(place, cst.Attribute):
        return
    if in_module_method(site.context, site.node) and function.name.value == "__init__":
        raise Unfit(
            f"{site.short} sets a weight that Keras has not made yet",
            "pass kernel_initializer= and bias_initializer= to the layer",
        )


def _variable_method(site: Site, x: Any, given: Arguments) -> Any:
    """`v.assign_add(y)`, where there is such a method."""
    name = site.name.rpartition(".")[2]
    place = stripped(x)
    if name not in VARIABLE:
        return None
    other, alpha = given.get("other", at=0), given.get("alpha")
    if alpha is None and len(given.rest) == 2:
        alpha, other = given.rest
    if alpha is not None:
        other = fill("k * y", y=other, k=alpha)
    return fill(f"v.{VARIABLE[name]}(y)", v=place, y=other)


@rewrites(
    *methods(*BINARY, *FUNCTIONS, "clamp_", "clamp_min_", "clamp_max_", "clip_", "zero_", "fill_",
             "copy_", "masked_fill_", "neg_", "lerp_", "addcmul_", "addcdiv_"),
    to="tf", proof=_CHANGES,
)  # fmt: skip
def change(site: Site) -> Any:
    given = Arguments(site)
    x = given.x
    cut = site.alone or is_inner_link(site) or not may_have_gradient(site)
    new = new_value(site, stripped(x) if cut else x, given)
    if is_inner_link(site):
        return new
    method = None if is_link(stripped(x)) else _variable_method(site, x, given)
    return write_back(site, x, new, method)


def is_inner_link(site: Site) -> bool:
    """Whether another in-place method follows: the outermost call writes, those inside compute."""
    return isinstance(site.parent, cst.Attribute) and site.parent.attr.value in LINKS


def is_link(node: Any) -> bool:
    """Whether an expression is an in-place call whose result goes on."""
    return (
        isinstance(node, cst.Call)
        and isinstance(node.func, cst.Attribute)
        and node.func.attr.value in LINKS
    )


RESHAPING = {"unsqueeze_": "tf.expand_dims(x, axis)", "squeeze_": "tf.squeeze(x, axis=axis)",
             "t_": "tf.transpose(x)"}  # fmt: skip


@rewrites("torch.Tensor.fill_diagonal_", to="tf",
          proof=Proof(inputs=[(3, 3)], cases=["x = x * 1\nx.fill_diagonal_(2)\nx"]))  # fmt: skip
def fill_diagonal(site: Site) -> Any:
    given = Arguments(site)
    x, value = stripped(given.x), given.get("fill_value", at=0)
    diagonal = fill("tf.fill(tf.shape(x)[:-1], tf.cast(v, x.dtype))", x=x, v=value)
    return write_back(site, given.x, fill("tf.linalg.set_diag(x, d)", x=x, d=diagonal))


@rewrites(*methods(*RESHAPING), to="tf")
def reshape_in_place(site: Site) -> Any:
    given = Arguments(site)
    template = RESHAPING[site.name.rpartition(".")[2]]
    new = fill(template, x=given.x, axis=given.given("dim", at=0))
    return write_back(site, given.x, new)


SCATTERS = {"scatter_": "scatter_along", "scatter_add_": "scatter_add_along",
            "index_add_": "index_add", "index_copy_": "index_copy"}  # fmt: skip


@rewrites(*methods(*SCATTERS, "masked_scatter_", "index_fill_"), to="tf")
def scatter_in_place(site: Site) -> Any:
    given = Arguments(site)
    name = site.name.rpartition(".")[2]
    if name not in SCATTERS:
        raise Unfit(f"{site.short} has no equal here", "write it with tf.where")
    if given.get("reduce") is not None or given.get("alpha") is not None:
        raise Unfit(f"{site.short} with `reduce` or `alpha` has no equal here")
    dim, index = given.const("dim", at=0), given.get("index", at=1)
    source = given.get("src", "value", "source", at=2)
    if dim < 0:
        rank = site.rank(given.x) or site.rank(index)
        if rank is None:
            raise Unfit(f"the rank of the tensor of {site.short} is not known")
        dim += rank
    have, want = site.dtype(source), site.dtype(given.x)
    if have and want and have != want:
        source = cast(source, want)
    new = fill("unit(x, dim, index, source)", unit=site.emit(SCATTERS[name]),
               x=stripped(given.x), dim=dim, index=index, source=source)  # fmt: skip
    return write_back(site, given.x, new)


def fresh_shape(site: Site, x: Any) -> Any:
    """The sizes of a tensor that is only made to be filled, else those of the tensor."""
    from transpiler.rules.facts_torch_create import LEGACY_NAMES
    from transpiler.rules.tensor_arguments import as_list, drop_around, sizes

    makers = {"torch.zeros", "torch.empty", "torch.ones", *LEGACY_NAMES}
    fact = site.context.fact(x.func) if isinstance(x, cst.Call) else None
    name: str = getattr(fact, "name", "")
    if name in makers and not any(a.keyword is not None or a.star for a in x.args):
        inner = Site(site.context, x, name)
        dims = sizes(inner, Arguments(inner, first=False))
        if isinstance(dims, list):
            site.context.claim(x)
            drop_around(site, x.func, cst.Name("_"))
            return as_list(dims)
    fact = site.context.fact(x)
    if isinstance(fact, Tensor) and fact.variable:
        return fill("x.shape", x=x)
    return fill("tf.shape(x)", x=x)
