"""Recurrent layers and cells, called as in torch: emitted stacks over Keras's layers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    Sequence,
    Tensor,
    Value,
    as_dim,
)
from transpiler.rule import Proof, Unfit, infers, rewrites
from transpiler.rules.facts_torch_layers import argument, called, layer_of, taken
from transpiler.rules.initial_values import tell_once
from transpiler.rules.layer_arguments import known
from transpiler.site import Site
from transpiler.template import OMIT, call, fill

ONE_BIAS = (
    "one bias per layer where torch trains two: it moves half as fast (losses part by 5e-2 within "
    "5 steps of SGD)"
)
STACKS = {"LSTM": ("StackedLSTM", "TorchLSTM"), "RNN": ("StackedRNN", "TorchRNN"),
          "GRU": ("StackedGRU", "TorchGRU")}  # fmt: skip


@infers(*called("LSTM", "GRU", "RNN"))
def recurrent_call(invocation: Invocation) -> Value:
    """Outputs of all steps, and the final states."""
    layer = layer_of(invocation)
    packed = invocation.positional[0] if invocation.positional else None
    if isinstance(packed, Instance):
        inner = packed.arguments.get("input")
        invocation.positional[0] = inner if isinstance(inner, Tensor) else UNKNOWN
    x = taken(invocation)
    units = as_dim(argument(layer, "hidden_size") or UNKNOWN)
    both = known_true(argument(layer, "bidirectional"))
    width = units * 2 if both and isinstance(units, int) else (units if both is False else None)
    depth = as_dim(argument(layer, "num_layers") or Const(1))
    first = known_true(argument(layer, "batch_first"))
    batch = None
    if x.shape is not None and len(x.shape) == 3 and first is not None:
        batch = x.shape[0 if first else 1]
    outputs = x.but(shape=(None,) * 2 + (width,) if x.shape is None else (*x.shape[:-1], width))
    count = depth * (2 if both else 1) if isinstance(depth, int) and both is not None else None
    state = x.but(shape=(count, batch, units))
    final: Value = state
    if layer.class_names[0].endswith("LSTM"):
        final = Sequence("tuple", (state, state))
    if isinstance(packed, Instance):
        return Sequence("tuple", (packed, final))
    return Sequence("tuple", (outputs, final))


def known_true(value: Value | None) -> bool | None:
    """An optional flag's value, None where it is not known."""
    if value is None:
        return False
    return bool(value.value) if isinstance(value, Const) else None


@infers(*called("LSTMCell", "GRUCell", "RNNCell"))
def cell_call(invocation: Invocation) -> Value:
    layer, x = layer_of(invocation), taken(invocation)
    units = as_dim(argument(layer, "hidden_size") or UNKNOWN)
    state: Value = x.but(shape=(x.shape[0] if x.shape else None, units))
    if layer.class_names[0].endswith("LSTMCell"):
        return Sequence("tuple", (state, state))
    return state


_INPUTS = [(3, 5, 4), (5, 3, 4), (2, 3, 6), (2, 3, 6)]


@rewrites(
    "torch.nn.LSTM",
    "torch.nn.GRU",
    "torch.nn.RNN",
    to="tf",
    weights="cells",
    proof=Proof(
        inputs=_INPUTS,
        cases=[
            "torch.nn.LSTM(4, 6, batch_first=True)(x)",
            "torch.nn.LSTM(4, 6, num_layers=2)(y, (z, w))",
            "torch.nn.LSTM(4, 6, bidirectional=True, batch_first=True)(x, (z, w))",
            "torch.nn.LSTM(input_size=4, hidden_size=6, num_layers=2, bias=False)(y)",
            "torch.nn.GRU(4, 6, batch_first=True)(x)",
            "torch.nn.GRU(4, 6, 2, batch_first=True, bidirectional=True)(x)",
            "torch.nn.GRU(4, 6, 2)(y, z)",
            "torch.nn.RNN(4, 6, batch_first=True)(x)",
            "torch.nn.RNN(4, 6, 2, nonlinearity='relu')(y, z)",
        ],
        directions=["tf"],
    ),
)
def recurrent(site: Site) -> Any:
    """The stack with torch's interface; both biases under exact fidelity."""
    kind = site.name.rpartition(".")[2]
    fluent, exact = STACKS[kind]
    if kind == "LSTM" and known(site, site.arg("proj_size")) != 0:
        raise Unfit("an LSTM with proj_size has no Keras layer")
    biased = known(site, site.arg("bias"))
    if biased is None:
        raise Unfit(f"`bias` of {site.short} is not known before the program runs")
    options = {name: given(site, name) for name in ("batch_first", "dropout", "bidirectional")}
    if kind == "RNN":
        activation = known(site, site.arg("nonlinearity"))
        options["activation"] = OMIT if activation == "tanh" else site.arg("nonlinearity")
    if not biased:
        options["use_bias"] = False
    name = exact if site.exact and biased else fluent
    if not site.exact or not biased:
        tell_once(site)
    if name == fluent and kind != "GRU" and biased:
        site.caution(f"keras.layers.{'SimpleRNN' if kind == 'RNN' else kind} has {ONE_BIAS}",
                     "--fidelity exact keeps both")  # fmt: skip
    notes = site.context.notes
    if site.node in notes.get(LAST_ONLY, ()):
        return stock(site, kind, last=True)
    if site.node in notes.get(OUTPUTS_ONLY, ()):
        return stock(site, kind)
    layers = given(site, "num_layers")
    result = call(name, site.arg("hidden_size"), num_layers=layers, **options)
    return result.with_changes(func=site.emit(name))


