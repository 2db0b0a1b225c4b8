"""What `functools.partial` makes: a function that has some of its arguments already."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Instance, Symbol, Value
from transpiler.rule import infers

PARTIAL = "functools.partial"


@infers(PARTIAL)
def bound(call: Invocation) -> Value:
    function, *rest = call.positional or [UNKNOWN]
    return call.interpreter.allocate(
        Symbol(PARTIAL), call.node,
        {"func": function, "args": rest, "keywords": dict(call.keywords)},
    )  # fmt: skip


@infers(f"{PARTIAL}.__call__")
def called(call: Invocation) -> Value:
    """What is given now comes after what was given before, or takes its place."""
    made = call.receiver
    if not isinstance(made, Instance):
        return UNKNOWN
    function, given = made.arguments["func"], made.arguments["keywords"]
    positional = [*made.arguments["args"], *call.positional]
    return call.interpreter.call(function, positional, {**given, **call.keywords}, call.node)
