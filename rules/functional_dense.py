"""Functional forms of dense layers: linear, embedding, dropout, normalization, attention."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import CASTS, dtype_of, in_module
from transpiler.rules.tensor_arguments import OMIT, Arguments, axis, drop, fill, is_simple
from transpiler.site import Site, constant_value

F = "torch.nn.functional"


@rewrites(
    f"{F}.linear", to="tf",
    proof=Proof(inputs=[(4, 5), (3, 5), (3,), (2, 4, 5)],
                cases=["F.linear(x, y)", "F.linear(x, y, z)", "F.linear(w, y, bias=z)"]),
)  # fmt: skip
def linear(site: Site) -> Any:
    given = Arguments(site)
    weight, bias = given.get("weight", at=0), given.get("bias", at=1)
    product = fill("tf.matmul(x, w, transpose_b=True)", x=given.x, w=weight)
    return product if bias is None else fill("p + b", p=product, b=bias)


@rewrites(f"{F}.bilinear", to="tf",
          proof=Proof(inputs=[(4, 5), (4, 3), (2, 5, 3)],
                      cases=["F.bilinear(x, y, z)"]))  # fmt: skip
def bilinear(site: Site) -> Any:
    given = Arguments(site, first=False)
    a, b = given.get("input1", at=0), given.get("input2", at=1)
    weight, bias = given.get("weight", at=2), given.get("bias", at=3)
    product = fill('tf.einsum("...i,oij,...j->...o", a, w, b)', a=a, b=b, w=weight)
    return product if bias is None else fill("p + c", p=product, c=bias)


@rewrites(f"{F}.embedding", to="tf",
          proof=Proof(inputs=["int(4, 2) < 6", (6, 3)], cases=["F.embedding(x, y)"]))  # fmt: skip
def embedding(site: Site) -> Any:
    given = Arguments(site)
    for name, at in (("padding_idx", 1), ("max_norm", 2)):
        if given.get(name, at=at) is not None:
            raise Unfit(f"F.embedding with `{name}` has no equal here", "use nn.Embedding")
    weight = given.get("weight", at=0)
    return fill("tf.nn.embedding_lookup(w, x)", w=weight, x=given.x)


@rewrites(
    f"{F}.one_hot", to="tf",
    proof=Proof(inputs=["int(4) < 3", "int(2, 3) < 4"], gradients=False,
                cases=["F.one_hot(x, 3)", "F.one_hot(x, num_classes=5).float()", "F.one_hot(y, 4)",
                       "F.one_hot(x.long(), 3).to(torch.float32)", "F.one_hot(x)"]),
)  # fmt: skip
def one_hot(site: Site) -> Any:
    given = Arguments(site)
    count = given.get("num_classes", at=0)
    if count is None or constant_value(site.fact(count)) == -1:
        if not is_simple(given.x):
            raise Unfit("F.one_hot without num_classes", "give the number of classes")
        count = fill("tf.cast(tf.reduce_max(x) + 1, tf.int32)", x=given.x)
    parent = site.parent
    whole = site.context.edits.parent.get(parent)
    if isinstance(parent, cst.Attribute) and isinstance(whole, cst.Call) and whole.func is parent:
        wanted = _cast_of(site, parent.attr.value, whole)
        if wanted is not None:
            new = fill("tf.one_hot(x, n, dtype=d)", x=given.x, n=count,
                       d=OMIT if wanted == "float32" else fill(f"tf.{wanted}"))  # fmt: skip
            drop(site, *(a.value for a in whole.args))
            site.context.claim(parent)
            site.context.edits.replace(whole, new)
            return site.keep()
    return fill("tf.one_hot(x, n, dtype=tf.int64)", x=given.x, n=count)


def _cast_of(site: Site, method: str, call: cst.Call) -> str | None:
    if method in CASTS and not call.args:
        return CASTS[method]
    if method in ("to", "type") and len(call.args) == 1:
        return dtype_of(site.fact(call.args[0].value))
    return None


@rewrites(
    *in_module(F, "dropout", "dropout1d", "dropout2d", "dropout3d"), "torch.dropout", to="tf",
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], cases=["F.dropout(x, 0.5, training=False)", "F.dropout(x, p=0.0)",
                                        "F.dropout(x, 0.3, False)"]),
)  # fmt: skip
def dropout(site: Site) -> Any:
    given = Arguments(site)
    rate = given.get("p", at=0)
    rate = cst.Float("0.5") if rate is None else rate
    flag = given.get("training", "train", at=1)
    known = constant_value(site.fact(flag)) if flag is not None else True
    if known is False:
        return given.x
    number = rate if known is True else fill("p if t else 0.0", p=rate, t=flag)
    shape: Any = OMIT
    if site.name[-2] in "123" and site.name.endswith("d"):
        shape = _per_channel(site, given.x)
    return fill("tf.nn.dropout(x, rate=r, noise_shape=s)", x=given.x, r=number, s=shape)


def _per_channel(site: Site, x: Any) -> Any:
    """Whole channels are dropped."""
    rank = site.rank(x) or int(site.name[-2]) + 2
    if not is_simple(x):
        raise Unfit(f"{site.short} of an expression", "give it a name first, or use the layer")
    sizes: list[Any] = [fill("tf.shape(x)[0]", x=x)] + [1] * (rank - 1)
    place = rank - 1 if site.layout(x) == "nhwc" else 1
    sizes[place] = fill("x.shape[i]", x=x, i=place)
    return sizes


@rewrites(
    f"{F}.normalize", to="tf", layout="axis",
    proof=Proof(inputs=[(4, 5)], cases=["F.normalize(x)", "F.normalize(x, dim=0)",
                                        "F.normalize(x, p=1, dim=-1)", "F.normalize(x, 2, 1)"]),
)  # fmt: skip
def normalize(site: Site) -> Any:
    given = Arguments(site)
    dim = given.get("dim", at=1)
    place = axis(site, given.x, 1 if dim is None else dim)
    order = given.get("p", at=0)
    value = constant_value(site.fact(order)) if order is not None else 2
    eps = given.const("eps", at=2, default=1e-12)
    if value == 2:  # TensorFlow's epsilon is a bound of the squared norm
        return fill("tf.math.l2_normalize(x, axis=a, epsilon=e)", x=given.x, a=place, e=eps * eps)
    return fill("unit(x, p=p, axis=a, eps=e)", unit=site.emit("normalize"), x=given.x, p=order,
                a=place, e=OMIT if eps == 1e-12 else eps)  # fmt: skip


@rewrites(
    f"{F}.cosine_similarity", "torch.cosine_similarity", f"{F}.pairwise_distance",
    "torch.pairwise_distance", to="tf",
    proof=Proof(inputs=[(4, 5), (4, 5)],
                cases=["F.cosine_similarity(x, y)", "F.cosine_similarity(x, y, dim=0)",
                       "F.pairwise_distance(x, y)", "F.cosine_similarity(x1=x, x2=y, dim=-1)",
                       "F.pairwise_distance(x, y, keepdim=True)"]),
)  # fmt: skip
def similarity(site: Site) -> Any:
    given = Arguments(site, first=False)
    x, y = given.get("x1", at=0), given.get("x2", at=1)
    if site.name.endswith("similarity"):
        return fill("unit(x, y, axis=a, eps=e)", unit=site.emit("cosine_similarity"), x=x, y=y,
                    a=given.given("dim", at=2), e=given.given("eps", at=3))  # fmt: skip
    return fill("unit(x, y, p=p, eps=e, keepdim=k)", unit=site.emit("pairwise_distance"), x=x, y=y,
                p=given.given("p", at=2), e=given.given("eps", at=3),
                k=given.given("keepdim", at=4))  # fmt: skip


@rewrites(
    f"{F}.layer_norm", "torch.layer_norm", to="tf",
    proof=Proof(inputs=[(4, 5), (5,), (5,)],
                cases=["F.layer_norm(x, (5,))", "F.layer_norm(x, x.shape[-1:], y, z)",
                       "F.layer_norm(x, (5,), y, None, 1e-3)", "F.layer_norm(x, [4, 5])"]),
)  # fmt: skip
def layer_norm(site: Site) -> Any:
    given = Arguments(site)
    shape = site.fact(given.get("normalized_shape", at=0))
    count = _length(site, shape, given.get("weight", at=1))
    drop(site, given.get("normalized_shape", at=0))
    axes = OMIT if count == 1 else list(range(-count, 0))
    return fill("unit(x, w, b, axes=a, eps=e)", unit=site.emit("layer_norm"), x=given.x,
                w=given.given("weight", at=1), b=given.given("bias", at=2), a=axes,
                e=given.given("eps", at=3)) if _in_order(given) else fill(
        "unit(x, weight=w, bias=b, axes=a, eps=e)", unit=site.emit("layer_norm"), x=given.x,
        w=given.given("weight", at=1), b=given.given("bias", at=2), a=axes,
        e=given.given("eps", at=3))  # fmt: skip


def _in_order(given: Arguments) -> bool:
    return given.get("weight", at=1) is not None


def _length(site: Site, shape: Any, weight: Any) -> int:
    from transpiler.infer.values import items_of

    items = items_of(shape)
    if items is not None:
        return len(items)
    rank = site.rank(weight) if weight is not None else None
    if rank is None:
        raise Unfit("over how many axes F.layer_norm works is not known")
    return rank


@rewrites(
    f"{F}.scaled_dot_product_attention", to="tf",
    proof=Proof(inputs=[(2, 3, 4, 5), (2, 3, 4, 5), "bool(4, 4)"],
                cases=["F.scaled_dot_product_attention(x, y, x)",
                       "F.scaled_dot_product_attention(x, y, y, is_causal=True)",
                       "F.scaled_dot_product_attention(x, y, y, dropout_p=0.0, scale=0.5)"]),
)  # fmt: skip
def attention(site: Site) -> Any:
    given = Arguments(site, first=False)
    if given.get("enable_gqa") is not None:
        raise Unfit("grouped-query attention has no equal here")
    q, k, v = (given.get(n, at=i) for i, n in enumerate(("query", "key", "value")))
    rate = given.get("dropout_p", at=4)
    if rate is not None and constant_value(site.fact(rate)) == 0:
        rate = None
    return fill(
        "unit(q, k, v, attn_mask=m, dropout_p=p, is_causal=c, scale=s)",
        unit=site.emit("scaled_dot_product_attention"), q=q, k=k, v=v,
        m=given.given("attn_mask", at=3), p=OMIT if rate is None else rate,
        c=given.given("is_causal", at=5), s=given.given("scale", at=6),
    )  # fmt: skip


@rewrites(*in_module(F, "batch_norm", "instance_norm", "group_norm", "alpha_dropout"),
          "torch.batch_norm", to="tf")  # fmt: skip
def stateful(site: Site) -> Any:
    raise Unfit(f"{site.short} has no functional form in TensorFlow",
                "use the layer, which holds the weights and statistics")  # fmt: skip
