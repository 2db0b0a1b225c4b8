"""Arguments of TensorFlow's and Keras' tensor functions as expressions for PyTorch."""

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
    Union,
    Value,
    element_of,
    is_none,
    items_of,
    options,
    scalar_type,
)
from transpiler.rule import Unfit
from transpiler.rules.operands import integers
from transpiler.rules.tf_operands import data_dtype, dtype_named, is_number
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import walk
from transpiler.template import OMIT, as_node, fill

IGNORED = ("name", "parallel_iterations", "swap_memory", "infer_shape", "validate_indices",
           "seed", "summarize", "data_format", "use_locking", "read_value", "layout")  # fmt: skip
"""Parameters that change no number, or that a rule reads by itself where they do."""
CASTS = {"float32": "float", "float64": "double", "float16": "half", "int32": "int",
         "int64": "long", "bool": "bool"}  # fmt: skip


class TfArguments:
    """The arguments of a call by their names; `x` is the tensor operated on."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.values: dict[str, Any] = site.args if site.is_call else {}
        for name in IGNORED:
            drop(site, self.values.get(name))

    @property
    def first(self) -> Any:
        """The first argument, or what the method is called on, as it is written."""
        site = self.site
        if site.receiver is not None:
            return site.receiver
        if site.positional:
            return site.positional[0]
        found = next((v for k, v in self.values.items() if k not in IGNORED), None)
        if found is None:
            raise Unfit(f"{site.short} is called without its tensor")
        return found

    @property
    def x(self) -> Any:
        """The first argument as a tensor."""
        return tensor(self.site, self.first)

    def get(self, *names: str) -> Any:
        """An argument as it is written; None where it is not given or written as None."""
        for name in names:
            found = self.values.get(name)
            if found is not None and not (isinstance(found, cst.Name) and found.value == "None"):
                return found
        return None

    def given(self, *names: str) -> Any:
        found = self.get(*names)
        return OMIT if found is None else found

    def need(self, *names: str) -> Any:
        found = self.get(*names)
        if found is None:
            raise Unfit(f"{self.site.short} is called without `{names[0]}`")
        return found

    def const(self, *names: str, default: Any = None) -> Any:
        """The value of an argument that must be known."""
        found = self.get(*names)
        if found is None:
            return default
        value = constant_value(self.site.fact(found))
        if value is missing:
            raise Unfit(f"`{names[0]}` of {self.site.short} is not known before the program runs")
        return value

    def axis(self, *names: str) -> Any:
        """The axes as `dim` takes them: one number, a tuple, or OMIT for all."""
        found = self.get(*(names or ("axis",)))
        return OMIT if found is None else axes(self.site, found)

    @property
    def keep(self) -> Any:
        found = self.get("keepdims", "keep_dims")
        if found is None or constant_value(self.site.fact(found)) is False:
            return OMIT
        return found

    @property
    def dtype(self) -> Any:
        """The dtype argument in torch's words, OMIT where there is none."""
        return torch_dtype(self.site, self.get("dtype", "output_type", "out_type"))


def drop(site: Site, *nodes: Any) -> None:
    """Keep other rules off expressions that the translation leaves out."""
    for node in nodes:
        if isinstance(node, cst.CSTNode):
            for part in walk(node):
                site.context.claim(part)


def axes(site: Site, node: Any) -> Any:
    """An axis argument: `[1]` is 1, `[1, 2]` is (1, 2), anything else stays."""
    known = integers(site.fact(node))
    if known is None or isinstance(node, (cst.Name, cst.Attribute)):
        return node
    return known[0] if len(known) == 1 else known


# ---- tensors ----------------------------------------------------------------------------------


def is_array(value: Value) -> bool:
    """Whether a value is, or may well be, a tensor of torch's in the translation."""
    found = [o for o in options(value) if not is_none(o)]
    return all(o is UNKNOWN or (isinstance(o, Tensor) and o.library != "numpy") for o in found)


def on_tensor(site: Site) -> bool:
    """Whether a rule of two spellings may serve: what TensorFlow converts needs another one."""
    if site.context.to == "tf" or not site.is_call:
        return True
    values = [site.receiver, *site.positional, *site.keywords.values()]
    return is_array(site.fact(next((v for v in values if v is not None), None)))


def holds_tensors(value: Value) -> bool:
    """Whether a list holds tensors, at whatever depth."""
    items = items_of(value) if isinstance(value, (Sequence, ListObject)) else None
    found = items if items else (element_of(value),)
    return any(
        (isinstance(i, Tensor) and i.library != "numpy")
        or (isinstance(i, (Sequence, ListObject)) and holds_tensors(i))
        for i in found
    )


def tensor(site: Site, node: Any, dtype: Any = OMIT) -> Any:
    """An argument as a tensor: TensorFlow converts arrays, numbers and lists by itself."""
    value = site.fact(node)
    if is_array(value):
        return node if dtype is OMIT else cast(site, node, dtype)
    if is_number(value):
        return fill("torch.tensor(x, dtype=d)", x=node, d=dtype)
    if isinstance(value, (Sequence, ListObject)) or isinstance(node, (cst.List, cst.Tuple)):
        if holds_tensors(value):
            new = stack(site, node)
            return new if dtype is OMIT else cast(site, new, dtype)
        return fill("torch.tensor(x, dtype=d)", x=node, d=dtype)
    if isinstance(value, (Tensor, Union)):
        return fill("torch.as_tensor(x, dtype=d)", x=node, d=dtype)
    return node


