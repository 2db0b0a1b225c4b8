"""Where the result of an in-place method goes: a name is bound anew, a variable assigned to."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.aliases import warn_of_aliases
from transpiler.element_homes import rebound
from transpiler.infer.values import Instance, Tensor, Union, options
from transpiler.modules import in_module_method
from transpiler.planners.element_updates import write_elements
from transpiler.planners.indices import parts_of
from transpiler.rule import Unfit
from transpiler.rules.tensor_arguments import Arguments, fill
from transpiler.rules.tensors_math import FLOAT_UNARY, UNARY
from transpiler.site import Site
from transpiler.syntax import find

BINARY = {"add_": "x + y", "sub_": "x - y", "mul_": "x * y", "div_": "x / y", "pow_": "x ** y",
          "remainder_": "x % y"}  # fmt: skip
FUNCTIONS = {
    f"{name}_": target
    for name, target in (UNARY | FLOAT_UNARY).items()
    if name in ("abs", "floor", "ceil", "round", "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid",
                "sin", "cos", "square", "sign")
} | {"relu_": "tf.nn.relu"}  # fmt: skip
LINKS = frozenset({*BINARY, *FUNCTIONS, "clamp_", "neg_", "fill_", "zero_", "normal_", "uniform_",
                   "squeeze_", "unsqueeze_", "t_"})  # fmt: skip


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
    if site.alone and isinstance(place, cst.Call):
        base = _viewed(place)
        if base is None:
            raise Unfit(f"{site.short} changes a tensor that has no name of its own",
                        "give it a name, and use that afterwards")  # fmt: skip
        return write_back(site, base, fill("tf.reshape(v, tf.shape(x))", v=new, x=base))
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
    if isinstance(place, cst.Name):
        return rebound(site.context, site.node, place, new)
    return [cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(place)], new)])]


_RESHAPED = frozenset({"view", "reshape", "flatten", "squeeze", "unsqueeze"})


def _viewed(node: Any) -> Any:
    """x of `x.view(-1)`: what shares its elements in the same order; None for other calls."""
    while isinstance(node, cst.Call):
        if not isinstance(node.func, cst.Attribute) or node.func.attr.value not in _RESHAPED:
            return None
        node = stripped(node.func.value)
    return node if isinstance(node, (cst.Name, cst.Attribute)) else None


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
    owners = [o for o in options(site.context.fact(place.value)) if isinstance(o, Instance)]
    if owners and all(place.attr.value in o.attributes for o in owners):
        return  # a parameter or buffer of the program's own module
    if in_module_method(site.context, site.node) and function.name.value == "__init__":
        raise Unfit(
            f"{site.short} sets a weight that Keras has not made yet",
            "pass kernel_initializer= and bias_initializer= to the layer",
        )


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
