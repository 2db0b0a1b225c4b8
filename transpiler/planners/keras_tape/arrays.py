"""NumPy arrays that TensorFlow takes for tensors: at models' doors and in traced functions."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Instance,
    ListObject,
    Sequence,
    Tensor,
    Value,
    element_of,
    is_none,
    options,
)
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_floatx import CASTS, floatx
from transpiler.planners.keras_tape.flags import called_modules, entry_of, parameters
from transpiler.planners.keras_tape.functions import TRACED
from transpiler.planners.keras_tape.modes import ModelCall, Modes
from transpiler.planners.keras_tape.reaching import arguments_of_callers
from transpiler.planners.keras_tape.sensitive import parts_of
from transpiler.planners.keras_tape.tapes import Tape
from transpiler.planners.keras_tape.updates import scope_of
from transpiler.syntax import docstring_end, find
from transpiler.template import fill, fill_statements


def plan_arrays(context: Context, modes: Modes, tapes: list[Tape]) -> None:
    """`torch.as_tensor` where an array meets a model or arithmetic with tensors."""
    converted: set[tuple[Any, str]] = set()
    recording = {t.function for t in tapes}
    for function in find(context.module, cst.FunctionDef):
        if function in recording or _is_traced(context, function):
            _convert_parameters(context, modes, function, converted)
    for call in modes.every.values():
        for arg in call.node.args:
            if arg.keyword is None or arg.keyword.value in ("inputs", "x"):
                _convert_input(context, call, arg.value, converted)


def is_array(value: Value) -> bool:
    """Whether a value is a NumPy array for certain."""
    found = [o for o in options(value) if not is_none(o)]
    return bool(found) and all(isinstance(o, Tensor) and o.library == "numpy" for o in found)


def _is_traced(context: Context, function: cst.FunctionDef) -> bool:
    for decorator in function.decorators:
        node = decorator.decorator
        name = qualified_name(context, node.func if isinstance(node, cst.Call) else node)
        if name in TRACED:
            return True
    return False


def _convert_parameters(
    context: Context, modes: Modes, function: cst.FunctionDef, converted: set[tuple[Any, str]]
) -> None:
    lines: list[cst.BaseStatement] = []
    params = [*function.params.params, *function.params.kwonly_params]
    for param in params:
        if not is_array(context.fact(param.name)):
            continue
        name = param.name.value
        reads = [n for n in find(function.body, cst.Name) if n.value == name]
        taken = [c for n in reads if (c := _model_called(context, modes, n)) is not None]
        if not taken and not any(_computes(context, n) for n in reads):
            continue
        converted.add((function, name))
        text = "x = torch.as_tensor(x)"
        if taken and not any(takes_ids(context, c) for c in taken):
            text = f"x = torch.as_tensor(x, dtype=torch.{floatx(context)})"
        lines += fill_statements(text, x=cst.Name(name))
    if lines:
        body = list(function.body.body)
        first = body[min(docstring_end(body), len(body) - 1)]  # type: ignore[arg-type]
        context.edits.insert_before(first, lines)


def _model_called(context: Context, modes: Modes, name: cst.Name) -> ModelCall | None:
    """The model that a name is handed to."""
    parent = context.edits.parent.get(name)
    around = context.edits.parent.get(parent) if isinstance(parent, cst.Arg) else None
    return modes.every.get(around) if isinstance(around, cst.Call) else None


def _computes(context: Context, name: cst.Name) -> bool:
    """Whether a read of an array is part of arithmetic, not handed to a call."""
    parent = context.edits.parent.get(name)
    return isinstance(parent, (cst.BinaryOperation, cst.Comparison, cst.UnaryOperation,
                               cst.ComparisonTarget, cst.Subscript))  # fmt: skip


def _convert_input(
    context: Context, call: ModelCall, node: cst.BaseExpression, converted: set[tuple[Any, str]]
) -> None:
    if isinstance(node, (cst.List, cst.Tuple)) and node.elements:
        for element in node.elements:
            _convert_input(context, call, element.value, converted)
        return
    fact = context.fact(node)
    if isinstance(node, cst.Name) and (scope_of(context, node), node.value) in converted:
        return
    several = isinstance(fact, (ListObject, Sequence)) and is_array(element_of(fact))
    if (
        not is_array(fact)
        and not several
        and not (fact is UNKNOWN and _may_be_array(context, call, node))
    ):
        if _is_double(fact) and floatx(context) != "float64" and not takes_ids(context, call):
            cast = f"x.{CASTS[floatx(context)]}()"
            context.edits.wrap(node, lambda x: fill(cast, x=x))
        return
    dtype = "" if takes_ids(context, call) else f", dtype=torch.{floatx(context)}"
    form = f"torch.as_tensor(x{dtype})"
    if isinstance(fact, (ListObject, Sequence)):
        form = f"[torch.as_tensor(item{dtype}) for item in x]"
    context.edits.wrap(node, lambda x: fill(form, x=x))


def _may_be_array(context: Context, call: ModelCall, node: cst.BaseExpression) -> bool:
    """Whether something of which nothing is known comes from outside of the framework.

    Functions that nobody calls here say nothing: who calls them hands over tensors.
    """
    if not isinstance(node, (cst.Name, cst.Subscript, cst.Attribute)):
        return False
    function = context.edits.enclosing(node, cst.FunctionDef)
    if isinstance(function, cst.FunctionDef):
        if not any(True for _ in arguments_of_callers(context, function)):
            return False
    return bool(call.models) and all(_takes_tensor(context, m) for m in call.models)


def _takes_tensor(context: Context, model: Instance) -> bool:
    """Whether a model is called on one tensor, not on several."""
    entry = entry_of(model)
    if entry is None:
        inputs = model.state.get("inputs")
        return not isinstance(inputs, Value) or isinstance(inputs, Tensor)
    first = next((p.name.value for p in parameters(entry)), "")
    return any(
        called_modules(context, inner) and isinstance(inner.args[0].value, cst.Name)
        and inner.args[0].value.value == first
        for inner in find(entry.body, cst.Call) if inner.args
    )  # fmt: skip


def _is_double(value: Value) -> bool:
    found = options(value)
    return bool(found) and all(
        isinstance(o, Tensor) and o.library == "tf" and o.dtype == "float64" for o in found
    )


def takes_ids(context: Context, call: ModelCall) -> bool:
    """Whether a model has an embedding: whole numbers stay whole."""
    return any(
        "keras.layers.Embedding" in part.class_names
        for model in call.models
        for part in parts_of(context, model)
    )
