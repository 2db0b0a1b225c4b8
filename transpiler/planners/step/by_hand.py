"""Updates written by hand: `w -= lr * w.grad` and loops over `model.parameters()`."""

from __future__ import annotations

import re
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Tensor, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.clipping import clip_lines
from transpiler.planners.step.regions import Region, slice_of
from transpiler.rule import Unfit
from transpiler.syntax import code, find
from transpiler.template import fill, fill_statements

_ADDS = {"sub_": "assign_sub", "add_": "assign_add", "copy_": "assign"}


def rewrite_by_hand(context: Context, region: Region) -> None:
    """Tape, gradients by name, and assignments for in-place updates. Raises Unfit."""
    if len(region.backwards) != 1:
        raise Unfit("several backward passes and no optimizer")
    event = region.backwards[0]
    span = slice_of(context, region, event)
    if span is None or event.target is None or event.conditional:
        raise Unfit("the statements that compute this loss were not found in its block")
    if not isinstance(event.target, (cst.Name, cst.Attribute)):
        raise Unfit("backward() on an expression that has no name")
    uses = _gradient_uses(context, region)
    if not uses:
        raise Unfit(
            "backward() without an optimizer step in the same block",
            "apply the gradients where they are computed",
        )
    clips = [e for e in region.events if e.kind == "clip"]
    if clips and not all(_parameter_loop(context, n) for nodes in uses.values() for n in nodes):
        raise Unfit("gradients that are clipped and then used by their names")
    first, last = span
    body = region.body
    inner = list(body[first : last + 1])
    tape = fill_statements("with tf.GradientTape() as tape:\n    body", body=inner)[0]
    taped = context.notes.setdefault("taped", {})
    for statement in inner:
        taped.setdefault(statement, "tape")
    context.claim(event.node)
    lines = _plan_uses(context, region, uses, event.target)
    context.edits.replace(event.statement, lines)
    for clip in clips:
        context.claim(clip.node)
        context.edits.replace(clip.statement, clip_lines(context, clip, cst.Name("gradients")))
    for zero in [e for e in region.events if e.kind == "zero"]:
        context.claim(zero.node)
        context.edits.replace(zero.statement, [])
    context.edits.replace_body(region.block, [*body[:first], tape, *body[last + 1 :]])
    context.remark(
        event.statement, "training-step",
        "the step stays eager, which is slower than a @tf.function: it updates variables by hand",
    )  # fmt: skip


def _gradient_uses(context: Context, region: Region) -> dict[str, list[cst.Attribute]]:
    """`x.grad` by the text of x."""
    found: dict[str, list[cst.Attribute]] = {}
    for statement in region.body:
        for node in find(statement, cst.Attribute):
            if node.attr.value == "grad" and isinstance(node.value, (cst.Name, cst.Attribute)):
                found.setdefault(code(node.value), []).append(node)
    return found


def _plan_uses(
    context: Context,
    region: Region,
    uses: dict[str, list[cst.Attribute]],
    loss: cst.BaseExpression,
) -> list[cst.BaseStatement]:
    names: list[str] = []
    sources: list[cst.BaseExpression] = []
    lines: list[cst.BaseStatement] = []
    for text, nodes in uses.items():
        loops = {_parameter_loop(context, n) for n in nodes}
        if None not in loops and loops:
            lines += _plan_loops(context, loops, loss)
            name = "gradient"
        else:
            name = context.fresh(re.sub(r"\W+", "_", text.removeprefix("self.")) + "_grad")
            names.append(name)
            sources.append(nodes[0].value)
        for node in nodes:
            _plan_use(context, node, name)
    if sources:
        target: Any = cst.Name(names[0])
        if len(names) > 1:
            target = cst.Tuple([cst.Element(cst.Name(n)) for n in names], lpar=[], rpar=[])
        source: Any = sources if len(sources) > 1 else sources[0]
        lines += fill_statements(
            "target = tape.gradient(loss, source)", target=target, loss=loss, source=source
        )
    for statement in region.body:
        _plan_updates(context, statement)
    return lines


def _parameter_loop(context: Context, node: cst.CSTNode) -> cst.For | None:
    """The `for p in model.parameters()` whose variable a gradient is read of."""
    assert isinstance(node, cst.Attribute)
    loop = context.edits.enclosing(node, cst.For)
    while loop is not None:
        if isinstance(loop.iter, cst.Call) and code(loop.target) == code(node.value):
            if qualified_name(context, loop.iter.func) == "torch.nn.Module.parameters":
                return loop  # type: ignore[no-any-return]
        loop = context.edits.enclosing(loop, cst.For)
    return None


