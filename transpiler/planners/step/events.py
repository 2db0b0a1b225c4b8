"""Events of a training step: the statements that zero gradients, go backward, clip and step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import UNKNOWN, Const, Function, Instance, Method, Value, join, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.gradients import emptied_by
from transpiler.syntax import code, docstring_end, find

KINDS = {
    "torch.Tensor.backward": "backward",
    "torch.autograd.backward": "backward",
    "torch.optim.Optimizer.step": "step",
    "torch.optim.Optimizer.zero_grad": "zero",
    "torch.nn.Module.zero_grad": "zero",
    "torch.nn.utils.clip_grad_norm_": "clip",
    "torch.nn.utils.clip_grad_norm": "clip",
    "torch.nn.utils.clip_grad_value_": "clip",
    "to_torch.clip_by_global_norm": "clip",
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
    statement: cst.SimpleStatementLine | cst.For
    node: cst.Call
    target: cst.BaseExpression | None
    value: Value
    index: int = -1
    conditional: bool = False
    loop: cst.CSTNode | None = None
    """The loop before the step that this backward pass runs in."""
    notes: dict[str, object] = field(default_factory=dict)


def event_of(context: Context, statement: cst.CSTNode) -> Event | None:
    """The event that a statement is, if it is one."""
    if isinstance(statement, cst.For):
        return (
            _clip_by_hand(context, statement)
            or _emptied_by_hand(context, statement)
            or _emptied_one_by_one(context, statement)
        )
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    small = statement.body[0]
    if not isinstance(small, (cst.Expr, cst.Assign)) or not isinstance(small.value, cst.Call):
        return None
    call = small.value
    name = qualified_name(context, call.func)
    kind = KINDS.get(name or "")
    if kind is None or name is None:
        return _helper_event(context, statement, call)
    if isinstance(small, cst.Assign) and kind not in ("clip", "step"):
        return None
    if kind == "step" and call.args and evaluates_closures(context, call):
        return None
    target = _target(context, call, name)
    return Event(kind, name, statement, call, target, context.fact(target))


def evaluates_closures(context: Context, step: cst.Call) -> bool:
    """Whether a step is LBFGS's, which evaluates its closure several times."""
    owner = context.fact(step.func.value) if isinstance(step.func, cst.Attribute) else UNKNOWN
    return any(
        isinstance(o, Instance) and "torch.optim.LBFGS" in o.class_names for o in options(owner)
    )


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


def _helper_event(
    context: Context, statement: cst.SimpleStatementLine, call: cst.Call
) -> Event | None:
    """A call of the program's own function that only sets gradients to zero."""
    fact = context.fact(call.func)
    function = fact.function if isinstance(fact, Method) else fact
    if not isinstance(function, Function) or not isinstance(function.node, cst.FunctionDef):
        return None
    zeros = only_zeros(context, function.node)
    if not zeros:
        return None
    value = join(*(z.value for z in zeros))
    return Event("zero", zeros[0].name, statement, call, zeros[0].target, value)


def only_zeros(context: Context, function: cst.FunctionDef) -> list[Event]:
    """The zero_grad calls of a function that does nothing else."""
    found: list[Event] = []
    body = list(function.body.body)
    for line in body[docstring_end(body) :]:  # type: ignore[arg-type]
        if not isinstance(line, cst.For) and _called(context, line) not in _ZEROING:
            return []
        event = event_of(context, line)
        if event is None or event.kind != "zero":
            return []
        found.append(event)
    return found


_ZEROING = frozenset(name for name, kind in KINDS.items() if kind == "zero")


def _called(context: Context, line: cst.CSTNode) -> str | None:
    """The library's function that a statement consists of a call of."""
    small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
    call = small.value if isinstance(small, cst.Expr) else None
    return qualified_name(context, call.func) if isinstance(call, cst.Call) else None


def _emptied_one_by_one(context: Context, loop: cst.For) -> Event | None:
    """`for net in nets: net.zero_grad()`."""
    lines = loop.body.body
    if loop.orelse is not None or any(_called(context, line) not in _ZEROING for line in lines):
        return None
    events = [e for line in lines if (e := event_of(context, line)) is not None]
    if not events or len(events) < len(lines):
        return None
    first = events[0]
    value = join(*(e.value for e in events))
    return Event("zero", first.name, loop, first.node, first.target, value)


def _emptied_by_hand(context: Context, loop: cst.For) -> Event | None:
    """`for p in params: p.grad.zero_()`, guarded by a test or not."""
    if not emptied_by(loop) or any(code(x) != code(loop.target) for x in emptied_by(loop)):
        return None
    call = next(iter(find(loop, cst.Call)), cst.Call(cst.Name("zero")))
    if isinstance(loop.iter, cst.Call) and isinstance(loop.iter.func, cst.Attribute):
        if qualified_name(context, loop.iter.func) == "torch.nn.Module.parameters":
            model = loop.iter.func.value
            return Event(
                "zero", "torch.nn.Module.zero_grad", loop, call, model, context.fact(model)
            )
    return Event("zero", "by hand", loop, call, loop.iter, UNKNOWN)


