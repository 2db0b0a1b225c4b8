"""How a Keras model is trained: what `compile` was given, and the names it goes by afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Class,
    Const,
    Function,
    Instance,
    ListObject,
    Mapping,
    Sequence,
    Symbol,
    Tensor,
    Value,
    is_none,
    items_of,
    options,
)
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_names import free_name
from transpiler.rule import Unfit
from transpiler.rules.keras_activations import activation_name
from transpiler.rules.keras_loss_objects import end_of, last_layer
from transpiler.rules.keras_losses import Loss, read_loss
from transpiler.site import Site
from transpiler.syntax import find

COMPILE = "keras.Model.compile"
USERS = tuple(
    f"keras.Model.{n}"
    for n in ("fit", "evaluate", "train_on_batch", "test_on_batch", "fit_generator",
              "evaluate_generator")
)  # fmt: skip


def calls_of(context: Context, *names: str) -> list[cst.Call]:
    """Calls of methods of library models, in source order."""
    return [
        node
        for node in find(context.module, cst.Call)
        if isinstance(node.func, cst.Attribute)
        and node not in context.claimed
        and node.func.attr.value in {n.rpartition(".")[2] for n in names}
        and qualified_name(context, node.func) in names
    ]


def models_of(context: Context, node: cst.Call) -> list[Instance]:
    """The models that a method is called on."""
    assert isinstance(node.func, cst.Attribute)
    return [o for o in options(context.fact(node.func.value)) if isinstance(o, Instance)]


def output_of(context: Context, model: Instance) -> Value | None:
    """What a model gives, where it has been called."""
    state = model.state
    found = state.get("outputs") or state.get("output") or state.get("current")
    if isinstance(found, Value):
        return found
    if not isinstance(model.cls, Symbol):
        entry = model.cls.lookup("call")
        if isinstance(entry, Function):
            return context.interpreter.results.get(entry.node)
    return None


@dataclass
class Output:
    """One of a model's outputs, and what is wanted of it."""

    key: str | int | None
    """How it is taken from what the model gives; None where that is all."""
    name: str
    fact: Value | None
    targets: Value | None
    target_key: str | int | None = None
    loss: Loss | None = None
    weight: Any = None


@dataclass
class Training:
    """One `compile` and what follows from it."""

    context: Context
    node: cst.Call
    models: list[Instance]
    outputs: list[Output] = field(default_factory=list)
    removed: str | None = None
    """The activation that the model left to its loss."""
    names: dict[str, str] = field(default_factory=dict)
    scoped: bool = True
    """Whether fit sees the variables that compile leaves."""
    schedule: bool = False
    device: cst.Name | None = None
    """Where the model is, if it has been moved."""
    weighted: bool = False
    """Whether some batches come with a weight for each example."""
    stepped: bool = False
    """Whether the model has training steps of its own."""
    has_metrics: bool = False
    weighs_metrics: bool = False
    probabilities: bool = False
    """Whether metrics read probabilities where the model gives logits."""

    @property
    def owner(self) -> cst.BaseExpression:
        assert isinstance(self.node.func, cst.Attribute)
        return self.node.func.value

    @property
    def single(self) -> Output | None:
        """The only output."""
        return self.outputs[0] if len(self.outputs) == 1 and self.outputs[0].key is None else None

    @property
    def has_loss(self) -> bool:
        return any(o.loss is not None for o in self.outputs)

    def name(self, what: str, model: cst.BaseExpression) -> cst.BaseExpression:
        """The expression by which the optimizer, loss or metrics are reached."""
        if self.scoped:
            return cst.Name(self.names[what])
        return cst.Attribute(model, cst.Name(what))


def read_trainings(context: Context, users: list[cst.Call]) -> list[Training]:
    """Every `compile`, with what its users (fit, evaluate) show of the targets."""
    found = []
    for node in calls_of(context, COMPILE):
        try:
            found.append(_read(context, node, users))
        except Unfit as error:
            context.claim(node)
            context.unfit(node, "Model.compile", error)
    return found


