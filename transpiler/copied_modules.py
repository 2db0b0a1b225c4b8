"""`target = copy.deepcopy(net)` of a module that was made just before: a new one with its state.

Keras copies a layer by its configuration, which classes of a program do not give.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.syntax import code, find

_MOVES = frozenset({"to", "cuda", "cpu", "float", "eval", "train", "requires_grad_"})


def make_again(module: cst.Module, changes: dict[cst.CSTNode, Any]) -> None:
    """Write the constructor again where a copy is made, and load the state."""
    classes = {c.name.value for c in module.body if isinstance(c, cst.ClassDef)}
    blocks: list[Any] = [module, *find(module, cst.IndentedBlock)]
    for block in blocks:
        made: dict[str, cst.BaseExpression] = {}
        for line in block.body:
            small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
            if not isinstance(small, cst.Assign) or len(small.targets) != 1:
                continue
            target = code(small.targets[0].target)
            source = _copied(small.value)
            if source in made:
                first = line.with_changes(
                    body=[small.with_changes(value=made[source].deep_clone())]
                )
                after = [f"load_state_dict({source}.state_dict())", *_settings(small.value)]
                lines = [cst.parse_statement(f"{target}.{call}") for call in after]
                changes[line] = [first, *lines]
            made.pop(target, None)
            if _constructs(small.value, classes):
                made[target] = small.value


def _copied(value: cst.BaseExpression) -> str:
    """net of `copy.deepcopy(net)`, moved to a device or not."""
    match _unmoved(value):
        case cst.Call(func=func, args=[cst.Arg(value=source)]):
            if code(func) in ("copy.deepcopy", "deepcopy"):
                return code(source)
    return ""


def _settings(value: cst.BaseExpression) -> list[str]:
    """What a copy is put into at once: `copy.deepcopy(net).eval().requires_grad_(False)`."""
    found: list[str] = []
    while isinstance(value, cst.Call) and isinstance(value.func, cst.Attribute):
        if value.func.attr.value in ("eval", "train", "requires_grad_"):
            found.insert(0, code(value.with_changes(func=value.func.attr)))
        value = value.func.value
    return found


def _constructs(value: cst.BaseExpression, classes: set[str]) -> bool:
    """Whether an expression makes an object of a class of the program, from plain arguments."""
    call = _unmoved(value)
    return (
        isinstance(call, cst.Call)
        and code(call.func) in classes
        and not any(True for arg in call.args for _ in find(arg, cst.Call))
    )


def _unmoved(value: cst.BaseExpression) -> cst.BaseExpression:
    """What is moved by `.to(device)` and the like."""
    while (
        isinstance(value, cst.Call)
        and isinstance(value.func, cst.Attribute)
        and value.func.attr.value in _MOVES
    ):
        value = value.func.value
    return value
