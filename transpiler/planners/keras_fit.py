"""`fit`, `evaluate`, `predict` and their like, of models that are compiled."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    ListObject,
    Mapping,
    Sequence,
    Tensor,
    items_of,
    options,
)
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_batches import Batches, is_sequence
from transpiler.planners.keras_callbacks import read_callbacks
from transpiler.planners.keras_compile import adds_losses, adds_weights, parts_of, penalized
from transpiler.planners.keras_loop import Loop
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_tape.sensitive import fits_in_inference
from transpiler.planners.keras_training import Training, calls_of, models_of, output_of
from transpiler.rule import Unfit
from transpiler.rules.facts_keras import is_generator
from transpiler.rules.keras_saving import WHOLE_MODELS
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import find, walk
from transpiler.template import OMIT, call, fill, fill_statements

METHODS = ("fit", "evaluate", "predict", "fit_generator", "evaluate_generator",
           "predict_generator", "train_on_batch", "test_on_batch", "predict_on_batch",
           "predict_classes", "predict_proba")  # fmt: skip
ENDS = {"softmax": "lambda x: x.softmax(-1)", "sigmoid": "torch.sigmoid"}
LOOP_NAMES = ("train_loader", "val_loader", "epoch", "batch", "inputs", "targets", "weights",
              "outputs", "loss", "total", "count", "metric", "logs", "split", "key", "value",
              "data")  # fmt: skip


def plan(context: Context) -> None:
    """Write how each compiled model is trained and used."""
    trainings: list[Training] = context.notes.get("trainings", [])
    for training in [t for t in trainings if _is_left(t.models)]:
        context.edits.withdraw(context.edits.statement(training.node))
        _leave(context, training.node)
    for node in calls_of(context, *(f"keras.Model.{n}" for n in METHODS)):
        name = qualified_name(context, node.func) or ""
        if _is_left(models_of(context, node)):
            _leave(context, node)
            continue
        try:
            Use(context, node, name, trainings).write()
        except Unfit as error:
            context.claim(node)
            context.unfit(node, name.removeprefix("keras."), error)
    drop_unused(context)


def drop_unused(context: Context) -> None:
    """Callbacks in variables that no fit is given go."""
    names = [n for n in find(context.module, cst.Name) if _is_variable(context, n)]
    gone: set[cst.CSTNode] = set()
    lines = [a for a in find(context.module, cst.Assign) if len(a.targets) == 1]
    for assign in reversed(lines):
        target = assign.targets[0].target
        if not isinstance(target, cst.Name) or not _makes_callbacks(context, assign.value):
            continue
        if any(n.value == target.value and n is not target and n not in gone for n in names):
            continue
        statement = context.edits.statement(assign)
        gone |= set(find(assign, cst.Name))
        for item in walk(assign.value):
            context.claim(item)
        context.edits.replace(statement, [])
        context.remark(statement, "keras.callbacks",
                       f"`{target.value}` is left out: no training is given it")  # fmt: skip


def _is_variable(context: Context, name: cst.Name) -> bool:
    """Whether a name stands for a variable, and not for a keyword, an attribute or a module."""
    parent = context.edits.parent[name]
    if isinstance(parent, cst.Arg):
        return parent.keyword is not name
    if isinstance(parent, cst.Attribute):
        return parent.value is name
    return not isinstance(parent, (cst.ImportAlias, cst.ImportFrom, cst.AsName))


def _makes_callbacks(context: Context, node: cst.BaseExpression) -> bool:
    """Whether an expression makes a callback of Keras', or lists some."""
    if isinstance(node, (cst.List, cst.Tuple)) and node.elements:
        return all(_is_callback(context, e.value) for e in node.elements)
    return (
        isinstance(node, cst.Call) and node not in context.claimed and (_is_callback(context, node))
    )


def _is_callback(context: Context, node: cst.BaseExpression) -> bool:
    fact = context.fact(node)
    return isinstance(fact, Instance) and (fact.class_names or ("",))[0].startswith(
        "keras.callbacks."
    )


