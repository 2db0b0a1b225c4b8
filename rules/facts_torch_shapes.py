"""Facts of PyTorch's calls that rearrange elements: views, axes, joining, splitting, indexing."""

from __future__ import annotations

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    Const,
    Dim,
    Number,
    Sequence,
    Shape,
    Tensor,
    Value,
    from_dim,
)
from transpiler.rule import infers, infers_property
from transpiler.rules.operands import (
    Operands,
    both,
    dims_of,
    integers,
    methods,
    normal_axis,
    product,
)
from transpiler.syntax import code


@infers(*both("reshape"), *methods("view", "resize", "resize_"))
def reshaped(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    dims = dims_of(given.sizes("shape", "size"))
    if dims is None:
        return x.but(shape=None)
    if x.shape and dims and dims[0] is None and _reads_first_size(call):
        dims = (x.shape[0], *dims[1:])
        if dims.count(-1) == 1 and x.shape[0] is None:
            rest, given_rest = product(x.shape[1:]), [d for d in dims[1:] if d != -1]
            known = product(tuple(given_rest))
            if rest is not None and known:
                return x.but(shape=tuple(rest // known if d == -1 else d for d in dims))
    return x.but(shape=fill_in(x.shape, dims))


def _reads_first_size(call: Invocation) -> bool:
    """Whether the first argument is written as the size of the tensor's own first axis."""
    node = call.node
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute) or not node.args:
        return False
    owner = code(node.func.value)
    forms = (f"{owner}.size(0)", f"{owner}.shape[0]", f"{owner}.size()[0]", f"len({owner})")
    return code(node.args[0].value) in forms


def fill_in(shape: Shape, dims: Shape) -> Shape:
    """The dims of a reshape with -1 computed where possible."""
    if dims is None or -1 not in dims:
        return dims
    rest: list[Dim] = [d for d in dims if d != -1]
    found: Dim = None
    if shape is not None:
        old: list[Dim] = list(shape)
        for dim in list(rest):
            if not isinstance(dim, int) and dim is not None and dim in old:
                rest.remove(dim)
                old.remove(dim)
        total, known = product(tuple(old)), product(tuple(rest))
        if total is not None and known:
            found = total // known
        elif known == product(tuple(d for d in old if isinstance(d, int))):
            symbols = [d for d in old if not isinstance(d, int)]
            found = symbols[0] if len(symbols) == 1 else None
    return tuple(found if d == -1 else d for d in dims)


@infers(*both("flatten"))
def flattened(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    if x.shape is None:
        return x
    start = given.integer("start_dim", at=0, default=0)
    end = given.integer("end_dim", at=1, default=-1)
    if start is None or end is None or not x.shape:
        return x.but(shape=None)
    start, end = normal_axis(start, len(x.shape)), normal_axis(end, len(x.shape))
    return x.but(shape=(*x.shape[:start], product(x.shape[start : end + 1]), *x.shape[end + 1 :]))


@infers(*both("unflatten"))
def unflattened(call: Invocation) -> Value:
    given = Operands(call)
    x, axis = given.plain, given.integer("dim", at=0)
    sizes = integers(given.arg("sizes", at=1))
    if x.shape is None or axis is None or sizes is None:
        return x.but(shape=None)
    axis = normal_axis(axis, len(x.shape))
    inner = fill_in((x.shape[axis],), sizes)
    return x.but(shape=(*x.shape[:axis], *(inner or ()), *x.shape[axis + 1 :]))


@infers(*both("permute"))
def permuted(call: Invocation) -> Value:
    given = Operands(call)
    x, dims = given.plain, dims_of(given.sizes("dims"))
    if x.shape is None or dims is None or not all(isinstance(d, int) for d in dims):
        return x.but(shape=(None,) * len(dims) if dims else None)
    if len(dims) != len(x.shape):  # what is known of the rank does not hold here
        return x.but(shape=(None,) * len(dims))
    return x.but(shape=tuple(x.shape[d] for d in dims if isinstance(d, int)))


@infers(*both("transpose", "swapaxes", "swapdims"), *methods("transpose_"))
def transposed(call: Invocation) -> Value:
    given = Operands(call)
    x = given.plain
    a = given.integer("dim0", "axis0", at=0)
    b = given.integer("dim1", "axis1", at=1)
    if x.shape is None:
        return x
    if a is None or b is None:
        return x.but(shape=(None,) * len(x.shape))
    shape = list(x.shape)
    shape[a], shape[b] = shape[b], shape[a]
    return x.but(shape=tuple(shape))


@infers(*both("t", "adjoint"), *methods("t_"))
def turned(call: Invocation) -> Value:
    x = Operands(call).plain
    return x.but(shape=_last_swapped(x.shape))


def _last_swapped(shape: Shape) -> Shape:
    return shape if shape is None or len(shape) < 2 else (*shape[:-2], shape[-1], shape[-2])


@infers_property(*methods("T", "mT", "H", "mH"))
def turned_property(value: Value) -> Value:
    x = value if isinstance(value, Tensor) else Tensor(library="torch")
    return x.but(shape=_last_swapped(x.shape), variable=False)


@infers(*both("squeeze"), *methods("squeeze_"))
def squeezed(call: Invocation) -> Value:
    given = Operands(call)
    x, dim = given.plain, given.arg("dim", at=0)
    if x.shape is None:
        return x
    if dim is None:
        if all(isinstance(d, int) for d in x.shape):
            return x.but(shape=tuple(d for d in x.shape if d != 1))
        return x.but(shape=None)
    axes = integers(dim)
    if axes is None:
        return x.but(shape=None)
    gone = {normal_axis(a, len(x.shape)) for a in axes}
    if any(not 0 <= a < len(x.shape) or x.shape[a] is None for a in gone):
        return x.but(shape=None)
    # In a branch that is not run today the sizes are others: there the axis is meant to go.
    dead = bool(call.interpreter.dead)
    return x.but(
        shape=tuple(d for i, d in enumerate(x.shape) if i not in gone or (d != 1 and not dead))
    )


@infers(*both("unsqueeze"), *methods("unsqueeze_"))
def unsqueezed(call: Invocation) -> Value:
    given = Operands(call)
    x, axis = given.plain, given.integer("dim", at=0)
    if x.shape is None or axis is None:
        return x.but(shape=None)
    axis = axis + len(x.shape) + 1 if axis < 0 else axis
    return x.but(shape=(*x.shape[:axis], 1, *x.shape[axis:]))


@infers(*both("broadcast_to"), *methods("expand"))
def expanded(call: Invocation) -> Value:
    given = Operands(call)
    x, dims = given.plain, dims_of(given.sizes("size", "shape"))
    if dims is None:
        return x.but(shape=None)
    old: tuple[Dim, ...] = (None,) * len(dims)
    if x.shape is not None and len(x.shape) <= len(dims):
        old = (None,) * (len(dims) - len(x.shape)) + x.shape
    return x.but(shape=tuple(o if d == -1 else d for o, d in zip(old, dims, strict=False)))


@infers(*methods("expand_as", "view_as", "reshape_as"))
def shaped_as(call: Invocation) -> Value:
    given = Operands(call)
    other = given.arg("other", at=0)
    return given.plain.but(shape=other.shape if isinstance(other, Tensor) else None)


@infers(*both("tile"), *methods("repeat"))
def repeated(call: Invocation) -> Value:
    given = Operands(call)
    x, counts = given.plain, dims_of(given.sizes("repeats", "dims"))
    if x.shape is None or counts is None:
        return x.but(shape=None if counts is None or x.shape is None else x.shape)
    rank = max(len(counts), len(x.shape))
    counts = (1,) * (rank - len(counts)) + counts
    old = (1,) * (rank - len(x.shape)) + x.shape
    return x.but(shape=tuple(_times(d, c) for d, c in zip(old, counts, strict=False)))


def _times(dim: Dim, count: Dim) -> Dim:
    if isinstance(dim, int) and isinstance(count, int):
        return dim * count
    return dim if count == 1 else (count if dim == 1 else None)


@infers(*both("flip", "fliplr", "flipud", "roll", "movedim", "moveaxis"))
def rearranged(call: Invocation) -> Value:
    x = Operands(call).plain
    if call.name.endswith(("movedim", "moveaxis")) and x.shape is not None:
        return x.but(shape=(None,) * len(x.shape))
    return x


@infers("torch.Tensor.size")
def size(call: Invocation) -> Value:
    given = Operands(call)
    shape = given.tensor.shape
    dim = given.arg("dim", at=0)
    if dim is None:
        if shape is None:
            return Sequence("tuple", None, Number("int"))
        return Sequence("tuple", tuple(from_dim(d) for d in shape))
    axis = given.integer("dim", at=0)
    if shape is None or axis is None or not -len(shape) <= axis < len(shape):
        return Number("int")
    return from_dim(shape[axis])


@infers("torch.Tensor.dim", "torch.Tensor.ndimension", "torch.numel", "torch.Tensor.numel",
        "torch.Tensor.nelement", "torch.Tensor.__len__")  # fmt: skip
def counts(call: Invocation) -> Value:
    x = Operands(call).tensor
    if call.name.endswith(("dim", "ndimension")):
        return Number("int") if x.shape is None else Const(len(x.shape))
    total = product(x.shape)
    return Number("int") if total is None else Const(total)


@infers_property("torch.Tensor.ndim")
def ndim(value: Value) -> Value:
    rank = value.rank if isinstance(value, Tensor) else None
    return Number("int") if rank is None else Const(rank)
