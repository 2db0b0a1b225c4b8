"""More of Keras' layers: merges as modules, penalties, norms, attention, augmentation."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Const, Instance, Value, items_of
from transpiler.rule import Unfit
from transpiler.rules.facts_keras_layers import axes_in
from transpiler.rules.keras_bounds import penalty
from transpiler.rules.keras_layer import ANY, FIRST, LAST, Layer, Part
from transpiler.rules.keras_layers import LAYERS, normalized_shape
from transpiler.site import constant_value, missing
from transpiler.template import OMIT, call, fill

MERGES = {
    "Add": "lambda xs: sum(xs)",
    "Subtract": "lambda xs: xs[0] - xs[1]",
    "Multiply": "lambda xs: math.prod(xs)",
    "Average": "lambda xs: sum(xs) / len(xs)",
    "Maximum": "lambda xs: torch.stack(xs).amax(0)",
    "Minimum": "lambda xs: torch.stack(xs).amin(0)",
}


def merge(layer: Layer) -> list[Part]:
    """A merge as a module of its own, called on a list."""
    return [Part(layer.emit("Lambda", fill(MERGES[layer.name])), LAST)]


def concatenate(layer: Layer) -> list[Part]:
    axis = layer.arg("axis")
    return [Part(layer.emit("Lambda", fill("lambda xs: torch.cat(xs, dim=axis)", axis=axis)), LAST)]


def activity(layer: Layer) -> list[Part]:
    """keras.layers.ActivityRegularization."""
    l1, l2 = layer.const("l1", 0.0), layer.const("l2", 0.0)
    return [Part(layer.emit("ActivityPenalty", l1=l1 or OMIT, l2=l2 or OMIT))]


def elu(layer: Layer) -> list[Part]:
    return [Part(call("torch.nn.ELU", layer.unless("alpha", 1.0)))]


def prelu(layer: Layer) -> list[Part]:
    """One slope per channel or feature, from zero."""
    x = layer.input
    shared = layer.const("shared_axes", None)
    rank = x.rank if x is not None else None
    axes = sorted(a % rank for a in shared) if shared and rank else []
    start = _first_slope(layer)
    if rank is not None and axes == list(range(1, rank)):
        return [Part(call("torch.nn.PReLU", init=start))]
    if rank == 2:
        return [Part(call("torch.nn.PReLU", layer.size(), init=start))]
    if rank is None or axes != list(range(1, rank - 1)):
        raise Unfit("PReLU with a slope for each place has no equal here",
                    "share the slopes over the places: shared_axes=[1, 2]")  # fmt: skip
    return [Part(call("torch.nn.PReLU", layer.size(), init=start), FIRST)]


def _first_slope(layer: Layer) -> float:
    """Zero, or a constant that is given. Raises Unfit."""
    given = layer.value("alpha_initializer")
    if given in (None, Const(None), Const("zeros"), Const("Zeros")):
        return 0.0
    if isinstance(given, Instance) and given.class_names[0].endswith((".Constant", ".Zeros")):
        value = given.arguments.get("value", Const(0.0))
        if isinstance(value, Const) and isinstance(value.value, (int, float)):
            return float(value.value)
    raise Unfit("the initial slopes of PReLU are not known here")


def group_norm(layer: Layer) -> list[Part]:
    if layer.const("axis", -1) != -1:
        raise Unfit("`axis` of GroupNormalization is not translated")
    plain = layer.const("center", True) and layer.const("scale", True)
    groups: Any = layer.arg("groups")
    if layer.const("groups", None) == -1:
        groups = layer.size()
    module = call("torch.nn.GroupNorm", groups, layer.size(), eps=layer.arg("epsilon"),
                  affine=OMIT if plain else False)  # fmt: skip
    return [Part(module, FIRST)]


def unit_norm(layer: Layer) -> list[Part]:
    function = fill("lambda x: torch.nn.functional.normalize(x, dim=d, eps=1e-6)",
                    d=layer.arg("axis"))  # fmt: skip
    return [Part(layer.emit("Lambda", function), LAST)]


def rms_norm(layer: Layer) -> list[Part]:
    module = call("torch.nn.RMSNorm", normalized_shape(layer), eps=layer.arg("epsilon"))
    return [Part(module, LAST)]


def adaptive_pooling(layer: Layer) -> list[Part]:
    kind, count = ("Max" if "Max" in layer.name else "Avg"), axes_in(layer.name)
    if layer.const("data_format", None) == "channels_first":
        raise Unfit(f"{layer.site.short} with data_format='channels_first' is not translated")
    return [Part(call(f"torch.nn.Adaptive{kind}Pool{count}d", layer.arg("output_size")), FIRST)]


def masking(layer: Layer) -> list[Part]:
    raise Unfit("Masking outside of a model whose steps are known is not translated")


def dot_attention(layer: Layer) -> list[Part]:
    """keras.layers.Attention and AdditiveAttention."""
    if layer.const("score_mode", "dot") != "dot" and layer.name == "Attention":
        raise Unfit("score_mode of Attention is not translated")
    additive = layer.name == "AdditiveAttention"
    scaled = bool(layer.const("use_scale", additive))
    options: dict[str, Any] = {
        "use_scale": True if scaled else OMIT, "additive": True if additive else OMIT,
        "dropout": layer.unless("dropout", 0.0),
    }  # fmt: skip
    if additive and scaled:
        options["dim"] = layer.size()
    return [Part(layer.emit("DotProductAttention", **options), LAST)]


def limits(value: Value | None, name: str) -> tuple[float, float]:
    """A factor as a pair: below and above."""
    items = items_of(value) if value is not None else None
    if items is not None and len(items) == 2:
        pair: list[Any] = [constant_value(i) for i in items]
        if missing not in pair:
            return float(pair[0]), float(pair[1])
    found: Any = constant_value(value) if value is not None else missing
    if found is missing or found is None:
        raise Unfit(f"the factor of {name} is not known before the program runs")
    return -abs(float(found)), abs(float(found))


def augmenting(layer: Layer) -> list[Part]:
    """Random turns, zooms, shifts and contrast of images: other draws, in equal ranges."""
    layer.caution("images are augmented by other random numbers, in the same ranges")
    mode = layer.const("fill_mode", "reflect")
    if layer.const("interpolation", "bilinear") != "bilinear":
        raise Unfit(f"`interpolation` of {layer.site.short} is not translated")
    layer.refuse("fill_value")
    options: dict[str, Any] = {}
    if mode not in ("reflect", "nearest", "constant"):
        raise Unfit(f"fill_mode={mode!r} of {layer.site.short} is not translated")
    if mode != "reflect":
        options["fill_mode"] = mode
    if layer.name == "RandomContrast":
        limits_ = layer.unless("value_range", (0, 255))
        module = layer.emit("RandomContrast", layer.arg("factor"), value_range=limits_)
        return [Part(module, FIRST)]
    if layer.name == "RandomRotation":
        options["rotation"] = limits(layer.value("factor"), layer.site.short)
    elif layer.name == "RandomZoom":
        options["zoom_height"] = limits(layer.value("height_factor"), layer.site.short)
        if layer.const("width_factor", None) is not None:
            options["zoom_width"] = limits(layer.value("width_factor"), layer.site.short)
    else:
        options["shift_height"] = limits(layer.value("height_factor"), layer.site.short)
        options["shift_width"] = limits(layer.value("width_factor"), layer.site.short)
    return [Part(layer.emit("RandomAffine", **options), FIRST)]


def resizing(layer: Layer) -> list[Part]:
    mode = layer.const("interpolation", "bilinear")
    if mode not in ("bilinear", "nearest") or layer.const("crop_to_aspect_ratio", False):
        raise Unfit("this way of resizing is not translated")
    size = cst.Tuple([cst.Element(layer_size(layer, n)) for n in ("height", "width")])
    return [Part(call("torch.nn.Upsample", size, mode=OMIT if mode == "nearest" else mode), FIRST)]


def layer_size(layer: Layer, name: str) -> cst.BaseExpression:
    found = layer.arg(name)
    return found if isinstance(found, cst.BaseExpression) else cst.Integer(str(found))


def gaussian_dropout(layer: Layer) -> list[Part]:
    rate = layer.const("rate")
    return [Part(layer.emit("GaussianDropout", (rate / (1 - rate)) ** 0.5))]


def activity_penalty(layer: Layer) -> list[Part]:
    """What a layer's activity_regularizer adds to the loss."""
    l1, l2 = penalty(layer.site.short, layer.value("activity_regularizer"))
    if not l1 and not l2:
        return []
    return [Part(layer.emit("ActivityPenalty", l1=l1 or OMIT, l2=l2 or OMIT), ANY)]


LAYERS.update(
    {
        **dict.fromkeys(MERGES, merge), "Concatenate": concatenate,
        "ActivityRegularization": activity, "ELU": elu, "PReLU": prelu,
        "GroupNormalization": group_norm, "UnitNormalization": unit_norm,
        "RMSNormalization": rms_norm, "Masking": masking, "Attention": dot_attention,
        "AdditiveAttention": dot_attention, "Resizing": resizing,
        "GaussianDropout": gaussian_dropout,
        **{f"Adaptive{kind}Pooling{n}D": adaptive_pooling
           for kind in ("Average", "Max") for n in (1, 2, 3)},
        **dict.fromkeys(("RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast"),
                        augmenting),
    }
)  # fmt: skip
