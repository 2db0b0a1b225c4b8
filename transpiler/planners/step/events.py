"""Events of a training step: the statements that zero gradients, go backward, clip and step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Value, options
from transpiler.planners.expressions import qualified_name
from transpiler.syntax import find

KINDS = {
    "torch.Tensor.backward": "backward",
    "torch.autograd.backward": "backward",
    "torch.optim.Optimizer.step": "step",
    "torch.optim.Optimizer.zero_grad": "zero",
    "torch.nn.Module.zero_grad": "zero",
    "torch.nn.utils.clip_grad_norm_": "clip",
    "torch.nn.utils.clip_grad_norm": "clip",
    "torch.nn.utils.clip_grad_value_": "clip",
    "torch.amp.GradScaler.step": "step",
    "torch.cuda.amp.GradScaler.step": "step",
    "torch.amp.GradScaler.unscale_": "update",
    "torch.cuda.amp.GradScaler.unscale_": "update",
    "torch.amp.GradScaler.update": "update",
    "torch.cuda.amp.GradScaler.update": "update",
}


@dataclass(eq=False)
class Event:
    """One such statement. `target` is the loss, the optimizer, the module or the parameters."""

    kind: str
    name: str
    statement: cst.SimpleStatementLine
    node: cst.Call
    target: cst.BaseExpression | None
    value: Value
    index: int = -1
    conditional: bool = False
    notes: dict[str, object] = field(default_factory=dict)


def event_of(context: Context, statement: cst.CSTNode) -> Event | None:
    """The event that a statement is, if it is one."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    small = statement.body[0]
    if not isinstance(small, (cst.Expr, cst.Assign)) or not isinstance(small.value, cst.Call):
        return None
    call = small.value
    name = qualified_name(context, call.func)
    kind = KINDS.get(name or "")
    if kind is None or name is None:
        return _manual_clip(context, statement)
    if isinstance(small, cst.Assign) and kind not in ("clip", "step"):
        return None
    target = _target(context, call, name)
    return Event(kind, name, statement, call, target, context.fact(target))


def _target(context: Context, call: cst.Call, name: str) -> cst.BaseExpression | None:
    if name.endswith("GradScaler.step"):
        return call.args[0].value if call.args else None
    if name.startswith("torch.nn.utils") or name == "torch.autograd.backward":
        return call.args[0].value if call.args else None
    target = call.func.value if isinstance(call.func, cst.Attribute) else None
    if name == "torch.Tensor.backward" and isinstance(target, cst.Call):
        inner = qualified_name(context, target.func) or ""
        if inner.endswith("GradScaler.scale") and target.args:
            return target.args[0].value
    return target


def _manual_clip(context: Context, statement: cst.SimpleStatementLine) -> Event | None:
    return None


def scopes(
    context: Context,
) -> Iterator[tuple[list[cst.BaseStatement], cst.CSTNode]]:
    """The bodies of the module and of every function, with the node that owns each."""
    yield list(context.module.body), context.module  # type: ignore[arg-type]
    for function in find(context.module, cst.FunctionDef):
        yield list(function.body.body), function  # type: ignore[arg-type]


def instances(value: Value) -> list[Instance]:
    """The objects that a value may be."""
    return [o for o in options(value) if isinstance(o, Instance)]


def is_true(value: Value) -> bool:
    return isinstance(value, Const) and bool(value.value)
