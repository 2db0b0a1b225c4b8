"""Learning-rate schedules, torch to Keras: small objects with step(), as torch has them.

Formulas: the closed forms in the documentation of torch.optim.lr_scheduler.
"""

from __future__ import annotations

import re
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    Instance,
    ListObject,
    Number,
    Sequence,
    Value,
    items_of,
    options,
)
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules.optimizers import given
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import OMIT, call, fill

_FACTORS = {
    "StepLR": "lambda epoch: gamma ** (epoch // step_size)",
    "ExponentialLR": "lambda epoch: gamma**epoch",
    "MultiStepLR": "lambda epoch: gamma ** sum(epoch >= m for m in milestones)",
    "ConstantLR": "lambda epoch: factor if epoch < total_iters else 1.0",
    "PolynomialLR": "lambda epoch: (1 - min(epoch, total_iters) / total_iters) ** power",
    "LinearLR": (
        "lambda epoch: start_factor + (end_factor - start_factor) * min(epoch, total_iters)"
        " / total_iters"
    ),
}
_PREFIX = "torch.optim.lr_scheduler."


HOOK = "torch.optim.Optimizer.register_step_post_hook"
HOOKED = "schedules moved on by hooks"
KERAS_SCHEDULES = {
    f"to_torch.{name}": "keras.optimizers.schedules."
    + "".join(part.capitalize() for part in name.split("_"))
    for name in """exponential_decay inverse_time_decay piecewise_constant_decay polynomial_decay
    cosine_decay cosine_decay_restarts""".split()
}
"""What translations to PyTorch write for Keras' schedules."""


@rewrites(*KERAS_SCHEDULES, to="tf")
def schedule_of_steps(site: Site) -> Any:
    """A function of the step, where no optimizer has it."""
    return site.keep()


def is_hooked(context: Context, node: cst.BaseExpression) -> bool:
    """Whether an optimizer has taken over a scheduler."""
    taken = context.notes.get(HOOKED, [])
    return any(o is other for o in options(context.fact(node)) for other in taken)


def _schedule(
    site: Site, factor: cst.BaseExpression, unit: str = "EpochSchedule", **more: Any
) -> cst.BaseExpression:
    site.context.emit(unit)
    if given(site, "last_epoch") is not None:
        more["last_epoch"] = site.args["last_epoch"]
    return call(unit, site.arg("optimizer"), factor, **more)


def _recursive(site: Site) -> str:
    """The unit for a schedule that torch computes from the rate before.

    It differs from the closed form where something else changes the rate as well.
    """
    module = site.context.module
    if {"SequentialLR", "ChainedScheduler"} & {n.value for n in find(module, cst.Name)}:
        return "EpochSchedule"  # which have their own
    by_hand = any(_sets_rate(t) for t in find(module, cst.AssignTarget, cst.AugAssign))
    return "ChainedSchedule" if by_hand or _has_others(site) else "EpochSchedule"


def _sets_rate(node: Any) -> bool:
    """`group["lr"] = rate`."""
    match node.target:
        case cst.Subscript(slice=[cst.SubscriptElement(cst.Index(cst.SimpleString() as key))]):
            return key.evaluated_value == "lr"
    return False


def _has_others(site: Site) -> bool:
    """Whether several schedules of one optimizer are kept under different names."""
    for optimizer in options(site.fact("optimizer")):
        made = optimizer.state.get("schedulers", {}) if isinstance(optimizer, Instance) else {}
        names = set()
        for node in made:
            assign = site.context.edits.parent.get(node)
            names.add(code(assign.targets[0].target) if isinstance(assign, cst.Assign) else node)
        if len(names) > 1:
            return True
    return False


@rewrites(*(_PREFIX + name for name in _FACTORS), to="tf")
def closed_form(site: Site) -> Any:
    """Schedules that multiply the first learning rate by a function of the epoch."""
    template = _FACTORS[site.name.rpartition(".")[2]]
    known = ("gamma", "step_size", "milestones", "factor", "total_iters", "power",
             "start_factor", "end_factor")  # fmt: skip
    names = [p for p in known if re.search(rf"\b{p}\b", template)]
    factor = fill(template, **{n: site.arg(n) for n in names})
    return _schedule(site, factor, _recursive(site))


