"""tf.data pipelines as data sets, loaders and streams of `torch.utils.data`.

Every call of a pipeline is a *step*. What a step becomes is its *form*: samples (a dataset that can
be indexed), a loader (batches, iterated only), or a stream (anything else that is iterated only). A
shuffle or a repeat over samples is held back until a batch follows, whose DataLoader does it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import writes
from transpiler.infer.values import Class, Function, Method, Symbol, options
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit
from transpiler.rules.facts_tf_data import pipelines
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import fill

Kind = Literal["samples", "loader", "stream"]

SOURCES = ("from_tensor_slices", "from_tensors", "range", "list_files", "from_generator",
           "TextLineDataset")  # fmt: skip
PASSING = ("map", "cache", "prefetch", "with_options")
"""Steps that a held-back shuffle passes through."""
UNSEEN = ("cache", "prefetch", "with_options")
"""Steps that leave no trace."""
_PLAIN = ("from_tensor_slices", "shuffle", "batch", "repeat", "take", "skip", *UNSEEN)
"""Steps that leave elements as they are."""
_FURTHER = ("take", "skip", "zip", "concatenate", "enumerate", "shard")


@dataclass(frozen=True)
class Form:
    """What a step becomes, and what is held back until it is batched."""

    kind: Kind
    shuffled: bool = False
    repeated: Any = None
    """The repeat's call."""
    condition: Any = None
    """What the shuffle depends on, where the program only sometimes shuffles."""

    @property
    def pending(self) -> bool:
        return self.shuffled or self.repeated is not None


@dataclass(eq=False)
class Step:
    """One call of a pipeline."""

    node: cst.Call
    name: str
    site: Site
    sources: list[Step] = field(default_factory=list)
    consumers: list[Step] = field(default_factory=list)
    read: bool = False
    """Whether something other than a step uses the result."""
    failed: bool = False