def _is_left(models: list[Instance]) -> bool:
    return any(m.state.get("left") for m in models)


def _leave(context: Context, node: cst.Call) -> None:
    """What uses a model that stays Keras' stays as well."""
    for item in walk(node):
        context.claim(item)


class Use:
    """One call of fit, evaluate or predict."""

    def __init__(
        self, context: Context, node: cst.Call, name: str, trainings: list[Training]
    ) -> None:
        self.context = context
        self.node = node
        self.name = name.rpartition(".")[2].removesuffix("_generator")
        known = self.name if self.name not in ("predict_classes", "predict_proba") else "predict"
        self.site = Site(context, node, f"keras.Model.{known}")
        assert isinstance(node.func, cst.Attribute)
        self.model = node.func.value
        self.models = models_of(context, node)
        self.trainings = [t for t in trainings if set(t.models) & set(self.models)]
        self.batches = Batches(context, self.models, self.trainings[-1] if self.trainings else None)
        self.flows = self.name_flows() if self.name == "fit" else []

    def name_flows(self) -> list[cst.BaseStatement]:
        """`fit(made.flow(x, y))`: a flow gets a name, as it is told when an epoch is through."""
        lines: list[cst.BaseStatement] = []
        for what, usual in (("x", "train_flow"), ("generator", "train_flow"),
                            ("validation_data", "val_flow")):  # fmt: skip
            node = self.given(what)
            if not isinstance(node, cst.Call) or not is_sequence(self.batches.fact(node)):
                continue
            name = cst.Name(free_name(self.context, usual))
            self.context.facts[name] = self.context.fact(node)
            self.site.give(node, name)
            lines += fill_statements("flow = new", flow=name, new=node)
        return lines

    @property
    def training(self) -> Training:
        if not self.trainings:
            raise Unfit(f"what {self.name} trains with is not known here")
        around = self.context.edits.enclosing(self.node, cst.FunctionDef)
        place = self.context.edits.order(self.node)
        before = [
            t for t in self.trainings
            if self.context.edits.order(t.node) < place
            and self.context.edits.enclosing(t.node, cst.FunctionDef) is around
        ]  # fmt: skip
        return before[-1] if before else self.trainings[-1]

    def write(self) -> None:
        writers = {
            "fit": self.write_fit, "evaluate": self.write_evaluate, "predict": self.write_predict,
            "predict_proba": self.write_predict, "predict_classes": self.write_classes,
            "predict_on_batch": self.write_predict, "train_on_batch": self.write_on_batch,
            "test_on_batch": self.write_on_batch,
        }  # fmt: skip
        if self.name in ("fit", "train_on_batch") and self.is_read_back():
            raise Unfit("the file of the model that trains on here does not hold its optimizer",
                        "compile the model that was loaded")  # fmt: skip
        writers[self.name]()

    def is_read_back(self) -> bool:
        """Whether the model was loaded after the compilation whose optimizer trains it.

        That optimizer moves the parameters of the model that was saved.
        """
        order, around = self.context.edits.order, self.context.edits.enclosing
        loads = [
            order(assign)
            for assign in find(self.context.module, cst.Assign)
            if any(t.target.deep_equals(self.model) for t in assign.targets)
            and isinstance(assign.value, cst.Call)
            and qualified_name(self.context, assign.value.func) in WHOLE_MODELS
            and around(assign, cst.FunctionDef) is around(self.node, cst.FunctionDef)
            and order(assign) < order(self.node)
        ]
        return bool(loads) and bool(self.trainings) and max(loads) > order(self.training.node)

    def replace(self, new: cst.BaseExpression) -> None:
        self.context.claim(self.node)
        self.context.edits.replace(self.node, new)

    def given(self, *names: str) -> Any:
        """An argument by any of its names, the former ones included."""
        for name in names:
            found = self.site.keywords.get(name)
            found = self.site.args.get(name) if found is None else found
            if found is not None and not (isinstance(found, cst.Name) and found.value == "None"):
                return found
        return None

    # ---- predict -----------------------------------------------------------------------------

    def activation(self) -> Any:
        found = {m.state.get("logits") for m in self.models}
        if found <= {None}:
            return OMIT
        if len(found) > 1:
            raise Unfit("the models that predict here end differently")
        return fill(ENDS[str(found.pop())])

    def write_predict(self) -> None:
        self.replace(self.predicted())

    def write_classes(self) -> None:
        """The former predict_classes: the largest, or whether it is above one half."""
        model = self.models[0] if self.models else None
        output: Any = model.state.get("output") if model is not None else None
        width = output.shape[-1] if getattr(output, "shape", None) else None
        end = "(p > 0.5).astype('int32')" if width == 1 else "p.argmax(axis=-1)"
        self.replace(fill(end, p=self.predicted()))

    def predicted(self) -> cst.BaseExpression:
        if not self.models:
            raise Unfit("the model that predicts here is not known")
        x = self.given("x", "generator")
        kind = self.batches.kind(x)
        size = self.site.args.get("batch_size", OMIT)
        if kind == "one" and not self.batches.is_pipeline(x):
            if self.gives_several():
                size = 32 if size is OMIT else size
                batches = fill("x.split(n)", x=self.batches.inputs(x), n=size)
                return call(self.context.emit("predict_batches"), self.model, batches)
            return call(
                self.context.emit("predict"), self.model, self.batches.inputs(x), batch_size=size,
                activation=self.activation(),
            )  # fmt: skip
        if self.batches.is_pipeline(x):
            parts = self.batches.batch_of(x)
            loader: Any = self.batches.pipeline(x, [])
            if len(parts) > 1:
                loader = fill("(first for first, *_ in x)", x=loader, first=cst.Name("x"))
        elif self.name == "predict_on_batch":
            loader = cst.List([cst.Element(self.batches.batch(x))])
        else:
            data = call(self.context.emit("slices"), self.batches.inputs(x))
            loader = self.batches.loader(data, 32 if size is OMIT else size)
        if self.given("steps") is not None:
            self.context.request_import("import itertools")
            loader = fill("itertools.islice(x, n)", x=loader, n=self.given("steps"))
        several = self.batches.spreads(kind)
        return call(
            self.context.emit("predict_batches"), self.model, loader, activation=self.activation(),
            call=cst.Name(self.context.emit("call_with_all")) if several else OMIT,
        )  # fmt: skip

    def gives_several(self) -> bool:
        """Whether the model gives several arrays, in a list or a dict."""
        found = output_of(self.context, self.models[0])
        items = items_of(found) if isinstance(found, (Sequence, ListObject)) else None
        return isinstance(found, Mapping) or (items is not None and len(items) > 1)

    # ---- evaluate ----------------------------------------------------------------------------

    def write_evaluate(self) -> None:
        training = self.training
        size = self.given("batch_size")
        loader = self.loader(self.given("x", "generator"), self.given("y"),
                             32 if size is None else size, OMIT,
                             self.given("sample_weight"))  # fmt: skip
        steps = self.given("steps")
        if steps is not None:
            loader = self.islice(loader, steps)
        kind = self.batches.kind(self.given("x", "generator"))
        self.finish(self.evaluated(training, loader, kind), training)

    def finish(self, result: cst.BaseExpression, training: Training) -> None:
        """The results as Keras hands them out."""
        parent = self.context.edits.parent[self.node]
        if isinstance(parent, cst.Expr) and self.name == "evaluate":
            result = fill("print(x)", x=result) if self.is_shown() else result
            self.replace(result)
        elif self.site.const("return_dict", False) is True or isinstance(parent, cst.Expr):
            self.replace(result)
        elif training.has_metrics or training.stepped:
            self.replace(fill("list(x.values())", x=result))
        else:
            self.replace(fill('x["loss"]', x=result))

    def is_shown(self) -> bool:
        given = self.given("verbose")
        value = constant_value(self.context.fact(given)) if given is not None else "auto"
        return value is missing or value not in (0, False)

    def evaluated(self, training: Training, loader: Any, kind: str) -> cst.BaseExpression:
        if training.stepped:
            return call(self.context.emit("evaluate_steps"), self.model, loader)
        if not training.has_loss:
            raise Unfit("evaluating a model without a loss is not translated")
        active = training.removed if training.probabilities else None
        several = self.batches.spreads(kind)
        return call(
            self.context.emit("evaluate"), self.model, loader,
            training.name("criterion", self.model), training.name("metrics", self.model),
            activation=fill(ENDS[active]) if active else OMIT, penalty=self.penalty(),
            call=cst.Name(self.context.emit("call_with_all")) if several else OMIT,
            weighted=True if training.weighs_metrics else OMIT,
        )  # fmt: skip

    def penalties(self) -> tuple[str, ...]:
        names = []
        if penalized(self.models):
            names.append(self.context.emit("regularization"))
        if adds_losses(self.context, self.models):
            names.append(self.context.emit("added_losses"))
        return tuple(names)

    def constrained(self) -> bool:
        """Whether weights are put back into bounds after each step."""
        for part in parts_of(self.models):
            for name, value in part.arguments.items():
                if name.endswith("_constraint") and isinstance(value, Instance):
                    self.context.emit("apply_constraints")
                    return True
            if adds_weights(part, "constraint"):
                self.context.emit("apply_constraints")
                return True
        return False

    def penalty(self) -> Any:
        names = self.penalties()
        if len(names) < 2:
            return cst.Name(names[0]) if names else OMIT
        return fill(f"lambda model: {' + '.join(f'{n}(model)' for n in names)}")

    # ---- one batch ---------------------------------------------------------------------------

    def write_on_batch(self) -> None:
        training = self.training
        if training.stepped or not training.has_loss:
            raise Unfit(f"{self.name} of a model with a training step of its own is not translated")
        x, y = self.site.arg("x"), self.given("y")
        if y is None:
            raise Unfit(f"{self.name} without targets is not translated")
        if self.given("class_weight") is not None:
            raise Unfit(f"`class_weight` of {self.name} is not translated")
        kind = self.batches.kind(x)
        active = training.removed if training.probabilities else None
        weights = self.given("sample_weight")
        parts = [self.batches.inputs(x), self.batches.targets(y, training.outputs)]
        several = self.batches.spreads(kind)
        options = {
            "activation": fill(ENDS[active]) if active else OMIT, "penalty": self.penalty(),
            "call": cst.Name(self.context.emit("call_with_all")) if several else OMIT,
        }  # fmt: skip
        names = [training.name(n, self.model) for n in ("criterion", "optimizer", "metrics")]
        if self.name == "test_on_batch":
            batch = cst.List([cst.Element(cst.Tuple([cst.Element(p) for p in parts]))])
            result = call(self.context.emit("evaluate"), self.model, batch, names[0], names[2],
                          **options)  # fmt: skip
        else:
            if weights is not None:
                options["weights"] = cst.Tuple([cst.Element(self.batches.weights(weights))])
            if fits_in_inference(self.context, self.models):
                raise Unfit(
                    "`call` takes no `training`: train_on_batch of Keras 3 leaves dropout and batch"
                    " norms in inference", "give `call` a parameter `training`",
                )  # fmt: skip
            result = call(
                self.context.emit("train_on_batch"), self.model, *parts, *names, **options
            )
        self.finish(result, training)

    def in_inference(self) -> bool:
        """Whether the model is fitted in evaluation mode, which is then reported."""
        if not fits_in_inference(self.context, self.models):
            return False
        self.context.caution(
            self.context.edits.statement(self.node), f"Model.{self.name}",
            "`call` takes no `training`: Keras 3's fit leaves dropout and batch norms in inference,"
            " and so does this loop (Keras 2 trained them)",
            "write model.train() for model.eval() in the loop if that was not meant",
        )  # fmt: skip
        return True

    # ---- loaders -----------------------------------------------------------------------------

    def loader(self, x: Any, y: Any, size: Any, shuffle: Any, weights: Any = None) -> Any:
        """Batches of arrays, or the pipeline as it is."""
        if self.batches.is_pipeline(x):
            training = self.training
            return self.batches.pipeline(x, [] if training.stepped else training.outputs)
        parts = [self.batches.inputs(x)]
        if y is not None:
            parts.append(self.batches.targets(y, self.training.outputs))
        if weights is not None:
            parts.append(self.batches.weights(weights))
        return self.batches.loader(self.batches.dataset(parts), size, shuffle)

    def islice(self, loader: Any, steps: Any) -> cst.BaseExpression:
        self.context.request_import("import itertools")
        return fill("itertools.islice(x, n)", x=loader, n=steps)

    # ---- fit ---------------------------------------------------------------------------------

    def write_fit(self) -> None:
        training = self.training
        if training.schedule and not training.scoped:
            raise Unfit("a learning-rate schedule of another function is not translated")
        if not training.stepped and not training.has_loss and not self.penalties():
            raise Unfit("a model compiled without a loss is not translated")
        history, statement = self.history()
        names = self.loop_names()
        fit = Fit(self, training, names)
        lines = [*self.flows, *fit.data_lines()]
        callbacks = read_callbacks(self.context, self.site, names, fit.validation is not None)
        if history is not None:
            lines += fill_statements("history = {}", history=history)
        for callback in callbacks:
            lines += callback.before
        lines += fit.dry_run()
        lines += fit.loop(history, callbacks).write()
        for callback in callbacks:
            lines += callback.after
        if isinstance(history, cst.Name) and self.is_asked():
            lines += fill_statements("model.history = history", model=self.model, history=history)
        self.context.claim(self.node)
        if self.is_read(history):
            assert history is not None
            self.context.edits.insert_before(statement, lines)
            self.replace_history(history)
            return
        self.context.edits.replace(statement, lines)

    def is_read(self, history: cst.BaseExpression | None) -> bool:
        """Whether the line goes on with the history."""
        parent: Any = self.context.edits.parent[self.node]
        if isinstance(parent, cst.Attribute):
            parent = self.context.edits.parent[parent]
        return history is not None and not isinstance(parent, (cst.Assign, cst.Expr))

    def replace_history(self, history: cst.BaseExpression) -> None:
        parent: Any = self.context.edits.parent[self.node]
        is_dict = isinstance(parent, cst.Attribute) and parent.attr.value == "history"
        self.context.edits.replace(parent if is_dict else self.node, history)

    def history(self) -> tuple[cst.BaseExpression | None, cst.CSTNode]:
        """Where the history goes, and the statement that the loop replaces."""
        statement = self.context.edits.statement(self.node)
        parent: Any = self.context.edits.parent[self.node]
        if isinstance(parent, cst.Attribute) and parent.attr.value == "history":
            self.context.claim(parent)
            parent = self.context.edits.parent[parent]
        if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
            target = parent.targets[0].target
            if isinstance(target, (cst.Name, cst.Attribute)):
                return target, statement
        if isinstance(parent, cst.Expr):
            kept = cst.Attribute(self.model, cst.Name("history")) if self.is_asked() else None
            return kept, statement
        if isinstance(parent, cst.Return) or self.is_first(statement):
            return cst.Name(free_name(self.context, "history")), statement
        raise Unfit("the history of fit is used in the expression that trains",
                    "assign it to a variable first")  # fmt: skip

    def is_asked(self) -> bool:
        """Whether the program asks the model for the history of its last fit."""
        return any(
            node.attr.value == "history"
            and any(m in self.models for m in options(self.context.fact(node.value)))
            for node in find(self.context.module, cst.Attribute)
        )

    def is_first(self, statement: cst.CSTNode) -> bool:
        """Whether fit is the first thing that a line does, and does once."""
        if not isinstance(statement, cst.SimpleStatementLine):
            return False
        around = set()
        node: Any = self.node
        while node is not statement:
            node = self.context.edits.parent[node]
            around.add(node)
        kinds = (cst.Lambda, cst.BaseComp, cst.IfExp, cst.BooleanOperation)
        if any(isinstance(n, kinds) for n in around):
            return False
        inside = set(walk(self.node))
        order = self.context.edits.order
        return not any(
            order(c) < order(self.node) and c not in around and c not in inside
            for c in find(statement, cst.Call)
        )

    def loop_names(self) -> dict[str, str]:
        notes = self.context.notes
        if "loop names" not in notes:
            notes["loop names"] = {n: free_name(self.context, n) for n in LOOP_NAMES}
        found: dict[str, str] = notes["loop names"]
        return found


