"""torch.utils.data: tensors in memory become tf.data pipelines, other datasets stay as they are.

A TensorDataset that is only batched turns into `from_tensor_slices(...).shuffle(n).batch(b)`. A
dataset with its own __getitem__ keeps it and is batched by a small written-out DataLoader, as are
datasets that are split, indexed, sampled or collated by hand.
"""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const, Instance, options
from transpiler.rule import Unfit, rewrites
from transpiler.rules.facts_data import DATA, SLICES
from transpiler.site import Site
from transpiler.template import OMIT, call, fill

_NO_EFFECT = (
    "num_workers", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context",
    "generator", "prefetch_factor", "persistent_workers", "pin_memory_device", "in_order",
)  # fmt: skip
_MOST_IMAGES = "60000"
"""No image data set of Keras has more; a buffer that is larger than the data shuffles it all."""


def _datasets(site: Site, node: Any) -> list[Instance]:
    return [o for o in options(site.context.fact(node)) if isinstance(o, Instance)]


def _is_pipeline(instances: list[Instance]) -> bool:
    """Whether all are tensors, or images made tensors at once, that are only batched."""
    return bool(instances) and all(
        (i.class_names[:1] in ((DATA + "TensorDataset",), (SLICES,)) or i.state.get("tensors"))
        and not i.state.get("indexed")
        and all(_shuffles_plainly(loader) for loader in i.state.get("loaders", ()))
        for i in instances
    )


def _shuffles_plainly(loader: Instance) -> bool:
    """Whether it is known before the program runs if a loader shuffles."""
    return isinstance(loader.arguments.get("shuffle", Const(False)), Const)


@rewrites(DATA + "TensorDataset", to="tf")
def tensor_dataset(site: Site) -> Any:
    """Slices of tensors; an indexable dataset where it is used as one."""
    if site.starred:
        site.context.emit("TensorDataset")
        assert isinstance(site.node, cst.Call)
        return cst.Call(func=cst.Name("TensorDataset"), args=site.node.args)
    if _is_pipeline(_datasets(site, site.node)):
        slices = cst.Tuple([cst.Element(t) for t in site.positional])
        if len(site.positional) == 1:
            slices = cst.Tuple([cst.Element(site.positional[0], comma=cst.Comma())])
        return fill("tf.data.Dataset.from_tensor_slices(slices)", slices=slices)
    site.context.emit("TensorDataset")
    return call("TensorDataset", *site.positional)


@rewrites(SLICES, to="tf")
def slices(site: Site) -> Any:
    """What translations to PyTorch write for `from_tensor_slices`."""
    found = _datasets(site, site.node)
    if not site.is_call:
        return site.emit("ArrayDataset")
    loaders = [loader for i in found for loader in i.state.get("loaders", ())]
    data = site.arg("data")
    if not _is_pipeline(found):
        return call(site.context.emit("ArrayDataset"), data)
    if not isinstance(_first_leaf(data), (cst.Name, cst.Attribute, cst.Call)) and any(
        "shuffle" in loader.arguments for loader in loaders
    ):
        raise Unfit("how many rows are shuffled is not known here")
    return fill("tf.data.Dataset.from_tensor_slices(data)", data=data)


@rewrites(DATA + "default_collate", to="tf")
def collate(site: Site) -> Any:
    """Stacks examples field by field."""
    name = site.emit("collate")
    return cst.Call(name, site.node.args) if isinstance(site.node, cst.Call) else name


@rewrites(DATA + "DataLoader", to="tf")
def data_loader(site: Site) -> Any:
    """Shuffle the samples over the whole set, then batch; or a DataLoader written out."""
    for name in ("batch_sampler",):
        if site.has(name):
            raise Unfit(f"`{name}` of DataLoader has no equal", "yield the batches in a generator")
    dataset = site.arg("dataset")
    instances = _datasets(site, dataset)
    if any(site.context.knowledge.derives(i, DATA + "IterableDataset") for i in instances):
        raise Unfit("an IterableDataset", "use tf.data.Dataset.from_generator")
    shuffle = site.const("shuffle", "unknown") if site.has("shuffle") else False
    if _is_pipeline(instances) and shuffle != "unknown":
        return _pipeline(site, dataset, bool(shuffle))
    site.context.emit("DataLoader")
    known = ("batch_size", "shuffle", "sampler", "drop_last", "collate_fn")
    given = {n: site.args[n] for n in known if site.has(n)}
    return call("DataLoader", dataset, **given)


