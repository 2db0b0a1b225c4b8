"""Losses, torch to Keras: stock losses where they are equal, torch's formula elsewhere.

A stock Keras loss takes (y_true, y_pred), so calls are turned around; a written-out function keeps
torch's order. Which of the two a loss object becomes depends on its arguments and on what it is
called with, so that the constructor and every call of it decide alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from transpiler.infer.arrays import broadcast
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    Const,
    Instance,
    Symbol,
    Tensor,
    Value,
    is_empty,
    options,
)
from transpiler.planners.expressions import is_direct_name
from transpiler.rule import Layout, Proof, Unfit, infers, rewrites
from transpiler.rules.last_activations import SIGMOIDS, SOFTMAXES, reach_losses
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import OMIT, arguments, as_node, call, fill

_NN = "torch.nn."
_F = "torch.nn.functional."

# torch class -> (function of torch.nn.functional, names of the inputs)
LOSSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "CrossEntropyLoss": ("cross_entropy", ("input", "target")),
    "NLLLoss": ("nll_loss", ("input", "target")),
    "NLLLoss2d": ("nll_loss", ("input", "target")),
    "BCELoss": ("binary_cross_entropy", ("input", "target")),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", ("input", "target")),
    "MSELoss": ("mse_loss", ("input", "target")),
    "L1Loss": ("l1_loss", ("input", "target")),
    "SmoothL1Loss": ("smooth_l1_loss", ("input", "target")),
    "HuberLoss": ("huber_loss", ("input", "target")),
    "KLDivLoss": ("kl_div", ("input", "target")),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", ("input1", "input2", "target")),
    "TripletMarginLoss": ("triplet_margin_loss", ("anchor", "positive", "negative")),
    "MarginRankingLoss": ("margin_ranking_loss", ("input1", "input2", "target")),
    "HingeEmbeddingLoss": ("hinge_embedding_loss", ("input", "target")),
    "MultiMarginLoss": ("multi_margin_loss", ("input", "target")),
    "MultiLabelSoftMarginLoss": ("multilabel_soft_margin_loss", ("input", "target")),
    "SoftMarginLoss": ("soft_margin_loss", ("input", "target")),
    "PoissonNLLLoss": ("poisson_nll_loss", ("input", "target")),
    "GaussianNLLLoss": ("gaussian_nll_loss", ("input", "target", "var")),
}
FUNCTIONS = dict(LOSSES.values())
_OF_CLASSES = ("CrossEntropyLoss", "NLLLoss", "NLLLoss2d")
_OF_AXES = (
    "CosineEmbeddingLoss", "TripletMarginLoss", "MultiMarginLoss", "MultiLabelSoftMarginLoss",
)  # fmt: skip
LAYOUTS: dict[str, Layout] = {
    **dict.fromkeys(LOSSES, "elementwise"),
    **dict.fromkeys(_OF_CLASSES, "loss"),
    **dict.fromkeys(_OF_AXES, None),
}
_DEPRECATED = ("size_average", "reduce")
_SPARSE = "keras.losses.SparseCategoricalCrossentropy"
Stock = Callable[[dict[str, Any], Value, Value], str | None]


# ---- facts ---------------------------------------------------------------------------------------


def _result(invocation: Invocation, reduction: Value | None, first: Value, second: Value) -> Value:
    if isinstance(reduction, Const) and reduction.value == "none":
        shape = second.shape if isinstance(second, Tensor) else None
        return Tensor(shape, "float32", "torch")
    return Tensor((), "float32", "torch")


@infers(*(f"{_NN}{name}.{way}" for name in LOSSES for way in ("__call__", "forward")))
def called(invocation: Invocation) -> Value:
    """A loss object remembers what it is called with."""
    values = [*invocation.positional, *invocation.keywords.values()]
    receiver = invocation.receiver
    if isinstance(receiver, Instance):
        receiver.state.setdefault("calls", []).append(values[:2])
        reduction = receiver.arguments.get("reduction")
    else:
        reduction = None
    second = values[1] if len(values) > 1 else Tensor()
    return _result(invocation, reduction, values[0] if values else Tensor(), second)


@infers(*(_F + name for name in FUNCTIONS))
def called_function(invocation: Invocation) -> Value:
    reduction = invocation.arg("reduction")
    average = invocation.keywords.get("size_average")
    second = invocation.arg("target", at=1) or Tensor()
    del average
    return _result(invocation, reduction, invocation.arg("input", at=0) or Tensor(), second)


# ---- what stock losses can do ----


def _shape(value: Value) -> Any:
    for option in options(value):
        if isinstance(option, Tensor):
            return option.shape
    return None


def _dtype(value: Value) -> str | None:
    for option in options(value):
        if isinstance(option, Tensor):
            return option.dtype
    return None


def _is_index(target: Value) -> bool | None:
    """Whether targets are class indices; None where that is not known."""
    dtype = _dtype(target)
    if dtype is None:
        return None
    return dtype in ("int64", "int32", "uint8", "int8", "int16")


def _same_shape(prediction: Value, target: Value) -> bool:
    """Whether the shapes are known to be alike, so that nothing is broadcast or squeezed."""
    a, b = _shape(prediction), _shape(target)
    if a is None or b is None or len(a) != len(b):
        return False
    return broadcast(a, b) is not None and all(
        x == y or None in (x, y) for x, y in zip(a, b, strict=True)
    )


def _plain(given: dict[str, Any], *allowed: str) -> bool:
    """Whether nothing but the arguments allowed is set to other than its usual value."""
    usual = {"reduction": "mean", "label_smoothing": 0.0, "ignore_index": -100}
    for name, value in given.items():
        if name in allowed or (name in usual and value == usual[name]) or value is None:
            continue
        return False
    return True


def stock_form(
    function: str, given: dict[str, Any], prediction: Value, target: Value, *, padded: bool = False
) -> str | None:
    """The stock Keras loss that is equal, as a constructor call; None where there is none.

    padded: whether the program's targets may hold torch's usual ignore_index, -100.
    """
    match function:
        case "cross_entropy" if padded and _plain(given) and _is_index(target) is True:
            return _SPARSE + "(from_logits=True, ignore_class=-100)"
        case "cross_entropy" if _plain(given) and _is_index(target) is True:
            return _SPARSE + "(from_logits=True)"
        case "cross_entropy" if _plain(given, "ignore_index") and _is_index(target) is True:
            return _SPARSE + "(from_logits=True, ignore_class=index)"
        case "binary_cross_entropy_with_logits" if _plain(given) and _same_shape(
            prediction, target
        ):
            return "keras.losses.BinaryCrossentropy(from_logits=True)"
        case "mse_loss" if _plain(given) and _same_shape(prediction, target):
            return "keras.losses.MeanSquaredError()"
        case "l1_loss" if _plain(given) and _same_shape(prediction, target):
            return "keras.losses.MeanAbsoluteError()"
        case "huber_loss" if _plain(given, "delta") and _same_shape(prediction, target):
            return "keras.losses.Huber(delta)"
    return None


def _given_constants(values: dict[str, Any]) -> dict[str, Any]:
    """Arguments as constants; what is not constant stands as an object equal to nothing."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found[name] = value.value if isinstance(value, Const) else object()
    reduction = _reduction(found)
    if reduction is not None:
        found["reduction"] = reduction
    for name in _DEPRECATED:
        found.pop(name, None)
    return found