def _read(context: Context, node: cst.Call, users: list[cst.Call]) -> Training:
    models = models_of(context, node)
    if not models:
        raise Unfit("the model that is compiled here is not known")
    training = Training(context, node, models)
    own = [u for u in users if set(models_of(context, u)) & set(models)]
    _read_users(training, own)
    training.stepped = any(has_step(m) for m in models)
    site = Site(context, node, COMPILE)
    targets = _targets(context, own)
    training.outputs = read_outputs(output_of(context, models[0]), targets)
    _read_losses(training, site)
    with_loss = [o for o in training.outputs if o.loss is not None]
    if len(with_loss) == 1 and isinstance(targets, Tensor):
        # loss=[f, None]: the targets are those of the only output that has a loss
        with_loss[0].targets, with_loss[0].target_key = targets, None
    if not training.stepped:
        plan_logits(context, training)
    names = context.notes.setdefault("training names", {})
    key = frozenset(id(m) for m in models)
    if key not in names:
        kinds = ("criterion", "optimizer", "metrics", "scheduler")
        names[key] = {n: free_name(context, n) for n in kinds}
    training.names = names[key]
    return training


def own_trainings(context: Context) -> list[Training]:
    """Calls of a `compile` of the program's own, for models with training steps of their own."""
    found = []
    for node in find(context.module, cst.Call):
        if not isinstance(node.func, cst.Attribute) or node.func.attr.value != "compile":
            continue
        models = models_of(context, node)
        if models and all(has_step(m) and has_own(m, "compile") for m in models):
            training = Training(context, node, models, scoped=False, stepped=True)
            training.names = {n: free_name(context, n) for n in ("optimizer", "metrics")}
            found.append(training)
    return found


def has_own(model: Instance, name: str) -> bool:
    """Whether a model's class writes a method itself."""
    return isinstance(model.cls, Class) and isinstance(model.cls.lookup(name), Function)


def has_step(model: Instance) -> bool:
    """Whether a model's class writes its training step itself."""
    return has_own(model, "train_step")


def _read_users(training: Training, users: list[cst.Call]) -> None:
    context = training.context
    function = context.edits.enclosing(training.node, cst.FunctionDef)
    for user in users:
        around = context.edits.enclosing(user, cst.FunctionDef)
        if function is not None and around is not function:
            training.scoped = False
        name = qualified_name(context, user.func) or ""
        try:
            site = Site(context, user, name)
            training.weighted |= site.has("sample_weight") or (
                "class_weight" in site.args and site.has("class_weight")
            )
        except Unfit:
            continue
    if not isinstance(training.owner, (cst.Name, cst.Attribute)) or _is_asked(training):
        training.scoped = False


def _is_asked(training: Training) -> bool:
    """Whether the program asks the model for its optimizer or the names of its metrics."""
    for node in find(training.context.module, cst.Attribute):
        if node.attr.value in ("optimizer", "metrics_names"):
            held = options(training.context.fact(node.value))
            if any(m in training.models for m in held if isinstance(m, Instance)):
                return True
    return False


def _targets(context: Context, users: list[cst.Call]) -> Value | None:
    for user in users:
        try:
            args = Site(context, user, qualified_name(context, user.func) or "").args
        except Unfit:
            continue
        y = args.get("y")
        if isinstance(y, cst.CSTNode):
            return context.fact(y)
        x = args.get("x", args.get("generator"))
        fact = context.fact(x) if isinstance(x, cst.CSTNode) else None
        if isinstance(fact, Instance):
            batch = items_of(context.interpreter.iterate(fact, None))
            if batch is not None and len(batch) > 1:
                return batch[1]
    return None


def read_outputs(fact: Value | None, targets: Value | None) -> list[Output]:
    """A model's outputs by key, with their targets."""
    target_items = _parts(targets)
    if isinstance(fact, Mapping) and fact.items:
        return [
            Output(k, str(k), v, target_items.get(k, target_items.get(i)),
                   k if k in target_items else i if i in target_items else k)
            for i, (k, v) in enumerate(fact.items.items())
        ]  # fmt: skip
    items = items_of(fact) if isinstance(fact, (Sequence, ListObject)) else None
    if items is not None and len(items) > 1:
        found = []
        for index, item in enumerate(items):
            name = _layer_name(item) or f"output_{index}"
            key = name if name in target_items else index
            found.append(Output(index, name, item, target_items.get(key), key))
        return found
    if items is not None and len(items) == 1:
        fact = items[0]
    return [Output(None, "", fact, targets)]


def _parts(value: Value | None) -> dict[Any, Value]:
    if isinstance(value, Mapping):
        return dict(value.items)
    items = items_of(value) if isinstance(value, (Sequence, ListObject)) else None
    return dict(enumerate(items)) if items is not None else {}


