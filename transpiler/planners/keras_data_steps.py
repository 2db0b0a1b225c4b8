"""How each step of a tf.data pipeline is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Function,
    Instance,
    ListObject,
    Mapping,
    Sequence,
    Symbol,
    Tensor,
    Value,
    element_of,
    items_of,
    options,
    scalar_type,
)
from transpiler.planners.keras_data import (
    UNSEEN,
    Graph,
    Step,
    is_window_batch,
    shuffles_files,
    zipped,
)
from transpiler.rule import Unfit
from transpiler.rules.facts_tf_data import METHOD, element, pipelines, signature_of
from transpiler.site import constant_value, missing
from transpiler.syntax import code, constant, find
from transpiler.template import OMIT, as_node, call, fill

_LOADER = "torch.utils.data.DataLoader"
_TENSORS = "torch.utils.data.TensorDataset"
_STACKED = "torch.utils.data.StackDataset"
_SUBSET = "torch.utils.data.Subset"
_BY_HAND = "write what it yields as a generator"


class Writer:
    """Writes the steps of one module."""

    def __init__(self, context: Context, graph: Graph) -> None:
        self.context = context
        self.graph = graph
        self.gone: set[cst.CSTNode] = set()
        """Calls that become what they are called on."""
        self.done: set[cst.CSTNode] = set()

    def write(self, step: Step) -> None:
        """Leave the edit of one step. Raises Unfit."""
        if step.node in self.done:
            return
        self.done.add(step.node)
        writer: Callable[[Step], Any] | None = getattr(self, f"write_{step.name}", None)
        if any(s.failed for s in step.sources):
            raise Unfit("the pipeline that it goes on from is not translated")
        if step.name in UNSEEN:
            new: Any = step.site.receiver
        elif writer is None:
            if not _gives_pipeline(self.context, step):
                return
            raise Unfit(f"tf.data's {step.name} is not translated", _BY_HAND)
        else:
            new = writer(step)
        self.context.claim(step.node)
        if isinstance(step.node.func, cst.Attribute):
            self.context.claim(step.node.func)
        if new is step.site.receiver:
            self.gone.add(step.node)
        if new is not None:
            self.context.edits.replace(step.node, new)

    def finish(self) -> None:
        """Drop `ds = ds`, and options that nothing reads any more."""
        edits = self.context.edits
        dropped: set[cst.CSTNode] = set()
        for node in self.gone:
            parent = edits.parent[node]
            inner: Any = node
            while inner in self.gone:
                inner = inner.func.value
            if isinstance(parent, cst.Assign) and len(parent.targets) == 1 and isinstance(
                inner, (cst.Name, cst.Attribute)
            ) and code(parent.targets[0].target) == code(inner):  # fmt: skip
                statement = edits.statement(node)
                edits.replace(statement, [])
                dropped.add(statement)
        for branch in find(self.context.module, cst.If):
            if branch.orelse is None and dropped and dropped.issuperset(branch.body.body):
                edits.replace(branch, [])
        drop_settings(self.context)

    # ---- sources -----------------------------------------------------------------------------

    def write_from_tensor_slices(self, step: Step) -> Any:
        data = step.site.arg("tensors")
        fact = self.context.fact(data)
        if isinstance(data, cst.Tuple) and all(isinstance(e, cst.Element) for e in data.elements):
            return self.tensors([e.value for e in data.elements])
        if isinstance(fact, Sequence) and fact.items is not None:
            if all(isinstance(i, Tensor) for i in fact.items):
                self.context.emit("to_tensor")
                return fill("torch.utils.data.TensorDataset(*map(to_tensor, data))", data=data)
            return fill("slices(data)", slices=self.unit("slices"), data=data)
        return self.rows(data)

    def tensors(self, parts: list[cst.BaseExpression]) -> Any:
        """A dataset of tuples."""
        if all(self.is_array(p) for p in parts):
            return call(_TENSORS, *(self.tensor(p) for p in parts))
        return call(_STACKED, *(
            self.tensors([e.value for e in p.elements]) if isinstance(p, cst.Tuple)
            else self.rows(p) for p in parts
        ))  # fmt: skip

    def is_array(self, node: cst.BaseExpression) -> bool:
        """Whether the rows of a part are rows of a tensor, as far as is known."""
        fact = self.context.fact(node)
        if isinstance(fact, Tensor):
            return fact.dtype not in ("object", "string", "str")
        if isinstance(fact, (ListObject, Sequence)):
            return _scalar(fact) in ("int", "float", "bool")
        if isinstance(node, cst.Call):
            return _is_cast(node)
        return not isinstance(fact, Mapping) and not isinstance(node, (cst.Dict, cst.Tuple))

    def rows(self, node: cst.BaseExpression) -> Any:
        """A dataset of single rows."""
        fact = self.context.fact(node)
        if isinstance(node, cst.Dict) and (named := _named(node)):
            return call(_STACKED, **{name: self.rows(part) for name, part in named.items()})
        if isinstance(fact, (ListObject, Sequence)) and _scalar(fact) == "str":
            return node
        if isinstance(fact, (Tensor, ListObject)) and self.is_array(node):
            return self.tensor(node)
        return fill("slices(data)", slices=self.unit("slices"), data=node)

    def tensor(self, node: cst.BaseExpression) -> Any:
        """An array as a tensor, floats in single precision, labels as int64."""
        fact = self.context.fact(node)
        if isinstance(fact, (ListObject, Sequence)):
            kind = "float32" if _scalar(fact) == "float" else None
            return fill(
                f"torch.tensor(x, dtype=torch.{kind})" if kind else "torch.tensor(x)", x=node
            )
        if not isinstance(fact, Tensor) or fact.dtype is None:
            if isinstance(fact, Tensor) and fact.library == "tf":
                return node
            return fill("to_tensor(x)", to_tensor=self.unit("to_tensor"), x=node)
        if fact.library == "tf":
            return node
        if fact.dtype == "float64" and not self.is_double():
            return fill("torch.as_tensor(x, dtype=torch.float32)", x=node)
        if fact.dtype.startswith(("int", "uint")) and fact.dtype != "int64" and fact.rank == 1:
            return fill("torch.as_tensor(x, dtype=torch.int64)", x=node)
        return fill("torch.as_tensor(x)", x=node)

    def is_double(self) -> bool:
        """Whether the program sets Keras to double precision."""
        return any(
            c.args and code(c.args[0].value).strip("'\"") == "float64"
            for c in find(self.context.module, cst.Call)
            if isinstance(c.func, cst.Attribute) and c.func.attr.value == "set_floatx"
        )

    def write_from_tensors(self, step: Step) -> Any:
        return cst.List([cst.Element(step.site.arg("tensors"))])

    def write_range(self, step: Step) -> Any:
        return call("torch.arange", *step.site.positional)

    def write_list_files(self, step: Step) -> Any:
        self.context.request_import("import glob")
        files = fill("sorted(glob.glob(pattern))", pattern=step.site.arg("file_pattern"))
        if shuffles_files(step) and not self.graph.form(step).shuffled:
            return call(_LOADER, files, batch_size=cst.Name("None"), shuffle=True)
        return files

    def write_TextLineDataset(self, step: Step) -> Any:
        given = step.site.arg("filenames")
        if step.site.has("compression_type"):
            raise Unfit("compressed text files are not read", "open them with gzip")
        text = "Stream(lines, path)"
        if isinstance(self.context.fact(given), (ListObject, Sequence)):
            text = "Stream(lines, *path)"
        return fill(text, Stream=self.unit("Stream"), lines=self.unit("lines"), path=given)

    def write_from_generator(self, step: Step) -> Any:
        from transpiler.infer.knowledge import Invocation

        site = step.site
        given = {n: self.context.fact(v) for n, v in site.keywords.items()}
        shown = Invocation(self.context.interpreter, site.name, None, None,
                           [self.context.fact(p) for p in site.positional], given)  # fmt: skip
        dtypes = _dtypes(signature_of(shown))
        more: list[Any] = []
        if site.has("args"):
            args: Any = site.arg("args")
            is_display = isinstance(args, (cst.Tuple, cst.List))
            more = [e.value for e in args.elements] if is_display else [cst.Arg(args, star="*")]
        made = self.stream(self.unit("generated"), site.arg("generator"), dtypes)
        more = [m if isinstance(m, cst.Arg) else cst.Arg(m) for m in more]
        return made.with_changes(args=[*made.args, *more])

    # ---- steps -------------------------------------------------------------------------------

    def receiver(self, step: Step) -> cst.BaseExpression:
        if step.site.receiver is None:
            raise Unfit(f"tf.data's {step.name} is called on the class", "call it on its pipeline")
        return step.site.receiver

    def unit(self, name: str) -> cst.Name:
        return cst.Name(self.context.emit(name))

    def stream(self, function: Any, *arguments: Any) -> Any:
        return call(self.context.emit("Stream"), function, *arguments)

    def is_inline(self, step: Step) -> bool:
        """Whether the result is iterated just once, where it is made."""
        parent = self.context.edits.parent[step.node]
        if isinstance(parent, (cst.For, cst.CompFor)):
            return parent.iter is step.node
        if isinstance(parent, cst.Arg):
            outer = self.context.edits.parent[parent]
            fact = self.context.fact(outer.func) if isinstance(outer, cst.Call) else None
            if fact == Symbol("builtins.enumerate") or fact == Symbol("builtins.zip"):
                around = self.context.edits.parent[outer]
                return isinstance(around, (cst.For, cst.CompFor))
            return isinstance(fact, Symbol) and fact.name in (
                "builtins.iter", "builtins.list", "builtins.next",
            )  # fmt: skip
        return False

    def write_map(self, step: Step) -> Any:
        function, before = step.site.arg("map_func"), self.graph.form_at(self.receiver(step))
        function = self.function(function)
        if before.kind == "samples":
            return fill("Mapped(dataset, f)", Mapped=self.unit("Mapped"),
                        dataset=self.receiver(step), f=function)  # fmt: skip
        if self.graph.form(step).kind == "loader":
            return self.collated(step, function)
        spread = self.spreads(step, function)
        return self.stream(cst.Name("map") if not spread else fill("itertools.starmap"), function,
                           self.receiver(step))  # fmt: skip

    def function(self, node: cst.BaseExpression) -> cst.BaseExpression:
        """What a map calls; a plain name of the framework is called by a lambda."""
        fact = self.context.fact(node)
        if isinstance(fact, Symbol) and not fact.name.startswith(("builtins.", "numpy.")):
            from transpiler.planners.references import callable_for

            self.context.claim(node)
            return callable_for(self.context, node, fact.name)
        return node

    def spreads(self, step: Step, function: cst.BaseExpression) -> bool:
        """Whether elements are tuples, whose parts are the function's arguments."""
        found = element(self.context.fact(self.receiver(step)))
        if isinstance(found, Sequence):
            return True
        if isinstance(found, (Tensor, Mapping)):
            return False
        for option in options(self.context.fact(function)):
            if isinstance(option, Function):
                return len(option.node.params.params) > 1
        raise Unfit("what the pipeline's elements are is not known here")

    def collated(self, step: Step, function: cst.BaseExpression) -> Any:
        inner = self.graph.steps[self.receiver(step)]
        loader = self.loader(inner)
        self.context.claim(inner.node)
        text = "lambda batch: f(torch.utils.data.default_collate(batch))"
        if self.spreads(step, function):
            text = "lambda batch: f(*torch.utils.data.default_collate(batch))"
        made = fill(text, f=function)
        extra = cst.Arg(made, keyword=cst.Name("collate_fn"), equal=cst.AssignEqual(
            cst.SimpleWhitespace(""), cst.SimpleWhitespace("")))  # fmt: skip
        return loader.with_changes(args=[*loader.args, extra])

    def write_batch(self, step: Step) -> Any:
        if self.graph.form(step).kind == "samples":
            return call(self.context.emit("Windows"), self.receiver(step),
                        step.site.arg("batch_size"), drop_last=self.dropping(step))  # fmt: skip
        return self.loader(step)

    def dropping(self, step: Step) -> Any:
        if not step.site.has("drop_remainder"):
            return OMIT
        return OMIT if step.site.const("drop_remainder", None) is False else step.site.arg(
            "drop_remainder")  # fmt: skip

    def loader(self, step: Step, **more: Any) -> Any:
        dataset: Any = self.receiver(step)
        before = self.graph.form_at(dataset)
        given: dict[str, Any] = {"batch_size": step.site.arg("batch_size")}
        if before.kind == "loader":
            dataset = self.stream(cst.Name("iter"), dataset)
        if before.repeated is not None:
            given["sampler"] = call(
                self.context.emit("RepeatSampler"), self.copied(dataset),
                before.repeated.site.given("count"),
                shuffle=before.condition or (OMIT if before.shuffled else False),
            )  # fmt: skip
        elif before.shuffled:
            given["shuffle"] = before.condition or True
        return call(_LOADER, dataset, **given, drop_last=self.dropping(step), **more)

    def copied(self, dataset: cst.BaseExpression) -> Any:
        """The dataset again, for its sampler, which has to be a name."""
        inner: Any = dataset
        while inner in self.gone or (
            isinstance(inner, cst.Call) and self.graph.steps.get(inner) is not None
            and self.graph.steps[inner].name in (*UNSEEN, "shuffle", "repeat")
        ):  # fmt: skip
            inner = inner.func.value
        if isinstance(inner, (cst.Name, cst.Attribute)):
            return inner.deep_clone()
        step = self.graph.steps.get(inner)
        if step is None:
            raise Unfit("a pipeline of which only a part is used has no name",
                        "put it into a variable first")  # fmt: skip
        self.write(step)
        name = cst.Name(self.context.fresh("dataset"))
        new = self.context.edits.replacement(inner)
        target = cst.Assign([cst.AssignTarget(name)], new)
        statement = self.context.edits.statement(dataset)
        self.context.edits.insert_before(statement, [cst.SimpleStatementLine([target])])
        self.context.edits.replace(inner, name)
        return name.deep_clone()

    def write_padded_batch(self, step: Step) -> Any:
        for name in ("padded_shapes", "padding_values"):
            if step.site.has(name) and not self.is_open(step.site.arg(name)):
                raise Unfit(f"`{name}` of padded_batch is not translated",
                            "pad in a collate_fn of the DataLoader")  # fmt: skip
        if self.graph.form(step).kind == "samples":
            raise Unfit("padded batches that are shuffled or batched again are not translated")
        return self.loader(step, collate_fn=self.unit("pad_batch"))

    def is_open(self, node: cst.BaseExpression) -> bool:
        """Whether padded shapes only say "as long as the longest"."""
        open_ends = [n.expression for n in find(node, cst.UnaryOperation) if code(n) == "-1"]
        sizes = [n for n in find(node, cst.Integer, cst.Float) if n not in open_ends]
        names = {n.value for n in find(node, cst.Name)}
        return not sizes and names <= {"None", "tf", "TensorShape"}

    def write_shuffle(self, step: Step) -> Any:
        dataset, form = self.receiver(step), self.graph.form(step)
        before = self.graph.form_at(dataset)
        self.tell_of_buffer(step)
        if before.kind != "samples":
            return self.stream(self.unit("shuffled"), dataset)
        if form.shuffled:
            return dataset
        if form.kind == "stream":
            return self.stream(self.unit("shuffled"), dataset)
        if form.kind == "samples":
            return fill("Subset(dataset, torch.randperm(len(again)).tolist())", dataset=dataset,
                        Subset=fill(_SUBSET), again=self.copied(dataset))  # fmt: skip
        return call(_LOADER, dataset, batch_size=cst.Name("None"), shuffle=True)

    def tell_of_buffer(self, step: Step) -> None:
        """A buffer smaller than the data mixes less than a DataLoader does."""
        size = constant_value(step.site.fact("buffer_size"))
        source = step
        while source.sources:
            source = source.sources[0]
        rows: Any = None
        if source.name == "from_tensor_slices":
            data = self.context.fact(source.site.arg("tensors"))
            parts = items_of(data) if isinstance(data, Sequence) else (data,)
            first = parts[0] if parts else None
            rows = first.shape[0] if isinstance(first, Tensor) and first.shape else None
        if size is not missing and isinstance(rows, int) and size < rows:
            self.context.remark(
                step.node, step.site.short,
                f"tf.data mixes within a buffer of {size}; here all elements are shuffled",
            )  # fmt: skip

    def write_repeat(self, step: Step) -> Any:
        dataset, form = self.receiver(step), self.graph.form(step)
        if form.repeated is step:
            return dataset
        if form.kind == "samples":
            return fill("torch.utils.data.ConcatDataset([dataset] * count)", dataset=dataset,
                        count=step.site.arg("count"))  # fmt: skip
        given = [step.site.arg("count")] if step.site.has("count") else []
        given = [g for g in given if code(g) != "-1"]
        if self.is_inline(step):
            return call(self.context.emit("repeated"), dataset, *given)
        return self.stream(self.unit("repeated"), dataset, *given)

    def write_take(self, step: Step) -> Any:
        return self.part(step, None, step.site.arg("count"))

    def write_skip(self, step: Step) -> Any:
        return self.part(step, step.site.arg("count"), None)

    def part(self, step: Step, start: Any, stop: Any) -> Any:
        """Elements from one place on, or up to one."""
        dataset = self.receiver(step)
        samples = self.graph.form(step).kind == "samples"
        if samples and not self.is_inline(step):
            inner = self.copied(dataset)
            if start is None:
                return call(_SUBSET, dataset, fill("range(min(n, len(x)))", n=stop, x=inner))
            return call(_SUBSET, dataset, fill("range(n, len(x))", n=start, x=inner))
        bounds = [stop] if start is None else [start, cst.Name("None")]
        if self.is_inline(step):
            return call("itertools.islice", dataset, *bounds)
        return self.stream(fill("itertools.islice"), dataset, *bounds)

    def write_shard(self, step: Step) -> Any:
        if self.graph.form(step).kind != "samples":
            raise Unfit("a shard of a stream is not translated")
        dataset = self.receiver(step)
        return call(_SUBSET, dataset, fill(
            "range(index, len(x), count)", index=step.site.arg("index"), x=self.copied(dataset),
            count=step.site.arg("num_shards")))  # fmt: skip

    def write_filter(self, step: Step) -> Any:
        dataset, predicate = self.receiver(step), step.site.arg("predicate")
        if self.graph.form(step).kind != "samples":
            return self.stream(self.unit("selected"), predicate, dataset)
        if isinstance(predicate, cst.Lambda):
            names: list[Any] = [cst.Name(p.name.value) for p in predicate.params.params]
            row = names[0] if len(names) == 1 else cst.Tuple([cst.Element(n) for n in names])
            kept = row.deep_clone()
            return cst.ListComp(kept, cst.CompFor(
                row.with_changes(lpar=[], rpar=[]) if len(names) > 1 else row, dataset,
                ifs=[cst.CompIf(predicate.body)]))  # fmt: skip
        return fill("list(selected(f, dataset))", selected=self.unit("selected"), f=predicate,
                    dataset=dataset)  # fmt: skip

    def write_zip(self, step: Step) -> Any:
        parts = zipped(step)
        if self.graph.form(step).kind == "samples":
            return call(_STACKED, *parts)
        return self.stream(cst.Name("zip"), *parts)

    def write_concatenate(self, step: Step) -> Any:
        parts = [self.receiver(step), step.site.arg("dataset")]
        if self.graph.form(step).kind == "samples":
            return call("torch.utils.data.ConcatDataset", cst.List([cst.Element(p) for p in parts]))
        return self.stream(fill("itertools.chain"), *parts)

    def write_enumerate(self, step: Step) -> Any:
        given = [step.site.arg("start")] if step.site.has("start") else []
        if self.is_inline(step):
            return call("enumerate", self.receiver(step), *given)
        return self.stream(cst.Name("enumerate"), self.receiver(step), *given)

    def write_unbatch(self, step: Step) -> Any:
        return self.stream(self.unit("unbatched"), self.receiver(step))

    def write_window(self, step: Step) -> Any:
        site = step.site
        if site.const("stride", None) != 1:
            raise Unfit("windows with a stride are not translated")
        if not all(c.name == "flat_map" and is_window_batch(self.context, c)
                   for c in step.consumers) or step.read:  # fmt: skip
            raise Unfit("windows that are not batched whole are not translated",
                        "use .flat_map(lambda w: w.batch(size))")  # fmt: skip
        if self.graph.form_at(self.receiver(step)).kind != "samples":
            raise Unfit("windows over a stream are not translated")
        return call(self.context.emit("Windows"), self.receiver(step), site.arg("size"),
                    site.given("shift"),
                    drop_last=OMIT if site.const("drop_remainder", None) is False
                    else site.given("drop_remainder"))  # fmt: skip

    def write_flat_map(self, step: Step) -> Any:
        if is_window_batch(self.context, step):
            return self.receiver(step)
        return self.stream(self.unit("flattened"), step.site.arg("map_func"), self.receiver(step))

    def write_apply(self, step: Step) -> Any:
        function = step.site.arg("transformation_func")
        if not any(isinstance(o, Function) for o in options(self.context.fact(function))):
            raise Unfit("a transformation of tf.data's own is not translated", _BY_HAND)
        return fill("f(dataset)", f=function, dataset=self.receiver(step))

    def write_reduce(self, step: Step) -> Any:
        self.context.request_import("import functools")
        return fill("functools.reduce(f, dataset, start)", f=step.site.arg("reduce_func"),
                    dataset=self.receiver(step), start=step.site.arg("initial_state"))  # fmt: skip

    # ---- reading -----------------------------------------------------------------------------

    def write_as_numpy_iterator(self, step: Step) -> Any:
        return fill("as_arrays(x)", as_arrays=self.unit("as_arrays"), x=self.receiver(step))

    def write_get_single_element(self, step: Step) -> Any:
        return fill("next(iter(x))", x=self.receiver(step))

    def write_cardinality(self, step: Step) -> Any:
        of = step.site.receiver if step.site.receiver is not None else step.site.arg("dataset")
        if not self.graph.is_counted(of):
            raise Unfit("the length of this pipeline is not known to PyTorch")
        return fill("torch.tensor(len(x))", x=of)


