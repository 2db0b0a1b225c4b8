"""Initial values set by hand: torch.nn.init, and `weight.data.normal_()` and its like.

A Keras layer has no weights before its first call, so what is initialized there is its initializer.
"""

from __future__ import annotations

import math
from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import (
    UNKNOWN,
    Const,
    Instance,
    Symbol,
    Tensor,
    Value,
    options,
    without_none,
)
from transpiler.rule import Proof, Unfit, infers, rewrites
from transpiler.rules.layer_arguments import known
from transpiler.rules.layer_names import each
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import call, fill

INIT = "torch.nn.init."
GAINS: dict[str, float] = {
    "linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2.0), "selu": 0.75,
    **{f"conv{n}d": 1.0 for n in (1, 2, 3)}, **{f"conv_transpose{n}d": 1.0 for n in (1, 2, 3)},
}  # fmt: skip
_NAMES = ("uniform", "normal", "constant", "ones", "zeros", "eye", "xavier_uniform",
          "xavier_normal", "kaiming_uniform", "kaiming_normal", "trunc_normal",
          "orthogonal")  # fmt: skip
FUNCTIONS = tuple(f"{INIT}{name}_" for name in _NAMES) + tuple(
    f"{INIT}{name}" for name in _NAMES if name not in ("ones", "zeros", "trunc_normal")
)
LAYER_PARAMETERS = ("weight", "bias")


@infers(*FUNCTIONS, f"{INIT}sparse_", f"{INIT}dirac_")
def initialized(invocation: Invocation) -> Value:
    """torch.nn.init gives the tensor back."""
    return invocation.arg("tensor", at=0) or UNKNOWN


@infers(f"{INIT}calculate_gain")
def gain_value(invocation: Invocation) -> Value:
    name, param = invocation.arg("nonlinearity", at=0), invocation.arg("param", at=1)
    if isinstance(name, Const):
        slope = param.value if isinstance(param, Const) else 0.01
        if name.value == "leaky_relu" and isinstance(slope, (int, float)):
            return Const(math.sqrt(2 / (1 + slope**2)))
        if name.value in GAINS:
            return Const(GAINS[name.value])
    return UNKNOWN


@rewrites(
    f"{INIT}calculate_gain",
    to="tf",
    proof=Proof(cases=["nn.init.calculate_gain('tanh')", "nn.init.calculate_gain('relu')",
                       "nn.init.calculate_gain('leaky_relu', 0.2)"], directions=["tf"]),
)  # fmt: skip
def gain(site: Site) -> Any:
    """The number itself."""
    name = site.const("nonlinearity")
    if name == "leaky_relu":
        slope = site.const("param")
        return fill("math.sqrt(2 / (1 + a**2))", a=0.01 if slope is None else slope)
    texts = {"relu": "math.sqrt(2)", "tanh": "5 / 3", "selu": "3 / 4"}
    if name not in GAINS:
        raise Unfit(f"the gain of {name}")
    return fill(texts.get(name, "1"))


# ---- which initializer ---------------------------------------------------------------------------


def scaling(scale: Any, mode: str, distribution: str) -> cst.BaseExpression:
    """VarianceScaling, by its own name where it has one."""
    if distribution == "uniform" and mode == "fan_avg" and scale == 1:
        return call("keras.initializers.GlorotUniform")
    if distribution == "uniform" and mode == "fan_in" and scale == 2:
        return call("keras.initializers.HeUniform")
    return call("keras.initializers.VarianceScaling", scale, mode, distribution)


def squared_gain(site: Site) -> Any:
    """The square of an explicit gain."""
    value = known(site, site.arg("gain"))
    if value is None:
        return fill("g**2", g=site.arg("gain"))
    return round(float(value) ** 2, 12)


def kaiming_gain(site: Site) -> Any:
    """The square of the gain of a nonlinearity."""
    name, slope = site.const("nonlinearity"), known(site, site.arg("a"))
    if name == "leaky_relu":
        match site.arg("a"):
            case cst.Call(func=function, args=[cst.Arg(value=cst.Integer(value=square))]):
                if code(function).endswith("sqrt"):  # a=math.sqrt(5), torch's own default
                    scale = math.gcd(2, below := 1 + int(square))
                    return fill(f"{2 // scale} / {below // scale}")
        if not isinstance(slope, (int, float)):
            return fill("2 / (1 + a**2)", a=site.arg("a"))
        return round(2 / (1 + slope**2), 12)
    if name not in GAINS:
        raise Unfit(f"the gain of {name}")
    return round(GAINS[name] ** 2, 12)