class Graph:
    """The steps of a module, what they consume, and their forms."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.steps: dict[cst.CSTNode, Step] = {}
        self._forms: dict[Step, Form] = {}
        self._busy: set[Any] = set()
        for node in find(context.module, cst.Call):
            name = qualified_name(context, node.func) or ""
            if name.startswith("tf.data.") and not _is_window(context, node):
                last = name.rpartition(".")[2]
                self.steps[node] = Step(node, last, read_step(Site(context, node, name), last))
        for step in self.steps.values():
            step.sources = [*self.sources_of(step)]
            for source in step.sources:
                source.consumers.append(step)
        for place, value in context.facts.items():
            for found in pipelines(value):
                origin = self.steps.get(found.origin)
                if found.state.get("window"):
                    continue
                if origin is not None and _is_read(context, place, self.steps):
                    origin.read = True

    def inputs_of(self, step: Step) -> list[cst.BaseExpression]:
        """The expressions of the pipelines that a step takes."""
        if step.name == "zip":
            return zipped(step)
        found = [step.site.receiver] if step.site.receiver is not None else []
        if step.name == "concatenate":
            found.append(step.site.arg("dataset"))
        return [f for f in found if pipelines(self.context.fact(f))]

    def sources_of(self, step: Step) -> Iterator[Step]:
        for node in self.inputs_of(step):
            for found in pipelines(self.context.fact(node)):
                if found.origin in self.steps:
                    yield self.steps[found.origin]

    def form_at(self, node: cst.BaseExpression) -> Form:
        """What an expression that gives a pipeline becomes."""
        found = [self.steps.get(p.origin) for p in pipelines(self.context.fact(node))]
        forms = {self.form(s) if s is not None else Form("stream") for s in found}
        if len(forms) == 1:
            return forms.pop()
        mixed = [f for f in forms if f.condition is not None]
        if len(mixed) == 1 and forms == {mixed[0], Form("samples")}:
            return mixed[0]
        return Form("loader" if any(f.kind == "loader" for f in forms) else "stream")

    def is_counted(self, node: cst.BaseExpression) -> bool:
        """Whether PyTorch knows how many elements a pipeline has."""
        steps = [self.steps.get(p.origin) for p in pipelines(self.context.fact(node))]
        seen: set[Step] = set()
        while steps:
            step = steps.pop()
            if step is None or self.form(step).kind == "stream":
                return False
            if step not in seen:
                seen.add(step)
                steps.extend(step.sources)
        return bool(seen)

    def is_plain(self, node: cst.BaseExpression) -> bool:
        """Whether elements come out as `from_tensor_slices` took them in."""
        steps = [self.steps.get(p.origin) for p in pipelines(self.context.fact(node))]
        seen: set[Step] = set()
        while steps:
            step = steps.pop()
            if step is None or step.name not in _PLAIN:
                return False
            if step not in seen:
                seen.add(step)
                steps.extend(step.sources)
        return bool(seen)

    def form(self, step: Step) -> Form:
        """What a step becomes."""
        if step not in self._forms:
            if step in self._busy:
                return Form("stream")
            self._busy.add(step)
            self._forms[step] = self._find_form(step)
            self._busy.discard(step)
        return self._forms[step]

    def _find_form(self, step: Step) -> Form:
        name = step.name
        if name in ("from_generator", "TextLineDataset"):
            return Form("stream")
        if name == "list_files":
            return (
                self._hold_back(step, Form("samples")) if shuffles_files(step) else Form("samples")
            )
        if name in SOURCES:
            return Form("samples")
        forms = [self.form_at(node) for node in self.inputs_of(step)]
        if name in ("zip", "concatenate"):
            plain = all(f == Form("samples") for f in forms)
            return Form("samples") if plain else Form("stream")
        return self._after(step, forms[0] if forms else Form("stream"))

    def _after(self, step: Step, before: Form) -> Form:
        name = step.name
        if name in UNSEEN:
            return before
        if name in ("batch", "padded_batch"):
            windows = name == "batch" and before.kind == "samples" and self.looks_further(step)
            return Form("samples" if windows and not before.pending else "loader")
        if name == "map" and before.kind == "loader":
            return Form("loader" if self.collates(step) else "stream")
        if before.kind != "samples" or name in ("unbatch", "enumerate"):
            return Form("stream")
        if name == "flat_map":
            return before if is_window_batch(self.context, step) else Form("stream")
        if name in ("map", "window"):
            return before
        if name == "shuffle":
            if keeps_order(step):
                return Form("samples")
            return self._hold_back(step, before)
        if name == "repeat":
            if self.accepts(step):
                return Form("samples", before.shuffled, step)
            return Form("samples" if step.site.has("count") and not before.pending else "stream")
        if name in ("take", "skip", "shard", "filter"):
            return Form("samples") if not before.pending else Form("stream")
        return Form("stream")

    def _hold_back(self, step: Step, before: Form) -> Form:
        if self.accepts(step):
            return Form("samples", True, before.repeated, self.condition(step))
        return Form("stream" if step.consumers else "loader")

    def accepts(self, step: Step) -> bool:
        """Whether everything that uses the step lets its DataLoader shuffle or repeat."""
        key = (step, "accepts")
        if key in self._busy or step.read:
            return False
        if step.name == "repeat" and self.condition(step) is not None:
            return False
        self._busy.add(key)
        found = bool(step.consumers) and all(self._passes(step, c) for c in step.consumers)
        self._busy.discard(key)
        return found

    def _passes(self, step: Step, consumer: Step) -> bool:
        if consumer.site.receiver is None:
            return False
        if set(consumer.sources) != {step} and not self.is_passed_by(step, consumer):
            return False
        if consumer.name in ("batch", "padded_batch"):
            return not self.looks_further(consumer)
        if consumer.name in PASSING or {step.name, consumer.name} == {"shuffle", "repeat"}:
            return self.accepts(consumer)
        return step.name in PASSING and consumer.name in ("shuffle", "repeat") and (
            self.accepts(consumer)
        )  # fmt: skip

    def condition(self, step: Step) -> cst.BaseExpression | None:
        """The test of the branch that a shuffle stands in, where something goes past it."""
        around = self.context.edits.enclosing(step.node, cst.If, cst.FunctionDef)
        chain, past = [step], False
        while chain:
            last = chain.pop()
            for consumer in last.consumers:
                past |= set(consumer.sources) != {last}
                if consumer.name in PASSING:
                    chain.append(consumer)
        return around.test if past and isinstance(around, cst.If) else None

    def is_passed_by(self, step: Step, consumer: Step) -> bool:
        """Whether a consumer goes on from a step of a branch, or from what that step took.

        Whether the branch runs has to be known where the elements are batched.
        """
        around = self.context.edits.enclosing(step.node, cst.If, cst.FunctionDef)
        if not isinstance(around, cst.If) or around.orelse is not None:
            return False
        if self.context.edits.enclosing(consumer.node, cst.If, cst.FunctionDef) is around:
            return False
        if not isinstance(around.test, cst.Name) or _is_rebound(self.context, around.test):
            return False
        assigned: Any = self.context.edits.statement(step.node)
        inner: Any = consumer.site.receiver
        while isinstance(inner, cst.Call) and isinstance(inner.func, cst.Attribute):
            inner = inner.func.value
        return (
            isinstance(inner, cst.Name)
            and isinstance(assigned.body, tuple | list)
            and isinstance(assigned.body[0], cst.Assign)
            and code(assigned.body[0].targets[0].target) == inner.value
            and all(s is step or self.form(s) == Form("samples") for s in consumer.sources)
        )

    def looks_further(self, step: Step) -> bool:
        """Whether batches are shuffled, batched or counted off again."""
        key = (step, "further")
        if key in self._busy:
            return False
        self._busy.add(key)
        found = any(
            c.name in ("shuffle", "batch", "window", "padded_batch")
            or (c.name in (*PASSING, *_FURTHER) and self.looks_further(c))
            for c in step.consumers
        )
        self._busy.discard(key)
        return found

    def collates(self, step: Step) -> bool:
        """Whether a map over batches goes into the DataLoader that the same expression makes."""
        receiver = step.site.receiver
        inner = self.steps.get(receiver) if receiver is not None else None
        return inner is not None and inner.name == "batch" and len(step.sources) == 1


def read_step(site: Site, name: str) -> Site:
    """A step's call; `tf.data.Dataset.concatenate(a, b)` is `a.concatenate(b)`."""
    if site.receiver is None and name not in (*SOURCES, "zip") and site.positional:
        if pipelines(site.context.fact(site.positional[0])):
            site.receiver = site.positional.pop(0)
    return site


