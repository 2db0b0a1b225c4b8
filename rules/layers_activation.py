"""Activations as layers."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.context import Context
from transpiler.infer.values import Number, Tensor
from transpiler.rule import Proof, Rule, Unfit, rewrites
from transpiler.rules.layer_arguments import function_of_x, input_of, known
from transpiler.site import Site
from transpiler.syntax import find
from transpiler.template import OMIT, call, fill

_X = Proof(inputs=[(4, 5)], args=[""])


def named(torch: str, keras: str, proof: Proof = _X) -> Rule:
    """A module without arguments as an Activation layer of that name."""
    return Rule(
        f"{keras.replace('_', '-')}-layer",
        torch=f"torch.nn.{torch}()",
        keras=f'keras.layers.Activation("{keras}")',
        layout="elementwise",
        proof=proof,
    )


NAMED = [
    named("Sigmoid", "sigmoid"),
    named("Tanh", "tanh"),
    named("LogSigmoid", "log_sigmoid"),
    named("Softsign", "softsign"),
    named("Tanhshrink", "tanh_shrink"),
]


def in_place(torch: str, keras: str, proof: Proof = _X) -> Rule:
    """The same for modules that may write in place, which changes no result."""
    return Rule(
        f"{keras.replace('_', '-')}-layer",
        torch=f"torch.nn.{torch}(inplace=anyway)",
        keras=f'keras.layers.Activation("{keras}")',
        infer={"anyway": lambda site: OMIT},
        layout="elementwise",
        proof=proof,
    )


_HARD = Proof(
    inputs=[(4, 5)],
    args=[""],
    tolerance=1e-7,
    reason="torch's own gradient uses 1/6 in single precision",
)
IN_PLACE = [
    in_place("SiLU", "silu", Proof(inputs=[(4, 5)], args=["", "inplace=True"])),
    in_place("Mish", "mish"),
    in_place("SELU", "selu"),
    in_place("ReLU6", "relu6"),
    in_place("Hardsigmoid", "hard_sigmoid", _HARD),
    in_place("Hardswish", "hard_silu", _HARD),
]

RELU = Rule(
    "relu-layer",
    torch="torch.nn.ReLU(inplace=anyway)",
    keras="keras.layers.ReLU()",
    infer={"anyway": lambda site: OMIT},
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], args=["", "inplace=True", "True"]),
)

LEAKY_RELU = Rule(
    "leaky-relu-layer",
    torch="torch.nn.LeakyReLU(slope, inplace=anyway)",
    keras="keras.layers.LeakyReLU(negative_slope=slope)",
    infer={"anyway": lambda site: OMIT},
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], args=["", "0.2", "negative_slope=0.3, inplace=True"]),
)

ELU = Rule(
    "elu-layer",
    torch="torch.nn.ELU(alpha, inplace=anyway)",
    keras="keras.layers.ELU(alpha=alpha)",
    infer={"anyway": lambda site: OMIT},
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], args=["", "0.7, inplace=True"]),
)


def function_layer(site: Site, body: str, /, **holes: Any) -> cst.BaseExpression:
    """A function of x as a layer."""
    return call("keras.layers.Activation", function_of_x(site, fill(body, **holes)))


@rewrites(
    "torch.nn.GELU",
    to="tf",
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], args=["", "approximate='tanh'"]),
)
def gelu(site: Site) -> Any:
    if site.const("approximate") == "none":
        return fill('keras.layers.Activation("gelu")')
    return function_layer(site, "tf.nn.gelu(x, approximate=True)")


@rewrites(
    "torch.nn.CELU",
    to="tf",
    layout="elementwise",
    proof=Proof(
        inputs=[(4, 5)],
        args=["", "0.5"],
        tolerance=1e-7,
        reason="torch's own gradient goes through single precision",
    ),
)
def celu(site: Site) -> Any:
    if known(site, site.arg("alpha")) == 1:
        return fill('keras.layers.Activation("celu")')
    return function_layer(site, "keras.activations.celu(x, a)", a=site.arg("alpha"))


@rewrites(
    "torch.nn.Softplus",
    to="tf",
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], args=["", "beta=2"]),
)
def softplus(site: Site) -> Any:
    """torch is linear above its threshold, where the difference is below 2e-9."""
    beta = site.arg("beta")
    if known(site, site.arg("threshold")) != 20:
        raise Unfit("Softplus with a threshold of its own has no equal here")
    if known(site, beta) == 1:
        return fill('keras.layers.Activation("softplus")')
    return function_layer(site, "tf.nn.softplus(b * x) / b", b=beta)


@rewrites(
    "torch.nn.Hardtanh",
    to="tf",
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], args=["", "-0.5, 2.0", "min_val=0, max_val=1, inplace=True"]),
)
def hardtanh(site: Site) -> Any:
    low = site.arg("min_value" if site.has("min_value") else "min_val")
    high = site.arg("max_value" if site.has("max_value") else "max_val")
    return function_layer(site, "tf.clip_by_value(x, low, high)", low=low, high=high)


@rewrites(
    "torch.nn.Hardshrink",
    "torch.nn.Softshrink",
    to="tf",
    layout="elementwise",
    proof=Proof(
        inputs=[(4, 5)],
        cases=["torch.nn.Hardshrink()(x)", "torch.nn.Softshrink(0.3)(x)"],
    ),
)
def shrink(site: Site) -> Any:
    name = "hard_shrink" if site.name.endswith("Hardshrink") else "soft_shrink"
    return function_layer(site, f"keras.activations.{name}(x, t)", t=site.arg("lambd"))


@rewrites(
    "torch.nn.Threshold",
    to="tf",
    layout="elementwise",
    proof=Proof(inputs=[(4, 5)], args=["0.1, 20", "0.5, -1.0, inplace=True"]),
)
def threshold(site: Site) -> Any:
    return function_layer(
        site,
        "tf.where(x > t, x, tf.cast(v, x.dtype))",
        t=site.arg("threshold"),
        v=site.arg("value"),
    )


@rewrites(
    "torch.nn.Softmax",
    "torch.nn.LogSoftmax",
    "torch.nn.Softmin",
    to="tf",
    proof=Proof(
        inputs=[(4, 5), (2, 3, 4)],
        cases=[
            "torch.nn.Softmax(dim=1)(x)",
            "torch.nn.Softmax(-1)(y)",
            "torch.nn.Softmax(dim=1)(y)",
            "torch.nn.Softmax(dim=0)(x)",
            "torch.nn.Softmax()(x)",
            "torch.nn.LogSoftmax(dim=1)(x)",
            "torch.nn.LogSoftmax(dim=1)(y)",
            "torch.nn.LogSoftmax(dim=-1)(y)",
            "torch.nn.Softmin(dim=1)(y)",
        ],
    ),
)
def softmax(site: Site) -> Any:
    """The axis is written out: without one, torch takes it from the rank."""
    axis = _softmax_axis(site)
    last = axis == -1 or (known(site, axis) == -1)
    if site.name.endswith("LogSoftmax"):
        if last:
            return fill('keras.layers.Activation("log_softmax")')
        return function_layer(site, "tf.nn.log_softmax(x, axis=d)", d=axis)
    if site.name.endswith("Softmin"):
        return function_layer(site, "tf.nn.softmax(-x, axis=d)", d=axis)
    return call("keras.layers.Softmax", axis=OMIT if last else axis)


def _softmax_axis(site: Site) -> Any:
    """The axis, as -1 where it is known to be the last."""
    x = input_of(site)
    rank = x.rank if x is not None else None
    if not site.has("dim"):
        if rank is None:
            raise Unfit(f"{site.short} without dim takes its axis from the rank", "say dim=")
        return -1 if rank in (1, 2) else (0 if rank in (0, 3) else 1)
    axis = known(site, site.arg("dim"))
    if isinstance(axis, int) and rank is not None and axis == rank - 1:
        return -1
    return site.arg("dim")


SOFTMAX_2D = Rule(
    "softmax-2d",
    torch="torch.nn.Softmax2d()",
    keras="keras.layers.Softmax()",
    layout="spatial",
    proof=Proof(inputs=[(2, 3, 4, 5)], args=[""]),
    to="tf",
)


@rewrites(
    "torch.nn.PReLU",
    to="tf",
    layout="spatial",
    weights={"weight": "alpha"},
    proof=Proof(
        inputs=[(4, 5), (2, 3, 4, 5), (2, 3, 6)],
        cases=[
            "torch.nn.PReLU()(x)",
            "torch.nn.PReLU(5)(x)",
            "torch.nn.PReLU()(y)",
            "torch.nn.PReLU(3, init=0.1)(y)",
            "torch.nn.PReLU(num_parameters=3)(z)",
        ],
    ),
)
def prelu(site: Site) -> Any:
    """One slope for everything or one per channel: shared along all other axes."""
    x = input_of(site)
    if x is None or x.rank is None or _reads_ranks(site.context):
        site.context.emit("TorchPReLU")
        count, init = (site.args.get(n, OMIT) for n in ("num_parameters", "init"))
        return call("TorchPReLU", num_parameters=count, init=init)
    count = known(site, site.arg("num_parameters"))
    if count is None and not isinstance(site.fact("num_parameters"), Number):
        count = 2  # a variable: a number of channels
    axes = list(range(1, x.rank if count == 1 else x.rank - 1))
    start = known(site, site.arg("init"))
    value = start if isinstance(start, (int, float)) else site.arg("init")
    return call(
        "keras.layers.PReLU",
        alpha_initializer=fill("keras.initializers.Constant(v)", v=value),
        shared_axes=axes or OMIT,
    )


def _reads_ranks(context: Context) -> bool:
    """Whether the program asks parameters for their shapes: Keras's slopes have more axes."""
    if "reads ranks" not in context.notes:
        context.notes["reads ranks"] = any(
            isinstance(fact := context.fact(node.value), Tensor) and fact.variable
            for node in find(context.module, cst.Attribute)
            if node.attr.value in ("ndim", "dim", "shape", "size")
        )
    return bool(context.notes["reads ranks"])


@rewrites(
    "torch.nn.GLU",
    to="tf",
    proof=Proof(inputs=[(4, 6), (2, 4, 3)], cases=["torch.nn.GLU()(x)", "torch.nn.GLU(dim=1)(y)"]),
)
def glu(site: Site) -> Any:
    if known(site, site.arg("dim")) == -1:
        return fill('keras.layers.Activation("glu")')
    return function_layer(site, "keras.activations.glu(x, axis=d)", d=site.arg("dim"))


@rewrites("torch.nn.RReLU", to="tf", layout="elementwise", proof=Proof(inputs=[(4, 5)], args=[""]))
def rrelu(site: Site) -> Any:
    """Random slopes in training, their mean at evaluation."""
    raise_for = known(site, site.arg("lower")), known(site, site.arg("upper"))
    return call("RandomizedReLU", *(
        () if raise_for == (0.125, 1 / 3) else (site.arg("lower"), site.arg("upper"))
    )).with_changes(func=site.emit("RandomizedReLU"))  # fmt: skip
