"""Subclassed Keras models and layers as `nn.Module` classes."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Class,
    Function,
    Instance,
    Method,
    Symbol,
    options,
)
from transpiler.modules import in_module_method, is_module, method, module_classes
from transpiler.planners.keras_build import merge_build
from transpiler.planners.keras_containers import plan_containers
from transpiler.planners.keras_steady import keep_mode, write_modes
from transpiler.planners.keras_tape.flags import called_modules, flag_argument, flag_parameter
from transpiler.rule import Unfit
from transpiler.rules.keras_copies import COPYABLE
from transpiler.syntax import code, find, walk
from transpiler.template import fill, fill_statements

BASES = ("keras.Model", "keras.Layer")
DROPPED = ("get_config", "from_config", "compute_output_shape", "compute_output_spec",
           "compute_mask", "get_build_config", "build_from_config")  # fmt: skip
STEPS = ("train_step", "test_step", "predict_step")
OPTIONS = ("name", "dtype", "trainable", "input_shape", "dynamic", "batch_input_shape",
           "input_dim", "autocast", "activity_regularizer")  # fmt: skip


def plan(context: Context) -> None:
    """Bases, constructor, `build`, `call` as `forward`, the training flag as the module's mode."""
    for node, cls in module_classes(context):
        try:
            _check(context, node, cls)
        except Unfit as error:
            _leave(context, node, error)
            continue
        _plan_class(context, node, cls)
    _plan_calls(context)
    write_modes(context)


def _is_run_by_keras(context: Context, cls: Class, name: str) -> bool:
    """Whether Keras calls a method of its own name, in `fit` and the like."""
    made = [i for i in context.interpreter.instances.values() if i.cls is cls]
    if name == "compute_loss":
        return not made or any("compiled" in i.state for i in made)
    return True


def _check(context: Context, node: cst.ClassDef, cls: Class) -> None:
    bases = [b.name for b in cls.bases if isinstance(b, Symbol)]
    for name in bases:
        if name not in BASES and name.startswith("keras.") and name != "keras.Sequential":
            raise Unfit(f"a class derived from {name.removeprefix('keras.')} is not translated",
                        "write it as an nn.Module that holds the layer")  # fmt: skip
    for name in ("compute_loss", "compile", "predict_step"):
        if name != "predict_step" and method(node, "train_step") is not None:
            continue
        if method(node, name) is not None and _is_run_by_keras(context, cls, name):
            raise Unfit(f"the method `{name}` of a Keras class is not translated",
                        "write the training loop by hand")  # fmt: skip


def _leave(context: Context, node: cst.ClassDef, error: Unfit) -> None:
    """The class stays as the source has it, with one reason."""
    context.unfit(node, f"class {node.name.value}", error)
    for item in walk(node):
        context.claim(item)
    context.notes.setdefault("left classes", set()).add(node)


def _plan_class(context: Context, node: cst.ClassDef, cls: Class) -> None:
    for arg in node.bases:
        fact = context.fact(arg.value)
        if isinstance(fact, Symbol) and fact.name == COPYABLE:
            context.claim(arg.value)
            context.edits.replace(arg, [])
        if isinstance(fact, Symbol) and fact.name in BASES:
            context.claim(arg.value)
            for part in find(arg.value, cst.Name, cst.Attribute):
                context.claim(part)
            context.edits.replace(arg.value, cst.parse_expression("torch.nn.Module"))
    if node.keywords:
        context.edits.replace(node, node.with_changes(keywords=[]))
    init = method(node, "__init__")
    for call in find(node, cst.Call):
        if _is_super(call, "__init__"):
            context.claim(call)
            if _is_direct(cls):
                context.edits.replace(call, cst.parse_expression("super().__init__()"))
            else:
                context.edits.replace(call, _without_options(call, _hands_options_on(cls)))
        elif _is_super(call, "call"):
            context.edits.replace(call.func, fill("super().forward"))
    for statement in node.body.body:
        if isinstance(statement, cst.FunctionDef):
            plan_containers(context, statement)
    if init is not None:
        _plan_parameters(context, init, cls)
    try:
        merge_build(context, node, cls)
    except Unfit as error:
        context.unfit(method(node, "build") or node, f"{node.name.value}.build", error)
    for name in DROPPED:
        _drop_method(context, node, name)
    entry = method(node, "call")
    if entry is not None:
        _plan_entry(context, entry)
    _plan_added_losses(context, node)


def _is_direct(cls: Class) -> bool:
    return any(isinstance(b, Symbol) for b in cls.bases)


def _is_super(call: cst.Call, name: str) -> bool:
    func = call.func
    if not isinstance(func, cst.Attribute) or func.attr.value != name:
        return False
    if isinstance(func.value, cst.Call) and code(func.value.func) == "super":
        return True
    # Model.__init__(self), from before super()
    return name == "__init__" and bool(call.args) and code(call.args[0].value) == "self"


