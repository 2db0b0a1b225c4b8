"""Where a tensor that a program changes by a local name is kept: torch changes it there as well.

for mean, x in zip(self.means, xs):        for i, (mean, x) in enumerate(zip(self.means, xs)):
    mean.mul_(0.9).add_(0.1 * x)               self.means[i] = mean * 0.9 + 0.1 * x
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.aliases import warn_of_aliases
from transpiler.context import Context
from transpiler.infer.values import Instance, ListObject, Mapping, Sequence, Tensor, options
from transpiler.rule import Unfit
from transpiler.syntax import code, find
from transpiler.template import fill


def rebound(
    context: Context, node: cst.CSTNode, place: cst.Name, new: cst.BaseExpression
) -> list[cst.SimpleStatementLine]:
    """The statements that give a local name a new tensor, and what it was taken from. Unfit."""
    home = home_of(context, node, place.value)
    if home is None:
        warn_of_aliases(context, node, place)
    # A copy: the node itself may be read in another order of axes.
    name = place.deep_clone()
    if home is None:
        return [_line(name, new)]
    if not _is_read_elsewhere(context, node, place):
        return [_line(home, new)]
    return [_line(name, new), _line(home, name)]


def _line(target: Any, value: cst.BaseExpression) -> cst.SimpleStatementLine:
    return cst.SimpleStatementLine([cst.Assign([cst.AssignTarget(target)], value)])


def _is_read_elsewhere(context: Context, node: cst.CSTNode, place: cst.Name) -> bool:
    """Whether another statement of the block or function has the name."""
    scope = context.edits.enclosing(node, cst.For, cst.FunctionDef) or context.module
    line = context.edits.statement(node)
    own = {n for n in find(line, cst.Name) if n.value == place.value}
    body = scope if isinstance(scope, cst.Module) else scope.body
    return any(n.value == place.value and n not in own for n in find(body, cst.Name))


def home_of(context: Context, node: cst.CSTNode, name: str) -> cst.BaseExpression | None:
    """The element or attribute that a local name stands for where it is changed; None for none.

    Raises Unfit where a container holds the tensor that can not be written to.
    """
    scope = context.edits.enclosing(node, cst.FunctionDef) or context.module
    loop: Any = context.edits.enclosing(node, cst.For)
    while loop is not None:
        if any(n.value == name for n in find(loop.target, cst.Name)):
            return None if _bound_in(loop.body, name) else _of_loop(context, loop, name)
        loop = context.edits.enclosing(loop, cst.For)
    bindings = [
        assign
        for assign in find(scope, cst.Assign)
        if any(isinstance(t.target, cst.Name) and t.target.value == name for t in assign.targets)
        and context.edits.enclosing(assign, cst.FunctionDef) in (scope, None)
    ]
    return _of_assignment(context, bindings[0], scope) if len(bindings) == 1 else None


def is_kept(context: Context, node: cst.CSTNode, name: str) -> bool:
    """Whether a local name is an element of a list or dict of tensors that a loop runs over."""
    loop: Any = context.edits.enclosing(node, cst.For)
    while loop is not None:
        if any(n.value == name for n in find(loop.target, cst.Name)):
            held: Any = find(loop.iter, cst.Name, cst.Attribute)
            return any(
                isinstance(o, (ListObject, Mapping)) and _holds_tensors(context, n)
                for n in held
                for o in options(context.fact(n))
            )
        loop = context.edits.enclosing(loop, cst.For)
    return False


def _bound_in(body: cst.CSTNode, name: str) -> bool:
    return any(
        isinstance(t.target, cst.Name) and t.target.value == name
        for t in find(body, cst.AssignTarget)
    )


# ---- loops over containers -----------------------------------------------------------------------


def _of_loop(context: Context, loop: cst.For, name: str) -> cst.BaseExpression | None:
    """The element of a container that a loop has under a name."""
    kept = context.notes.setdefault("homes of loops", {})
    if (loop, name) not in kept:
        kept[loop, name] = _find_in_loop(context, loop, name)
    found: cst.BaseExpression | None = kept[loop, name]
    return found.deep_clone() if found is not None else None


def _find_in_loop(context: Context, loop: cst.For, name: str) -> cst.BaseExpression | None:
    target, source = loop.target, loop.iter
    match source:
        case cst.Call(func=cst.Name("enumerate"), args=[cst.Arg(value=inner)]):
            if isinstance(target, cst.Tuple) and len(target.elements) == 2:
                index, item = target.elements[0].value, target.elements[1].value
                return _element(context, item, inner, name, index)
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name("items")), args=[]):
            if isinstance(target, cst.Tuple) and len(target.elements) == 2:
                key, item = target.elements[0].value, target.elements[1].value
                return _element(context, item, owner, name, key)
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name("values")), args=[]):
            if _holds_tensors(context, owner):
                key = cst.Name(context.fresh("key"))
                context.edits.replace(target, _pair(key, target))
                context.edits.replace(source, fill("d.items()", d=owner))
                return _element(context, target, owner, name, key)
    index = cst.Name(_index_name(context, loop))
    found = _element(context, target, source, name, index)
    if found is not None:
        for (other, _), home in context.notes["homes of loops"].items():
            if other is loop and isinstance(home, cst.Subscript):  # numbered already
                place: Any = home.slice[0].slice
                return _element(context, target, source, name, place.value)
        item = target
        if isinstance(target, cst.Tuple) and not target.lpar:
            item = target.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        context.edits.replace(target, _pair(index, item))
        context.edits.replace(source, fill("enumerate(x)", x=source))
    return found


def _index_name(context: Context, loop: cst.For) -> str:
    scope = context.edits.enclosing(loop, cst.FunctionDef)
    taken = {n.value for n in find(scope, cst.Name)} if scope is not None else context.names
    free = [name for name in ("i", "j", "k") if name not in taken]
    return free[0] if free else context.fresh("index")


def _pair(first: cst.BaseExpression, second: Any) -> cst.Tuple:
    return cst.Tuple([cst.Element(first), cst.Element(second)], lpar=[], rpar=[])


def _element(
    context: Context, target: Any, source: Any, name: str, index: cst.BaseExpression
) -> cst.BaseExpression | None:
    """`source[index]`, for the part of the target that has the name."""
    if isinstance(target, cst.Name):
        if target.value != name or not _holds_tensors(context, source):
            return None
        if not isinstance(source, (cst.Name, cst.Attribute)) or _is_fixed(context, source):
            raise Unfit(f"`{name}` is an element of something that is changed in place")
        return fill("x[i]", x=source, i=index)
    match source:
        case cst.Call(func=cst.Name("zip"), args=args) if isinstance(target, cst.Tuple):
            for element, arg in zip(target.elements, args, strict=False):
                found = _element(context, element.value, arg.value, name, index)
                if found is not None:
                    return found
    return None


def _holds_tensors(context: Context, node: cst.BaseExpression) -> bool:
    """Whether a container holds tensors, no variables; rows of a tensor are its elements."""
    for value in options(context.fact(node)):
        if isinstance(value, Tensor):
            return not value.variable
        if isinstance(value, (ListObject, Sequence, Mapping)):
            parts = value.items.values() if isinstance(value, Mapping) else value.items or ()
            held = [*parts, *([value.element] if value.element is not None else [])]
            if any(isinstance(o, Tensor) and not o.variable for h in held for o in options(h)):
                return True
    return False


def _is_fixed(context: Context, node: cst.BaseExpression) -> bool:
    """Whether a container takes no new elements: tuples, and tensors of TensorFlow's."""
    return not all(isinstance(o, (ListObject, Mapping)) for o in options(context.fact(node)))


# ---- names for elements and attributes -----------------------------------------------------------


def _of_assignment(
    context: Context, assign: cst.Assign, scope: cst.CSTNode
) -> cst.BaseExpression | None:
    """`self.total` of `total = self.total`, `table[key]` of `row = table[key]`."""
    source: Any = assign.value
    if len(assign.targets) != 1 or not isinstance(context.fact(source), Tensor):
        return None
    match source:
        case cst.Attribute(value=cst.Name() as owner):
            if not any(isinstance(o, Instance) for o in options(context.fact(owner))):
                return None
            names = {owner.value}
        case cst.Subscript(value=owner):
            if not all(isinstance(o, (ListObject, Mapping)) for o in options(context.fact(owner))):
                return None
            names = {n.value for n in find(source, cst.Name)}
        case _:
            return None
    rebound = {n.value for t in find(scope, cst.AssignTarget) for n in _names(t.target)}
    if names & rebound:
        raise Unfit(f"the tensor is kept in `{code(source)}` as well, which has changed since")
    copied: cst.BaseExpression = source.deep_clone()
    return copied


def _names(target: Any) -> list[cst.Name]:
    return [target] if isinstance(target, cst.Name) else []