def stack(site: Site, node: Any) -> Any:
    """A list that holds tensors as one tensor."""
    value = site.fact(node)
    if isinstance(node, (cst.List, cst.Tuple)):
        if any(not isinstance(e, cst.Element) for e in node.elements):
            return fill("torch.stack(x)", x=node)
        parts = [tensor(site, e.value) for e in node.elements]
        return fill("torch.stack(x)", x=cst.List([cst.Element(p) for p in parts]))
    items = items_of(value)
    if items and any(isinstance(i, (Sequence, ListObject)) for i in items):
        raise Unfit(f"{site.short} gets nested lists of tensors", "stack them first")
    return fill("torch.stack(x)", x=node)


def listed(site: Site, node: Any) -> Any:
    """A list of tensors whose written elements become tensors, each by itself."""
    if not isinstance(node, (cst.List, cst.Tuple)):
        return node
    if all(
        isinstance(e, cst.Element) and tensor(site, e.value) is e.value for e in node.elements
    ):  # fmt: skip
        return node
    elements = [
        cst.Element(tensor(site, e.value)) if isinstance(e, cst.Element) else e
        for e in node.elements
    ]
    return cst.List(elements)


# ---- dtypes -----------------------------------------------------------------------------------


def torch_dtype(site: Site, node: Any) -> Any:
    """A dtype argument in torch's words: OMIT where there is none."""
    if node is None or node is OMIT:
        return OMIT
    name = dtype_named(site.fact(node))
    if name == "string":
        raise Unfit("PyTorch has no tensors of strings", "keep them in lists")
    if isinstance(node, (cst.Name, cst.Attribute)) and scalar_type(site.fact(node)) == "str":
        return fill("getattr(torch, d)", d=node)
    if name is not None and not isinstance(node, cst.Name):
        if isinstance(node, cst.Attribute) and not _is_constant(site, node):
            return node  # x.dtype
        drop(site, node)
        return fill(f"torch.{name}")
    return node


def _is_constant(site: Site, node: cst.Attribute) -> bool:
    """Whether an attribute is a name of a library, such as `tf.float32` or `np.float32`."""
    from transpiler.infer.values import Symbol

    return isinstance(site.context.fact(node.value), Symbol)


def cast(site: Site, x: Any, dtype: Any) -> Any:
    """A cast of what is a tensor: `x.float()`, `x.to(torch.uint8)`, `x.to(y.dtype)`."""
    name = cst.Module([]).code_for_node(as_node(dtype)).removeprefix("torch.")
    if name in CASTS:
        return fill(f"x.{CASTS[name]}()", x=x)
    return fill("x.to(d)", x=x, d=dtype)


def usual_dtype(site: Site, given: TfArguments, usual: str = "float32") -> Any:
    """The dtype argument, left out where torch chooses the same."""
    node = given.get("dtype")
    if node is not None and dtype_named(site.fact(node)) == usual and not is_variable_dtype(node):
        drop(site, node)
        return OMIT
    return torch_dtype(site, node)


def is_variable_dtype(node: Any) -> bool:
    return isinstance(node, cst.Name)


def element_dtype(site: Site, node: Any) -> str | None:
    """The dtype of what an argument holds."""
    return data_dtype(site.fact(node))


# ---- shapes -----------------------------------------------------------------------------------


def is_host(value: Value) -> bool:
    """Whether a value is a Python number or a list of some, such as sizes are."""
    if is_number(value):
        return True
    if isinstance(value, (Sequence, ListObject)):
        items = items_of(value)
        return all(is_number(i) for i in (items if items else (element_of(value),)))
    return isinstance(value, Const) and isinstance(value.value, (tuple, list))


def sizes(site: Site, node: Any) -> Any:
    """A shape argument as the positional arguments of `torch.zeros(2, 3)`."""
    if isinstance(node, (cst.List, cst.Tuple)) and node.elements:
        if all(isinstance(e, cst.Element) for e in node.elements):
            return [cst.Arg(e.value) for e in node.elements]
    return [cst.Arg(size_list(site, node))]


def size_list(site: Site, node: Any) -> Any:
    """A shape argument as one expression; tensors of sizes become lists."""
    value = site.fact(node)
    if isinstance(value, Tensor):
        return fill("x.tolist()", x=node)
    return node


def host_numbers(site: Site, *nodes: Any) -> bool:
    """Whether all of these are Python numbers, on which the host computes."""
    return all(is_number(site.fact(n)) for n in nodes)


def is_symbolic(value: Value) -> bool:
    return isinstance(value, Number)


def simple(node: Any) -> bool:
    """Whether an expression may be written twice."""
    while isinstance(node, cst.Attribute):
        node = node.value
    return isinstance(node, (cst.Name, cst.Integer, cst.Float))