def _without_options(call: cst.Call, hands_on: bool) -> cst.Call:
    """`super().__init__(units, **kwargs)` of a class of the program."""
    kept = [a for a in call.args if (a.star != "**" or hands_on) and not _is_option(a)]
    if kept:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return call.with_changes(func=cst.parse_expression("super().__init__"), args=kept)


def _is_option(arg: cst.Arg) -> bool:
    return arg.keyword is not None and arg.keyword.value in OPTIONS


def _plan_parameters(context: Context, init: cst.FunctionDef, cls: Class) -> None:
    """`**kwargs` are Keras' own options: names and dtypes."""
    star = init.params.star_kwarg
    if star is None or _hands_options_on(cls):
        return
    name = star.name.value
    rest = [n for n in find(init.body, cst.Name) if n.value == name]
    inside = [c for c in find(init.body, cst.Call) if _is_super(c, "__init__")]
    allowed = {n for c in inside for n in find(c, cst.Name)}
    if all(n in allowed for n in rest):
        kept = list(init.params.params)
        changed = init.params.with_changes(star_kwarg=None)
        if kept and not init.params.kwonly_params:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
            changed = changed.with_changes(params=kept)
        context.edits.replace(init.params, changed)


def _hands_options_on(cls: Class) -> bool:
    """Whether a class of the program, which has parameters of its own, gets the options."""
    for base in cls.bases:
        init = base.lookup("__init__") if isinstance(base, Class) else None
        if isinstance(init, Function):
            params = init.node.params
            return len(params.params) > 1 or bool(params.kwonly_params)
    return False


def _drop_method(context: Context, node: cst.ClassDef, name: str) -> None:
    found = method(node, name)
    if found is None:
        return
    context.edits.replace(found, [])
    for item in walk(found):
        context.claim(item)
    context.remark(
        node, f"class {node.name.value}", f"`{name}` is left out: PyTorch has no such method"
    )


def _plan_entry(context: Context, entry: cst.FunctionDef) -> None:
    """`call(self, x, training=None)` as `forward(self, x)`."""
    flag = flag_parameter(context, entry)
    context.edits.replace(entry.name, cst.Name("forward"))
    params = [*entry.params.params, *entry.params.kwonly_params]
    star = entry.params.star_kwarg
    if star is not None and not any(n.value == star.name.value for n in find(entry.body, cst.Name)):
        context.edits.replace(entry.params, _without(entry.params, "training", star=True))
    if flag is None or not any(p.name.value == flag for p in params):
        return
    context.edits.replace(entry.params, _without(entry.params, flag, star=False))
    owner = entry.params.params[0].name.value
    for name in find(entry.body, cst.Name):
        parent = context.edits.parent[name]
        if name.value != flag or (isinstance(parent, cst.Attribute) and parent.attr is name):
            continue
        if isinstance(parent, cst.Arg) and (parent.keyword is name or _hands_on(context, parent)):
            continue
        context.edits.replace(name, cst.parse_expression(f"{owner}.training"))


def _without(params: cst.Parameters, name: str, star: bool) -> cst.Parameters:
    kept = [p for p in params.params if p.name.value != name]
    only = [p for p in params.kwonly_params if p.name.value != name]
    if kept and not only:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    changed = params.with_changes(params=kept, kwonly_params=only)
    if not only and isinstance(changed.star_arg, cst.ParamStar):
        changed = changed.with_changes(star_arg=cst.MaybeSentinel.DEFAULT)
    return changed.with_changes(star_kwarg=None) if star else changed


def _hands_on(context: Context, arg: cst.Arg) -> bool:
    """Whether an argument tells a part of the model whether it trains."""
    call = context.edits.parent[arg]
    if not isinstance(call, cst.Call):
        return False
    if any(isinstance(f, (Function, Method)) for f in options(context.fact(call.func))):
        return False  # a function of the program's own takes the flag as it is
    modules = called_modules(context, call)
    return is_flag(arg) or (bool(modules) and flag_argument(context, call, modules) is arg)


def is_flag(arg: cst.Arg) -> bool:
    return arg.keyword is not None and arg.keyword.value == "training"


# ---- add_loss --------------------------------------------------------------------------------


