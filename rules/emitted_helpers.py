"""The small layers that translations to PyTorch put between others, back in a Keras Sequential."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Const, Dim, Instance, Tensor, Value
from transpiler.layouts import PERMUTE, change_of_order
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Rule, Unfit, infers, rewrites
from transpiler.rules.emitted_layers import remembered
from transpiler.rules.layer_arguments import input_of, instance_of, known
from transpiler.site import Site, constant_value
from transpiler.syntax import code
from transpiler.template import call

_T = "to_torch."
SAME, AVERAGE = f"{_T}SamePad", f"{_T}SameAvgPool"
_AROUND = (f"{_T}initialize", f"{_T}regularize", f"{_T}constrain")
_PADDED = ("torch.nn.Conv", "torch.nn.MaxPool")

PLAIN = [
    Rule("Rescaling back", torch="to_torch.Rescaling(s, offset=o)",
         keras="keras.layers.Rescaling(s, offset=o)", layout="elementwise", to="tf"),
    Rule("RepeatVector back", torch="to_torch.RepeatVector(n)",
         keras="keras.layers.RepeatVector(n)", to="tf"),
]  # fmt: skip


# ---- what they give ------------------------------------------------------------------------------


@infers(f"{SAME}.__call__")
def padded(call_: Invocation) -> Value:
    """As many elements more as the window needs to give one for each stride."""
    layer, x = call_.receiver, remembered(call_)
    if not isinstance(layer, Instance) or not isinstance(x, Tensor) or x.shape is None:
        return x
    given = [layer.arguments.get(n, Const(1)) for n in ("kernel_size", "stride", "dilation")]
    found = [constant_value(v) if isinstance(v, Value) else None for v in given]
    count = len(x.shape) - 2
    windows = [f if isinstance(f, tuple) else (f,) * count for f in found]
    sizes = [_grown(n, *window) for n, *window in zip(x.shape[2:], *windows, strict=False)]
    return x.but(shape=(*x.shape[:2], *sizes))


def _grown(n: Dim, kernel: Any, stride: Any, dilation: Any) -> Dim:
    if not all(isinstance(v, int) for v in (n, kernel, stride, dilation)):
        return None
    assert isinstance(n, int)
    return n + max((-(-n // stride) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0)


@infers(f"{_T}GlobalMaxPool.__call__", f"{_T}GlobalAvgPool.__call__")
def pooled(call_: Invocation) -> Value:
    """Without the spatial axes, or with one element each."""
    layer, x = call_.receiver, remembered(call_)
    if not isinstance(layer, Instance) or not isinstance(x, Tensor) or x.shape is None:
        return x
    kept = layer.arguments.get("keepdim", Const(False)) != Const(False)
    return x.but(shape=(*x.shape[:2], *[1] * (len(x.shape) - 2 if kept else 0)))


@infers(f"{AVERAGE}.__call__")
def averaged(call_: Invocation) -> Value:
    """One element for each stride."""
    layer, x = call_.receiver, remembered(call_)
    if not isinstance(layer, Instance) or not isinstance(x, Tensor) or x.shape is None:
        return x
    value = layer.arguments.get("stride", layer.arguments.get("kernel_size"))
    stride = constant_value(value) if isinstance(value, Value) else None
    count = len(x.shape) - 2
    steps = stride if isinstance(stride, tuple) else (stride,) * count
    sizes = [-(-n // s) if isinstance(n, int) and isinstance(s, int) else None
             for n, s in zip(x.shape[2:], steps, strict=False)]  # fmt: skip
    return x.but(shape=(*x.shape[:2], *sizes))


@infers(f"{PERMUTE}.__call__", f"{_T}Reshape.__call__")
def moved(call_: Invocation) -> Value:
    """`x.permute(axes)`, `x.reshape(len(x), *shape)`."""
    layer, x = call_.receiver, remembered(call_)
    if not isinstance(layer, Instance) or not isinstance(x, Tensor):
        return x
    given = layer.arguments.get("axes", layer.arguments.get("shape"))
    values = [constant_value(v) if isinstance(v, Value) else None for v in given or ()]
    whole = [v if isinstance(v, int) else None for v in values]
    if call_.name.startswith(PERMUTE):
        fits = x.shape is not None and None not in whole and len(x.shape) == len(whole)
        return x.but(shape=tuple(x.shape[i] for i in whole) if fits else None)  # type: ignore
    batch = x.shape[0] if x.shape else None
    return x.but(shape=(batch, *(None if v == -1 else v for v in whole)))


# ---- how they are written ------------------------------------------------------------------------


@rewrites(PERMUTE, to="tf")
def permute(site: Site) -> Any:
    """Axes count from 1, without the batch."""
    axes = [known(site, node) for node in site.positional]
    if axes[:1] != [0] or not all(isinstance(a, int) for a in axes):
        raise Unfit("a Permute that moves the batch axis has no layer in Keras", "use tf.transpose")
    return call("keras.layers.Permute", tuple(axes[1:]))


@rewrites(f"{_T}Reshape", to="tf")
def reshape(site: Site) -> Any:
    if site.starred:
        raise Unfit("the shape of a Reshape is not known before the program runs")
    return call("keras.layers.Reshape", tuple(site.positional))


@rewrites(SAME, to="tf", layout="spatial")
def same_padding(site: Site) -> Any:
    """It goes into the layer after it; see `padded_layers`."""
    raise Unfit("SamePad stands apart from the layer that it pads for",
                'give that layer padding="same"')  # fmt: skip


@rewrites(AVERAGE, to="tf", layout="spatial")
def average_pooling(site: Site) -> Any:
    x = input_of(site)
    if x is None or x.rank is None:
        raise Unfit(f"the rank of the input of {site.short} is not known")
    return call(f"keras.layers.AveragePooling{x.rank - 2}D", site.arg("kernel_size"),
                site.given("stride"), padding="same")  # fmt: skip


def changes_order(site: Site, node: Any) -> bool:
    """Whether an element of a Sequential only changes the order of axes, as Keras need not."""
    name = qualified_name(site.context, node.func) if isinstance(node, cst.Call) else None
    if name != PERMUTE:
        return False
    module = instance_of(Site(site.context, node, PERMUTE))
    return module is not None and change_of_order(module) is not None


def padded_layers(site: Site, elements: list[Any]) -> dict[int, int]:
    """Which elements of a Sequential only pad, and the places of the layers they pad for."""
    found: dict[int, int] = {}
    for index, node in enumerate(elements[:-1]):
        if isinstance(node, cst.Call) and qualified_name(site.context, node.func) == SAME:
            layer = inner_layer(site, elements[index + 1])
            if layer is None or not _is_for(Site(site.context, node, SAME), layer):
                continue
            found[index] = index + 1
    return found


def inner_layer(site: Site, node: Any) -> Site | None:
    """The layer that a call makes, behind what initializes and penalizes it."""
    while isinstance(node, cst.Call):
        name = qualified_name(site.context, node.func) or ""
        if name not in _AROUND:
            return Site(site.context, node, name) if name.startswith(_PADDED) else None
        node = node.args[0].value
    return None


def _is_for(pad: Site, layer: Site) -> bool:
    """Whether a layer has the window that the padding was computed for, and none of its own."""
    pool = "Pool" in layer.name
    given = {n: code(pad.arg(n)).strip() for n in ("kernel_size", "stride", "dilation")}
    own = {n: code(layer.arg(n)).strip() for n in given}
    if pool and not layer.has("stride"):
        own["stride"] = own["kernel_size"]
    return own == given and not layer.has("padding") and pad.has("value") is pool


def with_same(layer: Any) -> Any:
    """A Keras layer that pads by itself."""
    if not isinstance(layer, cst.Call) or any(a.keyword and a.keyword.value == "padding"
                                              for a in layer.args):  # fmt: skip
        return layer
    return layer.with_changes(args=[*layer.args, *call("x", padding="same").args])
