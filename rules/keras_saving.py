"""Models and checkpoints in files: `torch.save` and `torch.load`, resume included.

A model that the program reads back with `load_model` is pickled whole; else its state goes into the
file. `tf.train.Checkpoint` and its manager are written out: they hold several objects at once.
"""

from __future__ import annotations

import os
from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    ListObject,
    Number,
    Symbol,
    Tensor,
    Value,
    join,
    options,
)
from transpiler.rule import Unfit, infers, infers_property, rewrites
from transpiler.site import Site, constant_value
from transpiler.template import OMIT, call, fill, fill_statements

CHECKPOINT = "tf.train.Checkpoint"
MANAGER = "tf.train.CheckpointManager"
_WAYS = ("save", "write", "restore", "read")
_STATUS = ("expect_partial", "assert_consumed", "assert_existing_objects_matched",
           "initialize_or_restore", "run_restore_ops")  # fmt: skip
_FORMS = ("keras.models.save_model", "keras.saving.save_model")
WHOLE_MODELS = ("keras.models.load_model", "keras.saving.load_model", "tf.saved_model.load")


# ---- facts ---------------------------------------------------------------------------------------


@infers("keras.Model.save", "keras.Model.export", *_FORMS, "tf.saved_model.save")
def saved(call: Invocation) -> Value:
    """Remember which model is in a file."""
    by_function = call.receiver is None
    model = call.arg("model", "obj", at=0) if by_function else call.receiver
    path = call.arg("filepath", "export_dir", at=1 if by_function else 0)
    remember(call, path, model)
    return NONE


def remember(call: Invocation, path: Value | None, model: Value | None) -> None:
    files: dict[Any, Value] = call.interpreter.saved
    key = path.value if isinstance(path, Const) else None
    if model is not None:
        files[key] = join(files[key], model) if key in files else model


@infers(*WHOLE_MODELS)
def loaded(call: Invocation) -> Value:
    """The model that was saved there, or the only one that was saved at all; else any model."""
    files = call.interpreter.saved
    path = call.arg("filepath", "export_dir", at=0)
    key = path.value if isinstance(path, Const) else None
    if key in files:
        return files[key]
    found = {id(o): o for v in files.values() for o in options(v)}
    if len(found) == 1:
        return next(iter(found.values()))
    model = call.interpreter.allocate(Symbol("keras.Model"), call.node, {})
    model.state["loaded"] = True
    return model


@infers("keras.Model.save_weights", "keras.Model.load_weights")
def nothing(_: Invocation) -> Value:
    return NONE


@infers(CHECKPOINT)
def checkpoint(call: Invocation) -> Value:
    made = call.interpreter.allocate(Symbol(CHECKPOINT), call.node, dict(call.keywords))
    for name, value in call.keywords.items():
        made.attributes[name] = value
    made.attributes["save_counter"] = Tensor((), "int64", "tf", True)
    return made


@infers(f"{CHECKPOINT}.save", f"{CHECKPOINT}.write", f"{MANAGER}.save",
        f"{MANAGER}.restore_or_initialize", "tf.train.latest_checkpoint")  # fmt: skip
def path_of(_: Invocation) -> Value:
    return Number("str")


@infers(f"{CHECKPOINT}.restore", f"{CHECKPOINT}.read")
def restored(call: Invocation) -> Value:
    return call.receiver or UNKNOWN


@infers_property(f"{MANAGER}.latest_checkpoint")
def latest(_: Value) -> Value:
    return join(Number("str"), NONE)


@infers_property(f"{MANAGER}.checkpoints")
def all_paths(_: Value) -> Value:
    return ListObject(None, Number("str"))


# ---- models --------------------------------------------------------------------------------------


def _content(site: Site, model: Any) -> Any:
    from transpiler.planners.keras_callbacks import saves_whole

    if saves_whole(site.context):
        return model
    return fill("model.state_dict()", model=model)