@rewrites(_PREFIX + "LambdaLR", to="tf")
def lambda_lr(site: Site) -> Any:
    function = site.arg("lr_lambda")
    if isinstance(function, (cst.List, cst.Tuple)) and len(function.elements) == 1:
        return _schedule(site, function.elements[0].value)
    several = items_of(site.fact("lr_lambda")) is not None
    if several or isinstance(function, (cst.List, cst.Tuple, cst.ListComp, cst.BinaryOperation)):
        first = given(site, "last_epoch")
        return call(site.context.emit("GroupSchedules"), site.arg("optimizer"), function,
                    last_epoch=OMIT if first is None else first)  # fmt: skip
    return _schedule(site, function)


@rewrites(_PREFIX + "CosineAnnealingLR", to="tf")
def cosine(site: Site) -> Any:
    factor = fill("lambda epoch: (1 + math.cos(math.pi * epoch / t)) / 2", t=site.arg("T_max"))
    more = {} if given(site, "eta_min") is None else {"minimum": site.args["eta_min"]}
    return _schedule(site, factor, _recursive(site), **more)


@rewrites(_PREFIX + "CosineAnnealingWarmRestarts", to="tf")
def warm_restarts(site: Site) -> Any:
    site.context.emit("warm_restarts")
    growth = [] if given(site, "T_mult") is None else [site.args["T_mult"]]
    more = {} if given(site, "eta_min") is None else {"minimum": site.args["eta_min"]}
    return _schedule(site, call("warm_restarts", site.arg("T_0"), *growth), **more)


_SAME = ("CyclicLR", "OneCycleLR", "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler")


_SINGLE = {"CyclicLR": ("base_lr", "max_lr"), "ReduceLROnPlateau": ("min_lr",)}


def _is_list(site: Site, node: Any) -> bool:
    return node is not None and any(
        isinstance(o, (ListObject, Sequence)) for o in options(site.fact(node))
    )


@rewrites(*(_PREFIX + name for name in _SAME), to="tf")
def same_signature(site: Site) -> Any:
    """Schedules that are written out as a class with torch's own arguments."""
    name = site.name.rpartition(".")[2]
    site.context.emit(name)
    arguments = {n: v for n, v in site.args.items() if n != "verbose"}
    listed = [n for n in _SINGLE.get(name, ()) if _is_list(site, arguments.get(n))]
    if listed:
        raise Unfit(f"`{listed[0]}` of {name} is one of each group")
    first = [arguments.pop(n) for n in ("optimizer",) if n in arguments]
    return call(name, *first, **arguments)


@infers(_PREFIX + "LRScheduler.step", _PREFIX + "ReduceLROnPlateau.step")
def step(_: Invocation) -> Value:
    return NONE


@infers(_PREFIX + "LRScheduler.get_last_lr", _PREFIX + "LRScheduler.get_lr")
def last_rate(_: Invocation) -> Value:
    return ListObject([Number("float")])


@rewrites(
    _PREFIX + "LRScheduler.step", _PREFIX + "ReduceLROnPlateau.step",
    _PREFIX + "LRScheduler.get_last_lr", _PREFIX + "LRScheduler.state_dict",
    _PREFIX + "LRScheduler.load_state_dict", _PREFIX + "LRScheduler.last_epoch",
    _PREFIX + "ReduceLROnPlateau.get_last_lr", _PREFIX + "ReduceLROnPlateau.state_dict",
    _PREFIX + "ReduceLROnPlateau.load_state_dict", to="tf",
)  # fmt: skip
def kept(site: Site) -> Any:
    """The written schedules have torch's own methods."""
    return site.keep()


@rewrites(_PREFIX + "LRScheduler.get_lr", to="tf")
def get_lr(site: Site) -> Any:
    return site.fill("scheduler.get_last_lr()", scheduler=site.receiver)
