"""The planner of loops that initialize `model.parameters()`: a Keras layer has none yet.

`for p in self.parameters(): if p.dim() > 1: init(p)` becomes a loop over the layers, whose
initializers are set.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, options
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit
from transpiler.rules.initializers import FUNCTIONS, bare, initializer
from transpiler.site import Site
from transpiler.syntax import code, find, walk
from transpiler.template import fill_statements

RECURRENT = ("torch.nn.LSTM", "torch.nn.GRU", "torch.nn.RNN", "torch.nn.LSTMCell",
             "torch.nn.GRUCell", "torch.nn.RNNCell")  # fmt: skip
_MATRIX = ("{p}.dim()>1", "{p}.dim()>=2", "{p}.dim()==2", "{p}.ndim>1", "{p}.ndim==2",
           "{p}.ndim>=2", "len({p}.shape)>1", "len({p}.size())>1", "len({p}.shape)>=2",
           "1<{p}.dim()", "len({p}.shape)==2")  # fmt: skip


def plan(context: Context) -> None:
    """Rewrite each such loop as a whole, or leave a finding at it."""
    for loop in find(context.module, cst.For):
        owner = _parameters_of(context, loop)
        if owner is None or not _initializes(context, loop):
            continue
        for node in walk(loop):
            context.claim(node)
        try:
            context.edits.replace(loop, _rewrite(context, loop, owner))
        except Unfit as error:
            context.unfit(loop.iter, "torch.nn.init", error)


def _parameters_of(context: Context, loop: cst.For) -> cst.BaseExpression | None:
    """The model whose parameters the loop runs over."""
    match loop.iter:
        case cst.Call(
            func=cst.Attribute(value=owner, attr=cst.Name(value="parameters" | "named_parameters"))
        ):
            return owner
    return None


def _initializes(context: Context, loop: cst.For) -> bool:
    return any(qualified_name(context, c.func) in FUNCTIONS for c in find(loop.body, cst.Call))


def _rewrite(context: Context, loop: cst.For, owner: Any) -> list[cst.BaseStatement]:
    target = loop.target
    names: list[Any] = [target]
    if isinstance(target, cst.Tuple):
        names = [e.value for e in target.elements]
    if not all(isinstance(n, cst.Name) for n in names):
        raise Unfit("what this loop initializes is not known")
    parameter = names[-1].value
    name = names[0].value if len(names) == 2 else None
    lines: list[Any] = []
    layer = owner if _is_recurrent(context, owner) else cst.Name(context.fresh("layer"))
    for roles, call in _statements(context, loop.body.body, parameter, name, ("matrix", "vector")):
        value = initializer(Site(context, call, str(qualified_name(context, call.func))))
        for role in roles:
            lines += fill_statements(
                f'set_initializer(layer, "{role}", value)',
                set_initializer=cst.Name(context.emit("set_initializer")),
                layer=layer if not lines else layer.deep_clone(),
                value=value if not lines else value.deep_clone(),
            )
    if _is_recurrent(context, owner):
        return lines
    return fill_statements(
        "for layer in model._flatten_layers():\n    lines",
        layer=layer,
        model=owner,
        lines=lines,
    )


def _is_recurrent(context: Context, owner: Any) -> bool:
    """Whether the parameters are those of a single recurrent layer."""
    values = options(context.fact(owner))
    return bool(values) and all(
        isinstance(v, Instance) and isinstance(v.cls, Symbol) and v.cls.name in RECURRENT
        for v in values
    )


def _statements(
    context: Context, body: Any, parameter: str, name: str | None, roles: tuple[str, ...]
) -> list[tuple[tuple[str, ...], cst.Call]]:
    """Each call of torch.nn.init with the kinds of parameters that it is for."""
    found: list[tuple[tuple[str, ...], cst.Call]] = []
    for statement in body:
        match statement:
            case cst.If():
                inside = _narrow(statement.test, parameter, name, roles)
                found += _statements(context, statement.body.body, parameter, name, inside)
                rest = tuple(r for r in roles if r not in inside)
                rest = ("bias",) if inside == ("weight",) else rest
                if isinstance(statement.orelse, cst.If):
                    found += _statements(context, [statement.orelse], parameter, name, rest)
                elif statement.orelse is not None:
                    found += _statements(context, statement.orelse.body.body, parameter, name, rest)
            case cst.SimpleStatementLine(body=[cst.Expr(value=cst.Call() as call)]) if (
                qualified_name(context, call.func) in FUNCTIONS
                and call.args
                and code(bare(call.args[0].value)) == parameter
            ):
                found.append((roles, call))
            case cst.SimpleStatementLine(body=[cst.Pass() | cst.Continue()]):
                pass
            case _:
                raise Unfit(
                    "the parameters of an unbuilt model are not there to be initialized",
                    "give the layers their initializers",
                )
    return found


def _narrow(
    test: cst.BaseExpression, parameter: str, name: str | None, roles: tuple[str, ...]
) -> tuple[str, ...]:
    """The kinds of parameters for which a test holds. Raises Unfit."""
    if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
        left = _narrow(test.left, parameter, name, roles)
        right = _narrow(test.right, parameter, name, roles)
        if {"weight", "matrix"} <= {*left, *right}:
            return ("matrix",)
        return tuple(r for r in left if r in right)
    text = code(test).replace(" ", "").replace("'", '"')
    if text in {m.format(p=parameter) for m in _MATRIX}:
        return tuple(r for r in roles if r == "matrix")
    if name is not None and text in (f'"weight"in{name}', f'{name}.endswith("weight")',
                                     f'{name}.endswith(".weight")'):  # fmt: skip
        return ("weight",)
    if name is not None and text in (f'"bias"in{name}', f'{name}.endswith("bias")',
                                     f'{name}.endswith(".bias")'):  # fmt: skip
        return ("bias",)
    raise Unfit(
        f"which parameters `{code(test)}` holds for is not known",
        "give the layers their initializers",
    )
