"""`tf.Module` classes as `nn.Module`."""

from __future__ import annotations

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Symbol
from transpiler.modules import method, self_name
from transpiler.rule import Unfit
from transpiler.syntax import code, docstring_end, find
from transpiler.template import fill, fill_statements

MODULE = "tf.Module"


def plan_modules(context: Context) -> None:
    """Bases, constructors, and `__call__` as `forward`."""
    for node in find(context.module, cst.ClassDef):
        cls = context.fact(node)
        if not isinstance(cls, Class) or not context.knowledge.derives(cls, MODULE):
            continue
        if any(context.knowledge.derives(Symbol(b), "keras.Layer") for b in cls.library_bases()):
            continue
        _plan_class(context, node)


def _plan_class(context: Context, node: cst.ClassDef) -> None:
    for arg in node.bases:
        fact = context.fact(arg.value)
        if isinstance(fact, Symbol) and fact.name == MODULE:
            context.claim(arg.value)
            for part in find(arg.value, cst.Name, cst.Attribute):
                context.claim(part)
            context.edits.replace(arg.value, fill("torch.nn.Module"))
    starts = [c for c in find(node, cst.Call) if _is_start(c)]
    for call in starts:
        context.claim(call)
        if _is_direct(context, node):
            context.edits.replace(call, fill("super().__init__()"))
    entry = method(node, "__call__")
    if entry is not None:
        context.edits.replace(entry.name, cst.Name("forward"))
    init = method(node, "__init__")
    if init is not None:
        _plan_lists(context, init)
        if not starts and _is_direct(context, node):
            _start(context, init)


def _is_start(call: cst.Call) -> bool:
    return code(call.func).endswith("__init__") and code(call.func).startswith("super")


def _start(context: Context, init: cst.FunctionDef) -> None:
    """A tf.Module may leave out `super().__init__()`; PyTorch's may not."""
    body = list(init.body.body)
    first = body[min(docstring_end(body), len(body) - 1)]  # type: ignore[arg-type]
    context.edits.insert_before(first, fill_statements("super().__init__()"))


def _is_direct(context: Context, node: cst.ClassDef) -> bool:
    found = [context.fact(a.value) for a in node.bases]
    return any(isinstance(f, Symbol) and f.name == MODULE for f in found)


def _plan_lists(context: Context, init: cst.FunctionDef) -> None:
    """Lists of modules and of variables, which PyTorch has to be told of."""
    owner = self_name(init)
    for assign in find(init, cst.Assign):
        target = assign.targets[0].target
        if not isinstance(target, cst.Attribute) or code(target.value).strip() != owner:
            continue
        if not isinstance(assign.value, (cst.List, cst.ListComp)):
            continue
        kinds = _kinds(context, assign.value)
        if kinds == {"module"}:
            context.edits.wrap(assign.value, lambda x: fill("torch.nn.ModuleList(x)", x=x))
        elif kinds == {"variable"}:
            context.edits.wrap(assign.value, lambda x: fill("torch.nn.ParameterList(x)", x=x))
        elif len(kinds) > 1:
            error = Unfit("a list of modules beside other things is not translated")
            context.unfit(assign, MODULE, error)


def _kinds(context: Context, node: cst.BaseExpression) -> set[str]:
    from transpiler.infer.values import Instance, Tensor, element_of, options

    found = set()
    for value in options(element_of(context.fact(node))):
        if isinstance(value, Instance) and context.knowledge.derives(value, MODULE):
            found.add("module")
        elif isinstance(value, Tensor) and value.variable:
            found.add("variable")
        else:
            found.add("")
    return found


__all__ = ["plan_modules"]
