"""Optimizers, torch to Keras: stock classes where they agree, torch's own update rule elsewhere.

Sources: torch.optim and keras.optimizers, update rules as documented; deviations as measured in
float64 over tens of steps (Adam's epsilon before or after the bias correction: 1e-6 relative for
gradients of order one; momentum and a changing learning rate: visible at once).
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    Mapping,
    Value,
    element_of,
    options,
)
from transpiler.planners.step.groups import WRITING
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import call, fill

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
            optimizer.state.setdefault("schedulers", {})[call_.node] = made
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


def _has_settings(group: Value) -> bool:
    return isinstance(group, Mapping) and (set(group.items) != {"params"} or bool(group.element))


def check(site: Site, known: tuple[str, ...]) -> None:
    """Unfit for an argument that nothing here takes, and for groups that nobody planned."""
    groups = [element_of(o) for o in options(site.fact("params"))] if "params" in site.args else []
    if any(_has_settings(g) for group in groups for g in options(group)):
        if not site.context.notes.get(WRITING):
            raise Unfit("where the parameter groups of this optimizer step was not found")
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


@rewrites("torch.optim.LBFGS", to="tf")
def lbfgs(site: Site) -> Any:
    """Written out: its closure hands the gradients over, the optimizer asks for them as it goes."""
    sizes = ("max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size")
    check(site, ("lr", *sizes, "line_search_fn"))
    arguments = keywords(site, {"lr": "learning_rate", **{n: n for n in sizes}})
    search = given(site, "line_search_fn")
    if search is not None:
        if site.const("line_search_fn", None) != "strong_wolfe":
            raise Unfit("a line search that is not known before the program runs")
        arguments["line_search"] = site.emit("strong_wolfe")
    return call(site.context.emit("LBFGS"), **arguments)


@rewrites("torch.optim.Optimizer.step", to="tf")
def step(site: Site) -> Any:
    """What is left to this rule evaluates a closure several times."""
    found = options(site.receiver_fact)
    if site.positional and all(
        isinstance(o, Instance) and "torch.optim.LBFGS" in o.class_names for o in found
    ):
        return site.keep()
    raise Unfit("a step of which the loss is not known")


# ---- methods and attributes ----------------------------------------------------------------------


@infers("torch.optim.Optimizer.zero_grad")
def nothing(_: Invocation) -> Value:
    return NONE


@infers("torch.optim.Optimizer.step")
def stepped(call_: Invocation) -> Value:
    """A step with a closure gives back the first loss."""
    closure = call_.arg("closure", at=0)
    return NONE if closure is None else call_.call(closure)


@rewrites("torch.optim.Optimizer.zero_grad", "torch.nn.Module.zero_grad", to="tf")
def zero_grad(site: Site) -> Any:
    """Gradients are values in TensorFlow: there is nothing to clear."""
    if not site.alone:
        raise Unfit("zero_grad() inside an expression")
    return []


def _is_grouped(site: Site, receiver: cst.BaseExpression) -> bool:
    """Whether the optimizer has become one per parameter group."""
    carried = site.context.notes.get("carried optimizers", {})
    found = [o for o in options(site.context.fact(receiver)) if isinstance(o, Instance)]
    return any(o.origin in carried for o in found)


@rewrites("torch.optim.Optimizer.param_groups", to="tf")
def param_groups(site: Site) -> Any:
    """`optimizer.param_groups[0]["lr"]` is `optimizer.learning_rate`."""
    edits = site.context.edits
    assert isinstance(site.node, cst.Attribute)
    receiver, parent = site.node.value, edits.parent[site.node]
    if isinstance(parent, cst.For) and parent.iter is site.node:
        return _group_loop(site, parent, receiver)
    if isinstance(parent, cst.CompFor) and parent.iter is site.node:
        return _groups_in_turn(site, parent, edits.parent[parent], receiver)
    whole = edits.parent[parent]
    loop = edits.parent.get(whole)
    if isinstance(whole, cst.Call) and code(whole.func) == "enumerate":
        if isinstance(loop, cst.For) and loop.iter is whole:
            return _groups_in_turn(site, loop, loop.body, receiver)
    if not isinstance(parent, cst.Subscript) or not isinstance(whole, cst.Subscript):
        raise Unfit("parameter groups are used for more than the learning rate")
    if _key(site, whole) != "lr":
        raise Unfit("parameter groups are used for more than the learning rate")
    if _is_grouped(site, receiver):
        index = parent.slice[0].slice
        if not isinstance(index, cst.Index):
            raise Unfit("a slice of the parameter groups")
        receiver = fill("optimizer.groups[n][0]", optimizer=receiver, n=index.value)
    elif _key(site, parent) not in (0, -1):
        raise Unfit("a parameter group other than the first")
    edits.replace(whole, _rate_at(site, whole, receiver))
    return site.keep()


def _key(site: Site, node: cst.Subscript) -> Any:
    """The constant between the brackets."""
    index = node.slice[0].slice
    value = site.fact(index.value) if isinstance(index, cst.Index) else None
    return value.value if isinstance(value, Const) else None


def _rate_at(site: Site, node: cst.CSTNode, optimizer: cst.BaseExpression) -> cst.BaseExpression:
    """The learning rate, as a number where it is read."""
    if isinstance(site.context.edits.parent[node], (cst.AssignTarget, cst.AugAssign)):
        return fill("optimizer.learning_rate", optimizer=optimizer)
    return fill("float(optimizer.learning_rate)", optimizer=optimizer)


def _group_loop(site: Site, loop: cst.For, receiver: cst.BaseExpression) -> Any:
    """`for group in optimizer.param_groups: group["lr"] = x`."""
    edits = site.context.edits
    name = loop.target.value if isinstance(loop.target, cst.Name) else ""
    uses = _rates(site, loop.body, name)
    if uses is None:
        raise Unfit("parameter groups are used for more than the learning rate")
    grouped = _is_grouped(site, receiver)
    for use in uses:
        edits.replace(use, _rate_at(site, use, cst.Name(name) if grouped else receiver))
        site.context.claim(use)
    if not grouped:
        edits.unwrap(loop)
        return site.keep()
    target = fill("(group, _)", group=cst.Name(name))
    edits.replace(loop.target, target.with_changes(lpar=[], rpar=[]))
    return fill("optimizer.groups", optimizer=receiver)


def _groups_in_turn(site: Site, loop: Any, body: cst.CSTNode, receiver: cst.BaseExpression) -> Any:
    """`[group["lr"] for group in optimizer.param_groups]`, and loops that count the groups."""
    edits = site.context.edits
    target = loop.target.elements[-1].value if isinstance(loop.target, cst.Tuple) else loop.target
    name = target.value if isinstance(target, cst.Name) else ""
    uses = _rates(site, body, name)
    if uses is None:
        raise Unfit("parameter groups are used for more than the learning rate")
    grouped = _is_grouped(site, receiver)
    if not grouped and isinstance(body, cst.ListComp) and body.elt in uses and not loop.ifs:
        edits.replace(body, cst.List([cst.Element(_rate_at(site, body.elt, receiver))]))
        return site.keep()
    for use in uses:
        edits.replace(use, _rate_at(site, use, cst.Name(name)))
        site.context.claim(use)
    if not grouped:
        return cst.List([cst.Element(receiver)])
    pair = fill("(group, _)", group=cst.Name(name))
    if target is loop.target and isinstance(loop, cst.CompFor):
        pair = pair.with_changes(lpar=[], rpar=[])
    edits.replace(target, pair)
    return fill("optimizer.groups", optimizer=receiver)


def _rates(site: Site, body: cst.CSTNode, name: str) -> list[cst.Subscript] | None:
    """The places that read or set the learning rate of a group; None where more is done with it."""
    uses = [
        s for s in find(body, cst.Subscript)
        if isinstance(s.value, cst.Name) and s.value.value == name
    ]  # fmt: skip
    bound = [n for t in find(body, cst.CompFor) for n in find(t.target, cst.Name)]
    names = [n for n in find(body, cst.Name) if n.value == name and n not in bound]
    fits = {_key(site, use) for use in uses} == {"lr"} and len(names) == len(uses)
    return uses if fits else None


@infers("torch.optim.Optimizer.state_dict")
def optimizer_state(_: Invocation) -> Value:
    return Mapping({}, UNKNOWN)
