"""Tapes that functions are handed, which PyTorch's functions do without."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Value, options
from transpiler.planners.keras_tape.tapes import TAPE
from transpiler.syntax import find


def plan_handed_tapes(context: Context) -> None:
    """Arguments and parameters that are tapes go."""
    for function in find(context.module, cst.FunctionDef):
        params = function.params
        kept = [p for p in params.params if not _is_tape(context.fact(p.name))]
        if len(kept) < len(params.params) and not context.edits.edited(params):
            if kept:
                kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            context.edits.replace(params, params.with_changes(params=kept))
    for call in find(context.module, cst.Call):
        places = [i for i, a in enumerate(call.args) if _is_tape(context.fact(a.value))]
        if places and call not in context.claimed:
            context.edits.wrap(call, _without(places), inner=True)


def _is_tape(value: Value) -> bool:
    found = options(value)
    return bool(found) and all(
        isinstance(o, Instance) and o.class_names[:1] == (TAPE,) for o in found
    )


def _without(places: list[int]) -> Any:
    def change(result: Any) -> Any:
        if not isinstance(result, cst.Call):
            return result
        kept = [a for i, a in enumerate(result.args) if i not in places]
        if kept:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return result.with_changes(args=kept)

    return change


__all__ = ["plan_handed_tapes"]
