"""What translations to PyTorch wrote out, as the Keras that it was written for."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Instance, Sequence, Symbol, Tensor, Value, options
from transpiler.rule import Rule, Unfit, infers, rewrites
from transpiler.rules.layers_norm import STATISTICS
from transpiler.site import Site
from transpiler.template import OMIT, call, fill, parse_expression

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


# ---- layers --------------------------------------------------------------------------------------

LAYERS = [
    Rule("KerasBatchNorm back", torch="to_torch.KerasBatchNorm(n, eps=eps, momentum=1 - m, "
         "center=center, scale=scale)", keras="keras.layers.BatchNormalization(momentum=m, "
         "epsilon=eps, center=center, scale=scale)", layout="spatial", weights=STATISTICS, to="tf"),
    Rule("KerasEmbedding back", torch="to_torch.KerasEmbedding(n, d)",
         keras="keras.layers.Embedding(n, d)", weights={"weight": "embeddings"}, to="tf"),
    Rule("GaussianNoise back", torch="to_torch.GaussianNoise(s)",
         keras="keras.layers.GaussianNoise(s)", layout="elementwise", to="tf"),
    Rule("GaussianDropout back", torch="to_torch.GaussianDropout(s)",
         keras="keras.layers.GaussianDropout(s)", layout="elementwise", to="tf"),
    Rule("Lambda back", torch="to_torch.Lambda(f)", keras="keras.layers.Lambda(f)", to="tf"),
]  # fmt: skip


@rewrites("to_torch.single_bias", to="tf")
def single_bias(site: Site) -> Any:
    raise Unfit("a recurrent layer with one bias stands outside of KerasRecurrent")


_INNER = {"torch.nn.LSTM": "LSTM", "torch.nn.GRU": "GRU", "torch.nn.RNN": "SimpleRNN"}


@rewrites("to_torch.KerasRecurrent", to="tf")
def recurrent(site: Site) -> Any:
    """The layer around which it was written."""
    node: Any = site.arg("rnn")
    biased = True
    if isinstance(node, cst.Call) and _name(site, node) == "to_torch.single_bias":
        node, biased = node.args[0].value, False
    if isinstance(node, cst.Call) and _name(site, node) == "to_torch.initialize_recurrent":
        node = node.args[0].value
    name = _name(site, node)
    if not isinstance(node, cst.Call) or name not in _INNER or biased is not name.endswith("GRU"):
        raise Unfit("the layer inside of KerasRecurrent is not known here")
    inner = Site(site.context, node, name).args
    given = {n: v for n, v in inner.items() if n not in ("input_size", "hidden_size", "batch_first",
                                                          "bias")}  # fmt: skip
    if given:
        raise Unfit(f"`{next(iter(given))}` of {site.short} has no equal here")
    options_: dict[str, Any] = {n: v for n, v in site.args.items() if n != "rnn"}
    options_["use_bias"] = inner.get("bias", OMIT)
    return call(f"keras.layers.{_INNER[name]}", inner["hidden_size"], **options_)


def _name(site: Site, node: Any) -> str:
    from transpiler.planners.expressions import qualified_name

    return (qualified_name(site.context, node.func) or "") if isinstance(node, cst.Call) else ""


@infers("to_torch.KerasRecurrent.__call__")
def recurrent_result(call_: Invocation) -> Value:
    """The outputs, of all steps or the last; with the states where these are asked for."""
    layer = call_.receiver
    x = call_.positional[0] if call_.positional else UNKNOWN
    if not isinstance(layer, Instance) or not isinstance(x, Tensor):
        return UNKNOWN
    rnn = layer.arguments.get("rnn")
    width = rnn.arguments.get("hidden_size") if isinstance(rnn, Instance) else None
    size = getattr(width, "value", None)
    batch, steps = x.shape[:2] if x.shape and len(x.shape) == 3 else (None, None)
    whole = getattr(layer.arguments.get("return_sequences"), "value", False)
    y = Tensor((batch, steps, size) if whole else (batch, size), "float32", "torch")
    if not getattr(layer.arguments.get("return_state"), "value", False):
        return y
    state = Tensor((batch, size), "float32", "torch")
    names = rnn.class_names if isinstance(rnn, Instance) else ()
    return Sequence("tuple", (y, *[state] * (2 if names[:1] == ("torch.nn.LSTM",) else 1)))


@infers("to_torch.single_bias", "to_torch.initialize", "to_torch.initialize_recurrent")
def same_layer(call_: Invocation) -> Value:
    return call_.positional[0] if call_.positional else UNKNOWN


_STARTS = {"to_torch.he_normal": "he_normal", "to_torch.glorot_normal": "glorot_normal",
           "to_torch.lecun_normal": "lecun_normal", "torch.nn.init.xavier_uniform_": OMIT,
           "torch.nn.init.kaiming_uniform_": "he_uniform",
           "torch.nn.init.orthogonal_": "orthogonal", "torch.nn.init.zeros_": "zeros",
           "torch.nn.init.ones_": "ones", "torch.nn.init.eye_": "identity"}  # fmt: skip


@rewrites("to_torch.initialize", to="tf")
def initialize(site: Site) -> Any:
    """Initial values are arguments of the layer's own in Keras; what is not told is its default."""
    given = {role: _start(site, role) for role in ("weight", "bias") if site.has(role)}

    def started(layer: Any) -> Any:
        if not isinstance(layer, cst.Call):
            return layer
        kept = [a for a in layer.args if not (a.keyword and "_initializer" in a.keyword.value)]
        named = {"weight": "kernel_initializer", "bias": "bias_initializer"}
        more = call("x", **{named[role]: value for role, value in given.items()}).args
        return layer.with_changes(args=[*kept, *more])

    inner = site.arg("layer")
    if not _name(site, inner).startswith("torch.nn."):
        raise Unfit("the layer that is initialized here is not known")
    site.context.edits.wrap(inner, started)
    return inner


