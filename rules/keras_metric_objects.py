"""Keras' metrics that a program updates by itself."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, options
from transpiler.rule import Unfit, rewrites
from transpiler.rules.keras_loss_objects import OF_LOGITS
from transpiler.rules.keras_losses import snake
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code, find
from transpiler.template import OMIT, call, fill

MEANS = {
    "SparseCategoricalAccuracy": "sparse_categorical_accuracy",
    "CategoricalAccuracy": "categorical_accuracy",
    "BinaryAccuracy": "binary_accuracy",
    "Accuracy": "accuracy",
    "SparseTopKCategoricalAccuracy": "top_k_accuracy",
    "TopKCategoricalAccuracy": "categorical_top_k_accuracy",
    "CosineSimilarity": "similarity",
    "LogCoshError": "log_cosh",
}
"""Metrics that average a function over all examples, where the function's name is another."""
OWN = ("Mean", "Sum", "Precision", "Recall", "AUC", "RootMeanSquaredError", "MeanIoU",
       "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives")  # fmt: skip
LOSSES = (
    "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError",
    "MeanSquaredLogarithmicError", "BinaryCrossentropy", "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy", "KLDivergence", "Poisson", "Hinge", "SquaredHinge",
    "CategoricalHinge",
)  # fmt: skip
EVERY = (*MEANS, *OWN, *LOSSES)


def _given(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, node in site.args.items():
        value = constant_value(site.fact(name))
        if name == "dtype" or (value is not missing and value is None):
            continue
        found[name] = node if value is missing else value
    if not _name_is_read(site):
        found.pop("name", None)
    elif "name" not in found and goes_through_metrics(site.context):
        found["name"] = snake(site.name.rpartition(".")[2])
    return found


def goes_through_metrics(context: Context) -> bool:
    """Whether the program asks whatever `compile` was given for their names."""
    known: bool | None = context.notes.get("metrics by name")
    if known is None:
        loops: list[Any] = list(find(context.module, cst.For, cst.CompFor))
        held = {
            code(n.target) for n in loops
            if isinstance(n.iter, cst.Attribute) and n.iter.attr.value == "metrics"
        }  # fmt: skip
        names = [n for n in find(context.module, cst.Attribute) if n.attr.value == "name"]
        known = any(code(n.value) in held for n in names)
        context.notes["metrics by name"] = known
    return known


def _name_is_read(site: Site) -> bool:
    """Whether the program asks a metric for its name."""
    if goes_through_metrics(site.context):
        return True
    for node in find(site.context.module, cst.Attribute):
        if node.attr.value == "name":
            for value in options(site.context.fact(node.value)):
                if isinstance(value, Instance) and value.class_names[:1] == (site.name,):
                    return True
    return False


@rewrites(*(f"keras.metrics.{name}" for name in EVERY), to="torch")
def metric(site: Site) -> Any:
    """A small class that is updated batch by batch."""
    if not isinstance(site.node, cst.Call):
        raise Unfit(f"{site.short} is used without being called")
    kind = site.name.rpartition(".")[2]
    given = _given(site)
    if kind in OWN:
        if "thresholds" in given:
            given["threshold"] = given.pop("thresholds")
        allowed = {"name", "threshold", "num_thresholds", "num_classes"}
        if set(given) - allowed:
            raise Unfit(f"options of {site.short} that have no equal here")
        return call(site.context.emit(kind), **given)
    name = MEANS.get(kind, snake(kind))
    shown = given.pop("name", OMIT)
    if given.pop("axis", -1) != -1:
        raise Unfit("a metric over another axis than the last is not translated")
    unit = site.context.emit(_unit(name, given))
    return call(site.context.emit("MeanMetric"), cst.Name(unit), name=shown, **given)


def _unit(name: str, given: dict[str, Any]) -> str:
    if given.pop("from_logits", False) is True:
        return OF_LOGITS[name]
    return name


@rewrites("keras.metrics.MeanMetricWrapper", to="torch")
def wrapper(site: Site) -> Any:
    given = _given(site)
    function = given.pop("fn")
    return call(site.context.emit("MeanMetric"), function, **given)


@rewrites("keras.Metric.reset_states", "keras.Metric.reset_state", to="torch")
def reset(site: Site) -> Any:
    """Keras' former name for it, too."""
    if site.name.endswith("reset_state"):
        return site.keep()
    return fill("metric.reset_state()", metric=site.receiver)


@rewrites("keras.Metric.update_state", "keras.Metric.result", "keras.Metric.name",
          "keras.Metric.__call__", "keras.metrics.Mean.update_state",
          "keras.metrics.Mean.result", to="torch")  # fmt: skip
def kept(site: Site) -> Any:
    """What the emitted classes have as well."""
    return site.keep()
