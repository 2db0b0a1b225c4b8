"""The operator planner: casts that torch makes by itself, vector products, `len` of a tensor."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.element_homes import home_of
from transpiler.infer.values import (
    Const,
    Number,
    Shape,
    Symbol,
    Tensor,
    Union,
    Value,
    options,
)
from transpiler.rule import Unfit
from transpiler.rules.promotion import casts
from transpiler.syntax import find
from transpiler.template import fill, fill_statements


def plan(context: Context) -> None:
    """Record edits at operators whose operands TensorFlow would not accept or would misread."""
    for node in find(context.module, cst.BinaryOperation, cst.Comparison, cst.AugAssign, cst.Call):
        match node:
            case cst.BinaryOperation():
                _plan_binary(context, node)
            case cst.Comparison():
                left = node.left
                for target in node.comparisons:
                    kind = type(target.operator).__name__
                    if kind not in ("Is", "IsNot", "In", "NotIn"):
                        _plan_casts(context, kind, left, target.comparator)
                    left = target.comparator
            case cst.AugAssign():
                _plan_augmented(context, node)
            case cst.Call(func=cst.Name(value="len"), args=[cst.Arg(value=value)]):
                _plan_length(context, node, value)
            case cst.Call(
                func=cst.Name(value="int" | "float" | "bool"), args=[cst.Arg(value=value)]
            ):
                _plan_number(context, value)
            case cst.Call():
                _plan_sizes(context, node)
                _plan_split(context, node)


def _plan_binary(context: Context, node: cst.BinaryOperation) -> None:
    kind = type(node.operator).__name__
    if kind == "MatrixMultiply":
        _plan_product(context, node)
    elif kind == "Add":
        _plan_variable_sum(context, node)
    _plan_casts(context, kind, node.left, node.right)


def _plan_casts(context: Context, kind: str, left: Any, right: Any) -> None:
    first, second = casts(kind, context.fact(left), context.fact(right))
    if not _is_torch(context, left) and not _is_torch(context, right):
        return
    for node, dtype in ((left, first), (right, second)):
        if dtype is not None:
            wrap_cast(context, node, dtype)


def _is_torch(context: Context, node: Any) -> bool:
    return any(isinstance(o, Tensor) and o.library == "torch" for o in options(context.fact(node)))


def wrap_cast(context: Context, node: cst.BaseExpression, dtype: str) -> None:
    """Cast whatever the expression becomes."""
    context.edits.wrap(node, lambda x: fill(f"tf.cast(x, tf.{dtype})", x=x))


def _plan_augmented(context: Context, node: cst.AugAssign) -> None:
    """`x += y`: the target keeps its dtype; a variable is assigned to, not rebound."""
    target, value = context.fact(node.target), context.fact(node.value)
    if not isinstance(target, Tensor) or target.library != "torch":
        return
    if isinstance(value, Tensor) and value.dtype and target.dtype and value.dtype != target.dtype:
        wrap_cast(context, node.value, target.dtype)
    elif isinstance(value, (Const, Number)):
        kind = type(node.operator).__name__.removesuffix("Assign")
        dtype, _ = casts(kind, target, value)
        if dtype is not None and isinstance(node.target, cst.Name):
            wrap_cast(context, node.target, dtype)
    if target.variable:
        _plan_assignment(context, node)
    elif isinstance(node.target, cst.Name):
        _plan_element(context, node, node.target)


def _plan_element(context: Context, node: cst.AugAssign, name: cst.Name) -> None:
    """`x += 1` of an element of a list, which changes there as well."""
    try:
        home = home_of(context, node, name.value)
    except Unfit as error:
        context.unfit(node, "in-place", error)
        return
    if home is not None:
        lines = fill_statements("home = name", home=home, name=name.deep_clone())
        context.edits.insert_after(context.edits.statement(node), lines)


def _plan_assignment(context: Context, node: cst.AugAssign) -> None:
    names = {cst.AddAssign: "assign_add", cst.SubtractAssign: "assign_sub"}
    symbols = {cst.MultiplyAssign: "v * x", cst.DivideAssign: "v / x"}
    kind = type(node.operator)
    place = node.target
    if isinstance(place, cst.Attribute) and place.attr.value == "data":
        place = place.value  # type: ignore[assignment]
    if kind in names:
        new = fill(f"v.{names[kind]}(x)", v=place, x=node.value)
    elif kind in symbols:
        new = fill(f"v.assign({symbols[kind]})", v=place, x=node.value)
    else:
        return
    statement = context.edits.statement(node)
    context.edits.replace(statement, [cst.SimpleStatementLine([cst.Expr(new)])])


def _plan_variable_sum(context: Context, node: cst.BinaryOperation) -> None:
    """Keras adds what looks like a column to a variable as if it were a row; TensorFlow does not.

    Sums do not depend on their order: the tensor goes first, and its own addition runs.
    """
    left, right = context.fact(node.left), context.fact(node.right)
    if not isinstance(left, Tensor) or not left.variable or not isinstance(right, Tensor):
        return
    if _is_row(left.shape, right.shape):
        return
    if right.variable:
        context.edits.wrap(node.left, lambda x: fill("tf.convert_to_tensor(x)", x=x))
    elif not context.edits.edited(node):
        swapped = node.with_changes(left=node.right, right=node.left)
        context.edits.replace(node, swapped)


def _is_row(left: Shape, right: Shape) -> bool:
    """Whether a tensor surely meets a variable by its last axis, or is far from being a vector."""
    if right is None:
        return False
    if len(right) <= 1:
        return True
    longer = [size for size in right if isinstance(size, int) and size > 1]
    if len(longer) > 1:
        return True
    return left is not None and len(left) >= len(right) and longer == [right[-1]]


def _plan_product(context: Context, node: cst.BinaryOperation) -> None:
    """`@` with vectors, which TensorFlow's `@` refuses."""
    left, right = context.fact(node.left), context.fact(node.right)
    if not isinstance(left, Tensor) or not isinstance(right, Tensor):
        return
    if left.library != "torch" and right.library != "torch":
        return
    new = product_of_vectors(left, right, node.left, node.right)
    if new is not None:
        context.edits.replace(node, new)


