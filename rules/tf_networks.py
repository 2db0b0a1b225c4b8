"""`tf.nn` and `keras.activations`: activations, convolutions, pooling and losses as functions."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.arrays import is_float
from transpiler.infer.values import scalar_type
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.keras_losses import are_distributions
from transpiler.rules.tf_arguments import OMIT, TfArguments, tensor
from transpiler.rules.tf_operands import as_tensor, everywhere
from transpiler.site import Site, constant_value, missing
from transpiler.syntax import code
from transpiler.template import fill

F = "torch.nn.functional."
ACTIVATIONS = {
    "relu": "torch.relu(x)", "relu6": F + "relu6(x)", "selu": F + "selu(x)",
    "softplus": F + "softplus(x)", "softsign": F + "softsign(x)", "mish": F + "mish(x)",
    "swish": F + "silu(x)", "silu": F + "silu(x)", "log_sigmoid": F + "logsigmoid(x)",
    "hard_sigmoid": F + "hardsigmoid(x)", "hard_silu": F + "hardswish(x)",
    "hard_swish": F + "hardswish(x)", "tanh_shrink": F + "tanhshrink(x)", "linear": "x",
    "hard_tanh": F + "hardtanh(x)",
}  # fmt: skip


@rewrites(
    *everywhere(*ACTIVATIONS), to="torch",
    proof=Proof(
        inputs=[(2, 3)], tolerance=1e-8,
        reason="torch's softplus is linear beyond 20, where exp(-x) is below 2.1e-9",
        keras_cases=["tf.nn.relu(x)", "tf.nn.relu6(x * 9)", "tf.nn.selu(x)", "tf.nn.softplus(x)",
                     "tf.nn.swish(x)", "keras.activations.relu(x)", "keras.activations.linear(x)",
                     "keras.ops.silu(x)", "tf.keras.backend.relu(x)", "tf.math.log_sigmoid(x)",
                     "keras.activations.hard_sigmoid(x)", "tf.nn.softsign(x)",
                     "keras.activations.relu(x, max_value=0.5)",
                     "keras.activations.relu(x, negative_slope=0.1)"],
    ),
)  # fmt: skip
def activation(site: Site) -> Any:
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    if name == "relu" and site.name.startswith(("keras.activations", "keras.backend")):
        return rectifier(site, given)
    beta = given.const("beta", default=1.0)
    if beta != 1.0:
        return fill("x * torch.sigmoid(b * x)", x=given.x, b=given.need("beta"))
    return fill(ACTIVATIONS[name], x=given.x)


def rectifier(site: Site, given: TfArguments) -> Any:
    """`relu(x, negative_slope, max_value, threshold)`."""
    slope = given.const("negative_slope", "alpha", default=0.0)
    highest, threshold = given.get("max_value"), given.const("threshold", default=0.0)
    if threshold:
        raise Unfit(f"`threshold` of {site.short} has no equal here")
    if highest is not None and not slope:
        return fill("torch.clamp(x, 0.0, h)", x=given.x, h=highest)
    if highest is not None:
        raise Unfit(f"{site.short} with a slope and a highest value")
    if slope:
        return fill(F + "leaky_relu(x, s)", x=given.x, s=slope)
    return fill("torch.relu(x)", x=given.x)


@rewrites(
    *everywhere("elu", "leaky_relu", "gelu", "celu", "hard_shrink", "soft_shrink", "threshold"),
    to="torch",
    proof=Proof(inputs=[(2, 3)],
                keras_cases=["tf.nn.elu(x)", "tf.nn.leaky_relu(x)",
                             "tf.nn.leaky_relu(x, alpha=0.1)",
                             "tf.nn.gelu(x)", "keras.activations.gelu(x, approximate=True)",
                             "keras.activations.elu(x, alpha=0.5)", "keras.ops.gelu(x)",
                             "keras.ops.leaky_relu(x, negative_slope=0.3)",
                             "keras.activations.gelu(x)", "keras.activations.soft_shrink(x)",
                             "keras.activations.hard_shrink(x, threshold=0.3)",
                             "keras.ops.threshold(x, 0.1, 0.2)"]),
)  # fmt: skip
def shaped_activation(site: Site) -> Any:
    """Slopes are 0.2 by default; `keras.ops.gelu` approximates where nothing is said."""
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    if name == "gelu":
        usual = site.name == "keras.ops.gelu"
        tanh = "tanh" if given.const("approximate", default=usual) else OMIT
        return fill(F + "gelu(x, approximate=a)", x=given.x, a=tanh)
    if name == "leaky_relu":
        slope = given.get("alpha", "negative_slope")
        return fill(F + "leaky_relu(x, s)", x=given.x, s=0.2 if slope is None else slope)
    if name.endswith("_shrink"):
        bound = given.get("threshold")
        bound = OMIT if bound is None or constant_value(site.fact(bound)) == 0.5 else bound
        return fill(F + f"{name.replace('_', '')}(x, b)", x=given.x, b=bound)
    if name == "threshold":
        return fill(F + "threshold(x, t, v)", x=given.x, t=given.need("threshold"),
                    v=given.need("default_value", "value"))  # fmt: skip
    alpha = given.get("alpha")
    alpha = OMIT if alpha is None or constant_value(site.fact(alpha)) == 1.0 else alpha
    return fill(F + f"{name}(x, alpha=a)", x=given.x, a=alpha)


@rewrites(
    *everywhere("softmax", "log_softmax"), to="torch",
    proof=Proof(inputs=[(2, 3)],
                keras_cases=["tf.nn.softmax(x)", "tf.nn.softmax(x, axis=0)",
                             "tf.nn.log_softmax(x, axis=-1)", "keras.activations.softmax(x)",
                             "keras.ops.softmax(x, axis=-1)", "keras.ops.softmax(x, axis=None)",
                             "tf.keras.backend.softmax(x)"]),
)  # fmt: skip
def softmax(site: Site) -> Any:
    given = TfArguments(site)
    name = site.name.rpartition(".")[2]
    axis = given.axis()
    if axis is OMIT and site.name.startswith("keras.ops") and given.values.get("axis") is not None:
        return fill(f"torch.{name}(torch.flatten(x), dim=0).reshape(x.shape)", x=given.x)
    return fill(f"torch.{name}(x, dim=d)", x=given.x, d=-1 if axis is OMIT else axis)


@rewrites(*everywhere("glu"), to="torch",
          proof=Proof(inputs=[(2, 6)], keras_cases=["keras.activations.glu(x)",
                                                    "keras.ops.glu(x, axis=0)"]))  # fmt: skip
def glu(site: Site) -> Any:
    given = TfArguments(site)
    axis = OMIT if given.const("axis", default=-1) == -1 else given.axis()
    return fill(F + "glu(x, dim=d)", x=given.x, d=axis)


@rewrites("tf.nn.crelu", to="torch",
          proof=Proof(inputs=[(2, 3)], keras_cases=["tf.nn.crelu(x)"]))  # fmt: skip
def crelu(site: Site) -> Any:
    return fill("torch.relu(torch.cat([x, -x], dim=-1))", x=TfArguments(site).x)


@rewrites("tf.nn.dropout", "keras.random.dropout", "keras.backend.dropout", to="torch")
def dropout(site: Site) -> Any:
    """A function that always drops."""
    given = TfArguments(site)
    if given.get("noise_shape") is not None:
        raise Unfit(f"`noise_shape` of {site.short} has no equal here")
    return fill(F + "dropout(x, p)", x=given.x, p=given.need("rate", "level"))


@rewrites("tf.nn.bias_add", "keras.backend.bias_add", to="torch",
          proof=Proof(inputs=[(2, 3), (3,)], keras_cases=["tf.nn.bias_add(x, y)"]))  # fmt: skip
def bias_add(site: Site) -> Any:
    given = TfArguments(site)
    if str(given.const("data_format", default="N...C")).startswith("NC"):
        raise Unfit(f"{site.short} with the channels first")
    return fill("x + b", x=given.x, b=tensor(site, given.need("bias")))


@rewrites("tf.nn.batch_normalization", "keras.ops.batch_normalization", to="torch",
          proof=Proof(inputs=[(4, 3), (3,), "positive(3)"],
                      keras_cases=["tf.nn.batch_normalization(x, y, z, y, z, 1e-3)",
                                   "tf.nn.batch_normalization(x, y, z, None, None, 1e-5)"]),
)  # fmt: skip
def batch_normalization(site: Site) -> Any:
    given = TfArguments(site)
    if site.name.startswith("keras."):
        raise Unfit("keras.ops.batch_normalization as a function")
    new = fill("(x - m) * torch.rsqrt(v + e)", x=given.x, m=given.need("mean"),
               v=given.need("variance"), e=given.need("variance_epsilon"))  # fmt: skip
    scale, offset = given.get("scale"), given.get("offset")
    if scale is not None:
        new = fill("x * s", x=new, s=scale)
    return new if offset is None else fill("x + o", x=new, o=offset)


# ---- losses -----------------------------------------------------------------------------------


def target(site: Site, node: Any) -> Any:
    """Targets as floating point numbers."""
    dtype = as_tensor(site.fact(node)).dtype
    new = tensor(site, node)
    return new if dtype is None or is_float(dtype) else fill("x.float()", x=new)


def classes(site: Site, node: Any) -> Any:
    """Targets as class numbers, which torch takes as int64."""
    dtype = as_tensor(site.fact(node)).dtype
    new = tensor(site, node)
    return new if dtype == "int64" else fill("x.long()", x=new)


@rewrites("tf.nn.sigmoid_cross_entropy_with_logits", to="torch",
          proof=Proof(inputs=[(2, 3), "unit(2, 3)", "int(2, 3) < 2"],
                      keras_cases=["tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x)",
                                   "tf.nn.sigmoid_cross_entropy_with_logits("
                                   "labels=tf.cast(z, tf.float32), logits=x)"]))  # fmt: skip
def sigmoid_cross_entropy(site: Site) -> Any:
    given = TfArguments(site)
    return fill(F + 'binary_cross_entropy_with_logits(x, y, reduction="none")',
                x=tensor(site, given.need("logits")),
                y=target(site, given.need("labels")))  # fmt: skip


@rewrites("tf.nn.weighted_cross_entropy_with_logits", to="torch",
          proof=Proof(inputs=[(2, 3), "unit(2, 3)"],
                      keras_cases=["tf.nn.weighted_cross_entropy_with_logits(y, x, 2.0)"]),
)  # fmt: skip
def weighted_cross_entropy(site: Site) -> Any:
    given = TfArguments(site)
    weight = tensor(site, given.need("pos_weight"))
    return fill(F + 'binary_cross_entropy_with_logits(x, y, pos_weight=w, reduction="none")',
                x=tensor(site, given.need("logits")), y=target(site, given.need("labels")),
                w=weight)  # fmt: skip


@rewrites(
    "tf.nn.softmax_cross_entropy_with_logits", "tf.nn.sparse_softmax_cross_entropy_with_logits",
    to="torch",
    proof=Proof(inputs=[(4, 3), "unit(4, 3)", "int(4) < 3", (2, 4, 3)],
                keras_cases=["tf.nn.softmax_cross_entropy_with_logits("
                             "labels=tf.nn.softmax(y), logits=x)",
                             "tf.nn.sparse_softmax_cross_entropy_with_logits(labels=z, logits=x)",
                             "tf.nn.sparse_softmax_cross_entropy_with_logits("
                             "tf.stack([z, z]), w)",
                             "tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(w), w)"]),
)  # fmt: skip
def softmax_cross_entropy(site: Site) -> Any:
    """torch has the classes on the second axis."""
    given = TfArguments(site)
    if given.const("axis", default=-1) != -1:
        raise Unfit(f"`axis` of {site.short} has no equal here")
    labels, logits = given.need("labels"), given.need("logits")
    return cross_entropy(site, labels, logits, "sparse" in site.name)


def cross_entropy(site: Site, labels: Any, logits: Any, sparse: bool) -> Any:
    """The loss of each example, from logits with the classes last."""
    rank = as_tensor(site.fact(logits)).rank
    if rank is None:
        held = as_tensor(site.fact(labels)).rank
        rank = None if held is None else held + sparse
    x = tensor(site, logits)
    y = classes(site, labels) if sparse else target(site, labels)
    if not sparse and not are_distributions(site.context):
        return fill("unit(y, x)", unit=site.emit("soft_cross_entropy"), x=x, y=y)
    if rank == 2:
        return fill(F + 'cross_entropy(x, y, reduction="none")', x=x, y=y)
    if sparse:
        return fill(F + 'cross_entropy(x.movedim(-1, 1), y, reduction="none")', x=x, y=y)
    return fill("-(y * torch.log_softmax(x, dim=-1)).sum(-1)", x=x, y=y)


# ---- convolutions -----------------------------------------------------------------------------

CONVOLUTIONS = {
    "tf.nn.conv2d": "conv2d", "tf.nn.conv1d": "conv1d", "tf.nn.conv3d": "conv3d",
    "tf.nn.depthwise_conv2d": "depthwise_conv2d", "keras.backend.conv2d": "conv2d",
    "tf.nn.convolution": "conv2d",
}  # fmt: skip


def check_format(site: Site, given: TfArguments) -> None:
    value = str(given.const("data_format", default="NHWC"))
    if value.upper().startswith("NC") or value == "channels_first":
        raise Unfit(f"{site.short} with the channels first")


def window(site: Site, given: TfArguments, *names: str) -> Any:
    """Strides and sizes of windows: `[1, 2, 2, 1]` is (2, 2) in space."""
    node = given.get(*names)
    if node is None:
        return OMIT
    value = constant_value(site.fact(node))
    if value is missing:
        return _written_window(site, node, names[0])
    if isinstance(value, (list, tuple)):
        space = _in_space(site, value)
        if len(set(space)) == 1:
            return space[0]
        return tuple(space)
    return value


def _in_space(site: Site, per_axis: Any) -> list[Any]:
    """What is given for every axis, for those between the batch and the channels."""
    inner = len(per_axis) > 3 or site.name.endswith("1d")
    return list(per_axis[1:-1]) if inner else list(per_axis)


def _written_window(site: Site, node: Any, name: str) -> Any:
    """The same of a list whose elements are known only as expressions, `[1, n, n, 1]`."""
    if isinstance(node, (cst.List, cst.Tuple)) and all(
        isinstance(e, cst.Element) for e in node.elements
    ):
        space = _in_space(site, [e.value for e in node.elements])
        if len({code(n).strip() for n in space}) == 1:
            return space[0]
        if space:
            return cst.Tuple([cst.Element(n) for n in space])
    if scalar_type(site.fact(node)) == "int":
        return node
    raise Unfit(f"`{name}` of {site.short} is not known before the program runs")


@rewrites(
    *CONVOLUTIONS, to="torch",
    proof=Proof(inputs=[(2, 5, 6, 3), (3, 3, 3, 4), (2, 7, 3), (3, 3, 5)],
                keras_cases=["tf.nn.conv2d(x, y, strides=1, padding='SAME')",
                             "tf.nn.conv2d(x, y, [1, 2, 2, 1], 'SAME')",
                             "tf.nn.conv2d(x, filters=y, strides=[1, 1, 1, 1], padding='VALID')",
                             "tf.nn.conv1d(z, w, stride=2, padding='SAME')",
                             "tf.nn.depthwise_conv2d(x, y, strides=[1, 1, 1, 1], padding='SAME')"]),
)  # fmt: skip
def convolution(site: Site) -> Any:
    given = TfArguments(site)
    check_format(site, given)
    filters = tensor(site, given.need("filters", "filter", "kernel"))
    padding = str(given.const("padding", default="VALID")).upper()
    if padding not in ("SAME", "VALID"):
        raise Unfit(f"explicit padding of {site.short} is not translated")
    return fill("unit(x, f, stride=s, padding=p, dilation=d)",
                unit=site.emit(CONVOLUTIONS[site.name]), x=given.x, f=filters,
                s=_unless_one(window(site, given, "strides", "stride")),
                p="same" if padding == "SAME" else OMIT,
                d=_unless_one(window(site, given, "dilations", "dilation_rate")))  # fmt: skip


def _unless_one(value: Any) -> Any:
    return OMIT if value == 1 else value


POOLS = {
    "tf.nn.max_pool2d": "max_pool2d", "tf.nn.max_pool": "max_pool2d",
    "tf.nn.avg_pool2d": "avg_pool2d", "tf.nn.avg_pool": "avg_pool2d",
    "tf.nn.max_pool1d": "max_pool1d", "tf.nn.avg_pool1d": "avg_pool1d",
}  # fmt: skip


@rewrites(
    *POOLS, to="torch",
    proof=Proof(inputs=[(2, 5, 6, 3), (2, 7, 3)],
                keras_cases=["tf.nn.max_pool2d(x, 2, 2, 'VALID')",
                             "tf.nn.max_pool2d(x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], "
                             "padding='SAME')",
                             "tf.nn.avg_pool2d(x, 3, strides=2, padding='SAME')",
                             "tf.nn.max_pool1d(y, 2, 2, 'VALID')",
                             "tf.nn.avg_pool1d(y, 3, 1, 'SAME')"]),
)  # fmt: skip
def pooling(site: Site) -> Any:
    given = TfArguments(site)
    check_format(site, given)
    padding = str(given.const("padding", default="VALID")).upper()
    return fill("unit(x, k, stride=s, padding=p)", unit=site.emit(POOLS[site.name]), x=given.x,
                k=window(site, given, "ksize", "pool_size"), s=window(site, given, "strides"),
                p="same" if padding == "SAME" else OMIT)  # fmt: skip


@rewrites("tf.nn.depth_to_space", "tf.nn.space_to_depth", to="torch",
          proof=Proof(inputs=[(2, 4, 6, 8)],
                      keras_cases=["tf.nn.depth_to_space(x, 2)",
                                   "tf.nn.space_to_depth(x, 2)"]))  # fmt: skip
def depth_and_space(site: Site) -> Any:
    given = TfArguments(site)
    check_format(site, given)
    return fill("unit(x, n)", unit=site.emit(site.name.rpartition(".")[2]), x=given.x,
                n=given.need("block_size"))  # fmt: skip


@rewrites("tf.nn.conv2d_transpose", to="torch",
          proof=Proof(inputs=[(2, 4, 5, 3), (3, 3, 2, 3)],
                      keras_cases=["tf.nn.conv2d_transpose(x, y, [2, 8, 10, 2], strides=2, "
                                   "padding='SAME')",
                                   "tf.nn.conv2d_transpose(x, y, [2, 4, 5, 2], [1, 1, 1, 1])",
                                   "tf.nn.conv2d_transpose(x, y, [2, 9, 11, 2], 2, 'VALID')"]),
)  # fmt: skip
def transposed_convolution(site: Site) -> Any:
    given = TfArguments(site)
    check_format(site, given)
    if given.get("dilations") is not None:
        raise Unfit(f"`dilations` of {site.short} has no equal here")
    padding = str(given.const("padding", default="SAME")).upper()
    return fill("unit(x, f, s, stride=t, padding=p)", unit=site.emit("conv2d_transpose"),
                x=given.x, f=tensor(site, given.need("filters", "filter")),
                s=given.need("output_shape"), t=window(site, given, "strides"),
                p="valid" if padding == "VALID" else OMIT)  # fmt: skip


@rewrites("tf.nn.separable_conv2d", to="torch",
          proof=Proof(inputs=[(2, 4, 5, 3), (3, 3, 3, 2), (1, 1, 6, 4)],
                      keras_cases=["tf.nn.separable_conv2d(x, y, z, [1, 1, 1, 1], 'SAME')"]),
)  # fmt: skip
def separable_convolution(site: Site) -> Any:
    given = TfArguments(site)
    check_format(site, given)
    padding = str(given.const("padding", default="VALID")).upper()
    new = fill("unit(x, f, stride=s, padding=p)", unit=site.emit("depthwise_conv2d"), x=given.x,
               f=tensor(site, given.need("depthwise_filter")),
               s=_unless_one(window(site, given, "strides")),
               p="same" if padding == "SAME" else OMIT)  # fmt: skip
    return fill("unit(x, f)", unit=site.emit("conv2d"), x=new,
                f=tensor(site, given.need("pointwise_filter")))  # fmt: skip


@rewrites("tf.nn.lrn", to="torch")
def response_normalization(site: Site) -> Any:
    """torch divides alpha by the size of the window, and has the channels on the second axis."""
    given = TfArguments(site)
    radius = given.const("depth_radius", default=5)
    options = {name: given.const(name, default=usual)
               for name, usual in (("alpha", 1.0), ("beta", 0.5), ("bias", 1.0))}  # fmt: skip
    size = 2 * radius + 1
    new = fill(F + "local_response_norm(x.movedim(-1, 1), n, alpha=a, beta=b, k=k)", x=given.x,
               n=size, a=float(options["alpha"] * size), b=float(options["beta"]),
               k=float(options["bias"]))  # fmt: skip
    return fill("x.movedim(1, -1)", x=new)


@rewrites("tf.nn.compute_average_loss", to="torch",
          proof=Proof(inputs=["positive(4)"],
                      keras_cases=["tf.nn.compute_average_loss(x, global_batch_size=8)"]),
)  # fmt: skip
def average_loss(site: Site) -> Any:
    given = TfArguments(site)
    if given.get("sample_weight") is not None:
        raise Unfit(f"`sample_weight` of {site.short} has no equal here")
    size = given.get("global_batch_size")
    if size is None:
        return fill("torch.mean(x)", x=given.x)
    return fill("torch.sum(x) / n", x=given.x, n=size)


@rewrites("tf.nn.scale_regularization_loss", to="torch")
def scaled_regularization(site: Site) -> Any:
    """One replica."""
    return TfArguments(site).x
