"""Attention and transformer layers: emitted, with torch's calls, masks and initial values."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Const, Sequence, Symbol, Tensor, Value
from transpiler.rule import Proof, Unfit, infers, rewrites
from transpiler.rules.facts_torch_layers import called, taken
from transpiler.rules.layer_arguments import known
from transpiler.site import Site
from transpiler.template import call

PLACES = ("device", "dtype")
ENCODER, DECODER = "torch.nn.TransformerEncoderLayer", "torch.nn.TransformerDecoderLayer"


@infers(*called("MultiheadAttention"))
def attention_call(invocation: Invocation) -> Value:
    """The attended values, and the weights unless they are not needed."""
    x = taken(invocation)
    needed = invocation.arg("need_weights", at=4)
    weights: Value = Tensor((None,) * 3, x.dtype, "torch")
    if isinstance(needed, Const) and not needed.value:
        weights = Const(None)
    return Sequence("tuple", (x, weights))


@infers(*called("TransformerEncoderLayer", "TransformerDecoderLayer", "TransformerEncoder",
                "TransformerDecoder"))  # fmt: skip
def transformer_call(invocation: Invocation) -> Value:
    x: Value = taken(invocation)
    return x


@infers(*called("Transformer"))
def whole_transformer_call(invocation: Invocation) -> Value:
    taken(invocation)
    target = invocation.arg("tgt", at=1)
    return target.but(variable=False) if isinstance(target, Tensor) else Tensor(library="torch")


@infers("torch.nn.Transformer.generate_square_subsequent_mask")
def mask_shape(invocation: Invocation) -> Value:
    size = invocation.arg("sz", at=0)
    n = size.value if isinstance(size, Const) and isinstance(size.value, int) else None
    return Tensor((n, n), "float32", "torch")


def refuse(site: Site, **usual: Any) -> None:
    """Unfit where an argument is given that the emitted layer does not have."""
    for name, value in usual.items():
        if name in site.args and known(site, site.args[name]) != value:
            raise Unfit(f"`{name}` of {site.short} has no equal here")


def passed_on(site: Site, *dropped: str) -> tuple[list[Any], dict[str, Any]]:
    """The call's own arguments, those without an equal left out."""
    skipped = {*dropped, *PLACES}
    bound = site.args
    given = {id(node): name for name, node in bound.items()}
    positional = [_value(site, given[id(n)], n) for n in site.positional]
    names = [given[id(n)] for n in site.positional]
    if any(name in skipped for name in names):
        keep = [n for n in names if n not in skipped]
        positional = []
        keywords = {name: _value(site, name, bound[name]) for name in keep}
    else:
        keywords = {}
    keywords |= {
        name: _value(site, name, node)
        for name, node in site.keywords.items()
        if name not in skipped
    }
    return positional, keywords


def _value(site: Site, name: str, node: cst.BaseExpression) -> Any:
    """Activations are written by name."""
    fact = site.fact(node)
    if name == "activation" and isinstance(fact, Symbol):
        function = fact.name.rpartition(".")[2]
        if function in ("relu", "gelu"):
            return function
        raise Unfit(f"the activation {function} of {site.short} has no equal here")
    return node


def emitted(site: Site, name: str, *dropped: str) -> Any:
    positional, keywords = passed_on(site, *dropped)
    return call(name, *positional, **keywords).with_changes(func=site.emit(name))


@rewrites(
    "torch.nn.MultiheadAttention",
    to="tf",
    weights="attention",
    proof=Proof(
        inputs=[(2, 5, 8), (2, 4, 8), (5, 2, 8), "bool(2, 4)"],
        cases=[
            "torch.nn.MultiheadAttention(8, 2, batch_first=True)(x, y, y)",
            "torch.nn.MultiheadAttention(8, 2)(z, z, z)",
            "torch.nn.MultiheadAttention(embed_dim=8, num_heads=2, bias=False)"
            "(z, z, z, need_weights=False)[0]",
            "torch.nn.MultiheadAttention(8, 4, dropout=0.1, batch_first=True)"
            "(x, y, y, attn_mask=torch.ones(5, 4).tril())[0]",
        ],
        directions=["tf"],
    ),
)
def attention(site: Site) -> Any:
    refuse(site, add_bias_kv=False, add_zero_attn=False, kdim=None, vdim=None)
    return emitted(site, "TorchMultiheadAttention", "add_bias_kv", "add_zero_attn", "kdim", "vdim")


@rewrites(
    ENCODER,
    DECODER,
    to="tf",
    proof=Proof(
        inputs=[(2, 5, 8), (2, 4, 8), (5, 2, 8)],
        cases=[
            "torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)(x)",
            "torch.nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, "
            "activation='gelu', norm_first=True)(z)",
            "torch.nn.TransformerEncoderLayer(8, 2, 16, activation=F.gelu, batch_first=True)(x)",
            "torch.nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)(x, y)",
        ],
        directions=["tf"],
    ),
)
def transformer_layer(site: Site) -> Any:
    return emitted(site, site.name.rpartition(".")[2])


@rewrites(
    "torch.nn.TransformerEncoder",
    "torch.nn.TransformerDecoder",
    to="tf",
    proof=Proof(
        inputs=[(2, 5, 8), (2, 4, 8)],
        cases=[
            "torch.nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), "
            "num_layers=2)(x)",
            "torch.nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), "
            "2, norm=nn.LayerNorm(8), enable_nested_tensor=False)(x)",
            "torch.nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, batch_first=True), "
            "2)(x, y)",
        ],
        directions=["tf"],
    ),
)
def transformer_stack(site: Site) -> Any:
    return emitted(site, site.name.rpartition(".")[2], "enable_nested_tensor", "mask_check")


@rewrites(
    "torch.nn.Transformer",
    to="tf",
    proof=Proof(
        inputs=[(2, 5, 8), (2, 4, 8)],
        cases=[
            "torch.nn.Transformer(8, 2, 1, 2, 16, batch_first=True)(x, y)",
            "torch.nn.Transformer(d_model=8, nhead=2, num_encoder_layers=1, "
            "num_decoder_layers=1, dim_feedforward=16, batch_first=True)"
            "(x, y, tgt_mask=nn.Transformer.generate_square_subsequent_mask(4))",
        ],
        directions=["tf"],
    ),
)
def transformer(site: Site) -> Any:
    return emitted(site, "Transformer")


@rewrites(
    "torch.nn.Transformer.generate_square_subsequent_mask",
    to="tf",
    proof=Proof(cases=["torch.nn.Transformer.generate_square_subsequent_mask(4)"],
                directions=["tf"]),
)  # fmt: skip
def subsequent_mask(site: Site) -> Any:
    name = site.emit("square_subsequent_mask")
    return call("square_subsequent_mask", site.arg("sz")).with_changes(func=name)
