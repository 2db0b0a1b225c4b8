"""Keras' callbacks as lines of a training loop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Function, Instance, Value, options
from transpiler.planners.keras_training import free_name
from transpiler.rule import Unfit
from transpiler.site import Site, constant_value, missing
from transpiler.template import OMIT, as_node, call, fill_statements

Lines = list[cst.BaseStatement]


@dataclass
class Callback:
    """What a callback does before, in and after the loop over epochs."""

    before: Lines = field(default_factory=list)
    at_start: Lines = field(default_factory=list)
    at_end: Lines = field(default_factory=list)
    after: Lines = field(default_factory=list)


def read_callbacks(context: Context, site: Site, names: dict[str, str]) -> list[Callback]:
    """The callbacks of a fit. Raises Unfit."""
    given = site.args.get("callbacks")
    if given is None or (isinstance(given, cst.Name) and given.value == "None"):
        return []
    nodes = [given]
    if isinstance(given, (cst.List, cst.Tuple)):
        nodes = [e.value for e in given.elements]
    elif isinstance(given, cst.Name):
        nodes = _listed(context, given)
    found = []
    for node in nodes:
        values = [v for v in options(context.fact(node)) if isinstance(v, Instance)]
        if len(values) != 1 or not isinstance(values[0].origin, cst.Call):
            raise Unfit("a callback of fit is not known before the program runs")
        found.append(_Reader(context, site, node, values[0], names).read())
    return found


def _listed(context: Context, name: cst.Name) -> list[cst.BaseExpression]:
    """The elements of a list that a variable holds."""
    from transpiler.syntax import find

    lists = [
        a.value
        for a in find(context.module, cst.Assign)
        if len(a.targets) == 1
        and isinstance(a.targets[0].target, cst.Name)
        and a.targets[0].target.value == name.value
    ]
    uses = [n for n in find(context.module, cst.Attribute)
            if isinstance(n.value, cst.Name) and n.value.value == name.value]  # fmt: skip
    if len(lists) != 1 or not isinstance(lists[0], (cst.List, cst.Tuple)) or uses:
        raise Unfit("the callbacks of fit are not written as a list")
    context.edits.replace(context.edits.statement(lists[0]), [])
    return [e.value for e in lists[0].elements]


class _Reader:
    def __init__(
        self,
        context: Context,
        fit: Site,
        node: cst.BaseExpression,
        value: Instance,
        names: dict[str, str],
    ) -> None:
        self.context = context
        self.fit = fit
        self.node = node
        self.value = value
        self.full = (value.class_names or ("",))[0]
        self.kind = self.full.rpartition(".")[2]
        self.site = Site(context, value.origin, self.full)
        assert isinstance(fit.node, cst.Call)
        assert isinstance(fit.node.func, cst.Attribute)
        self.holes: dict[str, Any] = {n: cst.Name(v) for n, v in names.items()}
        self.holes["model"] = fit.node.func.value

    def read(self) -> Callback:
        if not self.full.startswith("keras.callbacks."):
            raise Unfit("a callback class of the program's own is not translated",
                        "move what it does into the training loop")  # fmt: skip
        writer = {
            "EarlyStopping": self.early_stopping,
            "ModelCheckpoint": self.checkpoint,
            "ReduceLROnPlateau": self.plateau,
            "LearningRateScheduler": self.scheduler,
            "LambdaCallback": self.function,
            "History": Callback,
            "TerminateOnNaN": None,
        }.get(self.kind)
        if writer is None:
            raise Unfit(f"the callback {self.kind} is not translated")
        return writer()

    def const(self, name: str) -> Any:
        value = self.value.arguments.get(name)
        found = constant_value(value) if isinstance(value, Value) else missing
        if found is missing:
            return self.site.const(name)
        return found

    def mode(self, monitor: str) -> str:
        mode = self.const("mode")
        if mode in ("min", "max"):
            return str(mode)
        high = ("acc", "auc", "precision", "recall", "f1")
        return "max" if any(h in monitor for h in high) else "min"

    def variable(self, name: str, new: cst.BaseExpression) -> tuple[Lines, cst.BaseExpression]:
        """Make the callback's object, where the program made it or before the loop."""
        origin = self.value.origin
        self.context.claim(origin)
        if isinstance(self.node, cst.Call):
            variable = cst.Name(free_name(self.context, name))
            return fill_statements("variable = new", variable=variable, new=new), variable
        self.context.edits.replace(origin, new)
        return [], self.node

    def options(self, *wanted: str) -> dict[str, Any]:
        return {n: self.site.given(n) for n in wanted}

    def refuse(self, *names: str) -> None:
        for name in names:
            if self.site.has(name) and self.const(name) not in (None, False, 0):
                raise Unfit(f"`{name}` of {self.kind} is not translated")

    def early_stopping(self) -> Callback:
        monitor = self.const("monitor")
        mode = self.mode(monitor)
        kept = self.options("patience", "min_delta", "baseline", "restore_best_weights",
                            "start_from_epoch")  # fmt: skip
        new = call(self.context.emit("EarlyStopping"), **kept, mode=OMIT if mode == "min" else mode)
        before, name = self.variable("early_stopping", new)
        holes = {**self.holes, "stopper": name, "monitor": as_node(monitor)}
        end = fill_statements("if stopper.step(logs[monitor], epoch, model):\n    break\n", **holes)
        after = []
        if self.const("restore_best_weights"):
            after = fill_statements("stopper.restore(model)", **holes)
        return Callback(before, [], end, after)

    def checkpoint(self) -> Callback:
        monitor = self.const("monitor")
        mode = self.mode(monitor)
        self.refuse("initial_value_threshold")
        if self.const("save_freq") != "epoch":
            raise Unfit("`save_freq` of ModelCheckpoint is not translated")
        new = call(
            self.context.emit("ModelCheckpoint"),
            self.site.arg("filepath"),
            mode=OMIT if mode == "min" else mode,
            **self.options("save_best_only"),
        )
        before, name = self.variable("checkpoint", new)
        holes = {**self.holes, "keeper": name, "monitor": as_node(monitor)}
        end = fill_statements("keeper.step(logs[monitor], epoch, model, **logs)", **holes)
        self.context.caution(
            self.fit.statement, "callbacks.ModelCheckpoint",
            "the file holds the state_dict of the PyTorch model, whatever its name ends in",
        )  # fmt: skip
        return Callback(before, [], end)

    def optimizer(self) -> cst.BaseExpression:
        trainings = self.context.notes["training names"]
        for key, names in trainings.items():
            receivers = options(self.context.fact(self.holes["model"]))
            if any(id(r) in key for r in receivers):
                return cst.Name(names["optimizer"])
        raise Unfit(f"the optimizer that {self.kind} changes is not known")

    def plateau(self) -> Callback:
        monitor = self.const("monitor")
        mode, patience = self.mode(monitor), self.const("patience")
        cooldown = self.const("cooldown")
        new = call(
            "torch.optim.lr_scheduler.ReduceLROnPlateau", self.optimizer(),
            mode=OMIT if mode == "min" else mode, factor=self.site.arg("factor"),
            patience=max(patience - 1, 0), threshold=self.site.arg("min_delta"),
            threshold_mode="abs", cooldown=OMIT if cooldown < 2 else cooldown - 1,
            min_lr=self.site.given("min_lr"), eps=0.0,
        )  # fmt: skip
        variable = cst.Name(free_name(self.context, "plateau"))
        before = fill_statements("variable = new", variable=variable, new=new)
        self.drop()
        end = fill_statements("plateau.step(logs[monitor])", **{
            **self.holes, "plateau": variable, "monitor": as_node(monitor)})  # fmt: skip
        return Callback(before, [], end)

    def drop(self) -> None:
        """The object made elsewhere is not needed any more."""
        origin = self.value.origin
        self.context.claim(origin)
        if not isinstance(self.node, cst.Call):
            if not isinstance(self.context.edits.parent[origin], cst.Assign):
                raise Unfit(f"{self.kind} is made in a way that is not understood")
            self.context.edits.replace(self.context.edits.statement(origin), [])

    def scheduler(self) -> Callback:
        function = self.site.arg("schedule")
        values = options(self.context.fact(function))
        first = values[0] if values else None
        if not isinstance(first, Function):
            raise Unfit("the schedule is not known before the program runs")
        params = first.node.params.params
        text = "schedule(epoch, group['lr'])" if len(params) > 1 else "schedule(epoch)"
        self.drop()
        start = fill_statements(
            f"for group in optimizer.param_groups:\n    group['lr'] = {text}\n",
            **self.holes, optimizer=self.optimizer(), schedule=function,
            group=cst.Name("group"),
        )  # fmt: skip
        return Callback([], start)

    def function(self) -> Callback:
        self.refuse("on_epoch_begin", "on_train_begin", "on_train_end", "on_train_batch_begin",
                    "on_train_batch_end")  # fmt: skip
        given = self.site.args.get("on_epoch_end")
        if given is None:
            raise Unfit("a LambdaCallback without on_epoch_end is not translated")
        self.drop()
        if isinstance(given, cst.Lambda):
            variable = cst.Name(free_name(self.context, "on_epoch_end"))
            before = fill_statements("variable = given", variable=variable, given=given)
            return Callback(before, [], fill_statements("f(epoch, logs)", **self.holes, f=variable))
        return Callback([], [], fill_statements("f(epoch, logs)", **self.holes, f=given))
