"""The layout planner: channels-last inside, transposes only where the order of axes matters.

It runs through every function with the order of each value in hand. A value is either in torch's
order or channels-last (kept as its rank). What a consumer needs otherwise is transposed there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.dataflow import read_after
from transpiler.infer.values import (
    UNKNOWN,
    Class,
    Const,
    Instance,
    ListObject,
    Sequence,
    Tensor,
    Value,
    items_of,
    options,
)
from transpiler.layouts import (
    CHANNELS_LAST,
    KEEPS,
    LOSS,
    TORCH_ORDER,
    ModuleLayout,
    module_layout,
    spatial_rank,
)
from transpiler.modules import in_module_method, is_module, method
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Layout
from transpiler.syntax import code, find, names_read
from transpiler.template import fill, fill_statements

Order = int | None
"""The rank of a channels-last value; None for torch's order."""
Env = dict[str, Order]
Action = Callable[[], None]
_MOVING = frozenset({"permute", "transpose", "swapaxes", "swapdims"})
_RESHAPES = ("flatten", "view", "reshape", "squeeze")
_SHAPES = frozenset({"torch.Tensor.shape", "torch.Tensor.size", "torch.Tensor.dim",
                     "torch.Tensor.ndim", "torch.Tensor.dtype", "torch.Tensor.device",
                     "torch.Tensor.numel", "torch.Tensor.new_zeros"})  # fmt: skip


_KEEPING = frozenset(
    """cat concat concatenate hstack vstack chunk split tensor_split softmax log_softmax flip roll
    cumsum cumprod sort argsort topk narrow index_select repeat tile normalize expand
    expand_as broadcast_to pixel_shuffle pixel_unshuffle repeat_interleave""".split()
)
"""Functions of axes whose results have as many as what they are given."""
_REDUCING = frozenset(
    """sum mean max min amax amin argmax argmin std var prod any all norm logsumexp median
    count_nonzero select unbind""".split()
)


def plan(context: Context) -> None:
    """Decide the order of every value, and place the transposes."""
    if not any(_is_spatial_use(context, n) for n in find(context.module, cst.Call)):
        return
    conventions = _Conventions(context)
    context.notes["layout conventions"] = conventions.of
    for function in find(context.module, cst.FunctionDef):
        if not conventions.handles(function):
            _commit(_Run(context, function).function({}))
    run = _Run(context, None)
    run.body(list(context.module.body), {})
    _commit(run)
    for function in conventions.entries:
        conventions.write(function)


def _is_spatial_use(context: Context, call: cst.Call) -> bool:
    for value in options(context.fact(call.func)):
        if isinstance(value, Instance) and module_layout(context, value).takes:
            return True
    name = qualified_name(context, call.func)
    kind = context.rulebook.layout(context.to, name) if name is not None else None
    return kind in ("spatial", "loss")


def to_channels_last(rank: int) -> list[int]:
    """The permutation from torch's order: [0, 2, 3, 1] for rank 4."""
    return [0, *range(2, rank), 1]


def to_torch_order(rank: int) -> list[int]:
    """The permutation back: [0, 3, 1, 2] for rank 4."""
    return [0, rank - 1, *range(1, rank - 1)]


def _commit(run: _Run) -> None:
    for action in run.actions:
        action()


