"""`compile` as variables: the loss, the optimizer and the metrics."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Function, Instance, Value
from transpiler.modules import descendants
from transpiler.planners.keras_deferred import (
    defer_optimizers,
    is_deferred,
    is_renewed,
    on_schedule,
)
from transpiler.planners.keras_devices import define_device, find_device
from transpiler.planners.keras_training import (
    COMPILE,
    USERS,
    Output,
    Training,
    by_output,
    calls_of,
    listed,
    own_trainings,
    read_trainings,
)
from transpiler.rule import Unfit
from transpiler.rules.keras_losses import Metric, read_metric, write_loss
from transpiler.rules.keras_optimizers import Recipe
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code, find
from transpiler.template import as_node, call, fill, fill_statements

Lines = list[cst.BaseStatement]


def plan(context: Context) -> None:
    """Write every `compile`; the trainings that fit and its like go by are left in the notes."""
    trainings = []
    for training in read_trainings(context, calls_of(context, *USERS)):
        try:
            write_compile(training)
            trainings.append(training)
        except Unfit as error:
            for model in training.models:
                model.state.pop("logits", None)
            context.claim(training.node)
            context.unfit(training.node, "Model.compile", error)
    context.notes["trainings"] = trainings + own_trainings(context)


def write_compile(training: Training) -> None:
    """The loss, the optimizer and the metrics as variables. Raises Unfit."""
    context, node = training.context, training.node
    site = Site(context, node, COMPILE)
    if not isinstance(context.edits.parent[node], cst.Expr):
        raise Unfit("compile is used as an expression")
    metrics = read_metrics(training, site)
    lines = loss_lines(training)
    lines += _device_lines(training)
    lines += _optimizer_lines(training, site)
    drop_single(context, site.args.get("loss"))
    kinds = ["optimizer"]
    if training.has_loss:
        kinds.append("criterion")
    if not training.stepped or metrics or lists_metrics(training):
        name = cst.Name(training.names["metrics"])
        lines += fill_statements("metrics = new", metrics=name, new=_held(training, metrics))
        kinds.append("metrics")
    if training.stepped:
        training.scoped = False
    if not training.scoped:
        if any("keras.Sequential" in m.class_names for m in training.models):
            lines = [without_module(line) for line in lines]
        for what in kinds:
            lines = with_attribute(training, lines, what)
    context.claim(node)
    context.edits.replace(context.edits.statement(node), lines)


def _held(training: Training, metrics: list[Metric]) -> cst.BaseExpression:
    """The metrics by name; as a list behind the loss's, where a step of the model's own asks."""
    if not lists_metrics(training):
        return cst.Dict([cst.DictElement(cst.SimpleString(f'"{m.name}"'), m.node) for m in metrics])
    elements = [call(training.context.emit("Mean"), name="loss")]
    written = training.context.edits.parent
    elements += [m.node if m.node in written else named_metric(m) for m in metrics]
    return cst.List([cst.Element(e) for e in elements])


def named_metric(metric: Metric) -> cst.Call:
    """A metric that knows its name."""
    assert isinstance(metric.node, cst.Call)
    if any(a.keyword is not None and a.keyword.value == "name" for a in metric.node.args):
        return metric.node
    named = cst.Arg(cst.SimpleString(f'"{metric.name}"'), keyword=cst.Name("name"))
    return metric.node.with_changes(args=[*metric.node.args, named])


def lists_metrics(training: Training) -> bool:
    """Whether a step of the model's own reads `self.metrics` as compile leaves them."""
    classes = {m.cls for m in training.models if isinstance(m.cls, Class)}
    return training.stepped and any(
        not isinstance(cls.lookup("metrics"), Function)
        and any(
            a.attr.value == "metrics" and isinstance(a.value, cst.Name) and a.value.value == "self"
            for a in find(cls.node, cst.Attribute)
        )
        for cls in classes
    )


