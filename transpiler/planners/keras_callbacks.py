"""Keras' callbacks as lines of a training loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Function, Instance, Value, options
from transpiler.planners.keras_names import free_name
from transpiler.rule import Unfit
from transpiler.rules.facts_tf_data import pipelines
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code, find
from transpiler.template import OMIT, as_node, call, fill, fill_statements

Lines = list[cst.BaseStatement]
BASE = "keras.callbacks.Callback"
_RATE = 'logs["learning_rate"] = optimizer.param_groups[0]["lr"]'
_FORMER = {"acc": "accuracy", "val_acc": "val_accuracy"}


@dataclass
class Callback:
    """What a callback does before, in and after the loop over epochs."""

    before: Lines = field(default_factory=list)
    at_start: Lines = field(default_factory=list)
    """At the start of an epoch."""
    batch_start: Lines = field(default_factory=list)
    batch_end: Lines = field(default_factory=list)
    logged: Lines = field(default_factory=list)
    """At the end of an epoch, before its logs are printed and kept."""
    at_end: Lines = field(default_factory=list)
    stops: Lines = field(default_factory=list)
    """Breaks, once every callback has seen the epoch."""
    after: Lines = field(default_factory=list)
    counts: bool = False
    """Whether the lines for batches read the batch's number."""
    reads_logs: bool = False
    """Whether the lines at a batch's end read the logs so far."""


def read_callbacks(
    context: Context, site: Site, names: dict[str, str], validated: bool = True
) -> list[Callback]:
    """The callbacks of a fit. Raises Unfit.

    validated: whether there is validation data, without which nothing begins with `val_`.
    """
    given = site.args.get("callbacks")
    found = [*_beyond_the_end(context, site), *_sequence_ends(context, site)]
    if given is None or (isinstance(given, cst.Name) and given.value == "None"):
        return found
    for node in _listed(context, given):
        values = [v for v in options(context.fact(node)) if isinstance(v, Instance)]
        if len({v.origin for v in values}) != 1 or not isinstance(values[0].origin, cst.Call):
            raise Unfit("a callback of fit is not known before the program runs")
        found.append(_Reader(context, site, node, values[0], names, validated).read())
    return found


def _beyond_the_end(context: Context, site: Site) -> list[Callback]:
    """Keras finds the end of a pipeline of unknown length by one step too many, which it counts.

    Only the optimizer's count of steps moves.
    """
    data = site.args.get("x")
    if not isinstance(data, cst.CSTNode) or site.has("steps_per_epoch"):
        return []
    if not any(p.state.get("uncounted") for p in pipelines(context.fact(data))):
        return []
    message = (
        "Keras counts a step too many at the end of each epoch, as the pipeline's length is not"
        " known before: its Adam corrects its bias a little less from then on"
    )
    if not context.exact:
        context.caution(site.statement, "Model.fit", message)
        return []
    context.remark(site.statement, "Model.fit", message)
    optimizer = optimizer_of(context, site)
    if optimizer is None:
        return []
    unit = cst.Name(context.emit("count_step"))
    lines = fill_statements("unit(optimizer)", unit=unit, optimizer=optimizer)
    return [Callback(at_end=lines)]


def _sequence_ends(context: Context, site: Site) -> list[Callback]:
    """`on_epoch_end` of the program's own data sets, which Keras calls when they are through.

    It also does so once before it begins.
    """
    found = []
    for name in ("x", "generator", "validation_data"):
        data = site.args.get(name)
        if not isinstance(data, (cst.Name, cst.Attribute)):
            continue
        for value in options(context.fact(data)):
            if _hears_ends(value):
                before = fill_statements("data.on_epoch_end()", data=data)
                lines = fill_statements("data.on_epoch_end()", data=data)
                found.append(Callback(before if name != "validation_data" else [], at_end=lines))
                break
    return found


def _hears_ends(value: Value) -> bool:
    """Whether data does something when an epoch is through."""
    if not isinstance(value, Instance):
        return False
    if isinstance(value.cls, Class):
        own = value.cls.lookup("on_epoch_end") is not None
        return own and "keras.utils.PyDataset" in value.class_names
    return value.class_names[:1] == ("keras.preprocessing.image.Iterator",)


