"""What torch.utils.data gives: elements of datasets, batches of loaders."""

from __future__ import annotations

from typing import Any

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
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
    items_of,
    join,
    options,
    scalar_type,
)
from transpiler.rule import infers, infers_property

DATA = "torch.utils.data."
SLICES = "to_torch.slices"
"""The rows of arrays in tuples and dicts, as translations to PyTorch write them."""
_WRAPPERS = ("Subset", "ConcatDataset", "random_split")


def mark_indexed(value: Value | None) -> None:
    """Remember that a dataset is used for more than to be batched in order or shuffled."""
    for option in options(value):
        if isinstance(option, Instance):
            option.state["indexed"] = True
        elif isinstance(option, (ListObject, Sequence)):
            mark_indexed(element_of(option))


def sample(invocation: Invocation, dataset: Value) -> Value:
    """One example of a dataset."""
    found = []
    for option in options(dataset):
        if isinstance(option, Instance):
            function = invocation.interpreter.attribute(option, "__getitem__")
            found.append(invocation.interpreter.call(function, [Number("int")], {}, None))
        elif isinstance(option, Tensor):
            found.append(element_of(option))
        elif isinstance(option, (ListObject, Sequence)):
            found.append(element_of(option))
    return join(*found)


def collate(value: Value) -> Value:
    """A batch of examples, as torch's default_collate stacks them."""
    match value:
        case Tensor():
            shape = None if value.shape is None else (None, *value.shape)
            return Tensor(shape, value.dtype, "torch")
        case Const() | Number():
            kind = scalar_type(value)
            if kind == "str":
                return ListObject(None, Number("str"))
            return Tensor((None,), {"int": "int64", "float": "float64", "bool": "bool"}.get(
                kind or ""), "torch")  # fmt: skip
        case Sequence() | ListObject():
            known = items_of(value)
            if known is not None:
                return ListObject([collate(v) for v in known])
            return ListObject(None, collate(element_of(value)))
        case Mapping():
            return Mapping({k: collate(v) for k, v in value.items.items()})
    found = [collate(o) for o in options(value) if o is not value]
    return join(*found) if found else UNKNOWN


@infers(DATA + "TensorDataset")
def tensor_dataset(invocation: Invocation) -> Value:
    made = invocation.interpreter.knowledge.construct(invocation)
    made.arguments["tensors"] = list(invocation.positional)
    if invocation.node is not None and any(a.star for a in invocation.node.args):
        made.state["indexed"] = True
    return made


@infers(DATA + "TensorDataset.__getitem__", DATA + "Dataset.__getitem__")
def tensor_item(invocation: Invocation) -> Value:
    dataset = invocation.receiver
    if not isinstance(dataset, Instance):
        return UNKNOWN
    if invocation.node is not None:
        mark_indexed(dataset)
    tensors: Any = dataset.arguments.get("tensors")
    if isinstance(tensors, list):
        return Sequence("tuple", tuple(element_of(t) for t in tensors))
    inner = dataset.arguments.get("dataset") or dataset.arguments.get("datasets")
    if isinstance(inner, Value):
        if isinstance(inner, (ListObject, Sequence)):
            inner = element_of(inner)
        return sample(invocation, inner)
    return UNKNOWN


@infers_property(DATA + "TensorDataset.tensors")
def tensors(dataset: Value) -> Value:
    mark_indexed(dataset)
    found = dataset.arguments.get("tensors") if isinstance(dataset, Instance) else None
    return Sequence("tuple", tuple(found)) if isinstance(found, list) else UNKNOWN


@infers(DATA + "Subset", DATA + "ConcatDataset")
def wrapped(invocation: Invocation) -> Value:
    mark_indexed(invocation.positional[0] if invocation.positional else None)
    mark_indexed(invocation.keywords.get("dataset"))
    return invocation.interpreter.knowledge.construct(invocation)


@infers(DATA + "random_split")
def random_split(invocation: Invocation) -> Value:
    """As many subsets as lengths are given."""
    dataset = invocation.arg("dataset", at=0) or UNKNOWN
    mark_indexed(dataset)
    lengths = invocation.arg("lengths", at=1)
    known = items_of(lengths) if lengths is not None else None
    part = invocation.interpreter.allocate(
        Symbol(DATA + "Subset"), invocation.node, {"dataset": dataset}
    )
    if known is None:
        return ListObject(None, part)
    return ListObject([part] * len(known))


@infers(SLICES)
def slices(invocation: Invocation) -> Value:
    given = invocation.arg("data", at=0) or UNKNOWN
    return invocation.interpreter.allocate(Symbol(SLICES), invocation.node, {"data": given})


@infers(f"{SLICES}.__getitem__")
def row(invocation: Invocation) -> Value:
    """One row of every array."""
    dataset = invocation.receiver
    if invocation.node is not None:
        mark_indexed(dataset)
    return (
        _row(dataset.arguments.get("data", UNKNOWN)) if isinstance(dataset, Instance) else UNKNOWN
    )


def _row(value: Value) -> Value:
    match value:
        case Sequence(kind="tuple", items=tuple(known)):
            return Sequence("tuple", tuple(map(_row, known)))
        case Mapping():
            return Mapping({k: _row(v) for k, v in value.items.items()})
        case Tensor():
            one = element_of(value)
            dtype = "float32" if value.dtype == "float64" else value.dtype
            return one.but(library="torch", dtype=dtype) if isinstance(one, Tensor) else one
    return UNKNOWN


@infers(DATA + "default_collate")
def collated(invocation: Invocation) -> Value:
    return collate(element_of(invocation.positional[0])) if invocation.positional else UNKNOWN


@infers(DATA + "DataLoader")
def loader(invocation: Invocation) -> Value:
    made = invocation.interpreter.knowledge.construct(invocation)
    special = ("sampler", "batch_sampler", "collate_fn", "worker_init_fn")
    if any(invocation.arg(name) is not None for name in special):
        mark_indexed(invocation.arg("dataset", at=0))
    for dataset in options(invocation.arg("dataset", at=0)):
        if isinstance(dataset, Instance):
            dataset.state.setdefault("loaders", []).append(made)
    return made


@infers(DATA + "BatchSampler.__iter__")
def batches_of_indices(_: Invocation) -> Value:
    return Sequence("iterator", None, Tensor((None,), "int64", "numpy"))


@infers(DATA + "DataLoader.__iter__")
def loader_batches(invocation: Invocation) -> Value:
    made = invocation.receiver
    if not isinstance(made, Instance):
        return UNKNOWN
    dataset = made.arguments.get("dataset", UNKNOWN)
    one = sample(invocation, dataset)
    function = made.arguments.get("collate_fn")
    if isinstance(function, Value) and not (isinstance(function, Const) and function.value is None):
        batch = invocation.call(function, ListObject(None, one))
    else:
        batch = collate(one)
    return Sequence("generator", None, batch)


@infers_property(DATA + "DataLoader.dataset")
def loader_dataset(value: Value) -> Value:
    if isinstance(value, Instance):
        value.state["dataset used"] = True
        dataset = value.arguments.get("dataset", UNKNOWN)
        mark_indexed(dataset)
        return dataset if isinstance(dataset, Value) else UNKNOWN
    return UNKNOWN


@infers_property(DATA + "DataLoader.batch_size")
def loader_batch_size(value: Value) -> Value:
    if isinstance(value, Instance):
        mark_indexed(value.arguments.get("dataset"))
        size = value.arguments.get("batch_size")
        return size if isinstance(size, Value) else Number("int")
    return Number("int")


ENTRY_DEFAULTS = {DATA + "Dataset.__getitem__": Number("int")}
