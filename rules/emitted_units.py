"""What translations to PyTorch wrote out, as the Keras that it was written for."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Value, options
from transpiler.rule import Rule, Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.template import OMIT, call, fill, fill_statements, parse_expression

_K = "keras.optimizers."
_CLIPS = "weight_decay=decay, clipnorm=a, global_clipnorm=b, clipvalue=c"
_BETAS = "betas=(b1, b2), eps=eps"
_KERAS_BETAS = "beta_1=b1, beta_2=b2, epsilon=eps"


def optimizer(name: str, theirs: str, ours: str) -> Rule:
    """An optimizer whose settings stand in `theirs` for torch and in `ours` for Keras."""
    return Rule(
        f"Keras{name} back",
        torch=f"to_torch.Keras{name}(params, lr=lr, {theirs}, {_CLIPS})",
        keras=f"{_K}{name}(learning_rate=lr, {ours}, {_CLIPS})",
        to="tf",
    )


OPTIMIZERS = [
    optimizer("SGD", *["momentum=m, nesterov=n"] * 2),
    optimizer("Adam", f"{_BETAS}, amsgrad=s", f"{_KERAS_BETAS}, amsgrad=s"),
    optimizer("RMSprop", "rho=r, momentum=m, eps=eps, centered=s",
              "rho=r, momentum=m, epsilon=eps, centered=s"),
    optimizer("Adagrad", "initial_accumulator_value=v, eps=eps",
              "initial_accumulator_value=v, epsilon=eps"),
    optimizer("Adadelta", "rho=r, eps=eps", "rho=r, epsilon=eps"),
    optimizer("Adamax", _BETAS, _KERAS_BETAS),
    optimizer("Nadam", _BETAS, _KERAS_BETAS),
    optimizer("Lion", "betas=(b1, b2)", "beta_1=b1, beta_2=b2"),
    optimizer("Ftrl", "learning_rate_power=p, initial_accumulator_value=v, l1=l, l2=k, "
              "l2_shrinkage=s, beta=t",
              "learning_rate_power=p, initial_accumulator_value=v, l1_regularization_strength=l, "
              "l2_regularization_strength=k, l2_shrinkage_regularization_strength=s, beta=t"),
]  # fmt: skip


@rewrites("to_torch.count_step", to="tf")
def count_step(site: Site) -> Any:
    return fill("optimizer.iterations.assign_add(1)", optimizer=site.arg("optimizer"))


@rewrites("to_torch.regularization", to="tf")
def regularization(site: Site) -> Any:
    """Keras collects the penalties of all layers."""
    if not site.is_call:
        return parse_expression("lambda model: sum(model.losses)").deep_clone()
    return fill("sum(model.losses)", model=site.arg("model"))


@rewrites("to_torch.set_trainable", to="tf")
def set_trainable(site: Site) -> Any:
    """Keras' own attribute, which freezes statistics as well."""
    if not site.alone:
        raise Unfit("set_trainable is used inside of an expression")
    return fill_statements("module.trainable = flag", module=site.arg("module"),
                           flag=site.arg("trainable"))  # fmt: skip


@infers("to_torch.to_device")
def same_data(call_: Invocation) -> Value:
    return call_.positional[0] if call_.positional else UNKNOWN


@rewrites("to_torch.to_device", to="tf")
def to_device(site: Site) -> Any:
    """TensorFlow puts tensors where they are used."""
    assigned = site.assigned_to
    if assigned is not None and assigned.deep_equals(site.arg("data")):
        return []
    return site.arg("data")


@rewrites("to_torch.clip_by_norm", to="tf")
def clip_by_norm(site: Site) -> Any:
    axes = site.args.get("dim", OMIT)
    return call("tf.clip_by_norm", site.arg("x"), site.arg("clip_norm"), axes=axes)


@infers("to_torch.clip_by_norm")
def clipped(call_: Invocation) -> Value:
    return call_.positional[0] if call_.positional else UNKNOWN


@rewrites("to_torch.clip_by_global_norm", to="tf")
def clip(site: Site) -> Any:
    raise Unfit("gradients are clipped outside of a training step")


# ---- losses and metrics --------------------------------------------------------------------------

_LOSSES = {
    "sparse_cross_entropy": "SparseCategoricalCrossentropy(from_logits=True)",
    "soft_cross_entropy": "CategoricalCrossentropy(from_logits=True)",
    "binary_cross_entropy": "BinaryCrossentropy(from_logits=True)",
    "sparse_log_loss": "SparseCategoricalCrossentropy()",
    "soft_log_loss": "CategoricalCrossentropy()",
    "binary_log_loss": "BinaryCrossentropy()",
    "mean_squared_error": "MeanSquaredError()",
    "mean_absolute_error": "MeanAbsoluteError()",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError()",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError()",
    "huber": "Huber()",
    "log_cosh": "LogCosh()",
    "poisson": "Poisson()",
    "kl_divergence": "KLDivergence()",
    "hinge": "Hinge()",
    "squared_hinge": "SquaredHinge()",
    "categorical_hinge": "CategoricalHinge()",
    "categorical_crossentropy": "CategoricalCrossentropy()",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy()",
    "binary_crossentropy": "BinaryCrossentropy()",
}
_METRICS = {
    "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
    "categorical_accuracy": "CategoricalAccuracy",
    "binary_accuracy": "BinaryAccuracy",
    "top_k_accuracy": "SparseTopKCategoricalAccuracy",
    "categorical_top_k_accuracy": "TopKCategoricalAccuracy",
    "accuracy": "Accuracy",
    "mean_squared_error": "MeanSquaredError",
    "mean_absolute_error": "MeanAbsoluteError",
}


