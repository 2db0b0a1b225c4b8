"""Activations and other elementwise functions of torch.nn.functional."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import Tensor
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.operands import both, in_module
from transpiler.rules.tensor_arguments import OMIT, Arguments, axis, dtype_argument, fill, is_simple
from transpiler.rules.tf_arguments import on_tensor
from transpiler.site import Site, constant_value

F = "torch.nn.functional"
SIMPLE = {
    "relu": "tf.nn.relu", "relu6": "tf.nn.relu6", "silu": "tf.nn.silu", "selu": "tf.nn.selu",
    "softsign": "tf.nn.softsign", "mish": "keras.activations.mish", "sigmoid": "tf.sigmoid",
    "tanh": "tf.tanh", "logsigmoid": "tf.math.log_sigmoid",
}  # fmt: skip
HARD = {"hardsigmoid": "keras.activations.hard_sigmoid", "hardswish": "keras.activations.hard_silu"}


@rewrites(
    *in_module(F, *SIMPLE, "relu_"), "torch.relu", "torch.Tensor.relu", "torch.selu",
    to="tf", layout="elementwise",
    proof=Proof(inputs=[(4, 5)],
                cases=[f"F.{n}(x)" for n in SIMPLE] + ["F.relu(x, inplace=True)", "x.relu()"]),
)  # fmt: skip
def activation(site: Site) -> Any:
    given = Arguments(site)
    return fill(f"{SIMPLE[site.name.rpartition('.')[2].rstrip('_')]}(x)", x=given.x)


RELU_BACK = Rule("relu", torch="torch.relu(x)", keras=("tf.nn.relu(x)", "keras.ops.relu(x)"),
                 when=on_tensor, to="torch")  # fmt: skip


@rewrites(
    *in_module(F, *HARD), to="tf", layout="elementwise",
    proof=Proof(inputs=[(4, 5)], cases=[f"F.{n}(x)" for n in HARD], tolerance=1e-7,
                reason="torch's own gradient uses 1/6 in single precision"),
)  # fmt: skip
def hard_activation(site: Site) -> Any:
    given = Arguments(site)
    return fill(f"{HARD[site.name.rpartition('.')[2]]}(x)", x=given.x)


@rewrites(
    *in_module(F, "leaky_relu", "elu", "celu", "softplus", "hardtanh", "softshrink", "hardshrink",
               "threshold", "tanhshrink", "gelu", "leaky_relu_", "elu_"),
    "torch.celu", to="tf", layout="elementwise",
    proof=Proof(
        inputs=[(4, 5)],
        cases=["F.leaky_relu(x)", "F.leaky_relu(x, 0.2)", "F.leaky_relu(x, negative_slope=0.1)",
               "F.elu(x)", "F.elu(x, alpha=0.5)", "F.softplus(x)",
               "F.softplus(x, beta=2)", "F.hardtanh(x)", "F.hardtanh(x, -0.5, 0.5)",
               "F.softshrink(x)", "F.hardshrink(x, 0.3)", "F.threshold(x, 0.1, 0.2)",
               "F.tanhshrink(x)", "F.gelu(x)", "F.gelu(x, approximate='tanh')"],
    ),
)  # fmt: skip
def shaped_activation(site: Site) -> Any:
    given = Arguments(site)
    name, x = site.name.rpartition(".")[2].rstrip("_"), given.x
    match name:
        case "leaky_relu":
            slope = given.get("negative_slope", at=0)
            return fill("tf.nn.leaky_relu(x, alpha=a)", x=x, a=0.01 if slope is None else slope)
        case "elu":
            alpha = given.get("alpha", at=0)
            if alpha is None or constant_value(site.fact(alpha)) == 1:
                return fill("tf.nn.elu(x)", x=x)
            return fill("keras.activations.elu(x, alpha=a)", x=x, a=alpha)
        case "celu":
            return fill("keras.activations.celu(x, alpha=a)", x=x, a=given.given("alpha", at=0))
        case "softplus":
            beta = given.get("beta", at=0)
            if beta is None or constant_value(site.fact(beta)) == 1:
                return fill("tf.nn.softplus(x)", x=x)
            return fill("tf.nn.softplus(b * x) / b", x=x, b=beta)
        case "hardtanh":
            low, high = given.get("min_val", at=0), given.get("max_val", at=1)
            return fill("tf.clip_by_value(x, a, b)", x=x, a=-1.0 if low is None else low,
                        b=1.0 if high is None else high)  # fmt: skip
        case "gelu":
            tanh = given.const("approximate", at=0, default="none") == "tanh"
            return fill("tf.nn.gelu(x, approximate=t)", x=x, t=True if tanh else OMIT)
        case "softshrink" | "hardshrink":
            kind = "soft_shrink" if name == "softshrink" else "hard_shrink"
            return fill(f"keras.activations.{kind}(x, threshold=t)", x=x,
                        t=given.given("lambd", at=0))  # fmt: skip
        case "threshold":
            return fill("keras.activations.threshold(x, t, v)", x=x,
                        t=given.get("threshold", at=0), v=given.get("value", at=1))  # fmt: skip
    return fill("keras.activations.tanh_shrink(x)", x=x)


@rewrites(
    *in_module(F, "softmax", "log_softmax"), *both("softmax", "log_softmax"),
    f"{F}.softmin", to="tf", layout="axis",
    proof=Proof(
        inputs=[(4, 5), (2, 3, 4)],
        cases=["F.softmax(x, dim=1)", "F.log_softmax(x, dim=-1)", "torch.softmax(y, 1)",
               "x.softmax(0)", "F.softmax(x)", "F.log_softmax(x)", "y.log_softmax(dim=2)",
               "F.softmin(x, dim=1)"],
    ),
)  # fmt: skip
def softmax(site: Site) -> Any:
    given = Arguments(site)
    kind = "log_softmax" if "log" in site.name.rpartition(".")[2] else "softmax"
    dim = given.get("dim", "axis", at=0)
    asked = dtype_argument(site, given.get("dtype"))
    x = given.x if asked is OMIT else fill("tf.cast(x, d)", x=given.x, d=asked)
    if site.name.endswith("softmin"):
        x = fill("-x", x=x)
    if dim is None:  # torch's old default: the second axis of matrices and images
        rank = site.rank(given.x)
        if rank is None:
            raise Unfit(f"{site.short} without `dim` depends on the rank of its tensor",
                        "name the axis")  # fmt: skip
        place = axis(site, given.x, 0 if rank in (0, 1, 3) else 1)
    else:
        place = axis(site, given.x, dim)
    if constant_value(site.fact(place) if isinstance(place, cst.CSTNode) else _plain(place)) == -1:
        place = OMIT
    return fill(f"tf.nn.{kind}(x, axis=a)", x=x, a=place)


def _plain(value: Any) -> Any:
    from transpiler.infer.values import Const

    return Const(value)


@rewrites(f"{F}.glu", to="tf", proof=Proof(inputs=[(4, 6)], cases=["F.glu(x)", "F.glu(x, dim=0)"]))
def gated(site: Site) -> Any:
    given = Arguments(site)
    return fill("keras.activations.glu(x, axis=a)", x=given.x, a=given.given("dim", at=0))


@rewrites(f"{F}.prelu", "torch.prelu", to="tf",
          proof=Proof(inputs=[(4, 5), (1,), (5,)], cases=["F.prelu(x, y)",
                                                          "F.prelu(x, z)"]))  # fmt: skip
def prelu(site: Site) -> Any:
    given = Arguments(site)
    weight = given.get("weight", at=0)
    fact = site.context.fact(weight)
    single = isinstance(fact, Tensor) and fact.shape in ((1,), ())
    if not single and site.rank(given.x) != 2:
        raise Unfit("F.prelu with a weight per channel has no equal here", "use nn.PReLU")
    if not is_simple(given.x):
        return fill("tf.nn.relu(x) - w * tf.nn.relu(-x)", x=given.x, w=weight)
    return fill("tf.where(x > 0, x, w * x)", x=given.x, w=weight)


@rewrites(f"{F}.rrelu", to="tf")
def randomized(site: Site) -> Any:
    raise Unfit("F.rrelu draws a slope per element; no function of TensorFlow does",
                "use the layer nn.RReLU, or a leaky ReLU")  # fmt: skip


@rewrites(
    f"{F}.gumbel_softmax", to="tf",
    proof=Proof(inputs=[(4, 5)], cases=[]),
)  # fmt: skip
def gumbel(site: Site) -> Any:
    given = Arguments(site)
    logits = site.keywords.get("logits", given.x)
    return fill("unit(x, tau=t, hard=h, axis=a)", unit=site.emit("gumbel_softmax"), x=logits,
                t=given.given("tau", at=0), h=given.given("hard", at=1), a=given.given("dim",
                    at=3))  # fmt: skip
