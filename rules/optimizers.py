"""Optimizers, torch to Keras: stock classes where they agree, torch's own update rule elsewhere.

Sources: torch.optim and keras.optimizers, update rules as documented; deviations as measured in
float64 over tens of steps (Adam's epsilon before or after the bias correction: 1e-6 relative for
gradients of order one; momentum and a changing learning rate: visible at once).
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import NONE, UNKNOWN, Const, Instance, Mapping, Value, options
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import call

_IGNORED = ("params", "foreach", "fused", "capturable", "differentiable")
_EPSILON = (
    "Keras adds Adam's epsilon before the bias correction, torch after it: steps differ by {}"
)
ADAM_CAUTION = _EPSILON.format("about 1e-6, relatively, more where gradients are tiny")


@infers("torch.optim.lr_scheduler.LRScheduler", "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "torch.optim.lr_scheduler._LRScheduler")  # fmt: skip
def scheduler(call_: Invocation) -> Value:
    """A scheduler remembers which optimizer's learning rate it changes."""
    made = call_.interpreter.knowledge.construct(call_)
    for optimizer in options(call_.arg("optimizer", at=0)):
        if isinstance(optimizer, Instance):
            optimizer.state["lr changes"] = True
    return made


def learning_rate_changes(site: Site) -> bool:
    """Whether the program changes the learning rate of the optimizer made here."""
    fact = site.context.fact(site.node)
    if any(isinstance(o, Instance) and o.state.get("lr changes") for o in options(fact)):
        return True
    changes = site.context.notes.get("param_groups edited")
    if changes is None:
        changes = any(
            a.attr.value == "param_groups" for a in find(site.context.module, cst.Attribute)
        )
        site.context.notes["param_groups edited"] = changes
    return bool(changes)


def given(site: Site, name: str) -> Any:
    """An argument that is given and not just its default, else None."""
    if not site.has(name):
        return None
    value, default = site.fact(name), site.default(name)
    if default is not None and isinstance(value, Const):
        usual = site.fact(default)
        if isinstance(usual, Const) and value.value == usual.value:
            return None
    return site.args[name]


def check(site: Site, known: tuple[str, ...]) -> None:
    """Unfit for an argument that nothing here takes."""
    for name in site.args:
        if name not in known and name not in _IGNORED and given(site, name) is not None:
            raise Unfit(f"`{name}` of {site.short} has no equal in Keras")


def keywords(site: Site, names: dict[str, str]) -> dict[str, Any]:
    """The given arguments under their target names."""
    return {new: site.args[old] for old, new in names.items() if given(site, old) is not None}


def rate(site: Site) -> Any:
    """The learning rate, written out where torch's default differs from Keras's."""
    return site.arg("lr")


def emitted(site: Site, name: str, names: dict[str, str]) -> cst.BaseExpression:
    site.context.emit(name)
    return call(name, learning_rate=rate(site), **keywords(site, names))


@rewrites("torch.optim.SGD", to="tf")
def sgd(site: Site) -> Any:
    """Plain and momentum SGD agree; momentum under a changing rate and weight decay do not."""
    check(site, ("lr", "momentum", "dampening", "weight_decay", "nesterov"))
    hard = given(site, "weight_decay") is not None or given(site, "dampening") is not None
    if given(site, "momentum") is not None and learning_rate_changes(site):
        hard = True
    names = {n: n for n in ("momentum", "dampening", "weight_decay", "nesterov")}
    if hard:
        return emitted(site, "TorchSGD", names)
    stock = keywords(site, {"momentum": "momentum", "nesterov": "nesterov"})
    return call("keras.optimizers.SGD", learning_rate=rate(site), **stock)


@rewrites("torch.optim.Adam", "torch.optim.AdamW", to="tf")
def adam(site: Site) -> Any:
    """Adam without weight decay is close to Keras's; exact fidelity writes torch's."""
    check(site, ("lr", "betas", "eps", "weight_decay", "amsgrad", "decoupled_weight_decay"))
    if given(site, "decoupled_weight_decay") is not None:
        raise Unfit("Adam with decoupled_weight_decay=True", "use torch.optim.AdamW")
    is_w = site.name.endswith("AdamW")
    unit = "TorchAdamW" if is_w else "TorchAdam"
    names = {n: n for n in ("betas", "eps", "weight_decay", "amsgrad")}
    coupled = not is_w and given(site, "weight_decay") is not None
    betas = site.const("betas", None) if site.has("betas") else (0.9, 0.999)
    if site.exact or coupled or betas is None or len(betas) != 2 or given(site, "amsgrad"):
        return emitted(site, unit, names)
    eps = site.const("eps", None)
    if not isinstance(eps, (int, float)) or eps > 1e-7:  # then its place is seen at once
        return emitted(site, unit, names)
    site.caution(ADAM_CAUTION, "--fidelity exact writes torch's update rule")
    arguments: dict[str, Any] = {"learning_rate": rate(site)}
    if is_w:
        arguments["weight_decay"] = site.arg("weight_decay")
    if tuple(betas) != (0.9, 0.999):
        arguments.update(beta_1=betas[0], beta_2=betas[1])
    return call(
        f"keras.optimizers.{'AdamW' if is_w else 'Adam'}", **arguments, epsilon=site.arg("eps")
    )