def with_attribute(training: Training, lines: Lines, what: str) -> Lines:
    """The lines of compile, with what one of them makes as an attribute of the model."""
    name = training.names[what]
    model = training.owner
    reads = [n for line in lines for n in find(line, cst.Name) if n.value == name]
    for place, line in enumerate(lines):
        match line:
            case cst.SimpleStatementLine(body=[cst.Assign(targets=[to], value=value)]):
                known = isinstance(to.target, cst.Name) and to.target.value == name
                if known and len(reads) == 1 and not is_written(training.context, name):
                    new = fill_statements(f"model.{what} = value", model=model, value=value)
                    return [*lines[:place], *new, *lines[place + 1 :]]
    return lines + fill_statements(f"model.{what} = name", model=model, name=cst.Name(name))


def is_written(context: Context, name: str) -> bool:
    """Whether the source has a variable of this name."""
    places: list[Any] = list(find(context.module, cst.AssignTarget, cst.Param))
    names = [p.name if isinstance(p, cst.Param) else p.target for p in places]
    return any(isinstance(n, cst.Name) and n.value == name for n in names)


def _device_lines(training: Training) -> Lines:
    """The model where it is trained, before its optimizer is made."""
    context = training.context
    device = None if training.stepped else find_device(context)
    if device is None:
        reason = context.notes.get("device", {}).get("reason", "it has a training step of its own")
        context.remark(
            context.edits.statement(training.node), "Model.compile",
            f"the model stays on the CPU, as {reason}: to train on a GPU, move it and its batches"
            " with .to(device)",
        )  # fmt: skip
        return []
    define_device(context, training.node)
    training.device = device
    return fill_statements("model.to(device)", model=training.owner, device=device)


# ---- losses ----------------------------------------------------------------------------------

FUNCTIONS = {
    "MSELoss": "mse_loss", "L1Loss": "l1_loss", "HuberLoss": "huber_loss",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits", "CrossEntropyLoss": "cross_entropy",
}  # fmt: skip


def without_module(line: cst.BaseStatement) -> cst.BaseStatement:
    """A loss as a function: a Sequential runs every module that it gets as an attribute."""
    match line:
        case cst.SimpleStatementLine(
            body=[cst.Assign(value=cst.Call(func=kind, args=args)) as made]
        ):
            name = FUNCTIONS.get(code(kind).removeprefix("torch.nn."))
            if name is not None:
                value: cst.BaseExpression = fill(f"torch.nn.functional.{name}")
                if args:
                    value = fill("functools.partial(f)", f=value)
                    value = value.with_changes(args=[*value.args, *args])  # type: ignore[attr-defined]
                return line.with_changes(body=[made.with_changes(value=value)])
    return line


def loss_lines(training: Training) -> Lines:
    """The function of outputs and targets that is trained on."""
    context = training.context
    single = training.single
    if not training.has_loss:
        return []
    for output in training.outputs:
        warn_of_probabilities(training, output)
    name = training.names["criterion"]
    if single is not None and single.loss is not None and single.weight is None:
        logits = is_on_logits(training, single)
        lines: Lines = write_loss(
            context, single.loss, logits, single.fact, single.targets, name, training.weighted
        )
        return lines
    lines = []
    terms = []
    for output in training.outputs:
        if output.loss is None:
            continue
        own = f"{output.name or 'output'}_loss"
        lines += write_loss(
            context, output.loss, is_on_logits(training, output), output.fact, output.targets, own,
            training.weighted,
        )  # fmt: skip
        terms.append(_term(training, output, own))
    total = terms[0]
    for term in terms[1:]:
        total = fill("a + b", a=total, b=term)
    params = "outputs, targets, sample_weight=None" if training.weighted else "outputs, targets"
    return lines + fill_statements(f"def {name}({params}):\n    return total\n", total=total)


def _term(training: Training, output: Output, own: str) -> cst.BaseExpression:
    first = "outputs" if output.key is None else f"outputs[{output.key!r}]"
    second = "targets" if output.target_key is None else f"targets[{output.target_key!r}]"
    weights = ", sample_weight" if training.weighted else ""
    term = fill(f"{own}({first}, {second}{weights})")
    if output.weight is None or training.context.fact(output.weight) in (Const(1), Const(1.0)):
        return term
    return fill("w * term", w=output.weight, term=term)


