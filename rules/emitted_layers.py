"""Layers that translations to PyTorch wrote out, as those of Keras that they stand for."""

from __future__ import annotations

import ast
from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    Sequence,
    Tensor,
    Value,
    is_none,
    items_of,
    join,
)
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Rule, Unfit, infers, rewrites
from transpiler.rules.layers_norm import STATISTICS
from transpiler.site import Site
from transpiler.syntax import code
from transpiler.template import OMIT, call

LAYERS = [
    Rule("KerasBatchNorm back", torch="to_torch.KerasBatchNorm(n, eps=eps, momentum=1 - m, "
         "center=center, scale=scale)", keras="keras.layers.BatchNormalization(momentum=m, "
         "epsilon=eps, center=center, scale=scale)", layout="spatial", weights=STATISTICS, to="tf"),
    Rule("KerasEmbedding back", torch="to_torch.KerasEmbedding(n, d)",
         keras="keras.layers.Embedding(n, d)", weights={"weight": "embeddings"}, to="tf"),
    Rule("GaussianNoise back", torch="to_torch.GaussianNoise(s)",
         keras="keras.layers.GaussianNoise(s)", layout="elementwise", to="tf"),
    Rule("GaussianDropout back", torch="to_torch.GaussianDropout(s)",
         keras="keras.layers.GaussianDropout(s)", layout="elementwise", to="tf"),
    Rule("KerasMultiHeadAttention back",
         torch="to_torch.KerasMultiHeadAttention(n, heads, size, value_dim=v, dropout=p, "
         "use_bias=b, output_dim=o)", keras="keras.layers.MultiHeadAttention(heads, size, "
         "value_dim=v, dropout=p, use_bias=b, output_shape=o)", to="tf"),
    Rule("Lambda back", torch="to_torch.Lambda(f)", keras="keras.layers.Lambda(f)", to="tf"),
    Rule("get_activation back", torch="to_torch.get_activation(x)",
         keras="keras.activations.get(x)", to="tf"),
]  # fmt: skip


_KEEPING = ("KerasBatchNorm", "GaussianNoise", "GaussianDropout", "Rescaling", "ActivityPenalty",
            "RandomFlip", "RandomAffine", "RandomContrast", "Normalization")  # fmt: skip


@infers(*(f"to_torch.{name}.__call__" for name in _KEEPING))
def kept(call_: Invocation) -> Value:
    """Another value of the same shape."""
    x = remembered(call_)
    return x.but(variable=False) if isinstance(x, Tensor) else x


@infers("to_torch.KerasEmbedding.__call__")
def embedded(call_: Invocation) -> Value:
    layer, x = call_.receiver, remembered(call_)
    given = layer.arguments.get("embedding_dim") if isinstance(layer, Instance) else None
    width = getattr(given, "value", None)
    shape = (*x.shape, width) if isinstance(x, Tensor) and x.shape is not None else None
    return Tensor(shape, "float32", "torch")


@infers("to_torch.Lambda.__call__")
def applied(call_: Invocation) -> Value:
    layer = call_.receiver
    function = layer.arguments.get("function") if isinstance(layer, Instance) else None
    return call_.call(function, *call_.positional) if isinstance(function, Value) else UNKNOWN


def remembered(call_: Invocation) -> Value:
    """What a layer is called on, which it remembers."""
    layer, x = call_.receiver, call_.positional[0] if call_.positional else UNKNOWN
    if isinstance(layer, Instance) and isinstance(x, Tensor):
        layer.state["input"] = join(layer.state.get("input", x), x)
    return x


@rewrites("to_torch.single_bias", to="tf")
def single_bias(site: Site) -> Any:
    raise Unfit("a recurrent layer with one bias stands outside of KerasRecurrent")


@rewrites("to_torch.Normalization", to="tf")
def normalization(site: Site) -> Any:
    """What is not given is adapted to data."""
    names = ("axis", "mean", "variance")
    return call("keras.layers.Normalization", **{n: site.given(n) for n in names})


@infers("to_torch.Normalization.adapt")
def adapted(_: Invocation) -> Value:
    return NONE


@rewrites("to_torch.Normalization.adapt", to="tf")
def adapt(site: Site) -> Any:
    return site.keep()


_INNER = {"torch.nn.LSTM": "LSTM", "torch.nn.GRU": "GRU", "torch.nn.RNN": "SimpleRNN"}


