"""Methods of modules: parameters, submodules, freezing."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.freezing import freezes_singly, has_only_parameters, may_be_frozen
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    Number,
    Sequence,
    Tensor,
    Value,
    join,
    options,
)
from transpiler.modules import children, descendants
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules.checkpoints import build, building, note_early
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import fill, fill_statements

M = "torch.nn.Module."
LATE = "unfrozen while training"
"""The note of programs that train parameters again: their optimizers are built beforehand."""
LONE = {
    name: M + name
    for name in ("parameters", "named_parameters", "modules", "named_modules", "named_children")
}
"""Methods that only modules have: what has them is one, whatever else is known of it."""


# ---- facts ---------------------------------------------------------------------------------------


def _submodules(value: Value | None, *, deep: bool) -> list[Value]:
    found: list[Value] = []
    for option in options(value):
        parts = descendants(option) if deep else children(option)
        found += [p for p in parts if isinstance(p, Instance)]
    return found


@infers(M + "parameters", M + "buffers")
def parameters(call: Invocation) -> Value:
    note_early(call)
    return Sequence("parameters", None, Tensor(None, "float32", "torch", True))


@infers(M + "named_parameters", M + "named_buffers")
def named_parameters(call: Invocation) -> Value:
    note_early(call)
    row = Sequence("tuple", (Number("str"), Tensor(None, "float32", "torch", True)))
    return Sequence("parameters", None, row)


@infers(M + "children", M + "modules")
def submodules(call: Invocation) -> Value:
    found = _submodules(call.receiver, deep=call.name.endswith("modules"))
    return Sequence("modules", None, join(*found) if found else UNKNOWN)


@infers(M + "named_children", M + "named_modules")
def named_submodules(call: Invocation) -> Value:
    found = _submodules(call.receiver, deep=call.name.endswith("modules"))
    row = Sequence("tuple", (Number("str"), join(*found) if found else UNKNOWN))
    return Sequence("modules", None, row)


@infers(M + "add_module", M + "register_module")
def add_module(call: Invocation) -> Value:
    name, module = call.arg("name", at=0), call.arg("module", at=1)
    for owner in options(call.receiver):
        if isinstance(owner, Instance) and module is not None:
            if isinstance(name, Const) and isinstance(name.value, str):
                owner.attributes[name.value] = module
            owner.state.setdefault("added", []).append(module)
    return Const(None)


# ---- parameters ----------------------------------------------------------------------------------


@rewrites(M + "parameters", to="tf")
def parameters_to_variables(site: Site) -> Any:
    """Counting, freezing, copying and regularising; optimizers and clipping are planned apart."""
    assert site.receiver is not None
    if freezes(site):
        return _freeze(site)
    inside_step = site.context.notes.get("taped functions", set())
    function = site.context.edits.enclosing(site.node, cst.FunctionDef)
    if function not in inside_step and not _in_tape(site):
        build_if_early(site)
    if may_be_frozen(site.context, site.receiver_fact):
        return with_frozen(site)
    return fill("model.trainable_variables", model=site.receiver)


def with_frozen(site: Site) -> Any:
    """All parameters: frozen ones are not trainable in Keras, but torch lists them as well."""
    if has_only_parameters(site.context, site.receiver_fact):
        return fill("model.weights", model=site.receiver)
    return fill("unit(model)", unit=site.emit("parameters"), model=site.receiver)


@rewrites(M + "buffers", to="tf")
def buffers(site: Site) -> Any:
    """Running statistics and other variables that are not trained; all of a model's together."""
    assert site.receiver is not None
    build_if_early(site)
    whole = _with_parameters(site)
    if whole is not None:
        site.context.edits.replace(whole, fill("model.variables", model=site.receiver))
        return site.keep()
    if may_be_frozen(site.context, site.receiver_fact):
        return fill("unit(model)", unit=site.emit("buffers"), model=site.receiver)
    return fill("model.non_trainable_weights", model=site.receiver)


def _with_parameters(site: Site) -> cst.List | None:
    """The list of `[*model.parameters(), *model.buffers()]`."""
    around = site.context.edits.parent.get(site.parent)
    if not isinstance(around, cst.List) or site.receiver is None:
        return None
    model = code(site.receiver)
    texts = [code(e.value).strip() for e in around.elements if isinstance(e, cst.StarredElement)]
    both = [f"{model}.parameters()", f"{model}.buffers()"]
    return around if texts == both and len(around.elements) == 2 else None


def build_if_early(site: Site) -> None:
    """Variables exist only after the first call: build where their list is read on its own."""
    assert site.receiver is not None
    if is_given_to_optimizer(site) and not site.context.notes.get(LATE):
        return  # which finds the variables when it first applies gradients
    if isinstance(site.receiver, cst.Name) and site.receiver.value == "self":
        _refuse_unbuilt(site)
        return
    build(site, site.receiver)


def _refuse_unbuilt(site: Site) -> None:
    """A model can not be called in its own methods to get its variables. Raises Unfit."""
    from transpiler.planners.built_layers import are_built

    early = site.node in site.context.interpreter.early
    if early and not are_built(site.context, site.receiver_fact):
        raise Unfit("the model has no variables before its first call")


def is_given_to_optimizer(site: Site) -> bool:
    """Whether the parameters go into the call that makes an optimizer."""
    current: Any = site.parent
    while not isinstance(current, cst.BaseStatement):
        if isinstance(current, cst.Call):
            for value in options(site.context.fact(current.func)):
                if site.context.knowledge.derives(value, "torch.optim.Optimizer"):
                    return True
        current = site.context.edits.parent[current]
    return False


