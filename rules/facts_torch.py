"""What PyTorch's calls give back: the facts that the interpreter follows."""

from __future__ import annotations

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
from transpiler.modules import descendants
from transpiler.rule import infers, infers_property

ENTRIES = {"torch.nn.Module": "forward"}
ARRAYS = {"torch": "torch.Tensor"}
MODES = ("torch.nn.Module.training",)
ENTRY_DEFAULTS = {"torch.nn.Module.forward": Tensor(library="torch")}


@infers("torch.nn.Module.train", "torch.nn.Module.eval")
def module_mode(call: Invocation) -> Value:
    """`model.train()` and `model.eval()` set the mode of the module and all that it holds."""
    training: bool | None = not call.name.endswith("eval")
    mode = call.arg("mode", at=0)
    if mode is not None:
        training = mode.value if isinstance(mode, Const) else None
    known = frozenset({True, False}) if training is None else frozenset({bool(training)})
    for module in options(call.receiver):
        whole = getattr(module, "origin", None)  # of `super()`: the module itself
        for part in descendants(whole if isinstance(whole, Instance) else module):
            if isinstance(part, Instance):
                call.interpreter.modes[part] = known
    return call.receiver or UNKNOWN


@infers(
    "torch.nn.Module.to", "torch.nn.Module.cuda", "torch.nn.Module.cpu", "torch.nn.Module.float",
    "torch.nn.Module.double", "torch.nn.Module.half", "torch.nn.Module.apply",
    "torch.nn.Module.requires_grad_",
)  # fmt: skip
def same_module(call: Invocation) -> Value:
    """Methods that give the module itself back."""
    if call.name.endswith("apply") and call.positional:
        held = [m for m in descendants(call.receiver or UNKNOWN) if isinstance(m, Instance)]
        call.call(call.positional[0], join(*held) if held else UNKNOWN)
    whole = getattr(call.receiver, "origin", None)  # of `super()`: the module itself
    return whole if isinstance(whole, Instance) else call.receiver or UNKNOWN


@infers_property("torch.Tensor.shape")
def tensor_shape(value: Value) -> Value:
    from transpiler.infer.values import from_dim

    if isinstance(value, Tensor) and value.shape is not None:
        return Sequence("tuple", tuple(from_dim(d) for d in value.shape))
    return Sequence("tuple", None, Number("int"))
