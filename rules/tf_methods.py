"""Attributes and methods of TensorFlow's tensors in PyTorch."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import is_float
from transpiler.infer.values import UNKNOWN, ListObject, Number, Sequence, Tensor
from transpiler.rule import Proof, Unfit, infers_property, rewrites
from transpiler.rules.operands import DTYPES
from transpiler.rules.tf_arguments import (
    TfArguments,
    drop,
)
from transpiler.rules.tf_operands import as_tensor, is_number, members
from transpiler.site import Site
from transpiler.syntax import code
from transpiler.template import fill, fill_statements

# ---- variables --------------------------------------------------------------------------------

ASSIGNMENTS = {
    "update": "copy_",
    "update_add": "add_",
    "update_sub": "sub_",
    "set_value": "copy_",
}


@rewrites("keras.backend.update", "keras.backend.update_add", "keras.backend.update_sub",
          "keras.backend.set_value", to="torch")  # fmt: skip
def assign(site: Site) -> Any:
    """A change in place, which no gradient follows."""
    given = TfArguments(site)
    name = ASSIGNMENTS[site.name.rpartition(".")[2]]
    x = given.first
    value = given.get("value", "delta", "new_x", "increment", "decrement")
    if value is None:
        raise Unfit(f"{site.short} is called without its value")
    fact = site.fact(value)
    if name == "copy_":
        if is_number(fact):
            name = "fill_"
        elif not (isinstance(fact, Tensor) and fact.library != "numpy"):
            value = fill("torch.as_tensor(v)", v=value)
    elif isinstance(fact, Tensor) and fact.library == "numpy":
        value = fill("torch.as_tensor(v)", v=value)
    owner = as_tensor(site.fact(x))
    if owner.dtype is not None and not is_float(owner.dtype):
        return fill(f"x.{name}(v)", x=x, v=value)
    if site.alone:
        return fill_statements(f"with torch.no_grad():\n    x.{name}(v)\n", x=x, v=value)
    return fill(f"x.detach().{name}(v)", x=x, v=value)


# ---- leaving ----------------------------------------------------------------------------------


@rewrites(*members("numpy"), "keras.backend.get_value", "keras.ops.convert_to_numpy",
          "tf.get_static_value", to="torch",
          proof=Proof(inputs=[(2, 3)], gradients=False,
                      keras_cases=["x.numpy()", "tf.reduce_mean(x).numpy()",
                                   "tf.shape(x)[0].numpy() * x.numpy()",
                                   "tf.reduce_mean(x).numpy().item()", "x.numpy().tolist()",
                                   "tf.reduce_mean(x).numpy().round(2)",
                                   "keras.ops.convert_to_numpy(x)",
                                   "tf.keras.backend.get_value(x)"]))  # fmt: skip
def numpy(site: Site) -> Any:
    """One number leaves by item(), an array without its gradient."""
    given = TfArguments(site)
    fact = site.fact(given.first)
    if is_number(fact):
        return given.first
    if isinstance(fact, Tensor) and fact.library == "numpy":
        return given.first
    if isinstance(fact, (Sequence, ListObject)):
        return fill("np.array(x)", x=given.first)
    read = site.parent.attr.value if isinstance(site.parent, cst.Attribute) else ""
    if isinstance(fact, Tensor) and read in ("item", "tolist"):
        return given.first  # tensors have these themselves
    if isinstance(fact, Tensor) and fact.rank == 0 and not read:
        return fill("x.item()", x=given.first)
    if isinstance(fact, Tensor) and fact.dtype is not None and not is_float(fact.dtype):
        return fill("x.cpu().numpy()", x=given.first)
    return fill("x.detach().cpu().numpy()", x=given.first)


@rewrites(*members("__array__"), to="torch")
def array(site: Site) -> Any:
    return fill("x.detach().cpu().numpy()", x=site.receiver)


# ---- attributes -------------------------------------------------------------------------------


@rewrites(*members("shape", "dtype", "ndim", "device"), to="torch")
def kept(site: Site) -> Any:
    """Tensors of both have these, by the same names."""
    return site.keep()


@rewrites("tf.Tensor.set_shape", "tf.TensorShape.assert_is_compatible_with", to="torch")
def set_shape(site: Site) -> Any:
    """What a graph has to be told, tensors know."""
    if not site.alone:
        raise Unfit(f"{site.short} inside of an expression")
    drop(site, *site.positional, *site.keywords.values())
    return []


DTYPE_ATTRIBUTES = [
    rewrites(f"tf.{name}.name", to="torch")(
        lambda site: cst.SimpleString(f'"{site.name.split(".")[1]}"')
    )
    for name in sorted(DTYPES)
]


_LIMITS = Proof(inputs=[(2, 3)], gradients=False, keras_cases=[
    "tf.where(x > 0, x, tf.float32.min)", "tf.maximum(x, x.dtype.min)",
    "tf.zeros([2], tf.int32) + tf.int32.max",
], directions=("torch",))  # fmt: skip


@rewrites(*(f"tf.{name}.{end}" for name in sorted(DTYPES) for end in ("min", "max")),
          "tf.DType.min", "tf.DType.max", to="torch", proof=_LIMITS)  # fmt: skip
def limit(site: Site) -> Any:
    """The ends of a dtype's range."""
    node, kind = site.node, site.name.split(".")[1]
    if not isinstance(node, cst.Attribute):
        raise Unfit(f"{site.short} is not asked of a dtype here")
    dtype: Any = node.value
    if not code(dtype).strip().endswith(".dtype") and kind in DTYPES:
        dtype = fill(f"torch.{kind}")
        site.context.claim(node.value)
    info = "iinfo" if kind in DTYPES and not is_float(kind) else "finfo"
    return fill(f"torch.{info}(d).{node.attr.value}", d=dtype)