def initializer(site: Site) -> cst.BaseExpression:
    """The Keras initializer that draws as the function of torch.nn.init does."""
    kind = site.name.removeprefix(INIT).rstrip("_")
    match kind:
        case "zeros" | "ones":
            return call(f"keras.initializers.{kind.capitalize()}")
        case "eye":
            return call("keras.initializers.Identity")
        case "constant":
            value = known(site, site.arg("val"))
            if value in (0, 1):
                return call(f"keras.initializers.{'Ones' if value else 'Zeros'}")
            return call("keras.initializers.Constant", site.arg("val"))
        case "uniform":
            return call("keras.initializers.RandomUniform", site.arg("a"), site.arg("b"))
        case "normal":
            return call("keras.initializers.RandomNormal", site.arg("mean"), site.arg("std"))
        case "orthogonal":
            given = known(site, site.arg("gain"))
            args = [] if given == 1 else [site.arg("gain")]
            return call("keras.initializers.Orthogonal", *args)
        case "trunc_normal":
            return truncated(site)
        case "xavier_uniform":
            return scaling(squared_gain(site), "fan_avg", "uniform")
        case "xavier_normal":
            return scaling(squared_gain(site), "fan_avg", "untruncated_normal")
    distribution = "uniform" if kind.endswith("uniform") else "untruncated_normal"
    return scaling(kaiming_gain(site), site.const("mode"), distribution)


def truncated(site: Site) -> cst.BaseExpression:
    """torch cuts off at a and b, Keras at two standard deviations."""
    mean, std = known(site, site.arg("mean")), known(site, site.arg("std"))
    low, high = known(site, site.arg("a")), known(site, site.arg("b"))
    args = [site.arg("mean"), site.arg("std")]
    if None in (mean, std, low, high):
        if site.has("a") or site.has("b"):
            raise Unfit("the bounds of trunc_normal_ are not known before the program runs")
        return call("keras.initializers.RandomNormal", *args)
    if min(mean - low, high - mean) >= 5 * std:
        return call("keras.initializers.RandomNormal", *args)
    if math.isclose(mean - low, 2 * std) and math.isclose(high - mean, 2 * std):
        return call("keras.initializers.TruncatedNormal", *args)
    raise Unfit("trunc_normal_ with these bounds has no Keras initializer")


# ---- where it goes -------------------------------------------------------------------------------


def bare(node: Any) -> Any:
    """The tensor behind `.data` and `.detach()`."""
    while True:
        match node:
            case cst.Attribute(value=inner, attr=cst.Name(value="data")):
                node = inner
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value="detach"))):
                node = inner
            case _:
                return node


def layer_parameter(site: Site, node: Any) -> tuple[Any, str] | None:
    """The layer and "weight" or "bias" where a tensor is a layer's own."""
    node = bare(node)
    if not isinstance(node, cst.Attribute) or node.attr.value not in LAYER_PARAMETERS:
        return None
    for value in options(site.context.fact(node.value)):
        if isinstance(value, Instance) and isinstance(value.cls, Symbol):
            if not value.cls.name.startswith("torch.nn."):
                return None
        elif isinstance(value, Instance):
            if node.attr.value in value.attributes:  # a parameter of the program's own module
                return None
        elif value is not UNKNOWN:
            return None
    return node.value, node.attr.value


_NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm")
_KERNELS = ("Linear", *each("Conv", "ConvTranspose"))
ATTRIBUTES = {
    "weight": {
        **dict.fromkeys(_KERNELS, "kernel"),
        **dict.fromkeys(_NORMS, "gamma"),
        "Embedding": "embeddings",
    },
    "bias": {**dict.fromkeys(_KERNELS, "bias"), **dict.fromkeys(_NORMS, "beta")},
}
_BUILT = ("Transformer", "TransformerEncoderLayer", "TransformerDecoderLayer", "MultiheadAttention")
"""Layers whose emitted forms have their weights from the start."""


