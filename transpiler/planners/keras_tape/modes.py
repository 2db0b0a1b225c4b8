"""Train and eval mode: Keras is told at each call, PyTorch's modules remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    Symbol,
    options,
)
from transpiler.modules import is_module, module_classes
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_tape.flags import flag_argument, flag_default
from transpiler.planners.keras_tape.reach import Reach
from transpiler.planners.keras_tape.sensitive import is_sensitive, parts_of
from transpiler.syntax import code, find, walk
from transpiler.template import fill_statements

Mode = bool | str
"""Known, or the source text of the flag."""
SWITCHING = frozenset(f"keras.Model.{n}" for n in ("fit", "evaluate", "predict", "fit_generator"))
State = dict[str, Mode]


@dataclass(eq=False)
class ModelCall:
    """One call of a model from outside of models."""

    node: cst.Call
    owner: cst.BaseExpression
    text: str
    mode: Mode
    models: list[Instance]


def plan_modes(context: Context, reach: Reach) -> Modes:
    """Put `model.train()` and `model.eval()` where the mode of calls changes."""
    modes = Modes(context, reach)
    modes.write_function(context.module, context.module.body)
    for function in find(context.module, cst.FunctionDef):
        modes.write_function(function, function.body.body)
    return modes


class Modes:
    """The calls of models in one module, and where their modes are switched."""

    def __init__(self, context: Context, reach: Reach) -> None:
        self.context = context
        self.reach = reach
        self.inherited = self._inherited()
        self.calls: dict[cst.Call, ModelCall] = {}
        """Calls whose mode matters."""
        self.every: dict[cst.Call, ModelCall] = {}
        for node in find(context.module, cst.Call):
            found = self._read(node) or self._read_partial(node)
            if found is not None:
                self.every[node] = found
                if not found.models:
                    drop_flag(context, node)
                if not found.models or any(is_sensitive(context, m) for m in found.models):
                    self.calls[node] = found
        self._switching: dict[Any, bool] = {}

    def _inherited(self) -> set[Any]:
        """Functions that run inside of a model's call, in the mode that it has."""
        entries = [
            method
            for node, _ in module_classes(self.context)
            for method in node.body.body
            if isinstance(method, cst.FunctionDef) and method.name.value in ("call", "build")
        ]
        return {*entries, *self.reach.within([e.body for e in entries])}

    def _read(self, node: cst.Call) -> ModelCall | None:
        context = self.context
        around = context.edits.enclosing(node, cst.FunctionDef, cst.Lambda)
        if around in self.inherited:
            return None
        values = options(context.fact(node.func))
        models = [v for v in values if isinstance(v, Instance) and is_module(context, v)]
        if not models and not self._is_unknown_model(node):
            return None
        if _is_graph_call(context, node):
            return None
        return ModelCall(node, node.func, code(node.func).strip(), self._mode(node, models), models)

    def _read_partial(self, node: cst.Call) -> ModelCall | None:
        """`functools.partial(model, training=True)`: the model, in its mode."""
        context = self.context
        if context.fact(node.func) != Symbol("functools.partial") or not node.args:
            return None
        owner = node.args[0].value
        models = [v for v in options(context.fact(owner)) if isinstance(v, Instance)]
        flags = [a for a in node.args if a.keyword and a.keyword.value == "training"]
        if not flags or not models or not all(is_module(context, m) for m in models):
            return None
        if len(node.args) == 2:
            context.claim(node)
            context.edits.replace(node, owner)
        else:
            drop_flag(context, node)
        return ModelCall(node, owner, code(owner).strip(), self._flag(flags[0].value), models)

    def _is_unknown_model(self, node: cst.Call) -> bool:
        """Whether something of which nothing is known is called as only models are."""
        if self.context.fact(node.func) is not UNKNOWN:
            return False
        if not isinstance(node.func, (cst.Name, cst.Attribute)):
            return False
        return any(a.keyword is not None and a.keyword.value == "training" for a in node.args)

    def _mode(self, node: cst.Call, models: list[Instance]) -> Mode:
        given = flag_argument(self.context, node, models)
        if given is not None:
            return self._flag(given.value)
        default = flag_default(self.context, models)
        return isinstance(default, cst.Name) and default.value == "True"

    def _flag(self, node: cst.BaseExpression) -> Mode:
        value = self.context.fact(node)
        literal = isinstance(node, (cst.Name, cst.Integer)) and code(node).strip() in (
            "True", "False", "None", "0", "1",
        )  # fmt: skip
        if isinstance(value, Const) and literal:
            return bool(value.value)
        return code(node).strip()

    # ---- what a piece of code does -----------------------------------------------------------

    def inside(self, node: cst.CSTNode) -> list[ModelCall]:
        """Calls of models in a piece of code, inner functions left out."""
        return [self.calls[n] for n in self._own(node) if n in self.calls]

    def all_inside(self, node: cst.CSTNode) -> list[ModelCall]:
        """The same, with models that are the same in either mode."""
        return [self.every[n] for n in self._own(node) if n in self.every]

    def _own(self, node: cst.CSTNode) -> list[Any]:
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            return []
        return [
            n
            for n in walk(node)
            if isinstance(n, cst.Call) and self._stands_in(n, node)
        ]  # fmt: skip

    def _stands_in(self, node: cst.CSTNode, outer: cst.CSTNode) -> bool:
        place: Any = self.context.edits.parent.get(node)
        while place is not None and place is not outer:
            if isinstance(place, (cst.FunctionDef, cst.ClassDef)):
                return False
            place = self.context.edits.parent.get(place)
        return True

    def switches(self, node: cst.CSTNode) -> bool:
        """Whether a piece of code runs something that switches modes by itself."""
        for call in self._own(node):
            if (qualified_name(self.context, call.func) or "") in SWITCHING:
                return True
        return any(self._function_switches(f) for f in self.reach.within([node]))

    def _function_switches(self, function: Any) -> bool:
        if function not in self._switching:
            self._switching[function] = False
            body = function.body
            self._switching[function] = any(
                n in self.calls or (qualified_name(self.context, n.func) or "") in SWITCHING
                for n in find(body, cst.Call)
            )
        return self._switching[function]

    # ---- placement ---------------------------------------------------------------------------

    def write_function(self, scope: Any, body: Any) -> None:
        self.write_block(list(body), {})

    def write_block(self, statements: list[Any], state: State) -> None:
        for statement in statements:
            self.write_statement(statement, state)

    def write_statement(self, statement: Any, state: State) -> None:
        match statement:
            case cst.FunctionDef() | cst.ClassDef():
                return
            case cst.For() | cst.While():
                self.write_loop(statement, state)
            case cst.If():
                self.write_parts(statement, [statement.test], state)
                self.write_branches(statement, state)
            case cst.With():
                self.write_parts(statement, list(statement.items), state)
                self.write_block(list(statement.body.body), state)
            case cst.Try():
                self.write_block(list(statement.body.body), state)
                for handler in statement.handlers:
                    self.write_block(list(handler.body.body), {})
                state.clear()
            case _:
                self.write_parts(statement, [statement], state)

    def write_branches(self, statement: cst.If, state: State) -> None:
        outcomes = []
        branch: Any = statement
        while branch is not None:
            own = dict(state)
            self.write_block(list(branch.body.body), own)
            outcomes.append(own)
            branch = branch.orelse
            if not isinstance(branch, cst.If):
                own = dict(state)
                if branch is not None:
                    self.write_block(list(branch.body.body), own)
                outcomes.append(own)
                break
        state.clear()
        state.update({k: v for k, v in outcomes[0].items() if all(o.get(k) == v for o in outcomes)})

    def write_loop(self, loop: cst.For | cst.While, state: State) -> None:
        """Modes that the whole loop agrees on are switched before it."""
        head = loop.iter if isinstance(loop, cst.For) else loop.test
        self.write_parts(loop, [head], state)
        calls = self.inside(loop.body)
        own = self.switches(loop.body)
        for text in dict.fromkeys(c.text for c in calls):
            modes = {c.mode for c in calls if c.text == text}
            first = next(c for c in calls if c.text == text)
            shared = [c for c in calls if c.text != text and self.overlap(c, first)]
            steady = len(modes) == 1 and not own and all(c.mode in modes for c in shared)
            if steady and isinstance(first.mode, bool) and self.is_outside(first, loop):
                self.ensure(loop, first, state)
            else:
                state.pop(text, None)
        if own:
            state.clear()
        self.write_block(list(loop.body.body), state)
        if own:
            state.clear()

    def is_outside(self, call: ModelCall, loop: cst.CSTNode) -> bool:
        """Whether the model is the same all through a loop."""
        root: Any = call.owner
        while isinstance(root, cst.Attribute):
            root = root.value
        if not isinstance(root, cst.Name):
            return False
        from transpiler.dataflow import writes

        return root.value not in writes(loop)

    def overlap(self, one: ModelCall, other: ModelCall) -> bool:
        """Whether two models have parts in common."""
        parts = {id(p) for m in one.models for p in parts_of(self.context, m)}
        return any(id(p) in parts for m in other.models for p in parts_of(self.context, m))

    def write_parts(self, statement: Any, parts: list[Any], state: State) -> None:
        calls = [c for part in parts for c in self.inside(part)]
        for text in dict.fromkeys(c.text for c in calls):
            same = [c for c in calls if c.text == text]
            if len({c.mode for c in same}) > 1:
                self.context.manual(
                    same[0].node, "training-mode",
                    "one statement calls the model in train and in eval mode",
                    "split it, with model.train() and model.eval() before the parts",
                )  # fmt: skip
                continue
            self.ensure(statement, same[0], state)
        if any(self.switches(part) for part in parts):
            state.clear()

    def ensure(self, statement: Any, call: ModelCall, state: State) -> None:
        """Switch the model's mode before a statement, unless it has it already."""
        if state.get(call.text) == call.mode and isinstance(call.mode, bool):
            return
        place = self.context.edits.statement(call.node)
        inner = self.context.edits.enclosing(
            call.node, cst.Lambda, cst.ListComp, cst.GeneratorExp, cst.FunctionDef
        )
        if not isinstance(call.owner, (cst.Name, cst.Attribute, cst.Subscript)):
            self.context.manual(
                place, "training-mode", "put this model in its mode before the call"
            )
            return
        if isinstance(inner, (cst.ListComp, cst.GeneratorExp, cst.Lambda)) and not self.is_outside(
            call, inner
        ):
            self.context.caution(call.node, "training-mode", "the mode is that of the last use")
            return
        for other in list(state):
            if other != call.text and any(
                c.text == other and self.overlap(c, call) for c in self.calls.values()
            ):
                state.pop(other)
        state[call.text] = call.mode
        lines = self.lines(call)
        self.context.edits.insert_before(self.whole(statement), lines)

    def whole(self, statement: Any) -> Any:
        return self.context.edits.statement(statement)

    def lines(self, call: ModelCall) -> list[cst.BaseStatement]:
        model = call.owner.deep_clone()
        if isinstance(call.mode, bool):
            switch = "train" if call.mode else "eval"
            return fill_statements(f"model.{switch}()", model=model)
        flag = cst.parse_expression(call.mode)
        return fill_statements("model.train(flag)", model=model, flag=flag)


def drop_flag(context: Context, node: cst.Call) -> None:
    """A call without `training=`."""

    def without(result: Any) -> Any:
        if not isinstance(result, cst.Call):
            return result
        kept = [a for a in result.args if a.keyword is None or a.keyword.value != "training"]
        if kept:
            kept[-1] = kept[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return result.with_changes(args=kept)

    context.edits.wrap(node, without)


def _is_graph_call(context: Context, node: cst.Call) -> bool:
    """`layer(inputs)` of a functional graph, which only describes it."""
    from transpiler.rules.keras_graph import graph_tensors

    latest = context.interpreter.latest
    if latest is not None and node in latest[1]:
        return True
    return any(graph_tensors(context.fact(a.value)) for a in node.args)
