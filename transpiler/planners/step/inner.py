"""`torch.autograd.grad`: the gradient of a value with respect to inputs, by a tape of its own."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import reads, writes
from transpiler.infer.values import Tensor, options
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.syntax import find, names_read
from transpiler.template import fill, fill_statements

NAME = "torch.autograd.grad"


def plan(context: Context) -> None:
    """A tape around the statements between the inputs and the outputs of each call."""
    for call in find(context.module, cst.Call):
        if qualified_name(context, call.func) == NAME:
            site = Site(context, call, NAME)
            context.claim(call)
            try:
                _rewrite(context, site, call)
            except Unfit as error:
                context.unfit(call, "autograd.grad", error)


def _rewrite(context: Context, site: Site, call: cst.Call) -> None:
    outputs, inputs = site.arg("outputs"), site.arg("inputs")
    statement = context.edits.statement(call)
    block: Any = context.edits.parent[statement]
    if not isinstance(block, (cst.IndentedBlock, cst.Module)):
        raise Unfit("a gradient inside a condition of its own")
    body = context.edits.body_of(block)
    if statement not in body:
        raise Unfit("the statements around this gradient are rearranged already")
    place = body.index(statement)
    first, last, extra = _span(context, body, place, outputs, inputs)
    tape = cst.Name(context.fresh("inner_tape"))
    wanted = _wanted(inputs)
    lines = [] if _is_variable(context, wanted) else fill_statements(
        "tape.watch(inputs)", tape=tape, inputs=wanted
    )  # fmt: skip
    inner = [*lines, *body[first : last + 1]]
    if extra is not None:
        name = cst.Name(context.fresh("value"))
        inner += fill_statements("name = value", name=name, value=extra)
        outputs = name
    block_with = fill_statements("with tf.GradientTape() as tape:\n    body", tape=tape, body=inner)
    context.edits.replace_body(block, [*body[:first], *block_with, *body[last + 1 :]])
    _replace_call(context, site, call, outputs, inputs, tape)


def _wanted(inputs: cst.BaseExpression) -> cst.BaseExpression:
    return inputs


def _is_variable(context: Context, node: cst.BaseExpression) -> bool:
    return any(isinstance(o, Tensor) and o.variable for o in options(context.fact(node)))


def _span(
    context: Context, body: list[Any], place: int, outputs: cst.BaseExpression, inputs: Any
) -> tuple[int, int, cst.BaseExpression | None]:
    """First and last statement to record; an expression to name inside where outputs is none."""
    sources = names_read(inputs)
    bound = [i for i in range(place) if writes(body[i]) & sources]
    start = (max(bound) + 1) if bound else 0
    needed = reads(outputs)
    used: list[int] = []
    for index in range(place - 1, start - 1, -1):
        if writes(body[index]) & needed:
            used.append(index)
            needed |= reads(body[index])
    simple = isinstance(outputs, (cst.Name, cst.Attribute))
    if not used:
        if simple:
            raise Unfit("the statements that compute this gradient's value were not found")
        return place, place - 1, outputs
    return min(used), max(used), None if simple else outputs


def _replace_call(
    context: Context, site: Site, call: cst.Call, outputs: Any, inputs: Any, tape: cst.Name
) -> None:
    """`grad(outputs, inputs)[0]` is the tape's gradient; without the index, a list of one."""
    weights = site.args.get("grad_outputs")
    if weights is not None and _is_ones(context, weights):
        weights = None
    template = "tape.gradient(outputs, inputs)"
    if weights is not None:
        template = "tape.gradient(outputs, inputs, output_gradients=weights)"
    if not isinstance(outputs, (cst.Name, cst.Attribute, cst.List, cst.Tuple)):
        raise Unfit("the gradient of an expression without a name")
    new = fill(template, tape=tape, outputs=outputs, inputs=inputs, weights=weights)
    parent = context.edits.parent[call]
    many = isinstance(inputs, (cst.List, cst.Tuple)) or _is_list(context, inputs)
    if many:
        context.edits.replace(call, new)
    elif isinstance(parent, cst.Subscript) and parent.value is call:
        context.edits.replace(parent, new)
    else:
        context.edits.replace(call, fill("[value]", value=new))


def _is_list(context: Context, node: cst.CSTNode) -> bool:
    from transpiler.infer.values import ListObject, Sequence

    return any(isinstance(o, (ListObject, Sequence)) for o in options(context.fact(node)))


def _is_ones(context: Context, node: cst.BaseExpression) -> bool:
    """Ones as weights are what a tape takes by itself."""
    for inner in find(node, cst.Call):
        name = qualified_name(context, inner.func)
        if name in ("torch.ones_like", "torch.ones"):
            return True
    if isinstance(node, cst.Name):
        scope = context.edits.enclosing(node, cst.FunctionDef) or context.module
        for assign in find(scope, cst.Assign):
            target = assign.targets[0].target
            if isinstance(target, cst.Name) and target.value == node.value:
                return not isinstance(assign.value, cst.Name) and _is_ones(context, assign.value)
    return False