def _in_tape(site: Site) -> bool:
    taped = site.context.notes.get("taped", {})
    current: Any = site.node
    while current is not None:
        if current in taped:
            return True
        current = site.context.edits.parent.get(current)
    return False


def freezes(site: Site) -> bool:
    """`for p in model.parameters(): p.requires_grad = False`, where the model as a whole will do.

    A frozen normalization of Keras's uses its moving statistics, in training as well; and layers
    take no notice of the variables that are frozen one by one.
    """
    loop = site.parent
    if not isinstance(loop, cst.For) or loop.iter is not site.node or len(loop.body.body) != 1:
        return False
    if _flag(loop) is None:
        return False
    return not (freezes_singly(site.context) or _holds_batch_norm(site)) or not _has_variables(site)


def _has_variables(site: Site) -> bool:
    """Whether the model has its variables by then, or can be built before."""
    assert site.receiver is not None
    mark, notes = len(site.context.reports), dict(site.context.notes)
    try:
        if isinstance(site.receiver, cst.Name) and site.receiver.value == "self":
            _refuse_unbuilt(site)
        early = site.node in site.context.interpreter.early
        return not early or building(site, site.receiver) is not None
    except Unfit:
        return False
    finally:
        del site.context.reports[mark:]
        site.context.notes.clear()
        site.context.notes.update(notes)


def _flag(loop: cst.For) -> cst.BaseExpression | None:
    line = loop.body.body[0]
    if not isinstance(line, cst.SimpleStatementLine) or not isinstance(loop.target, cst.Name):
        return None
    small = line.body[0]
    if isinstance(small, cst.Assign):
        target = small.targets[0].target
        if isinstance(target, cst.Attribute) and target.attr.value == "requires_grad":
            if isinstance(target.value, cst.Name) and target.value.value == loop.target.value:
                return small.value
    if isinstance(small, cst.Expr) and isinstance(small.value, cst.Call):
        func = small.value.func
        if isinstance(func, cst.Attribute) and func.attr.value == "requires_grad_":
            return small.value.args[0].value if small.value.args else cst.Name("True")
    return None


def _freeze(site: Site) -> Any:
    """`model.trainable = False`, which also stops batch statistics: reported where it has any."""
    loop = site.parent
    assert isinstance(loop, cst.For)
    flag = _flag(loop)
    if _holds_batch_norm(site):
        site.caution(
            "a frozen Keras BatchNormalization uses its moving statistics also in training, "
            "torch's goes on using and updating batch statistics",
        )
    for attribute in find(loop, cst.Attribute):
        site.context.claim(attribute)
    lines = fill_statements("model.trainable = flag", model=site.receiver, flag=flag)
    site.context.edits.replace(loop, lines)
    return site.keep()


def _holds_batch_norm(site: Site) -> bool:
    for value in options(site.context.fact(site.receiver)):
        for part in descendants(value):
            if isinstance(part, Instance) and any("BatchNorm" in name for name in part.class_names):
                return True
    return False


@rewrites(M + "requires_grad_", to="tf")
def requires_grad(site: Site) -> Any:
    if not site.alone:
        raise Unfit("requires_grad_() inside an expression")
    flag = site.positional[0] if site.positional else cst.Name("True")
    return fill_statements("model.trainable = flag", model=site.receiver, flag=flag)


@rewrites(M + "named_parameters", to="tf")
def named_parameters_to_variables(site: Site) -> Any:
    """Keras's own paths are made of other names: the unit gives torch's, which code may test."""
    build_if_early(site)
    site.context.emit("named_variables")
    return fill("named_variables(model)", model=site.receiver)


# ---- submodules ----------------------------------------------------------------------------------


@rewrites(M + "children", to="tf")
def children_to_layers(site: Site) -> Any:
    return fill("model.layers", model=site.receiver)


@rewrites(M + "modules", to="tf")
def modules_to_layers(site: Site) -> Any:
    return fill("model._flatten_layers()", model=site.receiver)


@rewrites(M + "named_modules", to="tf")
def named_modules(site: Site) -> Any:
    site.context.emit("named_modules")
    return fill("named_modules(model)", model=site.receiver)


@rewrites(M + "add_module", M + "register_module", to="tf")
def add_module_to_setattr(site: Site) -> Any:
    return fill("setattr(model, name, module)", model=site.receiver, name=site.arg("name"),
                module=site.arg("module"))  # fmt: skip


@rewrites("torch.nn.Module", to="tf")
def module_class(site: Site) -> Any:
    """The class itself, in annotations and isinstance tests."""
    return fill("keras.layers.Layer")


@rewrites(M + "__init__", to="tf")
def module_init(site: Site) -> Any:
    """`nn.Module.__init__(self)` → `super().__init__()`."""
    func = site.node.func if isinstance(site.node, cst.Call) else None
    if isinstance(func, cst.Attribute) and isinstance(func.value, cst.Call):
        return site.keep()
    return fill("super().__init__()")


@rewrites(M + "_modules", M + "_parameters", M + "_buffers", to="tf")
def registered(site: Site) -> Any:
    raise Unfit(f"Keras' layers have no {site.short}", "ask for children() or parameters()")


@rewrites(M + "training", to="tf")
def training_flag(site: Site) -> Any:
    raise Unfit("a model's mode is not kept as state", "keep it in a variable of your own")
