"""Containers of modules: Sequential, and lists and dicts of modules and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import libcst as cst

from transpiler.infer.values import Class, Instance, Mapping, Tensor, Value, options
from transpiler.layouts import (
    elements_of,
    is_outermost,
    loose_elements,
    sequence_layout,
    spatial_rank,
    transitions,
)
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.emitted_helpers import (
    changes_order,
    inner_layer,
    padded_layers,
    with_same,
)
from transpiler.rules.layer_arguments import instance_of
from transpiler.rules.layers_convolution import (
    CONVOLUTIONS,
    TRANSPOSED,
    convolution_parts,
    transposed_parts,
)
from transpiler.signatures import is_subclass
from transpiler.site import Site
from transpiler.syntax import code
from transpiler.template import as_node, call, fill, fill_statements

Node = cst.BaseExpression
SEQUENTIAL = "torch.nn.Sequential"
PARTS: dict[str, Callable[[Site], list[Any]]] = {
    **dict.fromkeys(CONVOLUTIONS, convolution_parts),
    **dict.fromkeys(TRANSPOSED, transposed_parts),
}
"""Layers that may become several, which a Sequential takes in one by one."""


@rewrites(
    SEQUENTIAL,
    to="tf",
    proof=Proof(
        inputs=[(2, 3, 8, 8), (4, 5)],
        cases=[
            "torch.nn.Sequential(nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 2))(y)",
            "torch.nn.Sequential(*[nn.Linear(5, 5), nn.Tanh()])(y)",
            "torch.nn.Sequential(nn.Linear(5, 4), *[nn.Linear(4, 4) for _ in range(2)])(y)",
            "torch.nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), "
            "nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3))(x)",
            "torch.nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(0.2))(x)",
            "torch.nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), "
            "nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Linear(4, 2))(x)",
            "torch.nn.Sequential(nn.Linear(5, 12), nn.Unflatten(1, (3, 2, 2)), "
            "nn.ConvTranspose2d(3, 2, 2))(y)",
            "torch.nn.Sequential()(y)",
        ],
    ),
)
def sequential(site: Site) -> Any:
    """A list of layers, with Permute layers where the order of the axes changes."""
    _refuse_reference(site)
    module = instance_of(site)
    if not site.node.args:  # type: ignore[attr-defined]
        return _empty(site, module)
    elements = _written_elements(site, module)
    if elements is None:
        return _from_list(site, module)
    written = [part for _, part in layer_list(site, module, elements)]
    return call("keras.Sequential", cst.List([cst.Element(as_node(w)) for w in written]))


def layer_list(
    site: Site, module: Instance | None, elements: list[Node]
) -> list[tuple[int | None, Any]]:
    """Keras's layers, each with the index of the element that it belongs to."""
    outermost = module is not None and is_outermost(site.context, module)
    values = elements_of(module) if module is not None else None
    changes = dict(transitions(site.context, values, outermost=outermost)) if values else {}
    found: list[tuple[int | None, Any]] = []
    padded = padded_layers(site, elements)
    for index, node in enumerate(elements):
        if index in changes and values is not None:
            found += [(None, p) for p in _permutes(site, values, index, changes[index])]
        if index in padded or changes_order(site, node):
            continue
        parts = _parts(site, node)
        if index in padded.values():
            parts = [_padded(site, part, node) for part in parts]
        found += [(index, part) for part in parts]
    if values is not None and module is not None and grows(module):
        _place_added(site, values, changes, len(elements))
    elif values is not None and len(values) in changes:
        found += [(None, p) for p in _permutes(site, values, len(values), changes[len(values)])]
    return found


def _padded(site: Site, part: Any, node: Node) -> Any:
    """A layer that takes over the padding of the element before it."""
    layer = inner_layer(site, node)
    if part is not node or layer is None:
        return with_same(part)
    site.context.edits.wrap(layer.node, with_same)
    return node


def keras_index(context: Any, module: Instance, index: int) -> int | None:
    """Where an element of a Sequential stands among Keras's layers; None where it is several."""
    origin = module.origin
    if not isinstance(origin, cst.Call) or origin not in context.edits.parent:
        return None
    site = Site(context, origin, SEQUENTIAL)
    elements = _written_elements(site, module)
    if elements is None:
        return index
    mark, claimed = len(context.reports), set(context.claimed)
    try:
        places = [i for i, _ in layer_list(site, module, elements)]
    except Unfit:
        return None
    finally:
        del context.reports[mark:]
        context.claimed.clear()
        context.claimed.update(claimed)
    index %= len(elements)
    return places.index(index) if places.count(index) == 1 else None


