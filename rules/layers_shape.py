"""Flatten, Unflatten, dropout and embeddings as layers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.initial_values import tell_once
from transpiler.rules.layer_arguments import input_of, known
from transpiler.site import Site
from transpiler.template import OMIT, call, fill, fill_statements


@rewrites(
    "torch.nn.Flatten",
    to="tf",
    proof=Proof(
        inputs=[(2, 3, 4, 5)],
        args=["", "1", "start_dim=2", "0", "1, 2", "start_dim=1, end_dim=-1"],
    ),
)
def flatten(site: Site) -> Any:
    start, end = site.const("start_dim"), site.const("end_dim")
    if (start, end) == (1, -1):
        return call("keras.layers.Flatten")
    if (start, end) == (0, -1):
        return fill("keras.layers.Lambda(lambda x: tf.reshape(x, [-1]))")
    x = input_of(site)
    if x is None or x.shape is None:
        raise Unfit(f"{site.short} from axis {start} to {end} needs the rank of its input")
    end %= len(x.shape)
    if start > 0 and all(isinstance(d, int) for d in (*x.shape[1:start], *x.shape[end + 1 :])):
        return call("keras.layers.Reshape", (*x.shape[1:start], -1, *x.shape[end + 1 :]))
    parts = [f"tf.shape(x)[:{start}]", "[-1]"] + (
        [f"tf.shape(x)[{end + 1}:]"] if x.shape[end + 1 :] else []
    )
    shape = f"tf.concat([{', '.join(parts)}], 0)"
    return fill(f"keras.layers.Lambda(lambda x: tf.reshape(x, {shape}))")


@rewrites(
    "torch.nn.Unflatten",
    to="tf",
    proof=Proof(inputs=[(2, 12), (2, 3, 4)], cases=[
        "torch.nn.Unflatten(1, (3, 2, 2))(x)",
        "torch.nn.Unflatten(dim=1, unflattened_size=(3, -1))(x)",
        "torch.nn.Unflatten(-1, (2, 2))(y)",
    ]),
)  # fmt: skip
def unflatten(site: Site) -> Any:
    axis, x = known(site, site.arg("dim")), input_of(site)
    rank = x.rank if x is not None else None
    sizes = site.arg("unflattened_size")
    if axis == 1 and rank in (None, 2):
        return call("keras.layers.Reshape", sizes)
    size = known(site, sizes)
    if x is None or x.shape is None or not isinstance(axis, int) or size is None:
        raise Unfit(f"{site.short} needs the shape of its input", "write layers.Reshape")
    axis %= len(x.shape)
    shape = (*x.shape[1:axis], *size, *x.shape[axis + 1 :])
    if axis == 0 or not all(isinstance(d, int) for d in shape):
        raise Unfit(f"{site.short} needs the shape of its input", "write layers.Reshape")
    return call("keras.layers.Reshape", shape)


_DROPPED = {"1": (2, 3, 4), "2": (2, 3, 4, 5), "3": (2, 3, 2, 3, 4)}


def dropout_rule(torch: str, keras: str) -> Rule:
    """Dropout of elements or of whole channels; what is dropped is drawn anew in any case."""
    return Rule(
        f"{torch.lower()}-layer",
        torch=f"torch.nn.{torch}(rate, inplace=anyway)",
        keras=f"keras.layers.{keras}(rate)",
        infer={"anyway": lambda site: OMIT},
        layout="elementwise" if torch in ("Dropout", "AlphaDropout") else "spatial",
        proof=Proof(
            inputs=[_DROPPED.get(torch[-2], (4, 5))],
            args=["", "0.3", "p=0.2, inplace=True"],
        ),
    )  # fmt: skip


DROPOUTS = [
    dropout_rule("Dropout", "Dropout"),
    dropout_rule("AlphaDropout", "AlphaDropout"),
    *(dropout_rule(f"Dropout{n}d", f"SpatialDropout{n}D") for n in (1, 2, 3)),
]


@rewrites(
    "torch.nn.Embedding",
    to="tf",
    weights={"weight": "embeddings"},
    proof=Proof(
        inputs=["int(4, 3) < 7"],
        args=["7, 5", "num_embeddings=7, embedding_dim=5", "7, 5, padding_idx=2", "7, 5, -1"],
    ),
)
def embedding(site: Site) -> Any:
    """A padding index has a row without gradient: an emitted subclass."""
    _check_embedding(site)
    options: dict[str, Any] = {}
    if site.exact:
        options["embeddings_initializer"] = fill("keras.initializers.RandomNormal(stddev=1.0)")
    else:
        tell_once(site)
    sizes = site.arg("num_embeddings"), site.arg("embedding_dim")
    if not site.has("padding_idx"):
        return call("keras.layers.Embedding", *sizes, **options)
    result = call("PaddedEmbedding", *sizes, padding_idx=site.arg("padding_idx"), **options)
    return result.with_changes(func=site.emit("PaddedEmbedding"))


def _check_embedding(site: Site) -> None:
    for name in ("max_norm", "_weight", "scale_grad_by_freq"):
        if site.has(name) and known(site, site.arg(name)) is not False:
            raise Unfit(f"`{name}` of {site.short} has no equal here")


@rewrites("torch.nn.Embedding.from_pretrained", to="tf")
def pretrained_embedding(site: Site) -> Any:
    """The table as the layer's initial values; frozen unless told otherwise."""
    _check_embedding(site)
    table = site.arg("embeddings")
    if not isinstance(table, (cst.Name, cst.Attribute)):
        table = _named_table(site, table)
    options: dict[str, Any] = {
        "embeddings_initializer": fill("keras.initializers.Constant(t)", t=table),
        "trainable": OMIT if known(site, site.arg("freeze")) is False else (
            False if known(site, site.arg("freeze")) else fill("not f", f=site.arg("freeze"))
        ),
    }  # fmt: skip
    if site.has("padding_idx") and options["trainable"] is not False:
        raise Unfit("Embedding.from_pretrained with a padding_idx is trained but for that row")
    sizes = [fill(f"t.shape[{i}]", t=table) for i in (0, 1)]
    return call("keras.layers.Embedding", *sizes, **options)