class _Conventions:
    """The orders that the program's own modules take and give."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.known: dict[Class, ModuleLayout] = {}
        self.entries: dict[cst.FunctionDef, Class] = {}
        self.outside = self.classes_called_outside()
        for node in find(context.module, cst.ClassDef):
            cls = context.fact(node)
            entry = method(node, "forward")
            if isinstance(cls, Class) and is_module(context, cls) and entry is not None:
                self.entries[entry] = cls

    def handles(self, function: cst.FunctionDef) -> bool:
        return function in self.entries

    def classes_called_outside(self) -> set[Class]:
        found: set[Class] = set()
        called: set[Class] = set()
        for call in find(self.context.module, cst.Call):
            inside = in_module_method(self.context, call)
            for value in options(self.context.fact(call.func)):
                receiver = getattr(value, "receiver", value)
                if isinstance(receiver, Instance) and isinstance(receiver.cls, Class):
                    called.add(receiver.cls)
                    if not inside:
                        found.add(receiver.cls)
        made = {i.cls for i in self.context.interpreter.instances.values()}
        held = self.held_in_sequences()
        for cls in made:
            if isinstance(cls, Class) and cls not in called and cls not in held:
                found.add(cls)
        return found

    def held_in_sequences(self) -> set[Class]:
        from transpiler.modules import descendants

        found: set[Class] = set()
        for instance in self.context.interpreter.instances.values():
            if not isinstance(instance.cls, Class):
                for part in descendants(instance):
                    if isinstance(part, Instance) and isinstance(part.cls, Class):
                        found.add(part.cls)
        return found

    def of(self, cls: Class) -> ModuleLayout:
        """The convention of a class of the program."""
        if cls not in self.known:
            self.known[cls] = TORCH_ORDER
            entry = next((f for f, c in self.entries.items() if c is cls), None)
            if entry is not None and cls not in self.outside:
                self.known[cls] = self.natural(entry)
            elif entry is None:
                for base in cls.bases:
                    if isinstance(base, Class):
                        self.known[cls] = self.of(base)
        return self.known[cls]

    def natural(self, entry: cst.FunctionDef) -> ModuleLayout:
        """The convention that needs the fewest transposes."""
        best: tuple[int, ModuleLayout] | None = None
        for layout in (TORCH_ORDER, ModuleLayout(True, True), ModuleLayout(True, False),
                       ModuleLayout(False, True)):  # fmt: skip
            run = _Run(self.context, entry, gives=layout.gives)
            run.function(self.start(entry, layout.takes))
            cost = run.cost + (layout.takes != layout.gives)  # blocks often follow each other
            if best is None or cost < best[0]:
                best = (cost, layout)
        assert best is not None
        return best[1]

    def start(self, entry: cst.FunctionDef, channels_last: bool) -> Env:
        """The order of the parameters where they are taken channels-last."""
        if not channels_last:
            return {}
        env: Env = {}
        for param in [*entry.params.params[1:], *entry.params.kwonly_params]:
            fact = self.context.fact(param.name)
            rank = fact.rank if isinstance(fact, Tensor) else None
            if rank is not None and rank >= 3:
                env[param.name.value] = rank
            elif rank is None and (isinstance(fact, Tensor) or fact is UNKNOWN):
                guessed = _first_rank(self.context, entry, param.name.value)
                if guessed is not None:
                    env[param.name.value] = guessed
        return env

    def write(self, entry: cst.FunctionDef) -> None:
        """Commit the entry method of a class under its convention."""
        layout = self.of(self.entries[entry])
        if layout.takes:
            run = _Run(self.context, entry, gives=layout.gives)
            _commit(run.function(self.start(entry, True)))
            return
        plain = _Run(self.context, entry, gives=layout.gives).function({})
        converted = self.start(entry, True)
        hoisted = _Run(self.context, entry, gives=layout.gives).function(dict(converted))
        if converted and hoisted.cost + len(converted) <= plain.cost:
            _commit(hoisted)
            self.insert_entry(entry, converted)
        else:
            _commit(plain)

    def insert_entry(self, entry: cst.FunctionDef, converted: Env) -> None:
        from transpiler.syntax import docstring_end

        body = list(entry.body.body)
        place = body[min(docstring_end(body), len(body) - 1)]  # type: ignore[arg-type]
        lines = []
        for name, rank in converted.items():
            assert rank is not None
            axes = "".join("NCDHW"[i] for i in {3: (0, 1, 4), 4: (0, 1, 3, 4), 5: range(5)}[rank])
            last = axes[0] + axes[2:] + axes[1]
            text = f"x = tf.transpose(x, {to_channels_last(rank)})  # {axes} -> {last}"
            lines += fill_statements(text, x=cst.Name(name))
        self.context.edits.insert_before(place, lines)


def _first_rank(context: Context, entry: cst.FunctionDef, name: str) -> int | None:
    """The rank of a parameter of unknown shape, from the first spatial layer called on it."""
    for call in find(entry.body, cst.Call):
        uses = call.args and isinstance(call.args[0].value, cst.Name)
        if uses and call.args[0].value.value == name:  # type: ignore[attr-defined]
            for value in options(context.fact(call.func)):
                if isinstance(value, Instance) and module_layout(context, value).takes:
                    return _rank_of_module(value)
    return None


def _rank_of_modules(modules: list[Instance]) -> int | None:
    """The rank that one of several modules tells; a Sequential without layers does not."""
    return next((rank for m in modules if (rank := _rank_of_module(m)) is not None), None)


def _rank_of_module(value: Value) -> int | None:
    from transpiler.modules import descendants

    for part in descendants(value):
        if isinstance(part, Instance):
            for name in part.class_names:
                rank = spatial_rank(name)
                if rank is not None:
                    return rank
    return None


class _Run:
    """One pass through a function; nothing is changed until its actions are committed."""

    def __init__(
        self, context: Context, function: cst.FunctionDef | None, gives: bool = False
    ) -> None:
        self.context = context
        self.node = function
        self.gives = gives
        self.actions: list[Action] = []
        self.orders: dict[Any, Order] = {}
        self.cost = 0

    def function(self, env: Env) -> _Run:
        assert self.node is not None
        self.body(list(self.node.body.body), env)
        return self

    # ---- statements --------------------------------------------------------------------------

    def body(self, statements: list[Any], env: Env) -> None:
        for statement in statements:
            self.statement(statement, env)

    def statement(self, statement: Any, env: Env) -> None:
        match statement:
            case cst.SimpleStatementLine():
                for small in statement.body:
                    self.small(small, env)
            case cst.If():
                self.expect_any(statement.test, env)
                self.branches(statement, env)
            case cst.For():
                order = self.visit(statement.iter, env)
                self.loop(statement, env, order)
            case cst.While():
                self.expect_any(statement.test, env)
                self.loop(statement, env, None)
            case cst.With():
                for item in statement.items:
                    self.visit(item.item, env)
                self.body(list(statement.body.body), env)
            case cst.Try():
                self.body(list(statement.body.body), env)
                for handler in statement.handlers:
                    self.body(list(handler.body.body), dict(env))

    def small(self, node: Any, env: Env) -> None:
        match node:
            case cst.Assign():
                order = self.visit(node.value, env)
                for target in node.targets:
                    self.bind(target.target, node.value, order, env)
            case cst.AnnAssign() if node.value is not None:
                self.bind(node.target, node.value, self.visit(node.value, env), env)
            case cst.AugAssign():
                self.augmented(node, env)
            case cst.Return() if node.value is not None:
                self.returned(node.value, env)
            case cst.Expr():
                order = self.visit(node.value, env)
                changed = _changed_in_place(node.value)
                if changed in env:
                    env[changed] = order
            case cst.Assert():
                self.expect_any(node.test, env)

    def bind(self, target: Any, value: Any, order: Order, env: Env) -> None:
        match target:
            case cst.Name():
                env[target.value] = order
            case cst.Tuple() | cst.List():
                values = (
                    [e.value for e in value.elements]
                    if isinstance(value, cst.Tuple) and len(value.elements) == len(target.elements)
                    else None
                )
                for index, element in enumerate(target.elements):
                    inner = self.orders.get(values[index]) if values else order
                    self.bind(element.value, None, inner, env)
            case _:
                if order is not None and value is not None:
                    self.convert(value, order, None)

    def augmented(self, node: cst.AugAssign, env: Env) -> None:
        if not isinstance(node.target, cst.Name):
            self.expect(node.value, env, None)
            return
        left = env.get(node.target.value)
        right = self.visit(node.value, env)
        if left is not None and right is None and self.is_array(node.value):
            self.convert(node.value, None, left)
        elif left is not None and right is None and not self.is_scalar(node.value):
            line = _conversion_line(node.target.value, left, None)
            self.cost += 1
            place = self.context.edits.statement(node)
            self.actions.append(lambda: self.context.edits.insert_before(place, [line]))
            env[node.target.value] = None
        elif left is None and right is not None:
            self.convert(node.value, right, None)

    def returned(self, value: Any, env: Env) -> None:
        if isinstance(value, cst.Tuple):
            for element in value.elements:
                self.expect(element.value, env, None)
            return
        order = self.visit(value, env)
        if self.gives and order is None and self.is_array(value, or_unknown=True):
            rank = self.rank(value)
            if rank is not None and rank >= 3:
                self.convert(value, None, rank)
            else:
                self.cost += 100
        elif not self.gives and order is not None:
            self.convert(value, order, None)

    def branches(self, node: cst.If, env: Env) -> None:
        first, second = dict(env), dict(env)
        self.body(list(node.body.body), first)
        if isinstance(node.orelse, cst.If):
            self.statement(node.orelse, second)
        elif isinstance(node.orelse, cst.Else):
            self.body(list(node.orelse.body.body), second)
        if _ends(node.body):
            env.update(second)
            return
        if isinstance(node.orelse, cst.Else) and _ends(node.orelse.body):
            env.update(first)
            return
        for name in first.keys() | second.keys():
            a, b = first.get(name), second.get(name)
            is_live = a != b and (
                self.node is None or read_after(self.context.edits.parent, node, name)
            )
            if is_live and name in first and name in second:
                self.reconcile(node.body, name, a, b)
            env[name] = b if name in second else a

    def reconcile(self, block: Any, name: str, have: Order, want: Order) -> None:
        """Convert a variable at the end of a block."""
        line = _conversion_line(name, have, want)
        last = block.body[-1]
        self.cost += 1
        self.actions.append(lambda: self.context.edits.insert_after(last, [line]))

    def loop(self, node: Any, env: Env, order: Order) -> None:
        mark, cost = len(self.actions), self.cost
        for _ in range(3):
            trial = dict(env)
            if isinstance(node, cst.For):
                self.bind(node.target, None, order, trial)
            self.body(list(node.body.body), trial)
            changed = [n for n in env if trial.get(n) != env[n]]
            if not changed:
                break
            del self.actions[mark:]
            self.cost = cost
            for name in changed:
                line = _conversion_line(name, env[name], trial[name])
                env[name] = trial[name]
                self.cost += 1
                self.actions.append(
                    lambda line=line: self.context.edits.insert_before(node, [line])  # type: ignore[misc]
                )
            mark, cost = len(self.actions), self.cost
        for name, value in trial.items():
            env.setdefault(name, value)

    # ---- expressions -------------------------------------------------------------------------

    def rank(self, node: cst.CSTNode) -> int | None:
        for value in options(self.context.fact(node)):
            if isinstance(value, Tensor):
                return value.rank
        return None

    def is_array(self, node: cst.CSTNode, *, or_unknown: bool = False) -> bool:
        fact = self.context.fact(node)
        if or_unknown and fact is UNKNOWN:
            return True
        return any(isinstance(o, Tensor) for o in options(fact))

    def expect(self, node: Any, env: Env, want: Order) -> None:
        """Visit an expression and convert it where it is in another order."""
        have = self.visit(node, env)
        if have != want and (have is not None or self.is_array(node)):
            self.convert(node, have, want)

    def expect_any(self, node: Any, env: Env) -> None:
        self.visit(node, env)

    def convert(self, node: Any, have: Order, want: Order) -> None:
        """Transpose what the expression gives."""
        self.cost += 1
        rank = have if have is not None else want
        assert rank is not None
        axes = to_torch_order(rank) if want is None else to_channels_last(rank)
        many = any(isinstance(o, (ListObject, Sequence)) for o in options(self.context.fact(node)))
        template = "[tf.transpose(t, axes) for t in x]" if many else "tf.transpose(x, axes)"

        def act() -> None:
            layouts = self.context.layouts
            if want is None:
                layouts.pop(node, None)
            else:
                layouts[node] = "nhwc"
            self.context.edits.wrap(node, lambda x: fill(template, x=x, axes=axes))

        self.actions.append(act)

    def mark(self, node: Any, order: Order) -> Order:
        if order is not None:
            self.actions.append(lambda: self.context.layouts.__setitem__(node, "nhwc"))
        self.orders[node] = order
        return order

    def visit(self, node: Any, env: Env) -> Order:
        """The order of the translated expression."""
        match node:
            case cst.Name():
                return self.mark(node, env.get(node.value))
            case cst.Call():
                return self.mark(node, self.call(node, env))
            case cst.BinaryOperation():
                return self.mark(node, self.elementwise([node.left, node.right], env))
            case cst.Comparison():
                parts = [node.left, *(c.comparator for c in node.comparisons)]
                return self.mark(node, self.elementwise(parts, env))
            case cst.UnaryOperation():
                return self.mark(node, self.visit(node.expression, env))
            case cst.IfExp():
                self.visit(node.test, env)
                return self.mark(node, self.elementwise([node.body, node.orelse], env))
            case cst.Tuple() | cst.List():
                return self.mark(node, self.elements(node, env))
            case cst.Attribute():
                return self.attribute(node, env)
            case cst.Subscript():
                return self.subscript(node, env)
            case cst.ListComp() | cst.GeneratorExp():
                return self.mark(node, self.comprehension(node, env))
            case cst.NamedExpr():
                order = self.visit(node.value, env)
                self.bind(node.target, node.value, order, env)
                return order
        if isinstance(node, cst.BaseExpression):
            for child in node.children:
                self.inner(child, env)
        return None

    def inner(self, node: Any, env: Env) -> None:
        """Parts of an expression that take torch's order."""
        if isinstance(node, cst.BaseExpression):
            self.expect(node, env, None)
        elif isinstance(node, cst.CSTNode):
            for child in node.children:
                self.inner(child, env)

    def elements(self, node: cst.Tuple | cst.List, env: Env) -> Order:
        values = [e.value for e in node.elements]
        return self.elementwise(values, env) if values else None

    def comprehension(self, node: Any, env: Env) -> Order:
        inner = dict(env)
        order = self.visit(node.for_in.iter, env)
        self.bind(node.for_in.target, None, order, inner)
        return self.visit(node.elt, inner)

    def attribute(self, node: cst.Attribute, env: Env) -> Order:
        order = self.visit(node.value, env)
        if order is None:
            return None
        if node.attr.value in ("data",):
            return self.mark(node, order)
        if node.attr.value in ("shape",):
            if not self.reads_sizes_apart(node, order):
                self.convert(node.value, order, None)
        elif node.attr.value not in ("dtype", "device", "ndim", "is_cuda", "requires_grad"):
            self.convert(node.value, order, None)
        return None

    def reads_sizes_apart(self, node: cst.CSTNode, order: int) -> bool:
        """Whether sizes are read by number, or one by one: those can be renumbered."""
        parent = self.context.edits.parent.get(node)
        if isinstance(parent, cst.Subscript):
            return True
        if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
            target = parent.targets[0].target
            return isinstance(target, cst.Tuple) and len(target.elements) == order
        return False

    def subscript(self, node: cst.Subscript, env: Env) -> Order:
        order = self.visit(node.value, env)
        for element in node.slice:
            self.inner(element, env)
        if order is None:
            return None
        if any(
            isinstance(o, (ListObject, Sequence)) for o in options(self.context.fact(node.value))
        ):
            return self.mark(node, order)
        if isinstance(node.value, cst.Attribute) and node.value.attr.value == "shape":
            return None
        self.convert(node.value, order, None)
        return None

    def elementwise(self, parts: list[Any], env: Env, visited: Any = None) -> Order:
        """Bring array operands to one order; channels-last where they can all be.

        A second visit would transpose a second time, so one that was visited before is named.
        """
        orders = [self.orders.get(p) if p is visited else self.visit(p, env) for p in parts]
        known = [o for o in orders if o is not None]
        if not known:
            return None
        rank = known[0]
        others = [
            p for p, o in zip(parts, orders, strict=False) if o is None and not self.is_scalar(p)
        ]
        if all(self.rank(p) == rank for p in others) and all(o == rank for o in known):
            for part in others:
                self.convert(part, None, rank)
            return rank
        for part, order in zip(parts, orders, strict=False):
            if order is not None:
                self.convert(part, order, None)
        return None

    def is_scalar(self, node: Any) -> bool:
        """Numbers, and arrays without axes or with a single element."""
        for value in options(self.context.fact(node)):
            if isinstance(value, Tensor):
                if value.shape is None or any(d != 1 for d in value.shape):
                    return False
            elif isinstance(value, (Instance, ListObject, Sequence)) or (
                not hasattr(value, "type") and (not isinstance(value, Const))
            ):
                return False
        return True

    # ---- calls -------------------------------------------------------------------------------

    def call(self, node: cst.Call, env: Env) -> Order:
        if isinstance(node.func, cst.Attribute) and not isinstance(
            self.context.fact(node.func), (Instance,)
        ):
            receiver_order = self.receiver_order(node, env)
        else:
            receiver_order = None
        modules = [
            o for o in options(self.context.fact(node.func))
            if isinstance(o, Instance) and is_module(self.context, o)
        ]  # fmt: skip
        if modules:
            return self.order_of(node, self.module_call(node, modules, env))
        name = qualified_name(self.context, node.func)
        if name is not None and not self.context.knowledge.is_class(name):
            kind = self.context.rulebook.layout(self.context.to, name)
            order = self.library_call(node, name, kind, receiver_order, env)
            return self.order_of(node, order)
        return self.other_call(node, receiver_order, env)

    def order_of(self, node: cst.Call, order: Order) -> Order:
        """A result's order: a mean over all elements has none, whatever it was taken of."""
        rank = self.rank(node)
        return order if rank is None or rank == order else None

    def receiver_order(self, node: cst.Call, env: Env) -> Order:
        assert isinstance(node.func, cst.Attribute)
        return self.visit(node.func.value, env)

    def module_call(self, node: cst.Call, modules: list[Instance], env: Env) -> Order:
        layouts = {module_layout(self.context, m) for m in modules}
        sensitive = layouts - {KEEPS}
        if len(sensitive) > 1:
            self.actions.append(
                lambda: self.context.manual(
                    node,
                    "layout",
                    "this calls layers that work channels-last and layers that need torch's order",
                    "call them by name instead of in one loop",
                )
            )
        layout = next(iter(sensitive), KEEPS)
        if layout == LOSS and node.args:
            self.loss([a.value for a in node.args], env)
            return None
        if layout.keeps:
            return self.elementwise([a.value for a in node.args], env) if node.args else None
        first: Order = None
        for index, arg in enumerate(node.args):
            want: Order = None
            have = self.visit(arg.value, env)
            if layout.takes:
                rank = self.rank(arg.value)
                if rank is None and index == 0:
                    rank = _rank_of_modules(modules) or have
                want = rank if rank is not None and rank >= 3 else None
                if index and layout == CHANNELS_LAST and not isinstance(modules[0].cls, Class):
                    want = None
            moves = have is not None or self.is_array(arg.value, or_unknown=not index)
            if have != want and moves:
                self.convert(arg.value, have, want)
            first = want if index == 0 else first
        if not layout.gives:
            return None
        rank = self.rank(node)
        if rank is not None:
            return rank if rank >= 3 else None
        return first or _rank_of_modules(modules)

    def library_call(
        self, node: cst.Call, name: str, kind: Layout, receiver: Order, env: Env
    ) -> Order:
        args = [a.value for a in node.args]
        has_receiver = name.startswith("torch.Tensor.") and isinstance(node.func, cst.Attribute)
        subject = node.func.value if has_receiver else (args[0] if args else None)  # type: ignore[attr-defined]
        rest = args if has_receiver else args[1:]
        if name in _SHAPES:
            if name == "torch.Tensor.size" and not args and receiver is not None:
                if not self.reads_sizes_apart(node, receiver):
                    self.convert(subject, receiver, None)
            return None
        if subject is None:
            return None
        if name.rpartition(".")[2] in _MOVING:
            order = receiver if has_receiver else self.visit(subject, env)
            moved = self.moved(node, rest, subject, order)
            if moved is not None:
                self.actions.append(lambda: self.leave_out(node, subject))
                return moved[0]
            receiver, has_visited = order, True
        else:
            has_visited = has_receiver
        if kind == "spatial":
            return self.spatial(node, name, subject, rest, has_receiver, env)
        if kind == "loss":
            self.loss(args, env)
            return None
        if kind == "elementwise":
            parts = [subject, *(a for a in rest if self.is_array(a))]
            for other in rest:
                if not self.is_array(other):
                    self.visit(other, env)
            return self.elementwise(parts, env, subject if has_receiver else None)
        order = receiver if has_visited else self.visit(subject, env)
        if (
            kind == "axis"
            and order is not None
            and self.axis_known(node, order)
            and self.rank_of_result(node, name, order) is not None
        ):
            for other in rest:
                self.expect(other, env, order if self.rank(other) == order else None)
            return self.axis_result(node, name, order)
        for other in rest:
            self.expect(other, env, None)
        if order is not None and not self.order_free(name, subject):
            self.convert(subject, order, None)
        return None

    def moved(
        self, node: cst.Call, rest: list[Any], subject: Any, order: Order
    ) -> tuple[Order] | None:
        """The order of a value whose axes the program moves as channels-last does anyway."""
        rank = order or self.rank(subject) or (len(rest) if len(rest) > 2 else None)
        axes = _permutation(self.context, node, rest, rank)
        if rank is None or axes is None or not 3 <= rank <= 5:
            return None
        if order == rank and axes == to_channels_last(rank):
            return (None,)
        if order is None and axes == to_torch_order(rank) and self.feeds_spatial(node, rank):
            return (rank,)
        return None

    def feeds_spatial(self, node: cst.Call, rank: int) -> bool:
        """Whether a value goes into layers that work channels-last."""
        if rank > 3:
            return True
        parent = self.context.edits.parent.get(node)
        if isinstance(parent, cst.Arg):
            call = self.context.edits.parent.get(parent)
            return isinstance(call, cst.Call) and _is_spatial_use(self.context, call)
        if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
            name = parent.targets[0].target.value
            scope = self.node if self.node is not None else self.context.module
            return any(
                _is_spatial_use(self.context, call) and name in names_read(call.args[0].value)
                for call in find(scope, cst.Call)
                if call.args
            )
        return False

    def leave_out(self, node: cst.Call, subject: Any) -> None:
        self.context.claim(node)
        parent = self.context.edits.parent.get(node)
        if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
            if code(parent.targets[0].target) == code(subject):  # `x = x`
                self.context.edits.replace(self.context.edits.statement(node), [])
                return
        self.context.edits.replace(node, subject)

    def order_free(self, name: str, subject: Any) -> bool:
        """A reshape of a value whose spatial axes all have size 1 reads the same in both orders."""
        if name.rpartition(".")[2] not in _RESHAPES[:3]:
            return False
        for value in options(self.context.fact(subject)):
            if not isinstance(value, Tensor) or value.shape is None:
                return False
            if any(d != 1 for d in value.shape[2:]):
                return False
        return True

    def spatial(
        self, node: cst.Call, name: str, subject: Any, rest: list[Any], has_receiver: bool, env: Env
    ) -> Order:
        rank = self.rank(subject) or spatial_rank(name) or self.rank(node)
        have = self.orders.get(subject) if has_receiver else self.visit(subject, env)
        rank = rank or have or self.rank_by_sizes(rest)
        if rank is None:
            self.actions.append(
                lambda: self.context.manual(
                    node, "layout",
                    "how many axes this value has is not known, and the layers work channels-last",
                    "transpose it here where that is needed",
                )
            )  # fmt: skip
        if rank is None or rank < 3:
            if have is not None:
                self.convert(subject, have, None)
            for other in rest:
                self.expect(other, env, None)
            return None
        if have is None:
            self.convert(subject, None, rank)
        for other in rest:
            self.expect(other, env, None)
        return rank

    def rank_by_sizes(self, nodes: list[Any]) -> int | None:
        """The rank of what `size=(h, w)` is about."""
        for node in nodes:
            items = items_of(self.context.fact(node))
            if items is not None and 1 <= len(items) <= 3:
                return len(items) + 2
        return None

    def loss(self, args: list[Any], env: Env) -> None:
        """Scores with the classes last, targets of the same rank too, all else as it is."""
        order = self.visit(args[0], env)
        rank = order or self.rank(args[0])
        want = rank if rank is not None and rank >= 3 else None
        if order != want:
            self.convert(args[0], order, want)
        for other in args[1:]:
            self.expect(other, env, want if self.rank(other) == want else None)

    def axis_known(self, node: cst.Call, order: int) -> bool:
        """Whether every axis argument is a constant, so that it can be renumbered."""
        for arg in node.args:
            keyword = arg.keyword.value if arg.keyword is not None else None
            if keyword in ("dim", "axis", "dims"):
                fact = self.context.fact(arg.value)
                if not isinstance(fact, (Const, Sequence, ListObject)):
                    return False
        return True

    def axis_result(self, node: cst.Call, name: str, order: int) -> Order:
        """The order of the result: channels-last while the channel and a spatial axis are left."""
        rank = self.rank_of_result(node, name, order)
        if rank is None or rank < 3:
            return None
        if rank == order:
            return order
        return rank if rank > order else None

    def rank_of_result(self, node: cst.Call, name: str, order: int) -> int | None:
        """The rank of what a function of axes gives, for an argument of a known order."""
        fact = self.context.fact(node)
        value: Value = fact
        for option in options(fact):
            if isinstance(option, (Sequence, ListObject)):
                items = option.items or ()
                value = items[0] if items else (option.element or value)
        rank = value.rank if isinstance(value, Tensor) else None
        if rank is not None:
            return rank
        short = name.rpartition(".")[2]
        if short in _KEEPING or any(_keeps_axes(arg) for arg in node.args):
            return order
        if short in ("unsqueeze", "stack"):
            return order + 1
        return order - 1 if short in _REDUCING else None

    def other_call(self, node: cst.Call, receiver: Order, env: Env) -> Order:
        """Calls of Python's and the program's own functions: torch's order, lists keep theirs."""
        func = node.func
        if isinstance(func, cst.Attribute) and func.attr.value in ("append", "insert"):
            order = self.visit(node.args[-1].value, env) if node.args else None
            if isinstance(func.value, cst.Name):
                name = func.value.value
                have = env.get(name)
                if order is not None and have is None and self.is_fresh_list(func.value):
                    env[name] = order
                elif have != order and node.args:
                    if have is None and order is not None:
                        self.convert(node.args[-1].value, order, None)
                    elif have is not None and order is None:
                        self.convert(node.args[-1].value, None, have)
            elif order is not None:
                self.convert(node.args[-1].value, order, None)
            return None
        if isinstance(func, cst.Name) and func.value in ("enumerate", "zip", "reversed", "list"):
            orders = [self.visit(a.value, env) for a in node.args]
            if len(orders) == 1 and func.value in ("reversed", "list"):
                return orders[0]
            for arg, order in zip(node.args, orders, strict=False):
                if order is not None:
                    self.convert(arg.value, order, None)
            return None
        for arg in node.args:
            self.expect(arg.value, env, None)
        if receiver is not None and isinstance(func, cst.Attribute):
            if any(
                isinstance(o, (ListObject, Sequence))
                for o in options(self.context.fact(func.value))
            ):
                return receiver if func.attr.value == "pop" else None
            self.convert(func.value, receiver, None)
        return None

    def is_fresh_list(self, node: cst.CSTNode) -> bool:
        return any(isinstance(o, ListObject) for o in options(self.context.fact(node)))