def _refuse_reference(site: Site) -> None:
    if not site.is_call:
        raise Unfit(f"{site.short} is used without being called")


def _empty(site: Site, module: Instance | None) -> Any:
    """Without layers: Keras refuses to call a model that never gets any."""
    if module is None or not grows(module):
        return call("keras.layers.Identity")
    outermost = is_outermost(site.context, module)
    values = _elements(module)
    changes = dict(transitions(site.context, values, outermost=outermost))
    before = _permutes(site, values, 0, changes.pop(0)) if 0 in changes else []
    if changes and elements_of(module) is None:
        raise _unordered()
    _place_added(site, values, changes, 0)
    return call(
        "keras.Sequential", *([cst.List([cst.Element(p) for p in before])] if before else [])
    )


def _elements(module: Instance) -> list[Value]:
    """The elements of a Sequential; where they are not known, each after each."""
    found = elements_of(module)
    return loose_elements(module) * 2 if found is None else found


def _unordered() -> Unfit:
    return Unfit(
        "layers of this Sequential need different orders of axes, and how they follow each other "
        "is not known",
        "put layers.Permute between them",
    )


def _place_added(site: Site, values: list[Value], changes: dict[int, bool], start: int) -> None:
    """Put Permutes to the layers that are added, from an index on, where these are made."""
    needs: dict[int, set[bool | None]] = {}
    for index, value in enumerate(values[start:], start):
        needs.setdefault(id(value), set()).add(changes.get(index))
    for index, to_last in changes.items():
        at_end = index == len(values)
        if index < start:
            continue
        value = values[index - at_end]
        if len(needs[id(value)]) > 1 or (at_end and values.count(value) > 1):
            raise Unfit(
                "a loop adds layers to this Sequential that need another order of axes only once",
                "put layers.Permute before or after the loop",
            )
        for permute in _permutes(site, values, index, to_last):
            _put_beside(site, value, permute, after=at_end)


def grows(module: Instance) -> bool:
    """Whether layers are added to a Sequential after it is made."""
    return any(added.items != [] for _, added in module.state.get("forms", ()))


def _written_elements(site: Site, module: Instance | None) -> list[Node] | None:
    """The elements as they stand in the call; None where some do not."""
    if site.starred or site.keywords:
        return None
    if len(site.positional) == 1:
        pairs = _pairs(site, site.positional[0])
        if pairs is not None:
            return pairs
        only = site.positional[0]
        name = qualified_name(site.context, only.func) if isinstance(only, cst.Call) else None
        layer = name is not None and is_subclass(name, "torch.nn.Module")
        if not layer and not isinstance(site.fact(only), Instance):
            return None
    known = elements_of(module) if module is not None else None
    forms = module.state.get("forms") if module is not None else None
    added = len(forms[-1][1].items or ()) if forms else 0
    if known is not None and len(known) != len(site.positional) + added:
        return None
    return list(site.positional)


def _pairs(site: Site, node: Node) -> list[Node] | None:
    """The modules of `OrderedDict([("conv", nn.Conv2d(...)), ...])`."""
    if not isinstance(node, cst.Call) or not node.args:
        return None
    if not code(node.func).endswith("OrderedDict"):
        return None
    given = node.args[0].value
    found: list[Node] = []
    if isinstance(given, (cst.List, cst.Tuple)):
        for element in given.elements:
            row = element.value
            if not isinstance(row, (cst.Tuple, cst.List)) or len(row.elements) != 2:
                return None
            found.append(row.elements[1].value)
    elif isinstance(given, cst.Dict):
        for item in given.elements:
            if not isinstance(item, cst.DictElement):
                return None
            found.append(item.value)
    else:
        return None
    return found


def _parts(site: Site, node: Node) -> list[Any]:
    """An element as one or more layers."""
    context = site.context
    if isinstance(node, cst.Call):
        name = qualified_name(context, node.func)
        if name in PARTS:
            mark = len(context.reports)
            try:
                parts = PARTS[name](Site(context, node, name))
            except Unfit:
                del context.reports[mark:]  # the layer's own rule tells
                return [node]
            context.claim(node)
            return _built(context, node, parts)
    return [node]


def _built(context: Any, node: Node, parts: list[Any]) -> list[Any]:
    """The part that has the variables, built at once where the program needs them early."""
    from transpiler.planners.built_layers import build_at_once

    shape = context.notes.get("built layers", {}).get(node)
    if shape is None:
        return parts
    return [build_at_once(context, shape, p) if "Conv" in code(as_node(p)) else p for p in parts]