def _named(node: cst.Dict) -> dict[str, cst.BaseExpression]:
    """The entries of a dict whose keys are plain texts that are names; empty where some are not."""
    found: dict[str, cst.BaseExpression] = {}
    for entry in node.elements:
        if not isinstance(entry, cst.DictElement):
            return {}
        key = constant(entry.key)
        if not isinstance(key, str) or not key.isidentifier():
            return {}
        found[key] = entry.value
    return found


def _is_cast(node: cst.BaseExpression) -> bool:
    """`x.astype(...)`, `x.values` of something unknown: an array."""
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        return node.func.attr.value in ("astype", "to_numpy", "reshape", "array", "asarray")
    return False


def _scalar(value: Value) -> str | None:
    """The type of the numbers in nested lists."""
    while isinstance(value, (ListObject, Sequence)):
        value = element_of(value)
    return scalar_type(value)


def _dtypes(value: Value) -> cst.BaseExpression:
    """The dtypes of a structure of tensors as an expression. Raises Unfit."""
    match value:
        case Sequence() if value.items is not None:
            return as_node(tuple(_dtypes(i) for i in value.items))
        case Mapping():
            return cst.Dict([
                cst.DictElement(as_node(k), _dtypes(x)) for k, x in value.items.items()
            ])  # fmt: skip
        case Tensor(dtype="string"):
            return cst.Name("str")
        case Tensor() if value.dtype is not None:
            return fill(f"torch.{value.dtype}")
    raise Unfit("the dtypes of what the generator yields are not known here")


