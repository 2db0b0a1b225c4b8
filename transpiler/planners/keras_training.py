"""How a Keras model is trained: what `compile` was given, and the names it goes by afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Function, Instance, Symbol, Value, items_of, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_names import free_name
from transpiler.rule import Unfit
from transpiler.rules.keras_activations import activation_name
from transpiler.rules.keras_losses import Loss, Metric, read_loss, read_metric, write_loss
from transpiler.rules.keras_optimizers import Recipe
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import find
from transpiler.template import fill, fill_statements

COMPILE = "keras.Model.compile"


def calls_of(context: Context, *names: str) -> list[cst.Call]:
    """Calls of methods of library models, in source order."""
    return [
        node
        for node in find(context.module, cst.Call)
        if isinstance(node.func, cst.Attribute)
        and node.func.attr.value in {n.rpartition(".")[2] for n in names}
        and qualified_name(context, node.func) in names
    ]


def models_of(context: Context, node: cst.Call) -> list[Instance]:
    """The models that a method is called on."""
    assert isinstance(node.func, cst.Attribute)
    return [o for o in options(context.fact(node.func.value)) if isinstance(o, Instance)]


def output_of(context: Context, model: Instance) -> Value | None:
    """What a model gives, where it has been called."""
    found = model.state.get("output")
    if isinstance(found, Value):
        return found
    if not isinstance(model.cls, Symbol):
        entry = model.cls.lookup("call")
        if isinstance(entry, Function):
            return context.interpreter.results.get(entry.node)
    return None


@dataclass
class Training:
    """One `compile` and what follows from it."""

    context: Context
    node: cst.Call
    models: list[Instance]
    loss: Loss
    outputs: Value | None
    targets: Value | None
    logits: bool = False
    removed: str | None = None
    """The activation that the model left to its loss."""
    names: dict[str, str] | None = None
    scoped: bool = True
    """Whether fit sees the variables that compile leaves."""
    schedule: bool = False

    @property
    def owner(self) -> cst.BaseExpression:
        assert isinstance(self.node.func, cst.Attribute)
        return self.node.func.value

    def name(self, what: str, model: cst.BaseExpression) -> cst.BaseExpression:
        """The expression by which the optimizer, loss or metrics are reached."""
        if self.scoped:
            assert self.names is not None
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
    site = Site(context, node, COMPILE)
    if not models:
        raise Unfit("the model that is compiled here is not known")
    for name in ("loss_weights", "weighted_metrics", "auto_scale_loss", "from_serialized"):
        if site.has(name) and name != "auto_scale_loss":
            raise Unfit(f"`{name}` of compile is not translated", "weigh the losses by hand")
    if not site.has("loss"):
        raise Unfit("a model compiled without a loss is not translated")
    loss = read_loss(context, _single(site.arg("loss")))
    targets = None
    for user in users:
        if set(models_of(context, user)) & set(models):
            name = qualified_name(context, user.func) or ""
            y = Site(context, user, name).args.get("y")
            if isinstance(y, cst.CSTNode) and targets is None:
                targets = context.fact(y)
    outputs = output_of(context, models[0])
    training = Training(context, node, models, loss, outputs, targets)
    function = context.edits.enclosing(node, cst.FunctionDef)
    for user in users:
        if set(models_of(context, user)) & set(models):
            around = context.edits.enclosing(user, cst.FunctionDef)
            if function is not None and around is not function:
                training.scoped = False
    _plan_logits(context, training)
    return training


def _single(node: cst.BaseExpression) -> cst.BaseExpression:
    if isinstance(node, (cst.List, cst.Tuple)) and len(node.elements) == 1:
        return node.elements[0].value
    if isinstance(node, (cst.List, cst.Tuple, cst.Dict)):
        raise Unfit("several losses for several outputs are not translated")
    return node


def last_layer(model: Instance) -> Instance | None:
    """The layer that gives a model's output."""
    layers = model.state.get("layers")
    if layers:
        return layers[-1] if isinstance(layers[-1], Instance) else None
    outputs = model.state.get("outputs")
    items = items_of(outputs) if isinstance(outputs, Value) else None
    if items is not None and len(items) == 1:
        outputs = items[0]
    node = getattr(outputs, "node", None)
    return node.layer if node is not None else None


def _plan_logits(context: Context, training: Training) -> None:
    """A softmax or sigmoid at the end goes into the loss, which Keras computes from the logits."""
    wanted = training.loss.activation
    if wanted is None:
        return
    if training.loss.from_logits:
        training.logits = True
        return
    for model in training.models:
        last = last_layer(model)
        if last is None or not isinstance(model.cls, Symbol) or _is_nested(context, model):
            return
        if _final_activation(last) != wanted:
            return
    for model in training.models:
        model.state["logits"] = wanted
    training.logits, training.removed = True, wanted


def _final_activation(layer: Instance) -> str | None:
    name = (layer.class_names or ("",))[0].rpartition(".")[2]
    if name == "Softmax":
        return "softmax"
    value = layer.arguments.get("activation")
    return activation_name(value) if isinstance(value, Value) else None


def _is_nested(context: Context, model: Instance) -> bool:
    for other in context.interpreter.instances.values():
        layers = other.state.get("layers") or []
        if other is not model and any(x is model for x in layers):
            return True
        if any(v is model for v in other.attributes.values()):
            return True
    return bool(model.state.get("in graph"))


