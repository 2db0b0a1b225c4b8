"""What TensorFlow converts by itself: arrays beside tensors, tensors given to NumPy, sizes."""

from __future__ import annotations

from functools import partial
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    ListObject,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    element_of,
    items_of,
    options,
    scalar_type,
)
from transpiler.rules.naming import SOURCE_ROOTS
from transpiler.syntax import walk
from transpiler.template import fill

OWN = (*SOURCE_ROOTS["torch"], "torch", "builtins", "math", "typing", "functools")
"""Libraries whose functions take tensors, or whose calls other planners write."""
DRAWN = frozenset(
    """plot scatter imshow hist bar barh fill_between contour contourf semilogx semilogy loglog
    plot_surface errorbar pcolormesh matshow boxplot stem step""".split()
)
"""What axes of matplotlib draw."""
ARRAY = "x.detach().cpu().numpy()"


def plan(context: Context) -> None:
    """Record edits where PyTorch needs written what TensorFlow does unasked."""
    for node in walk(context.module):
        if node in context.claimed:
            continue
        match node:
            case cst.BinaryOperation():
                plan_operands(context, node.left, node.right)
            case cst.Comparison(left=left, comparisons=[target]):
                if not isinstance(target.operator, (cst.Is, cst.IsNot, cst.In, cst.NotIn)):
                    plan_operands(context, left, target.comparator)
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name)), args=[]):
                if not plan_host_method(context, node, owner, name):
                    plan_foreign_call(context, node)
            case cst.Call():
                plan_foreign_call(context, node)
            case cst.Attribute(value=owner, attr=cst.Name(value="ndims" | "rank")):
                plan_rank(context, node, owner)
            case cst.Subscript():
                plan_reversed(context, node)


def is_tensor(value: Value) -> bool:
    """Whether a value is a tensor of TensorFlow's, whatever way was taken."""
    found = options(value)
    return all(isinstance(o, Tensor) and o.library in ("tf", "keras") for o in found)


# ---- operators --------------------------------------------------------------------------------


def plan_operands(context: Context, left: Any, right: Any) -> None:
    """An array or a list beside a tensor becomes a tensor of its dtype."""
    for node, other in ((left, right), (right, left)):
        beside = context.fact(other)
        if not is_tensor(beside):
            continue
        value = context.fact(node)
        dtype = beside.dtype if isinstance(beside, Tensor) else None
        arrays = [o for o in options(value) if isinstance(o, Tensor) and o.library == "numpy"]
        if arrays and (isinstance(value, Tensor) or _is_handed_arrays(context, node)):
            same = {a.dtype for a in arrays} == {dtype}
            wrap_array(context, node, None if same else dtype)
        elif isinstance(value, (ListObject, Sequence)) and _is_numbers(value):
            context.edits.wrap(node, lambda x: fill("torch.tensor(x)", x=x))
        elif isinstance(value, ListObject) and _may_be_numbers(value):
            # numbers of numpy's, perhaps, which would be doubles
            known = dtype or "float32"
            form = f"torch.tensor(x, dtype=torch.{known})"
            context.edits.wrap(node, partial(_filled, form))


def _filled(form: str, x: Any) -> cst.BaseExpression:
    return fill(form, x=x)


def wrap_array(context: Context, node: Any, dtype: str | None) -> None:
    if dtype is None:
        context.edits.wrap(node, lambda x: fill("torch.as_tensor(x)", x=x))
    else:
        form = f"torch.as_tensor(x, dtype=torch.{dtype})"
        context.edits.wrap(node, lambda x: fill(form, x=x))


def _is_handed_arrays(context: Context, node: Any) -> bool:
    """Whether a parameter is handed tensors by some calls of the program, and arrays by others."""
    from transpiler.planners.keras_tape.reaching import arguments_of_callers

    function = context.edits.enclosing(node, cst.FunctionDef)
    if not isinstance(node, cst.Name) or function is None or function.name.value == "call":
        return False
    given = [g[node.value] for g in arguments_of_callers(context, function) if node.value in g]
    facts = [context.fact(g) for g in given]
    return any(isinstance(f, Tensor) and f.library == "numpy" for f in facts)


def _is_numbers(value: Value) -> bool:
    items = items_of(value)
    return bool(items) and all(scalar_type(i) in ("int", "float") for i in items or ())


def _may_be_numbers(value: ListObject) -> bool:
    """Whether a list, filled as the program runs, holds numbers."""
    found = options(element_of(value))
    return all(scalar_type(o) in ("int", "float") or o is UNKNOWN for o in found)


