"""Activations that change what they are given: `self.relu(x)` with `nn.ReLU(inplace=True)`.

torch's `x` is another one afterwards. Where it is read again, by this or another name, the
translation activates it first; what can not be done twice without harm is left to a person.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import always_writes, read_after
from transpiler.infer.values import Const, Instance, Symbol, Value, options
from transpiler.layouts import elements_of, is_sequence
from transpiler.planners.expressions import qualified_name
from transpiler.syntax import find
from transpiler.template import fill_statements

_TWICE = {"relu": "tf.nn.relu", "relu6": "tf.nn.relu6"}
"""Activations of which a second one changes nothing."""
_FUNCTIONAL = "torch.nn.functional."


def plan(context: Context) -> None:
    """Change the variables that torch changes, where somebody reads them later."""
    for call in find(context.module, cst.Call):
        if not call.args or not isinstance(call.args[0].value, cst.Name):
            continue
        kind = _kind(context, call)
        line = context.edits.statement(call)
        if kind is not None and isinstance(line, cst.SimpleStatementLine):
            _plan_call(context, call, kind, line, call.args[0].value.value)


def _kind(context: Context, call: cst.Call) -> str | None:
    """The activation that a call puts in the place of its argument: "relu"."""
    name = qualified_name(context, call.func)
    if name is not None and name.startswith((_FUNCTIONAL, "torch.relu_")):
        short = name.rpartition(".")[2]
        if short.endswith("_"):
            return short[:-1]
        given = next(
            (a.value for a in call.args if a.keyword and a.keyword.value == "inplace"), None
        )
        return short if context.fact(given) == Const(True) else None
    kinds = {_first(context, value) for value in options(context.fact(call.func))} - {None}
    return next(iter(kinds)) if len(kinds) == 1 else "several" if kinds else None


def _first(context: Context, value: Value) -> str | None:
    """The activation that a layer, or the first one of a Sequential, works in place."""
    if not isinstance(value, Instance):
        return None
    if is_sequence(context, value):
        elements = elements_of(value)
        return _first(context, elements[0]) if elements else None
    if not isinstance(value.cls, Symbol) or value.arguments.get("inplace") != Const(True):
        return None
    return value.cls.name.rpartition(".")[2].lower()


def _plan_call(context: Context, call: cst.Call, kind: str, line: Any, name: str) -> None:
    small = line.body[0]
    names = {name, *_aliases(context, line, name)}
    target = small.targets[0].target if isinstance(small, cst.Assign) else None
    if isinstance(target, cst.Name) and small.value is call:
        names.discard(target.value)
    is_dropped = isinstance(small, cst.Expr) and small.value is call
    own = [n.value for n in find(line, cst.Name) if n is not call.args[0].value and n is not target]
    changed = sorted(n for n in names if n in own or read_after(context.edits.parent, line, n))
    if not changed:
        return
    if is_dropped and changed == [name]:
        context.edits.replace(line, fill_statements("x = call", x=cst.Name(name), call=call))
        return
    function = _TWICE.get(kind)
    if function is None or len(line.body) > 1:
        context.manual(
            line, "in-place",
            f"the layer changes `{changed[0]}` in place, which is read again afterwards",
            "give the activated value a name of its own and read that",
        )  # fmt: skip
        return
    lines = fill_statements(f"x = {function}(x)", x=cst.Name(name))
    for other in changed:
        if other != name:
            lines += fill_statements("y = x", x=cst.Name(name), y=cst.Name(other))
    context.edits.insert_before(line, lines)


def _aliases(context: Context, line: Any, name: str) -> set[str]:
    """Names that are bound to the same object before, in the same block."""
    found = {name}
    block: Any = context.edits.parent[line]
    body = list(getattr(block, "body", ()))
    for statement in reversed(body[: body.index(line)] if line in body else []):
        small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
        match small:
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(a))], value=cst.Name(b)):
                if a in found or b in found:
                    found |= {a, b}
                    continue
        if always_writes(statement) & found:
            break
    return found - {name}
