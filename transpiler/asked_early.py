"""Gradients that are asked for after a tensor is made, asked for where it is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libcst as cst

from transpiler.syntax import code, find

_MAKERS = frozenset(["tensor", "zeros", "ones", "rand", "randn", "full", "empty", "arange",
                     "linspace", "eye", "zeros_like", "ones_like", "randn_like"])  # fmt: skip


def ask_early(module: cst.Module, changes: dict[cst.CSTNode, Any], gone: object) -> None:
    """`x = torch.zeros(3)` and, later, `x.requires_grad = True`."""
    blocks: list[Any] = [module, *find(module, cst.IndentedBlock)]
    for block in blocks:
        made: dict[str, cst.Assign] = {}
        for line in block.body:
            small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
            asked = _asked(small)
            if asked in made:
                assign = made[asked]
                if not _asks(assign.value):
                    changes[assign.value] = _asking
                changes[line] = gone
            elif isinstance(small, cst.Assign) and len(small.targets) == 1:
                if isinstance(small.value, cst.Call):
                    made[code(small.targets[0].target)] = small
                else:
                    made.pop(code(small.targets[0].target), None)


def _asked(small: Any) -> str:
    """The tensor of `x.requires_grad = True` or of a statement `x.requires_grad_()`."""
    if isinstance(small, cst.Assign) and len(small.targets) == 1:
        target = small.targets[0].target
        if isinstance(target, cst.Attribute) and target.attr.value == "requires_grad":
            return code(target.value) if code(small.value) == "True" else ""
    if isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
        func = small.value.func
        if isinstance(func, cst.Attribute) and func.attr.value == "requires_grad_":
            texts = [code(a.value) for a in small.value.args]
            return code(func.value) if texts in ([], ["True"]) else ""
    return ""


def _asks(value: cst.BaseExpression) -> bool:
    return "requires_grad" in code(value)


def _asking(value: Any) -> cst.BaseExpression:
    func = value.func
    if isinstance(func, cst.Attribute) and func.attr.value in _MAKERS:
        keyword = cst.Arg(cst.Name("True"), keyword=cst.Name("requires_grad"))
        return value.with_changes(args=[*value.args, keyword])  # type: ignore[no-any-return]
    return cst.Call(cst.Attribute(value, cst.Name("requires_grad_")))


# ---- in the expression that makes the tensor --------------------------------------------------


def ask_where_made(module: cst.Module, changes: dict[cst.CSTNode, Any]) -> None:
    """`w = (torch.randn(4, 3) * 0.1).requires_grad_()`, alone or in a list that is bound."""
    for value in _once_bound(module.body):
        whole = [value, *_elements(value)]
        for call in whole:
            if isinstance(call, cst.Call) and _asked(cst.Expr(call)) and call not in changes:
                changes[call] = _as_variable


def _once_bound(lines: Any) -> Iterator[cst.BaseExpression]:
    """What is bound outside of functions and loops: tensors there are made once and stay."""
    for line in lines:
        if isinstance(line, (cst.If, cst.With)) and isinstance(line.body, cst.IndentedBlock):
            yield from _once_bound(line.body.body)
        elif isinstance(line, cst.SimpleStatementLine):
            yield from (s.value for s in line.body if isinstance(s, cst.Assign))


def _elements(value: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """What the lists and tuples in a value hold."""
    held: list[cst.List | cst.Tuple] = [*find(value, cst.List), *find(value, cst.Tuple)]
    for listed in held:
        yield from (e.value for e in listed.elements)
    for made in find(value, cst.ListComp):
        yield made.elt


def _as_variable(call: Any) -> cst.BaseExpression:
    """`x.requires_grad_()` of a new tensor as the tensor that asks; of a module, it stays."""
    value = call.func.value
    if not _is_new(value) or _asks(value):
        return call  # type: ignore[no-any-return]
    if _makes(value):
        return _asking(value)
    keyword = cst.Arg(cst.Name("True"), keyword=cst.Name("requires_grad"))
    made = cst.parse_expression("torch.autograd.Variable")
    return cst.Call(made, [cst.Arg(value.with_changes(lpar=[], rpar=[])), keyword])


def _is_new(value: cst.CSTNode) -> bool:
    """Whether an expression computes a tensor from one that torch makes: `torch.ones(3) * 2`."""
    if isinstance(value, cst.BinaryOperation):
        return _is_new(value.left) or _is_new(value.right)
    if isinstance(value, cst.Call) and isinstance(value.func, cst.Attribute):
        return _makes(value) or _is_new(value.func.value)
    return False


def _makes(value: cst.BaseExpression) -> bool:
    func = value.func if isinstance(value, cst.Call) else None
    return (
        isinstance(func, cst.Attribute)
        and func.attr.value in _MAKERS
        and (code(func.value) == "torch")
    )
