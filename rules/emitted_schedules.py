"""Learning rates that follow a step, as translations to PyTorch wrote them, as Keras' schedules."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Symbol, Value
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import arguments, call

_T, _K = "to_torch.", "keras.optimizers.schedules."
_SCHEDULES = {
    "exponential_decay": "ExponentialDecay",
    "inverse_time_decay": "InverseTimeDecay",
    "piecewise_constant_decay": "PiecewiseConstantDecay",
    "polynomial_decay": "PolynomialDecay",
    "cosine_decay": "CosineDecay",
    "cosine_decay_restarts": "CosineDecayRestarts",
}
_STEPPED = Symbol("torch.optim.lr_scheduler.LambdaLR")


@rewrites(*(_T + name for name in _SCHEDULES), to="tf")
def schedule(site: Site) -> Any:
    """The schedule that an optimizer is made with; one that is stepped by hand is a function."""
    asked = (site.context.fact(c.func) for c in find(site.context.module, cst.Call))
    if not site.is_call or any(fact == _STEPPED for fact in asked):
        raise Unfit(f"{site.short} is used for more than to make an optimizer with")
    return call(_K + _SCHEDULES[site.name.removeprefix(_T)], **site.args)


@infers(f"{_T}scheduled")
def scheduled_fact(made: Invocation) -> Value:
    """What the optimizer's class gives."""
    given = made.bound
    optimizer = given.get("optimizer_class", UNKNOWN)
    more = {n: v for n, v in made.keywords.items()
            if n not in ("schedule", "optimizer_class", "parameters")}  # fmt: skip
    parameters = given.get("parameters", UNKNOWN)
    rate = given.get("schedule", UNKNOWN)
    return made.interpreter.call(optimizer, [parameters], {"lr": rate, **more}, made.node)


@rewrites(f"{_T}scheduled", to="tf")
def scheduled(site: Site) -> Any:
    """An optimizer made with its schedule."""
    kind = site.arg("optimizer_class")
    fact = site.context.fact(kind)
    if not isinstance(fact, Symbol):
        raise Unfit("the class of the optimizer with a schedule is not known here")
    more = {n: v for n, v in site.args.items()
            if n not in ("schedule", "optimizer_class", "parameters")}  # fmt: skip
    made = cst.Call(kind, arguments([site.arg("parameters")], {"lr": site.arg("schedule"), **more}))
    site.context.facts[made] = site.context.fact(site.node)
    return site.context.rulebook.translate(Site(site.context, made, fact.name))