def optimizer_of(context: Context, fit: Site) -> cst.BaseExpression | None:
    """The optimizer of the model that a fit trains."""
    assert isinstance(fit.node, cst.Call)
    assert isinstance(fit.node.func, cst.Attribute)
    model = fit.node.func.value
    held = set(options(context.fact(model)))
    for training in reversed(context.notes.get("trainings", [])):
        if held & set(training.models):
            found: cst.BaseExpression = training.name("optimizer", model)
            return found
    return None


def _listed(context: Context, given: cst.BaseExpression) -> list[cst.BaseExpression]:
    """The elements of the list that fit is given; a variable that only holds it goes."""
    if isinstance(given, (cst.List, cst.Tuple)):
        return [e.value for e in given.elements]
    fact = context.fact(given)
    if isinstance(fact, Instance):
        return [given]
    if isinstance(given, cst.BinaryOperation) and isinstance(given.operator, cst.Add):
        return [*_listed(context, given.left), *_listed(context, given.right)]
    if not isinstance(given, cst.Name):
        raise Unfit("the callbacks of fit are not written as a list")
    found: list[cst.BaseExpression] = []
    gone: list[cst.CSTNode] = []
    for use in find(context.module, cst.Name):
        if use.value != given.value or use is given or _is_keyword(context, use):
            continue
        parent: Any = context.edits.parent[use]
        outer: Any = context.edits.parent.get(parent)
        if isinstance(parent, cst.AssignTarget) and isinstance(outer.value, (cst.List, cst.Tuple)):
            found += [e.value for e in outer.value.elements]
            gone.append(context.edits.statement(use))
        elif _is_append(context, parent):
            found.append(context.edits.parent[parent].args[0].value)  # type: ignore[attr-defined]
            gone.append(context.edits.statement(use))
        elif not _is_callbacks(context, use):
            raise Unfit("the callbacks of fit are not written as a list")
    if not gone or any(_is_nested(context, g, given) for g in gone):
        raise Unfit("the callbacks of fit are not written as a list")
    for statement in gone:
        context.edits.replace(statement, [])
    return found


def _is_keyword(context: Context, use: cst.CSTNode) -> bool:
    """Whether a name is no variable: a keyword, an attribute, a part of an import."""
    parent = context.edits.parent.get(use)
    if isinstance(parent, cst.Arg):
        return parent.keyword is use
    if isinstance(parent, cst.Attribute):
        return parent.attr is use or context.edits.enclosing(use, cst.ImportFrom) is not None
    return isinstance(parent, cst.ImportAlias)


def _is_append(context: Context, node: Any) -> bool:
    """`callbacks.append(...)`."""
    outer = context.edits.parent.get(node)
    return (
        isinstance(node, cst.Attribute)
        and node.attr.value == "append"
        and isinstance(outer, cst.Call)
        and isinstance(context.edits.parent.get(outer), cst.Expr)
    )


def _is_callbacks(context: Context, use: cst.Name) -> bool:
    """`callbacks=callbacks` of another fit."""
    parent = context.edits.parent.get(use)
    return (
        isinstance(parent, cst.Arg)
        and parent.keyword is not None
        and parent.keyword.value == "callbacks"
    )


def _is_nested(context: Context, statement: cst.CSTNode, given: cst.CSTNode) -> bool:
    """Whether a list is filled in a branch or loop that fit is not in."""
    around = context.edits.enclosing(statement, cst.If, cst.For, cst.While, cst.FunctionDef)
    place: Any = given
    while place is not None and place is not around:
        place = context.edits.parent.get(place)
    return around is not None and place is not around