_FUNCTIONS = {
    **{n: f"keras.losses.{n}" for n in """mean_squared_error mean_absolute_error
       mean_absolute_percentage_error mean_squared_logarithmic_error huber log_cosh poisson
       kl_divergence cosine_similarity hinge squared_hinge categorical_hinge
       categorical_crossentropy sparse_categorical_crossentropy binary_crossentropy
       binary_focal_crossentropy categorical_focal_crossentropy""".split()},
    "sparse_categorical_accuracy": "keras.metrics.sparse_categorical_accuracy",
    "categorical_accuracy": "keras.metrics.categorical_accuracy",
    "binary_accuracy": "keras.metrics.binary_accuracy",
    "top_k_accuracy": "keras.metrics.sparse_top_k_categorical_accuracy",
    "categorical_top_k_accuracy": "keras.metrics.top_k_categorical_accuracy",
    "sparse_log_loss": "keras.losses.sparse_categorical_crossentropy",
    "soft_log_loss": "keras.losses.categorical_crossentropy",
    "binary_log_loss": "keras.losses.binary_crossentropy",
    "to_categorical": "keras.utils.to_categorical",
    "to_tensor": "tf.convert_to_tensor",
    "global_norm": "tf.linalg.global_norm",
    "clip_all_by_global_norm": "tf.clip_by_global_norm",
}  # fmt: skip
_OF_LOGITS = {"sparse_cross_entropy": "sparse_categorical_crossentropy",
              "soft_cross_entropy": "categorical_crossentropy",
              "binary_cross_entropy": "binary_crossentropy"}  # fmt: skip


@rewrites(*(f"to_torch.{name}" for name in _FUNCTIONS), to="tf")
def function(site: Site) -> Any:
    """The function of Keras' that takes the same, called or handed on."""
    target = parse_expression(_FUNCTIONS[site.name.partition(".")[2]]).deep_clone()
    return cst.Call(target, site.node.args) if isinstance(site.node, cst.Call) else target


@rewrites(*(f"to_torch.{name}" for name in _OF_LOGITS), to="tf")
def loss_of_logits(site: Site) -> Any:
    if not isinstance(site.node, cst.Call):
        raise Unfit(f"{site.short} is handed on without being called")
    func = parse_expression(f"keras.losses.{_OF_LOGITS[site.name.partition('.')[2]]}")
    more = call("x", from_logits=True).args
    return cst.Call(func.deep_clone(), [*site.node.args, *more])


def _unit(site: Site, node: Any) -> str:
    """The unit that an expression names."""
    for found in options(site.context.fact(node)):
        name = getattr(found, "name", "")
        if isinstance(name, str) and name.startswith("to_torch."):
            return name.partition(".")[2]
    return ""


@rewrites("to_torch.MeanLoss", to="tf")
def mean_loss(site: Site) -> Any:
    """A loss of Keras', which takes the targets first as this one does."""
    stock = _LOSSES.get(_unit(site, site.arg("function")))
    if stock is None:
        raise Unfit("the loss inside of MeanLoss is not known here")
    reduction = site.const("reduction", "mean")
    given = {n: v for n, v in site.args.items() if n not in ("function", "reduction")}
    if reduction != "mean":
        given["reduction"] = "none" if reduction in ("none", None) else reduction
    made = parse_expression(f"keras.losses.{stock}").deep_clone()
    assert isinstance(made, cst.Call)
    return made.with_changes(args=[*made.args, *call("x", **given).args])


@rewrites("to_torch.MeanMetric", to="tf")
def mean_metric(site: Site) -> Any:
    """A metric of Keras' by its name, or a wrapper around the program's own function."""
    function = site.arg("function")
    stock = _METRICS.get(_unit(site, function))
    given = {n: v for n, v in site.args.items() if n != "function"}
    if stock is not None:
        return call(f"keras.metrics.{stock}", **given)
    return call("keras.metrics.MeanMetricWrapper", function, **given)


@rewrites("to_torch.Sum", "to_torch.Mean", "to_torch.RootMeanSquaredError", "to_torch.AUC",
          "to_torch.Precision", "to_torch.Recall", "to_torch.TruePositives",
          "to_torch.FalsePositives", "to_torch.TrueNegatives", "to_torch.FalseNegatives",
          "to_torch.MeanIoU", to="tf")  # fmt: skip
def metric(site: Site) -> Any:
    """Metrics have the names and arguments of Keras'; a threshold stands for all of them."""
    names = {"threshold": "thresholds"}
    given = {names.get(n, n): v for n, v in site.args.items()}
    return call(f"keras.metrics.{site.name.partition('.')[2]}", **given)
