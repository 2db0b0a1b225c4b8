"""Other names for the same tensor: torch changes them all in place, rebinding changes one."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import read_after, reads
from transpiler.infer.values import Tensor
from transpiler.syntax import find, walk

_VIEWS = frozenset(
    "view reshape t transpose permute squeeze unsqueeze detach data expand narrow select".split()
)


def warn_of_aliases(context: Context, node: cst.CSTNode, base: cst.CSTNode) -> None:
    """A caution where a tensor that is changed in place may be known by another name."""
    if not isinstance(base, cst.Name):
        return
    function = context.edits.enclosing(node, cst.FunctionDef)
    if isinstance(function, cst.FunctionDef) and _is_parameter(function, base.value):
        context.caution(
            node,
            "in-place",
            f"torch changes the caller's tensor here as well; now only `{base.value}` is rebound",
            "return the new tensor, and use what is returned",
        )
        return
    scope: cst.CSTNode = function if function is not None else context.module
    line = context.edits.statement(node)
    others = _aliases(context, scope, base.value, node)
    other = next((o for o in others if _is_read_later(context, scope, line, o)), None)
    if other is not None:
        context.caution(
            node,
            "in-place",
            f"torch changes `{other}` as well, which shares its elements with `{base.value}`",
        )


def _is_read_later(context: Context, scope: cst.CSTNode, line: cst.CSTNode, name: str) -> bool:
    """Whether a name that shares the tensor's elements is read before it is bound anew."""
    inner = [f for f in find(scope, cst.FunctionDef) if f is not scope]
    return read_after(context.edits.parent, line, name) or any(name in reads(f.body) for f in inner)


def _is_parameter(function: cst.FunctionDef, name: str) -> bool:
    params = function.params
    return any(
        p.name.value == name
        for p in [*params.posonly_params, *params.params, *params.kwonly_params]
    )


def _aliases(context: Context, scope: cst.CSTNode, name: str, change: cst.CSTNode) -> Iterator[str]:
    """Names bound before the change to the tensor or a view of it, or that it is a view of."""
    loop = context.edits.enclosing(change, cst.For, cst.While, cst.FunctionDef)
    repeated = isinstance(loop, (cst.For, cst.While))
    for assign in walk(scope):
        if assign is change and not repeated:
            return
        if not isinstance(assign, cst.Assign):
            continue
        target, source = assign.targets[0].target, _viewed(context, assign.value)
        if not isinstance(target, cst.Name) or source is None or source == target.value:
            continue
        if source == name:
            yield target.value
        elif target.value == name:
            yield source


def _viewed(context: Context, node: cst.CSTNode) -> str | None:
    """The name of the tensor that an expression is a view of."""
    if not isinstance(context.fact(node), Tensor):
        return None
    while not isinstance(node, cst.Name):
        match node:
            case cst.Call(func=cst.Name(value="Variable"), args=[cst.Arg(value=inner)]):
                pass
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=method))):
                if method not in _VIEWS:
                    return None
            case cst.Attribute(value=inner, attr=cst.Name(value=method)):
                if method not in ("T", "data", "mT"):
                    return None
            case cst.Subscript(value=inner):
                if not _is_plain(context, node):
                    return None
            case _:
                return None
        node = inner
    return node.value


def _is_plain(context: Context, node: cst.Subscript) -> bool:
    """Whether a subscript gives a view: slices and integers do, index tensors copy."""
    for element in node.slice:
        part = element.slice
        if isinstance(part, cst.Index) and isinstance(context.fact(part.value), Tensor):
            return False
    return True
