"""The planner of layers that are built where they are made.

Keras builds a layer's variables when it is first called, torch when it is made. Where a program
reads or loads a model's variables before its first call, the model is called on zeros first
(`rules/checkpoints.py`). Where the shape of its inputs is not known, the sizes that torch's own
calls give are enough for each layer by itself: `built(layers.Dense(8), n_inputs)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Instance, Symbol, Tensor, items_of, options
from transpiler.modules import descendants, in_module_method
from transpiler.planners.expressions import qualified_name
from transpiler.planners.stateful import leaves_traces
from transpiler.rule import Unfit
from transpiler.rules.layer_names import each
from transpiler.rules.module_methods import freezes, is_given_to_optimizer
from transpiler.site import Site, constant_value
from transpiler.syntax import find

Shape = tuple[cst.BaseExpression | None, ...]
M = "torch.nn.Module."
READS = frozenset(M + name for name in ("state_dict", "load_state_dict", "parameters",
                                        "named_parameters"))  # fmt: skip
_N = "torch.nn."
CHANNELS: dict[str, tuple[str, int | None]] = {
    f"{_N}Linear": ("in_features", 0),
    **{f"{_N}{name}": ("in_channels", int(name[-2])) for name in each("Conv", "ConvTranspose")},
    **{f"{_N}{name}": ("num_features", None) for name in each("BatchNorm", "InstanceNorm")},
    f"{_N}GroupNorm": ("num_channels", None),
    **{f"{_N}{name}": ("input_size", 1) for name in ("RNN", "LSTM", "GRU")},
}
"""The argument that sizes the last axis, and how many axes stand between it and the batch's."""
WHOLE = {f"{_N}LayerNorm": "normalized_shape", f"{_N}Embedding": ""}
FLAT = frozenset(f"{_N}{name}" for name in ("Linear", "BatchNorm1d", "Embedding"))
EMPTY = frozenset(
    f"{_N}{name}"
    for name in """ReLU ReLU6 LeakyReLU Tanh Sigmoid Softmax LogSoftmax GELU ELU SELU SiLU Mish
    Softplus Hardtanh Hardswish Hardsigmoid Identity Flatten Unflatten Dropout Dropout1d Dropout2d
    Dropout3d AlphaDropout MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d
    Upsample UpsamplingNearest2d UpsamplingBilinear2d ZeroPad2d ReflectionPad2d ReplicationPad2d
    PixelShuffle Softmax2d CrossEntropyLoss NLLLoss MSELoss L1Loss BCELoss BCEWithLogitsLoss
    SmoothL1Loss HuberLoss KLDivLoss Softsign LogSigmoid Threshold Sequential ModuleList ModuleDict
    Module""".split()
)
"""Modules without variables of their own."""


def plan(context: Context) -> None:
    """Find the models whose variables are read too early, and build their layers one by one."""
    early = context.interpreter.early
    _plan_read_layers(context)
    for call in find(context.module, cst.Call):
        if call in early and _reads_variables(context, call):
            assert isinstance(call.func, cst.Attribute)
            owner = call.func.value
            own = isinstance(owner, cst.Name) and owner.value == "self"
            plan_models(context, context.fact(owner), own=own)


def _plan_read_layers(context: Context) -> None:
    """Layers that are never called, but whose weights are read: tables of codes."""
    for layer in context.interpreter.instances.values():
        if not layer.state.get("read early") or layer.state.get("inputs"):
            continue
        if isinstance(layer.cls, Symbol) and layer.origin in context.edits.parent:
            if layer.cls.name in {*CHANNELS, *WHOLE} and _is_read(context, layer):
                plan_layer(context, layer)


def _is_read(context: Context, layer: Instance) -> bool:
    """Whether a module computes with a layer's weights when it runs."""
    for node in find(context.module, cst.Attribute):
        if node.attr.value in ("weight", "bias") and layer in options(context.fact(node.value)):
            function = context.edits.enclosing(node, cst.FunctionDef)
            if in_module_method(context, node) and function.name.value != "__init__":
                return True
    return False


def plan_layer(context: Context, layer: Instance) -> None:
    """Build a layer where it is made, if its sizes are known."""
    built = context.notes.setdefault("built layers", {})
    if layer.origin in built:
        return
    try:
        shape = _shape(Site(context, layer.origin, _name(layer)), flat=True)
    except Unfit:
        return
    built[layer.origin] = shape
    context.edits.wrap(layer.origin, partial(build_at_once, context, shape))