@rewrites("to_torch.KerasRecurrent", to="tf")
def recurrent(site: Site) -> Any:
    """The layer around which it was written."""
    node: Any = site.arg("rnn")
    biased = True
    if isinstance(node, cst.Call) and _name(site, node) == "to_torch.single_bias":
        node, biased = node.args[0].value, False
    if isinstance(node, cst.Call) and _name(site, node) == "to_torch.initialize_recurrent":
        node = node.args[0].value
    name = _name(site, node)
    if not isinstance(node, cst.Call) or name not in _INNER or biased is not name.endswith("GRU"):
        raise Unfit("the layer inside of KerasRecurrent is not known here")
    inner = Site(site.context, node, name).args
    given = {n: v for n, v in inner.items() if n not in ("input_size", "hidden_size", "batch_first",
                                                          "bias")}  # fmt: skip
    if given:
        raise Unfit(f"`{next(iter(given))}` of {site.short} has no equal here")
    options_: dict[str, Any] = {n: v for n, v in site.args.items() if n != "rnn"}
    options_["use_bias"] = inner.get("bias", OMIT)
    return call(f"keras.layers.{_INNER[name]}", inner["hidden_size"], **options_)


def _name(site: Site, node: Any) -> str:
    return (qualified_name(site.context, node.func) or "") if isinstance(node, cst.Call) else ""


@infers("to_torch.KerasRecurrent.__call__")
def recurrent_result(call_: Invocation) -> Value:
    """The outputs, of all steps or the last; with the states where these are asked for."""
    layer = call_.receiver
    x = call_.positional[0] if call_.positional else UNKNOWN
    if not isinstance(layer, Instance) or not isinstance(x, Tensor):
        return UNKNOWN
    rnn = layer.arguments.get("rnn")
    width = rnn.arguments.get("hidden_size") if isinstance(rnn, Instance) else None
    size = getattr(width, "value", None)
    batch, steps = x.shape[:2] if x.shape and len(x.shape) == 3 else (None, None)
    whole = getattr(layer.arguments.get("return_sequences"), "value", False)
    y = Tensor((batch, steps, size) if whole else (batch, size), "float32", "torch")
    if not getattr(layer.arguments.get("return_state"), "value", False):
        return y
    state = Tensor((batch, size), "float32", "torch")
    names = rnn.class_names if isinstance(rnn, Instance) else ()
    return Sequence("tuple", (y, *[state] * (2 if names[:1] == ("torch.nn.LSTM",) else 1)))


@rewrites("to_torch.Bidirectional", to="tf")
def bidirectional(site: Site) -> Any:
    """Both directions are one layer twice, the second from the end."""
    first, second = site.arg("forward"), site.arg("backward")
    mode = site.args.get("merge_mode", OMIT)
    if (
        isinstance(second, cst.Call)
        and "go_backwards" in code(second)
        and _said(first) == _said(second)
    ):
        return call("keras.layers.Bidirectional", first, merge_mode=mode)
    return call("keras.layers.Bidirectional", first, merge_mode=mode, backward_layer=second)


def _said(node: Any) -> str:
    """A call by its parts, however it is laid out, whichever direction it runs in."""
    if not isinstance(node, cst.Call):
        return code(node)
    kept = [a for a in node.args if not (a.keyword and a.keyword.value == "go_backwards")]
    return ast.dump(ast.parse(code(node.with_changes(args=kept)).strip(), mode="eval"))


@infers("to_torch.Bidirectional.__call__")
def both_results(call_: Invocation) -> Value:
    """The outputs of both directions as one, and all states."""
    layer = call_.receiver
    if not isinstance(layer, Instance):
        return UNKNOWN
    one, other = (
        call_.call(layer.arguments.get(n, UNKNOWN), *call_.positional[:1])
        for n in ("forward", "backward")
    )
    mode = layer.arguments.get("merge_mode")
    states: list[Value] = []
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        firsts, seconds = items_of(one) or (), items_of(other) or ()
        states = [*firsts[1:], *seconds[1:]]
        one, other = (firsts or (UNKNOWN,))[0], (seconds or (UNKNOWN,))[0]
    if not isinstance(one, Tensor) or one.shape is None:
        return UNKNOWN
    y: Value = one
    if mode is not None and is_none(mode):
        y = Sequence("tuple", (one, other))
    elif mode is None:
        width = one.shape[-1]
        y = one.but(shape=(*one.shape[:-1], 2 * width if isinstance(width, int) else None))
    return Sequence("tuple", (y, *states)) if states else y


@infers("to_torch.KerasMultiHeadAttention.__call__")
def attended(call_: Invocation) -> Value:
    """As wide as the queries, or as the layer is told."""
    layer, x = call_.receiver, call_.positional[0] if call_.positional else UNKNOWN
    if (
        not isinstance(layer, Instance)
        or not isinstance(x, Tensor)
        or "output_dim" in layer.arguments
    ):
        return UNKNOWN
    scores = call_.arg("return_attention_scores", at=4)
    return x if scores is None or scores == Const(False) else Sequence("tuple", (x, UNKNOWN))
