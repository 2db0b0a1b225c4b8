"""Where optimizers update variables: `apply_gradients`, `minimize`, and what comes before them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_tape.tapes import Gradient
from transpiler.syntax import find

OPTIMIZER = "keras.Optimizer"
APPLY = (
    f"{OPTIMIZER}.apply_gradients",
    f"{OPTIMIZER}.apply",
    "to_tf.ParameterGroups.apply_gradients",
)
MINIMIZE = f"{OPTIMIZER}.minimize"


@dataclass(eq=False)
class Change:
    """What is done to the gradients between the tape and the optimizer."""

    kind: str
    """`global_norm` for clipping by the norm of all, `each` for an expression of each gradient;
    else the function of torch.nn.utils that it is."""
    statement: Any
    value: cst.BaseExpression
    """The bound, or the expression."""
    names: tuple[str, ...] = ()
    """What the expression calls the gradient and, where it does, the variable."""
    norm: cst.BaseExpression | None = None
    """Where the norm of all goes."""
    options: dict[str, Any] | None = None
    """What the function of torch.nn.utils takes beside the parameters."""


@dataclass(eq=False)
class Update:
    """One call that updates variables."""

    node: cst.Call
    optimizer: cst.BaseExpression
    optimizers: list[Instance]
    gradients: cst.BaseExpression | None = None
    variables: cst.BaseExpression | None = None
    pairs: list[tuple[cst.BaseExpression, cst.BaseExpression]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    gradient: Gradient | None = None
    """The gradient that it applies, where nothing else reads it."""
    extra: list[Any] = field(default_factory=list)
    """Statements that have no other use."""
    loss: cst.BaseExpression | None = None
    """The function that `minimize` is given."""


def read_updates(context: Context) -> list[Update]:
    """The updates of the module, in source order."""
    found = []
    for node in find(context.module, cst.Call):
        func = node.func
        if not isinstance(func, cst.Attribute):
            continue
        if func.attr.value not in ("apply_gradients", "apply", "minimize"):
            continue
        name = qualified_name(context, func)
        unknown = name is None and func.attr.value == "apply_gradients"
        if name not in (*APPLY, MINIMIZE) and not unknown:
            continue
        update = Update(node, func.value, optimizers_at(context, func.value))
        _read_arguments(context, update, func.attr.value)
        found.append(update)
    return found


def optimizers_at(context: Context, node: cst.BaseExpression) -> list[Instance]:
    """The library's optimizers that an expression may be."""
    return [
        o
        for o in options(context.fact(node))
        if isinstance(o, Instance) and context.knowledge.derives(o, OPTIMIZER)
    ]


def _argument(node: cst.Call, name: str, at: int) -> cst.BaseExpression | None:
    for arg in node.args:
        if arg.keyword is not None and arg.keyword.value == name:
            return arg.value
    plain = [a.value for a in node.args if a.keyword is None and not a.star]
    return plain[at] if at < len(plain) else None


def _read_arguments(context: Context, update: Update, method: str) -> None:
    node = update.node
    if method == "apply":
        update.gradients = _argument(node, "grads", 0)
        update.variables = _argument(node, "trainable_variables", 1)
    elif method == "minimize":
        update.loss = _argument(node, "loss", 0)
        update.variables = _argument(node, "var_list", 1)
    else:
        given = _argument(node, "grads_and_vars", 0)
        if given is not None:
            _read_pairs(context, update, given)


def _read_pairs(context: Context, update: Update, given: cst.BaseExpression) -> None:
    """Gradients and variables, whichever way they are put together."""
    match given:
        case cst.Call(func=cst.Name(value="zip"), args=[cst.Arg(value=grads), cst.Arg(value=vars)]):
            update.gradients, update.variables = grads, vars
        case cst.Call(func=cst.Name(value="list" | "tuple"), args=[cst.Arg(value=inner)]):
            _read_pairs(context, update, inner)
        case cst.List(elements=elements) | cst.Tuple(elements=elements):
            for element in elements:
                match element.value:
                    case cst.Tuple(elements=[cst.Element(value=g), cst.Element(value=v)]):
                        update.pairs.append((g, v))
                    case _:
                        update.pairs.clear()
                        return
        case cst.ListComp() | cst.GeneratorExp():
            _read_comprehension(context, update, given)
        case cst.Name():
            found = only_assignment(context, given)
            if found is not None and _reads(context, given) == 1:
                _read_pairs(context, update, found.value)
                update.extra.append(context.edits.statement(found))


def _read_comprehension(
    context: Context, update: Update, node: cst.ListComp | cst.GeneratorExp
) -> None:
    """`[(change(g), v) for g, v in zip(grads, variables)]`."""
    loop = node.for_in
    match node.elt, loop.target:
        case (
            cst.Tuple(elements=[cst.Element(value=new), cst.Element(value=cst.Name(value=last))]),
            cst.Tuple(
                elements=[
                    cst.Element(value=cst.Name(value=first)),
                    cst.Element(value=cst.Name(value=second)),
                ]
            ),
        ) if last == second and loop.inner_for_in is None:
            if any(first not in _names(test.test) or "None" not in _names(test.test)
                   for test in loop.ifs):  # fmt: skip
                return
            _read_pairs(context, update, loop.iter)
            if not (isinstance(new, cst.Name) and new.value == first) and update.gradients:
                update.changes.append(Change("each", None, new, (first, second)))


def _names(node: cst.CSTNode) -> set[str]:
    return {n.value for n in find(node, cst.Name)}


def scope_of(context: Context, node: cst.CSTNode) -> Any:
    """The function that a node stands in, or the module."""
    return context.edits.enclosing(node, cst.FunctionDef) or context.module


def assignments(context: Context, scope: Any, name: str) -> list[tuple[cst.Assign, int | None]]:
    """Assignments of a name in a function, with its place in a tuple of targets."""
    found: list[tuple[cst.Assign, int | None]] = []
    for assign in find(scope, cst.Assign):
        if scope_of(context, assign) is not scope:
            continue
        for target in assign.targets:
            if isinstance(target.target, cst.Name) and target.target.value == name:
                found.append((assign, None))
            elif isinstance(target.target, cst.Tuple):
                for index, element in enumerate(target.target.elements):
                    if isinstance(element.value, cst.Name) and element.value.value == name:
                        found.append((assign, index))
    return found


def only_assignment(context: Context, name: cst.Name) -> cst.Assign | None:
    """The one plain assignment of a name in its function."""
    found = assignments(context, scope_of(context, name), name.value)
    return found[0][0] if len(found) == 1 and found[0][1] is None else None


def _reads(context: Context, name: cst.Name) -> int:
    return len(reads_of(context, scope_of(context, name), name.value))


def reads_of(context: Context, scope: Any, name: str) -> list[cst.Name]:
    """Where a name is read in a function (its inner functions included)."""
    return [
        node
        for node in find(scope, cst.Name)
        if node.value == name and not _is_no_read(context, node)
    ]


def _is_no_read(context: Context, node: cst.Name) -> bool:
    parent = context.edits.parent.get(node)
    match parent:
        case cst.AssignTarget() | cst.Param():
            return getattr(parent, "default", None) is not node
        case cst.Attribute():
            return parent.attr is node
        case cst.Arg():
            return parent.keyword is node
        case cst.Element():
            above = context.edits.parent[parent]
            return isinstance(above, cst.Tuple) and isinstance(
                context.edits.parent.get(above), cst.AssignTarget
            )
    return False