def _reduction(found: dict[str, Any]) -> str | None:
    """The reduction that the deprecated size_average and reduce arguments mean."""
    if found.get("reduce") is False:
        return "none"
    if found.get("size_average") is False:
        return "sum"
    return None


def _stock(
    site: Site, function: str, given: dict[str, Any], prediction: Value, target: Value
) -> str | None:
    """The stock form, where Keras does not look behind the prediction.

    Its losses on logits take the input of a softmax or sigmoid that made the prediction instead of
    the prediction (`_keras_logits`); torch applies softmax again.
    """
    stock = stock_form(function, given, prediction, target, padded=_padded(site))
    names = SIGMOIDS if function.startswith("binary") else SOFTMAXES
    return None if stock and "from_logits" in stock and reach_losses(site.context, names) else stock


def _padded(site: Site) -> bool:
    """Whether -100 stands anywhere in the program."""
    notes = site.context.notes
    if "padded" not in notes:
        notes["padded"] = any(
            isinstance(node.operator, cst.Minus)
            and isinstance(node.expression, cst.Integer)
            and node.expression.value == "100"
            for node in find(site.context.module, cst.UnaryOperation)
        )
    return bool(notes["padded"])


def _made_by_name(site: Site, instance: Instance) -> bool:
    """Whether the class is called by its own name, not as a value that went through variables."""
    func = getattr(instance.origin, "func", None)
    if isinstance(func, cst.Attribute):
        return isinstance(site.context.fact(func.value), Symbol)
    return isinstance(func, cst.Name) and is_direct_name(site.context, func)