def _plan_loops(
    context: Context, loops: set[Any], loss: cst.BaseExpression
) -> list[cst.BaseStatement]:
    lines: list[cst.BaseStatement] = []
    for loop in sorted(loops, key=id):
        model = loop.iter.func.value
        context.claim(loop.iter)
        if not lines:
            lines = fill_statements(
                "gradients = tape.gradient(loss, model.trainable_variables)", loss=loss, model=model
            )
        context.edits.replace(
            loop.iter, fill("zip(gradients, model.trainable_variables)", model=model)
        )
        target = fill("(gradient, p)", p=loop.target)
        context.edits.replace(loop.target, target.with_changes(lpar=[], rpar=[]))
    return lines


def _plan_use(context: Context, node: cst.Attribute, name: str) -> None:
    """Replace `x.grad` (and `x.grad.data`) by the gradient's name; drop what clears it."""
    edits = context.edits
    whole: Any = node
    while isinstance(edits.parent[whole], cst.Attribute) and edits.parent[whole].attr.value in (  # type: ignore[attr-defined]
        "data", "zero_", "detach",
    ):  # fmt: skip
        whole = edits.parent[whole]
    if isinstance(whole, cst.Attribute) and whole.attr.value in ("zero_", "detach"):
        call = edits.parent[whole]
        if whole.attr.value == "zero_":
            _drop(context, call)
            return
        whole = call
    parent = edits.parent[whole]
    if isinstance(parent, cst.AssignTarget):
        _drop(context, parent)
        return
    if isinstance(parent, cst.Comparison):
        test = edits.parent[parent]
        if isinstance(test, cst.If) and "zero_" in code(test.body):
            for inner in find(test, cst.Call, cst.Attribute):
                context.claim(inner)
            edits.replace(test, [])
            return
    for inner in find(whole, cst.Attribute):
        context.claim(inner)
    context.claim(whole)
    edits.replace(whole, cst.Name(name))


def _drop(context: Context, node: cst.CSTNode) -> None:
    statement = context.edits.statement(node)
    for inner in find(statement, cst.Call, cst.Attribute):
        context.claim(inner)
    context.edits.replace(statement, [])


def _plan_updates(context: Context, statement: cst.CSTNode) -> None:
    """In-place changes of variables as assignments to them."""
    for line in find(statement, cst.SimpleStatementLine):
        if context.edits.edited(line):
            continue
        small = line.body[0]
        if isinstance(small, cst.AugAssign):
            method = {cst.SubtractAssign: "assign_sub", cst.AddAssign: "assign_add"}.get(
                type(small.operator)
            )
            variable = _variable(context, small.target)
            if method and variable is not None:
                _replace(context, line, variable, method, small.value)
        elif isinstance(small, cst.Assign) and len(small.targets) == 1:
            target = small.targets[0].target
            if isinstance(target, cst.Attribute) and target.attr.value == "data":
                variable = _variable(context, target)
                if variable is not None:
                    _replace(context, line, variable, "assign", small.value)
        elif isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
            func = small.value.func
            if isinstance(func, cst.Attribute) and func.attr.value in _ADDS and small.value.args:
                variable = _variable(context, func.value)
                if variable is not None:
                    args = small.value.args
                    value = args[0].value
                    if len(args) == 2:
                        value = fill("a * b", a=args[1].value, b=value)
                    context.claim(small.value)
                    _replace(context, line, variable, _ADDS[func.attr.value], value)


def _variable(context: Context, node: cst.BaseExpression) -> cst.BaseExpression | None:
    """The variable that `w` or `w.data` stands for."""
    if isinstance(node, cst.Attribute) and node.attr.value == "data":
        context.claim(node)
        node = node.value
    if not isinstance(node, (cst.Name, cst.Attribute)):
        return None
    if any(isinstance(o, Tensor) and o.variable for o in options(context.fact(node))):
        return node
    return None


def _replace(
    context: Context, line: cst.CSTNode, variable: Any, method: str, value: cst.BaseExpression
) -> None:
    new = fill_statements(f"variable.{method}(value)", variable=variable, value=value)
    context.edits.replace(line, new)