def _is_rebound(context: Context, name: cst.Name) -> bool:
    """Whether a variable gets more than one value: a parameter that is never assigned does not."""
    function = context.edits.enclosing(name, cst.FunctionDef)
    if function is None:
        return True
    params = function.params
    every = [*params.posonly_params, *params.params, *params.kwonly_params]
    return name.value not in {p.name.value for p in every} or name.value in writes(function.body)


def zipped(step: Step) -> list[cst.BaseExpression]:
    """The pipelines of `zip(a, b)` or `zip((a, b))`."""
    given = list(step.site.positional) or [
        step.site.keywords[n] for n in ("datasets",) if n in step.site.keywords
    ]
    if len(given) == 1 and isinstance(given[0], (cst.Tuple, cst.List)):
        return [e.value for e in given[0].elements]
    return given


def keeps_order(step: Step) -> bool:
    """Whether a shuffle has the same order in every pass."""
    return step.site.const("reshuffle_each_iteration", None) is False


def shuffles_files(step: Step) -> bool:
    return step.site.const("shuffle", None) is not False


def is_window_batch(context: Context, step: Step) -> bool:
    """`flat_map(lambda w: w.batch(n))` over windows of n, which come stacked already."""
    if not step.sources or any(s.name != "window" for s in step.sources):
        return False
    function: Any = step.site.arg("map_func")
    if isinstance(function, cst.Name):
        found = [o for o in options(context.fact(function)) if isinstance(o, Function)]
        function = found[0].node if len(found) == 1 else None
    if isinstance(function, cst.FunctionDef):
        last = function.body.body[-1]
        small = last.body[0] if isinstance(last, cst.SimpleStatementLine) else None
        body: Any = small.value if isinstance(small, cst.Return) else None
    else:
        body = function.body if isinstance(function, cst.Lambda) else None
    calls = [c for c in find(body, cst.Call) if _is_window(context, c)] if body is not None else []
    sizes = {_size(context, s.site.args["size"]) for s in step.sources}
    given = {_size(context, c.args[0].value) for c in calls if c.args}
    named = {c.func.attr.value for c in calls if isinstance(c.func, cst.Attribute)}
    return bool(calls) and named == {"batch"} and sizes == given and len(sizes) == 1


