"""Tensor operations that give the same elements another shape or order of axes."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Tensor
from transpiler.modules import in_module_method
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import both, dtype_of, integers, methods, normal_axis, product
from transpiler.rules.tensor_arguments import (
    Arguments,
    as_list,
    fill,
    owner_of_size,
    sizes,
    text,
)
from transpiler.site import Site, constant_value
from transpiler.syntax import find


def static_shape(site: Site, x: Any) -> Any:
    """The known sizes of a tensor expression."""
    fact = site.context.fact(x)
    return fact.shape if isinstance(fact, Tensor) else None


def size_at(site: Site, x: Any, index: int) -> Any:
    """One size of a tensor: a number where it is known, else read when the program runs.

    That of the first axis is always read: batches may differ.
    """
    shape = static_shape(site, x)
    if shape is not None and site.layout(x) == "nhwc":
        shape = (shape[0], *shape[2:], shape[1])
    if index and shape is not None and isinstance(shape[index], int):
        return shape[index]
    dynamic = in_module_method(site.context, site.node)
    if index == 0 and isinstance(x, cst.Name) and site.context.edits.wrapped(x):
        x = cst.Name(x.value)  # as it lies: batches come first in any order of axes
    return fill("tf.shape(x)[i]" if dynamic else "x.shape[i]", x=x, i=index)


# ---- reshape ----------------------------------------------------------------------------------


@rewrites(
    *both("reshape"), *methods("view"), to="tf",
    proof=Proof(
        inputs=[(2, 3, 4), (6, 4)],
        cases=["x.view(6, 4)", "x.view(-1, 4)", "x.view(x.size(0), -1)", "x.view((2, 12))",
               "x.reshape(x.shape[0], 4, 3)", "torch.reshape(x, (-1,))", "x.view(y.size())",
               "x.view(*y.shape)", "x.view(-1, *y.shape[1:])", "x.view(len(x), 2, -1)"],
    ),
)  # fmt: skip
def reshape(site: Site) -> Any:
    given = Arguments(site)
    if len(given.rest) == 1 and dtype_of(site.fact(given.rest[0])):
        raise Unfit("Tensor.view with a dtype reads the same bytes as other numbers")
    dims = sizes(site, given, "shape", "size")
    if isinstance(dims, list):
        asked = given.rest[0] if given.rest else None
        if len(given.rest) == 1 and isinstance(asked, (cst.Tuple, cst.List)):
            asked = asked.elements[0].value if asked.elements else None
        dims = _batch_first(site, given.x, dims, asked)
    return fill("tf.reshape(x, dims)", x=given.x, dims=as_list(dims))


def _batch_first(site: Site, x: Any, dims: list[Any], asked: Any) -> list[Any]:
    """`view(x.size(0), -1)` with the -1 on the batch, where the other sizes are known."""
    if any(isinstance(d, cst.StarredElement) for d in dims):
        return dims
    values = [constant_value(site.fact(d)) if isinstance(d, cst.CSTNode) else d for d in dims[1:]]
    if -1 not in values and _is_batch_name(site, asked):
        return [-1, *dims[1:]]
    if not _is_own_batch(site, x, asked):
        return dims
    if -1 not in values:
        return [-1, *dims[1:]]
    shape = static_shape(site, x)
    whole = product(shape[1:]) if shape else None
    rest = [v for v in values if v != -1]
    if whole is None or not all(isinstance(v, int) for v in rest):
        return dims
    known = product(tuple(rest)) or 1
    return [-1, *(whole // known if v == -1 else d for v, d in zip(values, dims[1:], strict=False))]


def _is_batch_name(site: Site, asked: Any) -> bool:
    """Whether a size is a variable of a module's method that holds the size of a first axis."""
    function = site.context.edits.enclosing(site.node, cst.FunctionDef)
    if not isinstance(asked, cst.Name) or not in_module_method(site.context, site.node):
        return False
    for assign in find(function, cst.Assign):
        target: cst.BaseExpression = assign.targets[0].target
        found = owner_of_size(assign.value)
        if found is None:
            continue
        if isinstance(target, cst.Tuple) and found[1] is None:
            target = target.elements[0].value
        elif found[1] is None or constant_value(site.fact(found[1])) != 0:
            continue
        if isinstance(target, cst.Name) and target.value == asked.value:
            return True
    return False


def _is_own_batch(site: Site, x: Any, asked: Any) -> bool:
    """Whether a size is written as that of the tensor's own first axis."""
    found = owner_of_size(asked) if asked is not None else None
    if found is None or found[1] is None or text(found[0]) != text(x):
        return False
    return constant_value(site.fact(found[1])) == 0


@rewrites(
    *methods("view_as", "reshape_as"), to="tf",
    proof=Proof(inputs=[(2, 6), (3, 4)], cases=["x.view_as(y)"]),
)  # fmt: skip
def reshape_as(site: Site) -> Any:
    given = Arguments(site)
    return fill("tf.reshape(x, tf.shape(y))", x=given.x, y=given.get("other", at=0))


