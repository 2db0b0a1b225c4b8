"""Layers that few programs use, and what there is no equal for."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.layer_arguments import known, lambda_layer, per_axis
from transpiler.site import Site
from transpiler.template import OMIT, call, fill

UNSUPPORTED = {
    "torch.nn.AdaptiveLogSoftmaxWithLoss": "AdaptiveLogSoftmaxWithLoss has no Keras layer",
    "torch.nn.FeatureAlphaDropout": "FeatureAlphaDropout has no Keras layer",
    "torch.nn.FractionalMaxPool2d": "its random pooling regions are others in TensorFlow",
    "torch.nn.FractionalMaxPool3d": "its random pooling regions have no equal in TensorFlow",
    "torch.nn.MaxUnpool1d": "pooling with indices has no Keras layer",
    "torch.nn.MaxUnpool2d": "pooling with indices has no Keras layer",
    "torch.nn.MaxUnpool3d": "pooling with indices has no Keras layer",
    "torch.nn.RNNBase": "a recurrent layer of your own has no equal: derive from layers.Layer",
    "torch.nn.RNNCellBase": "a cell of your own has no equal: derive from layers.Layer",
    "torch.nn.UninitializedParameter": "a parameter without a shape: make it in build()",
    "torch.nn.UninitializedBuffer": "a buffer without a shape: make it in build()",
}


@rewrites(
    "torch.nn.Bilinear",
    to="tf",
    weights={"weight": "weight", "bias": "bias"},
    proof=Proof(inputs=[(4, 3), (4, 5)], args=["3, 5, 2", "3, 5, 2, bias=False"],
                directions=["tf"]),
)  # fmt: skip
def bilinear(site: Site) -> Any:
    """An emitted layer, which starts from torch's initial values."""
    use = OMIT if known(site, site.arg("bias")) is True else site.arg("bias")
    result = call("Bilinear", site.arg("out_features"), use_bias=use)
    return result.with_changes(func=site.emit("Bilinear"))


@rewrites("torch.nn.Buffer", to="tf")
def buffer(site: Site) -> Any:
    return call("keras.Variable", site.arg("data"), trainable=False)


def _pair(site: Site, name: str) -> tuple[int, ...]:
    found = per_axis(site, name, 2)
    if found is None:
        raise Unfit(f"`{name}` of {site.short} is not known before the program runs")
    return found


@rewrites(
    "torch.nn.Unfold",
    to="tf",
    proof=Proof(inputs=[(2, 3, 6, 5)], args=["2", "(3, 2), padding=1, stride=2"],
                directions=["tf"]),
)  # fmt: skip
def unfold(site: Site) -> Any:
    """Windows as columns, in torch's order of axes on both sides."""
    options = _window_options(site)
    image = fill("tf.transpose(x, [0, 2, 3, 1])")
    inner = call("f", image, _pair(site, "kernel_size"), **options)
    return lambda_layer(site, inner.with_changes(func=site.emit("unfold")))


@rewrites(
    "torch.nn.Fold",
    to="tf",
    proof=Proof(inputs=[(2, 12, 20)], args=["(6, 5), 2"], directions=["tf"]),
)
def fold(site: Site) -> Any:
    """Windows added up to an image again."""
    sizes = _pair(site, "output_size"), _pair(site, "kernel_size")
    inner = call("f", cst.Name("x"), *sizes, **_window_options(site))
    inner = inner.with_changes(func=site.emit("fold"))
    return lambda_layer(site, fill("tf.transpose(x, [0, 3, 1, 2])", x=inner))


def _window_options(site: Site) -> dict[str, Any]:
    usual = {"dilation": (1, 1), "padding": (0, 0), "stride": (1, 1)}
    found = {name: _pair(site, name) for name in usual}
    return {name: value for name, value in found.items() if value != usual[name]}


@rewrites(
    "torch.nn.CosineSimilarity",
    "torch.nn.PairwiseDistance",
    to="tf",
    proof=Proof(
        inputs=[(4, 5), (4, 5)],
        cases=[
            "torch.nn.CosineSimilarity()(x, y)",
            "torch.nn.CosineSimilarity(dim=0, eps=1e-4)(x, y)",
            "torch.nn.PairwiseDistance()(x, y)",
            "torch.nn.PairwiseDistance(p=1, keepdim=True)(x, y)",
        ],
        directions=["tf"],
    ),
)
def similarity(site: Site) -> Any:
    """Functions of two tensors: without weights they need no layer."""
    if site.name.endswith("Similarity"):
        name, options = "cosine_similarity", {"axis": site.arg("dim")}
    else:
        name, options = "pairwise_distance", {
            n: site.args[n] for n in ("p", "keepdim") if n in site.args
        }  # fmt: skip
    if "eps" in site.args:
        options["eps"] = site.args["eps"]
    inner = call("f", cst.Name("x"), cst.Name("y"), **options)
    return fill("lambda x, y: f", f=inner.with_changes(func=site.emit(name)))