def _permutes(site: Site, values: list[Value], index: int, to_last: bool) -> list[Any]:
    """The Permute layer before an element, if it is needed at all."""
    rank = _rank(values, index)
    if rank is None:
        raise Unfit(
            "how many axes the values between the layers of this Sequential have is not known",
            "write the layers as calls, or the layers.Permute by hand",
        )
    if not to_last and _is_flat(values, index):
        return []
    order = (*range(2, rank), 1) if to_last else (rank - 1, *range(1, rank - 1))
    return [call("keras.layers.Permute", tuple(order))]


def _rank(values: list[Value], index: int) -> int | None:
    """The rank of what goes into an element."""
    for i, step in ((index, 1), (index - 1, -1)):
        while 0 <= i < len(values):
            found = _rank_of(values[i])
            if found is not None:
                return found
            i += step
    return None


def _rank_of(value: Value) -> int | None:
    for option in options(value):
        if isinstance(option, Instance):
            seen = option.state.get("input")
            if isinstance(seen, Tensor) and seen.rank is not None and seen.rank >= 3:
                return seen.rank
            for name in option.class_names:
                if (rank := spatial_rank(name)) is not None:
                    return rank
            elements = elements_of(option) if SEQUENTIAL in option.class_names else None
            for element in elements or []:
                if (rank := _rank_of(element)) is not None:
                    return rank
    return None


def _is_flat(values: list[Value], index: int) -> bool:
    """Whether the spatial axes all have size one, so that a Flatten reads the same."""
    if index >= len(values):
        return False
    value = values[index]
    if not isinstance(value, Instance) or "torch.nn.Flatten" not in value.class_names:
        return False
    seen = value.state.get("input")
    return isinstance(seen, Tensor) and seen.shape is not None and set(seen.shape[2:]) == {1}


def _from_list(site: Site, module: Instance | None) -> Any:
    """`nn.Sequential(*layers)`, or a mixture of lists and layers."""
    args = site.node.args  # type: ignore[attr-defined]
    if any(a.keyword is not None or a.star == "**" for a in args):
        raise Unfit("this Sequential takes its layers from keyword arguments")
    if len(args) == 1 and isinstance(site.fact(args[0].value), Mapping):
        return fill("keras.Sequential(list(d.values()))", d=args[0].value)
    if len(args) == 1 and not args[0].star:
        raise Unfit(
            "the layers of this Sequential are not known before the program runs",
            "give them one by one or as a list",
        )
    before, after = _outer_permutes(site, module)
    if len(args) == 1 and not before and not after:
        return call("keras.Sequential", args[0].value)
    elements: list[cst.BaseElement] = [
        cst.StarredElement(a.value) if a.star else cst.Element(a.value) for a in args
    ]
    elements = [*map(cst.Element, before), *elements, *map(cst.Element, after)]
    return call("keras.Sequential", cst.List(elements))


def _outer_permutes(site: Site, module: Instance | None) -> tuple[list[Any], list[Any]]:
    """Permutes at both ends; one in the middle is put to the layer that needs it."""
    if module is None:
        return [], []
    values = _elements(module)
    outermost = is_outermost(site.context, module)
    before: list[Any] = []
    after: list[Any] = []
    for index, to_last in transitions(site.context, values, outermost=outermost):
        permutes = _permutes(site, values, index, to_last)
        if index == 0:
            before = permutes
        elif index == len(values):
            after = permutes
        elif permutes:
            if elements_of(module) is None:
                raise _unordered()
            _put_beside(site, values[index], permutes[0])
    return before, after


def _put_beside(site: Site, value: Value, permute: Any, after: bool = False) -> None:
    """Make an element of a list `Sequential([Permute, element])` where it is made."""
    origin = value.origin if isinstance(value, Instance) else None
    done = site.context.notes.setdefault("permuted elements", set())
    is_grown = isinstance(value, Instance) and grows(value)
    if not isinstance(origin, cst.Call) or origin not in site.context.edits.parent or is_grown:
        raise Unfit(
            "a layer of this Sequential needs the other order of axes and is made elsewhere",
            "put layers.Permute before it",
        )
    if (origin, after) in done:
        return
    done.add((origin, after))
    text = "keras.Sequential([layer, p])" if after else "keras.Sequential([p, layer])"

    def wrap(layer: Node) -> Node:
        return fill(text, p=permute, layer=layer)

    site.context.edits.wrap(origin, wrap)


