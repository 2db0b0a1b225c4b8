"""Pooling, bags, sampling and shuffled pixels as translations to TensorFlow write them out."""

from __future__ import annotations

from typing import Any

from transpiler.infer.values import Dim, Instance, Tensor, Value
from transpiler.rule import Unfit, rewrites
from transpiler.rules.facts_keras_layers import (
    SHAPES,
    argument,
    embedding,
    first,
    floating,
    numbers,
    span,
)
from transpiler.rules.keras_layer import FIRST, LAST, Layer, Part
from transpiler.rules.keras_layers import LAYERS
from transpiler.rules.tf_arguments import TfArguments, tensor
from transpiler.site import Site
from transpiler.template import call, fill

POOLS = {"TorchMaxPooling": "Max", "TorchAveragePooling": "Avg"}
USUAL = {"padding": 0, "dilation": 1, "ceil_mode": False, "count_include_pad": True,
         "divisor_override": None}  # fmt: skip


def windows(layer: Instance, inputs: list[Value]) -> Value:
    """What a pooling gives; with ceil_mode its sizes stay open."""
    x = floating(first(inputs))
    if x.shape is None:
        return x
    count = len(x.shape) - 2
    window, padding = numbers(layer, "pool_size", count, None), numbers(layer, "padding", count, 0)
    stride, dilation = numbers(layer, "strides", count, None), numbers(layer, "dilation", count, 1)
    open_ended = argument(layer, "ceil_mode", False) is not False
    sizes: list[Dim] = []
    for n, k, s, p, d in zip(x.shape[1:-1], window, stride, padding, dilation, strict=True):
        padded = n + 2 * p if isinstance(n, int) and isinstance(p, int) else None
        sizes.append(None if open_ended else span(padded, k, k if s is None else s, "valid", d))
    return x.but(shape=(x.shape[0], *sizes, x.shape[-1]))


def bags(layer: Instance, inputs: list[Value]) -> Value:
    """One row for each bag."""
    x = embedding(layer, inputs)
    if isinstance(x, Tensor) and x.shape is not None and len(x.shape) > 1:
        return x.but(shape=(x.shape[0] if len(inputs) == 1 else None, x.shape[-1]))
    return x


def pooling(layer: Layer) -> list[Part]:
    x = layer.input
    if x is None or x.rank is None:
        raise Unfit(f"the rank of the input of {layer.site.short} is not known")
    given = {n: layer.unless(n, usual) for n, usual in USUAL.items() if n in layer.site.args}
    module = call(f"torch.nn.{POOLS[layer.name]}Pool{x.rank - 2}d", layer.arg("pool_size"),
                  stride=layer.unless("strides", None), **given)  # fmt: skip
    return [Part(module, FIRST)]


def bag(layer: Layer) -> list[Part]:
    module = call("torch.nn.EmbeddingBag", layer.arg("input_dim"), layer.arg("output_dim"),
                  mode=layer.unless("mode", "mean"))  # fmt: skip
    return [Part(module, LAST)]


SHAPES.update(dict.fromkeys(POOLS, windows), EmbeddingBag=bags)
LAYERS.update(dict.fromkeys(POOLS, pooling), EmbeddingBag=bag)
UNITS = (*POOLS, "EmbeddingBag")


@rewrites("to_tf.lp_pool", to="torch")
def lp_pool(site: Site) -> Any:
    """The channels stand behind the batch in torch."""
    given = TfArguments(site)
    known = site.rank(given.first)
    if known not in (3, 4):
        raise Unfit(f"the rank of the input of {site.short} is not known")
    there, back = ("0, 2, 1", "0, 2, 1") if known == 3 else ("0, 3, 1, 2", "0, 2, 3, 1")
    return fill(
        f"torch.nn.functional.lp_pool{known - 2}d(x.permute({there}), p, k, stride=s)"
        f".permute({back})",
        x=given.x, p=given.need("norm_type"), k=given.need("kernel_size"), s=given.given("stride"),
    )  # fmt: skip


@rewrites("to_tf.grid_sample", to="torch")
def grid_sample(site: Site) -> Any:
    """The channels stand behind the batch in torch."""
    given = TfArguments(site)
    return fill(
        "torch.nn.functional.grid_sample(x.permute(0, 3, 1, 2), g, mode=m, padding_mode=p, "
        "align_corners=c).permute(0, 2, 3, 1)",
        x=given.x, g=tensor(site, given.need("grid")), m=given.given("mode"),
        p=given.given("padding_mode"), c=given.given("align_corners"),
    )  # fmt: skip


@rewrites("to_tf.pixel_shuffle", "to_tf.pixel_unshuffle", to="torch")
def shuffled_pixels(site: Site) -> Any:
    """The channels stand behind the batch in torch."""
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    return fill(
        f"torch.nn.functional.{name}(x.permute(0, 3, 1, 2), n).permute(0, 2, 3, 1)",
        x=given.x, n=given.need("factor"),
    )  # fmt: skip