class Fit:
    """The data and the loop of one fit."""

    def __init__(self, use: Use, training: Training, names: dict[str, str]) -> None:
        self.use = use
        self.training = training
        self.names = names
        self.batches = use.batches
        self.x, self.y = use.given("x", "generator"), use.given("y")
        self.kind = self.batches.kind(self.x)
        if use.context.fact(self.x) is UNKNOWN and self.y is None and training.has_loss:
            raise Unfit("what fit is given is not known before the program runs",
                        "give it a DataLoader of inputs and targets")  # fmt: skip
        self.validation: cst.BaseExpression | None = None
        self.weighted = False
        self.rounds: Any = None

    def holes(self) -> dict[str, Any]:
        return {n: cst.Name(v) for n, v in self.names.items()}

    def data_lines(self) -> list[cst.BaseStatement]:
        use, holes = self.use, self.holes()
        size = use.given("batch_size")
        size = 32 if size is None else size
        shuffle = True if use.site.const("shuffle", None) is True else use.site.arg("shuffle")
        weights = use.given("sample_weight")
        split = use.given("validation_split")
        if use.given("class_weight") is not None:
            weights = use.given("class_weight")
        self.weighted = weights is not None
        if split is not None and use.site.const("validation_split", None) != 0:
            return self.split_lines(split, size, shuffle)
        if self.batches.is_pipeline(self.x):
            self.weighted = len(self.batches.batch_of(self.x)) > 2
            loader: Any = self.batches.pipeline(self.x, self.outputs(), shuffle)
        else:
            loader = self.batches.loader(self.batches.dataset(self.parts()), size, shuffle)
        lines = fill_statements("train_loader = new", **holes, new=loader)
        data = use.given("validation_data")
        if data is not None:
            lines += fill_statements("val_loader = new", **holes, new=self.held_out(data, size))
            self.validation = self.validated()
        return lines

    def outputs(self) -> list[Any]:
        """The outputs whose targets are converted; a training step of one's own gets them raw."""
        return [] if self.training.stepped else self.training.outputs

    def parts(self) -> list[Any]:
        """The tensors of the training data."""
        use = self.use
        parts: list[Any] = [self.batches.inputs(self.x)]
        if self.y is not None:
            parts.append(self.batches.targets(self.y, self.training.outputs))
        if use.given("class_weight") is not None:
            weights = use.given("class_weight")
            parts.append(self.batches.class_weights(weights, self.y))
        elif use.given("sample_weight") is not None:
            parts.append(self.batches.weights(use.given("sample_weight")))
        return parts

    def split_lines(self, part: Any, size: Any, shuffle: Any) -> list[cst.BaseStatement]:
        """The last part of the data is held out, as it comes."""
        holes = self.holes()
        data = self.batches.dataset(self.parts())
        name = cst.Name(free_name(self.use.context, "dataset"))
        lines = fill_statements("dataset = new", dataset=name, new=data)
        lines += fill_statements(
            "split = int(len(dataset) * (1 - part))", **holes, dataset=name, part=part
        )
        for loader, chosen, mixed in (
            ("train_loader", "range(split)", shuffle),
            ("val_loader", "range(split, len(dataset))", OMIT),
        ):
            subset = call("torch.utils.data.Subset", name, fill(chosen, **holes, dataset=name))
            new = self.batches.loader(subset, size, mixed)
            lines += fill_statements(f"{loader} = new", **holes, new=new)
        self.validation = self.validated()
        return lines

    def held_out(self, data: Any, size: Any) -> Any:
        use = self.use
        size = use.given("validation_batch_size") or size
        if self.batches.is_pipeline(data):
            return self.batches.pipeline(data, self.outputs())
        if isinstance(data, (cst.Tuple, cst.List)) and len(data.elements) in (2, 3):
            vx, vy, *rest = (e.value for e in data.elements)
            return use.loader(vx, vy, size, OMIT, rest[0] if rest else None)
        fact = use.context.fact(data)
        from transpiler.infer.values import items_of

        items = items_of(fact)
        if items is not None and len(items) == 2 and isinstance(data, cst.Name):
            return use.loader(fill("d[0]", d=data), fill("d[1]", d=data), size, OMIT)
        raise Unfit("validation_data is not understood")

    def validated(self) -> cst.BaseExpression:
        use = self.use
        loader: Any = self.holes()["val_loader"]
        if use.given("validation_steps") is not None:
            loader = use.islice(loader, use.given("validation_steps"))
        return use.evaluated(self.training, loader, self.kind)

    def loop(self, history: Any, callbacks: Any) -> Loop:
        use, site = self.use, self.use.site
        epochs = use.given("epochs", "nb_epoch") or cst.Integer("1")
        first = use.given("initial_epoch")
        rounds = call("range", epochs) if first is None else call("range", first, epochs)
        freq = use.given("validation_freq")
        if freq is not None and use.context.fact(freq) == Const(1):
            freq = None
        verbose = (
            constant_value(site.fact("verbose")) if site.args.get("verbose") is not None else 1
        )
        return Loop(
            self.training, use.model, self.names, epochs, rounds, history, callbacks,
            self.validation, freq, self.taken(), self.kind, self.batches.spreads(self.kind),
            self.weighted, self.is_unlabelled(), self.batches.is_pipeline(self.x),
            use.penalties(), verbose not in (0, False), use.constrained(), self.is_text(),
            not self.training.stepped and use.in_inference(),
        )  # fmt: skip

    def dry_run(self) -> list[cst.BaseStatement]:
        """One call that gives lazy modules their sizes."""
        if not any(p.state.get("lazy") for p in parts_of(self.use.models)) or self.training.stepped:
            return []
        if is_generator(self.use.context.fact(self.x)):
            raise Unfit(
                "the sizes of the layers are not known, and a look at the generator's first batch"
                " would take it away",
                "give the model its input's shape",
            )
        plain = self.kind == "one" and not self.batches.is_pipeline(self.x)
        text = "train_loader.dataset[0][0].unsqueeze(0)" if plain else "next(iter(train_loader))[0]"
        first: Any = fill(text, **self.holes())  # a pass over a loader would shuffle once more
        if self.training.device is not None:
            first = fill("to_device(x, device)", x=first, device=self.training.device,
                         to_device=cst.Name(self.use.context.emit("to_device")))  # fmt: skip
        text = "model.eval()\nmodel(first)"
        if self.batches.spreads(self.kind):
            self.use.context.emit("call_with_all")
            text = "model.eval()\ncall_with_all(model, first)"
        return fill_statements(text, model=self.use.model, first=first)

    def is_text(self) -> bool:
        """Whether the inputs are texts."""
        if not self.batches.is_pipeline(self.x):
            return False
        fact = self.batches.batch_of(self.x)[0]
        return not isinstance(fact, Tensor) or fact.dtype in ("string", "object", "str", None)

    def is_unlabelled(self) -> bool:
        if self.batches.is_pipeline(self.x):
            return len(self.batches.batch_of(self.x)) == 1
        return self.y is None

    def taken(self) -> Any:
        """The batches of one epoch, where their number is given."""
        steps = self.use.given("steps_per_epoch", "samples_per_epoch")
        if steps is None:
            return None
        return self.use.islice(self.holes()["train_loader"], steps)
