"""Packed sequences: the padded tensor itself, and a mask of its lengths for the recurrent layer."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Sequence, Symbol, Tensor, Value, options
from transpiler.rule import Proof, Unfit, infers, rewrites
from transpiler.rules.layer_arguments import known
from transpiler.site import Site
from transpiler.template import call, fill, fill_statements

RNN = "torch.nn.utils.rnn."
PACKED = f"{RNN}PackedSequence"
MASKS = "masks of packed sequences"


@infers(f"{RNN}pack_padded_sequence")
def packed(invocation: Invocation) -> Value:
    arguments = {n: v for n, v in invocation.bound.items() if isinstance(v, Value)}
    return invocation.interpreter.allocate(Symbol(PACKED), invocation.node, arguments)


@infers(f"{RNN}pad_packed_sequence")
def unpacked(invocation: Invocation) -> Value:
    sequence = invocation.arg("sequence", at=0)
    x = sequence.arguments.get("input") if isinstance(sequence, Instance) else None
    width = x.shape[-1] if isinstance(x, Tensor) and x.shape else None
    outputs = Tensor((None, None, width), "float32", "torch")
    return Sequence("tuple", (outputs, Tensor((None,), "int64", "torch")))


def packing_of(site: Site, node: Any) -> cst.Call | None:
    """The call that packed a sequence, None where the value is a plain tensor."""
    origins = {
        id(o.origin): o.origin
        for o in options(site.context.fact(node))
        if isinstance(o, Instance) and isinstance(o.cls, Symbol) and o.cls.name == PACKED
    }
    if not origins:
        return None
    if len(origins) > 1:
        raise Unfit("which lengths belong to this packed sequence is not known")
    origin = origins.popitem()[1]
    own = site.context.edits.enclosing(site.node, cst.FunctionDef)
    if site.context.edits.enclosing(origin, cst.FunctionDef) is not own:
        raise Unfit("a packed sequence is handed on to another function", "hand the mask on")
    return origin if isinstance(origin, cst.Call) else None


def packing(site: Site, origin: cst.Call) -> Site:
    return Site(site.context, origin, f"{RNN}pack_padded_sequence")


def mask_name(site: Site, origin: cst.Call) -> str:
    """The variable that holds the mask of a packed sequence."""
    names = site.context.notes.setdefault(MASKS, {})
    if origin not in names:
        names[origin] = site.context.fresh("mask")
    return str(names[origin])


@rewrites(f"{RNN}pack_padded_sequence", to="tf")
def pack(site: Site) -> Any:
    """`packed = x` and `mask = tf.sequence_mask(lengths, ...)`."""
    target = site.assigned_to
    if not isinstance(target, cst.Name):
        raise Unfit("a packed sequence that has no name of its own", "assign it first")
    x = site.arg("input")
    axis = 1 if site.const("batch_first") else 0
    lines = fill_statements(
        f"mask = tf.sequence_mask(lengths, tf.shape(x)[{axis}])",
        mask=cst.Name(mask_name(site, site.node)),  # type: ignore[arg-type]
        lengths=site.arg("lengths"),
        x=x if isinstance(x, cst.Name) else target,
    )
    if isinstance(x, cst.Name) and x.value == target.value:
        return lines
    return [*fill_statements("packed = x", packed=target, x=x), *lines]


def _case(layer: str, batch_first: bool, lengths: str = "[4, 5, 2]") -> str:
    """A recurrent layer between packing and unpacking."""
    first = "batch_first=True" if batch_first else "batch_first=False"
    return (
        f"p = nn.utils.rnn.pack_padded_sequence({'x' if batch_first else 'y'}, "
        f"torch.tensor({lengths}), {first}, enforce_sorted=False)\n"
        f"o, h = {layer}(p)\n"
        f"o, n = nn.utils.rnn.pad_packed_sequence(o, {first})\n(o, h, n)"
    )


@rewrites(
    "torch.nn.LSTM.__call__",
    "torch.nn.GRU.__call__",
    "torch.nn.RNN.__call__",
    to="tf",
    weights="cells",
    proof=Proof(
        inputs=[(3, 5, 4), (5, 3, 4)],
        cases=[
            _case("nn.LSTM(4, 6, batch_first=True)", True),
            _case("nn.LSTM(4, 6, 2, bidirectional=True)", False),
            _case("nn.GRU(4, 6, batch_first=True)", True, "[4, 3, 2]"),
        ],
        directions=["tf"],
    ),
)
def run_packed(site: Site) -> Any:
    """A recurrent layer on a packed sequence takes its mask."""
    if not site.positional or not isinstance(site.node, cst.Call):
        return site.keep()
    origin = packing_of(site, site.positional[0])
    if origin is None:
        return site.keep()
    [mask] = call("f", mask=cst.Name(mask_name(site, origin))).args
    args = [a.with_changes(comma=cst.MaybeSentinel.DEFAULT) for a in site.node.args]
    return cst.Call(func=site.node.func, args=[*args, mask])


@rewrites(f"{RNN}pad_packed_sequence", to="tf")
def unpack(site: Site) -> Any:
    """The outputs are padded with zeros already; they end with the longest sequence."""
    for name, usual in (("padding_value", 0), ("total_length", None)):
        if site.has(name) and known(site, site.arg(name)) != usual:
            raise Unfit(f"`{name}` of pad_packed_sequence has no equal here")
    sequence = site.arg("sequence")
    origin = packing_of(site, sequence)
    if origin is None:
        raise Unfit("where this packed sequence comes from is not known")
    lengths = packing(site, origin).arg("lengths")
    cut = ":, : tf.reduce_max(n)" if site.const("batch_first") else ": tf.reduce_max(n)"
    outputs = fill(f"x[{cut}]", x=sequence, n=lengths)
    if isinstance(site.parent, cst.Subscript):
        return fill("(x, n)", x=outputs, n=lengths)
    return fill("x, n", x=outputs, n=lengths)
