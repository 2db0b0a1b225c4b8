"""TensorFlow's and Keras' reductions, norms, sorting and searching in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import is_float, is_integer
from transpiler.infer.values import Sequence, items_of
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.tf_arguments import (
    OMIT,
    TfArguments,
    drop,
    is_host,
    simple,
    tensor,
)
from transpiler.rules.tf_operands import as_tensor, everywhere
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import find
from transpiler.template import fill

REDUCTIONS = {
    "reduce_sum": "torch.sum", "reduce_mean": "torch.mean", "reduce_max": "torch.amax",
    "reduce_min": "torch.amin", "reduce_any": "torch.any", "reduce_all": "torch.all",
    "sum": "torch.sum", "mean": "torch.mean", "max": "torch.amax", "min": "torch.amin",
    "amax": "torch.amax", "amin": "torch.amin", "any": "torch.any", "all": "torch.all",
    "reduce_logsumexp": "torch.logsumexp", "logsumexp": "torch.logsumexp",
    "count_nonzero": "torch.count_nonzero",
}  # fmt: skip
ON_HOST = {"reduce_sum": "sum(x)", "reduce_prod": "math.prod(x)", "prod": "math.prod(x)",
           "reduce_max": "max(x)", "reduce_min": "min(x)"}  # fmt: skip


def on_sizes(site: Site, given: TfArguments) -> bool:
    """Whether a reduction is of the sizes that `tf.shape` gives: Python computes those."""
    fact = site.fact(given.first)
    items = items_of(fact)
    sized = isinstance(fact, Sequence) and is_host(fact) and given.get("axis") is None
    return sized and (items is None or not all(constant_value(i) is not missing for i in items))


def flat(given: TfArguments, dim: Any) -> Any:
    """Functions that need an axis get the flattened tensor where all of them are meant."""
    return fill("torch.flatten(x)", x=given.x) if dim is OMIT else given.x


@rewrites(
    *everywhere(*REDUCTIONS), to="torch",
    proof=Proof(
        inputs=[(2, 3, 4), "bool(2, 3)", "int(2, 3) < 3"],
        keras_cases=["tf.reduce_sum(x)", "tf.reduce_mean(x, axis=1)", "tf.reduce_max(x, axis=-1)",
                     "tf.reduce_sum(x, [1, 2], keepdims=True)", "tf.reduce_min(x)",
                     "tf.reduce_mean(x, axis=[0])", "tf.reduce_any(y)", "tf.reduce_all(y, axis=1)",
                     "tf.keras.backend.sum(x, axis=-1)", "keras.ops.mean(x, axis=(0, 1))",
                     "tf.math.reduce_sum(input_tensor=x, axis=0)", "tf.reduce_sum(z)",
                     "tf.reduce_logsumexp(x, axis=1)", "tf.reduce_logsumexp(x)",
                     "tf.math.count_nonzero(z)", "tf.keras.backend.max(x)", "tf.reduce_max(x)",
                     "x / tf.sqrt(tf.reduce_sum(tf.square(x), axis=[1, 2], keepdims=True))",
                     "tf.reduce_mean([x[0, 0, 0], x[1, 1, 1]])", "tf.reduce_sum([1.0, 2.0])",
                     "tf.cast(tf.reduce_prod(tf.shape(x)), tf.float32) * x"],
    ),
)  # fmt: skip
def reduction(site: Site) -> Any:
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    if name in ON_HOST and on_sizes(site, given):
        return fill(ON_HOST[name], x=given.first)
    target, dim, keep = REDUCTIONS[name], given.axis(), given.keep
    if target == "torch.mean":
        return mean(site, given, dim, keep)
    if dim is OMIT and keep is OMIT and target in ("torch.amax", "torch.amin"):
        return fill(f"torch.{target[-3:]}(x)", x=given.x)
    if target == "torch.logsumexp":
        return fill(f"{target}(x, dim=d, keepdim=k)", x=flat(given, dim),
                    d=0 if dim is OMIT else dim, k=keep)  # fmt: skip
    if dim is OMIT and keep is not OMIT:
        dim = all_axes(site, given)
    return fill(f"{target}(x, dim=d, keepdim=k)", x=given.x, d=dim, k=keep)


def all_axes(site: Site, given: TfArguments) -> Any:
    """All axes by number, for torch's functions that keep none otherwise."""
    rank = as_tensor(site.fact(given.first)).rank
    if rank is None:
        raise Unfit(f"`keepdims` of {site.short} over all axes of a tensor of unknown rank")
    return tuple(range(rank))


