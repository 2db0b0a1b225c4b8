"""Sequential models: `nn.Sequential`, with the axes permuted where the order has to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, Tensor, options
from transpiler.modules import is_module
from transpiler.planners.expressions import qualified_name
from transpiler.planners.keras_branches import Branches, Unrolls, appended, branches_around
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import axes_in, result_of
from transpiler.rules.keras_graph import GraphTensor
from transpiler.rules.keras_layer import ANY, FIRST, LAST, Part
from transpiler.rules.keras_layers import ELEMENTWISE, layer_parts
from transpiler.rules.keras_masks import is_source
from transpiler.rules.keras_sizes import input_of
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import call, fill

SEQUENTIAL = "keras.Sequential"


def plan(context: Context) -> None:
    """Write every Sequential of the program, whether made of a list or layer by layer."""
    for node in find(context.module, cst.Call):
        if qualified_name(context, node.func) == SEQUENTIAL and isinstance(
            context.fact(node.func), Symbol
        ):
            try:
                _write(context, node)
            except Unfit as error:
                context.claim(node)
                context.unfit(node, "Sequential", error)
                for value in options(context.fact(node)):
                    if isinstance(value, Instance):
                        value.state["left"] = True


def _write(context: Context, node: cst.Call) -> None:
    """As the program writes it; else from the layers that it is known to have in the end."""
    mark = len(context.reports)
    model = _Model(context, node)
    if not model.is_masked():
        try:
            model.write()
            return
        except Unfit as error:
            if not isinstance(error, Unrolls):
                raise
    del context.reports[mark:]
    adds = list(model.every_add())
    listed = _listed(context, node, model.instances, adds)
    if listed is not None and listed.fits():
        listed.write()
        return
    from transpiler.planners.keras_looped import Looped
    from transpiler.planners.keras_unrolled import Unrolled

    try:
        Unrolled(context, node, model.instances, adds).write()
    except Unfit as error:
        try:
            Looped(context, node, model.instances, adds).write()
        except Unfit:
            if listed is None:
                raise error from None
            listed.write()  # what a layer lacks is told where it is made


def _listed(context: Context, node: cst.Call, models: list[Instance], adds: list[cst.Call]) -> Any:
    """The list of layers that the program makes, where all are written where they are made."""
    from transpiler.planners.keras_listed import Listed

    try:
        return Listed(context, node, models, adds)
    except Unfit:
        return None


def to_first(rank: int) -> list[int]:
    """The permutation that puts the channels behind the batch."""
    return [0, rank - 1, *range(1, rank - 1)]


def to_last(rank: int) -> list[int]:
    """The permutation back."""
    return [0, *range(2, rank), 1]


class Chain:
    """Modules one after the other, with the axes permuted where the order changes."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.order = LAST

    def permutation(self, axes: list[int]) -> cst.BaseExpression:
        return call(self.context.emit("Permute"), *axes)

    def take(self, parts: list[Part], rank: int | None, result: int | None) -> list[Any]:
        """The modules of a layer, from the rank that it takes to the one that it gives."""
        found: list[Any] = []
        if rank is not None and rank <= 2:
            self.order = LAST
        for part in parts:
            if part.order in (FIRST, LAST) and part.order != self.order:
                if rank is None:
                    raise Unfit("the rank of what the layers work on is not known")
                axes = to_first(rank) if part.order == FIRST else to_last(rank)
                found.append(self.permutation(axes))
                self.order = part.order
            found.append(part.node)
            self.order = part.gives or self.order
        if result is not None and result <= 2:
            self.order = LAST
        return found

    def finish(self, rank: int | None) -> list[Any]:
        """The permutation back to the user's order."""
        if self.order == LAST:
            return []
        self.order = LAST
        if rank is None:
            raise Unfit("the rank of what the layers give is not known")
        return [self.permutation(to_last(rank))]


def rank_in(layer: Instance) -> int | None:
    """The rank of a layer's input; that of its windows where nothing else is known."""
    value = layer.state.get("input")
    seen = layer.state.get("inputs")
    if value is None and seen:
        value = input_of(seen[0])
    if isinstance(value, Tensor) and value.rank is not None:
        return value.rank
    name = (layer.class_names or ("",))[0].rpartition(".")[2]
    return axes_in(name) + 2 if name[-1:] == "D" and name[-2:-1].isdigit() else None


