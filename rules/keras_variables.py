"""The variables of a Keras model, and its weights as a list of arrays."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.dataflow import always_writes, reads
from transpiler.infer.values import Instance, options
from transpiler.planners.keras_tape.sensitive import parts_of
from transpiler.rule import Unfit, rewrites
from transpiler.site import Site
from transpiler.template import call, fill


@rewrites(
    "keras.Layer.trainable_variables", "keras.Layer.trainable_weights",
    "tf.Module.trainable_variables", "tf.Module.variables", to="torch",
)  # fmt: skip
def trainable_variables(site: Site) -> Any:
    """The parameters, without those that the program froze."""
    frozen = any(
        isinstance(node, cst.Attribute) and node.attr.value == "trainable"
        for node in site.context.edits.parent
    )
    if frozen and not site.name.startswith("tf."):
        return fill("[p for p in model.parameters() if p.requires_grad]", model=site.receiver)
    return _listed(site, "model.parameters()")


def _listed(site: Site, text: str) -> cst.BaseExpression:
    """Gone through once as it is, else as a list."""
    new = fill(text, model=site.receiver)
    return new if _once(site, site.node) else fill("list(x)", x=new)


def _once(site: Site, node: cst.CSTNode) -> bool:
    parent = site.context.edits.parent.get(node)
    match parent:
        case cst.For() | cst.CompFor():
            return parent.iter is node
        case cst.Arg():
            around = site.context.edits.parent.get(parent)
            if isinstance(around, cst.Call) and isinstance(around.func, cst.Name):
                if around.func.value in ("zip", "enumerate"):
                    return _once(site, around)
                return around.func.value in ("list", "tuple", "sum", "map", "any", "all")
    return False


@rewrites("keras.Layer.variables", "keras.Layer.weights", to="torch")
def variables(site: Site) -> Any:
    """Parameters, and what normalization layers keep beside them."""
    found = [o for o in options(site.receiver_fact) if isinstance(o, Instance)]
    normal = any(
        "BatchNormalization" in name
        for o in found
        for part in parts_of(site.context, o)
        for name in part.class_names
    )
    if normal:
        return fill("[*model.parameters(), *model.buffers()]", model=site.receiver)
    return _listed(site, "model.parameters()")


@rewrites("keras.Layer.set_weights", to="torch")
def set_weights(site: Site) -> Any:
    """From another model of the same class, or from a list of arrays."""
    given = site.arg("weights")
    if isinstance(given, cst.Call) and isinstance(given.func, cst.Attribute):
        if given.func.attr.value == "get_weights" and not given.args:
            site.context.claim(given)
            return fill("model.load_state_dict(other.state_dict())", model=site.receiver,
                        other=given.func.value)  # fmt: skip
    return call(site.context.emit("set_weights"), site.receiver, given)


@rewrites("keras.Layer.get_weights", to="torch")
def get_weights(site: Site) -> Any:
    """Copies of all that the model keeps."""
    return call(site.context.emit("get_weights"), site.receiver)


@rewrites(
    *(f"keras.optimizers.{n}" for n in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta",
                                        "Adamax", "Nadam", "Ftrl", "Lion")),
    to="torch",
)  # fmt: skip
def optimizer(site: Site) -> Any:
    """What planners have not written: nothing shows what it updates, or it is replaced unread."""
    if _is_dead(site):
        return []
    raise Unfit(
        "which variables this optimizer updates is not known in this file",
        "make it as torch.optim does, from the parameters of its model",
    )


def _is_dead(site: Site) -> bool:
    """Whether another value is bound to the optimizer's name before anything reads it."""
    if site.node not in site.context.edits.parent:
        return False  # a class that is handed on, tried as a call
    target, block = site.assigned_to, site.context.edits.parent.get(site.statement)
    body = list(getattr(block, "body", ()))
    if not isinstance(target, cst.Name) or site.statement not in body:
        return False
    for statement in body[body.index(site.statement) + 1 :]:
        if not isinstance(statement, (cst.FunctionDef, cst.ClassDef)):
            if target.value in reads(statement):
                return False
            if target.value in always_writes(statement):
                return True
    return False