class _Reader:
    def __init__(
        self,
        context: Context,
        fit: Site,
        node: cst.BaseExpression,
        value: Instance,
        names: dict[str, str],
        validated: bool,
    ) -> None:
        self.context = context
        self.fit = fit
        self.node = node
        self.value = value
        self.validated = validated
        self.full = (value.class_names or ("",))[0]
        self.kind = self.full.rpartition(".")[2]
        self.site = Site(context, value.origin, self.full)
        assert isinstance(fit.node, cst.Call)
        assert isinstance(fit.node.func, cst.Attribute)
        self.holes: dict[str, Any] = {n: cst.Name(v) for n, v in names.items()}
        self.holes["model"] = fit.node.func.value

    def read(self) -> Callback:
        if isinstance(self.value.cls, Class):
            return self.own()
        writers: dict[str, Callable[[], Callback]] = {
            "EarlyStopping": self.early_stopping,
            "ModelCheckpoint": self.checkpoint,
            "ReduceLROnPlateau": self.plateau,
            "LearningRateScheduler": self.scheduler,
            "LambdaCallback": self.functions,
            "TensorBoard": self.tensorboard,
            "CSVLogger": self.csv_logger,
            "TerminateOnNaN": self.terminate,
            "History": self.nothing,
            "ProgbarLogger": self.nothing,
        }
        writer = writers.get(self.kind)
        if writer is None:
            raise Unfit(f"the callback {self.kind} is not translated")
        return writer()

    # ---- arguments ---------------------------------------------------------------------------

    def const(self, name: str) -> Any:
        value = self.value.arguments.get(name)
        found = constant_value(value) if isinstance(value, Value) else missing
        if found is missing:
            return self.site.const(name)
        return found

    def monitored(self) -> tuple[str, str] | None:
        """The watched value and its mode; None where there is none, so that Keras only warns."""
        monitor = str(self.const("monitor"))
        if monitor.startswith("val_") and not self.validated:
            self.context.caution(
                self.fit.statement, f"callbacks.{self.kind}",
                f"there is no {monitor} without validation data: the callback does nothing",
            )  # fmt: skip
            self.drop()
            return None
        if monitor in _FORMER and not _names_metric(self.context, monitor.removeprefix("val_")):
            monitor = _FORMER[monitor]
        mode = self.const("mode")
        if mode in ("min", "max"):
            return monitor, str(mode)
        high = ("acc", "auc", "precision", "recall", "f1")
        return monitor, "max" if any(h in monitor.lower() for h in high) else "min"

    def options(self, *wanted: str) -> dict[str, Any]:
        return {n: self.site.given(n) for n in wanted}

    def refuse(self, *names: str) -> None:
        for name in names:
            if self.site.has(name) and self.const(name) not in (None, False, 0):
                raise Unfit(f"`{name}` of {self.kind} is not translated")

    def verbose(self) -> Any:
        """`verbose=True` where the callback says what it does."""
        if not self.site.has("verbose") or self.site.const("verbose", 0) == 0:
            return OMIT
        return True

    # ---- the object --------------------------------------------------------------------------

    def variable(self, name: str, new: cst.BaseExpression) -> tuple[Lines, cst.BaseExpression]:
        """Make the callback's object, where the program made it or before the loop."""
        origin = self.value.origin
        self.context.claim(origin)
        if isinstance(self.node, cst.Call) or not self.is_single():
            if not isinstance(self.node, cst.Call):
                self.drop()
            variable = cst.Name(free_name(self.context, name))
            return fill_statements("variable = new", variable=variable, new=new), variable
        self.context.edits.replace(origin, new)
        return [], self.node

    def is_single(self) -> bool:
        """Whether the variable that holds the object is its only place, and one fit uses it."""
        if not isinstance(self.context.edits.parent[self.value.origin], cst.Assign):
            return False
        if not isinstance(self.node, (cst.Name, cst.Attribute)):
            return False
        text = code(self.node)
        uses = [n for n in find(self.context.module, type(self.node))
                if code(n) == text and not _is_keyword(self.context, n)]  # fmt: skip
        return len(uses) == 2

    def drop(self) -> None:
        """The object made elsewhere is not needed any more."""
        origin = self.value.origin
        self.context.claim(origin)
        if not isinstance(self.node, cst.Call):
            if not isinstance(self.context.edits.parent[origin], cst.Assign):
                raise Unfit(f"{self.kind} is made in a way that is not understood")
            self.context.edits.replace(self.context.edits.statement(origin), [])

    def optimizer(self) -> cst.BaseExpression:
        found = optimizer_of(self.context, self.fit)
        if found is not None:
            return found
        raise Unfit(f"the optimizer that {self.kind} changes is not known")

    def lines(self, text: str, **more: Any) -> Lines:
        return fill_statements(text, **{**self.holes, **more})

    # ---- Keras' own --------------------------------------------------------------------------

    def nothing(self) -> Callback:
        self.drop()
        return Callback()

    def early_stopping(self) -> Callback:
        found = self.monitored()
        if found is None:
            return Callback()
        monitor, mode = found
        kept = self.options("patience", "min_delta", "baseline", "restore_best_weights",
                            "start_from_epoch")  # fmt: skip
        new = call(self.context.emit("EarlyStopping"), **kept,
                   mode=OMIT if mode == "min" else mode, verbose=self.verbose())  # fmt: skip
        before, name = self.variable("early_stopping", new)
        holes = {"stopper": name, "monitor": as_node(monitor)}
        end = self.lines("if stopper.step(logs[monitor], epoch, model):\n    break\n", **holes)
        after = []
        if self.const("restore_best_weights"):
            after = self.lines("stopper.restore(model)", **holes)
        return Callback(before, stops=end, after=after)

    def checkpoint(self) -> Callback:
        self.refuse("initial_value_threshold")
        best = self.const("save_best_only")
        found = self.monitored() if best else ("loss", "min")
        if found is None:
            return Callback()
        monitor, mode = found
        if self.const("save_freq") != "epoch" or self.const_of_former("period") not in (None, 1):
            raise Unfit("`save_freq` of ModelCheckpoint is not translated",
                        "save in the training loop")  # fmt: skip
        whole = not self.const("save_weights_only") and saves_whole(self.context)
        path = self.site.arg("filepath")
        if not best:
            return self.every_epoch(path, whole)
        new = call(
            self.context.emit("ModelCheckpoint"), path, mode=OMIT if mode == "min" else mode,
            whole=True if whole else OMIT, verbose=self.verbose(),
        )  # fmt: skip
        before, name = self.variable("checkpoint", new)
        end = self.lines("keeper.step(logs[monitor], epoch, model, **logs)", keeper=name,
                         monitor=as_node(monitor))  # fmt: skip
        return Callback(before, at_end=end)

    def const_of_former(self, name: str) -> Any:
        given = self.site.keywords.get(name)
        return None if given is None else constant_value(self.context.fact(given))

    def every_epoch(self, path: cst.BaseExpression, whole: bool) -> Callback:
        """A file at the end of each epoch."""
        self.drop()
        text = constant_value(self.context.fact(path))
        name: Any = path
        if text is missing or "{" in str(text):
            name = fill("path.format(epoch=epoch + 1, **logs)", path=path, **self.holes)
        content = "model" if whole else "model.state_dict()"
        return Callback(at_end=self.lines(f"torch.save({content}, name)", name=name))

    def plateau(self) -> Callback:
        found = self.monitored()
        if found is None:
            return Callback()
        monitor, mode = found
        patience, cooldown = self.const("patience"), self.const("cooldown")
        optimizer = self.optimizer()
        threshold = self.site.args.get("min_delta", self.site.keywords.get("epsilon"))
        new = call(
            "torch.optim.lr_scheduler.ReduceLROnPlateau", optimizer,
            mode=OMIT if mode == "min" else mode, factor=self.site.arg("factor"),
            patience=max(patience - 1, 0),
            threshold=self.site.arg("min_delta") if threshold is None else threshold,
            threshold_mode="abs", cooldown=OMIT if cooldown < 2 else cooldown - 1,
            min_lr=self.site.given("min_lr"), eps=0.0,
        )  # fmt: skip
        variable = cst.Name(free_name(self.context, "plateau"))
        before = fill_statements("variable = new", variable=variable, new=new)
        self.drop()
        logged = self.lines(_RATE, optimizer=optimizer)
        end = self.lines("plateau.step(logs[monitor])", plateau=variable, monitor=as_node(monitor))
        return Callback(before, logged=logged, at_end=end)

    def scheduler(self) -> Callback:
        function = self.site.arg("schedule")
        values = options(self.context.fact(function))
        first = values[0] if values else None
        if not isinstance(first, Function):
            raise Unfit("the schedule is not known before the program runs")
        optimizer = self.optimizer()
        has_rate = len(first.node.params.params) > 1
        self.drop()
        before: Lines = []
        schedule: Any = function
        if isinstance(function, cst.Lambda):
            params = [p.name.value for p in function.params.params]
            if params == ["epoch"] and self.holes["epoch"].value == "epoch":
                schedule = None
            else:
                schedule = cst.Name(free_name(self.context, "schedule"))
                before = fill_statements("schedule = new", schedule=schedule, new=function)
        if schedule is None:
            rate: Any = function.body  # type: ignore[attr-defined]
        else:
            rate = fill("schedule(epoch, group['lr'])" if has_rate else "schedule(epoch)",
                        schedule=schedule, **self.holes, group=cst.Name("group"))  # fmt: skip
        start = self.lines("for group in optimizer.param_groups:\n    group['lr'] = rate\n",
                           optimizer=optimizer, rate=rate, group=cst.Name("group"))  # fmt: skip
        return Callback(before, start, logged=self.lines(_RATE, optimizer=optimizer))

    def terminate(self) -> Callback:
        self.drop()
        stop = cst.Name(free_name(self.context, "diverged"))
        return Callback(
            self.lines("stop = False", stop=stop), counts=True,
            batch_end=self.lines(
                "if not math.isfinite(loss.item()):\n"
                '    print(f"Batch {batch}: Invalid loss, terminating training")\n'
                "    stop = True\n    break\n", stop=stop,
            ),
            stops=self.lines("if stop:\n    break\n", stop=stop),
        )  # fmt: skip

    def tensorboard(self) -> Callback:
        for name, default in (("histogram_freq", 0), ("embeddings_freq", 0)):
            if self.site.has(name) and self.site.const(name, None) != default:
                self.context.remark(
                    self.fit.statement, "callbacks.TensorBoard",
                    f"`{name}` is left out: only the logs of each epoch are written",
                )  # fmt: skip
        new = call(self.context.emit("summary_writer"), self.site.arg("log_dir"))
        before, writer = self.variable("writer", new)
        logged = self.lines(
            "for key, value in logs.items():\n    writer.add_scalar(key, value, epoch)\n",
            writer=writer,
        )
        return Callback(before, logged=logged, after=self.lines("writer.close()", writer=writer))

    def csv_logger(self) -> Callback:
        new = call(self.context.emit("CSVLogger"), self.site.arg("filename"),
                   **self.options("separator", "append"))  # fmt: skip
        before, name = self.variable("csv_logger", new)
        return Callback(before, logged=self.lines("logger.write(epoch, logs)", logger=name),
                        after=self.lines("logger.close()", logger=name))  # fmt: skip

    def functions(self) -> Callback:
        """LambdaCallback: functions for the places that it is given."""
        result = Callback()
        places: dict[str, tuple[Lines, str]] = {
            "on_train_begin": (result.before, "f(logs)"),
            "on_epoch_begin": (result.at_start, "f(epoch, {})"),
            "on_batch_begin": (result.batch_start, "f(batch, {})"),
            "on_train_batch_begin": (result.batch_start, "f(batch, {})"),
            "on_batch_end": (result.batch_end, "f(batch, logs)"),
            "on_train_batch_end": (result.batch_end, "f(batch, logs)"),
            "on_epoch_end": (result.logged, "f(epoch, logs)"),
            "on_train_end": (result.after, "f(logs)"),
        }
        self.drop()
        for name, given in self.site.keywords.items():
            if name not in places:
                raise Unfit(f"`{name}` of LambdaCallback is not translated")
            lines, text = places[name]
            if name == "on_train_begin":
                text = "f({})"
            result.counts |= "batch" in text
            result.reads_logs |= text == "f(batch, logs)"
            function: Any = given
            if isinstance(given, cst.Lambda):
                function = cst.Name(free_name(self.context, name))
                result.before += fill_statements("f = given", f=function, given=given)
            lines += self.lines(text, f=function)
        return result

    # ---- the program's own -------------------------------------------------------------------

    def own(self) -> Callback:
        """A class of the program: its methods are called where Keras calls them."""
        cls = self.value.cls
        assert isinstance(cls, Class)
        if self.full != BASE:
            raise Unfit(f"a class derived from {self.kind} is not translated",
                        "derive it from Callback")  # fmt: skip
        for method in _methods(cls):
            if method.startswith(("on_test_", "on_predict_")):
                raise Unfit(f"`{method}` of a callback is not translated",
                            "call it in the training loop")  # fmt: skip
        before: Lines = []
        name: Any = self.node
        if isinstance(self.node, cst.Call):
            name = cst.Name(free_name(self.context, _snake(cls.name)))
            before = fill_statements("name = new", name=name, new=self.node)
        used = _attributes(cls)
        self.holes["callback"] = name
        if "model" in used:
            before += self.lines("callback.model = model")
            if "optimizer" in used:
                before += self.lines("model.optimizer = optimizer", optimizer=self.optimizer())
        if "params" in used:
            before += self.lines('callback.params = {"epochs": count_of_epochs}',
                                 count_of_epochs=self.fit.arg("epochs"))  # fmt: skip
        result = Callback(before)
        self.call_methods(cls, result)
        if "stop_training" in used:
            result.before = [*self.lines("model.stop_training = False"), *result.before]
            stop = "if model.stop_training:\n    break\n"
            result.stops += self.lines(stop)
            if any(m in _methods(cls) for m in _BATCH_ENDS):
                result.batch_end += self.lines(stop)
        return result

    def call_methods(self, cls: Class, result: Callback) -> None:
        """Lines that call the methods that the class has."""
        groups = {
            "on_train_begin": (result.before, ""), "on_epoch_begin": (result.at_start, "epoch"),
            "on_batch_begin": (result.batch_start, "batch"),
            "on_train_batch_begin": (result.batch_start, "batch"),
            "on_batch_end": (result.batch_end, "batch"),
            "on_train_batch_end": (result.batch_end, "batch"),
            "on_epoch_end": (result.logged, "epoch"), "on_train_end": (result.after, ""),
        }  # fmt: skip
        for name, (lines, first) in groups.items():
            method = cls.lookup(name)
            if not isinstance(method, Function):
                continue
            given = [first] if first else []
            params = method.node.params.params
            if len(params) > len(given) + 1:
                if name.endswith("_end"):
                    given.append("logs")
                    result.reads_logs |= first == "batch"
                elif params[-1].default is None:
                    given.append("{}")
            result.counts |= first == "batch"
            lines += self.lines(f"callback.{name}({', '.join(given)})")


