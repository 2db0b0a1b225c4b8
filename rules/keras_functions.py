"""Keras' losses and metrics called as functions, and its numeric tools, in PyTorch."""

from __future__ import annotations

from typing import Any

from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.keras_losses import KNOWN
from transpiler.rules.tf_arguments import TfArguments, tensor
from transpiler.rules.tf_networks import F, cross_entropy, target
from transpiler.rules.tf_operands import as_tensor
from transpiler.site import Site, constant_value
from transpiler.template import fill

OPTIONS = {"label_smoothing", "delta", "gamma", "alpha", "apply_class_balancing"}


def logits_given(site: Site, given: TfArguments) -> bool:
    """Whether the predictions are logits."""
    return bool(given.const("from_logits", default=False))


@rewrites(
    *(f"keras.losses.{name}" for name in sorted(KNOWN)), to="torch",
    proof=Proof(
        inputs=["unit(4, 3)", "unit(4, 3)", "int(4) < 3", "int(4, 3) < 2"],
        tolerance=1e-6, reason="probabilities are clipped to 1e-7 in single precision",
        keras_cases=["keras.losses.mean_squared_error(x, y)",
                     "keras.losses.mean_absolute_error(x, y)",
                     "keras.losses.binary_crossentropy(tf.cast(w, tf.float32), y)",
                     "keras.losses.categorical_crossentropy(x, y / tf.reduce_sum(y, 1, True))",
                     "keras.losses.sparse_categorical_crossentropy(z, y)",
                     "keras.losses.sparse_categorical_crossentropy(z, y, from_logits=True)",
                     "keras.losses.binary_crossentropy(x, y, from_logits=True)",
                     "keras.losses.categorical_crossentropy(tf.nn.softmax(x), y, from_logits=True)",
                     "keras.losses.categorical_crossentropy(tf.nn.softmax(x), y, "
                     "from_logits=True, label_smoothing=0.1)",
                     "keras.losses.huber(x, y, delta=0.5)",
                     "keras.losses.kl_divergence(x, y)", "keras.losses.cosine_similarity(x, y)",
                     "keras.losses.hinge(x, y)", "keras.losses.log_cosh(y_true=x, y_pred=y)"],
    ),
)  # fmt: skip
def loss(site: Site) -> Any:
    """The loss of each example: the mean (or sum) over the last axis."""
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    if not site.is_call:
        raise Unfit(f"{site.short} is used without being called")
    y, x = given.need("y_true"), given.need("y_pred")
    if given.const("axis", default=-1) != -1:
        raise Unfit(f"`axis` of {site.short} has no equal here")
    options = {k: v for k, v in given.values.items() if k in OPTIONS}
    if logits_given(site, given) and "crossentropy" in name:
        return _from_logits(site, name, y, x, options)
    if name in SIMPLE and not options and _alike(site, y, x):
        return fill(SIMPLE[name], x=tensor(site, x), y=target(site, y))
    raise Unfit(f"{site.short} is no short expression here")  # an emitted function then


SIMPLE = {
    "mean_squared_error": F + 'mse_loss(x, y, reduction="none").mean(-1)',
    "mean_absolute_error": F + 'l1_loss(x, y, reduction="none").mean(-1)',
}


def _alike(site: Site, *nodes: Any) -> bool:
    ranks = {as_tensor(site.fact(n)).rank for n in nodes}
    return len(ranks) == 1 and None not in ranks and 0 not in ranks