def _size(context: Context, node: Any) -> str:
    from transpiler.site import constant_value, missing

    value = constant_value(context.fact(node))
    return code(node) if value is missing else repr(value)


def _is_window(context: Context, node: cst.Call) -> bool:
    """Whether a method is called on one of the small pipelines that `window` gives."""
    if not isinstance(node.func, cst.Attribute):
        return False
    return any(p.state.get("window") for p in pipelines(context.fact(node.func.value)))


def _is_read(context: Context, node: cst.CSTNode, steps: dict[cst.CSTNode, Step]) -> bool:
    """Whether something other than a step, an assignment or the program's functions uses it."""
    parent = context.edits.parent.get(node)
    if isinstance(parent, (cst.For, cst.CompFor)):
        return parent.iter is node
    if isinstance(parent, cst.Attribute):
        return parent.value is node and context.edits.parent.get(parent) not in steps
    if isinstance(parent, (cst.Subscript, cst.StarredElement)):
        return True
    if not isinstance(parent, cst.Arg):
        return False
    call = context.edits.parent[parent]
    if call in steps or not isinstance(call, cst.Call):
        return False
    own = (Function, Class, Method)
    return not any(isinstance(o, own) for o in options(context.fact(call.func)))


def _count(context: Context, graph: Graph, node: cst.Call) -> None:
    """`len(stream)`: TensorFlow derives the number of elements, here a pass counts them."""
    stream = node.args[0].value
    held = [graph.steps.get(p.origin) for p in pipelines(context.fact(stream))]
    if not held or graph.is_counted(stream) or any(s is None or s.failed for s in held):
        return
    if any(graph.form(s).kind != "stream" for s in held if s is not None):
        return
    context.caution(
        context.edits.statement(node), "len",
        "a pass over the pipeline counts its elements, and draws what a pass draws",
        "write the number by hand",
    )  # fmt: skip
    context.edits.replace(node, fill("sum(1 for _ in x)", x=stream))


def plan(context: Context) -> None:
    """Write every step of the program's pipelines."""
    from transpiler.planners.keras_data_steps import Writer

    graph = Graph(context)
    context.notes["pipelines"] = graph
    writer = Writer(context, graph)
    for step in graph.steps.values():
        try:
            writer.write(step)
        except Unfit as error:
            context.claim(step.node)
            if not any(s.failed for s in step.sources):
                context.unfit(step.node, step.site.short, error)
            step.failed = True
    writer.finish()
    for call in find(context.module, cst.Call):
        if context.fact(call.func) == Symbol("builtins.len") and len(call.args) == 1:
            _count(context, graph, call)
    for node in find(context.module, cst.Attribute):
        if node.attr.value == "class_names" and any(
            "class_names" in p.attributes for p in pipelines(context.fact(node.value))
        ):  # the names of the folders stand on the data set
            context.edits.replace(node, fill("x.dataset.class_names", x=node.value))
