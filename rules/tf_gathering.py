"""Picking, masking, scattering and products of TensorFlow's and Keras' tensors in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import ListObject, Sequence, Tensor
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.tf_arguments import (
    OMIT,
    TfArguments,
    cast,
    drop,
    simple,
    tensor,
    torch_dtype,
)
from transpiler.rules.tf_elementwise import sides
from transpiler.rules.tf_operands import as_tensor, dtype_named, everywhere, is_number
from transpiler.site import Site, constant_value
from transpiler.template import fill


def index(site: Site, node: Any) -> Any:
    """What picks elements: lists and numbers as they are, arrays as tensors."""
    fact = site.fact(node)
    if isinstance(fact, Tensor) and fact.library == "numpy":
        return tensor(site, node)
    return node


@rewrites(
    "tf.gather", "keras.ops.take", "keras.backend.gather", "tf.nn.embedding_lookup", to="torch",
    proof=Proof(inputs=[(4, 5, 3), "int(2, 3) < 4", "int(4, 2) < 5"],
                keras_cases=["tf.gather(x, y)", "tf.gather(x, [0, 2], axis=1)",
                             "tf.gather(x, indices=y, axis=0)", "tf.gather(x, 1, axis=-1)",
                             "keras.ops.take(x, y, axis=0)", "tf.keras.backend.gather(x, y)",
                             "tf.gather(x, z, axis=1, batch_dims=1)",
                             "tf.nn.embedding_lookup(x[:, 0], y)",
                             "tf.gather(x[:, :, 0], z, axis=1, batch_dims=1)"]),
)  # fmt: skip
def gather(site: Site) -> Any:
    """An index in its place; per row of a batch, along an axis."""
    given = TfArguments(site)
    if given.get("max_norm") is not None:
        raise Unfit(f"`max_norm` of {site.short} has no equal here")
    where = index(site, given.need("indices", "ids"))
    batch, axis = given.const("batch_dims", default=0), given.get("axis")
    if batch:
        return _gather_rows(site, given, where, batch)
    if axis is None and site.name == "keras.ops.take":
        return fill("torch.flatten(x)[i]", x=given.x, i=where)
    at = 0 if axis is None else constant_value(site.fact(axis))
    if not isinstance(at, int):
        return fill("torch.index_select(x, d, i)", x=given.x, d=axis, i=tensor(site, where))
    if at >= 0:
        return fill(f"x[{':, ' * at}i]", x=given.x, i=where)
    return fill(f"x[..., i{', :' * (-1 - at)}]", x=given.x, i=where)


def _gather_rows(site: Site, given: TfArguments, where: Any, batch: Any) -> Any:
    axis = given.const("axis", default=batch)
    rank = as_tensor(site.fact(given.first)).rank
    picked = as_tensor(site.fact(where)).rank
    where = tensor(site, where)
    if axis == -1 and rank is not None:
        axis = rank - 1
    if axis != batch or picked is None or rank is None or picked != batch + 1:
        return fill("unit(x, i, a, b)", unit=site.emit("gather_batched"), x=given.x, i=where,
                    a=axis, b=batch)  # fmt: skip
    if rank == picked:
        return fill("torch.gather(x, d, i)", x=given.x, d=axis, i=_long(site, where))
    more = ", None" * (rank - picked)
    return fill(f"torch.take_along_dim(x, i[...{more}], dim=d)", x=given.x,
                i=_long(site, where), d=axis)  # fmt: skip


def _long(site: Site, node: Any) -> Any:
    """Where torch takes nothing but int64."""
    return node if site.dtype(node) == "int64" else fill("x.long()", x=node)


@rewrites(
    "tf.gather_nd", to="torch",
    proof=Proof(inputs=[(4, 5, 3), "int(2, 2) < 4", "int(2, 3) < 3"],
                keras_cases=["tf.gather_nd(x, y)", "tf.gather_nd(x, z)",
                             "tf.gather_nd(x, [[0, 1], [2, 3]])",
                             "tf.gather_nd(x, z[..., None] * 0 + tf.ones((2, 3, 1), tf.int64))",
                             "tf.gather_nd(x[:2], z[..., None], batch_dims=1)",
                             "tf.gather_nd(tf.stack([x, x])[:, :2], tf.stack([z, z])[..., None],"
                             " batch_dims=2)"]),
)  # fmt: skip
def gather_nd(site: Site) -> Any:
    given = TfArguments(site)
    if given.const("batch_dims", default=0):
        return fill("unit(x, i, batch_dims=n)", unit=site.emit("gather_nd"), x=given.x,
                    i=tensor(site, given.need("indices")), n=given.need("batch_dims"))  # fmt: skip
    return fill("x[i.unbind(-1)]", x=given.x, i=tensor(site, given.need("indices")))


@rewrites("keras.ops.take_along_axis", "tf.experimental.numpy.take_along_axis", to="torch",
          proof=Proof(inputs=[(4, 5), "int(4, 2) < 5"],
                      keras_cases=["keras.ops.take_along_axis(x, y, axis=1)"]))  # fmt: skip
def along(site: Site) -> Any:
    given = TfArguments(site)
    where = _long(site, tensor(site, given.need("indices")))
    return fill("torch.take_along_dim(x, i, dim=d)", x=given.x, i=where, d=given.axis())


@rewrites("tf.boolean_mask", to="torch",
          proof=Proof(inputs=[(4, 5), "bool(4)", "bool(4, 5)"],
                      keras_cases=["tf.boolean_mask(x, y)", "tf.boolean_mask(x, z)",
                                   "tf.boolean_mask(tensor=x, mask=x > 0)"]))  # fmt: skip
def boolean_mask(site: Site) -> Any:
    given = TfArguments(site)
    axis = given.const("axis", default=0)
    mask = tensor(site, given.need("mask"))
    if axis < 0:
        raise Unfit("tf.boolean_mask along an axis counted from the end")
    return fill(f"x[{':, ' * axis}m]", x=given.x, m=mask)


@rewrites(
    *everywhere("one_hot"), to="torch",
    proof=Proof(inputs=["int(4) < 5", "int(2, 3) < 4"], gradients=False,
                keras_cases=["tf.one_hot(x, 5)", "tf.one_hot(y, depth=4)",
                             "tf.one_hot(x, 5, dtype=tf.int32)", "tf.one_hot(y, 4, axis=1)",
                             "keras.ops.one_hot(x, 5)", "tf.one_hot([0, 2], 3)",
                             "tf.one_hot(x, 5, on_value=2.0, off_value=-1.0)",
                             "tf.keras.backend.one_hot(x, 5)", "tf.one_hot(x - 1, 5)"]),
)  # fmt: skip
def one_hot(site: Site) -> Any:
    """What is out of range has no 1 in TensorFlow; torch raises."""
    given = TfArguments(site)
    indices, depth = given.get("indices", "x"), given.need("depth", "num_classes")
    indices = given.first if indices is None else indices
    if is_number(site.fact(indices)) or isinstance(site.fact(indices), (Sequence, ListObject)):
        numbers = fill("torch.tensor(x)", x=indices)
    else:
        numbers = _long(site, tensor(site, indices))
    asked, axis = given.get("dtype"), given.const("axis", default=-1)
    on, off = given.get("on_value"), given.get("off_value")
    if isinstance(indices, (cst.BinaryOperation, cst.UnaryOperation)):
        new = fill("x[..., None] == torch.arange(n)", x=numbers, n=depth)
        if asked is None:
            new = fill("x.float()", x=new)
    else:
        new = fill("torch.nn.functional.one_hot(x, n)", x=numbers, n=depth)
        if asked is None and on is None and off is None:
            new = fill("x.float()", x=new)
    name = dtype_named(site.fact(asked)) if asked is not None else None
    if on is not None or off is not None:
        new = fill("torch.where(x.bool(), a, b)", x=new, a=1.0 if on is None else on,
                   b=0.0 if off is None else off)  # fmt: skip
    elif asked is not None and (name not in ("int64", "int32")):
        new = cast(site, new, torch_dtype(site, asked))
    elif asked is not None:
        drop(site, asked)
    return new if axis == -1 else fill("torch.movedim(x, -1, a)", x=new, a=axis)


@rewrites(
    *everywhere("where"), to="torch",
    proof=Proof(inputs=["bool(2, 3)", (2, 3), (2, 3)],
                keras_cases=["tf.where(x, y, z)", "tf.where(y > 0, y, 0.0)",
                             "tf.where(x, 1.0, 0.0)",
                             "tf.where(x)", "keras.ops.where(x, y, z)",
                             "tf.where(condition=x, x=y, y=tf.zeros_like(y))",
                             "tf.where([True, False, True], y, 0.5)"]),
)  # fmt: skip
def where(site: Site) -> Any:
    given = TfArguments(site)
    yes, no = given.get("x", "x1"), given.get("y", "x2")
    if yes is None or no is None:
        if site.name.startswith("keras."):
            return fill("torch.where(c)", c=given.x)
        return fill("torch.nonzero(c)", c=given.x)
    a = yes if is_number(site.fact(yes)) else tensor(site, yes)
    b = no if is_number(site.fact(no)) else tensor(site, no)
    return fill("torch.where(c, a, b)", c=given.x, a=a, b=b)


@rewrites("keras.backend.switch", to="torch")
def switch(site: Site) -> Any:
    given = TfArguments(site)
    yes, no = given.need("then_expression"), given.need("else_expression")
    return fill("torch.where(c, a, b)", c=given.x, a=yes, b=no)


# ---- scattering -------------------------------------------------------------------------------


@rewrites(
    "tf.scatter_nd", "keras.ops.scatter", "tf.tensor_scatter_nd_update",
    "tf.tensor_scatter_nd_add", "tf.tensor_scatter_nd_sub", "keras.ops.scatter_update",
    to="torch",
    proof=Proof(inputs=[(4, 3), (2, 3)],
                keras_cases=["tf.tensor_scatter_nd_update(x, [[0], [2]], y)",
                             "tf.scatter_nd(tf.constant([[1], [3]]), y, [4, 3])",
                             "tf.tensor_scatter_nd_add(x, [[1], [1]], y)"]),
)  # fmt: skip
def scatter(site: Site) -> Any:
    given = TfArguments(site)
    indices = tensor(site, given.need("indices"))
    updates = tensor(site, given.need("updates", "values"))
    shape = given.get("shape")
    if shape is not None:
        unit = site.emit("scatter_nd")
        return fill("unit(i, u, s)", unit=unit, i=indices, u=updates, s=shape)
    added = site.name.endswith(("add", "sub"))
    new = fill("-u", u=updates) if site.name.endswith("sub") else updates
    return fill("x.index_put(i.unbind(-1), u, accumulate=a)", x=given.x, i=indices, u=new,
                a=True if added else OMIT)  # fmt: skip


@rewrites("tf.math.segment_sum", "tf.math.unsorted_segment_sum", "keras.ops.segment_sum",
          to="torch",
          proof=Proof(inputs=[(4, 3), "int(4) < 3"],
                      keras_cases=["tf.math.unsorted_segment_sum(x, y, 3)"]))  # fmt: skip
def segment_sum(site: Site) -> Any:
    given = TfArguments(site)
    ids, count = given.need("segment_ids"), given.get("num_segments")
    if count is None:
        count = fill("int(i.max()) + 1", i=ids)
    return fill("unit(x, i, n)", unit=site.emit("segment_sum"), x=given.x, i=ids, n=count)


@rewrites("tf.sequence_mask", to="torch",
          proof=Proof(inputs=["int(4) < 5"], gradients=False,
                      keras_cases=["tf.sequence_mask(x, 6)", "tf.sequence_mask(x)",
                                   "tf.sequence_mask(x, maxlen=5, dtype=tf.float32)"]))  # fmt: skip
def sequence_mask(site: Site) -> Any:
    given = TfArguments(site)
    longest, x = given.get("maxlen"), given.x
    if longest is None:
        if not simple(x):
            raise Unfit("tf.sequence_mask of an expression, without `maxlen`", "name it first")
        longest = fill("x.max()", x=x)
    new = fill("torch.arange(n) < x[..., None]", n=longest, x=x)
    asked = given.get("dtype")
    return new if asked is None else cast(site, new, torch_dtype(site, asked))


# ---- products ---------------------------------------------------------------------------------


@rewrites(
    "tf.matmul", "keras.ops.matmul", to="torch",
    proof=Proof(inputs=[(2, 3, 4), (2, 3, 4), (4, 5)],
                keras_cases=["tf.matmul(x, z)", "tf.matmul(x, y, transpose_b=True)",
                             "tf.matmul(x, y, transpose_a=True)", "keras.ops.matmul(x, z)",
                             "tf.linalg.matmul(a=x, b=z)"]),
)  # fmt: skip
def matmul(site: Site) -> Any:
    given = TfArguments(site)
    a, b = (tensor(site, n) for n in sides(site, given))
    for name in ("transpose_a", "adjoint_a"):
        if given.const(name, default=False):
            a = fill("x.transpose(-2, -1)", x=a)
    for name in ("transpose_b", "adjoint_b"):
        if given.const(name, default=False):
            b = fill("x.transpose(-2, -1)", x=b)
    return fill("torch.matmul(a, b)", a=a, b=b)


@rewrites("tf.linalg.matvec", to="torch",
          proof=Proof(inputs=[(3, 4), (4,)], keras_cases=["tf.linalg.matvec(x, y)"]))  # fmt: skip
def matvec(site: Site) -> Any:
    given = TfArguments(site)
    a, b = (tensor(site, n) for n in sides(site, given))
    if given.const("transpose_a", default=False):
        a = fill("x.transpose(-2, -1)", x=a)
    return fill("torch.matmul(a, b.unsqueeze(-1)).squeeze(-1)", a=a, b=b)


@rewrites("keras.ops.dot", "keras.backend.dot", to="torch",
          proof=Proof(inputs=[(2, 3, 4), (4, 5), (2, 4, 5)],
                      keras_cases=["tf.keras.backend.dot(x, y)", "keras.ops.dot(x, y)",
                                   "keras.ops.dot(x, z)"]))  # fmt: skip
def dot(site: Site) -> Any:
    """The last axis with the last but one; only matrices are what matmul takes so."""
    given = TfArguments(site)
    a, b = sides(site, given)
    rank = as_tensor(site.fact(b)).rank
    a, b = tensor(site, a), tensor(site, b)
    if rank is not None and rank > 2:
        return fill("torch.tensordot(a, b, dims=([-1], [-2]))", a=a, b=b)
    return fill("torch.matmul(a, b)", a=a, b=b)


@rewrites("keras.backend.batch_dot", to="torch",
          proof=Proof(inputs=[(2, 3, 4), (2, 4, 5), (2, 6, 4)],
                      keras_cases=["tf.keras.backend.batch_dot(x, y)",
                                   "tf.keras.backend.batch_dot(x, z, axes=[2, 2])",
                                   "tf.keras.backend.batch_dot(x, y, axes=(2, 1))"]))  # fmt: skip
def batch_dot(site: Site) -> Any:
    given = TfArguments(site)
    a, b = sides(site, given)[:2]
    ranks = [as_tensor(site.fact(n)).rank for n in (a, b)]
    axes = given.const("axes", default=None)
    if ranks != [3, 3]:
        raise Unfit("keras.backend.batch_dot of other tensors than ones of three axes")
    pair = (2, 1) if axes is None else (axes, axes) if isinstance(axes, int) else tuple(axes)
    left = fill("x.transpose(1, 2)", x=a) if pair[0] % 3 == 1 else a
    right = fill("x.transpose(1, 2)", x=b) if pair[1] % 3 == 2 else b
    return fill("torch.bmm(a, b)", a=left, b=right)


@rewrites("tf.tensordot", "keras.ops.tensordot", to="torch",
          proof=Proof(inputs=[(2, 3, 4), (4, 5), (3, 4)],
                      keras_cases=["tf.tensordot(x, y, axes=1)", "tf.tensordot(x, y, [[2], [0]])",
                                   "tf.tensordot(x, z, axes=2)",
                                   "tf.tensordot(x, z, axes=[[1, 2], [0, 1]])",
                                   "tf.tensordot(x, y, axes=[2, 0])",
                                   "tf.tensordot(z, z, axes=0)"]))  # fmt: skip
def tensordot(site: Site) -> Any:
    given = TfArguments(site)
    a, b = (tensor(site, n) for n in sides(site, given)[:2])
    axes = given.need("axes")
    found = constant_value(site.fact(axes))
    if isinstance(found, (list, tuple)):
        pair = [[n] if isinstance(n, int) else list(n) for n in found]
        return fill("torch.tensordot(a, b, dims=d)", a=a, b=b, d=tuple(pair))
    return fill("torch.tensordot(a, b, dims=d)", a=a, b=b, d=axes)


@rewrites("tf.einsum", "keras.ops.einsum", to="torch",
          proof=Proof(inputs=[(2, 3, 4), (2, 4, 5)],
                      keras_cases=["tf.einsum('bij,bjk->bik', x, y)",
                                   "keras.ops.einsum('bij->bj', x)",
                                   "tf.einsum('...ij,...jk->...ik', x, y)"]))  # fmt: skip
def einsum(site: Site) -> Any:
    if not site.positional:
        raise Unfit(f"{site.short} is called without its equation")
    assert isinstance(site.node, cst.Call)
    text, *parts = (a for a in site.node.args if a.keyword is None)
    parts = [a if a.star else cst.Arg(tensor(site, a.value)) for a in parts]
    return fill("torch.einsum(e, *xs)", e=text.value, xs=parts)


LINALG = {"inv": "inv", "det": "det", "cholesky": "cholesky", "pinv": "pinv", "slogdet": "slogdet",
          "logdet": "logdet", "eigh": "eigh", "eigvalsh": "eigvalsh",
          "matrix_rank": "matrix_rank", "cross": "cross"}  # fmt: skip


@rewrites(*(f"{home}.{name}" for name in LINALG for home in ("tf.linalg", "keras.ops")),
          to="torch",
          proof=Proof(inputs=[(3, 3)], keras_cases=["tf.linalg.inv(x)", "tf.linalg.det(x)",
                                                    "tf.linalg.cholesky(x @ tf.transpose(x) + "
                                                    "tf.eye(3))"]))  # fmt: skip
def linear_algebra(site: Site) -> Any:
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    if name == "cross":
        a, b = sides(site, given)
        return fill("torch.linalg.cross(a, b)", a=a, b=b)
    home = "torch" if name == "logdet" else "torch.linalg"
    return fill(f"{home}.{LINALG[name]}(x)", x=given.x)


@rewrites("tf.linalg.solve", "keras.ops.solve", to="torch",
          proof=Proof(inputs=[(3, 3), (3, 2)],
                      keras_cases=["tf.linalg.solve(x, y)"]))  # fmt: skip
def solve(site: Site) -> Any:
    a, b = sides(site, TfArguments(site))
    return fill("torch.linalg.solve(a, b)", a=tensor(site, a), b=tensor(site, b))


@rewrites(*everywhere("set_diag"), to="torch",
          proof=Proof(inputs=[(3, 4), (3,), (2, 3, 3), (2, 3)],
                      keras_cases=["tf.linalg.set_diag(x, y)", "tf.linalg.set_diag(z, w)",
                                   "tf.linalg.set_diag(x, x[:, 0])"]))  # fmt: skip
def set_diag(site: Site) -> Any:
    given = TfArguments(site)
    if given.const("k", default=0):
        raise Unfit(f"`k` of {site.short} is not translated")
    diagonal = tensor(site, given.need("diagonal"))
    return fill("torch.diagonal_scatter(x, d, dim1=-2, dim2=-1)", x=given.x, d=diagonal)


@rewrites(*everywhere("frame"), to="torch",
          proof=Proof(inputs=[(2, 9), (9,)],
                      keras_cases=["tf.signal.frame(x, 3, 2)",
                                   "tf.signal.frame(y, frame_length=4, frame_step=1)",
                                   "tf.signal.frame(x, 4, 3, axis=-1)"]))  # fmt: skip
def frame(site: Site) -> Any:
    """Windows along the last axis."""
    given = TfArguments(site)
    if given.const("pad_end", default=False) or given.const("axis", default=-1) != -1:
        raise Unfit(f"{site.short} with `pad_end`, or along another axis, is not translated")
    return fill("x.unfold(-1, n, s)", x=given.x, n=given.need("frame_length"),
                s=given.need("frame_step"))  # fmt: skip


@rewrites("tf.linalg.diag", "tf.linalg.diag_part", "tf.linalg.trace", "tf.linalg.tensor_diag",
          "tf.linalg.tensor_diag_part", "keras.ops.diag", "keras.ops.trace", to="torch",
          proof=Proof(inputs=[(3, 3), (4,)],
                      keras_cases=["tf.linalg.diag(x)", "tf.linalg.diag_part(x)",
                                   "tf.linalg.trace(x)", "tf.linalg.diag(y)"]))  # fmt: skip
def diagonal(site: Site) -> Any:
    given = TfArguments(site)
    if site.name.endswith("trace"):
        return fill("torch.diagonal(x, dim1=-2, dim2=-1).sum(-1)", x=given.x)
    if site.name == "keras.ops.diag":
        return fill("torch.diag(x)", x=given.x)
    if given.get("k", "num_rows", "num_cols", "padding_value") is not None:
        raise Unfit(f"{site.short} with other arguments than the tensor")
    if site.name.endswith("part"):
        return fill("torch.diagonal(x, dim1=-2, dim2=-1)", x=given.x)
    return fill("torch.diag_embed(x)", x=given.x)
