"""Shapes, axes, joining and splitting of TensorFlow's and Keras' tensors in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import (
    Const,
    ListObject,
    Sequence,
    Tensor,
    items_of,
    scalar_type,
)
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.operands import integers
from transpiler.rules.tf_arguments import (
    OMIT,
    TfArguments,
    is_host,
    listed,
    size_list,
    tensor,
)
from transpiler.rules.tf_operands import as_tensor, everywhere, is_number
from transpiler.site import Site, constant_value
from transpiler.syntax import find
from transpiler.template import fill


@rewrites(
    *everywhere("reshape"), to="torch",
    proof=Proof(inputs=[(2, 3, 4)],
                keras_cases=["tf.reshape(x, [-1])", "tf.reshape(x, (2, 12))",
                             "tf.reshape(x, shape=[tf.shape(x)[0], -1])",
                             "keras.ops.reshape(x, (6, 4))", "tf.reshape(x, [x.shape[0], -1, 2])",
                             "tf.keras.backend.reshape(x, (-1, 4))", "tf.reshape(x, (-1,))",
                             "tf.reshape(x, tf.concat([tf.shape(x)[:-1], [2, 2]], axis=0))",
                             "tf.reshape(np.arange(6.0), (2, 3)) * x[0, 0, 0]"]),
)  # fmt: skip
def reshape(site: Site) -> Any:
    given = TfArguments(site)
    shape = given.need("shape", "newshape")
    if is_number(site.fact(shape)):
        shape = cst.Tuple([cst.Element(shape)])
    return fill("torch.reshape(x, s)", x=given.x, s=size_list(site, shape))


@rewrites("keras.backend.flatten", "keras.backend.batch_flatten", "keras.ops.ravel", to="torch",
          proof=Proof(inputs=[(2, 3, 4)], keras_cases=["tf.keras.backend.flatten(x)",
                                                       "tf.keras.backend.batch_flatten(x)"]),
)  # fmt: skip
def flatten(site: Site) -> Any:
    start = 1 if site.name.endswith("batch_flatten") else OMIT
    return fill("torch.flatten(x, start)", x=TfArguments(site).x, start=start)


@rewrites(
    *everywhere("transpose", "permute_dimensions"), to="torch",
    proof=Proof(inputs=[(2, 3, 4), (2, 3)],
                keras_cases=["tf.transpose(x, perm=[0, 2, 1])", "tf.transpose(y)",
                             "tf.transpose(x)", "tf.transpose(x, (2, 0, 1))",
                             "keras.ops.transpose(y)",
                             "tf.keras.backend.permute_dimensions(x, (1, 0, 2))",
                             "tf.keras.backend.transpose(y)"]),
)  # fmt: skip
def transpose(site: Site) -> Any:
    given = TfArguments(site)
    perm = given.get("perm", "axes", "pattern")
    if perm is None:
        rank = as_tensor(site.fact(given.first)).rank
        if rank is not None and rank > 2:
            return fill("torch.permute(x, p)", x=given.x, p=tuple(range(rank))[::-1])
        return fill("x.T", x=given.x)
    if isinstance(perm, (cst.Tuple, cst.List)):
        return fill("x.permute(*p)", x=given.x, p=[cst.Arg(e.value) for e in perm.elements])
    return fill("torch.permute(x, p)", x=given.x, p=size_list(site, perm))


@rewrites("tf.linalg.matrix_transpose", "keras.ops.swapaxes", "keras.ops.moveaxis",
          "tf.experimental.numpy.swapaxes", "tf.experimental.numpy.moveaxis", "tf.linalg.adjoint",
          to="torch",
          proof=Proof(inputs=[(2, 3, 4)], keras_cases=["tf.linalg.matrix_transpose(x)",
                                                       "keras.ops.swapaxes(x, 0, 2)",
                                                       "keras.ops.moveaxis(x, 0, -1)"]),
)  # fmt: skip
def swap(site: Site) -> Any:
    given = TfArguments(site)
    if site.name.startswith("tf.linalg"):
        return fill("x.mT", x=given.x)
    if site.name.endswith("swapaxes"):
        return fill("torch.transpose(x, a, b)", x=given.x, a=given.need("axis1"),
                    b=given.need("axis2"))  # fmt: skip
    return fill("torch.movedim(x, a, b)", x=given.x, a=given.need("source"),
                b=given.need("destination"))  # fmt: skip


@rewrites(
    *everywhere("expand_dims"), to="torch",
    proof=Proof(inputs=[(2, 3)],
                keras_cases=["tf.expand_dims(x, 1)", "tf.expand_dims(x, axis=-1)",
                             "keras.ops.expand_dims(x, 0)", "tf.keras.backend.expand_dims(x)",
                             "tf.expand_dims([1.0, 2.0], 0)"]),
)  # fmt: skip
def expand_dims(site: Site) -> Any:
    given = TfArguments(site)
    axis = given.axis("axis", "dim")
    if isinstance(axis, tuple):
        new = given.x
        for a in sorted(axis):
            new = fill("torch.unsqueeze(x, a)", x=new, a=a)
        return new
    return fill("torch.unsqueeze(x, a)", x=given.x, a=-1 if axis is OMIT else axis)


@rewrites(
    *everywhere("squeeze"), to="torch",
    proof=Proof(inputs=[(2, 1, 3, 1)],
                keras_cases=["tf.squeeze(x)", "tf.squeeze(x, axis=1)", "tf.squeeze(x, [1, 3])",
                             "keras.ops.squeeze(x, axis=-1)", "tf.keras.backend.squeeze(x, 1)"]),
)  # fmt: skip
def squeeze(site: Site) -> Any:
    given = TfArguments(site)
    return fill("torch.squeeze(x, a)", x=given.x, a=given.axis("axis", "squeeze_dims"))


# ---- sizes ------------------------------------------------------------------------------------


@rewrites(
    "tf.shape", "keras.ops.shape", "keras.backend.shape", "keras.backend.int_shape",
    "tf.Tensor.get_shape", "tf.Variable.get_shape", to="torch",
    proof=Proof(inputs=[(2, 3)],
                keras_cases=["tf.cast(tf.shape(x)[0], tf.float32) * x",
                             "x * tf.keras.backend.int_shape(x)[-1]",
                             "tf.reshape(x, [tf.shape(x)[1], tf.shape(x)[0]])",
                             "tf.zeros(x.get_shape()) + x", "keras.ops.shape(x)[1] * x"]),
)  # fmt: skip
def shape(site: Site) -> Any:
    """A tuple of numbers."""
    given = TfArguments(site)
    drop_dtype = given.get("out_type")
    if drop_dtype is not None:
        from transpiler.rules.tf_arguments import drop

        drop(site, drop_dtype)
    return fill("x.shape", x=given.x)


@rewrites(*everywhere("rank", "ndim"), to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["x * tf.cast(tf.rank(x), tf.float32)",
                                                    "x * tf.keras.backend.ndim(x)"]))  # fmt: skip
def rank(site: Site) -> Any:
    return fill("x.ndim", x=TfArguments(site).x)


@rewrites("tf.size", "keras.ops.size", "keras.backend.count_params", to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["x / tf.cast(tf.size(x), tf.float32)"]))  # fmt: skip
def size(site: Site) -> Any:
    given = TfArguments(site)
    if is_host(site.fact(given.first)):
        return fill("len(x)", x=given.first)
    return fill("x.numel()", x=given.x)


@rewrites("tf.TensorShape", to="torch")
def tensor_shape(site: Site) -> Any:
    if not site.is_call:
        return fill("torch.Size")
    return fill("torch.Size(x)", x=TfArguments(site).first)


# ---- joining ----------------------------------------------------------------------------------


def numbers_listed(site: Site, node: Any) -> bool:
    """Whether parts that are joined are lists of sizes, such as `[tf.shape(x)[:-1], [4]]`."""
    if not isinstance(node, (cst.List, cst.Tuple)) or not node.elements:
        return False
    facts = [site.fact(e.value) for e in node.elements]
    if not all(is_host(f) and isinstance(f, (Sequence, ListObject, Const)) for f in facts):
        return False
    return any(isinstance(f, Sequence) for f in facts)


@rewrites(
    *everywhere("concat", "concatenate"), to="torch",
    proof=Proof(inputs=[(2, 3), (2, 3)],
                keras_cases=["tf.concat([x, y], axis=1)", "tf.concat([x, y], 0)",
                             "tf.concat(values=[x, y, x], axis=-1)",
                             "keras.ops.concatenate([x, y], axis=1)",
                             "tf.keras.backend.concatenate([x, y])",
                             "keras.ops.concatenate((x, y))",
                             "tf.concat([x[0], [1.0, 2.0]], 0)"]),
)  # fmt: skip
def concat(site: Site) -> Any:
    given = TfArguments(site)
    values = given.first
    if numbers_listed(site, values):
        parts = [cst.StarredElement(e.value) for e in values.elements]
        return cst.List(parts)
    axis = given.axis()
    if axis is OMIT and site.name.startswith("keras.backend"):
        axis = -1
    dim = OMIT if axis == 0 else axis
    return fill("torch.cat(xs, dim=d)", xs=listed(site, values), d=dim)


@rewrites(
    *everywhere("stack", "parallel_stack"), to="torch",
    proof=Proof(inputs=[(2, 3), (2, 3)],
                keras_cases=["tf.stack([x, y])", "tf.stack([x, y], axis=-1)",
                             "tf.stack(values=(x, y), axis=1)", "keras.ops.stack([x, y], axis=1)",
                             "tf.reshape(x, tf.stack([tf.shape(x)[0], 3, 1]))",
                             "tf.keras.backend.stack([x, y])"]),
)  # fmt: skip
def stack(site: Site) -> Any:
    given = TfArguments(site)
    values, axis = given.first, given.axis()
    fact = site.fact(values)
    held = items_of(fact)
    if held and all(scalar_type(i) == "int" for i in held):
        return values
    return fill("torch.stack(xs, dim=d)", xs=listed(site, values), d=OMIT if axis == 0 else axis)


@rewrites("keras.ops.hstack", "keras.ops.vstack", "tf.experimental.numpy.hstack",
          "tf.experimental.numpy.vstack", to="torch")  # fmt: skip
def numpy_stack(site: Site) -> Any:
    name = site.name.rpartition(".")[2]
    return fill(f"torch.{name}(xs)", xs=listed(site, TfArguments(site).first))


@rewrites(*everywhere("unstack"), to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.unstack(x)", "tf.unstack(x, axis=1)",
                                                    "keras.ops.unstack(x, axis=-1)"]))  # fmt: skip
def unstack(site: Site) -> Any:
    given = TfArguments(site)
    if is_host(site.fact(given.first)):
        return given.first
    axis = given.axis()
    return fill("torch.unbind(x, dim=d)", x=given.x, d=OMIT if axis == 0 else axis)


@rewrites(
    "tf.split", "keras.ops.split", "keras.ops.array_split", to="torch",
    proof=Proof(inputs=[(4, 6)],
                keras_cases=["tf.split(x, 2)", "tf.split(x, 3, axis=1)",
                             "tf.split(x, [1, 2, 3], axis=-1)", "tf.split(x, [2, -1], 1)",
                             "tf.split(x, num_or_size_splits=2, axis=0)",
                             "keras.ops.split(x, 2, axis=1)",
                             "keras.ops.split(x, [1, 3], axis=0)"]),
)  # fmt: skip
def split(site: Site) -> Any:
    given = TfArguments(site)
    parts, axis = given.need("num_or_size_splits", "indices_or_sections"), given.axis()
    dim = OMIT if axis == 0 else axis
    fact = site.fact(parts)
    if is_number(fact):
        return fill("torch.chunk(x, n, dim=d)", x=given.x, n=parts, d=dim)
    if not isinstance(fact, (Sequence, ListObject, Const)):
        raise Unfit(f"whether {site.short} gets a number of parts or their sizes is not known")
    if site.name.startswith("keras."):
        return fill("torch.tensor_split(x, n, dim=d)", x=given.x, n=parts, d=dim)
    known = integers(fact)
    if known is not None and -1 in known:
        return fill("torch.split(x, n, dim=d)", x=given.x, d=dim,
                    n=list(filled_sizes(site, given, known, axis)))  # fmt: skip
    return fill("torch.split(x, n, dim=d)", x=given.x, n=parts, d=dim)


def filled_sizes(site: Site, given: TfArguments, known: tuple[int, ...], axis: Any) -> list[int]:
    """Sizes of which one is -1, computed."""
    shape = as_tensor(site.fact(given.first)).shape
    at = 0 if axis is OMIT else axis
    whole = shape[at] if shape is not None and isinstance(at, int) else None
    if not isinstance(whole, int):
        raise Unfit(f"the size -1 in {site.short} is not known before the program runs")
    rest = whole - sum(k for k in known if k != -1)
    return [rest if k == -1 else k for k in known]


# ---- repeating --------------------------------------------------------------------------------


@rewrites(*everywhere("tile"), to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["tf.tile(x, [2, 1])", "keras.ops.tile(x, (1, 2))",
                                   "tf.tile(tf.expand_dims(x, 1), multiples=[1, 4, 1])",
                                   "tf.tile(x, tf.constant([1, 2]))",
                                   "tf.keras.backend.tile(x, [1, 3])"]))  # fmt: skip
def tile(site: Site) -> Any:
    given = TfArguments(site)
    counts = given.need("multiples", "repeats", "n")
    if is_number(site.fact(counts)):
        counts = cst.Tuple([cst.Element(counts)])
    return fill("torch.tile(x, n)", x=given.x, n=size_list(site, counts))


@rewrites(*everywhere("broadcast_to"), to="torch",
          proof=Proof(inputs=[(1, 3)], keras_cases=["tf.broadcast_to(x, [2, 3])",
                                                    "keras.ops.broadcast_to(x, (4, 3))"]),
)  # fmt: skip
def broadcast(site: Site) -> Any:
    given = TfArguments(site)
    return fill("torch.broadcast_to(x, s)", x=given.x, s=size_list(site, given.need("shape")))


@rewrites(*everywhere("repeat", "repeat_elements"), to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["tf.repeat(x, 2, axis=0)", "tf.repeat(x, repeats=3)",
                                   "tf.repeat(x, [1, 2], axis=0)",
                                   "keras.ops.repeat(x, 2, axis=1)",
                                   "tf.keras.backend.repeat_elements(x, 2, axis=1)"]))  # fmt: skip
def repeat(site: Site) -> Any:
    given = TfArguments(site)
    counts = given.need("repeats", "rep")
    if not is_number(site.fact(counts)):
        counts = tensor(site, counts)
    return fill("torch.repeat_interleave(x, n, dim=d)", x=given.x, n=counts, d=given.axis())


@rewrites("keras.backend.repeat", to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.keras.backend.repeat(x, 2)"]))  # fmt: skip
def repeat_rows(site: Site) -> Any:
    given = TfArguments(site)
    return fill("torch.repeat_interleave(x.unsqueeze(1), n, dim=1)", x=given.x, n=given.need("n"))


@rewrites(*everywhere("reverse", "flip"), to="torch",
          proof=Proof(inputs=[(2, 3)],
                      keras_cases=["tf.reverse(x, axis=[1])", "tf.reverse(x, [0, 1])",
                                   "keras.ops.flip(x, axis=1)", "keras.ops.flip(x)",
                                   "tf.keras.backend.reverse(x, axes=1)"]))  # fmt: skip
def reverse(site: Site) -> Any:
    given = TfArguments(site)
    dims = given.axis("axis", "axes")
    if dims is OMIT:
        rank = as_tensor(site.fact(given.first)).rank
        if rank is None:
            raise Unfit(f"{site.short} over all axes of a tensor of unknown rank")
        dims = tuple(range(rank))
    return fill("torch.flip(x, d)", x=given.x, d=[dims] if isinstance(dims, int) else dims)


@rewrites(*everywhere("roll"), to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.roll(x, shift=1, axis=1)",
                                                    "tf.roll(x, [1, 2], [0, 1])",
                                                    "keras.ops.roll(x, 1)"]))  # fmt: skip
def roll(site: Site) -> Any:
    given = TfArguments(site)
    return fill("torch.roll(x, n, d)", x=given.x, n=given.need("shift"), d=given.axis())


@rewrites(
    *everywhere("pad"), to="torch",
    proof=Proof(inputs=[(2, 4, 4, 3), (2, 3)],
                keras_cases=["tf.pad(x, [[0, 0], [1, 2], [1, 1], [0, 0]])",
                             "tf.pad(y, [[1, 0], [0, 2]], constant_values=2.0)",
                             "tf.pad(x, [[0, 0], [1, 1], [2, 1], [0, 0]], 'REFLECT')",
                             "tf.pad(x, [[0, 0], [1, 1], [2, 1], [0, 0]], mode='SYMMETRIC')",
                             "tf.pad(y, tf.constant([[1, 1], [0, 1]]), 'CONSTANT')",
                             "keras.ops.pad(y, ((1, 0), (0, 2)))", "tf.pad(y, [[0, 0], [0, 1]])"]),
)  # fmt: skip
def pad(site: Site) -> Any:
    """F.pad counts from the last axis, and reflects only the last ones."""
    given = TfArguments(site)
    paddings = given.need("paddings", "pad_width")
    mode = str(given.const("mode", default="constant")).lower()
    pairs = _pairs(site, paddings)
    value = given.get("constant_values")
    value = OMIT if value is None or constant_value(site.fact(value)) == 0 else value
    if mode == "constant" and pairs is not None:
        while len(pairs) > 1 and all(constant_value(site.fact(n)) == 0 for n in pairs[0]):
            pairs = pairs[1:]
        flat = [n for pair in reversed(pairs) for n in pair]
        amounts = cst.Tuple([cst.Element(n) for n in flat])
        return fill("torch.nn.functional.pad(x, p, value=v)", x=given.x, p=amounts, v=value)
    if value is not OMIT and not is_number(site.fact(value)):
        raise Unfit(f"`constant_values` of {site.short} is no number")
    return fill("unit(x, p, mode=m, value=v)", unit=site.emit("pad"), x=given.x,
                p=_plain(site, paddings), m=OMIT if mode == "constant" else mode,
                v=value)  # fmt: skip


def _pairs(site: Site, node: Any) -> list[list[Any]] | None:
    """Paddings that are written out, axis by axis."""
    node = _inner(site, node)
    if not isinstance(node, (cst.List, cst.Tuple)):
        return None
    found = []
    for element in node.elements:
        pair = element.value
        if not isinstance(pair, (cst.List, cst.Tuple)) or len(pair.elements) != 2:
            return None
        found.append([e.value for e in pair.elements])
    return found


def _inner(site: Site, node: Any) -> Any:
    """What `tf.constant` of written paddings holds."""
    if isinstance(node, cst.Call) and len(node.args) == 1:
        if getattr(site.context.fact(node.func), "name", "") == "tf.constant":
            return node.args[0].value
    return node


def _plain(site: Site, node: Any) -> Any:
    inner = _inner(site, node)
    if inner is node and isinstance(site.fact(node), Tensor):
        return fill("p.tolist()", p=node)
    return inner


@rewrites("tf.slice", "keras.ops.slice", to="torch",
          proof=Proof(inputs=[(4, 6)], keras_cases=["tf.slice(x, [1, 2], [2, 3])",
                                                    "tf.slice(x, [0, 1], [-1, 2])",
                                                    "keras.ops.slice(x, [1, 0], [2, 2])"]),
)  # fmt: skip
def slice_rule(site: Site) -> Any:
    """Written starts and sizes are a subscript."""
    given = TfArguments(site)
    begin = given.need("begin", "start_indices")
    length = given.need("size", "shape")
    starts, counts = integers(site.fact(begin)), integers(site.fact(length))
    written = isinstance(begin, (cst.List, cst.Tuple)) and isinstance(length, (cst.List, cst.Tuple))
    if starts is not None and counts is not None and written:
        parts = [
            ":" if not s and c == -1 else f"{s or ''}:" if c == -1 else f"{s or ''}:{s + c}"
            for s, c in zip(starts, counts, strict=True)
        ]
        return fill(f"x[{', '.join(parts)}]", x=given.x)
    return fill("unit(x, b, s)", unit=site.emit("slice_tensor"), x=given.x, b=begin, s=length)


@rewrites(
    "tf.meshgrid", "keras.ops.meshgrid", to="torch",
    proof=Proof(inputs=[(2,), (3,)],
                keras_cases=["tf.meshgrid(x, y)", "tf.meshgrid(x, y, indexing='ij')",
                             "keras.ops.meshgrid(x, y)"]),
)  # fmt: skip
def meshgrid(site: Site) -> Any:
    parts = [cst.Arg(tensor(site, n)) for n in site.positional] + site.starred
    indexing = site.keywords.get("indexing", cst.SimpleString('"xy"'))
    form = "torch.meshgrid(*xs, indexing=i)"
    if changed_later(site):
        form = f"list({form})"
    return fill(form, xs=parts, i=indexing)


def changed_later(site: Site) -> bool:
    """Whether an element of the result is set: TensorFlow gives a list, torch a tuple."""
    target = site.assigned_to
    return isinstance(target, cst.Name) and any(
        isinstance(t.target, cst.Subscript)
        and isinstance(t.target.value, cst.Name)
        and t.target.value.value == target.value
        for t in find(site.context.module, cst.AssignTarget)
    )


@rewrites(*everywhere("band_part"), "keras.ops.triu", "keras.ops.tril", to="torch",
          proof=Proof(inputs=[(4, 4)],
                      keras_cases=["tf.linalg.band_part(x, -1, 0)",
                                   "tf.linalg.band_part(x, 0, -1)",
                                   "tf.linalg.band_part(x, 1, 1)", "keras.ops.triu(x, k=1)",
                                   "1 - tf.linalg.band_part(tf.ones((4, 4)), -1, 0)"]))  # fmt: skip
def band_part(site: Site) -> Any:
    given = TfArguments(site)
    if not site.name.endswith("band_part"):
        name = site.name.rpartition(".")[2]
        return fill(f"torch.{name}(x, diagonal=k)", x=given.x, k=given.given("k"))
    low, high = given.const("num_lower"), given.const("num_upper")
    new = given.x
    if low >= 0:
        new = fill("torch.triu(x, diagonal=k)", x=new, k=-low if low else OMIT)
    if high >= 0:
        new = fill("torch.tril(x, diagonal=k)", x=new, k=high or OMIT)
    return new
