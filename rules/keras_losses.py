"""Keras' losses and metrics, by string, function, class or object, for training loops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Function, Instance, Symbol, Tensor, Value
from transpiler.rule import Unfit
from transpiler.site import Site, constant_value, missing
from transpiler.template import as_node, call, fill

LOSSES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "logcosh": "log_cosh",
    "huber_loss": "huber",
}
KNOWN = frozenset(
    """mean_squared_error mean_absolute_error mean_absolute_percentage_error
    mean_squared_logarithmic_error binary_crossentropy categorical_crossentropy
    sparse_categorical_crossentropy kl_divergence log_cosh huber poisson
    cosine_similarity hinge squared_hinge categorical_hinge binary_focal_crossentropy
    categorical_focal_crossentropy""".split()
)
STOCK = {"mean_squared_error": "MSELoss", "mean_absolute_error": "L1Loss"}
ENTROPIES = {
    "binary_crossentropy": "sigmoid",
    "categorical_crossentropy": "softmax",
    "sparse_categorical_crossentropy": "softmax",
}


def snake(name: str) -> str:
    """MeanSquaredError as mean_squared_error."""
    special = {"LogCosh": "log_cosh", "KLDivergence": "kl_divergence", "AUC": "auc"}
    if name in special:
        return special[name]
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


@dataclass
class Loss:
    """A loss as a program gives it."""

    name: str = ""
    """Its name in snake case; empty for the program's own."""
    options: dict[str, Any] = field(default_factory=dict)
    own: cst.BaseExpression | None = None
    """The program's own function of targets and predictions."""

    @property
    def from_logits(self) -> bool:
        return self.options.get("from_logits") is True

    @property
    def sparse(self) -> bool:
        return self.name == "sparse_categorical_crossentropy"

    @property
    def activation(self) -> str | None:
        """What turns logits into the probabilities of this loss."""
        return ENTROPIES.get(self.name)


def read_loss(context: Context, node: cst.BaseExpression) -> Loss:
    """The loss that an expression stands for. Raises Unfit."""
    value: Value = context.fact(node)
    match value:
        case Const(value=str(text)):
            name = text if text in KNOWN else LOSSES.get(text, snake(text))
            if name in KNOWN:
                return Loss(name)
            raise Unfit(f"the loss {text!r} is not known")
        case Symbol(name=full) if full.startswith("keras.losses."):
            name = snake(full.rpartition(".")[2])
            if name in KNOWN:
                return Loss(name)
        case Instance(cls=Symbol(name=full)) if full.startswith("keras.losses."):
            name = snake(full.rpartition(".")[2])
            if name in KNOWN:
                return Loss(name, _options(context, value))
        case Function():
            return Loss(own=node)
        case Instance(cls=Class()):
            raise Unfit("a loss class of the program's own is not translated",
                        "write it as a function of targets and predictions")  # fmt: skip
    raise Unfit("the loss is not known before the program runs")


def _options(context: Context, value: Instance) -> dict[str, Any]:
    found: dict[str, Any] = {}
    origin = value.origin
    if not isinstance(origin, cst.Call):
        return found
    for name, node in Site(context, origin, value.class_names[0]).args.items():
        if name in ("name", "dtype"):
            continue
        fact = value.arguments.get(name)
        constant = constant_value(fact) if isinstance(fact, Value) else missing
        found[name] = node if constant is missing else constant
    if found.get("reduction") in ("auto", "sum_over_batch_size"):
        del found["reduction"]
    if found.get("axis") == -1:
        del found["axis"]
    return found


def rank_of(value: Any) -> int | None:
    return value.rank if isinstance(value, Tensor) else None


def write_loss(
    context: Context, loss: Loss, logits: bool, outputs: Any, targets: Any, name: str
) -> list[cst.BaseStatement]:
    """Statements that define `name(outputs, targets)`, the mean loss of a batch."""
    value: Any = None
    options = {k: v for k, v in loss.options.items() if k != "from_logits"}
    same_rank = rank_of(outputs) is not None and rank_of(outputs) == rank_of(targets)
    if loss.own is not None:
        return _definition(name, fill("loss(targets, outputs).mean()", loss=loss.own))
    if "reduction" in options:
        raise Unfit("`reduction` of the loss has no equal in this training loop")
    if loss.name in STOCK and same_rank and not options:
        value = call(f"torch.nn.{STOCK[loss.name]}")
    elif loss.name == "huber" and same_rank and set(options) <= {"delta"}:
        value = call("torch.nn.HuberLoss", **options)
    elif logits and loss.name in ENTROPIES:
        value = _on_logits(loss, options, outputs)
        if value is None:
            return _flat_entropy(name, loss, options)
    if value is None:
        unit = context.emit(loss.name)
        new = call(unit, cst.Name("targets"), cst.Name("outputs"), **options)
        return _definition(name, fill("value.mean()", value=new))
    assign = cst.Assign([cst.AssignTarget(cst.Name(name))], value)
    return [cst.SimpleStatementLine([assign])]


