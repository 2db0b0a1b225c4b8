"""Initial values and penalties that translations to PyTorch put on layers: Keras' arguments."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.knowledge import Invocation
from transpiler.infer.values import UNKNOWN, Symbol, Value
from transpiler.planners.expressions import qualified_name
from transpiler.rule import Unfit, infers, rewrites
from transpiler.site import Site
from transpiler.syntax import code, walk
from transpiler.template import OMIT, call, fill_statements


@infers("to_torch.single_bias", "to_torch.initialize", "to_torch.initialize_recurrent")
def same_layer(call_: Invocation) -> Value:
    return call_.positional[0] if call_.positional else UNKNOWN


_STARTS = {"to_torch.he_normal": "he_normal", "to_torch.glorot_normal": "glorot_normal",
           "to_torch.lecun_normal": "lecun_normal", "torch.nn.init.xavier_uniform_": OMIT,
           "torch.nn.init.kaiming_uniform_": "he_uniform",
           "torch.nn.init.orthogonal_": "orthogonal", "torch.nn.init.zeros_": "zeros",
           "torch.nn.init.ones_": "ones", "torch.nn.init.eye_": "identity"}  # fmt: skip


_PARTIAL: dict[str, tuple[str, dict[str, str]]] = {
    "torch.nn.init.normal_": ("RandomNormal", {"mean": "mean", "std": "stddev"}),
    "torch.nn.init.uniform_": ("RandomUniform", {"a": "minval", "b": "maxval"}),
    "torch.nn.init.trunc_normal_": ("TruncatedNormal", {"mean": "mean", "std": "stddev"}),
    "torch.nn.init.constant_": ("Constant", {"val": "value"}),
    "torch.nn.init.orthogonal_": ("Orthogonal", {"gain": "gain"}),
    "torch.nn.init.kaiming_uniform_": ("LecunUniform", {}),
    "to_torch.variance_scaling": ("VarianceScaling", {n: n for n in ("scale", "mode",
                                                                     "distribution")}),
}  # fmt: skip
"""What functions with some arguments bound fill as, and their names for these."""
_EMBEDDING = "RandomUniform(minval=-0.05, maxval=0.05)"


@rewrites("to_torch.initialize", to="tf")
def initialize(site: Site) -> Any:
    """Initial values are arguments of the layer's own in Keras; what is not told is its default."""
    given = {role: _start(site, role) for role in ("weight", "bias") if site.has(role)}

    def started(layer: Any) -> Any:
        if not isinstance(layer, cst.Call):
            return layer
        kept = [a for a in layer.args if not (a.keyword and "_initializer" in a.keyword.value)]
        named = {"weight": f"{_kernel(layer)}_initializer", "bias": "bias_initializer"}
        more = call("x", **{named[role]: value for role, value in given.items()}).args
        if "Embedding" in code(layer.func):
            more = [a for a in more if not code(a.value).strip().endswith(_EMBEDDING)]
        return layer.with_changes(args=[*kept, *more])

    inner = site.arg("layer")
    if not _name(site, inner).startswith(_LAYERS):
        raise Unfit("the layer that is initialized here is not known")
    site.context.edits.wrap(inner, started)
    return inner


_LAYERS = ("torch.nn.", "to_torch.KerasEmbedding")


def _kernel(layer: cst.Call) -> str:
    """What a Keras layer calls its weight."""
    name = code(layer.func).rpartition(".")[2]
    if name == "Embedding":
        return "embeddings"
    return "depthwise" if name.startswith("Depthwise") else "kernel"


def _start(site: Site, role: str) -> Any:
    """Keras' name of the initializer that fills a parameter."""
    node = site.arg(role)
    if isinstance(node, cst.Call) and code(node.func).rpartition(".")[2] == "partial":
        return _bound(site, role, node)
    fact = site.fact(role)
    name = fact.name if isinstance(fact, Symbol) else ""
    if name not in _STARTS:
        raise Unfit(f"the initializer of the {role} has no name in Keras")
    site.context.claim(node)
    found = _STARTS[name]
    return found if found is OMIT else cst.SimpleString(f'"{found}"')


def _bound(site: Site, role: str, node: cst.Call) -> Any:
    """`functools.partial(nn.init.normal_, std=0.02)` as the initializer."""
    fact = site.context.fact(node.args[0].value)
    name = fact.name if isinstance(fact, Symbol) else ""
    if name not in _PARTIAL:
        raise Unfit(f"the initializer of the {role} has no name in Keras")
    for inner in walk(node):
        site.context.claim(inner)
    kind, names = _PARTIAL[name]
    given = {a.keyword.value: a.value for a in node.args if a.keyword is not None}
    return call(f"keras.initializers.{kind}",
                **{names[n]: value for n, value in given.items() if n in names})  # fmt: skip


