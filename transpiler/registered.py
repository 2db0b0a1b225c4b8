"""What torch's modules keep of themselves (`net._modules`), asked for by public methods."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.syntax import code, find

Changes = dict[cst.CSTNode, Any]
_CALLS = {"values": "children", "items": "named_children"}


def ask_publicly(module: cst.Module, changes: Changes) -> None:
    """`for name in net._modules: f(net._modules[name])` → `for name in net.children(): f(name)`."""
    for loop in find(module, cst.For):
        owner = _owner(loop.iter)
        name = loop.target
        if owner is None or not isinstance(name, cst.Name):
            continue
        wanted = f"{code(owner)}._modules[{name.value}]"
        parts = [s for s in find(loop.body, cst.Subscript) if code(s) == wanted]
        uses = [n for n in find(loop.body, cst.Name) if n.value == name.value]
        if parts and len(uses) == len(parts):
            changes[loop.iter] = _call(owner, "children")
            changes.update((part, cst.Name(name.value)) for part in parts)
    for call in find(module, cst.Call):
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in _CALLS:
            owner = _owner(call.func.value)
            if owner is not None and not call.args:
                changes[call] = _call(owner, _CALLS[call.func.attr.value])
    for part in find(module, cst.Subscript):
        owner = _owner(part.value)
        index = part.slice[0].slice if len(part.slice) == 1 else None
        if owner is not None and isinstance(index, cst.Index) and part not in changes:
            args = [cst.Arg(owner), cst.Arg(index.value)]
            changes[part] = cst.Call(cst.Name("getattr"), args)


def _owner(node: cst.BaseExpression) -> cst.BaseExpression | None:
    """The module of `net._modules` and `net._modules.keys()`."""
    if isinstance(node, cst.Call) and not node.args and isinstance(node.func, cst.Attribute):
        return _owner(node.func.value) if node.func.attr.value == "keys" else None
    if isinstance(node, cst.Attribute) and node.attr.value == "_modules":
        return node.value
    return None


def _call(owner: cst.BaseExpression, name: str) -> cst.Call:
    return cst.Call(cst.Attribute(owner, cst.Name(name)))
