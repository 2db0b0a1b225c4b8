"""Saving and loading: weights files for a model's own state, pickled bundles for anything more.

`model.state_dict()` alone in a file is Keras's `save_weights`; kept in memory or inside a dict it
is `get_weights()`, a list of arrays that pickles. Keras builds a model's variables when it is first
called, so a load that comes before is preceded by a call on zeros.
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
    Symbol,
    Tensor,
    Value,
    join,
    options,
)
from transpiler.layouts import module_layout
from transpiler.modules import is_module
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.syntax import find, literal
from transpiler.template import fill, fill_statements

STATE = "torch.nn.Module.state_dict"


@infers(STATE)
def state_dict(call: Invocation) -> Value:
    """The state of a module, which knows whose state it is."""
    return Instance(Symbol(STATE), {"module": call.receiver or UNKNOWN}, {}, call.node)


@infers("torch.nn.Module.load_state_dict")
def loaded(call: Invocation) -> Value:
    """Remember whether the model has been called by now, so that it has its variables."""
    note_early(call)
    return NONE


def note_early(call: Invocation) -> None:
    """Mark a call that comes before its model's first one."""
    early = any(
        isinstance(o, Instance) and not o.state.get("inputs") for o in options(call.receiver)
    )
    if early and call.node is not None:
        call.interpreter.early.add(call.node)


@infers("torch.optim.Optimizer.load_state_dict")
def nothing(_: Invocation) -> Value:
    return NONE


@infers("torch.save")
def save_fact(call: Invocation) -> Value:
    """Remember what goes into a file, for whoever loads it."""
    saved, what = call.interpreter.saved, call.arg("obj", at=0)
    if what is not None:
        path = call.arg("f", at=1)
        key = path.value if isinstance(path, Const) else None
        saved[key] = join(saved.get(key), what)
    return NONE


@infers("torch.load")
def load_fact(call: Invocation) -> Value:
    """What was saved under the same path, where that is known."""
    path = call.arg("f", at=0)
    saved = call.interpreter.saved
    return saved.get(path.value, UNKNOWN) if isinstance(path, Const) else UNKNOWN


@infers("copy.deepcopy", "copy.copy")
def copied(call: Invocation) -> Value:
    return call.positional[0] if call.positional else UNKNOWN


def _is_state(site: Site, node: cst.CSTNode) -> bool:
    return any(
        isinstance(o, Instance) and o.cls == Symbol(STATE) for o in options(site.context.fact(node))
    )


def weights_path(node: cst.BaseExpression) -> cst.BaseExpression:
    """The path of a Keras weights file for the path of a torch one."""
    if isinstance(node, cst.SimpleString):
        text = node.evaluated_value
        if isinstance(text, str):
            stem = text
            for suffix in (".pth.tar", ".pth", ".pt", ".pkl", ".ckpt", ".bin", ".model", ".tar"):
                if text.endswith(suffix):
                    stem = text[: -len(suffix)]
                    break
            return literal(stem + ".weights.h5")
    return fill('str(path) + ".weights.h5"', path=node)


@rewrites("torch.save", to="tf")
def save(site: Site) -> Any:
    """A model's weights as a weights file; anything else pickled."""
    what, path = site.arg("obj"), site.arg("f")
    if (
        isinstance(what, cst.Call)
        and _is_state(site, what)
        and isinstance(what.func, cst.Attribute)
    ):
        site.context.claim(what)
        owner = what.func.value
        if isinstance(owner, cst.Attribute) and owner.attr.value == "module":
            owner = owner.value
        return fill("model.save_weights(path)", model=owner, path=weights_path(path))
    fact = site.context.fact(what)
    if any(isinstance(o, Instance) and is_module(site.context, o) for o in options(fact)):
        site.caution(
            "only the weights are saved: Keras needs the class to make the model again",
            "torch.load of this file becomes load_weights on a model made first",
        )
        return fill("model.save_weights(path)", model=what, path=weights_path(path))
    site.context.emit("save_pickle")
    return fill("save_pickle(what, path)", what=what, path=path)


@rewrites("torch.load", to="tf")
def load(site: Site) -> Any:
    """A pickled bundle; weights files are loaded where load_state_dict is called."""
    path = site.arg("f")
    if _loads_whole_model(site):
        target = site.assigned_to
        assert target is not None
        build(site, target)
        return fill_statements("model.load_weights(path)", model=target, path=weights_path(path))
    site.context.emit("load_pickle")
    return fill("load_pickle(path)", path=path)


def _loads_whole_model(site: Site) -> bool:
    """`model = torch.load(path)` where the name held a module before."""
    target = site.assigned_to
    if not isinstance(target, (cst.Name, cst.Attribute)):
        return False
    module = site.context.module
    wanted = site.context.edits
    for node in find(module, cst.Name if isinstance(target, cst.Name) else cst.Attribute):
        if node is not target and node.deep_equals(target) and node in wanted.parent:
            for value in options(site.context.fact(node)):
                if isinstance(value, Instance) and is_module(site.context, value):
                    return True
    return False


@rewrites("torch.nn.Module.load_state_dict", to="tf")
def load_state_dict(site: Site) -> Any:
    """`model.load_state_dict(torch.load(path))` → `model.load_weights(path)`."""
    assert site.receiver is not None
    state = site.arg("state_dict")
    if not site.alone:
        raise Unfit("the result of load_state_dict is used", "call it as a statement")
    build(site, site.receiver)
    if isinstance(state, cst.Call) and site.context.fact(state.func) == Symbol("torch.load"):
        inner = Site(site.context, state, "torch.load")
        site.context.claim(state)
        return fill(
            "model.load_weights(path)", model=site.receiver, path=weights_path(inner.arg("f"))
        )
    loaded = _loaded_from(site, state)
    if loaded is not None:
        return loaded
    return fill("model.set_weights(state)", model=site.receiver, state=state)


