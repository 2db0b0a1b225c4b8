"""Normalization layers. Keras's moving variance is the biased one; its epsilons are others."""

from __future__ import annotations

from typing import Any

import libcst as cst

from transpiler.infer.values import ListObject, Number, Sequence, Tensor
from transpiler.rule import Proof, Unfit, rewrites
from transpiler.rules.layer_arguments import known, written
from transpiler.rules.layer_names import each
from transpiler.site import Site
from transpiler.template import OMIT, call, fill

BATCH_NORMS = tuple(
    f"torch.nn.{name}" for name in (*each("BatchNorm", "LazyBatchNorm"), "SyncBatchNorm")
)
INSTANCE_NORMS = tuple(f"torch.nn.{name}" for name in each("InstanceNorm", "LazyInstanceNorm"))
STATISTICS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
BIASED = (
    "BatchNormalization's moving variance takes the biased batch variance, torch's the unbiased: "
    "evaluation differs by 1/(2n), n being the values per channel in a batch (2e-2 for n = 25)"
)


def minus(site: Site, name: str) -> Any:
    """1 - momentum: torch counts what is new, Keras what is kept."""
    value = known(site, site.arg(name))
    if isinstance(value, (int, float)):
        return round(1 - value, 12)
    return fill("1 - m", m=site.arg(name))


def unless_equal(value: Any, usual: Any, site: Site) -> Any:
    """OMIT where a value is known to be the target's default."""
    return OMIT if known(site, value) == usual else value


def scales(site: Site, affine: str) -> dict[str, Any]:
    """`center` and `scale` for torch's affine and bias arguments."""
    value = site.arg(affine)
    flag = known(site, value)
    bias = known(site, site.arg("bias")) if "bias" in site.args else True
    if flag is None:
        return {"center": value, "scale": value}
    off = False if not flag else OMIT
    return {"center": False if not flag or bias is False else OMIT, "scale": off}


@rewrites(
    *BATCH_NORMS,
    to="tf",
    layout="spatial",
    weights=STATISTICS,
    proof=Proof(
        inputs=[(5, 3), (4, 3, 6), (4, 3, 5, 4), (2, 3, 2, 3, 4)],
        cases=[
            "torch.nn.BatchNorm1d(3)(x)",
            "torch.nn.BatchNorm1d(3, momentum=0.3)(y)",
            "torch.nn.BatchNorm2d(3)(z)",
            "torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.01)(z)",
            "torch.nn.BatchNorm2d(3, affine=False)(z)",
            "torch.nn.BatchNorm2d(3, 0.8)(z)",
            "torch.nn.BatchNorm2d(3, momentum=None)(z)",
            "torch.nn.BatchNorm2d(3, track_running_stats=False)(z)",
            "torch.nn.BatchNorm3d(3)(w)",
        ],
        training=True,
    ),
)
def batch_norm(site: Site) -> Any:
    """Stock with a note on its variance; TorchBatchNorm under exact fidelity."""
    options = {"epsilon": written(site, "eps"), **scales(site, "affine")}
    if known(site, site.arg("track_running_stats")) is False:
        return _emitted(site, "BatchStatisticsNorm", options, {"epsilon": 1e-5})
    if known(site, site.arg("track_running_stats")) is None:
        raise Unfit(f"track_running_stats of {site.short} is not known before the program runs")
    if not site.has("momentum") and "momentum" in site.args:
        return _emitted(site, "CumulativeBatchNorm", options, {"epsilon": 1e-5})
    options = {"momentum": minus(site, "momentum"), **options}
    if site.context.interpreter.differentiates_twice:
        usual = {"momentum": 0.9, "epsilon": 1e-5}
        return _emitted(site, "TwiceDifferentiableBatchNorm", options, usual)
    if site.exact:
        return _emitted(site, "TorchBatchNorm", options, {"momentum": 0.9, "epsilon": 1e-5})
    site.caution(BIASED, "--fidelity exact keeps torch's")
    usual = {"momentum": 0.99, "epsilon": 1e-3}
    options = {k: unless_equal(v, usual.get(k, OMIT), site) for k, v in options.items()}
    return call("keras.layers.BatchNormalization", **options)


def _emitted(site: Site, name: str, options: dict[str, Any], usual: dict[str, Any]) -> Any:
    options = {k: unless_equal(v, usual.get(k, OMIT), site) for k, v in options.items()}
    return call(name, **options).with_changes(func=site.emit(name))


