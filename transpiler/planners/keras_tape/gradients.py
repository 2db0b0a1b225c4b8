"""`tape.gradient` as `torch.autograd.grad`, and what is differentiated."""

from __future__ import annotations

from collections.abc import Sequence as Items
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Const,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Tensor,
    Value,
    options,
)
from transpiler.planners.keras_tape.tapes import Gradient
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.syntax import code
from transpiler.template import OMIT, call, fill

LISTS = frozenset({"trainable_variables", "trainable_weights", "variables", "weights"})


def scalar(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """A target as one number: a tape differentiates the sum of whatever it is given."""
    if isinstance(node, (cst.List, cst.Tuple)) and node.elements:
        parts = [scalar(context, e.value) for e in node.elements]
        total = parts[0]
        for part in parts[1:]:
            total = fill("a + b", a=total, b=part)
        return total
    value = context.fact(node)
    if any(isinstance(o, (ListObject, Sequence, Mapping)) for o in options(value)):
        return fill("sum(x.sum() for x in target)", target=node)
    tensors = [o for o in options(value) if not isinstance(o, (Const, Number))]
    if tensors and all(isinstance(o, Tensor) and o.rank == 0 for o in tensors):
        return node
    return fill("target.sum()", target=node)


def is_variable_list(node: cst.BaseExpression) -> bool:
    """`model.trainable_variables` and its like."""
    return isinstance(node, cst.Attribute) and node.attr.value in LISTS


def parameters(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """A list of variables to go through once: `model.parameters()` where it is a model's."""
    if isinstance(node, cst.Attribute) and is_variable_list(node):
        context.claim(node)
        return fill("model.parameters()", model=node.value)
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
        parts = [*_summed(node.left), *_summed(node.right)]
        if all(is_variable_list(p) or isinstance(p, (cst.List, cst.Name)) for p in parts):
            elements: list[Any] = []
            for part in parts:
                elements += _spread(context, part)
            return cst.List(elements)
    return node


def _summed(node: cst.BaseExpression) -> list[cst.BaseExpression]:
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
        return [*_summed(node.left), *_summed(node.right)]
    return [node]


def _spread(context: Context, node: cst.BaseExpression) -> list[Any]:
    if isinstance(node, cst.List):
        return [cst.Element(e.value) for e in node.elements]
    return [cst.StarredElement(parameters(context, node))]


def parameter_list(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """A list of variables that can be read again and again."""
    new = parameters(context, node)
    return fill("list(x)", x=new) if is_variable_list(node) else new


def is_single(context: Context, node: cst.BaseExpression, watched: Items[str] = ()) -> bool:
    """Whether the sources are one tensor. Raises Unfit where that is not known.

    What the tape watches under a name is one: `requires_grad_` of a list would raise.
    """
    if isinstance(node, (cst.List, cst.Tuple, cst.ListComp, cst.BinaryOperation)):
        return False
    if is_variable_list(node):
        return False
    value: Value = context.fact(node)
    kinds = {_kind(o) for o in options(value)}
    if kinds == {"one"}:
        return True
    if kinds == {"several"}:
        return False
    if not kinds - {""} and code(node).strip() in watched:
        return True
    raise Unfit(
        f"whether `{code(node)}` is one tensor or several is not known here",
        "torch.autograd.grad takes either and gives a tuple",
    )


def _is_nested(context: Context, sources: cst.BaseExpression) -> bool:
    """Whether the sources are written as a list of lists, in which the gradients come then too."""
    if not isinstance(sources, (cst.List, cst.Tuple)):
        return False
    return any(
        isinstance(element, cst.Element) and (
            isinstance(element.value, (cst.List, cst.Tuple)) or is_variable_list(element.value)
            or any(_kind(o) == "several" for o in options(context.fact(element.value)))
        )
        for element in sources.elements
    )  # fmt: skip


def _kind(value: Value) -> str:
    match value:
        case Tensor():
            return "one"
        case ListObject() | Sequence():
            return "several"
    return ""


def write_gradient(context: Context, gradient: Gradient) -> cst.BaseExpression:
    """The call that gives the gradients. Raises Unfit."""
    site = Site(context, gradient.node, "tf.GradientTape.gradient")
    if isinstance(gradient.sources, cst.Dict):
        raise Unfit("gradients with respect to a dict of tensors are not translated",
                    "differentiate with respect to a list")  # fmt: skip
    watched = [code(w.args[0].value).strip() for w in gradient.tape.watches if w.args]
    single = is_single(context, gradient.sources, watched)
    given = site.args.get("output_gradients")
    target = gradient.target if given is not None else scalar(context, gradient.target)
    sources = gradient.sources
    if not single:
        sources = parameter_list(context, sources)
    zero = _unconnected_zero(site)
    nested = _is_nested(context, gradient.sources)
    several = not single and (nested or not isinstance(gradient.sources, (cst.List, cst.Tuple)))
    new = call(
        context.emit("nested_gradients") if nested else "torch.autograd.grad", target, sources,
        grad_outputs=OMIT if given is None else given,
        retain_graph=True if gradient.retained and not gradient.differentiated else OMIT,
        create_graph=True if gradient.differentiated else OMIT,
        allow_unused=True if several and not zero else OMIT,
        materialize_grads=True if zero else OMIT,
    )  # fmt: skip
    return fill("grads[0]", grads=new) if single else new


def _unconnected_zero(site: Site) -> bool:
    given = site.args.get("unconnected_gradients")
    return given is not None and "zero" in code(given).lower()


def place_gradient(context: Context, gradient: Gradient) -> None:
    """Put the call in its place, or say why it can not be."""
    context.claim(gradient.node)
    try:
        context.edits.replace(gradient.node, write_gradient(context, gradient))
    except Unfit as error:
        context.unfit(gradient.node, "GradientTape.gradient", error)
