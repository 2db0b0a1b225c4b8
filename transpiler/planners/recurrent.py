"""The recurrent planner: layers of which the program only reads the outputs of all steps.

`out, _ = self.lstm(x)` then needs no layer that also gives torch's states: a stock one will do.
Where `out[:, -1]` or `h_n[-1]` is all that is read, the stock layer gives just that.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Symbol, Value, options
from transpiler.planners.last_output import find_last_reads
from transpiler.rules.layers_recurrent import LAST_ONLY, OUTPUTS_ONLY, STACKS
from transpiler.syntax import find, target_names

NAMES = tuple(f"torch.nn.{name}" for name in STACKS)


def plan(context: Context) -> None:
    """Note the calls that make such layers, and drop the states where the layers are called."""
    if context.exact:
        return
    uses: dict[Any, list[cst.Call]] = {}
    for call in find(context.module, cst.Call):
        values = options(context.fact(call.func))
        origins = [_origin(context, v) for v in values]
        if any(o is not None for o in origins):
            for origin in origins:
                uses.setdefault(origin, []).append(call)
    last = _unshared(uses, {o for o in uses if o is not None and _gives_last(context, uses[o])})
    context.notes[LAST_ONLY] = last
    for call in {c for o in last for c in uses.pop(o)}:
        read = find_last_reads(context, call)
        assert read is not None
        _keep_last(context, *read)
    plain = {o for o in uses if o is not None and all(_reads_outputs(context, c) for c in uses[o])}
    plain = _unshared(uses, plain)
    context.notes[OUTPUTS_ONLY] = plain
    for call in {c for o in plain for c in uses[o]}:
        _drop_states(context, call)


def _unshared(uses: dict[Any, list[cst.Call]], chosen: set[Any]) -> set[Any]:
    """Of the layers chosen those whose calls never run another layer."""
    shared = {c for o, calls in uses.items() if o not in chosen for c in calls}
    return {o for o in chosen if not any(c in shared for c in uses[o])}


def _gives_last(context: Context, calls: list[cst.Call]) -> bool:
    return all(find_last_reads(context, call) is not None for call in calls)


def _keep_last(context: Context, target: cst.CSTNode, new: Any, reads: list[Any]) -> None:
    """The target becomes the name alone, and each read of the last output that name."""
    context.edits.replace(target, new)
    for read, base in reads:
        context.claim(read)
        context.edits.replace(read, base)


def _origin(context: Context, value: Value) -> cst.CSTNode | None:
    """The call that makes a recurrent layer whose stock form has the same outputs."""
    if not isinstance(value, Instance) or not isinstance(value.cls, Symbol):
        return None
    if value.cls.name not in NAMES or not isinstance(value.origin, cst.Call):
        return None
    arguments = value.arguments
    if arguments.get("batch_first") != Const(True):
        return None
    if arguments.get("dropout", Const(0)) not in (Const(0), Const(0.0)):
        return None
    simple = (Const(True), Const(False))
    if arguments.get("bidirectional", Const(False)) not in simple:
        return None
    return value.origin if value.origin in context.edits.parent else None


def _reads_outputs(context: Context, call: cst.Call) -> bool:
    """Whether a call takes no state and its result's states are never read."""
    if len(call.args) != 1 or call.args[0].star or call.args[0].keyword is not None:
        return False
    if any(isinstance(v, Instance) for v in options(context.fact(call.args[0].value))):
        return False  # a packed sequence
    parent = context.edits.parent[call]
    if isinstance(parent, cst.Subscript):
        part = parent.slice[0].slice
        return (
            len(parent.slice) == 1
            and isinstance(part, cst.Index)
            and isinstance(part.value, cst.Integer)
            and part.value.value == "0"
        )
    if not isinstance(parent, cst.Assign) or len(parent.targets) != 1:
        return False
    target = parent.targets[0].target
    if not isinstance(target, cst.Tuple) or len(target.elements) != 2:
        return False
    return _is_unread(context, call, target.elements[1].value)


def _is_unread(context: Context, call: cst.Call, target: cst.BaseExpression) -> bool:
    """Whether the names bound to the states are read nowhere in the function."""
    names = set(target_names(target))
    if not names or any(isinstance(n, cst.Attribute) for n in find(target, cst.Attribute)):
        return False
    scope = context.edits.enclosing(call, cst.FunctionDef) or context.module
    bound = set(map(id, find(target, cst.Name)))
    for node in find(scope, cst.Name):
        if node.value in names and id(node) not in bound and not _is_bound(context, node):
            return False
    return True


def _is_bound(context: Context, node: cst.Name) -> bool:
    """Whether a name is only assigned to here."""
    parent: Any = context.edits.parent.get(node)
    while isinstance(parent, (cst.Element, cst.Tuple, cst.List)):
        parent = context.edits.parent.get(parent)
    return isinstance(parent, cst.AssignTarget)


def _drop_states(context: Context, call: cst.Call) -> None:
    parent = context.edits.parent[call]
    if isinstance(parent, cst.Subscript):
        context.edits.replace(parent, call)
    elif isinstance(parent, cst.Assign):
        target = parent.targets[0].target
        assert isinstance(target, cst.Tuple)
        context.edits.replace(target, target.elements[0].value)