def is_on_logits(training: Training, output: Output) -> bool:
    assert output.loss is not None
    return output.loss.from_logits or training.removed is not None


def warn_of_probabilities(training: Training, output: Output) -> None:
    """Say where a loss is computed from probabilities."""
    if output.loss is None or not output.loss.activation or is_on_logits(training, output):
        return
    training.context.caution(
        training.context.edits.statement(training.node), "Model.compile",
        "the loss is computed from probabilities that are clipped to 1e-7; where Keras finds"
        " the softmax or sigmoid that made them it takes the logits: certain predictions"
        " differ", "let the model give logits, and use from_logits=True",
    )  # fmt: skip


def drop_single(context: Context, node: Any) -> None:
    """A loss object in a variable that only compile reads is not needed any more."""
    fact = context.fact(node)
    if not isinstance(node, cst.Name) or not isinstance(fact, Instance):
        return
    if fact.origin is None or not fact.class_names[0].startswith("keras.losses."):
        return
    reads = [n for n in find(context.module, cst.Name) if n.value == node.value]
    if len(reads) == 2 and isinstance(context.edits.parent[fact.origin], cst.Assign):
        context.claim(fact.origin)
        context.edits.replace(context.edits.statement(fact.origin), [])


# ---- the optimizer ---------------------------------------------------------------------------


def _optimizer_lines(training: Training, site: Site) -> Lines:
    context = training.context
    given = site.args.get("optimizer")
    fact = context.fact(given) if isinstance(given, cst.CSTNode) else Const("rmsprop")
    statement = context.edits.statement(training.node)
    name = cst.Name(training.names["optimizer"])
    if isinstance(given, cst.CSTNode) and is_deferred(training, given, fact):
        defer_optimizers(context, fact, statement)
        if is_renewed(context, given, training.node):
            assert isinstance(given, cst.Name)
            training.names["optimizer"] = given.value
            name = cst.Name(given.value)
        return fill_statements("optimizer = given(params)", optimizer=name, given=given,
                               params=parameters(training))  # fmt: skip
    recipe = Recipe(context, fact, statement)
    new = recipe.write(parameters(training))
    if isinstance(given, cst.Name) and recipe.origin is not None:
        context.claim(recipe.origin)
        context.edits.replace(context.edits.statement(recipe.origin), [])
        # Another model may have been compiled with what the same variable held before.
        taken = context.notes.setdefault("optimizer variables", {})
        if taken.setdefault(given.value, training.models) == training.models:
            training.names["optimizer"] = given.value
            name = cst.Name(given.value)
    if recipe.schedule is not None and not training.scoped:
        new = on_schedule(context, recipe.schedule, new)
    lines = fill_statements("optimizer = new", optimizer=name, new=new)
    if recipe.schedule is not None and training.scoped:
        training.schedule = True
        lines += fill_statements(
            "scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)",
            scheduler=cst.Name(training.names["scheduler"]), optimizer=name,
            schedule=recipe.schedule,
        )  # fmt: skip
    return lines


def parameters(training: Training) -> cst.BaseExpression:
    """What the optimizer trains; what is frozen has no gradients."""
    return fill("model.parameters()", model=training.owner)


# ---- metrics ---------------------------------------------------------------------------------


def read_metrics(training: Training, site: Site) -> list[Metric]:
    """The metrics that compile was given, and where it has several losses, those."""
    context = training.context
    found: list[Metric] = []
    plain = _metrics_of(training, site.args.get("metrics"))
    weighted = _metrics_of(training, site.args.get("weighted_metrics"))
    if plain and weighted:
        raise Unfit("metrics and weighted_metrics at once are not translated")
    training.weighs_metrics = bool(weighted) and training.weighted
    losses = [o for o in training.outputs if o.loss is not None]
    if training.single is None and len(losses) > 1 and not training.stepped:
        found += [_loss_metric(training, o) for o in losses]
    named = []
    for output, metric in plain + weighted:
        if output.key is not None:
            name = f"{output.name}_{metric.name}"
            node = _of_output(context, output, metric.node)
            metric = Metric(name, node, metric.needs_probabilities)
        named.append(metric)
    if training.single is None:  # Keras hands those of several outputs out by name
        named.sort(key=lambda m: m.name)
    found += named
    training.has_metrics = bool(found)
    training.probabilities = any(m.needs_probabilities for m in found) and bool(training.removed)
    return found