def _on_logits(loss: Loss, options: dict[str, Any], outputs: Any) -> Any:
    if loss.name == "binary_crossentropy":
        if options:
            raise Unfit("label smoothing of binary_crossentropy is not translated")
        return call("torch.nn.BCEWithLogitsLoss")
    if set(options) - {"label_smoothing", "ignore_class"}:
        raise Unfit(f"options of {loss.name} that have no equal here")
    smoothing = (
        {"label_smoothing": options["label_smoothing"]} if "label_smoothing" in options else {}
    )
    if "ignore_class" in options:
        smoothing["ignore_index"] = options["ignore_class"]
    if rank_of(outputs) not in (2, None):
        return None
    return call("torch.nn.CrossEntropyLoss", **smoothing)


def _flat_entropy(name: str, loss: Loss, options: dict[str, Any]) -> list[cst.BaseStatement]:
    """Classes stand on the last axis of outputs of any rank."""
    end = "targets.flatten()" if loss.sparse else "targets.flatten(0, -2)"
    new = fill(
        f"torch.nn.functional.cross_entropy(outputs.flatten(0, -2), {end}, *options)",
        options=[cst.Arg(as_node(v), keyword=cst.Name(k)) for k, v in options.items()],
    )
    return _definition(name, new)


def _definition(name: str, value: cst.BaseExpression) -> list[cst.BaseStatement]:
    function = cst.parse_statement(f"def {name}(outputs, targets):\n    return None\n")
    assert isinstance(function, cst.FunctionDef)
    line = cst.SimpleStatementLine([cst.Return(value)])
    return [function.with_changes(body=cst.IndentedBlock([line]))]


@dataclass
class Metric:
    """A metric: its name in the logs and the object that keeps it."""

    name: str
    node: cst.BaseExpression
    needs_probabilities: bool


def read_metric(
    context: Context, node: cst.BaseExpression, loss: Loss, outputs: Any, targets: Any
) -> Metric:
    """A metric as a program gives it. Raises Unfit."""
    value = context.fact(node)
    name = ""
    shown = None
    match value:
        case Const(value=str(text)):
            name, shown = text, text
        case Symbol(name=full) if full.startswith(("keras.metrics.", "keras.losses.")):
            name = snake(full.rpartition(".")[2])
        case Instance(cls=Symbol(name=full)) if full.startswith("keras.metrics."):
            name = snake(full.rpartition(".")[2])
            options = {k: constant_value(v) for k, v in value.arguments.items()
                       if isinstance(v, Value)}  # fmt: skip
            shown = options.pop("name", None) or name
            options.pop("dtype", None)
            if any(v is not missing and v is not None for v in options.values()) or (
                missing in options.values()
            ):
                if set(options) - {"k", "threshold", "thresholds", "num_thresholds"}:
                    raise Unfit(f"options of the metric {name} have no equal here")
                return _with_options(context, name, str(shown), options)
        case Function():
            text = cst.Module([]).code_for_node(node)
            return Metric(text, _mean(context, node), True)
        case _:
            raise Unfit("a metric is not known before the program runs")
    shown = shown or name
    name = LOSSES.get(name, name)
    if name in ("accuracy", "acc", "Accuracy"):
        unit = _accuracy(loss, outputs, targets)
        return Metric(shown, _mean(context, cst.Name(context.emit(unit))), unit[:6] == "binary")
    name = snake(name) if name not in KNOWN else name
    if name in ("sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy"):
        return Metric(shown, _mean(context, cst.Name(context.emit(name))), name[:6] == "binary")
    if name in KNOWN:
        return Metric(shown, _mean(context, cst.Name(context.emit(name))), True)
    if name in ("auc", "precision", "recall"):
        unit = {"auc": "AUC", "precision": "Precision", "recall": "Recall"}[name]
        return Metric(shown, call(context.emit(unit)), True)
    raise Unfit(f"the metric {shown} is not translated")


def _with_options(context: Context, name: str, shown: str, options: dict[str, Any]) -> Metric:
    if name in ("precision", "recall", "auc"):
        unit = {"auc": "AUC", "precision": "Precision", "recall": "Recall"}[name]
        if "thresholds" in options:
            options = {"threshold": options["thresholds"]}
        return Metric(shown, call(context.emit(unit), **options), True)
    if name == "binary_accuracy":
        unit = context.emit("binary_accuracy")
        node = fill(f"lambda y, p: {unit}(y, p, threshold)", threshold=options["threshold"])
        return Metric(shown, _mean(context, node), True)
    if name == "sparse_top_k_categorical_accuracy":
        unit = context.emit("top_k_accuracy")
        node = fill(f"lambda y, p: {unit}(y, p, k)", k=options["k"])
        return Metric(shown, _mean(context, node), False)
    raise Unfit(f"the metric {name} is not translated")


def _mean(context: Context, function: cst.BaseExpression) -> cst.BaseExpression:
    return call(context.emit("MeanMetric"), function)


def _accuracy(loss: Loss, outputs: Any, targets: Any) -> str:
    """What "accuracy" means beside this loss and these shapes."""
    if loss.sparse:
        return "sparse_categorical_accuracy"
    if loss.name.startswith("categorical"):
        return "categorical_accuracy"
    if loss.name.startswith("binary"):
        return "binary_accuracy"
    width = outputs.shape[-1] if isinstance(outputs, Tensor) and outputs.shape else None
    if width == 1:
        return "binary_accuracy"
    last = targets.shape[-1] if isinstance(targets, Tensor) and targets.shape else None
    if width is not None and last is not None:
        return "categorical_accuracy" if width == last else "sparse_categorical_accuracy"
    raise Unfit("which accuracy is meant is not known before the program runs")