def _pipeline(site: Site, dataset: cst.BaseExpression, shuffle: bool) -> cst.BaseExpression:
    size = site.arg("batch_size")
    if isinstance(site.fact("batch_size"), Const) and site.const("batch_size") is None:
        raise Unfit("batch_size=None turns batching off")
    last: Any = site.args["drop_last"] if site.has("drop_last") else OMIT
    batches = "batch(size, drop_remainder=last).prefetch(tf.data.AUTOTUNE)"
    if not shuffle:
        return fill(f"dataset.{batches}", dataset=dataset, size=size, last=last)
    n = _length(site, dataset)
    return fill(f"dataset.shuffle(n).{batches}", dataset=dataset, n=n, size=size, last=last)


def _length(site: Site, dataset: cst.BaseExpression) -> cst.BaseExpression:
    """The number of samples: of the dataset's name, or of its first tensor."""
    if any(i.state.get("tensors") for i in _datasets(site, dataset)) and not _is_name(dataset):
        return cst.Integer(_MOST_IMAGES)
    if isinstance(dataset, cst.Call) and dataset.args:
        return fill("len(x)", x=_first_leaf(dataset.args[0].value))
    return fill("len(x)", x=dataset)


def _first_leaf(node: Any) -> Any:
    """The first array of tuples and dicts."""
    while isinstance(node, (cst.Tuple, cst.Dict)) and node.elements:
        node = node.elements[0].value
    return node


def _is_name(node: cst.BaseExpression) -> bool:
    return isinstance(node, (cst.Name, cst.Attribute))


@rewrites(
    DATA + "Subset", DATA + "ConcatDataset", DATA + "random_split", DATA + "SubsetRandomSampler",
    DATA + "WeightedRandomSampler", DATA + "BatchSampler", to="tf",
)  # fmt: skip
def written_out(site: Site) -> Any:
    """Small classes and functions of the same name and arguments."""
    name = site.name.rpartition(".")[2]
    site.context.emit(name)
    if not site.is_call:
        return cst.Name(name)
    arguments = {n: v for n, v in site.args.items() if n != "generator"}
    return call(name, *arguments.values())


@rewrites(DATA + "RandomSampler", to="tf")
def random_sampler(site: Site) -> Any:
    if site.has("replacement") or site.has("num_samples"):
        raise Unfit("RandomSampler with replacement", "use WeightedRandomSampler")
    site.context.emit("SubsetRandomSampler")
    return fill("SubsetRandomSampler(range(len(dataset)))", dataset=site.arg("data_source"))


@rewrites(DATA + "SequentialSampler", to="tf")
def sequential_sampler(site: Site) -> Any:
    return fill("range(len(dataset))", dataset=site.arg("data_source"))


@rewrites(DATA + "Dataset", to="tf")
def dataset_base(site: Site) -> Any:
    """As a base class it adds nothing to a class with __len__ and __getitem__."""
    parent = site.context.edits.parent[site.node]
    if isinstance(parent, cst.Arg) and isinstance(site.context.edits.parent[parent], cst.ClassDef):
        site.context.edits.replace(parent, [])
        return site.keep()
    return fill("object")


@rewrites(
    DATA + "DataLoader.dataset", DATA + "DataLoader.batch_size", DATA + "TensorDataset.tensors",
    DATA + "DataLoader.drop_last", DATA + "DataLoader.sampler", DATA + "Subset.dataset",
    DATA + "Subset.indices", DATA + "DataLoader.collate_fn", to="tf",
)  # fmt: skip
def kept(site: Site) -> Any:
    """The written-out classes have these attributes."""
    return site.keep()