LIMITS = [
    infers_property(f"tf.{name}.{end}")(lambda _, kind=kind: Number(kind))
    for name, kind in ((n, "float" if is_float(n) else "int") for n in sorted(DTYPES))
    for end in ("min", "max")
]


@rewrites("tf.DType.name", to="torch")
def dtype_name(site: Site) -> Any:
    return fill('str(d).removeprefix("torch.")', d=site.receiver)


@rewrites("tf.DType.is_floating", to="torch")
def dtype_is_floating(site: Site) -> Any:
    return fill("d.is_floating_point", d=site.receiver)


@rewrites("tf.DType", "tf.dtypes.DType", to="torch")
def dtype_class(site: Site) -> Any:
    return fill("torch.dtype")


@rewrites("tf.Tensor", "keras.KerasTensor", to="torch")
def tensor_class(site: Site) -> Any:
    """The class by its name, in annotations and tests."""
    if site.is_call:
        raise Unfit("tf.Tensor is called")
    return fill("torch.Tensor")


@rewrites("tf.is_tensor", "keras.ops.is_tensor", "keras.backend.is_keras_tensor",
          "keras.backend.is_tensor", to="torch")  # fmt: skip
def is_tensor(site: Site) -> Any:
    return fill("torch.is_tensor(x)", x=TfArguments(site).first)


# ---- the same tensor --------------------------------------------------------------------------


@rewrites("tf.identity", "keras.ops.copy", to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.identity(x) * 2.0",
                                                    "tf.identity(input=x)"]))  # fmt: skip
def identity(site: Site) -> Any:
    """A variable's value at this time; tensors do not change."""
    x = TfArguments(site).x
    fact = site.fact(TfArguments(site).first)
    if isinstance(fact, Tensor) and not fact.variable:
        return x
    return fill("x.clone()", x=x)


@rewrites("tf.stop_gradient", "keras.ops.stop_gradient", "keras.backend.stop_gradient", to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.stop_gradient(x) * x"]))  # fmt: skip
def stop_gradient(site: Site) -> Any:
    given = TfArguments(site)
    fact = site.fact(given.first)
    if isinstance(fact, (Sequence, ListObject)) and not isinstance(given.first, cst.List):
        return fill("[t.detach() for t in x]", x=given.first)
    if fact is UNKNOWN and isinstance(given.first, (cst.Name, cst.Attribute, cst.Subscript)):
        return fill("torch.as_tensor(x).detach()", x=given.first)
    return fill("x.detach()", x=given.x)


@rewrites("tf.ensure_shape", to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.ensure_shape(x, [2, 3])"]))  # fmt: skip
def ensure_shape(site: Site) -> Any:
    """A check of TensorFlow's graphs."""
    given = TfArguments(site)
    drop(site, given.get("shape"))
    return given.x


@rewrites(*members("name"), to="torch")
def name_of(site: Site) -> Any:
    raise Unfit("tensors have no names in PyTorch", "keep the name beside the tensor")


@rewrites(*members("trainable"), to="torch")
def is_trained(site: Site) -> Any:
    return fill("x.requires_grad", x=site.receiver)


@rewrites(*members("cpu", "gpu"), to="torch")
def placed(site: Site) -> Any:
    return fill("x.cpu()" if site.name.endswith("cpu") else "x.cuda()", x=site.receiver)


@rewrites(*members("T"), to="torch")
def turned(site: Site) -> Any:
    return site.keep()