_UNITS = {
    "torch.optim.RMSprop": (
        "TorchRMSprop",
        ("alpha", "eps", "weight_decay", "momentum", "centered"),
    ),
    "torch.optim.Adagrad": (
        "TorchAdagrad", ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"),
    ),
    "torch.optim.Adadelta": ("TorchAdadelta", ("rho", "eps", "weight_decay")),
    "torch.optim.Adamax": ("TorchAdamax", ("betas", "eps", "weight_decay")),
    "torch.optim.NAdam": ("TorchNAdam", ("betas", "eps", "weight_decay", "momentum_decay")),
    "torch.optim.RAdam": ("TorchRAdam", ("betas", "eps", "weight_decay")),
    "torch.optim.Rprop": ("TorchRprop", ("etas", "step_sizes")),
}  # fmt: skip


@rewrites("torch.optim.Adadelta", to="tf")
def adadelta(site: Site) -> Any:
    """The two libraries agree on Adadelta without weight decay."""
    check(site, ("lr", "rho", "eps", "weight_decay"))
    if given(site, "weight_decay") is not None:
        raise Unfit("weight decay")
    return call(
        "keras.optimizers.Adadelta", learning_rate=rate(site), rho=site.arg("rho"),
        epsilon=site.arg("eps"),
    )  # fmt: skip


@rewrites(*_UNITS, to="tf")
def other_optimizer(site: Site) -> Any:
    """Keras's classes of these names train visibly differently: torch's update rule is written."""
    unit, known = _UNITS[site.name]
    check(site, ("lr", *known))
    return emitted(site, unit, {n: n for n in known})


# ---- methods and attributes ----------------------------------------------------------------------


@infers("torch.optim.Optimizer.step", "torch.optim.Optimizer.zero_grad")
def nothing(_: Invocation) -> Value:
    return NONE


@rewrites("torch.optim.Optimizer.zero_grad", "torch.nn.Module.zero_grad", to="tf")
def zero_grad(site: Site) -> Any:
    """Gradients are values in TensorFlow: there is nothing to clear."""
    if not site.alone:
        raise Unfit("zero_grad() inside an expression")
    return []


def _group_rate(site: Site) -> tuple[cst.BaseExpression, str] | None:
    """`optimizer` and key of `optimizer.param_groups[0]["lr"]` around a site at param_groups."""
    parent = site.context.edits.parent
    first = parent[site.node]
    if not isinstance(first, cst.Subscript):
        return None
    second = parent[first]
    if not isinstance(second, cst.Subscript) or site.receiver is None:
        return None
    key = site.context.fact(second.slice[0].slice.value)  # type: ignore[union-attr]
    return (site.receiver, key.value) if isinstance(key, Const) else None


@rewrites("torch.optim.Optimizer.param_groups", to="tf")
def param_groups(site: Site) -> Any:
    """`optimizer.param_groups[0]["lr"]` is `optimizer.learning_rate`."""
    edits = site.context.edits
    receiver = site.node.value if isinstance(site.node, cst.Attribute) else None
    loop = edits.parent[site.node]
    if isinstance(loop, cst.For) and loop.iter is site.node and receiver is not None:
        return _group_loop(site, loop, receiver)
    found = _group_rate(site) if site.receiver is not None else None
    if found is None or found[1] != "lr" or receiver is None:
        raise Unfit("parameter groups are used for more than the learning rate")
    whole = edits.parent[edits.parent[site.node]]
    if isinstance(edits.parent[whole], (cst.AssignTarget, cst.AugAssign)):
        new = site.fill("optimizer.learning_rate", optimizer=receiver)
    else:
        new = site.fill("float(optimizer.learning_rate)", optimizer=receiver)
    edits.replace(whole, new)
    return site.keep()


def _group_loop(site: Site, loop: cst.For, receiver: cst.BaseExpression) -> Any:
    """`for group in optimizer.param_groups: group["lr"] = x`."""
    edits = site.context.edits
    name = loop.target.value if isinstance(loop.target, cst.Name) else ""
    uses = [
        s for s in find(loop.body, cst.Subscript)
        if isinstance(s.value, cst.Name) and s.value.value == name
    ]  # fmt: skip
    names = [n for n in find(loop.body, cst.Name) if n.value == name]
    keys = {getattr(site.context.fact(u.slice[0].slice.value), "value", None) for u in uses}  # type: ignore[union-attr]
    if keys != {"lr"} or len(names) != len(uses):
        raise Unfit("parameter groups are used for more than the learning rate")
    for use in uses:
        target = isinstance(edits.parent[use], (cst.AssignTarget, cst.AugAssign))
        text = "optimizer.learning_rate" if target else "float(optimizer.learning_rate)"
        edits.replace(use, site.fill(text, optimizer=receiver))
        site.context.claim(use)
    edits.unwrap(loop)
    return site.keep()


@infers("torch.optim.Optimizer.state_dict")
def optimizer_state(_: Invocation) -> Value:
    return Mapping({}, UNKNOWN)