@rewrites(f"{SEQUENTIAL}.append", f"{SEQUENTIAL}.add_module", f"{SEQUENTIAL}.extend", to="tf")
def grow_sequential(site: Site) -> Any:
    """`.add(layer)`."""
    whole = site.context.edits.enclosing(site.node, cst.BaseSmallStatement)
    if site.receiver is None or not isinstance(whole, cst.Expr):  # `s.append(x),` is one too
        raise Unfit(f"the result of {site.short} is used")
    if site.name.endswith("extend"):
        raise Unfit("keras.Sequential has no extend", "add the layers in a loop")
    layer = site.args.get("module", site.positional[-1] if site.positional else None)
    if layer is None:
        raise Unfit(f"{site.short} is called without a module")
    return fill("s.add(layer)", s=site.receiver, layer=layer)


@rewrites(f"{SEQUENTIAL}.__init__", to="tf")
def initialize_sequential(site: Site) -> Any:
    """`super().__init__([...])` in a class that derives from Sequential."""
    if not isinstance(site.node, cst.Call):
        raise Unfit("Sequential.__init__ is used without being called")
    if not site.node.args:
        return site.keep()
    module = _own_sequence(site)
    elements = _written_elements(site, module)
    if elements is None:
        if len(site.node.args) == 1 and site.node.args[0].star == "*":
            before, after = _outer_permutes(site, module)
            if not before and not after:
                return cst.Call(site.node.func, [cst.Arg(site.node.args[0].value)])
        raise Unfit("the layers of this Sequential are not known before the program runs")
    written = [cst.Element(as_node(p)) for _, p in layer_list(site, module, elements)]
    return cst.Call(site.node.func, [cst.Arg(cst.List(written))])


def _own_sequence(site: Site) -> Instance | None:
    """An object of the class whose `__init__` this is."""
    owner = site.context.edits.enclosing(site.node, cst.ClassDef)
    for instance in site.context.interpreter.instances.values():
        if isinstance(instance.cls, Class) and instance.cls.node is owner:
            return instance
    return None


@rewrites(f"{SEQUENTIAL}.forward", to="tf")
def run_sequential(site: Site) -> Any:
    """`super().forward(x)` in a class that derives from Sequential."""
    module = _own_sequence(site)
    values = (elements_of(module) or []) if module is not None else []
    if sequence_layout(site.context, values).takes or not isinstance(site.node, cst.Call):
        raise Unfit(
            "a Sequential's own forward runs layers that work channels-last",
            "keep the layers in a Sequential of their own and call that",
        )
    func = site.node.func
    assert isinstance(func, cst.Attribute)
    return cst.Call(cst.Attribute(func.value, cst.Name("call")), site.node.args)


@rewrites("torch.nn.ModuleList", "torch.nn.ParameterList", to="tf")
def module_list(site: Site) -> Any:
    """A plain list: Keras finds the layers in it."""
    _refuse_reference(site)
    if not site.node.args:  # type: ignore[attr-defined]
        return cst.List([])
    if site.starred:
        return cst.List([cst.StarredElement(a.value) for a in site.starred])
    [given] = [*site.positional, *site.keywords.values()]
    if isinstance(given, (cst.List, cst.ListComp)):
        return given
    if isinstance(given, cst.Tuple):
        return cst.List([e.with_changes() for e in given.elements])
    if isinstance(given, cst.GeneratorExp):
        return cst.ListComp(given.elt, given.for_in)
    return fill("list(given)", given=given)


@rewrites("torch.nn.ModuleDict", "torch.nn.ParameterDict", to="tf")
def module_dict(site: Site) -> Any:
    """A plain dict: Keras finds the layers in it."""
    _refuse_reference(site)
    if not site.node.args:  # type: ignore[attr-defined]
        return cst.Dict([])
    if site.starred:
        raise Unfit(f"arguments of {site.short} are unpacked with * or **")
    [given] = [*site.positional, *site.keywords.values()]
    if isinstance(given, (cst.Dict, cst.DictComp)):
        return given
    return fill("dict(given)", given=given)


@rewrites("torch.nn.Module.apply", to="tf")
def apply(site: Site) -> Any:
    """`model.apply(f)`: f of every layer."""
    if site.receiver is None or not site.alone:
        raise Unfit("the result of Module.apply is used", "call it on a line of its own")
    name = site.context.fresh("layer")
    return fill_statements(
        "for name in model._flatten_layers():\n    f(name)",
        model=site.receiver,
        f=site.arg("fn"),
        name=cst.Name(name),
    )
