"""Keras' losses and metrics, by string, function, class or object, for training loops."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
    Const,
    Function,
    Instance,
    Method,
    Symbol,
    Tensor,
    Value,
    options,
)
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
    instance: bool = False
    """Whether it is an object that takes the mean itself."""

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


def one_of(value: Value) -> Value:
    """One of several objects that the same call makes, round after round."""
    found = options(value)
    same = {id(v.origin) for v in found if isinstance(v, Instance)}
    return found[0] if len(same) == 1 and len(found) > 1 else value


def read_loss(context: Context, node: cst.BaseExpression) -> Loss:
    """The loss that an expression stands for. Raises Unfit."""
    value: Value = one_of(context.fact(node))
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
            return Loss(own=_called(context, node, value))
        case Instance(cls=Class()) | Method():
            return Loss(own=node, instance=isinstance(value, Instance))
    raise Unfit("the loss is not known before the program runs")


def _called(context: Context, node: cst.BaseExpression, value: Function) -> cst.BaseExpression:
    """A function by name; one that another function makes is made once more."""
    return node


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
    context: Context,
    loss: Loss,
    logits: bool,
    outputs: Any,
    targets: Any,
    name: str,
    weighted: bool = False,
) -> list[cst.BaseStatement]:
    """Statements that define `name(outputs, targets)`, the mean loss of a batch."""
    value: Any = None
    options = {k: v for k, v in loss.options.items() if k != "from_logits"}
    if weighted:
        return _weighted(context, loss, options, logits, name)
    same_rank = rank_of(outputs) is not None and rank_of(outputs) == rank_of(targets)
    if loss.instance:
        return _definition(name, fill("loss(targets, outputs)", loss=loss.own))
    if loss.own is not None:
        return _definition(name, fill("loss(targets, outputs).mean()", loss=loss.own))
    if "reduction" in options:
        raise Unfit("`reduction` of the loss has no equal in this training loop")
    if loss.name in STOCK and same_rank and not options:
        value = call(f"torch.nn.{STOCK[loss.name]}")
    elif loss.name == "huber" and same_rank and set(options) <= {"delta"}:
        value = call("torch.nn.HuberLoss", **options)
    elif logits and loss.name == "categorical_crossentropy" and not are_distributions(context):
        _check_counted(options)
        unit = context.emit(OF_LOGITS[loss.name])
        new = call(unit, cst.Name("targets"), cst.Name("outputs"), **options)
        return _definition(name, fill("value.mean()", value=new))
    elif logits and loss.name in ENTROPIES:
        value = _on_logits(loss, options, _output_rank(loss, outputs, targets))
        if value is None:
            return _flat_entropy(name, loss, options)
    if value is None:
        _check_counted(options)
        unit = context.emit(loss.name)
        new = call(unit, cst.Name("targets"), cst.Name("outputs"), **options)
        return _definition(name, fill("value.mean()", value=new))
    assign = cst.Assign([cst.AssignTarget(cst.Name(name))], value)
    return [cst.SimpleStatementLine([assign])]


_DISTRIBUTIONS = re.compile(
    r"to_categorical|one_?hot|OneHot|get_dummies|Binarizer|flow_from|label_mode|np\.eye|tf\.eye"
)


def are_distributions(context: Context) -> bool:
    """Whether the program makes targets that sum to 1, as far as its words tell.

    TensorFlow's gradient takes them to, torch's does not: where they are advantages, or all zero
    beyond the end of a sequence, the stock loss would train otherwise.
    """
    known = context.notes.get("targets sum to 1")
    if known is None:
        known = bool(_DISTRIBUTIONS.search(context.module.code))
        context.notes["targets sum to 1"] = known
    return bool(known)


OF_LOGITS = {
    "binary_crossentropy": "binary_cross_entropy",
    "categorical_crossentropy": "soft_cross_entropy",
    "sparse_categorical_crossentropy": "sparse_cross_entropy",
}


def _weighted(
    context: Context, loss: Loss, options: dict[str, Any], logits: bool, name: str
) -> list[cst.BaseStatement]:
    """`name(outputs, targets, sample_weight)`: the weighted sum by the number of losses."""
    if "reduction" in options:
        raise Unfit("`reduction` of the loss has no equal in this training loop")
    if not loss.instance:
        _check_counted(options)
    if loss.instance:
        value = fill("loss(targets, outputs, sample_weight)", loss=loss.own)
        return _definition(name, value, "sample_weight=None")
    if loss.own is not None:
        losses = fill("loss(targets, outputs)", loss=loss.own)
    else:
        unit = OF_LOGITS.get(loss.name, loss.name) if logits else loss.name
        losses = call(context.emit(unit), cst.Name("targets"), cst.Name("outputs"), **options)
    value = call(context.emit("weighted_mean"), losses, cst.Name("sample_weight"))
    return _definition(name, value, "sample_weight=None")


def _check_counted(options: dict[str, Any]) -> None:
    """Raises Unfit where the mean is over a part of the losses."""
    if "ignore_class" in options:
        raise Unfit("`ignore_class` of this loss has no equal in this training loop")


def _output_rank(loss: Loss, outputs: Any, targets: Any) -> int | None:
    """The rank of the scores, by that of the targets where it is not known."""
    rank, given = rank_of(outputs), rank_of(targets)
    if rank is None and given is not None and given > 1:
        shape = targets.shape if isinstance(targets, Tensor) else None
        if loss.name == "categorical_crossentropy":
            return given
        if loss.sparse and shape is not None and shape[-1] not in (1, None):
            return given + 1
    return rank


def _on_logits(loss: Loss, options: dict[str, Any], rank: int | None) -> Any:
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
    if rank not in (2, None):
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


def _definition(name: str, value: cst.BaseExpression, more: str = "") -> list[cst.BaseStatement]:
    params = ", ".join(["outputs", "targets", *([more] if more else [])])
    function = cst.parse_statement(f"def {name}({params}):\n    return None\n")
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
    value = one_of(context.fact(node))
    name = ""
    shown = None
    match value:
        case Const(value=str(text)):
            name, shown = text, text
        case Symbol(name=full) if full.startswith(("keras.metrics.", "keras.losses.")):
            name = snake(full.rpartition(".")[2])
        case Instance(cls=Symbol(name=full)) if full.startswith("keras.metrics."):
            name = snake(full.rpartition(".")[2])
            given = value.arguments.get("name")
            shown = given.value if isinstance(given, Const) and given.value else name
            return Metric(str(shown), node, reads_probabilities(name, value))
        case Instance(cls=Class(name=own)):
            return Metric(_own_name(context, value) or snake(own), node, True)
        case Function():
            text = cst.Module([]).code_for_node(node)
            return Metric(text, _mean(context, node), True)
        case _:
            raise Unfit("a metric is not known before the program runs")
    shown = shown or name
    name = LOSSES.get(name, name)
    if name in ("accuracy", "acc", "Accuracy"):
        unit = _accuracy(loss, outputs, targets)
        ranks = unit in ("sparse_categorical_accuracy", "categorical_accuracy")
        return Metric(shown, _mean(context, cst.Name(context.emit(unit))), not ranks)
    name = snake(name) if name not in KNOWN else name
    if name in ("sparse_categorical_accuracy", "categorical_accuracy", "binary_accuracy"):
        return Metric(shown, _mean(context, cst.Name(context.emit(name))), name[:6] == "binary")
    if name in KNOWN:
        return Metric(shown, _mean(context, cst.Name(context.emit(name))), True)
    if name in ("auc", "precision", "recall"):
        unit = {"auc": "AUC", "precision": "Precision", "recall": "Recall"}[name]
        return Metric(shown, call(context.emit(unit)), True)
    raise Unfit(f"the metric {shown} is not translated")


def reads_probabilities(name: str, value: Instance) -> bool:
    """Whether a metric needs more than the order of the predictions."""
    if value.arguments.get("from_logits") == Const(True):
        return False
    ranks = ("sparse_categorical_accuracy", "categorical_accuracy", "accuracy")
    return name not in ranks and "top_k" not in name


def _own_name(context: Context, value: Instance) -> str | None:
    """The name that a metric class of the program gives itself."""
    found = value.attributes.get("name") or value.arguments.get("name")
    if found is None:
        with_ = value.state.get("made with", {})
        found = with_.get("name")
    return found.value if isinstance(found, Const) and isinstance(found.value, str) else None


def _mean(context: Context, function: cst.BaseExpression) -> cst.BaseExpression:
    return call(context.emit("MeanMetric"), function)


def _accuracy(loss: Loss, outputs: Any, targets: Any) -> str:
    """What "accuracy" means: Keras goes by the shapes, which the loss tells some of."""
    width = outputs.shape[-1] if isinstance(outputs, Tensor) and outputs.shape else None
    if width == 1:
        return "binary_accuracy"
    if loss.sparse:
        return "sparse_categorical_accuracy"
    if loss.name.startswith("categorical"):
        return "categorical_accuracy"
    shape = targets.shape if isinstance(targets, Tensor) else None
    if isinstance(width, int) and shape:
        lower = outputs.rank is not None and len(shape) < outputs.rank
        return "sparse_categorical_accuracy" if lower or shape[-1] == 1 else "categorical_accuracy"
    if isinstance(width, int) and loss.name.startswith("binary"):
        return "categorical_accuracy"  # it takes targets of the shape of the outputs
    return "accuracy_by_shape"
