"""Names in the classes of graphs: attributes for layers, variables for what they give."""

from __future__ import annotations

from keyword import iskeyword
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Class, Const, Instance, Value
from transpiler.rules.keras_graph import GraphNode
from transpiler.syntax import code

NAMES = {
    "BatchNormalization": "norm", "LayerNormalization": "norm", "Conv2DTranspose": "up",
    "MultiHeadAttention": "attention", "UpSampling2D": "up", "InputLayer": "x",
}  # fmt: skip
PREFIXES = ("build_", "make_", "create_", "get_", "define_", "construct_", "new_")
MODULE_NAMES = frozenset(
    """forward train eval float double half to cpu cuda type apply children modules parameters
    buffers named_parameters state_dict load_state_dict training zero_grad compile share_memory
    register_buffer add_module extra_repr""".split()
)
"""Attributes that `nn.Module` keeps for itself."""


def layer_name(context: Context, layer: Instance, in_block: bool = False) -> str:
    """What a class calls a layer; names that a block computes differ from call to call."""
    given = layer.arguments.get("name")
    fixed = not in_block or _is_written(layer.origin)
    if isinstance(given, Const) and str(given.value).isidentifier() and fixed:
        return str(given.value)
    parent = context.edits.parent.get(layer.origin)
    if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
        return parent.targets[0].target.value
    if isinstance(layer.cls, Class):
        kind = layer.cls.name
        return "".join("_" * (i > 0 and c.isupper() and not kind[i - 1].isupper()) + c.lower()
                       for i, c in enumerate(kind))  # fmt: skip
    kind = (layer.class_names or ("layer",))[0].rpartition(".")[2]
    short = "pool" if "Pooling" in kind else kind.rstrip("123D").lower() or kind.lower()
    return NAMES.get(kind, short)


def made_name(context: Context, layer: Instance, made: Any, in_block: bool) -> str:
    """What a class calls a layer that a function may have made."""
    if made is layer.origin or not isinstance(made, cst.Call):
        return layer_name(context, layer, in_block)
    parent = context.edits.parent.get(made)
    if isinstance(parent, cst.Assign) and isinstance(parent.targets[0].target, cst.Name):
        return parent.targets[0].target.value
    return without_prefix(code(made.func).rpartition(".")[2])


def _is_written(call: Any) -> bool:
    args = call.args if isinstance(call, cst.Call) else ()
    return any(
        a.keyword is not None
        and a.keyword.value == "name"
        and isinstance(a.value, cst.SimpleString)
        for a in args
    )


def without_prefix(name: str) -> str:
    """`build_unet` as `unet`."""
    name = name.strip("_")
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def block_name(function: cst.FunctionDef, given: dict[str, Value]) -> str:
    """The attribute of a block: the name that its function was told, else the function's own."""
    for parameter in ("name", "prefix", "block_name", "scope"):
        value = given.get(parameter)
        if isinstance(value, Const) and str(value.value).isidentifier() and value.value is not None:
            return str(value.value)
    return without_prefix(function.name.value)


def class_name(text: str) -> str:
    """`conv_block` as `ConvBlock`."""
    return "".join(p[:1].upper() + p[1:] for p in text.split("_") if p)


def assigned(context: Context, call: Any) -> Any:
    """What the source assigns an expression to."""
    parent = context.edits.parent.get(call)
    if isinstance(parent, cst.Element):  # a, b = one(x), other(x)
        several: Any = context.edits.parent[parent]
        place = several.elements.index(parent)
        target = assigned(context, several) if isinstance(several, cst.Tuple) else None
        if isinstance(target, cst.Tuple) and len(target.elements) == len(several.elements):
            name = target.elements[place].value
            return name if isinstance(name, cst.Name) else None
        return None
    if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
        target = parent.targets[0].target
        return target if isinstance(target, (cst.Name, cst.Tuple, cst.List)) else None
    return None


def input_name(context: Context, node: GraphNode) -> str:
    """The parameter of `forward` for an input of a model."""
    given = node.keywords.get("name")
    if isinstance(given, Const) and str(given.value).isidentifier():
        return str(given.value)  # dicts of inputs go by it
    name = assigned(context, node.call)
    text = name.value if isinstance(name, cst.Name) else "x"
    return text if text.isidentifier() else "x"


def fresh_in(taken: Any, name: str) -> str:
    """A name that is not taken."""
    name = f"{name}_" if iskeyword(name) else name
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}{number}"
    return candidate


def fresh_attribute(taken: Any, name: str) -> str:
    """A name for an attribute of a module."""
    name = f"{name}_" if iskeyword(name) else name
    candidate, number = name, 1
    while candidate in taken or candidate in MODULE_NAMES:
        number += 1
        candidate = f"{name}{number}"
    return candidate
