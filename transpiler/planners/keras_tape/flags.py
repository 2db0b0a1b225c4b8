"""How a model is told whether it trains: by `training`, or by a parameter handed on as that."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Function, Instance, options
from transpiler.modules import is_module
from transpiler.syntax import find

TRAINING = "training"
SECOND = frozenset(
    """BatchNormalization SyncBatchNormalization Dropout SpatialDropout1D SpatialDropout2D
    SpatialDropout3D AlphaDropout GaussianDropout GaussianNoise""".split()
)
"""Layers that take the flag as their second argument."""
FITS = ("fit", "fit_generator", "train_on_batch")


def called_modules(context: Context, call: cst.Call) -> list[Instance]:
    """The models and layers that a call may be one of."""
    values = options(context.fact(call.func))
    return [v for v in values if isinstance(v, Instance) and is_module(context, v)]


def entry_of(model: Instance) -> cst.FunctionDef | None:
    """The `call` of a class of the program."""
    found = model.cls.lookup("call") if isinstance(model.cls, Class) else None
    node = found.node if isinstance(found, Function) else None
    return node if isinstance(node, cst.FunctionDef) else None


def flag_parameter(context: Context, entry: cst.FunctionDef) -> str | None:
    """The parameter of a `call` that says whether the model trains; None where it has none."""
    known: dict[Any, str | None] = context.notes.setdefault("flags of training", {})
    if entry not in known:
        known[entry] = None
        known[entry] = _find_flag(context, entry)
    return known[entry]


def _find_flag(context: Context, entry: cst.FunctionDef) -> str | None:
    from transpiler.planners.keras_tape.sensitive import is_sensitive

    names = {p.name.value for p in parameters(entry)}
    if TRAINING in names:
        return TRAINING
    found: set[str] = set()
    for call in find(entry.body, cst.Call):
        modules = called_modules(context, call)
        if not modules:
            continue
        flag = flag_argument(context, call, modules)
        if flag is None and any(is_sensitive(context, m) for m in modules):
            return None
        if flag is not None:
            found.add(flag.value.value if isinstance(flag.value, cst.Name) else "")
    written = {t.target.value for t in find(entry.body, cst.AssignTarget)
               if isinstance(t.target, cst.Name)}  # fmt: skip
    if len(found) != 1 or not found <= names - written or _is_fitted(context, entry):
        return None
    return found.pop()


def _is_fitted(context: Context, entry: cst.FunctionDef) -> bool:
    """Whether Keras trains the model, which says `training` and leaves other flags as they are."""
    for call in find(context.module, cst.Call):
        if isinstance(call.func, cst.Attribute) and call.func.attr.value in FITS:
            owners = options(context.fact(call.func.value))
            if any(isinstance(o, Instance) and entry_of(o) is entry for o in owners):
                return True
    return False


def parameters(entry: cst.FunctionDef) -> list[cst.Param]:
    """The parameters of a method, without `self`."""
    return [*entry.params.params[1:], *entry.params.kwonly_params]


def flag_argument(context: Context, call: cst.Call, models: list[Instance]) -> cst.Arg | None:
    """The argument by which a call of a model says whether it trains."""
    entry = entry_of(models[0]) if models else None
    name = TRAINING if entry is None else flag_parameter(context, entry)
    for arg in call.args:
        if arg.keyword is not None and arg.keyword.value == (name or TRAINING):
            return arg
    plain = [a for a in call.args if a.keyword is None]
    if any(a.star for a in plain):
        return None
    if entry is not None:
        order = [p.name.value for p in parameters(entry)]
        place = order.index(name) if name in order else len(plain)
    else:
        kinds = {k.rpartition(".")[2] for m in models for k in m.class_names[:1]}
        place = 1 if kinds and kinds <= SECOND else len(plain)
    return plain[place] if place < len(plain) else None


def flag_default(context: Context, models: list[Instance]) -> cst.BaseExpression | None:
    """What the flag is where a call does not give it."""
    entry = entry_of(models[0]) if models else None
    name = flag_parameter(context, entry) if entry is not None else None
    own = [p for p in parameters(entry) if p.name.value == name] if entry is not None else []
    return own[0].default if own else None