def _folder(site: Site, path: cst.BaseExpression) -> list[cst.BaseStatement]:
    """TensorFlow makes the folders of a checkpoint, torch.save does not."""
    text = constant_value(site.context.fact(path))
    folder = os.path.dirname(text) if isinstance(text, str) else ""
    if not folder or str(text).endswith((".h5", ".keras", ".hdf5")) or not site.alone:
        return []
    site.context.request_import("import os")
    return fill_statements("os.makedirs(folder, exist_ok=True)", folder=folder)


def _save(site: Site, content: Any, path: cst.BaseExpression) -> Any:
    whole = not (isinstance(content, cst.Call) and isinstance(content.func, cst.Attribute))
    held = "the pickled PyTorch model" if whole else "the state_dict of the PyTorch model"
    site.caution(f"the file holds {held}, whatever its name ends in")
    new = fill("torch.save(content, path)", content=content, path=path)
    folder = _folder(site, path)
    if folder:
        return [*folder, *fill_statements("new", new=[cst.SimpleStatementLine([cst.Expr(new)])])]
    return new


@rewrites("keras.Model.save", "keras.Model.export", to="torch")
def save_model(site: Site) -> Any:
    assert site.receiver is not None
    return _save(site, _content(site, site.receiver), _path(site, "filepath"))


@rewrites(*_FORMS, to="torch")
def save_by_function(site: Site) -> Any:
    return _save(site, _content(site, site.arg("model")), _path(site, "filepath", 1))


@rewrites("tf.saved_model.save", to="torch")
def save_program(site: Site) -> Any:
    """A module of PyTorch's takes its class along only by name."""
    return _save(site, site.arg("obj"), site.arg("export_dir"))


def _path(site: Site, name: str, at: int = 0) -> cst.BaseExpression:
    """The path, whatever former keywords are given beside it."""
    found = site.keywords.get(name)
    if found is None and len(site.positional) > at:
        found = site.positional[at]
    if found is None:
        raise Unfit(f"{site.short} is called without `{name}`")
    return found


@rewrites("keras.Model.save_weights", to="torch")
def save_weights(site: Site) -> Any:
    """The state goes into a file of PyTorch's."""
    content = fill("model.state_dict()", model=site.receiver)
    return _save(site, content, _path(site, "filepath"))


@rewrites("keras.Model.load_weights", to="torch")
def load_weights(site: Site) -> Any:
    for name in ("skip_mismatch", "by_name"):
        given = site.keywords.get(name)
        if given is not None and constant_value(site.context.fact(given)) is not False:
            raise Unfit(f"`{name}` of load_weights is not translated",
                        "pick the entries of the state_dict by hand")  # fmt: skip
    site.caution("the file has to hold a state_dict of this PyTorch model")
    state = call("torch.load", _path(site, "filepath"), map_location=device_of(site))
    new = fill("model.load_state_dict(state)", model=site.receiver, state=state)
    outer = site.context.edits.parent.get(site.parent)
    is_status = isinstance(site.parent, cst.Attribute) and site.parent.attr.value in _STATUS
    if is_status and isinstance(outer, cst.Call):
        site.context.claim(outer)
        site.context.claim(site.parent)
        site.context.edits.replace(outer, new)
        return site.keep()
    return new


@rewrites(*WHOLE_MODELS, to="torch")
def load_model(site: Site) -> Any:
    """A model that was pickled whole."""
    name = "export_dir" if "saved_model" in site.name else "filepath"
    found = options(site.context.fact(site.node))
    if any(isinstance(o, Instance) and "loaded" in o.state for o in found):
        site.caution(
            "the file has to hold a PyTorch model pickled whole, with the outputs of Keras' model",
            "make the model by its class and convert its weights: transpile weights",
        )
    return call("torch.load", _path(site, name), map_location=device_of(site), weights_only=False)


def device_of(site: Site) -> Any:
    """Where a file's tensors go, in a program that moves its models."""
    from transpiler.planners.keras_devices import moved

    found = moved(site.context)
    return OMIT if found is None else found