def _loss_metric(training: Training, output: Output) -> Metric:
    name = f"{output.name}_loss"
    new = call(training.context.emit("LossMetric"), cst.Name(name))
    return Metric(name, _of_output(training.context, output, new), False)


def _of_output(context: Context, output: Output, node: cst.BaseExpression) -> cst.BaseExpression:
    keys = [as_node(output.key)]
    if output.target_key != output.key:
        keys.append(as_node(output.target_key))
    return call(context.emit("OutputMetric"), node, *keys)


def _metrics_of(training: Training, given: Any) -> list[tuple[Output, Metric]]:
    context, outputs = training.context, training.outputs
    given = listed(context, given)
    if given is None or (isinstance(given, cst.Name) and given.value == "None"):
        return []
    groups: dict[int, list[Any]] = {}
    nested = isinstance(given, (cst.List, cst.Tuple)) and any(
        isinstance(e.value, (cst.List, cst.Tuple)) for e in given.elements
    )
    each = isinstance(given, (cst.List, cst.Tuple)) and len(given.elements) == len(outputs)
    if isinstance(given, cst.Dict) or ((nested or each) and training.single is None):
        for index, node in by_output(training, given).items():
            groups[index] = _flat(node)
    elif len(outputs) == 1 or training.single is not None:
        groups[0] = _flat(given)
    else:
        raise Unfit("for which output the metrics are is not known before the program runs")
    found = []
    for index, nodes in sorted(groups.items()):
        output = outputs[index]
        for node in nodes:
            metric = read_metric(context, node, output.loss, output.fact, output.targets)
            found.append((output, metric))
    return found


def _flat(node: Any) -> list[Any]:
    if isinstance(node, (cst.List, cst.Tuple)):
        return [x for e in node.elements for x in _flat(e.value)]
    return [node]


# ---- penalties -------------------------------------------------------------------------------


def penalized(models: list[Instance]) -> bool:
    """Whether a layer of the models has a regularizer of its weights."""
    for part in parts_of(models):
        for name, value in part.arguments.items():
            known = constant_value(value) if isinstance(value, Value) else missing
            if name.endswith("_regularizer") and known is not None:
                if name != "activity_regularizer":
                    return True
        if adds_weights(part, "regularizer"):
            return True
    return False


def adds_weights(part: Instance, what: str) -> bool:
    """Whether a layer of the program's own gives a weight a regularizer or constraint."""
    return isinstance(part.cls, Class) and any(
        isinstance(node.func, cst.Attribute)
        and node.func.attr.value in ("add_weight", "add_variable")
        and any(a.keyword is not None and a.keyword.value == what for a in node.args)
        for node in find(part.cls.node, cst.Call)
    )


def adds_losses(context: Context, models: list[Instance]) -> bool:
    """Whether a layer of the models adds to the loss in its call."""
    for part in parts_of(models):
        value = part.arguments.get("activity_regularizer")
        if isinstance(value, Value) and constant_value(value) is not None:
            return True
        if part.state.get("added") or part.class_names[:1] == (
            "keras.layers.ActivityRegularization",
        ):
            return True
        if isinstance(part.cls, Class):
            for node in find(part.cls.node, cst.Call):
                if isinstance(node.func, cst.Attribute) and node.func.attr.value == "add_loss":
                    return True
    return False


def parts_of(models: list[Instance]) -> list[Instance]:
    """The models and all layers in them."""
    from transpiler.rules.facts_keras_models import layers_of

    found: list[Instance] = []
    stack: list[Value] = list(models)
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        for part in descendants(value):
            if not isinstance(part, Instance) or id(part) in seen:
                continue
            seen.add(id(part))
            found.append(part)
            stack.extend(layers_of(part) or [x for x in part.state.get("layers") or []
                                             if isinstance(x, Instance)])  # fmt: skip
    return found