def _changed_in_place(node: cst.BaseExpression) -> str:
    """The variable of `x.squeeze_(1)` and of `x.squeeze_(1).relu_()`."""
    links = 0
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        if not node.func.attr.value.endswith("_"):
            return ""
        node, links = node.func.value, links + 1
    return node.value if links and isinstance(node, cst.Name) else ""


def _keeps_axes(arg: cst.Arg) -> bool:
    keyword = arg.keyword.value if arg.keyword is not None else ""
    return (
        keyword in ("keepdim", "keepdims")
        and isinstance(arg.value, cst.Name)
        and (arg.value.value == "True")
    )


def _permutation(
    context: Context, node: cst.Call, rest: list[Any], rank: int | None
) -> list[int] | None:
    """Where the axes of `x.permute(0, 3, 1, 2)` or `x.transpose(1, 2)` come from."""
    if any(arg.keyword is not None or arg.star for arg in node.args):
        return None
    found = [context.fact(arg) for arg in rest]
    if len(found) == 1 and isinstance(found[0], (Sequence, ListObject)):
        found = list(found[0].items or ())
    axes = [f.value for f in found if isinstance(f, Const) and isinstance(f.value, int)]
    if rank is None or len(axes) != len(found) or any(not -rank <= a < rank for a in axes):
        return None
    axes = [a % rank for a in axes]
    name = code(node.func).rpartition(".")[2]
    if name == "permute":
        return axes if len(axes) == rank else None
    if len(axes) != 2:
        return None
    order = list(range(rank))
    order[axes[0]], order[axes[1]] = axes[1], axes[0]
    return order


def _conversion_line(name: str, have: Order, want: Order) -> cst.BaseStatement:
    rank = have if have is not None else want
    assert rank is not None
    axes = to_torch_order(rank) if want is None else to_channels_last(rank)
    return fill_statements(f"x = tf.transpose(x, {axes})", x=cst.Name(name))[0]


def _ends(block: Any) -> bool:
    """Whether a block leaves the function or loop."""
    last = block.body[-1]
    return isinstance(last, cst.SimpleStatementLine) and isinstance(
        last.body[-1], (cst.Return, cst.Raise, cst.Continue, cst.Break)
    )