# ---- calls ------------------------------------------------------------------------------------


def plan_foreign_call(context: Context, node: cst.Call) -> None:
    """NumPy and libraries like it get arrays."""
    function = context.fact(node.func)
    if function is UNKNOWN and isinstance(node.func, cst.Attribute):
        if node.func.attr.value in DRAWN and context.fact(node.func.value) is UNKNOWN:
            function = Symbol(f"matplotlib.axes.Axes.{node.func.attr.value}")
    if not isinstance(function, Symbol) or function.name.partition(".")[0] in OWN:
        return
    if "." not in function.name:
        return
    for arg in node.args:
        value = context.fact(arg.value)
        if arg.star:
            continue
        if isinstance(value, Tensor) and value.library == "tf":
            if _leaves_by_itself(arg.value):
                continue
            context.edits.wrap(arg.value, lambda x: fill(ARRAY, x=x))
        elif function.name.startswith("numpy.") and _holds_tensors(value):
            form = "[x.item() for x in xs]" if _of_scalars(value) else f"[{ARRAY} for x in xs]"
            wrap_list(context, arg.value, form)


def wrap_list(context: Context, node: Any, form: str) -> None:
    context.edits.wrap(node, lambda xs: fill(form, xs=xs))


def _leaves_by_itself(node: Any) -> bool:
    """Whether an argument is written as `x.numpy()`, of which little is known."""
    return isinstance(node, cst.Call) and (
        isinstance(node.func, cst.Attribute) and node.func.attr.value == "numpy"
    )


def _holds_tensors(value: Value) -> bool:
    if not isinstance(value, (ListObject, Sequence)):
        return False
    found = options(element_of(value))
    return bool(found) and all(isinstance(o, Tensor) and o.library == "tf" for o in found)


def _of_scalars(value: Value) -> bool:
    return all(isinstance(o, Tensor) and o.rank == 0 for o in options(element_of(value)))


# ---- sizes ------------------------------------------------------------------------------------


def is_host(value: Value) -> bool:
    """Whether a value is a number of Python's, or several."""
    return isinstance(value, (Const, Number, Sequence)) and scalar_type(value) != "str"


def plan_host_method(context: Context, node: cst.Call, owner: Any, name: str) -> bool:
    """`x.shape.as_list()`, `tf.shape(x)[0].numpy()`: sizes are plain numbers."""
    value = context.fact(owner)
    if name == "as_list" and isinstance(value, Sequence):
        context.edits.replace(node, fill("list(x)", x=owner))
        return True
    if name == "numpy" and is_host(value) and scalar_type(value) != "None":
        context.edits.replace(node, owner)
        return True
    return False


def plan_rank(context: Context, node: cst.Attribute, owner: Any) -> None:
    """`x.shape.ndims`."""
    value = context.fact(owner)
    if isinstance(value, Sequence) and value.kind == "tuple":
        if isinstance(owner, cst.Attribute) and owner.attr.value == "shape":
            context.edits.replace(node, fill("x.ndim", x=owner.value))
            context.claim(owner)
        else:
            context.edits.replace(node, fill("len(x)", x=owner))


# ---- subscripts -------------------------------------------------------------------------------


def plan_reversed(context: Context, node: cst.Subscript) -> None:
    """`x[..., ::-1]`: torch has no negative steps."""
    if not is_tensor(context.fact(node.value)):
        return
    parts = [e.slice for e in node.slice]
    backward = [i for i, p in enumerate(parts) if _is_backward(p)]
    if not backward or not all(_is_whole(p) for i, p in enumerate(parts) if i not in backward):
        return
    dots = next((i for i, p in enumerate(parts) if _is_ellipsis(p)), len(parts))
    axes = [i if i < dots else i - len(parts) for i in backward]
    context.edits.replace(node, fill("torch.flip(x, axes)", x=node.value, axes=axes))


def _is_backward(part: Any) -> bool:
    return (
        isinstance(part, cst.Slice)
        and part.lower is None
        and part.upper is None
        and isinstance(part.step, cst.UnaryOperation)
        and isinstance(part.step.operator, cst.Minus)
        and isinstance(part.step.expression, cst.Integer)
        and part.step.expression.value == "1"
    )


def _is_ellipsis(part: Any) -> bool:
    return isinstance(part, cst.Index) and isinstance(part.value, cst.Ellipsis)


def _is_whole(part: Any) -> bool:
    whole = isinstance(part, cst.Slice) and part.lower is None and part.upper is None
    return _is_ellipsis(part) or (whole and getattr(part, "step", None) is None)


__all__ = ["plan"]