def mean(site: Site, given: TfArguments, dim: Any, keep: Any) -> Any:
    """TensorFlow's mean of integers is an integer."""
    dtype = as_tensor(site.fact(given.first)).dtype
    if dim is OMIT and keep is not OMIT:
        dim = all_axes(site, given)
    if is_integer(dtype) and site.name.startswith("tf."):
        new = fill("torch.mean(x.double(), dim=d, keepdim=k)", x=given.x, d=dim, k=keep)
        return fill("x.long()", x=new)
    if dtype is not None and not is_float(dtype) and not dtype.startswith("complex"):
        return fill("torch.mean(x.float(), dim=d, keepdim=k)", x=given.x, d=dim, k=keep)
    return fill("torch.mean(x, dim=d, keepdim=k)", x=given.x, d=dim, k=keep)


@rewrites(
    *everywhere("reduce_prod", "prod"), to="torch",
    proof=Proof(inputs=["positive(2, 3, 4)"],
                keras_cases=["tf.reduce_prod(x)", "tf.reduce_prod(x, axis=1)",
                             "tf.reduce_prod(x, axis=[1, 2])",
                             "keras.ops.prod(x, axis=-1, keepdims=True)",
                             "tf.reshape(x, [2, tf.reduce_prod(tf.shape(x)[1:])])",
                             "tf.reshape(x, [2, tf.reduce_prod(x.shape[1:])])"]),
)  # fmt: skip
def product(site: Site) -> Any:
    given = TfArguments(site)
    if on_sizes(site, given) or isinstance(site.fact(given.first), Sequence):
        return fill("math.prod(x)", x=given.first)
    dim, new = given.axis(), given.x
    if dim is OMIT:
        return fill("torch.prod(x)", x=new)
    if isinstance(dim, tuple):
        if any(d < 0 for d in dim) and any(d >= 0 for d in dim):
            raise Unfit(f"{site.short} over axes counted from both ends")
        for d in sorted(dim, reverse=min(dim) >= 0):
            new = fill("torch.prod(x, dim=d, keepdim=k)", x=new, d=d, k=given.keep)
        return new
    return fill("torch.prod(x, dim=d, keepdim=k)", x=new, d=dim, k=given.keep)


@rewrites(
    *everywhere("reduce_std", "reduce_variance", "std", "var"), to="torch",
    proof=Proof(inputs=[(4, 3)],
                keras_cases=["tf.math.reduce_std(x)", "tf.math.reduce_variance(x, axis=0)",
                             "tf.keras.backend.std(x, axis=1, keepdims=True)",
                             "keras.ops.var(x, axis=-1)"]),
)  # fmt: skip
def spread(site: Site) -> Any:
    """Both divide by the number of elements."""
    given = TfArguments(site)
    name = "std" if site.name.endswith("std") else "var"
    return fill(f"torch.{name}(x, dim=d, correction=0, keepdim=k)", x=given.x, d=given.axis(),
                k=given.keep)  # fmt: skip


@rewrites(
    "tf.nn.moments", "keras.ops.moments", to="torch",
    proof=Proof(inputs=[(4, 3)],
                keras_cases=["tf.nn.moments(x, [0])", "tf.nn.moments(x * 2, axes=[0, 1])",
                             "keras.ops.moments(x, axes=0, keepdims=True)"]),
)  # fmt: skip
def moments(site: Site) -> Any:
    given = TfArguments(site)
    dim, keep, x = given.axis("axes"), given.keep, given.x
    if not simple(x):
        return fill("torch.var_mean(x, dim=d, correction=0, keepdim=k)[::-1]", x=x, d=dim, k=keep)
    return fill(
        "(torch.mean(x, dim=d, keepdim=k), torch.var(x, dim=d, correction=0, keepdim=k))",
        x=x, d=dim, k=keep,
    )  # fmt: skip