def _loaded_from(site: Site, state: cst.BaseExpression) -> Any:
    """`state = torch.load(path)` just before, with the state used for nothing else."""
    if not isinstance(state, cst.Name):
        return None
    scope = site.context.edits.enclosing(site.node, cst.FunctionDef) or site.context.module
    uses = [n for n in find(scope, cst.Name) if n.value == state.value]
    if len(uses) != 2:
        return None
    for assign in find(scope, cst.Assign):
        target = assign.targets[0].target
        if target is uses[0] and isinstance(assign.value, cst.Call):
            if site.context.fact(assign.value.func) == Symbol("torch.load"):
                inner = Site(site.context, assign.value, "torch.load")
                site.context.claim(assign.value)
                site.context.edits.replace(site.context.edits.statement(assign), [])
                return fill(
                    "model.load_weights(path)",
                    model=site.receiver,
                    path=weights_path(inner.arg("f")),
                )
    return None


@rewrites(STATE, to="tf")
def get_weights(site: Site) -> Any:
    """The state as a list of arrays, a copy already."""
    assert site.receiver is not None
    parent = site.context.edits.parent.get(site.context.edits.parent[site.node])
    if isinstance(parent, cst.Call) and site.context.fact(parent.func) == Symbol("copy.deepcopy"):
        site.context.edits.replace(parent, fill("model.get_weights()", model=site.receiver))
        return site.keep()
    return fill("model.get_weights()", model=site.receiver)


@rewrites("torch.optim.Optimizer.state_dict", to="tf")
def optimizer_state(site: Site) -> Any:
    return fill("[v.numpy() for v in optimizer.variables]", optimizer=site.receiver)


@rewrites("torch.optim.Optimizer.load_state_dict", to="tf")
def load_optimizer(site: Site) -> Any:
    """The optimizer's variables exist once it knows what it updates."""
    from transpiler.planners.step.events import Event
    from transpiler.planners.step.variables import variables_of

    assert site.receiver is not None
    assert isinstance(site.node, cst.Call)
    scope = site.context.edits.enclosing(site.node, cst.FunctionDef) or site.context.module
    event = Event(
        "step", site.name, site.statement, site.node, site.receiver,  # type: ignore[arg-type]
        site.context.fact(site.receiver),
    )  # fmt: skip
    variables = variables_of(site.context, event, scope)
    site.context.emit("load_optimizer")
    return fill(
        "load_optimizer(optimizer, variables, state)",
        optimizer=site.receiver,
        variables=variables,
        state=site.arg("state_dict"),
    )


# ---- building ------------------------------------------------------------------------------------


def build(site: Site, model: cst.BaseExpression) -> None:
    """Make the model's variables before the statement, once per statement. Raises Unfit."""
    if site.node not in site.context.interpreter.early:
        return
    lines = building(site, model)
    if lines is None:
        raise Unfit(
            "the model has no variables before its first call, and its input's shape is not known",
            "call the model once on an input before",
        )
    if is_first_build(site, model):
        site.context.edits.insert_before(site.statement, lines)


def is_first_build(site: Site, model: cst.BaseExpression) -> bool:
    """Whether no statement before, in the same function, builds this very model already."""
    edits = site.context.edits
    scope = edits.enclosing(site.node, cst.FunctionDef) or site.context.module
    instances = frozenset(id(o) for o in options(site.context.fact(model)))
    done: dict[Any, bool] = site.context.notes.setdefault("built", {})
    key = (scope, cst.Module([]).code_for_node(model), instances)
    if done.get(key) or done.get((site.statement, *key)):
        return False
    done[(site.statement, *key)] = True
    outer = edits.parent[site.statement]
    done[key] = outer is scope or edits.parent.get(outer) is scope
    return True


def building(site: Site, model: cst.BaseExpression) -> list[cst.BaseStatement] | None:
    """A call on zeros of the inputs' shapes, or `build` of a stock layer; None where not known."""
    found = [o for o in options(site.context.fact(model)) if isinstance(o, Instance)]
    if len(found) != 1:
        return None
    inputs = found[0].state.get("inputs") or []
    shapes = [input_shape(site, found[0], value) for value in inputs]
    if not inputs or None in shapes:
        return None
    if isinstance(found[0].cls, Symbol) and len(shapes) == 1:
        shape = (None, *shapes[0][1:])  # type: ignore[index]
        return fill_statements("model.build(shape)", model=model, shape=shape)
    zeros = [_zeros(value, shape) for value, shape in zip(inputs, shapes, strict=False)]
    return fill_statements("model(*zeros)", model=model, zeros=zeros)


def _zeros(value: Value, shape: Any) -> cst.BaseExpression:
    whole = isinstance(value, Tensor) and (value.dtype or "").startswith(("int", "uint"))
    return fill("tf.zeros(shape, kind)" if whole else "tf.zeros(shape)", shape=shape,
                kind=fill("tf.int64"))  # fmt: skip


def input_shape(site: Site, model: Instance, value: Value) -> tuple[int, ...] | None:
    """The shape of an input with a batch of one, as the translated model takes it, where known."""
    if not isinstance(value, Tensor) or not value.shape:
        return None
    dims = value.shape[1:]
    if not all(isinstance(d, int) for d in dims):
        return None
    if len(dims) > 1 and module_layout(site.context, model).takes:
        dims = (*dims[1:], dims[0])
    return (1, *dims)  # type: ignore[arg-type]
