"""`x += y` of tensors: a new tensor in TensorFlow, the old one changed in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Tensor, options
from transpiler.planners.keras_tape.tapes import Tape
from transpiler.planners.keras_tape.updates import assignments, scope_of
from transpiler.syntax import code, find

OPERATORS: dict[type[Any], Any] = {
    cst.AddAssign: cst.Add,
    cst.SubtractAssign: cst.Subtract,
    cst.MultiplyAssign: cst.Multiply,
    cst.DivideAssign: cst.Divide,
}
KEEPING = frozenset(
    "exp sigmoid tanh softmax log_softmax sqrt rsqrt relu elu selu softplus divide".split()
)
"""Functions whose result PyTorch needs unchanged for the gradient."""


def plan_rebinding(context: Context, tapes: list[Tape]) -> None:
    """`x = x + y` where somebody else may hold x, or its gradient needs it as it is."""
    watched = {
        (scope_of(context, w), code(w.args[0].value).strip().strip("[]"))
        for t in tapes
        for w in t.watches
        if w.args
    }
    for node in find(context.module, cst.AugAssign):
        if not isinstance(node.target, cst.Name) or type(node.operator) not in OPERATORS:
            continue
        value = context.fact(node.target)
        if not all(isinstance(o, Tensor) and o.library == "tf" for o in options(value)):
            continue
        if any(isinstance(o, Tensor) and o.variable for o in options(value)):
            continue
        scope = scope_of(context, node)
        if (scope, node.target.value) in watched or _is_shared(context, scope, node):
            new = cst.BinaryOperation(
                node.target.deep_clone(), OPERATORS[type(node.operator)](), node.value
            )
            target = cst.AssignTarget(node.target)
            context.edits.replace(node, cst.Assign([target], new))


def _is_shared(context: Context, scope: Any, node: cst.AugAssign) -> bool:
    """Whether the tensor is an argument, another name's, or a result that is still needed."""
    assert isinstance(node.target, cst.Name)
    name = node.target.value
    if isinstance(scope, cst.FunctionDef):
        params = [*scope.params.params, *scope.params.kwonly_params]
        if any(p.name.value == name for p in params):
            return True
    for assign, place in assignments(context, scope, name):
        if place is None and _is_needed(context, assign.value):
            return True
    return _grows(context, node)


def _is_needed(context: Context, value: cst.BaseExpression) -> bool:
    if isinstance(value, (cst.Name, cst.Attribute, cst.Subscript)):
        return True
    if not isinstance(value, cst.Call):
        return False
    if any(isinstance(o, Instance) for o in options(context.fact(value.func))):
        return True
    return code(value.func).rpartition(".")[2].strip() in KEEPING


def _grows(context: Context, node: cst.AugAssign) -> bool:
    """Whether the result has another shape than what was there."""
    old, new = context.fact(node.target), context.fact(node.value)
    if isinstance(old, Tensor) and isinstance(new, Tensor):
        return old.rank is not None and new.rank is not None and new.rank > old.rank
    return False