@rewrites(
    *both("flatten"), *methods("ravel"), "torch.ravel", to="tf",
    proof=Proof(inputs=[(2, 3, 4, 5)],
                cases=["x.flatten()", "torch.flatten(x, 1)", "x.flatten(1, 2)",
                       "x.flatten(start_dim=2)", "x.flatten(-2)", "torch.ravel(x)"]),
)  # fmt: skip
def flatten(site: Site) -> Any:
    given = Arguments(site)
    start = given.const("start_dim", at=0, default=0)
    end = given.const("end_dim", at=1, default=-1)
    shape = static_shape(site, given.x)
    if start == 0 and (end == -1 or (shape is not None and end == len(shape) - 1)):
        return fill("tf.reshape(x, [-1])", x=given.x)
    if shape is None:
        if start == 1 and end == -1:
            dims: list[Any] = [size_at(site, given.x, 0), -1]
            return fill("tf.reshape(x, dims)", x=given.x, dims=dims)
        if start == 0 and end == -2:
            return fill("tf.reshape(x, [-1, x.shape[-1]])", x=given.x)
        raise Unfit(f"the rank of the tensor of {site.short} is not known")
    start, end = normal_axis(start, len(shape)), normal_axis(end, len(shape))
    merged = product(shape[start : end + 1])
    if start > 0 and merged is not None:
        dims = [-1, *(size_at(site, given.x, i) for i in range(1, start)), merged]
    else:
        dims = [*(size_at(site, given.x, i) for i in range(start)), -1]
    dims += [_read_size(site, given.x, i) for i in range(end + 1, len(shape))]
    return fill("tf.reshape(x, dims)", x=given.x, dims=dims)


def _read_size(site: Site, x: Any, index: int) -> Any:
    """A size that is read: data may come in other sizes than today's."""
    if isinstance(x, cst.Name) and not in_module_method(site.context, site.node):
        return fill("x.shape[i]", x=x, i=index)
    return size_at(site, x, index)


@rewrites(
    *both("unflatten"), to="tf",
    proof=Proof(inputs=[(2, 6, 5)], cases=["x.unflatten(1, (2, 3))", "x.unflatten(1, (-1, 2))"]),
)  # fmt: skip
def unflatten(site: Site) -> Any:
    given = Arguments(site)
    shape, place = static_shape(site, given.x), given.const("dim", at=0)
    if shape is None:
        raise Unfit(f"the rank of the tensor of {site.short} is not known")
    place = normal_axis(place, len(shape))
    inner = integers(site.fact(given.get("sizes", at=1)))
    if inner is None:
        raise Unfit("the sizes of Tensor.unflatten are not known before the program runs")
    before = [size_at(site, given.x, i) for i in range(place)]
    after = [size_at(site, given.x, i) for i in range(place + 1, len(shape))]
    return fill("tf.reshape(x, dims)", x=given.x, dims=[*before, *inner, *after])


# ---- order of axes ----------------------------------------------------------------------------


@rewrites(
    *both("permute"), to="tf",
    proof=Proof(inputs=[(2, 3, 4)], cases=["x.permute(0, 2, 1)", "x.permute((2, 0, -2))",
                                           "torch.permute(x, (1, 0, 2))"]),
)  # fmt: skip
def permute(site: Site) -> Any:
    given = Arguments(site)
    dims = sizes(site, given, "dims")
    if not isinstance(dims, list):
        return fill("tf.transpose(x, dims)", x=given.x, dims=dims)
    known = [constant_value(site.fact(d)) for d in dims]
    if any(isinstance(k, int) and k < 0 for k in known):
        dims = [
            k % len(dims) if isinstance(k, int) else d for k, d in zip(known, dims, strict=False)
        ]
    return fill("tf.transpose(x, dims)", x=given.x, dims=as_list(dims))


@rewrites(
    *both("transpose", "swapaxes", "swapdims"), to="tf",
    proof=Proof(inputs=[(2, 3, 4), (3, 2)],
                cases=["x.transpose(1, 2)", "x.transpose(-1, -2)", "torch.transpose(x, 0, 1)",
                       "y.transpose(0, 1)", "x.swapaxes(0, 2)"]),
)  # fmt: skip
def transpose(site: Site) -> Any:
    given = Arguments(site)
    first = given.const("dim0", "axis0", at=0)
    second = given.const("dim1", "axis1", at=1)
    rank = site.rank(given.x)
    if rank is None:
        if {first, second} == {-1, -2}:
            return fill("tf.linalg.matrix_transpose(x)", x=given.x)
        return fill("keras.ops.swapaxes(x, a, b)", x=given.x, a=first, b=second)
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    if rank == 2 and order == [1, 0]:
        return fill("tf.transpose(x)", x=given.x)
    return fill("tf.transpose(x, order)", x=given.x, order=order)


@rewrites(*both("t"), *methods("T"), to="tf",
          proof=Proof(inputs=[(2, 3)], cases=["x.t()", "x.T", "torch.t(x)"]))  # fmt: skip
def turn(site: Site) -> Any:
    x = site.receiver if site.receiver is not None and not site.is_call else Arguments(site).x
    if site.rank(x) == 1:
        return x
    return fill("tf.transpose(x)", x=x)


@rewrites(*methods("mT"), *both("adjoint"), to="tf",
          proof=Proof(inputs=[(2, 3, 4)], cases=["x.mT"]))  # fmt: skip
def matrix_turn(site: Site) -> Any:
    x = site.receiver if not site.is_call else Arguments(site).x
    return fill("tf.linalg.matrix_transpose(x)", x=x)


@rewrites(
    *both("movedim", "moveaxis"), to="tf",
    proof=Proof(inputs=[(2, 3, 4)], cases=["x.movedim(0, -1)", "torch.moveaxis(x, 2, 0)"]),
)  # fmt: skip
def move_axis(site: Site) -> Any:
    given = Arguments(site)
    source, place = given.get("source", at=0), given.get("destination", at=1)
    return fill("keras.ops.moveaxis(x, a, b)", x=given.x, a=source, b=place)
