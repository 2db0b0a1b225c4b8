"""What a program does with `x.grad` by itself: where it reads it and where it empties it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Symbol, Tensor, options
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit
from transpiler.syntax import code, find

Loop = cst.For


@dataclass(eq=False)
class Gradient:
    """The gradient of one thing: a tensor, or what a loop runs over.

    Places are indices of the block's statements; a tensor that is bound anew has no gradient.
    """

    owner: Any
    loop: Loop | None
    reads: list[tuple[int, Any]] = field(default_factory=list)
    empties: list[tuple[int, Any]] = field(default_factory=list)
    bound: list[int] = field(default_factory=list)
    name: str = ""

    @property
    def text(self) -> str:
        return code(self.owner)

    @property
    def root(self) -> str:
        return self.text.partition(".")[0].partition("(")[0]

    def is_cleared(self, low: int, high: int) -> bool:
        """Whether it is emptied, or the tensor another one, after one place and before another."""
        return any(low < place < high for place in [*self.bound, *(i for i, _ in self.empties)])


def gradients_in(
    context: Context, body: list[cst.BaseStatement], others: set[Any]
) -> list[Gradient]:
    """Every gradient that a block mentions outside of `others`, in the order of first mention."""
    found: dict[str, Gradient] = {}
    for index, statement in enumerate(body):
        if isinstance(statement, (cst.FunctionDef, cst.ClassDef)) or statement in others:
            continue
        for node in find(statement, cst.Attribute):
            if not is_gradient(context, node):
                continue
            loop = parameter_loop(context, node)
            owner = loop.iter if loop is not None else node.value
            gradient = found.setdefault(code(owner), Gradient(owner, loop))
            emptying = emptying_statement(context, node)
            if emptying is None:
                gradient.reads.append((index, node))
            elif (index, emptying) not in gradient.empties:
                gradient.empties.append((index, emptying))
    for gradient in found.values():
        if gradient.loop is None:
            gradient.bound = [i for i, s in enumerate(body) if gradient.root in set(_bound(s))]
    return list(found.values())


def is_gradient(context: Context, node: cst.CSTNode) -> bool:
    """Whether a node is `x.grad` of a tensor, not a function of that name."""
    return (
        isinstance(node, cst.Attribute)
        and node.attr.value == "grad"
        and isinstance(node.value, (cst.Name, cst.Attribute))
        and not isinstance(context.fact(node.value), Symbol)
    )


def _bound(statement: cst.CSTNode) -> Iterator[str]:
    """Names that a statement binds to something else; in-place changes do not."""
    for target in find(statement, cst.AssignTarget):
        if isinstance(target.target, cst.Name):
            yield target.target.value
        elif isinstance(target.target, (cst.Tuple, cst.List)):
            yield from (e.value.value for e in target.target.elements
                        if isinstance(e.value, cst.Name))  # fmt: skip


def parameter_loop(context: Context, node: cst.Attribute) -> Loop | None:
    """The loop over parameters whose variable a gradient is read of."""
    loop: Any = context.edits.enclosing(node, cst.For)
    while loop is not None:
        target = loop.target
        if isinstance(target, cst.Tuple) and len(target.elements) == 2:
            target = target.elements[1].value
        if code(target) == code(node.value):
            return loop if _is_parameters(context, loop) else None
        loop = context.edits.enclosing(loop, cst.For)
    return None


def _is_parameters(context: Context, loop: Loop) -> bool:
    if isinstance(loop.iter, cst.Call):
        return qualified_name(context, loop.iter.func) in (
            "torch.nn.Module.parameters", "torch.nn.Module.named_parameters",
        )  # fmt: skip
    return isinstance(loop.iter, (cst.Name, cst.Attribute, cst.List, cst.Tuple))


# ---- emptying ----------------------------------------------------------------------------------


def emptied_by(statement: Any) -> list[cst.BaseExpression]:
    """The tensors whose gradients a statement sets to zero, if it does nothing else."""
    if isinstance(statement, (cst.For, cst.If)):
        if statement.orelse is not None or not isinstance(statement.body, cst.IndentedBlock):
            return []
        parts = [emptied_by(s) for s in statement.body.body]
        idle = [s for s, part in zip(statement.body.body, parts, strict=True)
                if not part and not _prepares(s)]  # fmt: skip
        return [] if idle else [x for part in parts for x in part]
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return []
    match statement.body[0]:
        case cst.Expr(value=cst.Call(func=cst.Attribute(value=owner, attr=cst.Name("zero_")))):
            found = tensor_of(owner)
        case cst.Assign(targets=[cst.AssignTarget(target=target)], value=value):
            text = code(value)
            found = tensor_of(target) if text == "None" or "zero" in text else None
        case _:
            found = None
    return [] if found is None else [found]


def _prepares(statement: Any) -> bool:
    """`data = p.grad.data`, `p.grad.detach_()`: what comes before emptying."""
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    match small:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name())], value=value):
            return tensor_of(value) is not None
        case cst.Expr(value=cst.Call(func=cst.Attribute(value=owner, attr=cst.Name("detach_")))):
            return tensor_of(owner) is not None
    return False


def tensor_of(node: Any) -> cst.BaseExpression | None:
    """x of `x.grad`, `x.grad.data` and `x.grad.detach()`."""
    while True:
        match node:
            case cst.Attribute(value=owner, attr=cst.Name("grad")):
                return owner
            case cst.Attribute(value=inner, attr=cst.Name("data")):
                node = inner
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name("detach"))):
                node = inner
            case _:
                return None


def emptying_statement(context: Context, node: cst.Attribute) -> Any:
    """The outermost statement that only empties gradients and that a mention belongs to."""
    found = None
    current: Any = node
    while current is not None:
        if isinstance(current, (cst.SimpleStatementLine, cst.If, cst.For)):
            if emptied_by(current):
                found = current
            elif not (isinstance(current, cst.SimpleStatementLine) and _prepares(current)):
                break
        current = context.edits.parent.get(current)
    return found


# ---- reads -------------------------------------------------------------------------------------


def whole_read(context: Context, node: Any) -> Any:
    """`x.grad` with the `.data` and `.detach()` that follow it."""
    parents = context.edits.parent
    whole = node
    while True:
        above: Any = parents.get(whole)
        if isinstance(above, cst.Attribute) and above.attr.value == "data":
            whole = above
        elif isinstance(above, cst.Attribute) and above.attr.value == "detach":
            whole = parents[above]
        else:
            return whole


def refuse_writes(context: Context, gradient: Gradient) -> None:
    """Gradients that are written to, other than emptied. Raises Unfit."""
    for _, node in gradient.reads:
        whole = whole_read(context, node)
        above: Any = context.edits.parent.get(whole)
        if isinstance(above, (cst.AssignTarget, cst.AugAssign)) and (
            getattr(above, "target", None) is whole
        ):
            raise Unfit("a gradient is set by hand")
        if isinstance(above, cst.Attribute) and above.attr.value.endswith("_"):
            raise Unfit("a gradient is changed in place")
        if isinstance(above, cst.Subscript):
            if isinstance(context.edits.parent.get(above), (cst.AssignTarget, cst.AugAssign)):
                raise Unfit("elements of a gradient are set")


def is_variable(context: Context, node: cst.CSTNode) -> bool:
    """Whether a tensor is a variable wherever it comes from."""
    values = options(context.fact(node))
    return bool(values) and all(isinstance(v, Tensor) and v.variable for v in values)


def wants_gradient(context: Context, gradient: Gradient, scope: cst.CSTNode) -> bool:
    """False for a result of others of which nobody asked torch to keep a gradient."""
    if gradient.loop is not None or is_variable(context, gradient.owner):
        return True
    text = gradient.text
    if any(
        node.attr.value in ("requires_grad", "requires_grad_", "retain_grad")
        and code(node.value) == text
        for node in find(scope, cst.Attribute)
    ):
        return True
    bindings = [a for a in find(scope, cst.Assign) if text in {code(t.target) for t in a.targets}]
    return not bindings or any("requires_grad" in code(a.value) for a in bindings)


def is_result(context: Context, gradient: Gradient, scope: cst.CSTNode) -> bool:
    """Whether it is computed by others (and retains its gradient), so that nothing is watched."""
    return any(
        node.attr.value == "retain_grad" and code(node.value) == gradient.text
        for node in find(scope, cst.Attribute)
    )
