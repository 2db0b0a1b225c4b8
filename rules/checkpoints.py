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
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    join,
    options,
)
from transpiler.layouts import module_layout
from transpiler.modules import is_module
from transpiler.rule import Unfit, infers, rewrites
from transpiler.rules.weights_files import (
    STATE,
    holds_module,
    holds_state,
    rename,
    uses_weights_files,
)
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import fill, fill_statements


@infers(STATE)
def state_dict(call: Invocation) -> Value:
    """The state of a module, which knows whose state it is."""
    note_early(call)
    return Instance(Symbol(STATE), {"module": call.receiver or UNKNOWN}, {}, call.node)


@infers(f"{STATE}.__getitem__")
def state_entry(_: Invocation) -> Value:
    return Tensor(library="torch")


@infers(f"{STATE}.__iter__", f"{STATE}.keys", f"{STATE}.values", f"{STATE}.items")
def state_entries(call: Invocation) -> Value:
    """Names, tensors, or both."""
    name, entry = Number("str"), Tensor(library="torch", variable=_is_direct(call.node))
    match call.name.rpartition(".")[2]:
        case "items":
            return Sequence("items", None, Sequence("tuple", (name, entry)))
        case "values":
            return Sequence("values", None, entry)
    return name if call.name.endswith("__iter__") else Sequence("keys", None, name)


def _is_direct(node: Any) -> bool:
    """`model.state_dict().values()`: what is changed in place there is the model's own."""
    match node:
        case cst.Call(func=cst.Attribute(value=cst.Call(func=cst.Attribute(attr=inner)))):
            return inner.value == "state_dict"
    return False


@rewrites(f"{STATE}.values", to="tf")
def state_values(site: Site) -> Any:
    """The model's variables themselves, or the arrays that were kept of them."""
    if not _is_direct(site.node) or site.receiver is None:
        return site.receiver
    owner: Any = site.receiver
    build(Site(site.context, owner, STATE), owner.func.value)
    site.context.claim(owner)
    site.context.claim(owner.func)
    return fill("model.weights", model=owner.func.value)


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
    """What was saved under the same path; models, where the program saves nothing else."""
    path = call.arg("f", at=0)
    saved = call.interpreter.saved
    if isinstance(path, Const):
        return saved.get(path.value, UNKNOWN)
    models = [o for value in saved.values() for o in options(value)]
    derives = call.interpreter.knowledge.derives
    whole = all(isinstance(o, Instance) and derives(o, "torch.nn.Module") for o in models)
    return join(*models) if whole else UNKNOWN


@infers("copy.deepcopy", "copy.copy")
def copied(call: Invocation) -> Value:
    return call.positional[0] if call.positional else UNKNOWN


@rewrites("torch.save", to="tf")
def save(site: Site) -> Any:
    """A model's weights as a weights file; anything else pickled."""
    context = site.context
    what, path = site.arg("obj"), site.arg("f")
    if uses_weights_files(context):
        if holds_state(context, what) and isinstance(what, cst.Call):
            assert isinstance(what.func, cst.Attribute)
            context.claim(what)
            path = rename(context, path)
            return fill("model.save_weights(path)", model=_bare(site, what.func.value), path=path)
        if holds_module(context, what):
            _tell_whole(site)
            return fill("model.save_weights(path)", model=what, path=rename(context, path))
    context.emit("save_pickle")
    return fill("save_pickle(what, path)", what=_pickled(site, what), path=path)


def _pickled(site: Site, what: cst.BaseExpression) -> cst.BaseExpression:
    """A model by its weights, also as one of two things that may be saved."""
    if isinstance(what, cst.IfExp):
        body, orelse = _pickled(site, what.body), _pickled(site, what.orelse)
        return what.with_changes(body=body, orelse=orelse)
    if not holds_module(site.context, what):
        return what
    _tell_whole(site)
    return fill("model.get_weights()", model=what)


def _bare(site: Site, model: cst.BaseExpression) -> cst.BaseExpression:
    """The model without the `.module` of a wrapper that is gone."""
    is_wrapped = isinstance(model, cst.Attribute) and model.attr.value == "module"
    if is_wrapped and any(
        isinstance(o, Instance) and "module" in o.attributes
        for o in options(site.context.fact(model.value))  # type: ignore[attr-defined]
    ):
        return model  # an attribute of the program's own
    return model.value if is_wrapped else model  # type: ignore[attr-defined]


def _tell_whole(site: Site) -> None:
    site.caution(
        "only the weights are saved: Keras needs the class to make the model again",
        "torch.load of this file becomes load_weights on a model made first",
    )


def load_into(site: Site, model: cst.BaseExpression, path: cst.BaseExpression) -> Any:
    """The statement that puts a file's weights into a model."""
    if uses_weights_files(site.context):
        return fill("model.load_weights(path)", model=model, path=rename(site.context, path))
    site.context.emit("load_pickle")
    return fill("model.set_weights(load_pickle(path))", model=model, path=path)


