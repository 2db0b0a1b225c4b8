"""Assignments that give another value to what an object keeps as a variable already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from transpiler.infer.values import Instance, Symbol, Tensor, Value, options
from transpiler.syntax import code, find

if TYPE_CHECKING:
    from transpiler.infer.frames import Frame
    from transpiler.infer.interpreter import Interpreter


def note_rebinding(run: Interpreter, node: cst.Assign, value: Value, frame: Frame) -> None:
    """Remember the target of `self.mean = 0.9 * self.mean`; False where it may be the first."""
    target = node.targets[0].target
    if len(node.targets) != 1 or not isinstance(target, cst.Attribute):
        return
    if not isinstance(target.value, (cst.Name, cst.Attribute)):
        return
    owners = options(run.eval(target.value, frame))
    asked = any(code(n) == code(target) for n in find(node.value, cst.Attribute))
    again = bool(owners) and isinstance(value, Tensor)
    for owner in owners:
        # Either branch of an `if` in a constructor may be the one that makes it.
        made = asked or ("__init__", owner) not in run.stack
        again = again and made and _is_kept(run, owner, target.attr.value)
    run.rebindings[target] = run.rebindings.get(target, True) and again


def _is_kept(run: Interpreter, owner: Value, name: str) -> bool:
    """Whether an object has a variable under a name: its own, or that of a library's class."""
    if not isinstance(owner, Instance):
        return False
    have = owner.attributes.get(name)
    if have is None and isinstance(owner.cls, Symbol):
        running = any(not isinstance(place, tuple) for place in run.stack)
        member = run.knowledge.member(owner.cls.name, name)
        known = run.knowledge.properties.get(member or "")
        have = known(owner) if known is not None and running else None
    return isinstance(have, Tensor) and have.variable


def is_of_library(run: Interpreter, target: cst.Attribute, owner: Value) -> bool:
    """Whether the variable that gets a value is a library's: its facts are no object's own."""
    return bool(run.rebindings.get(target)) and not any(
        isinstance(o, Instance) and target.attr.value in o.attributes for o in options(owner)
    )