@rewrites(
    "tf.norm", "keras.ops.norm", to="torch",
    proof=Proof(inputs=[(2, 3, 4)],
                keras_cases=["tf.norm(x)", "tf.norm(x, axis=-1)", "tf.norm(x, ord=1, axis=1)",
                             "tf.norm(x, axis=[1, 2], keepdims=True)", "keras.ops.norm(x, axis=1)",
                             "tf.norm(x, ord=np.inf, axis=1)", "tf.linalg.norm(x[0], 2, 1)"]),
)  # fmt: skip
def norm(site: Site) -> Any:
    """Norms of vectors; of matrices only the Frobenius norm, which is the same."""
    given = TfArguments(site)
    dim, order = given.axis(), given.get("ord")
    value = constant_value(site.fact(order)) if order is not None else "euclidean"
    if dim is OMIT and given.keep is not OMIT:
        dim = all_axes(site, given)
    if isinstance(dim, tuple) and len(dim) == 2 and value not in ("euclidean", "fro"):
        return fill("torch.linalg.matrix_norm(x, p, dim=d, keepdim=k)", x=given.x, p=order,
                    d=dim, k=given.keep)  # fmt: skip
    if isinstance(dim, tuple) and len(dim) > 2:
        site.caution(
            f"{site.short} over {len(dim)} axes raises an error in TensorFlow; the norm of all of"
            " their elements is meant"
        )
    p = OMIT if value in ("euclidean", "fro", 2) else order
    return fill("torch.linalg.vector_norm(x, p, dim=d, keepdim=k)", x=given.x, p=p, d=dim,
                k=given.keep)  # fmt: skip


@rewrites(
    *everywhere("l2_normalize"), "keras.ops.normalize", to="torch",
    proof=Proof(inputs=[(4, 3)],
                keras_cases=["tf.nn.l2_normalize(x, axis=1)", "tf.math.l2_normalize(x, -1)",
                             "tf.nn.l2_normalize(x, 0, epsilon=1e-6)", "tf.nn.l2_normalize(x)",
                             "keras.ops.normalize(x, axis=0)"]),
)  # fmt: skip
def normalize(site: Site) -> Any:
    """torch divides by max(norm, eps), TensorFlow by the root of max(sum of squares, epsilon)."""
    given = TfArguments(site)
    if given.const("order", default=2) != 2:
        raise Unfit(f"{site.short} with another order than 2")
    dim = given.axis("axis", "dim")
    if dim is OMIT and site.name.startswith("keras."):
        dim = -1
    if dim is OMIT:
        dim = all_axes(site, given)
    eps = float(given.const("epsilon", default=1e-12)) ** 0.5
    new = OMIT if abs(eps - 1e-12) < 1e-18 else float(f"{eps:.12g}")
    return fill("torch.nn.functional.normalize(x, dim=d, eps=e)", x=given.x,
                d=OMIT if dim == 1 else dim, e=new)  # fmt: skip


@rewrites("tf.nn.l2_loss", to="torch",
          proof=Proof(inputs=[(4, 3)], keras_cases=["tf.nn.l2_loss(x)"]))  # fmt: skip
def l2_loss(site: Site) -> Any:
    return fill("torch.sum(torch.square(x)) / 2", x=TfArguments(site).x)


@rewrites("tf.clip_by_norm", to="torch",
          proof=Proof(inputs=[(4, 3)],
                      keras_cases=["tf.clip_by_norm(x, 1.0)", "tf.clip_by_norm(x, 9.0)",
                                   "tf.clip_by_norm(x, 0.5, axes=[1])"]))  # fmt: skip
def clip_by_norm(site: Site) -> Any:
    given = TfArguments(site)
    return fill("unit(x, n, dim=d)", unit=site.emit("clip_by_norm"), x=given.x,
                n=given.need("clip_norm"), d=given.axis("axes"))  # fmt: skip


