"""The text of a class that is written for a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst

from transpiler.context import Context
from transpiler.planners.keras_names import free_name
from transpiler.syntax import find, names_read
from transpiler.template import fill_statements

if TYPE_CHECKING:
    from transpiler.planners.keras_graph.trace import Trace


def class_of(
    name: str,
    params: list[cst.Param],
    arguments: list[str],
    trace: Trace,
    result: cst.BaseExpression,
    doc: cst.BaseStatement | None = None,
) -> list[cst.BaseStatement]:
    """A module that makes its layers and runs them."""
    text = f"class {name}(torch.nn.Module):\n    def __init__(self):\n"
    text += "        super().__init__()\n        prelude\n"
    holes: dict[str, Any] = {}
    for index, (attribute, module) in enumerate(trace.setup.items()):
        text += f"        self.{attribute} = hole_{index}\n"
        holes[f"hole_{index}"] = module
    text += f"\n    def forward(self, {', '.join(arguments)}):\n"
    text += "        lines\n        return result\n"
    first = [cst.SimpleStatementLine([a]) for a in prelude(trace)]
    made = fill_statements(text, **holes, prelude=first, lines=trace.lines, result=result)
    return [_with_params(s, params, doc) for s in made]


def docstring(function: cst.FunctionDef) -> cst.BaseStatement | None:
    """What a function says of itself."""
    first = function.body.body[0] if function.body.body else None
    small = first.body[0] if isinstance(first, cst.SimpleStatementLine) else None
    if isinstance(small, cst.Expr) and isinstance(small.value, cst.SimpleString):
        return cst.SimpleStatementLine([small])
    return None


def prelude(trace: Trace) -> list[cst.Assign]:
    """What the constructor computes first, as far as its layers read it."""
    needed = set().union(*(names_read(v) for v in trace.setup.values()))
    found: list[cst.Assign] = []
    for assign in reversed(dict.fromkeys(trace.scope.prelude.values())):
        if needed & {n.value for n in find(assign.targets[0].target, cst.Name)}:
            needed |= names_read(assign.value)
            found.insert(0, assign)
    return found


def names_needed(trace: Trace) -> set[str]:
    """The names that the constructor reads."""
    values = [*trace.setup.values(), *(a.value for a in prelude(trace))]
    return set().union(*(names_read(v) for v in values))


def _with_params(statement: Any, params: list[cst.Param], doc: Any) -> Any:
    if not isinstance(statement, cst.ClassDef):
        return statement
    init: Any = statement.body.body[0]
    comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    every = [*init.params.params, *params]
    every = [p.with_changes(comma=comma) for p in every[:-1]] + every[-1:]
    new = init.with_changes(params=init.params.with_changes(params=every))
    body = statement.body.with_changes(
        body=[*([doc] if doc else []), new, *statement.body.body[1:]]
    )
    return statement.with_changes(body=body)


def parameter(param: cst.Param) -> cst.Param:
    """A function's parameter as one of a constructor."""
    return cst.Param(cst.Name(param.name.value), default=param.default, annotation=param.annotation)


def free_class_name(context: Context, name: str) -> str:
    """A name for one more class: `Block`, `Block2`."""
    first = free_name(context, name)
    number = 1
    while first != name:
        number += 1
        candidate = f"{name}{number}"
        if candidate not in context.names:
            context.names.add(candidate)
            context.notes["variables"].add(candidate)
            return candidate
    return first


def outermost(context: Context, node: cst.CSTNode) -> Any:
    """The statement of the module that a node stands in."""
    top = context.edits.statement(node)
    while not isinstance(context.edits.parent[top], cst.Module):
        top = context.edits.statement(context.edits.parent[top])
    return top
