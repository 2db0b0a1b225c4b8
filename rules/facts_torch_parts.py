"""Facts of PyTorch's calls that join, split and pick parts of tensors."""

from __future__ import annotations

from transpiler.infer.arrays import broadcast
from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    Const,
    Dim,
    Sequence,
    Shape,
    Tensor,
    Value,
    element_of,
    items_of,
)
from transpiler.rule import infers
from transpiler.rules.operands import (
    Operands,
    both,
    integers,
    methods,
    normal_axis,
)


@infers("torch.cat", "torch.hstack", "torch.vstack", "torch.concat")
def concatenated(call: Invocation) -> Value:
    given = Operands(call)
    parts = items_of(given.first) if given.first is not None else None
    element = element_of(given.first) if given.first is not None else None
    sample = parts[0] if parts else element
    if not isinstance(sample, Tensor):
        return Tensor(library="torch")
    plain = sample.but(variable=False, library="torch")
    default = {"vstack": 0, "hstack": 1}.get(call.name.rpartition(".")[2], 0)
    axis = given.integer("dim", "axis", at=0, default=default)
    known = [p.shape for p in parts or () if isinstance(p, Tensor) and p.shape is not None]
    if axis is None or sample.shape is None or (parts and len(known) != len(parts)):
        return plain.but(shape=None)
    if not sample.shape or len({len(k) for k in known}) > 1:
        return plain.but(shape=None)
    axis = min(normal_axis(axis, len(sample.shape)), len(sample.shape) - 1)
    along = [k[axis] for k in known]
    size = sum(d for d in along if isinstance(d, int))
    total: Dim = size if parts and all(isinstance(d, int) for d in along) else None
    rest = sample.shape
    for shape in known:
        rest = tuple(a if a is not None else b for a, b in zip(rest, shape, strict=False))
    return plain.but(shape=(*rest[:axis], total, *rest[axis + 1 :]))


@infers("torch.stack")
def stacked(call: Invocation) -> Value:
    given = Operands(call)
    parts = items_of(given.first) if given.first is not None else None
    sample = parts[0] if parts else element_of(given.first) if given.first else None
    if not isinstance(sample, Tensor):
        return Tensor(library="torch")
    axis = given.integer("dim", "axis", at=0, default=0)
    plain = sample.but(variable=False, library="torch")
    if sample.shape is None or axis is None:
        return plain.but(shape=None)
    axis = axis + len(sample.shape) + 1 if axis < 0 else axis
    count = len(parts) if parts is not None else None
    return plain.but(shape=(*sample.shape[:axis], count, *sample.shape[axis:]))