_BATCH_ENDS = ("on_batch_end", "on_train_batch_end")


def _methods(cls: Class) -> set[str]:
    """The names of a class's methods, those of its bases in the program included."""
    found = {n for n, v in cls.members.items() if isinstance(v, Function)}
    for base in cls.bases:
        if isinstance(base, Class):
            found |= _methods(base)
    return found


def _attributes(cls: Class) -> set[str]:
    """The attributes that a class's methods name."""
    found = {n.attr.value for n in find(cls.node, cst.Attribute)}
    for base in cls.bases:
        if isinstance(base, Class):
            found |= _attributes(base)
    return found


def _snake(name: str) -> str:
    """`StopWhenGood` as `stop_when_good`."""
    text = "".join("_" + c.lower() if c.isupper() else c for c in name).strip("_")
    return text if text != name else f"{text}_callback"


def _names_metric(context: Context, name: str) -> bool:
    """Whether a compile of the program gives a metric this very name."""
    return any(
        isinstance(n, cst.SimpleString) and n.evaluated_value == name
        for c in find(context.module, cst.Call)
        if isinstance(c.func, cst.Attribute) and c.func.attr.value == "compile"
        for n in find(c, cst.SimpleString)
    )


def saves_whole(context: Context) -> bool:
    """Whether the program reads saved models whole, by `load_model`."""
    return any(
        isinstance(c.func, (cst.Name, cst.Attribute)) and code(c.func).endswith("load_model")
        for c in find(context.module, cst.Call)
    )
