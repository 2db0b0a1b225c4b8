"""Keras' layers as PyTorch modules: the sizes come from what is known of their inputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Sequence as Sequenced
from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import (
    Const,
    Instance,
)
from transpiler.rule import Unfit
from transpiler.rules.keras_bounds import penalty
from transpiler.rules.keras_layer import (
    ANY,
    FIRST,
    LAST,
    Layer,
    Part,
    UnknownSize,
    activated,
    sized,
    tell_lazy,
    weighted,
)
from transpiler.rules.keras_recurrent_layers import cell, recurrent
from transpiler.rules.keras_windows import (
    convolution,
    global_pooling,
    pooling,
    separable,
    transposed,
    upsampling,
    zero_padding,
)
from transpiler.site import Site
from transpiler.syntax import code, find
from transpiler.template import OMIT, as_node, call, fill


def dense(layer: Layer) -> list[Part]:
    module = sized(layer, "Linear", layer.arg("units"), bias=layer.unless("use_bias", True))
    return activated(layer, [Part(weighted(layer, module), LAST)])


def batch_norm(layer: Layer) -> list[Part]:
    x = layer.input
    if x is None or x.rank is None:
        raise Unfit(f"the rank of the input of {layer.site.short} is not known")
    axis = layer.const("axis", -1)
    if axis not in (-1, x.rank - 1):
        raise Unfit(f"axis={axis} of {layer.site.short} is not translated")
    layer.refuse("beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint",
                 "renorm", "synchronized")  # fmt: skip
    momentum = layer.plain("momentum")
    options: dict[str, Any] = {"eps": layer.arg("epsilon"), "momentum": minus_momentum(layer)}
    plain = layer.const("center", True) and layer.const("scale", True)
    order = FIRST if x.rank > 2 else ANY
    if layer.site.exact or not plain:
        if options["eps"] == 1e-3:
            options["eps"] = OMIT
        kept = {n: OMIT if layer.const(n, True) else False for n in ("center", "scale")}
        eps = OMIT if layer.plain("epsilon") == 1e-3 else options["eps"]
        decay = OMIT if momentum == 0.99 else options["momentum"]
        try:
            size = layer.size()
        except UnknownSize as error:
            if not plain:
                raise
            tell_lazy(layer, error)
            return [Part(layer.emit("LazyKerasBatchNorm", eps=eps, momentum=decay), order)]
        module = layer.emit("KerasBatchNorm", size, eps=eps, momentum=decay, **kept)
        return [Part(module, order)]
    layer.caution(
        "PyTorch's running variance takes the unbiased batch variance, Keras' the biased one:"
        " the output of evaluation differs by a factor of about 1 + 1/(2n), n values per batch"
    )
    eps = OMIT if layer.plain("epsilon") == 1e-5 else options["eps"]
    kind = {2: 1, 3: 1, 4: 2, 5: 3}.get(x.rank, 1)
    return [Part(sized(layer, f"BatchNorm{kind}d", eps=eps, momentum=options["momentum"]), order)]


def minus_momentum(layer: Layer) -> Any:
    """What is new of a running statistic, where Keras counts what is kept."""
    momentum = layer.plain("momentum")
    if isinstance(momentum, (int, float)) and not layer.names("momentum"):
        return round(1 - momentum, 12)
    return fill("1 - m", m=layer.arg("momentum"))


def normalized_shape(layer: Layer) -> Any:
    """The sizes of the last axes, over which a layer normalizes. Raises Unfit for other axes."""
    axis = layer.const("axis", -1)
    axes = [axis] if isinstance(axis, int) else list(axis)
    rank = layer.input.rank if layer.input is not None else None
    last = sorted(a - rank if rank is not None and a >= 0 else a for a in axes)
    if last != list(range(-len(axes), 0)):
        raise Unfit(f"`axis` of {layer.site.short} names other axes than the last")
    sizes = [layer.size(a) for a in last]
    if len(sizes) == 1:
        return sizes[0]
    return cst.Tuple([cst.Element(as_node(size)) for size in sizes])


def layer_norm(layer: Layer) -> list[Part]:
    center, scale = layer.const("center", True), layer.const("scale", True)
    if center and not scale:
        raise Unfit(f"{layer.site.short} with a center and no scale has no equal here")
    module = call("torch.nn.LayerNorm", normalized_shape(layer), eps=layer.arg("epsilon"),
                  elementwise_affine=OMIT if scale else False,
                  bias=OMIT if center or not scale else False)  # fmt: skip
    return [Part(module, LAST)]


def adapts(context: Context) -> bool:
    """Whether the program has an optimizer that goes by the squares of gradients, or may have."""
    names = {(i.class_names or ("",))[0] for i in context.interpreter.instances.values()}
    made = {n.rpartition(".")[2].lower() for n in names if n.startswith("keras.optimizers.")}
    texts = [s.evaluated_value for s in find(context.module, cst.SimpleString)]
    made |= {t.lower() for t in texts if isinstance(t, str)} & {"sgd", *ADAPTIVE}
    sums = "sgd" in made or any(n.startswith("to_tf.Torch") for n in names)
    return bool(made & ADAPTIVE) or not sums


ADAPTIVE = frozenset({"adam", "adamw", "nadam", "adamax", "rmsprop", "adagrad", "adadelta", "ftrl"})


def embedding(layer: Layer) -> list[Part]:
    layer.refuse("embeddings_constraint", "weights")
    if layer.scope is None and layer.const("mask_zero", False):
        layer.refuse("mask_zero")
    sparse = penalty(layer.site.short, layer.value("embeddings_regularizer")) == (0.0, 0.0)
    sparse = sparse and adapts(layer.site.context)
    unit = "KerasEmbedding" if layer.site.exact and sparse else None
    if sparse and not unit:
        layer.caution(
            "Keras' adaptive optimizers square the gradients of an id that a batch repeats one by"
            " one, PyTorch's their sum", "--fidelity exact writes KerasEmbedding",
        )  # fmt: skip
    args = layer.arg("input_dim"), layer.arg("output_dim")
    module = layer.emit(unit, *args) if unit else call("torch.nn.Embedding", *args)
    return [Part(weighted(layer, module, "embeddings"), LAST)]


def simple(template: str, order: str = ANY) -> Callable[[Layer], list[Part]]:
    """A layer without arguments."""
    return lambda layer: [Part(fill(template), order)]


def dropout(layer: Layer) -> list[Part]:
    layer.refuse("noise_shape")
    kind = layer.name[-2] if layer.name.startswith("Spatial") else ""
    if kind:
        return [Part(call(f"torch.nn.Dropout{kind}d", layer.arg("rate")), FIRST)]
    name = "AlphaDropout" if layer.name == "AlphaDropout" else "Dropout"
    return [Part(call(f"torch.nn.{name}", layer.arg("rate")))]


def activation(layer: Layer) -> list[Part]:
    return activated(layer, []) or [Part(fill("torch.nn.Identity()"))]


def leaky_relu(layer: Layer) -> list[Part]:
    name = "negative_slope" if "negative_slope" in layer.instance.arguments else "alpha"
    slope = layer.arg(name) if name in layer.instance.arguments else 0.3
    return [Part(call("torch.nn.LeakyReLU", slope))]


def softmax(layer: Layer) -> list[Part]:
    return [Part(call("torch.nn.Softmax", dim=layer.arg("axis")), LAST)]


def relu(layer: Layer) -> list[Part]:
    layer.refuse("negative_slope", "threshold")
    top = layer.const("max_value", None)
    if top not in (None, 6, 6.0):
        return [Part(call("torch.nn.Hardtanh", 0.0, top))]
    return [Part(fill("torch.nn.ReLU()" if top is None else "torch.nn.ReLU6()"))]


def reshape(layer: Layer) -> list[Part]:
    node = layer.site.args.get("target_shape")
    if layer.scope is None and not layer.literal and isinstance(node, (cst.Tuple, cst.List)):
        return [Part(layer.emit("Reshape", *(e.value for e in node.elements)), LAST)]
    shape = tuple(layer.const("target_shape"))
    sizes = list(_sizes_written(layer, shape))
    if layer.scope is not None and len(shape) > 1 and set(shape[:-1]) == {1}:
        # one number per channel, to be multiplied with maps that stand channels first
        return [Part(layer.emit("Reshape", sizes[-1], *sizes[:-1]), LAST, FIRST)]
    return [Part(layer.emit("Reshape", *sizes), LAST)]


def _sizes_written(layer: Layer, shape: tuple[int, ...]) -> list[Any]:
    """The elements of a shape as the class can write them."""
    node = layer.site.args.get("target_shape")
    if not isinstance(node, (cst.Tuple, cst.List)):
        return list(shape)
    if layer.scope is None:
        return list(shape)
    return [layer.scope.write(e.value, Const(n)) for e, n in zip(node.elements, shape, strict=True)]


def permute(layer: Layer) -> list[Part]:
    return [Part(layer.emit("Permute", 0, *layer.const("dims")), LAST)]


def repeat_vector(layer: Layer) -> list[Part]:
    return [Part(layer.emit("RepeatVector", layer.arg("n")), LAST)]


def noise(layer: Layer) -> list[Part]:
    return [Part(layer.emit("GaussianNoise", layer.arg("stddev")))]


def rescaling(layer: Layer) -> list[Part]:
    offset = OMIT if layer.const("offset", None) in (0, 0.0) else layer.arg("offset")
    return [Part(layer.emit("Rescaling", layer.arg("scale"), offset))]


def function_layer(layer: Layer) -> list[Part]:
    layer.refuse("mask", "arguments")
    return [Part(layer.emit("Lambda", layer.site.arg("function")), LAST)]


def bidirectional(layer: Layer) -> list[Part]:
    inner = layer.instance.arguments.get("layer")
    node = layer.site.args.get("layer")
    if not isinstance(inner, Instance) or not isinstance(node, cst.Call):
        raise Unfit("the layer in Bidirectional is not known before the program runs")
    layer.refuse("backward_layer")
    site = Site(layer.site.context, node, inner.class_names[0])
    inner.state.setdefault("input", layer.instance.state.get("input"))
    first = layer_parts(site, inner, layer.literal, layer.scope)
    second = layer_parts(site, inner, layer.literal, layer.scope)
    back = second[0].node
    assert isinstance(back, cst.Call)
    from transpiler.template import arguments

    backward = back.with_changes(args=[*back.args, *arguments([], {"go_backwards": True})])
    layer.site.context.claim(node)
    mode = layer.const("merge_mode", "concat")
    return [Part(layer.emit("Bidirectional", first[0].node, backward.deep_clone(),
                            merge_mode=OMIT if mode == "concat" else mode), LAST)]  # fmt: skip


def distributed(layer: Layer) -> list[Part]:
    inner, node = layer.instance.arguments.get("layer"), layer.site.args.get("layer")
    name = inner.class_names[0] if isinstance(inner, Instance) and inner.class_names else ""
    if name != "keras.layers.Dense" or not isinstance(node, cst.Call):
        raise Unfit("TimeDistributed is translated around Dense only")
    assert isinstance(inner, Instance)
    inner.state["input"] = layer.instance.state.get("input")
    layer.site.context.claim(node)
    return layer_parts(Site(layer.site.context, node, name), inner, layer.literal, layer.scope)


def attention(layer: Layer) -> list[Part]:
    layer.refuse("attention_axes", "kernel_regularizer", "bias_regularizer")
    module = layer.emit(
        "KerasMultiHeadAttention", layer.size(), layer.arg("num_heads"), layer.arg("key_dim"),
        value_dim=layer.unless("value_dim", None), dropout=layer.unless("dropout", 0.0),
        use_bias=layer.unless("use_bias", True), output_dim=layer.unless("output_shape", None),
    )  # fmt: skip
    return [Part(module, LAST)]


def augmenting(layer: Layer) -> list[Part]:
    """Random flips, turns, zooms and shifts of images."""
    if layer.name == "RandomFlip":
        return [
            Part(layer.emit("RandomFlip", layer.unless("mode", "horizontal_and_vertical")), FIRST)
        ]
    raise Unfit(
        f"{layer.site.short} draws other numbers than its PyTorch equal and is not translated",
        "torchvision.transforms.v2 has similar augmentations",
    )


def normalization(layer: Layer) -> list[Part]:
    mean, variance = layer.instance.arguments.get("mean"), layer.instance.arguments.get("variance")
    options = {
        n: layer.arg(n) for n, v in (("mean", mean), ("variance", variance)) if v is not None
    }
    layer.refuse("invert")
    axis = layer.const("axis", -1)
    rank = layer.input.rank if layer.input is not None else None
    if isinstance(axis, int) and axis != -1 and axis + 1 != rank:
        raise Unfit("layers.Normalization of an axis that is not the last one is not translated")
    if axis is None:
        options["axis"] = None
    return [Part(layer.emit("Normalization", **options), LAST)]


LAYERS: dict[str, Callable[[Layer], list[Part]]] = {
    "Dense": dense,
    **{f"{p}{n}D": convolution for n in (1, 2, 3) for p in ("Conv", "DepthwiseConv")},
    "SeparableConv1D": separable, "SeparableConv2D": separable,
    **{f"Conv{n}DTranspose": transposed for n in (1, 2, 3)},
    **{f"{p}Pooling{n}D": pooling for n in (1, 2, 3) for p in ("Max", "Average")},
    **{f"Global{p}Pooling{n}D": global_pooling for n in (1, 2, 3) for p in ("Max", "Average")},
    **{f"{p}{n}D": zero_padding for n in (1, 2, 3) for p in ("ZeroPadding", "Cropping")},
    **{f"UpSampling{n}D": upsampling for n in (1, 2, 3)},
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm, "Embedding": embedding,
    "Flatten": simple("torch.nn.Flatten()", LAST), "Identity": simple("torch.nn.Identity()"),
    **dict.fromkeys(("Dropout", "AlphaDropout"), dropout),
    **dict.fromkeys([f"SpatialDropout{n}D" for n in (1, 2, 3)], dropout),
    "Activation": activation, "LeakyReLU": leaky_relu, "Softmax": softmax, "ReLU": relu,
    "Reshape": reshape, "Permute": permute, "RepeatVector": repeat_vector, "GaussianNoise": noise,
    "Rescaling": rescaling, "Lambda": function_layer, "LSTM": recurrent, "GRU": recurrent,
    "SimpleRNN": recurrent, **dict.fromkeys(("LSTMCell", "GRUCell", "SimpleRNNCell"), cell),
    "Bidirectional": bidirectional, "TimeDistributed": distributed,
    "MultiHeadAttention": attention, "RandomFlip": augmenting, "Normalization": normalization,
}  # fmt: skip


ELEMENTWISE = frozenset({"ReLU", "LeakyReLU", "ELU", "Dropout", "GaussianNoise", "Identity"})
"""Layers that are the same in any order of axes."""


def layer_parts(
    site: Site,
    instance: Instance,
    literal: bool = False,
    scope: Any = None,
    peers: Sequenced[Instance] = (),
) -> list[Part]:
    """The modules that a layer of the library becomes. Raises Unfit."""
    layer = Layer(site, instance, literal, scope, peers)
    write = LAYERS.get(layer.name)
    if write is None:
        raise Unfit(f"no rule for {site.name}")
    parts = write(layer)
    if layer.const("trainable", True) is False:
        freeze(layer, parts)
    return parts


WEIGHTED = re.compile("Linear|Conv|Norm|Embedding|LSTM|GRU|RNN|Loop|Attention|PReLU|Bidirectional")


def freeze(layer: Layer, parts: list[Part]) -> None:
    """`trainable=False` of a layer's constructor."""
    for part in parts:
        name = code(part.node.func) if isinstance(part.node, cst.Call) else ""
        if "Norm" in layer.name and layer.name.startswith(("Batch", "Sync")):
            part.node = layer.emit("set_trainable", part.node, False)
        elif WEIGHTED.search(name) or "regularize" in name:
            part.node = fill("module.requires_grad_(False)", module=part.node)