def _layer_name(value: Value) -> str | None:
    node = getattr(value, "node", None)
    given = node.layer.arguments.get("name") if node is not None and node.layer else None
    return given.value if isinstance(given, Const) and isinstance(given.value, str) else None


def by_output(training: Training, node: Any) -> dict[int, Any]:
    """What an argument says for each output, by number: a list, a dict, or one for all."""
    context, outputs = training.context, training.outputs
    if node is None or is_none(context.fact(node)):
        return {}
    if isinstance(node, cst.Dict):
        found = {}
        for element in node.elements:
            key = context.fact(element.key) if isinstance(element, cst.DictElement) else None
            name = key.value if isinstance(key, Const) else None
            place = [i for i, o in enumerate(outputs) if name in (o.name, o.key)]
            if not place and len(outputs) == 1:
                place = [0]
            if not place:
                raise Unfit(f"which output {name!r} means is not known before the program runs")
            found[place[0]] = element.value
        return found
    if isinstance(node, (cst.List, cst.Tuple)) and len(node.elements) == len(outputs):
        return {i: e.value for i, e in enumerate(node.elements)}
    if isinstance(node, (cst.List, cst.Tuple)):
        raise Unfit("the losses of this model do not agree with its outputs")
    return dict.fromkeys(range(len(outputs)), node)


def listed(context: Context, given: Any) -> Any:
    """The list that a variable holds, where it is written once."""
    if not isinstance(given, cst.Name):
        return given
    lines = [
        a for a in find(context.module, cst.Assign)
        if len(a.targets) == 1 and isinstance(a.targets[0].target, cst.Name)
        and a.targets[0].target.value == given.value
    ]  # fmt: skip
    around = context.edits.enclosing(given, cst.FunctionDef)
    own = [a for a in lines if context.edits.enclosing(a, cst.FunctionDef) is around]
    lists = [a.value for a in own or lines]
    if len(lists) == 1 and isinstance(lists[0], (cst.List, cst.Tuple, cst.Dict)):
        return lists[0]
    return given


def _read_losses(training: Training, site: Site) -> None:
    given = listed(training.context, site.args.get("loss"))
    for index, node in by_output(training, given).items():
        if not is_none(training.context.fact(node)):
            training.outputs[index].loss = read_loss(training.context, node)
    for index, node in by_output(
        training, listed(training.context, site.args.get("loss_weights"))
    ).items():
        training.outputs[index].weight = node


# ---- logits ----------------------------------------------------------------------------------


def plan_logits(context: Context, training: Training) -> None:
    """A softmax or sigmoid at the end goes into the loss, which Keras computes from the logits."""
    output = training.single
    if output is None or output.loss is None:
        return
    wanted = output.loss.activation
    if wanted is None:
        return
    if output.loss.from_logits and any(end_of(context, m, 0) != wanted for m in training.models):
        return
    output.loss.options.pop("from_logits", None)
    for model in training.models:
        last = last_layer(model)
        if last is None or not isinstance(model.cls, Symbol) or _is_nested(context, model):
            return
        if final_activation(last) != wanted or not isinstance(last.cls, Symbol):
            return
    for model in training.models:
        model.state["logits"] = wanted
    training.removed = wanted


def final_activation(layer: Instance) -> str | None:
    """The activation that a layer ends with."""
    name = (layer.class_names or ("",))[0].rpartition(".")[2]
    if name == "Softmax":
        return "softmax"
    value = layer.arguments.get("activation")
    return activation_name(value) if isinstance(value, Value) else None


def _is_nested(context: Context, model: Instance) -> bool:
    """Whether a model is a part of another, or shares its layers with one."""
    last = last_layer(model)
    for other in context.interpreter.instances.values():
        if other is model:
            continue
        layers = other.state.get("layers") or []
        if any(x is model or x is last for x in layers):
            return True
        if any(v is model for v in other.attributes.values()):
            return True
        outputs = other.state.get("outputs")
        if isinstance(outputs, Value) and _reaches(outputs, model, last):
            return True
    return False


def _reaches(outputs: Value, model: Instance, last: Instance | None) -> bool:
    from transpiler.rules.facts_keras_models import steps

    return any(n.layer is model or n.layer is last for n in steps(outputs) if n.layer is not None)
