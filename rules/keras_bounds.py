"""What Keras adds to a weight beside the layer: regularizers and constraints."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Const, Instance, Symbol, Value, is_none
from transpiler.rule import Unfit
from transpiler.site import constant_value, missing
from transpiler.template import fill


def penalty(short: str, value: Value | None) -> tuple[float, float]:
    """The factors of a regularizer: L1 and L2. Raises Unfit."""
    if value is None or is_none(value):
        return 0.0, 0.0
    if isinstance(value, Const) and value.value in ("l1", "L1"):
        return 0.01, 0.0
    if isinstance(value, Const) and value.value in ("l2", "L2"):
        return 0.0, 0.01
    if isinstance(value, Instance):
        name, known = last_name(value).lower(), constants(value)
        if missing not in known.values():
            one = known.get("l1", known.get("l", 0.01) if name == "l1" else 0.0)
            two = known.get("l2", known.get("l", 0.01) if name == "l2" else 0.0)
            if name in ("l1", "l2", "l1l2", "l1_l2"):
                return (one or 0.0, two or 0.0)
    raise Unfit(
        f"a regularizer of {short} is not known before the program runs",
        "add its penalty to the loss by hand",
    )


def bound(context: Context, short: str, value: Value, linear: bool) -> cst.BaseExpression:
    """A function that puts a weight back into its bounds. Raises Unfit.

    linear: whether the weight is a Linear's, whose axes come the other way round.
    """
    if not context.notes.get("trainings"):
        raise Unfit(f"a constraint of {short} has no equal here", "apply it after each step")
    name, known = last_name(value), constants(value) if isinstance(value, Instance) else {}
    if name in ("NonNeg", "non_neg"):
        return fill("lambda w: w.clamp(min=0)")
    axis = known.get("axis", 0)
    if name in ("MaxNorm", "UnitNorm", "max_norm", "unit_norm") and axis in (0, 1):
        top = known.get("max_value", 2) if name.lower().startswith("max") else None
        dim = 1 - axis if linear else axis
        end = "" if dim == 1 else f", dim={dim}"
        text = f"lambda w: limit_norm(w{'' if top is None else ', top'}{end})"
        return fill(text, limit_norm=cst.Name(context.emit("limit_norm")), top=top)
    raise Unfit(f"the constraint {name or 'given here'} of {short} is not translated")


def last_name(value: Value) -> str:
    """`MaxNorm` of an object, a class or a string."""
    match value:
        case Instance():
            return (value.class_names or ("",))[0].rpartition(".")[2]
        case Symbol():
            return value.name.rpartition(".")[2]
        case Const():
            return str(value.value)
    return ""


def constants(value: Instance) -> dict[str, Any]:
    """The constant arguments that an object was made with."""
    return {k: constant_value(v) for k, v in value.arguments.items() if isinstance(v, Value)}