@infers(*both("split", "chunk", "tensor_split"))
def parts_of(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    axis = given.integer("dim", at=1, default=0)
    asked = integers(given.arg("split_size", "split_size_or_sections", "chunks", at=0))
    if x.shape is None or axis is None:
        return Sequence("tuple", None, x.but(shape=None))
    axis = normal_axis(axis, len(x.shape))
    sizes = _part_sizes(call, x.shape[axis], asked, given)
    if sizes is None:
        return Sequence("tuple", None, x.but(shape=_with_dim(x.shape, axis, None)))
    return Sequence("tuple", tuple(x.but(shape=_with_dim(x.shape, axis, s)) for s in sizes))


def _part_sizes(
    call: Invocation, whole: Dim, asked: tuple[int, ...] | None, given: Operands
) -> list[Dim] | None:
    if asked is None:
        return None
    is_list = items_of(
        given.arg("split_size", "split_size_or_sections", "chunks", at=0) or Const(0)
    )
    if is_list is not None:
        return list(asked)
    step = asked[0]
    if not isinstance(whole, int):
        return [None] * step if call.name.endswith("chunk") and step <= 16 else None
    if not call.name.endswith(".split"):
        step = -(-whole // step)
    return [min(step, whole - i) for i in range(0, whole, step)] if step else None


def _with_dim(shape: tuple[Dim, ...], axis: int, dim: Dim) -> Shape:
    return (*shape[:axis], dim, *shape[axis + 1 :])


@infers(*both("unbind"))
def unbound(call: Invocation) -> Value:
    given = Operands(call)
    x, axis = given.plain, given.integer("dim", at=0, default=0)
    if x.shape is None or axis is None:
        return Sequence("tuple", None, x.but(shape=None))
    axis = normal_axis(axis, len(x.shape))
    part = x.but(shape=(*x.shape[:axis], *x.shape[axis + 1 :]))
    size = x.shape[axis]
    return Sequence("tuple", (part,) * size if isinstance(size, int) and size <= 64 else None, part)


@infers(*both("index_select", "narrow", "select"), *methods("unfold"))
def selected(call: Invocation) -> Value:
    given = Operands(call)
    x, axis = given.plain, given.integer("dim", "dimension", at=0)
    if x.shape is None or axis is None:
        return x.but(shape=None)
    axis = normal_axis(axis, len(x.shape))
    kind = call.name.rpartition(".")[2]
    if kind == "select":
        return x.but(shape=(*x.shape[:axis], *x.shape[axis + 1 :]))
    if kind == "unfold":
        return x.but(shape=(*_with_dim(x.shape, axis, None), given.integer("size", at=1)))  # type: ignore[misc]
    if kind == "narrow":
        return x.but(shape=_with_dim(x.shape, axis, given.integer("length", at=2)))
    index = given.arg("index", at=1)
    size = index.shape[0] if isinstance(index, Tensor) and index.shape else None
    return x.but(shape=_with_dim(x.shape, axis, size))


@infers(*both("gather", "take_along_dim", "take"))
def gathered(call: Invocation) -> Value:
    given = Operands(call)
    at = {"gather": 1}.get(call.name.rpartition(".")[2], 0)
    index = given.arg("index", "indices", at=at)
    return given.plain.but(shape=index.shape if isinstance(index, Tensor) else None)


@infers(*both("masked_select"))
def masked(call: Invocation) -> Value:
    return Operands(call).plain.but(shape=(None,))


@infers(
    *both("tril", "triu", "scatter", "scatter_add", "masked_fill", "index_fill", "index_add",
          "index_copy", "masked_scatter", "clone", "detach", "scatter_reduce", "renorm"),
    *methods("contiguous", "masked_fill_", "scatter_", "scatter_add_", "fill_", "zero_", "copy_",
             "index_add_", "index_fill_", "index_copy_", "masked_scatter_", "fill_diagonal_",
             "requires_grad_", "retain_grad", "detach_", "cuda", "cpu", "pin_memory",
             "share_memory_",
             "tril_", "triu_", "resolve_conj", "coalesce"),
    "torch.diag_embed",
)  # fmt: skip
def unchanged(call: Invocation) -> Value:
    """Same shape, same dtype."""
    x = Operands(call).plain
    name = call.name.rpartition(".")[2]
    if name == "masked_fill":
        mask = Operands(call).arg("mask", at=0)
        if isinstance(mask, Tensor):
            return x.but(shape=broadcast(x.shape, mask.shape))
    return x.but(shape=None) if name == "diag_embed" else x


@infers(*both("diag", "diagonal"))
def diagonal(call: Invocation) -> Value:
    x = Operands(call).plain
    if x.shape is None:
        return x
    return x.but(shape=(*x.shape, *x.shape) if len(x.shape) == 1 else (*x.shape[:-2], None))


@infers("torch.meshgrid")
def grids(call: Invocation) -> Value:
    parts = call.positional
    if len(parts) == 1 and not isinstance(parts[0], Tensor):
        parts = list(items_of(parts[0]) or ())
    dims: list[Dim] = [p.shape[0] if isinstance(p, Tensor) and p.shape else None for p in parts]
    if call.keywords.get("indexing") == Const("xy") and len(dims) > 1:
        dims[0], dims[1] = dims[1], dims[0]
    dtype = parts[0].dtype if parts and isinstance(parts[0], Tensor) else None
    return Sequence("tuple", (Tensor(tuple(dims), dtype, "torch"),) * len(parts))