def _gives_pipeline(context: Context, step: Step) -> bool:
    fact = context.fact(step.node)
    return bool(pipelines(fact)) or (
        isinstance(fact, Instance) and step.site.name.startswith(METHOD)
    )


def drop_settings(context: Context) -> None:
    """`AUTOTUNE = tf.data.AUTOTUNE` and options that only steps read."""
    for node in find(context.module, cst.Assign):
        target = node.targets[0].target
        fact = context.fact(node.value)
        names = (fact.name,) if isinstance(fact, Symbol) else getattr(fact, "class_names", ())
        if not names or names[0] not in (
            "tf.data.AUTOTUNE", "tf.data.experimental.AUTOTUNE", "tf.data.Options",
        ):  # fmt: skip
            continue
        context.claim(node.value)
        uses = [n for n in find(context.module, cst.Name)
                if isinstance(target, cst.Name) and n.value == target.value]  # fmt: skip
        live = context.edits.live()
        if isinstance(target, cst.Name) and all(
            u is target or _is_setting(context, u) or u not in live for u in uses
        ):
            for use in uses:
                statement = context.edits.statement(use)
                if use is target or _is_setting(context, use):
                    context.edits.replace(statement, [])
        else:
            context.edits.replace(node.value, cst.Name("None"))


def _is_setting(context: Context, use: cst.CSTNode) -> bool:
    """`options.deterministic = False`."""
    parent: Any = context.edits.parent.get(use)
    while isinstance(parent, cst.Attribute):
        if isinstance(context.edits.parent.get(parent), cst.AssignTarget):
            return True
        parent = context.edits.parent.get(parent)
    return False
