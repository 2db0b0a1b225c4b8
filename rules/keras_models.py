"""Methods and attributes of Keras models that a PyTorch model has too."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Instance, options
from transpiler.rule import Unfit, rewrites
from transpiler.site import Site
from transpiler.syntax import code
from transpiler.template import fill


@rewrites("keras.Model.summary", to="torch")
def summary(site: Site) -> Any:
    """PyTorch's models print their layers."""
    return fill("print(model)", model=site.receiver)


@rewrites("keras.Model.history", to="torch")
def last_history(site: Site) -> Any:
    """The loop leaves it with the model."""
    return site.keep()


@rewrites("keras.callbacks.History.history", to="torch")
def history(site: Site) -> Any:
    """The history is a plain dict already, where fit is a loop."""
    if any(_stays(site, v) for v in options(site.receiver_fact)):
        return site.keep()
    return site.receiver


def _stays(site: Site, value: object) -> bool:
    """Whether the fit that made a history stays Keras'."""
    origin = value.origin if isinstance(value, Instance) else None
    if not isinstance(origin, cst.Call):
        return False
    edits = site.context.edits
    places = (origin, edits.parent[origin], edits.statement(origin))
    return origin in site.context.claimed and not any(edits.edited(p) for p in places)


@rewrites("keras.callbacks.History.epoch", to="torch")
def epochs(site: Site) -> Any:
    """A range does, but where lists are put together; `len` is told by any of the values."""
    edits, parent = site.context.edits, site.parent
    call = edits.parent.get(parent)
    if isinstance(call, cst.Call) and code(call.func) == "len":
        return fill('history["loss"]', history=site.receiver)
    form = 'range(len(history["loss"]))'
    if isinstance(parent, (cst.BinaryOperation, cst.AugAssign)):
        form = f"list({form})"
    return fill(form, history=site.receiver)


@rewrites("keras.Layer.count_params", to="torch")
def count_params(site: Site) -> Any:
    if counts_statistics(site):
        return fill(
            'sum(v.numel() for k, v in model.state_dict().items() if "num_batches" not in k)',
            model=site.receiver, k=cst.Name("k"), v=cst.Name("v"),
        )  # fmt: skip
    return fill("sum(p.numel() for p in model.parameters())", model=site.receiver)


def counts_statistics(site: Site) -> bool:
    """Whether the count includes the running statistics of normalizations."""
    from transpiler.planners.keras_compile import parts_of

    models = [v for v in options(site.receiver_fact) if isinstance(v, Instance)]
    return any("BatchNormalization" in n for p in parts_of(models) for n in p.class_names)


@rewrites("keras.utils.set_random_seed", "tf.random.set_seed", to="torch")
def seed(site: Site) -> Any:
    """Other numbers come from an equal seed."""
    if not site.alone:
        raise Unfit("the seed is set inside of an expression")
    from transpiler.template import fill_statements

    name = "seed"
    new: Any = site.arg(name)
    lines = fill_statements("torch.manual_seed(seed)", seed=new)
    if site.name.startswith("keras."):
        import_line = "import random"
        site.request_import(import_line)
        lines = fill_statements(
            "random.seed(seed)\nnp.random.seed(seed)\ntorch.manual_seed(seed)\n", seed=new
        )
    site.context.remark(site.node, site.short, "equal seeds give other numbers in PyTorch")
    return lines


@rewrites("keras.models.clone_model", to="torch")
def clone_model(site: Site) -> Any:
    """A copy with initial values of its own."""
    if set(site.args) != {"model"}:
        raise Unfit("clone_model with inputs or functions of its own is not translated")
    if not isinstance(site.context.fact(site.node), Instance):
        raise Unfit("the model that is cloned is not known")
    return fill("clone(model)", clone=site.emit("clone_model"), model=site.arg("model"))
