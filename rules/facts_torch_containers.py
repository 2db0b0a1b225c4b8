"""What PyTorch's containers of modules, parameters and buffers are to the interpreter.

ModuleList and ParameterList are lists, ModuleDict and ParameterDict are dicts: as in the
translation. A Sequential stays an object, whose call runs its elements.
"""

from __future__ import annotations

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    NONE,
    UNKNOWN,
    Const,
    Instance,
    ListObject,
    Mapping,
    Number,
    Sequence,
    Symbol,
    Tensor,
    Value,
    element_of,
    is_none,
    items_of,
    join,
    options,
)
from transpiler.layouts import elements_of, loose_elements
from transpiler.rule import infers

SEQUENTIAL = "torch.nn.Sequential"


@infers("torch.nn.ModuleList", "torch.nn.ParameterList")
def module_list(call: Invocation) -> Value:
    given = call.positional[0] if call.positional else next(iter(call.keywords.values()), None)
    if given is None or is_none(given):
        return ListObject([])
    items = items_of(given)
    if items is not None:
        return ListObject(list(items))
    if isinstance(given, Instance):
        return ListObject(None, call.interpreter.iterate(given, None))
    return ListObject(None, element_of(given))


@infers("torch.nn.ModuleDict", "torch.nn.ParameterDict", "collections.OrderedDict")
def module_dict(call: Invocation) -> Value:
    given = call.positional[0] if call.positional else next(iter(call.keywords.values()), None)
    if isinstance(given, Mapping):
        return Mapping(dict(given.items), given.element)
    rows = items_of(given) if given is not None else ()
    if rows is None:
        pair = items_of(element_of(given)) if given is not None else None
        return Mapping({}, pair[1] if pair is not None and len(pair) == 2 else UNKNOWN)
    found = Mapping()
    for row in rows:
        pair = items_of(row)
        if pair is not None and len(pair) == 2 and isinstance(pair[0], Const):
            found.items[pair[0].value] = pair[1]
        else:
            found.element = join(found.element, element_of(row))
    return found


@infers(SEQUENTIAL)
def sequential(call: Invocation) -> Value:
    """The object; elements named by an OrderedDict are its attributes."""
    made = call.interpreter.allocate(Symbol(SEQUENTIAL), call.node, {"args": list(call.positional)})
    begin(made, call.positional)
    given = call.positional[0] if len(call.positional) == 1 else None
    if isinstance(given, Mapping):
        made.attributes.update({k: v for k, v in given.items.items() if isinstance(k, str)})
    return made


def begin(made: Instance, given: list[Value]) -> None:
    """A Sequential is made, perhaps once more: what is added from here on is added to this one."""
    forms = made.state.setdefault("forms", [])
    forms.append((list(given), ListObject([])))
    del forms[:-3]


@infers(f"{SEQUENTIAL}.__call__", f"{SEQUENTIAL}.forward")
def run_sequential(call: Invocation) -> Value:
    """The elements, one after the other."""
    if not isinstance(call.receiver, Instance):
        return UNKNOWN
    elements = elements_of(call.receiver)
    values: list[Value] = list(call.positional)
    if elements is None:
        return _run_loosely(call, loose_elements(call.receiver), values)
    for element in elements:
        values = [call.call(element, *values)]
    return values[0] if values else UNKNOWN


def _run_loosely(call: Invocation, elements: list[Value], values: list[Value]) -> Value:
    """What any number of elements in any order may give."""
    given = values[0] if len(values) == 1 and is_tensor(values[0]) else None
    found = given
    for _ in range(2):
        inputs = [v if is_tensor(v) else UNKNOWN for v in values] if found is None else [found]
        results = [call.call(element, *inputs) for element in elements]
        if found is None:
            break
        found = join(found, *results)
        if not isinstance(found, Tensor):
            found = None
    if found is not None:
        return found
    return vague(values[0]) if values else UNKNOWN


def is_tensor(value: Value) -> bool:
    return isinstance(value, Tensor)


def vague(value: Value) -> Value:
    """A tensor of which only the dtype is known."""
    return value.but(shape=None, variable=False) if isinstance(value, Tensor) else UNKNOWN


@infers(f"{SEQUENTIAL}.__iter__", f"{SEQUENTIAL}.children")
def iterate_sequential(call: Invocation) -> Value:
    if not isinstance(call.receiver, Instance):
        return UNKNOWN
    elements = elements_of(call.receiver)
    if elements is not None:
        return Sequence("modules", tuple(elements))
    return Sequence("modules", None, join(*loose_elements(call.receiver)))


@infers(f"{SEQUENTIAL}.__getitem__")
def item_of_sequential(call: Invocation) -> Value:
    if not isinstance(call.receiver, Instance):
        return UNKNOWN
    elements, index = elements_of(call.receiver), call.positional[0]
    if isinstance(index, Const) and isinstance(index.value, int):
        if elements is not None and -len(elements) <= index.value < len(elements):
            return elements[index.value]
    if isinstance(index, Const | Number):
        return join(*(elements or loose_elements(call.receiver)))
    # a slice: a Sequential of some of the elements
    part = call.interpreter.allocate(Symbol(SEQUENTIAL), call.node, {"args": [UNKNOWN]})
    if elements is not None:
        part.arguments["args"] = list(elements)
    return part


@infers(f"{SEQUENTIAL}.__init__")
def initialize_sequential(call: Invocation) -> Value:
    """`super().__init__(...)` of a class that derives from Sequential."""
    if isinstance(call.receiver, Instance):
        call.receiver.arguments["args"] = list(call.positional)
        begin(call.receiver, call.positional)
    return NONE


@infers(
    f"{SEQUENTIAL}.append",
    f"{SEQUENTIAL}.add_module",
    f"{SEQUENTIAL}.extend",
    f"{SEQUENTIAL}.insert",
)
def grow_sequential(call: Invocation) -> Value:
    given = [*call.positional, *call.keywords.values()]
    last = call.keywords.get("module", given[-1]) if given else NONE
    name = call.keywords.get("name", given[0]) if given else NONE
    for owner in options(call.receiver):
        if isinstance(owner, Instance) and given and not call.interpreter.dead:
            if isinstance(name, Const) and isinstance(name.value, str):
                owner.attributes[name.value] = last
            if "forms" not in owner.state:
                begin(owner, owner.arguments.get("args", []))
            _, added = owner.state["forms"][-1]
            kind = "extend" if call.name.endswith("extend") else "append"
            call.interpreter.list_method(added, kind, [last])
            if call.name.endswith("insert"):
                call.interpreter.list_method(added, "insert", [last])
    return call.receiver or NONE


@infers("torch.nn.Module.register_buffer", "torch.nn.Module.register_parameter")
def registered(call: Invocation) -> Value:
    """`self.register_buffer("mask", mask)` is `self.mask = mask`."""
    name, value = call.arg("name", at=0), call.arg("tensor", "param", at=1)
    if isinstance(value, Tensor) and call.name.endswith("buffer"):
        value = value.but(variable=True)  # new values are assigned to it
        for owner in options(call.receiver):
            if isinstance(owner, Instance) and isinstance(name, Const):
                owner.state.setdefault("registered", set()).add(name.value)
    if isinstance(name, Const) and isinstance(name.value, str) and value is not None:
        call.interpreter.set_attribute(call.receiver or UNKNOWN, name.value, value)
    return NONE