def rank_out(layer: Instance) -> int | None:
    """The rank of a layer's result."""
    value = layer.state.get("input")
    gave = layer.state.get("gave")
    if isinstance(gave, Tensor) and not isinstance(layer.cls, Symbol):
        return gave.rank
    if not isinstance(value, Tensor) or not isinstance(layer.cls, Symbol):
        return None
    if "layers" in layer.state or "outputs" in layer.state:
        return None
    result = result_of(layer, [value])
    return result.rank if isinstance(result, Tensor) else None


def is_library_layer(context: Context, node: cst.CSTNode, layer: Instance) -> bool:
    """Whether a node is a call that makes a layer of the library (no model)."""
    return (
        isinstance(node, cst.Call)
        and isinstance(layer.cls, Symbol)
        and layer.origin is node
        and not {"layers", "outputs"} & set(layer.state)
        and layer.cls.name != SEQUENTIAL
    )


def passed_on(layers: Sequence[Instance]) -> str:
    """The order of axes for `act()`, whose class is handed in and differs from call to call."""
    names = {(i.class_names or ("",))[0].rpartition(".")[2] for i in layers}
    order: str = ANY if names <= ELEMENTWISE else LAST
    return order


class _Model:
    def __init__(self, context: Context, node: cst.Call) -> None:
        self.context = context
        self.node = node
        self.instances = [i for i in options(context.fact(node)) if isinstance(i, Instance)]
        if not self.instances:
            raise Unfit("what this Sequential holds is not known")

    def write(self) -> None:
        site = Site(self.context, self.node, SEQUENTIAL)
        listed = self.listed(site)
        adds = list(self.adds())
        model = self.instances[0]
        chain = Chain(self.context)
        modules: list[Any] = []
        count = 0
        for element in listed:
            new = self.modules(element, chain, model)
            count = self.keep_place(element, new, count)
            modules += new
        added: list[tuple[cst.Call, list[Any]]] = []
        branch = Branches(self.context, self.node, chain)
        for add in adds:
            argument = add.args[0].value if add.args else add
            branch.enter(add)
            new = self.modules(argument, chain, model)
            count = self.keep_place(argument, new, count)
            added.append((add, new))
        branch.leave()
        tail = chain.finish(self.final_rank(model))
        if tail and branch.last is not None:
            self.append_after(branch.last, adds[-1], tail)
        elif added:
            added[-1] = (added[-1][0], [*added[-1][1], *tail])
        else:
            modules += tail
        kept = self.gather(modules, added)
        self.context.edits.replace(self.node, call("torch.nn.Sequential", *modules))
        for add, new in kept:
            self.append(add, new)

    def keep_place(self, node: cst.CSTNode, modules: list[Any], count: int) -> int:
        """Remember which module each layer became; how many there are with it."""
        for layer in options(self.context.fact(node)):
            if isinstance(layer, Instance):
                keep_place(self.context, layer, modules, count)
        return count + len(modules)

    def listed(self, site: Site) -> list[cst.BaseExpression]:
        given = site.args.get("layers")
        if given is None or (isinstance(given, cst.Name) and given.value == "None"):
            return []
        if not isinstance(given, (cst.List, cst.Tuple)) or any(
            isinstance(e, cst.StarredElement) for e in given.elements
        ):
            raise Unrolls("the layers of this Sequential are not written as a list")
        return [e.value for e in given.elements]

    def adds(self) -> Iterator[cst.Call]:
        """Calls of `add` on the model, in order."""
        for node in find(self.context.module, cst.Call):
            if not isinstance(node.func, cst.Attribute) or node.func.attr.value != "add":
                continue
            receivers = options(self.context.fact(node.func.value))
            if any(r in self.instances for r in receivers if isinstance(r, Instance)):
                if self.in_loop(node):
                    raise Unrolls("layers are added in a loop")
                yield node

    def every_add(self) -> Iterator[cst.Call]:
        """Calls of `add` on the model, loops included."""
        for node in find(self.context.module, cst.Call):
            if isinstance(node.func, cst.Attribute) and node.func.attr.value == "add":
                receivers = options(self.context.fact(node.func.value))
                if any(r in self.instances for r in receivers if isinstance(r, Instance)):
                    yield node

    def is_masked(self) -> bool:
        """Whether a layer makes a mask, which nn.Sequential does not hand on."""
        layers = self.instances[0].state.get("layers") or []
        return any(isinstance(x, Instance) and is_source(x) for x in layers)

    def in_loop(self, node: cst.CSTNode) -> bool:
        """Whether an add stands deeper than the model's own statement, but for branches."""
        block = self.context.edits.parent[self.context.edits.statement(self.node)]
        return branches_around(self.context, node, block) is None

    def modules(self, node: cst.BaseExpression, chain: Chain, model: Instance) -> list[Any]:
        """The modules that an element becomes."""
        values = options(self.context.fact(node))
        if any(isinstance(v, GraphTensor) for v in values) or (
            qualified_name(self.context, getattr(node, "func", node)) == "keras.Input"
        ):
            self.context.claim(node)
            return []
        layers = [v for v in values if isinstance(v, Instance)]
        if not layers:
            raise Unfit("a layer of this Sequential is not known before the program runs")
        layer = layers[0]
        if is_library_layer(self.context, node, layer):
            assert isinstance(node, cst.Call)
            made = self.context.interpreter.instances.values()
            peers = [i for i in made if i.origin is node and not i.state.get("never made")]
            if len({i.class_names for i in (*layers, *peers)}) > 1:
                return chain.take([Part(node, passed_on(layers))], rank_in(layer), rank_out(layer))
            parts = layer_parts(Site(self.context, node, layer.class_names[0]), layer, peers=peers)
            self.context.claim(node)
            parts = self.without_activation(parts, model, layer)
            return chain.take(parts, rank_in(layer), rank_out(layer))
        if not is_module(self.context, layer):
            raise Unfit("an element of this Sequential is no layer")
        if isinstance(layer.cls, Symbol) and not isinstance(
            node, (cst.Name, cst.Attribute, cst.Call)
        ):
            raise Unrolls("a layer of this Sequential is made elsewhere")
        return chain.take([Part(node, LAST)], rank_in(layer), rank_out(layer))

    def without_activation(self, parts: list[Part], model: Instance, layer: Instance) -> list[Part]:
        """The last layer gives logits where the loss takes them."""
        if model.state.get("logits") and layer is model.state["layers"][-1]:
            kept = parts[:-1]
            return kept or [Part(fill("torch.nn.Identity()"))]
        return parts

    def final_rank(self, model: Instance) -> int | None:
        layers = model.state.get("layers") or []
        last = layers[-1] if layers else None
        return rank_out(last) if isinstance(last, Instance) else None

    def gather(
        self, modules: list[Any], added: list[tuple[cst.Call, list[Any]]]
    ) -> list[tuple[cst.Call, list[Any]]]:
        """Put the layers of the `add` lines that follow at once into the list."""
        statement = self.context.edits.statement(self.node)
        block = self.context.edits.parent[statement]
        body = list(getattr(block, "body", ()))
        if statement not in body:
            return added
        place = body.index(statement) + 1
        rest = list(added)
        while rest and place < len(body):
            if asserts_shape(body[place]):
                place += 1  # its rule takes it out
                continue
            if self.context.edits.statement(rest[0][0]) is not body[place]:
                break
            add, new = rest.pop(0)
            modules += new
            self.context.edits.replace(body[place], [])
            self.context.claim(add)
            place += 1
        return rest

    def append(self, add: cst.Call, new: list[Any]) -> None:
        """`model.add(layer)` as `model.append(module)`."""
        self.context.claim(add)
        self.context.edits.replace(self.context.edits.statement(add), appended(add, new))

    def append_after(self, statement: cst.CSTNode, add: cst.Call, new: list[Any]) -> None:
        """Modules for the end, behind the last branch that adds some."""
        self.context.edits.insert_after(statement, appended(add, new))


def asserts_shape(statement: Any) -> bool:
    """`assert model.output_shape == (None, 7, 7, 256)`."""
    small = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
    return isinstance(small, cst.Assert) and any(
        a.attr.value == "output_shape" for a in find(small, cst.Attribute)
    )


HELPING = ("Permute", "SamePad", "ConstantPad1d", "ZeroPad1d", "ZeroPad2d")


def keep_place(context: Context, layer: Instance, modules: list[Any], count: int) -> None:
    """Remember the number of the module that a layer became in a Sequential."""
    places: dict[Instance, int | None] = context.notes.setdefault("sequential places", {})
    places[layer] = None
    for index, module in enumerate(modules):
        name = code(module.func) if isinstance(module, cst.Call) else ""
        if name.rpartition(".")[2] not in HELPING:
            places[layer] = count + index
            return