def write_compile(training: Training) -> None:
    """The loss, the optimizer and the metrics as variables. Raises Unfit."""
    context, node = training.context, training.node
    site = Site(context, node, COMPILE)
    if not isinstance(context.edits.parent[node], cst.Expr):
        raise Unfit("compile is used as an expression")
    names = context.notes.setdefault("training names", {})
    key = frozenset(id(m) for m in training.models)
    if key not in names:
        kinds = ("criterion", "optimizer", "metrics", "scheduler")
        names[key] = {n: free_name(context, n) for n in kinds}
    training.names = names[key]
    if training.loss.activation and not training.logits:
        context.caution(
            context.edits.statement(node), "Model.compile",
            "the loss is computed from probabilities that are clipped to 1e-7; where Keras finds"
            " the softmax or sigmoid that made them it takes the logits: certain predictions"
            " differ", "let the model give logits, and use from_logits=True",
        )  # fmt: skip
    lines = write_loss(
        context, training.loss, training.logits, training.outputs, training.targets,
        training.names["criterion"],
    )  # fmt: skip
    lines += _optimizer_lines(training, site)
    _drop_single(context, _single(site.arg("loss")))
    lines += fill_statements("metrics = new", metrics=cst.Name(training.names["metrics"]),
                             new=_metrics(training, site))  # fmt: skip
    if not training.scoped:
        for what in ("criterion", "optimizer", "metrics"):
            name = cst.Name(training.names[what])
            lines += fill_statements(f"model.{what} = name", model=training.owner, name=name)
    context.claim(node)
    context.edits.replace(context.edits.statement(node), lines)


def _drop_single(context: Context, node: cst.BaseExpression) -> None:
    """A loss object in a variable that only compile reads is not needed any more."""
    fact = context.fact(node)
    if not isinstance(node, cst.Name) or not isinstance(fact, Instance):
        return
    statement = context.edits.statement(fact.origin)
    reads = [n for n in find(context.module, cst.Name) if n.value == node.value]
    if len(reads) == 2 and isinstance(context.edits.parent[fact.origin], cst.Assign):
        context.claim(fact.origin)
        context.edits.replace(statement, [])


def _optimizer_lines(training: Training, site: Site) -> list[cst.BaseStatement]:
    context = training.context
    assert training.names is not None
    given = site.args.get("optimizer")
    fact = context.fact(given) if isinstance(given, cst.CSTNode) else None
    if fact is None:
        from transpiler.infer.values import Const

        fact = Const("rmsprop")
    statement = context.edits.statement(training.node)
    recipe = Recipe(context, fact, statement)
    params = fill("model.parameters()", model=training.owner)
    new = recipe.write(params)
    if isinstance(given, cst.Name) and recipe.origin is not None:
        target = context.edits.parent[recipe.origin]
        if not isinstance(target, cst.Assign):
            raise Unfit("the optimizer is made in a way that is not understood")
        if context.edits.enclosing(recipe.origin, cst.FunctionDef) is not context.edits.enclosing(
            training.node, cst.FunctionDef
        ):
            raise Unfit("the optimizer is made in another function")
        context.claim(recipe.origin)
        context.edits.replace(context.edits.statement(recipe.origin), [])
        names = context.notes["training names"]
        training.names["optimizer"] = given.value
        names[frozenset(id(m) for m in training.models)] = training.names
    lines = fill_statements("optimizer = new", optimizer=cst.Name(training.names["optimizer"]),
                            new=new)  # fmt: skip
    if recipe.schedule is not None:
        training.schedule = True
        lines += fill_statements(
            "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)",
            scheduler=cst.Name(training.names["scheduler"]),
            optimizer=cst.Name(training.names["optimizer"]), schedule=recipe.schedule,
        )  # fmt: skip
    return lines


def _metrics(training: Training, site: Site) -> cst.BaseExpression:
    found = read_metrics(training, site)
    elements = [cst.DictElement(cst.SimpleString(f'"{m.name}"'), m.node) for m in found]
    return cst.Dict(elements)


def read_metrics(training: Training, site: Site) -> list[Metric]:
    """The metrics that compile was given."""
    given = site.args.get("metrics")
    if given is None or (isinstance(given, cst.Name) and given.value == "None"):
        return []
    nodes = [given]
    if isinstance(given, (cst.List, cst.Tuple)):
        nodes = [e.value for e in given.elements]
    elif isinstance(given, cst.Dict):
        raise Unfit("metrics for several outputs are not translated")
    found = []
    for node in nodes:
        found.append(
            read_metric(training.context, node, training.loss, training.outputs, training.targets)
        )
    training.models[0].state["metric activation"] = any(m.needs_probabilities for m in found)
    return found


def penalized(context: Context, models: list[Instance]) -> bool:
    """Whether a layer of the models has a regularizer."""
    from transpiler.modules import descendants

    for model in models:
        held: list[Value] = [model, *(x for x in model.state.get("layers") or [])]
        for part in [d for h in held for d in descendants(h)]:
            if isinstance(part, Instance):
                for name, value in part.arguments.items():
                    known = constant_value(value) if isinstance(value, Value) else missing
                    if name.endswith("_regularizer") and known is not None:
                        return True
                for inner in part.state.get("layers") or []:
                    if isinstance(inner, Instance) and penalized(context, [inner]):
                        return True
    return any(m.state.get("penalized") for m in models)