def product_of_vectors(left: Value, right: Value, a: Any, b: Any) -> cst.BaseExpression | None:
    """A matrix product where one side is known to be a vector, None where neither is."""
    ranks = [v.rank if isinstance(v, Tensor) else None for v in (left, right)]
    match ranks:
        case [1, 1]:
            return fill("tf.tensordot(a, b, 1)", a=a, b=b)
        case [1, int()]:
            return fill("tf.linalg.matvec(b, a, transpose_a=True)", a=a, b=b)
        case [int(), 1]:
            return fill("tf.linalg.matvec(a, b)", a=a, b=b)
    return None


def _plan_length(context: Context, node: cst.Call, value: cst.BaseExpression) -> None:
    """`len(x)` in functions: a traced tensor has a shape, but no length."""
    fact = context.fact(value)
    if isinstance(fact, Union) or not isinstance(fact, Tensor) or fact.library != "torch":
        return
    if context.edits.enclosing(node, cst.FunctionDef) is not None:
        context.edits.replace(node, fill("x.shape[0]", x=value))


def _plan_split(context: Context, call: cst.Call) -> None:
    """scikit-learn picks rows by lists of indices, which TensorFlow's tensors do not take."""
    name = "sklearn.model_selection.train_test_split"
    if context.fact(call.func) != Symbol(name):
        return
    given = [a.value for a in call.args if a.keyword is None]
    tensors = [node for node in given if _is_torch(context, node)]
    if not tensors:
        return
    if len(tensors) < len(given):
        context.manual(call, "train_test_split", "tensors and arrays are split together",
                       "split arrays, and make tensors of the parts")  # fmt: skip
        return
    for node in tensors:
        context.edits.wrap(node, lambda x: fill("x.numpy()", x=x))
    part = context.fresh("part")
    context.edits.wrap(
        call,
        lambda x: fill("[tf.convert_to_tensor(part) for part in x]", part=cst.Name(part), x=x),
    )


def _plan_sizes(context: Context, call: cst.Call) -> None:
    """numpy's integers as sizes of layers: Keras takes only Python's."""
    if not any(
        isinstance(v, Symbol) and v.name.startswith("torch.nn.")
        for v in options(context.fact(call.func))
    ):
        return
    for arg in call.args:
        found = [o for o in options(context.fact(arg.value)) if isinstance(o, Tensor)]
        if any(o.library == "numpy" and o.shape == () for o in found):
            context.edits.wrap(arg.value, lambda x: fill("int(x)", x=x))


def _plan_number(context: Context, value: cst.BaseExpression) -> None:
    """`int(x)` of a tensor with one element, which TensorFlow only takes without axes."""
    fact = context.fact(value)
    if isinstance(fact, Tensor) and fact.library == "torch" and fact.shape:
        context.edits.wrap(value, lambda x: fill("x.numpy().item()", x=x))


__all__ = ["plan", "product_of_vectors", "wrap_cast"]