def set_on_layer(site: Site, layer: Any, role: str, value: Any) -> Any:
    """The statement that gives a layer its initializer."""
    name = _attribute(site, layer, role)
    if name is not None and _is_fresh(site, layer):
        target = cst.AssignTarget(cst.Attribute(layer, cst.Name(name)))
        return cst.SimpleStatementLine([cst.Assign([target], value)])
    new = fill("f(layer, role, value)", f=site.emit("set_initializer"), layer=layer, role=role,
               value=value)  # fmt: skip
    return cst.SimpleStatementLine([cst.Expr(new)])


def _attribute(site: Site, layer: Any, role: str) -> str | None:
    """The one attribute that all layers meant here have for it."""
    found: set[str | None] = set()
    for value in options(site.context.fact(layer)):
        name = value.class_names[0].rpartition(".")[2] if isinstance(value, Instance) else ""
        found.add(ATTRIBUTES[role].get(name))
    only = found.pop() if len(found) == 1 else None
    return f"{only}_initializer" if only is not None else None


def _is_fresh(site: Site, layer: Any) -> bool:
    """Whether the layer is stock and has just been made: in `__init__`, before any call."""
    function = site.context.edits.enclosing(site.node, cst.FunctionDef)
    if not isinstance(function, cst.FunctionDef) or function.name.value != "__init__":
        return False
    made = {
        i.cls.name.rpartition(".")[2]: i
        for i in site.context.interpreter.instances.values()
        if isinstance(i.cls, Symbol)
    }
    if any(name in made for name in _BUILT) or _ties(site):
        return False
    built = site.context.notes.get("built layers", {})
    if any(o.origin in built for o in options(site.context.fact(layer)) if isinstance(o, Instance)):
        return False
    if any(name.startswith("Conv") and "groups" in i.arguments for name, i in made.items()):
        return False
    match layer:
        case cst.Attribute(value=cst.Name(value="self")):
            return _inner(site, layer) is layer
        case cst.Name(value=name):
            loop = site.context.edits.enclosing(site.node, cst.For)
            while loop is not None and name not in {n.value for n in find(loop.target, cst.Name)}:
                loop = site.context.edits.enclosing(loop, cst.For)
            return loop is not None and code(loop.iter) in ("self.modules()", "self.children()")
    return False


def _ties(site: Site) -> bool:
    """Whether the program shares weights between layers."""
    return any(
        isinstance(t.target, cst.Attribute) and t.target.attr.value == "weight"
        for t in find(site.context.module, cst.AssignTarget)
    )


def _inner(site: Site, layer: Any) -> Any:
    from transpiler.rules.parameters import inner

    return inner(site, layer)


@rewrites(*FUNCTIONS, to="tf")
def initialize(site: Site) -> Any:
    """A layer's initializer, or new values for a variable of the program's own."""
    if not site.is_call:
        raise Unfit(f"{site.short} is used without being called")
    if not site.name.endswith("_"):  # the old spelling
        site = Site(site.context, site.node, f"{site.name}_")
    tensor = site.arg("tensor")
    if not site.alone:
        if (
            isinstance(site.context.fact(bare(tensor)), Tensor)
            and layer_parameter(site, tensor) is None
        ):  # `nn.Parameter(nn.init.xavier_uniform_(torch.empty(3, 4)))`
            return fill("i(shape)", i=initializer(site), shape=shape_of(tensor))
        raise Unfit(f"the result of {site.short} is used")
    value = initializer(site)
    place = layer_parameter(site, tensor)
    if place is not None:
        return [set_on_layer(site, *place, value)]
    return [assign_variable(site, bare(tensor), value)]


def shape_of(tensor: Any) -> Any:
    """The shape of a tensor that is made on the spot."""
    if isinstance(tensor, cst.Call) and len(tensor.args) >= 1:
        names = [a.value for a in tensor.args if a.keyword is None]
        if len(names) > 1 or not isinstance(names[0], (cst.Name, cst.Attribute)):
            return [*names] if len(names) > 1 else fill("n", n=names[0])
    return fill("t.shape", t=tensor)