def _start(site: Site, role: str) -> Any:
    """Keras' name of the initializer that fills a parameter."""
    fact = site.fact(role)
    name = fact.name if isinstance(fact, Symbol) else ""
    if name not in _STARTS:
        raise Unfit(f"the initializer of the {role} has no name in Keras")
    site.context.claim(site.arg(role))
    found = _STARTS[name]
    return found if found is OMIT else cst.SimpleString(f'"{found}"')


@rewrites("to_torch.he_normal", "to_torch.glorot_normal", "to_torch.lecun_normal", to="tf")
def initial_values(site: Site) -> Any:
    raise Unfit("an initializer of Keras' that fills something else than a layer")


@rewrites("to_torch.initialize_recurrent", to="tf")
def initialize_recurrent(site: Site) -> Any:
    raise Unfit("a recurrent layer with Keras' initial values stands outside of KerasRecurrent")


@rewrites("to_torch.regularize", to="tf")
def regularize(site: Site) -> Any:
    """A penalty is an argument of the layer's own in Keras."""
    name = site.const("name", "weight")
    given = {n: v for n, v in site.args.items() if n in ("l1", "l2")}
    kind = "L1L2" if len(given) == 2 else "".join(given).upper()
    penalty = call(f"keras.regularizers.{kind}", *([] if len(given) == 2 else given.values()),
                   **(given if len(given) == 2 else {}))  # fmt: skip
    role = "bias" if name == "bias" else "kernel"

    def penalized(layer: Any) -> Any:
        if not isinstance(layer, cst.Call):
            return layer
        more = call("x", **{f"{role}_regularizer": penalty}).args
        return layer.with_changes(args=[*layer.args, *more])

    inner = site.arg("layer")
    if not _name(site, inner).startswith(("torch.nn.", "to_torch.initialize")):
        raise Unfit("the layer that is regularized here is not known")
    site.context.edits.wrap(inner, penalized)
    return inner


@rewrites("to_torch.regularization", to="tf")
def regularization(site: Site) -> Any:
    """Keras collects the penalties of all layers."""
    if not site.is_call:
        return parse_expression("lambda model: sum(model.losses)").deep_clone()
    return fill("sum(model.losses)", model=site.arg("model"))


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


@rewrites("to_torch.sparse_log_loss", "to_torch.soft_log_loss", "to_torch.binary_log_loss", to="tf")
def loss_of_chances(site: Site) -> Any:
    raise Unfit(f"{site.short} stands outside of a MeanLoss")


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
