"""An update in PyTorch: `zero_grad`, `backward`, what is done to the gradients, `step`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import writes
from transpiler.infer.values import Instance, Tensor, options
from transpiler.modules import descendants
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_tape.chains import order_of
from transpiler.planners.keras_tape.gradients import (
    is_variable_list,
    parameter_list,
    parameters,
    scalar,
)
from transpiler.planners.keras_tape.updates import (
    Change,
    Update,
    only_assignment,
    reads_of,
    scope_of,
)
from transpiler.rule import Unfit
from transpiler.site import Site
from transpiler.syntax import code, find, names_read
from transpiler.template import OMIT, call, fill, fill_statements

Statements = list[cst.BaseStatement]


class Step:
    """One update, to be written."""

    def __init__(
        self,
        context: Context,
        update: Update,
        narrow: bool,
        first: Update | None = None,
        joined: list[Step] | None = None,
    ) -> None:
        self.context = context
        self.update = update
        self.narrow = narrow
        """Whether backward has to be told which variables it is about."""
        self.first = first
        """The update whose step has to wait for this one's gradients."""
        self.joined = joined or []
        """Those whose gradients this one's step has to wait for."""

    def write(self) -> None:
        """Put the statements in their places. Raises Unfit."""
        context, update = self.context, self.update
        statement = context.edits.statement(update.node)
        if not isinstance(context.edits.parent[update.node], (cst.Expr, cst.Assign)):
            raise Unfit("the update is part of an expression")
        context.claim(update.node)
        if update.loss is not None:
            context.edits.replace(statement, [*self.minimized(), *self.stepped()])
            return
        if update.gradient is not None:
            self.write_backward(statement)
        else:
            self.write_assigned(statement)

    # ---- gradients that nothing else reads ---------------------------------------------------

    def write_backward(self, statement: Any) -> None:
        context, update = self.context, self.update
        gradient = update.gradient
        assert gradient is not None
        context.claim(gradient.node)
        start = self.started() if self.first is None else []
        first = context.edits.statement(gradient.node)
        changes = {c.statement: self.changed(c) for c in update.changes}
        own = changes.pop(None, [])
        for extra in update.extra:
            if extra is not first:
                context.edits.replace(extra, changes.get(extra, []))
        if first is statement:
            context.edits.replace(statement, [*start, *own, *self.stepped()])
        else:
            context.edits.replace(first, start)
            context.edits.replace(statement, [*own, *self.stepped()])
        self.drop_list(gradient.sources)

    def started(self) -> Statements:
        """The gradients, with those of the steps that come later."""
        assert self.update.gradient is not None
        own = self.zeroed() + self.backward(self.update.gradient.target)
        return [*own, *(line for step in self.joined for line in step.started())]

    def drop_list(self, sources: cst.BaseExpression) -> None:
        """`variables = model.trainable_variables`, which nothing else reads any more."""
        context, variables = self.context, self.update.variables
        if not isinstance(sources, cst.Name) or resolve_list(context, sources) is sources:
            return
        reads = reads_of(context, scope_of(context, sources), sources.value)
        own = {sources, *(n for n in find(self.update.node, cst.Name))}
        made = only_assignment(context, sources)
        if made is not None and all(r in own for r in reads) and variables is not None:
            context.edits.replace(context.edits.statement(made), [])

    def optimizer(self) -> cst.BaseExpression:
        return self.update.optimizer.deep_clone()

    def zeroed(self) -> Statements:
        return fill_statements("optimizer.zero_grad()", optimizer=self.optimizer())

    def backward(self, target: cst.BaseExpression) -> Statements:
        gradient = self.update.gradient
        assert gradient is not None
        total = scalar(self.context, target)
        given = Site(self.context, gradient.node, "tf.GradientTape.gradient").args
        weights = given.get("output_gradients")
        if weights is not None:
            total = target
        inputs: Any = OMIT
        if self.narrow:
            inputs = self.all_variables(as_list=True)
        loss = fill("total.backward", total=total)
        call_node = call(
            "x", OMIT if weights is None else weights, inputs=inputs,
            retain_graph=True if gradient.retained else OMIT,
            create_graph=True if gradient.differentiated else OMIT,
        ).with_changes(func=loss)  # fmt: skip
        return [cst.SimpleStatementLine([cst.Expr(call_node)])]

    def all_variables(self, as_list: bool = False) -> cst.BaseExpression:
        update = self.update
        if update.variables is None:
            return cst.List([cst.Element(v.deep_clone()) for _, v in update.pairs])
        found = resolve_list(self.context, update.variables).deep_clone()
        if is_variable_list(found) or isinstance(found, cst.BinaryOperation):
            return parameter_list(self.context, found) if as_list else parameters(
                self.context, found
            )  # fmt: skip
        return found

    def stepped(self) -> Statements:
        lines = fill_statements("optimizer.step()", optimizer=self.optimizer())
        scheduler = self.context.notes.get("tape schedulers", {}).get(self.update.node)
        if scheduler is not None:
            lines += fill_statements("scheduler.step()", scheduler=scheduler.deep_clone())
        return lines

    # ---- what is done to the gradients -------------------------------------------------------

    def changed(self, change: Change) -> Statements:
        if change.kind == "global_norm":
            return self.clipped(change)
        if change.options is not None:
            new = call(f"torch.nn.utils.{change.kind}_", self.all_variables(), **change.options)
            return self.norm_kept(change, new)
        return self.each(change)

    def clipped(self, change: Change) -> Statements:
        context = self.context
        params = self.all_variables()
        if context.exact:
            new = call(context.emit("clip_by_global_norm"), params, change.value)
        else:
            new = call("torch.nn.utils.clip_grad_norm_", params, change.value)
            context.caution(
                change.statement or self.update.node, "tf.clip_by_global_norm",
                "PyTorch adds 1e-6 to the norm that it divides by: about 1e-7 of the gradients",
                "--fidelity exact clips as TensorFlow does",
            )  # fmt: skip
        return self.norm_kept(change, new)

    def norm_kept(self, change: Change, new: cst.Call) -> Statements:
        if change.norm is not None:
            return fill_statements("norm = new", norm=change.norm.deep_clone(), new=new)
        return [cst.SimpleStatementLine([cst.Expr(new)])]

    def each(self, change: Change) -> Statements:
        """One expression for every gradient."""
        name = "p" if "p" not in self.context.names else free_name(self.context, "parameter")
        params = self.all_variables()
        elt = change.value
        limit = self.clip_value(elt, change.names[0])
        if limit is not None:
            new = call("torch.nn.utils.clip_grad_value_", params, limit)
            return [cst.SimpleStatementLine([cst.Expr(new)])]
        bound = self.clip_norm(elt, change.names[0])
        if bound is not None:
            return self.norm_clipped(change, params, bound, name)
        for node in find(elt, cst.Name):
            if node.value == change.names[0] and not self.is_keyword(node):
                self.context.edits.replace(node, fill(f"{name}.grad"))
            elif len(change.names) > 1 and node.value == change.names[1]:
                self.context.edits.replace(node, cst.Name(name))
        return fill_statements(
            "for p in params:\n    p.grad = new\n", p=cst.Name(name), params=params, new=elt
        )

    def is_keyword(self, node: cst.Name) -> bool:
        parent = self.context.edits.parent.get(node)
        return isinstance(parent, (cst.Arg, cst.Attribute)) and (
            getattr(parent, "keyword", None) is node or getattr(parent, "attr", None) is node
        )

    def clip_value(self, elt: cst.BaseExpression, name: str) -> cst.BaseExpression | None:
        """The bound where an expression clips a gradient between its negative and itself."""
        given = self.arguments(elt, "tf.clip_by_value", name)
        if given is None:
            return None
        low, high = (given.get(k) for k in ("clip_value_min", "clip_value_max"))
        if low is None or high is None or set(given) - {"t", "clip_value_min", "clip_value_max"}:
            return None
        return high if _is_negative(low, high) else None

    def clip_norm(self, elt: cst.BaseExpression, name: str) -> cst.BaseExpression | None:
        given = self.arguments(elt, "tf.clip_by_norm", name)
        if given is None or set(given) != {"t", "clip_norm"}:
            return None
        found: cst.BaseExpression = given["clip_norm"]
        return found

    def arguments(self, elt: Any, wanted: str, name: str) -> dict[str, Any] | None:
        if not isinstance(elt, cst.Call) or qualified_name(self.context, elt.func) != wanted:
            return None
        given = Site(self.context, elt, wanted).args
        first = given.get("t")
        return given if isinstance(first, cst.Name) and first.value == name else None

    def norm_clipped(self, change: Change, params: Any, bound: Any, name: str) -> Statements:
        context = self.context
        if context.exact:
            unit = context.emit("clip_by_norm")
            text = f"for p in params:\n    p.grad = {unit}(p.grad, bound)\n"
        else:
            text = "for p in params:\n    torch.nn.utils.clip_grad_norm_(p, bound)\n"
            context.caution(
                change.statement or self.update.node, "tf.clip_by_norm",
                "PyTorch adds 1e-6 to the norm that it divides by: about 1e-7 of the gradients",
                "--fidelity exact clips as TensorFlow does",
            )  # fmt: skip
        return fill_statements(text, p=cst.Name(name), params=params, bound=bound)

    # ---- gradients that the program goes on to use -------------------------------------------

    def write_assigned(self, statement: Any) -> None:
        update, context = self.update, self.context
        lines: Statements = []
        if update.pairs:
            for gradient, variable in update.pairs:
                lines += fill_statements("v.grad = g", v=variable, g=gradient)
        elif update.gradients is not None and update.variables is not None:
            names = self.pair_names()
            new: cst.BaseExpression = names[1]
            for change in update.changes:
                new = self.renamed(change, names)
            lines = fill_statements(
                "for p, g in zip(params, grads):\n    p.grad = new\n", p=names[0], g=names[1],
                params=parameters(context, update.variables), grads=update.gradients, new=new,
            )  # fmt: skip
        else:
            raise Unfit(
                "which gradients belong to which variables is not known here",
                "set .grad of each parameter, then call optimizer.step()",
            )
        context.edits.replace(statement, [*lines, *self.stepped()])

    def renamed(self, change: Change, names: tuple[cst.Name, cst.Name]) -> cst.BaseExpression:
        wanted = dict(zip(change.names, (names[1], names[0]), strict=False))
        for node in find(change.value, cst.Name):
            if node.value in wanted and not self.is_keyword(node):
                self.context.edits.replace(node, wanted[node.value].deep_clone())
        return change.value

    def pair_names(self) -> tuple[cst.Name, cst.Name]:
        if {"p", "g"} & self.context.names:
            return (cst.Name(free_name(self.context, "parameter")),
                    cst.Name(free_name(self.context, "gradient")))  # fmt: skip
        return cst.Name("p"), cst.Name("g")

    def minimized(self) -> Statements:
        loss = self.update.loss
        assert loss is not None
        made: cst.BaseExpression = loss
        if not isinstance(self.context.fact(loss), Tensor):
            made = loss.body if isinstance(loss, cst.Lambda) else fill("loss()", loss=loss)
        new = fill("loss.backward()", loss=made)
        return [*self.zeroed(), cst.SimpleStatementLine([cst.Expr(new)])]