@rewrites("to_torch.he_normal", "to_torch.glorot_normal", "to_torch.lecun_normal",
          "to_torch.variance_scaling", to="tf")  # fmt: skip
def initial_values(site: Site) -> Any:
    raise Unfit("an initializer of Keras' that fills something else than a layer")


@rewrites("to_torch.initialize_recurrent", to="tf")
def initialize_recurrent(site: Site) -> Any:
    raise Unfit("a recurrent layer with Keras' initial values stands outside of KerasRecurrent")


@rewrites("to_torch.regularize", to="tf")
def regularize(site: Site) -> Any:
    """A penalty is an argument of the layer's own in Keras."""
    name = site.const("name", "weight")
    given = {n: v for n, v in site.args.items() if n in ("l1", "l2")}
    kind = "L1L2" if len(given) == 2 else "".join(given).upper()
    penalty = call(f"keras.regularizers.{kind}", *([] if len(given) == 2 else given.values()),
                   **(given if len(given) == 2 else {}))  # fmt: skip

    def penalized(layer: Any) -> Any:
        if not isinstance(layer, cst.Call):
            return layer
        role = "bias" if name == "bias" else _kernel(layer)
        more = call("x", **{f"{role}_regularizer": penalty}).args
        return layer.with_changes(args=[*layer.args, *more])

    inner = site.arg("layer")
    if not _name(site, inner).startswith((*_LAYERS, "to_torch.initialize", site.name)):
        raise Unfit("the layer that is regularized here is not known")
    site.context.edits.wrap(inner, penalized)
    return inner


@rewrites("to_torch.constrain", to="tf")
def constrain(site: Site) -> Any:
    """A constraint is an argument of the layer's own in Keras, or belongs to a variable."""
    inner, role = site.arg("layer"), site.const("name", "weight")
    kind = _name(site, inner)
    while kind in ("to_torch.initialize", "to_torch.regularize") and isinstance(inner, cst.Call):
        inner = inner.args[0].value
        kind = _name(site, inner)
    bound = _constraint(site, site.arg("function"), kind == "torch.nn.Linear")
    for node in walk(site.arg("function")):
        site.context.claim(node)
    if site.alone and not isinstance(inner, cst.Call):
        return fill_statements(f"layer.{role}.constraint = bound", layer=inner, bound=bound)
    if not kind.startswith(_LAYERS):
        raise Unfit("the layer whose weight is bounded here is not known")

    def bounded(layer: Any) -> Any:
        if not isinstance(layer, cst.Call):
            return layer
        name = "bias" if role == "bias" else _kernel(layer)
        return layer.with_changes(
            args=[*layer.args, *call("x", **{f"{name}_constraint": bound}).args]
        )

    site.context.edits.wrap(inner, bounded)
    return site.arg("layer")


def _constraint(site: Site, function: Any, linear: bool) -> cst.BaseExpression:
    """`lambda w: limit_norm(w, 2.0)` as Keras' constraint; a Linear's axes are the other way."""
    match function:
        case cst.Lambda(body=cst.Call(func=cst.Attribute(attr=cst.Name("clamp")))):
            return call("keras.constraints.NonNeg")
        case cst.Lambda(body=cst.Call() as body) if _name(site, body) == "to_torch.limit_norm":
            given = Site(site.context, body, "to_torch.limit_norm")
            dim = given.const("dim", 1)
            axis = 1 - dim if linear else dim
            options = {"axis": OMIT if axis == 0 else axis}
            if not given.has("max_value"):
                return call("keras.constraints.UnitNorm", **options)
            return call("keras.constraints.MaxNorm", given.arg("max_value"), **options)
    raise Unfit("the bounds of this weight are not known here")


@rewrites("to_torch.limit_norm", to="tf")
def limit_norm(site: Site) -> Any:
    raise Unfit("the norms of a weight are limited outside of `constrain`")


@rewrites("to_torch.apply_constraints", to="tf")
def apply_constraints(site: Site) -> Any:
    """Keras' optimizers do so after each step."""
    if not site.alone:
        raise Unfit("constraints are applied inside of an expression")
    return []


def _name(site: Site, node: Any) -> str:
    return (qualified_name(site.context, node.func) or "") if isinstance(node, cst.Call) else ""
