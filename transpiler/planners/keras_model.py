"""Subclassed Keras models and layers as `nn.Module` classes."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Instance, Method, Symbol, options
from transpiler.modules import in_module_method, is_module, method, module_classes
from transpiler.planners.keras_tape.sensitive import is_sensitive
from transpiler.rule import Unfit
from transpiler.syntax import find

BASES = ("keras.Model", "keras.Layer")
FOREIGN = ("build", "train_step", "test_step", "predict_step", "compute_mask", "compute_loss",
           "get_config", "from_config", "compute_output_shape", "compile")  # fmt: skip
_OWN_METHODS = ("add_weight", "add_loss", "add_metric")


def plan(context: Context) -> None:
    """Bases, constructor, `call` as `forward`, the training flag as the module's own mode."""
    for node, cls in module_classes(context):
        try:
            _check(node, cls)
        except Unfit as error:
            context.unfit(node, f"class {node.name.value}", error)
            continue
        _plan_class(context, node)
    _plan_calls(context)


def _check(node: cst.ClassDef, cls: Class) -> None:
    for name in FOREIGN:
        if method(node, name) is not None:
            raise Unfit(
                f"the method `{name}` of a Keras class is not translated",
                "create parameters in __init__, and write the training loop by hand",
            )
    if method(node, "call") is None and any(isinstance(b, Symbol) for b in cls.bases):
        raise Unfit("a Keras class without `call` is not translated")


def _plan_class(context: Context, node: cst.ClassDef) -> None:
    for arg in node.bases:
        fact = context.fact(arg.value)
        if isinstance(fact, Symbol) and fact.name in BASES:
            context.claim(arg.value)
            context.edits.replace(arg.value, cst.parse_expression("torch.nn.Module"))
    for call in find(node, cst.Call):
        if _is_super_init(call) and (call.args and not _two_names(call)):
            context.claim(call)
            context.edits.replace(call, cst.parse_expression("super().__init__()"))
        elif _is_super_init(call):
            context.claim(call)
    init = method(node, "__init__")
    if init is not None and init.params.star_kwarg is not None:
        context.edits.replace(init.params, init.params.with_changes(star_kwarg=None))
    entry = method(node, "call")
    if entry is not None:
        _plan_entry(context, entry)


def _is_super_init(call: cst.Call) -> bool:
    func = call.func
    return (
        isinstance(func, cst.Attribute)
        and func.attr.value == "__init__"
        and isinstance(func.value, cst.Call)
        and isinstance(func.value.func, cst.Name)
        and func.value.func.value == "super"
    )


def _two_names(call: cst.Call) -> bool:
    return not call.args


def _plan_entry(context: Context, entry: cst.FunctionDef) -> None:
    """`call(self, x, training=None)` as `forward(self, x)`."""
    context.edits.replace(entry.name, cst.Name("forward"))
    params = [*entry.params.params, *entry.params.kwonly_params]
    if not any(p.name.value == "training" for p in params):
        return
    kept = [p for p in entry.params.params if p.name.value != "training"]
    if kept:
        kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
    only = [p for p in entry.params.kwonly_params if p.name.value != "training"]
    changed = entry.params.with_changes(params=kept, kwonly_params=only)
    context.edits.replace(entry.params, changed)
    owner = entry.params.params[0].name.value
    for name in find(entry.body, cst.Name):
        parent = context.edits.parent[name]
        if name.value != "training" or (isinstance(parent, cst.Attribute) and parent.attr is name):
            continue
        if isinstance(parent, cst.Arg) and (parent.keyword is name or _is_flag(parent)):
            continue
        context.edits.replace(name, cst.parse_expression(f"{owner}.training"))


def _is_flag(arg: cst.Arg) -> bool:
    return arg.keyword is not None and arg.keyword.value == "training"


def _plan_calls(context: Context) -> None:
    """`model(x, training=True)`: the mode is the module's own state in PyTorch."""
    for call in find(context.module, cst.Call):
        values = [o for o in options(context.fact(call.func)) if isinstance(o, (Instance, Method))]
        modules = [v for v in values if isinstance(v, Instance) and is_module(context, v)]
        if not modules:
            continue
        inside = in_module_method(context, call)
        flags = [a for a in call.args if _is_flag(a)]
        removed = modules[0].state.get("logits")
        if removed and not inside:
            end = ".softmax(-1)" if removed == "softmax" else ".sigmoid()"
            context.edits.wrap(call, lambda x, end=end: _with_end(x, end))  # type: ignore[misc]
        for flag in flags:
            _drop(context, call, flag)
        around = context.edits.enclosing(call, cst.FunctionDef, cst.Lambda)
        if inside and around in context.notes["modes"].inherited:
            if any(is_sensitive(context, m) for m in modules):
                _check_inner_flag(context, call, flags)


def _with_end(node: cst.BaseExpression, end: str) -> cst.BaseExpression:
    from transpiler.template import fill

    return fill(f"x{end}", x=node)


def _drop(context: Context, call: cst.Call, flag: cst.Arg) -> None:
    def without(result: Any) -> Any:
        if not isinstance(result, cst.Call):
            return result
        args = [a for a in result.args if not _is_flag(a)]
        if args:
            args[-1] = args[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return result.with_changes(args=args)

    context.edits.wrap(call, without)


def _check_inner_flag(context: Context, call: cst.Call, flags: list[cst.Arg]) -> None:
    for flag in flags:
        if isinstance(flag.value, cst.Name) and flag.value.value == "training":
            continue
        context.manual(
            call, "training-mode",
            "a part of the model runs in a mode of its own here",
            "put that module in its mode with .train() or .eval() before the call",
        )  # fmt: skip


__all__ = ["plan"]
