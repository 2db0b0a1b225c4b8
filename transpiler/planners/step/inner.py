"""`torch.autograd.grad`: the gradient of a value with respect to inputs, by a tape of its own."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import ListObject, Sequence, Tensor, options
from transpiler.inner_gradients import NAME
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import fill, fill_statements

_MOVES = frozenset("to cuda cpu type type_as float double expand expand_as".split())


def plan(context: Context) -> None:
    """The block around what each call differentiates (`inner_gradients`) becomes a tape."""
    blocks: dict[cst.CSTNode, cst.With] = context.notes.get("inner gradients", {})
    taken: dict[cst.With, list[Site]] = {}
    for call in find(context.module, cst.Call):
        if qualified_name(context, call.func) == NAME:
            context.claim(call)
            try:
                site, block = Site(context, call, NAME), blocks.get(call)
                if block is None:
                    raise Unfit("the statements that compute this gradient's value were not found")
                _replace_call(context, site, call, _tape(block))
                taken.setdefault(block, []).append(site)
            except Unfit as error:
                context.unfit(call, "autograd.grad", error)
    for block in dict.fromkeys(blocks.values()):
        _record(context, block, taken.get(block, []))


def _tape(block: cst.With) -> cst.BaseExpression:
    asname = block.items[0].asname
    assert asname is not None
    assert isinstance(asname.name, cst.Name)
    return asname.name


def _record(context: Context, block: cst.With, sites: list[Site]) -> None:
    """The block as a tape that watches the inputs, where it is still asked for gradients."""
    context.claim(block.items[0].item)
    if not sites:
        context.edits.unwrap(block)
        return
    tape = fill("tf.GradientTape(persistent=True)" if len(sites) > 1 else "tf.GradientTape()")
    context.edits.replace(block.items[0].item, tape)
    inputs = {code(i): i for s in sites if not _is_variable(context, i := s.arg("inputs"))}
    for each in inputs.values():
        lines = fill_statements("tape.watch(inputs)", tape=_tape(block), inputs=each)
        context.edits.insert_before(block.body.body[0], lines)


def _is_variable(context: Context, node: cst.BaseExpression) -> bool:
    """Whether the inputs are trained variables, which a tape watches by itself."""
    if isinstance(node, cst.Call):
        inner = node.args[0].value if code(node.func) in ("list", "tuple") and node.args else node
        name = qualified_name(context, inner.func) if isinstance(inner, cst.Call) else None
        return name == "torch.nn.Module.parameters"
    return any(isinstance(o, Tensor) and o.variable for o in options(context.fact(node)))


def _replace_call(context: Context, site: Site, call: cst.Call, tape: cst.BaseExpression) -> None:
    """`grad(outputs, inputs)[0]` is the tape's gradient; without the index, a list of one."""
    outputs, inputs = site.arg("outputs"), site.arg("inputs")
    weights = site.args.get("grad_outputs")
    if weights is not None and (code(weights) == "None" or _is_ones(context, weights)):
        weights = None
    template = "tape.gradient(outputs, inputs)"
    if weights is not None:
        template = "tape.gradient(outputs, inputs, output_gradients=weights)"
    new = fill(template, tape=tape, outputs=outputs, inputs=inputs, weights=weights)
    parent = context.edits.parent[call]
    many = isinstance(inputs, (cst.List, cst.Tuple)) or _is_list(context, inputs)
    if many:
        context.edits.replace(call, new)
    elif isinstance(parent, cst.Subscript) and parent.value is call:
        context.edits.replace(parent, new)
    elif isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Tuple):
        context.edits.replace(call, fill("(value,)", value=new))
    else:
        context.edits.replace(call, fill("[value]", value=new))


def _is_list(context: Context, node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Call) and _is_variable(context, node):
        return True
    return any(isinstance(o, (ListObject, Sequence)) for o in options(context.fact(node)))


def _is_ones(context: Context, node: cst.BaseExpression) -> bool:
    """Ones as weights are what a tape takes by itself."""
    match node:
        case cst.IfExp():
            return _is_ones(context, node.body) and _is_ones(context, node.orelse)
        case cst.Call():
            name = qualified_name(context, node.func)
            if name in ("torch.ones_like", "torch.ones"):
                return True
            if name == "torch.autograd.Variable" and node.args:
                return _is_ones(context, node.args[0].value)
            func = node.func
            moved = isinstance(func, cst.Attribute) and func.attr.value in _MOVES
            return isinstance(func, cst.Attribute) and moved and _is_ones(context, func.value)
        case cst.Name():
            return _all_ones(context, node)
    return False


def _all_ones(context: Context, node: cst.Name) -> bool:
    """Whether all that a function assigns to a name are ones."""
    scope: Any = context.edits.enclosing(node, cst.FunctionDef) or context.module
    values = [
        a.value
        for a in find(scope, cst.Assign)
        for t in a.targets
        if isinstance(t.target, cst.Name) and t.target.value == node.value
    ]
    return bool(values) and all(
        not isinstance(v, cst.Name) and _is_ones(context, v) for v in values
    )