@rewrites("keras.Model.to_json", "keras.Model.to_yaml", to="torch")
def to_json(site: Site) -> Any:
    site.caution(
        "the text lists the model's layers; PyTorch makes no model of it",
        "keep the class, and the state_dict in a file",
    )
    return fill("repr(model)", model=site.receiver)


@rewrites("keras.models.model_from_json", "keras.models.model_from_yaml",
          "keras.models.model_from_config", to="torch")  # fmt: skip
def from_json(site: Site) -> Any:
    raise Unfit("PyTorch makes no model from a description",
                "make it by its class, then load its state_dict")  # fmt: skip


# ---- checkpoints ---------------------------------------------------------------------------------


@rewrites(CHECKPOINT, to="torch")
def make_checkpoint(site: Site) -> Any:
    """Its objects by name; a scheduler goes along with the optimizer that it belongs to."""
    if site.positional or site.starred:
        if len(site.starred) == 1 and site.starred[0].star == "**":
            return cst.Call(cst.Name(site.context.emit("Checkpoint")), site.node.args)  # type: ignore[attr-defined]
        raise Unfit("a checkpoint with a root object is not translated",
                    "name the objects: Checkpoint(model=model)")  # fmt: skip
    if not site.is_call:
        return cst.Name(site.context.emit("Checkpoint"))
    given: dict[str, Any] = dict(site.keywords)
    for name, value in site.keywords.items():
        scheduler = scheduler_of(site, value)
        if scheduler is not None:
            given["scheduler" if "scheduler" not in given else f"{name}_scheduler"] = scheduler
    return call(site.context.emit("Checkpoint"), **given)


def scheduler_of(site: Site, optimizer: cst.BaseExpression) -> cst.BaseExpression | None:
    """The scheduler that the translation makes beside an optimizer."""
    objects = {id(o) for o in options(site.context.fact(optimizer)) if isinstance(o, Instance)}
    for target, scheduler in site.context.notes.get("schedulers", ()):
        if objects & {id(o) for o in options(site.context.fact(target))}:
            found: cst.BaseExpression = scheduler.deep_clone()
            return found
    return None


@rewrites(*(f"{CHECKPOINT}.{name}" for name in _WAYS), to="torch")
def use_checkpoint(site: Site) -> Any:
    name = site.name.rpartition(".")[2]
    given = site.keywords.get("file_prefix", site.keywords.get("save_path"))
    path = site.positional[0] if site.positional else given
    if path is None:
        raise Unfit(f"{site.short} is called without its path")
    name = "restore" if name == "read" else name
    return fill(f"checkpoint.{name}(path)", checkpoint=site.receiver, path=path)


@rewrites(f"{CHECKPOINT}.save_counter", to="torch")
def counter(site: Site) -> Any:
    return site.keep()


@rewrites(MANAGER, to="torch")
def manager(site: Site) -> Any:
    for name in ("keep_checkpoint_every_n_hours", "step_counter", "checkpoint_interval", "init_fn"):
        if site.has(name):
            raise Unfit(f"`{name}` of CheckpointManager is not translated")
    known = ("checkpoint", "directory", "max_to_keep", "checkpoint_name")
    name = site.context.emit("CheckpointManager")
    given = {n: site.args[n] for n in known if n in site.args}
    order = [given.pop(n) for n in known[:2] if n in given]
    return call(name, *order, **given)


@rewrites(
    f"{MANAGER}.save", f"{MANAGER}.latest_checkpoint", f"{MANAGER}.checkpoints",
    f"{MANAGER}.restore_or_initialize", f"{MANAGER}.directory", f"{MANAGER}.checkpoint",
    to="torch",
)  # fmt: skip
def use_manager(site: Site) -> Any:
    return site.keep()


@rewrites("tf.train.latest_checkpoint", to="torch")
def latest_checkpoint(site: Site) -> Any:
    return call(site.context.emit("latest_checkpoint"), site.arg("checkpoint_dir"))