@rewrites(
    *INSTANCE_NORMS,
    to="tf",
    layout="spatial",
    weights=STATISTICS,
    proof=Proof(
        inputs=[(2, 3, 7), (2, 3, 5, 4), (2, 3, 2, 3, 4)],
        cases=[
            "torch.nn.InstanceNorm1d(3)(x)",
            "torch.nn.InstanceNorm2d(3)(y)",
            "torch.nn.InstanceNorm2d(3, affine=True, eps=1e-3)(y)",
            "torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True)(y)",
            "torch.nn.InstanceNorm2d(3, momentum=0.3, track_running_stats=True)(y)",
            "torch.nn.InstanceNorm3d(3)(z)",
        ],
        training=True,
    ),
)
def instance_norm(site: Site) -> Any:
    """Groups of one channel each; an emitted layer where running statistics are kept."""
    tracks = known(site, site.arg("track_running_stats"))
    if tracks is None:
        raise Unfit(f"track_running_stats of {site.short} is not known before the program runs")
    if tracks:
        options = {
            "momentum": minus(site, "momentum"),
            "epsilon": written(site, "eps"),
            "affine": site.arg("affine"),
        }
        usual = {"momentum": 0.9, "epsilon": 1e-5, "affine": False}
        return _emitted(site, "RunningInstanceNorm", options, usual)
    return _grouped(site, -1)


@rewrites(
    "torch.nn.GroupNorm",
    to="tf",
    layout="spatial",
    weights=STATISTICS,
    proof=Proof(
        inputs=[(2, 6, 5), (2, 6, 5, 4), (3, 6)],
        cases=[
            "torch.nn.GroupNorm(3, 6)(x)",
            "torch.nn.GroupNorm(2, 6, eps=1e-3)(y)",
            "torch.nn.GroupNorm(1, 6, affine=False)(y)",
            "torch.nn.GroupNorm(3, 6)(z)",
        ],
    ),
)
def group_norm(site: Site) -> Any:
    return _grouped(site, site.arg("num_groups"))


def _grouped(site: Site, groups: Any) -> Any:
    epsilon = unless_equal(written(site, "eps"), 1e-3, site)
    new = call("keras.layers.GroupNormalization", groups, epsilon=epsilon, **scales(site, "affine"))
    if site.context.interpreter.differentiates_twice:
        return new.with_changes(func=site.emit("TwiceDifferentiableGroupNorm"))
    return new


def last_axes(site: Site) -> Any:
    """Keras's axis argument for torch's normalized_shape: the last axes, OMIT for one."""
    node = site.arg("normalized_shape")
    value, fact = known(site, node), site.fact(node)
    count: int | None = None
    if isinstance(value, int) or isinstance(fact, (Number, Tensor)):
        count = 1
    elif isinstance(value, (tuple, list)):
        count = len(value)
    elif isinstance(fact, (Sequence, ListObject)) and fact.items is not None:
        count = len(fact.items)
    elif isinstance(node, (cst.Tuple, cst.List)):
        count = len(node.elements)
    elif isinstance(node, (cst.Name, cst.Attribute)) and not isinstance(
        fact, (Sequence, ListObject)
    ):
        site.caution("normalized_shape is taken for one size: the last axis is normalized")
        count = 1
    if count is None:
        raise Unfit(
            f"how many axes {site.short} normalizes is not known before the program runs",
            "write the sizes out",
        )
    return OMIT if count == 1 else list(range(-count, 0))


@rewrites(
    "torch.nn.LayerNorm",
    to="tf",
    weights=STATISTICS,
    proof=Proof(
        inputs=[(2, 5, 6)],
        args=[
            "6",
            "[6]",
            "(5, 6), eps=1e-3",
            "normalized_shape=6, elementwise_affine=False",
            "6, bias=False",
        ],
    ),
)
def layer_norm(site: Site) -> Any:
    return call(
        "keras.layers.LayerNormalization",
        axis=last_axes(site),
        epsilon=unless_equal(written(site, "eps"), 1e-3, site),
        **scales(site, "elementwise_affine"),
    )


@rewrites(
    "torch.nn.RMSNorm",
    to="tf",
    weights={"weight": "scale"},
    proof=Proof(
        inputs=[(2, 5, 6)],
        args=["6", "6, eps=1e-3", "(5, 6), eps=1e-4"],
    ),
)
def rms_norm(site: Site) -> Any:
    """torch's default epsilon is that of the dtype."""
    if known(site, site.arg("elementwise_affine")) is not True:
        raise Unfit("keras.layers.RMSNormalization always has a scale")
    epsilon: Any = written(site, "eps")
    if not site.has("eps"):
        epsilon = fill('np.finfo("float32").eps')
    return call(
        "keras.layers.RMSNormalization",
        axis=last_axes(site),
        epsilon=unless_equal(epsilon, 1e-6, site),
    )
