"""torch.autograd.Function: operations whose gradients the program writes itself."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Bound,
    Class,
    Function,
    Instance,
    ListObject,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
)
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.site import Site

FUNCTION = "torch.autograd.Function"
ENTRY_DEFAULTS = {
    f"{FUNCTION}.{name}": Tensor(None, None, "torch") for name in ("forward", "backward")
}


@infers_property(f"{FUNCTION}.apply")
def apply_of(cls: Value) -> Value:
    return Bound(f"{FUNCTION}.apply", cls)


@infers(f"{FUNCTION}.apply")
def applied(call: Invocation) -> Value:
    """What `forward` gives; `backward` sees gradients of its shape."""
    cls, interpreter = call.receiver, call.interpreter
    forward = cls.lookup("forward") if isinstance(cls, Class) else None
    if not isinstance(cls, Class) or not isinstance(forward, Function):
        return UNKNOWN
    context = interpreter.allocate(Symbol(FUNCTION), call.node, {})
    arguments = [Tensor(None, None, "torch") if a is UNKNOWN else a for a in call.positional]
    result = interpreter.call(forward, [context, *arguments], {}, None)
    backward = cls.lookup("backward")
    if isinstance(backward, Function):
        results = result.items if isinstance(result, Sequence) and result.items else (result,)
        interpreter.call(backward, [context, *results], {}, None)
    return result


@infers(f"{FUNCTION}.save_for_backward")
def saved(call: Invocation) -> Value:
    if isinstance(call.receiver, Instance):
        call.receiver.state["saved"] = tuple(call.positional)
    return NONE


@infers_property(f"{FUNCTION}.saved_tensors")
def saved_tensors(context: Value) -> Value:
    items = context.state.get("saved") if isinstance(context, Instance) else None
    return Sequence("tuple", items)


@infers_property(f"{FUNCTION}.needs_input_grad")
def needs_input_grad(_: Value) -> Value:
    return ListObject(None, Number("bool"))


@rewrites(FUNCTION, to="tf")
def base(site: Site) -> Any:
    """The base class, which is written out."""
    around = site.context.edits.parent.get(site.parent)
    if not isinstance(site.parent, cst.Arg) or not isinstance(around, cst.ClassDef):
        raise Unfit("torch.autograd.Function is used as a value")
    names = {f.name.value for f in around.body.body if isinstance(f, cst.FunctionDef)}
    if "setup_context" in names or not {"forward", "backward"} <= names:
        site.context.manual(
            site.node, "autograd.Function", "a custom function whose forward takes no context",
            "give forward the context as its first argument",
        )  # fmt: skip
        return site.keep()
    return site.emit("Function")


@rewrites(f"{FUNCTION}.apply", f"{FUNCTION}.save_for_backward", f"{FUNCTION}.saved_tensors",
          f"{FUNCTION}.needs_input_grad", to="tf")  # fmt: skip
def kept(site: Site) -> Any:
    """What the base class that is written out has under the same names."""
    return site.keep()