def plan_models(context: Context, value: Any, *, own: bool = False) -> None:
    """Build the layers of each of these models of which the inputs' shapes are not known.

    own: whether a method of the model itself reads the variables, where it can not be called.
    """
    models = [o for o in options(value) if isinstance(o, Instance)]
    if len(models) == 1 and not own and _inputs_known(models[0]):
        if not leaves_traces(context, models[0]):
            return
    layers: dict[Any, Instance] = {}
    for model in models:
        for layer in _layers(context, model):
            if layer is None:
                return
            layers[layer.origin] = layer
    try:
        flat = all(_name(v) in FLAT for v in layers.values())
        shapes = {node: _shape(Site(context, node, _name(v)), flat) for node, v in layers.items()}
    except Unfit:
        return
    built = context.notes.setdefault("built layers", {})
    for node, shape in shapes.items():
        if node not in built:
            built[node] = shape
            context.edits.wrap(node, partial(build_at_once, context, shape))


def build_at_once(context: Context, shape: Shape, layer: Any) -> cst.BaseExpression:
    """`built(layer, sizes)`."""
    name = cst.Name(context.emit("built"))
    sizes = [cst.Name("None") if s is None else s for s in shape]
    return cst.Call(name, [cst.Arg(layer), *map(cst.Arg, sizes)])


def are_built(context: Context, value: Any) -> bool:
    """Whether all of these models have their variables from the start."""
    built = context.notes.get("built layers", {})
    models = [o for o in options(value) if isinstance(o, Instance)]
    return bool(models and built) and all(
        layer is not None and layer.origin in built
        for model in models
        for layer in _layers(context, model)
    )


def _reads_variables(context: Context, call: cst.Call) -> bool:
    name = qualified_name(context, call.func)
    if name not in READS or call in context.claimed:
        return False
    site = Site(context, call, name)
    # An optimizer finds the variables when it first applies gradients.
    return not freezes(site) and not is_given_to_optimizer(site)


def _inputs_known(model: Instance) -> bool:
    inputs = model.state.get("inputs") or []
    return bool(inputs) and all(
        isinstance(x, Tensor) and x.shape and all(isinstance(d, int) for d in x.shape[1:])
        for x in inputs
    )


def _layers(context: Context, model: Instance) -> Iterator[Instance | None]:
    """torch's own layers that have variables; None where one can not be built by itself."""
    for part in descendants(model):
        if not isinstance(part, Instance) or not isinstance(part.cls, Symbol):
            continue
        name = part.cls.name
        if name in EMPTY or not context.knowledge.derives(part, f"{_N}Module"):
            continue
        known = name in CHANNELS or name in WHOLE
        yield part if known and part.origin in context.edits.parent else None


def _name(layer: Instance) -> str:
    assert isinstance(layer.cls, Symbol)
    return layer.cls.name


def _shape(site: Site, flat: bool = False) -> Shape:
    """The shape of one input without its batch; None where a size does not matter.

    flat: whether the model has nothing but dense layers beside its normalizations.
    """
    if site.name in WHOLE:
        return _normalized(site) if WHOLE[site.name] else ()
    name, between = CHANNELS[site.name]
    if name not in site.args:
        raise Unfit("the size of a layer is not given")
    if between is None:
        between = _axes_between(site, flat)
    return (*[None] * between, site.args[name])


def _axes_between(site: Site, flat: bool) -> int:
    """Of a normalization: by its name, or by what it was seen to be called on."""
    if site.name[-2:-1] in ("2", "3"):
        return int(site.name[-2])
    fact = site.context.fact(site.node)
    for value in options(fact):
        seen = value.state.get("input") if isinstance(value, Instance) else None
        if isinstance(seen, Tensor) and seen.rank is not None:
            return seen.rank - 2
    if site.name.endswith("BatchNorm1d") and flat:
        return 0
    if site.name.endswith("BatchNorm1d"):
        raise Unfit("the rank of what is normalized is not known")
    return 2


def _normalized(site: Site) -> Shape:
    """LayerNorm of one size; several would depend on the order of the axes."""
    given = site.args.get("normalized_shape")
    if isinstance(given, (cst.Tuple, cst.List)):
        if len(given.elements) != 1:
            raise Unfit("several axes are normalized")
        return (given.elements[0].value,)
    if given is None:
        raise Unfit("the size of a layer is not given")
    known = constant_value(site.fact(given))
    if isinstance(known, (tuple, list)) or items_of(site.fact(given)) is not None:
        raise Unfit("several axes are normalized")
    return (given,)


__all__ = ["are_built", "build_at_once", "plan", "plan_models"]