OUTPUTS_ONLY = "recurrent layers that give their outputs only"
LAST_ONLY = "recurrent layers that give their last output only"
"""The notes of transpiler.planners.recurrent."""


def stock(site: Site, kind: str, last: bool = False) -> Any:
    """Keras's own layer where no states are read, or only the last output: one for each level."""
    count = known(site, site.arg("num_layers"))
    layer = stock_level(site, kind, sequences=not last or count != 1)
    if count == 1:
        return layer
    if isinstance(count, int) and (last or count <= 3):
        top = stock_level(site, kind, sequences=not last)
        below = [layer if i == 0 else layer.deep_clone() for i in range(count - 1)]
        return call("keras.Sequential", cst.List([cst.Element(e) for e in (*below, top)]))
    return fill(
        "keras.Sequential([layer for _ in range(n)])", layer=layer, n=site.arg("num_layers")
    )


def stock_level(site: Site, kind: str, sequences: bool) -> Any:
    """One level: a layer that gives the outputs of all steps, or the last one."""
    options: dict[str, Any] = {"return_sequences": True} if sequences else {}
    if kind == "RNN" and known(site, site.arg("nonlinearity")) != "tanh":
        options["activation"] = site.arg("nonlinearity")
    if known(site, site.arg("bias")) is False:
        options["use_bias"] = False
    name = "SimpleRNN" if kind == "RNN" else kind
    layer: Any = call(f"keras.layers.{name}", site.arg("hidden_size"), **options)
    if known(site, site.arg("bidirectional")):
        layer = call("keras.layers.Bidirectional", layer)
    return layer


def given(site: Site, name: str) -> Any:
    """An argument, OMIT where it is not given or the default."""
    if name not in site.args:
        return OMIT
    usual = known(site, site.default(name))
    return OMIT if known(site, site.args[name]) == usual else site.args[name]


@rewrites(
    "torch.nn.LSTMCell",
    "torch.nn.GRUCell",
    "torch.nn.RNNCell",
    to="tf",
    weights="cells",
    proof=Proof(
        inputs=[(3, 4), (3, 6), (3, 6)],
        cases=[
            "torch.nn.LSTMCell(4, 6)(x)",
            "torch.nn.LSTMCell(4, 6)(x, (y, z))",
            "torch.nn.GRUCell(4, 6)(x)",
            "torch.nn.GRUCell(4, 6)(x, y)",
            "torch.nn.RNNCell(4, 6, nonlinearity='relu')(x, y)",
        ],
        directions=["tf"],
    ),
)
def cell(site: Site) -> Any:
    """A Keras cell behind torch's call: cell(x, state) gives the new state."""
    if known(site, site.arg("bias")) is not True:
        raise Unfit(f"{site.short} without biases has no equal here")
    kind = site.name.rpartition(".")[2]
    units = site.arg("hidden_size")
    options: dict[str, Any] = {}
    if kind == "RNNCell" and known(site, site.arg("nonlinearity")) != "tanh":
        options["activation"] = site.arg("nonlinearity")
    if kind != "GRUCell" and site.exact:
        name = f"Torch{kind}"
        inner = call(name, units, **options).with_changes(func=site.emit(name))
    else:
        stock = {"RNNCell": "SimpleRNNCell"}.get(kind, kind)
        inner = call(f"keras.layers.{stock}", units, **options)
        tell_once(site)
        if kind != "GRUCell":
            site.caution(f"keras.layers.{stock} has {ONE_BIAS}", "--fidelity exact keeps both")
    return call("CellStep", inner).with_changes(func=site.emit("CellStep"))