# ---- places -----------------------------------------------------------------------------------


@rewrites(
    *everywhere("argmax", "argmin"), to="torch",
    proof=Proof(inputs=[(3, 4)], gradients=False,
                keras_cases=["tf.argmax(x, axis=1)", "tf.argmax(x, 1)", "tf.argmax(x)",
                             "tf.argmin(x, axis=-1, output_type=tf.int32)",
                             "keras.ops.argmax(x)", "tf.keras.backend.argmax(x)",
                             "tf.math.argmax(input=x, axis=0)"]),
)  # fmt: skip
def position(site: Site) -> Any:
    """TensorFlow's own looks along the first axis, Keras' through the flattened tensor."""
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    dim = given.axis("axis", "dimension")
    if dim is OMIT and not site.name.startswith("keras.ops"):
        dim = 0 if site.name.startswith("tf.") else -1
    return fill(f"torch.{name}(x, dim=d, keepdim=k)", x=given.x, d=dim, k=given.keep)


@rewrites(
    *everywhere("top_k"), to="torch",
    proof=Proof(inputs=[(3, 4)],
                keras_cases=["tf.math.top_k(x, k=2)", "tf.nn.top_k(x, 3).indices",
                             "keras.ops.top_k(x, 2)", "tf.nn.top_k(x).values"]),
)  # fmt: skip
def top(site: Site) -> Any:
    given = TfArguments(site)
    count = given.get("k")
    return fill("torch.topk(x, k)", x=given.x, k=1 if count is None else count)


def descending(given: TfArguments) -> Any:
    value = str(given.const("direction", default="ASCENDING"))
    return True if value.upper() == "DESCENDING" else OMIT


@rewrites(
    *everywhere("sort", "argsort"), to="torch",
    proof=Proof(inputs=[(3, 4)], keras_cases=["tf.sort(x)", "tf.argsort(x, axis=0)",
                                              "tf.sort(x, direction='DESCENDING')",
                                              "tf.argsort(x, direction='DESCENDING')",
                                              "keras.ops.sort(x, axis=0)"]),
)  # fmt: skip
def sort(site: Site) -> Any:
    given = TfArguments(site)
    dim = given.axis()
    dim = OMIT if dim == -1 else dim
    if site.name.endswith("argsort"):
        return fill("torch.argsort(x, dim=d, descending=e, stable=s)", x=given.x, d=dim,
                    e=descending(given), s=given.given("stable"))  # fmt: skip
    return fill("torch.sort(x, dim=d, descending=e).values", x=given.x, d=dim,
                e=descending(given))  # fmt: skip


@rewrites("tf.searchsorted", "keras.ops.searchsorted", to="torch")
def searchsorted(site: Site) -> Any:
    given = TfArguments(site)
    right = given.const("side", default="left") == "right"
    return fill("torch.searchsorted(a, v, right=r)", a=given.x, v=given.need("values", "v"),
                r=True if right else OMIT)  # fmt: skip


@rewrites("tf.math.bincount", "keras.ops.bincount", to="torch",
          proof=Proof(inputs=["int(9) < 5"], gradients=False,
                      keras_cases=["tf.math.bincount(x, minlength=7)"]))  # fmt: skip
def bincount(site: Site) -> Any:
    given = TfArguments(site)
    if given.get("maxlength", "axis") is not None:
        raise Unfit(f"{site.short} with `maxlength` or `axis` has no equal here")
    return fill("torch.bincount(x, weights=w, minlength=m)", x=given.x, w=given.given("weights"),
                m=given.given("minlength"))  # fmt: skip