def _stock_of(site: Site, instance: Instance) -> str | None:
    """The stock loss that an object becomes, from its arguments and all its calls."""
    name = instance.class_names[0].rpartition(".")[2]
    if name not in LOSSES:
        return None
    calls = instance.state.get("calls") or []
    if not calls or not _made_by_name(site, instance):
        return None
    given = _given_constants(instance.arguments)
    found = {
        _stock(site, LOSSES[name][0], given, values[0], values[1])
        for values in calls
        if len(values) == 2
    }
    return found.pop() if len(found) == 1 else None


# ---- objects -------------------------------------------------------------------------------------


def loss_object(site: Site) -> Any:
    """A stock loss object, or the written-out function with the arguments bound."""
    if not site.is_call:
        return _loss_class(site)
    facts = [o for o in options(site.context.fact(site.node)) if isinstance(o, Instance)]
    stock = _stock_of(site, facts[0]) if facts else None
    if stock is not None:
        return site.fill(stock, index=site.args.get("ignore_index"), delta=site.arg("delta")
                         if "delta" in stock else None)  # fmt: skip
    name = LOSSES[site.name.rpartition(".")[2]][0]
    if name == "cross_entropy" and facts and _soft_targets(facts[0]):
        name = "soft_cross_entropy"
    bound = _arguments(site, {})
    site.context.emit(name)
    if not bound:
        return cst.Name(name)
    parent = site.parent
    if isinstance(parent, cst.Call) and parent.func is site.node:
        return _called_at_once(site, parent, name, bound)
    site.request_import("import functools")
    return call("functools.partial", cst.Name(name), **bound)


def _called_at_once(site: Site, whole: cst.Call, name: str, bound: dict[str, Any]) -> Any:
    """`nn.CrossEntropyLoss(weight=w)(output, target)` as one call of the function."""
    given = [*whole.args, *call(name, **bound).args]
    site.context.claim(whole)
    site.context.edits.replace(whole, cst.Call(cst.Name(name), given))
    return site.keep()


def _loss_class(site: Site) -> Any:
    """The class itself: as a base class, or kept to be called later."""
    name = LOSSES[site.name.rpartition(".")[2]][0]
    parent = site.context.edits.parent[site.parent]
    if isinstance(parent, cst.ClassDef):
        return _loss_base(parent)
    site.context.emit(name)
    site.request_import("import functools")
    return site.fill(f"lambda **options: functools.partial({name}, **options)")


def _loss_base(node: cst.ClassDef) -> cst.BaseExpression:
    """A subclass of a loss that keeps none of the loss's own settings is just a layer."""
    for item in find(node, cst.Call):
        func = item.func
        if isinstance(func, cst.Attribute) and func.attr.value == "__init__" and item.args:
            raise Unfit("a subclass of a loss that gives it arguments", "call the loss's function")
    for attribute in find(node, cst.Attribute):
        if attribute.attr.value in ("reduction", "weight", "ignore_index", "pos_weight"):
            raise Unfit(
                f"a subclass of a loss that reads its `{attribute.attr.value}`",
                "keep the value in an attribute of your own",
            )
    return fill("keras.layers.Layer")


