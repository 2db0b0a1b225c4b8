"""Sequential models that loops and branches put together, with the size at hand in a variable."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, Tensor, Value, options
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_names import free_name
from transpiler.planners.keras_sequential import SEQUENTIAL, Chain, rank_in, rank_out
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import result_of
from transpiler.rules.keras_layer import LAST, Part
from transpiler.rules.keras_layers import layer_parts
from transpiler.site import Site
from transpiler.syntax import walk
from transpiler.template import call, fill, fill_statements

WIDTHS = {"Dense": "units", "LSTM": "units", "GRU": "units", "SimpleRNN": "units",
          "Embedding": "output_dim"}  # fmt: skip


class Running:
    """The scope of a layer that takes its input's size from a variable."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.used = False

    def widths(self) -> cst.BaseExpression:
        self.used = True
        return cst.Name(self.name)

    def write(self, node: cst.BaseExpression, value: Value | None = None) -> cst.BaseExpression:
        return node


class Looped:
    """One place where Sequentials are made, and the calls of `add` that fill them."""

    def __init__(
        self, context: Context, node: cst.Call, models: list[Instance], adds: list[cst.Call]
    ) -> None:
        self.context = context
        self.node = node
        self.models = models
        self.adds = {a: self.made_at(a) for a in adds}
        self.function = context.edits.enclosing(node, cst.FunctionDef)
        self.name = "in_features"
        self.lines: dict[Any, list[Any]] = {}
        self.sized: set[cst.Call] = set()
        self.follows = True
        """Whether a variable has the size at hand; else every layer's size is looked for."""

    def write(self) -> None:
        site = Site(self.context, self.node, SEQUENTIAL)
        if site.has("layers") or any(
            self.context.edits.enclosing(a, cst.FunctionDef) is not self.function for a in self.adds
        ):
            raise Unfit("the layers of this Sequential are added in a way that is not understood")
        starts = [m.state.get("start") for m in self.models]
        spatial = any(isinstance(s, Tensor) and (s.rank or 0) > 3 for s in starts)
        self.name = free_name(self.context, "in_channels" if spatial else "in_features")
        self.follows = all(isinstance(s, Tensor) and s.shape for s in starts)
        for model in self.models:
            self.check(model)
        chain = Chain(self.context)
        block: Any = self.context.edits.parent[self.context.edits.statement(self.node)]
        self.block(list(block.body), chain)
        if chain.order != LAST:
            self.finish(chain)
        self.put()

    def made_at(self, add: cst.Call) -> list[Instance]:
        argument = add.args[0].value if add.args else None
        every = [x for m in self.models for x in m.state.get("layers") or []]
        named = set() if isinstance(argument, cst.Call) else set(self.held(argument))
        return [
            x for x in every if isinstance(x, Instance) and (x.origin is argument or x in named)
        ]

    def held(self, argument: Any) -> list[Instance]:
        """The layers that a variable holds."""
        return [v for v in options(self.context.fact(argument)) if isinstance(v, Instance)]

    # ---- what is known of every model --------------------------------------------------------

    def check(self, model: Instance) -> None:
        """The size that the variable has is the one that each layer takes. Raises Unfit."""
        start = model.state.get("start")
        held = model.state.get("layers") or []
        if model.state.get("loop"):
            raise Unfit("the layers of this Sequential are not known before the program runs")
        for layer in held:
            if not isinstance(layer, Instance) or not any(layer in x for x in self.adds.values()):
                raise Unfit("a layer of this Sequential is not known before the program runs")
        if not self.follows or not isinstance(start, Tensor) or not start.shape:
            return
        value: Value = start
        running: Any = start.shape[-1]
        for layer in held:
            size = value.shape[-1] if isinstance(value, Tensor) and value.shape else None
            if size != running:
                raise Unfit("the sizes of the layers that a loop adds do not follow each other",
                            "give the layers their sizes by hand")  # fmt: skip
            value = result_of(layer, [value])
            if self.width(layer) is not None and isinstance(value, Tensor) and value.shape:
                running = value.shape[-1]

    def width(self, layer: Instance) -> cst.BaseExpression | None:
        """The argument that says how many channels a layer gives."""
        kind = layer.class_names[0].rpartition(".")[2]
        name = WIDTHS.get(kind, "filters" if "Conv" in kind and "Depthwise" not in kind else "")
        if not name or not isinstance(layer.origin, cst.Call):
            return None
        found = Site(self.context, layer.origin, layer.class_names[0]).args.get(name)
        return found if isinstance(found, cst.BaseExpression) else None

    # ---- writing -----------------------------------------------------------------------------

    def block(self, statements: list[Any], chain: Chain) -> None:
        """The lines of a block, in the order of axes that the chain has there."""
        for statement in statements:
            adds = [a for a in self.adds if a in set(walk(statement))]
            if not adds:
                continue
            if isinstance(statement, (cst.For, cst.While)):
                self.loop(statement, chain)
            elif isinstance(statement, cst.If):
                self.branches(statement, chain)
            elif len(adds) == 1 and self.context.edits.statement(adds[0]) is statement:
                self.add(statement, adds[0], chain)
            else:
                raise Unfit("layers are added in a way that is not understood")

    def loop(self, loop: Any, chain: Chain) -> None:
        """Every round begins and ends in the same order of axes."""
        before = chain.order
        self.block(list(loop.body.body), chain)
        if chain.order != before:
            rank = self.rank_at(loop)
            turn = Chain(self.context)
            turn.order = before
            moved = turn.take([Part(fill("x"), chain.order)], rank, rank)[:-1]
            self.lines.setdefault(("before", loop), []).extend(self.appended(moved))
            order = chain.order
            self.block(list(loop.body.body), chain)
            if chain.order != order:
                raise Unfit("the order of axes changes from round to round")

    def rank_at(self, loop: Any) -> int | None:
        inside = [x for a, made in self.adds.items() if a in set(walk(loop)) for x in made]
        return next((r for x in inside if (r := rank_in(x)) is not None), None)

    def branches(self, node: Any, chain: Chain) -> None:
        before, after = chain.order, []
        current: Any = node
        while isinstance(current, cst.If):
            chain.order = before
            self.block(list(current.body.body), chain)
            after.append((current.body.body[-1], chain.order))
            current = current.orelse
        chain.order = before
        if current is not None:
            self.block(list(current.body.body), chain)
            after.append((current.body.body[-1], chain.order))
        orders = {order for _, order in after} | ({before} if current is None else set())
        if len(orders) > 1:
            for last, order in after:
                self.turn_back(last, order, before)
            chain.order = before

    def turn_back(self, last: Any, order: str, wanted: str) -> None:
        """At the end of a branch, the order of axes that the others leave."""
        if order == wanted:
            return
        layers = [x for a, made in self.adds.items() if a in set(walk(last)) for x in made]
        rank = next((r for x in reversed(layers) if (r := self.rank_behind(x)) is not None), None)
        if rank is None:
            raise Unfit("the order of axes differs between branches that add layers")
        turn = Chain(self.context)
        turn.order = order
        moved = turn.take([Part(fill("x"), wanted)], rank, rank)[:-1]
        self.lines.setdefault(("after", last), []).extend(self.appended(moved))

    def rank_behind(self, layer: Instance) -> int | None:
        """The rank of what a layer gives, which the next one may know better."""
        rank = rank_out(layer)
        for model in self.models:
            held = model.state.get("layers") or []
            if rank is None and layer in held[:-1]:
                rank = rank_in(held[held.index(layer) + 1])
        return rank

    def add(self, statement: Any, add: cst.Call, chain: Chain) -> None:
        argument: Any = add.args[0].value
        if self.is_input(argument):
            self.lines[statement] = []
            return
        layers = self.adds[add]
        if not layers:
            raise Unfit("a layer of this Sequential is not known before the program runs")
        order, found = chain.order, {}
        for layer in layers:
            chain.order = order
            scope = Running(self.name) if self.follows else None
            parts = self.parts(layer, argument, scope, layers)
            if scope is not None and scope.used:
                self.sized.add(add)
            modules = chain.take(parts, rank_in(layer), rank_out(layer))
            text = "\n".join(cst.Module([]).code_for_node(m) for m in modules)
            found[text, chain.order] = modules
        if len(found) > 1:
            raise Unfit("the layers that are added here differ in more than their sizes")
        lines = self.appended(next(iter(found.values())))
        width = self.width(layers[0])
        if self.follows and width is not None and self.is_read_later(add):
            lines += fill_statements("name = width", name=cst.Name(self.name), width=width)
        self.lines[statement] = lines

    def is_read_later(self, add: cst.Call) -> bool:
        """Whether another round or a later line adds a layer with weights."""
        order = self.context.edits.order
        loop = self.context.edits.enclosing(add, cst.For, cst.While, cst.FunctionDef)
        if isinstance(loop, (cst.For, cst.While)) and self.node not in set(walk(loop)):
            return True
        kinds = ("Dense", "Conv", "Norm", "LSTM", "GRU", "RNN", "PReLU")
        return any(
            order(other) > order(add) and any(k in x.class_names[0] for k in kinds)
            for other, made in self.adds.items() for x in made[:1] if isinstance(x.cls, Symbol)
        )  # fmt: skip

    def is_input(self, node: Any) -> bool:
        name = qualified_name(self.context, node.func) if isinstance(node, cst.Call) else ""
        return name in ("keras.Input", "keras.layers.InputLayer")

    def parts(
        self, layer: Instance, argument: Any, scope: Running | None, peers: list[Instance]
    ) -> list[Part]:
        own = not isinstance(layer.cls, Symbol) or {"layers", "outputs"} & set(layer.state)
        if own or layer.origin is not argument:
            return [Part(argument, LAST)]
        site = Site(self.context, argument, layer.class_names[0])
        peers = [] if scope is not None else [p for p in peers if p.state.get("input") is not None]
        found: list[Part] = layer_parts(site, layer, scope=scope, peers=peers)
        last = any(m.state.get("logits") and layer is m.state["layers"][-1] for m in self.models)
        return found[:-1] if last else found

    def appended(self, modules: list[Any]) -> list[Any]:
        owner = next(a.func.value for a in self.adds if isinstance(a.func, cst.Attribute))
        return [s for m in modules for s in fill_statements("model.append(m)", model=owner, m=m)]

    def finish(self, chain: Chain) -> None:
        last = max(self.adds, key=self.context.edits.order)
        layer = self.models[0].state["layers"][-1]
        statement = self.outermost(last)
        lines = self.appended(chain.finish(rank_out(layer)))
        self.lines.setdefault(("after", statement), []).extend(lines)

    def outermost(self, node: cst.CSTNode) -> Any:
        block = self.context.edits.parent[self.context.edits.statement(self.node)]
        statement: Any = self.context.edits.statement(node)
        while self.context.edits.parent[statement] is not block:
            statement = self.context.edits.statement(self.context.edits.parent[statement])
        return statement

    def put(self) -> None:
        edits = self.context.edits
        start = self.start() if self.sized else None
        for place, lines in self.lines.items():
            if isinstance(place, tuple):
                put = edits.insert_before if place[0] == "before" else edits.insert_after
                put(place[1], lines)
            else:
                edits.replace(place, lines)
        for add in self.adds:
            for item in walk(add):
                self.context.claim(item)
        for item in walk(self.node):
            self.context.claim(item)
        edits.replace(self.node, call("torch.nn.Sequential"))
        if start is not None:
            first = fill_statements("name = start", name=cst.Name(self.name), start=start)
            edits.insert_after(edits.statement(self.node), first)

    def start(self) -> cst.BaseExpression:
        """The size that comes in, as the program says it."""
        for add in self.adds:
            argument: Any = add.args[0].value
            if not isinstance(argument, cst.Call):
                continue
            for arg in argument.args:
                named = arg.keyword is not None and arg.keyword.value in ("shape", "input_shape")
                first = self.is_input(argument) and not arg.keyword
                if (named or first) and isinstance(arg.value, (cst.Tuple, cst.List)):
                    if arg.value.elements:
                        return arg.value.elements[-1].value
                if named or first:
                    return fill("shape[-1]", shape=arg.value)
                if arg.keyword is not None and arg.keyword.value == "input_dim":
                    return arg.value
            break
        raise Unfit("the size of what this Sequential takes is not known")