def resolve_list(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """What a name for a model's variables was bound to, once and in the same function."""
    if not isinstance(node, cst.Name):
        return node
    made = only_assignment(context, node)
    if made is None:
        return node
    value = made.value
    plain = is_variable_list(value) or isinstance(value, cst.BinaryOperation)
    return value if plain else node


def _is_negative(low: Any, high: Any) -> bool:
    """Whether one bound is written as the other's negative."""
    if not isinstance(low, cst.UnaryOperation) or not isinstance(low.operator, cst.Minus):
        return False
    try:
        return float(code(low.expression)) == float(code(high))
    except ValueError:
        return code(low.expression).strip() == code(high).strip()


def between(context: Context, update: Update, others: list[Update]) -> bool:
    """Whether two updates lie in each other: gradients of one are there while the other steps."""
    if update.gradient is None:
        return False
    order = order_of(context)

    def span(one: Update) -> tuple[int, int]:
        assert one.gradient is not None
        return order.index[one.gradient.node], order.index[one.node]

    start, end = span(update)
    for other in others:
        if other is not update and other.gradient is not None:
            begin, stop = span(other)
            if start < begin < end or begin < start < stop:
                return True
    return False


def find_late(context: Context, updates: list[Update]) -> dict[Update, Update]:
    """Updates whose gradients are asked for after another step, and the first such step.

    TensorFlow's tape keeps the weights that it saw. PyTorch's graph refuses weights that a step has
    changed since: all gradients of one graph come before the first step.
    """
    order = order_of(context).index
    found: dict[Update, Update] = {}
    plain = [u for u in updates if u.gradient is not None and u.loss is None]
    plain.sort(key=lambda u: order[u.node])
    for place, late in enumerate(plain):
        for first in plain[:place]:
            if first not in found and _waits(context, first, late):
                found[late] = first
                break
    return found


def _waits(context: Context, first: Update, late: Update) -> bool:
    one, other = first.gradient, late.gradient
    assert one is not None
    assert other is not None
    edits = context.edits
    lines = [edits.statement(node) for node in (one.node, first.node, other.node)]
    body = list(getattr(edits.parent[lines[1]], "body", ()))
    if one.tape is not other.tape or not all(line in body for line in lines):
        return False
    start, step, asked = (body.index(line) for line in lines)
    if step >= asked:
        return False
    changed = set().union(*(writes(line) for line in body[start:asked]))
    read = names_read(other.target) | names_read(resolve_list(context, other.sources))
    makers = ({o.origin for o in u.optimizers} for u in (first, late))
    apart = _are_apart(context, one.sources, other.sources) and not set.intersection(*makers)
    if apart and not changed & read:
        return True
    context.caution(
        late.node, "tf.GradientTape",
        "PyTorch refuses a gradient through weights that a step has changed since they were used",
        "compute the gradients of all losses first, then make the steps",
    )  # fmt: skip
    return False


def _are_apart(context: Context, one: cst.BaseExpression, other: cst.BaseExpression) -> bool:
    """Whether two lists of variables have none in common: those of different models."""
    models = [_models(context, sources) for sources in (one, other)]
    if any(found is None for found in models):
        return False
    first, second = ({code(m) for m in found or ()} for found in models)
    parts, others = (
        {id(p) for m in found or () for o in options(context.fact(m)) for p in descendants(o)
         if isinstance(p, Instance)}
        for found in models
    )  # fmt: skip
    return not (first & second) and not (parts & others)


def _models(context: Context, sources: cst.BaseExpression) -> list[cst.BaseExpression] | None:
    """The models whose variables are listed."""
    match resolve_list(context, sources):
        case cst.BinaryOperation(left=left, right=right):
            sides = _models(context, left), _models(context, right)
            return None if None in sides else [*(sides[0] or ()), *(sides[1] or ())]
        case cst.Attribute(value=model) as listed if is_variable_list(listed):
            return [model]
    return None


__all__ = ["Step", "between", "find_late"]