@rewrites(*(f"{_NN}{name}.forward" for name in LOSSES), to="tf")
def loss_forward(site: Site) -> Any:
    """`super().forward(output, target)` in a subclass of a loss."""
    name = LOSSES[site.name.rpartition(".")[0].rpartition(".")[2]][0]
    site.context.emit(name)
    assert isinstance(site.node, cst.Call)
    return cst.Call(cst.Name(name), site.node.args)


def _soft_targets(instance: Instance) -> bool:
    """Whether the targets are chances of classes wherever something is known of them."""
    dtypes = {_dtype(c[1]) for c in instance.state.get("calls", []) if len(c) == 2} - {None}
    return bool(dtypes) and dtypes <= {"float32", "float64"}


def _arguments(site: Site, inputs: dict[str, Any]) -> dict[str, Any]:
    """The arguments to write, deprecated ones as the reduction they mean."""
    values = {n: site.fact(v) for n, v in site.args.items() if n not in inputs}
    constants = {n: v.value if isinstance(v, Const) else None for n, v in values.items()}
    found = {
        n: v
        for n, v in site.args.items()
        if n not in inputs and n not in _DEPRECATED and not _is_usual(site, n)
    }
    reduction = _reduction(constants)
    if reduction is not None:
        found["reduction"] = as_node(reduction)
    return found


def _is_usual(site: Site, name: str) -> bool:
    value, default = site.fact(name), site.default(name)
    if default is None or not isinstance(value, Const):
        return False
    usual = site.fact(default)
    return isinstance(usual, Const) and usual.value == value.value


@rewrites(*(f"{_NN}{name}.__call__" for name in LOSSES), to="tf")
def loss_call(site: Site) -> Any:
    """`criterion(output, target)`: turned around where the object became a stock loss."""
    assert isinstance(site.node, cst.Call)
    facts = [o for o in options(site.context.fact(site.node.func)) if isinstance(o, Instance)]
    stock = {_stock_of(site, f) for f in facts}
    if len(stock) != 1:
        raise Unfit("this loss is a stock Keras loss in some calls and torch's formula in others")
    if stock == {None}:
        return site.keep()
    values = [*site.positional, *site.keywords.values()]
    if len(values) != 2 or not all(is_empty(site.fact(a.value)) for a in site.starred):
        raise Unfit("a loss called with more than an output and a target")
    prediction, target = values
    if site.keywords:
        prediction = site.keywords.get("input", prediction)
        target = site.keywords.get("target", target)
    return cst.Call(func=site.node.func, args=arguments([target, prediction]))


# ---- functions -----------------------------------------------------------------------------------

_STOCK_FUNCTIONS = {
    "cross_entropy": (
        "keras.losses.sparse_categorical_crossentropy(target, input, from_logits=True)"
    ),
    "binary_cross_entropy_with_logits": (
        "keras.losses.binary_crossentropy(target, input, from_logits=True)"
    ),
    "mse_loss": "keras.losses.mean_squared_error(target, input)",
    "l1_loss": "keras.losses.mean_absolute_error(target, input)",
}
_FORMULAS = {
    ("mse_loss", "mean"): "tf.reduce_mean(tf.square(input - target))",
    ("mse_loss", "sum"): "tf.reduce_sum(tf.square(input - target))",
    ("mse_loss", "none"): "tf.square(input - target)",
    ("l1_loss", "mean"): "tf.reduce_mean(tf.abs(input - target))",
    ("l1_loss", "sum"): "tf.reduce_sum(tf.abs(input - target))",
    ("l1_loss", "none"): "tf.abs(input - target)",
}
_PICKED = {
    "mean": "-tf.reduce_mean(tf.gather(input, target, batch_dims=1))",
    "sum": "-tf.reduce_sum(tf.gather(input, target, batch_dims=1))",
    "none": "-tf.gather(input, target, batch_dims=1)",
}
"""nll_loss of one class for each row, none of them left out."""