def _from_logits(site: Site, name: str, y: Any, x: Any, options: dict[str, Any]) -> Any:
    smoothing = options.pop("label_smoothing", None)
    if smoothing is not None and constant_value(site.fact(smoothing)) == 0:
        smoothing = None
    if options:
        raise Unfit(f"options of {site.short} that have no equal here")
    if name == "binary_crossentropy":
        truth = target(site, y)
        if smoothing is not None:
            truth = fill("y * (1 - s) + 0.5 * s", y=truth, s=smoothing)
        return fill(F + 'binary_cross_entropy_with_logits(x, y, reduction="none").mean(-1)',
                    x=tensor(site, x), y=truth)  # fmt: skip
    if name not in ("categorical_crossentropy", "sparse_categorical_crossentropy"):
        raise Unfit(f"{site.short} of logits has no equal here")
    if name.startswith("sparse") and not _one_less(site, y, x):
        raise Unfit(f"the ranks of what {site.short} gets are not known")
    new = cross_entropy(site, y, x, name.startswith("sparse"))
    if smoothing is None:
        return new
    if as_tensor(site.fact(x)).rank != 2:
        raise Unfit(f"`label_smoothing` of {site.short} for other than two axes")
    return fill(F + 'cross_entropy(x, y, label_smoothing=s, reduction="none")',
                x=tensor(site, x), y=target(site, y), s=smoothing)  # fmt: skip


def _one_less(site: Site, y: Any, x: Any) -> bool:
    """Whether the class numbers are known to have no axis for the classes."""
    labels, scores = as_tensor(site.fact(y)).rank, as_tensor(site.fact(x)).rank
    return labels is not None and scores is not None and labels == scores - 1


@rewrites("keras.backend.binary_crossentropy", "keras.ops.binary_crossentropy", to="torch",
          proof=Proof(inputs=["unit(4, 3)", "unit(4, 3)"], tolerance=1e-5,
                      reason="the backend's adds 1e-7 in the logarithm",
                      keras_cases=["tf.keras.backend.binary_crossentropy(x, y)",
                                   "keras.ops.binary_crossentropy(x, y, from_logits=True)"]),
)  # fmt: skip
def elementwise_crossentropy(site: Site) -> Any:
    given = TfArguments(site)
    y, x = target(site, given.need("target")), tensor(site, given.need("output"))
    if logits_given(site, given):
        return fill(F + 'binary_cross_entropy_with_logits(x, y, reduction="none")', x=x, y=y)
    return fill(F + 'binary_cross_entropy(x.clamp(1e-7, 1 - 1e-7), y, reduction="none")',
                x=x, y=y)  # fmt: skip


@rewrites("keras.backend.categorical_crossentropy", "keras.ops.categorical_crossentropy",
          "keras.backend.sparse_categorical_crossentropy",
          "keras.ops.sparse_categorical_crossentropy", to="torch",
          proof=Proof(inputs=["unit(4, 3)", "unit(4, 3)", "int(4) < 3"], tolerance=1e-6,
                      reason="probabilities are clipped to 1e-7 in single precision",
                      keras_cases=["tf.keras.backend.categorical_crossentropy(x, y)",
                                   "tf.keras.backend.sparse_categorical_crossentropy(z, y)",
                                   "tf.keras.backend.sparse_categorical_crossentropy(z, y, "
                                   "from_logits=True)"]))  # fmt: skip
def backend_crossentropy(site: Site) -> Any:
    given = TfArguments(site)
    y, x = given.need("target"), given.need("output")
    sparse = "sparse" in site.name
    if given.const("axis", default=-1) != -1:
        raise Unfit(f"`axis` of {site.short} has no equal here")
    if logits_given(site, given):
        return cross_entropy(site, y, x, sparse)
    name = f"{'sparse_' if sparse else ''}categorical_crossentropy"
    return fill("unit(y, x)", unit=site.emit(name), y=y, x=tensor(site, x))


@rewrites("keras.metrics.binary_accuracy", "keras.metrics.categorical_accuracy",
          "keras.metrics.sparse_categorical_accuracy", to="torch")  # fmt: skip
def accuracy(site: Site) -> Any:
    given = TfArguments(site)
    return fill("unit(y, x, threshold=t)", unit=site.emit(site.name.rpartition(".")[2]),
                y=given.need("y_true"), x=tensor(site, given.need("y_pred")),
                t=given.given("threshold"))  # fmt: skip