def _clip_by_hand(context: Context, loop: cst.For) -> Event | None:
    """`for p in model.parameters(): p.grad.data.clamp_(-1, 1)`, guarded by a test or not.

    Or the same in `for group in optimizer.param_groups: for p in group["params"]:`.
    """
    owner = _owner_of_gradients(context, loop)
    if owner is None or loop.orelse is not None:
        return None
    whole, loop = loop, _innermost(loop)
    inner: cst.CSTNode = loop
    asked = {f"{code(loop.target)}.{text}" for text in ("grad is not None", "requires_grad")}
    while isinstance(inner, (cst.For, cst.If)) and len(inner.body.body) == 1:
        if isinstance(inner, cst.If) and (code(inner.test) not in asked or inner.orelse):
            return None
        inner = inner.body.body[0]
    line = inner if isinstance(inner, cst.SimpleStatementLine) else None
    small = line.body[0] if line is not None else None
    call = small.value if isinstance(small, cst.Expr) else None
    changed = _changed_by_hand(whole, loop.target, owner, small)
    if changed is not None:
        changed.value = context.fact(owner)
        return changed
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
        return None
    gradient = f"{code(loop.target)}.grad"
    if code(call.func.value) not in (gradient, f"{gradient}.data"):
        return None
    formula = _IN_PLACE.get((call.func.attr.value, len(call.args)))
    if formula is None or any(a.star for a in call.args):
        return None
    event = Event("clip", "by hand", whole, call, owner, context.fact(owner))
    event.notes["formula"] = (formula, [a.value for a in _in_order(call)])
    return event


_IN_PLACE = {("clamp_", 2): "tf.clip_by_value(g, a, b)", ("mul_", 1): "g * a",
             ("div_", 1): "g / a"}  # fmt: skip


def _in_order(call: cst.Call) -> list[cst.Arg]:
    """The arguments of `clamp_`, `max=` behind `min=`."""
    return sorted(call.args, key=lambda a: a.keyword is not None and a.keyword.value == "max")


def _owner_of_gradients(context: Context, loop: cst.For) -> cst.BaseExpression | None:
    """Whose gradients a loop runs over: a model's parameters, or an optimizer."""
    if isinstance(loop.iter, cst.Call):
        name = qualified_name(context, loop.iter.func)
        return loop.iter if name == "torch.nn.Module.parameters" else None
    if not isinstance(loop.iter, cst.Attribute) or loop.iter.attr.value != "param_groups":
        return None
    return loop.iter.value if _innermost(loop) is not loop else None


def _innermost(loop: cst.For) -> cst.For:
    """`for p in group["params"]` of a loop over an optimizer's groups."""
    inner = loop.body.body[0]
    if isinstance(inner, cst.For) and len(loop.body.body) == 1 and inner.orelse is None:
        if code(inner.iter).replace("'", '"') == f'{code(loop.target)}["params"]':
            return inner
    return loop


def _changed_by_hand(
    loop: cst.For, p: cst.BaseExpression, owner: cst.BaseExpression, small: Any
) -> Event | None:
    """`for p in model.parameters(): p.grad = f(p.grad)`, or `p.grad /= n`."""
    gradient = f"{code(p)}.grad"
    match small:
        case cst.Assign(targets=[cst.AssignTarget(target=target)], value=value):
            pass
        case cst.AugAssign(target=target, value=value):
            pass
        case _:
            return None
    reads = [n for n in find(value, cst.Attribute) if code(n) in (gradient, f"{gradient}.data")]
    inner = {n.value for n in reads}
    outer = [n for n in reads if n not in inner]
    names = [n for n in find(value, cst.Name) if n.value == code(p)]
    plain = isinstance(p, cst.Name) and code(target) in (gradient, f"{gradient}.data")
    if not plain or len(names) != len(outer):
        return None
    call = owner if isinstance(owner, cst.Call) else cst.Call(owner)
    event = Event("clip", "by hand", loop, call, owner, UNKNOWN)
    event.notes["change"] = (small, outer, p)
    return event


def output_gradients(event: Event) -> cst.BaseExpression | None:
    """What `loss.backward(gradient)` or `backward(loss, gradients)` starts from."""
    is_method = event.name == "torch.Tensor.backward"
    given = event.node.args if is_method else event.node.args[1:]
    for arg in given:
        name = arg.keyword.value if arg.keyword is not None else "gradient"
        if name in ("gradient", "grad_tensors"):
            return None if code(arg.value) == "None" else arg.value
    return None


def scopes(
    context: Context,
) -> Iterator[tuple[list[cst.BaseStatement], cst.CSTNode]]:
    """The bodies of the module and of every function, with the node that owns each."""
    module: list[Any] = list(context.module.body)
    yield module, context.module
    for function in find(context.module, cst.FunctionDef):
        body: list[Any] = list(function.body.body)
        yield body, function


def label_of(text: str) -> str:
    """`self.optimizer_D` → `d`; empty where too little is left to start a name with."""
    name = re.sub(r"[^0-9a-zA-Z_]", "_", text.rpartition(".")[2])
    name = re.sub(r"(?i)optimi[sz]er|optim|opt", "", name)
    name = re.sub(r"_+", "_", name).strip("_").lower()
    return name if name.isidentifier() else ""


def instances(value: Value) -> list[Instance]:
    """The objects that a value may be."""
    return [o for o in options(value) if isinstance(o, Instance)]


def is_true(value: Value) -> bool:
    return isinstance(value, Const) and bool(value.value)