def _plan_added_losses(context: Context, node: cst.ClassDef) -> None:
    """`self.add_loss(value)`: the module keeps it until the loss is summed up."""
    calls = [c for c in find(node, cst.Call) if _adds_loss(c)]
    for number, call in enumerate(calls):
        assert isinstance(call.func, cst.Attribute)
        owner = call.func.value
        context.claim(call)
        context.emit("added_losses")
        template = "owner.added_loss = value" if not number else "owner.added_loss += value"
        if not call.args or not isinstance(context.edits.parent[call], cst.Expr):
            context.manual(call, "add_loss", "add_loss is used in a way that is not translated")
            return
        new = fill_statements(template, owner=owner, value=call.args[0].value)
        statement = context.edits.statement(call)
        function = context.edits.enclosing(call, cst.FunctionDef)
        if context.edits.parent[context.edits.parent[statement]] is not function:
            start = fill_statements("owner.added_loss = 0.0", owner=owner.deep_clone())
            context.edits.insert_before(function.body.body[0], start)
            new = fill_statements(
                "owner.added_loss += value", owner=owner, value=call.args[0].value
            )
        context.edits.replace(statement, new)


def _adds_loss(call: cst.Call) -> bool:
    return isinstance(call.func, cst.Attribute) and call.func.attr.value == "add_loss"


# ---- calls -----------------------------------------------------------------------------------


def _plan_calls(context: Context) -> None:
    """`model(x, training=True)`: the mode is the module's own state in PyTorch."""
    for call in find(context.module, cst.Call):
        if call in context.claimed:
            continue
        values = [
            o for o in options(context.fact(call.func)) if isinstance(o, (Instance, Method, Class))
        ]
        if values and all(isinstance(v, Class) and is_module(context, v) for v in values):
            _plan_constructor(context, call, values)
        modules = [v for v in values if isinstance(v, Instance) and is_module(context, v)]
        if modules:
            _plan_call(context, call, modules)
        elif context.fact(call.func) is UNKNOWN and in_module_method(context, call):
            _plan_unknown_call(context, call)
        elif isinstance(call.func, cst.Attribute) and call.func.attr.value == "call":
            owner = options(context.fact(call.func.value))
            if owner and all(is_module(context, v) for v in owner):
                context.edits.replace(call.func.attr, cst.Name("forward"))


def _plan_unknown_call(context: Context, call: cst.Call) -> None:
    """`self.part(x, training=training)` of which nothing is known: it is taken for a module."""
    around = context.edits.enclosing(call, cst.FunctionDef)
    flags = {i for i, a in enumerate(call.args) if is_flag(a)}
    if flags and around is not None and around.name.value == "call":
        context.edits.wrap(call, lambda node: _drop_places(node, flags), inner=True)
        context.caution(call, "training-mode", "nothing is known of what is called here:"
                        " it is taken for a module, whose mode is its own")  # fmt: skip


def _plan_constructor(context: Context, call: cst.Call, values: list[Any]) -> None:
    """`Block(64, name="first")`: options that went with `**kwargs`."""
    cls = values[0]
    init = cls.lookup("__init__")
    declared = set()
    if init is not None:
        params = init.node.params
        declared = {p.name.value for p in [*params.params, *params.kwonly_params]}
    gone = [a for a in call.args if _is_option(a) and a.keyword and a.keyword.value not in declared]
    if gone:
        context.edits.wrap(call, lambda node: _drop_args(node, gone), inner=True)


def _drop_args(node: Any, gone: list[cst.Arg]) -> Any:
    if not isinstance(node, cst.Call):
        return node
    names = {a.keyword.value for a in gone if a.keyword is not None}
    kept = [a for a in node.args if a.keyword is None or a.keyword.value not in names]
    if kept:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return node.with_changes(args=kept)


def _drop_places(node: Any, places: set[int]) -> Any:
    """A call without the arguments at some places."""
    if not isinstance(node, cst.Call):
        return node
    kept = [a for i, a in enumerate(node.args) if i not in places]
    if kept:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return node.with_changes(args=kept)


def _plan_call(context: Context, call: cst.Call, modules: list[Instance]) -> None:
    inside = in_module_method(context, call)
    own = flag_argument(context, call, modules)
    flags = [a for a in call.args if is_flag(a) or a is own]
    removed = modules[0].state.get("logits")
    if removed and not inside:
        end = ".softmax(-1)" if removed == "softmax" else ".sigmoid()"
        context.edits.wrap(call, lambda x: fill(f"x{end}", x=x))
    if flags:
        places = {i for i, a in enumerate(call.args) if a in flags}
        context.edits.wrap(call, lambda node: _drop_places(node, places), inner=True)
    around = context.edits.enclosing(call, cst.FunctionDef)
    if inside and around is not None and around.name.value == "call":
        _check_inner_flag(context, call, flags, flag_parameter(context, around))


def _check_inner_flag(
    context: Context, call: cst.Call, flags: list[cst.Arg], own: str | None
) -> None:
    for flag in flags:
        if isinstance(flag.value, cst.Name) and flag.value.value == own:
            continue
        if keep_mode(context, call, flag):
            continue
        context.manual(
            call, "training-mode",
            "a part of the model runs in a mode of its own here",
            "put that module in its mode with .train() or .eval() before the call",
        )  # fmt: skip


__all__ = ["plan"]
