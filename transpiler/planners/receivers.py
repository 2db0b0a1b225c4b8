"""Receivers of which nothing is known: what is done with them tells arrays of torch from others.

`(returns * y).sum()` may be NumPy's; a keyword that only torch has, `loss.backward()` further down
or `y.detach()` elsewhere in the function says that it is torch's.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler import signatures
from transpiler.context import Context
from transpiler.infer.usage import OWN_KEYWORDS, SHARED
from transpiler.infer.values import UNKNOWN
from transpiler.syntax import find

ARRAY = "torch.Tensor"
NUMERIC = frozenset(
    """abs all any argmax argmin argsort clip cos cumprod cumsum diagonal exp flatten flip log
    max mean median min norm pow prod repeat reshape round sin sort sqrt squeeze std sum swapaxes
    t tan trace transpose""".split()
)
"""Methods that torch's arrays share with NumPy's, and TensorFlow's lack."""


def is_tensor_by_use(context: Context, func: cst.Attribute) -> bool:
    """Whether a method call of an unknown receiver can only be one of torch's arrays."""
    if func.attr.value not in NUMERIC:
        return False
    call: Any = context.edits.parent.get(func)
    if not isinstance(call, cst.Call) or call.func is not func:
        return False
    if {a.keyword.value for a in call.args if a.keyword is not None} & OWN_KEYWORDS:
        return True
    if isinstance(func.value, cst.Name) and _is_used_so(context, func.value):
        return True
    return _becomes_tensor(context, call)


def _becomes_tensor(context: Context, node: Any) -> bool:
    """Whether the value of an expression is used as only torch's arrays are."""
    above: Any = context.edits.parent.get(node)
    while isinstance(above, (cst.BinaryOperation, cst.UnaryOperation)):
        node, above = above, context.edits.parent.get(above)
    if isinstance(above, cst.Attribute):
        return _is_own(above)
    if isinstance(above, cst.Assign) and len(above.targets) == 1:
        target = above.targets[0].target
        return isinstance(target, cst.Name) and _is_used_so(context, target)
    return False


def _is_used_so(context: Context, name: cst.Name) -> bool:
    """Whether the function uses a name as only torch's arrays are used."""
    scope = context.edits.enclosing(name, cst.FunctionDef) or context.module
    key = ("torch's by use", scope)
    found = context.notes.get(key)  # type: ignore[call-overload]
    if found is None:
        found = {
            node.value.value
            for node in find(scope, cst.Attribute)
            if isinstance(node.value, cst.Name)
            and context.fact(node.value) is UNKNOWN
            and isinstance(context.edits.parent.get(node), cst.Call)
            and (_is_own(node) or _has_own_keyword(context, node))
        }
        context.notes[key] = found  # type: ignore[index]
    return name.value in found


def _has_own_keyword(context: Context, func: cst.Attribute) -> bool:
    call: Any = context.edits.parent.get(func)
    given = {a.keyword.value for a in call.args if a.keyword is not None}
    return call.func is func and func.attr.value in NUMERIC and bool(given & OWN_KEYWORDS)


def _is_own(node: cst.Attribute) -> bool:
    """Whether only torch's arrays have the attribute."""
    name = node.attr.value
    if name in SHARED or name.startswith("__"):
        return False
    if signatures.lookup(f"torch.nn.Module.{name}") is not None:
        return False
    return signatures.lookup(f"{ARRAY}.{name}") is not None
