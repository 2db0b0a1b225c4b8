"""`compile`, `fit`, `evaluate` and `predict` as an explicit training loop."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Sequence, Tensor, Value, items_of
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_callbacks import Callback, read_callbacks
from transpiler.planners.keras_training import (
    Training,
    calls_of,
    free_name,
    models_of,
    penalized,
    read_trainings,
    write_compile,
)
from transpiler.rule import Unfit
from transpiler.site import Site, constant_value
from transpiler.syntax import code
from transpiler.template import OMIT, as_node, call, fill, fill_statements

FIT, EVALUATE, PREDICT = (f"keras.Model.{n}" for n in ("fit", "evaluate", "predict"))
ACTIVATIONS = {"softmax": "lambda x: x.softmax(-1)", "sigmoid": "torch.sigmoid"}


def plan(context: Context) -> None:
    """Write how each compiled model is trained and used."""
    users = calls_of(context, FIT, EVALUATE)
    trainings = []
    for training in read_trainings(context, users):
        try:
            write_compile(training)
            trainings.append(training)
        except Unfit as error:
            for model in training.models:
                model.state.pop("logits", None)
            context.claim(training.node)
            context.unfit(training.node, "Model.compile", error)
    for node in [*users, *calls_of(context, PREDICT)]:
        name = qualified_name(context, node.func) or ""
        try:
            _Use(context, node, name, trainings).write()
        except Unfit as error:
            context.claim(node)
            context.unfit(node, name.removeprefix("keras."), error)


class _Use:
    """One call of fit, evaluate or predict."""

    def __init__(
        self, context: Context, node: cst.Call, name: str, trainings: list[Training]
    ) -> None:
        self.context = context
        self.node = node
        self.name = name
        self.site = Site(context, node, name)
        assert isinstance(node.func, cst.Attribute)
        self.model = node.func.value
        self.models = models_of(context, node)
        self.trainings = [t for t in trainings if set(t.models) & set(self.models)]

    @property
    def training(self) -> Training:
        if not self.trainings:
            raise Unfit(f"what {self.name.removeprefix('keras.')} trains with is not known here")
        first = self.trainings[-1]
        if any(t.loss != first.loss and t.loss.name != first.loss.name for t in self.trainings):
            raise Unfit("the model is compiled with different losses")
        return first

    def write(self) -> None:
        if self.name == PREDICT:
            self.write_predict()
        elif self.name == EVALUATE:
            self.write_evaluate()
        else:
            self.write_fit()

    # ---- data --------------------------------------------------------------------------------

    def tensor(self, node: cst.BaseExpression, targets: bool = False) -> cst.BaseExpression:
        """Data as a tensor of the dtype that the model or the loss takes."""
        fact = self.context.fact(node)
        if isinstance(fact, (Sequence,)) or not isinstance(fact, Tensor):
            if isinstance(node, (cst.List, cst.Dict, cst.Tuple)) or type(fact).__name__ in (
                "Mapping", "ListObject", "Sequence", "Union",
            ):  # fmt: skip
                raise Unfit("several inputs or outputs at once are not translated")
        if targets and self.training.loss.sparse:
            new = fill("torch.as_tensor(x, dtype=torch.int64)", x=node)
            flat = isinstance(fact, Tensor) and fact.rank == 2 and _rank(self.training.outputs) == 2
            return fill("x.flatten()", x=new) if flat else new
        if not targets and self.takes_ids():
            return fill("torch.as_tensor(x, dtype=torch.int64)", x=node)
        new = fill("torch.as_tensor(x, dtype=torch.float32)", x=node)
        outputs = _rank(self.training.outputs) if targets else None
        if targets and isinstance(fact, Tensor) and outputs is not None and fact.rank is not None:
            if fact.rank == outputs - 1:
                return fill("x.unsqueeze(-1)", x=new)
        return new

    def takes_ids(self) -> bool:
        """Whether the model begins with an embedding."""
        for model in self.models:
            layers = model.state.get("layers") or []
            first = layers[0] if layers else None
            if isinstance(first, Instance) and first.class_names[:1] == ("keras.layers.Embedding",):
                return True
            inputs = model.state.get("inputs_of")
            items = items_of(inputs) if isinstance(inputs, Value) else None
            start = items[0] if items and len(items) == 1 else inputs
            if isinstance(start, Tensor) and (start.dtype or "").startswith("int"):
                return True
        return False

    def is_dataset(self, node: Any) -> bool:
        fact = self.context.fact(node)
        return isinstance(fact, Instance) and any("Dataset" in n for n in fact.class_names)

    def loader(self, x: Any, y: Any, batch_size: Any, shuffle: Any) -> cst.BaseExpression:
        """Batches of arrays, or the dataset as it is."""
        if self.is_dataset(x):
            return as_node(x)
        if y is None:
            raise Unfit("what the data holds is not known here")
        parts = (self.tensor(x), self.tensor(y, targets=True))
        return call(
            "torch.utils.data.DataLoader", call("torch.utils.data.TensorDataset", *parts),
            batch_size=batch_size, shuffle=shuffle,
        )  # fmt: skip

    # ---- predict and evaluate ----------------------------------------------------------------

    def activation(self) -> Any:
        found = {m.state.get("logits") for m in self.models}
        if found == {None}:
            return OMIT
        if len(found) > 1:
            raise Unfit("the models that predict here end differently")
        return fill(ACTIVATIONS[str(found.pop())])

    def write_predict(self) -> None:
        if not self.models:
            raise Unfit("the model that predicts here is not known")
        x = self.site.arg("x")
        if self.is_dataset(x):
            raise Unfit("predict on a tf.data pipeline is not translated",
                        "loop over the loader and collect the outputs")  # fmt: skip
        for name in ("steps", "callbacks"):
            if self.site.has(name):
                raise Unfit(f"`{name}` of predict is not translated")
        if isinstance(self.context.fact(x), (Tensor,)) or not isinstance(x, (cst.List, cst.Dict)):
            new = call(
                self.context.emit("predict"),
                self.model,
                self.tensor_of_input(x),
                batch_size=self.site.given("batch_size"),
                activation=self.activation(),
            )
            self.replace(new)
            return
        raise Unfit("several inputs at once are not translated")

    def tensor_of_input(self, x: cst.BaseExpression) -> cst.BaseExpression:
        kind = "int64" if self.takes_ids() else "float32"
        return fill(f"torch.as_tensor(x, dtype=torch.{kind})", x=x)

    def write_evaluate(self) -> None:
        training = self.training
        for name in ("sample_weight", "steps", "callbacks"):
            if self.site.has(name):
                raise Unfit(f"`{name}` of evaluate is not translated")
        size = self.site.given("batch_size")
        loader = self.loader(self.site.arg("x"), self.site.args.get("y"),
                             32 if size is OMIT else size, OMIT)  # fmt: skip
        result = self.evaluated(training, loader)
        if self.site.const("return_dict", False) is True:
            self.replace(result)
        elif self.has_metrics(training):
            self.replace(fill("list(x.values())", x=result))
        else:
            self.replace(fill('x["loss"]', x=result))

    def has_metrics(self, training: Training) -> bool:
        return Site(self.context, training.node, "keras.Model.compile").has("metrics")

    def evaluated(self, training: Training, loader: Any) -> cst.BaseExpression:
        active = training.removed if self.probabilities(training) else None
        penalty: Any = OMIT
        if penalized(self.context, self.models):
            penalty = cst.Name(self.context.emit("regularization"))
        return call(
            self.context.emit("evaluate"), self.model, loader,
            training.name("criterion", self.model),
            training.name("metrics", self.model),
            activation=fill(ACTIVATIONS[active]) if active else OMIT, penalty=penalty,
        )  # fmt: skip

    def probabilities(self, training: Training) -> bool:
        return bool(training.models[0].state.get("metric activation"))

    def replace(self, new: cst.BaseExpression) -> None:
        self.context.claim(self.node)
        self.context.edits.replace(self.node, new)

    # ---- fit ---------------------------------------------------------------------------------

    def write_fit(self) -> None:
        training, site = self.training, self.site
        if training.schedule and not training.scoped:
            raise Unfit("a learning-rate schedule of another function is not translated")
        for name in ("class_weight", "sample_weight", "steps_per_epoch", "validation_steps",
                     "validation_freq", "validation_batch_size"):  # fmt: skip
            if site.has(name) and site.const(name, None) != 1:
                raise Unfit(f"`{name}` of fit is not translated")
        parent = self.context.edits.parent[self.node]
        history: str | None = None
        if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
            history = parent.targets[0].target.value
        elif not isinstance(parent, (cst.Expr, cst.Return)):
            raise Unfit("the history of fit is used in the expression that trains",
                        "assign it to a variable first")  # fmt: skip
        names = self.loop_names()
        lines = self.data_lines(names)
        callbacks = read_callbacks(self.context, site, names, self.validated)
        if isinstance(parent, cst.Return):
            history = free_name(self.context, "history")
        if history is not None:
            lines += fill_statements("history = {}", history=cst.Name(history))
        for callback in callbacks:
            lines += callback.before
        lines += self.loop(training, callbacks, names, history)
        for callback in callbacks:
            lines += callback.after
        if isinstance(parent, cst.Return):
            lines += fill_statements("return history", history=cst.Name(str(history)))
        self.context.claim(self.node)
        self.context.edits.replace(self.context.edits.statement(self.node), lines)

    def loop_names(self) -> dict[str, str]:
        notes = self.context.notes
        if "loop names" not in notes:
            wanted = ("train_loader", "val_loader", "epoch", "batch", "inputs", "targets", "outputs",
                      "loss", "total", "count", "metric", "logs", "split", "key", "value")  # fmt: skip
            notes["loop names"] = {n: free_name(self.context, n) for n in wanted}
        found: dict[str, str] = notes["loop names"]
        return found

    def holes(self, names: dict[str, str]) -> dict[str, Any]:
        return {n: cst.Name(v) for n, v in names.items()}

    def data_lines(self, names: dict[str, str]) -> list[cst.BaseStatement]:
        site, holes = self.site, self.holes(names)
        x, y = site.arg("x"), site.args.get("y")
        size = site.given("batch_size")
        size = 32 if size is OMIT or constant_value(site.fact(size)) is None else size
        shuffle = True if site.const("shuffle", None) is True else site.arg("shuffle")
        lines: list[cst.BaseStatement] = []
        split = site.const("validation_split", None)
        self.validated = False
        if site.has("validation_split") and split != 0:
            lines += fill_statements("split = int(len(x) * (1 - part))", **holes, x=x,
                                     part=site.arg("validation_split"))  # fmt: skip
            if y is None:
                raise Unfit("validation_split needs targets as an array")
            train = self.sliced(x, y, ":split", size, shuffle, holes)
            held = self.sliced(x, y, "split:", size, OMIT, holes)
            lines += fill_statements("train_loader = new", **holes, new=train)
            self.validated = True
            return lines + fill_statements("val_loader = new", **holes, new=held)
        new = self.loader(x, y, size, shuffle)
        lines += fill_statements("train_loader = new", **holes, new=new)
        if site.has("validation_data"):
            self.validated = True
            data = site.arg("validation_data")
            if isinstance(data, (cst.Tuple, cst.List)) and len(data.elements) == 2:
                vx, vy = (e.value for e in data.elements)
                held = self.loader(vx, vy, size, OMIT)
            elif self.is_dataset(data):
                held = as_node(data)
            else:
                raise Unfit("validation_data is not understood")
            lines += fill_statements("val_loader = new", **holes, new=held)
        return lines

    def sliced(
        self, x: Any, y: Any, part: str, size: Any, shuffle: Any, holes: dict[str, Any]
    ) -> cst.BaseExpression:
        """A loader over a part of the arrays."""
        tensors = []
        for node, targets in ((x, False), (y, True)):
            whole = self.tensor(node, targets)
            tensors.append(fill(f"whole[{part}]", whole=whole, **holes))
        return call(
            "torch.utils.data.DataLoader", call("torch.utils.data.TensorDataset", *tensors),
            batch_size=size, shuffle=shuffle,
        )  # fmt: skip

    def loop(
        self,
        training: Training,
        callbacks: list[Callback],
        names: dict[str, str],
        history: str | None,
    ) -> list[cst.BaseStatement]:
        site, holes = self.site, self.holes(names)
        holes |= {w: training.name(w, self.model) for w in ("criterion", "optimizer", "metrics")}
        epochs = site.arg("epochs")
        rounds = call("range", site.arg("initial_epoch"), epochs) if site.has("initial_epoch") and \
            site.const("initial_epoch", None) != 0 else call("range", epochs)  # fmt: skip
        has_metrics = self.has_metrics(training)
        regular = penalized(self.context, self.models)
        loss = "criterion(outputs, targets)"
        if regular:
            loss += f" + {self.context.emit('regularization')}(model)"
        shown = "outputs"
        if self.probabilities(training) and training.removed:
            shown = "outputs.softmax(-1)" if training.removed == "softmax" else "outputs.sigmoid()"
        counts = any(c.counts for c in callbacks)
        text = "for epoch in rounds:\n"
        text += "    starts\n"
        text += "    model.train()\n    total = count = 0\n"
        if has_metrics:
            text += "    for metric in metrics.values():\n        metric.reset_state()\n"
        text += "    for batch, (inputs, targets) in enumerate(train_loader):\n" if counts else (
            "    for inputs, targets in train_loader:\n"
        )
        text += "        batch_starts\n"
        text += "        optimizer.zero_grad()\n        outputs = model(inputs)\n"
        text += f"        loss = {loss}\n        loss.backward()\n        optimizer.step()\n"
        if training.schedule:
            text += "        scheduler.step()\n"
        text += "        total += loss.item() * len(targets)\n        count += len(targets)\n"
        if has_metrics:
            text += "        for metric in metrics.values():\n"
            text += f"            metric.update_state(targets, {shown})\n"
        if any(c.reads_logs for c in callbacks):
            text += '        logs = {"loss": total / count}\n'
            if has_metrics:
                text += "        logs |= {key: float(value.result()) for key, value in "
                text += "metrics.items()}\n"
        text += "        batch_ends\n"
        text += '    logs = {"loss": total / count}\n'
        if has_metrics:
            text += "    logs |= {key: float(value.result()) for key, value in metrics.items()}\n"
        if self.validated:
            text += '    logs |= {f"val_{key}": value for key, value in validation.items()}\n'
        text += "    logged\n"
        if history is not None:
            text += "    for key, value in logs.items():\n"
            text += "        history.setdefault(key, []).append(value)\n"
        if site.const("verbose", "auto") != 0:
            last = code(epochs) if isinstance(epochs, cst.Integer) else "{epochs}"
            text += f'    print(f"Epoch {{epoch + 1}}/{last} - " + '
            text += '" - ".join(f"{key}: {value:.4f}" for key, value in logs.items()))\n'
        text += "    ends\n"
        validation: cst.BaseExpression = cst.Name("x")
        if self.validated:
            validation = self.evaluated(training, holes["val_loader"])
        if training.names is not None:
            holes["scheduler"] = cst.Name(training.names["scheduler"])
        return fill_statements(
            text, **holes, model=self.model, rounds=rounds, epochs=epochs, validation=validation,
            history=cst.Name(history or "history"),
            starts=[s for c in callbacks for s in c.at_start],
            batch_starts=[s for c in callbacks for s in c.batch_start],
            batch_ends=[s for c in callbacks for s in c.batch_end],
            logged=once([s for c in callbacks for s in c.logged]),
            ends=[s for c in callbacks for s in c.at_end] + [s for c in callbacks for s in c.stops],
        )  # fmt: skip


def once(statements: list[cst.BaseStatement]) -> list[cst.BaseStatement]:
    """Statements without those that stand there already."""
    found: dict[str, cst.BaseStatement] = {}
    for statement in statements:
        found.setdefault(cst.Module([statement]).code, statement)  # type: ignore[list-item]
    return list(found.values())


def _rank(value: Value | None) -> int | None:
    return value.rank if isinstance(value, Tensor) else None
