"""What training loops of their own hand around: tapes, variables, losses, metrics, optimizers."""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Function,
    Instance,
    ListObject,
    Mapping,
    Method,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    element_of,
    is_none,
    items_of,
    options,
)
from transpiler.rule import infers, infers_property
from transpiler.rules.facts_tf import data
from transpiler.rules.keras_optimizers import NAMES as OPTIMIZERS

data_of = data.function

SCHEDULE = "keras.optimizers.schedules.LearningRateSchedule"
ENTRIES = {"tf.Module": "__call__"}
ENTRY_DEFAULTS = {f"{SCHEDULE}.__call__": Tensor((), "int64", "tf")}
METRICS = "keras.Metric"
PER_EXAMPLE = frozenset(
    """binary_crossentropy binary_focal_crossentropy categorical_crossentropy
    categorical_focal_crossentropy categorical_hinge cosine_similarity hinge huber kl_divergence
    log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_logarithmic_error poisson sparse_categorical_crossentropy squared_hinge""".split()
)


def like_source(value: Value) -> Value:
    """The gradient with respect to something, or to a list of things."""
    match value:
        case Tensor():
            return Tensor(value.shape, value.dtype, "tf")
        case ListObject() | Sequence():
            items = items_of(value)
            if items is None:
                return ListObject(None, like_source(element_of(value)))
            return ListObject([like_source(i) for i in items])
        case Mapping():
            return Mapping({k: like_source(x) for k, x in value.items.items()})
    return UNKNOWN


@infers("tf.GradientTape.gradient")
def gradient(call: Invocation) -> Value:
    """One gradient for each source."""
    sources = call.arg("sources", at=1)
    return like_source(sources) if sources is not None else UNKNOWN


@infers("tf.GradientTape.jacobian", "tf.GradientTape.batch_jacobian")
def jacobian(call: Invocation) -> Value:
    target, source = call.arg("target", at=0), call.arg("sources", "source", at=1)
    if isinstance(target, Tensor) and isinstance(source, Tensor):
        if target.shape is not None and source.shape is not None:
            rest = source.shape[1:] if call.name.endswith("batch_jacobian") else source.shape
            return Tensor((*target.shape, *rest), source.dtype, "tf")
    return Tensor(library="tf")


# ---- variables -------------------------------------------------------------------------------


@infers("tf.Variable", "keras.Variable")
def variable(call: Invocation) -> Value:
    """A variable; whole numbers and what is said not to be trained are no parameters."""
    made = data_of(call)
    if not isinstance(made, Tensor):
        return made
    flag = call.arg("trainable")
    trained = not (isinstance(flag, Const) and flag.value is False)
    floats = made.dtype is None or made.dtype.startswith(("float", "bfloat", "complex"))
    return made.but(variable=trained and floats)


@infers_property("tf.Module.trainable_variables")
def module_trainable_variables(value: Value) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


@infers_property("tf.Module.variables")
def module_variables(value: Value) -> Value:
    return ListObject(None, Tensor(library="tf", variable=True))


# ---- losses and metrics ----------------------------------------------------------------------


@infers("keras.Loss.__call__")
def loss(call: Invocation) -> Value:
    """One number, or one per example without a reduction."""
    made = call.receiver
    reduction = made.arguments.get("reduction") if isinstance(made, Instance) else None
    outputs = call.arg("y_pred", at=1)
    dtype = outputs.dtype if isinstance(outputs, Tensor) else None
    if reduction is None:
        return Tensor((), dtype, "tf")
    kind = reduction.value if isinstance(reduction, Const) else reduction
    name = str(getattr(kind, "name", kind)).rpartition(".")[2].lower()
    return per_example(outputs) if name == "none" else Tensor((), dtype, "tf")


def per_example(outputs: Value | None) -> Value:
    """What a loss gives before it is reduced: the last axis goes."""
    if isinstance(outputs, Tensor):
        shape = outputs.shape
        return Tensor(shape[:-1] if shape else shape, outputs.dtype, "tf")
    return Tensor(library="tf")


@infers(*(f"keras.losses.{name}" for name in sorted(PER_EXAMPLE)))
def loss_function(call: Invocation) -> Value:
    return per_example(call.arg("y_pred", at=1))


@infers("keras.Metric.update_state", "keras.Metric.reset_state", "keras.Metric.reset_states")
def update_metric(call: Invocation) -> Value:
    return NONE


@infers("keras.Metric.result", "keras.Metric.__call__")
def metric_result(call: Invocation) -> Value:
    return Tensor((), "float32", "tf")


# ---- optimizers ------------------------------------------------------------------------------


@infers_property("keras.Optimizer.learning_rate")
def learning_rate(value: Value) -> Value:
    return Number("float")


@infers_property("keras.Optimizer.lr")
def former_learning_rate(value: Value) -> Value:
    return Number("float")


@infers_property("keras.Optimizer.iterations")
def iterations(value: Value) -> Value:
    return Number("int")


@infers("keras.Optimizer.apply_gradients", "keras.Optimizer.minimize", "keras.Optimizer.apply")
def applied(call: Invocation) -> Value:
    """`minimize` computes the loss."""
    given = call.arg("loss", at=0)
    if call.name.endswith("minimize") and isinstance(given, (Function, Method)):
        call.call(given)
    return NONE


@infers_property("keras.Model.optimizer")
def compiled_optimizer(value: Value) -> Value:
    """What `compile` was given."""
    if not isinstance(value, Instance):
        return UNKNOWN
    for given in (value.state.get("compiled") or {}).values():
        found = given.get("optimizer")
        text = found.value if isinstance(found, Const) else None
        if isinstance(text, str) and text.lower() in OPTIMIZERS:
            made = Instance(Symbol(f"keras.optimizers.{OPTIMIZERS[text.lower()]}"))
            named: Value = value.state.setdefault("named optimizer", made)
            return named
        if isinstance(found, Value) and any(isinstance(o, Instance) for o in options(found)):
            return found
    return UNKNOWN


# ---- strategies ------------------------------------------------------------------------------


@infers("tf.distribute.Strategy.run", "tf.distribute.Strategy.experimental_run_v2")
def run_in_strategy(call: Invocation) -> Value:
    """The function on its arguments."""
    function, given = call.arg("fn", at=0), call.arg("args", at=1)
    if function is None or is_none(function):
        return UNKNOWN
    return call.call(function, *(items_of(given) or () if given is not None else ()))


@infers("keras.optimizers.get")
def named_optimizer(call: Invocation) -> Value:
    """The optimizer that a name stands for."""
    given = call.arg("identifier", at=0)
    if isinstance(given, Const) and isinstance(given.value, str):
        name = OPTIMIZERS.get(given.value.lower())
        if name is not None:
            return call.interpreter.allocate(Symbol(f"keras.optimizers.{name}"), call.node, {})
    return given if isinstance(given, Instance) else UNKNOWN
