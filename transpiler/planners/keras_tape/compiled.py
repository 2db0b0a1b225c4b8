"""`compile` of models that the program's own loop trains: only the optimizer matters."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import UNKNOWN, Class, Const, Instance, Symbol, options
from transpiler.modules import method, module_classes
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_tape.updates import Update, optimizers_at
from transpiler.rule import Unfit
from transpiler.rules.keras_optimizers import Recipe
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import call, fill, fill_statements

COMPILE = "keras.Model.compile"
ORDER = {0: "optimizer", 3: "metrics"}
"""What compile is given by position."""
TRAINING = frozenset(
    f"keras.Model.{n}"
    for n in ("fit", "evaluate", "fit_generator", "evaluate_generator", "train_on_batch",
              "test_on_batch")
)  # fmt: skip


def plan_compiled(context: Context, updates: list[Update]) -> None:
    """Write compile where no fit follows; leave the optimizers of the others alone."""
    stepped = {o.origin for u in updates for o in u.optimizers}
    calls: list[tuple[str, cst.Call]] = []
    for node in find(context.module, cst.Call):
        if isinstance(node.func, cst.Attribute):
            name = qualified_name(context, node.func) or ""
            if name == COMPILE or name in TRAINING:
                calls.append((name, node))
    trained = {id(m) for name, n in calls if name in TRAINING for m in _models(context, n)}
    fitted: set[Any] = context.notes.setdefault("fitted optimizers", set())
    for name, node in calls:
        models = _models(context, node)
        if name != COMPILE or not models:
            continue
        if {id(m) for m in models} & trained:
            fitted.update(_given(context, node))
            continue
        try:
            _write(context, node, stepped, bool(trained))
        except Unfit as error:
            context.claim(node)
            context.unfit(node, "Model.compile", error)
    for owner, cls in module_classes(context):
        _plan_own_compile(context, owner, cls)


def _models(context: Context, node: cst.Call) -> list[Instance]:
    assert isinstance(node.func, cst.Attribute)
    return [o for o in options(context.fact(node.func.value)) if isinstance(o, Instance)]


def _given(context: Context, node: cst.Call) -> list[Any]:
    """The calls that made what compile is given as optimizer."""
    try:
        given = Site(context, node, COMPILE).args.get("optimizer")
    except Unfit:
        return []
    return [o.origin for o in optimizers_at(context, given)] if given is not None else []


def _write(context: Context, node: cst.Call, stepped: set[Any], trains: bool) -> None:
    """The optimizer as an attribute of the model."""
    assert isinstance(node.func, cst.Attribute)
    owner = node.func.value
    if isinstance(owner, cst.Call) or not isinstance(context.edits.parent[node], cst.Expr):
        return
    given = Site(context, node, COMPILE).args.get("optimizer")
    context.claim(node)
    statement = context.edits.statement(node)
    if given is None or (trains and not _is_used(context, node, given, stepped)):
        context.edits.replace(statement, [])
        return
    new: Any = given
    fact = context.fact(given)
    if isinstance(fact, (Const, Symbol)):
        params = fill("model.parameters()", model=owner.deep_clone())
        new = Recipe(context, fact, statement).write(params)
    else:
        found = optimizers_at(context, given)
        if not found:
            raise Unfit("the optimizer is not one of Keras' that are known before the program runs")
        if given is found[0].origin and given not in stepped:
            params = fill("model.parameters()", model=owner.deep_clone())
            new = Recipe(context, found[0], statement).write(params)
            context.claim(given)
    target = cst.Attribute(owner, cst.Name("optimizer"))
    context.notes.setdefault("compiled optimizers", {})[given] = target
    context.edits.replace(statement, fill_statements("target = new", target=target, new=new))


def _is_used(context: Context, node: cst.Call, given: Any, stepped: set[Any]) -> bool:
    """Whether something steps with what a model is compiled with, or asks the model for it."""
    found = optimizers_at(context, given)
    if any(o.origin in stepped for o in found):
        return True
    models = _models(context, node)
    for place in find(context.module, cst.Attribute):
        if place.attr.value == "optimizer":
            fact = context.fact(place.value)
            if fact is UNKNOWN or any(o in models for o in options(fact)):
                return True
    return False


def _plan_own_compile(context: Context, owner: cst.ClassDef, cls: Class) -> None:
    """`super().compile()` leaves an optimizer, and the metrics that a step goes through."""
    own = method(owner, "compile")
    if own is None:
        return
    for node in find(own.body, cst.Call):
        text = code(node.func).replace(" ", "")
        if not text.startswith("super(") or not text.endswith(".compile"):
            continue
        context.claim(node)
        lines: list[cst.BaseStatement] = []
        for place, arg in enumerate(node.args):
            name = arg.keyword.value if arg.keyword is not None else ORDER.get(place)
            if arg.star or name is None:
                continue
            if name == "optimizer":
                _make_named(context, own, cls, arg.value)
                lines += fill_statements("self.optimizer = new", new=arg.value)
            if name == "metrics" and lists_metrics(owner):
                mean = call(context.emit("Mean"), name="loss")
                lines += fill_statements("self.metrics = [mean, *new]", mean=mean, new=arg.value)
        context.edits.replace(context.edits.statement(node), lines)


def _make_named(
    context: Context, own: cst.FunctionDef, cls: Class, given: cst.BaseExpression
) -> None:
    """`model.compile("adam", ...)` of a class's own: the optimizer of that name."""
    order = [p.name.value for p in own.params.params[1:]]
    name = code(given)
    for node in find(context.module, cst.Call):
        func = node.func
        if not isinstance(func, cst.Attribute) or func.attr.value != "compile":
            continue
        if not any(m.cls is cls for m in _models(context, node)):
            continue
        for place, arg in enumerate(node.args):
            to = arg.keyword.value if arg.keyword is not None else dict(enumerate(order)).get(place)
            fact = context.fact(arg.value)
            if to == name and not arg.star and isinstance(fact, Const):
                params = fill("model.parameters()", model=func.value.deep_clone())
                statement = context.edits.statement(node)
                context.edits.replace(arg.value, Recipe(context, fact, statement).write(params))


def lists_metrics(owner: cst.ClassDef) -> bool:
    """Whether a class goes through `self.metrics` as compile leaves them."""
    return method(owner, "metrics") is None and any(
        n.attr.value == "metrics" and code(n.value) == "self" for n in find(owner, cst.Attribute)
    )