def _named_table(site: Site, table: cst.BaseExpression) -> cst.BaseExpression:
    """A name for a table that is made on the spot: the layer needs its sizes and its values."""
    statement = site.statement
    if not isinstance(statement, cst.SimpleStatementLine) or site.context.edits.enclosing(
        site.node, cst.Lambda, cst.ListComp, cst.GeneratorExp, cst.DictComp
    ):
        raise Unfit("the table of Embedding.from_pretrained is made on the spot",
                    "give it a name first")  # fmt: skip
    name = cst.Name(site.context.fresh("table"))
    site.context.edits.insert_before(
        statement, fill_statements("name = table", name=name, table=table)
    )
    return name


@rewrites(
    "torch.nn.EmbeddingBag",
    to="tf",
    weights={"weight": "embeddings"},
    proof=Proof(
        inputs=["int(4, 3) < 7", "int(9) < 7"],
        cases=[
            "torch.nn.EmbeddingBag(7, 5)(x)",
            "torch.nn.EmbeddingBag(7, 5, mode='sum')(x)",
            "torch.nn.EmbeddingBag(7, 5, mode='max')(x)",
            "torch.nn.EmbeddingBag(7, 5, mode='mean')(y, torch.tensor([0, 3, 4]))",
        ],
    ),
)
def embedding_bag(site: Site) -> Any:
    _check_embedding(site)
    for name in ("include_last_offset", "padding_idx"):
        if site.has(name) and known(site, site.arg(name)) is not False:
            raise Unfit(f"`{name}` of {site.short} has no equal here")
    mode = known(site, site.arg("mode"))
    options: dict[str, Any] = {"mode": OMIT if mode == "mean" else site.arg("mode")}
    if site.exact:
        options["embeddings_initializer"] = fill("keras.initializers.RandomNormal(stddev=1.0)")
    else:
        tell_once(site)
    sizes = site.arg("num_embeddings"), site.arg("embedding_dim")
    result = call("EmbeddingBag", *sizes, **options)
    return result.with_changes(func=site.emit("EmbeddingBag"))
