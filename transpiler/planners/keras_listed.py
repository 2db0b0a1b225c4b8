"""Sequential models of a list that the program puts together: `nn.Sequential(*blocks)`."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Instance,
    ListObject,
    Sequence,
    Symbol,
    element_of,
    items_of,
    options,
)
from transpiler.planners.keras_sequential import (
    SEQUENTIAL,
    Chain,
    is_library_layer,
    rank_in,
    rank_out,
)
from transpiler.rule import Unfit
from transpiler.rules.keras_graph import GraphTensor
from transpiler.rules.keras_layer import FIRST, LAST, Part
from transpiler.rules.keras_layer_calls import instances_at, stand_alone
from transpiler.rules.keras_layers import layer_parts
from transpiler.rules.keras_masks import is_source
from transpiler.site import Site
from transpiler.syntax import find, walk
from transpiler.template import call, fill


class Listed:
    """One place where Sequentials are made of a list; its layers are written where they are made.

    Where the order of all layers is known, the axes stay in place from layer to layer.
    """

    def __init__(
        self, context: Context, node: cst.Call, models: list[Instance], adds: list[cst.Call]
    ) -> None:
        self.context = context
        self.node = node
        self.models = models
        given = Site(context, node, SEQUENTIAL).args.get("layers")
        if not isinstance(given, cst.BaseExpression) or adds:
            raise Unfit("layers are added to this Sequential after it is made")
        self.given = given
        held = [x for m in models for x in m.state.get("layers") or []]
        self.layers = list({id(x): x for x in held if isinstance(x, Instance)}.values())
        self.is_ordered = all(isinstance(x, Instance) for x in held)
        if not self.layers or any(is_source(x) for x in self.layers):
            raise Unfit("the layers of this Sequential are not known before the program runs")
        self.modules: dict[Any, list[Any]] = {}
        """What the calls that make layers become, where the axes of others are taken over."""
        self.before: list[Any] = []
        self.after: list[Any] = []

    def fits(self) -> bool:
        """Whether every layer can be written where it is made, with its size."""
        mark = len(self.context.reports)
        try:
            try:
                self.follow()
            except Unfit:
                self.modules, self.before, self.after = {}, [], []
                self.try_alone()
            lazy = [x.state.pop("lazy", False) for x in self.layers]
            return not any(lazy)
        except Unfit:
            return False
        finally:
            del self.context.reports[mark:]

    def try_alone(self) -> None:
        """Every layer for itself, in the user's order of axes. Raises Unfit."""
        for layer in self.layers:
            if any(m.state.get("logits") and layer is m.state["layers"][-1] for m in self.models):
                raise Unfit("the last layer of this Sequential gives logits")
            if self.is_own(layer):
                continue
            if not isinstance(layer.origin, cst.Call):
                raise Unfit("a layer of this Sequential is not known before the program runs")
            stand_alone(Site(self.context, layer.origin, layer.class_names[0]))

    # ---- one after the other -----------------------------------------------------------------

    def follow(self) -> None:
        """The modules of every layer, in the order of axes that the ones before it leave."""
        if not self.is_ordered or any(x.state.get("perhaps") for x in self.layers):
            raise Unfit("the order of the layers of this Sequential is not known")
        if any(m.state.get("loop") for m in self.models):
            raise Unfit("the order of the layers of this Sequential is not known")
        ends, starts = set(), {self.first_order(m) for m in self.models}
        if len(starts) > 1 or (starts == {FIRST} and not self.is_only_here()):
            raise Unfit("the layers of this Sequential are called elsewhere")
        texts: dict[Any, str] = {}
        for model in self.models:
            chain = Chain(self.context)
            chain.order = next(iter(starts))
            for layer in model.state["layers"]:
                new = chain.take(self.parts(layer, model), rank_in(layer), rank_out(layer))
                text = " ".join(cst.Module([]).code_for_node(m) for m in new)
                if texts.setdefault(layer.origin, text) != text:
                    raise Unfit("layers that are made here differ in more than their sizes")
                self.modules[layer.origin] = new
            last = model.state["layers"][-1]
            ends.add(chain.order)
            self.after = chain.finish(rank_out(last))
        if len(ends) > 1:
            raise Unfit("the order of axes differs between the models that are made here")
        if starts == {FIRST}:
            chain, rank = Chain(self.context), rank_in(self.models[0].state["layers"][0])
            self.before = chain.take([Part(fill("x"), FIRST)], rank, rank)[:-1]

    def first_order(self, model: Instance) -> Any:
        """The order of axes in which the first layer works that does not take any."""
        for layer in model.state["layers"]:
            for part in self.parts(layer, model):
                if part.order in (FIRST, LAST):
                    return part.order
        return LAST

    def parts(self, layer: Instance, model: Instance) -> list[Part]:
        origin: Any = layer.origin
        if self.is_own(layer):
            return [Part(origin, LAST)]
        if not is_library_layer(self.context, origin, layer):
            raise Unfit("a layer of this Sequential is not known before the program runs")
        site = Site(self.context, origin, layer.class_names[0])
        parts: list[Part] = layer_parts(site, layer, peers=instances_at(site))
        if model.state.get("logits") and layer is model.state["layers"][-1]:
            return parts[:-1] or [Part(fill("torch.nn.Identity()"))]
        return parts

    def is_own(self, layer: Instance) -> bool:
        """Whether a layer is of a class of the program, or a model of others."""
        return not isinstance(layer.cls, Symbol) or bool({"layers", "outputs"} & set(layer.state))

    def is_only_here(self) -> bool:
        """Whether nothing else calls the layers or holds them in another Sequential."""
        held = {id(x) for x in self.layers}
        for node in find(self.context.module, cst.Call):
            if any(id(o) in held for o in options(self.context.fact(node.func))):
                return False
        others = (i for i in self.context.interpreter.instances.values() if i not in self.models)
        return not any(id(x) in held for i in others for x in i.state.get("layers") or [])

    # ---- writing -----------------------------------------------------------------------------

    def write(self) -> None:
        context = self.context
        for origin, new in self.modules.items():
            if new != [origin]:
                self.put(origin, new)
        for tensor in self.inputs():
            self.drop(tensor)
        args = [*map(cst.Arg, self.before), *self.written(self.given), *map(cst.Arg, self.after)]
        context.claim(self.node)
        context.edits.replace(self.node, call("torch.nn.Sequential").with_changes(args=args))
        for model in self.models:
            model.state["starred"] = True
        self.keep_places()

    def put(self, origin: Any, new: list[Any]) -> None:
        """What a call that makes a layer becomes; own classes stay in what is around them."""
        if origin in new:
            place = new.index(origin)

            def around(node: Any) -> Any:
                return call("torch.nn.Sequential", *new[:place], node, *new[place + 1 :])

            self.context.edits.wrap(origin, around)
            return
        self.context.claim(origin)
        whole: Any = new[0] if len(new) == 1 else call("torch.nn.Sequential", *new)
        self.context.edits.replace(origin, whole)

    def written(self, given: cst.BaseExpression) -> list[cst.Arg]:
        """A list as arguments: `[a, *b] + c` is `a, *b, *c`."""
        if isinstance(given, (cst.List, cst.Tuple)):
            kept = [e for e in given.elements if not self.is_input(e.value)]
            starred = [isinstance(e, cst.StarredElement) for e in kept]
            return [cst.Arg(e.value, star="*" if s else "")
                    for e, s in zip(kept, starred, strict=True)]  # fmt: skip
        if isinstance(given, cst.BinaryOperation) and isinstance(given.operator, cst.Add):
            return [*self.written(given.left), *self.written(given.right)]
        return [cst.Arg(given, star="*")]

    def keep_places(self) -> None:
        """Remember which module each layer became."""
        places: dict[Instance, int | None] = self.context.notes.setdefault("sequential places", {})
        for model in self.models if self.is_ordered else ():
            for index, layer in enumerate(model.state["layers"]):
                places[layer] = index + len(self.before)

    # ---- inputs among the layers -------------------------------------------------------------

    def inputs(self) -> list[cst.Call]:
        """The calls of `keras.Input` whose results are in the list."""
        found: dict[Any, None] = {}
        for node in walk(self.given):
            value = self.context.fact(node)
            held = [value]
            if isinstance(value, (ListObject, Sequence)):
                held = list(items_of(value) or options(element_of(value)))
            for item in held:
                if isinstance(item, GraphTensor) and item.node is not None and item.node.is_input:
                    found[item.node.call] = None
        return list(found)

    def is_input(self, node: cst.BaseExpression) -> bool:
        return isinstance(self.context.fact(node), GraphTensor)

    def drop(self, made: Any) -> None:
        """Take an input out of the list that it stands in. Raises Unfit."""
        self.context.claim(made)
        around: Any = self.context.edits.parent.get(made)
        if isinstance(around, cst.Element):
            inside = self.context.edits.parent[around]
            if inside is not self.given and isinstance(inside, cst.List):
                kept = [e for e in inside.elements if e is not around]
                self.context.edits.replace(inside, inside.with_changes(elements=kept))
            return
        statement = self.context.edits.statement(made)
        self.context.edits.replace(statement, [])