@rewrites("torch.load", to="tf")
def load(site: Site) -> Any:
    """A pickled bundle; weights files are loaded where load_state_dict is called."""
    path = site.arg("f")
    if _loads_whole_model(site):
        return _load_whole(site, path)
    site.context.emit("load_pickle")
    return fill("load_pickle(path)", path=path)


def _load_whole(site: Site, path: cst.BaseExpression) -> Any:
    """A model of the same class, made first where the name holds none yet, and its weights."""
    target = site.assigned_to
    assert target is not None
    lines: list[cst.BaseStatement] = []
    if not _is_bound_before(site, target):
        found = [o for o in options(site.context.fact(target)) if isinstance(o, Instance)]
        made = _made_before(site, found[0]) if len(found) == 1 else None
        if made is None:
            raise Unfit("a whole model is loaded, and how it was made is not known here")
        lines += fill_statements("model = make", model=target, make=made)
        built = building(site, target)
        if built is None:
            raise Unfit("a whole model is loaded, and its input shape is not known here")
        lines += built
    else:
        build(site, target)
    return [*lines, cst.SimpleStatementLine([cst.Expr(load_into(site, target, path))])]


def _made_before(site: Site, model: Instance) -> cst.Call | None:
    """The call that gave a model, where it stands in the same function or in none."""
    edits = site.context.edits
    around = (None, edits.enclosing(site.node, cst.FunctionDef))
    origin = model.origin
    if isinstance(origin, cst.Call) and edits.enclosing(origin, cst.FunctionDef) in around:
        return origin if origin in edits.parent else None
    for assign in find(around[1] or site.context.module, cst.Assign):
        gives = isinstance(assign.value, cst.Call) and assign.value is not site.node
        if gives and site.context.fact(assign.value) is model:
            return assign.value  # type: ignore[return-value]
    return None


def _is_bound_before(site: Site, target: cst.BaseExpression) -> bool:
    scope = site.context.edits.enclosing(site.node, cst.FunctionDef) or site.context.module
    if isinstance(scope, cst.FunctionDef) and isinstance(target, cst.Name):
        if any(p.name.value == target.value for p in scope.params.params):
            return True
    return any(
        t.target is not target and t.target.deep_equals(target)
        for t in find(scope, cst.AssignTarget)
    )


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
    if isinstance(state, cst.Call) and holds_state(site.context, state):
        if isinstance(state.func, cst.Attribute) and state.func.attr.value == "state_dict":
            build(Site(site.context, state, STATE), state.func.value)
    build(site, site.receiver)
    if isinstance(state, cst.Call) and site.context.fact(state.func) == Symbol("torch.load"):
        inner = Site(site.context, state, "torch.load")
        site.context.claim(state)
        return load_into(site, _bare(site, site.receiver), inner.arg("f"))
    if uses_weights_files(site.context):
        loaded = _loaded_from(site, state)
        if loaded is not None:
            return loaded
    return fill("model.set_weights(state)", model=_bare(site, site.receiver), state=state)


def _loaded_from(site: Site, state: cst.BaseExpression) -> Any:
    """`state = torch.load(path)` just before, with the state used for nothing else."""
    if not isinstance(state, cst.Name) or site.receiver is None:
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
                return load_into(site, _bare(site, site.receiver), inner.arg("f"))
    return None


@rewrites(STATE, to="tf")
def get_weights(site: Site) -> Any:
    """The state as a list of arrays, a copy already."""
    assert site.receiver is not None
    build(site, site.receiver)
    parent = site.context.edits.parent.get(site.context.edits.parent[site.node])
    if isinstance(parent, cst.Call) and site.context.fact(parent.func) == Symbol("copy.deepcopy"):
        site.context.edits.replace(parent, fill("model.get_weights()", model=site.receiver))
        return site.keep()
    if _is_restored_later(site):
        site.context.caution(
            site.statement, "Module.state_dict",
            "torch's state follows the model, so that loading it later changes nothing;"
            " get_weights() keeps the values of this moment",
            "copy.deepcopy(model.state_dict()) keeps them in torch",
        )  # fmt: skip
    return fill("model.get_weights()", model=site.receiver)


def _is_restored_later(site: Site) -> bool:
    """`best = model.state_dict()` in a loop, loaded again behind it."""
    edits = site.context.edits
    parent = edits.parent.get(site.node)
    loop = edits.enclosing(site.node, cst.For, cst.While)
    if not isinstance(parent, cst.Assign) or loop is None:
        return False
    names = {code(t.target) for t in parent.targets}
    inside = set(find(loop, cst.Call))
    return any(
        isinstance(call_.func, cst.Attribute)
        and call_.func.attr.value == "load_state_dict"
        and bool(call_.args)
        and code(call_.args[0].value) in names
        and call_ not in inside
        for call_ in find(site.context.module, cst.Call)
    )


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
    from transpiler.planners.built_layers import are_built

    if site.node not in site.context.interpreter.early:
        return
    if are_built(site.context, site.context.fact(model)):
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