def assign_variable(site: Site, variable: Any, value: Any) -> Any:
    """`v.assign(initializer(v.shape))`: fans are counted in Keras's order of axes."""
    fact = without_none(site.context.fact(variable))
    if not isinstance(fact, Tensor) or not fact.variable:
        raise Unfit(f"what {site.short} initializes is not known", "set an initializer instead")
    if _loops_over_parameters(site, variable):
        raise Unfit(
            "the parameters of an unbuilt model are not there to be initialized",
            "give the layers their initializers",
        )
    if fact.rank != 1 and "kaiming" in site.name:
        value = fill("i(v.shape[::-1], v.dtype)", i=value, v=variable)
        if fact.rank != 2:
            raise Unfit(f"{site.short} of a variable that is no matrix counts its fans otherwise")
        new = fill("v.assign(tf.transpose(x))", v=variable, x=value)
    else:
        new = fill("v.assign(i(v.shape, v.dtype))", v=variable, i=value)
    return cst.SimpleStatementLine([cst.Expr(new)])


def _loops_over_parameters(site: Site, variable: Any) -> bool:
    """Whether the variable is one of `model.parameters()`."""
    loop = site.context.edits.enclosing(site.node, cst.For)
    while loop is not None:
        names = {n.value for n in find(loop.target, cst.Name)}
        if isinstance(variable, cst.Name) and variable.value in names:
            return True
        loop = site.context.edits.enclosing(loop, cst.For)
    return False


METHODS = {"normal_": "normal", "uniform_": "uniform", "fill_": "constant", "zero_": "zeros"}


@rewrites(*(f"torch.Tensor.{name}" for name in METHODS), to="tf")
def initialize_by_method(site: Site) -> Any:
    """`layer.weight.data.normal_(0, 0.02)`: the layer's initializer."""
    place = layer_parameter(site, site.receiver) if site.receiver is not None else None
    if place is None or not site.alone:
        raise Unfit(f"{site.short} changes a tensor in place")
    args = [*site.positional, *site.keywords.values()]
    names = list(site.keywords)
    match METHODS[site.name.rpartition(".")[2]]:
        case "zeros":
            value = call("keras.initializers.Zeros")
        case "constant":
            only = known(site, args[0])
            value = call("keras.initializers.Constant", args[0])
            if only in (0, 1):
                value = call(f"keras.initializers.{'Ones' if only else 'Zeros'}")
        case "normal":
            value = _by_name("RandomNormal", site, {"mean": 0.0, "std": 1.0}, names)
        case _:
            usual = {"from": 0.0, "to": 1.0} if "from" in names else {"a": 0.0, "b": 1.0}
            value = _by_name("RandomUniform", site, usual, names)
    return [set_on_layer(site, *place, value)]


def constant_like(site: Site, layer: Any, role: str, value: Any) -> Any:
    """The statement that lets a layer start from a tensor (of torch's order of axes)."""
    names = {
        v.class_names[0].rpartition(".")[2]
        for v in options(site.context.fact(layer))
        if isinstance(v, Instance)
    }
    if role == "weight" and names & set(_KERNELS):
        if names != {"Linear"}:
            raise Unfit("the weight of a convolution is set", "assign to layer.kernel once built")
        value = fill("tf.transpose(v)", v=value)
    elif (role == "weight" and not names <= {"Embedding", *_NORMS}) or not names:
        raise Unfit("what this weight becomes is not known", "assign to the layer's variable")
    return set_on_layer(site, layer, role, call("keras.initializers.Constant", value))


@rewrites("torch.Tensor.copy_", to="tf")
def copy_to_layer(site: Site) -> Any:
    """`layer.weight.data.copy_(table)`: the layer starts from it."""
    place = layer_parameter(site, site.receiver) if site.receiver is not None else None
    if place is None or not site.alone or not site.positional:
        raise Unfit(f"{site.short} changes a tensor in place")
    return [constant_like(site, *place, site.positional[0])]


def _by_name(name: str, site: Site, usual: dict[str, float], given: list[str]) -> Any:
    """An initializer of two numbers."""
    values: list[Any] = list(site.positional)
    for key in list(usual)[len(values) :]:
        values.append(site.keywords.get(key, usual[key]))
    return call(f"keras.initializers.{name}", *values)