def loss_function(site: Site) -> Any:
    """`F.cross_entropy(output, target)` and the like."""
    name = site.name.rpartition(".")[2]
    inputs = {n: site.arg(n) for n in FUNCTIONS[name]}
    more = _arguments(site, inputs)
    constants: dict[str, Any] = {
        n: getattr(site.fact(v), "value", object()) for n, v in more.items()
    }
    reduction = constants.get("reduction", "mean")
    if set(more) <= {"reduction"} and (name, reduction) in _FORMULAS:
        return site.fill(_FORMULAS[name, reduction], **inputs)
    values = [site.context.fact(v) for v in inputs.values()]
    if set(more) <= {"reduction"} and name == "nll_loss" and reduction in _PICKED:
        if _is_index(values[1]) and len(_shape(values[0]) or ()) == 2 and not _padded(site):
            return site.fill(_PICKED[reduction], **inputs)
    if not more and len(values) == 2 and name in _STOCK_FUNCTIONS:
        stock = _stock(site, name, {}, values[0], values[1])
        if stock is not None and "ignore_class" not in stock:
            loss = site.fill(_STOCK_FUNCTIONS[name], **inputs)
            return fill("tf.reduce_mean(loss)", loss=loss)
    if name == "cross_entropy" and _is_index(values[1]) is False:
        name = "soft_cross_entropy"
    site.context.emit(name)
    return call(name, *inputs.values(), **{n: v for n, v in more.items() if v is not OMIT})


_CASES: dict[tuple[str, Layout], list[str]] = {
    ("loss_object", "loss"): [
        "nn.CrossEntropyLoss()(x, y)",
        "nn.CrossEntropyLoss(ignore_index=1)(x, y)",
        "nn.NLLLoss(ignore_index=1)(x, y)",
    ],
    ("loss_object", "elementwise"): [
        "nn.MSELoss()(x, z)",
        "nn.MSELoss(reduction='none')(x, z)",
        "nn.L1Loss()(x, z)",
        "nn.HuberLoss(delta=0.5)(x, z)",
        "nn.SmoothL1Loss()(x, z)",
        "nn.BCEWithLogitsLoss()(x, z)",
        "nn.KLDivLoss(reduction='sum')(x, z)",
    ],
    ("loss_function", "loss"): [
        "F.cross_entropy(x, y)",
        "F.cross_entropy(x, y, weight=torch.tensor([0.5, 1.0, 2.0, 1.5]), ignore_index=2)",
        "F.cross_entropy(x, y, label_smoothing=0.1, reduction='sum')",
        "F.nll_loss(x, y, weight=torch.tensor([0.5, 1.0, 2.0, 1.5]), reduction='none')",
        "F.nll_loss(x, y)",
        "F.nll_loss(x, y, size_average=False)",
        "F.nll_loss(x, y, reduction='none')",
    ],
    ("loss_function", "elementwise"): [
        "F.mse_loss(x, z)",
        "F.l1_loss(x, z, reduction='sum')",
        "F.smooth_l1_loss(x, z, beta=0.5)",
        "F.huber_loss(x, z, delta=0.7)",
        "F.binary_cross_entropy_with_logits(x, z, pos_weight=torch.tensor(2.0))",
        "F.kl_div(x, z, reduction='batchmean')",
    ],
}


def _proof(function: Any, layout: Layout) -> Proof | None:
    cases = _CASES.get((function.__name__, layout))
    inputs: list[tuple[int, ...] | str] = [(6, 4), "int(6) < 4", "unit(6, 4)"]
    return Proof(inputs=inputs, cases=cases, directions=("tf",)) if cases else None


REWRITERS = [
    rewrites(*names, to="tf", layout=layout, proof=_proof(function, layout))(function)
    for layout in dict.fromkeys(LAYOUTS.values())
    for classes in [[c for c in LOSSES if LAYOUTS[c] == layout]]
    for function, names in (
        (loss_object, [_NN + c for c in classes]),
        (loss_function, dict.fromkeys(_F + LOSSES[c][0] for c in classes)),
    )
]
