"""Functions that make optimizers and give them out are handed the parameters: PyTorch's need them.

`get_optimizer(name, lr)` becomes `get_optimizer(parameters, name, lr)`, lambdas and methods too:
its callers say whose. Which model belongs to which optimizer is read off the values that
both have wherever the optimizer steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.frames import Frame
from transpiler.infer.values import Function, Instance, Method, Value, options
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_tape.chains import order_of
from transpiler.planners.keras_tape.gradients import is_variable_list
from transpiler.planners.keras_tape.steps import resolve_list
from transpiler.planners.keras_tape.updates import OPTIMIZER, Update, assignments, scope_of
from transpiler.rule import Unfit
from transpiler.rules.keras_sizes import with_first, with_parameter
from transpiler.syntax import code, find
from transpiler.template import fill

NAME = "parameters"
UNKNOWN_CALLERS = "which variables the optimizers that this function makes update is not known"


@dataclass(eq=False)
class Factory:
    """A function that gives out optimizers, and what its callers have to hand it."""

    function: Any
    calls: dict[cst.Call, cst.BaseExpression] = field(default_factory=dict)
    after: dict[cst.Call, list[Any]] = field(default_factory=dict)
    parameter: str = NAME


def plan_factories(context: Context, updates: list[Update]) -> None:
    """Give the functions that make optimizers their parameter, as far as every call can say it."""
    reader = _Reader(context, updates)
    found: dict[Any, Factory] = {}
    for update in updates:
        for optimizer in update.optimizers:
            try:
                reader.visit(optimizer, update, optimizer.state.get("made in"), found)
            except Unfit:
                reader.failed.add(optimizer.origin)
    handed: dict[Any, cst.Name] = context.notes.setdefault("handed parameters", {})
    for factory in _understood(context, found, reader):
        origins = list(_optimizers_in(context, factory.function))
        moved = [_moved(context, c, s[0]) for c, s in factory.after.items() if s]
        _write(context, factory, handed, origins)
        for statement, after, line in moved:
            context.edits.replace(statement, [])
            context.edits.insert_after(after, [line])


def _understood(context: Context, found: dict[Any, Factory], reader: _Reader) -> list[Factory]:
    """The functions of which every call is known, and all that they hand on or are handed."""
    good = {f for f in found.values() if _is_understood(context, f, reader)}
    links = [
        (f, found.get(context.edits.enclosing(call, cst.FunctionDef, cst.Lambda)))
        for f in found.values()
        for call, new in f.calls.items()
        if isinstance(new, cst.Name)
    ]
    for _ in found:
        for inner, outer in links:
            if inner not in good or outer not in good:
                good -= {inner, outer}
    return list(good)


def _is_understood(context: Context, factory: Factory, reader: _Reader) -> bool:
    if set(_optimizers_in(context, factory.function)) & reader.failed:
        return False
    if set(factory.calls) & reader.conflicts or set(factory.calls) != set(_calls(context, factory)):
        return False
    try:
        for call, after in factory.after.items():
            if after:
                _moved(context, call, after[0])
    except Unfit:
        return False
    return True


class _Reader:
    """What every optimizer updates, as the callers of the functions that make it say it."""

    def __init__(self, context: Context, updates: list[Update]) -> None:
        self.context = context
        self.failed: set[Any] = set()
        self.said: dict[Any, cst.BaseExpression] = {}
        """What each call hands over."""
        self.conflicts: set[Any] = set()

    def visit(self, made: Instance, update: Update, frame: Any, found: dict[Any, Factory]) -> None:
        """Follow an optimizer from where it is made to where its variables have a name."""
        if not isinstance(frame, Frame) or frame.function is None or frame.site is None:
            return
        if made not in options(frame.result):
            return
        roots = self.roots(update)
        wanted = [self.wanted(made, update, root) for root in roots]
        if not isinstance(frame.function, cst.Lambda) and all(
            _names(frame.given, ids) for ids in wanted
        ):
            return  # the function has the model
        factory = found.setdefault(frame.function, Factory(frame.function))
        site, caller = frame.site, frame.caller
        if not isinstance(site, cst.Call) or caller is None:
            raise Unfit(UNKNOWN_CALLERS)
        after: list[Any] = []
        parts = [self.named(frame, r, i, after) for r, i in zip(roots, wanted, strict=True)]
        if not all(parts) and made in options(caller.result):
            self.visit(made, update, caller, found)
            if caller.function not in found:
                raise Unfit(UNKNOWN_CALLERS)
            new: cst.BaseExpression = cst.Name(NAME)
        else:
            pairs = zip(parts, wanted, strict=True)
            new = _listed([p or self.outer(site, ids) for p, ids in pairs])
        factory.calls[site] = new
        factory.after[site] = after
        if code(self.said.setdefault(site, new)) != code(new):
            self.conflicts.add(site)

    def named(self, frame: Frame, root: cst.BaseExpression, ids: set[int], after: list[Any]) -> str:
        """A model as the caller of a function has it, before the call or later on."""
        assert frame.caller is not None
        names = _names(frame.among, ids)
        if not names:
            names = _names(frame.caller.values, ids)
            after += self.bound(frame.site, names) if names else []
        same = [n for n in names if n == code(root).strip()]
        return (same or names or [""])[0]

    def roots(self, update: Update) -> list[cst.BaseExpression]:
        """The models of an update: `a` and `b` of `a.variables + b.variables`."""
        node = update.variables
        stack: list[Any] = [] if node is None else [resolve_list(self.context, node)]
        found: list[cst.BaseExpression] = []
        while stack:
            part = stack.pop()
            if isinstance(part, cst.BinaryOperation):
                stack += [part.right, part.left]
            elif is_variable_list(part):
                found.append(part.value)
            else:
                raise Unfit(UNKNOWN_CALLERS)
        if not found:
            raise Unfit(UNKNOWN_CALLERS)
        return found

    def wanted(self, made: Instance, update: Update, root: cst.BaseExpression) -> set[int]:
        """The models that an expression is wherever an optimizer, and no other one, steps."""
        home = scope_of(self.context, update.node)
        found: set[int] = set()
        for frame in self.context.interpreter.activations.get(home, []):
            if _held(frame, update.optimizer) == {id(made)}:
                found |= _held(frame, root)
        if not found:
            raise Unfit(UNKNOWN_CALLERS)
        return found

    def outer(self, site: cst.Call, ids: set[int]) -> str:
        """A variable of the module, where a function calls. Raises Unfit."""
        module = self.context.module
        frames = self.context.interpreter.activations.get(module, [])
        names = [n for frame in frames for n in _names(frame.values, ids)]
        if not names or scope_of(self.context, site) is module:
            raise Unfit(UNKNOWN_CALLERS)
        return names[0]

    def bound(self, site: cst.Call, names: list[str]) -> list[Any]:
        """The statement that makes the model, where that is after the call."""
        scope = scope_of(self.context, site)
        root = names[0].partition(".")[0]
        made = [self.context.edits.statement(a) for a, _ in assignments(self.context, scope, root)]
        order = order_of(self.context)
        late = [s for s in made if order.end(s) > order.index[site]]
        return late[-1:]


def _held(frame: Frame, node: cst.BaseExpression) -> set[int]:
    """The objects that an expression is in a run of a function."""
    return {id(o) for o in _values(frame, node) if isinstance(o, Instance)}


def _values(frame: Frame, node: cst.BaseExpression) -> tuple[Value, ...]:
    if isinstance(node, cst.Name):
        return options(frame.lookup(node.value))
    if isinstance(node, cst.Attribute):
        owners = [o for o in _values(frame, node.value) if isinstance(o, Instance)]
        return tuple(v for o in owners for v in options(o.attributes.get(node.attr.value)))
    return ()


def _names(values: dict[str, Value], ids: set[int]) -> list[str]:
    """Variables, and attributes of what they hold, that are some of these objects."""
    plain, deeper = [], []
    for name, value in values.items():
        held = [o for o in options(value) if isinstance(o, Instance)]
        if held and {id(o) for o in held} <= ids:
            plain.append(name)
        if len(held) == 1:
            for attribute, inner in held[0].attributes.items():
                inside = {id(o) for o in options(inner) if isinstance(o, Instance)}
                if inside and inside <= ids:
                    deeper.append(f"{name}.{attribute}")
    return plain or deeper


def _listed(models: list[str]) -> cst.BaseExpression:
    """The parameters of one model, or of several."""
    each = [fill("model.parameters()", model=cst.parse_expression(m)) for m in models]
    if len(each) == 1:
        return each[0]
    return cst.List([cst.StarredElement(e) for e in each])


def _optimizers_in(context: Context, function: Any) -> Iterator[cst.Call]:
    """The calls that make the optimizers which a function gives out, in branches not taken too."""
    for instance in context.interpreter.instances.values():
        origin = instance.origin
        if not isinstance(origin, cst.Call) or origin not in context.edits.parent:
            continue
        around = context.edits.enclosing(origin, cst.FunctionDef, cst.Lambda)
        if around is function and context.knowledge.derives(instance, OPTIMIZER):
            yield origin


def _calls(context: Context, factory: Factory) -> list[Any]:
    """The calls of a function; None among them where it is handed to what is not known."""
    found: list[Any] = []
    for call in find(context.module, cst.Call):
        held = [
            o.function if isinstance(o, Method) else o for o in options(context.fact(call.func))
        ]
        if any(isinstance(o, Function) and o.node is factory.function for o in held):
            found.append(call if len(held) == 1 or _are_factories(context, held) else None)
    return found


def _are_factories(context: Context, held: list[Any]) -> bool:
    """Whether all that a call may run make optimizers."""
    nodes = [o.node for o in held if isinstance(o, Function)]
    return len(nodes) == len(held) and all(
        any(True for _ in _optimizers_in(context, n)) for n in nodes
    )


def _write(
    context: Context, factory: Factory, handed: dict[Any, cst.Name], origins: list[cst.Call]
) -> None:
    function = factory.function
    own = _own_parameter(context, factory)
    if own is None:
        factory.parameter = NAME if not _uses(function, NAME) else free_name(context, NAME)
        around = context.edits.enclosing(function, cst.FunctionDef, cst.ClassDef)
        static = isinstance(function, cst.FunctionDef) and any(
            code(d.decorator) == "staticmethod" for d in function.decorators
        )
        method = isinstance(around, cst.ClassDef) and isinstance(function, cst.FunctionDef)
        context.edits.wrap(
            function.params, with_parameter(factory.parameter, method and not static)
        )
        done: set[Any] = context.notes.setdefault("handed calls", set())
        for call, new in factory.calls.items():
            if call not in done:
                done.add(call)
                context.edits.wrap(call, with_first(new), inner=True)
    for origin in origins:
        handed[origin] = cst.Name(own or factory.parameter)


def _moved(context: Context, call: cst.Call, after: Any) -> tuple[Any, Any, Any]:
    """The statement of a call that has to come behind another one, as a line of its own."""
    parent: Any = context.edits.parent[call]
    statement: Any = context.edits.statement(call)
    if not isinstance(parent, cst.Assign) or is_read_before(context, parent, after):
        raise Unfit("the optimizer is used before its model is made")
    kept = [x for x in statement.leading_lines if x.comment is not None]
    return statement, after, cst.SimpleStatementLine([parent], leading_lines=kept)


def is_read_before(context: Context, assign: cst.Assign, after: Any) -> bool:
    """Whether what a statement binds is read before the end of another one."""
    order, text = order_of(context), code(assign.targets[0].target).strip()
    scope = scope_of(context, assign)
    start, end = order.end(assign), order.index[after]
    for node in find(scope, cst.Name, cst.Attribute):
        if start < order.index[node] < end and code(node).strip() == text:
            if scope_of(context, node) is scope:
                return True
    return False


def _uses(function: Any, name: str) -> bool:
    return any(n.value == name for n in find(function, cst.Name))


def _own_parameter(context: Context, factory: Factory) -> str | None:
    """The parameter by which a function is handed the variables already."""
    params = [p.name.value for p in factory.function.params.params]
    for place, name in enumerate(params):
        if all(_hands(call, place, new) for call, new in factory.calls.items()):
            return str(name)
    return None


def _hands(call: cst.Call, place: int, new: cst.BaseExpression) -> bool:
    """Whether a call hands over, at a place, the variables that the optimizer updates."""
    arg = call.args[place] if place < len(call.args) else None
    if arg is None or arg.keyword is not None or arg.star or not is_variable_list(arg.value):
        return False
    assert isinstance(arg.value, cst.Attribute)
    return code(fill("model.parameters()", model=arg.value.value)) == code(new)


__all__ = ["plan_factories"]