@rewrites("tf.unique", "tf.unique_with_counts", to="torch",
          proof=Proof(inputs=["int(9) < 5"], gradients=False,
                      keras_cases=["tf.unique(x).y", "y, i = tf.unique(x)\n(y, i)",
                                   "tf.unique_with_counts(x).count", "tf.unique(x)[1]",
                                   "tf.sort(tf.unique(x).y)",
                                   "found = tf.unique_with_counts(x)\nfound.y, found.idx"]),
)  # fmt: skip
def unique(site: Site) -> Any:
    """TensorFlow lists values as they come first, torch in order."""
    given = TfArguments(site)
    drop(site, given.get("out_idx"))
    name = "count_in_order" if site.name.endswith("counts") else "unique_in_order"
    read_by_place(site, ("y", "idx", "count"))
    return fill("unit(x)", unit=site.emit(name), x=given.x)


def read_by_place(site: Site, fields: tuple[str, ...]) -> None:
    """What a program reads of named results by name: the emitted function gives a plain tuple."""
    context = site.context
    if context.notes.get("read by place"):
        return
    context.notes["read by place"] = True
    kind = f"tuple:{','.join(fields[:2])}"
    for field in find(context.module, cst.Attribute):
        value, name = context.fact(field.value), field.attr.value
        if isinstance(value, Sequence) and value.kind.startswith(kind) and name in fields:
            new = fill(f"x[{fields.index(name)}]", x=field.value)
            context.edits.replace(field, new)


@rewrites("tf.math.confusion_matrix", to="torch",
          proof=Proof(inputs=["int(9) < 3", "int(9) < 3"], gradients=False,
                      keras_cases=["tf.math.confusion_matrix(x, y)",
                                   "tf.math.confusion_matrix(x, y, num_classes=4)"]),
)  # fmt: skip
def confusion_matrix(site: Site) -> Any:
    """Rows are the labels."""
    given = TfArguments(site)
    if given.get("weights") is not None:
        raise Unfit("`weights` of tf.math.confusion_matrix has no equal here")
    drop(site, given.get("dtype"))
    return fill("unit(y, x, n)", unit=site.emit("confusion_matrix"), y=given.x,
                x=tensor(site, given.need("predictions")),
                n=given.given("num_classes"))  # fmt: skip


@rewrites("tf.nn.in_top_k", "keras.ops.in_top_k", to="torch",
          proof=Proof(inputs=["int(4) < 5", (4, 5)], gradients=False,
                      keras_cases=["tf.nn.in_top_k(x, y, 2)", "tf.math.in_top_k(x, y, k=1)"]),
)  # fmt: skip
def in_top_k(site: Site) -> Any:
    given = TfArguments(site)
    return fill("(torch.topk(p, k).indices == y.unsqueeze(-1)).any(-1)",
                p=tensor(site, given.need("predictions")), k=given.need("k"),
                y=tensor(site, given.need("targets")))  # fmt: skip


@rewrites("tf.math.reduce_euclidean_norm", to="torch",
          proof=Proof(inputs=[(4, 5)],
                      keras_cases=["tf.math.reduce_euclidean_norm(x, axis=1)"]))  # fmt: skip
def euclidean_norm(site: Site) -> Any:
    given = TfArguments(site)
    return fill("torch.linalg.vector_norm(x, dim=d, keepdim=k)", x=given.x, d=given.axis(),
                k=given.keep)  # fmt: skip


@rewrites("tf.nn.zero_fraction", to="torch",
          proof=Proof(inputs=["int(4, 5) < 2"], gradients=False, tolerance=1e-7,
                      reason="TensorFlow counts in single precision",
                      keras_cases=["tf.nn.zero_fraction(tf.cast(x, tf.float32))"]))  # fmt: skip
def zero_fraction(site: Site) -> Any:
    return fill("(x == 0).float().mean()", x=TfArguments(site).x)


@rewrites("tf.histogram_fixed_width", to="torch",
          proof=Proof(inputs=["unit(9)"], gradients=False,
                      keras_cases=["tf.histogram_fixed_width(x, [0.0, 1.0], nbins=5)"]),
)  # fmt: skip
def histogram(site: Site) -> Any:
    """What lies outside is counted at the ends."""
    given = TfArguments(site)
    low, high = given.const("value_range")
    count = given.get("nbins")
    return fill("torch.histc(torch.clamp(x, a, b), n, a, b).long()", x=given.x, a=low, b=high,
                n=100 if count is None else count)  # fmt: skip
