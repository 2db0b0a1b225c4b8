"""What a training step of a model's own asks of `compile`: its loss and its metrics."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import Instance, Symbol, Tensor, Value, is_none, options
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.site import Site
from transpiler.template import OMIT, call, fill

LOSS = "keras.CompiledLoss"


@infers("keras.Model.compute_loss", "keras.Model.compiled_loss", f"{LOSS}.__call__")
def computed(call: Invocation) -> Value:
    return Tensor((), "float32", "tf")


@infers_property("keras.Model.loss")
def compiled_loss(value: Value) -> Value:
    """What `compile` was given, called by the program itself."""
    return Instance(Symbol(LOSS), {"model": value})


def training_of(site: Site, models: Value) -> Any:
    """The only `compile` of a model that steps by itself, with a loss for its only output."""
    held = set(options(models))
    known = [t for t in site.context.notes.get("trainings", ()) if held & set(t.models)]
    if len(known) != 1 or not known[0].has_loss or known[0].single is None:
        raise Unfit(f"the loss that {site.short} computes is not known before the program runs",
                    "compute the loss by hand in train_step")  # fmt: skip
    return known[0]


@rewrites("keras.Model.compute_loss", "keras.Model.compiled_loss", to="torch")
def compute_loss(site: Site) -> Any:
    """The loss of compile, and what layers add to it."""
    from transpiler.planners.keras_compile import adds_losses, penalized

    training = training_of(site, site.receiver_fact)
    order: tuple[str, ...] = ("y", "y_pred", "sample_weight")
    if site.name.endswith("compute_loss"):
        order = ("x", *order, "training")
    given = dict(zip(order, site.positional, strict=False)) | site.keywords
    weight = given.get("sample_weight")
    if weight is not None and not is_none(site.fact(weight)) and not training.weighted:
        raise Unfit(f"{site.short} with weights for its examples")
    if "y" not in given or "y_pred" not in given or site.starred:
        raise Unfit(f"{site.short} without `y` and `y_pred`")
    weights = weight if weight is not None and training.weighted else OMIT
    owner = site.receiver
    result: cst.BaseExpression = call("f", given["y_pred"], given["y"], weights).with_changes(
        func=training.name("criterion", owner)
    )
    if penalized(training.models):
        unit = cst.Name(site.context.emit("regularization"))
        result = fill("loss + unit(model)", loss=result, unit=unit, model=owner)
    if adds_losses(site.context, training.models):
        unit = cst.Name(site.context.emit("added_losses"))
        result = fill("loss + unit(model)", loss=result, unit=unit, model=owner)
    return result


@rewrites(f"{LOSS}.__call__", to="torch")
def called(site: Site) -> Any:
    """`self.loss(y, y_pred)`: PyTorch takes the outputs first."""
    node = site.node
    assert isinstance(node, cst.Call)
    held = [o for o in options(site.context.fact(node.func)) if isinstance(o, Instance)]
    training = training_of(site, held[0].arguments["model"])
    if not isinstance(node.func, cst.Attribute) or len(site.positional) != 2 or site.keywords:
        raise Unfit("this call of the compiled loss is not understood")
    y, y_pred = site.positional
    return call("f", y_pred, y).with_changes(func=training.name("criterion", node.func.value))
