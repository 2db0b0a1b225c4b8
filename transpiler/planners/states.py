"""The planner of loops over a model's state: names and tensors in PyTorch, a list of arrays here.

`for key in state:` runs over the positions where the key does nothing but name an entry.
"""

from __future__ import annotations

import re
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, options
from transpiler.rule import Unfit
from transpiler.rules.checkpoints import build
from transpiler.rules.weights_files import STATE, holds_state
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import fill

_FORMS = {"keys": "range(len(state))", "items": "enumerate(state)", "values": "state"}


def plan(context: Context) -> None:
    """Rewrite loops and comprehensions over states; tell of entries that are asked for by name."""
    for loop in find(context.module, cst.For, cst.DictComp, cst.ListComp, cst.GeneratorExp):
        clause: Any = loop if isinstance(loop, cst.For) else loop.for_in  # type: ignore[attr-defined]
        found = _state_of(context, clause.iter)
        if found is None or _counts(context, loop, found[0]):
            continue
        try:
            _plan_loop(context, loop, clause, *found)
        except Unfit as error:
            context.unfit(clause.iter, STATE, error)
    for node in find(context.module, cst.Subscript):
        if holds_state(context, node.value) and _is_named(context, node):
            context.unfit(node, STATE, _by_name())


_COUNTED = re.compile(
    r"sum\(\s*v\.numel\(\)\s+for k, v in .+\.state_dict\(\)\.items\(\)"
    r"\s+if .num_batches. not in k\s*\)"
)
"""How translations to PyTorch write `model.count_params()`."""


def _counts(context: Context, loop: Any, state: Any) -> bool:
    """Write `count_params` for the sum of an earlier translation's."""
    whole = context.edits.enclosing(loop, cst.Call)
    if not isinstance(whole, cst.Call) or not _COUNTED.fullmatch(code(whole).strip()):
        return False
    context.edits.replace(whole, fill("model.count_params()", model=state.func.value))
    build(Site(context, state, STATE), state.func.value)
    return True


def _by_name() -> Unfit:
    return Unfit("a model's state is a list of arrays here, without names", "use the layer itself")


def _is_named(context: Context, node: cst.Subscript) -> bool:
    index = node.slice[0].slice
    return isinstance(index, cst.Index) and any(
        isinstance(o, Const) and isinstance(o.value, str)
        for o in options(context.fact(index.value))
    )


def _state_of(context: Context, iterable: cst.BaseExpression) -> tuple[Any, str] | None:
    """The state that a loop runs over, and which part of its entries."""
    if holds_state(context, iterable):
        return iterable, "keys"
    match iterable:
        case cst.Call(func=cst.Attribute(value=state, attr=cst.Name(value=part)), args=[]):
            if part in _FORMS and holds_state(context, state):
                context.claim(iterable)
                context.claim(iterable.func)
                return state, part
    return None


def _plan_loop(context: Context, loop: Any, clause: Any, state: Any, part: str) -> None:
    target = clause.target
    key = target.elements[0].value if part == "items" and isinstance(target, cst.Tuple) else target
    if part != "values":
        if not isinstance(key, cst.Name):
            raise _by_name()
        names_only = _only_names_entries(context, loop, key)
        if isinstance(loop, cst.DictComp):
            if code(loop.key) != key.value:
                raise _by_name()
            names_only = _only_names_entries(context, loop.value, key)
            context.edits.replace(loop, cst.ListComp(loop.value, loop.for_in))
        if not names_only:
            raise _by_name()
        used = any(
            n.value == key.value and n is not key
            for n in find(loop.value if isinstance(loop, cst.DictComp) else loop, cst.Name)
        )
        if part == "items" and not used:
            part = "values"
            context.edits.replace(target, target.elements[1].value)
    context.claim(clause.iter)
    if isinstance(state, cst.Call) and _changes(context, loop, target):
        context.claim(state)
        context.claim(state.func)
        build(Site(context, state, STATE), state.func.value)  # type: ignore[attr-defined]
        state = fill("model.weights", model=state.func.value)  # type: ignore[attr-defined]
    context.edits.replace(clause.iter, fill(_FORMS[part], state=state))


def _changes(context: Context, loop: Any, target: Any) -> bool:
    """Whether a loop changes the entries in place, and with them the model."""
    names = {n.value for n in find(target, cst.Name)}
    for node in find(loop, cst.AugAssign):
        if isinstance(node.target, cst.Name) and node.target.value in names:
            return True
    for call in find(loop, cst.Call):
        func = call.func
        if isinstance(func, cst.Attribute) and func.attr.value.endswith("_"):
            if any(n.value in names for n in find(func.value, cst.Name)):
                return True
    return False


def _only_names_entries(context: Context, within: cst.CSTNode, key: cst.Name) -> bool:
    """Whether a key is only used as the index of states."""
    for node in find(within, cst.Name):
        if node.value != key.value or node is key:
            continue
        index = context.edits.parent.get(node)
        element = context.edits.parent.get(index) if index is not None else None
        entry = context.edits.parent.get(element) if element is not None else None
        if not isinstance(entry, cst.Subscript) or not holds_state(context, entry.value):
            return False
    return True


__all__ = ["plan"]
