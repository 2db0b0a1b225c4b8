"""Which modules take and give channels-last values: conventions that callers and callees share.

A module of the framework works channels-last where its rule says `spatial`. A Sequential takes the
order of its first layout-sensitive element and gives that of its last. The program's own modules
take and give channels-last where only other modules call them and that needs fewer transposes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    UNKNOWN,
    Class,
    Const,
    Instance,
    Symbol,
    Tensor,
    Value,
    element_of,
    items_of,
    options,
)
from transpiler.modules import in_module_method, is_module
from transpiler.syntax import find

SEQUENTIAL = "torch.nn.Sequential"
PERMUTE = "to_torch.Permute"
"""Stands between the layers of a Sequential where an earlier translation changed the order."""


@dataclass(frozen=True)
class ModuleLayout:
    """What a module takes and gives: True is channels-last. `keeps`: gives what it is given."""

    takes: bool = False
    gives: bool = False
    keeps: bool = False


TORCH_ORDER = ModuleLayout()
CHANNELS_LAST = ModuleLayout(True, True)
KEEPS = ModuleLayout(keeps=True)
LOSS = ModuleLayout(takes=True)


def spatial_rank(name: str) -> int | None:
    """The rank of the values that a layer works on, from its name: 4 for Conv2d."""
    for digit, rank in (("1d", 3), ("2d", 4), ("3d", 5)):
        if digit in name.rpartition(".")[2]:
            return rank
    return None


def module_layout(context: Context, module: Value) -> ModuleLayout:
    """The convention of a module."""
    if not isinstance(module, Instance):
        return TORCH_ORDER
    if is_sequence(context, module):
        if is_outermost(context, module):
            return TORCH_ORDER
        elements = elements_of(module)
        return sequence_layout(context, loose_elements(module) if elements is None else elements)
    if isinstance(module.cls, Symbol):
        kind = context.rulebook.layout(context.to, module.cls.name)
        if kind == "spatial":
            return CHANNELS_LAST if _is_spatial_here(module) else KEEPS
        if kind == "loss":
            return LOSS
        # An array given to the layer (weights of a loss) is in torch's order.
        given = any(isinstance(a, Tensor) for a in module.arguments.values())
        return KEEPS if kind == "elementwise" and not given else TORCH_ORDER
    conventions = context.notes.get("layout conventions")
    if conventions is None:
        return TORCH_ORDER
    found: ModuleLayout = conventions(module.cls)
    return found


def is_sequence(context: Context, module: Instance) -> bool:
    """Whether calling a module runs its elements: a Sequential that does not say otherwise."""
    if not context.knowledge.derives(module, SEQUENTIAL):
        return False
    return not isinstance(module.cls, Class) or module.cls.lookup("forward") is None


def _is_spatial_here(module: Instance) -> bool:
    """BatchNorm1d also takes (batch, features), which has no spatial axes.

    Where nothing is known of the input's rank, only layers that always have spatial axes count.
    """
    seen = (module.state.get("inputs") or [None])[0]
    if isinstance(seen, Tensor) and seen.rank is not None:
        return seen.rank >= 3
    name = module.class_names[0].rpartition(".")[2]
    return not name.endswith("Norm1d")


def elements_of(module: Instance) -> list[Value] | None:
    """The elements of a Sequential, None where they are not all known."""
    forms = [_elements(given, added) for given, added in _forms(module)]
    first = forms[0]
    for other in forms[1:]:  # one that a loop makes anew may have others each time
        if first is None or other is None or list(map(id, first)) != list(map(id, other)):
            return None
    return first


def _forms(module: Instance) -> list[tuple[Any, Value | None]]:
    """What a Sequential is made of, each time that it is made: arguments and what is added."""
    given = module.arguments.get("args", module.arguments.get("arg", []))
    forms: list[tuple[Any, Value | None]] = module.state.get("forms", [])
    return [*forms[:-1], (given, forms[-1][1] if forms else None)]


def _elements(given: Any, added: Value | None) -> list[Value] | None:
    found: list[Value] = []
    for value in given if isinstance(given, list) else [given]:
        items = items_of(value) if isinstance(value, Value) else None
        if isinstance(value, Instance):
            found.append(value)
        elif items is not None:
            found.extend(items)
        elif hasattr(value, "items") and isinstance(value.items, dict):
            found.extend(value.items.values())
        else:
            return None
    more = () if added is None else items_of(added)
    return None if more is None else [*found, *more]


def loose_elements(module: Instance) -> list[Value]:
    """What a Sequential holds, where order and number are not known."""
    found: list[Value] = []
    for given, added in _forms(module):
        for value in [*(given if isinstance(given, list) else [given]), added]:
            inner = element_of(value) if not isinstance(value, Instance) else value
            inner = value if inner is UNKNOWN else inner
            found += [o for o in options(inner) if isinstance(o, Instance)]
    return list({id(value): value for value in found}.values())


def sequence_layout(context: Context, elements: Sequence[Value] | None) -> ModuleLayout:
    """The convention of layers run one after the other."""
    if elements is None:
        return TORCH_ORDER
    sensitive = [x for x in _element_layouts(context, elements) if not x.keeps]
    if not sensitive:
        return KEEPS
    return ModuleLayout(sensitive[0].takes, sensitive[-1].gives)


def _element_layouts(context: Context, elements: Sequence[Value]) -> list[ModuleLayout]:
    """The conventions of elements in a row; what only changes the order is left out again."""
    found: list[ModuleLayout] = []
    last = False
    for element in elements:
        change = change_of_order(element) if isinstance(element, Instance) else None
        if change is None:
            found.append(module_layout(context, element))
        else:
            if _is_swap(element):  # there and back are the same
                change = not last
            found.append(ModuleLayout(takes=not change, gives=change))
        last = last if found[-1].keeps else found[-1].gives
    return found


def _is_swap(module: Any) -> bool:
    return len(module.arguments["axes"]) == 3


def change_of_order(module: Instance) -> bool | None:
    """Whether an emitted Permute goes from channels-last to torch's order (True) or back.

    The values are those of a Keras program: its channels-last ones lie here as torch's do.
    """
    axes = module.arguments.get("axes") if PERMUTE in module.class_names else None
    known = [a.value if isinstance(a, Const) else None for a in axes or ()]
    rank = len(known)
    if rank < 3:
        return None
    there, back = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]
    return True if known == there else False if known == back else None


def transitions(
    context: Context, elements: Sequence[Value], *, outermost: bool
) -> list[tuple[int, bool]]:
    """Where a Sequential needs a Permute: (index before which, True to channels-last).

    An index equal to the number of elements means at the end.
    """
    whole = sequence_layout(context, elements)
    current = False if outermost else whole.takes
    found: list[tuple[int, bool]] = []
    for index, layout in enumerate(_element_layouts(context, elements)):
        if layout.keeps:
            continue
        if layout.takes != current:
            found.append((index, layout.takes))
        current = layout.gives
    if outermost and current:
        found.append((len(elements), False))
    return found


def is_outermost(context: Context, module: Instance) -> bool:
    """Whether code outside of modules calls this very object."""
    called: set[int] | None = context.notes.get("modules called outside")
    if called is None:
        called = set()
        for call in find(context.module, cst.Call):
            if in_module_method(context, call):
                continue
            for value in options(context.fact(call.func)):
                if isinstance(value, Instance) and is_module(context, value):
                    called.add(id(value))
        context.notes["modules called outside"] = called
    if isinstance(module.cls, Class):  # all objects of a class are written alike
        made = context.interpreter.instances.values()
        return any(id(i) in called for i in made if i.cls is module.cls)
    return id(module) in called
