"""Tensors made from data of Python and NumPy, and the constructors of old programs."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import (
    UNKNOWN,
    Const,
    ListObject,
    Number,
    Sequence,
    Tensor,
    Value,
    element_of,
    items_of,
    options,
)
from transpiler.planners.expressions import qualified_name
from transpiler.planners.step.passing import may_pass
from transpiler.rule import Proof, rewrites
from transpiler.rules.facts_torch_create import LEGACY_NAMES, are_sizes
from transpiler.rules.operands import LEGACY_TYPES, dtype_of, dtype_of_data
from transpiler.rules.tensor_arguments import (
    OMIT,
    Arguments,
    as_list,
    cast,
    dtype_argument,
    fill,
    is_size,
    is_tensor,
    sizes,
    text,
    tf_dtype,
)
from transpiler.rules.tensors_create import finish
from transpiler.rules.tensors_gradient import may_have_gradient
from transpiler.site import Site, constant_value
from transpiler.syntax import code, find

# ---- from data --------------------------------------------------------------------------------


def _is_array(value: Value) -> bool:
    return all(isinstance(o, Tensor) and o.library == "numpy" for o in options(value))


@rewrites(
    "torch.tensor", "torch.as_tensor", "torch.asarray", to="tf",
    proof=Proof(inputs=[(3,)], cases=["x * torch.tensor([1.0, 2.0, 3.0])",
                                      "torch.tensor([1, 2, 3])",
                                      "x + torch.tensor(0.5)", "torch.tensor([[True, False]])",
                                      "torch.tensor([1, 2], dtype=torch.float32)",
                                      "torch.tensor(3)", "torch.as_tensor([1.5, 2])",
                                      "torch.tensor([x[0], 2.0 * x[1]]) * x[:2]"]),
)  # fmt: skip
def tensor(site: Site) -> Any:
    given = Arguments(site, first=False)
    data = given.get("data", "obj", at=0)
    fact = site.fact(data)
    asked = given.get("dtype", at=1 if site.name != "torch.tensor" else None)
    dtype = dtype_argument(site, asked)
    if is_tensor(site, data) and not _is_array(fact):
        return finish(site, given, _from_tensor(data, dtype))
    if _holds_tensors(site, data) or _has_scalars(site, data):
        return _pack(site, given, data, dtype)
    if dtype is OMIT:
        dtype = _dtype_of_data(site, data, fact)
    elif (
        dtype_of(site.fact(asked)) == dtype_of_data(fact)
        and dtype_of_data(fact) in ("float32", "bool")
        and _is_sure(fact)
    ):
        dtype = OMIT
    form = "tf.Variable(v, dtype=d)" if _is_trained(site, given) else "tf.constant(v, dtype=d)"
    if "Variable" not in form:
        return constant(site, data, dtype, _is_array(fact) and dtype is OMIT)
    return fill(form, v=data, d=dtype)


def _is_sure(fact: Value) -> bool:
    """Whether data hold no number of Python's that may as well be a float64 of NumPy's."""
    items = items_of(fact)
    if isinstance(fact, (ListObject, Sequence)):
        return all(_is_sure(i) for i in items or (element_of(fact),))
    return not isinstance(fact, Number) or fact.type != "float"


def _is_written(fact: Value) -> bool:
    """Whether data are numbers that stand in the program."""
    items = items_of(fact)
    return isinstance(fact, Const) if items is None else all(_is_written(i) for i in items)


def _holds_tensors(site: Site, data: Any) -> bool:
    """Whether a list display has tensors among its elements, which `tf.constant` refuses."""
    if not isinstance(data, (cst.List, cst.Tuple)):
        return False
    parts = [e.value for e in data.elements]
    return any(
        _holds_tensors(site, part)
        or any(isinstance(o, Tensor) and o.library == "torch" for o in options(site.fact(part)))
        for part in parts
    )


def _pack(site: Site, given: Arguments, data: Any, dtype: Any) -> Any:
    """Numbers of tensors as a new one, which gradients do not pass."""
    packed = fill("tf.stop_gradient(tf.convert_to_tensor(v))", v=data)
    return finish(site, given, _from_tensor(packed, dtype))


def constant(site: Site, data: Any, dtype: Any, converted: bool = False) -> Any:
    """A tensor of data. A graph gets its data as tensors, which `tf.constant` refuses."""
    named = isinstance(data, cst.Name) and is_traced(site)
    if _has_scalars(site, data):
        stacked = fill("tf.stack(v)", v=data)
        return stacked if dtype is OMIT else fill("tf.cast(v, d)", v=stacked, d=dtype)
    if named and dtype is not OMIT:
        return fill("tf.cast(v, d)", v=data, d=dtype)
    if converted or named:
        return fill("tf.convert_to_tensor(v)", v=data)
    return fill("tf.constant(v, dtype=d)", v=data, d=dtype)


def _has_scalars(site: Site, data: Any) -> bool:
    """Whether a list or tuple has tensors in it, numbers beside them or not."""
    fact = site.fact(data)
    if not isinstance(fact, (Sequence, ListObject)):
        return False
    values = [o for i in items_of(fact) or (element_of(fact),) for o in options(i)]
    return any(isinstance(o, Tensor) and o.library == "torch" and o.rank == 0 for o in values)


def is_traced(site: Site) -> bool:
    """Whether the place runs inside a `@tf.function` that the step becomes."""
    traced = site.context.notes.get("traced", set()) | site.context.notes.get(
        "taped functions", set()
    )
    current: Any = site.node
    while current is not None and current not in traced:
        current = site.context.edits.parent.get(current)
    return current is not None


def _from_tensor(data: Any, dtype: Any) -> Any:
    return data if dtype is OMIT else fill("tf.cast(x, d)", x=data, d=dtype)


def _is_trained(site: Site, given: Arguments) -> bool:
    wanted = given.get("requires_grad")
    return wanted is not None and constant_value(site.fact(wanted)) is True


def _dtype_of_data(site: Site, data: Any, fact: Value) -> Any:
    """The dtype that torch gives to data where TensorFlow would choose another."""
    known = dtype_of_data(fact)
    if known == "int64" and not _is_array(fact):
        return tf_dtype("int64")
    if known == "float32" and not _is_array(fact) and not _is_written(fact):
        return tf_dtype("float32")  # numbers that NumPy computed would bring their float64
    if known is None and not _is_array(fact):
        holds_numbers = not isinstance(fact, (Sequence, ListObject, Const, Number))
        site.caution(
            "Python integers become int32 here and int64 in torch"
            if holds_numbers
            else "a list of integers becomes int32 here and int64 in torch",
            "pass dtype=tf.int64 where it holds integers",
        )
    return OMIT


@rewrites("torch.from_numpy", to="tf")
def from_numpy(site: Site) -> Any:
    return fill("tf.convert_to_tensor(x)", x=Arguments(site).x)


@rewrites(
    *LEGACY_NAMES, to="tf",
    proof=Proof(inputs=[(3,)], cases=["x * torch.FloatTensor([1, 2, 3])",
                                      "torch.LongTensor([1, 2])",
                                      "torch.Tensor([[1.5, 2]])", "torch.LongTensor([[1], [2]])"]),
)  # fmt: skip
def legacy(site: Site) -> Any:
    """`torch.FloatTensor([1, 2])`, `torch.LongTensor(3, 4)`, and the type by its name."""
    dtype = LEGACY_TYPES[site.name.rpartition(".")[2]]
    if not site.is_call:
        return _type_name(site, dtype)
    given = Arguments(site, first=False)
    first = given.rest[0] if given.rest else None
    fact = site.fact(first) if isinstance(first, cst.BaseExpression) else None
    if fact is UNKNOWN and not _is_one_of_sizes(site, first):
        site.caution(f"what `{text(first)}` is is not known: it is taken for data, not for a size")
    elif fact is UNKNOWN:
        fact = Number("int")
    if fact is None or len(given.rest) > 1 or is_size(fact) or _are_sizes(site, first):
        dims = (
            as_list(sizes(site, given)) if given.rest else cst.List([cst.Element(cst.Integer("0"))])
        )
        return fill("tf.zeros(dims, dtype=d)", dims=dims,
                    d=OMIT if dtype == "float32" else tf_dtype(dtype))  # fmt: skip
    if isinstance(fact, Tensor) and fact.library == "torch":
        return first if fact.dtype == dtype else cast(first, dtype)
    return constant(site, first, tf_dtype(dtype))


def _is_one_of_sizes(site: Site, node: Any) -> bool:
    """Whether the function makes other tensors of this size, or layers."""
    scope = site.context.edits.enclosing(site.node, cst.FunctionDef) or site.context.module
    for made in find(scope, cst.Call):
        name = qualified_name(site.context, made.func) or ""
        sized = (name in LEGACY_NAMES and len(made.args) > 1) or name.startswith(_SIZED)
        if sized and any(code(arg.value) == code(node) for arg in made.args):
            return True
    return False


_SIZED = ("torch.nn.Linear", "torch.nn.Conv", "torch.nn.Embedding", "torch.zeros", "torch.ones",
          "torch.randn", "torch.rand", "torch.empty")  # fmt: skip


def _are_sizes(site: Site, node: Any) -> bool:
    """Whether the argument is something like `x.size()`; any other tuple is data."""
    return are_sizes(node, site.fact(node), site.fact)


def _type_name(site: Site, dtype: str) -> Any:
    """`cuda.FloatTensor if gpu else FloatTensor` is one dtype."""
    parent = site.parent
    if isinstance(parent, cst.Annotation) or _is_class_test(site):
        return fill("tf.Tensor")
    if isinstance(parent, cst.IfExp):
        both = {
            dtype_of(site.context.fact(parent.body)),
            dtype_of(site.context.fact(parent.orelse)),
        }
        if both == {dtype}:
            site.context.edits.replace(parent, tf_dtype(dtype))
            return site.keep()
    return tf_dtype(dtype)


def _is_class_test(site: Site) -> bool:
    call = site.context.edits.enclosing(site.node, cst.Call)
    return call is not None and isinstance(call.func, cst.Name) and call.func.value == "isinstance"


@rewrites("torch.is_tensor", to="tf")
def is_tensor_test(site: Site) -> Any:
    return fill("tf.is_tensor(x)", x=Arguments(site).x)


@rewrites("torch.autograd.Variable", to="tf")
def variable(site: Site) -> Any:
    """The wrapper of old programs: the tensor itself, or one that is trained."""
    if not site.is_call:
        return _wrapper(site)
    given = Arguments(site, first=False)
    data, wanted = given.get("data", at=0), given.get("requires_grad", at=1)
    if wanted is not None and constant_value(site.fact(wanted)) is True:
        return fill("tf.Variable(x)", x=data)
    if may_have_gradient(site) and may_pass(site.context, data):
        return fill("tf.stop_gradient(x)", x=data)  # a leaf of its own, as any wrapped tensor
    if _is_noop(site, data):
        return []
    return data


def _wrapper(site: Site) -> Any:
    """The class itself: in `a, b = map(Variable, (a, b))`, which wraps each, or as a type."""
    edits = site.context.edits
    mapped = edits.parent.get(site.parent)
    if isinstance(mapped, cst.Call) and code(mapped.func) == "map" and len(mapped.args) == 2:
        data, line = mapped.args[1].value, edits.parent[mapped]
        if not isinstance(line, cst.Assign) or len(line.targets) != 1:
            return fill("tf.convert_to_tensor")
        target = line.targets[0].target
        if code(target).strip("()") == code(data).strip("()"):
            return []
        edits.replace(mapped, data)
        return site.keep()
    is_value = isinstance(site.parent, cst.Arg) and not _is_class_test(site)
    return fill("tf.convert_to_tensor" if is_value else "tf.Tensor")


def _is_noop(site: Site, data: Any) -> bool:
    """`x = Variable(x)`."""
    target = site.assigned_to
    return (
        isinstance(target, cst.Name) and isinstance(data, cst.Name) and target.value == data.value
    )
